from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from shapely import affinity
from shapely.geometry import LineString, Point, Polygon, box

from flight import recon
from flight.errors import PlanningError
from flight.fleet import Aircraft, AircraftId
from flight.items import Cmd
from flight.link import VehicleState
from flight.mission import Mission
from geo.camera import Camera
from geo.frames import Frame, LonLat
from geo.heights import Datum, Height

FRAME = Frame(4549)
FIRE = LonLat(lon_deg=120.56, lat_deg=32.38)
MIDDLE = FRAME.xy(FIRE)
HOME = FRAME.lonlat(MIDDLE.x_m - 500, MIDDLE.y_m)
DRONE = Aircraft(AircraftId("m1"), "消防一号", Camera.of_fov(5280, 3956, 24), 10.0, 1500.0, 0.2, "", HOME)
WIDE = box(-800, -800, 800, 800)


def there(shape: Polygon) -> Polygon:
    return affinity.translate(shape, MIDDLE.x_m, MIDDLE.y_m)


def orbit(air: Polygon = WIDE, **more: object) -> Mission:
    values: dict[str, object] = {
        "home": HOME,
        "radius_m": 60.0,
        "height": Height(60.0, Datum.GROUND),
        "aircraft": DRONE,
        "permitted": there(air),
        "frame": FRAME,
        **more,
    }
    return recon.orbit(FIRE, **values)  # type: ignore[arg-type]


def path_m(mission: Mission) -> LineString:
    return LineString(FRAME.xy_array(np.array([[p.lon_deg, p.lat_deg] for p in mission.path])))


def test_an_orbit_looks_at_the_point_and_comes_home() -> None:
    """Take-off, camera on the point before the way there, photos all around, camera free, the way back, RTL."""
    mission = orbit(turns=2, photos_per_turn=24)
    commands = [item.command for item in mission.items]
    assert commands[0] == Cmd.TAKEOFF
    assert commands[-1] == Cmd.RETURN_TO_LAUNCH
    look = mission.items[commands.index(Cmd.DO_SET_ROI_LOCATION)]
    assert (look.lon_deg, look.lat_deg, look.altitude_m) == (FIRE.lon_deg, FIRE.lat_deg, 0.0)
    on, off = (i for i, c in enumerate(commands) if c == Cmd.DO_SET_CAM_TRIGG_DIST)
    assert mission.items[on].params[0] == pytest.approx(2 * math.pi * 60 / 24, abs=0.01)
    assert commands.index(Cmd.DO_SET_ROI_LOCATION) < on < off < commands.index(Cmd.DO_SET_ROI_NONE)
    ring = [FRAME.xy(i.place) for i in mission.items[on - 1 : off] if i.place is not None]
    assert all(math.hypot(p.x_m - MIDDLE.x_m, p.y_m - MIDDLE.y_m) == pytest.approx(60, abs=0.05) for p in ring)
    turned = sum(
        math.remainder(
            math.atan2(b.y_m - MIDDLE.y_m, b.x_m - MIDDLE.x_m) - math.atan2(a.y_m - MIDDLE.y_m, a.x_m - MIDDLE.x_m), math.tau
        )
        for a, b in itertools.pairwise(ring)
    )
    assert turned == pytest.approx(-2 * math.tau, abs=1e-6)  # clockwise, twice
    assert {i.altitude_m for i in mission.items if i.command == Cmd.WAYPOINT} == {60.0}


def test_the_way_leads_around_a_closed_place() -> None:
    """A closed place between home and fire is flown around, there and back."""
    air = WIDE.difference(box(-300, -200, -200, 250))
    mission = orbit(air)
    assert path_m(mission).difference(there(air)).length == 0.0
    assert path_m(mission).length > path_m(orbit()).length + 100


def test_a_cut_circle_is_flown_in_its_free_part_and_never_over_the_fire() -> None:
    """Where a zone cuts the circle the rest is flown, the note says how much is missing, and no way crosses the fire."""
    air = WIDE.difference(box(10, 10, 200, 200))
    mission = orbit(air)
    path = path_m(mission)
    assert path.difference(there(air)).length == 0.0
    assert path.distance(Point(MIDDLE.x_m, MIDDLE.y_m)) >= 0.8 * 60 - 1
    assert any("outside permitted air and is not flown" in note for note in mission.notes)


def test_the_point_may_be_at_home() -> None:
    """A fire beside the station: the orbit begins over it."""
    mission = orbit(home=FRAME.lonlat(MIDDLE.x_m + 5, MIDDLE.y_m))
    assert path_m(mission).difference(there(WIDE)).length == 0.0


@pytest.mark.parametrize(
    ("air", "more", "words"),
    [
        (box(-800, -800, -100, 800), {}, "of a circle"),
        (box(-400, -400, 400, 400), {}, "take-off place"),
        (WIDE, {"radius_m": 3.0}, "radius from 10"),
        (WIDE, {"height": Height(60, Datum.TAKEOFF)}, "GROUND"),
        (WIDE, {"turns": 0}, "at least 1"),
        (WIDE, {"turns": 14}, "fly fewer turns"),
        (WIDE, {"ground": lambda x, y: 50.0 if abs(x - MIDDLE.x_m + 250) < 30 else 0.0}, "fly the orbit higher"),
    ],
)
def test_what_cannot_be_flown_is_said(air: Polygon, more: dict[str, object], words: str) -> None:
    """Each orbit that cannot be flown is refused with what to change."""
    with pytest.raises(PlanningError, match=words):
        orbit(air, **more)


def state(metres_east: float, **more: object) -> VehicleState:
    ready = VehicleState(
        datetime(2026, 3, 3, tzinfo=UTC), FRAME.lonlat(MIDDLE.x_m + metres_east, MIDDLE.y_m), Height(0, Datum.TAKEOFF),
        0.0, 0.0, "GUIDED", False, 0.9, -1, link_fresh=True, on_ground=True, satellites=12, position_good=True,
    )  # fmt: skip
    return replace(ready, **more)  # type: ignore[arg-type]


def test_the_nearest_idle_vehicle_is_chosen_and_the_others_explained() -> None:
    """A nearer one that flies, is stale or nearly empty is passed over, each with its reason."""
    fleet = {
        AircraftId("far"): state(3000),
        AircraftId("near"): state(900),
        AircraftId("flying"): state(100, armed=True),
        AircraftId("lost"): state(50, link_fresh=False, armed=None),
        AircraftId("empty"): state(20, battery=0.2),
        AircraftId("blind"): state(10, position_good=False),
    }
    nearest = recon.nearest_idle(fleet, FIRE)
    assert nearest.aircraft_id == "near"
    assert nearest.distance_m == pytest.approx(900, abs=1)
    assert {i: r.code for i, r in nearest.passed_over} == {
        "far": "farther", "flying": "armed", "lost": "link_stale", "empty": "battery_low", "blind": "no_position",
    }  # fmt: skip
    nobody = recon.nearest_idle({AircraftId("lost"): state(50, link_fresh=False)}, FIRE)
    assert nobody.aircraft_id is None
    assert nobody.passed_over
