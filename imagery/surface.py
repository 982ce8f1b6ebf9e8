"""The surface of a block: many pairs each say a height, the majority is believed, edges stay where they are.

Works tile by tile over patches kept on disk, so memory does not grow with the area, and goes on where it was stopped.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, box

from geo.frames import Floats
from geo.grid import Grid, Window
from geo.progress import Progress, onward, silent
from imagery import fusion, order, raster, stereo, workfiles
from imagery.errors import SurveyError
from imagery.pairs import Pair, choose_pairs
from imagery.photos import read_pixels
from imagery.projection import Projector
from imagery.reconstruct import Block
from imagery.stereo import Metres, Patch

Bytes = NDArray[np.uint8]
Layers = tuple[NDArray[Any], ...]

UNKNOWN = 255
TILE = 512
_PHOTOS = 24  # kept in memory while pairs are matched
_TELLING = 100  # sparse points of a pair that tell how deep its ground lies
_COARSE = 4  # how much wider the cells of the small matches are
_LONE_M = 1.0
_GAP_M = 0.8  # gaps up to about twice this are bridged before the small matches are asked: these round off edges
_FILL_M = 2.5  # gaps up to about twice this are bridged; a larger unknown stays unknown


@dataclass(frozen=True, slots=True)
class SurfaceFiles:
    """Four rasters on the area's grid.

    `surface`, `sigma`: float32 metres, NaN unknown (heights over the block's datum). `confidence`: uint8 0..100 per cent, 255
    unknown, 0 where bridged. `filled`: uint8 1 where bridged, 0 where measured, 255 unknown.
    """

    surface: Path
    sigma: Path
    confidence: Path
    filled: Path

    @staticmethod
    def of(folder: Path) -> SurfaceFiles:
        """The names of a folder's surface files."""
        return SurfaceFiles(*(folder / f"{name}.tif" for name in ("surface", "sigma", "confidence", "filled")))

    @property
    def whole(self) -> bool:
        """Whether all four are there."""
        return all(p.exists() for p in (self.surface, self.sigma, self.confidence, self.filled))


def build(block: Block, grid: Grid, folder: Path, progress: Progress = silent) -> SurfaceFiles:
    """The block's surface on `grid`, written into `folder`; finished files and finished pairs are taken as they are.

    The same as `match` and `heights` over all of a `Plan` and `finish`, without tiles on disk. Raises SurveyError when no two photos
    of the block overlap on the grid.
    """
    files = SurfaceFiles.of(folder)
    if files.whole:
        return files
    plan = Plan.of(block, grid, folder)
    match(plan, range(len(plan.pairs)), progress)
    return finish(plan, folder, _computed(plan, range(len(plan.tiles)), progress))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a surface is made in pieces that many may share: first all `pairs`, then all `tiles` (windows of the coarser `cells`).

    Pieces are ranges of their numbers; pairs that follow each other share photos. What is finished lies in `folder`, which is named
    after the block's poses: a piece that comes late never mixes with those of a block that was moved since.
    """

    block: Block
    grid: Grid
    cells: Grid
    reduce: int
    pairs: tuple[Pair, ...]
    tiles: tuple[Window, ...]
    folder: Path

    @staticmethod
    def of(block: Block, grid: Grid, folder: Path) -> Plan:
        """The plan of a block's surface on `grid`, with its work files below `folder`; the same for everybody who asks."""
        reduce = _reduction(block)
        cells = _cells(grid, native_gsd_m(block) * reduce)
        size = max(_COARSE * 8, TILE // round(cells.gsd_m / grid.gsd_m) // _COARSE * _COARSE)
        return Plan(block, grid, cells, reduce, _in_turn(block), tuple(cells.tiles(size)), _work(block, folder))

    @staticmethod
    def load(block: Block, grid: Grid, folder: Path) -> Plan:
        """The plan as `of`, kept on disk by who asks first: choosing pairs of thousands of photos takes seconds."""
        work = _work(block, folder)
        if (work / "plan").exists():
            cells, reduce, pairs, tiles = workfiles.load(work / "plan")
            return Plan(block, grid, cells, reduce, pairs, tiles, work)
        plan = Plan.of(block, grid, folder)
        work.mkdir(parents=True, exist_ok=True)
        workfiles.keep(work / "plan", (plan.cells, plan.reduce, plan.pairs, plan.tiles))
        return plan

    def patch(self, pair: Pair) -> Path:
        """The file that says that a pair is done."""
        views = self.block.views
        return self.folder / f"{views[pair.left].photo_sha256[:12]}_{views[pair.right].photo_sha256[:12]}.json"

    def layers(self, number: int) -> Path:
        """The file of a finished tile."""
        return self.folder / f"tile_{number}.npz"

    def window(self, tile: Window) -> Window:
        """A tile on the area's grid."""
        k = round(self.cells.gsd_m / self.grid.gsd_m)
        row, col = tile.row * k, tile.col * k
        return Window(row, col, min(tile.rows * k, self.grid.rows - row), min(tile.cols * k, self.grid.cols - col))


def match(plan: Plan, numbers: range, progress: Progress = silent) -> None:
    """The patches of some of the pairs, each as a file; those there already are not made again."""
    _match_all(plan, [plan.pairs[n] for n in numbers], progress)


def heights(plan: Plan, numbers: range, progress: Progress = silent) -> None:
    """Some of the tiles, each as a file, after all pairs are matched; those there already are not made again."""
    left = [n for n in numbers if not plan.layers(n).exists()]
    for number, layers in _computed(plan, left, onward(progress, len(numbers) - len(left))):
        with workfiles.placed(plan.layers(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, *layers)


def tiles_made(plan: Plan) -> Iterator[tuple[int, Layers]]:
    """The finished tiles in the order in which they are to be written, for `finish`."""
    for number in range(len(plan.tiles)):
        with np.load(plan.layers(number)) as arrays:
            yield number, tuple(arrays[f"arr_{i}"] for i in range(4))


def finish(plan: Plan, folder: Path, made: Iterable[tuple[int, Layers]]) -> SurfaceFiles:
    """All tiles to the four rasters in `folder`, which are work files themselves until `edges` has sharpened them; the tiles are let go."""
    files = SurfaceFiles.of(folder)
    k = round(plan.cells.gsd_m / plan.grid.gsd_m)
    with ExitStack() as stack:
        surface, sigma = (
            stack.enter_context(raster.written(p, plan.grid, "float32", nodata=math.nan, packing="zstd"))
            for p in (files.surface, files.sigma)
        )
        confidence, filled = (
            stack.enter_context(raster.written(p, plan.grid, "uint8", nodata=UNKNOWN, packing="zstd"))
            for p in (files.confidence, files.filled)
        )
        for number, (fine, *coarse) in made:
            window = plan.window(plan.tiles[number])
            surface.write(window, fine)
            for out, layer in zip((sigma, confidence, filled), coarse, strict=True):
                out.write(window, layer.repeat(k, axis=0).repeat(k, axis=1)[: window.rows, : window.cols])
    shutil.rmtree(plan.folder, ignore_errors=True)
    return files


def _work(block: Block, folder: Path) -> Path:
    return folder / f"stereo-{block.key}"


def _in_turn(block: Block) -> tuple[Pair, ...]:
    """The block's pairs, so ordered that a photo's pairs follow each other closely however long the lines of the flight are."""
    pairs = choose_pairs(block)
    centres = np.array([(v.pose.x_m, v.pose.y_m) for v in block.views])
    between = np.array([centres[p.left] + centres[p.right] for p in pairs]).reshape(-1, 2)
    return tuple(pairs[k] for k in order.along_curve(between))


def native_gsd_m(block: Block) -> float:
    """Ground metres per pixel of the full photos, by the median height of the cameras over what they see."""
    focal = float(np.median([block.camera(v).focal_px for v in block.views]))
    return block.stats.agl_m / focal


def _reduction(block: Block) -> int:
    """How much smaller the photos are matched: fine pixels cost more than they tell of buildings."""
    gsd = native_gsd_m(block)
    long_side = max(max(c.width_px, c.height_px) for c in block.cameras.values())
    for factor, finest in ((4, 0.012), (2, 0.04)):
        if gsd <= finest and long_side / factor >= 1000:
            return factor
    return 1


def _cells(grid: Grid, gsd_m: float) -> Grid:
    """The coarser grid heights are gathered on: a whole number of the area's cells, about one matched pixel wide."""
    k = max(1, round(gsd_m / grid.gsd_m))
    return Grid(grid.frame, grid.gsd_m * k, grid.west_m, grid.north_m, -(-grid.rows // k), -(-grid.cols // k))


def _wider(cells: Grid) -> Grid:
    """The cells of the small matches."""
    k = _COARSE
    return Grid(cells.frame, cells.gsd_m * k, cells.west_m, cells.north_m, -(-cells.rows // k), -(-cells.cols // k))


@dataclass(frozen=True, slots=True, eq=False)
class _Eye:
    """One photo as it is matched."""

    grey: Bytes
    projector: Projector


def _match_all(plan: Plan, pairs: Sequence[Pair], progress: Progress) -> None:
    """Each pair's patch as a file; those there already are not made again."""
    block, cells = plan.block, plan.cells
    plan.folder.mkdir(parents=True, exist_ok=True)
    cache: dict[int, _Eye] = {}
    left_to_do: dict[int, int] = {}
    for pair in pairs:
        for i in (pair.left, pair.right):
            left_to_do[i] = left_to_do.get(i, 0) + 1

    def view(index: int) -> _Eye:
        if index in cache:
            cache[index] = cache.pop(index)  # the least lately used come first
        else:
            while len(cache) > _PHOTOS:
                cache.pop(next(iter(cache)))
            v = block.views[index]
            grey = read_pixels(v.path, grey=True, reduce=plan.reduce)
            straight = block.projector(index).straight  # pairs are matched in the block's own shape
            cache[index] = _Eye(grey, straight.scaled(grey.shape[1] / block.camera(v).width_px))
        return cache[index]

    for done, pair in enumerate(pairs):
        if not plan.patch(pair).exists():
            _keep(plan.patch(pair), _measure(pair, view, _thereabouts(block, pair), cells, block), _eyes(block, pair))
        for i in (pair.left, pair.right):
            left_to_do[i] -= 1
            if left_to_do[i] == 0:
                cache.pop(i, None)
        progress(done + 1, len(pairs), "surface: pairs")


def _eyes(block: Block, pair: Pair) -> list[list[float]]:
    """Where a pair's cameras stand over the reference's ground, less the block's offset."""
    centres = np.array([block.views[i].pose.centre for i in (pair.left, pair.right)])
    if block.bend is not None:
        centres = block.bend.onto(centres)
    return [[float(v) for v in centre] for centre in centres - np.array(block.offset_m)]


def _thereabouts(block: Block, pair: Pair) -> Floats:
    """Sparse points `(n, 3)` of the block's own shape, less its offset, of the ground that a pair looks at.

    Those its own two views see, so that the work per pair does not grow with the block; all of them where these are too few to tell.
    """
    near = np.union1d(block.seen(pair.left), block.seen(pair.right))
    points = block.points if len(near) < _TELLING else block.points[near]
    if block.bend is not None:
        points = block.bend.off(points)
    return np.asarray(points - np.array(block.offset_m), np.float64)


def _measure(
    pair: Pair, view: Callable[[int], _Eye], points: Floats, cells: Grid, block: Block
) -> tuple[Patch | None, Patch | None]:
    """What a pair says of the heights: finely on `cells`, and coarsely on cells `_COARSE` times wider."""
    one, other = view(pair.left), view(pair.right)
    eyes = (one.projector, other.projector, one.grey, other.grey)
    coarse = stereo.scout(*eyes, points, block.stats.agl_m)
    if coarse is None:
        return None, None
    fine = stereo.refine(*eyes, coarse)
    centre = one.projector.centre
    wide = stereo.lay(coarse, centre, _wider(cells), block.offset_m, block.bend)
    return (stereo.lay(fine, centre, cells, block.offset_m, block.bend) if fine is not None else None), wide


def _keep(path: Path, patches: tuple[Patch | None, Patch | None], eyes: list[list[float]]) -> None:
    """A pair's patches as plain arrays beside `path`, which is written last: it says that the pair is done.

    `eyes` are the two cameras' places on the grid's ground, metres less the offset.
    """
    record: dict[str, Any] = {}
    for name, patch in zip(("fine", "coarse"), patches, strict=True):
        if patch is not None:
            w = patch.window
            record[name] = [w.row, w.col, w.rows, w.cols, patch.sigma_m]
            record["eyes"] = eyes
            with workfiles.placed(path.with_suffix(f".{name}.npy")) as temporary, temporary.open("wb") as file:
                np.save(file, patch.heights_m)
    with workfiles.placed(path) as temporary:
        temporary.write_text(json.dumps(record))


class _Patches:
    """The patches of one fineness, read from disk a window at a time."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self._index: list[tuple[Path, Window, float, Floats]] = []
        for path in paths:
            record = json.loads(path.read_text())
            at = record.get(name)
            if at is not None:
                self._index.append((path.with_suffix(f".{name}.npy"), Window(*at[:4]), float(at[4]), np.array(record["eyes"])))
        self._tree = STRtree([box(w.col, w.row, w.col + w.cols, w.row + w.rows) for _, w, _, _ in self._index])

    def __len__(self) -> int:
        return len(self._index)

    def over(self, part: Window) -> tuple[Metres, Floats, Floats] | None:
        """All heights `(patches, rows, cols)` in a window, the patches' sigmas and eyes `(patches, 2, 3)`; None when there is none."""
        layers, sigmas, eyes = [], [], []
        reached = self._tree.query(box(part.col, part.row, part.col + part.cols, part.row + part.rows))
        for path, w, sigma, pair in (self._index[k] for k in sorted(reached)):
            r0, r1 = max(w.row, part.row), min(w.row + w.rows, part.row + part.rows)
            c0, c1 = max(w.col, part.col), min(w.col + w.cols, part.col + part.cols)
            if r1 <= r0 or c1 <= c0:
                continue
            piece = np.load(path, mmap_mode="r")[r0 - w.row : r1 - w.row, c0 - w.col : c1 - w.col]
            if np.isnan(piece).all():
                continue
            layer = np.full((part.rows, part.cols), np.nan, np.float32)
            layer[r0 - part.row : r1 - part.row, c0 - part.col : c1 - part.col] = piece
            layers.append(layer)
            sigmas.append(sigma)
            eyes.append(pair)
        return (np.stack(layers), np.array(sigmas), np.stack(eyes)) if layers else None


def _computed(plan: Plan, numbers: Sequence[int], progress: Progress) -> Iterator[tuple[int, Layers]]:
    """Tiles one after the other: heights on the area's grid; sigma, confidence and bridged-ness on the cells."""
    paths = [plan.patch(pair) for pair in plan.pairs]
    fine, coarse = _Patches(paths, "fine"), _Patches(paths, "coarse")
    if not len(fine) + len(coarse):
        raise SurveyError(
            "没有两张照片在单元内有足够重叠，无法测高：请以不低于 70% 的重叠率重飞。 "
            "no two photos overlap enough on the area to measure heights: fly with 70 % overlap or more"
        )
    cells = plan.cells
    k = round(cells.gsd_m / plan.grid.gsd_m)
    margin = _COARSE * math.ceil(((_FILL_M + fusion.CARVE_M) / cells.gsd_m + 4) / _COARSE)
    for done, number in enumerate(numbers):
        tile = plan.tiles[number]
        wide = tile.grown(margin, cells)
        heights, spread, sure, bridged = _tile(fine, coarse, wide, cells, plan.block.offset_m)
        r, c = tile.row - wide.row, tile.col - wide.col
        window = plan.window(tile)
        finer = fusion.finer(heights, window.rows, window.cols, k, r, c, fusion.STEP_M) + np.float32(plan.block.offset_m[2])
        yield number, (finer, *(layer[r : r + tile.rows, c : c + tile.cols] for layer in (spread, sure, bridged)))
        progress(done + 1, len(numbers), "surface: tiles")


def _tile(
    fine: _Patches, coarse: _Patches, part: Window, cells: Grid, offset_m: tuple[float, float, float]
) -> tuple[Metres, Metres, Bytes, Bytes]:
    """Height, sigma, confidence and bridged-ness of one window of the cells."""
    shape = (part.rows, part.cols)
    nothing = np.full(shape, np.nan, np.float32)
    below = _coarse_tile(coarse, part, cells)
    stack = fine.over(part)
    heights, spread, sure = nothing.copy(), nothing.copy(), np.zeros(shape, np.uint8)
    if stack is not None:
        layers, sigmas, eyes = stack
        heights, spread, sure = fusion.agree(layers, sigmas, _ceilings(layers, eyes, cells.part(part), offset_m))
    with np.errstate(invalid="ignore"):
        alone = (sure <= 50) & (np.abs(heights - below) > _LONE_M)  # one pair's word against all that was seen from afar
    heights[alone] = np.nan
    heights = fusion.without_specks(heights, cells.gsd_m)
    heights = fusion.median3(heights, 2)
    measured = np.isfinite(heights)
    whole = fusion.bridged(heights, math.ceil(_GAP_M / cells.gsd_m))
    whole = np.where(np.isnan(whole), below, whole)
    whole = fusion.bridged(whole, math.ceil(_FILL_M / cells.gsd_m))
    known = np.isfinite(whole)
    bridged = np.where(known, ~measured, UNKNOWN).astype(np.uint8)
    sure = np.where(measured, sure, np.where(known, 0, UNKNOWN)).astype(np.uint8)
    typical = float(np.nanmedian(spread)) if np.isfinite(spread).any() else 1.0
    spread = np.where(measured & np.isfinite(spread), spread, np.where(measured, typical, max(0.5, 5 * typical))).astype(
        np.float32
    )
    spread[~known] = np.nan
    return whole, spread, sure, bridged


def _ceilings(layers: Metres, eyes: Floats, part: Grid, offset_m: tuple[float, float, float]) -> Metres:
    """Above what each pair sees free air, `(pairs, rows, cols)`; infinite where it says nothing."""
    ceilings = np.full(layers.shape, np.inf, np.float32)
    for layer, ceiling, pair in zip(layers, ceilings, eyes, strict=True):
        for x, y, z in pair.tolist():
            row, col = (part.north_m - offset_m[1] - y) / part.gsd_m, (x - part.west_m + offset_m[0]) / part.gsd_m
            fusion.carve(ceiling, layer, part.gsd_m, row, col, z)
    return ceilings


def _coarse_tile(coarse: _Patches, part: Window, cells: Grid) -> Metres:
    """What the small matches say, on the window's fine cells; NaN where they say nothing."""
    wider = _wider(cells)
    r0, c0 = part.row // _COARSE, part.col // _COARSE
    r1, c1 = min(wider.rows, -(-(part.row + part.rows) // _COARSE)), min(wider.cols, -(-(part.col + part.cols) // _COARSE))
    stack = coarse.over(Window(r0, c0, r1 - r0, c1 - c0))
    if stack is None:
        return np.full((part.rows, part.cols), np.nan, np.float32)
    heights, _, _ = fusion.agree(*stack[:2], np.zeros((0, *stack[0].shape[1:]), np.float32))
    heights = fusion.median3(fusion.without_specks(fusion.median3(heights, 3), wider.gsd_m), 3)
    finer = fusion.finer(heights, (r1 - r0) * _COARSE, (c1 - c0) * _COARSE, _COARSE, 0, 0, fusion.STEP_M)
    r, c = part.row - r0 * _COARSE, part.col - c0 * _COARSE
    return finer[r : r + part.rows, c : c + part.cols]
