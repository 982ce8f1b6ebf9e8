"""Days off and make-up working days (调休), as the State Council announces them each year: data, `data/holidays.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from geo.errors import GeoError

SHIPPED = Path(__file__).parent / "data" / "holidays.csv"


@dataclass(frozen=True, slots=True)
class Holidays:
    """Which days are worked. `off` and `work` override the week."""

    off: Mapping[date, str] = field(default_factory=dict)  # day -> name of the holiday
    work: frozenset[date] = frozenset()  # make-up working days

    def is_work_day(self, day: date) -> bool:
        """Whether people are at work that day."""
        return day in self.work or (day.weekday() < 5 and day not in self.off)

    def is_holiday(self, day: date) -> bool:
        """Whether the day lies in an announced holiday (a plain weekend does not)."""
        return day in self.off

    def knows(self, year: int) -> bool:
        """Whether the year's holidays are in the data; without them only weekends count, and that should be said."""
        return any(day.year == year for day in self.off)


def read_holidays(source: TextIO) -> Holidays:
    """Days from CSV with columns `date,kind,name`; kind is `off` or `work`. Raises GeoError naming the line."""
    off: dict[date, str] = {}
    work: set[date] = set()
    for number, row in enumerate(csv.DictReader(source), start=2):
        try:
            day, kind = date.fromisoformat(row["date"]), row["kind"]
        except (KeyError, TypeError, ValueError) as err:
            raise GeoError(f"holiday table, line {number}: expected date,kind,name such as 2026-10-01,off,国庆节") from err
        if kind not in {"off", "work"} or day in off or day in work:
            raise GeoError(f"holiday table, line {number}: {day} must stand once, as off or work")
        if kind == "off":
            off[day] = row.get("name") or ""
        else:
            work.add(day)
    return Holidays(off, frozenset(work))


@lru_cache(maxsize=1)
def standard_holidays() -> Holidays:
    """The table that ships with the product; an installation may have its own in `home/config/holidays.csv`."""
    with SHIPPED.open(encoding="utf-8") as source:
        return read_holidays(source)
