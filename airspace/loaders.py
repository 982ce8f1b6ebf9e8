"""Zones and permits from GeoJSON files (RFC 7946, WGS 84). Broken data raises AirspaceError naming file, feature and fault.

The product's own form, properties of each feature:

| property | needed | meaning |
|---|---|---|
| `id` | yes | unique in the file |
| `name` | yes | shown to people |
| `kind` | yes | suitable, controlled, prohibited, restricted, temporary |
| `floor_m`, `ceiling_m` | no | metres over the ground; without them: from the ground up without end |
| `buffer_m` | no | distance to keep from the zone, metres |
| `spans` | no | list of [start, end], ISO 8601 with time zone; without it: always |
| `recurrence` | no | {"from": "08:00", "to": "18:00", "days": ["MO"], "first": "2026-01-01", "last": "2026-12-31"}, local |
| `authority`, `version` | no | who published it, and which edition |
| `synthetic` | no | true for zones made up for trials |

A permit has `id`, `number`, `holder`, `floor_m`, `ceiling_m`, `start`, `end` and `flags` (relay, drop, crowd, moving, swarm).

DJI's GEO polygons (properties `name`, `level`, `height`) are read too: height 0 is closed from the ground up, height h above 0 is
closed above h metres. They are a maker's data, not the authority's, and say nowhere that air is suitable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from shapely.geometry import mapping

from airspace.errors import AirspaceError
from airspace.outlines import read_outline
from airspace.windows import Day, Window
from airspace.zones import GROUND, UNLIMITED, Flag, Permit, Zone, ZoneKind
from geo.errors import GeoError
from geo.heights import Datum, Height
from geo.times import Span, utc

Properties = Mapping[str, Any]
Made = TypeVar("Made")


def load_zones(path: Path | str) -> tuple[Zone, ...]:
    """All zones of a GeoJSON file, each feature in the product's own form or DJI's."""
    return _load(Path(path), _zone)


def load_permits(path: Path | str) -> tuple[Permit, ...]:
    """All permits of a GeoJSON file."""
    return _load(Path(path), _permit)


def zones_geojson(zones: Sequence[Zone]) -> dict[str, Any]:
    """Zones in the product's own form: what `load_zones` reads back as the same zones."""
    return {"type": "FeatureCollection", "features": [_feature(zone) for zone in zones]}


def _load(path: Path, make: Callable[[Properties, Any, str], Made]) -> tuple[Made, ...]:
    made: list[Made] = []
    seen: dict[str, int] = {}
    for number, feature in enumerate(_features(path), start=1):
        where = f"{path.name}, feature {number}"
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise AirspaceError(f'{where}: not a Feature (needs "type": "Feature", "properties" and "geometry")')
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise AirspaceError(f"{where}: its properties are not an object")
        if title := properties.get("name"):
            where += f" ({title})"
        try:
            thing = make(properties, feature.get("geometry"), f"{path.name}#{number}")
        except (AirspaceError, GeoError) as err:
            raise AirspaceError(f"{where}: {err}") from err
        name = str(getattr(thing, "id"))  # noqa: B009 - zones and permits both have one
        if name in seen:
            raise AirspaceError(f"{where}: its id {name!r} is taken by feature {seen[name]}; ids must be unique")
        seen[name] = number
        made.append(thing)
    if not made:
        raise AirspaceError(f"{path.name}: holds no features: without zones all air is unknown and nothing may be flown")
    return tuple(made)


def _features(path: Path) -> Sequence[Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise AirspaceError(f"{path}: cannot be read ({err.strerror or err})") from err
    except UnicodeDecodeError as err:
        raise AirspaceError(f"{path.name}: is not UTF-8 text (byte {err.start}); save it as UTF-8 GeoJSON") from err
    except json.JSONDecodeError as err:
        raise AirspaceError(f"{path.name}: is not JSON: line {err.lineno}, column {err.colno}: {err.msg}") from err
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection" or not isinstance(data.get("features"), list):
        raise AirspaceError(f"{path.name}: is not a GeoJSON FeatureCollection")
    _check_crs(data.get("crs"), path.name)
    return list(data["features"])


def _check_crs(crs: Any, name: str) -> None:
    """RFC 7946 knows WGS 84 alone; CGCS2000 is the same within centimetres. GCJ-02 and BD-09 are 500 m off and refused."""
    if crs is None:
        return
    text = json.dumps(crs).upper()
    if not any(mark in text for mark in ("CRS84", "4326", "4490")):
        raise AirspaceError(
            f"{name}: is in another coordinate system ({text[:80]}); convert it to WGS 84 or CGCS2000 degrees first"
        )


def _zone(properties: Properties, geometry: Any, fallback_id: str) -> Zone:
    outline = read_outline(geometry)
    if "kind" not in properties and "level" in properties and "height" in properties:
        limit = _number(properties, "height", 0.0)
        return Zone.single(
            id=fallback_id,
            name=str(properties.get("name", fallback_id)),
            kind=ZoneKind.PROHIBITED if limit <= 0 else ZoneKind.RESTRICTED,
            outline=outline,
            floor=Height(max(0.0, limit), Datum.GROUND),
            authority="DJI GEO (not official)",
            version=_short_hash(outline.wkb),
        )
    kind = str(_need(properties, "kind"))
    if kind not in set(ZoneKind):
        raise AirspaceError(f"kind {kind!r} is not one of {', '.join(ZoneKind)}")
    floor, ceiling = _heights(properties)
    return Zone.single(
        id=str(_need(properties, "id")),
        name=str(_need(properties, "name")),
        kind=ZoneKind(kind),
        outline=outline,
        floor=floor,
        ceiling=ceiling,
        spans=_spans(properties),
        windows=(_window(rule),) if (rule := properties.get("recurrence")) is not None else (),
        authority=str(properties.get("authority", "")),
        version=str(properties.get("version", "")),
        synthetic=bool(properties.get("synthetic", False)),
        buffer_m=_number(properties, "buffer_m", 0.0),
    )


def _permit(properties: Properties, geometry: Any, fallback_id: str) -> Permit:
    floor, ceiling = _heights(properties)
    flags = properties.get("flags") or []
    unknown = [f for f in flags if f not in set(Flag)]
    if unknown:
        raise AirspaceError(f"flag {unknown[0]!r} is not one of {', '.join(Flag)}")
    return Permit(
        id=str(properties.get("id", fallback_id)),
        outline=read_outline(geometry),
        floor=floor,
        ceiling=ceiling,
        span=Span(_instant(_need(properties, "start")), _instant(_need(properties, "end"))),
        holder=str(_need(properties, "holder")),
        number=str(_need(properties, "number")),
        flags=tuple(Flag(f) for f in flags),
    )


def _heights(properties: Properties) -> tuple[Height, Height]:
    floor = _number(properties, "floor_m", GROUND.metres)
    ceiling = _number(properties, "ceiling_m", UNLIMITED.metres)
    return Height(floor, Datum.GROUND), Height(ceiling, Datum.GROUND)


def _spans(properties: Properties) -> tuple[Span, ...]:
    spans: list[Span] = []
    for index, pair in enumerate(properties.get("spans") or [], start=1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise AirspaceError(f"span {index} is not a pair [start, end]")
        spans.append(Span(_instant(pair[0]), _instant(pair[1])))
    return tuple(spans)


def _window(rule: Any) -> Window:
    """A weekly rule in local time; it may run over midnight."""
    try:
        return Window(
            time.fromisoformat(rule["from"]),
            time.fromisoformat(rule["to"]),
            tuple(Day(d) for d in rule.get("days", ())),
            date.fromisoformat(rule["first"]) if "first" in rule else None,
            date.fromisoformat(rule["last"]) if "last" in rule else None,
        )
    except (TypeError, KeyError, ValueError, AttributeError) as err:
        raise AirspaceError(f"recurrence {rule!r} is not understood ({err}); see the table in the loader's description") from err


def _need(properties: Properties, key: str) -> Any:
    value = properties.get(key)
    if value is None or value == "":
        raise AirspaceError(f"property {key!r} is missing")
    return value


def _number(properties: Properties, key: str, default: float) -> float:
    value = properties.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AirspaceError(f"property {key!r} is {value!r}, not a number of metres")
    return float(value)


def _instant(text: Any) -> datetime:
    try:
        return utc(datetime.fromisoformat(str(text)))
    except ValueError as err:
        raise AirspaceError(
            f"{text!r} is not a time (ISO 8601 with a time zone, such as 2026-01-31T08:00:00+08:00): {err}"
        ) from err


def _short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _feature(zone: Zone) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": zone.id,
        "name": zone.name,
        "kind": str(zone.kind),
        "floor_m": zone.parts[0].floor.metres,
        "ceiling_m": zone.parts[0].ceiling.metres,
        "buffer_m": zone.buffer_m,
        "authority": zone.authority,
        "version": zone.version,
        "synthetic": zone.synthetic,
    }
    if zone.spans:
        properties["spans"] = [[s.start.isoformat(), s.end.isoformat()] for s in zone.spans]
    return {"type": "Feature", "properties": properties, "geometry": mapping(zone.outline)}
