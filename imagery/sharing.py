"""A survey's build shared by many workers: which of its stages fall into pieces, which pieces are missing, and how one is made.

All of them see one building folder (a shared file system, at the same path everywhere). Every piece is a file that is there whole or
not at all, so that a piece may be made twice, by whomever, and a build goes on from what lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from geo.grid import Grid
from geo.progress import Progress, silent
from imagery import edges, orthorectify, surface, workfiles
from imagery.errors import SurveyError
from imagery.photos import Photo
from imagery.raster import Compression
from imagery.reconstruct import Block, Reconstructor


class Stage(StrEnum):
    """What falls into pieces, each numbered from 0: photos, pairs of photos, tiles of the surface, tiles of the orthophoto."""

    FEATURES = "features"
    PAIRS = "surface: pairs"
    HEIGHTS = "surface: tiles"
    PICTURES = "ortho: tiles"


class Away(Exception):
    """Leaves a shared build where it needs pieces that are not there yet: have them made, then build again."""

    def __init__(self, stage: Stage, numbers: Sequence[int]) -> None:
        super().__init__(f"{stage}: {len(numbers)} pieces are to be made")
        self.stage, self.numbers = stage, tuple(numbers)


def features(photos: Sequence[Photo], folder: Path) -> None:
    """Raises Away while photos are not prepared for their reconstruction."""
    _need(Stage.FEATURES, (_prepared(folder, p) for p in photos))


def files(
    block: Block, grid: Grid, folder: Path, progress: Progress = silent, *, compression: Compression = "jpeg"
) -> tuple[surface.SurfaceFiles, orthorectify.OrthoFiles]:
    """Surface and orthophoto on `grid`, put together from pieces; raises Away while some are missing."""
    (folder / "work").mkdir(exist_ok=True)
    workfiles.keep(folder / "work" / "grid", grid)
    heights, picture = surface.SurfaceFiles.of(folder), orthorectify.OrthoFiles.of(folder)
    if heights.whole and picture.whole:
        return heights, picture
    rough = edges.rough_folder(block, folder)
    first = surface.SurfaceFiles.of(rough)
    if not first.whole:
        rough.mkdir(exist_ok=True)
        laid = surface.Plan.load(block, grid, rough)
        _need(Stage.PAIRS, (laid.patch(pair) for pair in laid.pairs))
        _need(Stage.HEIGHTS, (laid.layers(n) for n in range(len(laid.tiles))))
        first = surface.finish(laid, rough, surface.tiles_made(laid))
    if not picture.whole:
        plan = orthorectify.Plan.load(block, first.surface, grid, folder)
        if plan is None:
            plan = orthorectify.Plan.of(block, first.surface, grid, folder, progress, confidence=first.confidence)
            plan.keep()
        _need(Stage.PICTURES, (plan.picture(n) for n in range(len(plan.tiles))))
        picture = orthorectify.finish(plan, folder, orthorectify.painted(plan), compression=compression)
    return edges.sharpen(first, picture.ortho, grid, folder, progress), picture


def make(
    stage: Stage,
    numbers: range,
    folder: Path,
    *,
    photos: Sequence[Photo],
    reconstructor: Reconstructor,
    reference: Path | None = None,
    progress: Progress = silent,
) -> None:
    """Make some pieces of a stage in the building `folder`; those there already are not made again.

    `reference` is the folder of the block to register into. Raises ImageryError as the stage itself does.
    """
    if stage is Stage.FEATURES:
        known = Block.load(reference) if reference is not None else None
        chosen = [photos[n] for n in numbers]
        reconstructor.prepare(chosen, folder / "work", reference=known, progress=progress)
        for photo in chosen:
            _prepared(folder, photo).parent.mkdir(parents=True, exist_ok=True)
            _prepared(folder, photo).touch()
        return
    block = Block.load(folder / "block", photos)
    _TILED[stage](block, workfiles.load(folder / "work" / "grid"), folder, numbers, progress)


def _pairs(block: Block, grid: Grid, folder: Path, numbers: range, progress: Progress) -> None:
    surface.match(surface.Plan.load(block, grid, edges.rough_folder(block, folder)), numbers, progress)


def _heights(block: Block, grid: Grid, folder: Path, numbers: range, progress: Progress) -> None:
    surface.heights(surface.Plan.load(block, grid, edges.rough_folder(block, folder)), numbers, progress)


def _pictures(block: Block, grid: Grid, folder: Path, numbers: range, progress: Progress) -> None:
    rough = surface.SurfaceFiles.of(edges.rough_folder(block, folder))
    plan = orthorectify.Plan.load(block, rough.surface, grid, folder)
    if plan is None:
        raise SurveyError(f"{folder}: nobody has decided yet who paints what: build the survey again")
    orthorectify.paint(plan, numbers, progress)


_TILED: dict[Stage, Callable[[Block, Grid, Path, range, Progress], None]] = {
    Stage.PAIRS: _pairs,
    Stage.HEIGHTS: _heights,
    Stage.PICTURES: _pictures,
}


def _prepared(folder: Path, photo: Photo) -> Path:
    return folder / "work" / "prepared" / photo.sha256


def _need(stage: Stage, made: Iterable[Path]) -> None:
    missing = [number for number, path in enumerate(made) if not path.exists()]
    if missing:
        raise Away(stage, missing)
