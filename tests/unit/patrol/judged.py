"""A store of two areas where people judged what the product raised: some right, many piles, in the proportion that was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from shapely.geometry import Polygon, box
from sqlalchemy.orm import Session

from dispatch.actor import SYSTEM, Actor
from dispatch.case import Case, CaseAct, Verdict, Verification
from dispatch.cause import Cause
from dispatch.finding import Finding, FindingAct, FindingId, FindingState
from dispatch.office import Facts
from dispatch.refusal import Refusal
from geo.area import Area, AreaId
from geo.times import FixedClock
from patrol import records, repositories
from patrol.database import Database

AREAS = {"a": "如城", "b": "东陈"}
SURVEYS = 4


def outline(i: int, area: str) -> Polygon:
    x, y = 120.55 + (0.02 if area == "b" else 0.0) + 0.0002 * (i % 20), 32.38 + 0.0002 * (i // 20)
    return box(x, y, x + 0.0001, y + 0.0001)


def fill(database: Database, clock: FixedClock, *, each: int = 6, held: int = 1, kind: str = "new_building") -> list[str]:
    """Two areas, five surveys in each, compared one after the other, a month apart; each comparison raises `each` findings of score 0.9 and
    holds `held` back. The ids of what was raised, oldest first.
    """
    raised = []
    with database.write() as session:
        for area_id, name in AREAS.items():
            shape = box(*outline(0, area_id).bounds[:2], *outline(399, area_id).bounds[2:])
            repositories.areas.put(session, Area(AreaId(area_id), name, shape))
            for n in range(SURVEYS + 1):
                day, id = date(2025, 11, 1) + timedelta(days=30 * n), f"{area_id}{n}"
                survey = records.SurveyRecord(id, area_id, day, clock.now(), shape, f"surveys/{id}", True, {}, (), {})
                repositories.surveys.put(session, survey)
        for n in range(SURVEYS):
            for area_id in AREAS:
                clock.advance(timedelta(days=15))
                id = f"{area_id}{n}_{area_id}{n + 1}"
                made = records.ComparisonRecord(id, area_id, f"{area_id}{n}", f"{area_id}{n + 1}", clock.now(), {})
                repositories.comparisons.put(session, made)
                for i in range(each + held):
                    finding = _finding(session, clock, made, i, outline(n * (each + held) + i, area_id), kind, held=i >= each)
                    raised += [] if i >= each else [str(finding.id)]
    return raised


def _finding(
    session: Session, clock: FixedClock, made: records.ComparisonRecord, i: int, shape: Polygon, kind: str, *, held: bool
) -> Finding:
    finding = Finding(
        FindingId(f"{made.id}-{i}"),
        repositories.finding_number(session, clock),
        made.area_id,
        shape,
        80.0,
        3.0,
        kind,
        0.9,
        FindingState.DETECTED,
        clock.now(),
        before_survey=made.before_id,
        after_survey=made.after_id,
    )
    repositories.report_finding(session, finding, SYSTEM)
    why = "too_small: 面积过小 / small" if held else ""
    act = FindingAct.SUPPRESS if held else FindingAct.TRIAGE
    repositories.judge_finding(session, finding.id, act, SYSTEM, clock, reason=why)
    candidate = records.CandidateRecord(
        f"{made.id}-c{i}",
        made.id,
        made.area_id,
        shape,
        80.0,
        4.0,
        3.0,
        kind,
        0.9,
        (),
        why or None,
        str(finding.id),
        {"gain_m": 3.0},
    )
    repositories.candidates.put(session, candidate)
    return finding


def judge_most(database: Database, clock: FixedClock, raised: list[str], by: Actor) -> None:
    """Of each six: two visited and built, one visited and a pile, two rejected as piles or renovation, one left alone."""
    with database.write() as session:
        for i, id in enumerate(raised):
            match i % 6:
                case 0 | 1:
                    _visited(session, clock, id, by, Verdict.BUILT, None)
                case 2:
                    _visited(session, clock, id, by, Verdict.NOT_A_STRUCTURE, Cause.PILE)
                case 3 | 4:
                    cause = Cause.RENOVATION if i % 12 == 4 else Cause.PILE
                    repositories.judge_finding(session, id, FindingAct.REJECT, by, clock, cause=cause)


def _visited(session: Session, clock: FixedClock, id: str, by: Actor, verdict: Verdict, cause: Cause | None) -> None:
    repositories.judge_finding(session, id, FindingAct.CONFIRM, by, clock)
    case = repositories.register_case(session, id, by, clock)
    assert isinstance(case, Case)
    form = Verification(verdict, ("张三", "李四"), clock.now(), photos=("a", "b", "c"), cause=cause)
    for act, facts in ((CaseAct.DISPATCH, Facts(assignee=by.id)), (CaseAct.VERIFY, Facts(verification=form))):
        done = repositories.act_on_case(session, case.id, act, by, facts, clock=clock)
        assert not isinstance(done, Refusal), done.text("en")


def in_town(database: Database, finding_id: str, town: str) -> None:
    """Give a finding a town, as a routed case does."""
    with database.write() as session:
        finding = repositories.findings.get(session, finding_id)
        repositories.findings.put(session, replace(finding, town=town))
