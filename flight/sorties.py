"""Sorties (架次): lines divided into flights of one battery each, by modelled time with reserve, by mission items and by photos."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from flight.coverage import SurveyLine
from flight.errors import PlanningError
from flight.fleet import Aircraft
from flight.order import Pass, tour
from flight.pace import vertical_s, way_s
from flight.routes import Airway
from flight.terrain import Ground, flat, profile
from geo.frames import XY, Frame, LonLat

FIXED_ITEMS = 6  # take-off, speed, gimbal, camera off at the end, the waypoint over home, return
ITEMS_PER_PASS = 4  # two waypoints and two commands


@dataclass(frozen=True, slots=True)
class Sortie:
    """One battery: passes, and the ways before, between and after them.

    `ways[i]` leads to `passes[i]`, the last one home; each holds both its ends. `unreached` are lines of the area in air to which no
    passage leads from home: they are flown by no sortie of this plan.
    """

    number: int
    of: int
    aircraft: Aircraft
    home: LonLat
    frame: Frame
    speed_m_s: float
    passes: tuple[Pass, ...]
    ways: tuple[tuple[XY, ...], ...]
    time_s: float
    unreached: tuple[SurveyLine, ...] = ()

    @property
    def photos(self) -> int:
        """Stations on its lines."""
        return sum(p.line.photos for p in self.passes)

    @property
    def path(self) -> tuple[XY, ...]:
        """All of what is flown, home to home."""
        places: list[XY] = []
        for way, flown in zip(self.ways, [*self.passes, None], strict=True):
            places += [p for p in way if not places or p != places[-1]]
            if flown is not None:
                places.append(flown.end)
        return tuple(places)


def split(
    lines: Sequence[SurveyLine],
    aircraft: Aircraft,
    home: LonLat,
    *,
    airway: Airway,
    frame: Frame,
    speed_m_s: float | None = None,
    ground: Ground = flat,
    max_photos: int | None = None,
) -> tuple[Sortie, ...]:
    """Lines in the order to fly them, cut into sorties that each fit one battery with its reserve.

    Photos set the speed when the camera cannot keep up. A line too long for one battery is divided between
    two stations. Raises PlanningError when home lies outside the air that may be used, or the way to a line alone is too long.
    """
    if not lines:
        raise PlanningError("no lines to fly: nothing of the area lies in permitted air")
    base = frame.xy(home)
    airway.require(base, "the take-off place")
    speed = min(speed_m_s or aircraft.cruise_m_s, lines[0].trigger_m / aircraft.photo_interval_s)
    part = airway.part(base)
    unreached = tuple(line for line in lines if airway.part(line.start) != part)
    if len(unreached) == len(lines):
        raise PlanningError("no passage leads from the take-off place to any line: take off from inside the air to be flown")
    packer = _Packer(aircraft, base, airway, speed, ground, max_photos or aircraft.max_photos)
    for flown in tour([line for line in lines if line not in unreached], base, airway):
        packer.add(flown)
    packer.close()
    return tuple(
        Sortie(
            number, len(packer.done), aircraft, home, frame, speed, passes, packer.ways(passes), packer.time_s(passes), unreached
        )
        for number, passes in enumerate(packer.done, start=1)
    )


class _Packer:
    """Fills one sortie after another in the order of the tour."""

    def __init__(self, aircraft: Aircraft, base: XY, airway: Airway, speed: float, ground: Ground, max_photos: int) -> None:
        self.aircraft, self.base, self.airway, self.speed, self.ground = aircraft, base, airway, speed, ground
        self.max_photos = max_photos
        self.done: list[tuple[Pass, ...]] = []
        self._now: list[Pass] = []

    def add(self, flown: Pass) -> None:
        """Put one pass into the sortie at hand, or begin the next one; a pass too long for a battery is divided."""
        waiting = deque([flown])
        while waiting:
            item = waiting.popleft()
            if self._fits([*self._now, item]):
                self._now.append(item)
            elif self._now:
                self.close()
                waiting.appendleft(item)
            elif item.line.photos > 1:
                halves = item.line.halves()
                waiting.extendleft(Pass(half, item.backwards) for half in (halves if item.backwards else halves[::-1]))
            else:
                raise PlanningError(
                    f"line {item.line.id} cannot be reached: the flight there and back takes {self.time_s((item,)):.0f} s, and the battery "
                    f"of {self.aircraft.name} gives {self.aircraft.usable_s:.0f} s with its reserve; take off nearer to the area"
                )

    def close(self) -> None:
        """End the sortie at hand."""
        if self._now:
            self.done.append(tuple(self._now))
            self._now = []

    def ways(self, passes: Sequence[Pass]) -> tuple[tuple[XY, ...], ...]:
        """The ways to each pass and home."""
        starts = [self.base, *(p.end for p in passes)]
        ends = [*(p.start for p in passes), self.base]
        return tuple(self.airway.route(a, b) for a, b in zip(starts, ends, strict=True))

    def time_s(self, passes: Sequence[Pass]) -> float:
        """Modelled seconds from arming to disarming."""
        path: list[XY] = []
        for way, flown in zip(self.ways(passes), [*passes, None], strict=True):
            path += [p for p in way if not path or p != path[-1]]
            if flown is not None:
                path.append(flown.end)
        return way_s(path, self.speed) + vertical_s(passes[0].line.height.metres)

    def _fits(self, passes: Sequence[Pass]) -> bool:
        if self.max_photos and sum(p.line.photos for p in passes) > self.max_photos:
            return False
        ways = self.ways(passes)
        bends = sum(len(w) - 2 for w in ways)
        rises = 0
        if self.ground is not flat:
            legs = [*((p.start, p.end) for p in passes), *(leg for way in ways for leg in pairwise(way))]
            rises = sum(len(profile(a, b, self.ground)) - 2 for a, b in legs)
        if FIXED_ITEMS + ITEMS_PER_PASS * len(passes) + bends + rises > self.aircraft.max_items:
            return False
        return self.time_s(passes) <= self.aircraft.usable_s
