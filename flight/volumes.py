"""The air a mission fills, leg by leg, so that every one of them can be put to `airspace.clear`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from airspace.clearance import Clearance, Verdict, clear
from airspace.zones import GROUND, Flag, Outline, Permit, Volume, Zone, polygons
from flight.errors import PlanningError
from flight.items import Cmd
from flight.mission import Mission
from flight.terrain import Ground, flat
from geo.area import Area
from geo.frames import XY, Frame, LonLat
from geo.heights import Datum, Height
from geo.times import Span

MARGIN_M = 10.0  # track errors up to 1.4 m were measured, gusts and turns come on top
_WORST = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Leg:
    """A straight stretch between two places of a mission with its altitudes over take-off, or a circle where both are the same."""

    start: LonLat
    end: LonLat
    start_m: float
    end_m: float
    radius_m: float = 0.0


def legs(mission: Mission) -> tuple[Leg, ...]:
    """All that is flown: take-off, every leg, turns around a point, and the straight return."""
    here, altitude = mission.home, 0.0
    found: list[Leg] = []
    for item in mission.items:
        if item.command == Cmd.RETURN_TO_LAUNCH:
            found.append(Leg(here, mission.home, altitude, altitude))
            here = mission.home
            continue
        if item.command == Cmd.TAKEOFF:
            found.append(Leg(here, here, altitude, item.altitude_m))
            altitude = item.altitude_m
            continue
        place = item.place
        if place is None:
            continue
        found.append(Leg(here, place, altitude, item.altitude_m))
        here, altitude = place, item.altitude_m
        if item.command == Cmd.LOITER_TURNS:
            found.append(Leg(place, place, altitude, altitude, abs(item.params[2])))
    if not found:
        raise PlanningError(f"mission {mission.name} flies nowhere")
    return tuple(dict.fromkeys(found))


def leg_volumes(
    mission: Mission, *, frame: Frame, span: Span, ground: Ground = flat, margin_m: float = MARGIN_M
) -> tuple[Volume, ...]:
    """One volume for each leg: the margin around it, from the ground up to the greatest height above the ground on it."""
    home_m = _below(frame.xy(mission.home), ground)
    return tuple(_volume(leg, frame, span, ground, home_m, margin_m) for leg in legs(mission))


def flown_volume(mission: Mission, *, frame: Frame, span: Span, ground: Ground = flat, margin_m: float = MARGIN_M) -> Volume:
    """All legs as one volume, up to the greatest height of any of them."""
    parts = leg_volumes(mission, frame=frame, span=span, ground=ground, margin_m=margin_m)
    outline = polygons(shapely.union_all([p.outline for p in parts]))
    return Volume(outline, GROUND, Height(max(p.ceiling.metres for p in parts), Datum.GROUND), span)


def clear_mission(
    mission: Mission,
    zones: Sequence[Zone],
    permits: Sequence[Permit] = (),
    *,
    frame: Frame,
    span: Span,
    at: datetime,
    flags: Collection[Flag] = (),
    ground: Ground = flat,
    margin_m: float = MARGIN_M,
) -> Clearance:
    """The verdict on a whole mission: the worst of its legs, with each different reason once."""
    answers = [
        clear(volume, zones, permits, at=at, flags=flags)
        for volume in leg_volumes(mission, frame=frame, span=span, ground=ground, margin_m=margin_m)
    ]
    worst = max(answers, key=lambda a: _WORST.index(a.verdict))
    told = [a for a in answers if a.verdict is not Verdict.CLEAR] or answers[:1]
    reasons = {(r.code, r.zone_id): r for a in told for r in a.reasons}
    return Clearance(
        worst.verdict,
        tuple(reasons.values()),
        tuple(dict.fromkeys(z for a in answers for z in a.zone_ids)),
        min(a.valid_until for a in answers),
        worst.data_version,
        worst.checked_at,
        min((a.apply_by for a in answers if a.apply_by is not None), default=None),
    )


def operating_outline(area: Area, homes: Sequence[LonLat], margin_m: float = 100.0) -> Outline:
    """The ground a flight may wander over, WGS 84: the hull of area and take-off places with a margin. Input of `permitted_outline`."""
    points = [Point(h.x_m, h.y_m) for h in (area.frame.xy(p) for p in homes)]
    hull: BaseGeometry = shapely.union_all([area.outline_m, *points]).convex_hull
    return area.frame.to_degrees(polygons(hull.buffer(margin_m)))


def _volume(leg: Leg, frame: Frame, span: Span, ground: Ground, home_m: float, margin_m: float) -> Volume:
    a, b = frame.xy(leg.start), frame.xy(leg.end)
    line = LineString([(a.x_m, a.y_m), (b.x_m, b.y_m)]) if a != b else Point(a.x_m, a.y_m)
    outline = frame.to_degrees(polygons(line.buffer(margin_m + leg.radius_m)))
    return Volume(outline, GROUND, Height(max(1.0, _highest(leg, a, b, ground, home_m)), Datum.GROUND), span)


def _highest(leg: Leg, a: XY, b: XY, ground: Ground, home_m: float) -> float:
    """Greatest height above the ground on a leg, looked at every 20 m."""
    steps = max(1, int(max(abs(b.x_m - a.x_m), abs(b.y_m - a.y_m)) / 20.0)) if ground is not flat else 1
    heights = []
    for i in range(steps + 1):
        part = i / steps
        place = XY(a.x_m + part * (b.x_m - a.x_m), a.y_m + part * (b.y_m - a.y_m))
        heights.append(leg.start_m + part * (leg.end_m - leg.start_m) + home_m - _below(place, ground))
    return max(heights)


def _below(place: XY, ground: Ground) -> float:
    return ground(place.x_m, place.y_m)


def length_m(mission: Mission, frame: Frame) -> float:
    """Metres over the ground of the whole mission."""
    places = [frame.xy(p) for p in mission.path]
    return sum(float(shapely.distance(Point(a.x_m, a.y_m), Point(b.x_m, b.y_m))) for a, b in pairwise(places))
