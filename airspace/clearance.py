"""Clearance (空域判定): may this volume of air be flown in, and every reason for the answer.

Unknown airspace is never clear: what no zone declares suitable and no permit covers is UNKNOWN, however empty it looks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

import shapely
from shapely.geometry.base import BaseGeometry

from airspace.reasons import Reason
from airspace.zones import LEGAL_CEILING_M, Flag, Outline, Part, Permit, Volume, Zone, ZoneKind, in_metres, padded, polygons
from geo.frames import Frame, LonLat, metric_frame
from geo.heights import Datum, Height
from geo.times import LOCAL_ZONE, Span, utc

_SLIVER_M = 0.02  # parts thinner than twice this come from rounding between degrees and metres, not from the world
_HOLDS = timedelta(
    hours=24
)  # Art. 20: zones for events are announced 24 h before; within them only emergencies can change the answer


class Verdict(StrEnum):
    """The answer, from best to worst."""

    CLEAR = "clear"
    PERMIT_NEEDED = "permit_needed"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"


_ORDER = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of zone means for a volume that enters it; `permit_helps` says whether a permit lifts it."""

    verdict: Verdict
    permit_helps: bool
    article: str
    zh: str
    en: str


RULES: dict[ZoneKind, Rule] = {
    ZoneKind.CONTROLLED: Rule(
        Verdict.PERMIT_NEEDED,
        True,
        "第十九条、第二十六条",
        "进入管制空域“{0}”，须经批准",
        "enters controlled airspace {0}: approval needed",
    ),
    ZoneKind.RESTRICTED: Rule(
        Verdict.BLOCKED, True, "第十九条", "进入空中限制区“{0}”，未获批准", "enters restricted area {0} without approval"
    ),
    ZoneKind.TEMPORARY: Rule(
        Verdict.BLOCKED, True, "第二十条", "进入临时管制空域“{0}”，未获批准", "enters temporary zone {0} without approval"
    ),
    ZoneKind.PROHIBITED: Rule(
        Verdict.BLOCKED, False, "第十九条", "进入空中禁区“{0}”，禁止飞行", "enters prohibited area {0}: no flight"
    ),
}

FLAG_WORDS: dict[Flag, tuple[str, str]] = {
    Flag.RELAY: ("通过通信基站或互联网中继飞行", "relay through a mobile network or the internet"),
    Flag.DROP: ("运载危险品或投放物品", "carrying dangerous goods or dropping objects"),
    Flag.CROWD: ("飞越集会人群上空", "flying over a crowd"),
    Flag.MOVING: ("在移动的交通工具上操控", "controlling from a moving vehicle"),
    Flag.SWARM: ("分布式操作或集群飞行", "distributed or swarm flight"),
}


@dataclass(frozen=True, slots=True)
class Clearance:
    """Verdict with every reason.

    `valid_until`: the answer must be asked for anew from then on. `apply_by`: last instant for an ordinary application (Art. 26),
    None when none is needed. `data_version` names the zones and permits that were looked at.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    zone_ids: tuple[str, ...]
    valid_until: datetime
    data_version: str
    checked_at: datetime
    apply_by: datetime | None = None

    @property
    def granted(self) -> bool:
        """Whether the flight may take place as far as the air is concerned."""
        return self.verdict is Verdict.CLEAR


@dataclass(frozen=True, slots=True)
class _Near:
    """A part of a zone, or a permit, near the volume: its limits over the ground, its outline in metres, buffer included."""

    of: Zone | Permit
    part: Part
    outline: Outline


def clear(
    volume: Volume, zones: Sequence[Zone], permits: Sequence[Permit] = (), *, at: datetime, flags: Collection[Flag] = ()
) -> Clearance:
    """The verdict on one volume as seen at the instant `at`; sums are done in the metric frame of the volume's middle."""
    centre = volume.outline.centroid
    frame = metric_frame(LonLat(lon_deg=centre.x, lat_deg=centre.y))
    air = in_metres(volume.outline, frame)
    near_zones = [n for z in zones for p in z.parts if (n := _near(z, p, volume, frame, z.buffer_m)) is not None]
    near_permits = [n for p in permits if (n := _near(p, Part(p.outline, p.floor, p.ceiling), volume, frame, 0.0)) is not None]

    found: list[tuple[Verdict, Reason]] = []
    if volume.span.end <= utc(at):
        found.append((Verdict.BLOCKED, Reason("past", "飞行时段已过", "the time of the flight is over")))
    found += _zone_reasons(volume, air, near_zones, near_permits)
    found += _cover_reasons(volume, air, near_zones, near_permits)
    found += _flag_reasons(volume, air, near_permits, flags)

    verdict = max((v for v, _ in found), key=_ORDER.index, default=Verdict.CLEAR)
    apply_by = None
    if any(v is Verdict.PERMIT_NEEDED for v, _ in found):
        apply_by = cut_off(volume.span.start)
        found += _late(at, apply_by)
    if verdict is Verdict.CLEAR:
        found.append(
            (
                verdict,
                Reason(
                    "clear",
                    "全部处于适飞空域或批准范围内",
                    "all of it lies in suitable airspace or within a permit",
                    "第三十一条",
                ),
            )
        )
    return Clearance(
        verdict,
        tuple(reason for _, reason in found),
        tuple(dict.fromkeys(n.of.id for n in near_zones)),
        min(volume.span.end, utc(at) + _HOLDS),
        data_version(zones, permits),
        utc(at),
        apply_by,
    )


def cut_off(start: datetime) -> datetime:
    """Art. 26: applications come in before 12:00 local time on the day before the flight."""
    day_before = start.astimezone(LOCAL_ZONE).date() - timedelta(days=1)
    return utc(datetime.combine(day_before, time(12), LOCAL_ZONE))


def data_version(zones: Sequence[Zone], permits: Sequence[Permit]) -> str:
    """A short name for exactly these zones and permits: ids, versions and bounds, hashed."""
    digest = hashlib.sha256()
    for zone in sorted(zones, key=lambda z: z.id):
        when = (zone.spans, zone.windows, zone.valid_from, zone.valid_until)
        parts = [(p.outline.bounds, p.outline.area, p.floor, p.ceiling) for p in zone.parts]
        digest.update(f"{zone.id}|{zone.version}|{zone.kind}|{zone.buffer_m}|{parts}|{when}\n".encode())
    for permit in sorted(permits, key=lambda p: p.id):
        digest.update(f"{permit.id}|{permit.number}|{permit.span}|{permit.outline.bounds}\n".encode())
    return f"{len(zones)}z{len(permits)}p-{digest.hexdigest()[:12]}"


def _near(of: Zone | Permit, part: Part, volume: Volume, frame: Frame, buffer_m: float) -> _Near | None:
    """What of a part is near the volume; None for one that is elsewhere, above, below or at another time."""
    west, south, east, north = bounds = padded(volume.outline.bounds, buffer_m + 200.0)
    w, s, e, n = part.outline.bounds
    if e < west or w > east or n < south or s > north:
        return None
    there = part.over_ground(closed=isinstance(of, Zone) and of.kind is not ZoneKind.SUITABLE)
    if there is None or there.ceiling <= volume.floor or volume.ceiling <= there.floor:
        return None
    if not (of.active(volume.span) if isinstance(of, Zone) else of.span.overlaps(volume.span)):
        return None
    outline = in_metres(part.outline, frame, bounds)
    if outline.is_empty:
        return None
    return _Near(of, there, polygons(outline.buffer(buffer_m)) if buffer_m else outline)


def _zone_reasons(
    volume: Volume, air: Outline, zones: Sequence[_Near], permits: Sequence[_Near]
) -> Iterator[tuple[Verdict, Reason]]:
    for near in zones:
        zone = near.of
        if (
            not isinstance(zone, Zone)
            or zone.kind is ZoneKind.SUITABLE
            or not _solid(inside := polygons(air.intersection(near.outline)))
        ):
            continue
        rule = RULES[zone.kind]
        low = max(near.part.floor.metres, volume.floor.metres)
        high = min(near.part.ceiling.metres, volume.ceiling.metres)
        slab = Volume(volume.outline, Height(low, Datum.GROUND), Height(high, Datum.GROUND), volume.span)
        if rule.permit_helps and not _solid(_open_part(inside, slab, permits)):
            continue
        yield rule.verdict, Reason(zone.kind, rule.zh.format(zone.name), rule.en.format(zone.name), rule.article, zone.id)


def _cover_reasons(
    volume: Volume, air: Outline, zones: Sequence[_Near], permits: Sequence[_Near]
) -> Iterator[tuple[Verdict, Reason]]:
    """What is above the legal height without a permit, and what nobody has declared."""
    suitable = [n for n in zones if isinstance(n.of, Zone) and n.of.kind is ZoneKind.SUITABLE]
    told = [n for n in zones if isinstance(n.of, Zone) and n.of.kind is not ZoneKind.SUITABLE]
    too_high, unknown_m2 = False, 0.0
    for slab in _slabs(volume, [*suitable, *told, *permits]):
        left = _open_part(air, slab, permits)
        if slab.floor.metres >= LEGAL_CEILING_M:
            too_high = too_high or _solid(left)
            continue
        left = _open_part(left, slab, [*suitable, *told])
        if _solid(left):
            unknown_m2 = max(unknown_m2, left.area)
    if too_high:
        yield (
            Verdict.PERMIT_NEEDED,
            Reason(
                "height",
                f"真高 {volume.ceiling.metres:g} 米超过 {LEGAL_CEILING_M:g} 米，属管制空域，须经批准",
                f"true height {volume.ceiling.metres:g} m is above {LEGAL_CEILING_M:g} m: controlled airspace, approval needed",
                "第十九条",
            ),
        )
    if unknown_m2:
        share = 100.0 * unknown_m2 / air.area
        yield (
            Verdict.UNKNOWN,
            Reason(
                "unknown",
                f"有 {unknown_m2:,.0f} 平方米（{share:.1f}%）未划为适飞空域，性质不明即不可飞；请导入主管部门公布的空域数据",
                f"{unknown_m2:,.0f} m2 ({share:.1f} %) lie in no zone declared suitable; unknown is never clear: "
                "load the zones published by the authority",
                "第十九条",
            ),
        )


def _flag_reasons(
    volume: Volume, air: Outline, permits: Sequence[_Near], flags: Collection[Flag]
) -> Iterator[tuple[Verdict, Reason]]:
    for flag in sorted(set(flags)):
        naming = [n for n in permits if isinstance(n.of, Permit) and flag in n.of.flags]
        if _solid(_open_part(air, volume, naming)):
            zh, en = FLAG_WORDS[flag]
            yield (
                Verdict.PERMIT_NEEDED,
                Reason(f"flag_{flag}", f"{zh}，须提出飞行活动申请", f"{en}: an application is needed", "第三十一条"),
            )


def _late(at: datetime, apply_by: datetime) -> Iterator[tuple[Verdict, Reason]]:
    if utc(at) > apply_by:
        local = apply_by.astimezone(LOCAL_ZONE)
        yield (
            Verdict.PERMIT_NEEDED,
            Reason(
                "too_late",
                f"一般申请应于 {local:%Y-%m-%d %H:%M} 前提出，现已逾期；仅应急任务可按第二十九条申请",
                f"ordinary applications closed at {local:%Y-%m-%d %H:%M} local time; only emergencies may still apply (Art. 29)",
                "第二十六条、第二十九条",
            ),
        )


def _slabs(volume: Volume, covers: Sequence[_Near]) -> Iterator[Volume]:
    """The volume cut wherever a cover begins or ends in height or time, so that each piece is covered wholly or not at all."""
    levels = {volume.floor.metres, volume.ceiling.metres, LEGAL_CEILING_M}
    instants = {utc(volume.span.start), utc(volume.span.end)}
    for near in covers:
        levels |= {near.part.floor.metres, near.part.ceiling.metres}
        for span in near.of.times(volume.span) if isinstance(near.of, Zone) else (near.of.span,):
            instants |= {utc(span.start), utc(span.end)}
    heights = sorted(v for v in levels if volume.floor.metres <= v <= volume.ceiling.metres)
    times = sorted(t for t in instants if volume.span.start <= t <= volume.span.end)
    for low, high in pairwise(heights):
        for start, end in pairwise(times):
            yield Volume(volume.outline, Height(low, Datum.GROUND), Height(high, Datum.GROUND), Span(start, end))


def _open_part(part: Outline, slab: Volume, covers: Sequence[_Near]) -> Outline:
    """What no cover holds over the slab's whole height and time."""
    full = [
        n.outline for n in covers if n.part.floor <= slab.floor and slab.ceiling <= n.part.ceiling and n.of.holds_all(slab.span)
    ]
    return polygons(part.difference(shapely.union_all(full))) if full else polygons(part)


def _solid(part: BaseGeometry) -> bool:
    shape = polygons(part)
    return not shape.is_empty and not shape.buffer(-_SLIVER_M).is_empty
