from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from dispatch import texts, workflow
from dispatch.actor import SYSTEM, Actor, Role
from dispatch.case import Case, CaseAct, CaseId, CaseState, RecheckResult, StepKind, Verdict, Verification
from dispatch.cause import Cause
from dispatch.errors import DispatchError
from dispatch.finding import MOVES as FINDING_MOVES
from dispatch.finding import Finding, FindingAct, FindingId, FindingState, Judged, Source, judge
from dispatch.guards import GUARDS, NEEDS, lawful_hour
from dispatch.office import Facts, standard_office
from dispatch.recheck import order
from dispatch.refusal import Refusal
from geo.times import LOCAL_ZONE, FixedClock

ALL = Actor("chief", "王队", frozenset(Role) - {Role.SYSTEM})
OFFICER = Actor("zhang", "张三", frozenset({Role.OFFICER}))
REVIEWER = Actor("li", "李审", frozenset({Role.REVIEWER}))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL_ZONE)


def a_finding(clock: FixedClock, state: FindingState = FindingState.DETECTED) -> Finding:
    outline = box(120.55, 32.38, 120.5502, 32.3802)
    return Finding(FindingId("f"), "XS-1", "a", outline, 120.0, 3.0, "new_building", 0.9, state, clock.now())


def a_case(clock: FixedClock) -> Case:
    confirmed = replace(a_finding(clock, FindingState.CONFIRMED), decided_by="li")
    done = workflow.register(confirmed, ALL, clock, id=CaseId("c"), number="AJ-1", town="如城街道")
    assert isinstance(done, workflow.Advanced)
    return done.case


def form(clock: FixedClock, verdict: Verdict = Verdict.BUILT) -> Verification:
    cause = Cause.PILE if verdict is Verdict.NOT_A_STRUCTURE else None
    return Verification(verdict, ("张三", "李四"), clock.now(), photos=("a", "b", "c"), cause=cause)


def walk(case: Case, clock: FixedClock, steps: Iterable[tuple[CaseAct, Facts]], by: Actor = ALL) -> Case:
    for act, facts in steps:
        done = workflow.advance(case, act, by, facts, clock)
        assert isinstance(done, workflow.Advanced), f"{act}: {done.text('en')}"
        case = done.case
    return case


def handled(clock: FixedClock) -> Case:
    return walk(
        a_case(clock),
        clock,
        [
            (CaseAct.DISPATCH, Facts(assignee="chief")),
            (CaseAct.VERIFY, Facts(verification=form(clock))),
            (CaseAct.HANDLE, Facts()),
        ],
    )


def refused(case: Case, act: CaseAct, facts: Facts, clock: FixedClock, by: Actor = ALL) -> Refusal:
    done = workflow.advance(case, act, by, facts, clock)
    assert isinstance(done, Refusal), f"{act} was let through"
    return done


def codes(refusal: Refusal) -> set[str]:
    return {reason.code for reason in refusal.reasons}


def test_imagery_is_a_lead_until_a_reviewer_confirms_it(clock: FixedClock) -> None:
    """No case without a named reviewer's word; the refusal names the article (行政处罚法 41)."""
    done = workflow.register(a_finding(clock, FindingState.TRIAGE), ALL, clock, id=CaseId("c"), number="1")
    assert isinstance(done, Refusal)
    assert "第四十一条" in done.text("zh")
    assert "Art. 41" in done.text("en")
    assert isinstance(judge(a_finding(clock, FindingState.TRIAGE), FindingAct.CONFIRM, SYSTEM, clock), Refusal)


def test_one_officer_alone_cannot_verify(clock: FixedClock) -> None:
    """Two officers, and the same name twice is one (行政处罚法 42)."""
    case = walk(a_case(clock), clock, [(CaseAct.DISPATCH, Facts(assignee="chief"))])
    alone = replace(form(clock), officers=("张三", "张三 "))
    done = refused(case, CaseAct.VERIFY, Facts(verification=alone), clock)
    assert codes(done) == {"two_officers"}
    assert "第四十二条" in done.text()


def test_too_few_photos_are_named(clock: FixedClock) -> None:
    """The form says how many are needed and how many there are; the same photo twice is one."""
    case = walk(a_case(clock), clock, [(CaseAct.DISPATCH, Facts(assignee="chief"))])
    done = refused(case, CaseAct.VERIFY, Facts(verification=replace(form(clock), photos=("a", "a"))), clock)
    assert "至少3张，现有1张" in done.text()


def test_officers_say_what_is_no_structure(clock: FixedClock) -> None:
    """A visit that found no structure says what it found; one that found a structure has nothing of the kind to say."""
    case = walk(a_case(clock), clock, [(CaseAct.DISPATCH, Facts(assignee="chief"))])
    for verdict, cause in (
        (Verdict.NOT_A_STRUCTURE, None),
        (Verdict.NOT_A_STRUCTURE, Cause.PERMITTED),
        (Verdict.BUILT, Cause.PILE),
    ):
        told = Facts(verification=replace(form(clock, verdict), cause=cause))
        refused = workflow.advance(case, CaseAct.VERIFY, ALL, told, clock)
        assert isinstance(refused, Refusal), (verdict, cause)
        assert refused.text("zh") != refused.text("en")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_opens_exactly_its_own_door(verdict: Verdict, clock: FixedClock) -> None:
    """After verification a case is closed, entered in the ledger or handled, as the verdict says, and nothing else."""
    case = walk(
        a_case(clock),
        clock,
        [(CaseAct.DISPATCH, Facts(assignee="chief")), (CaseAct.VERIFY, Facts(verification=form(clock, verdict)))],
    )
    doors = {
        act
        for act in (CaseAct.CLOSE, CaseAct.LEDGER, CaseAct.HANDLE)
        if isinstance(workflow.advance(case, act, ALL, Facts(reason="x"), clock), workflow.Advanced)
    }
    wanted = {
        Verdict.BUILDING: {CaseAct.HANDLE},
        Verdict.BUILT: {CaseAct.HANDLE},
        Verdict.HISTORIC: {CaseAct.LEDGER},
        Verdict.NO_ENTRY: set(),
    }
    assert doors == wanted.get(verdict, {CaseAct.CLOSE})


def test_the_road_to_enforcement_takes_the_time_the_law_takes(clock: FixedClock) -> None:
    """Decision, demand, announcement, their periods, the ways to contest, the hour: each is refused until it is due."""
    case = handled(clock)
    start = clock.now()

    def paper(number: str, days: int) -> Facts:
        return Facts(document=number, served_at=clock.now(), comply_by=clock.now() + timedelta(days=days))

    assert codes(refused(case, CaseAct.DEMAND, paper("催1", 10), clock)) == {"not_decided"}
    case = walk(case, clock, [(CaseAct.DECIDE, paper("决1", 15))])
    early = refused(case, CaseAct.DEMAND, paper("催1", 10), clock)
    assert codes(early) == {"decision_running"}
    assert early.earliest == start + timedelta(days=15)
    clock.advance(timedelta(days=15))
    case = walk(case, clock, [(CaseAct.DEMAND, paper("催1", 10)), (CaseAct.ANNOUNCE, paper("告1", 20))])
    ready = Facts(document="强1", served_at=clock.now(), defence_heard="未提出陈述申辩")
    early = refused(case, CaseAct.MAKE_READY, ready, clock)
    assert codes(early) == {"demand_running", "announcement_running", "remedy_open"}
    assert early.earliest == at("2026-09-05T10:00")  # six months after the decision was served
    assert "第四十四条" in early.text()
    assert "2026-09-05 10:00" in early.text()
    clock.advance(at("2026-09-05T10:00") - clock.now())
    assert codes(refused(case, CaseAct.MAKE_READY, replace(ready, dispute_pending=True), clock)) == {"dispute"}
    assert codes(refused(case, CaseAct.MAKE_READY, replace(ready, defence_heard=" "), clock)) == {"defence"}
    crew = Facts(officers=("张三", "李四"))
    assert codes(refused(case, CaseAct.ENFORCE, crew, clock)) == {"not_ready"}
    case = walk(case, clock, [(CaseAct.MAKE_READY, ready)])
    clock.advance(at("2026-09-30T23:30") - clock.now())
    late = refused(case, CaseAct.ENFORCE, crew, clock)
    assert codes(late) == {"night_or_holiday"}
    assert late.earliest == at("2026-10-08T06:00")  # the night, then the whole holiday
    assert "第四十三条" in late.text()
    walk(case, clock, [(CaseAct.ENFORCE, replace(crew, urgent=True))])
    clock.advance(at("2026-10-08T09:00") - clock.now())
    assert codes(refused(case, CaseAct.ENFORCE, Facts(officers=("张三",)), clock)) == {"two_officers"}
    case = walk(case, clock, [(CaseAct.ENFORCE, crew), (CaseAct.RECHECK, Facts(outcome=StepKind.ENFORCED))])
    assert case.state is CaseState.RECHECK


def test_a_decision_after_ninety_days_needs_an_approval(clock: FixedClock) -> None:
    """行政处罚法 60: late decisions need an approved extension."""
    case = handled(clock)
    clock.advance(timedelta(days=91))
    facts = Facts(document="决1", served_at=clock.now(), comply_by=clock.now() + timedelta(days=15))
    assert codes(refused(case, CaseAct.DECIDE, facts, clock)) == {"decision_late"}
    walk(case, clock, [(CaseAct.DECIDE, replace(facts, approval="延1"))])


def test_nothing_is_served_in_the_future(clock: FixedClock) -> None:
    """A paper is served before it is on record, and its time limit ends after."""
    case = handled(clock)
    later = clock.now() + timedelta(days=1)
    both = Facts(document="决1", served_at=later, comply_by=clock.now())
    assert codes(refused(case, CaseAct.DECIDE, both, clock)) == {"served_in_future", "comply_before_served"}


def test_what_still_stands_is_not_closed_but_handled_again(clock: FixedClock) -> None:
    """The recheck decides: standing goes back to handling, and the old outcome does not count a second time."""
    case = walk(handled(clock), clock, [(CaseAct.RECHECK, Facts(outcome=StepKind.SELF_DONE))])
    stands, gone = RecheckResult(False, clock.now(), "s2"), RecheckResult(True, clock.now(), "s3")
    assert codes(refused(case, CaseAct.CLOSE, Facts(), clock)) == {"not_rechecked"}
    assert codes(refused(case, CaseAct.CLOSE, Facts(recheck=RecheckResult(True, clock.now(), officers=("a",))), clock)) == {
        "recheck_unsigned"
    }
    case = walk(case, clock, [(CaseAct.RECORD, Facts(recheck=stands))])
    assert codes(refused(case, CaseAct.CLOSE, Facts(), clock)) == {"still_there"}
    case = walk(case, clock, [(CaseAct.HANDLE, Facts())])
    assert codes(refused(case, CaseAct.RECHECK, Facts(), clock)) == {"nothing_done"}
    case = walk(case, clock, [(CaseAct.SELF_DONE, Facts()), (CaseAct.RECHECK, Facts()), (CaseAct.RECORD, Facts(recheck=gone))])
    assert codes(refused(case, CaseAct.HANDLE, Facts(), clock)) == {"already_gone"}
    case = walk(case, clock, [(CaseAct.CLOSE, Facts())])
    assert case.state is CaseState.CLOSED
    assert case.watch_until == clock.now() + timedelta(days=180)


def test_a_reopened_case_is_verified_anew(clock: FixedClock) -> None:
    """What was found and served in the first round says nothing about what stands there in the second."""
    case = walk(
        handled(clock),
        clock,
        [
            (CaseAct.RECHECK, Facts(outcome=StepKind.SELF_DONE)),
            (CaseAct.CLOSE, Facts(recheck=RecheckResult(True, clock.now(), "s2"))),
            (CaseAct.REOPEN, Facts(reason="复建")),
            (CaseAct.DISPATCH, Facts(assignee="chief")),
        ],
    )
    assert case.round == 2
    assert case.verification is None
    assert case.steps == ()
    assert codes(refused(case, CaseAct.CLOSE, Facts(reason="x"), clock)) == {"no_such_move"}


def test_suspension_stops_the_clock(clock: FixedClock) -> None:
    """Resumed, the case is where it was and its limit is later by the time it stood."""
    case = walk(a_case(clock), clock, [(CaseAct.DISPATCH, Facts(assignee="chief"))])
    due = case.due_at
    assert due is not None
    stood = walk(case, clock, [(CaseAct.SUSPEND, Facts(reason="等待鉴定"))])
    clock.advance(timedelta(days=9))
    assert not stood.is_overdue(clock.now())
    again = walk(stood, clock, [(CaseAct.RESUME, Facts())])
    assert (again.state, again.due_at) == (CaseState.DISPATCHED, due + timedelta(days=9))


def test_an_officer_works_on_their_own_cases_only(clock: FixedClock) -> None:
    """Somebody else's case is refused by name of the reason; a reviewer may not verify at all."""
    case = walk(a_case(clock), clock, [(CaseAct.DISPATCH, Facts(assignee="zhang"))])
    walk(case, clock, [(CaseAct.ACCEPT, Facts())], by=OFFICER)
    other = replace(OFFICER, id="qian")
    assert codes(refused(case, CaseAct.ACCEPT, Facts(), clock, by=other)) == {"not_yours"}
    assert codes(refused(case, CaseAct.VERIFY, Facts(verification=form(clock)), clock, by=REVIEWER)) == {"role"}


def test_a_late_act_is_told_in_its_event(clock: FixedClock) -> None:
    """The event names the limit that had run out: the figures count it."""
    case = a_case(clock)
    clock.advance(timedelta(days=3))
    done = workflow.advance(case, CaseAct.DISPATCH, ALL, Facts(assignee="chief"), clock)
    assert isinstance(done, workflow.Advanced)
    assert done.event.facts["late"] == "dispatch"


def test_offers_show_what_stands_against_a_button_before_the_form(clock: FixedClock) -> None:
    """Every act of the state is offered with its form's fields; what no form can heal is said at once."""
    offered = {offer.act: offer for offer in workflow.offers(handled(clock), ALL, clock)}
    assert offered[CaseAct.RECHECK].refusal is None
    assert offered[CaseAct.RECHECK].needs == ("outcome",)
    forbidden = offered[CaseAct.ENFORCE].refusal
    assert forbidden is not None
    assert codes(forbidden) >= {"not_ready"}


def test_the_table_speaks_only_known_words() -> None:
    """Every need, guard, limit, state, act and field of the table exists and has its text in both languages."""
    for (state, act), move in workflow.MOVES.items():
        assert set(move.needs) <= set(NEEDS)
        assert set(move.guards) <= set(GUARDS)
        assert not move.limit or move.limit in standard_office().limits
        assert set(texts.STATES[state]) == set(texts.ACTS[act]) == {"zh", "en"}
        assert all(need in texts.FIELDS for need in move.needs)
    for finding_state, finding_act in FINDING_MOVES:
        assert finding_state in texts.FINDING_STATES
        assert finding_act in texts.ACTS
    assert set(texts.STATES) == set(CaseState)
    assert set(texts.VERDICTS) == set(Verdict)
    assert set(texts.STEPS) == set(StepKind)


def test_a_recheck_is_due_within_its_limit_and_no_later_than_the_next_flight(clock: FixedClock) -> None:
    """Three working days, or the area's next flight when that is sooner."""
    case = walk(handled(clock), clock, [(CaseAct.RECHECK, Facts(outcome=StepKind.SELF_DONE))])
    asked = order(case, clock)
    assert (f"{asked.not_before}", f"{asked.not_after}") == ("2026-03-05", "2026-03-10")
    sooner = order(case, clock, next_flight=at("2026-03-06T09:00").date())
    assert f"{sooner.not_after}" == "2026-03-06"
    with pytest.raises(DispatchError, match="nothing to recheck"):
        order(a_case(clock), clock)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-05T10:00", "2026-03-05T10:00"),
        ("2026-03-05T22:00", "2026-03-06T06:00"),
        ("2026-03-05T05:59", "2026-03-05T06:00"),
        ("2026-05-01T12:00", "2026-05-06T06:00"),
        ("2026-03-07T12:00", "2026-03-07T12:00"),  # a plain Saturday is no statutory holiday
    ],
)
def test_enforcement_waits_for_the_day_and_the_end_of_the_holiday(now: str, opens: str) -> None:
    """Neither at night nor on a statutory holiday (行政强制法 43)."""
    assert lawful_hour(at(now), standard_office()) == at(opens)


def test_a_finding_on_somebodys_desk_is_left_alone(clock: FixedClock) -> None:
    """While one reviewer has it open another's act is refused, until the lease is over."""
    opened = judge(a_finding(clock, FindingState.TRIAGE), FindingAct.LEASE, REVIEWER, clock)
    assert isinstance(opened, Judged)
    other = replace(REVIEWER, id="zhou")
    done = judge(opened.finding, FindingAct.CONFIRM, other, clock)
    assert isinstance(done, Refusal)
    assert done.earliest == clock.now() + timedelta(minutes=15)
    clock.advance(timedelta(minutes=15))
    assert isinstance(judge(opened.finding, FindingAct.CONFIRM, other, clock), Judged)


def test_what_was_suppressed_says_why_and_comes_back(clock: FixedClock) -> None:
    """No silent suppression: a reason is needed, and a reviewer can undo it."""
    assert isinstance(judge(a_finding(clock), FindingAct.SUPPRESS, SYSTEM, clock), Refusal)
    hidden = judge(a_finding(clock), FindingAct.SUPPRESS, SYSTEM, clock, reason="与在建许可工地重叠")
    assert isinstance(hidden, Judged)
    assert hidden.finding.decision == "与在建许可工地重叠"
    back = judge(hidden.finding, FindingAct.TRIAGE, REVIEWER, clock)
    assert isinstance(back, Judged)
    assert back.finding.state is FindingState.TRIAGE


def test_a_second_sighting_raises_the_score(clock: FixedClock) -> None:
    """Two sightings are surer than either, and never surer than certain."""
    again = a_finding(clock).seen_again(0.5)
    assert again.sightings == 2
    assert 0.9 < again.score < 1.0


def test_a_finding_that_cannot_be_is_refused(clock: FixedClock) -> None:
    """A score beyond certainty or an outline that crosses itself is an error with the finding's number."""
    with pytest.raises(DispatchError, match="XS-1"):
        replace(a_finding(clock), score=1.2)
    with pytest.raises(DispatchError, match="XS-1"):
        replace(a_finding(clock), area_m2=0.0)
    assert a_finding(clock).source is Source.IMAGERY
    assert a_finding(clock).found_at.tzinfo is UTC
