"""What ED-269 and ED-318 share: restrictions, periods with schedules, and the product's own fields in `extendedProperties`.

Both are EUROCAE's JSON for UAS geographical zones. `NO_RESTRICTION` is suitable air, `REQ_AUTHORI[SZ]ATION` controlled, `CONDITIONAL`
restricted, `PROHIBITED` prohibited; `USPACE` is controlled. A schedule by daylight (SR, SS, BMCT, EECT) counts as the whole day for closed air
and is refused for suitable air, since the safe side is another one each time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from shapely.geometry import MultiPolygon, Polygon

from airspace.errors import AirspaceError
from airspace.formats import fields
from airspace.formats.draft import Ask, Circle, Draft, Shape, Where
from airspace.formats.limits import limit
from airspace.reasons import Reason
from airspace.windows import WEEK, Window, zone_named
from airspace.zones import GROUND, UNLIMITED, Part, Zone, ZoneKind
from geo.heights import Datum, Height
from geo.times import Span

RESTRICTIONS = {
    "PROHIBITED": ZoneKind.PROHIBITED,
    "REQ_AUTHORISATION": ZoneKind.CONTROLLED,
    "REQ_AUTHORIZATION": ZoneKind.CONTROLLED,
    "CONDITIONAL": ZoneKind.RESTRICTED,
    "NO_RESTRICTION": ZoneKind.SUITABLE,
    "USPACE": ZoneKind.CONTROLLED,
}
OWN = "patrol"
COUNTRY = "CHN"
_DAYS = dict(zip(("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"), WEEK, strict=True))
_NAMES = {day: name for name, day in _DAYS.items()}
_REFERENCES = {Datum.GROUND: "AGL", Datum.SEA_LEVEL: "AMSL", Datum.ELLIPSOID: "WGS84"}
_LAST = (time(23, 59), time(23, 59, 59))


def daylight() -> Reason:
    """What is said when events of daylight were widened."""
    return Reason("daylight", "按日出日落给出的时段按全天生效处理。", "periods by sunrise and sunset are taken as whole days.")


def kind_of(restriction: Any) -> ZoneKind:
    """The kind that a restriction means; raises AirspaceError."""
    if not isinstance(restriction, str) or restriction not in RESTRICTIONS:
        raise AirspaceError(
            f"限制类型 {restriction!r} 不认识 / the restriction {restriction!r} is none of {', '.join(RESTRICTIONS)}"
        )
    return RESTRICTIONS[restriction]


def need(data: Mapping[str, Any], key: str) -> Any:
    """A member that must be there; raises AirspaceError."""
    if data.get(key) in (None, "", [], {}):
        raise AirspaceError(f"缺少 {key} / {key} is missing")
    return data[key]


def pair(low: Any, low_reference: Any, high: Any, high_reference: Any, unit: Any) -> tuple[Height, Height]:
    """Floor and ceiling; one that is not given is the ground, or no limit."""
    floor = GROUND if low is None else limit(low, unit, low_reference)
    ceiling = UNLIMITED if high is None else limit(high, unit, high_reference)
    return floor, ceiling


def number(value: Any, what: str) -> float:
    """A finite number; raises AirspaceError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise AirspaceError(f"{what} 为 {value!r}，不是数字 / {what} is {value!r}, not a number")
    return float(value)


def circle(centre: Any, radius_m: Any) -> Circle:
    """A circle from its centre and radius; raises AirspaceError."""
    if not isinstance(centre, list) or len(centre) < 2:
        raise AirspaceError(f"圆心 {centre!r} 不是 [经度, 纬度] / the centre {centre!r} is not [longitude, latitude]")
    return Circle(number(centre[0], "center"), number(centre[1], "center"), number(radius_m, "radius"))


@dataclass(frozen=True, slots=True)
class Periods:
    """When a zone applies, as `Zone` says it; `daylight` where events of daylight were widened to whole days."""

    spans: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    daylight: bool = False


def periods(listed: Any, kind: ZoneKind) -> Periods:
    """Periods of `applicability` or `limitedApplicability`; none, or a permanent one without schedule, is always. Raises AirspaceError."""
    if listed is None:
        return Periods()
    if not isinstance(listed, list) or not all(isinstance(p, dict) for p in listed):
        raise AirspaceError("适用时间应为列表 / the applicability must be a list of periods")
    spans: list[Span] = []
    windows: list[Window] = []
    daylight = False
    for period in listed:
        start, end = (fields.instant(period[k]) if period.get(k) else None for k in ("startDateTime", "endDateTime"))
        schedule = period.get("schedule") or []
        if not isinstance(schedule, list):
            raise AirspaceError("schedule 应为列表 / the schedule must be a list")
        made = [_window(day, kind) for day in schedule]
        daylight = daylight or any(by_daylight for _, by_daylight in made)
        if len(listed) == 1 and (made or start is None or end is None):
            return Periods((), tuple(w for w, _ in made), start, end, daylight)
        if not made:
            if start is None or end is None:
                return Periods(daylight=daylight) if start is None and end is None else _open_ended()
            spans.append(Span(start, end))
        windows += (_bounded(w, start, end) for w, _ in made)
    return Periods(tuple(spans), tuple(windows), None, None, daylight)


def _open_ended() -> Periods:
    raise AirspaceError("多个时段时每个都应有开始和结束 / of several periods each needs a start and an end")


def _bounded(window: Window, start: datetime | None, end: datetime | None) -> Window:
    """A window of one period among several: on the days from its start to its end, whole days."""
    zone = zone_named(window.tz)
    first = start.astimezone(zone).date() if start else None
    last = end.astimezone(zone).date() if end else None
    return Window(window.start, window.end, window.days, first, last, window.tz)


def _window(day: Any, kind: ZoneKind) -> tuple[Window, bool]:
    if not isinstance(day, dict):
        raise AirspaceError("schedule 的每项应为对象 / each item of a schedule is an object")
    days = day.get("day") or []
    if not isinstance(days, list) or not all(isinstance(d, str) and (d == "ANY" or d in _DAYS) for d in days):
        raise AirspaceError(f"星期 {days!r} 不认识 / the days {days!r} are not of MON … SUN, ANY")
    events = [k for k in ("startEvent", "endEvent") if day.get(k)]
    if events and kind is ZoneKind.SUITABLE:
        raise AirspaceError(
            "适飞时段按日出日落给出，暂不能换算，请改为钟点 / suitable air by daylight events is not taken: give hours"
        )
    start, tz_start = _clock(day.get("startTime"))
    end, tz_end = _clock(day.get("endTime"))
    if events:
        start = end = time(0)
    if tz_start and tz_end and tz_start != tz_end:
        raise AirspaceError("开始与结束的时区不同 / start and end are in different time zones")
    named = () if "ANY" in days else tuple(dict.fromkeys(_DAYS[d] for d in days))
    return Window(start, time(0) if end in _LAST else end, named, tz=tz_start or tz_end or "UTC"), bool(events)


def _clock(text: Any) -> tuple[time, str]:
    if text is None:
        return time(0), ""
    try:
        at = time.fromisoformat("00:00:00" + str(text)[8:] if str(text).startswith("24:00:00") else str(text))
    except ValueError as err:
        raise AirspaceError(f"钟点 {text!r} 无法理解 / the hour {text!r} is not understood") from err
    offset = at.utcoffset()
    if offset is None:
        return at, ""
    minutes = round(offset.total_seconds() / 60)
    tz = f"{'+' if minutes > 0 else '-'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"
    return at.replace(tzinfo=None, microsecond=0), tz


def own(where: Where, extended: Any, shapes: Sequence[Shape], limits: Sequence[tuple[Height, Height]], ask: Ask) -> Draft | None:
    """A zone that this product wrote, from its own fields; None for anybody else's."""
    said = extended.get(OWN) if isinstance(extended, dict) else None
    if not isinstance(said, dict):
        return None
    pieces = said.get("pieces") or [1] * len(shapes)
    columns = {k: v for k, v in said.items() if k != "pieces"}
    if not isinstance(pieces, list) or not all(isinstance(n, int) and n > 0 for n in pieces) or sum(pieces) != len(shapes):
        raise AirspaceError("扩展字段 pieces 与图形数不符 / its `pieces` do not fit its geometry")
    drafted = fields.drafts([fields.Row(where, columns, shapes[0])], ask)[0]
    joined, bounds, at = [], [], 0
    for count in pieces:
        group = shapes[at : at + count]
        if count > 1 and not all(isinstance(s, Polygon) for s in group):
            raise AirspaceError("扩展字段 pieces 只适用于多边形 / its `pieces` join polygons only")
        joined.append(group[0] if count == 1 else MultiPolygon(group))  # type: ignore[arg-type]
        bounds.append(limits[at])
        at += count
    return Draft(drafted.where, tuple(joined), tuple(bounds), drafted.given)


def attributes(data: Mapping[str, Any], prefix: str, taken: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """All that a zone says beyond `taken`, as text, so that nothing is lost."""
    rest = ((k, v) for k, v in data.items() if k not in taken and v not in (None, "", [], {}))
    return tuple((f"{prefix}:{k}", fields.legal(v if isinstance(v, str) else json.dumps(v, ensure_ascii=False))) for k, v in rest)


def told(zone: Zone) -> dict[str, Any]:
    """The product's own fields of a zone, for `extendedProperties`."""
    return {OWN: {**fields.columns(zone), "pieces": [len(polygons_of(part)) for part in zone.parts]}}


def polygons_of(part: Part) -> tuple[Polygon, ...]:
    """The polygons of a part."""
    return tuple(part.outline.geoms) if isinstance(part.outline, MultiPolygon) else (part.outline,)


def identifier(zone: Zone, taken: set[str]) -> str:
    """Seven characters at most, which both standards want; the whole id stands in the own fields."""
    plain = zone.id if len(zone.id) <= 7 and zone.id.isascii() and zone.id.isalnum() else ""
    name, salt = plain, 0
    while not name or name in taken:
        name = hashlib.sha256(f"{zone.id}{salt or ''}".encode()).hexdigest()[:7].upper()
        salt += 1
    taken.add(name)
    return name


def schedule(zone: Zone) -> list[dict[str, Any]]:
    """Periods of a zone in the standards' words; days that hang on holidays become every day for closed air, and no suitable ones."""
    start = {"startDateTime": zone.valid_from.isoformat()} if zone.valid_from else {}
    end = {"endDateTime": zone.valid_until.isoformat()} if zone.valid_until else {}
    found: list[dict[str, Any]] = [
        {"startDateTime": span.start.isoformat(), "endDateTime": span.end.isoformat()} for span in zone.spans
    ]
    daily = []
    for w in zone.windows:
        kinds = [d for d in w.days if d not in WEEK]
        if kinds and zone.kind is ZoneKind.SUITABLE:
            continue
        days = ["ANY"] if not w.days or kinds else [_NAMES[d] for d in w.days]
        offset = _offset(w)
        daily.append({"day": days, "startTime": f"{w.start.isoformat()}{offset}", "endTime": f"{w.end.isoformat()}{offset}"})
    if daily:
        found.append({**start, **end, "schedule": daily})
    elif not found and (start or end):
        found.append({**start, **end})
    return found


def _offset(w: Window) -> str:
    zone = zone_named(w.tz)
    said = datetime(2026, 1, 1, tzinfo=zone).strftime("%z")
    return "Z" if said == "+0000" else f"{said[:3]}:{said[3:5]}"


def reference(height: Height) -> str:
    """AGL, AMSL or WGS84."""
    return _REFERENCES[height.datum]


def bounded(height: Height) -> bool:
    """Whether a ceiling is one."""
    return height != UNLIMITED
