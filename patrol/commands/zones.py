"""The command line of the airspace: `patrol zone …`."""

from __future__ import annotations

from pathlib import Path

import typer

from patrol.commands.shell import BY, Json, opened
from patrol.terminal import say, table

zone_app = typer.Typer(help="空域 zones", no_args_is_help=True)


@zone_app.command("import")
def zone_import(file: Path, json_: Json = False) -> None:
    """Zones of a GeoJSON file."""
    from patrol.pipeline import zoning

    with opened() as work:
        made = zoning.import_zones(work, file, by=BY)
    rows = [(made.source, made.number, made.zones, ", ".join(f"{kind} {n}" for kind, n in made.kinds.items()))]
    say(made, as_json=json_, table=table("空域 zones", ("来源 source", "版 version", "个 zones", "类型 kinds"), rows))
