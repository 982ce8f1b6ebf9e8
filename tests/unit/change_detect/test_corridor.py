"""Corridors of pipelines: what touches one, where along it, and what is left in peace."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiLineString, box

from change_detect.candidate import Candidate, Kind
from change_detect.corridor import Alert, Band, Corridor, Work, chainage, merged, station, watch
from change_detect.errors import ChangeError

DAY = date(2026, 11, 20)
AXIS = Corridor("G1", LineString([(0, 0), (1000, 0)]), start_m=1200.0, contact="025-123")


def thing(
    kind: Kind, north_m: float, *, size_m: float = 4.0, height_m: float | None = 1.5, held: str | None = None, road: float = 0.0
) -> Candidate:
    """A square whose southern edge lies so far north of the axis."""
    outline = box(100, north_m, 100 + size_m, north_m + size_m)
    return Candidate(f"{kind}-{north_m}", outline, outline.area, 0.5, height_m, kind, 0.5, (), held, {"road": road})


def alone(candidate: Candidate, *corridors: Corridor, on: date = DAY) -> Alert | None:
    (alert,) = watch([candidate], corridors or (AXIS,), on)
    return alert


def test_what_lies_beyond_the_outer_width_is_no_affair_of_the_pipeline() -> None:
    """Widths are measured from the axis to the nearest edge, and the bands are those of the law."""
    far, outer, inner = (alone(thing(Kind.EARTHWORK, m)) for m in (50.1, 49.9, 4.9))
    assert far is None
    assert outer is not None and outer.band is Band.OUTER
    assert inner is not None and inner.band is Band.INNER
    assert inner.urgency > outer.urgency


CAR = {"size_m": 3.0, "height_m": 1.5, "held": "vehicle_suspected: 疑似车辆 / stands alone"}


@pytest.mark.parametrize(
    ("candidate", "shown"),
    [
        (thing(Kind.VEHICLE, 20.0, **CAR), False),
        (thing(Kind.VEHICLE, 2.0, **CAR), True),
        (thing(Kind.VEHICLE, 20.0, **{**CAR, "height_m": 3.0}), True),
        (thing(Kind.VEHICLE, 20.0, **{**CAR, "height_m": -1.5}), False),
        (thing(Kind.VEGETATION, 2.0), False),
        (thing(Kind.ARTEFACT, 2.0, held="edge_of_coverage: 位于影像边缘 / unseen"), False),
        (thing(Kind.ARTEFACT, 2.0, held="not_a_structure: 不平整 / rough"), True),
        (thing(Kind.DEMOLISHED, 2.0, height_m=-3.0), False),
        (thing(Kind.SHED_OR_CONTAINER, 30.0), True),
    ],
)  # fmt: skip
def test_who_is_shown(candidate: Candidate, shown: bool) -> None:
    """A car by the road is left alone, an excavator is not, and leaves and edges are no works anywhere."""
    assert (alone(candidate) is not None) is shown


def test_a_small_vehicle_at_works_belongs_to_them_unless_it_is_parked() -> None:
    """Off the paving and beside moved earth even a van is a machine of the site."""
    pit = thing(Kind.EARTHWORK, 26.0, size_m=8.0, height_m=-1.2)
    on_grass, on_asphalt = thing(Kind.VEHICLE, 20.0, **CAR), thing(Kind.VEHICLE, 20.0, road=0.8, **CAR)
    _, grass, asphalt = watch([pit, on_grass, on_asphalt], [AXIS], DAY)
    assert grass is not None and grass.work is Work.MACHINE
    assert asphalt is None


def test_of_two_corridors_the_more_urgent_speaks_and_one_out_of_force_is_silent() -> None:
    """A pit across one pipe and near another is the first one's; a line that is not laid yet watches nothing."""
    pit = thing(Kind.EARTHWORK, 20.0, height_m=-1.2)
    across = Corridor("G2", LineString([(102, -50), (102, 200)]))
    alert = alone(pit, AXIS, across)
    assert alert is not None and alert.corridor.id == "G2" and alert.distance_m == 0.0
    assert alone(pit, replace(AXIS, valid_from=date(2027, 1, 1))) is None


@given(st.floats(0, 990), st.floats(0.5, 9))
def test_stakes_grow_along_the_axis_from_where_it_begins(east_m: float, length_m: float) -> None:
    """From the first corner to the last, plus the stake at the start."""
    low, high = AXIS.stations(box(east_m, 3, east_m + length_m, 5))
    assert low == pytest.approx(1200 + east_m, abs=1e-6)
    assert high == pytest.approx(1200 + east_m + length_m, abs=1e-6)


@given(st.integers(0, 2_000_000))
def test_a_stake_reads_back_as_it_was_written(metres: int) -> None:
    """K1+230 is 1,230 m."""
    assert chainage(station(metres)) == metres


def test_pieces_that_meet_are_one_axis_and_keep_their_direction() -> None:
    """Chainage must not turn round because a file has an axis in pieces."""
    whole = merged(MultiLineString([[(0, 0), (10, 0)], [(10, 0), (30, 0)]]))
    assert whole is not None and list(whole.coords) == [(0, 0), (10, 0), (30, 0)]
    assert merged(box(0, 0, 1, 1)) is None


def test_widths_the_wrong_way_round_are_refused() -> None:
    """In both languages."""
    with pytest.raises(ChangeError, match=r"宽度.*widths"):
        replace(AXIS, inner_m=60.0)
