"""Painted ground: materials in blotches, fields, streets and water, in two seasons; colours are 0..255 floats, sizes metres."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""`(rows, cols)` or `(rows, cols, 3)` float32."""

MATERIALS: dict[str, tuple[tuple[int, int, int], int, float]] = {
    # name: (mean red green blue, how far the whole patch may differ, how rough it is within)
    "lawn": ((96, 118, 70), 22, 0.10),
    "dry_grass": ((150, 140, 104), 24, 0.10),
    "soil": ((158, 132, 104), 32, 0.08),
    "sand": ((196, 180, 150), 24, 0.05),
    "woods": ((58, 76, 48), 18, 0.28),
    "bare_woods": ((118, 106, 92), 18, 0.24),
    "asphalt": ((112, 112, 114), 30, 0.05),
    "concrete": ((188, 184, 174), 26, 0.04),
    "field": ((120, 126, 76), 34, 0.07),
    "gravel": ((150, 146, 138), 26, 0.09),
}
SEASONS = {
    "lawn": "dry_grass",
    "dry_grass": "lawn",
    "woods": "bare_woods",
    "bare_woods": "woods",
    "field": "soil",
    "soil": "field",
}


def noise(rng: np.random.Generator, size: int, cells: float) -> Plane:
    """Smooth noise of mean 0 and deviation about 1 whose blotches are `cells` wide."""
    n = max(2, math.ceil(size / max(cells, 1.0)) + 2)
    coarse = rng.standard_normal((min(n, size), min(n, size))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def material(rng: np.random.Generator, name: str, size: int, gsd_m: float) -> Plane:
    """A patch of one material over the whole picture."""
    mean, spread, rough = MATERIALS[name]
    colour = np.asarray(mean, np.float32) + rng.normal(0, spread / 2) + rng.normal(0, spread / 5, 3).astype(np.float32)
    tone = sum(noise(rng, size, w / gsd_m) * a for w, a in ((12.0, 0.4), (3.0, 0.5), (0.8, 0.6), (0.2, 0.5)))
    if name == "field":
        v, u = np.mgrid[:size, :size] * gsd_m
        turn = rng.uniform(0, math.pi)
        tone = tone + 0.8 * np.sin((u * math.cos(turn) + v * math.sin(turn)) * 2 * math.pi / rng.uniform(0.5, 2.5))
    hue = noise(rng, size, 6.0 / gsd_m)[..., None] * rng.normal(0, 0.013, 3).astype(np.float32)
    return np.asarray(colour * (1 + rough * np.asarray(tone)[..., None] + hue), np.float32)


def blotches(rng: np.random.Generator, size: int, gsd_m: float, width_m: float, share: float) -> Plane:
    """A soft-edged mask 0..1 that covers about `share`."""
    values = noise(rng, size, width_m / gsd_m) + 0.3 * noise(rng, size, width_m / gsd_m / 4)
    edge = float(np.quantile(values, 1 - share))
    return np.asarray(np.clip((values - edge) * rng.uniform(2, 12) + 0.5, 0, 1), np.float32)


def over(below: Plane, above: Plane, mask: Plane) -> Plane:
    """`above` laid over `below` where the mask says so."""
    return below + (above - below) * mask[..., None]


def pair(rng: np.random.Generator, size: int, gsd_m: float, *, rebuilt: bool) -> tuple[Plane, Plane]:
    """The ground on two dates; `rebuilt` ground has become something else meanwhile, in part or whole: earthworks, lawns, fields."""
    names = list(rng.choice(list(MATERIALS), 3))
    width = float(np.exp(rng.uniform(math.log(5), math.log(60))))
    masks = [blotches(rng, size, gsd_m, width, rng.uniform(0.1, 0.6)) for _ in names[1:]]

    def painted(what: list[str], seed: int) -> Plane:
        own = np.random.default_rng(seed)
        out = material(own, what[0], size, gsd_m)
        for name, mask in zip(what[1:], masks, strict=True):
            out = over(out, material(own, name, size, gsd_m), mask)
        return out

    seed = int(rng.integers(1 << 30))
    before = painted(names, seed)
    turned = rng.random() < 0.4
    later = [SEASONS.get(n, n) if turned and rng.random() < 0.7 else n for n in names]
    after = painted(later, seed if later == names else seed + 1)
    if later == names and rng.random() < 0.5:  # the same ground, damp or dry in places
        after = after * (1 + 0.08 * noise(rng, size, width / gsd_m)[..., None])
    if rebuilt:
        new = material(
            rng, str(rng.choice(["soil", "sand", "lawn", "dry_grass", "gravel", "concrete", "asphalt", "field"])), size, gsd_m
        )
        share = rng.choice([1.0, rng.uniform(0.2, 0.8)])
        after = new if share == 1.0 else over(after, new, blotches(rng, size, gsd_m, max(width, 15.0), share))
    return before, after


def line(size: int, gsd_m: float, points: NDArray[np.float64], width_m: float) -> Plane:
    """A mask 0..1 of a strip along `(n, 2)` points (east, south metres)."""
    mask = np.zeros((size, size), np.uint8)
    p = np.round(points / gsd_m * 16).astype(np.int32)
    cv2.polylines(mask, [p.reshape(-1, 1, 2)], False, 255, max(1, round(width_m / gsd_m)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255
