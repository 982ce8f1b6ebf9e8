"""The command line of what is lawful: `patrol register …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from patrol import terminal
from patrol.commands.shell import BY, Json, opened
from patrol.terminal import say, table

register_app = typer.Typer(help="合法与管控底图 register: permits, parcels, sites, ledger, pipelines", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="id of a version, or SOURCE for its current one")]
Why = Annotated[str, typer.Option(help="why; it goes on record")]


@register_app.command("import")
def register_import(
    file: Annotated[Path, typer.Argument(help=".gpkg, .shp (GBK or UTF-8), .geojson, .kml, or a .zip of one of them")],
    source: Annotated[
        str | None, typer.Option(help="name of the series; its current version is replaced (default: the file's name)")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="what the file holds, where no column says: 建设工程规划许可, 乡村建设规划许可, 临时建设许可, 宗地, 在建工地, 存量台账, 管道保护带"
        ),
    ] = None,
    datum: Annotated[
        str | None, typer.Option(help="wgs84, cgcs2000, gcj02, bd09 or EPSG:4549, where the file does not say")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="layer of a GeoPackage with several")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="field=column, e.g. id=批文号, height_limit_m=层高; may be repeated")
    ] = None,
    json_: Json = False,
) -> None:
    """Permits, parcels, sites, ledger entries or pipeline axes of a file, whole or not at all; the version before it stays, replaced."""
    from patrol.pipeline import registering

    columns = {}
    for item in column or []:
        name, found, value = item.partition("=")
        if not found:
            raise typer.BadParameter(f"{item!r}: write field=column")
        columns[name] = value
    with opened() as work:
        made = registering.import_file(work, file, by=BY, source=source, kind=kind, datum=datum, layer=layer, columns=columns)
    for note in made.notes:
        terminal.err.print(f"[yellow]![/yellow] {note.zh}\n  {note.en}", highlight=False)
    say(made, as_json=json_, table=_table((made,)))


@register_app.command("list")
def register_list(
    all_: Annotated[bool, typer.Option("--all", help="replaced and withdrawn versions too")] = False, json_: Json = False
) -> None:
    """Versions in force, or all there ever were."""
    from patrol import registry
    from patrol.records import VersionState

    with opened() as work, work.database.read() as session:
        found = registry.versions_of(session, state=None if all_ else VersionState.CURRENT)
    say(found, as_json=json_, table=_table(found))


@register_app.command("show")
def register_show(version: Version, json_: Json = False) -> None:
    """The entries of a version."""
    from patrol import registry

    with opened() as work, work.database.read() as session:
        found = registry.entries_of(session, _version(session, version).id)
    rows = [(e.number, e.kind, e.name, e.holder, e.area_limit_m2, e.height_limit_m, e.valid_from, e.valid_to) for e in found]
    columns = ("编号 number", "类型 kind", "名称 name", "holder", "m²", "m", "from", "to")
    say(found, as_json=json_, table=table("底图 register", columns, rows))


@register_app.command("withdraw")
def register_withdraw(version: Version, reason: Why, json_: Json = False) -> None:
    """Take a version out of force; nothing of it is deleted."""
    from patrol.pipeline import registering

    with opened() as work:
        with work.database.read() as session:
            id_ = _version(session, version).id
        done = registering.withdraw(work, id_, by=BY, reason=reason)
    say(done, as_json=json_, table=_table((done,)))


@register_app.command("restore")
def register_restore(version: Version, reason: Why, json_: Json = False) -> None:
    """Make an earlier or withdrawn version the current one of its source again."""
    from patrol.pipeline import registering

    with opened() as work:
        done = registering.put_back(work, version, by=BY, reason=reason)
    say(done, as_json=json_, table=_table((done,)))


@register_app.command("relabel")
def register_relabel(area: Annotated[str, typer.Argument(help="id of the area")], json_: Json = False) -> None:
    """Look at an area's open findings again under the register of today: held back, or brought back to triage."""
    from patrol.pipeline import overlaying

    with opened() as work:
        done = overlaying.relabel(work, area, by=BY)
    said = f"已核对 looked at {done.looked_at}；转为压制 held: {'、'.join(done.held) or '—'}；恢复研判 back: {'、'.join(done.back) or '—'}"
    say(done, as_json=json_, table=said)


def _version(session: Any, said: str) -> Any:
    """A version by id, or the current one of a source."""
    from patrol import registry
    from patrol.records import VersionState

    current = registry.versions_of(session, source=said, state=VersionState.CURRENT)
    return current[0] if current else registry.versions.get(session, said)


def _table(found: Any) -> Any:
    rows = [
        (
            v.id,
            v.source,
            v.number,
            v.state,
            v.entries,
            ", ".join(f"{kind} {n}" for kind, n in v.kinds.items()),
            f"{v.datum}{' ?' if v.guessed else ''}",
            " ".join(f"{name} {n}" for name, n in v.changes.items() if n),
            f"{v.imported_at:%Y-%m-%d}",
        )
        for v in found
    ]
    columns = ("id", "来源 source", "版 version", "状态 state", "条 entries", "类型 kinds", "坐标 datum", "变化 changes", "since")
    return table("合法与管控底图 register", columns, rows)
