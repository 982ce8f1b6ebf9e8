"""One survey of a made-up place built by several real workers: the same to the byte as by one, whoever is killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import pytest
from PIL import ExifTags, Image

from geo.area import Area, AreaId
from geo.times import SystemClock
from imagery import orthorectify, surface, survey
from imagery.photos import read_folder
from imagery.survey import Survey
from patrol import jobs, repositories, tasks
from patrol.jobs import Job, JobState
from patrol.pipeline import kinds, surveying
from patrol.pipeline.areas import keep_area
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.faults.test_jobs import state_of, until, worker
from tests.unit.imagery import stage

DAY = date(2026, 3, 5)
RASTERS = ("ortho", "surface", "sigma", "confidence", "filled", "off_nadir", "source")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen photos of the place, as a small camera writes them."""
    folder = tmp_path_factory.mktemp("photos")
    block = stage.block(tmp_path_factory.mktemp("drawn"), gains=True)
    for view in block.views:
        place = stage.FRAME.lonlat(view.pose.x_m, view.pose.y_m)
        with Image.open(view.path) as picture:
            exif = Image.Exif()
            exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "test", "pinhole"
            exif[ExifTags.Base.DateTime] = f"2026:03:05 10:00:{int(view.path.stem):02}"
            gps = {
                ExifTags.GPS.GPSLatitudeRef: "N",
                ExifTags.GPS.GPSLatitude: (place.lat_deg, 0.0, 0.0),
                ExifTags.GPS.GPSLongitudeRef: "E",
                ExifTags.GPS.GPSLongitude: (place.lon_deg, 0.0, 0.0),
                ExifTags.GPS.GPSAltitudeRef: b"\x00",
                ExifTags.GPS.GPSAltitude: view.pose.z_m,
            }
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
            lens = exif.get_ifd(ExifTags.IFD.Exif)
            lens[ExifTags.Base.FocalLengthIn35mmFilm] = round(stage.CAMERA.focal_px * 43.27 / 800)  # of the diagonal
            picture.save(folder / f"{view.path.stem}.jpg", quality=97, exif=exif)
    return folder


@contextmanager
def store(url: str, home: Path, **more: Any) -> Iterator[Workplace]:
    """An empty store whose surveys are all shared, and the place as its area."""
    settings = Settings(home=home, database_url=url, job_modules=("small_tiles",), sweep_s=0.5, share_photos=5, **more)
    with workplace(settings) as work:
        outline = stage.FRAME.to_degrees(stage.grid(half_m=15.0).outline_m)
        keep_area(work, Area(AreaId("stage"), "stage", outline, gsd_m=0.1, epsg=stage.FRAME.epsg), by="test")
        yield work


def submitted(work: Workplace, photos: Path) -> Job:
    args = {"folder": str(photos), "area_id": "stage", "taken_on": DAY.isoformat(), "by": "test"}
    return tasks.submit(tasks.make_app(work.settings), work.database, "ingest", args, by="test", clock=SystemClock())


def pieces(work: Workplace, parent: Job) -> tuple[Job, ...]:
    with work.database.read() as session:
        return jobs.shelf.where(session, jobs.JobRow.parent_id == parent.id)


def finished(work: Workplace, job: Job) -> Survey:
    ended = until(lambda: (now := state_of(work.database, job.id)).state.is_over and now, 400)
    logs = "\n".join(p.read_text()[-2000:] for p in work.settings.home.glob("*.log"))
    assert ended.state is JobState.DONE, f"{ended.error}\n{logs}"
    with work.database.read() as session:
        return surveying.load_survey(work, repositories.surveys.get(session, ended.result["survey_id"]))


def alone(shared: Survey, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Survey:
    """The survey of the same block and photos built in one go."""
    monkeypatch.setattr(surface, "TILE", 128)
    monkeypatch.setattr(orthorectify, "_TILE", 128)
    cv2.setNumThreads(1)
    assert shared.block is not None
    shutil.copytree(shared.block, folder / "block")
    place = stage.FRAME.to_degrees(stage.grid(half_m=15.0).outline_m)
    area = Area(AreaId("stage"), "stage", place, gsd_m=0.1, epsg=stage.FRAME.epsg)

    class Unneeded:
        """The block is there."""

    own = read_folder(photos, workers=1).photos
    return survey.build(own, area, DAY, folder, survey_id=shared.id, reconstructor=Unneeded())  # type: ignore[arg-type]


def same(one: Survey, other: Survey) -> None:
    assert replace(one, folder=other.folder, **{n: getattr(other, n) for n in survey._PATHS}) == other
    for name in RASTERS:
        assert getattr(one, name).read_bytes() == getattr(other, name).read_bytes(), name


@pytest.mark.slow
def test_two_workers_make_the_same_survey_as_one(
    sqlite_url: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage is in pieces, both workers take some, and the rasters are those of a build in one go."""
    with store(sqlite_url, tmp_path / "home") as work:
        job = submitted(work, photos)
        with worker(work.settings), worker(work.settings):
            survey_ = finished(work, job)
        made = pieces(work, job)
        assert {p.stage for p in made} == {"features", "surface: pairs", "surface: tiles", "ortho: tiles"}
        assert all(p.state is JobState.DONE and p.done == p.total for p in made)
        logs = [p.read_text() for p in work.settings.home.glob("worker-*.log")]
        assert all(log.count("succeeded in") > 3 for log in logs)
        left = {p.name for p in survey_.folder.iterdir()}
        assert not {n for n in left if n.startswith(("stereo", "order", "work", "ortho-", "."))}
        assert not any((work.settings.home / "building").iterdir())
        same(survey_, alone(survey_, photos, tmp_path / "alone", monkeypatch))


@pytest.mark.slow
def test_a_worker_killed_in_a_piece_costs_that_piece_alone(
    postgres_url: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle of the pairs: the piece goes to another worker when its lease runs out, and nothing else is done twice."""
    with store(postgres_url, tmp_path / "home", job_lease_s=5.0) as work:
        job = submitted(work, photos)
        monkeypatch.setenv("PIECE_PAUSE_S", "1.0")
        with worker(work.settings) as first:
            held = until(
                lambda: [p for p in pieces(work, job) if p.stage == "surface: pairs" and p.heartbeat_at and p.attempts], 400
            )
            os.kill(first.pid, signal.SIGKILL)
            first.wait(10)
        monkeypatch.setenv("PIECE_PAUSE_S", "0")
        before = {p.id: p for p in pieces(work, job)}
        running = [p for p in before.values() if p.state is JobState.RUNNING]
        assert held
        with worker(work.settings), worker(work.settings):
            survey_ = finished(work, job)
        after = {p.id: p for p in pieces(work, job)}
        assert all(after[p.id].attempts >= 2 for p in running)
        assert all(after[p.id] == p for p in before.values() if p.state is JobState.DONE)
        same(survey_, alone(survey_, photos, tmp_path / "alone", monkeypatch))


@pytest.mark.slow
def test_a_cancelled_survey_keeps_its_pieces_for_the_next_time(sqlite_url: str, photos: Path, tmp_path: Path) -> None:
    """Cancelled while it waits, nothing runs on and no survey is seen; asked again, finished photos are not sought anew."""
    with store(sqlite_url, tmp_path / "home") as work:
        first = submitted(work, photos)
        context = jobs.Context(first.id, 1, work.settings, work.database, SystemClock(), lambda *_: None)
        spread = kinds.ingest(context, **first.args)
        assert isinstance(spread, jobs.Spread)
        assert (spread.stage, sum(p.steps for p in spread.pieces)) == ("features", 15)
        waiting = jobs.execute(work.database, work.settings, first.id, SystemClock())
        assert waiting is not None
        assert waiting.state is JobState.WAITING
        one = pieces(work, first)[0]
        assert jobs.execute(work.database, work.settings, one.id, SystemClock()) is not None
        with work.database.write() as session:
            assert jobs.cancel(session, first.id, by="test", clock=SystemClock()).state is JobState.CANCELLED
        assert {p.state for p in pieces(work, first)} == {JobState.DONE, JobState.CANCELLED}
        with work.database.read() as session:
            assert not repositories.surveys.where(session)
        second = submitted(work, photos)
        again = jobs.execute(work.database, work.settings, second.id, SystemClock())
        assert again is not None
        assert again.total == 15 - one.total


def test_few_photos_are_not_shared(sqlite_url: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One rule decides: below so many photos a survey is built by one worker in one go."""
    shared: list[bool] = []

    def build(*_: Any, **named: Any) -> None:
        shared.append(bool(named["shared"]))
        raise InterruptedError

    monkeypatch.setattr(surveying.surveys, "build", build)
    with store(sqlite_url, tmp_path / "home") as work:
        for most in (16, 15):
            chosen = replace(work, settings=work.settings.model_copy(update={"share_photos": most}))
            with pytest.raises(surveying.SurveyRefused):
                surveying.begin(chosen, photos, "stage", DAY, by="test", shared=True)
    assert shared == [False, True]
