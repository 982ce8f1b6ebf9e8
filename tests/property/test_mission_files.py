"""A mission comes back from every format exactly as it went in."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from flight.formats import plan, waypoints
from flight.items import FenceArea, Item, RallyPoint, fence_from_items
from flight.mission import Mission
from geo.frames import LonLat

NUMBER = st.floats(-1e6, 1e6, width=32).map(lambda v: v + 0.0)
PLACE = st.builds(
    lambda lon, lat: LonLat(lon_deg=round(lon * 1e-7, 7), lat_deg=round(lat * 1e-7, 7)),
    st.integers(-1_800_000_000, 1_800_000_000),
    st.integers(-900_000_000, 900_000_000),
)
PARAM = st.one_of(NUMBER, st.just(math.nan))
ITEM = st.builds(
    lambda command, frame, params, place, altitude, go_on: Item(
        command, frame, params, place.lon_deg, place.lat_deg, altitude, go_on
    ),
    st.sampled_from([16, 18, 20, 22, 178, 195, 197, 205, 206, 2000]),
    st.sampled_from([0, 2, 3, 10]),
    st.tuples(PARAM, PARAM, PARAM, PARAM),
    PLACE,
    NUMBER,
    st.booleans(),
)
RING = st.lists(PLACE, min_size=3, max_size=8, unique=True).map(tuple)
AREA = st.one_of(
    st.builds(FenceArea, st.booleans(), RING),
    st.builds(lambda into, place, r: FenceArea(into, (), place, r), st.booleans(), PLACE, st.floats(1, 5000, width=32)),
)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" "), max_size=30)
NOTE = TEXT.map(lambda t: " ".join(t.split()))
MISSION = st.builds(
    Mission,
    name=TEXT,
    version=st.integers(1, 999),
    home=PLACE,
    items=st.lists(ITEM, max_size=12).map(tuple),
    fence=st.lists(AREA, max_size=4).map(tuple),
    rally=st.lists(st.builds(RallyPoint, PLACE, NUMBER), max_size=4).map(tuple),
    cruise_speed_m_s=st.floats(0.5, 30),
    home_altitude_m=st.floats(-400, 9000),
    notes=st.lists(NOTE, max_size=3, unique=True).map(tuple),
)


@settings(deadline=None, max_examples=60)
@given(MISSION)
def test_plan_files_return_the_mission(mission: Mission) -> None:
    """A `.plan` read back is the mission: items, fence, rally points, labels and hash."""
    back = plan.read(plan.write(mission))
    assert back == mission
    assert back.sha256 == mission.sha256


@settings(deadline=None, max_examples=60)
@given(MISSION)
def test_waypoint_files_return_the_mission(mission: Mission) -> None:
    """`.waypoints` with its fence and rally files read back is the mission."""
    text = waypoints.write(mission)
    back = waypoints.read(text, fence=waypoints.write_fence(mission), rally=waypoints.write_rally(mission))
    assert back == mission
    assert back.sha256 == mission.sha256


@settings(deadline=None, max_examples=60)
@given(st.lists(AREA, max_size=6).map(tuple))
def test_fence_items_return_the_areas(areas: tuple[FenceArea, ...]) -> None:
    """What a vehicle holds of a fence reads back as the same areas."""
    assert fence_from_items(item for area in areas for item in area.items) == areas


@given(ITEM)
def test_an_item_is_what_a_vehicle_can_hold(item: Item) -> None:
    """Positions lie on the 1e-7 degree grid, so that integers on the wire carry them exactly."""
    x, y = round(item.lon_deg * 1e7), round(item.lat_deg * 1e7)
    assert Item(item.command, item.frame, item.params, x / 1e7, y / 1e7, item.altitude_m, item.autocontinue) == item
