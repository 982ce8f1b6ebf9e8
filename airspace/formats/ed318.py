"""ED-318 (EUROCAE, 2023): a GeoJSON FeatureCollection whose geometries carry a `layer` between limits, a circle as a Point with an `extent`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shapely.geometry import mapping

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields, uaszones
from airspace.formats.draft import Ask, Draft, Shape, Sheet, Where, feature
from airspace.formats.opened import Opened
from airspace.outlines import read_outline
from airspace.zones import Zone, ZoneKind
from geo import reading
from geo.heights import Height

_NAMED = {
    ZoneKind.SUITABLE: "NO_RESTRICTION",
    ZoneKind.CONTROLLED: "REQ_AUTHORIZATION",
    ZoneKind.RESTRICTED: "REQ_AUTHORIZATION",
    ZoneKind.TEMPORARY: "REQ_AUTHORIZATION",
    ZoneKind.PROHIBITED: "PROHIBITED",
}
_TAKEN = ("identifier", "name", "type", "limitedApplicability", "extendedProperties")


def read(file: Opened, ask: Ask) -> Sheet:
    """All zones. Raises ZoneFileRefused naming the feature."""
    data = file.json
    items = data.get("features") if isinstance(data, dict) else None
    if not isinstance(items, list) or not items:
        raise ZoneFileRefused("没有空域（features）", "holds no features")
    made: list[Draft] = []
    seen: dict[str, int] = {}
    daylight = False
    for number, item in enumerate(items, start=1):
        where = feature(number)
        properties = item.get("properties") if isinstance(item, dict) else None
        if not isinstance(properties, dict):
            raise where.refuse("没有 properties。", "has no properties.")
        where = where.named(_said(properties.get("name")) or str(properties.get("identifier") or ""))
        try:
            draft, widened = _zone(where, item.get("geometry"), properties, ask)
        except AirspaceError as err:
            if isinstance(err, ZoneFileRefused) and err.zh.startswith(where.zh):
                raise
            raise where.refuse(*both(err)) from err
        id_ = str(draft.given["id"])
        if id_ in seen:
            raise where.refuse(
                f"标识“{id_}”与第 {seen[id_]} 个要素重复。", f"its identifier {id_!r} is taken by feature {seen[id_]}."
            )
        seen[id_] = number
        daylight = daylight or widened
        made.append(draft)
    if daylight:
        file.notes.append(uaszones.daylight())
    head = data.get("metadata") if isinstance(data.get("metadata"), dict) else {}
    dates = {
        name: fields.instant(head[key])
        for name, key in (("valid_from", "validFrom"), ("valid_until", "validTo"))
        if head.get(key)
    }
    edition = str(data.get("title") or data.get("name") or "")
    return Sheet(
        tuple(made),
        reading.WGS84,
        by_standard=True,
        authority=_said(head.get("provider")),
        edition=fields.legal(edition),
        **dates,  # type: ignore[arg-type]
    )


def _zone(where: Where, geometry: Any, properties: Mapping[str, Any], ask: Ask) -> tuple[Draft, bool]:
    if not isinstance(geometry, dict):
        raise AirspaceError("没有图形 / has no geometry")
    listed = geometry.get("geometries") if geometry.get("type") == "GeometryCollection" else [geometry]
    if not isinstance(listed, list) or not listed or not all(isinstance(g, dict) for g in listed):
        raise AirspaceError("图形集合为空 / its collection of geometries is empty")
    shapes: list[Shape] = []
    limits: list[tuple[Height, Height]] = []
    for number, one in enumerate(listed, start=1):
        layer = one.get("layer")
        if not isinstance(layer, dict):
            raise AirspaceError(f"第 {number} 个图形没有高度层（layer） / geometry {number} has no layer")
        extent = one.get("extent")
        if one.get("type") == "Point":
            if not isinstance(extent, dict) or extent.get("subType") != "Circle":
                raise AirspaceError(
                    f"第 {number} 个图形是点而没有圆的范围 / geometry {number} is a point without a circle's extent"
                )
            shapes.append(uaszones.circle(one.get("coordinates"), extent.get("radius")))
        else:
            shapes.append(read_outline(one))
        limits.append(
            uaszones.pair(
                layer.get("lower"),
                layer.get("lowerReference"),
                layer.get("upper"),
                layer.get("upperReference"),
                layer.get("uom", "m"),
            )
        )
    if (ours := uaszones.own(where, properties.get("extendedProperties"), shapes, limits, ask)) is not None:
        return ours, False
    kind = uaszones.kind_of(uaszones.need(properties, "type"))
    when = uaszones.periods(properties.get("limitedApplicability"), kind)
    identifier = fields.legal(str(uaszones.need(properties, "identifier")))
    authority = properties.get("zoneAuthority")
    first = authority[0] if isinstance(authority, list) and authority and isinstance(authority[0], dict) else {}
    extended = properties.get("extendedProperties")
    given = {
        "id": identifier,
        "name": _said(properties.get("name")) or identifier,
        "kind": kind,
        "authority": _said(first.get("name")),
        "spans": when.spans,
        "windows": when.windows,
        "valid_from": when.valid_from,
        "valid_until": when.valid_until,
        "attributes": uaszones.attributes(properties, "ed318", _TAKEN)
        + (uaszones.attributes(extended, "ed318:extended", ()) if isinstance(extended, dict) else ()),
    }
    return Draft(where, tuple(shapes), tuple(limits), given), when.daylight


def _said(texts: Any) -> str:
    """A text in Chinese where there is one, else the first."""
    if isinstance(texts, str):
        return fields.legal(texts)
    listed = [t for t in texts if isinstance(t, dict) and t.get("text")] if isinstance(texts, list) else []
    best = next((t for t in listed if str(t.get("lang", "")).startswith("zh")), listed[0] if listed else {})
    return fields.legal(str(best.get("text", "")))


def write(zones: Sequence[Zone]) -> bytes:
    """Zones as ED-318; what the standard has no word for stands in `extendedProperties`."""
    taken: set[str] = set()
    features = []
    for zone in zones:
        shapes = []
        for part in zone.parts:
            layer: dict[str, Any] = {"lower": part.floor.metres, "lowerReference": uaszones.reference(part.floor), "uom": "m"}
            if uaszones.bounded(part.ceiling):
                layer |= {"upper": part.ceiling.metres, "upperReference": uaszones.reference(part.ceiling)}
            shapes += [{**mapping(polygon), "layer": layer} for polygon in uaszones.polygons_of(part)]
        properties: dict[str, Any] = {
            "identifier": uaszones.identifier(zone, taken),
            "country": uaszones.COUNTRY,
            "name": [{"text": zone.name[:200], "lang": "zh-CN"}],
            "type": _NAMED[zone.kind],
            "variant": "COMMON",
            "reason": ["OTHER"],
            "zoneAuthority": [
                {"name": [{"text": zone.authority[:200] or "unknown", "lang": "zh-CN"}], "purpose": "AUTHORIZATION"}
            ],
            "extendedProperties": uaszones.told(zone),
        }
        if periods := uaszones.schedule(zone):
            properties["limitedApplicability"] = periods
        geometry = shapes[0] if len(shapes) == 1 else {"type": "GeometryCollection", "geometries": shapes}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "title": "UAS zones", "features": features}, ensure_ascii=False).encode()
