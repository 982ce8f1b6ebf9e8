"""The product's own fields of a zone, as columns of a table or properties of a feature, under their usual Chinese and English names.

| field | meaning |
|---|---|
| `id`, `name` | without an id the name is one; a name must be there |
| `kind` | suitable, controlled, prohibited, restricted, temporary (适飞、管制、禁飞、限制、临时); or said for the whole file |
| `article_class` | which item of Art. 19 closes it, by code or short Chinese name |
| `part` | features with the same id and a part number each are parts of one zone |
| `floor_m`, `ceiling_m` | metres; without them: from the ground up without end |
| `floor_datum`, `ceiling_datum` (or `height_datum` for both) | ground (default), sea_level, ellipsoid |
| `spans` | [[start, end], …], ISO 8601 with time zone; `start` and `end` columns are one span |
| `windows` | [{"from": "08:00", "to": "18:00", "days": ["MO", "WORK", "HOLIDAY"], "first": "2026-01-01", "last": …, "tz": "Asia/Shanghai"}, …] |
| `buffer_m`, `authority`, `version`, `synthetic`, `valid_from`, `valid_until` | as in `airspace.zones.Zone` |
| `announced_at`, `occasion` | when a temporary zone was announced, for an event or an emergency |
| `attributes` | [[key, value], …]; every column that is none of these becomes one too, so nothing a file says is lost |
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any

from airspace.classes import CLASS_TEXT, ZoneClass
from airspace.errors import AirspaceError, both
from airspace.formats.draft import Ask, Draft, Shape, Where
from airspace.windows import Day, Window
from airspace.zones import GROUND, UNLIMITED, Notice, Occasion, Part, Zone, ZoneKind
from geo.errors import GeoError
from geo.heights import Datum, Height
from geo.times import LOCAL_ZONE, Span, utc

DATA = Path(__file__).parents[1] / "data"
_UNIT = re.compile(r"\s*(米|公尺|metres?|meters?|m)\s*$", re.IGNORECASE)
_UNBOUND = frozenset({"不限", "无限", "无限制", "unlimited", "unl"})
_GROUND = frozenset({"地面", "地表", "gnd", "sfc", "ground"})
_YEARS = range(1900, 2300)  # what lies beyond cannot be counted with in every time zone
LONGEST_NUMBER = 64  # characters of a number as text; patterns on more could take for ever
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One feature of a table: where it stands, its columns, its shape in the file's numbers."""

    where: Where
    columns: Mapping[str, Any]
    shape: Shape


@lru_cache(maxsize=1)
def field_names() -> Mapping[str, str]:
    """Every usual name of a column, lower case, and the field it means."""
    with (DATA / "zone_fields.csv").open(encoding="utf-8", newline="") as file:
        return {plain(name): row["field"] for row in csv.DictReader(file) for name in row["names"].split("|")}


@lru_cache(maxsize=1)
def _words() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {"kind": {}, "datum": {}, "occasion": {}}
    with (DATA / "zone_words.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["field"]].update({plain(name): row["value"] for name in row["names"].split("|")})
    found["article_class"] = {
        plain(name): c.value for c, text in CLASS_TEXT.items() for name in (c.value, text.short_zh, text.zh)
    }
    return found


def plain(name: str) -> str:
    """A column's name or a word as it is compared: lower case, no spaces or underscores."""
    return re.sub(r"[\s_\-]+", "", str(name).strip().lower())


def drafts(rows: Iterable[Row], ask: Ask) -> tuple[Draft, ...]:
    """Rows as drafts: parts of one id together, ids given where there are none. Raises ZoneFileRefused."""
    read = [_sorted(row) for row in rows]
    made: list[Draft] = []
    taken: dict[str, Where] = {}
    parts: dict[str, int] = {}
    names: dict[str, int] = {}
    for row, known, more in read:
        where = row.where.named(_text(known, "name"))
        try:
            given, limits = _zone(known, more, ask)
            part = number(known, "part")
        except (AirspaceError, GeoError) as err:
            raise where.refuse(*both(err)) from err
        id_ = given["id"]
        if not id_:  # the name speaks for itself; the second of a name is told apart
            names[given["name"]] = names.get(given["name"], 0) + 1
            id_ = given["name"] if names[given["name"]] == 1 else f"{given['name']}-{names[given['name']]}"
            given["id"] = id_
        if part is not None and id_ in parts:
            at = parts[id_]
            first = made[at]
            if {**given} != {**first.given}:
                other = next(key for key in given if given[key] != first.given[key])
                raise where.refuse(
                    f"与编号“{id_}”的第一部分在 {other} 上不一致，同一空域各部分应一致。",
                    f"differs in {other} from the first part of {id_!r}; parts of one zone say the same.",
                )
            made[at] = Draft(first.where, (*first.shapes, row.shape), (*first.limits, limits), first.given)
            continue
        if id_ in taken:
            raise where.refuse(
                f"编号“{id_}”与{taken[id_].zh}重复；一号一空域，同一空域的多个部分请加 part 列。",
                f"its id {id_!r} is taken by {taken[id_].en}; ids are unique; parts of one zone carry a `part` number.",
            )
        taken[id_] = row.where
        if part is not None:
            parts[id_] = len(made)
        made.append(Draft(where, (row.shape,), (limits,), given))
    return tuple(made)


def _sorted(row: Row) -> tuple[Row, dict[str, Any], list[tuple[str, str]]]:
    """A row's known fields by their own names, and everything else as text."""
    known: dict[str, Any] = {}
    more: list[tuple[str, str]] = []
    for name, value in row.columns.items():
        if value is None or (isinstance(value, float) and math.isnan(value)) or value == "":
            continue
        wanted = field_names().get(plain(name))
        if wanted is None or wanted in known:
            more.append((str(name), value if isinstance(value, str) else _json(value)))
        else:
            known[wanted] = value
    return row, known, more


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _zone(known: Mapping[str, Any], more: Sequence[tuple[str, str]], ask: Ask) -> tuple[dict[str, Any], tuple[Height, Height]]:
    name = _text(known, "name")
    if not name:
        raise AirspaceError("缺少名称（name 或 名称 列） / property 'name' is missing")
    kind = _word(known, "kind") or (ask.kind.value if ask.kind else None)
    if kind is None:
        raise AirspaceError(
            "没有说明空域类型（kind 或 类型 列），请补上，或为整个文件指定类型（--kind） / property 'kind' is missing; add it, or say what the "
            "whole file holds (--kind)"
        )
    article_class = _word(known, "article_class")
    announced, occasion = _instant(known, "announced_at"), _word(known, "occasion")
    given: dict[str, Any] = {
        "id": _text(known, "id"),
        "name": name,
        "kind": ZoneKind(kind),
        "article_class": ZoneClass(article_class) if article_class else None,
        "spans": _spans(known),
        "windows": _windows(known),
        "buffer_m": number(known, "buffer_m") or 0.0,
        "authority": _text(known, "authority"),
        "version": _text(known, "version"),
        "synthetic": _flag(known.get("synthetic")),
        "valid_from": _instant(known, "valid_from"),
        "valid_until": _instant(known, "valid_until"),
        "notice": Notice(announced, Occasion(occasion or Occasion.EVENT)) if announced else None,
        "attributes": (*_attributes(known), *((key, legal(value)) for key, value in more)),
    }
    return given, limits_of(known)


def limits_of(known: Mapping[str, Any]) -> tuple[Height, Height]:
    """Floor and ceiling of a row."""
    shared = _word(known, "height_datum", "datum")
    found = []
    for name, free in (("floor", GROUND), ("ceiling", UNLIMITED)):
        datum = _word(known, f"{name}_datum", "datum") or shared or Datum.GROUND
        said = plain(str(known.get(f"{name}_m", "")))
        if said in _UNBOUND or (said in _GROUND):
            found.append(UNLIMITED if said in _UNBOUND else GROUND)
            continue
        metres = number(known, f"{name}_m")
        found.append(free if metres is None else Height(metres, Datum(datum)))
    return found[0], found[1]


def _word(known: Mapping[str, Any], name: str, family: str = "") -> str | None:
    said = _text(known, name)
    if not said:
        return None
    words = _words()[family or name]
    if plain(said) not in words:
        choices = "、".join(dict.fromkeys(words.values()))
        raise AirspaceError(
            f"{name} 为“{said}”，应为 {choices} 之一 / {name} {said!r} is not one of {', '.join(dict.fromkeys(words.values()))}"
        )
    return words[plain(said)]


def _text(known: Mapping[str, Any], name: str) -> str:
    value = known.get(name)
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return legal(str(value))


def legal(text: str) -> str:
    """The text, unless it holds what XML and people cannot; raises AirspaceError."""
    if found := _ILLEGAL.search(text):
        raise AirspaceError(f"文字含有控制字符 {found[0]!r} / a text holds the control character {found[0]!r}")
    return text


def number(known: Mapping[str, Any], name: str) -> float | None:
    """A number of a row, with or without its unit; None where it has none. Raises AirspaceError."""
    value = known.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            if len(value) > LONGEST_NUMBER:
                value = f"{value[:20]}…"
            value = float(_UNIT.sub("", value.replace(",", "").replace("，", "")))
        except ValueError as err:
            raise AirspaceError(f"{name} 为“{value}”，不是数字 / property {name!r} is {value!r}, not a number of metres") from err
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise AirspaceError(f"{name} 为 {value!r}，不是数字 / property {name!r} is {value!r}, not a number of metres")
    return float(value)


def _flag(value: Any) -> bool:
    return plain(str(value)) in {"true", "1", "是", "yes", "y", "t"}


def instant(text: Any) -> datetime:
    """An instant with its zone; raises AirspaceError."""
    said = text.isoformat() if isinstance(text, datetime) else str(text)[:60]
    try:
        found = utc(datetime.fromisoformat(said))
    except (ValueError, GeoError, OverflowError) as err:
        raise AirspaceError(
            f"“{said}”不是带时区的时间（如 2026-01-31T08:00:00+08:00） / {said!r} is not a time (ISO 8601 with a time zone, such as "
            f"2026-01-31T08:00:00+08:00): {str(err).rpartition(' / ')[2]}"
        ) from err
    if found.year not in _YEARS:
        raise AirspaceError(f"“{said}”的年份不合理 / {said!r} is in no year of ours")
    return found


def _instant(known: Mapping[str, Any], name: str) -> datetime | None:
    return instant(known[name]) if name in known else None


def _listed(known: Mapping[str, Any], name: str) -> list[Any]:
    value = known.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as err:
            raise AirspaceError(f"{name} 不是有效的 JSON / {name} is not JSON: {err}") from err
    if value is None:
        return []
    if not isinstance(value, list):
        raise AirspaceError(f"{name} 应为列表 / {name} must be a list")
    return value


def _spans(known: Mapping[str, Any]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for index, pair in enumerate(_listed(known, "spans"), start=1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise AirspaceError(f"第 {index} 个时段不是 [开始, 结束] / span {index} is not a pair [start, end]")
        spans.append(Span(instant(pair[0]), instant(pair[1])))
    if ("start" in known) != ("end" in known):
        raise AirspaceError("开始和结束时间应成对给出 / start and end are given together")
    if "start" in known:
        spans.append(Span(instant(known["start"]), instant(known["end"])))
    return tuple(spans)


def _windows(known: Mapping[str, Any]) -> tuple[Window, ...]:
    rules = _listed(known, "windows")
    one = known.get("recurrence")
    if one is not None:
        rules = [*rules, json.loads(one) if isinstance(one, str) else one]
    return tuple(window(rule) for rule in rules)


def window(rule: Any) -> Window:
    """A daily window from its JSON; raises AirspaceError."""
    try:
        return Window(
            _clock(rule.get("from", "00:00")),
            _clock(rule["to"]),
            tuple(Day(d) for d in rule.get("days", ())),
            date.fromisoformat(rule["first"]) if rule.get("first") else None,
            date.fromisoformat(rule["last"]) if rule.get("last") else None,
            rule.get("tz") or LOCAL_ZONE.key,
        )
    except (TypeError, KeyError, ValueError, AttributeError) as err:
        said = both(err)[1] if isinstance(err, AirspaceError) else err
        raise AirspaceError(
            f"周期 {rule!r} 无法理解（{said}），格式见说明 / recurrence {rule!r} is not understood ({said}); see the table of fields"
        ) from err


def _clock(text: str) -> time:
    return time(0) if text in {"24:00", "24:00:00"} else time.fromisoformat(text)


def _attributes(known: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = []
    for pair in _listed(known, "attributes"):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(p, str) for p in pair):
            raise AirspaceError("attributes 应为 [名, 值] 的列表 / attributes must be pairs [key, value] of text")
        found.append((legal(pair[0]), legal(pair[1])))
    return tuple(found)


def columns(zone: Zone) -> dict[str, Any]:
    """All of a zone but its parts, as `drafts` reads it back; what is not said is left out."""
    given: dict[str, Any] = {
        "id": zone.id,
        "name": zone.name,
        "kind": zone.kind.value,
        "article_class": zone.article_class.value if zone.article_class else None,
        "spans": [[span.start.isoformat(), span.end.isoformat()] for span in zone.spans] or None,
        "windows": [_rule(w) for w in zone.windows] or None,
        "buffer_m": zone.buffer_m or None,
        "authority": zone.authority or None,
        "version": zone.version or None,
        "synthetic": zone.synthetic or None,
        "valid_from": zone.valid_from.isoformat() if zone.valid_from else None,
        "valid_until": zone.valid_until.isoformat() if zone.valid_until else None,
        "announced_at": zone.notice.announced_at.isoformat() if zone.notice else None,
        "occasion": zone.notice.occasion.value if zone.notice else None,
        "attributes": [list(pair) for pair in zone.attributes] or None,
    }
    return {key: value for key, value in given.items() if value is not None}


def limits(part: Part) -> dict[str, Any]:
    """Floor and ceiling of a part, as `limits_of` reads them."""
    return {
        "floor_m": part.floor.metres,
        "floor_datum": part.floor.datum.value,
        "ceiling_m": part.ceiling.metres,
        "ceiling_datum": part.ceiling.datum.value,
    }


def part_rows(zones: Iterable[Zone]) -> list[tuple[dict[str, Any], Part]]:
    """One row for each part of each zone: its columns, and the part."""
    rows = []
    for zone in zones:
        said = columns(zone)
        for number, part in enumerate(zone.parts, start=1):
            numbered = {"part": number} if len(zone.parts) > 1 else {}
            rows.append(({**said, **numbered, **limits(part)}, part))
    return rows


def _rule(w: Window) -> dict[str, Any]:
    rule: dict[str, Any] = {"from": w.start.isoformat(), "to": w.end.isoformat(), "tz": w.tz}
    if w.days:
        rule["days"] = [d.value for d in w.days]
    if w.first:
        rule["first"] = w.first.isoformat()
    if w.last:
        rule["last"] = w.last.isoformat()
    return rule
