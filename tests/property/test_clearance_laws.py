"""What no set of zones may break: closing air never clears it, and the order of the data never matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from airspace.clearance import ORDER, Verdict, clear, clear_all
from airspace.index import Airspace
from airspace.zones import Permit, Volume, Zone, ZoneKind
from geo.heights import Datum, Height
from geo.times import Span

START = datetime(2026, 3, 3, 3, tzinfo=UTC)
SPAN = Span(START, START + timedelta(hours=1))
AT = START - timedelta(days=3)
QUIET = settings(max_examples=60, deadline=None)
GRID = st.integers(0, 12)
LEVELS = st.sampled_from([0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 300.0])


def height(metres: float) -> Height:
    return Height(metres, Datum.GROUND)


@st.composite
def boxes(draw: st.DrawFn) -> object:
    x, y = draw(GRID), draw(GRID)
    w, h = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return box(120.5 + x * 0.001, 32.3 + y * 0.001, 120.5 + (x + w) * 0.001, 32.3 + (y + h) * 0.001)


@st.composite
def limits(draw: st.DrawFn) -> tuple[Height, Height]:
    low, high = sorted(draw(st.lists(LEVELS, min_size=2, max_size=2, unique=True)))
    return height(low), height(high)


@st.composite
def zones(draw: st.DrawFn, kinds: tuple[ZoneKind, ...] = tuple(ZoneKind)) -> Zone:
    floor, ceiling = draw(limits())
    kind = draw(st.sampled_from(kinds))
    half = draw(st.sampled_from([(), (Span(START, START + timedelta(minutes=30)),)]))
    return Zone.single(
        str(draw(st.integers(0, 10**6))),
        "区",
        kind,
        draw(boxes()),
        floor,
        ceiling,
        spans=half,
        buffer_m=draw(st.sampled_from([0.0, 40.0])),
    )


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    return Volume(draw(boxes()), *draw(limits()), SPAN)


@st.composite
def permits(draw: st.DrawFn) -> Permit:
    return Permit(str(draw(st.integers(0, 10**6))), draw(boxes()), *draw(limits()), SPAN, "局", "1")


CLOSED = tuple(k for k in ZoneKind if k is not ZoneKind.SUITABLE)


@QUIET
@given(volumes(), st.lists(zones(), max_size=4), st.lists(permits(), max_size=2, unique_by=lambda p: p.id), zones(CLOSED))
def test_closing_more_air_never_clears_anything(volume: Volume, there: list[Zone], leave: list[Permit], more: Zone) -> None:
    """A closed zone more: what was not clear stays not clear, and every zone that stood against it before still does."""
    before, after = clear(volume, there, leave, at=AT), clear(volume, [*there, more], leave, at=AT)
    assert not (after.granted and not before.granted)
    assert {r.zone_id for r in before.reasons} - {""} <= {r.zone_id for r in after.reasons}
    assert {r.code for r in before.reasons} - {"unknown", "clear"} <= {r.code for r in after.reasons}


@QUIET
@given(volumes(), st.lists(zones(), max_size=4), zones((ZoneKind.SUITABLE,)))
def test_declaring_air_suitable_lifts_no_zone(volume: Volume, there: list[Zone], more: Zone) -> None:
    """A suitable zone more makes known what was unknown and nothing else."""
    before, after = clear(volume, there, at=AT), clear(volume, [*there, more], at=AT)
    assert {(r.code, r.zone_id) for r in before.reasons} - {("unknown", ""), ("clear", "")} <= {
        (r.code, r.zone_id) for r in after.reasons
    }
    assert after.verdict is before.verdict or before.verdict is Verdict.UNKNOWN


@QUIET
@given(
    volumes(), st.lists(zones(), max_size=5, unique_by=lambda z: z.id), st.lists(permits(), max_size=2, unique_by=lambda p: p.id)
)
def test_the_order_of_the_data_does_not_matter(volume: Volume, there: list[Zone], leave: list[Permit]) -> None:
    """The same data gives the same answer, asked twice or turned round."""
    one, two = clear(volume, there, leave, at=AT), clear(volume, there[::-1], leave[::-1], at=AT)
    assert (one.verdict, one.data_version) == (two.verdict, two.data_version)
    assert set(one.reasons) == set(two.reasons)
    assert one == clear(volume, there, leave, at=AT)


@QUIET
@given(
    st.lists(volumes(), min_size=2, max_size=6),
    st.lists(zones(), max_size=4),
    st.lists(permits(), max_size=2, unique_by=lambda p: p.id),
)
def test_a_flight_is_as_good_as_its_worst_leg(legs: list[Volume], there: list[Zone], leave: list[Permit]) -> None:
    """Judging all legs together finds what judging them one by one finds."""
    data = Airspace(tuple(there), tuple(leave))
    whole, single = clear_all(legs, data, at=AT), [clear(leg, data, at=AT) for leg in legs]
    assert whole.verdict is max((a.verdict for a in single), key=ORDER.index)
    assert {(r.code, r.zone_id) for r in whole.reasons} - {("clear", "")} == {
        (r.code, r.zone_id) for a in single for r in a.reasons
    } - {("clear", "")}
