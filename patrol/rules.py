"""A city's own tables: classification levels and retention, CSV data that an installation may replace in `home/config`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from geo.holidays import Holidays, read_holidays, standard_holidays
from patrol.settings import Settings

T = TypeVar("T")

SHIPPED = Path(__file__).parent / "data"


class RulesError(ValueError):
    """A table of rules is broken: says which file, which line, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Level:
    """密级: from how much contiguous ground on an export needs a second person, and by which article."""

    code: str
    zh: str
    en: str
    rank: int
    second_person_from_m2: float
    article: str


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days a class of data is kept, from the moment the class counts from (see `pipeline.retaining`)."""

    code: str
    zh: str
    en: str
    days: int


def levels(settings: Settings) -> Mapping[str, Level]:
    """The classification levels by code; raises RulesError."""
    return {level.code: level for level in _read(settings, "classification.csv", _level)}


def keeps(settings: Settings) -> Mapping[str, Keep]:
    """How long each class of data is kept, by its name; a class without a line is kept for ever. Raises RulesError."""
    return {keep.code: keep for keep in _read(settings, "retention.csv", _keep)}


def holidays(settings: Settings) -> Holidays:
    """Days off and make-up working days: the installation's own table, else the shipped one. Raises GeoError."""
    own = settings.home / "config" / "holidays.csv"
    if not own.is_file():
        return standard_holidays()
    with own.open(encoding="utf-8-sig") as file:
        return read_holidays(file)


def _level(row: Mapping[str, str]) -> Level:
    return Level(row["code"], row["zh"], row["en"], int(row["rank"]), float(row["second_person_from_m2"]), row["article"])


def _keep(row: Mapping[str, str]) -> Keep:
    days = int(row["days"])
    if days < 1:
        raise ValueError(f"{row['class']} is kept {days} days; give at least 1, or leave the line out to keep it for ever")
    return Keep(row["class"], row["zh"], row["en"], days)


def _read(settings: Settings, name: str, make: Callable[[Mapping[str, str]], T]) -> tuple[T, ...]:
    own = settings.home / "config" / name
    path = own if own.is_file() else SHIPPED / name
    found = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                found.append(make(row))
            except (KeyError, TypeError, ValueError) as err:
                raise RulesError(f"{path}, line {line}: {err}") from err
    return tuple(found)
