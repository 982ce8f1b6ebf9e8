"""Heights from one pair of photos: rectified, matched small, then fully, and laid as a patch on the surface's cells.

A patch is what one pair says of the heights of its ground. `surface` asks many patches and believes the majority.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.frames import Floats
from geo.grid import Grid, Window
from imagery.bend import Bend, bent
from imagery.projection import Projector

Grey = NDArray[np.uint8]
Metres = NDArray[np.float32]
Mask = NDArray[np.bool_]

_TILE = 320  # pixels that share one range of disparities
_TRUSTED_SHARE = 0.25
_TILE_EDGE = 24  # pixels matched beyond a tile, so that its border is as good as its middle
_DISPARITY_ERROR_PX = 0.35  # one standard deviation of a semi-global match on sharp photos


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Heights `(rows, cols)` float32 in metres (NaN unknown) on a window of the surface's grid, and their expected error."""

    window: Window
    heights_m: Metres
    sigma_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Rectified:
    """The common frame of a pair: world-to-frame rotation, focal length, where the left picture starts, and the disparity range."""

    rotation: Floats
    focal_px: float
    left_px: float
    top_px: float
    rows: int
    cols: int
    nearest_disparity: int  # disparity of column shift 0
    disparities: int
    base_m: float


def rectify(left: Projector, right: Projector, depths_m: tuple[float, float]) -> Rectified | None:
    """The frame in which the pair's rows match, for depths between the two; None when it would be too large or too small."""
    base = right.centre - left.centre
    length = float(np.linalg.norm(base))
    rotation = _common_rotation(left, right)
    focal = float((left.numbers[12] + right.numbers[12]) / 2)
    near, far = depths_m
    d_near, d_far = focal * length / near, focal * length / far
    nearest = math.floor(d_far)
    disparities = 16 * math.ceil((d_near - nearest + 1) / 16)
    box_l, box_r = _box(left, rotation, focal), _box(right, rotation, focal)
    x0, x1 = max(box_l[0], box_r[0] + d_far), min(box_l[1], box_r[1] + d_near)
    y0, y1 = max(box_l[2], box_r[2]), min(box_l[3], box_r[3])
    cols, rows = math.ceil(x1 - x0) + disparities, math.ceil(y1 - y0)
    sensor = float(left.numbers[19] * left.numbers[20])
    # OpenCV's matcher ends the process when the width does not exceed the range; oblique pairs ask for gigabytes.
    if cols <= disparities + 32 or rows < 32 or rows * cols > 4 * sensor or disparities > 1024:
        return None
    return Rectified(rotation, focal, x0 - disparities, y0, rows, cols, nearest, disparities, length)


def _common_rotation(left: Projector, right: Projector) -> Floats:
    base = right.centre - left.centre
    e1 = base / np.linalg.norm(base)
    axis = left.numbers[6:9] + right.numbers[6:9]
    e3 = axis - (axis @ e1) * e1
    e3 /= np.linalg.norm(e3)
    return np.array([e1, np.cross(e3, e1), e3])


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Disparities `(rows, cols)` of a pair in its rectified frame, NaN where none was found, counted from the frame's nearest."""

    frame: Rectified
    disparity: Metres


def scout(left: Projector, right: Projector, left_grey: Grey, right_grey: Grey, points: Floats, agl_m: float) -> Match | None:
    """The pair matched small, over a wide range of depths; None when it shares no sparse points `(n, 3)` or cannot be rectified.

    Sparse points miss trees and plain roofs. The small match costs a fiftieth, tells the fine one where to look, and sees canopies
    as a whole where single leaves match nothing.
    """
    depths = _depths_in_both(left, right, _common_rotation(left, right)[2], points)
    if len(depths) < 8:
        return None
    near, far = np.percentile(depths, [1, 99])
    k = 4 if max(left_grey.shape) >= 1200 else 2
    one, other = (cv2.resize(g, None, fx=1 / k, fy=1 / k, interpolation=cv2.INTER_AREA) for g in (left_grey, right_grey))
    small = left.scaled(1 / k), right.scaled(1 / k)
    frame = rectify(*small, (max(0.5 * near, near - 0.3 * agl_m), far + 0.1 * agl_m))
    if frame is None:
        return None
    pictures, known = _rectified(*small, one, other, frame)
    raw = _matched(*pictures, frame.disparities)
    cv2.filterSpeckles(raw, -16, 60, 24)
    return Match(frame, _checked(raw, *known))


def refine(left: Projector, right: Projector, left_grey: Grey, right_grey: Grey, coarse: Match) -> Match | None:
    """The pair matched at full size, tile by tile, each over the depths that the small match saw thereabouts."""
    seen = coarse.disparity[np.isfinite(coarse.disparity)]
    if len(seen) < 200:
        return None
    k = left.numbers[12] / coarse.frame.focal_px
    lowest, highest = np.percentile(seen, [0.5, 99.5]) + coarse.frame.nearest_disparity
    strength = left.numbers[12] * coarse.frame.base_m
    frame = rectify(left, right, (strength / (k * (highest + 2)), strength / max(1.0, k * (lowest - 2))))
    if frame is None:
        return None
    pictures, known = _rectified(left, right, left_grey, right_grey, frame)
    raw = np.full((frame.rows, frame.cols), -16, np.int16)
    for top in range(0, frame.rows, _TILE):
        for start in range(0, frame.cols, _TILE):
            _refine_tile(raw, pictures, top, start, _search(coarse, frame, top, start, k))
    cv2.filterSpeckles(raw, -16, 80, 24)
    return Match(frame, _checked(raw, *known))


def _search(coarse: Match, frame: Rectified, top: int, left: int, k: float) -> tuple[int, int] | None:
    """(first disparity, how many) to try in one tile; None when the small match saw nothing around it."""
    r0, c0 = (top + frame.top_px) / k - coarse.frame.top_px, (left + frame.left_px) / k - coarse.frame.left_px
    around = 6
    rows = slice(max(0, int(r0) - around), max(0, int(r0 + _TILE / k) + around))
    cols = slice(max(0, int(c0) - around), max(0, int(c0 + _TILE / k) + around))
    around_all = coarse.disparity[rows, cols]
    seen = around_all[np.isfinite(around_all)]
    if len(seen) < max(12, _TRUSTED_SHARE * around_all.size):
        return None  # canopy or water: where the small match finds little, the fine one finds nothing
    low, high = (np.percentile(seen, [1, 99]) + coarse.frame.nearest_disparity) * k - frame.nearest_disparity
    first = max(0, math.floor(low - 1.5 * k))
    last = min(frame.disparities, math.ceil(high + 1.5 * k) + 1)
    return (first, 16 * math.ceil((last - first) / 16)) if last > first else None


def _refine_tile(
    raw: NDArray[np.int16], pictures: tuple[Grey, Grey], top: int, start: int, search: tuple[int, int] | None
) -> None:
    if search is None:
        return
    first, count = search
    rows, cols = raw.shape
    r0, r1 = max(0, top - _TILE_EDGE), min(rows, top + _TILE + _TILE_EDGE)
    c0, c1 = start - _TILE_EDGE - count, start + _TILE + _TILE_EDGE
    disparity = _matched(_columns(pictures[0], r0, r1, c0, c1), _columns(pictures[1], r0, r1, c0 - first, c1 - first), count)
    bottom, end = min(rows, top + _TILE), min(cols, start + _TILE)
    inner = disparity[top - r0 : bottom - r0, start - c0 : end - c0]
    raw[top:bottom, start:end] = np.where(inner >= 0, inner + np.int16(16 * first), np.int16(-16))


def _columns(picture: Grey, r0: int, r1: int, c0: int, c1: int) -> Grey:
    """A cut-out that may reach over the sides, where the border repeats."""
    cols = np.clip(np.arange(c0, c1), 0, picture.shape[1] - 1)
    return np.ascontiguousarray(picture[r0:r1, cols])


def _depths_in_both(left: Projector, right: Projector, axis: Floats, points: Floats) -> Floats:
    inside = np.ones(len(points), bool)
    for view in (left, right):
        px, _ = view.points(points)
        with np.errstate(invalid="ignore"):
            inside &= (px[:, 0] > 0) & (px[:, 1] > 0) & (px[:, 0] < view.numbers[19]) & (px[:, 1] < view.numbers[20])
    depths: Floats = (points[inside] - left.centre) @ axis
    return depths[depths > 0]


def _box(view: Projector, rotation: Floats, focal: float) -> tuple[float, float, float, float]:
    """(least x, most x, least y, most y) of a picture's border in the rectified frame."""
    n = view.numbers
    w, h = n[19], n[20]
    t = np.linspace(0.0, 1.0, 9)
    border = np.concatenate(
        [
            np.column_stack([t * w, t * 0]),
            np.column_stack([t * w, t * 0 + h]),
            np.column_stack([t * 0, t * h]),
            np.column_stack([t * 0 + w, t * h]),
        ]
    )
    matrix = np.array([[n[12], 0, n[13]], [0, n[12], n[14]], [0, 0, 1.0]])
    straight = cv2.undistortPoints(border[:, None], matrix, np.array([n[15], n[16], n[17], n[18], n[22]]))[:, 0]
    rays = np.column_stack([straight, np.ones(len(straight))]) @ n[:9].reshape(3, 3) @ rotation.T
    x, y = rays[:, 0] / rays[:, 2] * focal, rays[:, 1] / rays[:, 2] * focal
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())


def _rectified(
    left: Projector, right: Projector, left_grey: Grey, right_grey: Grey, frame: Rectified
) -> tuple[tuple[Grey, Grey], tuple[Mask, Mask]]:
    """Both pictures in the common frame, the right one shifted by the nearest disparity, and what of them is picture."""
    pictures, known = [], []
    for view, grey, shift in ((left, left_grey, 0.0), (right, right_grey, -float(frame.nearest_disparity))):
        turn = view.numbers[:9].reshape(3, 3) @ frame.rotation.T
        map_x, map_y = _look(view.numbers, turn, frame.focal_px, frame.left_px + shift, frame.top_px, frame.rows, frame.cols)
        pictures.append(cv2.remap(grey, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        known.append((map_x >= 0) & (map_y >= 0) & (map_x <= grey.shape[1] - 1) & (map_y <= grey.shape[0] - 1))
    return (pictures[0], pictures[1]), (known[0], known[1])


def _matched(left: Grey, right: Grey, disparities: int) -> NDArray[np.int16]:
    """Disparity in sixteenths of a pixel, negative where it is not sure.

    The matcher sums its costs from the left, the right and above, so that a roof's disparity runs on downwards over plain ground, by
    up to a metre in real photos. Matched once more upside down it runs upwards: where both agree it did not run.
    """
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=disparities,
        blockSize=3,
        P1=8 * 9,
        P2=32 * 9,
        disp12MaxDiff=1,
        preFilterCap=31,
        uniquenessRatio=5,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    found = np.asarray(matcher.compute(left, right), np.int16)
    upside_down = (np.ascontiguousarray(picture[::-1]) for picture in (left, right))
    return _agreed(found, np.asarray(matcher.compute(*upside_down), np.int16)[::-1])


@njit(cache=True)
def _agreed(one: NDArray[np.int16], other: NDArray[np.int16]) -> NDArray[np.int16]:
    """The mean of two disparities that lie within a pixel, else -16."""
    out = np.full(one.shape, -16, np.int16)
    for i in range(one.shape[0]):
        for j in range(one.shape[1]):
            if one[i, j] >= 0 and other[i, j] >= 0 and abs(one[i, j] - other[i, j]) <= 16:
                out[i, j] = (one[i, j] + other[i, j]) // 2
    return out


@njit(cache=True)
def _look(n: Floats, turn: Floats, focal: float, left: float, top: float, rows: int, cols: int) -> tuple[Metres, Metres]:
    """Where the pixels of a rectified picture lie in the photo, for `cv2.remap`."""
    map_x = np.empty((rows, cols), np.float32)
    map_y = np.empty((rows, cols), np.float32)
    for i in range(rows):
        y = (top + i + 0.5) / focal
        for j in range(cols):
            x = (left + j + 0.5) / focal
            depth = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2]
            map_x[i, j] = -1e4
            map_y[i, j] = -1e4
            if depth <= 1e-6:
                continue
            a = (turn[0, 0] * x + turn[0, 1] * y + turn[0, 2]) / depth
            b = (turn[1, 0] * x + turn[1, 1] * y + turn[1, 2]) / depth
            r2 = a * a + b * b
            if r2 > n[21]:
                continue
            radial = 1.0 + r2 * (n[15] + r2 * (n[16] + r2 * n[22]))
            map_x[i, j] = n[12] * (a * radial + 2.0 * n[17] * a * b + n[18] * (r2 + 2.0 * a * a)) + n[13] - 0.5
            map_y[i, j] = n[12] * (b * radial + n[17] * (r2 + 2.0 * b * b) + 2.0 * n[18] * a * b) + n[14] - 0.5
    return map_x, map_y


@njit(cache=True)
def _checked(raw: NDArray[np.int16], known_left: Mask, known_right: Mask) -> Metres:
    """Sixteenths to pixels; only what both photos truly show."""
    rows, cols = raw.shape
    out = np.full((rows, cols), np.nan, np.float32)
    for i in range(rows):
        for j in range(cols):
            if raw[i, j] < 0 or not known_left[i, j]:
                continue
            other = j - (raw[i, j] + 8) // 16
            if other >= 0 and known_right[i, other]:
                out[i, j] = raw[i, j] / 16.0
    return out


def lay(
    match: Match, left_centre: Floats, grid: Grid, offset_m: tuple[float, float, float], bend: Bend | None = None
) -> Patch | None:
    """The pair's points dropped on the grid's cells: of a cell's points those near its highest are averaged.

    Heights are metres minus `offset_m[2]`; a `bend` takes the points from the block's own shape to the grid's ground. None when the pair lies outside the grid.
    """
    disparity, frame = match.disparity, match.frame
    west, north = grid.west_m - offset_m[0], grid.north_m - offset_m[1]
    numbers = np.array([frame.focal_px, frame.left_px, frame.top_px, float(frame.nearest_disparity), frame.base_m])
    if bend is not None:
        numbers = np.concatenate([numbers, bend.numbers(offset_m, back=False)])
    back = np.ascontiguousarray(frame.rotation.T)
    r0, r1, c0, c1, middle = _reach(disparity, numbers, back, left_centre, west, north, grid.gsd_m)
    r0, c0, r1, c1 = max(r0, 0), max(c0, 0), min(r1 + 1, grid.rows), min(c1 + 1, grid.cols)
    if r1 <= r0 or c1 <= c0:
        return None
    window = Window(r0, c0, r1 - r0, c1 - c0)
    sigma = middle**2 / (frame.focal_px * frame.base_m) * _DISPARITY_ERROR_PX
    heights = _drop(
        disparity,
        numbers,
        back,
        left_centre,
        west + c0 * grid.gsd_m,
        north - r0 * grid.gsd_m,
        grid.gsd_m,
        window.rows,
        window.cols,
        3 * sigma,
    )
    return Patch(window, heights, sigma)


@njit(cache=True, inline="always")
def _place(n: Floats, back: Floats, centre: Floats, i: int, j: int, disparity: float) -> tuple[float, float, float, float]:
    depth = n[0] * n[4] / (n[3] + disparity)
    a, b = (n[1] + j + 0.5) / n[0] * depth, (n[2] + i + 0.5) / n[0] * depth
    x = back[0, 0] * a + back[0, 1] * b + back[0, 2] * depth + centre[0]
    y = back[1, 0] * a + back[1, 1] * b + back[1, 2] * depth + centre[1]
    z = back[2, 0] * a + back[2, 1] * b + back[2, 2] * depth + centre[2]
    if n.shape[0] > 5:
        x, y, z = bent(n, 5, x, y, z)
    return x, y, z, depth


@njit(cache=True)
def _reach(
    disparity: Metres, n: Floats, back: Floats, centre: Floats, west: float, north: float, cell: float
) -> tuple[int, int, int, int, float]:
    """Least and most row and column that the points touch, and their mean depth."""
    rows, cols = disparity.shape
    r0, r1, c0, c1 = 1 << 30, -1, 1 << 30, -1
    total, count = 0.0, 0
    for i in range(0, rows, 2):
        for j in range(0, cols, 2):
            if np.isnan(disparity[i, j]):
                continue
            x, y, _, depth = _place(n, back, centre, i, j, disparity[i, j])
            row, col = math.floor((north - y) / cell), math.floor((x - west) / cell)
            r0, r1, c0, c1 = min(r0, row), max(r1, row), min(c0, col), max(c1, col)
            total += depth
            count += 1
    return r0, r1, c0, c1, total / max(count, 1)


@njit(cache=True)
def _drop(
    disparity: Metres,
    n: Floats,
    back: Floats,
    centre: Floats,
    west: float,
    north: float,
    cell: float,
    rows: int,
    cols: int,
    near_top: float,
) -> Metres:
    top = np.full((rows, cols), -np.inf, np.float32)
    total = np.zeros((rows, cols), np.float32)
    count = np.zeros((rows, cols), np.float32)
    for turn in range(2):
        for i in range(disparity.shape[0]):
            for j in range(disparity.shape[1]):
                if np.isnan(disparity[i, j]):
                    continue
                x, y, z, _ = _place(n, back, centre, i, j, disparity[i, j])
                row, col = math.floor((north - y) / cell), math.floor((x - west) / cell)
                if row < 0 or col < 0 or row >= rows or col >= cols:
                    continue
                if turn == 0:
                    top[row, col] = max(top[row, col], z)
                elif z >= top[row, col] - near_top:
                    total[row, col] += z
                    count[row, col] += 1
    for row in range(rows):
        for col in range(cols):
            total[row, col] = total[row, col] / count[row, col] if count[row, col] > 0 else np.nan
    return total
