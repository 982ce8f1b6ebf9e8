"""Missions as KML 2.2: items as placemarks with their numbers as ExtendedData, the path and the fences to look at in a globe.

Heights are given over the ground, which is what globes know; they count over the take-off place. Of other programs' files the first line
with heights is read.
"""

from __future__ import annotations

from xml.etree import ElementTree as xml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from flight.errors import FormatError
from flight.formats.rows import FIELDS, Row, heard, labels_of, mission_of, of_line, rows_of, told
from flight.mission import Mission

_KML = "http://www.opengis.net/kml/2.2"
_LABEL = "dronePatrol:"


def write(mission: Mission) -> str:
    """The mission as the text of a `.kml` file."""
    xml.register_namespace("", _KML)
    root = xml.Element(_name("kml"))
    document = xml.SubElement(root, _name("Document"))
    xml.SubElement(document, _name("name")).text = mission.name
    _data(document, [(f"{_LABEL}{name}", value) for name, values in labels_of(mission).items() for value in values])
    path = _mark(document, "航线 path")
    line = xml.SubElement(path, _name("LineString"))
    xml.SubElement(line, _name("altitudeMode")).text = "relativeToGround"
    places = [i for i in mission.items if i.place is not None]
    xml.SubElement(line, _name("coordinates")).text = " ".join(
        f"{i.lon_deg:.7f},{i.lat_deg:.7f},{i.altitude_m:g}" for i in places
    )
    for area in mission.fence:
        if area.ring:
            ring = xml.SubElement(_mark(document, "围栏 fence"), _name("Polygon"))
            for tag in ("outerBoundaryIs", "LinearRing", "coordinates"):
                ring = xml.SubElement(ring, _name(tag))
            ring.text = " ".join(f"{p.lon_deg:.7f},{p.lat_deg:.7f}" for p in (*area.ring, area.ring[0]))
    folder = xml.SubElement(document, _name("Folder"))
    xml.SubElement(folder, _name("name")).text = "items"
    for number, row in enumerate(rows_of(mission), start=1):
        _item(folder, number, row)
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def read(text: str) -> Mission:
    """The mission of a `.kml` text; raises FormatError naming the line or the placemark."""
    try:
        root: xml.Element = fromstring(text.encode())
    except xml.ParseError as err:
        raise FormatError(f"not KML: line {err.position[0]}, column {err.position[1] + 1}: {err}") from err
    except DefusedXmlException as err:
        raise FormatError(f"the file declares entities, which no KML file needs: {err}") from err
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    labels: dict[str, list[str]] = {}
    for name, value in _told(root.find("Document")):
        if name.startswith(_LABEL):
            labels.setdefault(name.removeprefix(_LABEL), []).append(value)
    if labels:
        marks = [m for m in root.iter("Placemark") if m.find("ExtendedData") is not None]
        return mission_of([heard(dict(_told(m)), f"placemark {n}") for n, m in enumerate(marks, start=1)], labels)
    for line in root.iter("LineString"):
        return of_line(_places(line.findtext("coordinates") or ""), "the first LineString")
    raise FormatError("the file holds no line: a mission of another program is read from a LineString with heights")


def _item(folder: xml.Element, number: int, row: Row) -> None:
    mark = _mark(folder, str(number))
    values = told(row)
    _data(mark, [(name, "" if values[name] is None else f"{values[name]}") for name in FIELDS])
    if row.item.place is not None or row.part != "mission":
        point = xml.SubElement(mark, _name("Point"))
        xml.SubElement(point, _name("coordinates")).text = f"{row.item.lon_deg:.7f},{row.item.lat_deg:.7f}"


def _mark(parent: xml.Element, name: str) -> xml.Element:
    mark = xml.SubElement(parent, _name("Placemark"))
    xml.SubElement(mark, _name("name")).text = name
    return mark


def _data(parent: xml.Element, values: list[tuple[str, str]]) -> None:
    data = xml.SubElement(parent, _name("ExtendedData"))
    for name, value in values:
        xml.SubElement(xml.SubElement(data, _name("Data"), name=name), _name("value")).text = value


def _told(parent: xml.Element | None) -> list[tuple[str, str]]:
    found = parent.findall("ExtendedData/Data") if parent is not None else []
    return [(d.get("name", ""), d.findtext("value") or "") for d in found]


def _places(text: str) -> list[tuple[float, ...]]:
    try:
        return [tuple(float(v) for v in place.split(",")) for place in text.split()]
    except ValueError as err:
        raise FormatError(f"the first LineString: its coordinates are not numbers ({err})") from err


def _name(local: str) -> str:
    return f"{{{_KML}}}{local}"
