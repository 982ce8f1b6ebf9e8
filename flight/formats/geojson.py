"""Missions as GeoJSON (RFC 7946): a point for each item with a place, the path as a line to look at, fences as outlines.

Labels stand in the foreign member `dronePatrol`. Of other programs' files the first line with heights is read.
"""

from __future__ import annotations

import json
from typing import Any

from flight.errors import FormatError
from flight.formats.rows import Row, heard, labels_of, mission_of, of_line, rows_of, told
from flight.mission import Mission

_LABELS = "dronePatrol"


def write(mission: Mission) -> str:
    """The mission as the text of a `.geojson` file."""
    features = [_feature(row, number) for number, row in enumerate(rows_of(mission), start=1)]
    path = {"type": "LineString", "coordinates": [[p.lon_deg, p.lat_deg] for p in mission.path]}
    outlines = [
        {"type": "Polygon", "coordinates": [[[p.lon_deg, p.lat_deg] for p in (*area.ring, area.ring[0])]]}
        for area in mission.fence
        if area.ring
    ]
    shown = [{"type": "Feature", "geometry": path, "properties": {"part": "path"}}]
    shown += [{"type": "Feature", "geometry": o, "properties": {"part": "outline"}} for o in outlines]
    labels = {name: list(values) for name, values in labels_of(mission).items()}
    whole = {"type": "FeatureCollection", _LABELS: labels, "features": [*features, *shown]}
    return json.dumps(whole, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def read(text: str) -> Mission:
    """The mission of a `.geojson` text; raises FormatError naming the feature."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as err:
        raise FormatError(f"not GeoJSON: line {err.lineno}, column {err.colno}: {err.msg}") from err
    if not isinstance(whole, dict) or whole.get("type") != "FeatureCollection" or not isinstance(whole.get("features"), list):
        raise FormatError('not GeoJSON of a mission: the whole has to be a "FeatureCollection" with "features"')
    labels = whole.get(_LABELS)
    if isinstance(labels, dict):
        rows = [_row(f, n) for n, f in enumerate(whole["features"], start=1) if _properties(f).get("part") in _ROWS]
        return mission_of(rows, {k: [str(v) for v in vs] for k, vs in labels.items()})
    for number, feature in enumerate(whole["features"], start=1):
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        if isinstance(geometry, dict) and geometry.get("type") == "LineString":
            return of_line(_places(geometry.get("coordinates"), number), f"feature {number}")
    raise FormatError("the file holds no line: a mission of another program is read from a LineString with heights")


_ROWS = ("mission", "fence", "rally")


def _feature(row: Row, number: int) -> dict[str, Any]:
    i = row.item
    placed = i.place is not None or row.part != "mission"
    geometry = {"type": "Point", "coordinates": [i.lon_deg, i.lat_deg]} if placed else None
    return {"type": "Feature", "id": number, "geometry": geometry, "properties": told(row)}


def _properties(feature: Any) -> dict[str, Any]:
    found = feature.get("properties") if isinstance(feature, dict) else None
    return found if isinstance(found, dict) else {}


def _row(feature: Any, number: int) -> Row:
    return heard(_properties(feature), f"feature {number}")


def _places(coordinates: Any, number: int) -> list[tuple[float, ...]]:
    try:
        return [tuple(float(v) for v in place) for place in coordinates]
    except (TypeError, ValueError) as err:
        raise FormatError(f"feature {number}: its coordinates are not numbers ({err})") from err
