"""What a flight is made of: straight runs, turns, waits and the touch-down, and how commands become them.

Places are metres east, north and up of where the vehicle was switched on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.missions import NAV, Cmd, Stored
from simulator.motion import Vec, length, minus
from simulator.parameters import Parameters

SPOOL_S = 2.0


@dataclass(frozen=True, slots=True)
class Go:
    """Fly straight to a place; `onward` are the places after it, for the speed at its corner."""

    end: Vec
    onward: tuple[Vec, ...] = ()
    down_m_s: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Circle a centre, from where the vehicle is."""

    centre: Vec
    turns: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Touch:
    """Be on the ground: stop the motors."""


Stage = Go | Turn | Hold | Touch


class Origin:
    """The place of switching on: degrees and metres through the ellipsoid's radii there (WGS 84)."""

    def __init__(self, lon_deg: float, lat_deg: float, altitude_m: float) -> None:
        self.lon_deg, self.lat_deg, self.altitude_m = lon_deg, lat_deg, altitude_m
        a, e2 = 6378137.0, 0.00669437999014
        w = 1.0 - e2 * math.sin(math.radians(lat_deg)) ** 2
        self._north_m = math.radians(1.0) * (a * (1.0 - e2) / w**1.5 + altitude_m)
        self._east_m = math.radians(1.0) * (a / math.sqrt(w) + altitude_m) * math.cos(math.radians(lat_deg))

    def metres(self, lon_deg: float, lat_deg: float) -> tuple[float, float]:
        """(east, north) of a place in degrees."""
        return (lon_deg - self.lon_deg) * self._east_m, (lat_deg - self.lat_deg) * self._north_m

    def degrees(self, place: Vec) -> tuple[float, float]:
        """(lon, lat) of a place in metres."""
        return self.lon_deg + place[0] / self._east_m, self.lat_deg + place[1] / self._north_m


def down(above: Vec, p: Parameters) -> list[Stage]:
    """Land from a place: quickly to LAND_ALT_LOW, then at LAND_SPEED."""
    low = min(above[2], p["LAND_ALT_LOW"] / 100)
    ground = (above[0], above[1], 0.0)
    return [Go(above), Go((above[0], above[1], low)), Go(ground, down_m_s=p["LAND_SPEED"] / 100), Hold(1.0), Touch()]


def homewards(here: Vec, home: Vec, rally: Sequence[Vec], p: Parameters) -> list[Stage]:
    """Climb to RTL_ALT, fly straight to home or the nearest rally point within RALLY_LIMIT_KM, wait, land."""
    reach = p["RALLY_LIMIT_KM"] * 1000 or math.inf
    near = [r for r in rally if math.hypot(r[0] - here[0], r[1] - here[1]) <= reach]
    options = near + ([home] if p["RALLY_INCL_HOME"] or not near else [])
    goal = min(options, key=lambda r: math.hypot(r[0] - here[0], r[1] - here[1]))
    up = max(here[2], goal[2], home[2] + p["RTL_ALT"] / 100)
    level = (goal[0], goal[1], up)
    return [Go(here), Go((here[0], here[1], up)), Go(level), Hold(p["RTL_LOIT_TIME"] / 1000), *down(level, p)]


def circle(here: Vec, centre: Vec, turns: float, radius_m: float) -> list[Stage]:
    """Go to the nearest edge of a circle and fly it; a negative radius turns left, none means 10 m."""
    radius = abs(radius_m) or 10.0
    e, n = here[0] - centre[0], here[1] - centre[1]
    off = math.hypot(e, n)
    e, n = (e / off, n / off) if off > 1e-3 else (0.0, 1.0)
    edge = centre[0] + e * radius, centre[1] + n * radius, centre[2]
    return [Go(edge), Turn(centre, math.copysign(turns or 1.0, radius_m or 1.0))]


def jump(seq: int, item: Stored, counts: dict[int, int]) -> int:
    """The item after a DO_JUMP at `seq`; `counts` holds how often each jump was taken and is updated."""
    target, times = int(item.params[0]), int(item.params[1])
    if times >= 0 and counts.get(seq, 0) >= times:
        return seq + 1
    counts[seq] = counts.get(seq, 0) + 1
    return target


def onward(items: Sequence[Stored], seq: int, jumps: dict[int, int], place_of: Callable[[Stored], Vec]) -> tuple[Vec, ...]:
    """The places flown through after waypoint `seq` without a stop, far enough to brake in."""
    counts, places, reach = dict(jumps), [place_of(items[seq])], 0.0
    seq += 1
    for _ in range(200):  # jumps can lead in circles
        if seq >= len(items) or reach >= 120.0:
            break
        item = items[seq]
        if item.command == Cmd.DO_JUMP:
            seq = jump(seq, item, counts)
            continue
        if item.command in NAV:
            if item.command not in (Cmd.WAYPOINT, Cmd.LOITER_TIME, Cmd.LOITER_UNLIM):
                break
            places.append(place_of(item))
            reach += length(minus(places[-1], places[-2]))
            if item.command != Cmd.WAYPOINT or item.params[0] > 0:
                break
        seq += 1
    return tuple(places[1:])


def stages_of(item: Stored, here: Vec, there: Vec, after: tuple[Vec, ...], p: Parameters) -> list[Stage]:
    """A flying command from `here`; its own place is `there`, `after` are the places flown through next."""
    hold = max(0.0, item.params[0])
    if item.command == Cmd.TAKEOFF:
        return [Hold(SPOOL_S), Go((here[0], here[1], max(there[2], here[2])))]
    if item.command == Cmd.LOITER_TURNS:
        return circle(here, there, item.params[0], item.params[2])
    if item.command == Cmd.LAND:
        level = (there[0], there[1], here[2])
        return [Go(level), *down(level, p)]
    if item.command == Cmd.LOITER_UNLIM:
        return [Go(there), Hold(math.inf)]
    if item.command == Cmd.LOITER_TIME or (item.command == Cmd.WAYPOINT and hold > 0):
        return [Go(there), Hold(hold)]
    return [Go(there, after)] if item.command == Cmd.WAYPOINT else [Hold(hold)]  # DELAY, CONDITION_DELAY
