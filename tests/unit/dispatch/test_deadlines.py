from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pytest

from dispatch.deadlines import (
    Limit,
    Unit,
    WorkCalendar,
    add_months,
    due,
    read_calendar,
    read_limits,
    standard_calendar,
    standard_limits,
)
from dispatch.errors import DispatchError
from geo.times import LOCAL_ZONE


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL_ZONE)


def local(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL_ZONE):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("start", "limit", "end"),
    [
        ("2026-03-05T10:00", Limit("x", 4, Unit.WORK_HOUR), "2026-03-05 16:00"),  # over the lunch break
        ("2026-03-05T16:00", Limit("x", 4, Unit.WORK_HOUR), "2026-03-06 11:00"),
        ("2026-02-13T16:30", Limit("x", 4, Unit.WORK_HOUR), "2026-02-14 11:30"),  # a Saturday that is worked (调休)
        ("2026-02-14T17:00", Limit("x", 1, Unit.WORK_HOUR), "2026-02-24 09:00"),  # over the Spring Festival
        ("2026-03-07T03:00", Limit("x", 1, Unit.WORK_HOUR), "2026-03-09 09:30"),  # a night of a weekend
        ("2026-03-05T23:00", Limit("x", 1, Unit.WORK_DAY), "2026-03-06 17:30"),
        ("2026-09-30T10:00", Limit("x", 2, Unit.WORK_DAY), "2026-10-09 17:30"),  # over the National Day
        ("2026-09-30T10:00", Limit("x", 3, Unit.WORK_DAY), "2026-10-10 17:30"),  # a Saturday that is worked
        ("2026-09-30T10:00", Limit("x", 24, Unit.HOUR), "2026-10-01 10:00"),
        ("2026-09-30T10:00", Limit("x", 90, Unit.DAY), "2026-12-29 10:00"),
    ],
)
def test_a_limit_runs_on_its_own_clock(start: str, limit: Limit, end: str) -> None:
    """Working hours and days stand still at lunch, at night, on weekends and holidays, but not on make-up days."""
    assert local(due(at(start), limit, standard_calendar())) == end


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2026-03-05T10:00", 6, "2026-09-05 10:00"),
        ("2025-08-31T09:00", 6, "2026-02-28 09:00"),
        ("2026-12-31T09:00", 2, "2027-02-28 09:00"),
        ("2026-06-30T09:00", 6, "2026-12-30 09:00"),
    ],
)
def test_months_end_on_the_same_day_or_the_last_there_is(start: str, months: int, end: str) -> None:
    """Six months from 31 August end on the last of February (民法典 202)."""
    assert local(add_months(at(start), months)) == end


def test_the_shipped_tables_are_whole() -> None:
    """Every limit of the shipped table reads, and the calendar says which years it knows."""
    assert {"dispatch", "accept", "visit", "conclude", "handle", "stop", "recheck", "reassign"} <= set(standard_limits())
    calendar = standard_calendar()
    assert calendar.knows(2025)
    assert calendar.knows(2026)
    assert not calendar.knows(1999)
    assert calendar.is_holiday(date(2026, 10, 1))
    assert not calendar.is_holiday(date(2026, 10, 11))  # a plain Sunday


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("date,kind,name\n2026-13-01,off,x\n", "line 2"),
        ("date,kind,name\n2026-10-01,off,x\n2026-10-01,work,y\n", "line 3"),
        ("date,kind,name\n2026-10-01,holiday,x\n", "line 2"),
        ("day,sort\n2026-10-01,off\n", "line 2"),
    ],
)
def test_a_broken_holiday_table_names_its_line(table: str, said: str) -> None:
    """Whoever edits the table learns where it is wrong."""
    with pytest.raises(DispatchError, match=said):
        read_calendar(io.StringIO(table))


@pytest.mark.parametrize(
    "table", ["name,amount,unit\nx,four,day\n", "name,amount,unit\nx,0,day\n", "name,amount,unit\nx,4,week\n"]
)
def test_a_broken_limit_table_names_its_line(table: str) -> None:
    """A limit that is no time, or on no clock, is refused."""
    with pytest.raises(DispatchError, match="line 2"):
        read_limits(io.StringIO(table))


def test_a_calendar_without_working_days_says_so_instead_of_searching_for_ever() -> None:
    """Data that leaves no working day within 60 days is broken."""
    never = WorkCalendar(off={date.fromordinal(d): "" for d in range(date(2026, 1, 1).toordinal(), date(2026, 6, 1).toordinal())})
    with pytest.raises(DispatchError, match="no working day"):
        due(datetime(2026, 1, 5, tzinfo=UTC), Limit("x", 1, Unit.WORK_HOUR), never)
