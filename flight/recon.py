"""Recon (应急侦察架次): an orbit with the camera on a point, from home and back, and which vehicle is nearest to fly it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shapely.geometry import MultiPolygon, Point, Polygon

from airspace.reasons import Reason
from airspace.zones import polygons
from flight.errors import PlanningError
from flight.fence import fence_around
from flight.fleet import Aircraft, AircraftId, Autopilot
from flight.items import Cmd, Item, ItemFrame, RallyPoint
from flight.link import VehicleState
from flight.mission import Mission, safe_returns, waypoint
from flight.pace import vertical_s, way_s
from flight.routes import Airway
from flight.terrain import NO_TERRAIN, Ground, flat
from geo.frames import XY, Frame, LonLat, metric_frame
from geo.heights import Datum, Height

_KEEP_OFF = 0.8  # of the radius: ways between parts of a broken orbit do not lead over what burns
_SIDE_M = 12.0  # length of one side of the polygon flown
_LEAST_PART = 0.25  # of the circle that must be free for an orbit to be worth flying
_LEAST_OVER_GROUND_M = 20.0
_IDLE_BATTERY = 0.5


def orbit(
    point: LonLat,
    *,
    home: LonLat,
    radius_m: float,
    height: Height,
    aircraft: Aircraft,
    permitted: Polygon | MultiPolygon,
    frame: Frame,
    turns: int = 1,
    speed_m_s: float = 5.0,
    photos_per_turn: int = 24,
    clockwise: bool = True,
    ground: Ground = flat,
    rally: Sequence[LonLat] = (),
    name: str = "",
    version: int = 1,
) -> Mission:
    """A mission around `point`: `height` over GROUND there, photos all around, every leg inside `permitted` (metres of `frame`).

    The circle is flown as a polygon, which every autopilot takes (ArduCopter 4.6 refuses DO_ORBIT). Where zones cut it, the free parts are flown,
    joined by ways that lead neither through a zone nor over the point, and a note says how much is missing. Raises PlanningError.
    """
    _check(radius_m, height, turns, photos_per_turn)
    base, centre = frame.xy(home), frame.xy(point)
    airway = _airway(permitted, base, centre, radius_m)
    airway.require(base, "the take-off place")
    ring = _ring(centre, radius_m, clockwise)
    free = [p for p in ring if airway.holds(p)]
    if len(free) < _LEAST_PART * len(ring):
        raise PlanningError(
            f"only {len(free)} of {len(ring)} places of a circle of {radius_m:g} m around the point lie in permitted air: "
            "choose another radius, or ask for a permit (Art. 29 for emergencies)"
        )
    entry = min(range(len(free)), key=lambda i: airway.length_m(base, free[i]))
    lap = [*free[entry:], *free[:entry]]
    stations = [*(lap * turns), lap[0]]
    there, back = airway.route(base, stations[0]), airway.route(stations[-1], base)
    around = [p for a, b in pairwise(stations) for p in airway.route(a, b)[1:]]
    path = [*there, *around, *back[1:]]

    altitude = round(height.metres + ground(centre.x_m, centre.y_m) - ground(base.x_m, base.y_m), 2)
    _over_ground(path, altitude, base, ground)
    speed = min(speed_m_s, aircraft.cruise_m_s)
    _in_time(path, speed, height, aircraft)
    yaw = math.nan if aircraft.autopilot is Autopilot.PX4 else 0.0
    step = round(2.0 * math.pi * radius_m / photos_per_turn, 2)

    def fly(places: Sequence[XY]) -> list[Item]:
        return [waypoint(p, frame, altitude, yaw) for p in places]

    items = (
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, yaw), home.lon_deg, home.lat_deg, altitude),
        Item(Cmd.DO_CHANGE_SPEED, ItemFrame.MISSION, (1, speed, -1, 0)),
        _look_at(point, ground(centre.x_m, centre.y_m) - ground(base.x_m, base.y_m)),
        *fly(there[1:]),
        Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (step, 0, 1, 0)),
        *fly(around),
        Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (0, 0, 0, 0)),
        Item(Cmd.DO_SET_ROI_NONE, ItemFrame.MISSION),
        *fly(back[1:]),
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    )
    if len(items) > aircraft.max_items:
        raise PlanningError(
            f"{turns} turns need {len(items)} items and {aircraft.name} holds {aircraft.max_items}: fly fewer turns"
        )
    places = [p for p in rally if airway.holds(frame.xy(p))]
    fence = fence_around(path, airway.permitted, frame, aircraft.limits.fence_items)
    notes = [*([NO_TERRAIN] if ground is flat else []), *fence.notes]
    if len(free) < len(ring):
        share = 1.0 - len(free) / len(ring)
        notes.append(
            f"{share:.0%} of the circle lies outside permitted air and is not flown (圆周有 {share:.0%} 在许可空域外，未飞)"
        )
    notes += safe_returns(path, [base, *(frame.xy(p) for p in places)], airway)
    return Mission(
        name=name or f"recon {point.lon_deg:.5f} {point.lat_deg:.5f}",
        version=version,
        home=home,
        items=items,
        fence=fence.areas,
        rally=tuple(RallyPoint(p, altitude) for p in places[: aircraft.limits.rally_points]),
        cruise_speed_m_s=speed,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class Nearest:
    """The vehicle chosen (None when none is idle), how far it stands, and why each other one was not taken."""

    aircraft_id: AircraftId | None
    distance_m: float
    passed_over: tuple[tuple[AircraftId, Reason], ...]


def nearest_idle(states: Mapping[AircraftId, VehicleState], point: LonLat) -> Nearest:
    """The idle vehicle nearest to a point: on the ground, link fresh, position known, battery at least half."""
    frame = metric_frame(point)
    goal = frame.xy(point)
    idle: list[tuple[float, AircraftId]] = []
    passed: list[tuple[AircraftId, Reason]] = []
    for aircraft_id, state in sorted(states.items()):
        reason = _busy(state)
        if reason is not None:
            passed.append((aircraft_id, reason))
            continue
        place = frame.xy(state.place)
        idle.append((math.hypot(place.x_m - goal.x_m, place.y_m - goal.y_m), aircraft_id))
    if not idle:
        return Nearest(None, math.inf, tuple(passed))
    metres, chosen = min(idle)
    farther = [
        (i, Reason("farther", f"空闲，但距目标 {m:,.0f} 米，更远", f"idle, but {m:,.0f} m away: farther"))
        for m, i in sorted(idle)[1:]
    ]
    return Nearest(chosen, metres, (*passed, *farther))


def _busy(state: VehicleState) -> Reason | None:
    if not state.link_fresh:
        return Reason("link_stale", "链路中断", "its link is stale")
    if state.armed is not False:
        return Reason("armed", "已解锁或在飞行中", "it is armed or in flight")
    if not state.position_good:
        return Reason("no_position", "定位未就绪", "it has no position fix")
    if state.battery is not None and state.battery < _IDLE_BATTERY:
        return Reason("battery_low", f"电量 {state.battery:.0%}", f"its battery is at {state.battery:.0%}")
    return None


def _check(radius_m: float, height: Height, turns: int, photos_per_turn: int) -> None:
    if not 10.0 <= radius_m <= 500.0:
        raise PlanningError(f"an orbit of {radius_m} m is not flown: give a radius from 10 to 500 m")
    if height.datum != Datum.GROUND or not height.metres >= _LEAST_OVER_GROUND_M:
        raise PlanningError(
            f"an orbit needs a height of at least {_LEAST_OVER_GROUND_M:g} m over GROUND, not {height.metres} m over {height.datum}"
        )
    if turns < 1 or photos_per_turn < 1:
        raise PlanningError(f"{turns} turns with {photos_per_turn} photos each: both must be at least 1")


def _airway(permitted: Polygon | MultiPolygon, base: XY, centre: XY, radius_m: float) -> Airway:
    """Permitted air less the disc over the point, unless home lies in it."""
    disc = Point(centre.x_m, centre.y_m).buffer(_KEEP_OFF * radius_m, quad_segs=4)
    if disc.buffer(5.0).covers(Point(base.x_m, base.y_m)):
        return Airway(permitted)
    return Airway(polygons(permitted.difference(disc)))


def _ring(centre: XY, radius_m: float, clockwise: bool) -> list[XY]:
    sides = min(48, max(12, math.ceil(2.0 * math.pi * radius_m / _SIDE_M)))
    sense = 1.0 if clockwise else -1.0
    angles = [sense * 2.0 * math.pi * i / sides for i in range(sides)]
    return [XY(centre.x_m + radius_m * math.sin(a), centre.y_m + radius_m * math.cos(a)) for a in angles]


def _look_at(point: LonLat, altitude_m: float) -> Item:
    return Item(Cmd.DO_SET_ROI_LOCATION, ItemFrame.RELATIVE, (0, 0, 0, 0), point.lon_deg, point.lat_deg, round(altitude_m, 2))


def _over_ground(path: Sequence[XY], altitude_m: float, base: XY, ground: Ground) -> None:
    home_m = ground(base.x_m, base.y_m)
    for a, b in pairwise(path):
        steps = max(1, int(math.hypot(b.x_m - a.x_m, b.y_m - a.y_m) / 20.0))
        for i in range(steps + 1):
            x, y = a.x_m + (b.x_m - a.x_m) * i / steps, a.y_m + (b.y_m - a.y_m) * i / steps
            left = altitude_m + home_m - ground(x, y)
            if left < _LEAST_OVER_GROUND_M:
                raise PlanningError(f"the way passes {left:.0f} m over the ground at ({x:.0f}, {y:.0f}): fly the orbit higher")


def _in_time(path: Sequence[XY], speed_m_s: float, height: Height, aircraft: Aircraft) -> None:
    need = way_s(path, speed_m_s) + vertical_s(height.metres)
    if need > aircraft.usable_s:
        raise PlanningError(
            f"the orbit takes {need:.0f} s, and the battery of {aircraft.name} gives {aircraft.usable_s:.0f} s with its reserve: "
            "fly fewer turns or faster, or start nearer"
        )
