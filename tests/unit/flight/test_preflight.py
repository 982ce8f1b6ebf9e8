from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from airspace.clearance import Clearance, Verdict
from airspace.reasons import Reason
from flight import recon
from flight.fleet import Aircraft, AircraftId
from flight.items import Item
from flight.link import VehicleState
from flight.mission import Mission
from flight.preflight import Preflight, check
from geo.camera import Camera
from geo.frames import Frame, LonLat
from geo.heights import Datum, Height

NOW = datetime(2026, 3, 3, 2, tzinfo=UTC)
FRAME = Frame(4549)
HOME = LonLat(lon_deg=120.56, lat_deg=32.38)
XY = FRAME.xy(HOME)
DRONE = Aircraft(AircraftId("m1"), "一号机", Camera.of_fov(5280, 3956, 24), 10.0, 1500.0, 0.2, "", HOME)
MISSION = recon.orbit(
    FRAME.lonlat(XY.x_m + 200, XY.y_m),
    home=HOME,
    radius_m=50,
    height=Height(60, Datum.GROUND),
    aircraft=DRONE,
    permitted=box(XY.x_m - 500, XY.y_m - 500, XY.x_m + 500, XY.y_m + 500),
    frame=FRAME,
)
CLEAR = Clearance(Verdict.CLEAR, (), ("s",), NOW + timedelta(hours=5), "1z", NOW - timedelta(minutes=5))
READY = VehicleState(
    NOW, HOME, Height(0, Datum.TAKEOFF), 0.0, 0.0, "GUIDED", False, 0.95, -1, link_fresh=True, on_ground=True, satellites=12,
    position_good=True,
)  # fmt: skip


def look(
    mission: Mission = MISSION, clearance: Clearance = CLEAR, state: VehicleState = READY, held: str | None = MISSION.sha256
) -> Preflight:
    return check(mission, clearance, state, DRONE, now=NOW, held_sha256=held)


def test_all_well_means_go() -> None:
    """A fresh clearance, a ready vehicle at home with the right mission on board: go, with the plan's notes to acknowledge."""
    answer = look()
    assert answer.go
    assert answer.reasons == ()
    assert [n.en for n in answer.notes] == list(MISSION.notes)


NO = Reason("unknown", "性质不明", "unknown", "第十九条")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"clearance": replace(CLEAR, verdict=Verdict.UNKNOWN, reasons=(NO,))}, "unknown"),
        ({"clearance": replace(CLEAR, valid_until=NOW)}, "clearance_over"),
        ({"clearance": replace(CLEAR, checked_at=NOW - timedelta(minutes=31))}, "clearance_old"),
        ({"state": replace(READY, link_fresh=False, armed=None)}, "link_stale"),
        ({"state": replace(READY, armed=True)}, "armed"),
        ({"state": replace(READY, position_good=False)}, "no_position"),
        ({"state": replace(READY, place=LonLat(lon_deg=120.561, lat_deg=32.38))}, "away_from_home"),
        ({"state": replace(READY, battery=0.25)}, "battery_low"),
        ({"state": replace(READY, battery=0.32)}, "battery_short"),
        ({"held": "0" * 64}, "other_mission"),
        ({"mission": replace(MISSION, fence=()), "held": None}, "no_fence"),
        ({"mission": replace(MISSION, items=MISSION.items[1:]), "held": None}, "no_takeoff"),
        ({"mission": replace(MISSION, items=MISSION.items[:-1]), "held": None}, "no_return"),
        (
            {"mission": replace(MISSION, items=(*MISSION.items[:-1], *[Item(16)] * 700, MISSION.items[-1])), "held": None},
            "too_many_items",
        ),
    ],
)
def test_each_thing_amiss_means_no_go_with_its_reason(changes: dict[str, object], code: str) -> None:
    """One fault at a time: no-go, its reason in both languages, and no other reason beside it."""
    answer = look(**changes)  # type: ignore[arg-type]
    assert not answer.go
    assert [r.code for r in answer.reasons] == [code]
    assert answer.reasons[0].zh
    assert answer.reasons[0].en


def test_several_faults_are_all_told() -> None:
    """Nobody fixes one thing only to hear of the next."""
    answer = look(clearance=replace(CLEAR, valid_until=NOW), state=replace(READY, armed=True, battery=0.1), held="0" * 64)
    assert {r.code for r in answer.reasons} == {"clearance_over", "armed", "battery_low", "other_mission"}


def test_what_is_not_known_is_for_the_pilot_to_look_at() -> None:
    """An unknown battery and a mission that was not read back do not forbid, and are not passed over in silence."""
    answer = look(state=replace(READY, battery=None), held=None)
    assert answer.go
    assert {"battery_unknown", "not_read_back"} <= {n.code for n in answer.notes}
