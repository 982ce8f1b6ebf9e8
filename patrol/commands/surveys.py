"""Commands of surveys: `patrol ingest`, `upload`, `nudge`, `ingest-ortho`, `compare`, `pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from patrol import terminal
from patrol.commands.shell import BY, Json, day_of, opened
from patrol.terminal import complain, say, table

Lossless = Annotated[
    bool, typer.Option("--lossless", help="keep every pixel of the orthophoto as it is; the file is several times larger")
]


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

    with opened() as work, terminal.bar(json_) as progress, work.photos(photos, progress) as folder:
        done = surveying.ingest(
            work,
            folder,
            area,
            day_of(day),
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
            server, photos, area, day_of(day), flight_id=flight, finish=finish, lossless=lossless, progress=progress
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

    with opened() as work, terminal.bar(json_) as progress:
        step = None if undo else Nudge(east, -south, up)
        done = nudging.nudge(work, survey, step, reason, user=BY, progress=progress)
    _say_survey(done, (), json_)


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

    with opened() as work, terminal.bar(json_) as progress:
        done = surveying.adopt(
            work,
            ortho,
            area,
            day_of(day),
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


def compare(
    area: Annotated[str, typer.Argument(help="id of the area")],
    before: Annotated[str | None, typer.Option(help="survey id, last, good or best; default: the one before")] = None,
    after: Annotated[str | None, typer.Option(help="survey id; default: the last")] = None,
    json_: Json = False,
) -> None:
    """Compare two surveys of an area; what changed becomes findings."""
    from patrol import repositories
    from patrol.pipeline import comparing

    with opened() as work, terminal.bar(json_) as progress:
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


def pairs(
    area: Annotated[str, typer.Argument(help="id of the area")],
    after: Annotated[str | None, typer.Option(help="survey id; default: the last")] = None,
    json_: Json = False,
) -> None:
    """Which earlier survey to compare with: season, sun, quality and coverage of each, the best first, with reasons."""
    from patrol import repositories
    from patrol.pipeline import choosing

    with opened() as work, work.database.read() as session:
        ground = repositories.areas.get(session, area)
        surveys = repositories.surveys_of(session, area, accepted=True)
        if not surveys:
            raise repositories.NotFound(f"area {ground.name} has no accepted survey")
        later = repositories.surveys.get(session, after) if after else surveys[-1]
        found = choosing.choices(session, ground, later)
    rows = [(c.look.id, c.look.taken_on, f"{c.score:.2f}", "✓" if c.look.is_good else "", "；".join(c.zh)) for c in found]
    made = table(f"与 {later.id} 比对", ("前期 before", "日期 day", "score", "good", "理由 reasons"), rows)
    say({"after": later.id, "choices": found}, as_json=json_, table=made)
