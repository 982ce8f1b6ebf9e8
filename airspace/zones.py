"""Zones (适飞、管制、禁飞), permits (空域批准) and volumes (飞行空间): who may fly where, how high and when.

All outlines are WGS 84 degrees with edges straight in longitude and latitude (RFC 7946); all heights count from the ground below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from airspace.errors import AirspaceError
from geo.frames import Frame
from geo.heights import Datum, Height
from geo.times import Span

Outline = Polygon | MultiPolygon

LEGAL_CEILING_M = 120.0  # Art. 19: above this true height all airspace is controlled
GROUND = Height(0.0, Datum.GROUND)
UNLIMITED = Height(30_000.0, Datum.GROUND)  # above anything that flies here

# An edge that is straight in degrees bows in a metric frame: 5 m on an edge of 20 km at 32 N. Cut to this length it bows 3 mm.
_EDGE_DEG = 0.005


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


@dataclass(frozen=True, slots=True)
class Volume:
    """The air a flight fills: outline, floor and ceiling over the ground, and time."""

    outline: Outline
    floor: Height
    ceiling: Height
    span: Span

    def __post_init__(self) -> None:
        _check(self.outline, self.floor, self.ceiling, "the volume")


@dataclass(frozen=True, slots=True)
class Zone:
    """Air with rules. No `spans` means always; `buffer_m` is a distance the authority wants kept from it."""

    id: str
    name: str
    kind: ZoneKind
    outline: Outline
    floor: Height = GROUND
    ceiling: Height = UNLIMITED
    spans: tuple[Span, ...] = ()
    authority: str = ""
    version: str = ""
    synthetic: bool = False
    buffer_m: float = 0.0

    def __post_init__(self) -> None:
        _check(self.outline, self.floor, self.ceiling, f"zone {self.id} ({self.name})")
        if self.buffer_m < 0:
            raise AirspaceError(f"zone {self.id} ({self.name}): a buffer of {self.buffer_m} m is below 0")

    def active(self, span: Span) -> bool:
        """Whether its rule holds at any instant of the span."""
        return not self.spans or any(s.overlaps(span) for s in self.spans)

    def holds_all(self, span: Span) -> bool:
        """Whether one of its windows holds the whole span."""
        return not self.spans or any(_within(span, s) for s in self.spans)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave of the authority to use a volume of air. `flags` are the acts of Art. 31 that it names."""

    id: str
    outline: Outline
    floor: Height
    ceiling: Height
    span: Span
    holder: str
    number: str
    flags: tuple[Flag, ...] = ()

    def __post_init__(self) -> None:
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
    return frame.to_metres(shapely.segmentize(outline, _EDGE_DEG))


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
    if floor.datum != Datum.GROUND or ceiling.datum != Datum.GROUND:
        raise AirspaceError(f"{what}: heights count over {floor.datum} and {ceiling.datum}; give them over the ground (Art. 19)")
    if not floor < ceiling:
        raise AirspaceError(f"{what}: the floor at {floor.metres} m is not below the ceiling at {ceiling.metres} m")
