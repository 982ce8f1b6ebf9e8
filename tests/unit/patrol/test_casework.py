from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from shapely.geometry import box

from dispatch.actor import Actor
from dispatch.case import Case, CaseAct, CaseId, CaseState, RecheckResult, StepKind, Verdict, Verification
from dispatch.finding import Finding, FindingAct, FindingId, FindingState
from dispatch.office import Facts
from dispatch.recheck import order
from dispatch.refusal import Refusal
from geo.area import Area, AreaId
from geo.times import FixedClock
from patrol import audit
from patrol import repositories as store
from patrol.database import Database
from patrol.tables import EventRow


def a_finding(clock: FixedClock, id: str = "f1") -> Finding:
    outline = box(120.55, 32.38, 120.5502, 32.3802)
    return Finding(
        FindingId(id), f"XS-{id}", "rugao-1", outline, 120.5, 3.2, "new_building", 0.9, FindingState.DETECTED, clock.now()
    )


def an_area() -> Area:
    return Area(AreaId("rugao-1"), "如城", box(120.54, 32.37, 120.56, 32.39))


def to_case(database: Database, clock: FixedClock, chief: Actor) -> Case:
    with database.write() as session:
        store.areas.put(session, an_area())
        store.report_finding(session, a_finding(clock), chief)
        store.judge_finding(session, "f1", FindingAct.TRIAGE, chief, clock)
        store.judge_finding(session, "f1", FindingAct.CONFIRM, chief, clock)
        case = store.register_case(session, "f1", chief, clock, town="如城街道")
    assert isinstance(case, Case)
    return case


def test_the_simple_path_of_five_verbs_ends_closed_and_every_act_is_an_event_and_an_audit_entry(
    database: Database, clock: FixedClock, chief: Actor
) -> None:
    """Dispatch, verify, handle, recheck, close: on either database the case is closed, told, and chained."""
    case = to_case(database, clock, chief)
    seen = Verification(Verdict.BUILT, ("张三", "李四"), clock.now(), photos=("a", "b", "c"))
    path = (
        (CaseAct.DISPATCH, Facts(assignee="chief")),
        (CaseAct.VERIFY, Facts(verification=seen)),
        (CaseAct.HANDLE, Facts()),
        (CaseAct.RECHECK, Facts(outcome=StepKind.SELF_DONE)),
        (CaseAct.CLOSE, Facts(recheck=RecheckResult(True, clock.now(), survey_id="s2"))),
    )
    for act, facts in path:
        clock.advance(timedelta(minutes=7))
        with database.write() as session:
            done = store.act_on_case(session, case.id, act, chief, facts, clock=clock)
        assert isinstance(done, Case), done.text("en")
        if act is CaseAct.RECHECK:
            with database.write() as session:
                first = store.order_recheck(session, order(done, clock))
                assert store.order_recheck(session, order(done, clock)) == first
    with database.read() as session:
        stored = store.cases.get(session, case.id)
        told = store.history(session, "case", case.id)
        assert stored == done
        assert stored.state is CaseState.CLOSED
        assert stored.verification == seen
        assert [event.act for event in told] == ["register", "dispatch", "verify", "handle", "recheck", "close"]
        assert audit.verify(session) is None
        assert len(list(audit.entries(session, subject=f"case:{case.id}"))) == 6


def test_a_refused_act_leaves_no_trace(database: Database, clock: FixedClock, chief: Actor) -> None:
    """A refusal changes neither case nor events nor audit."""
    case = to_case(database, clock, chief)
    with database.read() as session:
        links = len(list(audit.entries(session)))
    with database.write() as session:
        refused = store.act_on_case(session, case.id, CaseAct.CLOSE, chief, Facts(reason="x"), clock=clock)
    assert isinstance(refused, Refusal)
    with database.read() as session:
        assert store.cases.get(session, case.id) == case
        assert len(store.history(session, "case", case.id)) == 1
        assert len(list(audit.entries(session))) == links


def test_state_event_and_audit_stand_or_fall_together(database: Database, clock: FixedClock, chief: Actor) -> None:
    """When the transaction dies after the act, none of the three is there."""
    case = to_case(database, clock, chief)
    with pytest.raises(RuntimeError, match="lights out"), database.write() as session:
        store.act_on_case(session, case.id, CaseAct.DISPATCH, chief, Facts(assignee="chief"), clock=clock)
        raise RuntimeError("lights out")
    with database.read() as session:
        assert store.cases.get(session, case.id) == case
        assert len(store.history(session, "case", case.id)) == 1
        assert audit.verify(session) is None


def test_registering_twice_gives_one_case(database: Database, clock: FixedClock, chief: Actor) -> None:
    """The same finding never has two cases."""
    case = to_case(database, clock, chief)
    with database.write() as session:
        again = store.register_case(session, "f1", chief, clock)
    assert again == case


def test_a_stale_writer_is_told_so(database: Database, clock: FixedClock, chief: Actor) -> None:
    """Whoever decides on an old version of a case writes nothing."""
    case = to_case(database, clock, chief)
    with database.write() as session:
        store.cases.replace(session, replace(case, town="东陈镇", version=case.version + 1), seen_version=case.version)
    with pytest.raises(store.Conflict), database.write() as session:
        store.cases.replace(session, replace(case, town="丁堰镇", version=case.version + 1), seen_version=case.version)
    with database.read() as session:
        assert store.cases.get(session, case.id).town == "东陈镇"


def test_search_finds_by_state_box_and_limit(database: Database, clock: FixedClock, chief: Actor) -> None:
    """The list shows what was asked for, counts it, and knows what is overdue."""
    case = to_case(database, clock, chief)
    near, far = (120.5, 32.3, 120.6, 32.4), (121.0, 32.3, 121.1, 32.4)
    with database.read() as session:
        assert store.search_cases(session, store.CaseFilter(states=("registered",), box=near)) == ((case,), 1)
        assert store.search_cases(session, store.CaseFilter(box=far)) == ((), 0)
        assert store.search_cases(session, store.CaseFilter(overdue_at=clock.now())) == ((), 0)
        late = store.CaseFilter(overdue_at=clock.now() + timedelta(days=30), town="如城街道")
        assert store.search_cases(session, late)[1] == 1
        found, total = store.search_findings(session, store.CaseFilter(states=("confirmed",), box=near))
        assert (found[0].id, total) == ("f1", 1)


def test_an_act_on_a_case_that_is_not_there_says_so(database: Database, clock: FixedClock, chief: Actor) -> None:
    """A wrong id is a failure with a sentence, not a silent nothing."""
    with database.write() as session, pytest.raises(store.NotFound, match="no case nowhere"):
        store.act_on_case(session, "nowhere", CaseAct.ACCEPT, chief, Facts(), clock=clock)


def test_merging_into_a_case_that_is_not_there_is_refused(database: Database, clock: FixedClock, chief: Actor) -> None:
    """A case cannot vanish into another that nobody has."""
    case = to_case(database, clock, chief)
    with database.write() as session, pytest.raises(store.NotFound):
        store.act_on_case(session, case.id, CaseAct.MERGE, chief, Facts(merged_into=CaseId("no")), clock=clock)


def test_events_cannot_be_rewritten(database: Database, clock: FixedClock, chief: Actor) -> None:
    """What happened stays: the database itself refuses to change an event."""
    to_case(database, clock, chief)
    with pytest.raises(Exception, match="append-only"), database.write() as session:
        session.query(EventRow).update({"note": "nothing happened"})
