"""What a desk works with: the facts an act is told, and the office's own calendar, limits and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import lru_cache

from dispatch.case import CaseId, RecheckResult, StepKind, Verification
from dispatch.deadlines import Limit, WorkCalendar, due, standard_calendar, standard_limits
from dispatch.errors import DispatchError


@dataclass(frozen=True, slots=True)
class Facts:
    """What an act is told; each act needs some of it (`workflow.MOVES[...].needs`)."""

    note: str = ""
    reason: str = ""
    assignee: str | None = None
    unit: str = ""
    verification: Verification | None = None
    document: str = ""  # number of the paper that was served
    served_at: datetime | None = None
    comply_by: datetime | None = None
    officers: tuple[str, ...] = ()
    outcome: StepKind | None = None  # self_done or enforced
    recheck: RecheckResult | None = None
    to_whom: str = ""
    merged_into: CaseId | None = None
    defence_heard: str = ""  # record of the party's statement and defence, or that none was made
    dispute_pending: bool = False  # reconsideration or suit under way
    approval: str = ""  # approval that extends the time for a decision
    urgent: bool = False  # 情况紧急


@dataclass(frozen=True, slots=True)
class Rules:
    """What a city may set for itself, and the periods the law sets."""

    photos_min: int = 3  # field photos of a verification
    night: tuple[time, time] = (time(22, 0), time(6, 0))  # 噪声污染防治法 88: night is 22:00 to 06:00
    decision_days: int = 90  # 行政处罚法 60
    reconsideration_days: int = 60  # 行政复议法 20
    suit_months: int = 6  # 行政诉讼法 46
    watch: timedelta = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Office:
    """Calendar, limits and rules together."""

    calendar: WorkCalendar = field(default_factory=standard_calendar)
    limits: Mapping[str, Limit] = field(default_factory=standard_limits)
    rules: Rules = field(default_factory=Rules)

    def due(self, limit: str, start: datetime) -> datetime | None:
        """When a named limit runs out; None for no limit."""
        if not limit:
            return None
        if limit not in self.limits:
            raise DispatchError(f"the limit table has no line {limit!r}: add it to limits.csv")
        return due(start, self.limits[limit], self.calendar)


@lru_cache(maxsize=1)
def standard_office() -> Office:
    """The office that ships with the product."""
    return Office()
