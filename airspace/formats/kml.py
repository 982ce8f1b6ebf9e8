"""KML and KMZ: polygons of placemarks with the product's own fields as ExtendedData; a TimeSpan is a span.

The file is read by a parser that takes neither entities nor a document type, event by event, so every refusal names its line. KML is WGS 84 by
its standard; Chinese map programs write GCJ-02 into it all the same, so what the standard says is checked like any other claim.
"""

from __future__ import annotations

import json
import xml.sax
import xml.sax.handler
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import create_parser
from shapely.geometry import MultiPolygon, Polygon

from airspace.errors import AirspaceError, ZoneFileRefused
from airspace.formats import fields
from airspace.formats.draft import Ask, Sheet, Where, line
from airspace.formats.opened import Opened
from airspace.reasons import Reason
from airspace.zones import Zone
from geo import reading

_FLAT = frozenset({"Point", "LineString", "LinearRing", "Model", "Track", "MultiTrack"})
_MOST_DEPTH = 200


@dataclass
class _Mark:
    """What has been read of one placemark."""

    where: Where
    columns: dict[str, Any] = field(default_factory=dict)
    polygons: list[list[list[tuple[float, float]]]] = field(default_factory=list)


class _Reader(xml.sax.handler.ContentHandler):
    """Gathers placemarks."""

    def __init__(self) -> None:
        self.marks: list[_Mark] = []
        self.high = False
        self.root = ""
        self.path: list[str] = []
        self._mark: _Mark | None = None
        self._key = ""
        self._words: list[str] = []
        self._where = line(1)

    def setDocumentLocator(self, locator: Any) -> None:
        """Kept to know the line."""
        self._locator = locator

    def startElement(self, name: str, attrs: Any) -> None:
        """An element begins."""
        tag = name.rpartition(":")[2]
        self._where = line(self._locator.getLineNumber() or 1)
        if len(self.path) > _MOST_DEPTH:
            raise self._where.refuse("元素嵌套过深。", "elements are nested too deeply.")
        self.root = self.root or tag
        mark = self._mark
        if tag == "Placemark":
            if mark is not None:
                raise self._where.refuse("地标套在地标里。", "a placemark stands inside a placemark.")
            self._mark = _Mark(self._where)
            self.marks.append(self._mark)
        elif mark is not None and tag == "Polygon":
            mark.polygons.append([])
        elif mark is not None and tag in _FLAT and "Polygon" not in self.path:
            raise self._where.refuse(f"地标是 {tag}，空域应为面（Polygon）。", f"the placemark is a {tag}; a zone is a Polygon.")
        elif tag in {"Data", "SimpleData"}:
            self._key = attrs.get("name", "")
        self.path.append(tag)
        self._words = []

    def characters(self, content: str) -> None:
        """Text, in pieces."""
        self._words.append(content)

    def endElement(self, name: str) -> None:
        """An element ends."""
        tag, text = self.path.pop(), "".join(self._words).strip()
        parent = self.path[-1] if self.path else ""
        self._words = []
        mark = self._mark
        if mark is None:
            return
        if tag == "Placemark":
            self._mark = None
        elif tag == "coordinates" and "Polygon" in self.path:
            self._ring(mark, text)
        elif parent == "Placemark" and tag in {"name", "description"} and text:
            mark.columns.setdefault(tag, text)
        elif parent == "TimeSpan" and tag in {"begin", "end"} and text:
            mark.columns["start" if tag == "begin" else "end"] = text
        elif text and ((tag == "value" and parent == "Data") or tag == "SimpleData"):
            mark.columns[self._key] = text

    def _ring(self, mark: _Mark, text: str) -> None:
        inner = "innerBoundaryIs" in self.path
        rings = mark.polygons[-1]
        if inner is not bool(rings):
            raise self._where.refuse(
                "多边形的内外边界不成对。", "a polygon has one outer boundary, first, and then its inner ones."
            )
        ring = []
        for number, triple in enumerate(text.split(), start=1):
            numbers = _numbers(triple)
            if numbers is None:
                raise self._where.refuse(
                    f"第 {number} 个坐标“{triple[:40]}”不是“经度,纬度”。",
                    f"coordinate {number}, {triple[:40]!r}, is not longitude,latitude.",
                )
            self.high = self.high or (len(numbers) == 3 and numbers[2] != 0)
            ring.append((numbers[0], numbers[1]))
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise self._where.refuse(
                f"边界有 {len(ring)} 个点，应至少 4 个且首尾相同。",
                f"a boundary of {len(ring)} points: it needs four, the last like the first (not closed).",
            )
        rings.append(ring)


def _numbers(triple: str) -> list[float] | None:
    try:
        found = [float(n) for n in triple.split(",")]
    except ValueError:
        return None
    return found if 2 <= len(found) <= 3 and all(abs(n) < 1e12 for n in found) else None


def read(file: Opened, ask: Ask) -> Sheet:
    """All placemarks. Raises ZoneFileRefused naming the line."""
    reader, parser = _Reader(), create_parser(forbid_dtd=True, forbid_entities=True, forbid_external=True)
    parser.setContentHandler(reader)
    parser.setFeature(xml.sax.handler.feature_namespaces, False)
    try:
        parser.parse(BytesIO(file.path.read_bytes()))
    except DefusedXmlException as err:
        raise ZoneFileRefused(
            "含有实体或文档类型声明，出于安全不予读取", "declares entities or a document type, which are not read"
        ) from err
    except xml.sax.SAXParseException as err:
        where = line(err.getLineNumber() or 1)
        raise where.refuse(f"不是有效的 XML（{err.getMessage()}）。", f"is not XML ({err.getMessage()}).") from err
    except (ValueError, LookupError) as err:
        if isinstance(err, AirspaceError):
            raise
        raise ZoneFileRefused(f"不是有效的 XML（{err}）", f"is not XML ({err})") from err
    if reader.root != "kml":
        raise ZoneFileRefused(f"根元素是 {reader.root}，不是 KML", f"its root is {reader.root}, not kml")
    rows = []
    for mark in reader.marks:
        name = str(mark.columns.get("name", ""))
        if not mark.polygons or not all(mark.polygons):
            raise mark.where.named(name).refuse("地标没有面。", "the placemark has no polygon.")
        shapes = [Polygon(rings[0], rings[1:]) for rings in mark.polygons]
        rows.append(fields.Row(mark.where, mark.columns, shapes[0] if len(shapes) == 1 else MultiPolygon(shapes)))
    if reader.high:
        file.notes.append(
            Reason(
                "heights",
                "坐标中带有高度，未作为空域的上下限；上下限请写在 floor_m、ceiling_m 中。",
                "positions carry heights, which are not taken as limits; say limits as floor_m and ceiling_m.",
            )
        )
    return Sheet(fields.drafts(rows, ask), reading.WGS84, by_standard=True)


def write(zones: Sequence[Zone]) -> bytes:
    """Zones as KML, one placemark for each part."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>']
    for row, part in fields.part_rows(zones):
        lines.append(f"<Placemark><name>{escape(row['name'])}</name><ExtendedData>")
        for key, value in row.items():
            if key != "name":
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                lines.append(f"<Data name={quoteattr(key)}><value>{escape(text)}</value></Data>")
        lines.append("</ExtendedData><MultiGeometry>")
        for polygon in part.outline.geoms if isinstance(part.outline, MultiPolygon) else (part.outline,):
            rings = [("outer", polygon.exterior), *(("inner", ring) for ring in polygon.interiors)]
            bounds = "".join(
                f"<{side}BoundaryIs><LinearRing><coordinates>{' '.join(f'{x!r},{y!r}' for x, y in ring.coords)}</coordinates></LinearRing>"
                f"</{side}BoundaryIs>"
                for side, ring in rings
            )
            lines.append(f"<Polygon>{bounds}</Polygon>")
        lines.append("</MultiGeometry></Placemark>")
    return "\n".join([*lines, "</Document></kml>"]).encode()
