"""The command line of the airspace: `patrol zone …`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from patrol import terminal
from patrol.commands.shell import BY, Json, opened
from patrol.terminal import say, table

zone_app = typer.Typer(help="空域 zones", no_args_is_help=True)

Why = Annotated[str, typer.Option(help="why; it goes on record")]
Version = Annotated[str, typer.Argument(help="id of a version, or SOURCE for its current one")]


@zone_app.command("import")
def zone_import(
    file: Annotated[
        Path, typer.Argument(help=".geojson, .json (ED-269, ED-318), .gpkg, .shp, .kml, .kmz, .txt (OpenAir), .csv, .zip")
    ],
    source: Annotated[
        str | None, typer.Option(help="name of the series; its current version is replaced (default: the file's name)")
    ] = None,
    datum: Annotated[
        str | None, typer.Option(help="wgs84, cgcs2000, gcj02, bd09 or EPSG:4549, where the file does not say")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="suitable, controlled, prohibited, restricted, temporary: where it does not say")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="layer of a GeoPackage with several")] = None,
    authority: Annotated[str, typer.Option(help="who published it")] = "",
    edition: Annotated[str, typer.Option(help="which edition it is")] = "",
    classification: Annotated[str, typer.Option(help="a code of classification.csv")] = "internal",
    valid_from: Annotated[str | None, typer.Option(help="ISO 8601 with time zone")] = None,
    valid_until: Annotated[str | None, typer.Option(help="ISO 8601 with time zone")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look only: datum, changes, what they hit")] = False,
    json_: Json = False,
) -> None:
    """Zones of a file, whole or not at all: says how its datum was judged, what changes and what that hits; the version before it stays."""
    from airspace.zones import ZoneKind
    from patrol.pipeline import zoning

    if kind is not None and kind not in set(ZoneKind):
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(ZoneKind)}")
    terms = zoning.Terms(authority, edition, classification, _instant(valid_from), _instant(valid_until))
    with opened() as work:
        seen = zoning.review(work, file, source=source, datum=datum, kind=ZoneKind(kind) if kind else None, layer=layer)
        if not json_:
            _tell(seen)
        if dry_run:
            told = {"source": seen.source, "datum": seen.file.datum, "guessed": seen.file.guessed, "notes": seen.file.notes}
            changes = [
                {"what": c.what, "name": c.zone.name, "aspects": c.aspects, "moved_m": c.moved_m}
                for c in seen.differences.changes
            ]
            say({**told, "counts": seen.differences.counts, "changes": changes, "hits": seen.hits}, as_json=json_)
            return
        made = zoning.accept(work, seen, terms, by=BY)
    say(made, as_json=json_, table=_table((made,)))


@zone_app.command("list")
def zone_list(json_: Json = False) -> None:
    """Zones in force."""
    from patrol import airspaces

    with opened() as work, work.database.read() as session:
        found = airspaces.in_force(session)
    rows = [(z.id, z.name, z.kind, z.article_class, _heights(z), z.version) for z in found]
    say(
        found,
        as_json=json_,
        table=table("空域 zones", ("id", "名称 name", "类型 kind", "条例 article", "高度 heights", "版 version"), rows),
    )


@zone_app.command("versions")
def zone_versions(
    all_: Annotated[bool, typer.Option("--all", help="replaced and withdrawn versions too")] = False, json_: Json = False
) -> None:
    """Versions in force, or all there ever were."""
    from patrol import airspaces
    from patrol.records import VersionState

    with opened() as work, work.database.read() as session:
        found = airspaces.versions_of(session, state=None if all_ else VersionState.CURRENT)
    say(found, as_json=json_, table=_table(found))


@zone_app.command("withdraw")
def zone_withdraw(version: Version, reason: Why, json_: Json = False) -> None:
    """Take a version out of force; nothing of it is deleted."""
    from patrol.pipeline import zoning

    with opened() as work:
        done = zoning.withdraw(work, _id(work, version), by=BY, reason=reason)
    say(done, as_json=json_, table=_table((done,)))


@zone_app.command("restore")
def zone_restore(version: Annotated[str, typer.Argument(help="id of a version")], reason: Why, json_: Json = False) -> None:
    """Make an earlier or withdrawn version the current one of its source again."""
    from patrol.pipeline import zoning

    with opened() as work:
        done = zoning.put_back(work, version, by=BY, reason=reason)
    say(done, as_json=json_, table=_table((done,)))


@zone_app.command("export")
def zone_export(
    file: Annotated[Path, typer.Argument(help="where to write")],
    form: Annotated[str, typer.Option("--format", help="geojson, ed269, ed318, kml or gpkg")] = "geojson",
    source: Annotated[str | None, typer.Option(help="only the zones of one source")] = None,
    json_: Json = False,
) -> None:
    """Zones in force as a file, WGS 84."""
    from patrol.pipeline import zoning

    with opened() as work:
        made = zoning.write(work, form, by=BY, source=source)
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(made.content)
    part.replace(file)
    say({"file": str(file), "zones": made.zones}, as_json=json_, table=f"{file}: {made.zones} 个空域 zones")


def _tell(seen: Any) -> None:
    """The judgement, the changes and the hits, before anything is stored."""
    from airspace.differences import ASPECT_TEXT

    for note in seen.file.notes:
        terminal.err.print(f"[yellow]![/yellow] {note.zh}\n  {note.en}", highlight=False)
    if seen.before is not None:
        rows = [
            (
                c.what,
                c.zone.name,
                "、".join(" ".join(ASPECT_TEXT[a]) for a in c.aspects),
                f"{c.moved_m:.0f} m" if c.moved_m >= 1 else "",
            )
            for c in seen.differences.changes[:200]
        ]
        title = f"与第 {seen.before.number} 版的差异 changes since version {seen.before.number}: " + " ".join(
            f"{name} {n}" for name, n in seen.differences.counts.items()
        )
        terminal.err.print(table(title, ("", "名称 name", "变化 change", "移动 moved"), rows))
    if seen.hits:
        hit = [(h.what, h.name, h.day, "已导出 exported" if h.exported else "", "、".join(h.zones[:3])) for h in seen.hits[:200]]
        terminal.err.print(table("影响 what it hits", ("", "名称 name", "day", "", "空域 zones"), hit))


def _id(work: Any, said: str) -> str:
    """The id of a version, or of the current one of a source."""
    from patrol import airspaces
    from patrol.records import VersionState

    with work.database.read() as session:
        current = airspaces.versions_of(session, source=said, state=VersionState.CURRENT)
        return current[0].id if current else airspaces.versions.get(session, said).id


def _instant(said: str | None) -> datetime | None:
    from airspace.errors import AirspaceError
    from airspace.formats.fields import instant

    try:
        return instant(said) if said else None
    except AirspaceError as err:
        raise typer.BadParameter(str(err)) from err


def _heights(zone: Any) -> str:
    return "; ".join(f"{p.floor.metres:g}–{p.ceiling.metres:g} m {p.floor.datum}/{p.ceiling.datum}" for p in zone.parts)


def _table(found: Any) -> Any:
    rows = [
        (
            v.id,
            v.source,
            v.number,
            v.state,
            v.zones,
            ", ".join(f"{kind} {n}" for kind, n in v.kinds.items()),
            f"{v.datum}{' ?' if v.guessed else ''}",
            " ".join(f"{name} {n}" for name, n in v.changes.items() if n),
            v.edition,
            f"{v.imported_at:%Y-%m-%d}",
        )
        for v in found
    ]
    columns = (
        "id",
        "来源 source",
        "版 version",
        "状态 state",
        "个 zones",
        "类型 kinds",
        "坐标 datum",
        "变化 changes",
        "版本名 edition",
        "since",
    )
    return table("空域数据 zone versions", columns, rows)
