"""What a change of zones touches of what is planned: missions with their files, sorties of the calendar, areas under watch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry
from sqlalchemy import select
from sqlalchemy.orm import Session

from airspace.differences import Change
from airspace.zones import LEGAL_CEILING_M
from flight.calendar import Plan
from geo.times import Clock, local_day
from patrol import repositories
from patrol.tables import AuditRow, MissionRow, PlanRow
from patrol.values import load

DOWNLOAD = "mission.download"
"""The act under which the audit keeps that a mission's file was handed out."""
_OPEN = ("planned", "confirmed", "flying")
_MARGIN_M = 20.0  # a flight's own width and height, and what planning keeps from zones


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that a change touches. `exported` when its file has left the house; `zones` are names of the changed zones."""

    what: str  # mission, sortie, area
    id: str
    name: str
    zones: tuple[str, ...]
    day: date | None = None
    exported: bool = False


def hits(session: Session, changes: Sequence[Change], clock: Clock) -> tuple[Hit, ...]:
    """Everything that is still to be flown and touches the ground of a change, before or after it; missions first."""
    if not changes:
        return ()
    today = local_day(clock.now())
    touched = _Touched(changes)
    found: list[Hit] = []
    out = {
        s.removeprefix("mission:")
        for s in session.scalars(select(AuditRow.subject).where(AuditRow.action == DOWNLOAD).distinct())
    }
    for mission in repositories.missions.where(session, MissionRow.state.in_(_OPEN), order=(MissionRow.fly_on, MissionRow.name)):
        path = mission.record.get("path") or []
        if not path or (mission.fly_on is not None and mission.fly_on < today):
            continue
        line = LineString(path) if len(path) > 1 else Point(path[0])
        names = touched.by(line, float(mission.record.get("height_m") or LEGAL_CEILING_M))
        if names:
            found.append(Hit("mission", mission.id, mission.name, names, mission.fly_on, mission.id in out))
    areas = {area.id: (area, touched.by(area.outline, LEGAL_CEILING_M)) for area in repositories.areas.where(session)}
    plans = repositories.plans.where(session, order=(PlanRow.made_at.desc(),), limit=1)
    for placed in load(Plan, dict(plans[0].record)).placements if plans else ():
        area, names = areas.get(placed.area_id, (None, ()))
        if area is not None and names and placed.day >= today:
            found.append(Hit("sortie", f"{placed.area_id}@{placed.day}", area.name, names, placed.day))
    found += [Hit("area", area.id, area.name, names) for area, names in areas.values() if names]
    return tuple(found)


class _Touched:
    """The ground of changes, before and after, by tree; each with the lowest height at which it means anything."""

    def __init__(self, changes: Sequence[Change]) -> None:
        shapes: list[BaseGeometry] = []
        self._names: list[str] = []
        self._floors: list[float] = []
        for change in changes:
            for zone in (change.before, change.after):
                for part in zone.parts if zone is not None else ():
                    over = part.over_ground(closed=True)
                    if zone is None or over is None:
                        continue
                    shapes.append(_wider(part.outline, zone.buffer_m + _MARGIN_M))
                    self._names.append(zone.name)
                    self._floors.append(over.floor.metres)
        self._tree = shapely.STRtree(np.array(shapes, dtype=object))

    def by(self, shape: BaseGeometry, top_m: float) -> tuple[str, ...]:
        """Names of the changes that touch a shape flown up to a height."""
        found = sorted(int(i) for i in self._tree.query(shape, predicate="intersects"))
        return tuple(dict.fromkeys(self._names[i] for i in found if self._floors[i] <= top_m + _MARGIN_M))


def _wider(outline: BaseGeometry, metres: float) -> BaseGeometry:
    """An outline grown by at least so much, in degrees."""
    lat = min(85.0, max(abs(outline.bounds[1]), abs(outline.bounds[3])))
    return outline.buffer(metres / (111_195.0 * math.cos(math.radians(lat))), quad_segs=4)
