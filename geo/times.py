"""Time is aware UTC, and comes from a clock that was handed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from geo.errors import GeoError

LOCAL_ZONE = ZoneInfo("Asia/Shanghai")


def utc(at: datetime) -> datetime:
    """The same instant in UTC; raises GeoError for a time without a zone."""
    if at.tzinfo is None:
        raise GeoError(f"the time {at.isoformat()} has no time zone: say which one it is in")
    return at.astimezone(UTC)


def local_day(at: datetime, zone: ZoneInfo = LOCAL_ZONE) -> date:
    """The calendar day that people at the place call this instant."""
    return utc(at).astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, not including, `end`; both aware."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if utc(self.end) <= utc(self.start):
            raise GeoError(f"a span must end after it starts: {self.start} … {self.end}")

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def overlaps(self, other: Span) -> bool:
        """Whether the two share an instant."""
        return self.start < other.end and other.start < self.end

    @property
    def duration(self) -> timedelta:
        """How long it lasts."""
        return self.end - self.start


class Clock(Protocol):
    """Where the present comes from."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is moved: for tests and for simulated months."""

    def __init__(self, at: datetime) -> None:
        self._at = utc(at)

    def now(self) -> datetime:
        """The instant it was last set to."""
        return self._at

    def advance(self, by: timedelta) -> None:
        """Move the hands forward."""
        self._at += by
