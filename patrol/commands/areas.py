"""Commands of what is watched: `patrol area`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from patrol.commands.shell import BY, Json, opened
from patrol.terminal import say, table

area_app = typer.Typer(help="巡查单元 areas", no_args_is_help=True)


@area_app.command("import")
def area_import(
    file: Path, gsd_m: Annotated[float | None, typer.Option(help="cell of the area's grid in metres")] = None, json_: Json = False
) -> None:
    """Areas of a GeoJSON, GeoPackage, KML or Shapefile."""
    from patrol.pipeline import areas

    with opened() as work:
        found = areas.import_areas(work, file, by=BY, gsd_m=gsd_m)
    rows = [(a.id, a.name, a.tier, a.revisit_days, f"{a.area_m2 / 1e4:.2f}", f"EPSG:{a.epsg}") for a in found]
    say(found, as_json=json_, table=table("巡查单元 areas", ("id", "名称 name", "tier", "days", "ha", "frame"), rows))


@area_app.command("list")
def area_list(json_: Json = False) -> None:
    """All areas and their last accepted survey."""
    from patrol import repositories

    with opened() as work, work.database.read() as session:
        found = repositories.areas.where(session)
        last = repositories.last_accepted(session)
    rows = [(a.id, a.name, a.tier, a.revisit_days, last.get(a.id)) for a in found]
    say(found, as_json=json_, table=table("巡查单元 areas", ("id", "名称 name", "tier", "days", "last survey"), rows))
