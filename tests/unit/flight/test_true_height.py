"""True height (真高) counts from the ground below, everywhere below a leg."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from shapely.geometry import box

from airspace.clearance import Clearance, Verdict
from airspace.zones import Zone, ZoneKind
from flight.items import Cmd, Item, ItemFrame
from flight.mission import Mission, waypoint
from flight.volumes import MARGIN_M, clear_mission, leg_volumes, margin_for
from geo.frames import XY, Frame, LonLat
from geo.heights import Datum, Height
from geo.relief import Relief
from geo.times import Span

FRAME = Frame(4549)
HOME = LonLat(lon_deg=120.56, lat_deg=32.38)
AT = FRAME.xy(HOME)
START = datetime(2026, 3, 3, 3, tzinfo=UTC)
SPAN = Span(START, START + timedelta(hours=1))
CITY = Zone.single("c", "全市", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5))


def mission(altitude_m: float) -> Mission:
    """400 m east and back at one altitude over take-off."""
    out = waypoint(XY(AT.x_m + 400, AT.y_m), FRAME, altitude_m)
    items = (
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, 0), HOME.lon_deg, HOME.lat_deg, altitude_m),
        out,
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    )
    return Mission(name="m", version=1, home=HOME, items=items, fence=(), rally=(), cruise_speed_m_s=8.0)


def relief(change_m: float, where: slice = slice(40, 46), step_m: float = 5.0) -> Relief:
    """Flat ground of 10 m, changed under the middle of the way, a few metres beside its line."""
    heights = np.full((60, 120), 10.0)
    heights[28:30, where] += change_m
    return Relief(heights, FRAME, AT.x_m - 100, AT.y_m + 150, step_m)


def asked(altitude_m: float, ground: Relief) -> Clearance:
    return clear_mission(mission(altitude_m), (CITY,), frame=FRAME, span=SPAN, at=START - timedelta(days=3), ground=ground)


@pytest.mark.parametrize(("altitude", "verdict"), [(119, Verdict.CLEAR), (121, Verdict.PERMIT_NEEDED)])
def test_a_hill_of_30_m_takes_nothing_off_the_height_beside_it(altitude: float, verdict: Verdict) -> None:
    """Art. 19: over flat ground with a hill of 30 m, 119 m over take-off is suitable and 121 m is not: it is too high beside the hill."""
    assert asked(altitude, relief(30.0)).verdict is verdict


@pytest.mark.parametrize(("altitude", "verdict"), [(89, Verdict.CLEAR), (91, Verdict.PERMIT_NEEDED)])
def test_from_a_hill_of_30_m_the_plain_is_further_below(altitude: float, verdict: Verdict) -> None:
    """Art. 19: taken off from a hill of 30 m, 89 m over take-off is 119 m over the plain, and 91 m is 121 m."""
    ground = relief(0.0)
    ground.heights_m[26:34, 16:24] += 30.0
    assert asked(altitude, ground).verdict is verdict


def test_a_pit_in_the_middle_of_a_leg_counts() -> None:
    """The ends say 100 m; a pit of 30 m between them, some metres beside the line, makes it 130 m."""
    answer = asked(100, relief(-30.0))
    assert answer.verdict is Verdict.PERMIT_NEEDED
    assert "130 m" in next(r.en for r in answer.reasons if r.code == "height")
    top = max(v.ceiling.metres for v in leg_volumes(mission(100), frame=FRAME, span=SPAN, ground=relief(-30.0)))
    assert top == pytest.approx(130.0)


def test_a_gap_in_the_terrain_makes_the_height_unknown() -> None:
    """Nobody knows a true height over ground nobody knows, and no terrain at all is said."""
    answer = asked(60, relief(np.nan))
    assert answer.verdict is Verdict.UNKNOWN
    assert [r.code for r in answer.reasons] == ["ground_unknown"]
    bare = clear_mission(mission(60), (CITY,), frame=FRAME, span=SPAN, at=START - timedelta(days=3))
    assert bare.granted
    assert "no_terrain" in {n.code for n in bare.notes}


def test_a_straight_return_through_closed_air_is_noted() -> None:
    """The way out goes round a closed place; what an autopilot's straight return would enter stands in the notes, with the zone."""
    corner, end = XY(AT.x_m + 200, AT.y_m + 200), XY(AT.x_m + 400, AT.y_m)
    around = (corner, end, corner, AT)
    items = (
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, 0), HOME.lon_deg, HOME.lat_deg, 60),
        *(waypoint(p, FRAME, 60) for p in around),
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    )
    flown = Mission(name="m", version=1, home=HOME, items=items, fence=(), rally=(), cruise_speed_m_s=8.0)
    closed = FRAME.to_degrees(box(AT.x_m + 190, AT.y_m - 20, AT.x_m + 210, AT.y_m + 20))
    zone = Zone.single("x", "油库", ZoneKind.PROHIBITED, closed, ceiling=Height(500, Datum.GROUND))
    answer = clear_mission(flown, (CITY, zone), frame=FRAME, span=SPAN, at=START - timedelta(days=3))
    assert answer.granted
    assert [n.zone_id for n in answer.notes if n.code == "return_prohibited"] == ["x"]


def test_faster_aircraft_keep_more_room() -> None:
    """The margin holds the overshoot of a turn, and never shrinks below what gusts need."""
    assert margin_for(8.0) == MARGIN_M
    assert margin_for(25.0) > MARGIN_M
