"""Clock windows: the hours of the day an area is flown in, so that shadows fall as they did in the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flight.errors import PlanningError
from geo.frames import LonLat
from geo.sun import elevation_deg
from geo.times import LOCAL_ZONE, Span, utc

_STEP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ClockWindow:
    """From `start` to `end` on the clock of the place, within one day."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise PlanningError(f"a clock window must end after it starts: {self.start} … {self.end}")

    @staticmethod
    def around(baseline: datetime, half: timedelta = timedelta(minutes=60), zone: ZoneInfo = LOCAL_ZONE) -> ClockWindow:
        """The window around the hour of a baseline flight, cut at midnight.

        A 10 m wall's shadow tip moves 3 m between flights 30 days apart at the same hour, and 9 to 13 m between 11:00 and 14:00.
        """
        local = utc(baseline).astimezone(zone)
        low, high = local - half, local + half
        start = low.time() if low.date() == local.date() else time(0, 0)
        end = high.time() if high.date() == local.date() else time(23, 59)
        return ClockWindow(start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))

    def on(self, day: date, zone: ZoneInfo = LOCAL_ZONE) -> Span:
        """The window on one day, in UTC."""
        return Span(utc(datetime.combine(day, self.start, zone)), utc(datetime.combine(day, self.end, zone)))

    def __str__(self) -> str:
        return f"{self.start:%H:%M}–{self.end:%H:%M}"


DEFAULT_WINDOW = ClockWindow(
    time(10, 30), time(13, 30)
)  # in December at 32 N the sun stands above 30 degrees from 10:25 to 13:25


def sunlit(span: Span, place: LonLat, least_deg: float) -> Span | None:
    """The part of a span, within one day, in which the sun stands at least so high; None when it never does."""
    if elevation_deg(span.start, place) >= least_deg and elevation_deg(span.end, place) >= least_deg:
        return span  # between two such instants of one day the sun stands higher still
    count = int(span.duration / _STEP)
    good = [t for t in (span.start + i * _STEP for i in range(count + 1)) if elevation_deg(t, place) >= least_deg]
    return Span(good[0], good[-1]) if len(good) > 1 else None
