"""The fire team's flight: a point on the map to an orbit that is checked, uploaded and verified; a human says go; then it flies.

The budget is two seconds from the request to a verified plan on the vehicle, and under three more to the take-off command.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shapely.geometry import LineString, MultiPolygon, Polygon

from airspace.permitted import permitted_outline
from airspace.reasons import Reason
from flight import recon
from flight.errors import FlightError, PlanningError
from flight.fleet import Aircraft
from flight.link import VehicleState
from geo.frames import Frame, LonLat, metric_frame
from geo.heights import Datum, Height
from geo.times import Span, local_day
from patrol import audit, records, repositories
from patrol.fleetwatch import FleetWatch
from patrol.pipeline import flying
from patrol.pipeline.planning import HOURS, MARGIN_M, REACH_M, air, keep_mission, load_mission
from patrol.values import dump
from patrol.wiring import Workplace

log = logging.getLogger(__name__)
STATES = {
    "planned": "ready",
    "flying": "flying",
    "flown": "done",
    "failed": "failed",
    "cancelled": "aborted",
    "refused": "refused",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A recon that cannot be flown: every reason, and the verdict of the airspace where it was asked."""

    reasons: tuple[Reason, ...]
    clearance: dict[str, Any] | None = None


def plan(
    work: Workplace, watch: FleetWatch, point: LonLat, *, radius_m: float, height_m: float, by: str
) -> records.MissionRecord | Refused:
    """An orbit around a point for the nearest idle vehicle, kept, uploaded and read back. Nothing moves before `confirm`."""
    seen = {s.aircraft.id: s for s in watch.sightings()}
    states: dict[Any, VehicleState] = {i: s.state for i, s in seen.items() if s.state is not None and s.mission_name is None}
    nearest = recon.nearest_idle(states, point)
    if nearest.aircraft_id is None:
        said = tuple(reason for _, reason in nearest.passed_over)
        none = Reason("no_vehicle", "没有空闲且在线的无人机", "no vehicle is idle and in reach of its link")
        return Refused((none, *said))
    aircraft = replace(seen[nearest.aircraft_id].aircraft, home=states[nearest.aircraft_id].place)
    frame, now = metric_frame(point), work.clock.now()
    span = Span(now, now + HOURS)
    permitted = _permitted(work, frame, point, aircraft, radius_m, height_m, span)
    try:
        mission = recon.orbit(
            point,
            home=aircraft.home,
            radius_m=radius_m,
            height=Height(height_m, Datum.GROUND),
            aircraft=aircraft,
            permitted=permitted,
            frame=frame,
            name=f"recon-{now:%Y%m%d-%H%M%S}",
        )
    except PlanningError as err:
        return Refused((Reason("no_way", f"无法规划：{err}", str(err)),))
    details = {"point": [point.lon_deg, point.lat_deg], "radius_m": radius_m, "height_m": height_m, "notes": list(mission.notes)}
    record = keep_mission(work, mission, aircraft, kind="recon", by=by, day=local_day(now), span=span, details=details)
    if record.record["clearance"]["verdict"] != "clear":
        _state(work, record, "refused")
        reasons = tuple(
            Reason(**{k: r[k] for k in ("code", "zh", "en", "article")}) for r in record.record["clearance"]["reasons"]
        )
        return Refused(reasons, dict(record.record["clearance"]))
    link = watch.link(aircraft.id)
    if link is None:
        return Refused((Reason("link_gone", "与无人机的链路刚刚中断", "the link to the vehicle has just gone"),))
    try:
        link.upload(mission)  # reads back and compares
    except FlightError as err:
        _state(work, record, "failed")
        return Refused((Reason("upload", f"任务上传失败：{err}", f"the upload failed: {err}"),))
    ready = replace(record, record={**record.record, "ready_at": work.clock.now().isoformat()})
    with work.database.write() as session:
        return repositories.missions.put(session, ready)


def _permitted(
    work: Workplace, frame: Frame, point: LonLat, aircraft: Aircraft, radius_m: float, height_m: float, span: Span
) -> Polygon | MultiPolygon:
    zones, permits = air(work)
    a, b = frame.xy(point), frame.xy(aircraft.home)
    wish = LineString([(a.x_m, a.y_m), (b.x_m + 0.1, b.y_m)]).buffer(REACH_M + radius_m)
    ceiling = Height(height_m + MARGIN_M, Datum.GROUND)
    return permitted_outline(frame.to_degrees(wish), zones, permits, ceiling=ceiling, span=span, margin_m=MARGIN_M, frame=frame)


class Sorties:
    """The recon flights under way in this process, one thread each."""

    def __init__(self, work: Workplace, watch: FleetWatch) -> None:
        self._work, self._watch = work, watch
        self._aborts: dict[str, str] = {}
        self._lock = threading.Lock()

    def confirm(self, mission_id: str, *, by: str) -> records.MissionRecord:
        """A human says go: the flight begins in a thread. Raises FlightError when it is not ready or the vehicle is gone."""
        with self._work.database.read() as session:
            record = repositories.missions.get(session, mission_id)
        if record.kind != "recon" or record.state != "planned":
            raise FlightError(f"recon {record.name} is {STATES.get(record.state, record.state)}: plan it again")
        link = self._watch.link(record.aircraft_id or "")
        if link is None:
            raise FlightError(f"recon {record.name}: the link to {record.aircraft_id} is gone; wait for it or plan again")
        load_mission(self._work, record)
        with self._work.database.write() as session:
            audit.append(session, by, "recon.confirm", f"mission:{mission_id}", at=self._work.clock.now())
            flying_now = repositories.missions.put(session, replace(record, state="flying"))
        threading.Thread(target=self._fly, args=(record, by), name=f"recon-{mission_id[:6]}", daemon=True).start()
        return flying_now

    def abort(self, mission_id: str, *, by: str) -> records.MissionRecord:
        """Break off: a flying vehicle is sent home, a planned sortie is dropped."""
        with self._lock:
            self._aborts[mission_id] = by
        with self._work.database.write() as session:
            record = repositories.missions.get(session, mission_id)
            audit.append(session, by, "recon.abort", f"mission:{mission_id}", at=self._work.clock.now())
            if record.state == "planned":
                record = repositories.missions.put(session, replace(record, state="cancelled"))
        return record

    def _fly(self, record: records.MissionRecord, by: str) -> None:
        link = self._watch.link(record.aircraft_id or "")

        def abort() -> str | None:
            with self._lock:
                who = self._aborts.get(record.id)
            return f"aborted by {who}" if who else None

        try:
            with self._watch.engaged(record.aircraft_id or "", record.name):
                flying.fly(self._work, record.id, by=by, link=link, abort=abort)
        except FlightError as err:
            log.warning("recon %s: %s", record.name, err)
            with self._work.database.write() as session:
                there = repositories.missions.get(session, record.id)
                failed = replace(there, state="failed", record={**there.record, "error": str(err)})
                repositories.missions.put(session, failed)


def _state(work: Workplace, record: records.MissionRecord, state: str) -> None:
    with work.database.write() as session:
        repositories.missions.put(session, replace(record, state=state))


def ready_at(record: records.MissionRecord) -> datetime | None:
    """When the plan stood verified on the vehicle."""
    said = record.record.get("ready_at")
    return datetime.fromisoformat(said) if said else None


def reasons_of(record: records.MissionRecord) -> Sequence[dict[str, Any]]:
    """The airspace's reasons kept with a mission."""
    found: Sequence[dict[str, Any]] = dump(record.record["clearance"])["reasons"]
    return found
