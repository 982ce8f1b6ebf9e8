"""A refused survey asks for its gap only, and the make-up flight's photos complete it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from shapely.geometry import mapping, shape

from flight.errors import PlanningError
from geo.area import AreaId
from geo.frames import LonLat
from geo.grid import Grid
from imagery.sidecars import PositionSource
from patrol import demo, records, repositories
from patrol.pipeline import areas, makeup, originals, planning, sorting, surveying
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.imagery import stage
from tests.unit.patrol.placed import AREA, PosesByPlace, jpeg

START = date(2026, 3, 1)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        areas.keep_area(made, AREA, by="test")
        yield made


def test_a_survey_with_a_gap_is_completed_by_the_photos_of_its_make_up_flight(
    work: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the photos make a refused survey with a gap over the other half; the rest of them, ingested to complete it, make it whole."""
    poses = {f"{k:03d}.jpg": pose for k, pose in enumerate(stage.poses())}
    folders = tmp_path / "first", tmp_path / "second"
    noon = datetime(2026, 3, 1, 4, tzinfo=UTC)
    for k, (name, pose) in enumerate(poses.items()):
        folder = folders[0] if pose.x_m < stage.CENTRE[0] - 6 else folders[1]
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(jpeg(pose, noon + timedelta(seconds=3 * k)))
    engine = PosesByPlace(poses, stage.block(tmp_path / "points", at=stage.poses(1, 2)))
    monkeypatch.setattr(Workplace, "reconstructor", lambda self: engine)
    first = surveying.ingest(work, folders[0], AREA.id, START, by="test").survey
    assert not first.accepted
    gap = AREA.frame.to_metres(shape(first.quality["gap"]))
    assert 0.1 < gap.area / AREA.area_m2 < 0.8

    demand = planning.gap_demands([first], {}, [AREA], START)
    assert [d.id for d in demand] == [f"gap:{first.id}"]
    assert demand[0].not_after == START + planning.MAKE_UP_WITHIN

    with pytest.raises(makeup.SurveyRefused, match="not of area"):
        other = replace(AREA, id=AreaId("other"))
        areas.keep_area(work, other, by="test")
        surveying.ingest(work, folders[1], "other", START, by="test", completes=first.id)

    done = surveying.ingest(work, folders[1], AREA.id, START, by="test", completes=first.id).survey
    assert done.accepted, done.quality["reasons"]
    assert done.quality["given"] == len(poses)
    assert done.quality["gap"] is None
    assert surveying.ingest(work, folders[1], AREA.id, START, by="test", completes=first.id).again
    with work.database.read() as session:
        assert repositories.surveys.get(session, first.id).quality == first.quality
        last = repositories.last_accepted(session)
    assert planning.gap_demands([first], last, [AREA], START) == ()


def test_a_make_up_flight_keeps_what_side_files_told_of_both_flights(
    work: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first flight's geo.txt and control went with its card, and are used all the same; the second's MRK and control beside them."""
    poses = {f"DJI_{k + 1:04d}.JPG": pose for k, pose in enumerate(stage.poses())}
    folders = tmp_path / "first", tmp_path / "second"
    noon = datetime(2026, 3, 1, 4, tzinfo=UTC)
    for k, (name, pose) in enumerate(poses.items()):
        folder = folders[0] if k < 8 else folders[1]
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(jpeg(pose, noon + timedelta(seconds=3 * k)))
    x, y = stage.CENTRE
    lines = [f"{name} {p.x_m + 0.5} {p.y_m} 46.5 10 5 0 0.02 0.03" for name, p in list(poses.items())[:8]]
    (folders[0] / "geo.txt").write_text("\n".join([f"EPSG:{stage.FRAME.epsg}", *lines]))
    frame = f"EPSG:{stage.FRAME.epsg}\n"
    points = f"{x} {y} 1.0 320 240 DJI_0001.JPG A\n{x + 5} {y} 1.1 300 200 DJI_0002.JPG B\n"
    (folders[0] / "gcp_list.txt").write_text(frame + points)
    marks = []
    for k, pose in enumerate(list(poses.values())[8:], 9):
        at = stage.FRAME.lonlat(pose.x_m, pose.y_m + 0.5)
        place = f"{at.lat_deg:.8f},Lat\t{at.lon_deg:.8f},Lon\t47.000,Ellh"
        marks.append(f"{k}\t{400370 + k}.0\t[2264]\t0,N\t0,E\t0,V\t{place}\t0.010, 0.010, 0.025\t50,Q\n")
    (folders[1] / "flight_Timestamp.MRK").write_text("".join(marks))
    (folders[1] / "gcp_list.txt").write_text(f"{frame}{x} {y + 5} 1.2 100 100 DJI_0009.JPG C\n{x} {y} 1.0 9 9 DJI_0010.JPG A\n")
    engine = PosesByPlace(poses, stage.block(tmp_path / "points", at=stage.poses(1, 2)))
    monkeypatch.setattr(Workplace, "reconstructor", lambda self: engine)

    first = surveying.ingest(work, folders[0], AREA.id, START, by="test", checks=["B"]).survey
    shutil.rmtree(folders[0])
    done = surveying.ingest(work, folders[1], AREA.id, START, by="test", completes=first.id)
    (before, _), (photos, control) = engine.asked
    told = {p.sha256: p for p in photos}
    assert len(told) == len(poses)
    sources = [p.position_source for p in photos]
    assert (sources.count(PositionSource.GEO_TXT), sources.count(PositionSource.MRK)) == (8, 7)
    assert [replace(told[p.sha256], look=p.look) for p in before] == list(before)
    assert {p.position_sigma_m for p in before} == {0.02}
    assert control is not None
    assert [(p.name, str(p.role), len(p.marks)) for p in control.points] == [
        ("A", "control", 2),
        ("B", "check", 1),
        ("C", "control", 1),
    ]
    names = {p.sha256: originals.own_name(p) for p in photos}
    assert [names[m.photo] for p in control.points for m in p.marks] == [
        "DJI_0001.JPG", "DJI_0010.JPG", "DJI_0002.JPG", "DJI_0009.JPG",
    ]  # fmt: skip
    kept = json.loads((work.settings.home / done.survey.folder / sorting.RECORD).read_text())
    assert sorted(line["name"] for line in kept["used"]) == sorted(poses)
    assert done.survey.asset("control") is not None


def _refused(gap: object, day: date = START, area: str = "stage") -> records.SurveyRecord:
    quality = {"gap": gap}
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return records.SurveyRecord(f"{area}-{day}", area, day, now, AREA.outline, "s", False, quality, (), {})


def test_a_small_gap_asks_for_one_battery_and_a_large_one_for_the_area() -> None:
    """The demand's place lies in the gap; of two refusals the newer one speaks; without a gap nobody flies."""
    g = stage.grid(half_m=15.0)
    small = AREA.frame.to_degrees(Grid(g.frame, 1.0, g.west_m, g.north_m, 6, 6).outline_m)
    asked = planning.gap_demands(
        [_refused(mapping(small)), _refused(mapping(AREA.outline), START - timedelta(1))], {}, [AREA], START
    )
    assert len(asked) == 1
    assert isinstance(asked[0].place, LonLat)
    assert planning.gap_demands([_refused(mapping(AREA.outline))], {}, [AREA], START)[0].place is None
    assert planning.gap_demands([_refused(None)], {}, [AREA], START) == ()
    with pytest.raises(PlanningError, match="no gap"):
        planning.gap_of(AREA, _refused(None))
