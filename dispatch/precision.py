"""Precision (查准率): of what the product raised, how much was right, by month, kind and town, with all that nobody has judged yet.

Counted are findings from imagery, in the month they came up. Right means that something was built there, lawful or not (see `label`).
What a rule held back from the start is counted apart; what was shown stays counted, whatever becomes of it later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from math import sqrt
from zoneinfo import ZoneInfo

from dispatch.cause import Cause
from dispatch.event import Event
from dispatch.finding import Finding, FindingState, Source
from dispatch.label import Informed, Label, Truth
from geo.times import LOCAL_ZONE, local_day

Z95 = 1.959964
UNEXPLAINED = "unexplained"
"""What is counted for a rejection that names no cause: wrong all the same."""


@dataclass(frozen=True, slots=True)
class Count:
    """How right a group of findings was. `raised` were shown to a reviewer: right, wrong, duplicates, and unjudged make it up.

    `visited` of the judged were seen on the ground; `held` were held back by a rule from the start and nobody has judged them, of
    `held_right` and `held_wrong` somebody did all the same. `causes` say what the wrong ones were.
    """

    raised: int = 0
    right: int = 0
    wrong: int = 0
    duplicates: int = 0
    visited: int = 0
    held: int = 0
    held_right: int = 0
    held_wrong: int = 0
    causes: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def judged(self) -> int:
        """How many of those that were raised somebody has judged."""
        return self.right + self.wrong

    @property
    def unjudged(self) -> int:
        """How many wait for a word."""
        return self.raised - self.judged - self.duplicates

    @property
    def precision(self) -> float | None:
        """The right part of the judged; None when nothing was judged."""
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the precision lies with 95 % confidence (see `wilson`)."""
        return wilson(self.right, self.judged) if self.judged else None

    @property
    def floor(self) -> float | None:
        """The precision if all that is unjudged were wrong."""
        return self.right / (self.judged + self.unjudged) if self.judged + self.unjudged else None

    def __add__(self, other: Count) -> Count:
        numbers: dict[str, int] = {n: getattr(self, n) + getattr(other, n) for n in _NUMBERS}
        return Count(**numbers, causes=dict(Counter(self.causes) + Counter(other.causes)))


_NUMBERS = ("raised", "right", "wrong", "duplicates", "visited", "held", "held_right", "held_wrong")


@dataclass(frozen=True, slots=True)
class Line:
    """One kind in one place in one month."""

    month: date  # its first day
    kind: str
    place: str
    count: Count


def wilson(right: int, judged: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson 1927, JASA 22:209): honest where the counts are small, never outside 0..1."""
    share, z2 = right / judged, z * z
    middle = (share + z2 / (2 * judged)) / (1 + z2 / judged)
    half = z * sqrt(share * (1 - share) / judged + z2 / (4 * judged**2)) / (1 + z2 / judged)
    return max(0.0, middle - half), min(1.0, middle + half)


def held_from_the_start(events: Iterable[Event]) -> frozenset[str]:
    """The findings that a rule held back before any reviewer could see them."""
    return frozenset(
        e.subject_id
        for e in events
        if e.subject == "finding" and e.before == FindingState.DETECTED and e.after == FindingState.SUPPRESSED
    )


def count(
    findings: Iterable[Finding],
    standing: Mapping[str, Label],
    held: frozenset[str],
    place_of: Callable[[Finding], str],
    *,
    zone: ZoneInfo = LOCAL_ZONE,
) -> tuple[Line, ...]:
    """A line for each month, kind and place in which something came up, in this order."""
    groups: dict[tuple[date, str, str], Count] = {}
    for finding in findings:
        if finding.source is Source.IMAGERY:
            key = local_day(finding.found_at, zone).replace(day=1), str(finding.kind), place_of(finding)
            one = _one(finding, standing.get(finding.id), was_held=finding.id in held)
            groups[key] = groups.get(key, Count()) + one
    return tuple(Line(*key, made) for key, made in sorted(groups.items()))


def total(lines: Iterable[Line]) -> Count:
    """All lines in one."""
    return reduce(Count.__add__, (line.count for line in lines), Count())


def _one(finding: Finding, label: Label | None, *, was_held: bool) -> Count:
    right = label.is_right if label is not None and finding.state is not FindingState.DUPLICATE else None
    if was_held:
        return Count(held=int(right is None), held_right=int(right is True), held_wrong=int(right is False))
    if right is None or label is None:
        return Count(raised=1, duplicates=int(finding.state is FindingState.DUPLICATE))
    return Count(
        raised=1,
        right=int(right),
        wrong=int(not right),
        visited=int(label.informed >= Informed.VISIT),
        causes={} if right else {_cause(label): 1},
    )


def _cause(label: Label) -> str:
    if label.cause is not None:
        return label.cause.value
    return Cause.NOT_NEW.value if label.truth is Truth.NOT_NEW else UNEXPLAINED
