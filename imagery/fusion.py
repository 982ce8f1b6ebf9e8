"""How many heights of one cell become one: the majority is believed, edges stay where they are, gaps are bridged from around.

All arrays are `(rows, cols)` float32 metres on square cells, NaN where unknown.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.frames import Floats

Metres = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SPECK_M2 = 0.8
"""Islands smaller than this that stand off from all around are mismatches (or lamp posts)."""

STEP_M = 0.5
"""A jump between neighbours larger than this is an edge, not a slope."""


CARVE_M = 2.0
"""How far along the ground a line of sight is followed."""

_LOOKED = 2  # cells before a gap or a step in which a line of sight counts: over open ground it says nothing new
_FREE_M = 0.4  # above a line of sight by this much nothing may stand: less is the heights' own noise


@njit(cache=True, nogil=True)
def carve(ceiling: Metres, heights: Metres, cell_m: float, row: float, col: float, up_m: float) -> None:
    """Lower the `ceiling` `(rows, cols)` to the lines of sight between a pair's `heights` and one of its cameras.

    What a camera sees, nothing stands before: matching lets a roof run on over the hidden ground at its foot, but the ground beyond is
    seen past that place. The camera stands `row`, `col` cells and `up_m` metres from the window's corner.
    """
    rows, cols = heights.shape
    steps = int(CARVE_M / cell_m)
    for i in range(rows):
        for j in range(cols):
            z = heights[i, j]
            if np.isnan(z):
                continue
            di, dj = row - (i + 0.5), col - (j + 0.5)
            far = math.sqrt(di * di + dj * dj)
            if far < 2.0:
                continue
            di, dj, rise = di / far, dj / far, (up_m - z) / far
            if rise <= 0:
                continue
            edge = False
            for s in range(1, _LOOKED + 1):
                a, b = int(i + 0.5 + s * di), int(j + 0.5 + s * dj)
                if 0 <= a < rows and 0 <= b < cols and not heights[a, b] < z + STEP_M:
                    edge = True
            if not edge:
                continue
            for s in range(1, steps + 1):
                a, b = int(i + 0.5 + s * di), int(j + 0.5 + s * dj)
                if a < 0 or b < 0 or a >= rows or b >= cols:
                    break
                ceiling[a, b] = min(ceiling[a, b], z + s * rise + _FREE_M)


@njit(cache=True)
def agree(stack: Metres, sigmas: Floats, ceilings: Metres) -> tuple[Metres, Metres, Bytes]:
    """Per cell the height that most pairs agree on, and not more pairs look through.

    Not the mean, nor the median of all: at an edge some pairs say roof and some say ground, and what lies between is nowhere. The
    most crowded interval of the sorted heights wins, on a tie the narrower one; its median is the height. `ceilings` `(pairs, rows,
    cols)`, as `carve` leaves them, may be empty: heights that at least two and as many pairs see past as say so are dropped.
    """
    count, rows, cols = stack.shape
    heights = np.full((rows, cols), np.nan, np.float32)
    spread = np.full((rows, cols), np.nan, np.float32)
    sure = np.zeros((rows, cols), np.uint8)
    typical = np.median(sigmas)
    window = 4.0 * typical
    values = np.empty(count, np.float32)
    for i in range(rows):
        for j in range(cols):
            n = 0
            for k in range(count):
                v = stack[k, i, j]
                if not np.isnan(v):
                    p = n
                    while p > 0 and values[p - 1] > v:
                        values[p] = values[p - 1]
                        p -= 1
                    values[p] = v
                    n += 1
            if n == 0:
                continue
            best, start, width = 0, 0, np.float32(1e9)
            while n > 0:
                best, start, width = 0, 0, np.float32(1e9)
                b = 0
                for a in range(n):
                    b = max(b, a)
                    while b + 1 < n and values[b + 1] - values[a] <= window:
                        b += 1
                    size = b - a + 1
                    if size > best or (size == best and values[b] - values[a] < width):
                        best, start, width = size, a, values[b] - values[a]
                past = 0
                for k in range(ceilings.shape[0]):
                    if ceilings[k, i, j] < values[start]:
                        past += 1
                if past < 3 or past <= best:
                    break
                n = start
            if n == 0:
                continue
            if best == 1 and n > 2:
                continue  # three pairs, three heights: nobody knows
            middle = start + (best - 1) / 2
            low, high = math.floor(middle), math.ceil(middle)
            z = 0.5 * (values[low] + values[high])
            heights[i, j] = z
            total = 0.0
            for a in range(start, start + best):
                total += abs(values[a] - z)
            deviation = 1.25 * total / best  # mean absolute to standard deviation
            # The pairs' own noise is never believed to be less than half of what the geometry says.
            spread[i, j] = max(deviation, 0.5 * typical, typical if best < 3 else 0.0) / math.sqrt(best) + 0.25 * typical
            sure[i, j] = int(100.0 * best / n * best / (best + 1.0))
    return heights, spread, sure


def without_specks(heights: Metres, cell_m: float) -> Metres:
    """Islands too small to be anything are unknown."""
    base = float(np.nanmedian(heights)) if np.isfinite(heights).any() else 0.0
    cm = np.where(np.isfinite(heights), np.clip((heights - base) * 100, -32000, 32000), -32768).astype(np.int16)
    cv2.filterSpeckles(cm, -32768, max(4, int(SPECK_M2 / cell_m**2)), 100 * STEP_M)
    return np.where(cm == -32768, np.float32(np.nan), heights)


@njit(cache=True)
def median3(heights: Metres, least: int) -> Metres:
    """Median of 3 x 3 known neighbours: takes noise, keeps edges; a hole with six known neighbours is closed."""
    rows, cols = heights.shape
    out = heights.copy()
    near = np.empty(9, np.float32)
    for i in range(rows):
        for j in range(cols):
            n = 0
            for a in range(max(i - 1, 0), min(i + 2, rows)):
                for b in range(max(j - 1, 0), min(j + 2, cols)):
                    v = heights[a, b]
                    if not np.isnan(v):
                        p = n
                        while p > 0 and near[p - 1] > v:
                            near[p] = near[p - 1]
                            p -= 1
                        near[p] = v
                        n += 1
            if np.isnan(heights[i, j]):
                if n >= 6:
                    out[i, j] = near[(n - 1) // 2]
            elif n > least:
                out[i, j] = near[n // 2] if n % 2 else 0.5 * (near[n // 2 - 1] + near[n // 2])
    return out


@njit(cache=True)
def bridged(heights: Metres, reach: int) -> Metres:
    """Unknown cells from what lies within `reach` cells in eight directions around them.

    Their lower median, not their mean: ground hidden at the foot of a wall takes the ground's height, a hole in a roof the roof's.
    Where fewer than five directions find anything within reach, the cell stays unknown.
    """
    rows, cols = heights.shape
    near = np.full((8, rows, cols), np.nan, np.float32)
    steps = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
    for d in range(8):
        di, dj = steps[d]
        # What a cell sees in a direction is its neighbour there, or what that neighbour sees: one sweep, against the direction.
        far = np.zeros((rows, cols), np.int32)
        for ii in range(rows):
            i = rows - 1 - ii if di >= 0 else ii
            a = i + di
            if a < 0 or a >= rows:
                continue
            for jj in range(cols):
                j = cols - 1 - jj if dj >= 0 else jj
                b = j + dj
                if b < 0 or b >= cols:
                    continue
                if not np.isnan(heights[a, b]):
                    near[d, i, j] = heights[a, b]
                    far[i, j] = 1
                elif 0 < far[a, b] < reach:
                    near[d, i, j] = near[d, a, b]
                    far[i, j] = far[a, b] + 1
    out = heights.copy()
    found = np.empty(8, np.float32)
    for i in range(rows):
        for j in range(cols):
            if not np.isnan(heights[i, j]):
                continue
            n = 0
            for d in range(8):
                v = near[d, i, j]
                if not np.isnan(v):
                    p = n
                    while p > 0 and found[p - 1] > v:
                        found[p] = found[p - 1]
                        p -= 1
                    found[p] = v
                    n += 1
            if n >= 5:
                out[i, j] = found[(n - 1) // 2]
    return out


@njit(cache=True)
def finer(coarse: Metres, rows: int, cols: int, k: int, row0: int, col0: int, step: float) -> Metres:
    """Cells `k` times finer, starting at coarse cell (row0, col0): linear on slopes, nearest across edges and beside the unknown."""
    out = np.empty((rows, cols), np.float32)
    for i in range(rows):
        y = row0 + (i + 0.5) / k - 0.5
        a0 = min(max(math.floor(y), 0), coarse.shape[0] - 1)
        a1 = min(a0 + 1, coarse.shape[0] - 1)
        fy = min(max(y - a0, 0.0), 1.0)
        for j in range(cols):
            x = col0 + (j + 0.5) / k - 0.5
            b0 = min(max(math.floor(x), 0), coarse.shape[1] - 1)
            b1 = min(b0 + 1, coarse.shape[1] - 1)
            fx = min(max(x - b0, 0.0), 1.0)
            p, q, r, s = coarse[a0, b0], coarse[a0, b1], coarse[a1, b0], coarse[a1, b1]
            high, low = max(p, q, r, s), min(p, q, r, s)
            if not math.isnan(p + q + r + s) and high - low <= step:
                out[i, j] = (p * (1 - fx) + q * fx) * (1 - fy) + (r * (1 - fx) + s * fx) * fy
            else:
                out[i, j] = coarse[row0 + i // k, col0 + j // k]
    return out
