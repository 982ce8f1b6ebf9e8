"""Blocks: what a small town puts between its streets: homes with yards, slabs of flats, workshops, fields, a court.

Everything is laid out on straight (u, v) axes, u east and v north, and then bent a little by `Bend`, so that streets curve and
nothing lines up with the picture. A `Slot` is a free place where something may be built later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simulator.soil import Look, Patch
from simulator.solids import Point, Rgb
from simulator.things import Thing

Ground = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Bend:
    """A gentle bend and turn of the straight plan; `turn` in radians counter-clockwise."""

    turn: float
    phase_u: float
    phase_v: float
    sway_m: float = 4.0

    def at(self, u: float, v: float) -> Point:
        """Local metres of a place of the plan."""
        x = u + self.sway_m * math.sin(v / 62.0 + self.phase_v)
        y = v + self.sway_m * math.sin(u / 71.0 + self.phase_u)
        c, s = math.cos(self.turn), math.sin(self.turn)
        return x * c - y * s, x * s + y * c

    def yaw(self, u: float) -> float:
        """Where u points there, radians counter-clockwise from east."""
        return self.turn + math.atan(self.sway_m / 71.0 * math.cos(u / 71.0 + self.phase_u))

    def box(self, u0: float, v0: float, u1: float, v1: float) -> tuple[Point, ...]:
        """A rectangle of the plan as a bent ring, with a corner every few metres."""
        nu, nv = max(1, round(abs(u1 - u0) / 5)), max(1, round(abs(v1 - v0) / 5))
        side_u, side_v = np.linspace(u0, u1, nu + 1), np.linspace(v0, v1, nv + 1)
        ring = [(float(u), v0) for u in side_u[:-1]] + [(u1, float(v)) for v in side_v[:-1]]
        ring += [(float(u), v1) for u in side_u[:0:-1]] + [(u0, float(v)) for v in side_v[:0:-1]]
        return tuple(self.at(u, v) for u, v in ring)


@dataclass(frozen=True, slots=True)
class Slot:
    """A free rectangle: in a `yard` (its north side touches the house), on a `roof`, an `open` place or a building `plot`."""

    kind: str
    x: float
    y: float
    yaw: float
    length_m: float
    width_m: float
    base_m: float


@dataclass(slots=True)
class Layout:
    """The plan while it is being drawn: things, ground, free slots and places where cars park."""

    rng: np.random.Generator
    bend: Bend
    ground: Ground
    things: list[Thing] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    parking: list[tuple[float, float, float]] = field(default_factory=list)  # x, y, yaw

    def put(
        self, kind: str, u: float, v: float, length: float, width: float, height: float, *, turn: float = 0.0, style: int = 0
    ) -> Thing:
        """One thing at a place of the plan."""
        x, y = self.bend.at(u, v)
        thing = Thing(
            id=f"{kind}-{len(self.things):04d}",
            kind=kind,
            x=x,
            y=y,
            yaw=self.bend.yaw(u) + turn,
            length_m=length,
            width_m=width,
            base_m=self.ground(x, y),
            height_m=height,
            style=style,
            seed=int(self.rng.integers(1 << 31)),
        )
        self.things.append(thing)
        return thing

    def slot(self, kind: str, u: float, v: float, length: float, width: float, base: float | None = None) -> None:
        """Note a free place."""
        x, y = self.bend.at(u, v)
        self.slots.append(Slot(kind, x, y, self.bend.yaw(u), length, width, self.ground(x, y) if base is None else base))

    def park(self, u: float, v: float, turn: float) -> None:
        """Note a place where a car may stand."""
        x, y = self.bend.at(u, v)
        self.parking.append((x, y, self.bend.yaw(u) + turn))

    def lay(
        self,
        box: Box,
        look: Look,
        *,
        tint: Rgb | None = None,
        growth: float = 0.5,
        spacing: float = 0.6,
        per_day: float = 0.0,
        turn: float = 0.0,
    ) -> None:
        """Cover a rectangle of the plan with a look."""
        shade = float(self.rng.uniform(0.86, 1.1))
        warm = float(self.rng.uniform(0.97, 1.04))
        colour = tint or (shade * warm, shade, shade / warm)
        ring = self.bend.box(*box)
        self.patches.append(Patch(ring, look, colour, self.bend.yaw((box[0] + box[2]) / 2) + turn, growth, spacing, per_day))

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        """A number between the two."""
        return float(self.rng.uniform(low, high))

    def tree(self, u: float, v: float, low: float = 2.6, high: float = 5.0) -> None:
        """A tree with a crown of `low` to `high` metres across."""
        size = self.between(low, high)
        self.put("tree", u, v, size, size, size * self.between(1.05, 1.45) + 0.8)


Box = tuple[float, float, float, float]


def village(plan: Layout, box: Box, *, vacant: bool, flat_share: float = 0.25) -> None:
    """Two rows of homes that face south, each with a walled yard."""
    u0, v0, u1, v1 = box
    plan.lay(box, Look.DIRT)
    alley = 2.4
    middle = (v0 + v1) / 2
    plan.lay((u0, middle - alley / 2, u1, middle + alley / 2), Look.CONCRETE)
    count = max(1, round((u1 - u0) / 13.2))
    lot = (u1 - u0) / count
    empty = int(plan.rng.integers(2 * count)) if vacant else -1
    for row, (low, high) in enumerate(((v0, middle - alley / 2), (middle + alley / 2, v1))):
        for index in range(count):
            place = (u0 + index * lot, low, u0 + (index + 1) * lot, high)
            if row * count + index == empty:
                _vacant(plan, place)
            else:
                _home(plan, place, flat_share)
        _side_wall(plan, u1 - 0.15, low + 0.6, high - 9.0)


def _side_wall(plan: Layout, u: float, v0: float, v1: float) -> None:
    if v1 - v0 > 2:
        plan.put("wall", u, (v0 + v1) / 2, v1 - v0, 0.24, 2.1, turn=math.pi / 2, style=int(plan.rng.integers(2)))


def _vacant(plan: Layout, box: Box) -> None:
    u0, v0, u1, v1 = box
    plan.lay((u0 + 0.4, v0 + 0.4, u1 - 0.4, v1 - 0.4), Look.GRASS if plan.chance(0.5) else Look.DIRT)
    plan.lay((u0 + 1, v0 + 0.8, u1 - 1, v0 + 4.2), Look.CROP, growth=plan.between(0.3, 0.8), per_day=0.006)
    plan.slot("plot", (u0 + u1) / 2, v1 - 6.2, u1 - u0 - 2.6, 9.0)
    for u in (u0 + 1.4, u1 - 1.4):
        if plan.chance(0.6):
            plan.tree(u, v0 + 1.6, 2.4, 3.6)


def _home(plan: Layout, box: Box, flat_share: float) -> None:
    u0, v0, u1, v1 = box
    length, width = u1 - u0 - plan.between(0.9, 1.8), plan.between(8.4, 9.6)
    storeys = int(plan.rng.choice([1, 2, 2, 3]))
    middle = (u0 + u1) / 2
    house_v = v1 - 0.7 - width / 2
    front = house_v - width / 2
    if plan.chance(flat_share):
        house = plan.put("flat_home", middle, house_v, length, width, 3.0 * storeys, style=int(plan.rng.integers(3)))
        shift = -1.9  # the stair head and the heater stand in the east
        plan.slot("roof", middle + shift, house_v, length - 5.2, width - 1.4, house.base_m + house.height_m)
    else:
        kind = "hip_home" if plan.chance(0.3) else "gable_home"
        plan.put(kind, middle, house_v, length, width, 3.0 * storeys + 0.27 * width + 0.3, style=int(plan.rng.integers(5)))
    yard = (u0 + 0.2, v0 + 0.5, u1 - 0.2, front)
    plan.lay(yard, (Look.CONCRETE, Look.CONCRETE, Look.PAVERS, Look.DIRT)[int(plan.rng.integers(4))])
    style = int(plan.rng.integers(2))
    deep = front - yard[1]
    plan.put("wall", u0 + 0.15, (yard[1] + front) / 2, deep, 0.24, 2.1, turn=math.pi / 2, style=style)
    gate = plan.between(0.45, 0.75) * (u1 - u0)
    plan.put("wall", u0 + gate / 2 - 0.8, yard[1], gate - 1.6, 0.24, 2.1, style=style)
    rest = u1 - u0 - gate - 1.3
    plan.put("wall", u1 - rest / 2, yard[1], rest, 0.24, 2.1, style=style)
    east = u1 - 2.2
    if plan.chance(0.5):
        plan.put(
            "hut", east, front - deep * 0.5, 3.4, min(4.6, deep - 3.0), plan.between(2.4, 2.9), style=int(plan.rng.integers(5))
        )
    elif plan.chance(0.7):
        plan.tree(east, front - deep * 0.55, 2.8, 4.4)
    else:
        plan.lay(
            (u1 - 4.2, yard[1] + 0.4, u1 - 0.6, front - 2),
            Look.CROP,
            growth=plan.between(0.3, 0.9),
            per_day=plan.between(-0.02, 0.02),
            spacing=0.4,
        )
    if plan.chance(0.35):
        plan.park(u0 + gate, yard[1] + 3.0, math.pi / 2)
        plan.slot("yard", u0 + 2.9, front - deep / 2, 4.4, deep - 0.6)
    else:
        plan.slot("yard", u0 + 4.0, front - deep / 2, 6.6, deep - 0.6)


def apartments(plan: Layout, box: Box) -> None:
    """Slabs of flats among lawns, trees and parked cars."""
    u0, v0, u1, v1 = box
    plan.lay(box, Look.PAVERS)
    rows = max(1, round((v1 - v0) / 25))
    deep = (v1 - v0) / rows
    for row in range(rows):
        low = v0 + row * deep
        length, width = u1 - u0 - 9.0, 11.5
        plan.put(
            "slab", (u0 + u1) / 2, low + deep - 1.6 - width / 2, length, width, 3.0 * int(plan.rng.choice([4, 5, 5])), style=row
        )
        lawn = (u0 + 3, low + 5.4, u1 - 3, low + deep - 3.4 - width)
        if lawn[3] - lawn[1] > 1.5:
            plan.lay(lawn, Look.GRASS)
            for u in np.arange(lawn[0] + 2.5, lawn[2] - 2, 6.2):
                plan.tree(float(u) + plan.between(-0.8, 0.8), (lawn[1] + lawn[3]) / 2, 2.6, 4.2)
        plan.lay((u0 + 1, low + 0.3, u1 - 1, low + 5.2), Look.ASPHALT)
        for index, u in enumerate(np.arange(u0 + 4, u1 - 3, 2.7)):
            plan.lay((float(u) - 1.4, low + 0.4, float(u) - 1.28, low + 5.0), Look.LINE, tint=(1, 1, 1))
            if index % 6 != 5:
                plan.park(float(u), low + 2.7, math.pi / 2)


def workshops(plan: Layout, box: Box) -> None:
    """Two halls of colour-steel on a concrete yard."""
    u0, v0, u1, v1 = box
    plan.lay(box, Look.CONCRETE, tint=(0.94, 0.93, 0.92))
    plan.put("wall", (u0 + u1) / 2, v1 - 0.3, u1 - u0 - 0.5, 0.24, 2.2, style=1)
    _side_wall(plan, u0 + 0.3, v0 + 1, v1 - 0.5)
    half = (u1 - u0) / 2
    long_m = v1 - v0 - 15.0
    for index, u in enumerate((u0 + half / 2 + 0.8, u1 - half / 2 - 0.8)):
        plan.put(
            "workshop",
            u,
            v1 - 1.5 - long_m / 2,
            long_m,
            half - 4.0,
            plan.between(7.0, 8.5),
            turn=math.pi / 2,
            style=index + int(plan.rng.integers(3)),
        )
    plan.put("hut", u0 + 3.6, v0 + 2.8, 5.2, 3.8, 3.1, style=2)
    for k in range(3):
        plan.slot("open", u0 + 13 + k * 9.5, v0 + 4.2, 8.0, 4.4)
    for u in np.arange(u0 + 11, u1 - 4, 3.0):
        plan.park(float(u), v0 + 10.6, math.pi / 2)


def fields(plan: Layout, box: Box) -> None:
    """Vegetable plots, film greenhouses, a pond."""
    u0, v0, u1, v1 = box
    plan.lay(box, Look.GRASS)
    pond = plan.chance(0.4)
    edge = u0 + 16 if pond else u0
    if pond:
        ring = plan.bend.box(u0 + 2, v0 + 3, u0 + 14, v1 - 4)
        middle = np.array(ring).mean(axis=0)
        ring = tuple(
            (float(middle[0] + (x - middle[0]) * w), float(middle[1] + (y - middle[1]) * w))
            for (x, y), w in zip(ring, plan.rng.uniform(0.8, 1.0, len(ring)), strict=True)
        )
        plan.patches.append(Patch(ring, Look.WATER, (1, 1, 1), growth=0))
    tunnels = plan.chance(0.6)
    v_top = v1 - 9.0 if tunnels else v1 - 1.0
    if tunnels:
        for index in range(int((u1 - edge - 2) / 6.4)):
            plan.put("greenhouse", edge + 4.4 + index * 6.4, v1 - 10.5, 17.0, 4.8, 2.3, turn=math.pi / 2)
        v_top = v1 - 20.0
    u = edge + 1.0
    while u < u1 - 3:
        wide = plan.between(4.0, 9.0)
        end = min(u + wide, u1 - 1)
        tint = plan.between(0.8, 1.15), plan.between(0.85, 1.15), plan.between(0.8, 1.1)
        plan.lay(
            (u, v0 + 7.4, end, v_top), Look.CROP, tint=tint, growth=plan.between(0.05, 1.0),
            spacing=plan.between(0.4, 1.1), per_day=plan.between(-0.015, 0.02), turn=math.pi / 2 * int(plan.rng.integers(2)),
        )  # fmt: skip
        u = end + plan.between(0.3, 0.9)
    plan.lay((edge, v0 + 0.6, u1, v0 + 6.6), Look.DIRT)
    for k in range(int((u1 - edge) / 15)):
        plan.slot("open", edge + 9 + 15 * k, v0 + 3.6, 9.5, 5.2)
    for u in np.arange(u0 + 2, u1 - 1, 4.6):
        if plan.chance(0.75):
            plan.tree(float(u) + plan.between(-1.0, 1.0), v1 - plan.between(0.6, 1.4), 2.8, 5.4)


def court(plan: Layout, box: Box) -> None:
    """A small square: a basketball court, paving, trees, a low public building."""
    u0, v0, u1, v1 = box
    plan.lay(box, Look.PAVERS)
    u, v = u0 + 16, v0 + 10
    plan.lay((u - 14, v - 8, u + 14, v + 8), Look.COURT)
    white = (1.0, 1.0, 1.0)
    for line in ((-13, -7, 13, -6.92), (-13, 6.92, 13, 7), (-13, -7, -12.92, 7), (12.92, -7, 13, 7), (-0.04, -7, 0.04, 7)):
        plan.lay((u + line[0], v + line[1], u + line[2], v + line[3]), Look.LINE, tint=white)
    for side in (-1, 1):
        plan.lay((u + side * 10 - 3, v - 2.4, u + side * 10 + 3, v + 2.4), Look.COURT, tint=(2.3, 0.9, 0.7))
        plan.put("pole", u + side * 13.6, v, 0.3, 0.3, 3.6)
    plan.put("flat_home", (u0 + u1) / 2, v1 - 7, min(24.0, u1 - u0 - 8), 10.0, 6.0, style=1)
    for k in range(7):
        plan.tree(u0 + 2.5 + k * (u1 - u0 - 5) / 6, v0 + 21.5, 3.0, 4.8)
    plan.slot("open", u1 - 7.5, v0 + 9, 8.0, 6.0)


def shop_row(plan: Layout, u: float, v0: float, v1: float, side: int) -> None:
    """Shops in a row along the main street; `side` 1 when the street lies to the west."""
    v = v0 + 1.0
    while v < v1 - 9:
        long_m = min(plan.between(14.0, 24.0), v1 - 1.0 - v)
        storeys = int(plan.rng.choice([2, 3, 3]))
        plan.put(
            "shops", u, v + long_m / 2, long_m, 9.6, 3.0 * storeys, turn=-side * math.pi / 2, style=int(plan.rng.integers(3))
        )
        v += long_m + plan.between(0.0, 2.5)
