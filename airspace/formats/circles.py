"""CSV of circles: the product's own fields, and `lon`, `lat` (degrees, decimal or 120°30′15″) and `radius_m` for the shape."""

from __future__ import annotations

import csv
import io
import re

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields
from airspace.formats.draft import Ask, Circle, Sheet, Where, line
from airspace.formats.opened import Opened
from geo import reading
from geo.errors import GeoError

_DMS = re.compile(
    r"^\s*([NSEW东西南北]?)\s*(\d+)[°度]\s*(?:(\d+(?:\.\d+)?)[′'分]\s*)?(?:(\d+(?:\.\d+)?)[″\"秒]\s*)?([NSEW东西南北]?)\s*$",
    re.IGNORECASE,
)


def read(file: Opened, ask: Ask) -> Sheet:
    """All circles. Raises ZoneFileRefused naming the line."""
    text = file.text
    first = text.split("\n", maxsplit=1)[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    rows: list[fields.Row] = []
    datums: set[str] = set()
    try:
        header = [name.strip() for name in next(table)]
        wanted = {fields.field_names().get(fields.plain(name)): name for name in reversed(header)}
        missing = [f for f in ("lon", "lat", "radius_m", "name") if f not in wanted]
        if missing:
            raise line(1).refuse(
                f"缺少列 {'、'.join(missing)}（圆心经度、纬度、半径、名称）；现有：{'、'.join(header)}。",
                f"columns {', '.join(missing)} are missing; there are {', '.join(header)}.",
            )
        if len(set(header)) != len(header):
            raise line(1).refuse("列名重复。", "a column's name stands twice.")
        for cells in table:
            where = line(table.line_num)
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise where.refuse(
                    f"有 {len(cells)} 列，应为 {len(header)} 列。", f"has {len(cells)} cells, the header has {len(header)}."
                )
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
            datums.add(row.pop("datum", "") or row.pop("坐标系", ""))
            shape = _circle(where, row, *(wanted[f] for f in ("lon", "lat", "radius_m")))
            rest = {k: v for k, v in row.items() if k not in {wanted["lon"], wanted["lat"], wanted["radius_m"]}}
            rows.append(fields.Row(where, rest, shape))
    except csv.Error as err:
        raise line(table.line_num).refuse(f"CSV 有误（{err}）。", f"is no CSV ({err}).") from err
    except StopIteration:
        raise ZoneFileRefused("没有表头", "has no header") from None
    if len(datums) > 1:
        raise ZoneFileRefused(
            "各行坐标系不一致，请分成几个文件", f"its lines speak of several datums ({', '.join(sorted(datums))}); split it"
        )
    try:
        said = reading.of_name(datums.pop()) if any(datums) else None
    except GeoError as err:
        raise ZoneFileRefused(*both(err)) from err
    return Sheet(fields.drafts(rows, ask), said)


def _circle(where: Where, row: dict[str, str], lon: str, lat: str, radius: str) -> Circle:
    try:
        metres = fields.number({"radius_m": row[radius]}, "radius_m") if row[radius] else None
        middle = _degrees(row[lon]), _degrees(row[lat])
    except AirspaceError as err:
        raise where.refuse(*both(err)) from err
    if metres is None or metres <= 0:
        raise where.refuse("半径应大于 0。", "the radius must be above 0.")
    return Circle(*middle, metres)


def _degrees(text: str) -> float:
    if len(text) > fields.LONGEST_NUMBER:
        raise AirspaceError(f"“{text[:20]}…”不是坐标 / {text[:20]!r}… is no coordinate")
    if found := _DMS.match(text):
        before, whole, minutes, seconds, after = found.groups()
        if float(minutes or 0) >= 60 or float(seconds or 0) >= 60:
            raise AirspaceError(f"“{text}”的分、秒应小于 60 / {text!r}: minutes and seconds are below 60")
        value = int(whole) + float(minutes or 0) / 60 + float(seconds or 0) / 3600
        return -value if (before or after).upper() in {"S", "W", "南", "西"} else value
    try:
        value = float(text)
    except ValueError as err:
        raise AirspaceError(
            f"“{text}”不是坐标（如 120.5612 或 120°33′40″） / {text!r} is no coordinate (120.5612 or 120°33′40″)"
        ) from err
    if not abs(value) < 1e9:
        raise AirspaceError(f"“{text}”不是坐标 / {text!r} is no coordinate")
    return value
