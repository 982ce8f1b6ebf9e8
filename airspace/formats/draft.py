"""What every reader of zones hands over: drafts in the file's own numbers, before anybody knows their datum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airspace.errors import ZoneFileRefused
from airspace.reasons import Reason
from airspace.zones import Outline, ZoneKind
from geo.heights import Height
from geo.reading import Reading


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file, for people: `第 12 行`, `line 12`."""

    zh: str
    en: str

    def named(self, name: str) -> Where:
        """The same place with the name of what stands there."""
        return Where(f"{self.zh}（{name}）", f"{self.en} ({name})") if name else self

    def refuse(self, zh: str, en: str) -> ZoneFileRefused:
        """The refusal of what stands here."""
        return ZoneFileRefused(f"{self.zh}：{zh}", f"{self.en}: {en}")


def line(number: int) -> Where:
    """A line of a text file, counted from 1."""
    return Where(f"第 {number} 行", f"line {number}")


def feature(number: int) -> Where:
    """A feature of a file, counted from 1."""
    return Where(f"第 {number} 个要素", f"feature {number}")


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle as files give it: its centre in the file's numbers, its radius in metres."""

    x: float
    y: float
    radius_m: float


Shape = Outline | Circle


@dataclass(frozen=True, slots=True)
class Draft:
    """One zone of a file: a shape and its limits for each part, and the other fields of `Zone` as `given`."""

    where: Where
    shapes: tuple[Shape, ...]
    limits: tuple[tuple[Height, Height], ...]
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that a file says. `said` is the coordinate system it states; `by_standard` when only its format's standard does."""

    drafts: tuple[Draft, ...]
    said: Reading | None = None
    by_standard: bool = False
    notes: tuple[Reason, ...] = ()
    authority: str = ""
    edition: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person says of a whole file, where the file does not."""

    kind: ZoneKind | None = None
    layer: str | None = None
