"""Permits (空域批准) from a GeoJSON file in WGS 84: `id`, `number`, `holder`, `floor_m`, `ceiling_m`, `start`, `end` and `flags`."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields
from airspace.formats.draft import feature
from airspace.formats.opened import opened
from airspace.outlines import read_outline, whole
from airspace.zones import Flag, Permit
from geo.errors import GeoError
from geo.times import Span


def load_permits(path: Path | str) -> tuple[Permit, ...]:
    """All permits of a file, all or none. Raises ZoneFileRefused naming file, feature and fault."""
    path = Path(path)
    with opened(path) as file:
        data = file.json
    items = data.get("features") if isinstance(data, dict) else None
    if not isinstance(items, list) or not items:
        raise ZoneFileRefused(f"{path.name}：没有空域批准。", f"{path.name}: holds no features.")
    made: dict[str, Permit] = {}
    for number, item in enumerate(items, start=1):
        try:
            permit = _permit(item, f"{path.name}#{number}", made)
        except (AirspaceError, GeoError) as err:
            zh, en = both(feature(number).refuse(*both(err)))
            raise ZoneFileRefused(f"{path.name} {zh}", f"{path.name}, {en}") from err
        made[permit.id] = permit
    return tuple(made.values())


def _permit(item: Any, fallback_id: str, taken: Container[str]) -> Permit:
    properties = item.get("properties") if isinstance(item, dict) else None
    if not isinstance(properties, dict):
        raise AirspaceError("没有 properties / has no properties")
    missing = [key for key in ("number", "holder", "start", "end") if properties.get(key) in (None, "")]
    if missing:
        raise AirspaceError(f"缺少 {missing[0]} / property {missing[0]!r} is missing")
    flags = properties.get("flags") or []
    unknown = [f for f in flags if f not in set(Flag)]
    if unknown:
        raise AirspaceError(f"事项 {unknown[0]!r} 不认识 / flag {unknown[0]!r} is not one of {', '.join(Flag)}")
    id_ = str(properties.get("id", fallback_id))
    if id_ in taken:
        raise AirspaceError(f"编号 {id_} 重复 / its id {id_!r} is taken")
    floor, ceiling = fields.limits_of(properties)
    return Permit(
        id=id_,
        outline=whole(read_outline(item.get("geometry")))[0],
        floor=floor,
        ceiling=ceiling,
        span=Span(fields.instant(properties["start"]), fields.instant(properties["end"])),
        holder=str(properties["holder"]),
        number=str(properties["number"]),
        flags=tuple(Flag(f) for f in flags),
    )
