"""Celery: moves the ids of jobs from those who submit them to the workers. What a job is stands in `patrol.jobs`.

The embedded default is a folder as the queue, so that nothing has to be installed; Redis or RabbitMQ by URL alone.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from celery import Celery, signals
from kombu.exceptions import OperationalError

from geo.times import LOCAL_ZONE, Clock, SystemClock
from patrol import jobs
from patrol.database import Database
from patrol.settings import Settings
from patrol.tables import JobRow

log = logging.getLogger(__name__)

RUN, SWEEP = "patrol.run_job", "patrol.sweep"


class QueueError(RuntimeError):
    """The queue does not take messages."""


@lru_cache(maxsize=8)
def make_app(settings: Settings) -> Celery:
    """The Celery application of these settings, one per process so that its connections are shared; nothing is connected yet."""
    app = Celery("patrol", broker=settings.broker, backend=None, set_as_current=False)
    app.conf.update(
        task_default_queue="patrol",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        accept_content=["json"],
        task_serializer="json",
        timezone="UTC",
        enable_utc=True,
        beat_schedule={"sweep": {"task": SWEEP, "schedule": 60.0}},
        beat_schedule_filename=str(settings.home / "beat"),
    )
    if settings.broker.startswith("filesystem"):
        app.conf.broker_transport_options = _folder(settings)

    @app.task(name=RUN)
    def run_job(job_id: str) -> None:
        with Database(settings.database) as database:
            done = jobs.execute(database, settings, job_id, SystemClock())
            if done is None:
                log.info("job %s: nothing to do, it is over or in other hands", job_id)
            else:
                send_released(app, database, done, SystemClock())

    @app.task(name=SWEEP)
    def sweep_jobs() -> None:
        sweep(app, settings, SystemClock())

    return app


def _folder(settings: Settings) -> dict[str, Any]:
    messages, control = settings.queue_dir / "messages", settings.queue_dir / "control"
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True)
    # One folder is both ends of the queue. Reading takes a message out; what a dead worker had read comes back by the sweep.
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": 0.2,
    }


def send(app: Celery, job_id: str) -> None:
    """Put a job's id into the queue; raises QueueError when the broker does not take it."""
    try:
        app.send_task(RUN, args=[job_id], retry=False)
    except (OperationalError, OSError) as err:
        raise QueueError(f"the queue {app.conf.broker_url} does not take messages: {err}") from err


def submit(
    app: Celery,
    database: Database,
    kind: str,
    args: Mapping[str, Any],
    *,
    by: str,
    clock: Clock,
    key: str | None = None,
    max_attempts: int = 3,
) -> jobs.Job:
    """Write the job, commit, then send its id. Should the broker be away, the job waits and the next sweep sends it."""
    with database.write() as session:
        made = jobs.submit(session, kind, args, by=by, clock=clock, key=key, max_attempts=max_attempts)
    if made.state is jobs.JobState.QUEUED and made.sent_at is None:
        _send_and_mark(app, database, made.id, clock)
    return made


def _send_and_mark(app: Celery, database: Database, job_id: str, clock: Clock) -> bool:
    try:
        send(app, job_id)
    except QueueError:
        log.warning("job %s waits: its message could not be sent", job_id, exc_info=True)
        return False
    with database.write() as session:
        jobs.mark_sent(session, job_id, clock)
    return True


def send_released(app: Celery, database: Database, done: jobs.Job, clock: Clock) -> int:
    """Send what the end of a job's run has made ready; returns how many messages were sent. The sweep heals what is lost here."""
    with database.read() as session:
        ready = jobs.released(session, done)
    return sum(_send_and_mark(app, database, job_id, clock) for job_id in ready)


def sweep(app: Celery, settings: Settings, clock: Clock) -> int:
    """Bring back what was left lying; returns how many messages were sent."""
    with Database(settings.database) as database:
        with database.write() as session:
            jobs.settle(session, clock)
        with database.write() as session:
            waiting = jobs.sweep(session, clock)
        jobs.keep_house(settings, database, clock)
        nightly(app, database, settings, clock)
        return sum(_send_and_mark(app, database, job_id, clock) for job_id in waiting)


def nightly(app: Celery, database: Database, settings: Settings, clock: Clock) -> jobs.Job | None:
    """Once a night, from two o'clock on, ask for retention as the settings say; None when it is not time or was asked for."""
    here = clock.now().astimezone(LOCAL_ZONE)
    if settings.retention == "off" or not 2 <= here.hour < 6:
        return None
    start = here.replace(hour=2, minute=0, second=0, microsecond=0)
    with database.read() as session:
        if jobs.shelf.count(session, JobRow.kind == "retention", JobRow.made_at >= start):
            return None
    told = {"by": "system", "apply": settings.retention == "apply"}
    return submit(app, database, "retention", told, by="system", clock=clock, key=f"retention:{here.date()}")


class Sweeper(threading.Thread):
    """Sweeps every `sweep_s` seconds while a worker lives, the first time at once: no beat process is needed for it."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._app, self._settings, self._end = app, settings, threading.Event()

    def run(self) -> None:
        """Until stopped."""
        while True:
            try:
                sweep(self._app, self._settings, SystemClock())
            except Exception:
                log.exception("the sweep failed; it is tried again in %.0f s", self._settings.sweep_s)
            if self._end.wait(self._settings.sweep_s):
                return

    def stop(self) -> None:
        """End it and wait."""
        self._end.set()
        self.join(10)


def load_kinds(settings: Settings) -> None:
    """Import the modules that register the kinds of jobs."""
    for module in settings.job_modules:
        importlib.import_module(module)


def run_worker(settings: Settings) -> None:
    """Work until told to stop. One process works by itself; more are forked. Raises DatabaseError first if there is none."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    with Database(settings.database) as database:
        database.check()
    load_kinds(settings)
    app = make_app(settings)
    sweeper = Sweeper(app, settings)

    def ready(**_: object) -> None:
        sweeper.start()

    signals.worker_ready.connect(ready, weak=False)
    pool = "solo" if settings.worker_processes == 1 else "prefork"
    quiet = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    try:
        app.worker_main(["worker", "--pool", pool, "--concurrency", str(settings.worker_processes), "--loglevel", "INFO", *quiet])
    finally:
        signals.worker_ready.disconnect(ready)
        if sweeper.is_alive():
            sweeper.stop()


def run_beat(settings: Settings) -> None:
    """Send the sweep on its schedule, for installations that keep a beat process."""
    make_app(settings).Beat(loglevel="INFO").run()
