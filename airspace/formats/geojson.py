"""GeoJSON (RFC 7946): the product's own form (`fields`), and DJI's GEO polygons (properties `name`, `level`, `height`).

The RFC knows WGS 84 alone, yet files from Chinese web maps are GCJ-02 or BD-09 and say nothing: without a `crs` or `datum` member the
coordinate system is unsaid. DJI's polygons are a maker's data, not the authority's, and say nowhere that air is suitable: height 0 is closed
from the ground up, height h closed above h metres.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from shapely.geometry import mapping

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields
from airspace.formats.draft import Ask, Draft, Sheet, feature
from airspace.formats.opened import Opened
from airspace.outlines import read_outline
from airspace.zones import UNLIMITED, Zone, ZoneKind
from geo import reading
from geo.errors import GeoError
from geo.heights import Datum, Height

DJI = "DJI GEO (not official)"


def read(file: Opened, ask: Ask) -> Sheet:
    """All features. Raises ZoneFileRefused naming the feature."""
    data = file.json
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection" or not isinstance(data.get("features"), list):
        raise ZoneFileRefused("不是 GeoJSON 要素集合（FeatureCollection）", "is not a GeoJSON FeatureCollection")
    rows: list[fields.Row] = []
    makers: list[fields.Row] = []
    for number, item in enumerate(data["features"], start=1):
        where = feature(number)
        if not isinstance(item, dict) or item.get("type") != "Feature":
            raise where.refuse(
                "不是要素（Feature）。", 'is not a Feature (needs "type": "Feature", "properties" and "geometry").'
            )
        properties = item.get("properties") or {}
        if not isinstance(properties, dict):
            raise where.refuse("properties 不是对象。", "its properties are not an object.")
        try:
            shape = read_outline(item.get("geometry"))
        except AirspaceError as err:
            raise where.named(str(properties.get("name") or "")).refuse(*both(err)) from err
        dji = "kind" not in properties and "level" in properties and "height" in properties
        (makers if dji else rows).append(fields.Row(where, properties, shape))
    if rows and makers:
        raise makers[0].where.refuse(
            "同一文件中混有 DJI 格式与本系统格式。", "DJI's form and the product's own are mixed in one file."
        )
    made = _of_dji(makers) if makers else fields.drafts(rows, ask)
    head = {key: str(data[key]) for key in ("authority", "edition") if data.get(key)}
    dates = {key: fields.instant(data[key]) for key in ("valid_from", "valid_until") if data.get(key)}
    return Sheet(made, _said(data), **head, **dates)  # type: ignore[arg-type]


def _said(data: dict[str, Any]) -> reading.Reading | None:
    """The coordinate system of a `datum` member (the product's own) or of an old `crs` member."""
    own, crs = data.get("datum"), data.get("crs")
    try:
        if own is not None:
            return reading.of_name(str(own))
        if crs is None:
            return None
        text = json.dumps(crs).upper()
        for words, known in (
            (("GCJ",), reading.GCJ02),
            (("BD09", "BD-09", "BD_09"), reading.BD09),
            (("CRS84", "CRS:84"), reading.WGS84),
        ):
            if any(word in text for word in words):
                return known
        name = crs.get("properties", {}).get("name") if isinstance(crs, dict) else None
        return reading.of_crs(str(name or crs))
    except (GeoError, AttributeError) as err:
        said = str(err).rpartition(" / ")[2]
        raise ZoneFileRefused(f"坐标系说明无法理解（{crs or own}）", f"is in another coordinate system ({said})") from err


def _of_dji(rows: Sequence[fields.Row]) -> tuple[Draft, ...]:
    made: list[Draft] = []
    names: dict[str, int] = {}
    for row in rows:
        name = str(row.columns.get("name") or "DJI")
        height = row.columns["height"]
        if isinstance(height, bool) or not isinstance(height, int | float) or not abs(height) < 1e5:
            raise row.where.named(name).refuse(
                f"height 为 {height!r}，不是数字。", f"its height is {height!r}, not a number of metres."
            )
        names[name] = names.get(name, 0) + 1
        limit = max(0.0, float(height))
        more = [
            (k, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for k, v in row.columns.items() if k != "name"
        ]
        given = {
            "id": name if names[name] == 1 else f"{name}-{names[name]}",
            "name": name,
            "kind": ZoneKind.PROHIBITED if limit <= 0 else ZoneKind.RESTRICTED,
            "authority": DJI,
            "attributes": tuple(more),
        }
        made.append(Draft(row.where.named(name), (row.shape,), ((Height(limit, Datum.GROUND), UNLIMITED),), given))
    return tuple(made)


def write(zones: Sequence[Zone]) -> bytes:
    """Zones in the product's own form, WGS 84: what `read` takes back as the same zones."""
    features = [
        {"type": "Feature", "properties": row, "geometry": mapping(part.outline)} for row, part in fields.part_rows(zones)
    ]
    return json.dumps({"type": "FeatureCollection", "datum": "wgs84", "features": features}, ensure_ascii=False).encode()
