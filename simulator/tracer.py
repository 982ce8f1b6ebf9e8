"""Rays against the town: the ground first, then the solids in the grid cells that the ray passes.

Compiled by numba; every function here works on plain numbers and on the arrays of `solids.Tables`. Lengths are metres in the
town's local frame. `hit` is the one question that photos, shadows and the exact surface all ask.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.frames import Floats
from simulator.solids import Tables

FAR_M = 1e9
GROUND = -1
SKY = -2


class Relief(NamedTuple):
    """Ground heights `(rows, cols)` at points `step` metres apart from (`west`, `south`) to the north and east."""

    heights: Floats
    place: Floats  # west, south, step


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy", inline="always")
def relief_at(heights: Floats, place: Floats, x: float, y: float) -> float:
    """Ground height between the four nearest points; beyond the edge, that of the edge."""
    rows, cols = heights.shape
    u = min(max((x - place[0]) / place[2], 0.0), cols - 1.001)
    v = min(max((y - place[1]) / place[2], 0.0), rows - 1.001)
    col, row = int(u), int(v)
    fu, fv = u - col, v - row
    low = heights[row, col] * (1.0 - fu) + heights[row, col + 1] * fu
    high = heights[row + 1, col] * (1.0 - fu) + heights[row + 1, col + 1] * fu
    return float(low * (1.0 - fv) + high * fv)


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy", inline="always")
def _hash(a: int, b: int, c: int) -> int:
    h = (a * 73856093) ^ (b * 19349663) ^ (c * 83492791)
    h = (h ^ (h >> 13)) * 1274126177
    return (h ^ (h >> 16)) & 0xFFFF


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy", inline="always")
def _convex(
    t: Tables, first: int, count: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, best: float
) -> tuple[float, int]:
    near, far, face = -1e30, best, -1
    for k in range(first, first + count):
        nx, ny, nz = t.planes[k, 0], t.planes[k, 1], t.planes[k, 2]
        slope = nx * dx + ny * dy + nz * dz
        gap = t.planes[k, 3] - (nx * ox + ny * oy + nz * oz)
        if slope < -1e-9:
            at = gap / slope
            if at > near:
                near, face = at, k
        elif slope > 1e-9:
            far = min(far, gap / slope)
        elif gap < 0.0:
            return FAR_M, -1
        if near > far:
            return FAR_M, -1
    if face >= 0 and near > 0.0:
        return near, face
    return FAR_M, -1


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _crown(
    t: Tables, first: int, count: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, best: float
) -> tuple[float, int]:
    found, which = best, -1
    for k in range(first, first + count):
        px, py, pz = t.balls[k, 0] - ox, t.balls[k, 1] - oy, t.balls[k, 2] - oz
        along = px * dx + py * dy + pz * dz
        inside = t.balls[k, 3] ** 2 - (px * px + py * py + pz * pz - along * along)
        if inside <= 0.0:
            continue
        at = along - math.sqrt(inside)
        if 0.0 < at < found:
            if inside < 0.3 * t.balls[k, 3] ** 2:  # the rim is leaves with gaps between them
                x, y, z = ox + dx * at, oy + dy * at, oz + dz * at
                if _hash(int(x * 9.0 + 9000.0), int(y * 9.0 + 9000.0), int(z * 9.0 + 9000.0)) < 30000:
                    continue
            found, which = at, k
    if which >= 0:
        return found, which
    return FAR_M, -1


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def hit(
    t: Tables, heights: Floats, place: Floats, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, int, int]:
    """(distance, body, part): what a ray of unit direction meets first.

    Body is GROUND or SKY or an index into the tables; part is a face or a ball.
    """
    best, body, part = FAR_M, SKY, -1
    if dz < -0.02:
        z = relief_at(heights, place, ox, oy)
        far = 0.0
        for _ in range(8):  # gentle ground: each step cuts the error by slope x tan(off-nadir)
            last = far
            far = (z - oz) / dz
            z = relief_at(heights, place, ox + dx * far, oy + dy * far)
            if abs(far - last) < 0.002:
                break
        best, body = (z - oz) / dz, GROUND
    west, south, size, cols, rows = t.grid[0], t.grid[1], t.grid[2], int(t.grid[3]), int(t.grid[4])
    top = t.grid[5]
    sink = 1.0 / dz if dz < -1e-6 else 0.0
    start = 0.0
    if oz > top:
        if dz >= 0.0:
            return best, body, part
        start = (top - oz) / dz
    # cut the ray to the grid
    end = best
    for axis in range(2):
        o, d = (ox, dx) if axis == 0 else (oy, dy)
        low = west if axis == 0 else south
        high = low + size * (cols if axis == 0 else rows)
        if abs(d) < 1e-12:
            if o < low or o >= high:
                return best, body, part
        else:
            a, b = (low - o) / d, (high - o) / d
            start = max(start, min(a, b) + 1e-6)
            end = min(end, max(a, b) - 1e-6)
    if start >= end:
        return best, body, part
    x, y = ox + dx * start, oy + dy * start
    col = min(max(int((x - west) / size), 0), cols - 1)
    row = min(max(int((y - south) / size), 0), rows - 1)
    step_x, step_y = (1 if dx > 0 else -1), (1 if dy > 0 else -1)
    cross_x = (west + (col + (1 if dx > 0 else 0)) * size - ox) / dx if abs(dx) > 1e-12 else FAR_M
    cross_y = (south + (row + (1 if dy > 0 else 0)) * size - oy) / dy if abs(dy) > 1e-12 else FAR_M
    pace_x = size / abs(dx) if abs(dx) > 1e-12 else FAR_M
    pace_y = size / abs(dy) if abs(dy) > 1e-12 else FAR_M
    while True:
        leave = min(cross_x, cross_y)
        deep = min(leave, best)
        cell = row * cols + col
        low_z = min(oz + dz * deep, oz + dz * start)
        if low_z < t.cell_top[cell]:
            for i in range(t.cell_first[cell], t.cell_first[cell + 1]):
                b = t.cell_body[i]
                if low_z > t.boxes[b, 5]:
                    break  # sorted: all that follow are lower
                if t.crown[b] == 1:
                    at, which = _crown(t, t.first[b], t.many[b], ox, oy, oz, dx, dy, dz, best)
                else:
                    # bodies have no bottom face: a ray that goes down ends where the body does
                    foot = min(best, (t.boxes[b, 2] - oz) * sink) if dz < -1e-6 else best
                    at, which = _convex(t, t.first[b], t.many[b], ox, oy, oz, dx, dy, dz, foot)
                if which >= 0 and at < best:
                    best, body, part = at, b, which
                    if dz < 0.0:
                        low_z = max(low_z, oz + dz * best)
        if best <= leave or leave >= end:
            break
        start = leave
        if cross_x < cross_y:
            cross_x += pace_x
            col += step_x
            if col < 0 or col >= cols:
                break
        else:
            cross_y += pace_y
            row += step_y
            if row < 0 or row >= rows:
                break
    return best, body, part


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def tops(t: Tables, heights: Floats, place: Floats, xs: Floats, ys: Floats, out: NDArray[np.float32]) -> None:
    """Highest thing `(rows, cols)` over each x of a column and y of a row."""
    from_z = max(t.grid[5], heights.max()) + 10.0
    for row in range(ys.shape[0]):
        for col in range(xs.shape[0]):
            at, _, _ = hit(t, heights, place, xs[col], ys[row], from_z, 0.0, 0.0, -1.0)
            out[row, col] = from_z - at


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def depths_from_sun(
    t: Tables, heights: Floats, place: Floats, axes: Floats, corner: Floats, step: float, out: NDArray[np.float32]
) -> None:
    """How far towards the sun the first thing stands, for a raster `(rows, cols)` that looks at the town from the sun.

    `axes` rows: across, up, towards the sun; `corner` the raster's first corner along the first two.
    """
    away = 500.0
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            a, b = corner[0] + (col + 0.5) * step, corner[1] + (row + 0.5) * step
            ox = axes[0, 0] * a + axes[1, 0] * b + axes[2, 0] * away
            oy = axes[0, 1] * a + axes[1, 1] * b + axes[2, 1] * away
            oz = axes[0, 2] * a + axes[1, 2] * b + axes[2, 2] * away
            at, body, _ = hit(t, heights, place, ox, oy, oz, -axes[2, 0], -axes[2, 1], -axes[2, 2])
            out[row, col] = -FAR_M if body == SKY else away - at


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def sky_seen(heights: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Share of the sky `(rows, cols)` that each cell of a surface sees, by the horizon in eight directions up to 10 m away."""
    rows, cols = heights.shape
    out = np.empty((rows, cols), np.float32)
    reach = int(10.0 / step)
    for row in range(rows):
        for col in range(cols):
            total = 0.0
            for way in range(8):
                angle = way * math.pi / 4.0
                du, dv = math.cos(angle), math.sin(angle)
                steepest = 0.0
                k = 1.0
                while k <= reach:
                    r, c = int(row + dv * k + 0.5), int(col + du * k + 0.5)
                    if r < 0 or c < 0 or r >= rows or c >= cols:
                        break
                    steepest = max(steepest, (heights[r, c] - heights[row, col]) / (k * step))
                    k *= 1.5
                total += 1.0 / (1.0 + steepest * steepest)
            out[row, col] = total / 8.0
    return out
