"""Bring ground and air into the store: areas (巡查单元) and zones (空域) from files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
from shapely.geometry import MultiPolygon, Polygon

from geo.area import Area, AreaId, Tier
from geo.errors import GeoError
from patrol import audit, repositories
from patrol.wiring import Workplace

FILES = (".geojson", ".json", ".gpkg", ".kml", ".shp")
_NAMES = ("name", "名称", "Name", "NAME")


class ImportRefused(ValueError):
    """A file of areas that cannot be taken: it says which file, which feature, and what to do."""


def read_areas(path: Path, *, gsd_m: float | None = None) -> tuple[Area, ...]:
    """Areas of a GeoJSON, GeoPackage, KML or Shapefile. Raises ImportRefused; nothing is taken when one feature is broken.

    Properties that are read, all optional: `id`, `name` (or 名称), `tier` (key or general), `revisit_days`, `gsd_m`.
    """
    if path.suffix.lower() not in FILES:
        raise ImportRefused(f"{path}: not a file of areas; give one of {', '.join(FILES)}")
    if not path.is_file():
        raise ImportRefused(f"{path}: there is no such file")
    try:
        table = geopandas.read_file(path)
    except Exception as err:
        raise ImportRefused(f"{path}: cannot be read as a map file ({str(err).splitlines()[0]})") from err
    if table.crs is None:
        raise ImportRefused(f"{path}: the file does not say its coordinate system; save it with one (WGS 84, EPSG:4326)")
    if len(table) == 0:
        raise ImportRefused(f"{path}: the file holds no feature")
    return tuple(_areas(path, table.to_crs(4326), gsd_m))


def _areas(path: Path, table: Any, gsd_m: float | None) -> Iterator[Area]:
    for number, row in enumerate(table.to_dict("records"), start=1):
        shape = row["geometry"]
        if not isinstance(shape, Polygon | MultiPolygon):
            kind = "nothing" if shape is None else shape.geom_type
            raise ImportRefused(f"{path}, feature {number}: an area is a polygon, this is {kind}")
        given = {key: value for key, value in row.items() if value is not None and value == value}  # noqa: PLR0124 - NaN
        name = str(next((given[key] for key in _NAMES if given.get(key)), f"{path.stem}-{number}"))
        try:
            yield Area(
                AreaId(str(given.get("id") or area_id(name, shape))),
                name,
                shape,
                Tier(str(given.get("tier", Tier.KEY))),
                int(given.get("revisit_days", 30)),
                float(gsd_m or given.get("gsd_m", 0.05)),
            )
        except (GeoError, ValueError) as err:
            raise ImportRefused(f"{path}, feature {number} ({name}): {err}") from err


def area_id(name: str, shape: Polygon | MultiPolygon) -> str:
    """An id that the same name and outline always give."""
    return hashlib.sha256(name.encode() + bytes(shape.wkb)).hexdigest()[:12]


def import_areas(work: Workplace, path: Path, *, by: str, gsd_m: float | None = None) -> tuple[Area, ...]:
    """Areas of a file into the store, all or none."""
    found = read_areas(path, gsd_m=gsd_m)
    with work.database.write() as session:
        for area in found:
            _keep(work, session, area, by)
    return found


def keep_area(work: Workplace, area: Area, *, by: str) -> Area:
    """One area into the store."""
    with work.database.write() as session:
        _keep(work, session, area, by)
    return area


def _keep(work: Workplace, session: Any, area: Area, by: str) -> None:
    there = repositories.areas.find(session, area.id)
    if there is not None and repositories.surveys_of(session, area.id) and there.grid() != area.grid():
        raise ImportRefused(
            f"area {area.name} ({area.id}) has surveys on its grid: its outline or GSD cannot change; give the new outline another id"
        )
    repositories.areas.put(session, area)
    audit.append(session, by, "area.import", f"area:{area.id}", at=work.clock.now(), details={"name": area.name})
