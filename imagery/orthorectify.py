"""The true orthophoto of a block: every cell painted by the photo that looks down on it, seams feathered, one light over all.

Works tile by tile along a curve, with the photos of a few tiles in memory at a time; each is decoded once when they fit.
"""

from __future__ import annotations

import math
import shutil
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.grid import Grid, Window
from geo.progress import Progress, onward, silent
from imagery import mosaic, order, raster, workfiles
from imagery.errors import SurveyError
from imagery.mosaic import NOBODY, Labels, Scene
from imagery.pairs import footprint
from imagery.photos import read_pixels
from imagery.reconstruct import Block
from imagery.stereo import Metres
from imagery.surface import native_gsd_m
from imagery.tone import Thumbnail, Tone, tones

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

NO_SOURCE = 65535
NO_ANGLE = 255
_SHOULDER = 220.0  # levels above this are drawn in towards white, not cut off
_TILE = 1024
_LABEL_M = 0.3
_LABEL_CELLS = 40_000_000  # label cells of the whole area at most: they are kept in memory
_TONE_M = 1.2
_PHOTO_BYTES = 600_000_000


@dataclass(frozen=True, slots=True)
class OrthoFiles:
    """Three rasters on the area's grid.

    `ortho`: RGB cloud-optimised GeoTIFF with an inner mask. `off_nadir`: uint8 degrees, 255 unknown. `source`: uint16 number of
    the block's view, 65535 unknown.
    """

    ortho: Path
    off_nadir: Path
    source: Path

    @staticmethod
    def of(folder: Path) -> OrthoFiles:
        """The names of a folder's ortho files."""
        return OrthoFiles(*(folder / f"{name}.tif" for name in ("ortho", "off_nadir", "source")))

    @property
    def whole(self) -> bool:
        """Whether all three are there."""
        return all(p.exists() for p in (self.ortho, self.off_nadir, self.source))


def build(
    block: Block,
    surface: Path,
    grid: Grid,
    folder: Path,
    progress: Progress = silent,
    *,
    confidence: Path | None = None,
    compression: raster.Compression = "jpeg",
) -> OrthoFiles:
    """The orthophoto over `surface` (metres of the block's datum, NaN unknown) on `grid`; finished files are taken as they are.

    `confidence` (uint8 per cent, see `surface.SurfaceFiles`) tells where the surface is smoothed before it is painted.

    Raises SurveyError when no photo shows the area.
    """
    files = OrthoFiles.of(folder)
    if files.whole:
        return files
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan.of(block, surface, grid, folder, progress, confidence=confidence)
    return finish(plan, folder, _rendered(plan, range(len(plan.tiles)), progress), compression=compression)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Who paints what, in which light, as it was decided once for all tiles; `tiles` (windows of label cells) may be painted by many.

    The order of the tiles is a curve, so that neighbours in it share photos: pieces are ranges of their numbers. What is
    finished lies in `folder`, which is named after the block's poses.
    """

    scene: Scene
    labels: Labels
    light: list[Tone | None]
    tiles: tuple[Window, ...]
    block: Block
    surface: Path
    grid: Grid
    folder: Path

    @staticmethod
    def of(
        block: Block, surface: Path, grid: Grid, folder: Path, progress: Progress = silent, *, confidence: Path | None = None
    ) -> Plan:
        """See `build` for the arguments and errors."""
        scene = _scene(block, surface, confidence, grid)
        windows = _footprints(block, scene)
        labels = mosaic.label(scene, windows)
        if not (labels != NOBODY).any():
            raise SurveyError("no photo shows the area: do its outline and the photos lie at the same place?")
        light = _light(block, scene, windows, progress)
        size = max(1, _TILE // scene.factor)
        shown = [tile for tile in scene.cells.tiles(size) if (labels[tile.slices] != NOBODY).any()]
        shown = [shown[k] for k in order.along_curve(np.array([(t.col, t.row) for t in shown], float))]
        return Plan(scene, labels, light, tuple(shown), block, surface, grid, _work(block, folder))

    def keep(self) -> None:
        """Write what was decided for those who paint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        workfiles.keep(self.folder / "plan", (self.scene, self.labels, self.light, self.tiles))

    @staticmethod
    def load(block: Block, surface: Path, grid: Grid, folder: Path) -> Plan | None:
        """The plan that was kept for this block, its large arrays mapped; None when there is none."""
        work = _work(block, folder)
        if not (work / "plan").exists():
            return None
        scene, labels, light, tiles = workfiles.load(work / "plan")
        return Plan(scene, labels, light, tiles, block, surface, grid, work)

    def picture(self, number: int) -> Path:
        """The file of a painted tile."""
        return self.folder / f"tile_{number}.npz"

    def window(self, tile: Window) -> Window:
        """A tile on the area's grid."""
        return _fine(tile, self.scene.factor, self.grid)


def paint(plan: Plan, numbers: range, progress: Progress = silent) -> None:
    """Some of the tiles, each as a file; those there already are not made again."""
    left = [n for n in numbers if not plan.picture(n).exists()]
    for number, pixels, known in _rendered(plan, left, onward(progress, len(numbers) - len(left))):
        with workfiles.placed(plan.picture(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, pixels=pixels, known=known)


def painted(plan: Plan) -> Iterator[tuple[int, Pixels, Mask]]:
    """All tiles that `paint` has made, in their order, for `finish`."""
    for number in range(len(plan.tiles)):
        with np.load(plan.picture(number)) as arrays:
            yield number, arrays["pixels"], arrays["known"]


def finish(
    plan: Plan, folder: Path, made: Iterable[tuple[int, Pixels, Mask]], *, compression: raster.Compression = "jpeg"
) -> OrthoFiles:
    """All tiles to the orthophoto, and the files beside it; the work files are let go."""
    files = OrthoFiles.of(folder)
    _write_sides(plan.scene, plan.labels, plan.grid, files)
    tiles = ((plan.window(plan.tiles[number]), pixels, known) for number, pixels, known in made)
    raster.write_cog(files.ortho, plan.grid, tiles, compression=compression)
    shutil.rmtree(plan.folder, ignore_errors=True)
    return files


def _work(block: Block, folder: Path) -> Path:
    return folder / f"ortho-{block.key}"


def _fine(tile: Window, k: int, grid: Grid) -> Window:
    """A window of label cells on the area's grid."""
    row, col = tile.row * k, tile.col * k
    return Window(row, col, min(tile.rows * k, grid.rows - row), min(tile.cols * k, grid.cols - col))


def _scene(block: Block, surface: Path, confidence: Path | None, grid: Grid) -> Scene:
    """The surface on label cells, without gaps, and the photos as projectors."""
    cell = max(_LABEL_M, math.sqrt(grid.rows * grid.cols / _LABEL_CELLS) * grid.gsd_m)
    k = max(1, round(cell / grid.gsd_m))
    cells = Grid(grid.frame, grid.gsd_m * k, grid.west_m, grid.north_m, -(-grid.rows // k), -(-grid.cols // k))
    heights = np.full(cells.shape, np.nan, np.float32)
    guessed = np.zeros(cells.shape, bool)
    with ExitStack() as files:
        measured = files.enter_context(raster.reading(surface))
        trusted = files.enter_context(raster.reading(confidence)) if confidence is not None else None
        for tile in cells.tiles(max(64, _TILE // k)):
            fine = _fine(tile, k, grid)
            piece = measured.window(fine)[k // 2 :: k, k // 2 :: k] - np.float32(block.offset_m[2])
            at = slice(tile.row, tile.row + piece.shape[0]), slice(tile.col, tile.col + piece.shape[1])
            heights[at] = piece
            if trusted is not None:
                sure = trusted.window(fine)[k // 2 :: k, k // 2 :: k]
                guessed[at] = (sure == 0) | (sure > 100)
    known = np.isfinite(heights)
    projectors = tuple(block.projector(i) for i in range(len(block.views)))
    whole = mosaic.without_gaps(heights)
    soft, softness = mosaic.softened(whole, guessed | ~known, cells.gsd_m)
    whole += softness * (soft - whole)
    return Scene(cells, k, whole, soft, softness, mosaic.believed(known, cells.gsd_m), projectors, block.offset_m)


def _footprints(block: Block, scene: Scene) -> list[Window | None]:
    """The label cells each view may paint; None for views that look elsewhere or at the horizon."""
    low = float(np.percentile(scene.heights_m, 1)) + block.offset_m[2]
    windows: list[Window | None] = []
    for i in range(len(block.views)):
        outline = footprint(block, i, low)
        west, south, east, north = outline.bounds if outline is not None else (0.0, 0.0, 0.0, 0.0)
        gw, gs, ge, gn = scene.cells.bounds_m
        apart = outline is None or west >= ge or east <= gw or south >= gn or north <= gs
        windows.append(None if apart else scene.cells.window((west, south, east, north)))
    return windows


def _light(block: Block, scene: Scene, windows: list[Window | None], progress: Progress) -> list[Tone | None]:
    """The tone of every view, from its thumbnail over the ground."""
    step = max(1, round(_TONE_M / scene.cells.gsd_m))
    west, north = scene.corner
    cell = scene.cells.gsd_m * step
    shape = (-(-scene.cells.rows // step), -(-scene.cells.cols // step))
    heights = scene.heights_m[step // 2 :: step, step // 2 :: step]
    heights = cv2.copyMakeBorder(heights, 0, shape[0] - heights.shape[0], 0, shape[1] - heights.shape[1], cv2.BORDER_REPLICATE)
    middle = float(np.median(heights))
    thumbnails: list[Thumbnail | None] = []
    for i, window in enumerate(windows):
        progress(i, len(windows), "ortho: light")
        if window is None:
            thumbnails.append(None)
            continue
        r0, c0 = window.row // step, window.col // step
        r1, c1 = min(shape[0], -(-(window.row + window.rows) // step)), min(shape[1], -(-(window.col + window.cols) // step))
        part = Window(r0, c0, r1 - r0, c1 - c0)
        x, y = Grid(scene.cells.frame, cell, west, north, *shape).centres(part)
        view, projector = block.views[i], scene.projectors[i]
        small = read_pixels(view.path, reduce=8 if projector.numbers[19] >= 1600 else 2)
        # Smoothed to the width of a tone cell, so that what lies between two cells' centres counts too.
        width = cell / max(1e-6, float(projector.centre[2]) - middle) * projector.numbers[12]
        factor = small.shape[1] / projector.numbers[19]
        small = cv2.blur(small, (max(1, round(width * factor)),) * 2)
        map_x, map_y = projector.scaled(factor).over(x, y, heights[part.slices])
        seen = (map_x > 2) & (map_y > 2) & (map_x < small.shape[1] - 3) & (map_y < small.shape[0] - 3)
        colours = cv2.remap(small, map_x, map_y, cv2.INTER_LINEAR).astype(np.float32)
        u, v = map_x / small.shape[1] * 2 - 1, map_y / small.shape[0] * 2 - 1
        central = np.clip(1 - u * u, 0, 1) * np.clip(1 - v * v, 0, 1)
        thumbnails.append(Thumbnail(part, colours, seen, np.where(seen, central**2 + 1e-4, 0).astype(np.float32)))
    return tones(thumbnails, shape)


class _Photos:
    """Decoded photos, the least lately used forgotten first."""

    def __init__(self, block: Block, gsd_m: float) -> None:
        self._block = block
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        ratio = gsd_m / native_gsd_m(block)
        self._reduce = next((r for r in (8, 4, 2) if ratio >= 0.9 * r), 1)

    def __getitem__(self, index: int) -> Pixels:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        pixels = read_pixels(self._block.views[index].path, reduce=self._reduce)
        room = _PHOTO_BYTES - pixels.nbytes
        while self._kept and sum(p.nbytes for p in self._kept.values()) > room:
            self._kept.popitem(last=False)
        self._kept[index] = pixels
        return pixels


def _rendered(plan: Plan, numbers: Sequence[int], progress: Progress) -> Iterator[tuple[int, Pixels, Mask]]:
    photos = _Photos(plan.block, plan.grid.gsd_m)
    with raster.reading(plan.surface) as surface:
        for done, number in enumerate(numbers):
            tile = plan.tiles[number]
            fine = plan.window(tile)
            known = _upsampled(plan.labels[tile.slices] != NOBODY, plan.scene.factor, fine)
            yield number, _paint(plan.scene, plan.labels, plan.light, photos, surface, plan.grid, tile, fine), known
            progress(done + 1, len(numbers), "ortho: tiles")


def _upsampled(layer: NDArray[Any], k: int, fine: Window) -> NDArray[Any]:
    return layer.repeat(k, axis=0).repeat(k, axis=1)[: fine.rows, : fine.cols]


def _paint(
    scene: Scene,
    labels: Labels,
    light: list[Tone | None],
    photos: _Photos,
    surface: raster.Reader,
    grid: Grid,
    tile: Window,
    fine: Window,
) -> Pixels:
    """RGB of one tile."""
    k = scene.factor
    heights = _heights(scene, surface, tile, fine)
    x, y = grid.centres(fine)
    x, y = x - scene.offset_m[0], y - scene.offset_m[1]
    total = np.zeros((fine.rows, fine.cols, 3), np.float32)
    weight = np.zeros((fine.rows, fine.cols), np.float32)
    for view, share in mosaic.weights(scene, labels, tile).items():
        rows, cols = np.flatnonzero(share.any(axis=1)), np.flatnonzero(share.any(axis=0))
        r0, r1, c0, c1 = max(0, rows[0] - 1), min(tile.rows, rows[-1] + 2), max(0, cols[0] - 1), min(tile.cols, cols[-1] + 2)
        at = slice(r0 * k, min(r1 * k, fine.rows)), slice(c0 * k, min(c1 * k, fine.cols))
        w = cv2.resize(share[r0:r1, c0:c1], ((c1 - c0) * k, (r1 - r0) * k), interpolation=cv2.INTER_LINEAR)
        w = np.ascontiguousarray(w[: at[0].stop - at[0].start, : at[1].stop - at[1].start])
        picture, projector = photos[view], scene.projectors[view]
        map_x, map_y = projector.scaled(picture.shape[1] / projector.numbers[19]).over(x[at[1]], y[at[0]], heights[at])
        pixels = cv2.remap(picture, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        tone = light[view]
        assert tone is not None
        _add(total[at], weight[at], pixels, w, tone.gain, tone.field, *_tone_cell(tone, scene, fine, at))
    return _finished(total, weight)


def _heights(scene: Scene, surface: raster.Reader, tile: Window, fine: Window) -> Metres:
    """The surface of a tile on the orthophoto's cells; where it is unknown or guessed, smoothed."""
    k = scene.factor
    heights: Metres = surface.window(fine) - np.float32(scene.offset_m[2])
    size = (tile.cols * k, tile.rows * k)
    softness = cv2.resize(scene.softness[tile.slices], size, interpolation=cv2.INTER_LINEAR)[: fine.rows, : fine.cols]
    soft = cv2.resize(scene.soft_m[tile.slices], size, interpolation=cv2.INTER_LINEAR)[: fine.rows, : fine.cols]
    unknown = ~np.isfinite(heights)
    heights[unknown] = soft[unknown]
    heights += softness * (soft - heights)
    return heights


def _tone_cell(tone: Tone, scene: Scene, fine: Window, at: tuple[slice, slice]) -> tuple[int, float, float]:
    """Orthophoto cells per cell of a tone's field, and the field's row and column at the first cell of a part of a tile."""
    step = max(1, round(_TONE_M / scene.cells.gsd_m)) * scene.factor
    row, col = fine.row + at[0].start, fine.col + at[1].start
    return step, (row + 0.5) / step - 0.5 - tone.window.row, (col + 0.5) / step - 0.5 - tone.window.col


@njit(cache=True)
def _add(
    total: Metres,
    weight: Metres,
    pixels: Pixels,
    share: Metres,
    gain: Metres,
    field: Metres,
    step: int,
    first_row: float,
    first_col: float,
) -> None:
    """Add a photo's pixels in its tone: times `gain` `(3,)`, and the `field` `(n, m, 3)`, linear between its cells and level beyond."""
    rows, cols = field.shape[:2]
    line = np.empty((cols, 3), np.float32)
    for i in range(share.shape[0]):
        v = min(max(first_row + i / step, 0.0), rows - 1.0)
        r = min(int(v), max(0, rows - 2))
        s = min(r + 1, rows - 1)
        down = np.float32(v - r)
        for k in range(cols):
            for b in range(3):
                line[k, b] = field[r, k, b] + down * (field[s, k, b] - field[r, k, b])
        for j in range(share.shape[1]):
            w = share[i, j]
            if w > 0:
                u = min(max(first_col + j / step, 0.0), cols - 1.0)
                c = min(int(u), max(0, cols - 2))
                d = min(c + 1, cols - 1)
                right = np.float32(u - c)
                weight[i, j] += w
                for b in range(3):
                    light = line[c, b] + right * (line[d, b] - line[c, b])
                    total[i, j, b] += w * (pixels[i, j, b] * gain[b] + light)


@njit(cache=True)
def _finished(total: Metres, weight: Metres) -> Pixels:
    out = np.zeros(total.shape, np.uint8)
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            if weight[i, j] > 0:
                share = np.float32(1.0) / weight[i, j]
                for b in range(3):
                    value = total[i, j, b] * share
                    if value > _SHOULDER:
                        # one light over all photos lifts some of them over white: bright roofs keep their texture
                        value = _SHOULDER + (255.0 - _SHOULDER) * (1.0 - math.exp((_SHOULDER - value) / (255.0 - _SHOULDER)))
                    out[i, j, b] = int(min(255.0, max(0.0, value + 0.5)))
    return out


def _write_sides(scene: Scene, labels: Labels, grid: Grid, files: OrthoFiles) -> None:
    """Who painted each cell, and how steeply it looked."""
    k = scene.factor
    layers = (
        (files.off_nadir, mosaic.off_nadir(scene, labels), "uint8", NO_ANGLE),
        (files.source, labels.astype(np.uint16), "uint16", NO_SOURCE),
    )
    for path, layer, dtype, nodata in layers:
        with raster.written(path, grid, dtype, nodata=nodata) as out:
            for tile in scene.cells.tiles(max(1, _TILE // k)):
                fine = _fine(tile, k, grid)
                out.write(fine, _upsampled(layer[tile.slices], k, fine))
