"""Labels and figures of trust: a candidate is what truly lay there, and a score that means what it says has no calibration error."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from shapely.geometry import box

from benchmarks.change.curves import average_precision, calibration_error
from change_detect.candidate import Candidate, Kind, stable_id
from simulator.hardship import Change
from training.classes import label_of


def candidate(west: float, south: float, east: float, north: float, height_m: float = 3.0) -> Candidate:
    outline = box(west, south, east, north)
    name = stable_id(outline, date(2026, 4, 1), date(2026, 5, 1))
    return Candidate(name, outline, outline.area, 1.0, height_m, Kind.NEW_BUILDING, 0.5, ())


HOUSE = Change("h", "gable_house", "new_building", box(0, 0, 10, 8), 5.0, wanted=True)
LORRY = Change("l", "lorry", "vehicle", box(20, 0, 28, 2.5), 3.0, wanted=False)
GONE = Change("g", "car", "vehicle", box(0, 0, 10, 8), -1.5, wanted=False)


def test_a_candidate_is_what_lies_under_it() -> None:
    """What was built, what misleads, or nothing; a mere part of what was built teaches nothing."""
    changes = [HOUSE, LORRY, GONE]
    assert label_of(candidate(0, 0, 10, 8), changes) == "new_building"
    assert label_of(candidate(20, 0, 28, 3), changes) == "vehicle"
    assert label_of(candidate(50, 50, 54, 54), changes) == "artefact"
    assert label_of(candidate(0, 0, 3, 2), changes) is None


def test_what_rose_is_not_what_went() -> None:
    """A fall over a new house is the car that stood there."""
    assert label_of(candidate(0, 0, 10, 8, height_m=-1.5), [HOUSE, GONE]) == "vehicle"


def test_a_score_that_means_what_it_says_has_no_calibration_error() -> None:
    """Chances that come true as often as stated err by next to nothing; ones that boast err by what they boast."""
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    assert calibration_error(p.tolist(), (rng.random(20_000) < p).tolist()) < 0.02
    assert calibration_error([0.95] * 1000, [True, False] * 500) == pytest.approx(0.45)


def test_average_precision_counts_what_was_never_found() -> None:
    """A perfect order over half of what is there gives a half."""
    assert average_precision([0.9, 0.8, 0.1], [True, True, False], 4) == pytest.approx(0.5)
