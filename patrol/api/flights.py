"""Routes of the flight desk and of the fire team: calendar, missions, the live fleet, recon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from flight.calendar import Miss, Placement, Plan
from flight.errors import FlightError
from flight.fleet import Aircraft
from flight.formats.shelf import FORMATS
from geo.frames import LonLat
from patrol import audit, records, repositories
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import ReconLead, Viewer, Work, workplace_of
from patrol.fleetwatch import FleetWatch, Sighting
from patrol.pipeline import checking, planning, recon
from patrol.pipeline.zonehits import DOWNLOAD
from patrol.values import load

router = APIRouter(prefix="/api", tags=["flight"])
LIVE_S = 0.2  # five positions a second to the browser


def _watch(request: Request) -> FleetWatch:
    watch: FleetWatch = request.app.state.watch
    return watch


def _sorties(request: Request) -> recon.Sorties:
    state = request.app.state
    if not hasattr(state, "sorties"):
        state.sorties = recon.Sorties(workplace_of(request), state.watch)
    made: recon.Sorties = state.sorties
    return made


@router.get("/calendar", operation_id="calendar")
def calendar(work: Work, _: Viewer) -> list[wire.CalendarEntry]:
    """The newest plan, day by day, with what could not be placed and why."""
    with work.database.read() as session:
        row = repositories.plans.row
        plans = repositories.plans.where(session, order=(row.made_at.desc(),), limit=1)  # type: ignore[attr-defined]
        if not plans:
            return []
        names = {a.id: a.name for a in repositories.areas.where(session)}
        missions = {(m.area_id, m.fly_on): m.id for m in repositories.missions.where(session)}
        plan = load(Plan, dict(plans[0].record))
    placed = [_placed(p, names, missions) for p in plan.placements]
    return sorted([*placed, *(_missed(m, names) for m in plan.misses)], key=lambda e: (e.day, e.area_id))


def _placed(p: Placement, names: dict[Any, str], missions: dict[Any, str]) -> wire.CalendarEntry:
    said = wire.Text2(zh="；".join(r.zh for r in p.reasons), en="; ".join(r.en for r in p.reasons))
    return wire.CalendarEntry(
        day=p.day,
        area_id=p.area_id,
        area_name=names.get(p.area_id, p.area_id),
        kind="patrol" if p.whole_area else "recheck",
        aircraft_id=p.aircraft_ids[0] if p.aircraft_ids else None,
        placed=True,
        reason=said,
        mission_id=missions.get((p.area_id, p.day)),
    )


def _missed(m: Miss, names: dict[Any, str]) -> wire.CalendarEntry:
    return wire.CalendarEntry(
        day=m.due,
        area_id=m.area_id,
        area_name=names.get(m.area_id, m.area_id),
        kind="recheck" if m.demand_id else "patrol",
        aircraft_id=None,
        placed=False,
        reason=wire.Text2(zh=m.reason.zh, en=m.reason.en),
        mission_id=None,
    )


@router.get("/missions", operation_id="list_missions")
def list_missions(work: Work, _: Viewer, area: str | None = None) -> list[wire.MissionOut]:
    """Missions, the newest first."""
    with work.database.read() as session:
        row = repositories.missions.row
        found = repositories.missions.where(session, order=(row.made_at.desc(),), limit=500)  # type: ignore[attr-defined]
        fleet = {str(a.id): a for a in repositories.aircraft.where(session)}
    return [_mission(m, fleet.get(m.aircraft_id or "")) for m in found if area is None or m.area_id == area]


def _mission(m: records.MissionRecord, aircraft: Aircraft | None) -> wire.MissionOut:
    kind = {"survey": "patrol"}.get(m.kind, m.kind)
    return wire.MissionOut(
        id=m.id,
        name=m.name,
        area_id=m.area_id,
        kind=cast(Literal["patrol", "recheck", "recon"], kind),
        day=m.fly_on,
        sha256=m.sha256,
        items=m.record["items"],
        photos=m.record.get("photos", 0),
        length_m=m.record["length_m"],
        duration_s=m.record["duration_s"],
        path=wire.Geometry(type="LineString", coordinates=m.record["path"]),
        clearance=_clearance(m.record["clearance"]),
        flown=m.state == "flown",
        forms=list(planning.forms(aircraft)),
    )


def _clearance(given: dict[str, Any]) -> wire.ClearanceOut:
    return wire.ClearanceOut(
        verdict=given["verdict"],
        granted=given["verdict"] == "clear",
        reasons=[
            wire.Reason(code=r["code"], text=wire.Text2(zh=r["zh"], en=r["en"]), article=r["article"] or None)
            for r in given["reasons"]
        ],
        data_version=given["data_version"],
    )


@router.get("/missions/{mission_id}/{form}", operation_id="download_mission", response_class=Response)
def download_mission(
    mission_id: str, form: Literal["plan", "waypoints", "kmz", "kml", "geojson", "csv"], work: Work, user: Viewer
) -> Response:
    """The exact mission as a file: QGroundControl's .plan, .waypoints (QGC WPL 110), DJI's .kmz, KML, GeoJSON or CSV."""
    with work.database.read() as session:
        mission = repositories.missions.get(session, mission_id)
    try:
        checking.may_leave(work, mission.id, by=user.id, form=form)
        data = planning.mission_file(work, mission, form)
    except checking.CheckRefused as err:
        zh, _, en = str(err).partition(" / ")
        raise rim.Problem(409, "airspace", zh, en) from err
    except FlightError as err:
        raise rim.Problem(409, "no_file", f"无法给出该文件：{err}", f"This file cannot be given: {err}") from err
    with work.database.write() as session:  # a change of zones must find the files that have left the house
        audit.append(session, user.id, DOWNLOAD, f"mission:{mission.id}", at=work.clock.now(), details={"form": form})
    name = f"mission-{mission.sha256[:12]}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=FORMATS[form].media_type, headers=headers)


def _aircraft(s: Sighting) -> wire.AircraftOut:
    state = s.state
    known = state is not None and state.position_good
    return wire.AircraftOut(
        id=s.aircraft.id,
        name=s.aircraft.name,
        home=(s.aircraft.home.lon_deg, s.aircraft.home.lat_deg),
        state=cast(Any, s.activity),
        place=(state.place.lon_deg, state.place.lat_deg) if state is not None and known else None,
        height_m=round(state.height.metres, 2) if state is not None and known else None,
        yaw_deg=round(state.yaw_deg, 1) if state is not None else None,
        speed_m_s=round(state.speed_m_s, 2) if state is not None else None,
        battery=state.battery if state is not None else None,
        mode=state.mode if state is not None else None,
        mission_name=s.mission_name,
        link_fresh=state is not None and state.link_fresh,
        at=state.at if state is not None else None,
    )


@router.get("/aircraft", operation_id="list_aircraft")
def list_aircraft(_: Viewer, watch: FleetWatch = Depends(_watch)) -> list[wire.AircraftOut]:
    """The fleet now."""
    return [_aircraft(s) for s in watch.sightings()]


@router.get("/live", operation_id="live", response_class=StreamingResponse)
async def live(request: Request, _: Viewer, watch: FleetWatch = Depends(_watch)) -> StreamingResponse:
    """The fleet as server-sent events, five times a second: each event is the JSON list of `AircraftOut`."""

    async def events() -> AsyncIterator[str]:
        while not await request.is_disconnected() and not watch.ended:
            seen = await asyncio.to_thread(watch.sightings)
            body = json.dumps([_aircraft(s).model_dump(mode="json") for s in seen], ensure_ascii=False)
            yield f"data: {body}\n\n"
            await asyncio.sleep(LIVE_S)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.post("/recon", operation_id="plan_recon")
def plan_recon(body: wire.ReconIn, work: Work, user: ReconLead, watch: FleetWatch = Depends(_watch)) -> wire.ReconOut:
    """A tap on the map: planned, checked, uploaded and read back; nothing moves before the confirmation."""
    asked = work.clock.now()
    point = LonLat(lon_deg=body.lon, lat_deg=body.lat)
    done = recon.plan(work, watch, point, radius_m=body.radius_m, height_m=body.height_m, by=user.id)
    if not isinstance(done, recon.Refused):
        return _recon(work, watch, done)
    reasons = [wire.Reason(code=r.code, text=wire.Text2(zh=r.zh, en=r.en), article=r.article or None) for r in done.reasons]
    nowhere = wire.ClearanceOut(verdict="unknown", granted=False, reasons=[], data_version="")
    return wire.ReconOut(
        id="",
        state="refused",
        point=(body.lon, body.lat),
        aircraft=None,
        mission=None,
        clearance=_clearance(done.clearance) if done.clearance else nowhere,
        reasons=reasons,
        asked_at=asked,
        ready_at=None,
        photos=0,
    )


def _recon(work: Any, watch: FleetWatch, m: records.MissionRecord) -> wire.ReconOut:
    seen = next((s for s in watch.sightings() if s.aircraft.id == m.aircraft_id), None)
    with work.database.read() as session:
        row = repositories.flights.row
        flights = repositories.flights.where(session, row.mission_id == m.id)  # type: ignore[attr-defined]
    error = m.record.get("error")
    said = [wire.Reason(code="flight", text=wire.Text2(zh=error, en=error))] if error else []
    return wire.ReconOut(
        id=m.id,
        state=cast(Any, recon.STATES.get(m.state, "failed")),
        point=tuple(m.record["point"]),
        aircraft=_aircraft(seen) if seen else None,
        mission=_mission(m, seen.aircraft if seen else None),
        clearance=_clearance(m.record["clearance"]),
        reasons=said,
        asked_at=m.made_at,
        ready_at=recon.ready_at(m),
        photos=sum(f.photos for f in flights),
    )


@router.get("/recon/{recon_id}", operation_id="get_recon")
def get_recon(recon_id: str, work: Work, _: Viewer, watch: FleetWatch = Depends(_watch)) -> wire.ReconOut:
    """A recon sortie as it stands."""
    with work.database.read() as session:
        return _recon(work, watch, repositories.missions.get(session, recon_id))


@router.post("/recon/{recon_id}/confirm", operation_id="confirm_recon")
def confirm_recon(
    recon_id: str,
    work: Work,
    user: ReconLead,
    watch: FleetWatch = Depends(_watch),
    sorties: recon.Sorties = Depends(_sorties),
) -> wire.ReconOut:
    """A human says go."""
    return _recon(work, watch, sorties.confirm(recon_id, by=user.id))


@router.post("/recon/{recon_id}/abort", operation_id="abort_recon")
def abort_recon(
    recon_id: str,
    work: Work,
    user: ReconLead,
    watch: FleetWatch = Depends(_watch),
    sorties: recon.Sorties = Depends(_sorties),
) -> wire.ReconOut:
    """Break off and come home."""
    return _recon(work, watch, sorties.abort(recon_id, by=user.id))
