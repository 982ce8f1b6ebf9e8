"""Crops in memory-mapped arrays below a cache folder: made once, gone on with where they were left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geo.progress import Progress, silent
from training import city, scene
from training.camera import Backgrounds
from training.land import Textures

COLOURS: dict[str, tuple[tuple[int, ...], str]] = {
    "before": ((scene.SIZE, scene.SIZE, 3), "u1"),
    "after": ((scene.SIZE, scene.SIZE, 3), "u1"),
    "label": ((scene.SIZE, scene.SIZE), "u1"),
    "gsd_m": ((), "f4"),
    "done": ((), "u1"),
}
LAYERS: dict[str, dict[str, tuple[tuple[int, ...], str]]] = {
    "place": COLOURS | {"dz": ((scene.SIZE, scene.SIZE), "f2"), "sigma": ((scene.SIZE, scene.SIZE), "f2")},
    "city": COLOURS,
}
"""Shape and kind of what is kept of each crop, by the kind of the recipe."""


MAKERS: dict[str, Callable[..., Any]] = {"place": scene.make, "city": city.make}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the data, and nothing else does."""

    seed: int
    count: int
    real: str = ""
    """Name of the folder of background pairs or of textures, empty for none."""
    kind: str = "place"
    """Which maker: "place" is `training.scene`, with heights; "city" is `training.city`, colours alone."""


@dataclass(frozen=True, slots=True)
class Crops:
    """Arrays `(count, ...)` by name."""

    recipe: Recipe
    layers: dict[str, NDArray]

    @property
    def ready(self) -> NDArray[np.int64]:
        """The numbers of the crops that are there."""
        return np.nonzero(np.asarray(self.layers["done"]))[0]


def opened(folder: Path, recipe: Recipe) -> Crops:
    """The arrays of a recipe, made empty when new; raises ValueError when the folder holds another recipe's."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "recipe.json"
    if note.exists() and Recipe(**json.loads(note.read_text())) != recipe:
        raise ValueError(f"{folder} holds crops of {note.read_text().strip()}: give another folder, or delete it")
    layers = {}
    for name, (shape, kind) in LAYERS[recipe.kind].items():
        path = folder / f"{name}.npy"
        if not path.exists():
            part = path.with_suffix(".part")
            np.lib.format.open_memmap(part, mode="w+", dtype=kind, shape=(recipe.count, *shape)).flush()
            part.replace(path)
        layers[name] = np.load(path, mmap_mode="r+")
    note.write_text(json.dumps(asdict(recipe)) + "\n")
    return Crops(recipe, layers)


def fill(
    crops: Crops, backgrounds: Backgrounds | Textures | None, progress: Progress = silent, *, share: tuple[int, int] = (0, 1)
) -> None:
    """Make what is missing; of `share` (k, n) every n-th crop, so that n processes can work side by side."""
    mine = [i for i in range(share[0], crops.recipe.count, share[1]) if not crops.layers["done"][i]]
    for done, i in enumerate(mine):
        progress(done, len(mine), "crops")
        crop = MAKERS[crops.recipe.kind](crops.recipe.seed, i, backgrounds)
        for name in crops.layers:
            if name != "done":
                crops.layers[name][i] = getattr(crop, name)
        crops.layers["done"][i] = 1
    progress(len(mine), len(mine), "crops")


def cache() -> Path:
    """Where data and checkpoints are kept: `PATROL_TRAINING_CACHE`, else below the user's cache."""
    return Path(os.environ.get("PATROL_TRAINING_CACHE", Path.home() / ".cache" / "drone-patrol" / "training"))
