"""Where an orthophoto may show something else than what stands in its cell, and how certain each of its cells is.

A slanting view shows the wall instead of the ground at its foot. The mosaic avoids that as far as the surface is right; but edges of a
surface are only good to a few decimetres, and some ground is seen by no photo at all. Both are said here, cell by cell, so that a
comparison of two surveys does not take another lean for a change.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from shapely.geometry import Polygon, box

from geo.frames import Floats
from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import mosaic, raster
from imagery.orthorectify import NO_SOURCE
from imagery.pairs import footprint
from imagery.projection import Projector, pixel
from imagery.reconstruct import Block

Bytes = NDArray[np.uint8]
Metres = NDArray[np.float32]
Ints = NDArray[np.int64]

LEAN, HIDDEN, BRIDGED = 1, 2, 4
"""Bits of a flag: a wall or roof may show here; no photo sees the place; its height was bridged, not measured."""

UNKNOWN = 255
CELL_M = 0.13
"""Flags are decided on cells about this wide: edges of surfaces are no better."""

_TILE = 512
_REACH_M = 30.0  # what stands further away hides nothing under a usable angle
_EDGE_M = 0.15  # how far an edge of the surface may be wrong
_CLEARANCE_M = 0.35  # a line of sight so far below the surface is blocked: less is the surface's own noise
_STEP_M = 1.0  # a height difference that is an edge
_SHIFT_CELLS = 4.0  # ortho cells by which such an edge must displace the picture to matter
_BORDER = 0.015  # share of the picture's width that the mosaic keeps away from its edge
_ENOUGH = 8  # views counted at most


@dataclass(frozen=True, slots=True)
class FlagFiles:
    """Two rasters on the area's grid: `flags` uint8 bits (`LEAN`, `HIDDEN`, `BRIDGED`), 0 where all is well, 255 unknown; `certainty` uint8 0..100 per cent, 255 unknown.

    Certainty is `100 cos(a) N / (N + 1) (1 + 3 s) / 4`: `a` the angle of the painting view off straight down, `N` how many views
    see the cell freely (8 at most), `s` the surface's own confidence 0..1 (0 where bridged). Half of that where `LEAN` is set, 0 where
    `HIDDEN` is. A roof straight under one of four photos over a sure surface has 80 %; ground 30 degrees aside over a
    bridged one 17 %.
    """  # fmt: skip

    flags: Path
    certainty: Path

    @staticmethod
    def of(folder: Path) -> FlagFiles:
        """The names of a folder's flag files."""
        return FlagFiles(folder / "flags.tif", folder / "certainty.tif")

    @property
    def whole(self) -> bool:
        """Whether both are there."""
        return self.flags.exists() and self.certainty.exists()


@dataclass(frozen=True, slots=True)
class Layers:
    """The rasters that flags are decided from; see `surface.SurfaceFiles` and `orthorectify.OrthoFiles`."""

    surface: Path
    confidence: Path
    filled: Path
    source: Path


def build(block: Block, layers: Layers, grid: Grid, folder: Path, progress: Progress = silent) -> FlagFiles:
    """The flags of an orthophoto that `block` painted, written into `folder`; finished files are taken as they are.

    Raises SurveyError when a raster cannot be read or written.
    """
    files = FlagFiles.of(folder)
    if files.whole:
        return files
    k = max(1, round(CELL_M / grid.gsd_m))
    cells = Grid(grid.frame, grid.gsd_m * k, grid.west_m, grid.north_m, -(-grid.rows // k), -(-grid.cols // k))
    projectors = [block.projector(i) for i in range(len(block.views))]
    ground = float(np.median(block.points[:, 2])) if len(block.points) else block.offset_m[2]
    outlines = [footprint(block, i, ground) for i in range(len(block.views))]
    tiles = list(cells.tiles(max(1, _TILE // k)))
    margin = math.ceil(_REACH_M / cells.gsd_m)
    with ExitStack() as stack:
        surface, confidence, filled, source = (
            stack.enter_context(raster.reading(p)) for p in (layers.surface, layers.confidence, layers.filled, layers.source)
        )
        flags = stack.enter_context(raster.written(files.flags, grid, "uint8", nodata=UNKNOWN))
        certainty = stack.enter_context(raster.written(files.certainty, grid, "uint8", nodata=UNKNOWN))
        heights = stack.enter_context(_heights(surface, tiles, cells, grid, folder))
        for done, tile in enumerate(tiles):
            wide, fine = tile.grown(margin, cells), _finer(tile, k, grid)
            z = heights[wide.slices] - np.float32(block.offset_m[2])
            views = _thinned(source.window(fine), k, tile.rows, tile.cols)
            sure = confidence.window(fine)
            near = _near(outlines, cells.part(tile))
            bits, angle, seen = _judged(z, views, tile, wide, cells, projectors, near, block.offset_m, grid.gsd_m)
            at = slice(0, fine.rows), slice(0, fine.cols)
            bits, seen = (layer.repeat(k, axis=0).repeat(k, axis=1)[at] for layer in (bits, seen))
            angle = angle.repeat(k, axis=0).repeat(k, axis=1)[at]
            bits[filled.window(fine) == 1] |= BRIDGED
            bits[~np.isfinite(angle)] = UNKNOWN
            certainty.write(fine, _certainty(bits, angle, seen, sure))
            flags.write(fine, bits)
            progress(done + 1, len(tiles), "ortho: flags")
    return files


@contextmanager
def _heights(surface: raster.Reader, tiles: Sequence[Window], cells: Grid, grid: Grid, folder: Path) -> Iterator[Metres]:
    """The surface at the middle of every cell, on disk: each tile looks thirty metres beyond its own, and reads nothing twice."""
    k = round(cells.gsd_m / grid.gsd_m)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".flags-", suffix=".part") as file:
        heights = np.memmap(file, np.float32, "w+", shape=cells.shape)
        for tile in tiles:
            heights[tile.slices] = _thinned(surface.window(_finer(tile, k, grid)), k, tile.rows, tile.cols)
        yield heights


def _finer(tile: Window, k: int, grid: Grid) -> Window:
    row, col = tile.row * k, tile.col * k
    return Window(row, col, min(tile.rows * k, grid.rows - row), min(tile.cols * k, grid.cols - col))


def _near(outlines: Sequence[Polygon | None], part: Grid) -> Ints:
    """Numbers of the views that may see a part of the grid."""
    place = box(*part.bounds_m)
    return np.array([i for i, o in enumerate(outlines) if o is not None and place.intersects(o)], np.int64)


def _certainty(bits: Bytes, angle: Metres, seen: Bytes, sure: Bytes) -> Bytes:
    """See `FlagFiles`."""
    own = np.where(sure > 100, 0, sure).astype(np.float32) / 100
    n = seen.astype(np.float32)
    value = 100 * np.cos(angle) * n / (n + 1) * (1 + 3 * own) / 4
    value[(bits & LEAN) > 0] *= 0.5
    value[(bits & HIDDEN) > 0] = 0
    out: Bytes = (np.nan_to_num(value) + 0.5).astype(np.uint8)
    out[~np.isfinite(angle)] = UNKNOWN
    return out


def _judged(
    z: Metres,
    views: NDArray[np.uint16],
    tile: Window,
    wide: Window,
    cells: Grid,
    projectors: Sequence[Projector],
    near: Ints,
    offset_m: tuple[float, float, float],
    gsd_m: float,
) -> tuple[Bytes, Metres, Bytes]:
    """Bits, angle off straight down in radians (NaN where nobody paints) and free views of one tile's cells."""
    middle = mosaic.without_gaps(z)
    reach = max(1, round(_EDGE_M / cells.gsd_m))
    square = np.ones((2 * reach + 1,) * 2, np.uint8)
    high, low = cv2.dilate(middle, square), cv2.erode(middle, square)
    west, north = cells.west_m - offset_m[0], cells.north_m - offset_m[1]
    shape = (tile.rows, tile.cols)
    bits, seen, angle = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.full(shape, np.nan, np.float32)
    if len(near):
        numbers = np.stack([p.numbers for p in projectors])
        _judge(
            bits, angle, seen, views, numbers, near, middle, high, low, float(high.max()), west + wide.col * cells.gsd_m,
            north - wide.row * cells.gsd_m, cells.gsd_m, tile.row - wide.row, tile.col - wide.col, reach, _SHIFT_CELLS * gsd_m,
        )  # fmt: skip
    return bits, angle, seen


def _thinned(values: NDArray[Any], k: int, rows: int, cols: int) -> NDArray[Any]:
    """The middle one of every `k` x `k` cells; the last where the grid ends before the middle."""
    at_rows = np.minimum(np.arange(rows) * k + k // 2, values.shape[0] - 1)
    at_cols = np.minimum(np.arange(cols) * k + k // 2, values.shape[1] - 1)
    return values[np.ix_(at_rows, at_cols)]


@njit(cache=True)
def _judge(
    bits: Bytes,
    angle: Metres,
    seen: Bytes,
    views: NDArray[np.uint16],
    numbers: Floats,
    near: Ints,
    middle: Metres,
    high: Metres,
    low: Metres,
    top: float,
    west: float,
    north: float,
    cell: float,
    row0: int,
    col0: int,
    reach: int,
    least_shift: float,
) -> None:
    for i in range(bits.shape[0]):
        y = north - (row0 + i + 0.5) * cell
        for j in range(bits.shape[1]):
            own = views[i, j]
            if own == NO_SOURCE or own >= numbers.shape[0]:
                continue
            x = west + (col0 + j + 0.5) * cell
            z = middle[row0 + i, col0 + j]
            n = numbers[own]
            slope = math.sqrt((x - n[9]) ** 2 + (y - n[10]) ** 2) / max(1e-3, n[11] - z)
            angle[i, j] = math.atan(slope)
            step = max(high[row0 + i, col0 + j] - z, z - low[row0 + i, col0 + j])
            if (step > _STEP_M and step * slope > least_shift) or _blocked(n, high, top, west, north, cell, x, y, z, reach + 1):
                bits[i, j] |= LEAN
            count = 0
            for v in near:
                u, w, _ = pixel(numbers[v], x, y, z)
                edge = _BORDER * numbers[v, 19]
                if u < edge or w < edge or u > numbers[v, 19] - edge or w > numbers[v, 20] - edge:
                    continue
                if not _blocked(numbers[v], middle, top, west, north, cell, x, y, z, 2):
                    count += 1
                    if count == _ENOUGH:
                        break
            seen[i, j] = count
            if count == 0:
                bits[i, j] |= HIDDEN


@njit(cache=True)
def _blocked(
    n: Floats, heights: Metres, top: float, west: float, north: float, cell: float, x: float, y: float, z: float, first: int
) -> bool:
    """Whether the line from a place to a camera runs under the surface, asked from `first` cells on."""
    dx, dy, dz = n[9] - x, n[10] - y, n[11] - z
    length = math.sqrt(dx * dx + dy * dy)
    if length < cell or dz <= 0:
        return dz <= 0
    rise = dz / length * cell
    sx, sy = dx / length * cell, dy / length * cell
    for s in range(first, int(min((top - z) / rise, length / cell)) + 1):
        col, row = int((x + s * sx - west) / cell), int((north - y - s * sy) / cell)
        if row < 0 or col < 0 or row >= heights.shape[0] or col >= heights.shape[1]:
            return False
        if heights[row, col] > z + s * rise + _CLEARANCE_M:
            return True
    return False
