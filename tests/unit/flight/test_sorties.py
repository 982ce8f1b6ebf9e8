from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from airspace.clearance import Verdict
from airspace.zones import Zone, ZoneKind, polygons
from flight import coverage, pace, sorties
from flight.errors import PlanningError
from flight.fence import fence_around
from flight.fleet import Aircraft, AircraftId, Autopilot
from flight.items import Cmd, ItemFrame
from flight.mission import Mission, survey_mission, time_s
from flight.routes import Airway
from flight.sorties import Sortie
from flight.terrain import NO_TERRAIN, Ground, flat, profile
from flight.volumes import clear_mission, flown_volume, leg_volumes, legs, operating_outline
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import XY, Frame, LonLat
from geo.heights import Datum, Height
from geo.times import Span

FRAME = Frame(4549)
MIDDLE = FRAME.xy(LonLat(lon_deg=120.56, lat_deg=32.38))
CAMERA = Camera.of_fov(5280, 3956, 24)
START = datetime(2026, 3, 3, 2, tzinfo=UTC)
SPAN = Span(START, START + timedelta(hours=2))
HOME = FRAME.lonlat(MIDDLE.x_m - 480, MIDDLE.y_m - 480)
DRONE = Aircraft(AircraftId("m1"), "一号机", CAMERA, 10.0, 1500.0, 0.2, "", HOME)
KM2 = box(-500, -500, 500, 500)


def there(shape: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    return polygons(affinity.translate(shape, MIDDLE.x_m, MIDDLE.y_m))


def area_of(shape: Polygon) -> Area:
    return Area(AreaId("a"), "单元", FRAME.to_degrees(there(shape)), gsd_m=0.03, epsg=FRAME.epsg)


def planned(
    shape: Polygon = KM2,
    air: Polygon | None = None,
    aircraft: Aircraft = DRONE,
    ground: Ground = flat,
    max_photos: int | None = None,
) -> tuple[tuple[Sortie, ...], Airway]:
    airway = Airway(there(air if air is not None else shape.buffer(100, join_style="mitre")))
    lines = coverage.lines(area_of(shape), CAMERA, permitted=airway.permitted)
    flights = sorties.split(lines, aircraft, HOME, airway=airway, frame=FRAME, ground=ground, max_photos=max_photos)
    return flights, airway


def stations(flights: tuple[Sortie, ...]) -> list[tuple[int, int]]:
    return sorted((p.line.row, i) for s in flights for p in s.passes for i in range(p.line.first, p.line.last + 1))


@pytest.mark.parametrize(("speed", "measured_s"), [(5.0, 527.8), (8.0, 348.4), (10.0, 293.4)])
def test_modelled_time_is_that_of_a_real_autopilot(speed: float, measured_s: float) -> None:
    """Six lines of 400 m, 40 m apart: the model lies within 5 % of the flights it was fitted to, length over speed does not at 10 m/s."""
    way = [XY(400.0 * ((i + 1) // 2 % 2), 40.0 * (i // 2)) for i in range(12)]
    assert pace.way_s(way, speed) == pytest.approx(measured_s, rel=0.05)


def test_every_station_is_flown_once_and_no_battery_is_overdrawn() -> None:
    """Whatever the battery, the sorties together fly each station once, each within its time."""
    whole = stations(planned()[0])
    for endurance in (700.0, 1000.0, 3000.0):
        aircraft = replace(DRONE, endurance_s=endurance)
        flights, _ = planned(aircraft=aircraft)
        assert stations(flights) == whole
        assert all(s.time_s <= aircraft.usable_s for s in flights)
        assert [s.number for s in flights] == list(range(1, len(flights) + 1))


def test_photos_and_items_divide_too() -> None:
    """A card of 120 photos and a remote of 30 items bound each sortie."""
    flights, airway = planned(aircraft=replace(DRONE, max_items=30), max_photos=120)
    for sortie in flights:
        assert sortie.photos <= 120
        assert len(survey_mission(sortie, name="x", airway=airway).items) <= 30


def test_a_line_longer_than_a_battery_is_divided() -> None:
    """A strip of 4 km with home in its middle is flown in pieces on a small battery, no station lost."""
    strip = box(-2500, -500, 1500, -470)
    large = stations(planned(strip)[0])
    flights, _ = planned(strip, aircraft=replace(DRONE, endurance_s=950.0))
    assert len(flights) > len({p.line.row for s in flights for p in s.passes})
    assert stations(flights) == large


def test_too_far_for_one_battery_says_so() -> None:
    """An area that the battery cannot reach and return from is refused with the seconds."""
    with pytest.raises(PlanningError, match="cannot be reached"):
        planned(aircraft=replace(DRONE, endurance_s=250.0))


def test_the_take_off_place_must_lie_inside() -> None:
    """Home outside permitted air is refused with the metres to go."""
    with pytest.raises(PlanningError, match="m outside"):
        planned(air=box(-300, -300, 500, 500))


def test_air_cut_off_from_home_is_told() -> None:
    """Lines behind a wall of closed air are not flown, and the mission says how many."""
    air = polygons(box(-600, -600, 600, 600).difference(box(0, -700, 20, 700)))
    flights, airway = planned(air=air)
    assert flights[0].unreached
    assert all(p.line.start.x_m < MIDDLE.x_m for s in flights for p in s.passes)
    assert any("cut off" in note for note in survey_mission(flights[0], name="x", airway=airway).notes)


def test_a_hole_costs_a_detour_not_one_per_row() -> None:
    """A closed place in the middle makes cells; flying them adds less than one crossing of the area per row would."""
    hole = box(-150, -150, 150, 150)
    whole, _ = planned(air=box(-600, -600, 600, 600))
    cut, _ = planned(air=polygons(box(-600, -600, 600, 600).difference(hole)))
    length = [sum(LineString([(p.x_m, p.y_m) for p in s.path]).length for s in f) for f in (whole, cut)]
    assert length[1] < length[0] + 1200.0


def mission_of(ground: Ground = flat, **more: object) -> tuple[Mission, Sortie]:
    flights, airway = planned(ground=ground)
    return survey_mission(flights[0], name="单元-1", airway=airway, ground=ground, **more), flights[0]  # type: ignore[arg-type]


def test_a_mission_is_what_a_vehicle_needs() -> None:
    """Take-off first, speed, camera down, two waypoints and two commands per line, the way home, RTL last."""
    mission, sortie = mission_of()
    commands = [item.command for item in mission.items]
    assert commands[:3] == [Cmd.TAKEOFF, Cmd.DO_CHANGE_SPEED, Cmd.DO_MOUNT_CONTROL]
    assert mission.items[2].params[0] == -90
    assert commands[-1] == Cmd.RETURN_TO_LAUNCH
    triggers = [item.params[0] for item in mission.items if item.command == Cmd.DO_SET_CAM_TRIGG_DIST]
    assert triggers[::2] == pytest.approx([sortie.passes[0].line.trigger_m] * len(sortie.passes), abs=1e-3)
    assert triggers[1::2] == [0.0] * len(sortie.passes)
    assert commands.count(Cmd.WAYPOINT) == 2 * len(sortie.passes) + 1 + sum(len(w) - 2 for w in sortie.ways)
    last = next(i for i in reversed(mission.items) if i.command == Cmd.WAYPOINT)
    assert (last.lon_deg, last.lat_deg) == pytest.approx((mission.home.lon_deg, mission.home.lat_deg), abs=2e-7)
    assert NO_TERRAIN in mission.notes
    assert len(mission.fence_items) <= DRONE.limits.fence_items
    assert time_s(mission) == pytest.approx(sortie.time_s, rel=0.02)


def test_a_renamed_mission_has_the_same_hash_and_a_moved_one_has_not() -> None:
    """The hash names what a vehicle holds, not its labels."""
    mission, _ = mission_of()
    assert replace(mission, name="另一个", version=9).sha256 == mission.sha256
    moved = replace(mission.items[3], lon_deg=mission.items[3].lon_deg + 1e-7)
    assert replace(mission, items=(*mission.items[:3], moved, *mission.items[4:])).sha256 != mission.sha256


def test_px4_keeps_its_heading() -> None:
    """PX4 would turn north on a yaw of 0; ArduPilot cannot give NaN back."""
    flights, airway = planned(aircraft=replace(DRONE, autopilot=Autopilot.PX4))
    yaws = {i.params[3] for i in survey_mission(flights[0], name="x", airway=airway).items if i.command == Cmd.WAYPOINT}
    assert all(math.isnan(v) for v in yaws)
    assert {i.params[3] for i in mission_of()[0].items if i.command == Cmd.WAYPOINT} == {0.0}


def hill(x_m: float, y_m: float) -> float:
    return 40.0 * math.exp(-((x_m - MIDDLE.x_m) ** 2 + (y_m - MIDDLE.y_m) ** 2) / 2 / 200.0**2) + 5.0


def test_lines_follow_the_ground() -> None:
    """Over a hill of 40 m every place of every leg keeps its height above the ground to 5 m, and no note complains."""
    mission, sortie = mission_of(hill)
    wanted = sortie.passes[0].line.height.metres
    home = FRAME.xy(mission.home)
    places = [(FRAME.xy(i.place), i.altitude_m) for i in mission.items if i.command == Cmd.WAYPOINT and i.place is not None]
    for (a, low), (b, high) in pairwise(places):
        for part in np.linspace(0, 1, 20):
            x, y = a.x_m + part * (b.x_m - a.x_m), a.y_m + part * (b.y_m - a.y_m)
            above = low + part * (high - low) + hill(home.x_m, home.y_m) - hill(x, y)
            assert abs(above - wanted) < 5.0
    assert NO_TERRAIN not in mission.notes
    assert all(i.frame == ItemFrame.RELATIVE for i in mission.items if i.command == Cmd.WAYPOINT)


def test_a_profile_is_exact_on_a_slope() -> None:
    """An even slope needs no place between its ends."""
    assert len(profile(XY(0, 0), XY(1000, 0), lambda x, y: 0.05 * x)) == 2


def suitable(shape: Polygon) -> Zone:
    outline = FRAME.to_degrees(there(shape))
    return Zone.single("s", "适飞", ZoneKind.SUITABLE, outline, ceiling=Height(130, Datum.GROUND))


def test_every_leg_is_put_to_the_airspace() -> None:
    """A mission in suitable air is clear; a closed place under one leg blocks it and is named; air too small is unknown."""
    mission, _ = mission_of()

    def verdict(*zones: Zone) -> Verdict:
        return clear_mission(mission, zones, frame=FRAME, span=SPAN, at=START - timedelta(days=1)).verdict

    assert verdict(suitable(box(-800, -800, 800, 800))) is Verdict.CLEAR
    under = FRAME.xy(mission.path[4])
    closed = Zone.single("x", "禁", ZoneKind.PROHIBITED, FRAME.to_degrees(Point(under.x_m, under.y_m).buffer(5)))
    assert verdict(suitable(box(-800, -800, 800, 800)), closed) is Verdict.BLOCKED
    assert verdict(suitable(box(-400, -400, 400, 400))) is Verdict.UNKNOWN


def test_volumes_hold_every_leg_with_its_margin() -> None:
    """Each leg's volume keeps the margin around it, and the whole one holds them all, up to the highest flown over low ground."""
    mission, sortie = mission_of()
    volumes = leg_volumes(mission, frame=FRAME, span=SPAN, margin_m=12)
    assert len(volumes) == len(legs(mission))
    whole = flown_volume(mission, frame=FRAME, span=SPAN, margin_m=12)
    path = LineString([(p.lon_deg, p.lat_deg) for p in mission.path])
    assert whole.outline.covers(path)
    assert FRAME.to_metres(whole.outline.boundary).distance(FRAME.to_metres(path)) == pytest.approx(12, abs=0.1)
    assert whole.ceiling.metres == pytest.approx(sortie.passes[0].line.height.metres, abs=0.01)
    pit = flown_volume(mission, frame=FRAME, span=SPAN, ground=lambda x, y: -30.0 if x > MIDDLE.x_m else 0.0)
    assert pit.ceiling.metres >= whole.ceiling.metres


def test_the_operating_outline_joins_area_and_home() -> None:
    """Input for permitted air: area and take-off place with room around both."""
    outline = operating_outline(area_of(box(-100, -100, 100, 100)), (HOME,), 50.0)
    assert outline.covers(Point(HOME.lon_deg, HOME.lat_deg))
    assert outline.covers(area_of(box(-100, -100, 100, 100)).outline)


def test_a_fence_never_opens_what_is_closed() -> None:
    """Forty closed places in seventy items: the path stays inside, no exclusion touches it, and few or none are left out."""
    rng = np.random.default_rng(5)
    spots = [Point(*rng.uniform(-450, 450, 2)).buffer(20) for _ in range(40)]
    air = box(-600, -600, 600, 600)
    for spot in spots:
        air = polygons(air.difference(spot))
    flights, airway = planned(air=air)
    for sortie in flights:
        fence = fence_around(sortie.path, airway.permitted, FRAME, 70)
        path = LineString([(p.x_m, p.y_m) for p in sortie.path])
        assert sum(len(a.items) for a in fence.areas) <= 70
        assert fence.left_out <= 2
        for area in fence.areas[1:]:
            if area.centre is not None:
                middle = FRAME.xy(area.centre)
                assert path.distance(Point(middle.x_m, middle.y_m)) > area.radius_m
            else:
                assert not Polygon([(FRAME.xy(p).x_m, FRAME.xy(p).y_m) for p in area.ring]).intersects(path)


def test_a_ragged_edge_still_gets_a_fence() -> None:
    """An outline of 120 notches is fenced within 70 corners: inside permitted air, around the whole path."""
    teeth = [
        (math.cos(a) * r, math.sin(a) * r)
        for a, r in zip(np.linspace(0, math.tau, 240, endpoint=False), [500, 470] * 120, strict=True)
    ]
    air = there(Polygon(teeth))
    path = [XY(MIDDLE.x_m + x, MIDDLE.y_m + y) for x, y in ((0, 0), (450, 0), (0, 450), (-450, 0), (0, -450), (0, 0))]
    fence = fence_around(path, air, FRAME, 70)
    corners = FRAME.xy_array(np.array([[p.lon_deg, p.lat_deg] for p in fence.areas[0].ring]))
    assert len(corners) <= 70
    assert Polygon(corners).difference(air).area < 0.5
    assert Polygon(corners).covers(LineString([(p.x_m, p.y_m) for p in path]))
