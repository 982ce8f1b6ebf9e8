"""A small town to fly over: streets, homes, fields, and what is built there between two visits, with the truth about it.

The same seed gives the same town. All heights are metres over the WGS 84 ellipsoid, which is the town's datum. Positions inside are
metres east and north of `origin`, a whole-metre place of the town's metric frame.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from geo.frames import XY, Floats, Frame, LonLat, metric_frame
from simulator import streets
from simulator.blocks import Bend, Layout, Slot
from simulator.errors import SimulatorError
from simulator.scene import Scene
from simulator.soil import Patch
from simulator.streets import Extent
from simulator.things import NEVER, Thing
from simulator.tracer import Relief, relief_at

RELIEF_STEP_M = 2.0


@dataclass(frozen=True, slots=True)
class Truth:
    """One thing that was built, laid down or taken away between two days; `height_m` over what was there before.

    `outline` and `area_m2` are what a roof covers, seen from above. A thing that always stood there has appeared on day -1000000.
    """

    id: str
    kind: str
    outline: Polygon  # WGS 84 degrees
    height_m: float
    area_m2: float
    is_structure: bool
    appears_day: int
    gone_day: int | None

    def as_feature(self) -> dict[str, object]:
        """A GeoJSON feature."""
        from shapely.geometry import mapping

        properties = {
            name: getattr(self, name) for name in ("id", "kind", "height_m", "area_m2", "is_structure", "appears_day", "gone_day")
        }
        return {"type": "Feature", "geometry": mapping(self.outline), "properties": properties}


@dataclass(frozen=True, slots=True)
class Town:
    """Values only: what stands where and when. `flown` is the part that is worth a survey, `extent` what is drawn (local metres)."""

    seed: int
    frame: Frame
    origin: XY
    flown: Extent
    extent: Extent
    relief: Relief
    things: tuple[Thing, ...]
    patches: tuple[Patch, ...]
    parking: tuple[tuple[float, float, float], ...]

    def ground_m(self, x_m: float, y_m: float) -> float:
        """Height of the bare ground at a place of the metric frame, over the ellipsoid."""
        return float(relief_at(self.relief.heights, self.relief.place, x_m - self.origin.x_m, y_m - self.origin.y_m))

    @property
    def outline(self) -> Polygon:
        """The flown part in WGS 84 degrees: the natural area of a survey."""
        west, south, east, north = self.flown
        x, y = self.origin.x_m, self.origin.y_m
        return self.frame.to_degrees(box(x + west, y + south, x + east, y + north))

    @property
    def home(self) -> LonLat:
        """A good place to take off: on a street near the south-west corner of the flown part."""
        west, south, _, _ = self.flown
        return self.frame.lonlat(self.origin.x_m + west + 5.0, self.origin.y_m + south + 5.0)

    def standing(self, day: int) -> tuple[Thing, ...]:
        """All that stands there on a day, the cars of that day included."""
        return tuple(t for t in self.things if t.stands(day)) + self.cars(day)

    def cars(self, day: int) -> tuple[Thing, ...]:
        """Cars of one day: other places and other colours on the next."""
        cars = []
        for index, (x, y, yaw) in enumerate(self.parking):
            rng = np.random.default_rng([self.seed, 77, index, day + 1000])
            if rng.random() > 0.42:
                continue
            dx, dy, turn = (float(v) for v in rng.normal(0, (0.15, 0.15, 0.03)))
            height = float(rng.uniform(1.42, 1.6))
            way = yaw + turn + (math.pi if rng.random() < 0.5 else 0.0)
            base = float(relief_at(self.relief.heights, self.relief.place, x + dx, y + dy))
            cars.append(
                Thing(
                    f"car-{index:03d}",
                    "car",
                    x + dx,
                    y + dy,
                    way,
                    float(rng.uniform(4.2, 4.8)),
                    1.8,
                    base,
                    height,
                    style=int(rng.integers(8)),
                    seed=int(rng.integers(1 << 30)),
                    appears=day,
                    gone=day + 1,
                    is_structure=False,
                )
            )
        return tuple(cars)

    def scene(self, day: int) -> Scene:
        """The town as it stands on a day, ready to be photographed."""
        patches = tuple(replace(p, growth=min(1.0, max(0.0, p.growth + p.per_day * day))) for p in self.patches)
        return Scene(self.frame, self.origin, self.extent, self.relief, self.standing(day), patches, self.seed, day)

    def truth(self, before_day: int, after_day: int) -> tuple[Truth, ...]:
        """What was planted or taken away between the two days: structures first, then the distractors."""
        changed = [t for t in self.things if t.planted and t.stands(before_day) != t.stands(after_day)]
        return tuple(self._told(t) for t in sorted(changed, key=lambda t: (not t.is_structure, t.id)))

    def with_removed(self, ids: Collection[str], day: int) -> Town:
        """The same town, where the named things are pulled down on `day`; raises SimulatorError for a name it does not know."""
        unknown = set(ids) - {t.id for t in self.things}
        if unknown:
            raise SimulatorError(f"the town has no {', '.join(sorted(unknown))}; its planted things are in Town.truth")
        return replace(self, things=tuple(replace(t, gone=day) if t.id in ids else t for t in self.things))

    def _told(self, t: Thing) -> Truth:
        ring = [(self.origin.x_m + x, self.origin.y_m + y) for x, y in t.covered]
        outline = Polygon(ring)
        height = 0.0 if t.kind.startswith("repaint") else t.height_m
        gone = t.gone if t.gone < NEVER else None
        return Truth(t.id, t.kind, self.frame.to_degrees(outline), height, outline.area, t.is_structure, t.appears, gone)


#              kind            slot     length       width        height      how many of eleven
Dish = tuple[str, str, tuple[float, float], tuple[float, float], tuple[float, float]]
_STRUCTURES: tuple[Dish, ...] = (
    ("shed", "yard", (3.2, 4.4), (2.8, 4.2), (2.4, 2.8)),
    ("rooftop_room", "roof", (4.2, 6.2), (4.0, 6.5), (2.6, 3.0)),
    ("extension", "yard", (4.0, 6.4), (3.4, 4.6), (2.9, 3.3)),
    ("gable_house", "plot", (9.6, 10.6), (7.2, 8.6), (5.4, 6.2)),
    ("container", "open", (6.06, 6.06), (2.44, 2.44), (2.59, 2.59)),
    ("canopy", "yard", (4.4, 6.4), (4.6, 6.0), (2.7, 3.1)),
    ("rooftop_room", "roof", (4.8, 6.4), (5.0, 7.2), (2.7, 3.2)),
    ("gable_house", "plot", (9.0, 10.4), (7.0, 8.4), (4.6, 6.0)),
    ("shed", "yard", (3.4, 4.4), (3.0, 4.4), (2.2, 2.6)),
    ("container", "open", (6.06, 6.06), (2.44, 2.44), (2.59, 2.59)),
    ("extension", "yard", (3.6, 5.6), (3.2, 4.2), (2.8, 3.2)),
)
_DISTRACTORS: tuple[Dish, ...] = (
    ("tarpaulin", "yard", (3.2, 4.4), (3.0, 4.0), (0.25, 0.45)),
    ("sand_pile", "open", (4.0, 4.4), (4.0, 4.4), (0.7, 0.9)),
    ("tarpaulin", "open", (4.0, 6.0), (3.0, 4.0), (0.25, 0.45)),
    ("brick_stack", "yard", (2.0, 3.0), (1.2, 1.8), (0.6, 0.85)),
    ("sand_pile", "open", (3.2, 4.2), (3.2, 4.2), (0.6, 0.9)),
)


def make_town(
    seed: int,
    *,
    centre: LonLat,
    width_m: float = 200.0,
    depth_m: float = 150.0,
    margin_m: float = 90.0,
    structures: int = 11,
    distractors: int = 8,
    ground_m: float = 14.0,
) -> Town:
    """A town around `centre`: `width_m` x `depth_m` are meant to be flown, `margin_m` more is drawn on every side.

    Structures appear on days 1 to 29, as many of the wished number as there is room for; raises SimulatorError under 40 m.
    """
    if min(width_m, depth_m) < 40.0 or margin_m < 0.0:
        raise SimulatorError(
            f"a town of {width_m} x {depth_m} m with a margin of {margin_m} m is too small: give it 40 m or more"
        )
    rng = np.random.default_rng([seed, 1])
    frame = metric_frame(centre)
    middle = frame.xy(centre)
    origin = XY(float(round(middle.x_m)), float(round(middle.y_m)))
    flown = (-width_m / 2, -depth_m / 2, width_m / 2, depth_m / 2)
    extent = (flown[0] - margin_m, flown[1] - margin_m, flown[2] + margin_m, flown[3] + margin_m)
    relief = _relief(rng, extent, ground_m)

    def ground(x: float, y: float) -> float:
        return float(relief_at(relief.heights, relief.place, x, y))

    bend = Bend(float(rng.uniform(-0.16, 0.16)), *(float(v) for v in rng.uniform(0, 6.28, 2)))
    plan = Layout(rng, bend, ground)
    streets.lay_out(plan, extent, flown)
    inside = [t for t in plan.things if streets.within(extent, t.x, t.y, 1.0)]
    plan.things[:] = inside
    _plant(plan, flown, structures, distractors)
    parking = tuple(p for p in plan.parking if streets.within(extent, p[0], p[1], 3.0))
    return Town(seed, frame, origin, flown, extent, relief, tuple(plan.things), tuple(plan.patches), parking)


def _relief(rng: np.random.Generator, extent: Extent, mean: float) -> Relief:
    """Ground that rises and falls by several metres, with slopes of a few percent."""
    west, south, east, north = (v + g for v, g in zip(extent, (-200, -200, 200, 200), strict=True))
    xs, ys = np.arange(west, east, RELIEF_STEP_M), np.arange(south, north, RELIEF_STEP_M)
    heights: Floats = np.full((len(ys), len(xs)), mean)
    for length, height in ((310.0, 1.7), (230.0, 1.1), (120.0, 0.45), (70.0, 0.18)):
        for _ in range(2):
            way, phase = rng.uniform(0, 2 * math.pi, 2)
            wave = (xs[None, :] * math.cos(way) + ys[:, None] * math.sin(way)) * (2 * math.pi / length)
            heights += height * 0.7 * np.sin(wave + phase)
    return Relief(heights, np.array([west, south, RELIEF_STEP_M]))


def _plant(plan: Layout, flown: Extent, structures: int, distractors: int) -> None:
    """What changes between the visits, each in a free slot of its own, well inside the flown part."""
    rng = plan.rng
    free = [s for s in plan.slots if streets.within(flown, s.x, s.y, 9.0)]
    order = [free[i] for i in rng.permutation(len(free))]
    for index in range(structures):
        _place(plan, order, _STRUCTURES, index, f"S{index + 1:02d}", True)
    repaints = min(2, distractors // 3)
    for index in range(distractors - repaints - (1 if distractors > 4 else 0)):
        _place(plan, order, _DISTRACTORS, index, f"D{index + 1:02d}", False)
    _repaint(plan, flown, repaints, distractors - repaints)
    if distractors > 4:
        trees = [i for i, t in enumerate(plan.things) if t.kind == "tree" and streets.within(flown, t.x, t.y, 9.0)]
        if trees:
            chosen = int(rng.choice(trees))
            day = int(rng.integers(3, 28))
            plan.things[chosen] = replace(plan.things[chosen], id="D-felled", gone=day, planted=True, is_structure=False)


def _place(plan: Layout, order: list[Slot], menu: tuple[Dish, ...], index: int, name: str, real: bool) -> None:
    """The next of the menu for which there is room, in the first free slot of its kind."""
    turns = (menu[(index + k) % len(menu)] for k in range(len(menu)))
    found = next(((dish, s) for dish in turns for s in order if s.kind == dish[1]), None)
    if found is None:
        return
    (kind, where, *sizes), slot = found
    order.remove(slot)
    length, width, height = (plan.between(*span) for span in sizes)
    length, width = min(length, slot.length_m), min(width, slot.width_m)
    room_u, room_v = (slot.length_m - length) / 2, (slot.width_m - width) / 2
    along = plan.between(-room_u, room_u)
    across = plan.between(-room_v, room_v)
    if kind == "extension":  # its back stands in the wall of the house
        across = room_v + 0.35
    elif kind == "shed":
        across = -room_v * plan.between(0.6, 1.0)
    c, s = math.cos(slot.yaw), math.sin(slot.yaw)
    x, y = slot.x + along * c - across * s, slot.y + along * s + across * c
    base = slot.base_m if where == "roof" else plan.ground(x, y)
    plan.things.append(
        Thing(
            name,
            kind,
            x,
            y,
            slot.yaw,
            length,
            width,
            base,
            height,
            style=int(plan.rng.integers(6)),
            seed=int(plan.rng.integers(1 << 31)),
            appears=int(plan.rng.integers(2, 29)),
            planted=True,
            is_structure=real,
        )
    )


def _repaint(plan: Layout, flown: Extent, count: int, start: int) -> None:
    """New tiles of another colour on an old roof: nothing was built."""
    built = unary_union([Polygon(t.covered) for t in plan.things if t.planted])
    hosts = [
        i
        for i, t in enumerate(plan.things)
        if t.kind in ("gable_home", "hip_home")
        and streets.within(flown, t.x, t.y, 10.0)
        and not built.intersects(Polygon(t.covered))
    ]
    for index, host in enumerate(plan.rng.permutation(hosts)[:count]):
        old = plan.things[host]
        day = int(plan.rng.integers(3, 28))
        name = f"D{start + index + 1:02d}"
        new = replace(
            old, id=name, kind=f"repaint_{old.kind}", style=old.style + 1, appears=day, planted=True, is_structure=False
        )
        plan.things[host] = replace(old, gone=day)
        plan.things.append(new)
