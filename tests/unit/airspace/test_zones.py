from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from airspace.classes import CLASS_TEXT, ZoneClass
from airspace.clearance import Verdict, clear
from airspace.errors import AirspaceError
from airspace.windows import Day, Window
from airspace.zones import NOTICE, Notice, Occasion, Part, Volume, Zone, ZoneKind
from geo.heights import Datum, Height
from geo.holidays import Holidays, standard_holidays
from geo.times import LOCAL_ZONE, Span

SPOT = box(120.50, 32.30, 120.51, 32.31)
CITY = Zone.single("city", "适飞", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=Height(120, Datum.GROUND))


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL_ZONE)


def hour(text: str, hours: float = 1.0) -> Span:
    return Span(local(text), local(text) + timedelta(hours=hours))


def closed(*parts: Part, **more: object) -> Zone:
    return Zone("x", "某区", ZoneKind.CONTROLLED, parts or (Part(SPOT),), **more)  # type: ignore[arg-type]


def test_article_19_has_twelve_classes_with_words() -> None:
    """Four kinds in the article's first sentence and its eight items, each with its place and its words in both languages."""
    assert len(ZoneClass) == 12
    assert set(CLASS_TEXT) == set(ZoneClass)
    assert sum("项" in text.article for text in CLASS_TEXT.values()) == 8
    assert all(text.zh and text.en and text.short_zh and text.short_en for text in CLASS_TEXT.values())


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-10-01", False),  # 国庆节
        ("2026-10-10", True),  # a Saturday that is worked instead (调休)
        ("2026-10-11", False),  # a plain Sunday
        ("2026-10-12", True),
    ],
)
def test_a_window_on_working_days_follows_the_announced_holidays(day: str, works: bool) -> None:
    """The week decides only where the State Council has announced nothing else."""
    zone = closed(windows=(Window(time(8), time(18), (Day.WORK,)),))
    assert zone.active(hour(f"{day}T10:00")) is works
    rests = closed(windows=(Window(time(8), time(18), (Day.REST,)),))
    assert rests.active(hour(f"{day}T10:00")) is not works


def test_a_year_without_a_table_closes_air_and_opens_none() -> None:
    """Where holidays are not known, a rule that depends on them holds against the flight both ways."""
    windows, when = (Window(days=(Day.HOLIDAY,)),), hour("2031-05-06T10:00")
    assert not standard_holidays().knows(2031)
    assert closed(windows=windows).active(when)
    assert not Zone("s", "适飞", ZoneKind.SUITABLE, (Part(SPOT),), windows=windows).active(when)
    told = Holidays({date(2031, 1, 1): "元旦"})
    assert not closed(windows=windows).active(when, told)


def test_windows_of_neighbouring_days_join() -> None:
    """All day every day is one span: a flight over midnight lies wholly inside it."""
    every_day = closed(windows=(Window(),))
    assert every_day.holds_all(hour("2026-03-03T23:30"))
    night = closed(windows=(Window(time(22), time(6), (Day.MO,)),))
    assert night.active(hour("2026-03-03T05:00"))  # Tuesday morning belongs to Monday night
    assert not night.active(hour("2026-03-04T05:00"))


def test_a_window_counts_in_its_own_time() -> None:
    """The same hour on the clock is another instant in another zone."""
    utc_hours = closed(windows=(Window(time(1), time(2), tz="UTC"),))
    assert utc_hours.active(hour("2026-03-03T09:30", 0.25))
    assert not utc_hours.active(hour("2026-03-03T01:30", 0.25))
    assert closed(windows=(Window(time(9), time(10), tz="+08:00"),)).active(hour("2026-03-03T09:30", 0.25))
    with pytest.raises(AirspaceError, match="Mars"):
        Window(tz="Mars/Olympus")


@given(
    start=st.times(),
    end=st.times(),
    days=st.lists(st.sampled_from(Day), unique=True).map(tuple),
    at=st.integers(0, 420 * 86_400).map(lambda s: datetime(2025, 12, 1, tzinfo=UTC) + timedelta(seconds=s)),
)
def test_a_window_is_open_when_its_own_clock_says_so(start: time, end: time, days: tuple[Day, ...], at: datetime) -> None:
    """Resolved spans and the plain reading of the rule agree at every instant."""
    table = standard_holidays()
    window = Window(start, end, days)
    here = at.astimezone(LOCAL_ZONE)

    def opens(day: date) -> bool:
        kinds = {Day.WORK: table.is_work_day(day), Day.REST: not table.is_work_day(day), Day.HOLIDAY: table.is_holiday(day)}
        unknown = not table.knows(day.year) and any(d in kinds for d in days)
        return not days or tuple(Day)[day.weekday()] in days or unknown or any(kinds.get(d, False) for d in days)

    today, yesterday, now = here.date(), here.date() - timedelta(days=1), here.time().replace(tzinfo=None)
    over_midnight = (opens(today) and now >= start) or (opens(yesterday) and now < end)
    meant = opens(today) and start <= now < end if end > start else over_midnight
    instant = Span(at, at + timedelta(microseconds=1))
    assert closed(windows=(window,)).active(instant, table) is meant


def test_a_zone_of_several_parts_closes_each_at_its_own_height() -> None:
    """Under the upper part one may fly, inside the lower part one may not."""
    low = Part(box(120.500, 32.300, 120.502, 32.310), Height(0, Datum.GROUND), Height(60, Datum.GROUND))
    high = Part(box(120.502, 32.300, 120.510, 32.310), Height(60, Datum.GROUND), Height(120, Datum.GROUND))
    zones = (CITY, closed(low, high))
    span = hour("2026-03-03T10:00")

    def verdict(west: float, ceiling_m: float) -> Verdict:
        air = Volume(box(west, 32.302, west + 0.001, 32.303), Height(0, Datum.GROUND), Height(ceiling_m, Datum.GROUND), span)
        return clear(air, zones, at=span.start - timedelta(days=2)).verdict

    assert verdict(120.5005, 50) is Verdict.PERMIT_NEEDED
    assert verdict(120.5050, 50) is Verdict.CLEAR
    assert verdict(120.5050, 80) is Verdict.PERMIT_NEEDED
    assert closed(low, high).bounds == (120.500, 32.300, 120.510, 32.310)


def test_a_limit_over_the_sea_is_turned_on_the_safe_side() -> None:
    """Over ground between 20 and 50 m a closed part from 100 m above the sea begins at 50 m, a suitable one up to there ends at 50 m."""
    sea = {Datum.SEA_LEVEL: (20.0, 50.0)}
    part = Part(SPOT, Height(100, Datum.SEA_LEVEL), Height(400, Datum.SEA_LEVEL))
    over = part.over_ground(closed=True, terrain=sea)
    assert over is not None
    assert (over.floor, over.ceiling) == (Height(50, Datum.GROUND), Height(380, Datum.GROUND))
    suitable = Part(SPOT, Height(0, Datum.GROUND), Height(100, Datum.SEA_LEVEL))
    opened = suitable.over_ground(closed=False, terrain=sea)
    assert opened is not None
    assert opened.ceiling == Height(50, Datum.GROUND)
    unknown = part.over_ground(closed=True)
    assert unknown is not None
    assert unknown.floor == Height(0, Datum.GROUND)
    assert suitable.over_ground(closed=False) is None
    buried = Part(SPOT, Height(0, Datum.SEA_LEVEL), Height(10, Datum.SEA_LEVEL))
    assert buried.over_ground(closed=True, terrain=sea) is None


def test_validity_bounds_a_zone_on_both_sides() -> None:
    """Before its first and from its last instant on it says nothing."""
    zone = closed(valid_from=local("2026-03-03T10:30"), valid_until=local("2026-03-03T12:00"))
    assert not zone.active(hour("2026-03-03T09:00"))
    assert zone.active(hour("2026-03-03T10:00"))
    assert not zone.holds_all(hour("2026-03-03T10:00"))
    assert zone.holds_all(hour("2026-03-03T11:00"))
    assert not zone.active(hour("2026-03-03T12:00"))
    with pytest.raises(AirspaceError, match="validity"):
        closed(valid_from=local("2026-03-03T10:30"), valid_until=local("2026-03-03T10:00"))


@pytest.mark.parametrize(
    ("occasion", "ahead", "late"),
    [
        (Occasion.EVENT, timedelta(hours=24), None),
        (Occasion.EVENT, timedelta(hours=20), timedelta(hours=4)),
        (Occasion.EMERGENCY, timedelta(minutes=30), None),
        (Occasion.EMERGENCY, timedelta(minutes=10), timedelta(minutes=20)),
    ],
)
def test_a_temporary_zone_announced_late_says_by_how_much(occasion: Occasion, ahead: timedelta, late: timedelta | None) -> None:
    """Art. 20: 24 hours for events, 30 minutes for emergencies; a late one binds all the same."""
    span = hour("2026-03-03T10:00")
    zone = Zone("t", "临时", ZoneKind.TEMPORARY, (Part(SPOT),), spans=(span,), notice=Notice(span.start - ahead, occasion))
    assert zone.short_notice == late
    assert zone.active(span)
    assert set(NOTICE) == set(Occasion)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parts": ()}, "has no air"),
        ({"buffer_m": -1.0}, "buffer"),
        ({"buffer_m": float("nan")}, "buffer"),
        ({"parts": (Part(SPOT, Height(50, Datum.GROUND), Height(50, Datum.GROUND)),)}, "not below"),
        ({"parts": (Part(SPOT, Height(0, Datum.TAKEOFF)),)}, "no heights"),
        ({"parts": (Part(SPOT, ceiling=Height(float("inf"), Datum.GROUND)),)}, "no heights"),
    ],
)
def test_a_zone_that_cannot_be_is_refused_with_its_name(change: dict[str, object], said: str) -> None:
    """The sentence names the zone and the fault."""
    with pytest.raises(AirspaceError, match=said) as caught:
        Zone(**{"id": "x", "name": "某区", "kind": ZoneKind.CONTROLLED, "parts": (Part(SPOT),), **change})  # type: ignore[arg-type]
    assert "某区" in str(caught.value)
