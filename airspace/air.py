"""The air of one flight held against what is near it: closed zones, height, cover, and the acts of Art. 31.

A flight is many volumes (one for each leg). They are grouped where no limit of any zone lies between their heights, so that a group is judged
as its legs one by one would be, in whole arrays; legs below 120 m that one suitable zone covers are known to be covered at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from airspace.classes import CLASS_TEXT
from airspace.errors import AirspaceError
from airspace.index import Near
from airspace.law import ACTS, BODY, ZONE_RULES, Verdict
from airspace.needs import Kind
from airspace.reasons import Reason
from airspace.zones import EDGE_DEG, LEGAL_CEILING_M, Flag, Outline, Permit, Volume, Zone, ZoneKind, polygons
from geo.frames import Frame, LonLat, Shapes, metric_frame
from geo.heights import Datum, Height
from geo.times import Span, utc

_SLIVER_M = 0.02  # parts thinner than twice this come from rounding between degrees and metres, not from the world


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason with what it means; `body` is who would have to be asked, empty where asking does not help."""

    verdict: Verdict
    reason: Reason
    body: str = ""
    kind: Kind = Kind.APPLICATION


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """Air of outlines `(n,)` in metres between two heights over the ground, during one span."""

    outlines: Shapes
    low_m: float
    high_m: float
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Air:
    """The volumes of one flight: outlines `(n,)` in metres, `low_m` and `high_m` `(n,)` over the ground, one span."""

    outlines: Shapes
    low_m: NDArray[np.float64]
    high_m: NDArray[np.float64]
    span: Span
    frame: Frame
    place: LonLat
    bounds_deg: tuple[float, float, float, float]

    @classmethod
    def of(cls, volumes: Sequence[Volume]) -> Air:
        """The air of volumes that share a span; raises AirspaceError when there are none or they do not."""
        if not volumes or any(v.span != volumes[0].span for v in volumes):
            raise AirspaceError("a flight is judged as a whole: give at least one volume, all of one span")
        degrees = np.array([v.outline for v in volumes], dtype=object)
        west, south, east, north = (float(b) for b in shapely.total_bounds(degrees))
        centre = volumes[0].outline.centroid if len(volumes) == 1 else shapely.box(west, south, east, north).centroid
        place = LonLat(lon_deg=centre.x, lat_deg=centre.y)
        frame = metric_frame(place)
        return cls(
            frame.to_metres_array(shapely.segmentize(degrees, EDGE_DEG)),
            np.array([v.floor.metres for v in volumes]),
            np.array([v.ceiling.metres for v in volumes]),
            volumes[0].span,
            frame,
            place,
            (west, south, east, north),
        )

    @property
    def floor(self) -> Height:
        """The lowest floor."""
        return Height(float(self.low_m.min()), Datum.GROUND)

    @property
    def ceiling(self) -> Height:
        """The highest ceiling."""
        return Height(float(self.high_m.max()), Datum.GROUND)

    def reaches(self, near: Near) -> NDArray[np.bool_]:
        """Which volumes `(n,)` share height with it and touch its outline."""
        level = (self.low_m < near.part.ceiling.metres) & (near.part.floor.metres < self.high_m)
        level[level] = shapely.intersects(self.outlines[level], near.outline)
        return level

    def controlled(self, near: Sequence[Near]) -> bool:
        """Whether any of it is controlled air, with or without a permit."""
        if self.high_m.max() > LEGAL_CEILING_M:
            return True
        return any(n.zone is not None and n.zone.kind is not ZoneKind.SUITABLE and self.reaches(n).any() for n in near)

    def uncovered(self, near: Sequence[Near]) -> Air | None:
        """The volumes that reach above 120 m or lie in no single suitable zone; None when there are none."""
        open_ = np.ones(len(self.outlines), dtype=bool)
        for one in near:
            if one.zone is None or one.zone.kind is not ZoneKind.SUITABLE or not one.holds_all(self.span):
                continue
            level = open_ & (self.high_m <= min(LEGAL_CEILING_M, one.part.ceiling.metres)) & (one.part.floor.metres <= self.low_m)
            shapely.prepare(one.outline)
            open_[level] = ~shapely.covers(one.outline, self.outlines[level])
        return self.only(open_) if open_.any() else None

    def only(self, which: NDArray[np.bool_]) -> Air:
        """Some of the volumes."""
        return Air(
            self.outlines[which], self.low_m[which], self.high_m[which], self.span, self.frame, self.place, self.bounds_deg
        )

    def slabs(self, near: Sequence[Near]) -> Iterator[Slab]:
        """The volumes in groups: no limit of what is near lies between their floors or between their ceilings."""
        levels = np.array(sorted({LEGAL_CEILING_M} | {h.metres for n in near for h in (n.part.floor, n.part.ceiling)}))
        keys = np.column_stack(
            [np.searchsorted(levels, self.low_m, side="right"), np.searchsorted(levels, self.high_m, side="left")]
        )
        for key in np.unique(keys, axis=0):
            own = (keys == key).all(axis=1)
            yield Slab(self.outlines[own], float(self.low_m[own].min()), float(self.high_m[own].max()), self.span)


@dataclass(frozen=True, slots=True, eq=False)
class Covers:
    """What may hold air open or known, with the joins of its outlines made once each."""

    of: Sequence[Near]
    _joins: dict[tuple[int, ...], Outline] = field(default_factory=dict)

    def open(self, slab: Slab) -> Shapes:
        """What of a slab's outlines no cover holds over its whole height and time, shapes without area left out."""
        full = tuple(
            i
            for i, n in enumerate(self.of)
            if n.part.floor.metres <= slab.low_m and slab.high_m <= n.part.ceiling.metres and n.holds_all(slab.span)
        )
        if not full:
            return slab.outlines
        if full not in self._joins:
            self._joins[full] = polygons(shapely.union_all([self.of[i].outline for i in full]))
            shapely.prepare(self._joins[full])
        join = self._joins[full]
        left = slab.outlines[~shapely.covers(join, slab.outlines)]
        return _flat(shapely.difference(left, join))


def found_in(air: Air, near: Sequence[Near], flags: Collection[Flag]) -> list[Finding]:
    """Everything that stands against the flight in its air, each thing once."""
    permits = [n for n in near if isinstance(n.of, Permit)]
    found: dict[tuple[str, str], Finding] = {}
    for one in (*_in_zones(air, near, permits), *_in_cover(air, near, permits), *_acts(air, near, permits, flags)):
        found.setdefault((one.reason.code, one.reason.zone_id), one)
    return list(found.values())


def _in_zones(air: Air, near: Sequence[Near], permits: Sequence[Near]) -> Iterator[Finding]:
    leave = Covers(permits)
    for one in near:
        zone = one.zone
        if zone is None or zone.kind is ZoneKind.SUITABLE:
            continue
        shapely.prepare(one.outline)
        touched = air.reaches(one)
        if not touched.any():
            continue
        rule = ZONE_RULES[zone.kind]
        for slab in air.only(touched).slabs([*permits, one]):
            inside = _flat(shapely.intersection(slab.outlines, one.outline))
            if not solid(inside):
                continue
            low, high = max(one.part.floor.metres, slab.low_m), min(one.part.ceiling.metres, slab.high_m)
            if rule.permit_helps and not solid(leave.open(Slab(inside, low, high, slab.span))):
                continue
            yield Finding(rule.verdict, _zone_reason(zone), (zone.authority or BODY) if rule.permit_helps else "")
            break


def _zone_reason(zone: Zone) -> Reason:
    rule = ZONE_RULES[zone.kind]
    zh, en, article = rule.zh.format(zone.name), rule.en.format(zone.name), rule.article
    if zone.article_class is not None:
        said = CLASS_TEXT[zone.article_class]
        zh, en, article = f"{zh}（{said.short_zh}）", f"{en} ({said.short_en})", said.article
    if zone.short_notice is not None:
        minutes = round(zone.short_notice.total_seconds() / 60)
        zh, en = (
            f"{zh}；公布时间比规定晚 {minutes} 分钟，仍应遵守",
            f"{en}; announced {minutes} min later than Art. 20 asks, and binding all the same",
        )
    return Reason(zone.kind, zh, en, article, zone.id)


def _in_cover(air: Air, near: Sequence[Near], permits: Sequence[Near]) -> Iterator[Finding]:
    """What is above the legal height without a permit, and what nobody has declared."""
    rest = air.uncovered(near)
    leave, declared = Covers(permits), Covers([n for n in near if n.zone is not None])
    too_high, unknown = 0.0, []
    for slab in rest.slabs(near) if rest is not None else ():
        for piece in _pieces(slab, near):
            left = leave.open(piece)
            if piece.low_m >= LEGAL_CEILING_M:
                too_high = max(too_high, slab.high_m) if solid(left) else too_high
                continue
            left = declared.open(Slab(left, piece.low_m, piece.high_m, piece.span))
            if solid(left):
                unknown.append(left)
    if too_high:
        yield Finding(
            Verdict.PERMIT_NEEDED,
            Reason(
                "height",
                f"真高 {too_high:g} 米超过 {LEGAL_CEILING_M:g} 米，属管制空域，须经批准",
                f"true height {too_high:g} m is above {LEGAL_CEILING_M:g} m: controlled airspace, approval needed",
                "第十九条",
            ),
            BODY,
        )
    if unknown:
        unknown_m2 = float(shapely.union_all(np.concatenate(unknown)).area)
        share = 100.0 * unknown_m2 / float(shapely.union_all(air.outlines).area)
        yield Finding(
            Verdict.UNKNOWN,
            Reason(
                "unknown",
                f"有 {unknown_m2:,.0f} 平方米（{share:.1f}%）未划为适飞空域，性质不明即不可飞；请导入主管部门公布的空域数据",
                f"{unknown_m2:,.0f} m2 ({share:.1f} %) lie in no zone declared suitable; unknown is never clear: "
                "load the zones published by the authority",
                "第十九条",
            ),
        )


def _acts(air: Air, near: Sequence[Near], permits: Sequence[Near], flags: Collection[Flag]) -> Iterator[Finding]:
    for flag in sorted(set(flags)):
        naming = Covers([n for n in permits if isinstance(n.of, Permit) and flag in n.of.flags])
        if any(solid(naming.open(slab)) for slab in air.slabs(near)):
            act = ACTS[flag]
            said = (f"{act.zh}，须提出飞行活动申请", f"{act.en}: an application is needed")
            yield Finding(Verdict.PERMIT_NEEDED, Reason(f"flag_{flag}", *said, act.article), BODY)


def _pieces(slab: Slab, covers: Sequence[Near]) -> Iterator[Slab]:
    """The slab cut wherever a cover begins or ends in height or time, so that each piece is covered wholly or not at all."""
    levels, instants = {slab.low_m, slab.high_m, LEGAL_CEILING_M}, {utc(slab.span.start), utc(slab.span.end)}
    for near in covers:
        levels |= {near.part.floor.metres, near.part.ceiling.metres}
        for span in near.spans:
            instants |= {utc(span.start), utc(span.end)}
    heights = sorted(v for v in levels if slab.low_m <= v <= slab.high_m)
    times = sorted(t for t in instants if slab.span.start <= t <= slab.span.end)
    for low, high in pairwise(heights):
        for start, end in pairwise(times):
            yield Slab(slab.outlines, low, high, Span(start, end))


def _flat(shapes: Shapes) -> Shapes:
    """The polygons of shapes, one by one, empty ones left out."""
    parts = shapely.get_parts(shapes[~shapely.is_empty(shapes)])
    nested = shapely.get_type_id(parts) == GeometryType.GEOMETRYCOLLECTION
    while nested.any():
        parts = shapely.get_parts(parts)
        nested = shapely.get_type_id(parts) == GeometryType.GEOMETRYCOLLECTION
    return parts[shapely.get_type_id(parts) == GeometryType.POLYGON]


def solid(shapes: Shapes) -> bool:
    """Whether polygons `(n,)` are more than slivers: a disc of `_SLIVER_M` fits into one of them somewhere."""
    if not len(shapes):
        return False
    # Area over perimeter is a lower bound of the radius of the greatest disc in a shape without holes: most are told apart by that.
    plain = shapely.get_num_interior_rings(shapes) == 0
    if (shapely.area(shapes) > 2 * _SLIVER_M * shapely.length(shapes))[plain].any():
        return True
    return not shapely.is_empty(shapely.buffer(shapes, -_SLIVER_M)).all()
