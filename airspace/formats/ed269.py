"""ED-269 (EUROCAE, 2020): `features` with `horizontalProjection`s between limits, applicability, zone authority."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shapely.geometry import mapping

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields, uaszones
from airspace.formats.draft import Ask, Draft, Shape, Sheet, Where, feature
from airspace.formats.opened import Opened
from airspace.outlines import read_rings
from airspace.reasons import Reason
from airspace.zones import Zone, ZoneKind
from geo import reading
from geo.heights import Height

_NAMED = {
    ZoneKind.SUITABLE: "NO_RESTRICTION",
    ZoneKind.CONTROLLED: "REQ_AUTHORISATION",
    ZoneKind.RESTRICTED: "REQ_AUTHORISATION",
    ZoneKind.TEMPORARY: "REQ_AUTHORISATION",
    ZoneKind.PROHIBITED: "PROHIBITED",
}
_TAKEN = ("identifier", "name", "restriction", "applicability", "geometry")


def read(file: Opened, ask: Ask) -> Sheet:
    """All zones. Raises ZoneFileRefused naming the feature."""
    data = file.json
    items = data.get("features") if isinstance(data, dict) else None
    if not isinstance(items, list) or not items:
        raise ZoneFileRefused("没有空域（features）", "holds no features")
    made: list[Draft] = []
    names: dict[str, int] = {}
    daylight = False
    for number, item in enumerate(items, start=1):
        where = feature(number)
        if not isinstance(item, dict):
            raise where.refuse("不是对象。", "is no object.")
        where = where.named(str(item.get("name") or item.get("identifier") or ""))
        try:
            draft, widened = _zone(where, item, ask)
        except AirspaceError as err:
            if isinstance(err, ZoneFileRefused) and err.zh.startswith(where.zh):
                raise
            raise where.refuse(*both(err)) from err
        daylight = daylight or widened
        id_ = str(draft.given["id"])
        names[id_] = names.get(id_, 0) + 1
        if names[id_] > 1:
            draft = Draft(draft.where, draft.shapes, draft.limits, {**draft.given, "id": f"{id_}-{names[id_]}"})
        made.append(draft)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        file.notes.append(
            Reason(
                "identifiers",
                f"标识重复的空域加了序号：{'、'.join(twice)}。",
                f"zones of the same identifier were numbered: {', '.join(twice)}.",
            )
        )
    if daylight:
        file.notes.append(uaszones.daylight())
    title = str(data.get("title") or "")
    return Sheet(tuple(made), reading.WGS84, by_standard=True, edition=fields.legal(title))


def _zone(where: Where, item: Mapping[str, Any], ask: Ask) -> tuple[Draft, bool]:
    shapes: list[Shape] = []
    limits: list[tuple[Height, Height]] = []
    listed = uaszones.need(item, "geometry")
    if not isinstance(listed, list):
        raise AirspaceError("geometry 应为列表 / its geometry must be a list")
    for number, volume in enumerate(listed, start=1):
        if not isinstance(volume, dict) or not isinstance(volume.get("horizontalProjection"), dict):
            raise AirspaceError(
                f"第 {number} 个 geometry 没有 horizontalProjection / geometry {number} has no horizontalProjection"
            )
        unit = volume.get("uomDimensions", "M")
        shapes.append(_shape(volume["horizontalProjection"], number))
        limits.append(
            uaszones.pair(
                volume.get("lowerLimit"),
                volume.get("lowerVerticalReference"),
                volume.get("upperLimit"),
                volume.get("upperVerticalReference"),
                unit,
            )
        )
    if (ours := uaszones.own(where, item.get("extendedProperties"), shapes, limits, ask)) is not None:
        return ours, False
    kind = uaszones.kind_of(uaszones.need(item, "restriction"))
    when = uaszones.periods(item.get("applicability"), kind)
    given = {
        "id": fields.legal(str(uaszones.need(item, "identifier"))),
        "name": fields.legal(str(item.get("name") or item["identifier"])),
        "kind": kind,
        "authority": _authority(item.get("zoneAuthority")),
        "spans": when.spans,
        "windows": when.windows,
        "valid_from": when.valid_from,
        "valid_until": when.valid_until,
        "attributes": uaszones.attributes(item, "ed269", _TAKEN),
    }
    return Draft(where, tuple(shapes), tuple(limits), given), when.daylight


def _shape(projection: Mapping[str, Any], number: int) -> Shape:
    kind = projection.get("type")
    if kind == "Circle":
        return uaszones.circle(projection.get("center"), projection.get("radius"))
    if kind == "Polygon":
        return read_rings(projection.get("coordinates"), f"第 {number} 个 geometry ", f"geometry {number}, ")
    raise AirspaceError(f"图形类型 {kind!r} 应为 Polygon 或 Circle / the projection is {kind!r}, neither Polygon nor Circle")


def _authority(listed: Any) -> str:
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    return fields.legal(str(first.get("name") or ""))


def write(zones: Sequence[Zone]) -> bytes:
    """Zones as ED-269; what the standard has no word for stands in `extendedProperties`."""
    taken: set[str] = set()
    features = []
    for zone in zones:
        periods = [{"permanent": "NO", **p} for p in uaszones.schedule(zone)] or [{"permanent": "YES"}]
        geometry = []
        for part in zone.parts:
            for polygon in uaszones.polygons_of(part):
                volume: dict[str, Any] = {
                    "uomDimensions": "M",
                    "lowerLimit": part.floor.metres,
                    "lowerVerticalReference": uaszones.reference(part.floor),
                    "horizontalProjection": mapping(polygon),
                }
                if uaszones.bounded(part.ceiling):
                    volume |= {"upperLimit": part.ceiling.metres, "upperVerticalReference": uaszones.reference(part.ceiling)}
                geometry.append(volume)
        features.append(
            {
                "identifier": uaszones.identifier(zone, taken),
                "country": uaszones.COUNTRY,
                "name": zone.name[:200],
                "type": "COMMON",
                "restriction": _NAMED[zone.kind],
                "reason": ["OTHER"],
                "applicability": periods,
                "zoneAuthority": [{"name": zone.authority[:200] or "unknown", "purpose": "AUTHORIZATION"}],
                "geometry": geometry,
                "extendedProperties": uaszones.told(zone),
            }
        )
    return json.dumps({"title": "UAS zones", "features": features}, ensure_ascii=False).encode()
