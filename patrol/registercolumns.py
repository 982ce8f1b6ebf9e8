"""The rows of a register file as entries: which column is which, what kind each is, numbers with units, dates as offices write them.

`data/register_columns.csv` and `register_kinds.csv` list the usual Chinese and English names; an installation may put its own into
`home/config`.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon

from change_detect.corridor import INNER_M, OUTER_M, chainage
from change_detect.errors import ChangeError
from change_detect.register import ENTRY_TEXT, Entry, EntryKind
from geo.frames import LonLat, metric_frame
from patrol.rules import SHIPPED
from patrol.settings import Settings

_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y年%m月%d日",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
)
_LONG_TERM = frozenset({"长期", "永久", "无", "/", "-", "—", "无期限"})
_UNIT = re.compile(r"\s*(㎡|m2|m²|平方米|平米|米|m)\s*$", re.IGNORECASE)


class RegisterRefused(ValueError):
    """A register file that cannot be taken: which file, which feature, and what to do. Nothing of it is kept."""

    code = "register"

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en


def lists(settings: Settings, name: str, key: str) -> Mapping[str, tuple[str, ...]]:
    """A table `key,names` of an installation or the shipped one; names are parted by `|`."""
    own = settings.home / "config" / name
    with (own if own.is_file() else SHIPPED / name).open(encoding="utf-8-sig", newline="") as file:
        return {row[key]: tuple(row["names"].split("|")) for row in csv.DictReader(file)}


def kinds_of(settings: Settings) -> Mapping[str, EntryKind]:
    """Kinds by every name they go by."""
    return {_plain(n): EntryKind(kind) for kind, names in lists(settings, "register_kinds.csv", "kind").items() for n in names}


def _plain(text: str) -> str:
    return text.strip().lower().replace("（", "(").replace("）", ")").replace("_", " ")


def match(known: Mapping[str, Sequence[str]], names: Sequence[str], given: Mapping[str, str], file: str) -> Mapping[str, str]:
    """Which column each field is read from: as a person says, else the first usual name that the file has."""
    by_name = {_plain(n): n for n in reversed(names)}
    found = {}
    for wanted, column in given.items():
        if wanted not in known or _plain(column) not in by_name:
            raise RegisterRefused(
                f"{file}：列对应 {wanted}={column} 不成立；可对应的项目：{'、'.join(known)}；文件中的列：{'、'.join(names)}。",
                f"{file}: {wanted}={column} does not hold; fields are {', '.join(known)}; the file has {', '.join(names)}.",
            )
        found[wanted] = by_name[_plain(column)]
    for wanted, usual in known.items():
        there = next((by_name[_plain(n)] for n in usual if _plain(n) in by_name), None)
        if wanted not in found and there is not None and there not in found.values():
            found[wanted] = there
    for name in names:  # a Shapefile cuts names to ten bytes: five characters of GBK
        cut = {wanted for wanted, usual in known.items() if any(u.startswith(name) for u in usual)}
        if len(name) >= 4 and not name.isascii() and len(cut) == 1 and name not in found.values():
            found.setdefault(cut.pop(), name)
    return found


def entry(
    file: str,
    number: int,
    row: Mapping[str, Any],
    shape: Polygon | MultiPolygon | LineString | MultiLineString,
    columns: Mapping[str, str],
    kinds: Mapping[str, EntryKind],
    kind: str | None,
) -> Entry:
    """One row as an entry, its outline or axis in WGS 84; `kind` is what the whole file holds. Raises RegisterRefused."""
    where_zh, where_en = f"{file} 第 {number} 个图斑", f"{file}, feature {number}"

    def text(wanted: str) -> str:
        value = row.get(columns.get(wanted, ""))
        if value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in {"NaT", "nan", "None"}:
            return ""
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return str(value).strip()

    said = text("kind") or kind or ""
    what = kinds.get(_plain(said)) or kinds.get(_plain(kind or ""))
    if what is None:
        choices_zh = "、".join(f"{zh}（{k}）" for k, (zh, _) in ENTRY_TEXT.items())
        choices_en = ", ".join(EntryKind)
        raise RegisterRefused(
            f"{where_zh}：类型“{said}”不认识，请写 {choices_zh}，或用 --kind 注明整个文件的类型。",
            f"{where_en}: kind {said!r} is none of {choices_en}; say what the file holds with --kind.",
        )
    try:
        inner, outer = _number(text("inner_m")), _number(text("outer_m"))
        axis, outline = (None, shape) if isinstance(shape, Polygon | MultiPolygon) else (shape, _beside(shape, inner, outer))
        pipeline: dict[str, Any] = {}
        if axis is not None:
            pipeline = {"axis": axis, "contact": text("contact"), "start_m": _chainage(text("start_station"))}
            pipeline |= {"inner_m": inner or min(INNER_M, outer or INNER_M), "outer_m": outer or max(OUTER_M, inner or OUTER_M)}
        area = _number(text("area_limit_m2")) or _number(text("floor_area_m2"))
        return Entry(
            id=text("id") or f"{Path(file).stem}-{number}",
            kind=what,
            outline=outline,
            name=text("name"),
            holder=text("holder"),
            area_limit_m2=area,
            height_limit_m=_number(text("height_limit_m")),
            valid_from=_date(row.get(columns.get("valid_from", "")), text("valid_from")),
            valid_to=_date(row.get(columns.get("valid_to", "")), text("valid_to")),
            **pipeline,
        )
    except (ChangeError, ValueError) as err:
        zh, _, en = str(err).partition(" / ")
        raise RegisterRefused(f"{where_zh}：{zh}", f"{where_en}: {en or zh}") from err


def _beside(axis: LineString | MultiLineString, inner_m: float | None, outer_m: float | None) -> Polygon | MultiPolygon:
    """The ground within the outer width of an axis, both WGS 84."""
    middle = axis.representative_point()
    frame = metric_frame(LonLat(lon_deg=middle.x, lat_deg=middle.y))
    return frame.to_degrees(frame.to_metres(axis).buffer(max(outer_m or OUTER_M, inner_m or INNER_M), quad_segs=4))


def _chainage(text: str) -> float | None:
    if not text or text in _LONG_TERM:
        return None
    try:
        return chainage(_UNIT.sub("", text))
    except ValueError as err:
        raise ValueError(f"“{text}”不是桩号，请写 K12+300 / {text!r} is no chainage; write K12+300") from err


def _number(text: str) -> float | None:
    """A number with or without its unit; 0 and empty mean that none is set. Raises ValueError."""
    plain = _UNIT.sub("", text).replace(",", "").replace("，", "").strip()
    if not plain or plain in _LONG_TERM:
        return None
    try:
        value = float(plain)
    except ValueError as err:
        raise ValueError(f"“{text}”不是数字 / {text!r} is no number") from err
    return value or None


def _date(raw: Any, text: str) -> date | None:
    """A date as Chinese and other offices write it; raises ValueError."""
    if not text or text in _LONG_TERM:
        return None
    if isinstance(raw, datetime):
        return raw.date()
    if isinstance(raw, date):
        return raw
    plain = re.sub(r"\s+", " ", re.split(r"\+|\.000", text, maxsplit=1)[0].strip())
    for form in _DATES:
        try:
            return datetime.strptime(plain, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise ValueError(f"“{text}”不是日期，请写 2026-11-23 / {text!r} is no day; write 2026-11-23")


def unique(file: str, entries: Sequence[Entry]) -> None:
    """One number, one entry: raises RegisterRefused naming those that appear twice."""
    double = [f"{ENTRY_TEXT[k][0]} {i}" for (k, i), n in Counter((e.kind, e.id) for e in entries).items() if n > 1]
    if double:
        shown = "、".join(double[:5])
        raise RegisterRefused(
            f"{file}：编号重复（{shown}，共 {len(double)} 个），请一号一图斑（可用多部件图形）。",
            f"{file}: numbers that appear twice ({shown}; {len(double)} in all); one number, one (multi)polygon.",
        )
