"""Finished orthophotos of another program take the same way, on both databases."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from dispatch.finding import FindingState
from dispatch.refusal import Refusal
from patrol import repositories
from patrol.demo import OFFICE
from patrol.pipeline import casework, comparing, surveying
from patrol.pipeline.areas import keep_area
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.loop.month import Month

pytestmark = pytest.mark.slow


def test_two_finished_orthos_become_findings_and_a_case(month: Month, database_url: str, tmp_path: Path) -> None:
    """Ortho and surface of two dates are adopted, compared, confirmed and dispatched, on SQLite and on PostGIS alike."""
    with workplace(month.settings) as other, other.database.read() as session:
        area = repositories.areas.get(session, "demo")
        given = repositories.surveys_of(session, "demo")[:2]
        folders = [surveying.load_survey(other, record) for record in given]
    settings = Settings(home=tmp_path / "store", database_url=database_url, broker_url="")
    with workplace(settings) as work:
        keep_area(work, area, by="test")
        for survey, day in zip(folders, (date(2026, 10, 8), date(2026, 11, 7)), strict=True):
            made = surveying.adopt(work, survey.ortho, area.id, day, by="test", surface=survey.surface)
            assert made.accepted, made.quality
        again = surveying.adopt(work, folders[1].ortho, area.id, date(2026, 11, 7), by="test", surface=folders[1].surface)
        assert again.id == made.id, "the same file adopted twice is one survey"
        pair = comparing.compare(work, area.id, by="test")
        assert comparing.compare(work, area.id, by="test") == pair, "the same pair compared twice is one comparison"
        with work.database.read() as session:
            wanted = repositories.CaseFilter(states=(FindingState.TRIAGE.value,), area_id=area.id)
            findings, count = repositories.search_findings(session, wanted)
        assert count >= 3
        done = casework.decide(work, findings[0].id, "confirm", "清楚", OFFICE)
        assert not isinstance(done, Refusal)
        with work.database.read() as session:
            case = repositories.case_of(session, done.id)
        assert case is not None
        sent = casework.act(work, case.id, "dispatch", "", {"assignee": OFFICE.id}, OFFICE)
        assert not isinstance(sent, Refusal)
        refused = casework.act(work, case.id, "close", "", {}, OFFICE)
        assert isinstance(refused, Refusal), "a case cannot be closed before it was verified"
