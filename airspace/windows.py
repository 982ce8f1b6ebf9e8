"""When a zone's rule holds: daily windows on days of the week, on working days or on holidays, in the time of one place.

A window is resolved only around the span that is asked about, so a rule without end costs nothing. Days that depend on a holiday table
which does not know their year are unsure: whoever asks says which way an unsure day is to count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airspace.errors import AirspaceError
from geo.holidays import Holidays
from geo.times import LOCAL_ZONE, Span, utc


class Day(StrEnum):
    """A day of the week, or a kind of day that the holiday table decides."""

    MO = "MO"
    TU = "TU"
    WE = "WE"
    TH = "TH"
    FR = "FR"
    SA = "SA"
    SU = "SU"
    WORK = "WORK"  # 工作日, make-up days (调休) included
    REST = "REST"  # 休息日: every day that is not worked
    HOLIDAY = "HOLIDAY"  # 法定节假日


WEEK = (Day.MO, Day.TU, Day.WE, Day.TH, Day.FR, Day.SA, Day.SU)


@dataclass(frozen=True, slots=True)
class Window:
    """A daily window of local time. No `days` means every day; an `end` not after `start` lies on the next day, so 00:00–00:00 is all day.

    `first` and `last` bound the days on which it opens. `tz` is an IANA name (Asia/Shanghai) or an offset (UTC, +02:00).
    """

    start: time = time(0)
    end: time = time(0)
    days: tuple[Day, ...] = ()
    first: date | None = None
    last: date | None = None
    tz: str = LOCAL_ZONE.key

    def __post_init__(self) -> None:
        zone_named(self.tz)
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise AirspaceError("a window's times are local: say their zone in `tz`")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise AirspaceError(f"a window's last day {self.last} is before its first {self.first}")

    def spans(self, around: Span, holidays: Holidays, *, unsure: bool) -> Iterator[Span]:
        """Each opening that shares an instant with `around`, in order; days whose year the table does not know count as `unsure`."""
        zone = zone_named(self.tz)
        day = around.start.astimezone(zone).date() - timedelta(days=1)  # yesterday's may run over midnight
        until = around.end.astimezone(zone).date()
        while day <= until:
            if self._opens(day, holidays, unsure):
                close = day if self.end > self.start else day + timedelta(days=1)
                span = Span(utc(datetime.combine(day, self.start, zone)), utc(datetime.combine(close, self.end, zone)))
                if span.overlaps(around):
                    yield span
            day += timedelta(days=1)

    def _opens(self, day: date, holidays: Holidays, unsure: bool) -> bool:
        if (self.first is not None and day < self.first) or (self.last is not None and day > self.last):
            return False
        if not self.days or WEEK[day.weekday()] in self.days:
            return True
        asked = [d for d in self.days if d not in WEEK]
        if asked and not holidays.knows(day.year):
            return unsure
        worked = holidays.is_work_day(day)
        is_so = {Day.WORK: worked, Day.REST: not worked, Day.HOLIDAY: holidays.is_holiday(day)}
        return any(is_so[d] for d in asked)


@lru_cache(maxsize=64)
def zone_named(name: str) -> tzinfo:
    """A time zone by IANA name or offset; raises AirspaceError."""
    if name[:1] in {"+", "-"}:
        try:
            offset = datetime.strptime(name, "%z").utcoffset()
        except ValueError as err:
            raise AirspaceError(f"time zone {name!r} is no offset such as +08:00") from err
        return timezone(offset or timedelta(0))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        raise AirspaceError(f"time zone {name!r} is not known; write a name such as Asia/Shanghai, UTC or +08:00") from err


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch or overlap as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)
