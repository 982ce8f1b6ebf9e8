from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from flight.errors import FormatError, PlanningError
from flight.fleet import Autopilot
from flight.formats import plan, waypoints
from flight.items import Cmd, FenceArea, Item, ItemFrame, RallyPoint
from flight.mission import Mission
from geo.frames import LonLat

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "missions"
HOME = LonLat(lon_deg=120.56, lat_deg=32.38)
SQUARE = tuple(LonLat(lon_deg=120.55 + x, lat_deg=32.37 + y) for x, y in ((0, 0), (0.02, 0), (0.02, 0.02), (0, 0.02)))
MISSION = Mission(
    name="一号单元-1",
    version=3,
    home=HOME,
    items=(
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, math.nan), HOME.lon_deg, HOME.lat_deg, 100),
        Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), 120.5612345, 32.3812345, 100.5),
        Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (23.74, 0, 1, 0)),
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    ),
    fence=(FenceArea(True, SQUARE), FenceArea(False, (), HOME, 30.0)),
    rally=(RallyPoint(SQUARE[0], 60.0),),
    cruise_speed_m_s=8.0,
    home_altitude_m=4.5,
    notes=("no terrain data",),
)


def real(pattern: str) -> list[Path]:
    files = sorted(REAL.glob(pattern)) if REAL.is_dir() else []
    if not files:
        pytest.skip(f"real missions are not here: {REAL}")
    return files


def test_a_plan_has_what_the_ground_station_demands() -> None:
    """All three parts with their versions, a home of three numbers, sequential jump ids, and latitude before longitude."""
    data = json.loads(plan.write(MISSION))
    assert (data["fileType"], data["version"]) == ("Plan", 1)
    assert [data[part]["version"] for part in ("mission", "geoFence", "rallyPoints")] == [2, 2, 2]
    assert data["mission"]["plannedHomePosition"] == [32.38, 120.56, 4.5]
    assert [i["doJumpId"] for i in data["mission"]["items"]] == [1, 2, 3, 4]
    assert data["mission"]["items"][1]["params"][4:] == [32.3812345, 120.5612345, 100.5]
    assert data["mission"]["items"][0]["params"][3] is None
    assert data["geoFence"]["polygons"][0]["inclusion"] is True
    assert data["geoFence"]["circles"][0] == {
        "version": 1,
        "inclusion": False,
        "circle": {"center": [32.38, 120.56], "radius": 30.0},
    }
    assert data["mission"]["firmwareType"] == 3
    assert json.loads(plan.write(MISSION, Autopilot.PX4))["mission"]["firmwareType"] == 12


def test_name_version_and_hash_stand_in_both_files() -> None:
    """Who holds a file can see which plan it is."""
    for text in (plan.write(MISSION), waypoints.write(MISSION)):
        assert MISSION.name in text
        assert MISSION.sha256 in text
    assert "# version: 3" in waypoints.write(MISSION)
    assert waypoints.write(MISSION, labels=False).splitlines()[1].startswith("0\t1\t0\t16\t")


def test_waypoint_rows_have_latitude_first_and_eight_decimals() -> None:
    """Row 0 is home; columns are separated by tabs."""
    rows = [line.split("\t") for line in waypoints.write(MISSION, labels=False).splitlines()[1:]]
    assert rows[0][8:11] == ["32.38000000", "120.56000000", "4.5"]
    assert rows[2][8:10] == ["32.38123450", "120.56123450"]
    assert all(len(row) == 12 for row in rows)
    fence = waypoints.write_fence(MISSION, labels=False).splitlines()[1:]
    assert [line.split("\t")[3:5] for line in fence] == [["5001", "4.0"]] * 4 + [["5004", "30.0"]]


def test_a_changed_file_is_refused() -> None:
    """A moved waypoint no longer matches the hash that the file states."""
    with pytest.raises(FormatError, match="changed after it was written"):
        plan.read(plan.write(MISSION).replace("120.5612345", "120.5712345"))
    with pytest.raises(FormatError, match="changed after it was written"):
        waypoints.read(waypoints.write(MISSION).replace("120.56123450", "120.57123450"))
    fence = waypoints.write_fence(MISSION)
    with pytest.raises(FormatError, match="changed after it was written"):
        waypoints.read(waypoints.write(MISSION), fence=fence.replace("30.0", "3.0"), rally=waypoints.write_rally(MISSION))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1"),
        ('{"fileType": "Mission"}', "fileType"),
        ('{"fileType": "Plan", "mission": {}}', "geoFence"),
        ('{"fileType": "Plan", "mission": {}, "geoFence": {}, "rallyPoints": {}}', "plannedHomePosition"),
    ],
)
def test_a_broken_plan_says_where(text: str, words: str) -> None:
    """Each fault of a .plan file is named."""
    with pytest.raises(FormatError, match=words):
        plan.read(text)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1\t0\t3\t16\t0\t0\t0\t0\t32\t120\t60", "line 3 has 11 columns"),
        ("1\t0\t3\tgo\t0\t0\t0\t0\t32\t120\t60\t1", "line 3"),
        ("0\t0\t3\t16\t0\t0\t0\t0\t32\t120\t60\t1", "index 0 where 1"),
        ("1\t0\t3\t5001\t3\t0\t0\t0\t32\t120\t60\t1", "1 of its 3 corners"),
    ],
)
def test_a_broken_row_is_named(row: str, words: str) -> None:
    """Each fault of a .waypoints file is named with its line."""
    text = f"QGC WPL 110\n0\t1\t0\t16\t0\t0\t0\t0\t32.0\t120.0\t5\t1\n{row}\n"
    with pytest.raises(FormatError, match=words):
        waypoints.read(text)
    with pytest.raises(FormatError, match="line 1"):
        waypoints.read(text.replace("110", "999"))


def test_a_gap_in_the_numbers_is_noted() -> None:
    """A row may be missing where the numbers jump: the mission is read and says so."""
    text = "QGC WPL 110\n0\t1\t0\t16\t0\t0\t0\t0\t32.0\t120.0\t5\t1\n2\t0\t3\t20\t0\t0\t0\t0\t0\t0\t0\t1\n"
    assert waypoints.read(text).notes == ("line 3: index 2 follows 0, a row may be missing",)


def test_values_that_cannot_be_are_refused() -> None:
    """Fences of two corners, circles without size, names over two lines."""
    with pytest.raises(PlanningError, match="three corners"):
        FenceArea(True, SQUARE[:2])
    with pytest.raises(PlanningError, match="radius"):
        FenceArea(False, (), HOME, 0.0)
    with pytest.raises(PlanningError, match="one line"):
        replace(MISSION, name="a\nb")


def test_real_plans_are_read() -> None:
    """The ground station's own samples: simple items and surveys read and survive a round trip, a structure scan is refused by name."""
    for path in real("qgc_plan/*.plan"):
        text = path.read_text(encoding="utf-8")
        if "StructureScan" in text:
            with pytest.raises(FormatError, match="item 2 is a StructureScan"):
                plan.read(text)
            continue
        mission = plan.read(text)
        assert len(mission.items) >= 6
        assert 47.3 < mission.home.lat_deg < 47.5
        assert replace(plan.read(plan.write(mission)), name="") == mission


def test_real_waypoint_files_are_read() -> None:
    """Sixteen text missions of ArduPilot's own tests, some with comments or spaces for tabs, fences among them, survive a round trip."""
    files = real("ardupilot_wpl/*.txt")
    assert len(files) == 16
    fences = 0
    for path in files:
        mission = waypoints.read(path.read_text(encoding="utf-8"))
        assert mission.items or mission.fence
        fences += bool(mission.fence)
        back = waypoints.read(
            waypoints.write(mission), fence=waypoints.write_fence(mission), rally=waypoints.write_rally(mission)
        )
        assert back == mission
    assert fences == 2
