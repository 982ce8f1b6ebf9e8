"""One comparison looked at by several real workers: the same findings as by one, whoever is killed on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from change_detect.detector import GeometryImage
from geo.times import SystemClock
from patrol import jobs, records, repositories, tasks, wiring
from patrol.jobs import Job, JobState
from patrol.pipeline import comparing, kinds, looking
from patrol.pipeline.areas import keep_area
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.faults.test_jobs import state_of, until, worker
from tests.unit.patrol.built import Block, adopted, area

BLOCKS = (Block(20, 20, 10, 8, 3.0), Block(50, 45, 8, 8, 3.2), Block(5, 60, 45, 9, 4.0))
CELLS = 150


@contextmanager
def store(url: str, home: Path, **more: Any) -> Iterator[Workplace]:
    """A store with two surveys of a place, between which three boxes were built; one of them lies across windows."""
    settings = Settings(
        home=home / "store", database_url=url, job_modules=("small_windows",), sweep_s=0.5, share_windows=2, **more
    )
    settings.home.mkdir(parents=True, exist_ok=True)
    with workplace(settings) as work:
        keep_area(work, area(), by="test")
        adopted(work, home / "before", date(2026, 6, 20))
        adopted(work, home / "after", date(2026, 7, 20), BLOCKS)
        yield work


def submitted(work: Workplace) -> Job:
    args = {"area_id": "a1", "by": "test"}
    return tasks.submit(tasks.make_app(work.settings), work.database, "compare", args, by="test", clock=SystemClock())


def pieces(work: Workplace, parent: Job) -> tuple[Job, ...]:
    with work.database.read() as session:
        return jobs.shelf.where(session, jobs.JobRow.parent_id == parent.id)


def stored(work: Workplace) -> set[tuple[Any, ...]]:
    """The comparison's candidates as they lie in the store."""
    with work.database.read() as session:
        (made,) = repositories.comparisons.where(session)
        found = repositories.candidates_of(session, made.id)
    return {(c.id, c.kind, c.score, c.outline.wkt, c.reasons, c.suppressed) for c in found}


def alone(work: Workplace) -> set[tuple[Any, ...]]:
    """What one look at the whole area gives."""
    with work.database.read() as session:
        before, after = repositories.surveys_of(session, "a1", accepted=True)
    pair = comparing.aligned(work, before, after)
    name = f"{before.id}_{after.id}"
    return {
        (f"{name}-{c.id}", c.kind, c.score, area().frame.to_degrees(c.outline).wkt, c.reasons, c.suppressed)
        for c in GeometryImage().detect(pair)
    }


def finished(work: Workplace, job: Job) -> records.ComparisonRecord:
    ended = until(lambda: (now := state_of(work.database, job.id)).state.is_over and now, 300)
    logs = "\n".join(p.read_text()[-2000:] for p in work.settings.home.glob("*.log"))
    assert ended.state is JobState.DONE, f"{ended.error}\n{logs}"
    with work.database.read() as session:
        return repositories.comparisons.get(session, ended.result["comparison_id"])


def test_a_comparison_in_windows_is_the_comparison(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spread over windows, each made twice to the same bytes, cancelled once and asked again: the candidates are those of one look."""
    monkeypatch.setattr(wiring, "GeometryImage", partial(GeometryImage, window_cells=CELLS))
    with store(sqlite_url, tmp_path) as work:
        job = submitted(work)
        waiting = jobs.execute(work.database, work.settings, job.id, SystemClock())
        assert waiting is not None
        assert waiting.state is JobState.WAITING
        made = pieces(work, job)
        assert len(made) >= 6
        assert waiting.total == looking.STEPS * len(made)
        first = jobs.execute(work.database, work.settings, made[0].id, SystemClock())
        assert first is not None
        assert (first.state, first.done) == (JobState.DONE, looking.STEPS)
        (room,) = looking.rooms(work).iterdir()
        (file,) = room.glob("window-*")
        whole = file.read_bytes()
        file.unlink()
        looking.look(work, room.name, made[0].args["number"])
        assert file.read_bytes() == whole
        with work.database.write() as session:
            assert jobs.cancel(session, job.id, by="test", clock=SystemClock()).state is JobState.CANCELLED
        again = submitted(work)
        assert jobs.execute(work.database, work.settings, again.id, SystemClock()) is not None
        rest = pieces(work, again)
        assert len(rest) == len(made) - 1
        for piece in rest:
            jobs.execute(work.database, work.settings, piece.id, SystemClock())
        done = jobs.execute(work.database, work.settings, again.id, SystemClock())
        assert done is not None
        assert done.state is JobState.DONE, done.error
        assert not any(looking.rooms(work).iterdir())
        monkeypatch.undo()
        assert stored(work) == alone(work)
        assert sum(c[-1] is None for c in stored(work)) == len(BLOCKS)


def test_files_that_changed_are_looked_at_anew(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey written anew between two runs makes the windows of the first run worthless: they are not taken up."""
    monkeypatch.setattr(wiring, "GeometryImage", partial(GeometryImage, window_cells=CELLS))
    with store(sqlite_url, tmp_path) as work:
        context = jobs.Context("none", 1, work.settings, work.database, SystemClock(), lambda *_: None)
        spread = kinds.compare(context, area_id="a1", by="test")
        assert isinstance(spread, jobs.Spread)
        for piece in spread.pieces:
            kinds.comparison_window(context, **piece.args)
        with work.database.read() as session:
            surface = comparing.source(work, repositories.surveys_of(session, "a1", accepted=True)[1]).surface
        assert surface is not None
        os.utime(surface, ns=(1, 1))
        again = kinds.compare(context, area_id="a1", by="test")
        assert isinstance(again, jobs.Spread)
        assert len(again.pieces) == len(spread.pieces)


@pytest.mark.slow
def test_a_worker_killed_in_a_window_costs_that_window_alone(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle of a window: it goes to another worker when its lease runs out, and no other window is looked at twice."""
    with store(sqlite_url, tmp_path, job_lease_s=5.0) as work:
        job = submitted(work)
        monkeypatch.setenv("PIECE_PAUSE_S", "2.0")
        with worker(work.settings) as first:
            until(lambda: any(p.state is JobState.DONE for p in pieces(work, job)), 120)
            until(lambda: any(p.state is JobState.RUNNING for p in pieces(work, job)), 120)
            os.kill(first.pid, signal.SIGKILL)
            first.wait(10)
        monkeypatch.setenv("PIECE_PAUSE_S", "0")
        before = {p.id: p for p in pieces(work, job)}
        assert sum(p.state is JobState.RUNNING for p in before.values()) == 1
        with worker(work.settings), worker(work.settings):
            finished(work, job)
        after = {p.id: p for p in pieces(work, job)}
        assert all(after[p.id].attempts == 2 for p in before.values() if p.state is JobState.RUNNING)
        assert all(after[p.id] == p for p in before.values() if p.state is JobState.DONE)
        assert stored(work) == alone(work)
