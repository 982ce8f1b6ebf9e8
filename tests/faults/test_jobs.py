"""Jobs under faults: doubled messages, killed workers, cancelled work, on real workers and real brokers."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from geo.times import FixedClock, SystemClock
from patrol import audit, jobs, tasks
from patrol.database import Database
from patrol.jobs import Job, JobState
from patrol.settings import Settings

KINDS = Path(__file__).with_name("small_kinds.py")
ROOT = Path(__file__).resolve().parent.parent.parent


def _load_small_kinds() -> None:
    if "slow_build" not in jobs.kinds():
        spec = importlib.util.spec_from_file_location("small_kinds", KINDS)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_load_small_kinds()


def settings_for(url: str, home: Path, **more: Any) -> Settings:
    return Settings(home=home, database_url=url, job_modules=("small_kinds",), **more)


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker process, with these settings as its environment; killed at the end if it still lives."""
    passed = {"home", "database_url", "broker_url", "job_lease_s", "sweep_s", "worker_processes", "share_photos", "share_windows"}
    named = settings.model_dump(mode="json", include=passed)
    environment = {**os.environ, **{f"PATROL_{key.upper()}": str(value) for key, value in named.items()}}
    environment["PATROL_JOB_MODULES"] = json.dumps(settings.job_modules)
    environment["PYTHONPATH"] = f"{KINDS.parent}{os.pathsep}{ROOT}"
    said = settings.home / f"worker-{time.monotonic_ns()}.log"
    code = "from patrol.settings import Settings; from patrol.tasks import run_worker; run_worker(Settings())"
    with said.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=log, stderr=log, cwd=settings.home)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain")


def state_of(database: Database, id: str) -> Job:
    with database.read() as session:
        return jobs.shelf.get(session, id)


def submitted(database: Database, kind: str, args: dict[str, Any], clock: Any = None, **more: Any) -> Job:
    with database.write() as session:
        return jobs.submit(session, kind, args, by="test", clock=clock or SystemClock(), **more)


def test_a_doubled_message_runs_once(database: Database, database_url: str, tmp_path: Path) -> None:
    """However often and by however many workers a message is received, the job runs once."""
    settings = settings_for(database_url, tmp_path)
    made = submitted(database, "note", {"folder": str(tmp_path), "name": "ran"})
    ended: list[Job | None] = []
    hands = [
        threading.Thread(target=lambda: ended.append(jobs.execute(database, settings, made.id, SystemClock()))) for _ in range(6)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len((tmp_path / "ran").read_text().splitlines()) == 1
    assert [done.state for done in ended if done is not None] == [JobState.DONE]
    assert jobs.execute(database, settings, made.id, SystemClock()) is None
    assert state_of(database, made.id).attempts == 1


def test_a_job_that_fails_says_why_and_does_not_run_again(database: Database, database_url: str, tmp_path: Path) -> None:
    """A full disk ends the job with its reason and its progress; a sweep does not bring it back."""
    settings = settings_for(database_url, tmp_path)
    made = submitted(database, "full_disk", {})
    done = jobs.execute(database, settings, made.id, SystemClock())
    assert done is not None
    assert (done.state, done.done, done.total) == (JobState.FAILED, 3, 10)
    assert "No space left on device" in str(done.error)
    assert "/data/surveys/ortho.tif" in str(done.error)
    with database.write() as session:
        assert jobs.sweep(session, SystemClock()) == ()


def test_a_job_of_an_unknown_kind_fails_with_a_sentence(database: Database, database_url: str, tmp_path: Path) -> None:
    """A worker that lacks a kind says which ones it knows."""
    made = submitted(database, "no_such_kind", {})
    done = jobs.execute(database, settings_for(database_url, tmp_path), made.id, SystemClock())
    assert done is not None
    assert done.state is JobState.FAILED
    assert "no_such_kind" in str(done.error)
    assert "slow_build" in str(done.error)


def test_a_running_job_can_be_cancelled(database: Database, database_url: str, tmp_path: Path) -> None:
    """The job hears of its cancel at its next progress and ends as cancelled."""
    settings = settings_for(database_url, tmp_path, job_lease_s=0.4)
    made = submitted(database, "wait_for_the_end", {})
    hand = threading.Thread(target=lambda: jobs.execute(database, settings, made.id, SystemClock()))
    hand.start()
    until(lambda: state_of(database, made.id).state is JobState.RUNNING)
    with database.write() as session:
        asked = jobs.cancel(session, made.id, by="test", clock=SystemClock())
    assert asked.cancel_asked
    hand.join(20)
    assert not hand.is_alive()
    assert state_of(database, made.id).state is JobState.CANCELLED


def test_a_queued_job_is_cancelled_at_once_and_never_runs(database: Database, database_url: str, tmp_path: Path) -> None:
    """Its message may still come; nobody wins its lease."""
    made = submitted(database, "note", {"folder": str(tmp_path), "name": "ran"})
    with database.write() as session:
        assert jobs.cancel(session, made.id, by="test", clock=SystemClock()).state is JobState.CANCELLED
    assert jobs.execute(database, settings_for(database_url, tmp_path), made.id, SystemClock()) is None
    assert not (tmp_path / "ran").exists()
    with database.read() as session:
        assert audit.verify(session) is None


def test_a_lease_that_ran_out_goes_to_the_next_and_the_first_cannot_write_any_more(database: Database, clock: FixedClock) -> None:
    """A worker that fell silent loses the job; whoever is late with a result has it dropped."""
    made = submitted(database, "note", {}, clock)
    lease = timedelta(minutes=2)
    with database.write() as session:
        first = jobs.claim(session, made.id, clock, lease)
        assert first is not None
        assert jobs.claim(session, made.id, clock, lease) is None
    clock.advance(timedelta(minutes=3))
    with database.write() as session:
        second = jobs.claim(session, made.id, clock, lease)
    assert second is not None
    assert second.attempts == 2
    assert jobs._let_go(database, first, {"state": "done"}, clock) is None
    assert state_of(database, made.id).state is JobState.RUNNING


def test_a_job_that_kills_its_workers_is_given_up(database: Database, clock: FixedClock) -> None:
    """After as many deaths as allowed the sweep calls it failed and says so, instead of killing workers for ever."""
    made = submitted(database, "note", {}, clock, max_attempts=2)
    for _ in range(2):
        with database.write() as session:
            assert jobs.claim(session, made.id, clock, timedelta(seconds=30)) is not None
        clock.advance(timedelta(minutes=1))
        with database.write() as session:
            waiting = jobs.sweep(session, clock)
    assert waiting == ()
    given_up = state_of(database, made.id)
    assert given_up.state is JobState.FAILED
    assert "worker died" in str(given_up.error)


def test_the_same_work_asked_twice_is_one_job_until_it_is_over(database: Database, database_url: str, tmp_path: Path) -> None:
    """A key names the work: a second click gives the first job back."""
    args = {"folder": str(tmp_path), "name": "ran"}
    first = submitted(database, "note", args, key="survey/a/2026-03-05")
    assert submitted(database, "note", args, key="survey/a/2026-03-05") == first
    jobs.execute(database, settings_for(database_url, tmp_path), first.id, SystemClock())
    assert submitted(database, "note", args, key="survey/a/2026-03-05").id != first.id


def test_a_message_that_was_never_sent_is_sent_by_the_sweep_and_only_once(database: Database, clock: FixedClock) -> None:
    """A crash between commit and send loses nothing, and a long queue is not flooded with copies."""
    made = submitted(database, "note", {}, clock)
    with database.write() as session:
        assert jobs.sweep(session, clock) == (made.id,)
        jobs.mark_sent(session, made.id, clock)
        assert jobs.sweep(session, clock) == ()
    clock.advance(timedelta(minutes=11))
    with database.write() as session:
        assert jobs.sweep(session, clock) == (made.id,)


BROKERS = ("folder", "redis", "rabbitmq")


@pytest.mark.parametrize("broker", BROKERS)
def test_a_killed_worker_costs_no_work(broker: str, sqlite_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """kill -9 in the middle of a build: the next worker goes on where it stopped, and no half result was ever visible."""
    url = "" if broker == "folder" else request.getfixturevalue(f"{broker}_url")
    settings = settings_for(sqlite_url, tmp_path, broker_url=url, job_lease_s=2.0, sweep_s=0.5)
    with Database(sqlite_url) as database:
        app = tasks.make_app(settings)
        made = tasks.submit(app, database, "slow_build", {"folder": str(tmp_path), "steps": 200}, by="test", clock=SystemClock())
        with worker(settings) as first:
            until(lambda: state_of(database, made.id).done >= 3)
            os.kill(first.pid, signal.SIGKILL)
            first.wait(10)
        assert state_of(database, made.id).state is JobState.RUNNING
        assert not (tmp_path / "build").exists()
        half = len((tmp_path / "build.half").read_text().splitlines())
        assert 3 <= half < 200
        with worker(settings) as second:
            ended = until(lambda: (now := state_of(database, made.id)).state.is_over and now)
            assert ended.state is JobState.DONE
            assert ended.attempts == 2
            assert ended.result == {"steps": 200, "resumed_at": half}
            assert (tmp_path / "pids").read_text().split() == [str(first.pid), str(second.pid)]
        app.close()


@pytest.mark.parametrize("broker", BROKERS)
def test_a_worker_takes_what_is_submitted_while_it_runs_and_ends_when_told(
    broker: str, postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The service form: PostgreSQL, a broker and a worker in its own process; a polite end lets it finish."""
    url = "" if broker == "folder" else request.getfixturevalue(f"{broker}_url")
    settings = settings_for(postgres_url, tmp_path, broker_url=url, sweep_s=0.5)
    with Database(postgres_url) as database, worker(settings) as process:
        app = tasks.make_app(settings)
        args = [{"folder": str(tmp_path), "name": f"ran-{i}"} for i in range(4)]
        made = [tasks.submit(app, database, "note", a, by="test", clock=SystemClock()) for a in args]
        for one in made:
            assert until(lambda id=one.id: (now := state_of(database, id)).state.is_over and now).state is JobState.DONE
        assert all(len((tmp_path / a["name"]).read_text().splitlines()) == 1 for a in args)
        process.terminate()
        assert process.wait(20) == 0
        app.close()


def test_a_killed_child_of_a_forking_worker_costs_no_work(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    """The service form with two processes: kill -9 of the one that works, and the other goes on with the job."""
    settings = settings_for(postgres_url, tmp_path, broker_url=redis_url, job_lease_s=2.0, sweep_s=0.5, worker_processes=2)
    with Database(postgres_url) as database, worker(settings) as parent:
        app = tasks.make_app(settings)
        args = {"folder": str(tmp_path), "steps": 200}
        made = tasks.submit(app, database, "slow_build", args, by="test", clock=SystemClock())
        until(lambda: state_of(database, made.id).done >= 3)
        child = int((tmp_path / "pids").read_text())
        assert child != parent.pid
        os.kill(child, signal.SIGKILL)
        ended = until(lambda: (now := state_of(database, made.id)).state.is_over and now)
        assert (ended.state, ended.attempts) == (JobState.DONE, 2)
        assert ended.result["steps"] == 200
        assert ended.result["resumed_at"] >= 3
        parent.terminate()
        assert parent.wait(20) == 0
        app.close()
