"""What a job is, where it stands, and how it falls into pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from patrol.shelf import Shelf
from patrol.tables import JobRow


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # for its pieces, without a worker
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen any more."""
        return self not in {JobState.QUEUED, JobState.RUNNING, JobState.WAITING}


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
    parent_id: str | None = None
    stage: str | None = None
    piece: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One job's share of a stage: its arguments, and how many steps of the whole it counts for."""

    args: Mapping[str, Any]
    steps: int


@dataclass(frozen=True, slots=True)
class Spread:
    """What a kind returns instead of a result when others can share its work: pieces of a `kind` of job.

    The job waits until all are done and is then run again with `args` beside its own arguments; one that fails ends it.
    """

    stage: str
    kind: str
    pieces: tuple[Piece, ...]
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pieces:
            raise JobError(f"{self.stage!r} is spread over no pieces: nobody would wake the job that waits for them")


class JobError(RuntimeError):
    """A job cannot be made: its kind is unknown."""


class JobStopped(RuntimeError):
    """Raised out of `progress`: the job was cancelled, or its lease went to somebody else. Let it pass."""


shelf = Shelf(JobRow, Job, "job")
