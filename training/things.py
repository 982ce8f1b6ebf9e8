"""Things that stand on painted ground: their heights and colours, drawn straight from above; metres, radians."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from training.ground import Plane, noise

STRUCTURES = ("flat", "gable", "hip", "ell", "mono", "barrel", "container", "ribbed")
"""What the network shall find; everything else is there to mislead it."""

ROOFS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "tile": ((150, 82, 62), (128, 70, 56), (168, 104, 78), (96, 92, 90), (74, 76, 80)),
    "shingle": ((120, 112, 102), (98, 94, 90), (140, 124, 108), (84, 80, 78), (160, 150, 136), (110, 90, 76), (132, 132, 134)),
    "concrete": ((186, 182, 174), (160, 158, 154), (205, 202, 196), (140, 138, 134), (228, 226, 222)),
    "steel": ((62, 104, 176), (92, 132, 190), (150, 58, 52), (200, 204, 208), (84, 140, 110), (230, 232, 234)),
}
COVERS = {
    "flat": ("concrete", "concrete", "shingle", "steel"),
    "gable": ("tile", "tile", "shingle", "steel"),
    "hip": ("shingle", "shingle", "tile"),
    "ell": ("shingle", "shingle", "tile"),
    "mono": ("steel", "tile", "concrete"),
    "barrel": ("steel", "concrete"),
    "container": ("steel",),
    "ribbed": ("steel", "steel", "concrete"),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing: centre (east, south), yaw of its length, size, colour; `seed` makes its texture the same on both dates."""

    kind: str
    x_m: float
    y_m: float
    yaw: float
    length_m: float
    width_m: float
    height_m: float
    colour: tuple[float, float, float]
    seed: int
    base_m: float = 0.0

    @property
    def is_structure(self) -> bool:
        """Whether its coming or going is a change of structure."""
        return self.kind in STRUCTURES


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is drawn so far: colours, heights over the ground, where structures stand."""

    colour: Plane
    height: Plane
    gsd_m: float

    def draw(self, thing: Thing, lean: tuple[float, float] = (0.0, 0.0)) -> None:
        """Put a thing on the canvas; with a lean (metres aside per metre of height) its roof moves off its foot and a wall shows."""
        dx, dy = lean[0] * (thing.height_m + thing.base_m), lean[1] * (thing.height_m + thing.base_m)
        if thing.is_structure and math.hypot(dx, dy) > self.gsd_m:
            self._wall(thing, dx, dy)
        part = window(thing, self.colour.shape[0], self.gsd_m, dx, dy)
        if part is None:
            return
        rows, cols = part
        v, u = np.mgrid[rows, cols]
        x, y = (u + 0.5) * self.gsd_m - thing.x_m - dx, (v + 0.5) * self.gsd_m - thing.y_m - dy
        c, s = math.cos(thing.yaw), math.sin(thing.yaw)
        along, across = x * c + y * s, -x * s + y * c
        rng = np.random.default_rng(thing.seed)
        height, colour, cover = shape(thing, along, across, rng)
        height = height + thing.base_m
        old, z = self.colour[rows, cols], self.height[rows, cols]
        cover = cover * (height >= z - 0.01)
        old += (colour - old) * cover[..., None]
        z[:] = np.where(cover > 0.5, np.maximum(z, height), z)

    def _wall(self, thing: Thing, dx: float, dy: float) -> None:
        rng = np.random.default_rng(thing.seed + 1)
        tone = np.asarray(thing.colour) * 0.3 + rng.uniform(60, 200)
        steps = max(2, math.ceil(math.hypot(dx, dy) / self.gsd_m))
        for t in np.linspace(0, 1, steps, endpoint=False):
            p = corners(thing, t * dx, t * dy) / self.gsd_m * 16
            cv2.fillConvexPoly(self.colour, np.round(p).astype(np.int32), tuple(float(v) for v in tone), cv2.LINE_8, 4)
            cv2.fillConvexPoly(self.height, np.round(p).astype(np.int32), t * thing.height_m, cv2.LINE_8, 4)


def corners(thing: Thing, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    """`(4, 2)` east, south metres."""
    c, s = math.cos(thing.yaw), math.sin(thing.yaw)
    half = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (thing.length_m / 2, thing.width_m / 2)
    return half @ np.array([(c, s), (-s, c)]) + (thing.x_m + dx, thing.y_m + dy)


def window(thing: Thing, size: int, gsd_m: float, dx: float, dy: float) -> tuple[slice, slice] | None:
    """The cells that the thing may touch; None when it lies outside."""
    reach = math.hypot(thing.length_m, thing.width_m) / 2 + gsd_m
    x0, x1 = (math.floor((thing.x_m + dx + r) / gsd_m) for r in (-reach, reach))
    y0, y1 = (math.floor((thing.y_m + dy + r) / gsd_m) for r in (-reach, reach))
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(size, x1 + 1), min(size, y1 + 1)
    return (slice(y0, y1), slice(x0, x1)) if x0 < x1 and y0 < y1 else None


def shape(t: Thing, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> tuple[Plane, Plane, Plane]:
    """(height, colour, cover 0..1) of a thing over its own axes."""
    a, b, h = t.length_m / 2, t.width_m / 2, t.height_m
    inside = (np.abs(u) <= a) & (np.abs(v) <= b)
    z = np.full(u.shape, h, np.float32)
    colour = np.broadcast_to(np.asarray(t.colour, np.float32), (*u.shape, 3)).copy()
    pitch = rng.uniform(0.25, 0.75)
    if t.kind == "gable":
        z = h - np.abs(v) * pitch
    elif t.kind == "hip":
        z = h - pitch * (b - np.minimum(b - np.abs(v), a - np.abs(u)))
    elif t.kind == "ell":
        # two wings of a corner, each hipped
        w = b * rng.uniform(0.45, 0.7)
        long = (np.abs(u) <= a) & (v <= -b + 2 * w)
        wing = (u >= a - 2 * w) & (np.abs(v) <= b)
        inside = (long | wing) & inside
        z1 = np.minimum(w - np.abs(v + b - w), a - np.abs(u))
        z2 = np.minimum(w - np.abs(u - a + w), b - np.abs(v))
        z = h - pitch * (w - np.maximum(np.where(long, z1, 0), np.where(wing, z2, 0)))
    elif t.kind == "mono":
        z = h - (v + b) * min(pitch, 0.25)
    elif t.kind == "barrel":
        z = h * np.sqrt(np.clip(1 - (v / b) ** 2, 0.04, 1))
    elif t.kind == "flat":
        rim = np.minimum(b - np.abs(v), a - np.abs(u)) < 0.3
        z = np.where(rim, h + rng.choice([0.0, 0.5, 0.9]), h)
        colour[rim] += rng.normal(0, 18)
    elif t.kind in ("crown", "bush"):
        r2 = (u / a) ** 2 + (v / b) ** 2
        lump = np.asarray(
            cv2.GaussianBlur(rng.standard_normal(u.shape).astype(np.float32), (0, 0), max(1.0, 0.05 * u.shape[0])), np.float32
        )
        lump /= max(float(lump.std()), 1e-6)
        inside = r2 < 1 + 0.25 * lump
        z = h * np.sqrt(np.clip(1.1 - r2, 0.05, 1)) + 0.12 * h * lump
        colour *= (1 + 0.12 * lump)[..., None]
    elif t.kind == "pile":
        r2 = (u / a) ** 2 + (v / b) ** 2
        inside, z = r2 < 1, h * np.clip(1 - np.sqrt(r2), 0.05, 1)
    elif t.kind == "car":
        glass = (np.abs(np.abs(u) - 0.42 * a) < 0.12 * a) & (np.abs(v) < 0.8 * b)
        colour[glass] = 40
        z = np.where(np.abs(u) < 0.55 * a, h, 0.6 * h)
    if t.kind in ("container", "ribbed", "mono") or (t.kind in ("gable", "hip", "ell", "flat") and rng.random() < 0.3):
        step = rng.uniform(0.25, 1.0)
        colour *= (1 + rng.uniform(0.0, 0.07) * np.sign(np.sin(u * 2 * math.pi / step)))[..., None]
    if t.is_structure or t.kind == "tarpaulin":
        size = max(u.shape)
        grain = noise(rng, size, max(1.0, size / 6)) * 0.035 + rng.standard_normal((size, size)).astype(np.float32) * 0.025
        colour *= (1 + grain[: u.shape[0], : u.shape[1]])[..., None]
    if t.kind == "flat":
        for _ in range(int(rng.integers(0, 6))):  # what stands on roofs: tanks, units, hatches
            x, y, r = rng.uniform(-a, a), rng.uniform(-b, b), rng.uniform(0.3, 1.2)
            on = (np.abs(u - x) < r) & (np.abs(v - y) < r * rng.uniform(0.5, 1))
            z = np.where(on, h + rng.uniform(0.4, 1.2), z)
            colour[on] = rng.uniform(60, 230)
    return z.astype(np.float32), colour.astype(np.float32), inside.astype(np.float32)


def roof_colour(rng: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """A colour that such a roof may have."""
    of = ROOFS[str(rng.choice(COVERS[kind]))]
    r, g, b = np.clip(np.asarray(of[int(rng.integers(len(of)))]) + rng.normal(0, 12) + rng.normal(0, 7, 3), 15, 245)
    return float(r), float(g), float(b)
