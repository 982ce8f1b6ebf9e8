"""The ground painted from above: fields, roads, yards and what lies on them, as one picture of 5 cm per pixel.

A `Patch` is a polygon with a look; later patches lie over earlier ones. Grain, stains and rows of plants come from noise at all
scales, so that no two places look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulator.solids import Point, Rgb
from simulator.textures import noise, shrunk

TEXEL_M = 0.05


class Look(IntEnum):
    """What the ground is."""

    GRASS = 0
    DIRT = 1
    ASPHALT = 2
    CONCRETE = 3
    PAVERS = 4
    CROP = 5
    WATER = 6
    LINE = 7
    COURT = 8
    GRAVEL = 9


#                 red   green  blue  grain handwide stride field soft
_LOOKS = np.array(
    [
        [0.37, 0.41, 0.25, 0.22, 0.20, 0.13, 0.12, 1.0],  # GRASS
        [0.55, 0.46, 0.35, 0.13, 0.12, 0.14, 0.16, 1.0],  # DIRT
        [0.37, 0.37, 0.38, 0.13, 0.06, 0.07, 0.10, 0.0],  # ASPHALT
        [0.66, 0.64, 0.60, 0.10, 0.07, 0.10, 0.10, 0.0],  # CONCRETE
        [0.60, 0.54, 0.50, 0.09, 0.08, 0.07, 0.10, 0.0],  # PAVERS
        [0.42, 0.36, 0.27, 0.15, 0.16, 0.12, 0.14, 0.6],  # CROP (the soil between the rows)
        [0.20, 0.27, 0.23, 0.03, 0.03, 0.05, 0.10, 0.6],  # WATER
        [0.88, 0.87, 0.82, 0.10, 0.14, 0.08, 0.06, 0.0],  # LINE
        [0.24, 0.42, 0.36, 0.06, 0.05, 0.07, 0.10, 0.0],  # COURT
        [0.58, 0.56, 0.52, 0.26, 0.14, 0.10, 0.12, 0.8],  # GRAVEL
    ]
)


@dataclass(frozen=True, slots=True)
class Patch:
    """A polygon of ground (local metres). `way` is where crop rows and slabs run, radians; `growth` 0..1 how green a crop stands."""

    ring: tuple[Point, ...]
    look: Look
    tint: Rgb = (1.0, 1.0, 1.0)
    way: float = 0.0
    growth: float = 0.5
    spacing_m: float = 0.6
    per_day: float = 0.0  # what `growth` gains each day


class Soil(NamedTuple):
    """The painted ground in four sizes, row 0 in the south; `place` is west, south, texel of the largest."""

    full: NDArray[np.uint8]
    half: NDArray[np.uint8]
    quarter: NDArray[np.uint8]
    eighth: NDArray[np.uint8]
    place: NDArray[np.float64]


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _paint(
    ids: NDArray[np.uint16],
    looks: NDArray[np.float64],
    patches: NDArray[np.float64],
    grains: NDArray[np.float32],
    out: NDArray[np.uint8],
    row0: int,
    rows: int,
) -> None:
    size = grains.shape[1] - 1
    cols = ids.shape[1]
    for r in range(row0, row0 + rows):
        for c in range(cols):
            wander = grains[2, (r * 2) & size, (c * 2) & size]
            drift = grains[2, (c * 2 + 517) & size, (r * 2 + 131) & size]
            p = ids[r, c]
            rr = min(max(int(r + wander * 9.0), 0), ids.shape[0] - 1)
            cc = min(max(int(c + drift * 9.0), 0), cols - 1)
            q = ids[rr, cc]
            if q != p and patches[q, 9] > 0.0 and patches[p, 9] > 0.0:
                p = q  # soft edges wander into each other
            look = int(patches[p, 0])
            fine = grains[0, r & size, c & size] + grains[0, (r * 3 + c + 77) & size, (c * 3 - r) & size]
            # the same noise read straight and turned: the sum repeats nowhere in the town
            hand = (
                0.65 * grains[1, r & size, c & size]
                + 0.65 * grains[1, ((r * 3 + c * 4) >> 2) & size, ((c * 3 - r * 4) >> 2) & size]
            )
            stride = 0.65 * grains[2, (r + 200) & size, (c + 300) & size]
            stride += 0.65 * grains[2, ((r * 2 + c * 3) >> 2) & size, ((c * 2 - r * 3) >> 2) & size]
            field = grains[3, (r >> 2) & size, (c >> 2) & size]
            value = 1.0 + fine * 0.5 * looks[look, 3] + hand * looks[look, 4] + stride * looks[look, 5] + field * looks[look, 6]
            red, green, blue = looks[look, 0], looks[look, 1], looks[look, 2]
            x, y = c * 0.05, r * 0.05
            along = x * patches[p, 4] + y * patches[p, 5]
            across = -x * patches[p, 5] + y * patches[p, 4]
            if look == 5:
                spacing = patches[p, 7]
                row = across / spacing
                inside = abs(row - np.floor(row) - 0.5) * 2.0
                plant = patches[p, 6] * 1.35 - inside + 0.55 * hand + 0.35 * fine + 0.25 * stride
                if plant > 0.0:
                    k = min(1.0, plant * 3.0)
                    leaf = 1.0 + 0.45 * hand + 0.3 * fine
                    red = red * (1 - k) + 0.29 * leaf * k
                    green = green * (1 - k) + 0.40 * leaf * k
                    blue = blue * (1 - k) + 0.22 * leaf * k
            elif look == 3:
                if along - np.floor(along / 4.0) * 4.0 < 0.05 or across - np.floor(across / 4.0) * 4.0 < 0.05:
                    value *= 0.78
                slab = grains[0, int(np.floor(along / 4.0)) & size, int(np.floor(across / 4.0)) & size]
                value *= 1.0 + 0.08 * slab
            elif look == 4:
                brick = grains[0, int(np.floor(along / 0.4)) & size, int(np.floor(across / 0.2)) & size]
                value *= 1.0 + 0.14 * brick
            elif look == 0:
                dry = max(0.0, 0.7 * stride + 0.7 * field)
                red += 0.09 * dry
                green += 0.02 * dry
            elif look == 7 and hand + fine * 0.6 > 0.75:
                red, green, blue = 0.45, 0.45, 0.45  # worn away
            elif look == 9:
                value *= 1.0 + 0.22 * fine
            for k in range(3):
                colour = red if k == 0 else (green if k == 1 else blue)
                shade = colour * patches[p, 1 + k] * value * 255.0
                out[r, c, k] = np.uint8(min(255.0, max(0.0, shade)))


@njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def _blot(out: NDArray[np.uint8], blots: NDArray[np.float64]) -> None:
    rows, cols = out.shape[0], out.shape[1]
    for i in range(blots.shape[0]):
        x, y, size, shape, way, strength = blots[i, 0], blots[i, 1], blots[i, 2], blots[i, 3], blots[i, 4], blots[i, 5]
        reach = int(size * max(1.0, shape)) + 2
        cs, sn = np.cos(way), np.sin(way)
        for r in range(max(0, int(y) - reach), min(rows, int(y) + reach + 1)):
            for c in range(max(0, int(x) - reach), min(cols, int(x) + reach + 1)):
                u = (c - x) * cs + (r - y) * sn
                v = (-(c - x) * sn + (r - y) * cs) / shape
                k = (1.3 - np.sqrt(u * u + v * v) / size) * 2.0
                if k > 0.0:
                    k = min(1.0, k) * strength
                    for b in range(3):
                        out[r, c, b] = np.uint8(out[r, c, b] * (1.0 - k) + blots[i, 6 + b] * 255.0 * k)


def _grains(rng: np.random.Generator) -> NDArray[np.float32]:
    stack = np.stack([noise(rng, 1024), noise(rng, 256), noise(rng, 44), noise(rng, 30)])
    return (stack / np.array([1.0, 0.75, 0.75, 0.75], np.float32)[:, None, None]).astype(np.float32)


def _litter(rng: np.random.Generator, rows: int, cols: int) -> NDArray[np.float64]:
    """Stones, leaves, oil, damp and paper: what gives real ground its corners."""
    square_m = rows * cols * TEXEL_M**2
    small, large = int(square_m * 0.28), int(square_m * 0.035)
    n = small + large
    size = np.concatenate([rng.uniform(0.7, 3.0, small), rng.uniform(4.0, 28.0, large)])
    strength = np.concatenate([rng.uniform(0.3, 0.95, small), rng.uniform(0.06, 0.34, large)])
    colours = np.array(
        [[0.2, 0.19, 0.17], [0.75, 0.73, 0.7], [0.3, 0.33, 0.18], [0.5, 0.4, 0.28], [0.9, 0.9, 0.88], [0.15, 0.15, 0.16]]
    )
    chosen = colours[rng.choice(6, n, p=[0.28, 0.18, 0.2, 0.2, 0.04, 0.1])] * rng.uniform(0.8, 1.2, (n, 1))
    columns = (rng.uniform(0, cols, n), rng.uniform(0, rows, n), size, rng.uniform(0.4, 1.6, n), rng.uniform(0, 3.2, n), strength)
    return np.column_stack([*columns, np.clip(chosen, 0, 1)])


def paint(patches: Sequence[Patch], extent: tuple[float, float, float, float], seed: int, day: int) -> Soil:
    """The ground over `extent` (west, south, east, north in local metres).

    The same seed gives the same grain; a third of the small litter is another one on every day.
    """
    west, south, east, north = extent
    cols, rows = round((east - west) / TEXEL_M), round((north - south) / TEXEL_M)
    ids = np.zeros((rows, cols), np.uint16)
    table = np.zeros((len(patches) + 1, 10))
    table[0] = (Look.GRASS, 1, 1, 1, 1, 0, 0.5, 0.6, 0, 1)
    for index, patch in enumerate(patches, start=1):
        c, s = float(np.cos(patch.way)), float(np.sin(patch.way))
        soft = _LOOKS[patch.look, 7]
        table[index] = (patch.look, *patch.tint, c, s, patch.growth, patch.spacing_m, 0, soft)
        ring = (np.array(patch.ring) - (west, south)) / TEXEL_M - 0.5
        cv2.fillPoly(ids, [np.round(ring * 16).astype(np.int32)], index, shift=4)
    rng = np.random.default_rng([seed, 5])
    grains = _grains(rng)
    full = np.empty((rows, cols, 3), np.uint8)
    _paint(ids, _LOOKS, table, grains, full, 0, rows)
    lasting = _litter(rng, rows, cols)
    passing = _litter(np.random.default_rng([seed, 6, day + 1000]), rows, cols)
    _blot(full, np.vstack([lasting[: len(lasting) * 2 // 3], lasting[-len(lasting) // 9 :], passing[: len(passing) // 3]]))
    half = shrunk(full)
    quarter = shrunk(half)
    return Soil(full, half, quarter, shrunk(quarter), np.array([west, south, TEXEL_M]))
