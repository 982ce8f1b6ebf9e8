"""OpenAir (Naviter's description, version 2.1 of 2025, and the older form): one command a line, airspace by airspace.

Degrees are WGS 84. A flight level counts from standard pressure; it is taken over the sea, which is said. A class or type that is neither
prohibited, restricted nor dangerous is controlled air: nothing in this format says that air is suitable for drones. What is only drawing
(pens, brushes, labels) is passed over; any other command that is not known is refused, not passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields
from airspace.formats.draft import Ask, Circle, Draft, Shape, Sheet, Where, line
from airspace.formats.limits import EARTH, FOOT_M, MILE_M
from airspace.formats.opened import Opened
from airspace.reasons import Reason
from airspace.zones import GROUND, UNLIMITED, ZoneKind
from geo import reading
from geo.heights import Datum, Height
from geo.times import Span

_KINDS = {
    **dict.fromkeys(("P", "GP"), ZoneKind.PROHIBITED),
    **dict.fromkeys(("R", "Q", "TRA", "TSA"), ZoneKind.RESTRICTED),
    **dict.fromkeys(("TFR", "N"), ZoneKind.TEMPORARY),
}
_DRAWN = frozenset({"SP", "SB", "AT", "TO", "TC", "TB"})
_AXIS = r"(\d{1,3}):(\d{1,2}(?:\.\d+)?)(?::(\d{1,2}(?:\.\d+)?))?\s*"
_POINT = re.compile(rf"^\s*{_AXIS}([NS])[\s,]*{_AXIS}([EW])\s*$", re.IGNORECASE)
_TWO_POINTS = re.compile(r"^(.*?[EW])\s*,\s*(.*)$", re.IGNORECASE)
_LEVEL = re.compile(r"^FL\s*(\d+(?:\.\d+)?)$", re.IGNORECASE)
_HEIGHT = re.compile(r"^(\d+(?:\.\d+)?)\s*(FT|F|M)?\s*(AMSL|MSL|ALT|AGL|GND|SFC|ASFC|STD)?$", re.IGNORECASE)
_STEP_DEG = 2.0  # of an arc: on 5 km it is then met within 0.8 m
_LONGEST = 2000
_DAY = timedelta(days=1)


@dataclass
class _Block:
    """What has been read of one airspace."""

    where: Where
    said: dict[str, str] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    circle: Circle | None = None
    floor: Height | None = None
    ceiling: Height | None = None
    centre: tuple[float, float] | None = None
    clockwise: bool = True


def read(file: Opened, ask: Ask) -> Sheet:
    """All airspaces. Raises ZoneFileRefused naming the line."""
    blocks: list[_Block] = []
    levels = False
    for number, raw in enumerate(file.text.splitlines(), start=1):
        where = line(number)
        text = raw.split("*", maxsplit=1)[0].strip() if raw.lstrip().startswith("*") else raw.strip()
        if not text:
            continue
        if len(text) > _LONGEST:
            raise where.refuse(f"行过长（{len(text)} 字符）。", f"the line is too long ({len(text)} characters).")
        command, _, rest = text.partition(" ")
        command, rest = command.upper(), rest.strip()
        if command in _DRAWN:
            continue
        if command == "AC":
            if not rest:
                raise where.refuse("AC 没有类别。", "AC names no class.")
            blocks.append(_Block(where, {"AC": rest}))
            continue
        act = _ACTS.get(command)
        if act is None:
            raise where.refuse(f"命令“{command[:20]}”不认识。", f"the command {command[:20]!r} is not known.")
        if not blocks:
            raise where.refuse("空域应以 AC 行开始。", "an airspace begins with AC; this comes before any.")
        try:
            act(blocks[-1], command, rest)
        except AirspaceError as err:
            raise where.refuse(*both(err)) from err
        levels = levels or (command in {"AL", "AH"} and ("FL" in rest.upper() or "STD" in rest.upper()))
    if not blocks:
        raise ZoneFileRefused("没有空域（没有 AC 行）", "holds no airspace (no line AC)")
    names: dict[str, int] = {}
    made = tuple(_draft(block, names, ask) for block in blocks)
    if levels:
        file.notes.append(
            Reason(
                "levels",
                "飞行高度层（FL）按标准气压换算为海拔高度，实际随气压变化。",
                "flight levels (FL) are taken over the sea at standard pressure; the true height moves with the pressure.",
            )
        )
    if any(d.given["kind"] is ZoneKind.CONTROLLED for d in made):
        classes = sorted({b.said.get("AY") or b.said["AC"] for b in blocks if _kind(b) is ZoneKind.CONTROLLED})
        told = "、".join(classes)
        file.notes.append(
            Reason("classes", f"类别 {told} 按管制空域处理。", f"classes {', '.join(classes)} are taken as controlled airspace.")
        )
    if any("NONE" in b.times for b in blocks):
        file.notes.append(
            Reason(
                "activation",
                "启用时间为 NONE（另行通告）的空域按全时段生效处理。",
                "airspace whose activation is NONE (told by notice) is taken as always active.",
            )
        )
    return Sheet(made, reading.WGS84, by_standard=True)


def _kind(block: _Block) -> ZoneKind:
    for said in (block.said.get("AY", ""), block.said["AC"]):
        if found := _KINDS.get(said.upper()):
            return found
    return ZoneKind.CONTROLLED


def _draft(block: _Block, names: dict[str, int], ask: Ask) -> Draft:
    name = block.said.get("AN", "")
    where = block.where.named(name)
    if not name:
        raise where.refuse("空域没有名称（AN）。", "the airspace has no name (AN).")
    if "AG" in block.said and "AF" not in block.said:
        raise where.refuse("有台名（AG）而没有频率（AF）。", "it has a station (AG) but no frequency (AF).")
    if block.floor is None or block.ceiling is None:
        raise where.refuse("缺少下限（AL）或上限（AH）。", "its floor (AL) or its ceiling (AH) is missing.")
    if block.circle is not None and block.points:
        raise where.refuse("同时有圆（DC）和边界点，无法确定图形。", "it has a circle (DC) and points: which is its outline?")
    shape: Shape
    if block.circle is not None:
        shape = block.circle
    else:
        ring = [p for i, p in enumerate(block.points) if i == 0 or p != block.points[i - 1]]
        if ring and ring[0] == ring[-1]:
            ring.pop()
        if len(set(ring)) < 3:
            raise where.refuse(
                f"只有 {len(set(ring))} 个不同的边界点，至少 3 个。",
                f"has {len(set(ring))} different points; an outline needs three.",
            )
        shape = Polygon(ring)
    try:
        spans, start, end = _times(block.times)
    except AirspaceError as err:
        raise where.refuse(*both(err)) from err
    names[name] = names.get(name, 0) + 1
    given: dict[str, Any] = {
        "id": name if names[name] == 1 else f"{name}-{names[name]}",
        "name": name,
        "kind": ask.kind or _kind(block),
        "spans": spans,
        "valid_from": start,
        "valid_until": end,
        "attributes": tuple((f"openair:{k}", v) for k, v in block.said.items() if k != "AN")
        + tuple(("openair:AA", t) for t in block.times),
    }
    return Draft(where, (shape,), ((block.floor, block.ceiling),), given)


def _text(block: _Block, command: str, rest: str) -> None:
    if command in block.said:
        raise AirspaceError(f"{command} 重复 / {command} stands twice in one airspace")
    if command == "AX" and not re.fullmatch(r"[0-7]{4}", rest):
        raise AirspaceError(f"应答机编码“{rest}”应为 4 位八进制数 / the transponder code {rest!r} is not four digits 0 to 7")
    if command == "AF" and not re.fullmatch(r"\d{2,3}\.\d{1,4}", rest):
        raise AirspaceError(f"频率“{rest}”有误 / the frequency {rest!r} is none")
    fields.legal(rest)
    if rest:
        block.said[command] = rest


def _activation(block: _Block, command: str, rest: str) -> None:
    if rest.upper() != "NONE" and rest.upper().count("NONE") + rest.count("T") != 2:
        raise AirspaceError(f"启用时间“{rest}”应为 开始/结束 或 NONE / the activation {rest!r} is neither start/end nor NONE")
    if rest.upper() == "NONE/NONE":
        raise AirspaceError("启用时间两端都是 NONE，应只写 NONE / the activation NONE/NONE has neither start nor end: write NONE")
    block.times.append(rest.upper())
    _times(block.times)


def _times(said: list[str]) -> tuple[tuple[Span, ...], datetime | None, datetime | None]:
    """Spans, or one open side. NONE overrides all: the airspace may be activated at any time."""
    if not said or "NONE" in said:
        return (), None, None
    spans: list[Span] = []
    start = end = None
    for text in said:
        first, apart, last = text.partition("/")
        if not apart:
            raise AirspaceError(f"启用时间“{text}”应为 开始/结束 / the activation {text!r} is not start/end")
        low = None if first == "NONE" else _instant(first)
        high = None if last == "NONE" else _instant(last)
        if low is not None and high is not None:
            if high <= low:
                raise AirspaceError(f"启用时间“{text}”的结束不晚于开始 / the activation {text!r} must end after it starts")
            spans.append(Span(low, high))
        else:
            start, end = low, high
    if spans and (start or end):
        raise AirspaceError("启用时间既有区间又有单边 / activations with both ends and with one end cannot be mixed")
    return tuple(spans), start, end


def _instant(text: str) -> datetime:
    late = "T24:00" in text
    found = fields.instant(text.replace("T24:00", "T00:00"))
    return found + _DAY if late else found


def _limit(block: _Block, command: str, rest: str) -> None:
    name = "floor" if command == "AL" else "ceiling"
    if getattr(block, name) is not None:
        raise AirspaceError(f"{command} 重复 / {command} stands twice in one airspace")
    setattr(block, name, _height(rest, command))


def _height(text: str, command: str) -> Height:
    said = re.sub(r"\s+", " ", text.strip().upper())
    if said in {"GND", "SFC", "0"} and command == "AL":
        return GROUND
    if said in {"UNL", "UNLIM", "UNLIMITED", "UNLTD"} and command == "AH":
        return UNLIMITED
    if found := _LEVEL.match(said):
        return Height(float(found[1]) * 100 * FOOT_M, Datum.SEA_LEVEL)
    if found := _HEIGHT.match(said):
        metres = float(found[1]) * (1.0 if found[2] == "M" else FOOT_M)
        return Height(metres, Datum.GROUND if found[3] in {"AGL", "GND", "SFC", "ASFC"} else Datum.SEA_LEVEL)
    raise AirspaceError(f"高度“{text}”无法理解 / the height {text!r} is not understood")


def _point(text: str) -> tuple[float, float]:
    found = _POINT.match(text)
    if not found:
        raise AirspaceError(
            f"坐标“{text}”无法理解（应如 54:25:00 N 010:40:00 E） / the point {text!r} is not understood (54:25:00 N 010:40:00 E)"
        )
    lat, lon = _axis(found.groups()[:4], text), _axis(found.groups()[4:], text)
    if abs(lat) > 90 or abs(lon) > 180:
        raise AirspaceError(f"坐标“{text}”超出范围 / the point {text!r} is not on the earth")
    return lon, lat


def _axis(parts: tuple[str | None, ...], text: str) -> float:
    degrees, minutes, seconds = float(parts[0] or 0), float(parts[1] or 0), float(parts[2] or 0)
    if minutes >= 60 or seconds >= 60:
        raise AirspaceError(f"坐标“{text}”的分、秒应小于 60 / the point {text!r}: minutes and seconds are below 60")
    value = degrees + minutes / 60 + seconds / 3600
    return -value if (parts[3] or "").upper() in {"S", "W"} else value


def _variable(block: _Block, command: str, rest: str) -> None:
    name, apart, value = rest.partition("=")
    name, value = name.strip().upper(), value.strip()
    if not apart or name not in {"X", "D"}:
        raise AirspaceError(f"变量“{rest}”不认识（应为 X= 或 D=） / the variable {rest!r} is not known (X= or D=)")
    if name == "X":
        block.centre = _point(value)
    elif value in {"+", "-"}:
        block.clockwise = value == "+"
    else:
        raise AirspaceError(f"方向 D={value} 应为 + 或 - / the direction D={value} is neither + nor -")


def _corner(block: _Block, command: str, rest: str) -> None:
    block.points.append(_point(rest))


def _centre(block: _Block, command: str) -> tuple[float, float]:
    if block.centre is None:
        raise AirspaceError(f"{command} 之前没有圆心（V X=） / {command} comes before its centre (V X=)")
    return block.centre


def _circle(block: _Block, command: str, rest: str) -> None:
    if block.circle is not None:
        raise AirspaceError("DC 重复 / DC stands twice in one airspace")
    lon, lat = _centre(block, command)
    block.circle = Circle(lon, lat, _miles(rest) * MILE_M)


def _miles(text: str) -> float:
    try:
        miles = float(text)
    except ValueError as err:
        raise AirspaceError(f"半径“{text}”不是数字 / the radius {text!r} is no number") from err
    if not 0 < miles <= 500:
        raise AirspaceError(f"半径 {text} 海里应在 0 到 500 之间 / the radius {text} nm is not between 0 and 500")
    return miles


def _arc_by_bearing(block: _Block, command: str, rest: str) -> None:
    lon, lat = _centre(block, command)
    cells = [c.strip() for c in rest.split(",")]
    try:
        radius, first, last = _miles(cells[0]), float(cells[1]), float(cells[2])
    except (IndexError, ValueError) as err:
        raise AirspaceError(f"圆弧“{rest}”应为 半径, 起始角, 终止角 / the arc {rest!r} is not radius, start, end") from err
    if len(cells) != 3 or not (abs(first) <= 360 and abs(last) <= 360):
        raise AirspaceError(f"圆弧“{rest}”的角度应在 0 到 360 之间 / the arc {rest!r}: angles run from 0 to 360")
    block.points += _arc((lon, lat), radius * MILE_M, radius * MILE_M, first, last, block.clockwise)


def _arc_by_points(block: _Block, command: str, rest: str) -> None:
    centre = _centre(block, command)
    found = _TWO_POINTS.match(rest)
    if not found:
        raise AirspaceError(f"圆弧“{rest}”应为两个点 / the arc {rest!r} is not two points")
    start, end = _point(found[1]), _point(found[2])
    first, _, near = EARTH.inv(*centre, *start)
    last, _, far = EARTH.inv(*centre, *end)
    if min(near, far) <= 0 or max(near, far) > 1_000_000:
        raise AirspaceError("圆弧端点与圆心重合或过远 / an end of the arc lies on its centre or too far off")
    block.points += [start, *_arc(centre, near, far, first, last, block.clockwise)[1:-1], end]


def _arc(
    centre: tuple[float, float], near_m: float, far_m: float, first: float, last: float, clockwise: bool
) -> list[tuple[float, float]]:
    """Points along an arc; its radius runs evenly from the first end's to the last one's, which rounded files need."""
    turn = (last - first) % 360 if clockwise else -((first - last) % 360)
    if turn == 0:
        turn = 360.0 if clockwise else -360.0
    steps = max(2, math.ceil(abs(turn) / _STEP_DEG) + 1)
    bearings = np.linspace(first, first + turn, steps)
    lons, lats, _ = EARTH.fwd(np.full(steps, centre[0]), np.full(steps, centre[1]), bearings, np.linspace(near_m, far_m, steps))
    return [(float(x), float(y)) for x, y in zip(lons, lats, strict=True)]


def _airway(block: _Block, command: str, rest: str) -> None:
    raise AirspaceError("航路段（DY）不是面，请改用 DP / an airway (DY) has no outline: use DP")


_ACTS: dict[str, Callable[[_Block, str, str], None]] = {
    **dict.fromkeys(("AN", "AY", "AF", "AG", "AX", "AI"), _text),
    "AA": _activation,
    "AL": _limit,
    "AH": _limit,
    "V": _variable,
    "DP": _corner,
    "DA": _arc_by_bearing,
    "DB": _arc_by_points,
    "DC": _circle,
    "DY": _airway,
}
