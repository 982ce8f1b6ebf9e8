"""How a place looks: sun and shadow over its heights, then the camera's colours, blur, compression and small errors of place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.ground import Plane, noise


@dataclass(frozen=True, slots=True)
class Sun:
    """Azimuth and elevation in radians (azimuth in picture axes: x east, y south); `dark` is what shade leaves of the light."""

    azimuth: float
    elevation: float
    dark: float


def lit(colour: Plane, height: Plane, sun: Sun, gsd_m: float, *, flat_is_lit: bool) -> Plane:
    """Colours `(n, n, 3)` under a sun: slopes turn to or from it, and what stands in its way casts shade.

    Light on flat ground is 1 when `flat_is_lit` (a real photo has its light already) and much the same otherwise.
    """
    smooth = cv2.GaussianBlur(height, (0, 0), 0.8)
    gx = np.clip(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / (8 * gsd_m)), -1.2, 1.2)
    gy = np.clip(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / (8 * gsd_m)), -1.2, 1.2)
    sx, sy, sz = (
        math.cos(sun.azimuth) * math.cos(sun.elevation),
        math.sin(sun.azimuth) * math.cos(sun.elevation),
        math.sin(sun.elevation),
    )
    cosine = np.clip((-gx * sx - gy * sy + sz) / np.sqrt(1 + gx * gx + gy * gy), 0, None) / sz
    direct = np.clip(cosine, 0, 1.6) * (1 - shade(height, sun, gsd_m))
    light = sun.dark + (1 - sun.dark) * direct
    if not flat_is_lit:
        light = light * 0.97
    cool = np.array([0.94, 1.0, 1.1], np.float32)  # the sky's light is blue
    tint = 1 + (cool - 1) * np.clip(1 - direct, 0, 1)[..., None]
    return (colour * light[..., None] * tint).astype(np.float32)


def shade(height: Plane, sun: Sun, gsd_m: float) -> Plane:
    """0..1: how far each cell lies in the shadow of what stands towards the sun."""
    top = float(height.max())
    out = np.zeros_like(height)
    if top < 0.2:
        return out
    size = height.shape[0]
    reach = min(top / math.tan(sun.elevation) / gsd_m, size / 2)
    step = max(1.0, reach / 60)
    rise = math.tan(sun.elevation) * gsd_m
    ways = np.arange(1.0, reach + 1, step)
    for d in ways:
        move = np.float32([[1, 0, -d * math.cos(sun.azimuth)], [0, 1, -d * math.sin(sun.azimuth)]])
        there = cv2.warpAffine(height, move, (size, size), flags=cv2.INTER_NEAREST)
        np.maximum(out, (there - d * rise > height + 0.15).astype(np.float32), out=out)
    return np.asarray(cv2.GaussianBlur(out, (0, 0), 0.7), np.float32)


def seen(
    rng: np.random.Generator, pictures: list[Plane], label: NDArray[np.uint8], dz: Plane, sigma: Plane, *, astray: float = 4.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], Plane, Plane]:
    """Two cameras: colour casts (0.8..1.25), gamma (0.6..1.6), haze, blur, grain, JPEG; the later one out of place by up to `astray` cells."""
    size = label.shape[0]
    out = []
    hard = rng.random() < 0.7
    for picture in pictures:
        p = np.clip(picture, 0, 255) / 255
        reach = 1.0 if hard else 0.3
        p = p ** np.exp(rng.uniform(math.log(0.6), math.log(1.6)) * reach)
        p = p * np.exp((rng.uniform(math.log(0.8), math.log(1.25)) + rng.normal(0, 0.07, 3)) * reach)
        p = p + (rng.uniform(0.0, 0.25) * reach) * (rng.uniform(0.5, 0.9, 3) - p)
        if rng.random() < 0.3:  # grey light
            grey = p.mean(-1, keepdims=True)
            p = grey + (p - grey) * rng.uniform(0.3, 1.2)
        if rng.random() < 0.7:
            p = cv2.GaussianBlur(p.astype(np.float32), (0, 0), rng.uniform(0.3, 1.4))
        p = p + rng.normal(0, rng.uniform(0.0, 0.03), p.shape)
        out.append(np.clip(p * 255, 0, 255).astype(np.uint8))
    shift = rng.uniform(-astray, astray, 2) * rng.random()
    bend = np.stack([noise(rng, size, size / 3) for _ in range(2)]) * rng.uniform(0, 0.3 * astray)
    v, u = np.mgrid[:size, :size].astype(np.float32)
    out[1] = cv2.remap(
        out[1],
        u + np.float32(shift[0]) + bend[0],
        v + np.float32(shift[1]) + bend[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    for i in (0, 1):
        if rng.random() < 0.6:
            _, data = cv2.imencode(".jpg", out[i], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 96))])
            out[i] = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return out[0], out[1], label, dz, sigma


@dataclass(frozen=True, slots=True)
class Real:
    """Two looks at one real unchanged place, float32 `(n, n, 3)`, and the sun that lit it (as far as its shadows tell)."""

    before: Plane
    after: Plane
    gsd_m: float
    sun: Sun


class Backgrounds:
    """Real unchanged pairs: neighbouring photos of one flight laid on each other; nobody built anything in two seconds."""

    def __init__(self, folder: Path) -> None:
        self.pairs = [np.load(p) for p in sorted(folder.glob("*.npy"))]
        """uint8 `(2, rows, cols, 3)` each, at 5 cm."""
        if not self.pairs:
            raise FileNotFoundError(f"no background pairs in {folder}: run `python -m training backgrounds` first")

    def draw(self, rng: np.random.Generator, size: int) -> Real:
        """A random piece, turned and scaled to 10 to 20 cm."""
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        gsd = float(rng.uniform(0.06, 0.14))
        n = math.ceil(size * gsd / 0.05)
        rows, cols = pair.shape[1:3]
        n = min(n, rows, cols)
        r, c = int(rng.integers(rows - n + 1)), int(rng.integers(cols - n + 1))
        turn, flip = int(rng.integers(4)), rng.random() < 0.5
        parts = []
        for picture in pair if rng.random() < 0.5 else pair[::-1]:
            p = cv2.resize(picture[r : r + n, c : c + n], (size, size), interpolation=cv2.INTER_AREA)
            p = np.rot90(p, turn)
            parts.append(np.ascontiguousarray(p[:, ::-1] if flip else p).astype(np.float32))
        sun = Sun(float(rng.uniform(0, 2 * math.pi)), math.radians(60), 0.5)
        return Real(parts[0], parts[1], n * 0.05 / size, sun)
