"""Plans for the fleet: the 30-day calendar, and the missions of one area on one day with their files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from shapely.geometry import MultiPolygon, Polygon, shape

from airspace.clearance import Clearance, clear
from airspace.index import Airspace
from airspace.papers import Purpose
from airspace.permitted import permitted_outline
from airspace.zones import Flag, Permit, Volume, Zone, ZoneKind, polygons
from flight import calendar, coverage, models, sorties
from flight.errors import PlanningError
from flight.fleet import Aircraft, Autopilot
from flight.formats import plan as plan_format
from flight.formats import waypoints as waypoints_format
from flight.formats.shelf import FORMATS, Wanted
from flight.mission import Mission, survey_mission
from flight.preflight import time_s
from flight.routes import Airway
from flight.volumes import clear_mission, length_m, operating_outline
from geo.area import Area, AreaId
from geo.frames import metric_frame
from geo.heights import Datum, Height
from geo.times import LOCAL_ZONE, Span, utc
from patrol import airspaces, audit, leave, records, repositories, rules
from patrol.values import dump
from patrol.wiring import Workplace

MARGIN_M = 10.0  # kept from every edge of airspace: real track errors reach 1.4 m, gusts more
REACH_M = 250.0  # how far round an area a flight may look for its way
FLY_AT = time(11, 0)  # local: the sun stands highest, and each cycle flies at the same clock time
HOURS = timedelta(hours=3)
MAKE_UP_WITHIN = timedelta(days=7)  # later the ground around the gap is another one


def flying_span(day: date) -> Span:
    """The window in which an area is flown on a day: the same clock time each cycle, so that shadows fall alike."""
    start = datetime.combine(day, FLY_AT, LOCAL_ZONE)
    return Span(utc(start), utc(start + HOURS))


def air(work: Workplace) -> tuple[tuple[Zone, ...], tuple[Permit, ...]]:
    """All zones in force and all permits."""
    with work.database.read() as session:
        return airspaces.in_force(session, holidays=rules.holidays(work.settings)), repositories.permits.where(session)


def plan_missions(
    work: Workplace,
    area: Area,
    aircraft: Aircraft,
    day: date,
    *,
    by: str,
    kind: str = "survey",
    overlap_forward: float = 0.8,
    overlap_side: float = 0.7,
    plan_id: str | None = None,
    completes: records.SurveyRecord | None = None,
    seek_leave: bool = False,
) -> tuple[records.MissionRecord, ...]:
    """The missions that cover an area on a day, checked against airspace and kept with their files.

    The line grid belongs to the area, so every cycle takes its photos from the same stations. With a survey that it `completes` only
    those are flown that show the survey's gap. With `seek_leave` controlled and restricted air counts as open, so that there is a mission to
    apply with; it is kept as needing leave, and nobody flies it without. Raises PlanningError when nothing may be flown, with the reasons of the airspace.
    """
    gap = gap_of(area, completes) if completes is not None else None
    zones, permits = air(work)
    span, height = flying_span(day), coverage.flying_height(area, aircraft.camera)
    ceiling = Height(height.metres + MARGIN_M, Datum.GROUND)
    permitted = permitted_outline(
        operating_outline(area, (aircraft.home,), REACH_M),
        _as_if_granted(zones) if seek_leave else zones,
        permits,
        ceiling=ceiling,
        span=span,
        margin_m=MARGIN_M,
        frame=area.frame,
    )
    if permitted.is_empty or permitted.intersection(area.outline_m).is_empty:
        raise PlanningError(f"area {area.name} cannot be flown: {_why(area, zones, permits, ceiling, span, work)}")
    lines = coverage.lines(
        area, aircraft.camera, permitted=permitted, overlap_forward=overlap_forward, overlap_side=overlap_side, within=gap
    )
    airway, made = Airway(permitted), []
    for sortie in sorties.split(lines, aircraft, aircraft.home, airway=airway, frame=area.frame):
        name = f"{area.name}-{day:%Y%m%d}-{'gap-' if completes else ''}{sortie.number}of{sortie.of}"
        mission = survey_mission(sortie, name=name, airway=airway)
        details = {"photos": sortie.photos, "height_m": height.metres, "completes": completes.id if completes else None}
        made.append(
            keep_mission(
                work, mission, aircraft, kind=kind, by=by, day=day, area_id=area.id, plan_id=plan_id, span=span, details=details
            )
        )
    return tuple(made)


def _as_if_granted(zones: Sequence[Zone]) -> tuple[Zone, ...]:
    """Zones as they would be with every approval: what an authority may open is open, temporary and prohibited zones stay."""
    opens = {ZoneKind.CONTROLLED, ZoneKind.RESTRICTED}
    return tuple(replace(z, kind=ZoneKind.SUITABLE, buffer_m=0.0) if z.kind in opens else z for z in zones)


def gap_of(area: Area, survey: records.SurveyRecord) -> Polygon | MultiPolygon:
    """What a survey lacks, in metres of the area's frame; raises PlanningError for one of another area or without a gap."""
    if survey.area_id != area.id:
        raise PlanningError(f"survey {survey.id} is not of area {area.name}")
    given = survey.quality.get("gap")
    if not given:
        raise PlanningError(f"survey {survey.id} has no gap to fly again: fly the whole area, or nothing")
    return polygons(area.frame.to_metres(shape(given)))


def gap_demands(
    refused: Sequence[records.SurveyRecord], last: Mapping[str, date], areas: Sequence[Area], start: date
) -> tuple[calendar.Demand, ...]:
    """A make-up flight for each refused survey with a gap that no later survey has made good; `last` are the accepted ones by area.

    One battery over the middle of a small gap is enough; a gap of more than a third of the area asks for the whole of it.
    """
    by_id, made = {a.id: a for a in areas}, {}
    for survey in sorted(refused, key=lambda s: (s.taken_on, s.made_at)):
        area = by_id.get(AreaId(survey.area_id))
        if area is None or not survey.quality.get("gap") or last.get(survey.area_id, date.min) >= survey.taken_on:
            continue
        gap = gap_of(area, survey)
        middle = gap.representative_point()
        place = area.frame.lonlat(middle.x, middle.y) if gap.area <= area.area_m2 / 3 else None
        why = f"补飞 {survey.taken_on} 的缺口 make-up flight over the gap of {survey.id}, {gap.area:.0f} m²"
        # the newest refusal of an area speaks for the older ones
        made[area.id] = calendar.Demand(f"gap:{survey.id}", area.id, start, start + MAKE_UP_WITHIN, why, place)
    return tuple(made.values())


def _why(area: Area, zones: Sequence[Zone], permits: Sequence[Permit], ceiling: Height, span: Span, work: Workplace) -> str:
    verdict = clear(Volume(area.outline, Height(0, Datum.GROUND), ceiling, span), zones, permits, at=work.clock.now())
    return "; ".join(f"{r.zh} ({r.en})" for r in verdict.reasons) or "no suitable airspace is left after the margins"


def mission_clearance(
    work: Workplace,
    mission: Mission,
    span: Span,
    aircraft: Aircraft | None = None,
    *,
    flags: Collection[Flag] = (),
    purpose: Purpose = Purpose.PATROL,
    data: Airspace | None = None,
) -> Clearance:
    """The worst verdict over every leg that a mission flies, with every reason; the papers are those that the store has."""
    with work.database.read() as session:
        operator = leave.operator(session)
    zones = data or Airspace(*air(work))
    papers = aircraft.papers if aircraft is not None else None
    said = (papers, None, operator, purpose, flags)
    return clear_mission(mission, zones, (), *said, frame=metric_frame(mission.home), span=span, at=work.clock.now())


def keep_mission(
    work: Workplace,
    mission: Mission,
    aircraft: Aircraft,
    *,
    kind: str,
    by: str,
    day: date,
    span: Span,
    area_id: str | None = None,
    plan_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> records.MissionRecord:
    """A mission into the store with its .plan and .waypoints files and its clearance."""
    verdict = mission_clearance(work, mission, span, aircraft)
    record = records.MissionRecord(
        id=repositories.new_id(),
        kind=kind,
        name=mission.name,
        sha256=mission.sha256,
        made_at=work.clock.now(),
        area_id=area_id,
        plan_id=plan_id,
        aircraft_id=aircraft.id,
        plan_blob=work.blobs.put(plan_format.write(mission).encode()).sha256,
        waypoints_blob=work.blobs.put(waypoints_format.write(mission).encode()).sha256,
        fly_on=day,
        record={
            **(details or {}),
            "items": len(mission.items),
            "length_m": length_m(mission, metric_frame(mission.home)),
            "duration_s": time_s(mission),
            "notes": list(mission.notes),
            "path": [[p.lon_deg, p.lat_deg] for p in mission.path],
            "clearance": dump(verdict),
        },
    )
    with work.database.write() as session:
        repositories.missions.add(session, record)
        told = {"name": mission.name, "sha256": mission.sha256, "verdict": verdict.verdict}
        audit.append(session, by, "mission.plan", f"mission:{record.id}", at=record.made_at, details=told)
    return record


def load_mission(work: Workplace, record: records.MissionRecord) -> Mission:
    """The exact items of a kept mission, read back from its file and held against its hash."""
    if record.plan_blob is None:
        raise PlanningError(f"mission {record.name} has no file: plan it again")
    mission = plan_format.read(work.blobs.read(record.plan_blob).decode())
    if mission.sha256 != record.sha256:
        raise PlanningError(
            f"mission {record.name}: the kept file is not the mission that was planned (hash differs); plan it again"
        )
    return mission


def forms(aircraft: Aircraft | None) -> tuple[str, ...]:
    """The suffixes of the files that a mission of an aircraft can be given as; DJI's for a model of DJI only."""
    flies_dji = aircraft is not None and aircraft.model and models.model(aircraft.model).dji is not None
    return tuple(suffix for suffix in FORMATS if suffix != "kmz" or flies_dji)


def mission_file(work: Workplace, record: records.MissionRecord, suffix: str) -> bytes:
    """A kept mission as a file: what was written when it was planned, or written now from the same items; raises FormatError."""
    kept = {"plan": record.plan_blob, "waypoints": record.waypoints_blob}.get(suffix)
    if kept is not None:
        return work.blobs.read(kept)
    with work.database.read() as session:
        aircraft = repositories.aircraft.find(session, record.aircraft_id) if record.aircraft_id else None
    model = models.model(aircraft.model) if aircraft is not None and aircraft.model else None
    wanted = Wanted(aircraft.autopilot if aircraft is not None else Autopilot.ARDUPILOT, model, record.made_at)
    return FORMATS[suffix].write(load_mission(work, record), wanted)


def plan_month(work: Workplace, start: date, *, by: str, days: int = 30) -> records.PlanRecord:
    """The calendar of the next days: which area, which day, and why; what cannot be placed says why not."""
    with work.database.read() as session:
        areas = repositories.areas.where(session)
        fleet = repositories.aircraft.where(session)
        last = repositories.last_accepted(session)
        demands = tuple(
            calendar.Demand(o.id, AreaId(o.area_id), o.not_before, o.not_after, f"复核 recheck of case {o.case_id}", o.place)
            for o in repositories.open_rechecks(session)
        )
        refused = repositories.surveys.where(session, repositories.surveys.row.accepted.is_(False))  # type: ignore[attr-defined]
    demands += gap_demands(refused, last, areas, start)
    plan = calendar.schedule(areas, {AreaId(k): v for k, v in last.items()}, demands, fleet, start, days=days)
    record = records.PlanRecord(repositories.new_id(), start, days, work.clock.now(), by, dump(plan))
    with work.database.write() as session:
        repositories.plans.add(session, record)
        audit.append(session, by, "plan.make", f"plan:{record.id}", at=record.made_at, details={"start": start, "days": days})
    return record
