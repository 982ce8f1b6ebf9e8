"""Commands of the air: `patrol plan`, `fly`, `recon`, `aircraft`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from patrol import terminal
from patrol.commands.shell import BY, Json, day_of, opened
from patrol.terminal import complain, say, table

aircraft_app = typer.Typer(help="无人机 aircraft", no_args_is_help=True)


def plan(
    area: Annotated[str | None, typer.Argument(help="id of the area; without it the calendar of the next 30 days")] = None,
    aircraft: Annotated[str | None, typer.Option(help="id of the aircraft; default: the first of the fleet")] = None,
    day: Annotated[str | None, typer.Option("--date")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the .plan and .waypoints files")] = None,
    gap: Annotated[str | None, typer.Option(help="id of a survey: only its gap is flown again")] = None,
    seek_leave: Annotated[
        bool, typer.Option("--seek-leave", help="plan through controlled and restricted air too, to apply with")
    ] = False,
    json_: Json = False,
) -> None:
    """The 30-day calendar, or the missions of one area on one day with their files."""
    from flight.calendar import Plan
    from flight.errors import PlanningError
    from patrol import audit, repositories
    from patrol.pipeline import checking, planning
    from patrol.pipeline.zonehits import DOWNLOAD
    from patrol.values import load

    with opened() as work:
        if area is None:
            made = load(Plan, dict(planning.plan_month(work, day_of(day), by=BY).record))
            rows: list[Any] = [(p.day, p.area_id, "✓", "；".join(r.zh for r in p.reasons)) for p in made.placements]
            rows += [(m.due, m.area_id, "✗", m.reason.zh) for m in made.misses]
            say(made, as_json=json_, table=table("30天巡航计划 calendar", ("day", "area", "", "why"), sorted(rows, key=str)))
            return
        with work.database.read() as session:
            ground = repositories.areas.get(session, area)
            fleet = repositories.aircraft.where(session)
            completes = repositories.surveys.get(session, gap) if gap else None
        chosen = next((a for a in fleet if aircraft in (None, a.id)), None)
        if chosen is None:
            raise PlanningError("no such aircraft: add one with `patrol aircraft add`")
        missions = planning.plan_missions(work, ground, chosen, day_of(day), by=BY, completes=completes, seek_leave=seek_leave)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for m in missions:
                checking.may_leave(work, m.id, by=BY, form="files")
                for suffix in planning.forms(chosen):
                    (out / f"{m.name}.{suffix}").write_bytes(planning.mission_file(work, m, suffix))
            with work.database.write() as session:
                for m in missions:
                    audit.append(session, BY, DOWNLOAD, f"mission:{m.id}", at=work.clock.now(), details={"form": "files"})
    rows = [
        (m.id, m.name, m.record["items"], m.record["photos"], f"{m.record['duration_s']:.0f}", m.record["clearance"]["verdict"])
        for m in missions
    ]
    say(missions, as_json=json_, table=table("飞行任务 missions", ("id", "name", "items", "photos", "s", "airspace"), rows))


def fly(mission: Annotated[str, typer.Argument(help="id of a planned mission")], json_: Json = False) -> None:
    """Fly a planned mission with its aircraft: preflight, upload, read back, follow to the landing, keep the log."""
    from patrol.pipeline import flying

    with opened() as work, terminal.bar(json_) as progress:
        flight, log = flying.fly(work, mission, by=BY, progress=progress)
    said = f"{log.mission_name}: {log.outcome.ending} {log.outcome.reason}, {flight.photos} photos, flight {flight.id}"
    say({"flight": flight.id, "outcome": log.outcome, "photos": flight.photos}, as_json=json_, table=said)
    if not log.outcome.completed:
        raise typer.Exit(terminal.REFUSED)


def recon(
    lon: float,
    lat: float,
    radius_m: Annotated[float, typer.Option()] = 30.0,
    height_m: Annotated[float, typer.Option()] = 40.0,
    yes: Annotated[bool, typer.Option("--yes", help="fly without asking (a human has said go)")] = False,
    json_: Json = False,
) -> None:
    """An orbit around a point with the nearest idle vehicle; asks before it flies."""
    from geo.frames import LonLat
    from patrol.fleetwatch import FleetWatch
    from patrol.pipeline import flying
    from patrol.pipeline import recon as use

    with opened() as work:
        watch = FleetWatch(work)
        watch.start()
        try:
            watch.wait(10.0)
            done = use.plan(work, watch, LonLat(lon_deg=lon, lat_deg=lat), radius_m=radius_m, height_m=height_m, by=BY)
            if isinstance(done, use.Refused):
                say({"refused": True, "reasons": done.reasons}, as_json=json_)
                raise typer.Exit(complain("；".join(f"{r.zh} ({r.en})" for r in done.reasons)))
            terminal.err.print(f"{done.name}: {done.aircraft_id}, {done.record['duration_s']:.0f} s, {done.sha256[:12]}")
            if not yes and not typer.confirm("起飞 fly?", err=True):
                raise typer.Exit(terminal.REFUSED)
            link = watch.link(done.aircraft_id or "")
            with terminal.bar(json_) as progress:
                flight, log = flying.fly(work, done.id, by=BY, link=link, progress=progress)
        finally:
            watch.stop()
    say({"flight": flight.id, "outcome": log.outcome, "photos": flight.photos}, as_json=json_, table=f"{log.outcome.ending}")


@aircraft_app.command("add")
def aircraft_add(
    id: str,
    name: str,
    link: Annotated[str, typer.Option(help="MAVLink address: tcp:host:port, udpin:0.0.0.0:14550, a serial device")],
    home: Annotated[str, typer.Option(help="LON,LAT of its take-off place")],
    model: Annotated[str, typer.Option(help="a model of the table (dji_m3e …): its camera and, for DJI, its numbers")] = "",
    picture_px: Annotated[str, typer.Option(help="picture size in pixels, of a camera that is not in the table")] = "4000x3000",
    focal_35mm: Annotated[float, typer.Option(help="35 mm equivalent focal length of such a camera")] = 24.0,
    cruise_m_s: Annotated[float, typer.Option()] = 8.0,
    endurance_s: Annotated[float, typer.Option()] = 1500.0,
    reserve: Annotated[float, typer.Option(help="part of the battery no plan may use")] = 0.25,
    json_: Json = False,
) -> None:
    """Put an aircraft into the fleet."""
    from flight.fleet import Aircraft, AircraftId
    from flight.models import model as of_table
    from geo.camera import Camera
    from geo.frames import LonLat
    from patrol import repositories

    known = of_table(model) if model else None
    try:
        lon, lat = (float(v) for v in home.split(","))
        width, height = (int(v) for v in picture_px.split("x"))
    except ValueError as err:
        raise typer.BadParameter("write --home 120.56,32.39 and --picture-px 4000x3000") from err
    made = Aircraft(
        AircraftId(id),
        name,
        known.camera if known else Camera.of_fov(width, height, focal_35mm),
        cruise_m_s,
        endurance_s,
        reserve,
        link,
        LonLat(lon_deg=lon, lat_deg=lat),
        photo_interval_s=known.photo_interval_s if known else 0.7,
        model=model,
    )
    with opened() as work, work.database.write() as session:
        repositories.aircraft.put(session, made)
    say(made, as_json=json_, table=f"{name} ({id}): {link}")
