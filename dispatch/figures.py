"""Figures (考核): counts per town and month, from findings, cases and their events; and how right the product itself was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from zoneinfo import ZoneInfo

from dispatch.case import Case, CaseState, Verdict
from dispatch.event import Event
from dispatch.finding import Finding, FindingState
from geo.times import LOCAL_ZONE, local_day

_JUDGED = frozenset({FindingState.CONFIRMED, FindingState.REJECTED})


@dataclass(frozen=True, slots=True)
class TownFigures:
    """One town in one month. What came up counts in the month it came up, what was done in the month it was done."""

    town: str
    month: date  # its first day
    findings: int
    confirmed: int
    rejected: int
    opened: int
    closed: int
    ledgered: int
    returned: int
    acts: int
    late_acts: int  # done after their limit had run out
    open_now: int
    overdue_now: int
    median_days_to_close: float | None

    @property
    def confirmed_share(self) -> float | None:
        """Of the month's findings that a reviewer judged, the part that was confirmed; None when none was judged."""
        judged = self.confirmed + self.rejected
        return self.confirmed / judged if judged else None

    @property
    def on_time_share(self) -> float | None:
        """Of the month's acts, the part done within their limit; None when there was none."""
        return 1.0 - self.late_acts / self.acts if self.acts else None


@dataclass(frozen=True, slots=True)
class Month:
    """A local calendar month."""

    first: date
    zone: ZoneInfo = LOCAL_ZONE

    def __contains__(self, at: datetime | None) -> bool:
        return at is not None and local_day(at, self.zone).replace(day=1) == self.first


def monthly(
    findings: Iterable[Finding],
    cases: Iterable[Case],
    events: Iterable[Event],
    month: date,
    *,
    at: datetime,
    zone: ZoneInfo = LOCAL_ZONE,
) -> tuple[TownFigures, ...]:
    """The figures of one month, a line per town in the order of their names; `at` is the moment of counting what is open."""
    inside = Month(month.replace(day=1), zone)
    found, worked, told = tuple(findings), tuple(cases), tuple(events)
    towns = sorted({finding.town for finding in found} | {case.town for case in worked})
    return tuple(
        _town(
            town,
            inside,
            tuple(f for f in found if f.town == town),
            tuple(c for c in worked if c.town == town),
            told,
            at=at,
        )
        for town in towns
    )


def _town(
    town: str, inside: Month, findings: tuple[Finding, ...], cases: tuple[Case, ...], events: tuple[Event, ...], *, at: datetime
) -> TownFigures:
    ids = {case.id for case in cases}
    acts = [e for e in events if e.subject == "case" and e.subject_id in ids and e.at in inside]
    new = [f for f in findings if f.found_at in inside]
    ended = [c for c in cases if c.closed_at in inside]
    closed = [c for c in ended if c.state is CaseState.CLOSED]
    waiting = [c for c in cases if not c.state.is_over]
    days = [(c.closed_at - c.opened_at).total_seconds() / 86400.0 for c in closed if c.closed_at is not None]
    return TownFigures(
        town=town,
        month=inside.first,
        findings=len(new),
        confirmed=sum(f.state is FindingState.CONFIRMED for f in new),
        rejected=sum(f.state is FindingState.REJECTED for f in new),
        opened=sum(c.opened_at in inside for c in cases),
        closed=len(closed),
        ledgered=sum(c.state is CaseState.LEDGERED for c in ended),
        returned=sum(e.act == "return" for e in acts),
        acts=len(acts),
        late_acts=sum("late" in e.facts for e in acts),
        open_now=len(waiting),
        overdue_now=sum(c.is_overdue(at) for c in waiting),
        median_days_to_close=median(days) if days else None,
    )


@dataclass(frozen=True, slots=True)
class Rightness:
    """How right the product was, by people's judgement: at the desk, and on the ground."""

    judged: int
    confirmed: int
    visited: int
    nothing_there: int

    @property
    def desk_precision(self) -> float | None:
        """Confirmed part of the findings from imagery that a reviewer judged."""
        return self.confirmed / self.judged if self.judged else None

    @property
    def ground_precision(self) -> float | None:
        """Part of the visited cases where officers found a structure."""
        return 1.0 - self.nothing_there / self.visited if self.visited else None


def rightness(findings: Iterable[Finding], cases: Iterable[Case]) -> Rightness:
    """The product's own precision, from verdicts; a visit that could not enter says nothing."""
    judged = [f for f in findings if f.source == "imagery" and f.state in _JUDGED]
    verdicts = [c.verification.verdict for c in cases if c.verification is not None]
    visited = [v for v in verdicts if v is not Verdict.NO_ENTRY]
    return Rightness(
        judged=len(judged),
        confirmed=sum(f.state is FindingState.CONFIRMED for f in judged),
        visited=len(visited),
        nothing_there=sum(v is Verdict.NOT_A_STRUCTURE for v in visited),
    )
