"""The whole story, on a small town: planned, flown over MAVLink, mapped, compared, and a case closed by a recheck flight."""

from __future__ import annotations

import json

import pytest
from shapely.geometry import shape

from dispatch.case import CaseState
from patrol import audit, repositories
from patrol.wiring import workplace
from tests.loop.month import Month

pytestmark = pytest.mark.slow


def test_the_new_buildings_are_found_and_nothing_else(month: Month) -> None:
    """Recall and false alarms of the simulated month keep their bars."""
    assert month.report.recall >= 0.9, month.report
    assert month.report.false_alarms <= 1, month.report
    assert month.report.position_error_m is not None
    assert month.report.position_error_m < 1.0


def test_a_case_went_from_dispatch_to_closed_by_a_flight(month: Month) -> None:
    """One case is closed, its recheck answered by a survey, and its history has each of the five verbs once."""
    with workplace(month.settings) as work, work.database.read() as session:
        closed = [c for c in repositories.cases.where(session) if c.state is CaseState.CLOSED]
        assert len(closed) == 1
        assert closed[0].recheck is not None
        assert closed[0].recheck.survey_id is not None
        acts = [e.act for e in repositories.history(session, "case", closed[0].id)]
    assert acts == ["register", "dispatch", "accept", "verify", "handle", "recheck", "record", "close"]


def test_every_act_is_in_an_unbroken_audit_chain(month: Month) -> None:
    """The chain holds from the first entry to the last."""
    with workplace(month.settings) as work, work.database.read() as session:
        assert audit.verify(session) is None


def test_later_surveys_lie_on_the_first_within_half_a_pixel(month: Month) -> None:
    """Surveys are registered into the frozen block of the first: the residual says so."""
    with workplace(month.settings) as work, work.database.read() as session:
        later = [s for s in repositories.surveys_of(session, "demo") if s.reference_id is not None]
    assert len(later) >= 2
    for survey in later:
        assert not survey.quality["fell_back"]
        assert survey.quality["residual_median_px"] < 0.5


def test_every_finding_has_hashed_evidence_of_both_dates(month: Month) -> None:
    """A confirmed finding shows before, after, the height change and source photos, each by its hash."""
    with workplace(month.settings) as work, work.database.read() as session:
        findings = [f for f in repositories.findings.where(session) if f.state == "confirmed"]
        assert findings
        for finding in findings:
            pieces = repositories.evidence_of(session, "finding", finding.id)
            assert {"before", "after", "height", "photo"} <= {p.role for p in pieces}
            assert all(work.blobs.has(p.sha256) for p in pieces)
            assert all(p.photo_sha256 for p in pieces if p.role == "photo")


def test_what_was_flown_is_what_was_planned(month: Month) -> None:
    """Every mission's file on disk still has the hash that was uploaded and read back, and its flight is logged with photos."""
    with workplace(month.settings) as work, work.database.read() as session:
        missions = {m.id: m for m in repositories.missions.where(session) if m.state == "flown"}
        flights = repositories.flights.where(session)
        assert len(flights) >= 3
        for flight in flights:
            mission = missions[str(flight.mission_id)]
            assert flight.log["mission_sha256"] == mission.sha256
            assert flight.photos == mission.record["photos"]
            plan = json.loads(work.blobs.read(str(mission.plan_blob)))
            assert plan["fileType"] == "Plan"


def test_the_grid_is_the_areas_own(month: Month) -> None:
    """Every survey of the area covers the same ground on the same cells."""
    with workplace(month.settings) as work, work.database.read() as session:
        surveys = repositories.surveys_of(session, "demo")
        grids = {json.dumps(s.record["grid"], sort_keys=True) for s in surveys}
        area = repositories.areas.get(session, "demo")
    assert len(grids) == 1
    assert all(shape(s.outline).buffer(1e-6).covers(area.outline) for s in surveys)
