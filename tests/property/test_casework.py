"""Laws of casework: whatever is tried, in whatever order, by whomever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from dispatch import workflow
from dispatch.actor import Actor, Role
from dispatch.case import Case, CaseAct, CaseId, CaseState, RecheckResult, StepKind, Verdict, Verification
from dispatch.deadlines import Limit, Unit, due, standard_calendar
from dispatch.finding import Finding, FindingAct, FindingId, FindingState, Judged, judge
from dispatch.office import Facts
from dispatch.refusal import Refusal
from geo.times import LOCAL_ZONE, FixedClock

START = datetime(2026, 1, 5, 2, tzinfo=UTC)
CALENDAR = standard_calendar()
ONE_FOR_ALL = Actor("a", "甲", frozenset(Role) - {Role.SYSTEM})

NAMES = ((), ("甲",), ("甲", "甲"), ("甲", "乙"), ("甲", "乙"), ("甲", "乙"))
JUMPS = (timedelta(minutes=5), timedelta(hours=13), timedelta(days=1), timedelta(days=20), timedelta(days=200))
PAPERS = (
    (CaseAct.DECIDE, StepKind.DECISION),
    (CaseAct.DEMAND, StepKind.DEMAND),
    (CaseAct.ANNOUNCE, StepKind.ANNOUNCEMENT),
    (CaseAct.MAKE_READY, StepKind.ENFORCE_READY),
    (CaseAct.ENFORCE, StepKind.ENFORCED),
)
actors = st.builds(Actor, st.sampled_from("ab"), st.just("某"), st.frozensets(st.sampled_from(Role), max_size=3))


class Chance:
    """Somebody who tries things: mostly sensible, sometimes not. Seeded, so that every walk can be walked again."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)

    def actor(self) -> Actor:
        if self.dice.random() < 0.8:
            return ONE_FOR_ALL
        roles = self.dice.sample(list(Role), self.dice.randrange(4))
        return Actor(self.dice.choice("ab"), "某", frozenset(roles))

    def act(self, case: Case) -> CaseAct:
        known = [act for at, act in workflow.MOVES if at is case.state]
        onward = [act for act in known if act not in {CaseAct.SUSPEND, CaseAct.TRANSFER, CaseAct.MERGE, CaseAct.RECHECK}]
        missing = [act for act, step in PAPERS if case.step(step) is None]
        luck = self.dice.random()
        if case.state is CaseState.HANDLING and luck < 0.55:
            return missing[0] if missing else CaseAct.RECHECK
        if luck < 0.7:
            return self.dice.choice(onward or known or list(CaseAct))
        return self.dice.choice(known or list(CaseAct)) if luck < 0.95 else self.dice.choice(list(CaseAct))

    def facts(self, now: datetime) -> Facts:
        pick = self.dice.choice
        when = [now - timedelta(days=1), now, now, now + timedelta(days=1)]
        word = ["", "说明", "说明", "说明", "说明"]
        visit = Verification(
            pick([*Verdict, Verdict.BUILT, Verdict.BUILT]), pick(NAMES), pick(when), photos=("p", "q", "r")[: pick((1, 3, 3))]
        )
        again = RecheckResult(pick((True, False)), pick(when), pick((None, "s")), pick(NAMES))
        return Facts(
            note=pick(word),
            reason=pick(word),
            assignee=pick((None, "a", "a", "a", "b")),
            verification=pick((None, visit, visit, visit)),
            document=pick(word),
            served_at=pick((None, *when)),
            comply_by=pick((None, now - timedelta(days=1), now + timedelta(days=2), now + timedelta(days=10))),
            officers=pick(NAMES),
            outcome=pick((None, StepKind.SELF_DONE, StepKind.ENFORCED)),
            recheck=pick((None, again, again)),
            to_whom=pick(word),
            merged_into=pick((None, CaseId("c"), CaseId("d"))),
            defence_heard=pick(word),
            dispute_pending=pick((False, False, False, True)),
            approval=pick(word),
            urgent=pick((True, False)),
        )


def opened(clock: FixedClock) -> Case:
    outline = box(120.55, 32.38, 120.5502, 32.3802)
    finding = Finding(FindingId("f"), "1", "a", outline, 9.0, 2.0, "k", 0.9, FindingState.CONFIRMED, clock.now(), decided_by="li")
    done = workflow.register(finding, ONE_FOR_ALL, clock, id=CaseId("c"), number="1")
    assert isinstance(done, workflow.Advanced)
    return done.case


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_no_road_leads_around_the_law(seed: int) -> None:
    """Closed only after verification; one act, one event; a refusal has reasons in both languages; enforcement only when lawful."""
    walk_at_random(seed)


def test_the_walks_reach_every_act_of_the_table() -> None:
    """The law above is tried on every act, the enforcement at the end of the longest road included."""
    left = set(workflow.MOVES)
    for seed in range(1500):
        left -= walk_at_random(seed)
        if not left:
            return
    raise AssertionError(f"no walk carried out {left}")


def walk_at_random(seed: int) -> set[tuple[CaseState, CaseAct]]:
    """Sixty tries in a row, each checked; returns the moves that were carried out."""
    chance, clock = Chance(seed), FixedClock(START)
    case = opened(clock)
    verified_in_round: set[int] = set()
    carried: set[tuple[CaseState, CaseAct]] = set()
    for _ in range(60):
        clock.advance(chance.dice.choice(JUMPS))
        act, by, facts = chance.act(case), chance.actor(), chance.facts(clock.now())
        before = replace(case)
        done = workflow.advance(case, act, by, facts, clock)
        assert case == before
        if isinstance(done, Refusal):
            assert done.reasons
            assert done.text("zh")
            assert done.text("en")
            assert all(r.earliest is None or r.earliest > clock.now() for r in done.reasons)
            continue
        event, after = done.event, done.case
        carried.add((case.state, act))
        assert (event.act, event.before, event.after, event.by, event.at) == (act, case.state, after.state, by.id, clock.now())
        assert after.version == case.version + 1
        assert by.roles
        if act is CaseAct.VERIFY:
            assert after.verification is not None
            assert len(set(after.verification.officers)) >= 2
            verified_in_round.add(after.round)
        if after.state in {CaseState.HANDLING, CaseState.RECHECK, CaseState.CLOSED, CaseState.LEDGERED}:
            assert after.round in verified_in_round
            assert after.verification is not None
        if act is CaseAct.CLOSE:
            assert after.verification is not None
            assert after.verification.verdict.ends_the_case or (after.recheck is not None and after.recheck.gone)
        if act is CaseAct.ENFORCE:
            _enforced_lawfully(after, clock, facts)
        if act is CaseAct.RESUME:
            assert after.state is case.resume_to
        case = after
    return carried


def _enforced_lawfully(case: Case, clock: FixedClock, facts: Facts) -> None:
    papers = {
        kind: case.step(kind) for kind in (StepKind.DECISION, StepKind.DEMAND, StepKind.ANNOUNCEMENT, StepKind.ENFORCE_READY)
    }
    for step in papers.values():
        assert step is not None
        assert step.served_at is not None
    decision = next(s for s in case.steps if s.kind is StepKind.DECISION)
    assert decision.served_at is not None
    assert clock.now() - decision.served_at >= timedelta(days=181)
    local = clock.now().astimezone(LOCAL_ZONE)
    assert facts.urgent or (time(6) <= local.time() < time(22) and not CALENDAR.is_holiday(local.date()))
    assert len(set(facts.officers)) >= 2


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_the_lawful_road_can_always_be_walked_to_its_end(seed: int, tries: int) -> None:
    """From any state of the open road, one who may do everything, fills in every form and waits, reaches an end."""
    chance, clock = Chance(seed), FixedClock(START)
    case = opened(clock)
    for _ in range(tries):
        clock.advance(chance.dice.choice(JUMPS))
        done = workflow.advance(case, chance.act(case), ONE_FOR_ALL, chance.facts(clock.now()), clock)
        case = done.case if isinstance(done, workflow.Advanced) else case
    for _ in range(12):
        if case.state.is_over:
            break
        now = clock.now()
        verdict = Verification(Verdict.BUILT, ("甲", "乙"), now, photos=("p", "q", "r"))
        facts = Facts(
            reason="说明", assignee="a", verification=verdict, outcome=StepKind.SELF_DONE, recheck=RecheckResult(True, now, "s")
        )
        onward = (CaseAct.RESUME, CaseAct.DISPATCH, CaseAct.VERIFY, CaseAct.HANDLE, CaseAct.RECHECK, CaseAct.CLOSE)
        wanted = {
            CaseState.SUSPENDED: onward[:1],
            CaseState.DISPATCHED: onward[2:3],
            CaseState.ACCEPTED: onward[2:3],
            CaseState.VERIFYING: (CaseAct.CLOSE, CaseAct.LEDGER, CaseAct.HANDLE, CaseAct.VERIFY),
            CaseState.HANDLING: onward[4:5],
            CaseState.RECHECK: onward[5:],
        }.get(case.state, onward[1:2])
        actor = replace(ONE_FOR_ALL, id=case.assignee or "a")
        tried = [workflow.advance(case, act, actor, facts, clock) for act in wanted]
        moved = [done for done in tried if isinstance(done, workflow.Advanced)]
        assert moved, (case.state, [t.text("en") for t in tried if isinstance(t, Refusal)])
        case = moved[0].case
    assert case.state.is_over


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FindingAct), actors, st.sampled_from(["", "理由"])), max_size=12))
def test_a_finding_is_confirmed_by_a_reviewer_or_not_at_all(acts: list[tuple[FindingAct, Actor, str]]) -> None:
    """No sequence of acts makes a finding confirmed without a named reviewer, or rejected without a reason."""
    clock = FixedClock(START)
    outline = box(120.55, 32.38, 120.5502, 32.3802)
    finding = Finding(FindingId("f"), "1", "a", outline, 9.0, 2.0, "k", 0.9, FindingState.DETECTED, START)
    for act, by, reason in acts:
        clock.advance(timedelta(minutes=6))
        done = judge(finding, act, by, clock, reason=reason, duplicate_of=FindingId("g") if reason else None)
        if isinstance(done, Judged):
            assert done.event.after == done.finding.state
            if done.finding.state is FindingState.CONFIRMED:
                assert Role.REVIEWER in by.roles
                assert done.finding.decided_by == by.id
            if done.finding.state in {FindingState.REJECTED, FindingState.SUPPRESSED}:
                assert done.finding.decision
            finding = done.finding


moments = st.datetimes(datetime(2025, 1, 1), datetime(2026, 11, 30)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001
quarters = st.integers(1, 120).map(lambda q: q / 4)


@settings(deadline=None)
@given(moments, quarters, quarters)
def test_working_hours_add_up(start: datetime, first: float, second: float) -> None:
    """Working a while and then another while ends when working both at once does, and it ends at work."""
    once = due(start, Limit("x", first + second, Unit.WORK_HOUR), CALENDAR)
    middle = due(start, Limit("x", first, Unit.WORK_HOUR), CALENDAR)
    assert due(middle, Limit("x", second, Unit.WORK_HOUR), CALENDAR) == once
    local = once.astimezone(LOCAL_ZONE)
    assert any(a < local <= b for a, b in CALENDAR.spans(local.date()))
    assert start < middle < once


@settings(deadline=None)
@given(moments, st.integers(1, 40))
def test_working_days_end_at_the_end_of_a_working_day(start: datetime, days: int) -> None:
    """Exactly as many working days lie after the day of the start, up to and with the day it ends on."""
    local = due(start, Limit("x", days, Unit.WORK_DAY), CALENDAR).astimezone(LOCAL_ZONE)
    first = start.astimezone(LOCAL_ZONE).date()
    between = [first + timedelta(days=i) for i in range(1, (local.date() - first).days + 1)]
    assert sum(CALENDAR.is_work_day(day) for day in between) == days
    assert CALENDAR.is_work_day(local.date())
    assert local.time() == time(17, 30)
