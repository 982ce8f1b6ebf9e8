"""Houses as blocks under roofs, drawn face by face on a picture from above: shadow, walls, then each face as the sun meets it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.camera import Sun
from training.ground import Plane

Points = NDArray[np.float64]
"""`(n, 3)` east, south, up in metres."""

SHIFT = 4
"""Bits behind the point in cv2's drawing."""


@dataclass(frozen=True, slots=True)
class Block:
    """A box of `length_m` x `width_m` with eaves at `eave_m` and a roof; `base_m` where it stands on another."""

    kind: str
    x_m: float
    y_m: float
    yaw: float
    length_m: float
    width_m: float
    eave_m: float
    pitch: float = 0.45

    def placed(self, local: Sequence[tuple[float, float, float]]) -> Points:
        """Points given along, across and up as points on the ground's axes."""
        p = np.asarray(local, np.float64)
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return np.column_stack([self.x_m + p[:, 0] * c - p[:, 1] * s, self.y_m + p[:, 0] * s + p[:, 1] * c, p[:, 2]])

    @property
    def plan(self) -> Points:
        """The four corners at the eaves."""
        a, b, h = self.length_m / 2, self.width_m / 2, self.eave_m
        return self.placed([(-a, -b, h), (a, -b, h), (a, b, h), (-a, b, h)])

    def faces(self) -> list[tuple[Points, tuple[float, float, float]]]:
        """The roof's faces with their normals (on the ground's axes, not of unit length)."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return [(self.placed(p), (u * c - v * s, u * s + v * c, 1.0)) for p, (u, v) in FACES[self.kind](self)]


Face = tuple[list[tuple[float, float, float]], tuple[float, float]]


def _hip(k: Block) -> list[Face]:
    a, b, h = k.length_m / 2, k.width_m / 2, k.eave_m
    r, top, n = max(a - b, 0.0), h + k.pitch * min(a, b), k.pitch
    return [
        ([(-a, -b, h), (a, -b, h), (r, 0, top), (-r, 0, top)], (0, -n)),
        ([(-a, b, h), (a, b, h), (r, 0, top), (-r, 0, top)], (0, n)),
        ([(a, -b, h), (a, b, h), (r, 0, top)], (n, 0)),
        ([(-a, -b, h), (-a, b, h), (-r, 0, top)], (-n, 0)),
    ]


def _gable(k: Block) -> list[Face]:
    a, b, h = k.length_m / 2, k.width_m / 2, k.eave_m
    top, n = h + k.pitch * b, k.pitch
    return [
        ([(-a, -b, h), (a, -b, h), (a, 0, top), (-a, 0, top)], (0, -n)),
        ([(-a, b, h), (a, b, h), (a, 0, top), (-a, 0, top)], (0, n)),
    ]


def _flat(k: Block) -> list[Face]:
    a, b, h = k.length_m / 2, k.width_m / 2, k.eave_m
    tilt = 0.0 if k.kind == "flat" else 0.12
    return [([(-a, -b, h), (a, -b, h), (a, b, h + 2 * b * tilt), (-a, b, h + 2 * b * tilt)], (0, -tilt))]


def _barrel(k: Block) -> list[Face]:
    a, b, h = k.length_m / 2, k.width_m / 2, k.eave_m
    turns = np.linspace(-1.2, 1.2, 6)
    v, z = b * np.sin(turns) / math.sin(1.2), h + b * 0.5 * (np.cos(turns) - math.cos(1.2))
    return [
        (
            [(-a, v[i], z[i]), (a, v[i], z[i]), (a, v[i + 1], z[i + 1]), (-a, v[i + 1], z[i + 1])],
            (0, math.tan((turns[i] + turns[i + 1]) / 3)),
        )
        for i in range(5)
    ]


FACES: dict[str, Callable[[Block], list[Face]]] = {
    "hip": _hip,
    "gable": _gable,
    "flat": _flat,
    "mono": _flat,
    "barrel": _barrel,
}


@dataclass(frozen=True, slots=True)
class House:
    """Blocks under roofs of one colour; `seed` makes its ribs, hatches and stains the same on both dates."""

    blocks: tuple[Block, ...]
    colour: tuple[float, float, float]
    cover: str
    seed: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture being drawn: `colour` float32 `(n, n, 3)`, `cell_m`, the sun, and how far a metre of height leans aside."""

    colour: Plane
    cell_m: float
    sun: Sun
    lean: tuple[float, float]

    def on(self, points: Points) -> NDArray[np.int32]:
        """Where points are seen, for cv2."""
        flat = points[:, :2] + points[:, 2:] * self.lean
        return np.round((flat / self.cell_m - 0.5) * (1 << SHIFT)).astype(np.int32)

    def shaded(self, mask: NDArray[np.uint8], points: Points) -> None:
        """Mark what points of a convex body, and the ground under them, keep from the sun."""
        away = np.array([math.cos(self.sun.azimuth), math.sin(self.sun.azimuth)]) / math.tan(self.sun.elevation)
        foot = points * (1, 1, 0)
        cast = foot.copy()
        cast[:, :2] -= points[:, 2:] * away
        cv2.fillConvexPoly(mask, cv2.convexHull(self.on(np.vstack([foot, cast]))), 1, cv2.LINE_8, SHIFT)

    def light(self, normal: tuple[float, float, float]) -> float:
        """How bright a face is against level ground."""
        s, n = self.sun, np.asarray(normal) / np.linalg.norm(normal)
        to = np.array(
            [math.cos(s.azimuth) * math.cos(s.elevation), math.sin(s.azimuth) * math.cos(s.elevation), math.sin(s.elevation)]
        )
        return float(s.dark + (1 - s.dark) * min(max(float(n @ to), 0.0) / to[2], 1.5))


def shadows(sheet: Sheet, houses: Sequence[House]) -> NDArray[np.uint8]:
    """Ground in the shade of houses, 0 or 1."""
    mask = np.zeros(sheet.colour.shape[:2], np.uint8)
    for house in houses:
        for block in house.blocks:
            sheet.shaded(mask, np.vstack([p for p, _ in block.faces()]))
    return mask


def draw(sheet: Sheet, house: House) -> None:
    """Walls and roofs."""
    rng = np.random.default_rng(house.seed)
    tone = np.asarray(house.colour, np.float32)
    wall = np.asarray(house.colour) * 0.25 + rng.uniform(50, 170) + rng.normal(0, 6, 3)
    leaning = math.hypot(*sheet.lean) > 0.03
    stain = rng.uniform(0.0, 0.05)
    for block in house.blocks:
        plan = block.plan
        if leaning:
            hull = cv2.convexHull(sheet.on(np.vstack([plan * (1, 1, 0), plan])))
            cv2.fillConvexPoly(sheet.colour, hull, tuple(map(float, wall)), cv2.LINE_AA, SHIFT)
        for points, normal in block.faces():
            colour = tone * sheet.light(normal) * (1 + rng.normal(0, stain))
            cv2.fillConvexPoly(sheet.colour, sheet.on(points), tuple(map(float, colour)), cv2.LINE_AA, SHIFT)
        _detail(sheet, house, block, rng)


def _detail(sheet: Sheet, house: House, block: Block, rng: np.random.Generator) -> None:
    """Ridges, ribs and skylights, parapets, and what stands on flat roofs."""
    a, b, h = block.length_m / 2, block.width_m / 2, block.eave_m
    tone = np.asarray(house.colour, np.float32)

    def line(p: tuple[float, float, float], q: tuple[float, float, float], gain: float) -> None:
        ends = sheet.on(block.placed([p, q]))
        colour = tuple(float(v) for v in np.clip(tone * gain, 0, 255))
        cv2.line(sheet.colour, ends[0].tolist(), ends[1].tolist(), colour, 1, cv2.LINE_AA, SHIFT)

    if house.cover in ("steel", "film") and block.kind != "hip":
        step, gain = rng.uniform(1.5, 7.0), 1 + rng.choice([-1, 1]) * rng.uniform(0.03, 0.14)
        for u in np.arange(-a + step, a, step):
            line((u, -b, h), (u, b, h), gain)
    if block.kind == "gable" and rng.random() < 0.5:
        line((-a, 0, h + block.pitch * b), (a, 0, h + block.pitch * b), 1.15)
    if block.kind == "flat":
        if rng.random() < 0.7:
            rim = sheet.on(block.plan).reshape(-1, 1, 2)
            colour = tuple(float(v) for v in np.clip(tone * rng.uniform(0.75, 1.25), 0, 255))
            cv2.polylines(sheet.colour, [rim], True, colour, 1, cv2.LINE_AA, SHIFT)
        for _ in range(int(rng.integers(0, 2 + int(a * b / 25)))):
            u, v = rng.uniform(-a, a) * 0.85, rng.uniform(-b, b) * 0.85
            w, d = rng.uniform(0.5, 1.8, 2)
            spot = sheet.on(block.placed([(u - w, v - d, h), (u + w, v - d, h), (u + w, v + d, h), (u - w, v + d, h)]))
            cv2.fillConvexPoly(sheet.colour, spot, (float(rng.uniform(50, 235)),) * 3, cv2.LINE_AA, SHIFT)


def covered(sheet: Sheet, houses: Sequence[House]) -> NDArray[np.uint8]:
    """Where roofs are seen, 0 or 1."""
    mask = np.zeros(sheet.colour.shape[:2], np.uint8)
    for house in houses:
        for block in house.blocks:
            hull = cv2.convexHull(sheet.on(np.vstack([p for p, _ in block.faces()])))
            cv2.fillConvexPoly(mask, hull, 1, cv2.LINE_8, SHIFT)
    return mask
