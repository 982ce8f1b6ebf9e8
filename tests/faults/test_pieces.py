"""Jobs in pieces: a job waits without a worker until its pieces are done, whatever befalls them, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from geo.times import FixedClock, SystemClock
from patrol import jobs, tasks
from patrol.database import Database
from patrol.jobs import Job, JobState
from tests.faults.test_jobs import settings_for, state_of, submitted, until, worker

CLOCK = SystemClock()


def children(database: Database, parent: Job) -> tuple[Job, ...]:
    with database.read() as session:
        return jobs.shelf.where(session, jobs.JobRow.parent_id == parent.id, order=(jobs.JobRow.made_at, jobs.JobRow.piece))


def open_children(database: Database, parent: Job) -> list[Job]:
    return [child for child in children(database, parent) if not child.state.is_over]


def shown(database: Database, parent: Job) -> Job:
    with database.read() as session:
        recent = jobs.recent(session)
    assert [job.id for job in recent] == [parent.id]
    return recent[0]


@pytest.fixture
def parent(database: Database, tmp_path: Path) -> Job:
    return submitted(database, "shared_build", {"folder": str(tmp_path), "pieces": 3}, key="survey")


def test_a_job_waits_for_its_pieces_and_goes_on_when_the_last_is_done(
    database: Database, database_url: str, parent: Job, tmp_path: Path
) -> None:
    """Stage after stage: its progress is that of its pieces, only the last of them wakes it, and its key is taken all the while."""
    settings = settings_for(database_url, tmp_path)
    for stage in range(2):
        waiting = jobs.execute(database, settings, parent.id, CLOCK)
        assert waiting is not None
        assert (waiting.state, waiting.lease_token, waiting.attempts) == (JobState.WAITING, None, 0)
        pieces = open_children(database, parent)
        assert [(p.stage, p.piece) for p in pieces] == [(f"stage {stage}", n) for n in range(3)]
        with database.read() as session:
            assert jobs.released(session, waiting) == tuple(p.id for p in pieces)
        assert jobs.execute(database, settings, parent.id, CLOCK) is None
        for number, piece in enumerate(pieces):
            assert (shown(database, parent).done, shown(database, parent).total) == (10 * number, 30)
            assert state_of(database, parent.id).state is JobState.WAITING
            assert jobs.execute(database, settings, piece.id, CLOCK) is not None
        assert state_of(database, parent.id).state is JobState.QUEUED
        assert submitted(database, "shared_build", {}, key="survey").id == parent.id
    with database.read() as session:
        assert jobs.released(session, state_of(database, pieces[0].id)) == (parent.id,)
    ended = jobs.execute(database, settings, parent.id, CLOCK)
    assert ended is not None
    assert (ended.state, ended.result) == (JobState.DONE, {"made": 6})


def test_a_failed_piece_fails_the_job_with_its_sentence_and_the_next_goes_on(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """What is queued is ended, nothing is left waiting, and another job takes up what was finished."""
    settings = settings_for(database_url, tmp_path)
    args = {"folder": str(tmp_path), "pieces": 3}
    first = submitted(database, "shared_build", {**args, "bad": 1})
    jobs.execute(database, settings, first.id, CLOCK)
    for piece in open_children(database, first)[:2]:
        jobs.execute(database, settings, piece.id, CLOCK)
    failed = state_of(database, first.id)
    assert failed.state is JobState.FAILED
    assert "No space left on device" in str(failed.error)
    assert [p.state for p in children(database, first)] == [JobState.DONE, JobState.FAILED, JobState.CANCELLED]
    second = submitted(database, "shared_build", args)
    jobs.execute(database, settings, second.id, CLOCK)
    assert [p.args["name"] for p in open_children(database, second)] == ["piece-0-1", "piece-0-2"]


def test_a_cancelled_job_takes_its_pieces_along(database: Database, database_url: str, parent: Job, tmp_path: Path) -> None:
    """Queued pieces end at once, running ones are asked to, and what they still say wakes nobody."""
    settings = settings_for(database_url, tmp_path)
    jobs.execute(database, settings, parent.id, CLOCK)
    pieces = open_children(database, parent)
    with database.write() as session:
        running = jobs.claim(session, pieces[0].id, CLOCK, timedelta(minutes=1))
    assert running is not None
    with database.write() as session:
        assert jobs.cancel(session, parent.id, by="test", clock=CLOCK).state is JobState.CANCELLED
    assert [p.state for p in children(database, parent)] == [JobState.RUNNING, JobState.CANCELLED, JobState.CANCELLED]
    assert state_of(database, running.id).cancel_asked
    jobs._let_go(database, running, {"state": JobState.CANCELLED.value}, CLOCK)
    assert state_of(database, parent.id).state is JobState.CANCELLED


def test_a_job_cancelled_while_it_spreads_makes_no_pieces(
    database: Database, database_url: str, parent: Job, tmp_path: Path
) -> None:
    """The cancel that comes between its last progress and its wait is heard."""
    with database.write() as session:
        mine = jobs.claim(session, parent.id, CLOCK, timedelta(minutes=1))
    assert mine is not None
    with database.write() as session:
        jobs.cancel(session, parent.id, by="test", clock=CLOCK)
    spread = jobs.Spread("stage", "shared_piece", (jobs.Piece({}, 1),))
    jobs._spread(database, mine, spread, CLOCK)
    assert state_of(database, parent.id).state is JobState.CANCELLED
    assert not children(database, parent)


def test_last_pieces_that_end_at_once_wake_the_job(database: Database, database_url: str, tmp_path: Path) -> None:
    """Whoever is last sees the others' ends: many pieces on many threads, and the job never sleeps on."""
    settings = settings_for(database_url, tmp_path)
    parent = submitted(database, "shared_build", {"folder": str(tmp_path), "pieces": 12})
    jobs.execute(database, settings, parent.id, CLOCK)
    pieces = open_children(database, parent)
    start = threading.Barrier(len(pieces))

    def run(id: str) -> None:
        start.wait()
        jobs.execute(database, settings, id, CLOCK)

    hands = [threading.Thread(target=run, args=(piece.id,)) for piece in pieces]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(60)
    assert not open_children(database, parent)
    assert state_of(database, parent.id).state is JobState.QUEUED


def test_the_sweep_wakes_what_was_not_woken_and_fails_what_lost_its_piece(database: Database, clock: FixedClock) -> None:
    """A piece that kills its workers is given up, and the job that waits for it fails with that sentence."""
    parent = submitted(database, "shared_build", {}, clock, max_attempts=1)
    with database.write() as session:
        mine = jobs.claim(session, parent.id, clock, timedelta(seconds=30))
    assert mine is not None
    jobs._spread(database, mine, jobs.Spread("stage", "shared_piece", (jobs.Piece({}, 1),)), clock)
    (piece,) = open_children(database, parent)
    with database.write() as session:
        assert jobs.claim(session, piece.id, clock, timedelta(seconds=30)) is not None
    clock.advance(timedelta(minutes=1))
    with database.write() as session:
        jobs.sweep(session, clock)
    assert state_of(database, parent.id).state is JobState.WAITING
    with database.write() as session:
        jobs.settle(session, clock)
    assert state_of(database, parent.id).state is JobState.FAILED
    assert "worker died" in str(state_of(database, parent.id).error)


def test_a_stage_without_pieces_is_an_error() -> None:
    """Nobody would ever wake the job."""
    with pytest.raises(jobs.JobError, match="no pieces"):
        jobs.Spread("stage", "shared_piece", ())


def test_two_workers_share_the_pieces_of_a_job(database: Database, database_url: str, tmp_path: Path) -> None:
    """Real processes: messages of pieces are sent when a stage begins, and the job's own when it ends."""
    settings = settings_for(database_url, tmp_path, sweep_s=30.0)
    app = tasks.make_app(settings)
    with worker(settings), worker(settings):
        args = {"folder": str(tmp_path), "pieces": 10}
        made = tasks.submit(app, database, "shared_build", args, by="test", clock=CLOCK)
        ended = until(lambda: (now := state_of(database, made.id)).state.is_over and now, 60)
        assert (ended.state, ended.result) == (JobState.DONE, {"made": 20})
        assert all(p.attempts == 1 for p in children(database, made))
    app.close()
