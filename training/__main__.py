"""`python -m training backgrounds|textures|data|fit|export`: each goes on where it was left; all of it stands below the cache folder.

With heights (`structures`):
nice -n 15 python -m training backgrounds --photos FOLDER --photo-gsd 0.0172
nice -n 15 python -m training data --count 20000
nice -n 15 python -m training fit --minutes 480
nice -n 15 python -m training export --to change_detect/data
nice -n 15 python -m training classes --to change_detect/data

Colours alone (`roofs`), the same steps with --kind city:
nice -n 15 python -m training textures --kind city --photos FOLDER   (once for each folder of photos without houses)
nice -n 15 python -m training data --kind city --count 2000
...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from geo.progress import Progress
from patrol import terminal
from training import backgrounds, data, land
from training.camera import Backgrounds
from training.land import Textures

BACKGROUNDS, TEXTURES = "backgrounds", "textures"


@dataclass(frozen=True, slots=True)
class Track:
    """All that one kind of network needs, from its unseen crops to its scores; `folders` of crops and of unseen crops."""

    name: str
    held_out: data.Recipe
    folders: tuple[str, str]
    real: str
    materials: Callable[[Path, str], Backgrounds | Textures]


TRACKS: dict[str, Track] = {
    "place": Track(
        "structures",
        data.Recipe(seed=7, count=160, real="brighton_beach"),
        ("crops", "held_out"),
        "brighton_beach",
        lambda cache, real: Backgrounds(cache / BACKGROUNDS / real),
    ),
    "city": Track(
        "roofs",
        data.Recipe(seed=7, count=80, real="dunes_and_woods", kind="city"),
        ("city", "city_held_out"),
        "dunes_and_woods",
        lambda cache, real: Textures(cache / TEXTURES / real),
    ),
}


def main(arguments: Sequence[str]) -> int:
    """One step of the way from nothing to weights."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("step", choices=tuple(STEPS))
    parser.add_argument("--kind", choices=tuple(TRACKS), default="place")
    parser.add_argument("--cache", type=Path, default=data.cache())
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--photo-gsd", type=float, help="metres per pixel of those photos")
    parser.add_argument("--real", help="name of the background pairs or textures; empty: made-up ground only")
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=480.0)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", default="run")
    parser.add_argument("--begin", type=Path, help="a checkpoint of another run to begin with")
    parser.add_argument("--longest-cells", type=int, default=land.LONGEST_CELLS, help="how large textures are kept")
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args(arguments)
    cv2.setNumThreads(asked.threads)
    real = TRACKS[asked.kind].real if asked.real is None else asked.real
    recipe = data.Recipe(asked.seed, asked.count, real, asked.kind)
    with terminal.bar() as progress:
        STEPS[asked.step](asked, recipe, progress)
    return 0


def _backgrounds(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    folder = asked.cache / BACKGROUNDS / recipe.real
    count = backgrounds.make(asked.photos, folder, photo_gsd_m=asked.photo_gsd, progress=progress)
    terminal.out.print(f"{count} pairs in {folder}")


def _textures(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    folder = asked.cache / TEXTURES / recipe.real
    count = land.keep_textures(asked.photos, folder, progress, longest_cells=asked.longest_cells)
    terminal.out.print(f"{count} photos in {folder}")


def _data(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    track = TRACKS[recipe.kind]
    for what, name in zip((recipe, track.held_out), track.folders, strict=True):
        real = track.materials(asked.cache, what.real) if what.real else None
        data.fill(data.opened(asked.cache / name, what), real, progress)


def _fit(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    import torch

    from training.fit import Plan, fit

    torch.set_num_threads(asked.threads)
    plan = Plan(steps=asked.steps, minutes=asked.minutes, batch=asked.batch)
    fit(
        data.opened(asked.cache / TRACKS[recipe.kind].folders[0], recipe),
        plan,
        asked.cache / asked.run,
        progress,
        begin=asked.begin,
    )


def _export(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    import torch

    from training import scores
    from training.export import export
    from training.fit import NETWORKS
    from training.network import parameters

    track = TRACKS[recipe.kind]
    network = NETWORKS[recipe.kind]()
    network.load_state_dict(torch.load(asked.cache / asked.run / "checkpoint.pt", weights_only=True)["network"])
    unseen = data.opened(asked.cache / track.folders[1], track.held_out)
    folder = asked.to or asked.cache / asked.run
    path = export(network, folder, track.name, unseen)
    found = scores.SCORERS[recipe.kind](path, unseen, progress)
    if "thresholds" in found:  # chosen on what it never saw, and by nothing else
        path = export(network, folder, track.name, unseen, threshold=scores.best_threshold(found))
    crops = data.opened(asked.cache / track.folders[0], recipe)
    told = {
        "recipe": {**asdict(recipe), "crops_ready": len(crops.ready), "crop_cells": crops.layers["label"].shape[1]},
        "training": json.loads((asked.cache / asked.run / "curve.json").read_text()),
        "parameters": parameters(network),
        "held_out": {"seed": track.held_out.seed, **found},
    }
    path.with_suffix(".scores.json").write_text(json.dumps(told, indent=1) + "\n")
    terminal.out.print(json.dumps(told["held_out"], indent=1))


def _classes(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    from benchmarks.change.months import FITTED, WORN
    from training import classes

    made = classes.Recipe(FITTED, WORN)
    document = classes.fitted(classes.rows(made, asked.cache / "months", progress), made)
    classes.write(document, (asked.to or asked.cache) / "classes.json")
    terminal.out.print(json.dumps(document["scores"], indent=1))


STEPS = {"backgrounds": _backgrounds, "textures": _textures, "data": _data, "fit": _fit, "export": _export, "classes": _classes}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
