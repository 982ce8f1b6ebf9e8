"""Deadlines (时限) on three clocks: working hours (工作时), working days (工作日) and natural time (自然时).

The calendar is data: `geo.holidays` knows the days off and the make-up working days (调休), `data/limits.csv` holds the limits; both may be
replaced by a city's own.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from dispatch.errors import DispatchError
from geo.errors import GeoError
from geo.holidays import Holidays, read_holidays, standard_holidays
from geo.times import LOCAL_ZONE, utc

DATA = Path(__file__).parent / "data"


class Unit(StrEnum):
    """Which clock a limit is counted on."""

    WORK_HOUR = "work_hour"  # 工作时
    WORK_DAY = "work_day"  # 工作日
    HOUR = "hour"  # 自然时
    DAY = "day"  # 自然日


@dataclass(frozen=True, slots=True)
class Limit:
    """So much time on one clock."""

    name: str
    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise DispatchError(f"limit {self.name}: {self.amount} {self.unit} is no time at all")


@dataclass(frozen=True, slots=True)
class WorkCalendar(Holidays):
    """Which days and hours are worked; `shifts` are local times, in order."""

    shifts: tuple[tuple[time, time], ...] = ((time(8, 30), time(12, 0)), (time(14, 0), time(17, 30)))
    zone: ZoneInfo = LOCAL_ZONE

    def __post_init__(self) -> None:
        edges = [edge for shift in self.shifts for edge in shift]
        if not edges or any(b <= a for a, b in pairwise(edges)):
            raise DispatchError("working hours must be shifts in order that do not overlap")

    def next_work_day(self, day: date) -> date:
        """The first working day after this one."""
        for ahead in range(1, 60):
            if self.is_work_day(day + timedelta(days=ahead)):
                return day + timedelta(days=ahead)
        raise DispatchError(f"no working day within 60 days after {day}: look at the holiday table")

    def spans(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        """The worked spans of a day as aware local times; none on a day off."""
        if not self.is_work_day(day):
            return ()
        return tuple(
            (datetime.combine(day, a, tzinfo=self.zone), datetime.combine(day, b, tzinfo=self.zone)) for a, b in self.shifts
        )


def due(start: datetime, limit: Limit, calendar: WorkCalendar) -> datetime:
    """When the limit that starts now runs out, aware UTC.

    A limit in working days runs to the end of work on the last of them; the day of the start is not counted (民法典 201).
    """
    begin = utc(start)
    if limit.unit is Unit.HOUR:
        return begin + timedelta(hours=limit.amount)
    if limit.unit is Unit.DAY:
        return begin + timedelta(days=limit.amount)
    local = begin.astimezone(calendar.zone)
    if limit.unit is Unit.WORK_DAY:
        day = local.date()
        if limit.amount != int(limit.amount):
            raise DispatchError(f"limit {limit.name}: working days are counted whole, not {limit.amount}")
        for _ in range(int(limit.amount)):
            day = calendar.next_work_day(day)
        return calendar.spans(day)[-1][1].astimezone(UTC)
    return _work_hours(local, timedelta(hours=limit.amount), calendar)


def _work_hours(local: datetime, left: timedelta, calendar: WorkCalendar) -> datetime:
    day = local.date()
    while True:
        for begin, end in calendar.spans(day):
            usable = end - max(begin, local)
            if usable <= timedelta(0):
                continue
            if usable >= left:
                return (max(begin, local) + left).astimezone(UTC)
            left -= usable
        day = calendar.next_work_day(day)


def add_months(at: datetime, months: int, zone: ZoneInfo = LOCAL_ZONE) -> datetime:
    """The same local day and hour some months later, the month's last day where it has no such day (民法典 202)."""
    local = utc(at).astimezone(zone)
    count = local.year * 12 + local.month - 1 + months
    year, month = divmod(count, 12)
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return local.replace(year=year, month=month + 1, day=min(local.day, last)).astimezone(UTC)


def read_calendar(source: TextIO) -> WorkCalendar:
    """A calendar from the CSV of `geo.holidays`. Raises DispatchError naming the line."""
    try:
        days = read_holidays(source)
    except GeoError as err:
        raise DispatchError(str(err)) from err
    return WorkCalendar(days.off, days.work)


def read_limits(source: TextIO) -> Mapping[str, Limit]:
    """Limits from CSV with columns `name,amount,unit,basis`. Raises DispatchError naming the line."""
    limits: dict[str, Limit] = {}
    for number, row in enumerate(csv.DictReader(source), start=2):
        try:
            limits[row["name"]] = Limit(row["name"], float(row["amount"]), Unit(row["unit"]))
        except (KeyError, TypeError, ValueError) as err:
            raise DispatchError(f"limit table, line {number}: {err}") from err
    return limits


@lru_cache(maxsize=1)
def standard_calendar() -> WorkCalendar:
    """The calendar that ships with the product."""
    days = standard_holidays()
    return WorkCalendar(days.off, days.work)


@lru_cache(maxsize=1)
def standard_limits() -> Mapping[str, Limit]:
    """The limits that ship with the product."""
    with DATA.joinpath("limits.csv").open(encoding="utf-8") as source:
        return read_limits(source)
