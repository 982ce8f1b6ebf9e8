"""Light: what comes along each ray, from the colour of what it hits, the sun, its cast shadows, and the sky.

What a surface looks like does not depend on where the camera stands. Textures are read at a size that fits the distance.

The compiled code is kept between runs by this file's own date: after a change in `tracer` alone, clear `__pycache__`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.frames import Floats
from simulator.scene import Shadow
from simulator.soil import Soil
from simulator.solids import Tables
from simulator.textures import TILE_M, Atlas, Layer
from simulator.tracer import GROUND, SKY, hit

Bytes = NDArray[np.uint8]
_LEAF, _SAND = int(Layer.LEAF), int(Layer.SAND)
_FACES = 1_000_000  # keys of faces start here, those of crowns at 0


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy", inline="always")
def _read(image: Bytes, u: float, v: float, out: Floats) -> None:
    """Colour between four texels of a picture `(rows, cols, 3)`, clamped at its edge; linear light 0..1."""
    rows, cols = image.shape[0], image.shape[1]
    u = min(max(u - 0.5, 0.0), cols - 1.001)
    v = min(max(v - 0.5, 0.0), rows - 1.001)
    c, r = int(u), int(v)
    fu, fv = u - c, v - r
    w00, w01, w10, w11 = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
    for k in range(3):
        value = (
            image[r, c, k] * w00 + image[r, c + 1, k] * w01 + image[r + 1, c, k] * w10 + image[r + 1, c + 1, k] * w11
        ) / 255.0
        out[k] = value * value


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy", inline="always")
def _wrapped(images: Bytes, layer: int, u_m: float, v_m: float, out: Floats) -> None:
    """The same for a layer of the atlas, repeated for ever; `u_m`, `v_m` in metres."""
    size = images.shape[1]
    mask = size - 1
    u, v = u_m * (size / TILE_M) - 0.5, v_m * (size / TILE_M) - 0.5
    fc, fr = math.floor(u), math.floor(v)
    fu, fv = u - fc, v - fr
    c, r = int(fc) & mask, int(fr) & mask
    c1, r1 = (c + 1) & mask, (r + 1) & mask
    w00, w01, w10, w11 = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
    for k in range(3):
        value = (
            images[layer, r, c, k] * w00
            + images[layer, r, c1, k] * w01
            + images[layer, r1, c, k] * w10
            + images[layer, r1, c1, k] * w11
        ) / 255.0
        out[k] = value * value


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy", inline="always")
def _lit(shadow: Shadow, x: float, y: float, z: float, slack: float) -> float:
    """Share of the sun that reaches a point, soft over one shadow texel."""
    axes = shadow.axes
    a = (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z - shadow.corner[0]) / shadow.step - 0.5
    b = (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z - shadow.corner[1]) / shadow.step - 0.5
    w = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z + slack
    rows, cols = shadow.depths.shape
    if a < 0.0 or b < 0.0 or a >= cols - 1 or b >= rows - 1:
        return 1.0
    c, r = int(a), int(b)
    fu, fv = a - c, b - r
    free = 0.0
    if shadow.depths[r, c] <= w:
        free += (1 - fu) * (1 - fv)
    if shadow.depths[r, c + 1] <= w:
        free += fu * (1 - fv)
    if shadow.depths[r + 1, c] <= w:
        free += (1 - fu) * fv
    if shadow.depths[r + 1, c + 1] <= w:
        free += fu * fv
    return free


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _met(
    t: Tables, heights: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: NDArray[np.float32], sky_place: Floats,
    sun: Floats, strength: float, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, cell: float, per_pixel: float,
    colour: Floats, out: NDArray[np.float32],
) -> int:  # fmt: skip
    """Light `(3,)` that comes along one ray of unit direction, and the number of the surface it met.

    A pixel is `cell + per_pixel * distance` metres wide there; `colour` `(3,)` is room to work in.
    """
    west, south, texel = soil.place[0], soil.place[1], soil.place[2]
    wide, deep_m = soil.full.shape[1] * texel, soil.full.shape[0] * texel
    at, body, part = hit(t, heights, place, ox, oy, oz, dx, dy, dz)
    if body == SKY:
        haze = max(0.0, 1.0 - max(0.0, dz) * 2.5)
        out[0], out[1], out[2] = 0.30 + 0.42 * haze, 0.48 + 0.27 * haze, 0.80 + 0.0 * haze
        return -2
    x, y, z = ox + dx * at, oy + dy * at, oz + dz * at
    foot = cell + at * per_pixel
    nx, ny, nz = 0.0, 0.0, 1.0
    slack, open_sky, key = 0.12, 1.0, -1
    u = min(max((x - sky_place[0]) / sky_place[2] - 0.5, 0.0), sky.shape[1] - 1.001)
    v = min(max((y - sky_place[1]) / sky_place[2] - 0.5, 0.0), sky.shape[0] - 1.001)
    c, r = int(u), int(v)
    fu, fv = u - c, v - r
    if body == GROUND:
        gu, gv = x - west, y - south
        if gu < 0.0 or gv < 0.0 or gu >= wide or gv >= deep_m:  # the country round the town, seen only in slanting views
            _wrapped(paints.eighth, _SAND, x * 0.11, y * 0.13, colour)
            colour[0], colour[1], colour[2] = 0.45 * colour[0], 0.75 * colour[1], 0.62 * colour[2]
        elif foot < 1.5 * texel:
            _read(soil.full, gu / texel, gv / texel, colour)
        elif foot < 3.0 * texel:
            _read(soil.half, gu / texel / 2, gv / texel / 2, colour)
        elif foot < 6.0 * texel:
            _read(soil.quarter, gu / texel / 4, gv / texel / 4, colour)
        else:
            _read(soil.eighth, gu / texel / 8, gv / texel / 8, colour)
        row = min(max(int((y - place[1]) / place[2]), 0), heights.shape[0] - 2)
        col = min(max(int((x - place[0]) / place[2]), 0), heights.shape[1] - 2)
        nx = (heights[row, col] - heights[row, col + 1]) / place[2]
        ny = (heights[row, col] - heights[row + 1, col]) / place[2]
        open_sky = (sky[r, c] * (1 - fu) + sky[r, c + 1] * fu) * (1 - fv) + (
            sky[r + 1, c] * (1 - fu) + sky[r + 1, c + 1] * fu
        ) * fv
    elif t.crown[body] == 1:
        radius = t.balls[part, 3]
        nx, ny, nz = (x - t.balls[part, 0]) / radius, (y - t.balls[part, 1]) / radius, (z - t.balls[part, 2]) / radius
        uu, vv = x + 0.6 * z * (1.0 - nz) + t.balls[part, 0], y + 0.6 * z * (1.0 - nz) + t.balls[part, 1]
        if foot < 0.045:
            _wrapped(paints.full, _LEAF, uu, vv, colour)
        elif foot < 0.09:
            _wrapped(paints.half, _LEAF, uu, vv, colour)
        else:
            _wrapped(paints.quarter, _LEAF, uu, vv, colour)
        low, high = t.boxes[body, 2], t.boxes[body, 5]
        open_sky = 0.30 + 0.70 * min(1.0, max(0.0, (z - low) / (high - low)))
        for k in range(3):
            tint = t.body_tint[body, k]
            colour[k] *= tint * tint * 2.0
        nz = nz * 0.7 + 0.3
        slack, key = 0.30, body
    else:
        nx, ny, nz = t.planes[part, 0], t.planes[part, 1], t.planes[part, 2]
        uu = t.axes[part, 0] * x + t.axes[part, 1] * y + t.axes[part, 2] * z + t.axes[part, 3]
        vv = t.axes[part, 4] * x + t.axes[part, 5] * y + t.axes[part, 6] * z + t.axes[part, 7]
        seen = foot / math.sqrt(max(abs(nx * dx + ny * dy + nz * dz), 0.08))
        layer = t.layers[part]
        if seen < 0.035:
            _wrapped(paints.full, layer, uu, vv, colour)
        elif seen < 0.07:
            _wrapped(paints.half, layer, uu, vv, colour)
        elif seen < 0.14:
            _wrapped(paints.quarter, layer, uu, vv, colour)
        else:
            _wrapped(paints.eighth, layer, uu, vv, colour)
        for k in range(3):
            tint = t.tints[part, k]
            colour[k] *= tint * tint
        if nz < 0.5:
            open_sky = 0.35 + 0.65 * sky[r, c] * min(1.0, 0.55 + 0.08 * (z - t.boxes[body, 2]))
        key = part + _FACES
    slope = nx * sun[0] + ny * sun[1] + nz * sun[2]
    direct = 0.0
    if slope > 0.0 and strength > 0.0:
        direct = strength * 1.25 * slope * _lit(shadow, x + nx * 0.05, y + ny * 0.05, z + nz * 0.05, slack)
    round_about = open_sky * (0.62 + 0.38 * nz) * (0.85 - 0.55 * strength)
    haze = 1.0 - math.exp(-max(0.0, at - 150.0) / 700.0)
    out[0] = colour[0] * (direct * 1.00 + round_about * 0.84) * (1 - haze) + 0.60 * haze
    out[1] = colour[1] * (direct * 0.965 + round_about * 0.96) * (1 - haze) + 0.66 * haze
    out[2] = colour[2] * (direct * 0.90 + round_about * 1.20) * (1 - haze) + 0.72 * haze
    return key


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def light(
    t: Tables, heights: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: NDArray[np.float32], sky_place: Floats,
    sun: Floats, strength: float, turn: Floats, eye: Floats, per_pixel: float,
    rays: NDArray[np.float32], out: NDArray[np.float32], keys: NDArray[np.int32],
) -> None:  # fmt: skip
    """Light `(n, 3)` along the camera's own rays `(n, 2)`, and a number `(n,)` for each that tells surfaces apart."""
    colour = np.empty(3)
    for i in range(rays.shape[0]):
        a, b = rays[i, 0], rays[i, 1]
        dx = turn[0, 0] * a + turn[1, 0] * b + turn[2, 0]
        dy = turn[0, 1] * a + turn[1, 1] * b + turn[2, 1]
        dz = turn[0, 2] * a + turn[1, 2] * b + turn[2, 2]
        length = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
        keys[i] = _met(
            t, heights, place, soil, paints, shadow, sky, sky_place, sun, strength,
            eye[0], eye[1], eye[2], dx * length, dy * length, dz * length, 0.0, per_pixel, colour, out[i],
        )  # fmt: skip


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def light_from_above(
    t: Tables, heights: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: NDArray[np.float32], sky_place: Floats,
    sun: Floats, strength: float, xs: Floats, ys: Floats, cell: float, out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Light `(rows, cols, 3)` that goes straight up at each x of a column and y of a row: what an ortho shows."""
    colour = np.empty(3)
    from_z = max(t.grid[5], heights.max()) + 10.0
    for row in range(ys.shape[0]):
        for col in range(xs.shape[0]):
            _met(
                t, heights, place, soil, paints, shadow, sky, sky_place, sun, strength,
                xs[col], ys[row], from_z, 0.0, 0.0, -1.0, cell, 0.0, colour, out[row, col],
            )  # fmt: skip


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def edges(keys: NDArray[np.int32], rays: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Flat indices `(n,)` of the pixels that border on another surface, and four rays `(4 n, 2)` for each: a turned square."""
    rows, cols = keys.shape
    picked = np.empty(rows * cols, np.int64)
    n = 0
    for r in range(rows):
        for c in range(cols):
            key = keys[r, c]
            if (
                (c + 1 < cols and keys[r, c + 1] != key)
                or (c > 0 and keys[r, c - 1] != key)
                or (r + 1 < rows and keys[r + 1, c] != key)
                or (r > 0 and keys[r - 1, c] != key)
            ):
                picked[n] = r * cols + c
                n += 1
    more = np.empty((4 * n, 2), np.float32)
    for i in range(n):
        r, c = picked[i] // cols, picked[i] % cols
        ca, ra = (c + 1 if c + 1 < cols else c - 1), (r + 1 if r + 1 < rows else r - 1)
        right, down = (1.0 if c + 1 < cols else -1.0), (1.0 if r + 1 < rows else -1.0)
        for k in range(4):
            e = -0.375 + 0.25 * k
            f = -0.125 if k == 0 else (0.375 if k == 1 else (-0.375 if k == 2 else 0.125))
            for axis in range(2):
                here = rays[r, c, axis]
                more[4 * i + k, axis] = here + e * right * (rays[r, ca, axis] - here) + f * down * (rays[ra, c, axis] - here)
    return picked[:n], more
