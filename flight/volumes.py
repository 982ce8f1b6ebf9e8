"""The air a mission fills, leg by leg, so that every one of them can be put to the airspace."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np
import shapely
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from airspace.clearance import Clearance, Verdict, clear_all
from airspace.index import Airspace, ready
from airspace.papers import AircraftPapers, Operator, Pilot, Purpose
from airspace.reasons import Reason
from airspace.zones import GROUND, Flag, Outline, Permit, Volume, Zone, polygons
from flight.errors import PlanningError
from flight.items import Cmd
from flight.mission import Mission
from flight.terrain import NO_TERRAIN, Ground, flat
from geo.area import Area
from geo.frames import XY, Floats, Frame, LonLat, Shapes, metric_frame
from geo.heights import Datum, Height
from geo.relief import Relief
from geo.times import Span

MARGIN_M = 10.0  # track errors up to 1.4 m were measured, gusts and turns come on top
_TRACK_M = 1.4
_LAG_S = 0.5  # an assumption: how long a vehicle flies straight on at a corner before its turn shows
_STEP_M = 10.0  # how far apart the ground is looked at where it is no grid


def margin_for(speed_m_s: float) -> float:
    """What is kept around every leg: enough for the overshoot of a turn at this speed, and never less than `MARGIN_M`."""
    return max(MARGIN_M, _TRACK_M + _LAG_S * speed_m_s)


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


def straight_returns(mission: Mission) -> tuple[Leg, ...]:
    """Contingency: from every corner straight to the nearest landing place at the mission's greatest altitude, as autopilots return."""
    frame = metric_frame(mission.home)
    landings = [mission.home, *(point.place for point in mission.rally)]
    top = max((item.altitude_m for item in mission.items if item.place is not None), default=0.0)
    found = []
    for corner in dict.fromkeys(mission.path):
        here = frame.xy(corner)
        nearest = min(landings, key=lambda p: math.hypot(frame.xy(p).x_m - here.x_m, frame.xy(p).y_m - here.y_m))
        if nearest != corner:
            found.append(Leg(corner, nearest, top, top))
    return tuple(found)


def leg_volumes(
    mission: Mission, *, frame: Frame, span: Span, ground: Ground = flat, margin_m: float | None = None
) -> tuple[Volume, ...]:
    """One volume for each leg: the margin around it, from the ground up to the greatest height above the ground anywhere below it."""
    return _air_of(legs(mission), mission, frame, span, ground, margin_m)[0]


def flown_volume(mission: Mission, *, frame: Frame, span: Span, ground: Ground = flat, margin_m: float | None = None) -> Volume:
    """All legs as one volume, up to the greatest height of any of them."""
    parts = leg_volumes(mission, frame=frame, span=span, ground=ground, margin_m=margin_m)
    outline = polygons(shapely.union_all([p.outline for p in parts]))
    return Volume(outline, GROUND, Height(max(p.ceiling.metres for p in parts), Datum.GROUND), span)


def clear_mission(
    mission: Mission,
    zones: Sequence[Zone] | Airspace,
    permits: Sequence[Permit] = (),
    aircraft: AircraftPapers | None = None,
    pilot: Pilot | None = None,
    operator: Operator | None = None,
    purpose: Purpose = Purpose.PATROL,
    flags: Collection[Flag] = (),
    *,
    frame: Frame,
    span: Span,
    at: datetime,
    ground: Ground = flat,
    margin_m: float | None = None,
) -> Clearance:
    """The verdict on a whole mission: every leg with turn overshoot and the return, with each different reason once.

    What a straight return from any corner would enter is a note: the planned way back is inside, an autopilot's own may not be. Ground that is
    unknown under a leg makes the answer unknown, for its true height is.
    """
    relief = ground if isinstance(ground, Relief) else None
    data = ready(zones, permits)
    volumes, known = _air_of(legs(mission), mission, frame, span, ground, margin_m)
    asked = (aircraft, pilot, operator, purpose, flags)
    answer = clear_all(volumes, data, (), *asked, at=at, relief=relief)
    if not known:
        unsure = Reason(
            "ground_unknown",
            "航线下方有地形数据缺口，真高无法确定；请补充高程数据",
            "there is a gap in the terrain data below the route, so its true height is not known: add elevation data",
            "第十九条",
        )
        reasons = tuple(r for r in answer.reasons if r.code != "clear")
        worst = max(answer.verdict, Verdict.UNKNOWN, key=tuple(Verdict).index)
        answer = replace(answer, verdict=worst, reasons=(*reasons, unsure))
    notes = list(answer.notes)
    if ground is flat:
        notes.append(Reason("no_terrain", "无地形数据，按平地计算真高", NO_TERRAIN.split(" (")[0], "第十九条"))
    home = straight_returns(mission)
    if home:
        back = clear_all(_air_of(home, mission, frame, span, ground, margin_m)[0], data, at=at, relief=relief)
        told = {(r.code, r.zone_id) for r in answer.reasons}
        notes += [
            replace(r, code=f"return_{r.code}", zh=f"失效直线返航：{r.zh}", en=f"on a straight failsafe return: {r.en}")
            for r in back.reasons
            if not back.granted and (r.code, r.zone_id) not in told
        ]
    return replace(answer, notes=tuple(notes))


def operating_outline(area: Area, homes: Sequence[LonLat], margin_m: float = 100.0) -> Outline:
    """The ground a flight may wander over, WGS 84: the hull of area and take-off places with a margin. Input of `permitted_outline`."""
    points = [Point(h.x_m, h.y_m) for h in (area.frame.xy(p) for p in homes)]
    hull: BaseGeometry = shapely.union_all([area.outline_m, *points]).convex_hull
    return area.frame.to_degrees(polygons(hull.buffer(margin_m)))


def _air_of(
    flown: Sequence[Leg], mission: Mission, frame: Frame, span: Span, ground: Ground, margin_m: float | None
) -> tuple[tuple[Volume, ...], bool]:
    """A volume for each leg, and whether the ground below all of them is known."""
    margin = margin_for(mission.cruise_speed_m_s) if margin_m is None else margin_m
    ends = frame.xy_array(np.array([(p.lon_deg, p.lat_deg) for leg in flown for p in (leg.start, leg.end)])).reshape(-1, 2, 2)
    same = (ends[:, 0] == ends[:, 1]).all(axis=1)
    lines: Shapes = np.asarray(shapely.linestrings(ends), dtype=object)
    lines[same] = shapely.points(ends[same, 0])
    reach = margin + np.array([leg.radius_m for leg in flown])
    outlines = frame.to_degrees_array(shapely.buffer(lines, reach))
    home_m = _below(frame.xy(mission.home), ground)
    if ground is flat:
        tops = np.array([max(leg.start_m, leg.end_m) for leg in flown])
    else:
        tops = np.array(
            [_highest(leg, a, b, float(r), ground, home_m) for leg, (a, b), r in zip(flown, ends, reach, strict=True)]
        )
    known = bool(np.isfinite(tops).all())
    level = np.array([max(leg.start_m, leg.end_m) for leg in flown])
    tops = np.maximum(1.0, np.where(np.isfinite(tops), tops, level))
    made = (Volume(o, GROUND, Height(float(t), Datum.GROUND), span) for o, t in zip(outlines, tops, strict=True))
    return tuple(made), known


def _highest(leg: Leg, start: Floats, end: Floats, reach_m: float, ground: Ground, home_m: float) -> float:
    """Greatest height above the ground on a leg, over all the ground within its reach; NaN where some of that is unknown."""
    step = min(_STEP_M, ground.step_m) if isinstance(ground, Relief) else _STEP_M
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length if length else np.array([1.0, 0.0])
    way = np.arange(-reach_m, length + reach_m + step, step).clip(-reach_m, length + reach_m)
    side = np.arange(-reach_m, reach_m + step, step).clip(-reach_m, reach_m)
    w, s = (m.ravel() for m in np.meshgrid(way, side))
    on = np.clip(w, 0.0, length)
    inside = np.hypot(w - on, s) <= reach_m + 1e-6
    w, s, on = w[inside], s[inside], on[inside]
    x, y = start[0] + w * along[0] - s * along[1], start[1] + w * along[1] + s * along[0]
    below = (
        ground.heights(x, y)
        if isinstance(ground, Relief)
        else np.array([ground(*p) for p in zip(x.tolist(), y.tolist(), strict=True)])
    )
    part = on / length if length else np.ones(len(w))  # a climb on the spot is as high as it gets
    low, high = (leg.start_m, leg.end_m) if length else (0.0, max(leg.start_m, leg.end_m))
    altitude = low + part * (high - low)
    return float(np.max(altitude + home_m - below))


def _below(place: XY, ground: Ground) -> float:
    return ground(place.x_m, place.y_m)


def length_m(mission: Mission, frame: Frame) -> float:
    """Metres over the ground of the whole mission."""
    places = [frame.xy(p) for p in mission.path]
    return sum(float(shapely.distance(Point(a.x_m, a.y_m), Point(b.x_m, b.y_m))) for a, b in pairwise(places))
