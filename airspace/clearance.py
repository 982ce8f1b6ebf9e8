"""Clearance (空域判定): may this air be flown in, by these people with this aircraft, and every reason for the answer.

Unknown airspace is never clear: what no zone declares suitable and no permit covers is UNKNOWN, however empty it looks. Adding a closed zone
never clears anything and takes no other zone's reason away. What the answer rests on stands in the tables of `airspace.law`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airspace.air import Air, Finding, found_in
from airspace.index import Airspace, Near, data_version, ready
from airspace.law import BODY, HOURS, ORDER, ROWS, Flight, Verdict
from airspace.needs import Kind, Need, needs_of
from airspace.papers import AircraftPapers, Operator, Pilot, Purpose
from airspace.reasons import Reason
from airspace.zones import Flag, Permit, Volume, Zone
from geo import sun
from geo.frames import LonLat
from geo.relief import Relief
from geo.times import LOCAL_ZONE, Span, local_day, utc

__all__ = ["Clearance", "Verdict", "clear", "clear_all", "cut_off", "data_version"]

# Art. 20: zones for events are announced 24 h before; within them only emergencies can change the answer
_HOLDS = timedelta(hours=24)
_DAYLIGHT_DEG = -0.833  # the sun's upper edge on the horizon, refraction included
_LOOK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Clearance:
    """Verdict with every reason.

    `valid_until`: the answer must be asked for anew from then on. `apply_by`: last instant for the first application that is needed
    (Art. 26, 29), None when none is. `applications` are what has to be applied for, one for each body. `notes` do not forbid.
    `data_version` names the zones and permits that were looked at.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    zone_ids: tuple[str, ...]
    valid_until: datetime
    data_version: str
    checked_at: datetime
    apply_by: datetime | None = None
    applications: tuple[Need, ...] = ()
    notes: tuple[Reason, ...] = ()

    @property
    def granted(self) -> bool:
        """Whether the flight may take place as far as the air and the papers that were shown are concerned."""
        return self.verdict is Verdict.CLEAR


def clear(
    volume: Volume,
    zones: Sequence[Zone] | Airspace,
    permits: Sequence[Permit] = (),
    aircraft: AircraftPapers | None = None,
    pilot: Pilot | None = None,
    operator: Operator | None = None,
    purpose: Purpose = Purpose.PATROL,
    flags: Collection[Flag] = (),
    *,
    at: datetime,
    relief: Relief | None = None,
) -> Clearance:
    """The verdict on one volume as seen at the instant `at`; see `clear_all`."""
    return clear_all((volume,), zones, permits, aircraft, pilot, operator, purpose, flags, at=at, relief=relief)


def clear_all(
    volumes: Sequence[Volume],
    zones: Sequence[Zone] | Airspace,
    permits: Sequence[Permit] = (),
    aircraft: AircraftPapers | None = None,
    pilot: Pilot | None = None,
    operator: Operator | None = None,
    purpose: Purpose = Purpose.PATROL,
    flags: Collection[Flag] = (),
    *,
    at: datetime,
    relief: Relief | None = None,
) -> Clearance:
    """The verdict on all volumes of one flight, the worst of any of them, as seen at the instant `at`.

    Papers that are None are not looked at, and a note says so. `relief` turns limits over the sea into limits over the ground; without it
    they count on the safe side. Sums are done in the metric frame of the middle. Raises AirspaceError for volumes of different times.
    """
    now, air = utc(at), Air.of(volumes)
    data = ready(zones, permits)
    near = data.near(air.bounds_deg, air.frame, air.span, relief)
    near = tuple(n for n in near if n.part.floor < air.ceiling and air.floor < n.part.ceiling)
    found = _past(air.span, now) + _judged(air, near, flags, operator)
    controlled = air.controlled(near)
    flight = Flight(air.span, purpose, frozenset(flags), controlled, is_night(air.span, air.place), aircraft, pilot, operator)
    found += papers(flight)

    verdict = max((f.verdict for f in found), key=ORDER.index, default=Verdict.CLEAR)
    needs = needs_of(found, air.span.start, purpose, now)
    found += _late(needs, purpose)
    if verdict is Verdict.CLEAR:
        said = ("全部处于适飞空域或批准范围内", "all of it lies in suitable airspace or within a permit")
        found.append(Finding(verdict, Reason("clear", *said, "第三十一条")))
    return Clearance(
        verdict,
        tuple(dict.fromkeys(f.reason for f in found)),
        tuple(dict.fromkeys(n.of.id for n in near)),
        min(air.span.end, now + _HOLDS),
        data.version,
        now,
        min((n.apply_by for n in needs if n.apply_by is not None), default=None),
        needs,
        _unseen(flight),
    )


def papers(flight: Flight) -> list[Finding]:
    """What every row of the table finds in a flight's papers."""
    found = []
    for row in ROWS:
        words = row.breach(flight)
        if words is not None:
            reason = Reason(row.code, row.zh.format_map(words), row.en.format_map(words), row.article)
            found.append(Finding(row.verdict, reason, body=BODY if row.verdict is Verdict.PERMIT_NEEDED else ""))
    return found


def is_night(span: Span, place: LonLat) -> bool:
    """Whether the sun is down at the place at some instant of the span, looked at every ten minutes and at both ends."""
    steps = int(min(span.duration, timedelta(days=1)) / _LOOK)
    instants = [*(span.start + i * _LOOK for i in range(steps + 1)), span.end]
    return any(sun.elevation_deg(i, place) < _DAYLIGHT_DEG for i in instants)


def cut_off(start: datetime) -> datetime:
    """Art. 26: applications come in before 12:00 local time on the day before the flight."""
    closes = HOURS[Purpose.PATROL].apply_by(start)
    assert closes is not None
    return closes


def _past(span: Span, now: datetime) -> list[Finding]:
    if span.end > now:
        return []
    return [Finding(Verdict.BLOCKED, Reason("past", "飞行时段已过", "the time of the flight is over"))]


def _judged(air: Air, near: Sequence[Near], flags: Collection[Flag], operator: Operator | None) -> list[Finding]:
    """The air with the permits that count. A long-term one counts on days whose plan was filed; where only that is missing, it is said."""
    day = local_day(air.span.start)
    counting, unfiled = [], []
    for one in near:
        if isinstance(one.of, Permit):
            if operator is not None and one.of.holder != operator.name:
                continue  # leave that somebody else holds
            if one.of.long_term and day not in one.of.filed_days:
                unfiled.append(one)
                continue
        counting.append(one)
    found = found_in(air, counting, flags)
    if not unfiled or not found:
        return found
    rest = found_in(air, [*counting, *unfiled], flags)
    if rest == found:
        return found
    numbers = "、".join(n.of.number for n in unfiled if isinstance(n.of, Permit))
    zh = f"长期批准 {numbers} 当日飞行计划未备案（拟飞行前 1 日 12 时前）"
    en = f"the day's plan under the long-term approval {numbers} has not been filed (by 12:00 the day before)"
    return [*rest, Finding(Verdict.PERMIT_NEEDED, Reason("plan_not_filed", zh, en, "第二十六条"), BODY, Kind.DAILY_PLAN)]


def _late(needs: Sequence[Need], purpose: Purpose) -> list[Finding]:
    found = []
    for closes in sorted({n.apply_by for n in needs if n.late and n.apply_by is not None}):
        local = closes.astimezone(LOCAL_ZONE)
        article, emergency = HOURS[purpose].article, purpose is Purpose.EMERGENCY
        zh = f"申请应于 {local:%Y-%m-%d %H:%M} 前提出，现已逾期；" + (
            "仅特别紧急任务可随时提出" if emergency else "仅应急任务可按第二十九条申请"
        )
        en = f"applications closed at {local:%Y-%m-%d %H:%M} local time; " + (
            "only specially urgent tasks may still apply" if emergency else "only emergencies may still apply (Art. 29)"
        )
        reason = Reason("too_late", zh, en, article if emergency else f"{article}、第二十九条")
        found.append(Finding(Verdict.PERMIT_NEEDED, reason))
    return found


_UNSEEN = (
    ("aircraft", "无人机证照", "the aircraft's papers", "第十条、第十二条"),
    ("pilot", "操控员资质", "the pilot's papers", "第十六条、第十七条"),
    ("operator", "运营单位资质", "the operator's papers", "第十一条"),
)


def _unseen(flight: Flight) -> tuple[Reason, ...]:
    return tuple(
        Reason(f"{name}_unseen", f"未核对{zh}", f"{en} were not looked at", article)
        for name, zh, en, article in _UNSEEN
        if getattr(flight, name) is None
    )
