"""Jobs: long work as database rows with a lease and a heartbeat.

A message carries only a job's id, so it may come twice, late or never: whoever receives it must first win the lease by a
compare-and-set update. A worker that dies stops beating; its lease runs out, and `sweep` gives the job to the next one.

A job may `Spread` its work over pieces, jobs of their own. It then waits without a worker; the last piece that ends wakes it.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, CursorResult, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from geo.times import Clock
from patrol import audit
from patrol.database import Database
from patrol.jobvalues import Job, JobError, JobState, JobStopped, Piece, Spread, shelf
from patrol.settings import Settings
from patrol.tables import JobRow
from patrol.values import dump

__all__ = ["Context", "Job", "JobError", "JobState", "JobStopped", "Piece", "Spread", "job", "shelf"]

log = logging.getLogger(__name__)

RESEND = timedelta(minutes=10)
"""A message not heard of for so long is sent again; should it come twice, the lease lets one through."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind of job is given beside its own arguments. Call `progress` often: it is also how a job hears of its end."""

    job_id: str
    attempt: int
    settings: Settings
    database: Database
    clock: Clock
    progress: Callable[[int, int, str], None]


Kind = Callable[..., Mapping[str, Any] | Spread | None]
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
    """End a queued or waiting job now, with its pieces, and ask a running one to stop at its next progress; one that is over stays."""
    job_ = shelf.get(session, id)
    if job_.state.is_over:
        return job_
    audit.append(session, by, "job.cancel", f"job:{id}", at=clock.now())
    _stop(session, JobRow.id == id, clock)
    _stop(session, JobRow.parent_id == id, clock)
    session.expire_all()
    return shelf.get(session, id)


def _stop(session: Session, which: ColumnElement[bool], clock: Clock) -> None:
    """End what is queued or waits, and ask what runs to stop."""
    idle = update(JobRow).where(which, JobRow.state.in_((JobState.QUEUED.value, JobState.WAITING.value)))
    _rows(session, idle.values(state=JobState.CANCELLED.value, ended_at=clock.now(), key=None, cancel_asked=True))
    _rows(session, update(JobRow).where(which, JobRow.state == JobState.RUNNING.value).values(cancel_asked=True))


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
    _said: tuple[int, int, str] = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)
    _why: str = ""
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._said = (self.job.done, self.job.total, self.job.what)

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
    result: Mapping[str, Any] | Spread | None = None
    try:
        with heart:
            result = _work(mine.kind)(context, **mine.args)
        over = {"state": JobState.DONE.value, "result": None if isinstance(result, Spread) else dump(result)}
    except JobStopped as stopped:
        over = {"state": JobState.CANCELLED.value, "error": str(stopped)}
    except Exception as err:
        log.exception("job %s (%s) failed", id, mine.kind)
        over = {"state": JobState.FAILED.value, "error": _sentence(err)}
    except BaseException:
        # The worker is told to go: the job is not to blame and goes back at once.
        back = {"state": JobState.QUEUED.value, "attempts": mine.attempts - 1, "sent_at": None}
        _let_go(database, mine, back, clock)
        raise
    if isinstance(result, Spread):
        return _spread(database, mine, result, clock)
    whole = mine.parent_id is not None and over["state"] == JobState.DONE.value
    said = {"done": mine.total, "total": mine.total} if whole else heart.said
    return _let_go(database, mine, {**over, **said, "ended_at": clock.now(), "key": None}, clock)


def _work(kind: str) -> Kind:
    if kind not in _KINDS:
        raise JobError(f"no such kind of job: {kind!r}; this worker knows {', '.join(kinds()) or 'none'}")
    return _KINDS[kind]


def _let_go(database: Database, mine: Job, changes: Mapping[str, Any], clock: Clock) -> Job | None:
    with database.write() as session:
        if mine.parent_id is not None:
            _lock(session, mine.parent_id)  # before the piece, as everybody does: two locks in two orders would be a deadlock
        held = update(JobRow).where(JobRow.id == mine.id, JobRow.lease_token == mine.lease_token)
        if not _rows(session, held.values(**changes, lease_token=None, lease_until=None)):
            log.warning("job %s: its lease went to another worker, this one's result is dropped", mine.id)
            return None
        if mine.parent_id is not None:
            _settle(session, mine.parent_id, clock)
        session.expire_all()
        return shelf.get(session, mine.id)


def _spread(database: Database, mine: Job, spread: Spread, clock: Clock) -> Job | None:
    """The job waits and its pieces are queued, in one transaction; unless it was cancelled in the meantime."""
    now = clock.now()
    steps = sum(piece.steps for piece in spread.pieces)
    waits = {
        "state": JobState.WAITING.value,
        "args": {**mine.args, **dump(spread.args)},
        "attempts": 0,
        "done": 0,
        "total": steps,
    }
    with database.write() as session:
        held = update(JobRow).where(JobRow.id == mine.id, JobRow.lease_token == mine.lease_token, JobRow.cancel_asked.is_(False))
        if _rows(session, held.values(**waits, what=spread.stage, lease_token=None, lease_until=None)):
            for number, piece in enumerate(spread.pieces):
                made = Job(uuid4().hex, spread.kind, dump(piece.args), JobState.QUEUED, now, mine.made_by, mine.max_attempts)
                made = replace(made, total=piece.steps, what=spread.stage)
                shelf.add(session, replace(made, parent_id=mine.id, stage=spread.stage, piece=number))
            session.expire_all()
            return shelf.get(session, mine.id)
    return _let_go(database, mine, {"state": JobState.CANCELLED.value, "ended_at": now, "key": None}, clock)


def _lock(session: Session, id: str) -> JobRow | None:
    return session.get(JobRow, id, with_for_update=True, populate_existing=True)


def _settle(session: Session, id: str, clock: Clock) -> None:
    """What the ends of its pieces mean for a job that waits: one failed, and it fails; all done, and it is queued again."""
    parent = _lock(session, id)
    if parent is None or parent.state != JobState.WAITING.value:
        return
    counts = select(JobRow.state, func.count()).where(JobRow.parent_id == id).group_by(JobRow.state)
    states = {JobState(state) for state, _ in session.execute(counts)}
    if JobState.FAILED in states or JobState.CANCELLED in states:
        of_failed = select(JobRow.error).where(JobRow.parent_id == id, JobRow.state == JobState.FAILED.value)
        parent.error = session.scalars(of_failed.order_by(JobRow.ended_at)).first()
        parent.state = (JobState.FAILED if JobState.FAILED in states else JobState.CANCELLED).value
        parent.ended_at, parent.key = clock.now(), None
        session.flush()
        _stop(session, JobRow.parent_id == id, clock)
    elif states <= {JobState.DONE}:
        parent.state, parent.sent_at, parent.done = JobState.QUEUED.value, None, parent.total
        session.flush()


def settle(session: Session, clock: Clock) -> None:
    """Wake or end what waits for pieces that are over: what a worker that died between two transactions left undone."""
    for id in session.scalars(select(JobRow.id).where(JobRow.state == JobState.WAITING.value).order_by(JobRow.id)).all():
        _settle(session, id, clock)


def released(session: Session, done: Job) -> tuple[str, ...]:
    """What the end of a run has made ready, for its messages to be sent: the job's pieces, or the job that waited for this piece."""
    near = or_(JobRow.parent_id == done.id, JobRow.id == done.parent_id) if done.parent_id else JobRow.parent_id == done.id
    ready = shelf.where(session, near, JobRow.state == JobState.QUEUED.value, JobRow.sent_at.is_(None), order=(JobRow.piece,))
    return tuple(job_.id for job_ in ready)


def _sentence(err: BaseException) -> str:
    said = str(err).strip()
    return f"{type(err).__name__}: {said}" if said else type(err).__name__


def recent(session: Session, limit: int = 50) -> tuple[Job, ...]:
    """The newest jobs first, without their pieces; one that waits is as far as its pieces together."""
    newest = shelf.where(session, JobRow.parent_id.is_(None), order=(JobRow.made_at.desc(),), limit=limit)
    return tuple(_with_pieces(session, job_) if job_.state is JobState.WAITING else job_ for job_ in newest)


def _with_pieces(session: Session, job_: Job) -> Job:
    of_stage = (JobRow.parent_id == job_.id, JobRow.stage == job_.what)
    done, total = session.execute(select(func.sum(JobRow.done), func.sum(JobRow.total)).where(*of_stage)).one()
    return replace(job_, done=int(done or 0), total=int(total or 0))
