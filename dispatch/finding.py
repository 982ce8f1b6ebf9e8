"""Finding (疑似违建线索): a claim worth a visit, from imagery, a hotline, a citizen's photo or an officer.

`MOVES` is the one table of lawful moves; `judge` reads it. Imagery is only a lead until a named reviewer has confirmed it
(行政处罚法 41), so a finding leaves triage by a person's judgement or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from shapely.geometry import MultiPolygon, Polygon

from dispatch import texts
from dispatch.actor import Actor, Role
from dispatch.cause import AT_DESK, Cause
from dispatch.errors import DispatchError
from dispatch.event import Event
from dispatch.refusal import Reason, Refusal
from geo.frames import LonLat
from geo.times import Clock

FindingId = NewType("FindingId", str)

LEASE = timedelta(minutes=15)
"""How long a finding that a reviewer has opened is kept from the others."""


class FindingState(StrEnum):
    """Where a finding stands."""

    DETECTED = "detected"
    SUPPRESSED = "suppressed"
    TRIAGE = "triage"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    NEEDS_IMAGERY = "needs_imagery"
    DUPLICATE = "duplicate"


class FindingAct(StrEnum):
    """What can be done with a finding."""

    SUPPRESS = "suppress"
    TRIAGE = "triage"  # also: bring back what was suppressed or rejected
    LEASE = "lease"
    CONFIRM = "confirm"
    REJECT = "reject"
    NEED_IMAGERY = "need_imagery"
    MARK_DUPLICATE = "mark_duplicate"


class Source(StrEnum):
    """Who saw it first."""

    IMAGERY = "imagery"
    HOTLINE = "hotline"  # 12345
    CITIZEN = "citizen"  # 随手拍
    OFFICER = "officer"


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim. `outline_wgs84` in degrees; `reasons` say why it was raised, `decision` why it was kept or dropped.

    `urgency` is 0 for what waits its turn; 1 to 3 (at once) for works near a pipeline, which come before everything else.
    """

    id: FindingId
    number: str
    area_id: str
    outline_wgs84: Polygon | MultiPolygon
    area_m2: float
    height_m: float | None
    kind: str
    score: float
    state: FindingState
    found_at: datetime
    before_survey: str | None = None
    after_survey: str | None = None
    source: Source = Source.IMAGERY
    reasons: tuple[str, ...] = ()
    town: str = ""
    duplicate_of: FindingId | None = None
    decision: str = ""
    decided_by: str | None = None
    decided_at: datetime | None = None
    leased_by: str | None = None
    leased_until: datetime | None = None
    sightings: int = 1
    urgency: int = 0
    version: int = 0

    def __post_init__(self) -> None:
        if self.outline_wgs84.is_empty or not self.outline_wgs84.is_valid:
            raise DispatchError(f"finding {self.number}: its outline is empty or crosses itself")
        if not 0.0 <= self.score <= 1.0:
            raise DispatchError(f"finding {self.number}: a score lies between 0 and 1, not at {self.score}")
        if self.area_m2 <= 0:
            raise DispatchError(f"finding {self.number}: an area of {self.area_m2} m2 cannot be visited")

    @property
    def place(self) -> LonLat:
        """A place inside the outline."""
        point = self.outline_wgs84.representative_point()
        return LonLat(lon_deg=point.x, lat_deg=point.y)

    def seen_again(self, score: float) -> Finding:
        """The same thing in a later survey: two independent sightings are wrong together only when both are."""
        return replace(self, sightings=self.sightings + 1, score=1.0 - (1.0 - self.score) * (1.0 - score))


@dataclass(frozen=True, slots=True)
class Judged:
    """The finding after the act, and the one event that says so."""

    finding: Finding
    event: Event


@dataclass(frozen=True, slots=True)
class FindingMove:
    """Where an act leads, who may do it, and what it must be told."""

    to: FindingState
    roles: frozenset[Role]
    needs: tuple[str, ...] = ()


_SIEVE = frozenset({Role.REVIEWER, Role.SYSTEM})
_PERSON = frozenset({Role.REVIEWER})
_S, _A = FindingState, FindingAct

MOVES: Mapping[tuple[FindingState, FindingAct], FindingMove] = {
    (_S.DETECTED, _A.SUPPRESS): FindingMove(_S.SUPPRESSED, _SIEVE, ("reason",)),
    (_S.DETECTED, _A.TRIAGE): FindingMove(_S.TRIAGE, _SIEVE),
    (_S.DETECTED, _A.MARK_DUPLICATE): FindingMove(_S.DUPLICATE, _SIEVE, ("duplicate_of",)),
    (_S.SUPPRESSED, _A.TRIAGE): FindingMove(_S.TRIAGE, _SIEVE),  # what held it back may end: a permit expires or is withdrawn
    (_S.TRIAGE, _A.LEASE): FindingMove(_S.TRIAGE, _PERSON),
    (_S.TRIAGE, _A.SUPPRESS): FindingMove(_S.SUPPRESSED, _SIEVE, ("reason",)),
    (_S.TRIAGE, _A.CONFIRM): FindingMove(_S.CONFIRMED, _PERSON),
    (_S.TRIAGE, _A.REJECT): FindingMove(_S.REJECTED, _PERSON, ("reason",)),
    (_S.TRIAGE, _A.NEED_IMAGERY): FindingMove(_S.NEEDS_IMAGERY, _PERSON),
    (_S.TRIAGE, _A.MARK_DUPLICATE): FindingMove(_S.DUPLICATE, _SIEVE, ("duplicate_of",)),
    (_S.NEEDS_IMAGERY, _A.TRIAGE): FindingMove(_S.TRIAGE, _SIEVE),
    (_S.REJECTED, _A.TRIAGE): FindingMove(_S.TRIAGE, _SIEVE),  # a dismissed one speaks again when it grows
    (_S.DUPLICATE, _A.TRIAGE): FindingMove(_S.TRIAGE, _PERSON),
}


def judge(
    finding: Finding,
    act: FindingAct,
    by: Actor,
    clock: Clock,
    *,
    reason: str = "",
    duplicate_of: FindingId | None = None,
    cause: Cause | None = None,
) -> Judged | Refusal:
    """Carry out one act, or say why not. A refusal changes nothing. `cause` belongs to a rejection, and is a reason by itself."""
    if cause is not None and not reason.strip():
        reason = texts.CAUSES[cause]["zh"]
    now = clock.now()
    move = MOVES.get((finding.state, act))
    if move is None:
        return Refusal(act, finding.state, (Reason("no_such_move", values={"state": finding.state, "act": act}),))
    told = {"reason": reason.strip(), "duplicate_of": duplicate_of}
    refused = [Reason("told_too_little", missing=need) for need in move.needs if not told[need]]
    if not by.is_any(move.roles):
        refused.append(Reason("role", law="imagery-41" if act is FindingAct.CONFIRM else ""))
    leased = finding.leased_by not in {None, by.id} and finding.leased_until is not None and now < finding.leased_until
    if leased and Role.SYSTEM not in by.roles:
        refused.append(Reason("leased", earliest=finding.leased_until))
    if cause is not None and (act is not FindingAct.REJECT or cause not in AT_DESK):
        refused.append(Reason("not_a_cause", values={"cause": texts.CAUSES[cause]["zh"], "cause_en": texts.CAUSES[cause]["en"]}))
    if duplicate_of == finding.id:
        refused.append(Reason("duplicate_of_itself"))
    if refused:
        return Refusal(act, finding.state, tuple(refused))
    leasing = act is FindingAct.LEASE
    after = replace(
        finding,
        state=move.to,
        duplicate_of=duplicate_of if act is FindingAct.MARK_DUPLICATE else None,
        decision=finding.decision if leasing else reason.strip(),
        decided_by=finding.decided_by if leasing else by.id,
        decided_at=finding.decided_at if leasing else now,
        leased_by=by.id if leasing else None,
        leased_until=now + LEASE if leasing else None,
        version=finding.version + 1,
    )
    facts: dict[str, str] = {"duplicate_of": duplicate_of} if duplicate_of else {}
    if cause is not None:
        facts["cause"] = cause.value
    event = Event("finding", finding.id, act, finding.state, move.to, by.id, by.name, now, reason.strip(), facts)
    return Judged(after, event)
