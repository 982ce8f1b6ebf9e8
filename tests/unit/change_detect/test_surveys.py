"""The same thing across surveys: stages, growth on top, return; and which pair of surveys to compare."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import Polygon, box

from change_detect.candidate import Candidate, Kind
from change_detect.evaluate import iou
from change_detect.pairing import Look, choose
from change_detect.persist import Known, Sighting, Stage, follow

PLOT = box(0, 0, 12, 8)
AFTER = Look("after", date(2026, 11, 23), sun_azimuth_deg=180.0, sun_elevation_deg=40.0)


def candidate(
    outline: Polygon = PLOT, height_m: float | None = 3.0, kind: Kind = Kind.NEW_BUILDING, **other: object
) -> Candidate:
    return replace(Candidate("c", outline, outline.area, 1.0, height_m, kind, 0.9, ("seen",)), **other)


def test_foundation_walls_and_roof_are_one_thing_with_stages() -> None:
    """Three surveys, each seeing only what came on top: one id throughout, its stages in order, its height the sum."""
    seen = (
        candidate(height_m=0.8, kind=Kind.EARTHWORK),
        candidate(height_m=2.4, suppressed="not_a_structure: 表面不平整 / rough"),
        candidate(affinity.translate(PLOT, 0.2, 0.1), height_m=1.0),
    )
    (first,) = follow(seen[:1], [])
    assert (first.sighting, first.stage) == (Sighting.NEW, Stage.FOUNDATION)
    known = Known("K", first.outline, first.height_m, stood=True, stage=first.stage)
    for found, stage in zip(seen[1:], (Stage.WALLS, Stage.ROOF), strict=True):
        (match,) = follow([found], [known])
        assert (match.known_id, match.sighting, match.stage) == ("K", Sighting.STAGE, stage)
        known = Known("K", match.outline, match.height_m, stood=True, stage=match.stage)
    assert known.height_m == pytest.approx(4.2)
    assert iou(known.outline, PLOT) > 0.95


@given(gain=st.floats(-0.9, 3.0), wider=st.floats(0.0, 0.6))
def test_a_known_thing_speaks_again_only_beyond_its_limits(gain: float, wider: float) -> None:
    """Compared with the ground before it: grown when, and only when, a fifth wider or a metre taller."""
    thing = Known("K", PLOT, 4.0, stage=Stage.ROOF)
    (match,) = follow([candidate(box(0, 0, 12 * (1 + wider), 8), 4.0 + gain)], [thing])
    grown = PLOT.area * 1.2 < match.outline.area * (1 - 1e-12) or (4.0 + gain) - 4.0 > 1.0
    assert match.sighting == (Sighting.GROWN if grown else Sighting.SAME)


def test_what_comes_on_top_of_a_thing_that_stood_is_its_growth() -> None:
    """A storey of 1.5 m on a dismissed house of 3 m is 1.5 m of growth, not a house that shrank; half a metre is silence."""
    stood = Known("K", PLOT, 3.0, stood=True, stage=Stage.ROOF)
    (storey,) = follow([candidate(height_m=1.5, kind=Kind.ROOF_ADDITION)], [stood])
    assert storey.sighting is Sighting.GROWN and storey.height_m == pytest.approx(4.5)
    (silent,) = follow([candidate(height_m=0.5, kind=Kind.ROOF_ADDITION)], [stood])
    assert silent.sighting is Sighting.SAME
    beside = candidate(box(12.3, 0, 16, 8), kind=Kind.EXTENSION)
    (extended,) = follow([beside], [stood])
    assert extended.sighting is Sighting.GROWN and extended.outline.area > 1.2 * PLOT.area
    (other,) = follow([replace(beside, kind=Kind.NEW_BUILDING)], [stood])
    assert other.sighting is Sighting.NEW


def test_what_was_gone_and_stands_again_has_returned() -> None:
    """Rebuilt on its own ground, whatever its size: the same thing, reopened; what is lost is no sighting of a thing that stands."""
    gone = Known("K", PLOT, 3.0, stood=True, gone=True, stage=Stage.ROOF)
    (match,) = follow([candidate(box(1, 1, 11, 8), 2.5)], [gone])
    assert (match.known_id, match.sighting, match.height_m) == ("K", Sighting.RETURNED, 2.5)
    (lost,) = follow([candidate(height_m=-3.0, kind=Kind.DEMOLISHED)], [replace(gone, gone=False)])
    assert lost.known_id is None
    assert "拆除后又" in match.zh and "stands again" in match.en


def test_the_better_pair_is_the_one_that_is_alike() -> None:
    """Each thing alone decides between two that are otherwise the same, and is said in both languages."""
    day = AFTER.taken_on - timedelta(days=60)
    plain = Look("plain", day, sun_azimuth_deg=180.0, sun_elevation_deg=40.0, residual_px=0.5)
    worse = {
        "season": replace(plain, taken_on=AFTER.taken_on - timedelta(days=180)),
        "sun": replace(plain, sun_azimuth_deg=120.0),
        "low sun": replace(plain, sun_elevation_deg=20.0),
        "half seen": replace(plain, seen=0.5),
        "off": replace(plain, residual_px=2.5),
        "flat": replace(plain, has_surface=False),
    }
    for name, look in worse.items():
        best, other = choose(AFTER, [replace(look, id=name), plain])
        assert best.look.id == "plain" and best.score > other.score, name
        assert len(best.zh) == len(best.en) >= 3
    assert "没有表面模型" in "".join(choose(AFTER, [worse["flat"]])[0].zh)


def test_the_last_good_survey_is_not_the_last_one() -> None:
    """A blurred, badly registered survey in between is passed over when a good one is asked for; later ones never count."""
    good = Look("good", date(2026, 9, 20), residual_px=0.3)
    bad = Look("bad", date(2026, 10, 20), residual_px=2.9, has_surface=False, remarks=3)
    later = Look("later", date(2026, 12, 1))
    assert [c.look.id for c in choose(AFTER, [bad, later, good], only_good=True)] == ["good"]
    assert {c.look.id for c in choose(AFTER, [bad, later, good])} == {"good", "bad"}
