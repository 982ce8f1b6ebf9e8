"""What people said becomes labels, and labels become precision."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from shapely.geometry import box

from dispatch import label, texts
from dispatch.actor import SYSTEM, Actor, Role
from dispatch.case import Verdict, Verification
from dispatch.cause import AT_DESK, ON_SITE, Cause
from dispatch.event import Event
from dispatch.finding import Finding, FindingAct, FindingId, FindingState, judge
from dispatch.label import Informed, Label, Truth
from dispatch.office import Facts
from dispatch.outcome import plain
from dispatch.precision import UNEXPLAINED, Count, count, held_from_the_start, total, wilson
from dispatch.refusal import Refusal
from geo.times import FixedClock

T0 = datetime(2026, 3, 5, 2, tzinfo=UTC)
REVIEWER = Actor("r", "审核员", frozenset({Role.REVIEWER}))


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def on_finding(act: str, before: str, after: str, hours: float, *, by: str = "r", note: str = "", **facts: Any) -> Event:
    return Event("finding", "f", act, before, after, by, by, at(hours), note, facts)


def on_case(act: str, hours: float, **facts: Any) -> Event:
    return Event("case", "c", act, "", "", "o", "o", at(hours), "", facts)


def visit(verdict: Verdict, hours: float, cause: Cause | None = None) -> Event:
    form = Verification(verdict, ("张三", "李四"), at(hours), cause=cause)
    return on_case("verify", hours, **plain(Facts(verification=form)))


CONFIRMED = on_finding("confirm", "triage", "confirmed", 1)
REJECTED = on_finding("reject", "triage", "rejected", 1, note="堆料", cause="pile")
RESTORED = on_finding("triage", "rejected", "triage", 2)


def stands(*events: Event) -> Label | None:
    return label.standing(label.labels(events, {"c": "f"})).get("f")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_of_a_visit_corrects_the_desk(verdict: Verdict) -> None:
    """Each of the eight says right, wrong or nothing; what says nothing leaves the desk's word standing."""
    cause = Cause.PILE if verdict is Verdict.NOT_A_STRUCTURE else None
    made = stands(CONFIRMED, visit(verdict, 5, cause))
    assert made is not None
    truth = label.OF_VERDICT[verdict]
    assert (made.informed, made.truth) == ((Informed.DESK, Truth.STRUCTURE) if truth is None else (Informed.VISIT, truth))
    assert made.cause is cause


def test_the_better_informed_counts_and_of_equals_the_later_in_whatever_order_they_are_told() -> None:
    """A visit corrects a desk, a later visit an earlier one, and no later word of the desk a visit."""
    events = (
        REJECTED,
        visit(Verdict.NOT_A_STRUCTURE, 3, Cause.VEHICLE),
        visit(Verdict.BUILT, 4),
        on_finding("confirm", "triage", "confirmed", 9),
        on_finding("reject", "triage", "rejected", 8),
    )
    for order in itertools.permutations(events):
        made = stands(*order)
        assert made is not None
        assert (made.truth, made.informed, made.at) == (Truth.STRUCTURE, Informed.VISIT, at(4))
    assert len(label.labels(events, {"c": "f"})) == 5, "what was said before stays on record"


def test_what_is_looked_at_again_has_no_label_until_somebody_speaks() -> None:
    """Bringing back a rejected one takes the rejection back; the product's own bringing back does not."""
    again = stands(REJECTED, RESTORED)
    assert again is not None and again.truth is Truth.OPEN and again.is_right is None
    confirmed = stands(REJECTED, RESTORED, on_finding("confirm", "triage", "confirmed", 3))
    assert confirmed is not None and confirmed.is_right is True
    grown = stands(REJECTED, on_finding("triage", "rejected", "triage", 2, by=SYSTEM.id))
    assert grown is not None and grown.is_right is False
    assert stands(on_finding("suppress", "detected", "suppressed", 0, by=SYSTEM.id)) is None


@pytest.mark.parametrize("cause", AT_DESK)
def test_a_cause_given_by_key_or_by_its_words_is_the_same(cause: Cause) -> None:
    """Old rejections say the stock reason in words, in either language: they are counted like those that name it."""
    made = [stands(on_finding("reject", "triage", "rejected", 1, cause=cause.value))]
    made += [stands(on_finding("reject", "triage", "rejected", 1, note=texts.CAUSES[cause][lang])) for lang in ("zh", "en")]
    assert len(set(made)) == 1
    assert made[0] is not None and made[0].cause is cause
    assert made[0].is_right is (cause is Cause.PERMITTED), "only what is permitted is a structure"


def test_a_rejection_without_a_cause_is_wrong_but_teaches_nothing() -> None:
    """It may mean unlawful, lawful or nothing at all."""
    made = stands(on_finding("reject", "triage", "rejected", 1, note="村民建房，已报批"))
    assert made is not None
    assert (made.is_right, made.is_clear) == (False, False)


def test_handling_and_rechecks_say_that_something_stood_there() -> None:
    """A decision served, a removal, a recheck that finds it gone: all of them right."""
    for event in (
        on_case("decide", 9, document="x"),
        on_case("self_done", 9),
        on_case("recheck", 9, outcome="self_done"),
        on_case("record", 9, recheck={"gone": True, "survey_id": "s"}),
        on_case("close", 9, recheck={"gone": False, "officers": ["a", "b"]}),
    ):
        made = stands(REJECTED, event)
        assert made is not None and made.is_right is True, event.act
    survey = stands(visit(Verdict.LEGAL, 2), on_case("record", 9, recheck={"gone": True, "survey_id": "s"}))
    assert survey is not None and survey.truth is Truth.LAWFUL, "a survey does not correct a visit"


def a_finding(id: str = "f", state: FindingState = FindingState.TRIAGE, **given: Any) -> Finding:
    outline = box(120.55, 32.38, 120.5502, 32.3802)
    return Finding(FindingId(id), f"XS-{id}", "a1", outline, 50.0, 3.0, given.pop("kind", "new_building"), 0.9, state, given.pop("found_at", T0), **given)  # fmt: skip


def test_a_rejection_keeps_its_cause_and_only_a_rejection_may_have_one(clock: FixedClock) -> None:
    """The cause stands in the event, and by itself is reason enough."""
    done = judge(a_finding(), FindingAct.REJECT, REVIEWER, clock, cause=Cause.PILE)
    assert not isinstance(done, Refusal)
    assert (done.event.facts["cause"], done.finding.decision) == ("pile", "堆料")
    for act, cause in ((FindingAct.CONFIRM, Cause.PILE), (FindingAct.REJECT, Cause.NOTHING)):
        refused = judge(a_finding(), act, REVIEWER, clock, cause=cause)
        assert isinstance(refused, Refusal)
        assert refused.text("zh") and refused.text("en")


def test_every_word_is_said_in_both_languages() -> None:
    """Causes, truths and sources have their texts."""
    for family, words in ((Cause, texts.CAUSES), (Truth, texts.TRUTHS), (Informed, texts.INFORMED)):
        assert {x.value for x in family} == set(words)
    assert set(AT_DESK) | set(ON_SITE) == set(Cause)


def spoken(id: str, truth: Truth, informed: Informed = Informed.DESK, cause: Cause | None = None) -> tuple[str, Label]:
    return id, Label(id, truth, informed, T0, "r", cause)


def counted(findings: list[Finding], *told: tuple[str, Label], held: frozenset[str] = frozenset()) -> Mapping[Any, Count]:
    lines = count(findings, dict(told), held, lambda f: f.town or "a1")
    return {(x.month, x.kind, x.place): x.count for x in lines}


def test_all_that_was_raised_is_in_the_count() -> None:
    """Right, wrong, duplicate and unjudged make up what was raised; a town's month and kind stand by themselves."""
    findings = [
        a_finding("1", town="如城"),
        a_finding("2", town="如城"),
        a_finding("3", town="如城"),
        a_finding("4", FindingState.DUPLICATE, town="如城"),
        a_finding("5", town="东陈"),
        a_finding("6", town="如城", kind="extension"),
        a_finding("7", town="如城", found_at=datetime(2026, 2, 28, 17, tzinfo=UTC)),  # March in Shanghai
        a_finding("8", town="如城", source="hotline"),
    ]
    made = counted(
        findings,
        spoken("1", Truth.STRUCTURE, Informed.VISIT),
        spoken("2", Truth.NOT_A_STRUCTURE, cause=Cause.PILE),
        spoken("7", Truth.NOT_A_STRUCTURE),
    )
    march = date(2026, 3, 1)
    assert set(made) == {(march, "new_building", "如城"), (march, "new_building", "东陈"), (march, "extension", "如城")}
    here = made[march, "new_building", "如城"]
    assert (here.raised, here.right, here.wrong, here.duplicates, here.unjudged, here.visited) == (5, 1, 2, 1, 1, 1)
    assert here.causes == {"pile": 1, UNEXPLAINED: 1}
    assert here.precision == pytest.approx(1 / 3) and here.floor == pytest.approx(1 / 4)
    whole = total(count(findings, {}, frozenset(), lambda f: f.town))
    assert (whole.raised, whole.unjudged, whole.precision, whole.interval) == (7, 6, None, None)


def test_what_a_rule_held_back_neither_helps_nor_hides() -> None:
    """Held back from the start: counted apart, taken back and right it counts there; held back after it was shown it stays raised."""
    events = [
        on_finding("suppress", "detected", "suppressed", 0, by=SYSTEM.id),
        Event("finding", "later", "suppress", "triage", "suppressed", SYSTEM.id, "", T0),
    ]
    held = held_from_the_start(events)
    assert held == {"f"}
    findings = [a_finding("f", FindingState.CONFIRMED), a_finding("later", FindingState.SUPPRESSED)]
    (line,) = counted(findings, spoken("f", Truth.STRUCTURE), held=held).values()
    assert (line.raised, line.unjudged, line.held, line.held_right, line.precision) == (1, 1, 0, 1, None)


def test_wilsons_interval_holds_the_share_and_narrows() -> None:
    """Against the worked example of 81 of 263 (Newcombe 1998, Statistics in Medicine 17:857: 0.2553 to 0.3662), and at the ends."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20)[0] == 0.0 and wilson(20, 20)[1] == 1.0
    widths = [high - low for low, high in (wilson(n * 3, n * 4) for n in (1, 10, 100))]
    assert widths == sorted(widths, reverse=True)
