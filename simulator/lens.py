"""The lens: photos of a scene from any pose, by rays through a real camera with its distortion.

Each pixel asks what its ray hits, reads the colour of that surface at a size that fits the distance, and lights it with the sun,
its cast shadows and the sky. Pixels on edges are looked at four times. What a surface looks like does not depend on where the
camera stands; exposure, vignetting and grain do.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.camera import Camera
from geo.frames import Floats, Pose
from simulator.errors import SimulatorError
from simulator.scene import Scene, Shadow
from simulator.soil import Soil
from simulator.solids import Tables
from simulator.sun import Sun
from simulator.textures import TILE_M, Atlas, Layer, atlas
from simulator.tracer import GROUND, SKY, hit, relief_at

Photo = NDArray[np.uint8]
Bytes = NDArray[np.uint8]
_LEAF = int(Layer.LEAF)


@njit(cache=True, fastmath=True, nogil=True, inline="always")
def _read(image: Bytes, u: float, v: float, out: Floats) -> None:
    """Colour between four texels of a picture `(rows, cols, 3)`, clamped at its edge; linear light 0..1."""
    rows, cols = image.shape[0], image.shape[1]
    u = min(max(u - 0.5, 0.0), cols - 1.001)
    v = min(max(v - 0.5, 0.0), rows - 1.001)
    c, r = int(u), int(v)
    fu, fv = u - c, v - r
    w00, w01, w10, w11 = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
    for k in range(3):
        value = (image[r, c, k] * w00 + image[r, c + 1, k] * w01 + image[r + 1, c, k] * w10 + image[r + 1, c + 1, k] * w11) / 255.0
        out[k] = value * value


@njit(cache=True, fastmath=True, nogil=True, inline="always")
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
            images[layer, r, c, k] * w00 + images[layer, r, c1, k] * w01 + images[layer, r1, c, k] * w10 + images[layer, r1, c1, k] * w11
        ) / 255.0
        out[k] = value * value


@njit(cache=True, fastmath=True, nogil=True, inline="always")
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


@njit(cache=True, fastmath=True, nogil=True)
def _look(
    t: Tables, heights: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: NDArray[np.float32], sky_place: Floats,
    sun: Floats, strength: float, per_pixel: float,
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, out: Floats,
) -> int:  # fmt: skip
    """Light `(3,)` that comes along one ray, and a number that tells surfaces apart."""
    at, body, part = hit(t, heights, place, ox, oy, oz, dx, dy, dz)
    if body == SKY:
        haze = max(0.0, 1.0 - dz * 3.0)
        out[0], out[1], out[2] = 0.45 + 0.35 * haze, 0.60 + 0.25 * haze, 0.85 + 0.05 * haze
        return -2
    x, y, z = ox + dx * at, oy + dy * at, oz + dz * at
    foot = at * per_pixel
    nx, ny, nz = 0.0, 0.0, 1.0
    slack, open_sky, key = 0.12, 1.0, -1
    u = min(max((x - sky_place[0]) / sky_place[2] - 0.5, 0.0), sky.shape[1] - 1.001)
    v = min(max((y - sky_place[1]) / sky_place[2] - 0.5, 0.0), sky.shape[0] - 1.001)
    if body == GROUND:
        gu, gv = (x - soil.place[0]) / soil.place[2], (y - soil.place[1]) / soil.place[2]
        if foot < 1.5 * soil.place[2]:
            _read(soil.full, gu, gv, out)
        elif foot < 3.0 * soil.place[2]:
            _read(soil.half, gu / 2, gv / 2, out)
        elif foot < 6.0 * soil.place[2]:
            _read(soil.quarter, gu / 4, gv / 4, out)
        else:
            _read(soil.eighth, gu / 8, gv / 8, out)
        nx = (relief_at(heights, place, x - 1.0, y) - relief_at(heights, place, x + 1.0, y)) * 0.5
        ny = (relief_at(heights, place, x, y - 1.0) - relief_at(heights, place, x, y + 1.0)) * 0.5
        c, r = int(u), int(v)
        fu, fv = u - c, v - r
        open_sky = (sky[r, c] * (1 - fu) + sky[r, c + 1] * fu) * (1 - fv) + (sky[r + 1, c] * (1 - fu) + sky[r + 1, c + 1] * fu) * fv
    elif t.crown[body] == 1:
        radius = t.balls[part, 3]
        nx, ny, nz = (x - t.balls[part, 0]) / radius, (y - t.balls[part, 1]) / radius, (z - t.balls[part, 2]) / radius
        uu, vv = x + 0.6 * z * (1.0 - nz) + t.balls[part, 0], y + 0.6 * z * (1.0 - nz) + t.balls[part, 1]
        if foot < 0.045:
            _wrapped(paints.full, _LEAF, uu, vv, out)
        elif foot < 0.09:
            _wrapped(paints.half, _LEAF, uu, vv, out)
        else:
            _wrapped(paints.quarter, _LEAF, uu, vv, out)
        low, high = t.boxes[body, 2], t.boxes[body, 5]
        deep = min(1.0, max(0.0, (z - low) / (high - low)))
        open_sky = 0.30 + 0.70 * deep
        for k in range(3):
            tint = t.body_tint[body, k]
            out[k] *= tint * tint * 2.0
        nz = nz * 0.7 + 0.3
        slack, key = 0.30, body * 64
    else:
        nx, ny, nz = t.planes[part, 0], t.planes[part, 1], t.planes[part, 2]
        uu = t.axes[part, 0] * x + t.axes[part, 1] * y + t.axes[part, 2] * z + t.axes[part, 3]
        vv = t.axes[part, 4] * x + t.axes[part, 5] * y + t.axes[part, 6] * z + t.axes[part, 7]
        facing = abs(nx * dx + ny * dy + nz * dz)
        seen = foot / math.sqrt(max(facing, 0.08))
        layer = t.layers[part]
        if seen < 0.035:
            _wrapped(paints.full, layer, uu, vv, out)
        elif seen < 0.07:
            _wrapped(paints.half, layer, uu, vv, out)
        elif seen < 0.14:
            _wrapped(paints.quarter, layer, uu, vv, out)
        else:
            _wrapped(paints.eighth, layer, uu, vv, out)
        for k in range(3):
            tint = t.tints[part, k]
            out[k] *= tint * tint
        if nz < 0.5:
            open_sky = 0.35 + 0.65 * sky[int(v + 0.5), int(u + 0.5)] * min(1.0, 0.55 + 0.08 * (z - t.boxes[body, 2]))
        key = part + 100000
    slope = nx * sun[0] + ny * sun[1] + nz * sun[2]
    direct = 0.0
    if slope > 0.0 and strength > 0.0:
        direct = strength * 1.25 * slope * _lit(shadow, x + nx * 0.05, y + ny * 0.05, z + nz * 0.05, slack)
    round_about = open_sky * (0.62 + 0.38 * nz) * (0.85 - 0.55 * strength)
    out[0] *= direct * 1.00 + round_about * 0.84
    out[1] *= direct * 0.965 + round_about * 0.96
    out[2] *= direct * 0.90 + round_about * 1.20
    return key


@njit(cache=True, fastmath=True, nogil=True)
def _expose(
    t: Tables, heights: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: NDArray[np.float32], sky_place: Floats,
    sun: Floats, strength: float, rays: NDArray[np.float32], turn: Floats, eye: Floats, per_pixel: float, image: NDArray[np.float32],
) -> None:  # fmt: skip
    """Light of every pixel `(rows, cols, 3)`; `rays` `(rows, cols, 2)` are the camera's own, `turn` is world-to-camera."""
    rows, cols = rays.shape[0], rays.shape[1]
    keys = np.empty((rows, cols), np.int32)
    colour = np.empty(3)
    for r in range(rows):
        for c in range(cols):
            a, b = rays[r, c, 0], rays[r, c, 1]
            keys[r, c] = _ray(
                t, heights, place, soil, paints, shadow, sky, sky_place, sun, strength, turn, eye, per_pixel, a, b, colour
            )
            for k in range(3):
                image[r, c, k] = colour[k]
    for r in range(rows):
        for c in range(cols):
            key = keys[r, c]
            if (
                (c + 1 < cols and keys[r, c + 1] != key)
                or (c > 0 and keys[r, c - 1] != key)
                or (r + 1 < rows and keys[r + 1, c] != key)
                or (r > 0 and keys[r - 1, c] != key)
            ):
                ca, ra = (c + 1 if c + 1 < cols else c - 1), (r + 1 if r + 1 < rows else r - 1)
                right, down = (1.0 if c + 1 < cols else -1.0), (1.0 if r + 1 < rows else -1.0)
                au, av = (rays[r, ca, 0] - rays[r, c, 0]) * right, (rays[r, ca, 1] - rays[r, c, 1]) * right
                bu, bv = (rays[ra, c, 0] - rays[r, c, 0]) * down, (rays[ra, c, 1] - rays[r, c, 1]) * down
                red, green, blue = 0.0, 0.0, 0.0
                for k in range(4):  # a turned square: two steps across, two down
                    e = -0.375 + 0.25 * k
                    f = -0.125 if k == 0 else (0.375 if k == 1 else (-0.375 if k == 2 else 0.125))
                    a = rays[r, c, 0] + e * au + f * bu
                    b = rays[r, c, 1] + e * av + f * bv
                    _ray(t, heights, place, soil, paints, shadow, sky, sky_place, sun, strength, turn, eye, per_pixel, a, b, colour)
                    red, green, blue = red + colour[0], green + colour[1], blue + colour[2]
                image[r, c, 0], image[r, c, 1], image[r, c, 2] = red / 4.0, green / 4.0, blue / 4.0


@njit(cache=True, fastmath=True, nogil=True)
def _ray(
    t: Tables, heights: Floats, place: Floats, soil: Soil, paints: Atlas, shadow: Shadow, sky: NDArray[np.float32], sky_place: Floats,
    sun: Floats, strength: float, turn: Floats, eye: Floats, per_pixel: float, a: float, b: float, colour: Floats,
) -> int:  # fmt: skip
    dx = turn[0, 0] * a + turn[1, 0] * b + turn[2, 0]
    dy = turn[0, 1] * a + turn[1, 1] * b + turn[2, 1]
    dz = turn[0, 2] * a + turn[1, 2] * b + turn[2, 2]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    key: int = _look(
        t, heights, place, soil, paints, shadow, sky, sky_place, sun, strength, per_pixel,
        eye[0], eye[1], eye[2], dx / length, dy / length, dz / length, colour,
    )  # fmt: skip
    return key


@lru_cache(maxsize=2)
def _rays(camera: Camera) -> NDArray[np.float32]:
    """The camera's rays `(rows, cols, 2)` with z = 1; solved once per camera, on every eighth pixel, and filled in smoothly."""
    step = 8
    us = np.arange(-step, camera.width_px + 2 * step, step) + 0.5
    vs = np.arange(-step, camera.height_px + 2 * step, step) + 0.5
    u, v = np.meshgrid(us, vs)
    coarse = camera.rays(np.column_stack([u.ravel(), v.ravel()]))[:, :2].reshape(len(vs), len(us), 2).astype(np.float32)
    cols = ((np.arange(camera.width_px) + step) / step).astype(np.float32)
    rows = ((np.arange(camera.height_px) + step) / step).astype(np.float32)
    at_u, at_v = np.meshgrid(cols, rows)
    return cv2.remap(coarse, at_u, at_v, cv2.INTER_CUBIC)


@lru_cache(maxsize=2)
def _falloff(camera: Camera) -> NDArray[np.float32]:
    """Light left `(rows, cols, 1)` towards the corners: half of the cos^4 law, as cameras correct the rest."""
    rays = _rays(camera)
    r2 = (rays**2).sum(axis=-1, keepdims=True)
    return ((1.0 + r2) ** -1.0).astype(np.float32)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    return np.random.default_rng(99).normal(0.0, 1.0, (1 << 21) + 7).astype(np.float32)


def render(scene: Scene, camera: Camera, pose: Pose, sun: Sun, *, exposure: float = 1.0, grain: float = 1.4, seed: int = 0) -> Photo:
    """A photo uint8 `(rows, cols, 3)` RGB of the scene from a pose in its metric frame (z over the ellipsoid).

    `exposure` multiplies the light, `grain` is the noise in grey levels. Raises SimulatorError for an eye below the ground.
    """
    if pose.z_m <= scene.ground_m(pose.x_m, pose.y_m):
        raise SimulatorError(f"the camera at {pose.x_m:.1f}, {pose.y_m:.1f} stands at {pose.z_m:.1f} m, below the ground there")
    eye = np.array([pose.x_m - scene.origin.x_m, pose.y_m - scene.origin.y_m, pose.z_m])
    light = np.empty((camera.height_px, camera.width_px, 3), np.float32)
    sky, sky_place = scene.sky
    _expose(
        scene.tables, scene.relief.heights, scene.relief.place, scene.soil, atlas(), scene.shadow(sun), sky, sky_place,
        np.array(sun.towards), sun.strength, _rays(camera), pose.matrix, eye, 1.0 / camera.focal_px, light,
    )  # fmt: skip
    return _develop(light, camera, exposure, grain, seed)


def _develop(light: NDArray[np.float32], camera: Camera, exposure: float, grain: float, seed: int) -> Photo:
    """Light to grey levels: blur of the glass, vignetting, tone curve, grain."""
    image = cv2.GaussianBlur(light, (3, 3), 0.45)
    image *= _falloff(camera) * np.float32(1.15 * exposure)
    np.divide(image, 1.0 + 0.18 * image, out=image)
    np.sqrt(np.clip(image, 0.0, 1.0, out=image), out=image)
    image *= 255.0
    if grain > 0.0:
        noise = _grain()
        start = int(np.random.default_rng(seed).integers(0, len(noise)))
        flat = image.reshape(-1)
        for low in range(0, flat.size, len(noise)):
            part = flat[low : low + len(noise)]
            part += np.roll(noise, -start)[: part.size] * np.float32(grain)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
