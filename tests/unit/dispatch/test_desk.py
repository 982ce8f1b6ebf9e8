"""Routes, papers and figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from shapely.geometry import box

from dispatch import documents, texts
from dispatch.assign import Assignment, Route, Zoning, route
from dispatch.case import Case, CaseId, CaseState, Step, StepKind, Verdict, Verification
from dispatch.documents import Paper
from dispatch.event import Event
from dispatch.figures import monthly, rightness
from dispatch.finding import Finding, FindingId, FindingState
from dispatch.refusal import Refusal
from geo.frames import LonLat
from geo.times import FixedClock


def a_case(clock: FixedClock, id: str = "c", **more: object) -> Case:
    case = Case(
        CaseId(id),
        f"AJ-{id}",
        FindingId(id),
        "a",
        LonLat(lon_deg=120.55, lat_deg=32.38),
        CaseState.REGISTERED,
        clock.now(),
        "li",
        "如城",
    )
    return replace(case, **more)  # type: ignore[arg-type]


def a_finding(clock: FixedClock, id: str, state: FindingState, town: str = "如城") -> Finding:
    return Finding(FindingId(id), id, "a", box(120.55, 32.38, 120.551, 32.381), 9.0, 2.0, "k", 0.8, state, clock.now(), town=town)


CITY = Route("城管局一中队", "如城", Zoning.CITY, ("zhang", "li"), box(120.5, 32.3, 120.6, 32.4))
VILLAGE = Route("搬经镇政府", "搬经", Zoning.VILLAGE, ("wu",), box(120.3, 32.3, 120.5, 32.4))


def test_a_case_goes_to_the_unit_of_its_place_and_the_least_loaded_officer(clock: FixedClock) -> None:
    """The place says which office, the load which officer, and the article comes along."""
    assert route(a_case(clock), (VILLAGE, CITY), {"zhang": 3, "li": 1}) == Assignment("城管局一中队", "如城", "li", "city-64")
    inside_village = a_case(clock, place=LonLat(lon_deg=120.4, lat_deg=32.35))
    assigned = route(inside_village, (VILLAGE, CITY), {})
    assert isinstance(assigned, Assignment)
    assert texts.LAWS[assigned.law]["zh"] == "《城乡规划法》第六十五条"


def test_a_place_that_no_route_covers_is_refused_with_the_place(clock: FixedClock) -> None:
    """Nobody guesses: the refusal asks a person; so it does when nobody is at work."""
    nowhere = route(a_case(clock, place=LonLat(lon_deg=121.0, lat_deg=32.0)), (VILLAGE, CITY), {})
    assert isinstance(nowhere, Refusal)
    assert "121.000000" in nowhere.text()
    empty = route(a_case(clock), (CITY,), {}, away=frozenset({"zhang", "li"}))
    assert isinstance(empty, Refusal)
    assert "城管局一中队" in empty.text()


@pytest.mark.parametrize("paper", list(Paper))
def test_a_paper_is_whole_or_says_what_is_missing(paper: Paper, clock: FixedClock) -> None:
    """With every asked fact given no mark is left in the text; with none, each gap is named."""
    case = a_case(clock)
    asked = documents.wants(paper, case)
    bare = documents.write(paper, case, {}, written_at=clock.now())
    assert isinstance(bare, Refusal)
    assert {reason.missing for reason in bare.reasons} == set(asked)
    full = documents.write(paper, case, {name: f"〔{name}〕" for name in asked}, written_at=clock.now())
    assert not isinstance(full, Refusal)
    assert "${" not in full.text
    assert all(f"〔{name}〕" in full.text for name in asked)
    assert "2026年3月5日" in full.text


def test_a_demand_carries_what_the_case_knows(clock: FixedClock) -> None:
    """The decision's number and day of service come from the case, not from memory."""
    served = datetime.fromisoformat("2026-03-06T01:00:00+00:00")
    case = a_case(clock, steps=(Step(StepKind.DECISION, clock.now(), 1, "如综执〔2026〕1号", served, None),))
    given = {"number": "催1", "party": "某某", "office": "如皋市综合行政执法局", "comply_by": date(2026, 4, 1)}
    paper = documents.write(Paper.DEMAND, case, given, written_at=clock.now())
    assert not isinstance(paper, Refusal)
    assert "如综执〔2026〕1号" in paper.text
    assert "2026年3月6日" in paper.text
    assert "2026年4月1日" in paper.text
    assert paper.title == "履行行政决定催告书"


def test_figures_count_a_month_per_town(clock: FixedClock) -> None:
    """What came up counts in its month, what was done in its own, and what is late now is late now."""
    now = clock.now()
    findings = [
        a_finding(clock, "1", FindingState.CONFIRMED),
        a_finding(clock, "2", FindingState.REJECTED),
        a_finding(clock, "3", FindingState.TRIAGE, "东陈"),
    ]
    closed = a_case(clock, "x", state=CaseState.CLOSED, closed_at=now + timedelta(days=4))
    late = a_case(clock, "y", due_at=now + timedelta(hours=1))
    old = a_case(clock, "z", opened_at=now - timedelta(days=60), state=CaseState.LEDGERED, closed_at=now)
    told = [
        Event("case", "x", "dispatch", "", "", "a", "a", now),
        Event("case", "y", "return", "", "", "a", "a", now, facts={"late": "accept"}),
        Event("case", "y", "dispatch", "", "", "a", "a", now - timedelta(days=40)),
    ]
    lines = monthly(findings, [closed, late, old], told, date(2026, 3, 17), at=now + timedelta(days=5))
    assert [line.town for line in lines] == ["东陈", "如城"]
    town = lines[1]
    assert (town.findings, town.confirmed, town.rejected, town.confirmed_share) == (2, 1, 1, 0.5)
    assert (town.opened, town.closed, town.ledgered, town.open_now, town.overdue_now) == (2, 1, 1, 1, 1)
    assert (town.acts, town.late_acts, town.returned, town.on_time_share) == (2, 1, 1, 0.5)
    assert town.median_days_to_close == 4.0
    assert lines[0].confirmed_share is None


def test_the_product_knows_its_own_precision(clock: FixedClock) -> None:
    """Reviewers' and officers' verdicts give two numbers; a visit that could not enter gives none."""

    def seen(verdict: Verdict) -> Case:
        return a_case(clock, verdict, verification=Verification(verdict, ("a", "b"), clock.now()))

    findings = [a_finding(clock, str(i), s) for i, s in enumerate((FindingState.CONFIRMED,) * 3 + (FindingState.REJECTED,))]
    right = rightness(findings, [seen(Verdict.BUILT), seen(Verdict.NOT_A_STRUCTURE), seen(Verdict.NO_ENTRY)])
    assert (right.desk_precision, right.ground_precision) == (0.75, 0.5)
    nothing = rightness([], [])
    assert (nothing.desk_precision, nothing.ground_precision) == (None, None)
