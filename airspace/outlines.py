"""Polygons out of GeoJSON geometry, each fault said in words: which ring, which position, what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity, make_valid

from airspace.errors import AirspaceError
from airspace.zones import Outline

_NEARLY = 0.01  # a mended outline may change its area by so much


def read_outline(geometry: Any) -> Outline:
    """A Polygon or MultiPolygon geometry object, its numbers as the file has them; heights in its positions are dropped."""
    if not isinstance(geometry, dict):
        raise AirspaceError("没有图形 / has no geometry")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        return read_rings(coordinates, "", "")
    if kind == "MultiPolygon":
        if not isinstance(coordinates, list) or not coordinates:
            raise AirspaceError("MultiPolygon 里没有多边形 / the MultiPolygon holds no polygons")
        return MultiPolygon([read_rings(c, f"第 {i} 个多边形", f"polygon {i}, ") for i, c in enumerate(coordinates, start=1)])
    raise AirspaceError(
        f"图形是 {kind!r}，空域应为面（Polygon 或 MultiPolygon） / its geometry is {kind!r}; a zone is a Polygon or MultiPolygon"
    )


def read_rings(rings: Any, zh: str, en: str) -> Polygon:
    """A polygon from GeoJSON rings; `zh` and `en` say where they stand."""
    if not isinstance(rings, list) or not rings:
        raise AirspaceError(f"{zh}没有环 / {en}no rings")
    read = [_ring(ring, f"{zh}第 {n} 环", f"{en}ring {n}") for n, ring in enumerate(rings, start=1)]
    return Polygon(read[0], read[1:])


def whole(shape: BaseGeometry | None) -> tuple[Outline, bool]:
    """An outline that is one, and whether it had to be mended. Raises AirspaceError for what has no area or crosses itself for good."""
    if shape is None or shape.is_empty:
        raise AirspaceError("没有图形 / has no outline")
    if not isinstance(shape, Polygon | MultiPolygon):
        raise AirspaceError(
            f"图形是 {shape.geom_type}，空域应为面 / its geometry is {shape.geom_type!r}; a zone is a Polygon or MultiPolygon"
        )
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise AirspaceError("坐标不是有效数字 / has coordinates that are no numbers")
    if isinstance(shape, MultiPolygon) and len(shape.geoms) == 1:
        shape = shape.geoms[0]
    if shape.is_valid:
        if shape.area == 0:
            raise AirspaceError("图形面积为零 / the outline has no area")
        return shape, False
    why = explain_validity(shape)
    made = make_valid(shape)
    flat = [p for p in shapely.get_parts(shapely.get_parts([made])) if isinstance(p, Polygon) and p.area > 0]
    mended = flat[0] if len(flat) == 1 else MultiPolygon(flat)
    if not flat or abs(mended.area - abs(shape.area)) > _NEARLY * mended.area:
        raise AirspaceError(
            f"边界有误：{why}（经度 纬度），请在绘制它的软件中修复 / the outline is broken: {why} (lon, lat); repair it in the program that drew it"
        )
    return mended, True


def _ring(ring: Any, zh: str, en: str) -> Sequence[Sequence[float]]:
    if not isinstance(ring, list) or len(ring) < 4:
        count = len(ring) if isinstance(ring, list) else 0
        raise AirspaceError(
            f"{zh}只有 {count} 个点，闭合环至少 4 个 / {en} has {count} positions; a closed ring has at least four"
        )
    for number, position in enumerate(ring, start=1):
        if not isinstance(position, list) or len(position) < 2 or not (_number(position[0]) and _number(position[1])):
            raise AirspaceError(
                f"{zh}第 {number} 个点是 {_short(position)}，不是 [经度, 纬度] / {en}, position {number} is {_short(position)}, "
                "not [longitude, latitude]"
            )
    if ring[0][:2] != ring[-1][:2]:
        raise AirspaceError(
            f"{zh}没有闭合：始于 {ring[0][:2]}，止于 {ring[-1][:2]} / {en} is not closed: it begins at {ring[0][:2]} and ends at {ring[-1][:2]}"
        )
    return [position[:2] for position in ring]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 and math.isfinite(value)


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}…"
