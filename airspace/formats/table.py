"""The table of formats: by suffix and by what a file begins with, who reads it, and who writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airspace.errors import ZoneFileRefused
from airspace.formats import circles, ed269, ed318, geojson, kml, openair, tables
from airspace.formats.draft import Ask, Sheet
from airspace.formats.opened import Opened
from airspace.zones import Zone


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `knows` looks into a file whose suffix fits; `write` where the format is one to give out."""

    code: str
    name: str
    suffixes: tuple[str, ...]
    knows: Callable[[Opened], bool]
    read: Callable[[Opened, Ask], Sheet]
    write: Callable[[Sequence[Zone]], bytes] | None = None
    media_type: str = "application/octet-stream"


def _first_feature(file: Opened) -> dict[str, object]:
    data = file.json
    items = data.get("features") if isinstance(data, dict) else None
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _is_ed269(file: Opened) -> bool:
    item = _first_feature(file)
    return isinstance(item.get("geometry"), list) or ("restriction" in item and "properties" not in item)


def _is_ed318(file: Opened) -> bool:
    item = _first_feature(file)
    geometry, properties = item.get("geometry"), item.get("properties")
    if not isinstance(geometry, dict):
        return False
    inner = geometry.get("geometries")
    layered = "layer" in geometry or (isinstance(inner, list) and any(isinstance(g, dict) and "layer" in g for g in inner))
    return layered or (isinstance(properties, dict) and {"variant", "zoneAuthority"} <= properties.keys())


def _begins(*heads: bytes) -> Callable[[Opened], bool]:
    return lambda file: file.head.lstrip().startswith(heads)


_JSON = (".json", ".geojson")
FORMATS: tuple[Format, ...] = (
    Format("ed269", "ED-269", _JSON, _is_ed269, ed269.read, ed269.write, "application/json"),
    Format("ed318", "ED-318", _JSON, _is_ed318, ed318.read, ed318.write, "application/geo+json"),
    Format("geojson", "GeoJSON", _JSON, lambda _: True, geojson.read, geojson.write, "application/geo+json"),
    Format(
        "gpkg",
        "GeoPackage",
        (".gpkg",),
        _begins(b"SQLite format 3\0"),
        tables.read,
        tables.write,
        "application/geopackage+sqlite3",
    ),
    Format("shp", "Shapefile", (".shp",), _begins(b"\0\0\x27\x0a"), tables.read),
    Format("kml", "KML", (".kml",), _begins(b"<"), kml.read, kml.write, "application/vnd.google-earth.kml+xml"),
    Format("openair", "OpenAir", (".txt", ".openair"), lambda _: True, openair.read),
    Format("circles", "CSV", (".csv",), lambda _: True, circles.read),
)
SUFFIXES = (*dict.fromkeys(s for f in FORMATS for s in f.suffixes), ".zip", ".kmz")
WRITTEN = {f.code: f for f in FORMATS if f.write is not None}


def format_of(file: Opened) -> Format:
    """The format of a file; raises ZoneFileRefused for one that is none, or not what its name says."""
    suffix = file.path.suffix.lower()
    fitting = [f for f in FORMATS if suffix in f.suffixes]
    if not fitting:
        raise ZoneFileRefused(
            f"不是可导入的格式，请提供 {'、'.join(SUFFIXES)}", f"no format that is taken; give one of {', '.join(SUFFIXES)}"
        )
    found = next((f for f in fitting if f.knows(file)), None)
    if found is None:
        names = " / ".join(f.name for f in fitting)
        raise ZoneFileRefused(
            f"内容不是 {names}，文件可能已损坏或被改名", f"its content is no {names}; it may be damaged or renamed"
        )
    return found
