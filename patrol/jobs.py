"""Jobs: long work as database rows with a lease and a heartbeat.

A message carries only a job's id, so it may come twice, late or never: whoever receives it must first win the lease by a
compare-and-set update. A worker that dies stops beating; its lease runs out, and `sweep` gives the job to the next one.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import CursorResult, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from geo.times import Clock
from patrol import audit
from patrol.database import Database
from patrol.settings import Settings
from patrol.shelf import Shelf
from patrol.tables import JobRow
from patrol.values import dump

log = logging.getLogger(__name__)

RESEND = timedelta(minutes=10)
"""A message not heard of for so long is sent again; should it come twice, the lease lets one through."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stood when it was read."""

    id: str
    kind: str
    args: Mapping[str, Any]
    state: JobState
    made_at: datetime
    made_by: str
    max_attempts: int
    key: str | None = None
    sent_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    lease_until: datetime | None = None
    lease_token: str | None = None
    heartbeat_at: datetime | None = None
    attempts: int = 0
    cancel_asked: bool = False
    done: int = 0
    total: int = 0
    what: str = ""
    error: str | None = None
    result: Mapping[str, Any] | None = None


class JobError(RuntimeError):
    """A job cannot be made: its kind is unknown."""


class JobStopped(RuntimeError):
    """Raised out of `progress`: the job was cancelled, or its lease went to somebody else. Let it pass."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind of job is given beside its own arguments. Call `progress` often: it is also how a job hears of its end."""

    job_id: str
    attempt: int
    settings: Settings
    database: Database
    clock: Clock
    progress: Callable[[int, int, str], None]


Kind = Callable[..., Mapping[str, Any] | None]
_KINDS: dict[str, Kind] = {}


def job(kind: str) -> Callable[[Kind], Kind]:
    """Register `function(context, **args) -> result or None` as a kind of job.

    It may run more than once (a worker may die): it asks what is there already, works under a temporary name, then renames.
    """

    def register(function: Kind) -> Kind:
        if _KINDS.setdefault(kind, function) is not function and _KINDS[kind].__qualname__ != function.__qualname__:
            raise JobError(f"two functions want to be the job kind {kind!r}")
        _KINDS[kind] = function
        return function

    return register


Keeper = Callable[[Settings, Database, Clock], object]
_KEEPERS: dict[str, Keeper] = {}


def housekeeper(name: str) -> Callable[[Keeper], Keeper]:
    """Register what a worker does with each of its sweeps: small, quick, and safe to do by two workers at once."""

    def register(function: Keeper) -> Keeper:
        _KEEPERS[name] = function
        return function

    return register


def keep_house(settings: Settings, database: Database, clock: Clock) -> None:
    """Let every housekeeper do its work; one that fails does not stop the others."""
    for name, keeper in _KEEPERS.items():
        try:
            keeper(settings, database, clock)
        except Exception:
            log.exception("housekeeping %r failed; it is tried again with the next sweep", name)


def kinds() -> tuple[str, ...]:
    """The kinds that are registered now."""
    return tuple(sorted(_KINDS))


shelf = Shelf(JobRow, Job, "job")


def submit(
    session: Session,
    kind: str,
    args: Mapping[str, Any],
    *,
    by: str,
    clock: Clock,
    key: str | None = None,
    max_attempts: int = 3,
) -> Job:
    """Write a job's row; the job of the same `key` if it is not over yet. Send its id with `patrol.tasks` after the commit."""
    if key is not None and (there := shelf.where(session, JobRow.key == key)):
        return there[0]
    made = Job(uuid4().hex, kind, dump(args), JobState.QUEUED, clock.now(), by, max_attempts, key)
    shelf.add(session, made)
    audit.append(session, by, "job.submit", f"job:{made.id}", at=made.made_at, details={"kind": kind, "args": made.args})
    return made


def cancel(session: Session, id: str, *, by: str, clock: Clock) -> Job:
    """End a queued job now, and ask a running one to stop at its next progress; one that is over stays as it is."""
    job_ = shelf.get(session, id)
    if job_.state.is_over:
        return job_
    audit.append(session, by, "job.cancel", f"job:{id}", at=clock.now())
    queued = update(JobRow).where(JobRow.id == id, JobRow.state == JobState.QUEUED.value)
    if not _rows(session, queued.values(state=JobState.CANCELLED.value, ended_at=clock.now(), key=None, cancel_asked=True)):
        _rows(session, update(JobRow).where(JobRow.id == id, JobRow.state == JobState.RUNNING.value).values(cancel_asked=True))
    session.expire_all()
    return shelf.get(session, id)


def sweep(session: Session, clock: Clock) -> tuple[str, ...]:
    """Take back what dead workers held, give up what killed too many, and name the jobs whose message must be sent (again)."""
    now = clock.now()
    lapsed = (JobRow.state == JobState.RUNNING.value, JobRow.lease_until < now)
    asked = update(JobRow).where(*lapsed, JobRow.cancel_asked)
    _rows(session, asked.values(state=JobState.CANCELLED.value, ended_at=now, key=None, lease_token=None, lease_until=None))
    worn = update(JobRow).where(*lapsed, JobRow.attempts >= JobRow.max_attempts)
    said = "its worker died without a word, as often as it may: look at the worker's log and memory, then submit it again"
    over = {"state": JobState.FAILED.value, "error": said, "ended_at": now, "key": None}
    _rows(session, worn.values(**over, lease_token=None, lease_until=None))
    again = update(JobRow).where(*lapsed)
    _rows(session, again.values(state=JobState.QUEUED.value, lease_token=None, lease_until=None, sent_at=None))
    unsent = or_(JobRow.sent_at.is_(None), JobRow.sent_at < now - RESEND)
    waiting = shelf.where(session, JobRow.state == JobState.QUEUED.value, unsent, order=(JobRow.made_at,))
    return tuple(job_.id for job_ in waiting)


def mark_sent(session: Session, id: str, clock: Clock) -> None:
    """Note that a job's message is in the queue."""
    _rows(session, update(JobRow).where(JobRow.id == id).values(sent_at=clock.now()))


def _rows(session: Session, statement: Any) -> int:
    done = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(done, CursorResult)
    return int(done.rowcount)


def claim(session: Session, id: str, clock: Clock, lease: timedelta) -> Job | None:
    """Win a job's lease; None when somebody else has it, or it is over."""
    now, token = clock.now(), secrets.token_hex(8)
    free = or_(JobRow.state == JobState.QUEUED.value, (JobRow.state == JobState.RUNNING.value) & (JobRow.lease_until < now))
    won = update(JobRow).where(JobRow.id == id, free, JobRow.attempts < JobRow.max_attempts, JobRow.cancel_asked.is_(False))
    changes: dict[str, Any] = {
        "state": JobState.RUNNING.value,
        "lease_token": token,
        "lease_until": now + lease,
        "heartbeat_at": now,
        "started_at": now,
        "attempts": JobRow.attempts + 1,
        "error": None,
    }
    return shelf.get(session, id) if _rows(session, won.values(**changes)) else None


@dataclass(slots=True)
class _Heart:
    """Beats while the job works: renews the lease, writes progress, listens for the cancel."""

    database: Database
    job: Job
    clock: Clock
    lease: timedelta
    _said: tuple[int, int, str] = (0, 0, "")
    _stop: threading.Event = field(default_factory=threading.Event)
    _why: str = ""
    _thread: threading.Thread | None = None

    def progress(self, done: int, total: int, what: str) -> None:
        """Kept in memory, written with the next beat; raises JobStopped once the job is to end."""
        self._said = (done, total, what)
        if self._why:
            raise JobStopped(self._why)

    def __enter__(self) -> _Heart:
        self._thread = threading.Thread(target=self._beat, name=f"heart-{self.job.id[:8]}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def said(self) -> dict[str, Any]:
        """The newest progress as columns."""
        return dict(zip(("done", "total", "what"), self._said, strict=True))

    def _beat(self) -> None:
        pause = min(1.0, self.lease.total_seconds() / 4)
        written, renewed = None, self.clock.now()
        while not self._stop.wait(pause):
            now = self.clock.now()
            if written == self._said and now - renewed < self.lease / 4:
                continue
            try:
                with self.database.write() as session:
                    mine = update(JobRow).where(JobRow.id == self.job.id, JobRow.lease_token == self.job.lease_token)
                    held = _rows(session, mine.values(lease_until=now + self.lease, heartbeat_at=now, **self.said))
                    if not held:
                        self._why = "the lease went to another worker"
                    elif shelf.get(session, self.job.id).cancel_asked:
                        self._why = "cancelled"
                written, renewed = self._said, now
            except SQLAlchemyError:
                # A database that is away for a moment is no reason to drop hours of work; the lease decides.
                log.warning("job %s: no heartbeat, the database does not answer", self.job.id, exc_info=True)


def execute(database: Database, settings: Settings, id: str, clock: Clock) -> Job | None:
    """Run a job to its end if its lease can be won; the job as it then stands, None when there was nothing to do."""
    lease = timedelta(seconds=settings.job_lease_s)
    with database.write() as session:
        mine = claim(session, id, clock, lease)
    if mine is None:
        return None
    heart = _Heart(database, mine, clock, lease)
    context = Context(id, mine.attempts, settings, database, clock, heart.progress)
    over: dict[str, Any]
    try:
        with heart:
            result = _work(mine.kind)(context, **mine.args)
        over = {"state": JobState.DONE.value, "result": dump(result)}
    except JobStopped as stopped:
        over = {"state": JobState.CANCELLED.value, "error": str(stopped)}
    except Exception as err:
        log.exception("job %s (%s) failed", id, mine.kind)
        over = {"state": JobState.FAILED.value, "error": _sentence(err)}
    except BaseException:
        # The worker is told to go: the job is not to blame and goes back at once.
        back = {"state": JobState.QUEUED.value, "attempts": mine.attempts - 1, "sent_at": None}
        _let_go(database, mine, back)
        raise
    ended = {**over, **heart.said, "ended_at": clock.now(), "key": None}
    return _let_go(database, mine, ended)


def _work(kind: str) -> Kind:
    if kind not in _KINDS:
        raise JobError(f"no such kind of job: {kind!r}; this worker knows {', '.join(kinds()) or 'none'}")
    return _KINDS[kind]


def _let_go(database: Database, mine: Job, changes: Mapping[str, Any]) -> Job | None:
    with database.write() as session:
        held = update(JobRow).where(JobRow.id == mine.id, JobRow.lease_token == mine.lease_token)
        if not _rows(session, held.values(**changes, lease_token=None, lease_until=None)):
            log.warning("job %s: its lease went to another worker, this one's result is dropped", mine.id)
            return None
        return shelf.get(session, mine.id)


def _sentence(err: BaseException) -> str:
    said = str(err).strip()
    return f"{type(err).__name__}: {said}" if said else type(err).__name__


def recent(session: Session, limit: int = 50) -> tuple[Job, ...]:
    """The newest jobs first."""
    return shelf.where(session, order=(JobRow.made_at.desc(),), limit=limit)
