"""A survey is moved by hand: by who, how much and why is kept, it is written from what was built, and it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagery import raster
from imagery.nudging import MOST_M, Nudge
from patrol import demo, records, repositories
from patrol.pipeline import nudging, surveying
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.patrol.pair import adopt_pair


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        yield made


@pytest.fixture
def pair(work: Workplace, tmp_path: Path) -> tuple[records.SurveyRecord, records.SurveyRecord]:
    """Two adopted surveys of the place, a month apart."""
    return adopt_pair(work, tmp_path)


def _layers(work: Workplace, record: records.SurveyRecord) -> tuple[np.ndarray, np.ndarray]:
    survey = surveying.load_survey(work, record)
    assert survey.surface is not None
    return raster.read_window(survey.ortho).astype(float), raster.read_window(survey.surface)


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of brightness away from the edge; the display JPEG's noise keeps it below 1."""
    a, b = (v[10:-10, 10:-10].mean(axis=2).ravel() for v in (one, other))
    return float(np.corrcoef(a, b)[0, 1])


def test_a_nudge_moves_everything_and_its_undo_brings_every_cell_back(
    work: Workplace, pair: tuple[records.SurveyRecord, records.SurveyRecord]
) -> None:
    """East is east, up is up; two moves are one from what was built; and after both are taken back nothing differs."""
    first, second = pair
    with work.database.write() as session:
        comparison = records.ComparisonRecord(f"{first.id}_{second.id}", second.area_id, first.id, second.id, work.clock.now())
        repositories.comparisons.add(session, comparison)
    ortho, surface = _layers(work, second)
    nudging.nudge(work, second.id, Nudge(0.33, 0.0, 0.1), "先", user="u1")
    moved = nudging.nudge(work, second.id, Nudge(0.17, -0.3, 0.4), "roof edges lie west", user="u2")
    ortho_now, surface_now = _layers(work, moved)
    # half a metre east and 0.3 m south are whole cells: five columns right, three rows down
    assert np.nanmax(np.abs(surface_now[3:, 5:] - surface[:-3, :-5] - 0.5)) < 1e-3
    assert _alike(ortho_now[3:, 5:], ortho[:-3, :-5]) > 0.97
    assert _alike(ortho_now, ortho) < 0.7
    assert [(n["by"], n["reason"]) for n in moved.record["nudges"]] == [("u1", "先"), ("u2", "roof edges lie west")]
    assert moved.record["nudges"][-1]["to"] == pytest.approx({"east_m": 0.5, "north_m": -0.3, "up_m": 0.5})
    assert any(r["code"] == "nudged" for r in moved.quality["reasons"])
    assert moved.quality["residual_median_px"] == pytest.approx(np.hypot(5, 3), abs=0.3)
    assert moved.quality["surface_up_m"] == pytest.approx(0.5, abs=0.02)
    with work.database.read() as session:
        assert repositories.comparisons.get(session, comparison.id).record["stale"]["survey"] == second.id
    nudging.nudge(work, second.id, None, "undo", user="u2")
    back = nudging.nudge(work, second.id, Nudge(-0.33, 0.0, -0.1), "back", user="u1")
    ortho_back, surface_back = _layers(work, back)
    assert np.array_equal(surface_back, surface, equal_nan=True)
    assert _alike(ortho_back, ortho) > 0.97
    assert len(back.record["nudges"]) == 4
    assert {a.role for a in back.assets} >= {"ortho", "surface"}


def test_what_may_not_be_moved_says_why(work: Workplace, pair: tuple[records.SurveyRecord, records.SurveyRecord]) -> None:
    """The reference of others, a move without a reason, one too far, and an undo of nothing; nothing changes."""
    first, second = pair
    before = _layers(work, second)
    refusals = [
        (first.id, Nudge(0.1), "because", "reference of 1"),
        (second.id, Nudge(0.1), "  ", "Say why"),
        (second.id, None, "undo", "never moved"),
    ]
    for survey, step, reason, said in refusals:
        with pytest.raises(surveying.SurveyRefused, match=said):
            nudging.nudge(work, survey, step, reason, user="u")
    nudging.nudge(work, second.id, Nudge(0.5), "a", user="u")
    with pytest.raises(surveying.SurveyRefused, match="at most"):
        nudging.nudge(work, second.id, Nudge(MOST_M), "too far", user="u")
    nudging.nudge(work, second.id, None, "undo", user="u")
    assert np.array_equal(_layers(work, second)[1], before[1], equal_nan=True)
