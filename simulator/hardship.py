"""A hard month: a town block on two dates with everything that changes or seems to change, and exact truth of all of it.

Built: sheds, rooms, extensions, houses, halls, whole storeys. Pulled down: homes, huts, halls. Earth: pits and fills. And what misleads:
another sun, leaves lost or come, trees felled and grown, tall crop, cars, lorries, tarpaulins over goods, film greenhouses, umbrellas, heaps
of sand, stacks of brick, roofs painted anew. The same seed gives the same month.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from shapely import STRtree
from shapely.geometry import Point, Polygon
from shapely.ops import unary_union

from geo.frames import LonLat
from geo.grid import Grid
from simulator import stereo
from simulator.overhead import overhead
from simulator.scene import Scene
from simulator.soil import Look, Patch
from simulator.solids import rectangle
from simulator.sun import Sun
from simulator.things import NEVER, Thing
from simulator.town import Town, make_town
from simulator.tracer import Relief, relief_at

BEFORE_DAY, AFTER_DAY = 0, 30
RELIEF_M = 0.5
"""Step of the ground where pits are dug; the town's own is coarser."""

Span = tuple[float, float]
_OPEN = frozenset({Look.GRASS, Look.DIRT, Look.CROP, Look.GRAVEL})
_HARD = frozenset({Look.CONCRETE, Look.ASPHALT, Look.PAVERS, Look.DIRT})
_LOTS = _OPEN | {Look.CONCRETE, Look.PAVERS}
_ALL = _LOTS | _HARD

#      kind, class, wanted, how many (low, high), length, width, height, ground, room around
_EXTRAS: tuple[tuple[str, str, bool, tuple[int, int], Span, Span, Span, frozenset[Look], float], ...] = (
    ("workshop", "new_building", True, (1, 2), (14, 24), (9, 13), (5.0, 7.5), _OPEN, 1.0),
    ("gable_house", "new_building", True, (1, 3), (8, 12), (6, 9), (4.0, 7.0), _LOTS, 1.0),
    ("shed", "container_shed", True, (1, 3), (3.6, 8), (3.0, 5), (2.1, 3.0), _LOTS, 0.4),
    ("container", "container_shed", True, (0, 2), (6.06, 6.06), (2.44, 2.44), (2.59, 2.59), _LOTS, 0.5),
    ("canopy", "container_shed", True, (0, 2), (5, 9), (4, 6), (2.4, 3.4), _HARD, 0.4),
    ("greenhouse", "film", False, (1, 3), (9, 20), (4, 6), (1.8, 2.6), _OPEN, 0.8),
    ("tarpaulin", "film", False, (2, 5), (3, 9), (2.5, 6), (0.4, 2.0), _ALL, 0.4),
    ("umbrella", "film", False, (0, 3), (2.6, 4.0), (2.6, 2.6), (2.3, 2.8), _HARD, 0.3),
    ("sand_pile", "pile", False, (2, 5), (3.5, 10), (3.5, 3.5), (0.9, 3.2), _ALL, 0.4),
    ("brick_stack", "pile", False, (2, 5), (1.6, 5), (1.2, 2.4), (0.7, 1.7), _ALL, 0.4),
    ("lorry", "vehicle", False, (3, 7), (5.5, 12), (2.2, 2.5), (2.2, 3.8), _HARD, 0.5),
    ("maize", "vegetation", False, (1, 3), (6, 16), (5, 10), (1.4, 2.3), _OPEN, 0.3),
    ("tree", "vegetation", False, (1, 4), (2.5, 5.5), (2.5, 2.5), (2.6, 5.5), _OPEN, 0.2),
    ("mound", "earthwork", True, (0, 2), (11, 20), (7, 14), (0.8, 2.4), _OPEN, 1.0),
)

CLASSES = {
    "gable_house": "new_building", "shed": "container_shed", "container": "container_shed", "canopy": "container_shed",
    "rooftop_room": "roof_addition", "extension": "extension", "tarpaulin": "film", "sand_pile": "pile", "brick_stack": "pile",
    "tree": "vegetation", "car": "vehicle", "repaint_gable_home": "repaint", "repaint_hip_home": "repaint",
}  # fmt: skip
"""What the town's own planted kinds are called here."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed between the two days: `outline` in metres of the town's frame, `height_m` gained (negative: lost).

    `name` is its class (`new_building` … `vehicle`), `wanted` whether a squad would want to know.
    """

    id: str
    kind: str
    name: str
    outline: Polygon
    height_m: float
    wanted: bool


@dataclass(frozen=True, slots=True)
class Works:
    """Earth moved: the surface changes by `height_m` inside `ring` (local metres), with slopes of one in `run`."""

    id: str
    ring: tuple[tuple[float, float], ...]
    height_m: float
    run: float = 2.0


@dataclass(frozen=True, slots=True)
class HardMonth:
    """A town, what else happens to it, and how both surveys are flown."""

    town: Town
    works: tuple[Works, ...]
    changes: tuple[Change, ...]
    suns: tuple[Sun, Sun]
    bare: tuple[bool, bool]
    seed: int

    @property
    def grid(self) -> Grid:
        """Cells of 10 cm over the flown part."""
        west, south, east, north = self.town.flown
        x, y = self.town.origin.x_m, self.town.origin.y_m
        return Grid.over(self.town.frame, (x + west, y + south, x + east, y + north), 0.1)

    def scene(self, later: bool) -> Scene:
        """What stands on the earlier or the later date, in that season."""
        scene = self.town.scene(AFTER_DAY if later else BEFORE_DAY)
        things = scene.things
        if self.bare[later]:
            things = tuple(replace(t, kind="bare_tree") if t.kind == "tree" and t.seed % 5 else t for t in things)
        relief = _dug(scene.relief, self.works if later else ())
        patches = scene.patches
        if later:
            patches += tuple(Patch(w.ring, Look.DIRT, growth=0.0) for w in self.works)
        return Scene(scene.frame, scene.origin, scene.extent, relief, things, patches, scene.seed, scene.day)

    def survey(self, later: bool) -> stereo.Survey:
        """One of the two surveys as a drone and multi-view stereo would have made it."""
        rng = np.random.default_rng([self.seed, 31, int(later)])
        return stereo.surveyed(rng, overhead(self.scene(later), self.grid, self.suns[later]), 0.1, shifted=later)


def hard_month(seed: int, *, centre: LonLat, width_m: float = 150.0, depth_m: float = 120.0) -> HardMonth:
    """The month of a seed."""
    rng = np.random.default_rng([seed, 30])
    town = make_town(seed, centre=centre, width_m=width_m, depth_m=depth_m, margin_m=25.0, structures=12, distractors=8)
    bare = (bool(rng.random() < 0.3), bool(rng.random() < 0.3))
    suns = tuple(
        Sun(float(rng.uniform(95, 265)), float(rng.uniform(28, 70)), float(rng.choice([1.0, 0.9, 0.6, 0.15]))) for _ in range(2)
    )
    plan = _Plan(rng, town)
    works = plan.dig()
    changes = plan.pull_down() + plan.raise_storeys() + plan.add()
    town = replace(town, things=tuple(plan.things), patches=tuple(plan.patches))
    changes += _planted(town, {c.id for c in changes}) + _works_told(town, works) + _seasons(town, bare)
    return HardMonth(town, works, tuple(changes), (suns[0], suns[1]), bare, seed)


class _Plan:
    """The town while more is being done to it."""

    def __init__(self, rng: np.random.Generator, town: Town) -> None:
        self.rng, self.town = rng, town
        self.things = list(town.things)
        self.patches = list(town.patches)
        self.taken = [Polygon(t.covered) for t in town.things if t.kind != "pole"]
        self.taken += [Polygon(rectangle(x, y, yaw, 5.0, 2.4)) for x, y, yaw in town.parking]
        self.looks = [(Polygon(p.ring), p.look) for p in town.patches]
        self.tree = STRtree([p for p, _ in self.looks])

    def dig(self) -> tuple[Works, ...]:
        """Pits and fills in open ground."""
        out = []
        for index in range(int(self.rng.integers(1, 4))):
            length, width = self._of((10, 20)), self._of((7, 14))
            spot = self._spot(length, width, _OPEN, 1.0)
            if spot is None:
                continue
            x, y, yaw = spot
            height = float(self.rng.choice([-1, -1, 1])) * self._of((0.6, 2.2))
            run = min(2.0, 0.35 * width / abs(height))
            out.append(Works(f"E{index + 1:02d}", rectangle(x, y, yaw, length, width), height, run))
        return tuple(out)

    def pull_down(self) -> list[Change]:
        """Homes, huts and halls that are gone; rubble stays."""
        hosts = [
            i
            for i, t in enumerate(self.things)
            if t.kind in ("hut", "gable_home", "hip_home", "flat_home", "workshop")
            and not t.planted
            and self._inside(t.x, t.y, 9)
        ]
        built = unary_union([Polygon(t.covered) for t in self.things if t.planted])
        hosts = [i for i in hosts if not built.intersects(Polygon(self.things[i].covered).buffer(0.5))]
        out = []
        for i in self.rng.permutation(hosts)[: int(self.rng.integers(1, 4))]:
            old = self.things[i]
            self.things[i] = replace(old, gone=AFTER_DAY, planted=False)
            self._rubble(old)
            out.append(Change(old.id, old.kind, "demolished", self._outline(old), -old.height_m, True))
        return out

    def _rubble(self, old: Thing) -> None:
        self.patches.append(Patch(old.covered, Look.GRAVEL))
        for k in range(int(self.rng.integers(0, 4))):
            x, y = old.inner(self._of((-0.3, 0.3)) * old.length_m, self._of((-0.3, 0.3)) * old.width_m)
            size = self._of((1.5, 3.0))
            self._stand(f"{old.id}-rubble{k}", "sand_pile", x, y, old.yaw, size, size, self._of((0.3, 0.7)), old.base_m)

    def raise_storeys(self) -> list[Change]:
        """Flat-roofed homes that are a storey higher."""
        free = [
            i
            for i, t in enumerate(self.things)
            if t.kind == "flat_home" and t.gone >= NEVER and self._inside(t.x, t.y, 9) and t.length_m < 20
        ]
        built = unary_union([Polygon(t.covered) for t in self.things if t.planted])
        free = [i for i in free if not built.intersects(Polygon(self.things[i].covered))]
        out = []
        for i in self.rng.permutation(free)[: int(self.rng.integers(0, 2))]:
            old = self.things[i]
            self.things[i] = replace(old, gone=AFTER_DAY)
            name = f"{old.id}-up"
            self.things.append(replace(old, id=name, height_m=old.height_m + 3.0, appears=AFTER_DAY, planted=False))
            out.append(Change(name, "storey", "roof_addition", self._outline(old), 3.0, True))
        return out

    def add(self) -> list[Change]:
        """All of the table, where there is room; one in five of what is no structure was there before and is gone."""
        out = []
        for kind, name, wanted, (low, high), lengths, widths, heights, ground, room in _EXTRAS:
            for index in range(int(self.rng.integers(low, high + 1))):
                length, width, height = self._of(lengths), self._of(widths), self._of(heights)
                if kind in ("sand_pile", "umbrella", "tree"):
                    width = length
                    height = min(height, 0.42 * length) if kind == "sand_pile" else height
                spot = self._spot(length, width, ground, room)
                if spot is None:
                    continue
                went = not wanted and self.rng.random() < 0.2
                span = (-NEVER, AFTER_DAY) if went else (AFTER_DAY, NEVER)
                thing = self._stand(f"{kind}+{index + 1}", kind, *spot, length, width, height, None, span)
                out.append(Change(thing.id, kind, name, self._outline(thing), -height if went else height, wanted))
        return out

    def _stand(
        self, name: str, kind: str, x: float, y: float, yaw: float, length: float, width: float, height: float,
        base: float | None, span: tuple[int, int] = (AFTER_DAY, NEVER),
    ) -> Thing:  # fmt: skip
        place = self.town.relief
        ground = float(relief_at(place.heights, place.place, x, y)) if base is None else base
        style, seed = int(self.rng.integers(6)), int(self.rng.integers(1 << 31))
        thing = Thing(name, kind, x, y, yaw, length, width, ground, height, style, seed, *span, is_structure=False)
        self.things.append(thing)
        self.taken.append(Polygon(thing.covered))
        return thing

    def _spot(self, length: float, width: float, ground: frozenset[Look], room: float) -> tuple[float, float, float] | None:
        """A free place on the right ground, or None after 150 tries."""
        west, south, east, north = self.town.flown
        for _ in range(150):
            x, y = self._of((west + 8, east - 8)), self._of((south + 8, north - 8))
            yaw = self.town.parking[0][2] if self.town.parking and self.rng.random() < 0.6 else self._of((0, math.pi))
            plan = Polygon(rectangle(x, y, yaw, length + 2 * room, width + 2 * room))
            if any(p.intersects(plan) for p in self.taken):
                continue
            corners = [Point(c) for c in rectangle(x, y, yaw, length, width)] + [Point(x, y)]
            if all(self._look(c) in ground for c in corners):
                self.taken.append(plan)
                return x, y, yaw
        return None

    def _look(self, place: Point) -> Look:
        on = [int(i) for i in self.tree.query(place, predicate="within")]
        return self.looks[max(on)][1] if on else Look.GRASS

    def _outline(self, t: Thing) -> Polygon:
        o = self.town.origin
        return Polygon([(o.x_m + x, o.y_m + y) for x, y in t.covered])

    def _inside(self, x: float, y: float, inset: float) -> bool:
        west, south, east, north = self.town.flown
        return west + inset < x < east - inset and south + inset < y < north - inset

    def _of(self, span: Span) -> float:
        return float(self.rng.uniform(*span))


def _dug(relief: Relief, works: tuple[Works, ...]) -> Relief:
    """The ground on a finer lattice, with the earth moved; slopes run from the ring inwards."""
    west, south, step = (float(v) for v in relief.place)
    rows, cols = relief.heights.shape
    fine_rows, fine_cols = (int((n - 1) * step / RELIEF_M) + 1 for n in (rows, cols))
    xs, ys = west + np.arange(fine_cols) * RELIEF_M, south + np.arange(fine_rows) * RELIEF_M
    u, v = (xs - west) / step, (ys - south) / step
    c, r = np.minimum(u.astype(int), cols - 2), np.minimum(v.astype(int), rows - 2)
    fu, fv = (u - c)[None, :], (v - r)[:, None]
    h = relief.heights
    heights = (h[np.ix_(r, c)] * (1 - fu) + h[np.ix_(r, c + 1)] * fu) * (1 - fv) + (
        h[np.ix_(r + 1, c)] * (1 - fu) + h[np.ix_(r + 1, c + 1)] * fu
    ) * fv
    for w in works:
        (x0, y0), (x1, y1), _, (x3, y3) = w.ring
        length, width = math.dist((x0, y0), (x1, y1)), math.dist((x0, y0), (x3, y3))
        along = ((xs[None, :] - x0) * (x1 - x0) + (ys[:, None] - y0) * (y1 - y0)) / length
        across = ((xs[None, :] - x0) * (x3 - x0) + (ys[:, None] - y0) * (y3 - y0)) / width
        inward = np.minimum(np.minimum(along, length - along), np.minimum(across, width - across))
        heights += np.sign(w.height_m) * np.clip(inward / w.run, 0.0, abs(w.height_m))
    return Relief(heights, np.array([west, south, RELIEF_M]))


def _planted(town: Town, known: set[str]) -> list[Change]:
    """What the town itself plants: structures, distractors, cars of either day."""
    out = []
    for t in town.truth(BEFORE_DAY, AFTER_DAY):
        if t.id in known:
            continue
        gone = t.gone_day is not None and t.gone_day <= AFTER_DAY
        outline = town.frame.to_metres(t.outline)
        out.append(Change(t.id, t.kind, CLASSES[t.kind], outline, -t.height_m if gone else t.height_m, t.is_structure))
    x, y = town.origin.x_m, town.origin.y_m
    for day, sign in ((BEFORE_DAY, -1.0), (AFTER_DAY, 1.0)):
        for car in town.cars(day):
            outline = Polygon([(x + a, y + b) for a, b in car.covered])
            out.append(Change(f"{car.id}@{day}", "car", "vehicle", outline, sign * car.height_m, False))
    return out


def _works_told(town: Town, works: tuple[Works, ...]) -> list[Change]:
    """Earth moved, outlined where it lies half its depth away from the old ground."""
    x, y = town.origin.x_m, town.origin.y_m

    def outline(w: Works) -> Polygon:
        return Polygon([(x + a, y + b) for a, b in w.ring]).buffer(-0.5 * w.run * abs(w.height_m), join_style="mitre")

    return [Change(w.id, "pit" if w.height_m < 0 else "fill", "earthwork", outline(w), w.height_m, True) for w in works]


def _seasons(town: Town, bare: tuple[bool, bool]) -> list[Change]:
    """Trees that lost or got their leaves."""
    if bare[0] == bare[1]:
        return []
    x, y = town.origin.x_m, town.origin.y_m
    sign = 1.0 if bare[0] else -1.0
    return [
        Change(f"{t.id}-leaves", "tree", "vegetation", Polygon([(x + a, y + b) for a, b in t.covered]), sign * t.height_m, False)
        for t in town.things
        if t.kind == "tree" and t.stands(BEFORE_DAY) and t.stands(AFTER_DAY)
    ]
