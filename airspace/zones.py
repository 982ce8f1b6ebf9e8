"""Zones (适飞、管制、禁飞), permits (空域批准) and volumes (飞行空间): who may fly where, how high and when.

All outlines are WGS 84 degrees with edges straight in longitude and latitude (RFC 7946). A flight's volume and a permit count their heights
from the ground below (Art. 19); a zone's parts count as its authority does, each limit with its datum, and `over_ground` turns them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from airspace.classes import ZoneClass
from airspace.errors import AirspaceError
from airspace.windows import Window, merged
from geo.frames import Frame
from geo.heights import Datum, Height
from geo.holidays import Holidays, standard_holidays
from geo.times import Span, utc

Outline = Polygon | MultiPolygon

LEGAL_CEILING_M = 120.0  # Art. 19: above this true height all airspace is controlled
GROUND = Height(0.0, Datum.GROUND)
UNLIMITED = Height(30_000.0, Datum.GROUND)  # above anything that flies here

# An edge that is straight in degrees bows in a metric frame: 5 m on an edge of 20 km at 32 N. Cut to this length it bows 3 mm.
EDGE_DEG = 0.005


class ZoneKind(StrEnum):
    """What a zone says about the air in it."""

    SUITABLE = "suitable"  # 适飞空域
    CONTROLLED = "controlled"  # 管制空域
    PROHIBITED = "prohibited"  # 空中禁区
    RESTRICTED = "restricted"  # 空中限制区
    TEMPORARY = "temporary"  # 临时管制空域 (Art. 20)


class Flag(StrEnum):
    """What makes a flight need an application even in suitable airspace (Art. 31)."""

    RELAY = "relay"  # 通过通信基站或者互联网进行中继飞行
    DROP = "drop"  # 运载危险品或者投放物品
    CROWD = "crowd"  # 飞越集会人群上空
    MOVING = "moving"  # 在移动的交通工具上操控
    SWARM = "swarm"  # 分布式操作或者集群飞行


class Occasion(StrEnum):
    """Why airspace is closed for a time (Art. 20)."""

    EVENT = "event"  # 国家重大活动以及其他大型活动
    EMERGENCY = "emergency"  # 军事任务或者反恐维稳、抢险救灾、医疗救护等其他紧急任务


NOTICE: Mapping[Occasion, timedelta] = {Occasion.EVENT: timedelta(hours=24), Occasion.EMERGENCY: timedelta(minutes=30)}
"""Art. 20: how long before it takes effect a temporary zone is announced."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The air a flight fills: outline, floor and ceiling over the ground, and time."""

    outline: Outline
    floor: Height
    ceiling: Height
    span: Span

    def __post_init__(self) -> None:
        _check_over_ground(self.floor, self.ceiling, "the volume")
        _check(self.outline, self.floor, self.ceiling, "the volume")


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a zone's air: an outline from a floor up to a ceiling, each limit over its own datum."""

    outline: Outline
    floor: Height = GROUND
    ceiling: Height = UNLIMITED

    def over_ground(self, *, closed: bool, terrain: Mapping[Datum, tuple[float, float]] | None = None) -> Part | None:
        """The part with limits over the ground, on the safe side: a `closed` one never too small, an open one never too large.

        `terrain` gives, for each datum that is known, the lowest and highest ground under the place that is asked about, metres over that
        datum. A limit that cannot be turned closes from the ground up without end, and opens nothing. None: no air is left of it.
        """
        bounds = []
        for height, is_floor in ((self.floor, True), (self.ceiling, False)):
            if height.datum is Datum.GROUND:
                bounds.append(height.metres)
                continue
            ground = (terrain or {}).get(height.datum)
            if ground is None and not closed:
                return None
            if ground is None:
                bounds.append(GROUND.metres if is_floor else UNLIMITED.metres)
            else:
                bounds.append(height.metres - ground[1 if is_floor is closed else 0])
        low, high = max(0.0, bounds[0]), bounds[1]
        return Part(self.outline, Height(low, Datum.GROUND), Height(high, Datum.GROUND)) if low < high else None


@dataclass(frozen=True, slots=True)
class Notice:
    """When a temporary zone was announced, and on what occasion (Art. 20)."""

    announced_at: datetime
    occasion: Occasion = Occasion.EVENT

    def __post_init__(self) -> None:
        utc(self.announced_at)


@dataclass(frozen=True, slots=True)
class Zone:
    """Air with rules, in one or several parts. `buffer_m` is a distance the authority wants kept from it.

    It holds during `spans` and `windows`, always when it has neither, and at no time before `valid_from` or from `valid_until` on.
    `article_class` says which item of Art. 19 closes it. `attributes` are what else its file said of it, in the file's words.
    """

    id: str
    name: str
    kind: ZoneKind
    parts: tuple[Part, ...]
    article_class: ZoneClass | None = None
    spans: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()
    buffer_m: float = 0.0
    authority: str = ""
    version: str = ""
    synthetic: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    notice: Notice | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    holidays: Holidays | None = field(default=None, compare=False, repr=False)  # an installation's own; None: the shipped table

    def __post_init__(self) -> None:
        what = f"zone {self.id} ({self.name})"
        if not self.parts:
            raise AirspaceError(f"{what}: has no air: give at least one outline")
        for part in self.parts:
            _check(part.outline, part.floor, part.ceiling, what)
        if not 0 <= self.buffer_m < math.inf:
            raise AirspaceError(f"{what}: a buffer of {self.buffer_m} m is not 0 or more")
        if self.valid_from is not None and self.valid_until is not None and utc(self.valid_until) <= utc(self.valid_from):
            raise AirspaceError(f"{what}: its validity ends at {self.valid_until} before it starts at {self.valid_from}")

    @classmethod
    def single(
        cls,
        id: str,
        name: str,
        kind: ZoneKind,
        outline: Outline,
        floor: Height = GROUND,
        ceiling: Height = UNLIMITED,
        **more: Any,
    ) -> Zone:
        """A zone of one part."""
        return cls(id, name, kind, (Part(outline, floor, ceiling),), **more)

    @property
    def outline(self) -> Outline:
        """All its parts seen from above."""
        if len(self.parts) == 1:
            return self.parts[0].outline
        return polygons(shapely.union_all([part.outline for part in self.parts]))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north of all its parts, degrees, buffer not included."""
        boxes = [part.outline.bounds for part in self.parts]
        return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)

    @property
    def short_notice(self) -> timedelta | None:
        """By how much it was announced too late for Art. 20; None for one in time or without a notice. It binds all the same."""
        starts = [span.start for span in self.spans] or ([self.valid_from] if self.valid_from else [])
        if self.notice is None or not starts:
            return None
        missing = NOTICE[self.notice.occasion] - (min(starts) - self.notice.announced_at)
        return missing if missing > timedelta(0) else None

    def times(self, around: Span, holidays: Holidays | None = None) -> tuple[Span, ...]:
        """When it holds in and beside `around` (a day more on either side), merged and in order.

        A day that depends on holidays of a year that the table does not know counts as closed: a suitable zone does not hold, any other does.
        """
        near = Span(around.start - timedelta(days=1), around.end + timedelta(days=1))
        found = [span for span in self.spans if span.overlaps(near)]
        table = holidays or self.holidays or standard_holidays()
        for window in self.windows:
            found += window.spans(near, table, unsure=self.kind is not ZoneKind.SUITABLE)
        if not self.spans and not self.windows:
            found = [near]
        cut = ((max(s.start, self.valid_from or s.start), min(s.end, self.valid_until or s.end)) for s in found)
        return merged(Span(start, end) for start, end in cut if start < end)

    def active(self, span: Span, holidays: Holidays | None = None) -> bool:
        """Whether its rule holds at any instant of the span."""
        return any(s.overlaps(span) for s in self.times(span, holidays))

    def holds_all(self, span: Span, holidays: Holidays | None = None) -> bool:
        """Whether its rule holds during the whole span."""
        return any(_within(span, s) for s in self.times(span, holidays))


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave of the authority to use a volume of air. `flags` are the acts of Art. 31 that it names.

    One for routine flying in fixed airspace is `long_term`, and opens only the local days whose plan was filed in time (Art. 26).
    """

    id: str
    outline: Outline
    floor: Height
    ceiling: Height
    span: Span
    holder: str
    number: str
    flags: tuple[Flag, ...] = ()
    long_term: bool = False
    filed_days: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        _check_over_ground(self.floor, self.ceiling, f"permit {self.number}")
        _check(self.outline, self.floor, self.ceiling, f"permit {self.number}")

    def holds_all(self, span: Span) -> bool:
        """Whether it is in force during the whole span."""
        return _within(span, self.span)


def in_metres(outline: Outline, frame: Frame, near_deg: tuple[float, float, float, float] | None = None) -> Outline:
    """An outline in the frame's metres, its long edges kept where they run in degrees; cut to `near_deg` bounds where given.

    The cut keeps sums honest where an outline reaches far beyond the frame (a city's zone seen from one area).
    """
    if near_deg is not None:
        outline = polygons(shapely.make_valid(shapely.clip_by_rect(outline, *near_deg)))
    return frame.to_metres(shapely.segmentize(outline, EDGE_DEG))


def padded(bounds_deg: tuple[float, float, float, float], metres: float) -> tuple[float, float, float, float]:
    """Bounds in degrees (west, south, east, north) grown by at least this many metres on every side."""
    west, south, east, north = bounds_deg
    dlat = metres / 110_000.0
    dlon = dlat / max(0.01, math.cos(math.radians(min(89.0, max(abs(south), abs(north)) + dlat))))
    return west - dlon, south - dlat, east + dlon, north + dlat


def polygons(geometry: BaseGeometry) -> Outline:
    """What has area of a geometry: a Polygon or MultiPolygon, empty where nothing has."""
    if isinstance(geometry, Polygon | MultiPolygon):
        return geometry
    parts = [p for g in getattr(geometry, "geoms", ()) for p in _parts(polygons(g))]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _parts(outline: Outline) -> tuple[Polygon, ...]:
    return tuple(outline.geoms) if isinstance(outline, MultiPolygon) else (outline,)


def _within(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _check(outline: Outline, floor: Height, ceiling: Height, what: str) -> None:
    if not isinstance(outline, Polygon | MultiPolygon) or outline.is_empty:
        raise AirspaceError(f"{what}: the outline must be a polygon with area, not {outline.geom_type}")
    if not outline.is_valid:
        raise AirspaceError(f"{what}: the outline is broken ({explain_validity(outline)}); draw it anew")
    west, south, east, north = outline.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise AirspaceError(
            f"{what}: reaches {west:.5f}…{east:.5f} E, {south:.5f}…{north:.5f} N: not degrees, or lon and lat swapped"
        )
    if floor.datum == ceiling.datum and not floor < ceiling:
        raise AirspaceError(f"{what}: the floor at {floor.metres} m is not below the ceiling at {ceiling.metres} m")
    if Datum.TAKEOFF in {floor.datum, ceiling.datum} or not (math.isfinite(floor.metres) and math.isfinite(ceiling.metres)):
        raise AirspaceError(f"{what}: its limits {floor} and {ceiling} are no heights of airspace")


def _check_over_ground(floor: Height, ceiling: Height, what: str) -> None:
    if floor.datum != Datum.GROUND or ceiling.datum != Datum.GROUND:
        raise AirspaceError(f"{what}: heights count over {floor.datum} and {ceiling.datum}; give them over the ground (Art. 19)")
