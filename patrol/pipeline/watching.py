"""Pipelines under watch (第三方施工): the corridors over an area, what they say of candidates, and how that is kept with a finding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from shapely.ops import unary_union
from sqlalchemy.orm import Session

from change_detect import soil
from change_detect.align import SurveyPair
from change_detect.candidate import Candidate
from change_detect.corridor import INNER_M, OUTER_M, Alert, Corridor, watch, work_of
from change_detect.register import EntryKind
from geo.area import Area
from geo.progress import Progress, silent
from patrol import registry
from patrol.records import RegisterEntry, Watch
from patrol.wiring import Workplace


def corridors_of(session: Session, area: Area) -> tuple[Corridor, ...]:
    """The corridors in force that touch an area, in its metric frame; `ref` is the store's id of the entry."""
    return tuple(_corridor(area, e) for e in registry.in_force(session, area.outline.bounds) if e.kind == EntryKind.CORRIDOR)


def _corridor(area: Area, e: RegisterEntry) -> Corridor:
    assert e.axis is not None
    return Corridor(
        e.number,
        area.frame.to_metres(e.axis),
        e.inner_m or INNER_M,
        e.outer_m or OUTER_M,
        e.start_m or 0.0,
        e.name,
        e.holder,
        e.contact,
        e.valid_from,
        e.valid_to,
        e.id,
    )


def alerts(
    session: Session, area: Area, candidates: Sequence[Candidate], on: date, pair: SurveyPair | None = None
) -> tuple[Alert | None, ...]:
    """What the corridors of an area say of candidates seen on a day; `pair` to measure depths and volumes."""
    corridors = corridors_of(session, area)
    return watch(candidates, corridors, on, pair) if corridors else (None,) * len(candidates)


def laid_bare(
    work: Workplace, area: Area, pair: SurveyPair, found: Sequence[Candidate], progress: Progress = silent
) -> tuple[Candidate, ...]:
    """Bare ground that colours show within the area's corridors, where heights show nothing: a shallow trench, a strip cleared to dig."""
    with work.database.read() as session:
        corridors = [c for c in corridors_of(session, area) if c.holds_on(pair.after.taken_on)]
    if not corridors:
        return ()
    within = unary_union([c.axis.buffer(c.outer_m) for c in corridors])
    known = [c.outline for c in found if work_of(c) is not None]
    return tuple(
        c
        for c in soil.earthworks(pair, within=within, limits=soil.SoilLimits(least_width_m=2.5), progress=progress)
        if (c.suppressed is None or c.suppressed.startswith((soil.BARE, soil.WEAK)))
        and sum(k.intersection(c.outline).area for k in known if k.intersects(c.outline)) < 0.3 * c.area_m2
    )


def kept(alert: Alert) -> Watch:
    """An alert as it is stored with a label."""
    return Watch(
        work=alert.work.value,
        band=alert.band.value,
        distance_m=round(alert.distance_m, 2),
        from_m=round(alert.from_m, 1),
        to_m=round(alert.to_m, 1),
        urgency=alert.urgency,
        depth_m=None if alert.depth_m is None else round(alert.depth_m, 2),
        volume_m3=None if alert.volume_m3 is None else round(alert.volume_m3, 1),
    )
