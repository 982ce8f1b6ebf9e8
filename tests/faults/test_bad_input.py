"""Bad input gets a clear sentence and loses nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from airspace.errors import AirspaceError
from flight.errors import PlanningError
from geo.area import Area
from patrol import airspaces, demo, jobs, repositories, tasks
from patrol.jobs import JobState
from patrol.pipeline import areas, housing, planning, surveying, zoning
from patrol.pipeline.areas import ImportRefused, keep_area
from patrol.pipeline.comparing import ComparisonRefused, compare
from patrol.pipeline.surveying import SurveyRefused, ingest
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.loop.month import Month

DAY = date(2026, 10, 8)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    """An empty store."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        yield made


@pytest.fixture
def area(work: Workplace, month: Month) -> Area:
    """The month's area in the empty store."""
    with workplace(month.settings) as other, other.database.read() as session:
        found = repositories.areas.get(session, "demo")
    return keep_area(work, found, by="test")


@pytest.fixture
def photos(month: Month, tmp_path: Path) -> Path:
    """A copy of the month's first photos."""
    folder = tmp_path / "photos"
    shutil.copytree(month.settings.home / "camera" / "day00", folder)
    return folder


def _empty(work: Workplace) -> bool:
    with work.database.read() as session:
        none = not repositories.surveys.where(session)
    left = work.settings.home / "surveys"
    return none and (not left.exists() or not any(left.iterdir()))


def test_a_folder_without_photos_says_so(work: Workplace, area: Area, tmp_path: Path) -> None:
    """The sentence names the folder."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SurveyRefused, match="empty"):
        ingest(work, tmp_path / "empty", area.id, DAY, by="test")
    with pytest.raises(SurveyRefused, match="no such folder"):
        ingest(work, tmp_path / "nowhere", area.id, DAY, by="test")
    assert _empty(work)


@pytest.mark.slow
def test_one_corrupt_and_one_foreign_photo_are_left_out_and_named(work: Workplace, area: Area, photos: Path) -> None:
    """The rest becomes a survey; nothing is left out in silence."""
    from tests.faults.exif import moved

    files = sorted(photos.rglob("*.JPG"))
    files[3].write_bytes(files[3].read_bytes()[:2000])
    moved(files[4], files[4].with_name("ELSEWHERE.JPG"), north_deg=0.5)
    done = ingest(work, photos, area.id, DAY, by="test")
    named = {name for name, _ in done.left_out}
    assert {files[3].name, "ELSEWHERE.JPG"} <= named
    assert done.survey.quality["registered"] >= 0.9 * (len(files) - 1)
    asset = done.survey.asset("screening")
    assert asset is not None
    kept = json.loads((work.settings.home / done.survey.folder / asset.path).read_text())
    hashes = {line["sha256"] for part in ("used", "set_aside", "refused") for line in kept[part]}
    on_card = [*files, files[4].with_name("ELSEWHERE.JPG")]
    assert hashes == {hashlib.sha256(path.read_bytes()).hexdigest() for path in on_card}
    assert [line["code"] for line in kept["set_aside"]] == ["elsewhere"]
    assert done.survey.record["screening"]["refused"] == 1


def test_a_zone_file_with_broken_geometry_names_the_feature(work: Workplace, tmp_path: Path) -> None:
    """Nothing of the file is taken."""
    bow = {"type": "Polygon", "coordinates": [[[120, 32], [121, 33], [121, 32], [120, 33], [120, 32]]]}
    good = {"type": "Polygon", "coordinates": [[[120, 32], [121, 32], [121, 33], [120, 33], [120, 32]]]}
    features: list[dict[str, Any]] = [
        {"type": "Feature", "properties": {"id": str(n), "name": f"z{n}", "kind": "suitable"}, "geometry": g}
        for n, g in enumerate((good, bow), start=1)
    ]
    path = tmp_path / "zones.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(AirspaceError, match="feature 2"):
        zoning.import_zones(work, path, by="test", datum="wgs84")
    with work.database.read() as session:
        assert not airspaces.in_force(session)


def test_an_area_file_with_a_line_in_it_is_refused_whole(work: Workplace, tmp_path: Path) -> None:
    """The sentence names the file and the feature."""
    path = tmp_path / "areas.geojson"
    line = {"type": "LineString", "coordinates": [[120, 32], [121, 33]]}
    features = [{"type": "Feature", "properties": {"name": "河"}, "geometry": line}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(ImportRefused, match="feature 1"):
        areas.import_areas(work, path, by="test")


def test_an_area_outside_every_zone_is_not_planned(work: Workplace, area: Area, month: Month) -> None:
    """Unknown air is never clear: the refusal says why."""
    with workplace(month.settings) as other, other.database.read() as session:
        aircraft = repositories.aircraft.where(session)[0]
    with pytest.raises(PlanningError, match=area.name):
        planning.plan_missions(work, area, aircraft, DAY, by="test")


def test_a_disk_that_is_too_small_is_seen_before_anything_is_written(
    work: Workplace, area: Area, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says how much is free and how much is needed."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(housing.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    with pytest.raises(SurveyRefused, match="GB are free"):
        ingest(work, photos, area.id, DAY, by="test")
    assert _empty(work)


def test_a_disk_that_fills_up_half_way_loses_nothing(
    work: Workplace, area: Area, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's sentence carries the reason, and no half survey is visible."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(surveying.surveys, "build", full)
    with pytest.raises(SurveyRefused, match="No space left"):
        ingest(work, photos, area.id, DAY, by="test")
    assert _empty(work)


def test_one_survey_cannot_be_compared(work: Workplace, area: Area) -> None:
    """The sentence says how many there are and what to do."""
    with pytest.raises(ComparisonRefused, match="two are needed"):
        compare(work, area.id, by="test")


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_build_is_followed_by_another(work: Workplace, area: Area, photos: Path) -> None:
    """kill -9 half-way: no survey is visible; the next worker takes the job up and the survey is whole."""
    environment = {
        **os.environ,
        "PATROL_HOME": str(work.settings.home),
        "PATROL_DATABASE_URL": "",
        "PATROL_BROKER_URL": "",
        "PATROL_JOB_LEASE_S": "4",
        "PATROL_SWEEP_S": "1",
    }
    app = tasks.make_app(work.settings)
    args = {"folder": str(photos), "area_id": area.id, "taken_on": DAY.isoformat(), "by": "test"}
    job = tasks.submit(app, work.database, "ingest", args, by="test", clock=work.clock)

    def worker() -> subprocess.Popen[bytes]:
        with (work.settings.home / "worker.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "patrol", "worker"], env=environment, stdout=log, stderr=log)

    first = worker()
    building = work.settings.home / "building"
    _wait(lambda: building.exists() and any(building.rglob("*.db")), 120, "the build to begin")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert _empty(work)
    second = worker()
    try:
        _wait(lambda: _state(work, job.id).is_over, 400, "the second worker to finish")
    finally:
        second.terminate()
        second.wait(30)
    assert _state(work, job.id) is JobState.DONE, (work.settings.home / "worker.log").read_text()[-3000:]
    with work.database.read() as session:
        surveys = repositories.surveys.where(session)
        assert jobs.shelf.get(session, job.id).attempts == 2
    assert len(surveys) == 1
    assert (work.settings.home / surveys[0].folder / "survey.json").is_file()


def _state(work: Workplace, job_id: str) -> JobState:
    with work.database.read() as session:
        return jobs.shelf.get(session, job_id).state


def _wait(ready: Any, seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
