"""The store's shelves, and the acts of casework: a change of state, its event and its audit entry in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from airspace.zones import Permit
from dispatch import workflow
from dispatch.actor import Actor
from dispatch.case import Case, CaseAct, CaseId, CaseState
from dispatch.cause import Cause
from dispatch.event import Event
from dispatch.finding import Finding, FindingAct, FindingId, FindingState, judge
from dispatch.office import Facts, Office
from dispatch.recheck import RecheckOrder
from dispatch.refusal import Refusal
from flight.fleet import Aircraft
from geo.area import Area
from geo.times import Clock, local_day
from patrol import audit, records
from patrol.shelf import Bounds, Conflict, NotFound, Shelf, StoreError, Taken, next_number
from patrol.tables import (
    AircraftRow,
    AreaRow,
    CandidateRow,
    CaseRow,
    ComparisonRow,
    EventRow,
    EvidenceRow,
    ExportRow,
    FindingRow,
    FlightRow,
    MaskRow,
    MissionRow,
    PermitRow,
    PlanRow,
    RecheckOrderRow,
    SightingRow,
    SurveyRow,
    UploadFileRow,
    UploadRow,
)

__all__ = ["Conflict", "NotFound", "StoreError", "Taken"]

areas = Shelf(AreaRow, Area, "area", {"outline": "shape"})
permits = Shelf(PermitRow, Permit, "permit", {"outline": "shape"})
aircraft = Shelf(AircraftRow, Aircraft, "aircraft", whole="record")
plans = Shelf(PlanRow, records.PlanRecord, "plan")
missions = Shelf(MissionRow, records.MissionRecord, "mission")
flights = Shelf(FlightRow, records.FlightRecord, "flight")
surveys = Shelf(SurveyRow, records.SurveyRecord, "survey", {"outline": "shape"})
comparisons = Shelf(ComparisonRow, records.ComparisonRecord, "comparison")
candidates = Shelf(CandidateRow, records.CandidateRecord, "candidate", {"outline": "shape"})
findings = Shelf(FindingRow, Finding, "finding", {"outline_wgs84": "shape"})
cases = Shelf(CaseRow, Case, "case", {"place": "shape"})
evidence = Shelf(EvidenceRow, records.EvidenceRecord, "evidence")
masks = Shelf(MaskRow, records.MaskRecord, "mask", {"outline": "shape"})
exports = Shelf(ExportRow, records.ExportRecord, "export", {"outline": "shape"})
sightings = Shelf(SightingRow, records.SightingRecord, "sighting")
recheck_orders = Shelf(RecheckOrderRow, records.RecheckRecord, "recheck order")


def new_id() -> str:
    """An id nobody else has."""
    return uuid4().hex


def surveys_of(session: Session, area_id: str, *, accepted: bool | None = None) -> tuple[records.SurveyRecord, ...]:
    """An area's surveys, oldest first."""
    conditions = [SurveyRow.area_id == area_id]
    if accepted is not None:
        conditions.append(SurveyRow.accepted == accepted)
    return surveys.where(session, *conditions, order=(SurveyRow.taken_on, SurveyRow.made_at))


def last_accepted(session: Session) -> Mapping[str, date]:
    """The day of each area's last accepted survey: what its next due date follows."""
    query = select(SurveyRow.area_id, SurveyRow.taken_on).where(SurveyRow.accepted).order_by(SurveyRow.taken_on)
    return {area_id: day for area_id, day in session.execute(query)}  # noqa: C416 - the last one stays


def comparison_of(session: Session, before_id: str, after_id: str) -> records.ComparisonRecord | None:
    """The comparison of two surveys, None when they were never compared."""
    found = comparisons.where(session, ComparisonRow.before_id == before_id, ComparisonRow.after_id == after_id)
    return found[0] if found else None


def candidates_of(session: Session, comparison_id: str) -> tuple[records.CandidateRecord, ...]:
    """All changes of a comparison, the held-back ones too."""
    return candidates.where(session, CandidateRow.comparison_id == comparison_id, order=(CandidateRow.score.desc(),))


def comparisons_of(session: Session, area_id: str) -> tuple[records.ComparisonRecord, ...]:
    """An area's comparisons, the newest first."""
    return comparisons.where(session, ComparisonRow.area_id == area_id, order=(ComparisonRow.made_at.desc(),))


def case_of(session: Session, finding_id: str) -> Case | None:
    """The case of a finding, None before it was confirmed."""
    found = cases.where(session, CaseRow.finding_id == finding_id)
    return found[0] if found else None


def evidence_of(session: Session, subject: str, subject_id: str) -> tuple[records.EvidenceRecord, ...]:
    """The evidence of a finding or a case."""
    return evidence.where(
        session, EvidenceRow.subject == subject, EvidenceRow.subject_id == subject_id, order=(EvidenceRow.made_at,)
    )


def sightings_of(session: Session, finding_id: str) -> tuple[records.SightingRecord, ...]:
    """What surveys said of a finding, oldest first."""
    order = (SightingRow.taken_on, SightingRow.made_at)
    return sightings.where(session, SightingRow.finding_id == finding_id, order=order)


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases or findings; an empty part asks nothing. `overdue_at` asks for those whose limit has run out by then."""

    states: tuple[str, ...] = ()
    area_id: str | None = None
    town: str | None = None
    assignee: str | None = None
    overdue_at: datetime | None = None
    box: Bounds | None = None


def search_cases(session: Session, wanted: CaseFilter, *, limit: int = 100, offset: int = 0) -> tuple[tuple[Case, ...], int]:
    """Cases that fit, the most urgent first, and how many there are in all."""
    conditions: list[ColumnElement[bool]] = []
    for column, value in ((CaseRow.area_id, wanted.area_id), (CaseRow.town, wanted.town), (CaseRow.assignee, wanted.assignee)):
        if value is not None:
            conditions.append(column == value)
    if wanted.states:
        conditions.append(CaseRow.state.in_(wanted.states))
    if wanted.overdue_at is not None:
        conditions += [CaseRow.due_at < wanted.overdue_at, CaseRow.state != CaseState.SUSPENDED.value]
    order = (CaseRow.due_at.is_(None), CaseRow.due_at, CaseRow.opened_at.desc())
    found = cases.where(session, *conditions, box=wanted.box, order=order, limit=limit, offset=offset)
    return found, cases.count(session, *conditions, box=wanted.box)


def search_findings(
    session: Session, wanted: CaseFilter, *, limit: int = 100, offset: int = 0
) -> tuple[tuple[Finding, ...], int]:
    """Findings that fit, the most urgent first, then the surest, and how many there are in all."""
    conditions: list[ColumnElement[bool]] = []
    for column, value in ((FindingRow.area_id, wanted.area_id), (FindingRow.town, wanted.town)):
        if value is not None:
            conditions.append(column == value)
    if wanted.states:
        conditions.append(FindingRow.state.in_(wanted.states))
    order = (FindingRow.urgency.desc(), FindingRow.score.desc(), FindingRow.found_at)
    found = findings.where(session, *conditions, box=wanted.box, order=order, limit=limit, offset=offset)
    return found, findings.count(session, *conditions, box=wanted.box)


def finding_number(session: Session, clock: Clock) -> str:
    """The next number of a finding: XS (线索), local day, serial."""
    return _number(session, "XS", clock)


def _number(session: Session, letters: str, clock: Clock) -> str:
    day = f"{local_day(clock.now()):%Y%m%d}"
    return f"{letters}{day}-{next_number(session, letters + day):04d}"


def report_finding(session: Session, finding: Finding, by: Actor) -> Finding:
    """Put in a new finding, with its first event."""
    findings.add(session, finding)
    told = {"area": finding.area_id, "score": finding.score, "source": finding.source}
    _written(session, Event("finding", finding.id, "report", "", finding.state, by.id, by.name, finding.found_at, "", told))
    return finding


def judge_finding(
    session: Session,
    id: str,
    act: FindingAct,
    by: Actor,
    clock: Clock,
    *,
    reason: str = "",
    duplicate_of: FindingId | None = None,
    cause: Cause | None = None,
) -> Finding | Refusal:
    """One act on a finding: the new state, its event and its audit entry together, or a refusal and nothing."""
    finding = findings.get(session, id)
    done = judge(finding, act, by, clock, reason=reason, duplicate_of=duplicate_of, cause=cause)
    if isinstance(done, Refusal):
        return done
    findings.replace(session, done.finding, seen_version=finding.version)
    _written(session, done.event)
    return done.finding


def register_case(
    session: Session, finding_id: str, by: Actor, clock: Clock, *, town: str = "", office: Office | None = None
) -> Case | Refusal:
    """Open the case of a confirmed finding; the finding's case if there is one already."""
    there = cases.where(session, CaseRow.finding_id == finding_id)
    if there:
        return there[0]
    finding = findings.get(session, finding_id)
    number = "" if finding.state is not FindingState.CONFIRMED else _number(session, "AJ", clock)
    done = workflow.register(finding, by, clock, id=CaseId(new_id()), number=number, town=town, office=office)
    if isinstance(done, Refusal):
        return done
    cases.add(session, done.case)
    _written(session, done.event)
    return done.case


def act_on_case(
    session: Session, id: str, act: CaseAct, by: Actor, facts: Facts, *, clock: Clock, office: Office | None = None
) -> Case | Refusal:
    """One act on a case: the new state, its event and its audit entry together, or a refusal and nothing."""
    case = cases.get(session, id)
    if facts.merged_into is not None:
        cases.get(session, facts.merged_into)
    done = workflow.advance(case, act, by, facts, clock, office=office)
    if isinstance(done, Refusal):
        return done
    cases.replace(session, done.case, seen_version=case.version)
    _written(session, done.event)
    return done.case


def _written(session: Session, event: Event) -> None:
    session.add(EventRow(**{name: getattr(event, name) for name in Event.__slots__}))
    told = {"before": event.before, "after": event.after, "note": event.note, "facts": event.facts}
    audit.append(
        session, event.by, f"{event.subject}.{event.act}", f"{event.subject}:{event.subject_id}", at=event.at, details=told
    )


def history(session: Session, subject: str, subject_id: str) -> tuple[Event, ...]:
    """The events of a finding or a case, oldest first."""
    query = select(EventRow).where(EventRow.subject == subject, EventRow.subject_id == subject_id).order_by(EventRow.id)
    return tuple(Event(**{name: getattr(row, name) for name in Event.__slots__}) for row in session.scalars(query))


def events_of_acts(session: Session, acts: Collection[str]) -> tuple[Event, ...]:
    """Every event of some acts, on findings and on cases, oldest first."""
    query = select(EventRow).where(EventRow.act.in_(sorted(acts))).order_by(EventRow.id)
    return tuple(Event(**{name: getattr(row, name) for name in Event.__slots__}) for row in session.scalars(query))


def blob_is_named(session: Session, sha256: str) -> bool:
    """Whether any row still speaks of a blob: evidence that was not removed, mission files, thumbnails, open uploads."""
    named = select(EvidenceRow.id).where(EvidenceRow.sha256 == sha256, EvidenceRow.removed_at.is_(None)).limit(1)
    flown = select(MissionRow.id).where((MissionRow.plan_blob == sha256) | (MissionRow.waypoints_blob == sha256)).limit(1)
    arriving = (
        select(UploadFileRow.id)
        .join(UploadRow, UploadRow.id == UploadFileRow.upload_id)
        .where(UploadFileRow.sha256 == sha256, UploadRow.state == "open")
        .limit(1)
    )
    if any(session.scalar(query) is not None for query in (named, flown, arriving)):
        return True
    return any(a["sha256"] == sha256 for assets in session.scalars(select(SurveyRow.assets)) for a in assets)


def order_recheck(session: Session, order: RecheckOrder) -> records.RecheckRecord:
    """Keep a recheck order; the open one of the case if there is one already."""
    there = recheck_orders.where(session, RecheckOrderRow.case_id == order.case_id, RecheckOrderRow.done_at.is_(None))
    if there:
        return there[0]
    given: dict[str, Any] = {name: getattr(order, name) for name in RecheckOrder.__slots__}
    return recheck_orders.add(session, records.RecheckRecord(id=new_id(), **given))


def open_rechecks(session: Session, area_id: str | None = None) -> tuple[records.RecheckRecord, ...]:
    """Orders that no survey has answered, the most urgent first."""
    conditions: list[ColumnElement[bool]] = [RecheckOrderRow.done_at.is_(None)]
    if area_id is not None:
        conditions.append(RecheckOrderRow.area_id == area_id)
    return recheck_orders.where(session, *conditions, order=(RecheckOrderRow.not_after,))
