"""Airspace (空域数据): zones and permits made ready for many questions, an index over their outlines and the name of exactly this data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from airspace.zones import Outline, Part, Permit, Zone, ZoneKind, in_metres, padded, polygons
from geo.frames import Frame
from geo.heights import Datum
from geo.relief import Relief
from geo.times import Span

_NEAR_M = 200.0


@dataclass(frozen=True, slots=True)
class Near:
    """A part of a zone, or a permit, near a flight: limits over the ground, outline in metres with its buffer, and when it holds."""

    of: Zone | Permit
    part: Part
    outline: Outline
    spans: tuple[Span, ...]

    def holds_all(self, span: Span) -> bool:
        """Whether it holds during the whole span."""
        return any(s.start <= span.start and span.end <= s.end for s in self.spans)

    @property
    def zone(self) -> Zone | None:
        """The zone, None for a permit."""
        return self.of if isinstance(self.of, Zone) else None


@dataclass(frozen=True, slots=True, eq=False)
class Airspace:
    """Zones and permits with an index: made once, asked often. Making it reads every outline; asking reads only those near."""

    zones: tuple[Zone, ...]
    permits: tuple[Permit, ...] = ()
    version: str = ""
    _entries: tuple[tuple[Zone | Permit, Part], ...] = field(default=(), init=False, repr=False)
    _tree: shapely.STRtree = field(default_factory=lambda: shapely.STRtree([]), init=False, repr=False)

    def __post_init__(self) -> None:
        entries: list[tuple[Zone | Permit, Part]] = [(zone, part) for zone in self.zones for part in zone.parts]
        entries += [(permit, Part(permit.outline, permit.floor, permit.ceiling)) for permit in self.permits]
        buffers = [of.buffer_m if isinstance(of, Zone) else 0.0 for of, _ in entries]
        boxes = [padded(part.outline.bounds, metres) for (_, part), metres in zip(entries, buffers, strict=True)]
        west, south, east, north = np.array(boxes, dtype=float).reshape(-1, 4).T
        object.__setattr__(self, "_entries", tuple(entries))
        object.__setattr__(self, "_tree", shapely.STRtree(shapely.box(west, south, east, north)))
        object.__setattr__(self, "version", self.version or data_version(self.zones, self.permits))

    def near(
        self, bounds_deg: tuple[float, float, float, float], frame: Frame, span: Span, relief: Relief | None = None
    ) -> tuple[Near, ...]:
        """What reaches into the bounds (degrees; 200 m more on every side) at some instant of the span, zones first, as they were given."""
        found = []
        for number in sorted(self._tree.query(shapely.box(*padded(bounds_deg, _NEAR_M)))):
            of, part = self._entries[number]
            spans = of.times(span) if isinstance(of, Zone) else (of.span,)
            if not any(s.overlaps(span) for s in spans):
                continue
            buffer_m = of.buffer_m if isinstance(of, Zone) else 0.0
            outline = in_metres(part.outline, frame, padded(bounds_deg, buffer_m + _NEAR_M))
            if outline.is_empty:
                continue
            closed = isinstance(of, Zone) and of.kind is not ZoneKind.SUITABLE
            there = part.over_ground(closed=closed, terrain=_terrain(part, outline, frame, relief))
            if there is not None:
                found.append(Near(of, there, polygons(outline.buffer(buffer_m)) if buffer_m else outline, spans))
        return tuple(found)


def _terrain(part: Part, outline: Outline, frame: Frame, relief: Relief | None) -> dict[Datum, tuple[float, float]]:
    """The ground under a part whose limits count over what the relief counts over; nothing where a cell of it is unknown."""
    if relief is None or relief.frame != frame or relief.datum not in {part.floor.datum, part.ceiling.datum}:
        return {}
    ground = relief.under(outline)
    return {relief.datum: ground} if ground is not None else {}


def ready(zones: Sequence[Zone] | Airspace, permits: Sequence[Permit] = ()) -> Airspace:
    """Zones and permits as an index; one that is ready already keeps its own permits."""
    return zones if isinstance(zones, Airspace) else Airspace(tuple(zones), tuple(permits))


def data_version(zones: Sequence[Zone], permits: Sequence[Permit]) -> str:
    """A short name for exactly these zones and permits: ids, versions, limits, times and outlines, hashed."""
    digest = hashlib.sha256()
    for zone in sorted(zones, key=lambda z: z.id):
        when = (zone.spans, zone.windows, zone.valid_from, zone.valid_until)
        parts = [(p.outline.bounds, p.outline.area, p.floor, p.ceiling) for p in zone.parts]
        digest.update(f"{zone.id}|{zone.version}|{zone.kind}|{zone.buffer_m}|{parts}|{when}\n".encode())
    for permit in sorted(permits, key=lambda p: p.id):
        limits = (permit.outline.bounds, permit.outline.area, permit.floor, permit.ceiling, permit.span)
        digest.update(f"{permit.id}|{permit.number}|{permit.flags}|{permit.long_term}|{permit.filed_days}|{limits}\n".encode())
    return f"{len(zones)}z{len(permits)}p-{digest.hexdigest()[:12]}"
