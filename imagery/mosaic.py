"""Which photo paints which ground: the one that looks down most steeply and truly sees it.

Works on label cells, a few orthophoto cells wide; heights are metres minus the block's offset, photos are numbered as the block's views.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from geo.frames import Floats
from geo.grid import Grid, Window
from imagery.projection import Projector, pixel
from imagery.stereo import Metres

Labels = NDArray[np.int16]
Mask = NDArray[np.bool_]

NOBODY = -1
_BORDER = 0.015  # share of the picture's width kept away from its edge, where lenses are worst
_CLEARANCE_M = 0.35  # a line of sight this far below the surface is blocked: less is the surface's own noise
_TIGHTEN = 3  # rounds of the majority filter


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What the photos look at: heights `(rows, cols)` without gaps on label cells, where they are believed, and the photos.

    `factor` orthophoto cells make one label cell. `soft_m` are the heights smoothed, and `softness` `(rows, cols)` 0..1 how much
    they are to be used instead: where heights were guessed, a wrong step smears the picture worse than a wrong slope.
    """

    cells: Grid
    factor: int
    heights_m: Metres
    soft_m: Metres
    softness: Metres
    believed: Mask
    projectors: tuple[Projector, ...]
    offset_m: tuple[float, float, float]

    @property
    def corner(self) -> tuple[float, float]:
        """West and north of the cells, minus the offset."""
        return self.cells.west_m - self.offset_m[0], self.cells.north_m - self.offset_m[1]

    @property
    def numbers(self) -> Floats:
        """All projectors as one array, a row a view."""
        return np.stack([p.numbers for p in self.projectors])


def label(scene: Scene, windows: Sequence[Window | None]) -> Labels:
    """For every label cell the number of the view that paints it, `NOBODY` where none can; `windows` are the views' footprints.

    A view that sees a cell past an obstacle gives way to the next best; where all are blocked the steepest paints it nonetheless,
    so that there is no hole.
    """
    labels = np.full(scene.cells.shape, NOBODY, np.int16)
    numbers = scene.numbers
    west, north = scene.corner
    top = _local_top(scene.heights_m, scene.cells.gsd_m)
    for tile in scene.cells.tiles(128):
        near = np.array([i for i, w in enumerate(windows) if w is not None and _touch(w, tile)], np.int64)
        if len(near):
            _label_tile(
                labels,
                numbers,
                near,
                scene.heights_m,
                top,
                west,
                north,
                scene.cells.gsd_m,
                tile.row,
                tile.col,
                tile.rows,
                tile.cols,
            )
    labels[~scene.believed] = NOBODY
    for _ in range(_TIGHTEN):
        labels = _tightened(labels, numbers, scene.heights_m, top, west, north, scene.cells.gsd_m)
    return labels


def weights(scene: Scene, labels: Labels, part: Window) -> dict[int, Metres]:
    """How much each view gives to the label cells of a window, `(rows, cols)` float32, summing to 1 where anybody paints.

    Seams are feathered over about two cells, but only into ground the view truly sees: a roof must not shine through its own shadow.
    """
    wide = part.grown(2, scene.cells)
    here = labels[wide.slices]
    west, north = scene.corner
    top = _local_top(scene.heights_m[wide.slices], scene.cells.gsd_m)
    inner = (
        slice(part.row - wide.row, part.row - wide.row + part.rows),
        slice(part.col - wide.col, part.col - wide.col + part.cols),
    )
    shares: dict[int, Metres] = {}
    total = np.zeros(here.shape, np.float32)
    for view in np.unique(here[here != NOBODY]):
        own = (here == view).astype(np.float32)
        share = cv2.blur(own, (3, 3), borderType=cv2.BORDER_REPLICATE)
        _only_seen(
            share,
            own,
            scene.projectors[view].numbers,
            scene.heights_m,
            float(top.max()),
            west,
            north,
            scene.cells.gsd_m,
            wide.row,
            wide.col,
        )
        share[here == NOBODY] = 0
        shares[int(view)] = share
        total += share
    total[total <= 0] = 1
    return {view: share[inner] / total[inner] for view, share in shares.items() if share[inner].any()}


def off_nadir(scene: Scene, labels: Labels) -> NDArray[np.uint8]:
    """Whole degrees between the line of sight and straight down, 255 where nobody paints."""
    west, north = scene.corner
    return _off_nadir(labels, scene.numbers, scene.heights_m, west, north, scene.cells.gsd_m)


def seen_share(projector: Projector, heights: Metres, corner: tuple[float, float], cell_m: float, points: Floats) -> float:
    """Share of places `(n, 3)` (metres minus offset) with a free line to the camera; `heights` lie on cells from `corner` on."""
    top = float(heights.max())
    free = [_free(projector.numbers, heights, top, *corner, cell_m, *place) for place in points.tolist()]
    return float(np.mean(free))


def without_gaps(heights: Metres) -> Metres:
    """Every unknown height from the known ones around it, the wider the gap the smoother."""
    known = np.isfinite(heights)
    if not known.any():
        return np.zeros_like(heights)
    levels = [(np.where(known, heights, 0).astype(np.float32), known.astype(np.float32))]
    while min(levels[-1][0].shape) > 2:
        value, weight = levels[-1]
        size = (-(-value.shape[1] // 2), -(-value.shape[0] // 2))
        w = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        v = cv2.resize(value * weight, size, interpolation=cv2.INTER_AREA) / np.maximum(w, 1e-6)
        levels.append((v, np.minimum(1, w * 4)))
    value, weight = levels[-1]
    below = np.where(weight > 0, value, float(np.median(heights[known]))).astype(np.float32)
    for value, weight in reversed(levels[:-1]):
        up = cv2.resize(below, (value.shape[1], value.shape[0]), interpolation=cv2.INTER_LINEAR)
        below = value * weight + up * (1 - weight)
    return np.where(known, heights, below).astype(np.float32)


def softened(heights: Metres, guessed: Mask, cell_m: float) -> tuple[Metres, Metres]:
    """Heights smoothed over about 3 m, and where (0..1) to use them: on guessed ground wider than about a metre."""
    reach = max(1, round(0.6 / cell_m))
    wide = cv2.morphologyEx(guessed.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2 * reach + 1,) * 2, np.uint8))
    soft = cv2.GaussianBlur(cv2.medianBlur(heights, 5), (0, 0), 3.0 / cell_m)
    return soft, cv2.GaussianBlur(wide.astype(np.float32), (0, 0), 0.5 / cell_m)


def believed(known: Mask, cell_m: float, reach_m: float = 8.0) -> Mask:
    """Ground worth painting: known, near the known, or enclosed by it."""
    near = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3) * cell_m <= reach_m if known.any() else known
    filled: Mask = ndimage.binary_fill_holes(near)
    return filled


def _touch(a: Window, b: Window) -> bool:
    return a.row < b.row + b.rows and b.row < a.row + a.rows and a.col < b.col + b.cols and b.col < a.col + a.cols


def _local_top(heights: Metres, cell_m: float) -> Metres:
    """Highest surface within about 25 m: a line of sight above it is free."""
    size = 2 * math.ceil(25.0 / cell_m) + 1
    small = max(1, size // 16)
    reduced = cv2.dilate(heights, np.ones((small, small), np.uint8))[::small, ::small]
    reduced = cv2.dilate(reduced, np.ones((19, 19), np.uint8))
    rows, cols = heights.shape
    top: Metres = reduced.repeat(small, axis=0).repeat(small, axis=1)[:rows, :cols]
    return top


@njit(cache=True)
def _free(n: Floats, heights: Metres, top: float, west: float, north: float, cell: float, x: float, y: float, z: float) -> bool:
    """Whether the line from a place to the camera stays above the surface."""
    dx, dy, dz = n[9] - x, n[10] - y, n[11] - z
    length = math.sqrt(dx * dx + dy * dy)
    if length < cell or dz <= 0:
        return dz > 0
    rise = dz / length * cell
    sx, sy = dx / length * cell, dy / length * cell
    steps = int(min((top - z) / rise, length / cell)) + 1
    for s in range(2, steps + 1):
        col, row = int((x + s * sx - west) / cell), int((north - y - s * sy) / cell)
        if row < 0 or col < 0 or row >= heights.shape[0] or col >= heights.shape[1]:
            return True
        if heights[row, col] > z + s * rise + _CLEARANCE_M:
            return False
    return True


@njit(cache=True)
def _steepness(n: Floats, x: float, y: float, z: float) -> float:
    """tan² of the angle from straight down, or -1 when the picture does not show the place."""
    u, v, _ = pixel(n, x, y, z)
    edge = _BORDER * n[19]
    if u < edge or v < edge or u > n[19] - edge or v > n[20] - edge:
        return -1.0
    return ((x - n[9]) ** 2 + (y - n[10]) ** 2) / max(1e-6, (n[11] - z) ** 2)


@njit(cache=True)
def _label_tile(
    labels: Labels,
    numbers: Floats,
    near: NDArray[np.int64],
    heights: Metres,
    top: Metres,
    west: float,
    north: float,
    cell: float,
    row0: int,
    col0: int,
    rows: int,
    cols: int,
) -> None:
    slopes = np.empty(len(near))
    for row in range(row0, row0 + rows):
        y = north - (row + 0.5) * cell
        for col in range(col0, col0 + cols):
            x = west + (col + 0.5) * cell
            z = heights[row, col]
            first = -1
            for k in range(len(near)):
                slopes[k] = _steepness(numbers[near[k]], x, y, z)
            while True:
                best = -1
                for k in range(len(near)):
                    if slopes[k] >= 0 and (best < 0 or slopes[k] < slopes[best]):
                        best = k
                if best < 0:
                    break
                if first < 0:
                    first = near[best]
                if _free(numbers[near[best]], heights, top[row, col], west, north, cell, x, y, z):
                    first = near[best]
                    break
                slopes[best] = -1.0
            labels[row, col] = first


@njit(cache=True)
def _tightened(labels: Labels, numbers: Floats, heights: Metres, top: Metres, west: float, north: float, cell: float) -> Labels:
    """Lone cells join the majority of the 5 x 5 around them, if its view sees them."""
    rows, cols = labels.shape
    out = labels.copy()
    names = np.empty(25, np.int16)
    votes = np.empty(25, np.int64)
    for row in range(rows):
        for col in range(cols):
            own = labels[row, col]
            if own == NOBODY:
                continue
            found = 0
            for a in range(max(0, row - 2), min(rows, row + 3)):
                for b in range(max(0, col - 2), min(cols, col + 3)):
                    name = labels[a, b]
                    if name == NOBODY:
                        continue
                    k = 0
                    while k < found and names[k] != name:
                        k += 1
                    if k == found:
                        names[found] = name
                        votes[found] = 0
                        found += 1
                    votes[k] += 1
            best = 0
            mine = 0
            for k in range(found):
                if votes[k] > votes[best]:
                    best = k
                if names[k] == own:
                    mine = votes[k]
            if names[best] == own or votes[best] <= mine + 2:
                continue
            n = numbers[names[best]]
            x, y, z = west + (col + 0.5) * cell, north - (row + 0.5) * cell, heights[row, col]
            if _steepness(n, x, y, z) >= 0 and _free(n, heights, top[row, col], west, north, cell, x, y, z):
                out[row, col] = names[best]
    return out


@njit(cache=True)
def _only_seen(
    share: Metres,
    own: Metres,
    n: Floats,
    heights: Metres,
    top: float,
    west: float,
    north: float,
    cell: float,
    row0: int,
    col0: int,
) -> None:
    """Take back what a feather lends to cells the view does not see."""
    for i in range(share.shape[0]):
        for j in range(share.shape[1]):
            if share[i, j] > 0 and own[i, j] == 0:
                row, col = row0 + i, col0 + j
                x, y, z = west + (col + 0.5) * cell, north - (row + 0.5) * cell, heights[row, col]
                if _steepness(n, x, y, z) < 0 or not _free(n, heights, top, west, north, cell, x, y, z):
                    share[i, j] = 0


@njit(cache=True)
def _off_nadir(labels: Labels, numbers: Floats, heights: Metres, west: float, north: float, cell: float) -> NDArray[np.uint8]:
    out = np.full(labels.shape, 255, np.uint8)
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            if labels[row, col] != NOBODY:
                n = numbers[labels[row, col]]
                dx, dy = west + (col + 0.5) * cell - n[9], north - (row + 0.5) * cell - n[10]
                angle = math.degrees(math.atan2(math.sqrt(dx * dx + dy * dy), n[11] - heights[row, col]))
                out[row, col] = int(min(90.0, angle + 0.5))
    return out
