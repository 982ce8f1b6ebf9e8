"""Edges of a surface brought to where the photos show them: a height must look like its neighbours of that height.

Matching spreads a roof by a pixel or more over plain ground beside it. What the orthophoto shows there is ground all the same:
around every step each cell takes the height that most cells of its own colour have, the near and the sure ones first (a weighted
median after Ma et al. 2013, by histogram). Cells that look like nothing near them keep what was measured.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.frames import Floats
from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import raster
from imagery.reconstruct import Block
from imagery.stereo import Metres
from imagery.surface import UNKNOWN, SurfaceFiles

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_REACH_M = 0.6  # around a cell: a little more than matching spreads a roof
_NEAR_M = 0.4  # one standard deviation of nearness
_STEP_M = 0.8  # a lower step is no roof's edge
_MOVED_M = 0.4  # a cell that changes by less keeps its own height: slopes and ridges stay as measured
_ALIKE = 20.0  # one standard deviation of likeness, grey levels over all three bands together
_UNSURE = 5.0  # per cent: the least that a bridged cell's word counts
_ROUNDS = 2
_BINS = 24
_MOST_STEPS = 6  # cells looked at from the middle to the border; where cells are small, not every one is
_TILE = 1024
_CELL_M = 0.05  # no edge is better than this: on finer grids every second or third cell is asked
_SIGMA_M = 0.5  # of a height that was taken over from a neighbour


def rough_folder(block: Block, folder: Path) -> Path:
    """Where a survey's surface lies before its edges are sharpened, named after the block's poses."""
    return folder / f"rough-{block.key}"


def sharpen(rough: SurfaceFiles, ortho: Path, grid: Grid, folder: Path, progress: Progress = silent) -> SurfaceFiles:
    """The surface of `rough` with its edges where `ortho`, painted over it, shows them; finished files are taken as they are.

    Cells that took over another height count as bridged.
    """
    files = SurfaceFiles.of(folder)
    if files.whole:
        return files
    k = _every(grid.gsd_m)
    reach = k * _ROUNDS * math.ceil(_REACH_M / (k * grid.gsd_m))
    tiles = list(grid.tiles(_TILE // k * k))
    with ExitStack() as stack:
        old = [stack.enter_context(raster.reading(p)) for p in (rough.surface, rough.sigma, rough.confidence, rough.filled)]
        picture = stack.enter_context(raster.reading(ortho))
        surface, sigma = (
            stack.enter_context(raster.written(p, grid, "float32", nodata=math.nan)) for p in (files.surface, files.sigma)
        )
        confidence, filled = (
            stack.enter_context(raster.written(p, grid, "uint8", nodata=UNKNOWN)) for p in (files.confidence, files.filled)
        )
        for done, tile in enumerate(tiles):
            wide = tile.grown(reach, grid)
            at = Window(tile.row - wide.row, tile.col - wide.col, tile.rows, tile.cols).slices
            heights, spread, sure, bridged = (file.window(wide) for file in old)
            sharp = sharpened(heights, picture.window(wide), picture.mask(wide), sure, grid.gsd_m)
            with np.errstate(invalid="ignore"):
                moved = np.abs(sharp - heights) > _MOVED_M
            surface.write(tile, sharp[at])
            sigma.write(tile, np.where(moved, np.maximum(spread, np.float32(_SIGMA_M)), spread)[at])
            confidence.write(tile, np.where(moved, np.uint8(0), sure)[at])
            filled.write(tile, np.where(moved, np.uint8(1), bridged)[at])
            progress(done + 1, len(tiles), "surface: edges")
    return files


def sharpened(heights: Metres, colours: Bytes, shown: Mask, sure: Bytes, cell_m: float) -> Metres:
    """Heights `(rows, cols)`, NaN unknown, with their steps where `colours` `(rows, cols, 3)` have them; `sure` in per cent.

    Where the picture shows nothing (`shown` False) heights stay.
    """
    k = _every(cell_m)
    if k > 1:
        rows, cols = heights.shape
        at = np.ix_(*(np.minimum(np.arange(-(-n // k)) * k + k // 2, n - 1) for n in (rows, cols)))
        coarse = np.ascontiguousarray(heights[at])
        sharp = _sharpened(coarse, colours[at], shown[at], sure[at], k * cell_m)
        with np.errstate(invalid="ignore"):
            change = np.where(np.abs(sharp - coarse) > _MOVED_M, sharp, np.float32(np.nan))
        fine = change.repeat(k, axis=0).repeat(k, axis=1)[:rows, :cols]
        out: Metres = np.where(np.isnan(fine), heights, fine)
        return out
    return _sharpened(heights, colours, shown, sure, cell_m)


def _every(cell_m: float) -> int:
    return max(1, int(_CELL_M / cell_m))


def _sharpened(heights: Metres, colours: Bytes, shown: Mask, sure: Bytes, cell_m: float) -> Metres:
    reach = math.ceil(_REACH_M / cell_m)
    stride = max(1, -(-reach // _MOST_STEPS))
    weights = np.maximum(np.where(sure > 100, 0, sure), _UNSURE).astype(np.float32) / np.float32(100)
    size = np.ones((2 * reach + 1,) * 2, np.uint8)
    likeness = np.exp(-(np.arange(4 * _ALIKE**2 * 4) / (2 * _ALIKE**2)))
    out: Metres = heights
    for _ in range(_ROUNDS):
        known = np.isfinite(out)
        highest = np.asarray(cv2.dilate(np.where(known, out, np.float32(-1e9)), size), np.float32)
        lowest = np.asarray(cv2.erode(np.where(known, out, np.float32(1e9)), size), np.float32)
        at_step = known & shown & (highest - lowest > _STEP_M)
        out = _median(out, colours, weights, at_step, lowest, highest, likeness, reach, stride, _NEAR_M / cell_m)
    return out


@njit(cache=True, nogil=True)
def _median(
    heights: Metres,
    colours: Bytes,
    weights: Metres,
    asked: Mask,
    lowest: Metres,
    highest: Metres,
    likeness: Floats,
    reach: int,
    stride: int,
    near: float,
) -> Metres:
    """The weighted median around each asked cell: the bin of the histogram that holds it, and the mean of that bin."""
    rows, cols = heights.shape
    out = heights.copy()
    count = reach // stride
    closeness = np.empty((2 * count + 1, 2 * count + 1))
    for a in range(-count, count + 1):
        for b in range(-count, count + 1):
            d2 = (a * a + b * b) * stride * stride
            closeness[a + count, b + count] = math.exp(-d2 / (2 * near * near)) if d2 <= reach * reach else 0.0
    total = np.empty(_BINS)
    mean = np.empty(_BINS)
    for i in range(rows):
        for j in range(cols):
            if not asked[i, j]:
                continue
            total[:] = 0.0
            mean[:] = 0.0
            low = lowest[i, j]
            scale = (_BINS - 1e-3) / (highest[i, j] - low)
            red, green, blue = int(colours[i, j, 0]), int(colours[i, j, 1]), int(colours[i, j, 2])
            everything = 0.0
            for a in range(-count, count + 1):
                y = i + a * stride
                if y < 0 or y >= rows:
                    continue
                for b in range(-count, count + 1):
                    x = j + b * stride
                    if x < 0 or x >= cols or np.isnan(heights[y, x]):
                        continue
                    r, g, c = colours[y, x, 0] - red, colours[y, x, 1] - green, colours[y, x, 2] - blue
                    unlike = r * r + g * g + c * c
                    if unlike >= likeness.shape[0]:
                        continue
                    w = closeness[a + count, b + count] * weights[y, x] * likeness[unlike]
                    k = int((heights[y, x] - low) * scale)
                    total[k] += w
                    mean[k] += w * heights[y, x]
                    everything += w
            sum_ = 0.0
            for k in range(_BINS):
                sum_ += total[k]
                if sum_ >= 0.5 * everything and total[k] > 0:
                    z = mean[k] / total[k]
                    if abs(z - heights[i, j]) > _MOVED_M:
                        out[i, j] = z
                    break
    return out
