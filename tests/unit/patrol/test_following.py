"""A thing through five surveys of one place: one finding from its foundation on, silent when dismissed, back when it grows, gone, rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dispatch.actor import Actor, Role
from dispatch.finding import Finding, FindingState
from geo.times import FixedClock
from patrol import auth, demo, records, repositories
from patrol.api.app import make_app
from patrol.pipeline import areas, casework, choosing, comparing
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.patrol.built import Block, adopted, area

PASSWORD = "correct horse battery"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
REVIEWER = Actor("r", "审核员", frozenset({Role.REVIEWER}))
HOUSE = Block(20, 20, 10, 8, 3.0)
TALLER = replace(HOUSE, height_m=5.5)
OTHER = Block(50, 45, 8, 8, 3.2)
DAYS = {
    date(2026, 6, 20): (),
    date(2026, 7, 20): (HOUSE, OTHER),
    date(2026, 8, 20): (TALLER, OTHER),
    date(2026, 9, 20): (OTHER,),
    date(2026, 10, 20): (HOUSE, OTHER),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Five surveys of one place, one after the other."""
    home = tmp_path_factory.mktemp("following")
    settings = Settings(home=home / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=FixedClock(NOON)) as made:
        areas.keep_area(made, area(), by="test")
        for day, blocks in DAYS.items():
            adopted(made, home / str(day), day, blocks)
        yield made


def surveys(work: Workplace) -> list[records.SurveyRecord]:
    with work.database.read() as session:
        return list(repositories.surveys_of(session, "a1", accepted=True))


def found(work: Workplace) -> dict[str, Finding]:
    """Findings by whether they are the house or the other."""
    with work.database.read() as session:
        every = repositories.findings.where(session)
    frame = area().frame
    named = {}
    for f in every:
        here = frame.to_metres(f.outline_wgs84)
        name = "house" if here.intersects(HOUSE.outline_m()) else "other"
        assert name not in named, "one thing has two findings"
        named[name] = f
    return named


def said(work: Workplace, finding: Finding) -> list[str]:
    with work.database.read() as session:
        return [s.said for s in repositories.sightings_of(session, finding.id)]


def test_one_thing_stays_one_finding_through_growth_demolition_and_return(work: Workplace) -> None:
    """New, dismissed; a storey more brings it back by itself, saying so; gone is seen; rebuilt is the same finding, reopened."""
    s = surveys(work)
    assert len(s) == 5
    comparing.compare(work, "a1", s[0].id, s[1].id, by="test")
    house, other = found(work)["house"], found(work)["other"]
    assert (house.state, other.state) == (FindingState.TRIAGE, FindingState.TRIAGE)
    casework.decide(work, house.id, "reject", "村民建房，已报批", REVIEWER)

    comparing.compare(work, "a1", s[0].id, s[2].id, by="test")  # against the ground: same place, 2.5 m taller
    grown = found(work)["house"]
    assert grown.id == house.id and grown.state is FindingState.TRIAGE
    assert "扩大" in grown.decision and "grown" in grown.decision and "村民建房" in grown.decision
    assert grown.height_m == pytest.approx(5.5, abs=0.3)
    assert found(work)["other"].sightings == 2
    casework.decide(work, house.id, "reject", "仍属许可", REVIEWER)

    comparing.compare(work, "a1", s[2].id, s[3].id, by="test")
    assert said(work, house) == ["new", "grown", "gone"]
    gone = found(work)["house"]
    assert gone.state is FindingState.REJECTED and "已拆除" in gone.reasons[-1]

    comparing.compare(work, "a1", s[3].id, s[4].id, by="test")
    back = found(work)["house"]
    assert said(work, house) == ["new", "grown", "gone", "returned"]
    assert back.id == house.id and back.state is FindingState.TRIAGE and "重新出现" in back.decision
    assert back.height_m == pytest.approx(3.0, abs=0.3)


def test_growth_on_top_is_measured_from_the_ground(work: Workplace) -> None:
    """Compared with the survey in which it stood, only the storey is seen: its 2.5 m come on top of the 3 m known."""
    with work.database.write() as session:  # as it was after the first comparison
        house = next(f for f in repositories.findings.where(session) if f.id == found(work)["house"].id)
        s = surveys(work)
        repositories.findings.put(session, replace(house, height_m=3.0, after_survey=s[1].id))
    comparing.compare(work, "a1", s[1].id, s[2].id, by="test")
    again = found(work)["house"]
    assert again.id == house.id
    assert again.height_m == pytest.approx(5.5, abs=0.4)
    assert "grown" in said(work, house)


def test_a_dismissed_thing_seen_the_same_stays_silent(work: Workplace) -> None:
    """The same comparison made anew, of what a person dismissed: its sightings as they were, nothing in triage, nothing double."""
    s = surveys(work)
    other = found(work)["other"]
    before = said(work, other)
    casework.decide(work, other.id, "reject", "合法", REVIEWER)
    with work.database.write() as session:
        there = repositories.comparison_of(session, s[0].id, s[1].id)
        assert there is not None
        repositories.comparisons.put(session, replace(there, record={**there.record, "stale": True}))
    comparing.compare(work, "a1", s[0].id, s[1].id, by="test")
    after = found(work)["other"]
    assert (after.id, after.state, after.decision) == (other.id, FindingState.REJECTED, "合法")
    assert said(work, other) == before


def test_a_survey_to_compare_with_is_chosen_with_its_reasons(work: Workplace) -> None:
    """Last, last good and best name surveys; a poor one in between is passed over; a finding's own place is asked about."""
    s = surveys(work)
    with work.database.read() as session:
        assert [c.look.id for c in (choosing.named(session, area(), s[4], word) for word in ("last", "good")) if c] == [
            s[3].id
        ] * 2
    poor = replace(s[3], quality={**s[3].quality, "residual_p90_px": 2.9})
    with work.database.write() as session:
        repositories.surveys.put(session, poor)
        last, good, best = (choosing.named(session, area(), s[4], word) for word in choosing.WORDS)
        assert last is not None and good is not None and best is not None
        assert (last.look.id, good.look.id) == (s[3].id, s[2].id)
        assert best.look.id != s[3].id and best.score == max(c.score for c in choosing.choices(session, area(), s[4]))
        assert choosing.named(session, area(), s[0], "best") is None
        repositories.surveys.put(session, s[3])
    with pytest.raises(comparing.ComparisonRefused, match="no good survey"):
        comparing.compare(work, "a1", "good", s[0].id, by="test")
    _, ranked = choosing.of_finding(work, found(work)["other"].id)
    assert ranked and all(c.look.seen > 0.99 and c.zh and c.en for c in ranked)


def test_the_api_tells_a_finding_through_the_surveys(work: Workplace) -> None:
    """Its sightings oldest first in both languages, and which earlier survey shows its place best."""
    with work.database.write() as session:
        auth.add_user(session, "judge", "审核", frozenset({Role.REVIEWER}), PASSWORD, by="test", clock=work.clock)
    house = found(work)["house"]
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as client:
        assert client.post("/api/login", json={"name": "judge", "password": PASSWORD}).status_code == 200
        seen = client.get(f"/api/findings/{house.id}/sightings").json()
        assert [x["taken_on"] for x in seen] == sorted(x["taken_on"] for x in seen) and seen[0]["said"] == "new"
        assert all(x["text"]["zh"] and x["text"]["en"] for x in seen)
        pair = client.get(f"/api/findings/{house.id}/pairs").json()
        assert pair["after_id"] == house.after_survey and pair["choices"][0]["reasons"]
