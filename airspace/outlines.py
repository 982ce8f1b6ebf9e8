"""Polygons out of GeoJSON geometry, each fault said in words: which ring, which position, what is wrong."""

from __future__ import annotations

import math
from typing import Any

from shapely.geometry import MultiPolygon, Polygon
from shapely.validation import explain_validity

from airspace.errors import AirspaceError
from airspace.zones import Outline

Position = tuple[float, float]


def read_outline(geometry: Any) -> Outline:
    """A Polygon or MultiPolygon geometry object; heights in its positions are dropped."""
    if not isinstance(geometry, dict):
        raise AirspaceError("has no geometry")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        outline: Outline = _polygon(coordinates, "")
    elif kind == "MultiPolygon":
        if not isinstance(coordinates, list) or not coordinates:
            raise AirspaceError("the MultiPolygon holds no polygons")
        outline = MultiPolygon([_polygon(c, f"polygon {i}, ") for i, c in enumerate(coordinates, start=1)])
    else:
        raise AirspaceError(f"its geometry is {kind!r}; a zone is a Polygon or MultiPolygon")
    if not outline.is_valid:
        raise AirspaceError(
            f"the outline is broken: {explain_validity(outline)} (lon, lat); repair it in the program that drew it"
        )
    if outline.area == 0:
        raise AirspaceError("the outline has no area")
    return outline


def _polygon(rings: Any, where: str) -> Polygon:
    if not isinstance(rings, list) or not rings:
        raise AirspaceError(f"{where}no rings")
    read = [_ring(ring, f"{where}ring {number}") for number, ring in enumerate(rings, start=1)]
    return Polygon(read[0], read[1:])


def _ring(ring: Any, where: str) -> list[Position]:
    if not isinstance(ring, list) or len(ring) < 4:
        count = len(ring) if isinstance(ring, list) else 0
        raise AirspaceError(f"{where} has {count} positions; a closed ring has at least four")
    read = [_position(p, f"{where}, position {number}") for number, p in enumerate(ring, start=1)]
    if read[0] != read[-1]:
        raise AirspaceError(f"{where} is not closed: it begins at {read[0]} and ends at {read[-1]}")
    return read


def _position(position: Any, where: str) -> Position:
    numbers = position[:2] if isinstance(position, list) else []
    if len(numbers) < 2 or not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in numbers):
        raise AirspaceError(f"{where} is {position!r}, not [longitude, latitude]")
    lon, lat = float(numbers[0]), float(numbers[1])
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        swapped = " (longitude and latitude swapped?)" if -90 <= lon <= 90 and -180 <= lat <= 180 else ""
        raise AirspaceError(f"{where} is [{lon}, {lat}], no longitude and latitude in degrees{swapped}")
    return lon, lat
