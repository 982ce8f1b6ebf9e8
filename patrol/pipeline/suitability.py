"""The suitable airspace map of this city (适飞空域图) on a day, kept by the data that it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from uuid import uuid4

import shapely
from shapely.geometry import shape

from airspace.errors import AirspaceError
from airspace.index import Airspace
from airspace.suitable import BANDS, SuitableMap, suitable_map
from airspace.zones import Outline, polygons
from geo.frames import LonLat, metric_frame
from patrol import repositories
from patrol.pipeline.planning import air, flying_span
from patrol.values import dump, load
from patrol.wiring import Workplace

TOWNS = "towns.geojson"  # in home/config: features with a `name`


def city_map(work: Workplace, day: date) -> SuitableMap:
    """The map of all towns, or of all areas under watch where no towns are set, in the hours that are flown. Raises AirspaceError without either."""
    towns = _towns(work)
    if not towns:
        raise AirspaceError(
            f"没有镇街边界也没有巡查单元：请把边界放入 config/{TOWNS}，或先导入巡查单元 / "
            f"there are neither towns nor areas: put their outlines into config/{TOWNS}, or import areas first"
        )
    place = polygons(shapely.union_all(list(towns.values())))
    data = Airspace(*air(work))
    kept = _kept(work, data.version, day, towns)
    if kept.exists():
        found: SuitableMap = load(SuitableMap, json.loads(kept.read_text(encoding="utf-8")))
        return found
    frame = metric_frame(LonLat(lon_deg=place.centroid.x, lat_deg=place.centroid.y))
    made = suitable_map(place, data, flying_span(day), frame, bands=BANDS, towns=towns)
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{uuid4().hex}")
    draft.write_text(json.dumps(dump(made)), encoding="utf-8")
    draft.replace(kept)
    return made


def _towns(work: Workplace) -> dict[str, Outline]:
    path = work.settings.home / "config" / TOWNS
    if path.exists():
        features = json.loads(path.read_text(encoding="utf-8")).get("features", [])
        return {str(f["properties"]["name"]): polygons(shape(f["geometry"])) for f in features}
    with work.database.read() as session:
        return {a.name: a.outline for a in repositories.areas.where(session)}


def _kept(work: Workplace, version: str, day: date, towns: Mapping[str, Outline]) -> Path:
    digest = hashlib.sha256(json.dumps([BANDS, {n: o.wkb_hex for n, o in towns.items()}], default=dump, sort_keys=True).encode())
    return work.settings.cache_dir / "suitable" / f"{version}-{day:%Y%m%d}-{digest.hexdigest()[:12]}.json"
