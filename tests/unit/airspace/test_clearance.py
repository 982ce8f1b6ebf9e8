from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import Polygon, box

from airspace.clearance import Verdict, clear, cut_off
from airspace.errors import AirspaceError
from airspace.permitted import permitted_outline
from airspace.zones import Flag, Permit, Volume, Zone, ZoneKind
from geo.frames import Frame
from geo.heights import Datum, Height
from geo.times import Span

START = datetime(2026, 3, 3, 2, tzinfo=UTC)
SPAN = Span(START, START + timedelta(hours=1))
BEFORE = START - timedelta(days=3)
FRAME = Frame(4549)
SPOT = box(120.50, 32.30, 120.51, 32.31)


def over_ground(metres: float) -> Height:
    return Height(metres, Datum.GROUND)


def volume(outline: Polygon = SPOT, floor: float = 0, ceiling: float = 100, span: Span = SPAN) -> Volume:
    return Volume(outline, over_ground(floor), over_ground(ceiling), span)


def zone(kind: ZoneKind, outline: Polygon = SPOT, **more: object) -> Zone:
    return Zone.single(f"{kind}-1", f"某{kind}", kind, outline, **more)  # type: ignore[arg-type]


def permit(outline: Polygon = SPOT, ceiling: float = 120, span: Span = SPAN, flags: tuple[Flag, ...] = ()) -> Permit:
    return Permit("p1", outline, over_ground(0), over_ground(ceiling), span, "城管局", "2026-7", flags)


CITY = zone(ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=over_ground(120))


def codes(answer_of: object) -> set[str]:
    return {reason.code for reason in answer_of.reasons}  # type: ignore[attr-defined]


def test_air_that_nobody_declares_is_never_clear() -> None:
    """Without a single zone the answer is unknown, however empty the air looks."""
    answer = clear(volume(), (), at=BEFORE)
    assert answer.verdict is Verdict.UNKNOWN
    assert not answer.granted
    assert "100.0" in answer.reasons[0].en


def test_suitable_air_is_clear_below_120_m() -> None:
    """A volume wholly inside a suitable zone, at or below 120 m true height, is clear."""
    answer = clear(volume(ceiling=120), (CITY,), at=BEFORE)
    assert answer.granted
    assert answer.zone_ids == (CITY.id,)
    assert answer.apply_by is None


def test_a_corner_outside_the_suitable_zone_makes_the_whole_unknown() -> None:
    """One part outside every declared zone is enough."""
    assert clear(volume(box(120.79, 32.3, 120.81, 32.31)), (CITY,), at=BEFORE).verdict is Verdict.UNKNOWN


def test_touching_zones_leave_no_gap_between_them() -> None:
    """Two suitable zones that share an edge cover a volume across it."""
    west, east = box(120.49, 32.29, 120.505, 32.32), box(120.505, 32.29, 120.52, 32.32)
    zones = (Zone.single("w", "西", ZoneKind.SUITABLE, west), Zone.single("e", "东", ZoneKind.SUITABLE, east))
    assert clear(volume(), zones, at=BEFORE).granted


def test_stacked_zones_cover_only_the_heights_they_name() -> None:
    """A gap in height between two suitable zones is unknown air."""
    low = Zone.single("low", "低", ZoneKind.SUITABLE, CITY.outline, over_ground(0), over_ground(50))
    for start, verdict in ((50, Verdict.CLEAR), (60, Verdict.UNKNOWN)):
        high = Zone.single("high", "高", ZoneKind.SUITABLE, CITY.outline, over_ground(start), over_ground(120))
        assert clear(volume(), (low, high), at=BEFORE).verdict is verdict


@pytest.mark.parametrize(
    ("kind", "bare", "permitted"),
    [
        (ZoneKind.CONTROLLED, Verdict.PERMIT_NEEDED, Verdict.CLEAR),
        (ZoneKind.RESTRICTED, Verdict.BLOCKED, Verdict.CLEAR),
        (ZoneKind.TEMPORARY, Verdict.BLOCKED, Verdict.CLEAR),
        (ZoneKind.PROHIBITED, Verdict.BLOCKED, Verdict.BLOCKED),
    ],
)
def test_a_permit_lifts_what_can_be_lifted(kind: ZoneKind, bare: Verdict, permitted: Verdict) -> None:
    """Controlled, restricted and temporary zones open with a permit; a prohibited one never does."""
    inner = zone(kind, box(120.503, 32.303, 120.504, 32.304))
    answer = clear(volume(), (CITY, inner), at=BEFORE)
    assert answer.verdict is bare
    reason = next(r for r in answer.reasons if r.zone_id == inner.id)
    assert inner.name in reason.zh
    assert inner.name in reason.en
    assert reason.article
    assert clear(volume(), (CITY, inner), (permit(),), at=BEFORE).verdict is permitted


def test_every_reason_is_told_not_only_the_worst() -> None:
    """A volume that is too high, in a closed zone and partly unknown hears all three."""
    closed = zone(ZoneKind.PROHIBITED, box(120.785, 32.303, 120.79, 32.304))
    answer = clear(volume(box(120.78, 32.3, 120.81, 32.31), ceiling=150), (CITY, closed), at=BEFORE, flags=(Flag.DROP,))
    assert answer.verdict is Verdict.BLOCKED
    assert {"prohibited", "height", "unknown", "flag_drop"} <= codes(answer)


def test_above_120_m_needs_a_permit_that_reaches_as_high() -> None:
    """Art. 19: all air above 120 m true height is controlled, also over a suitable zone without a ceiling."""
    endless = zone(ZoneKind.SUITABLE, CITY.outline)
    assert clear(volume(ceiling=121), (endless,), at=BEFORE).verdict is Verdict.PERMIT_NEEDED
    assert clear(volume(ceiling=121), (endless,), (permit(),), at=BEFORE).verdict is Verdict.PERMIT_NEEDED
    assert clear(volume(ceiling=121), (endless,), (permit(ceiling=150),), at=BEFORE).granted


def test_a_zone_counts_only_in_its_hours_and_heights() -> None:
    """A temporary zone of yesterday, or one that begins above the flight, forbids nothing."""
    yesterday = Span(START - timedelta(days=1), START)
    assert clear(volume(), (CITY, zone(ZoneKind.TEMPORARY, spans=(yesterday,))), at=BEFORE).granted
    assert clear(volume(), (CITY, zone(ZoneKind.PROHIBITED, floor=over_ground(100))), at=BEFORE).granted
    today = Span(START + timedelta(minutes=59), START + timedelta(hours=5))
    assert clear(volume(), (CITY, zone(ZoneKind.TEMPORARY, spans=(today,))), at=BEFORE).verdict is Verdict.BLOCKED


def test_suitable_hours_must_hold_the_whole_flight() -> None:
    """A suitable zone that ends during the flight leaves the rest unknown; two that follow each other do not."""
    half = START + timedelta(minutes=30)
    first = Zone.single("am", "上午", ZoneKind.SUITABLE, CITY.outline, spans=(Span(START, half),))
    second = Zone.single("pm", "下午", ZoneKind.SUITABLE, CITY.outline, spans=(Span(half, START + timedelta(hours=9)),))
    assert clear(volume(), (first,), at=BEFORE).verdict is Verdict.UNKNOWN
    assert clear(volume(), (first, second), at=BEFORE).granted


def test_a_buffer_reaches_beyond_the_outline() -> None:
    """A zone 100 m away forbids when its authority wants 150 m kept."""
    near = box(120.5111, 32.3, 120.512, 32.31)  # about 104 m east of the volume
    assert clear(volume(), (CITY, zone(ZoneKind.PROHIBITED, near)), at=BEFORE).granted
    assert clear(volume(), (CITY, zone(ZoneKind.PROHIBITED, near, buffer_m=150)), at=BEFORE).verdict is Verdict.BLOCKED


@pytest.mark.parametrize("flag", list(Flag))
def test_the_five_acts_need_an_application_even_in_suitable_air(flag: Flag) -> None:
    """Art. 31: relay, dropping, crowds, moving vehicles and swarms; only a permit that names the act opens it."""
    assert clear(volume(), (CITY,), at=BEFORE, flags=(flag,)).verdict is Verdict.PERMIT_NEEDED
    assert clear(volume(), (CITY,), (permit(),), at=BEFORE, flags=(flag,)).verdict is Verdict.PERMIT_NEEDED
    assert clear(volume(), (CITY,), (permit(flags=(flag,)),), at=BEFORE, flags=(flag,)).granted


def test_applications_close_at_noon_the_day_before() -> None:
    """Art. 26: 29 hours ahead at 07:00 is in time; 12:01 for tomorrow is too late, whatever the hour of the flight."""
    nine_local = datetime(2026, 3, 3, 1, tzinfo=UTC)
    assert cut_off(nine_local) == datetime(2026, 3, 2, 4, tzinfo=UTC)
    controlled = zone(ZoneKind.CONTROLLED)
    in_time = clear(volume(), (CITY, controlled), at=datetime(2026, 3, 2, 3, 59, tzinfo=UTC))
    late = clear(volume(), (CITY, controlled), at=datetime(2026, 3, 2, 4, 1, tzinfo=UTC))
    assert "too_late" not in codes(in_time)
    assert "too_late" in codes(late)
    assert late.apply_by == datetime(2026, 3, 2, 4, tzinfo=UTC)


def test_an_answer_grows_old() -> None:
    """An answer holds for a day at most and never past the flight; a flight that is over is blocked."""
    assert clear(volume(), (CITY,), at=BEFORE).valid_until == BEFORE + timedelta(hours=24)
    assert clear(volume(), (CITY,), at=START).valid_until == SPAN.end
    assert clear(volume(), (CITY,), at=SPAN.end).verdict is Verdict.BLOCKED


def test_the_data_version_follows_the_data() -> None:
    """A changed zone changes the name of the data; the order of the zones does not."""
    other = zone(ZoneKind.CONTROLLED, version="2")
    one, two = clear(volume(), (CITY, other), at=BEFORE), clear(volume(), (other, CITY), at=BEFORE)
    assert one.data_version == two.data_version
    assert one.data_version != clear(volume(), (CITY, zone(ZoneKind.CONTROLLED, version="3")), at=BEFORE).data_version


def test_heights_of_another_datum_are_refused() -> None:
    """The law counts over the ground; a volume over take-off is refused, not compared."""
    with pytest.raises(AirspaceError, match="over the ground"):
        Volume(SPOT, Height(0, Datum.TAKEOFF), Height(90, Datum.TAKEOFF), SPAN)


def test_what_is_permitted_keeps_its_margin_and_is_clear() -> None:
    """Permitted air lies the margin away from every closed zone, and every part of it is clear."""
    closed = zone(ZoneKind.PROHIBITED, box(120.503, 32.303, 120.505, 32.305), buffer_m=20)
    left = permitted_outline(SPOT, (CITY, closed), (), ceiling=over_ground(100), span=SPAN, margin_m=15, frame=FRAME)
    assert left.distance(FRAME.to_metres(closed.outline)) == pytest.approx(35, abs=0.1)
    shown = FRAME.to_degrees(left.buffer(-0.1))
    assert isinstance(shown, Polygon)
    assert clear(volume(shown), (CITY, closed), at=BEFORE).granted


def test_nothing_is_permitted_where_nothing_is_declared() -> None:
    """Without suitable air or a permit the outline is empty; with a permit it is the permit's, also above 120 m."""
    for zones in ((), (zone(ZoneKind.CONTROLLED),)):
        assert permitted_outline(SPOT, zones, (), ceiling=over_ground(100), span=SPAN, margin_m=0, frame=FRAME).is_empty
    high = permitted_outline(SPOT, (CITY,), (permit(ceiling=200),), ceiling=over_ground(150), span=SPAN, margin_m=0, frame=FRAME)
    assert high.area == pytest.approx(FRAME.to_metres(SPOT).area, rel=1e-6)
    assert permitted_outline(SPOT, (CITY,), (), ceiling=over_ground(150), span=SPAN, margin_m=0, frame=FRAME).is_empty


def test_a_permit_opens_a_controlled_hole_but_not_a_prohibited_one() -> None:
    """In planning as in judging, prohibited air stays closed under every permit."""
    hole = box(120.503, 32.303, 120.505, 32.305)
    for kind, opened in ((ZoneKind.CONTROLLED, True), (ZoneKind.PROHIBITED, False)):
        left = permitted_outline(
            SPOT, (CITY, zone(kind, hole)), (permit(),), ceiling=over_ground(100), span=SPAN, margin_m=0, frame=FRAME
        )
        assert left.covers(FRAME.to_metres(hole.centroid)) is opened
