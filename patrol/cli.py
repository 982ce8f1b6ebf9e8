"""The command line: `patrol …`. Every command opens the workplace, calls one use case, and says what came of it."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from patrol import keeping, lawful, terminal
from patrol.settings import Settings
from patrol.terminal import complain, say, table

app = typer.Typer(help="空中巡查 Drone Patrol", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
area_app = typer.Typer(help="巡查单元 areas", no_args_is_help=True)
zone_app = typer.Typer(help="空域 zones", no_args_is_help=True)
case_app = typer.Typer(help="案件 cases", no_args_is_help=True)
finding_app = typer.Typer(help="线索 findings", no_args_is_help=True)
user_app = typer.Typer(help="账号 accounts", no_args_is_help=True)
for name, part in (("area", area_app), ("zone", zone_app), ("case", case_app), ("finding", finding_app), ("user", user_app)):
    app.add_typer(part, name=name)
app.add_typer(finding_app, name="findings", hidden=True)  # said either way
app.add_typer(keeping.export_app, name="export")
app.add_typer(keeping.mask_app, name="mask")
app.add_typer(lawful.register_app, name="register")
finding_app.command("export")(keeping.export_findings)
app.command("retention")(keeping.retention)
app.command("catalogue")(keeping.catalogue)

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Lossless = Annotated[
    bool, typer.Option("--lossless", help="keep every pixel of the orthophoto as it is; the file is several times larger")
]
BY = "cli"


@contextmanager
def _work() -> Iterator[Any]:
    from patrol.wiring import workplace

    with workplace(Settings()) as work:
        yield work


def _actor() -> Any:
    """The command line acts with every role of an office: whoever holds the shell holds the store."""
    from dispatch.actor import Actor, Role

    return Actor(BY, os.environ.get("USER", BY), frozenset(Role) - {Role.SYSTEM})


def _day(said: str | None) -> date:
    from geo.times import SystemClock, local_day

    if said is None:
        return local_day(SystemClock().now())
    try:
        return date.fromisoformat(said)
    except ValueError as err:
        raise typer.BadParameter(f"{said!r} is not a day; write 2026-11-23") from err


@app.command()
def init(
    admin: Annotated[str, typer.Option(help="login of the first administrator")] = "admin",
    password: Annotated[
        str | None, typer.Option(envvar="PATROL_ADMIN_PASSWORD", help="its password; made and shown once if absent")
    ] = None,
    json_: Json = False,
) -> None:
    """Make the store (or bring it up to date) and the first administrator."""
    from patrol import auth, database
    from patrol.wiring import workplace

    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    database.upgrade(settings.database)
    with workplace(settings) as work, work.database.write() as session:
        if auth.users(session):
            say({"home": settings.home, "made": False}, as_json=json_, table=f"数据已就绪 ready: {settings.home}")
            return
        user, chosen = auth.first_admin(session, work.clock, login=admin, password=password)
    shown = chosen if password is None else None
    text = f"数据已建立 store made: {settings.home}\n管理员 administrator: [bold]{user.login}[/bold]"
    if shown:
        text += f"\n密码 password (shown once, 仅显示一次): [bold]{shown}[/bold]"
    say({"home": settings.home, "made": True, "login": user.login, "password": shown}, as_json=json_, table=text)


@user_app.command("add")
def user_add(
    login: str,
    name: str,
    role: Annotated[list[str], typer.Option(help="reviewer, dispatcher, officer, town_lead, pilot, fire_commander, …")],
    password: Annotated[str | None, typer.Option(envvar="PATROL_USER_PASSWORD")] = None,
    json_: Json = False,
) -> None:
    """Make an account."""
    import secrets

    from dispatch.actor import Role
    from patrol import auth

    try:
        roles = frozenset(Role(r) for r in role)
    except ValueError as err:
        raise typer.BadParameter(f"{err}; one of {', '.join(Role)}") from err
    chosen = password or secrets.token_urlsafe(12)
    with _work() as work, work.database.write() as session:
        user = auth.add_user(session, login, name, roles, chosen, by=BY, clock=work.clock)
    shown = None if password else chosen
    say({"id": user.id, "login": login, "password": shown}, as_json=json_, table=f"{login}: {shown or '—'}")


@area_app.command("import")
def area_import(
    file: Path, gsd_m: Annotated[float | None, typer.Option(help="cell of the area's grid in metres")] = None, json_: Json = False
) -> None:
    """Areas of a GeoJSON, GeoPackage, KML or Shapefile."""
    from patrol.pipeline import areas

    with _work() as work:
        found = areas.import_areas(work, file, by=BY, gsd_m=gsd_m)
    rows = [(a.id, a.name, a.tier, a.revisit_days, f"{a.area_m2 / 1e4:.2f}", f"EPSG:{a.epsg}") for a in found]
    say(found, as_json=json_, table=table("巡查单元 areas", ("id", "名称 name", "tier", "days", "ha", "frame"), rows))


@area_app.command("list")
def area_list(json_: Json = False) -> None:
    """All areas and their last accepted survey."""
    from patrol import repositories

    with _work() as work, work.database.read() as session:
        found = repositories.areas.where(session)
        last = repositories.last_accepted(session)
    rows = [(a.id, a.name, a.tier, a.revisit_days, last.get(a.id)) for a in found]
    say(found, as_json=json_, table=table("巡查单元 areas", ("id", "名称 name", "tier", "days", "last survey"), rows))


@zone_app.command("import")
def zone_import(file: Path, json_: Json = False) -> None:
    """Zones of a GeoJSON file."""
    from patrol.pipeline import areas

    with _work() as work:
        found = areas.import_zones(work, file, by=BY)
    rows = [(z.id, z.name, z.kind, z.floor.metres, z.ceiling.metres, z.version) for z in found]
    say(found, as_json=json_, table=table("空域 zones", ("id", "name", "kind", "floor m", "ceiling m", "version"), rows))


@app.command()
def ingest(
    photos: Annotated[str, typer.Argument(help="folder of photos of one flight or day, or s3://bucket/prefix?endpoint=…")],
    area: Annotated[str, typer.Option(help="id of the area")],
    day: Annotated[str | None, typer.Option("--date", help="day the photos were taken, 2026-11-23")] = None,
    control: Annotated[
        Path | None, typer.Option(help="ground control: gcp_list.txt, CSV or GeoJSON; default: the photos' own")
    ] = None,
    check: Annotated[list[str] | None, typer.Option(help="name of a point that only measures; may be repeated")] = None,
    completes: Annotated[str | None, typer.Option(help="id of a survey whose gap these photos fill")] = None,
    flight: Annotated[str | None, typer.Option(help="id of the flight that took them: its log knows their places")] = None,
    use: Annotated[
        list[str] | None, typer.Option(help="what screening may not set aside: a reason (blur), height_drift, or a photo's name")
    ] = None,
    lossless: Lossless = False,
    json_: Json = False,
) -> None:
    """Photos to a survey, registered into the area's reference."""
    from patrol.pipeline import surveying

    with _work() as work, terminal.bar(json_) as progress, work.photos(photos, progress) as folder:
        done = surveying.ingest(
            work,
            folder,
            area,
            _day(day),
            by=BY,
            flight_id=flight,
            use=use or (),
            control=control,
            checks=check or (),
            completes=completes,
            compression="lossless" if lossless else "jpeg",
            progress=progress,
        )
    for note in done.notes:
        terminal.err.print(f"[yellow]![/yellow] {note.text}", highlight=False)
    _say_survey(done.survey, done.left_out, json_)


@app.command()
def upload(
    photos: Annotated[Path, typer.Argument(help="folder of photos of one flight or day")],
    area: Annotated[str, typer.Option(help="id of the area")],
    url: Annotated[str, typer.Option(help="address of the server, https://patrol.example.cn")],
    day: Annotated[str | None, typer.Option("--date", help="day the photos were taken, 2026-11-23")] = None,
    flight: Annotated[str | None, typer.Option(help="id of the flight that took them")] = None,
    login: Annotated[str, typer.Option(envvar="PATROL_LOGIN", prompt=True, help="your login on the server")] = "",
    password: Annotated[str, typer.Option(envvar="PATROL_PASSWORD", prompt=True, hide_input=True, help="your password")] = "",
    finish: Annotated[bool, typer.Option(help="start the ingest when all is there")] = True,
    lossless: Lossless = False,
    wait: Annotated[bool, typer.Option("--wait", help="wait for the survey and say its quality")] = False,
    json_: Json = False,
) -> None:
    """Send photos to a server. Run it again after an interruption: what is there is not sent again."""
    from patrol import sender

    server = sender.Server(url, login, password)
    with terminal.bar(json_) as progress:
        done = sender.send_folder(
            server, photos, area, _day(day), flight_id=flight, finish=finish, lossless=lossless, progress=progress
        )
        told = sender.follow(server, done.upload["id"], progress) if wait and finish else done.upload
    for name, why in done.refused:
        terminal.err.print(f"[yellow]—[/yellow] {name}: {why}", highlight=False, markup=True)
    size, speed = done.size_bytes / 1e6, done.size_bytes / 1e6 / max(done.seconds, 1e-3)
    said = (
        f"已上传 sent: {done.files} 个文件 files, {size:.1f} MB, {done.seconds:.0f} s ({speed:.1f} MB/s)；"
        f"其中服务器已有 already there: {done.there}；未接收 not taken: {len(done.refused)}"
    )
    say({"upload": told, "refused": done.refused, "there": done.there, "seconds": done.seconds}, as_json=json_, table=said)
    job = told["job"]
    if wait and job is not None and job["state"] != "done":
        raise typer.Exit(complain(f"{job['error'] or job['state']}"))


@app.command()
def nudge(
    survey: Annotated[str, typer.Argument(help="id of the survey")],
    reason: Annotated[str, typer.Option(help="why it is moved; kept with the survey")],
    east: Annotated[float, typer.Option(help="metres to the east")] = 0.0,
    south: Annotated[float, typer.Option(help="metres to the south")] = 0.0,
    up: Annotated[float, typer.Option(help="metres up")] = 0.0,
    undo: Annotated[bool, typer.Option("--undo", help="take the last move back")] = False,
    json_: Json = False,
) -> None:
    """Move a survey that lies beside its reference; written anew from what was built, and reversible."""
    from imagery.nudging import Nudge
    from patrol.pipeline import nudging

    with _work() as work, terminal.bar(json_) as progress:
        step = None if undo else Nudge(east, -south, up)
        done = nudging.nudge(work, survey, step, reason, user=BY, progress=progress)
    _say_survey(done, (), json_)


@app.command("ingest-ortho")
def ingest_ortho(
    ortho: Annotated[Path, typer.Argument(help="finished orthophoto of any program, georeferenced or not")],
    area: Annotated[str, typer.Option(help="id of the area")],
    day: Annotated[str | None, typer.Option("--date")] = None,
    surface: Annotated[Path | None, typer.Option(help="surface model beside it")] = None,
    gsd_m: Annotated[float | None, typer.Option(help="metres per pixel, where the file does not say")] = None,
    lossless: Lossless = False,
    json_: Json = False,
) -> None:
    """A finished orthophoto to a survey, registered to the area's reference."""
    from patrol.pipeline import surveying

    with _work() as work, terminal.bar(json_) as progress:
        done = surveying.adopt(
            work,
            ortho,
            area,
            _day(day),
            by=BY,
            surface=surface,
            gsd_m=gsd_m,
            compression="lossless" if lossless else "jpeg",
            progress=progress,
        )
    _say_survey(done, (), json_)


def _say_survey(survey: Any, left_out: tuple[tuple[str, str], ...], json_: bool) -> None:
    from imagery.reasons import read_all

    q = survey.quality
    rows = [(name, q.get(name)) for name in q if name not in ("reasons", "control")]
    for point in (q.get("control") or {}).get("points", ()):
        off = [point["east_m"], point["north_m"], point["up_m"]]
        metres = ", ".join("—" if v is None else f"{v:+.2f}" for v in off)
        px = "—" if point["px"] is None else f"{point['px']:.1f}"
        rows.append((f"{point['role']} {point['name']}", f"{metres} m · {px} px · {point['marks']}"))
    made = table(f"成果 survey {survey.id}", ("质量 quality", ""), rows)
    for name, why in left_out:
        terminal.err.print(f"[yellow]—[/yellow] {name}: {why}", highlight=False)
    if left_out:
        hint = "误筛的照片可用 --use 照片名 恢复使用。 A photo that was set aside by mistake is used with --use NAME."
        terminal.err.print(hint, highlight=False, style="dim")
    say({"survey": survey.id, "accepted": survey.accepted, "quality": q, "left_out": left_out}, as_json=json_, table=made)
    if not survey.accepted:
        for reason in read_all(q["reasons"]):
            complain(reason.text)
        raise typer.Exit(terminal.REFUSED)


@app.command()
def compare(
    area: Annotated[str, typer.Argument(help="id of the area")],
    before: Annotated[str | None, typer.Option(help="survey id; default: the one before the last")] = None,
    after: Annotated[str | None, typer.Option(help="survey id; default: the last")] = None,
    json_: Json = False,
) -> None:
    """Compare two surveys of an area; what changed becomes findings."""
    from patrol import repositories
    from patrol.pipeline import comparing

    with _work() as work, terminal.bar(json_) as progress:
        done = comparing.compare(work, area, before, after, by=BY, progress=progress)
        with work.database.read() as session:
            found = repositories.candidates_of(session, done.id)
    rows = [
        (
            c.kind,
            f"{c.area_m2:.1f}",
            "" if c.height_m is None else f"{c.height_m:+.2f}",
            f"{c.score:.2f}",
            c.suppressed or "；".join(c.reasons[:1]),
        )
        for c in sorted(found, key=lambda c: (c.suppressed is not None, -c.score))
    ]
    made = table(f"前后两期 {done.id}", ("类型 kind", "m²", "Δh m", "score", "理由 reason"), rows)
    say({"comparison": done.id, "record": done.record, "candidates": found}, as_json=json_, table=made)


@finding_app.command("list")
def finding_list(
    area: Annotated[str | None, typer.Option()] = None, state: Annotated[str | None, typer.Option()] = None, json_: Json = False
) -> None:
    """Findings, the surest first."""
    from patrol import repositories

    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    with _work() as work, work.database.read() as session:
        found, _ = repositories.search_findings(session, wanted, limit=1000)
    rows = [
        (f.number, f.id, f.state, f.kind, f"{f.area_m2:.1f}", f.height_m and f"{f.height_m:+.2f}", f"{f.score:.2f}")
        for f in found
    ]
    say(found, as_json=json_, table=table("线索 findings", ("number", "id", "state", "kind", "m²", "Δh", "score"), rows))


@finding_app.command("decide")
def finding_decide(finding: str, decision: str, note: Annotated[str, typer.Option()] = "", json_: Json = False) -> None:
    """A reviewer's word: confirm, reject, restore or needs_imagery."""
    from patrol.pipeline import casework

    if decision not in casework.DECISIONS:
        raise typer.BadParameter(f"{decision!r} is none of {', '.join(casework.DECISIONS)}")
    with _work() as work:
        _said(casework.decide(work, finding, decision, note, _actor()), json_)


@case_app.command("list")
def case_list(
    area: Annotated[str | None, typer.Option()] = None, state: Annotated[str | None, typer.Option()] = None, json_: Json = False
) -> None:
    """Cases, the most urgent first."""
    from patrol import repositories

    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    with _work() as work, work.database.read() as session:
        found, _ = repositories.search_cases(session, wanted, limit=1000)
    rows = [(c.number, c.id, c.state, c.assignee, c.due_at, c.close_reason) for c in found]
    say(found, as_json=json_, table=table("案件 cases", ("number", "id", "state", "assignee", "due", "outcome"), rows))


@case_app.command("show")
def case_show(case: str, json_: Json = False) -> None:
    """A case, its history and its lawful next acts."""
    from dispatch import workflow
    from patrol import repositories

    with _work() as work:
        with work.database.read() as session:
            found = repositories.cases.get(session, case)
            history = repositories.history(session, "case", case)
        offers = workflow.offers(found, _actor(), work.clock, office=work.office)
    rows = [(f"{e.at:%Y-%m-%d %H:%M}", e.by_name, e.act, e.after, e.note) for e in history]
    acts = [{"act": o.act, "needs": o.needs, "refusal": o.refusal.text("zh") if o.refusal else None} for o in offers]
    made = table(f"案件 {found.number}  {found.state}", ("at", "by", "act", "state", "note"), rows)
    say({"case": found, "history": history, "acts": acts}, as_json=json_, table=made)
    if not json_:
        terminal.out.print("可办 next: " + "  ".join(f"{o.act}({', '.join(o.needs)})" for o in offers if o.refusal is None))


@case_app.command("act")
def case_act(
    case: str,
    act: Annotated[str, typer.Argument(help="dispatch, accept, verify, handle, recheck, close, …")],
    note: Annotated[str, typer.Option()] = "",
    fact: Annotated[list[str] | None, typer.Option(help="name=value, e.g. verdict=illegal_built, officers=张三,李四")] = None,
    json_: Json = False,
) -> None:
    """One act on a case; a refusal names the article of law and what is missing."""
    from patrol.pipeline import casework

    given: dict[str, Any] = {}
    for item in fact or []:
        name, found, value = item.partition("=")
        if not found:
            raise typer.BadParameter(f"{item!r}: write name=value")
        given[name] = value
    with _work() as work:
        _said(casework.act(work, case, act, note, given, _actor()), json_)


def _said(done: Any, json_: bool) -> None:
    from dispatch.refusal import Refusal

    if isinstance(done, Refusal):
        say({"refused": True, "reasons": [r.text("zh") for r in done.reasons]}, as_json=json_)
        raise typer.Exit(complain(done.text("zh")))
    say(done, as_json=json_, table=f"{done.number}: {done.state}")


@app.command()
def plan(
    area: Annotated[str | None, typer.Argument(help="id of the area; without it the calendar of the next 30 days")] = None,
    aircraft: Annotated[str | None, typer.Option(help="id of the aircraft; default: the first of the fleet")] = None,
    day: Annotated[str | None, typer.Option("--date")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the .plan and .waypoints files")] = None,
    gap: Annotated[str | None, typer.Option(help="id of a survey: only its gap is flown again")] = None,
    json_: Json = False,
) -> None:
    """The 30-day calendar, or the missions of one area on one day with their files."""
    from flight.calendar import Plan
    from flight.errors import PlanningError
    from patrol import repositories
    from patrol.pipeline import planning
    from patrol.values import load

    with _work() as work:
        if area is None:
            made = load(Plan, dict(planning.plan_month(work, _day(day), by=BY).record))
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
        missions = planning.plan_missions(work, ground, chosen, _day(day), by=BY, completes=completes)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for m in missions:
                for blob, suffix in ((m.plan_blob, "plan"), (m.waypoints_blob, "waypoints")):
                    (out / f"{m.name}.{suffix}").write_bytes(work.blobs.read(str(blob)))
    rows = [
        (m.id, m.name, m.record["items"], m.record["photos"], f"{m.record['duration_s']:.0f}", m.record["clearance"]["verdict"])
        for m in missions
    ]
    say(missions, as_json=json_, table=table("飞行任务 missions", ("id", "name", "items", "photos", "s", "airspace"), rows))


@app.command()
def fly(mission: Annotated[str, typer.Argument(help="id of a planned mission")], json_: Json = False) -> None:
    """Fly a planned mission with its aircraft: preflight, upload, read back, follow to the landing, keep the log."""
    from patrol.pipeline import flying

    with _work() as work, terminal.bar(json_) as progress:
        flight, log = flying.fly(work, mission, by=BY, progress=progress)
    said = f"{log.mission_name}: {log.outcome.ending} {log.outcome.reason}, {flight.photos} photos, flight {flight.id}"
    say({"flight": flight.id, "outcome": log.outcome, "photos": flight.photos}, as_json=json_, table=said)
    if not log.outcome.completed:
        raise typer.Exit(terminal.REFUSED)


@app.command()
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

    with _work() as work:
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


aircraft_app = typer.Typer(help="无人机 aircraft", no_args_is_help=True)
app.add_typer(aircraft_app, name="aircraft")


@aircraft_app.command("add")
def aircraft_add(
    id: str,
    name: str,
    link: Annotated[str, typer.Option(help="MAVLink address: tcp:host:port, udpin:0.0.0.0:14550, a serial device")],
    home: Annotated[str, typer.Option(help="LON,LAT of its take-off place")],
    picture_px: Annotated[str, typer.Option(help="picture size in pixels")] = "4000x3000",
    focal_35mm: Annotated[float, typer.Option(help="35 mm equivalent focal length")] = 24.0,
    cruise_m_s: Annotated[float, typer.Option()] = 8.0,
    endurance_s: Annotated[float, typer.Option()] = 1500.0,
    reserve: Annotated[float, typer.Option(help="part of the battery no plan may use")] = 0.25,
    json_: Json = False,
) -> None:
    """Put an aircraft into the fleet."""
    from flight.fleet import Aircraft, AircraftId
    from geo.camera import Camera
    from geo.frames import LonLat
    from patrol import repositories

    try:
        lon, lat = (float(v) for v in home.split(","))
        width, height = (int(v) for v in picture_px.split("x"))
    except ValueError as err:
        raise typer.BadParameter("write --home 120.56,32.39 and --picture-px 4000x3000") from err
    made = Aircraft(
        AircraftId(id),
        name,
        Camera.of_fov(width, height, focal_35mm),
        cruise_m_s,
        endurance_s,
        reserve,
        link,
        LonLat(lon_deg=lon, lat_deg=lat),
    )
    with _work() as work, work.database.write() as session:
        repositories.aircraft.put(session, made)
    say(made, as_json=json_, table=f"{name} ({id}): {link}")


@app.command()
def demo(
    real: Annotated[
        tuple[Path, Path] | None, typer.Option(help="two folders of photos, BEFORE AFTER, instead of the simulation")
    ] = None,
    home: Annotated[Path, typer.Option(help="folder of the demo's own store")] = Path("demo-data"),
    seed: Annotated[int, typer.Option(help="which town")] = 7,
    serve_: Annotated[bool, typer.Option("--serve/--no-serve", help="leave the page running")] = True,
    port: Annotated[int, typer.Option()] = 8000,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what was measured to this file")] = None,
) -> None:
    """A simulated month from the plan to the closed case, or two folders of real photos; then the page."""
    from patrol import demo as show
    from simulator.errors import SimulatorError

    settings = Settings(home=home, database_url="", broker_url="")
    try:
        show.run(settings, real=real, seed=seed, serve_page=serve_, port=port, json_file=json_file)
    except (show.DemoFailed, SimulatorError) as err:
        raise typer.Exit(complain(str(err))) from err


@app.command()
def serve(
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
    worker: Annotated[bool, typer.Option(help="run a worker beside the API (the embedded default)")] = True,
) -> None:
    """The page and the API, with a worker beside them."""
    from patrol.serving import serve as run

    settings = Settings()
    run(settings, host or settings.host, port or settings.port, worker=worker)


@app.command()
def worker(
    beat_only: Annotated[bool, typer.Option("--beat-only", help="send the sweep on its schedule, do no work")] = False,
) -> None:
    """Take jobs from the queue until told to stop."""
    from patrol import tasks

    (tasks.run_beat if beat_only else tasks.run_worker)(Settings())


@app.command()
def doctor(
    only: Annotated[
        str | None, typer.Option(help="one part: python, home, database, blobs, queue, worker, beat, page, data")
    ] = None,
    json_: Json = False,
) -> None:
    """Say what of the set-up is missing or wrong."""
    from patrol.doctor import examine

    found = examine(Settings(), only)
    rows = [("✓" if f.ok else "✗", f.part, f.said, "" if f.ok else f.remedy) for f in found]
    say(found, as_json=json_, table=table("体检 doctor", ("", "part", "found", "what to do"), rows))
    if not all(f.ok for f in found):
        raise typer.Exit(terminal.NOT_SET_UP)


@app.command()
def openapi(check: Annotated[Path | None, typer.Option(help="fail when this file differs")] = None) -> None:
    """The OpenAPI 3.1 document of the API."""
    from patrol.api.app import description

    text = json.dumps(description(), ensure_ascii=False, indent=1) + "\n"
    if check is None:
        sys.stdout.write(text)
    elif not check.is_file() or check.read_text() != text:
        raise typer.Exit(
            complain(f"{check} is not what the API says now: run `patrol openapi > {check}` and build the page again")
        )


def main() -> None:
    """Run, and turn every known error into one sentence and an exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        app()
    except Exception as error:
        sentence = _known(error)
        if sentence is None:
            raise
        sys.exit(sentence)


def _known(error: Exception) -> int | None:
    from patrol.api.rim import STATUS
    from patrol.database import DatabaseError
    from patrol.sender import SendError

    if isinstance(error, DatabaseError):
        return complain(str(error), code=terminal.NOT_SET_UP)
    return complain(str(error)) if isinstance(error, (SendError, *STATUS)) else None
