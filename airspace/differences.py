"""What changed between two editions of zones: added, removed, moved, reshaped, raised, lowered, at other times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import shapely
from shapely.geometry.base import BaseGeometry

from airspace.zones import Zone
from geo.heights import Height

SAME_DEG = 5e-6  # half a metre: a step between datums leaves a decimetre, and nobody draws airspace finer
_SAME_AREA = 0.01


class Aspect(StrEnum):
    """In what a zone differs from itself in the edition before."""

    MOVED = "moved"
    SHAPE = "shape"
    FLOOR = "floor"
    CEILING = "ceiling"
    TIME = "time"
    KIND = "kind"
    ARTICLE = "article"
    BUFFER = "buffer"
    NAME = "name"
    OTHER = "other"


ASPECT_TEXT: Mapping[Aspect, tuple[str, str]] = {
    Aspect.MOVED: ("位置移动", "moved"),
    Aspect.SHAPE: ("范围变化", "other outline"),
    Aspect.FLOOR: ("下限变化", "other floor"),
    Aspect.CEILING: ("上限变化", "other ceiling"),
    Aspect.TIME: ("时间变化", "other times"),
    Aspect.KIND: ("性质变化", "other kind"),
    Aspect.ARTICLE: ("条例类别变化", "other article"),
    Aspect.BUFFER: ("缓冲变化", "other buffer"),
    Aspect.NAME: ("改名", "renamed"),
    Aspect.OTHER: ("其他说明变化", "other notes"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One zone that is new, gone, or not the same; `moved_m` is how far its middle went."""

    before: Zone | None
    after: Zone | None
    aspects: tuple[Aspect, ...] = ()
    moved_m: float = 0.0

    @property
    def what(self) -> str:
        """added, removed or changed."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def zone(self) -> Zone:
        """The zone as it now is, or as it was."""
        zone = self.after or self.before
        assert zone is not None
        return zone


@dataclass(frozen=True, slots=True)
class Differences:
    """All changes in the order of the new edition, removals last; `same` zones did not change."""

    changes: tuple[Change, ...]
    same: int

    @property
    def counts(self) -> dict[str, int]:
        """How many were added, removed, changed and stayed the same."""
        counts = dict.fromkeys(("added", "removed", "changed"), 0)
        for change in self.changes:
            counts[change.what] += 1
        return {**counts, "same": self.same}


def compare(before: Sequence[Zone], after: Sequence[Zone]) -> Differences:
    """Zones are told by id, and those left over by name, the nearest first: files without ids of their own number theirs anew each time."""
    old = {zone.id: zone for zone in before}
    pairs: dict[str, Zone] = {zone.id: old.pop(zone.id) for zone in after if zone.id in old}
    by_name: dict[str, list[Zone]] = {}
    for zone in old.values():
        by_name.setdefault(zone.name, []).append(zone)
    for zone in after:
        if zone.id not in pairs and (rest := by_name.get(zone.name)):
            nearest = min(rest, key=lambda other: _apart_m(zone.outline, other.outline))
            rest.remove(nearest)
            pairs[zone.id] = old.pop(nearest.id)
    changes, same = [], 0
    for zone in after:
        was = pairs.get(zone.id)
        change = Change(None, zone) if was is None else _change(was, zone)
        if change is None:
            same += 1
        else:
            changes.append(change)
    changes += [Change(zone, None) for zone in old.values()]
    return Differences(tuple(changes), same)


def _change(was: Zone, zone: Zone) -> Change | None:
    aspects: list[Aspect] = []
    moved_m = 0.0
    if not _same_outlines(was, zone):
        a, b = was.outline, zone.outline
        moved_m = _apart_m(a, b)
        alike = len(was.parts) == len(zone.parts) and abs(a.area - b.area) <= _SAME_AREA * a.area
        aspects.append(Aspect.MOVED if alike and moved_m >= 1.0 else Aspect.SHAPE)
    for aspect, told in _TOLD.items():
        if told(was) != told(zone):
            aspects.append(aspect)
    return Change(was, zone, tuple(aspects), moved_m) if aspects else None


def _same_outlines(was: Zone, zone: Zone) -> bool:
    if len(was.parts) != len(zone.parts):
        return False
    return all(
        a.outline.equals_exact(b.outline, SAME_DEG) or a.outline.hausdorff_distance(b.outline) < SAME_DEG
        for a, b in zip(was.parts, zone.parts, strict=True)
    )


def _rounded(heights: Sequence[Height]) -> list[tuple[float, str]]:
    return [(round(h.metres, 3), h.datum) for h in heights]


_TOLD: Mapping[Aspect, Callable[[Zone], object]] = {
    Aspect.FLOOR: lambda z: _rounded([p.floor for p in z.parts]),
    Aspect.CEILING: lambda z: _rounded([p.ceiling for p in z.parts]),
    Aspect.TIME: lambda z: (z.spans, z.windows, z.valid_from, z.valid_until),
    Aspect.KIND: lambda z: z.kind,
    Aspect.ARTICLE: lambda z: z.article_class,
    Aspect.BUFFER: lambda z: round(z.buffer_m, 3),
    Aspect.NAME: lambda z: z.name,
    Aspect.OTHER: lambda z: (z.authority, z.synthetic, z.notice, z.attributes),
}


def _apart_m(a: BaseGeometry, b: BaseGeometry) -> float:
    """Metres between two middles."""
    (x1, y1), (x2, y2) = shapely.get_coordinates(shapely.centroid([a, b]))
    return math.hypot(float(x1 - x2) * math.cos(math.radians(float(y1))), float(y1 - y2)) * 111_195.0
