"""The command line of leave to fly: `patrol leave …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from patrol import terminal
from patrol.commands.shell import BY, Json, day_of, opened
from patrol.terminal import complain, say, table

leave_app = typer.Typer(help="飞行活动申请与空域复核 leave to fly", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="id or number of an application")]
_HEAD = ("编号 number", "审批机关 body", "状态 state", "截止 due", "任务 missions", "id")


@leave_app.command("draft")
def draft(
    missions: Annotated[list[str], typer.Argument(help="ids of missions")],
    flag: Annotated[list[str] | None, typer.Option(help="relay, drop, crowd, moving, swarm (Art. 31); may be repeated")] = None,
    purpose: Annotated[str, typer.Option(help="patrol, surveying, emergency, urgent")] = "patrol",
    out: Annotated[Path | None, typer.Option(help="folder for the Word files")] = None,
    json_: Json = False,
) -> None:
    """Drafts for all that missions need leave for, one for each body."""
    from airspace.papers import Purpose
    from airspace.zones import Flag
    from patrol.pipeline import applying

    if purpose not in set(Purpose) or not set(flag or ()) <= set(Flag):
        raise typer.BadParameter(f"purposes are {', '.join(Purpose)}; flags are {', '.join(Flag)}")
    with opened() as work:
        made = applying.draft(work, missions, by=BY, flags=frozenset(Flag(f) for f in flag or ()), purpose=Purpose(purpose))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for one in made:
                (out / f"{one.number}.docx").write_bytes(applying.as_word(one))
    say(made, as_json=json_, table=_table(made) if made else "无需申请 nothing has to be applied for")


@leave_app.command("list")
def list_(json_: Json = False) -> None:
    """Applications, the newest first."""
    from patrol import leave
    from patrol.pipeline import applying

    with opened() as work:
        applying.lapse(work)
        with work.database.read() as session:
            found = leave.applications_of(session)
    say(found, as_json=json_, table=_table(found))


@leave_app.command("text")
def text(id: Id) -> None:
    """An application as plain text, to be read out or sent."""
    from airspace.applications import as_text

    with opened() as work:
        typer.echo(as_text(_one(work, id)))


@leave_app.command("write")
def write(id: Id, item: int, text: str, json_: Json = False) -> None:
    """Write one of the 13 items of a draft by hand."""
    from patrol.pipeline import applying

    with opened() as work:
        done = applying.write_item(work, _one(work, id).id, item, text, by=BY)
    say(done, as_json=json_, table=_table((done,)))


@leave_app.command("act")
def act(
    id: Id,
    act: Annotated[str, typer.Argument(help="submit, approve, reject, lapse")],
    number: Annotated[str, typer.Option(help="number of the approval")] = "",
    decided_by: Annotated[str, typer.Option(help="who decided")] = "",
    note: Annotated[str, typer.Option(help="why it was not approved")] = "",
    json_: Json = False,
) -> None:
    """Submit an application, or enter the authority's decision."""
    from airspace.applications import Act, Facts, Refused
    from patrol.pipeline import applying

    if act not in set(Act):
        raise typer.BadParameter(f"{act!r} is none of {', '.join(Act)}")
    with opened() as work:
        done = applying.act(work, _one(work, id).id, Act(act), by=BY, facts=Facts(number, decided_by, note))
    if isinstance(done, Refused):
        raise typer.Exit(complain("；".join(f"{r.zh} ({r.en})" for r in done.reasons)))
    say(done, as_json=json_, table=_table((done,)))


@leave_app.command("papers")
def papers(
    kind: Annotated[str, typer.Argument(help="operator, pilot, or aircraft:ID")],
    file: Annotated[Path, typer.Argument(help="JSON of its fields, see airspace/papers.py")],
    json_: Json = False,
) -> None:
    """Put the papers of the operator, of a pilot or of an aircraft on record."""
    from dataclasses import replace

    from airspace.errors import AirspaceError
    from airspace.papers import AircraftPapers, Operator, Pilot
    from patrol import leave, repositories
    from patrol.values import ValuesError, load

    what, _, id = kind.partition(":")
    types: dict[str, Any] = {"operator": Operator, "pilot": Pilot, "aircraft": AircraftPapers}
    if what not in types or (what == "aircraft") != bool(id):
        raise typer.BadParameter("write operator, pilot, or aircraft:ID")
    try:
        value = load(types[what], json.loads(file.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError, ValuesError) as err:
        raise AirspaceError(f"{file}: {err}") from err
    with opened() as work, work.database.write() as session:
        if what == "aircraft":
            repositories.aircraft.put(session, replace(repositories.aircraft.get(session, id), papers=value))
        else:
            (leave.operators if what == "operator" else leave.pilots).put(session, value)
    say(value, as_json=json_, table=f"{kind}: 已登记 kept")


@leave_app.command("stale")
def stale(json_: Json = False) -> None:
    """Missions whose airspace has changed and was not acknowledged."""
    from patrol import leave

    with opened() as work, work.database.read() as session:
        found = leave.stale_of(session)
    rows = [(c.mission_id, f"{c.at:%Y-%m-%d %H:%M}", c.verdict, c.data_version) for c in found]
    say(found, as_json=json_, table=table("空域已变化 stale", ("mission", "at", "verdict", "data"), rows))
    if found:
        raise typer.Exit(terminal.REFUSED)


@leave_app.command("acknowledge")
def acknowledge(mission: str, json_: Json = False) -> None:
    """Say that what changed has been read."""
    from patrol.pipeline import checking

    with opened() as work:
        done = checking.acknowledge(work, mission, by=BY)
    say(done, as_json=json_, table=f"{len(done)}")


@leave_app.command("suitable")
def suitable(
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD, today")] = None,
    out: Annotated[Path | None, typer.Option(help="GeoJSON file for the map")] = None,
    json_: Json = False,
) -> None:
    """The suitable airspace map: figures by town and height band."""
    from patrol.pipeline import suitability
    from patrol.values import dump

    with opened() as work:
        made = suitability.city_map(work, day_of(day))
    if out is not None:
        features = [
            {"type": "Feature", "geometry": dump(one.outline), "properties": {**dump(one.band), "suitable_m2": one.suitable_m2}}
            for one in made.layers
        ]
        out.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    rows = [
        (f.town, f"{f.band.low_m:g}–{f.band.high_m:g} m", f"{f.suitable_m2 / 1e6:.3f}", f"{f.area_m2 / 1e6:.3f}")
        for f in made.towns
    ]
    say(
        made,
        as_json=json_,
        table=table("适飞空域 suitable air, km²", ("镇街 town", "真高 height", "适飞 suitable", "面积 area"), rows),
    )


def _one(work: Any, id: str) -> Any:
    from patrol import leave
    from patrol.tables import ApplicationRow

    with work.database.read() as session:
        found = leave.applications.where(session, ApplicationRow.number == id)
        return found[0] if found else leave.applications.get(session, id)


def _table(found: Any) -> Any:
    rows = [
        (a.number, a.body, a.state, f"{a.next_at():%m-%d %H:%M}Z" if a.next_at() else "", len(a.mission_ids), a.id) for a in found
    ]
    return table("飞行活动申请 applications", _HEAD, rows)
