"""Laws of change detection: nothing from nothing, there and back, the same wherever it lies."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from change_detect.align import align
from change_detect.candidate import Candidate, Kind
from change_detect.detector import GeometryImage
from change_detect.evaluate import iou
from tests.unit.change_detect import made

BEFORE, AFTER = date(2026, 1, 10), date(2026, 2, 9)
FEW = settings(max_examples=8, deadline=None)


def detect(old: object, now: object, *, shift: tuple[int, int] = (0, 0), tone: float = 1.0) -> list[Candidate]:
    with tempfile.TemporaryDirectory() as folder:
        a = made.source(old, Path(folder), "before", flight=1, taken_on=BEFORE, shift=shift)
        b = made.source(now, Path(folder), "after", flight=2, taken_on=AFTER, shift=shift, tone=tone)
        return [c for c in GeometryImage().detect(align(a, b)) if c.suppressed is None]


def place(seed: int, *boxes: object) -> object:
    house = made.Box(6.0, 6.0, 10.0, 8.0, 5.0, (150, 70, 60))
    return made.Place(seed, rows=240, cols=240, boxes=[house, *boxes], trees=[(38.0, 8.0, 3.0)])


@FEW
@given(seed=st.integers(0, 10_000), tone=st.floats(0.8, 1.15))
def test_no_change_gives_no_candidate(seed: int, tone: float) -> None:
    """The same place in another light shows nothing, whatever the place."""
    assert detect(place(seed), place(seed), tone=tone) == []


@FEW
@given(
    seed=st.integers(0, 10_000),
    east=st.floats(20, 34),
    south=st.floats(20, 34),
    width=st.floats(4, 9),
    depth=st.floats(4, 9),
    height=st.floats(2.5, 9),
)
def test_swapping_the_dates_turns_new_into_demolished(
    seed: int, east: float, south: float, width: float, depth: float, height: float
) -> None:
    """Any box of 4 x 4 x 2.5 m or more is found once; with the dates swapped it is found as lost, at the same place and height."""
    empty, built = place(seed), place(seed, made.Box(east, south, width, depth, height))
    (new,) = detect(empty, built)
    (lost,) = detect(built, empty)
    assert new.kind in {Kind.NEW_BUILDING, Kind.SHED_OR_CONTAINER} and lost.kind == Kind.DEMOLISHED
    assert new.height_m is not None and lost.height_m is not None
    assert new.height_m == pytest.approx(height, abs=0.2) and lost.height_m == pytest.approx(-height, abs=0.2)
    assert iou(new.outline, lost.outline) > 0.85


@FEW
@given(seed=st.integers(0, 10_000), rows=st.integers(-400, 400), cols=st.integers(-400, 400))
def test_moving_both_surveys_moves_the_candidates(seed: int, rows: int, cols: int) -> None:
    """The whole grid shifted by whole cells gives the same outlines shifted by the same metres."""
    empty, built = place(seed), place(seed, made.Box(25.0, 25.0, 6.0, 5.0, 3.0))
    (here,) = detect(empty, built)
    (there,) = detect(empty, built, shift=(rows, cols))
    dx, dy = there.outline.centroid.x - here.outline.centroid.x, there.outline.centroid.y - here.outline.centroid.y
    assert (dx, dy) == (pytest.approx(cols * made.GSD_M, abs=1e-3), pytest.approx(-rows * made.GSD_M, abs=1e-3))
    assert there.area_m2 == pytest.approx(here.area_m2, abs=1e-3)
    assert (there.kind, there.score) == (here.kind, here.score)
