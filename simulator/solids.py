"""Solids: convex bodies of a few planes and crowns of a few balls, collected in one book and pressed into flat tables.

Everything is in the town's local metres: x east, y north, z up. A face has a material, a tint and its own texture axes. All that
stands in the town is built from the handful of shapes below; `tracer` reads the tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats

Rgb = tuple[float, float, float]
Point = tuple[float, float]
WHITE: Rgb = (1.0, 1.0, 1.0)
CELL_M = 2.0
BAY_M = 3.0  # from window to window, as the wall textures have it


@dataclass(frozen=True, slots=True)
class Skin:
    """How a face looks: a layer of the texture atlas, multiplied by a tint; `free` textures may start anywhere."""

    layer: int
    tint: Rgb = WHITE
    free: bool = True


class Tables(NamedTuple):
    """The book pressed flat. Planes hold points p with n . p <= d."""

    planes: NDArray[np.float32]  # (faces, 4) nx ny nz d
    axes: NDArray[np.float32]  # (faces, 8) u: ux uy uz u0, v: vx vy vz v0
    tints: NDArray[np.float32]  # (faces, 3)
    layers: NDArray[np.int32]  # (faces,)
    balls: NDArray[np.float32]  # (balls, 4) x y z radius
    crown: NDArray[np.int32]  # (bodies,) 1: a crown of balls, 0: a convex body
    first: NDArray[np.int32]  # (bodies,) into faces or balls
    many: NDArray[np.int32]
    boxes: NDArray[np.float32]  # (bodies, 6) x0 y0 z0 x1 y1 z1
    body_tint: NDArray[np.float32]  # (bodies, 3) of crowns
    cell_first: NDArray[np.int32]  # (cells + 1,)
    cell_body: NDArray[np.int32]
    cell_top: NDArray[np.float32]  # (cells,)
    grid: NDArray[np.float64]  # west, south, cell size, columns, rows, highest top


@dataclass(slots=True)
class Book:
    """Collects solids; mutable on purpose, for it lives only while a scene is being built."""

    faces: list[tuple[float, ...]] = field(default_factory=list)  # plane 4, axes 8, tint 3, layer 1
    balls: list[tuple[float, float, float, float]] = field(default_factory=list)
    bodies: list[tuple[int, int, int]] = field(default_factory=list)  # crown, first, count
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    tints: list[Rgb] = field(default_factory=list)

    def hull(
        self, corners: Sequence[tuple[float, float, float]], sides: Sequence[tuple[Sequence[int], Skin]], shift: Point
    ) -> None:
        """A convex body by its corners and its faces (indices counter-clockwise from outside); `shift` starts free textures."""
        points = np.array(corners, dtype=np.float64)
        middle = points.mean(axis=0)
        start = len(self.faces)
        base = float(points[:, 2].min())
        for index, (ring, skin) in enumerate(sides):
            a, b, c = points[ring[0]], points[ring[1]], points[ring[2]]
            normal = np.cross(b - a, c - a)
            length = float(np.linalg.norm(normal))
            if length < 1e-9:
                continue
            normal /= length
            if normal @ (middle - a) > 0:
                normal = -normal
            u = np.array([-normal[1], normal[0], 0.0])
            flat = float(np.hypot(u[0], u[1]))
            if flat < 1e-3:  # a flat top: along the longest side
                edges = points[[*ring[1:], ring[0]]] - points[list(ring)]
                u = edges[int(np.argmax((edges**2).sum(axis=1)))]
                flat = float(np.linalg.norm(u))
            u = u / flat
            v = np.cross(normal, u)
            if skin.free:
                u0, v0 = shift[0] + 3.7 * index, shift[1] + 5.3 * index
            else:  # walls: whole window bays along the foot, floors counted from the base
                foot = float(np.linalg.norm(b - a))
                u = u * (max(1, round(foot / BAY_M)) * BAY_M / foot)
                u0, v0 = -float(u @ a), -base
            self.faces.append((*normal, float(normal @ a), *u, u0, *v, v0, *skin.tint, float(skin.layer)))
        self._body(0, start, len(self.faces) - start, points.min(axis=0), points.max(axis=0), WHITE)

    def prism(self, ring: Sequence[Point], z0: float, z1: float, wall: Skin, top: Skin, shift: Point = (0.0, 0.0)) -> None:
        """A convex ground ring (counter-clockwise) drawn up from `z0` to `z1`."""
        n = len(ring)
        corners = [(x, y, z0) for x, y in ring] + [(x, y, z1) for x, y in ring]
        sides: list[tuple[Sequence[int], Skin]] = [((i, (i + 1) % n, n + (i + 1) % n, n + i), wall) for i in range(n)]
        sides.append((tuple(range(n, 2 * n)), top))
        self.hull(corners, sides, shift)

    def gable(self, ring: Sequence[Point], z0: float, z1: float, roof: Skin, end: Skin, shift: Point = (0.0, 0.0)) -> None:
        """A saddle roof over a rectangle; the ridge runs along the side from corner 0 to corner 1."""
        a, b, c, d = ring
        m0, m1 = _middle(a, d), _middle(b, c)
        corners = [(*p, z0) for p in ring] + [(*m0, z1), (*m1, z1)]
        sides = [((0, 1, 5, 4), roof), ((2, 3, 4, 5), roof), ((1, 2, 5), end), ((3, 0, 4), end), ((0, 3, 2, 1), end)]
        self.hull(corners, sides, shift)

    def hip(self, ring: Sequence[Point], z0: float, z1: float, roof: Skin, shift: Point = (0.0, 0.0)) -> None:
        """A hipped roof over a rectangle, the ridge along the side from corner 0 to corner 1."""
        a, b, c, d = ring
        long_m, short_m = math.dist(a, b), math.dist(b, c)
        share = min(0.48, 0.5 * short_m / long_m)
        m0, m1 = _middle(a, d), _middle(b, c)
        r0 = (m0[0] + (m1[0] - m0[0]) * share, m0[1] + (m1[1] - m0[1]) * share)
        r1 = (m1[0] + (m0[0] - m1[0]) * share, m1[1] + (m0[1] - m1[1]) * share)
        corners = [(*p, z0) for p in ring] + [(*r0, z1), (*r1, z1)]
        sides = [((0, 1, 5, 4), roof), ((2, 3, 4, 5), roof), ((1, 2, 5), roof), ((3, 0, 4), roof), ((0, 3, 2, 1), roof)]
        self.hull(corners, sides, shift)

    def shed_roof(self, ring: Sequence[Point], z0: float, low: float, high: float, wall: Skin, roof: Skin, shift: Point) -> None:
        """A box whose top leans from `high` over side 2-3 down to `low` over side 0-1."""
        tops = (low, low, high, high)
        corners = [(*p, z0) for p in ring] + [(*p, z) for p, z in zip(ring, tops, strict=True)]
        sides: list[tuple[Sequence[int], Skin]] = [((i, (i + 1) % 4, 4 + (i + 1) % 4, 4 + i), wall) for i in range(4)]
        sides.append(((4, 5, 6, 7), roof))
        self.hull(corners, sides, shift)

    def frustum(
        self, low: Sequence[Point], z0: float, high: Sequence[Point], z1: float, wall: Skin, top: Skin, shift: Point
    ) -> None:
        """A body between two rings of the same number of corners: car cabins, heaps of sand."""
        n = len(low)
        corners = [(*p, z0) for p in low] + [(*p, z1) for p in high]
        sides: list[tuple[Sequence[int], Skin]] = [((i, (i + 1) % n, n + (i + 1) % n, n + i), wall) for i in range(n)]
        sides.append((tuple(range(n, 2 * n)), top))
        self.hull(corners, sides, shift)

    def tree(self, balls: Floats, tint: Rgb) -> None:
        """A crown of balls `(n, 4)`."""
        start = len(self.balls)
        self.balls.extend((float(x), float(y), float(z), float(r)) for x, y, z, r in balls)
        low = (balls[:, :3] - balls[:, 3:]).min(axis=0)
        high = (balls[:, :3] + balls[:, 3:]).max(axis=0)
        self._body(1, start, len(balls), low, high, tint)

    def _body(self, crown: int, first: int, count: int, low: Floats, high: Floats, tint: Rgb) -> None:
        self.bodies.append((crown, first, count))
        self.boxes.append((*low, *high))
        self.tints.append(tint)

    def press(self, west: float, south: float, east: float, north: float) -> Tables:
        """The flat tables, with every body listed in each grid cell that its box touches."""
        faces = np.array(self.faces, dtype=np.float64).reshape(-1, 16)
        boxes = np.array(self.boxes, dtype=np.float64).reshape(-1, 6)
        bodies = np.array(self.bodies, dtype=np.int32).reshape(-1, 3)
        cols, rows = math.ceil((east - west) / CELL_M), math.ceil((north - south) / CELL_M)
        lists: list[list[int]] = [[] for _ in range(rows * cols)]
        tops = np.full(rows * cols, -1e9, dtype=np.float64)
        for body, (x0, y0, _, x1, y1, z1) in enumerate(boxes):
            c0, c1 = max(0, int((x0 - west) // CELL_M)), min(cols - 1, int((x1 - west) // CELL_M))
            r0, r1 = max(0, int((y0 - south) // CELL_M)), min(rows - 1, int((y1 - south) // CELL_M))
            for row in range(r0, r1 + 1):
                for col in range(c0, c1 + 1):
                    lists[row * cols + col].append(body)
                    tops[row * cols + col] = max(tops[row * cols + col], z1)
        for cell in lists:  # highest first: what is seen from above ends the search soonest
            cell.sort(key=lambda body: -boxes[body, 5])
        first = np.zeros(rows * cols + 1, dtype=np.int32)
        first[1:] = np.cumsum([len(cell) for cell in lists])
        flat = np.array([body for cell in lists for body in cell], dtype=np.int32)
        highest = float(boxes[:, 5].max()) if len(boxes) else -1e9
        return Tables(
            planes=faces[:, :4].astype(np.float32),
            axes=faces[:, 4:12].astype(np.float32),
            tints=faces[:, 12:15].astype(np.float32),
            layers=faces[:, 15].astype(np.int32),
            balls=np.array(self.balls, dtype=np.float32).reshape(-1, 4),
            crown=np.ascontiguousarray(bodies[:, 0]),
            first=np.ascontiguousarray(bodies[:, 1]),
            many=np.ascontiguousarray(bodies[:, 2]),
            boxes=boxes.astype(np.float32),
            body_tint=np.array(self.tints, dtype=np.float32).reshape(-1, 3),
            cell_first=first,
            cell_body=flat if len(flat) else np.zeros(1, dtype=np.int32),
            cell_top=tops.astype(np.float32),
            grid=np.array([west, south, CELL_M, cols, rows, highest]),
        )


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def rectangle(x: float, y: float, yaw: float, length: float, width: float) -> tuple[Point, Point, Point, Point]:
    """Corners counter-clockwise; `yaw` in radians counter-clockwise from east is where the length points; side 0-1 is the front (-v)."""
    c, s = math.cos(yaw), math.sin(yaw)
    half = ((-length / 2, -width / 2), (length / 2, -width / 2), (length / 2, width / 2), (-length / 2, width / 2))
    a, b, d, e = ((x + u * c - v * s, y + u * s + v * c) for u, v in half)
    return a, b, d, e
