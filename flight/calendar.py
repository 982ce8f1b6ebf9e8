"""Calendar (30天巡航计划): which area is flown on which day, by whom and why; and for each one missed, why not.

An area is due `revisit_days` after its last accepted survey. Tasks are taken by due date; each goes to the latest day that leaves
some days in hand for bad weather, else to an earlier one, else later. The same input gives the same plan.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from airspace.reasons import Reason
from flight.errors import PlanningError
from flight.fleet import Aircraft, AircraftId
from flight.windows import DEFAULT_WINDOW, ClockWindow, sunlit
from flight.workload import Estimate, Workload, estimate, way_m
from geo.area import Area, AreaId, Tier
from geo.frames import LonLat
from geo.times import Span

SLACK_DAYS = 2  # days kept in hand before the due date
SWAP_S = 300.0  # on the ground between two batteries
MOVE_S = 900.0  # between two areas on one day
LEAST_SUN_DEG = 25.0


@dataclass(frozen=True, slots=True)
class Demand:
    """A wish from elsewhere, such as a recheck: fly this area within these local days, both included.

    With a `place` one battery over that place is enough; without it the whole area is flown.
    """

    id: str
    area_id: AreaId
    not_before: date
    not_after: date
    why: str = ""
    place: LonLat | None = None

    def __post_init__(self) -> None:
        if self.not_after < self.not_before:
            raise PlanningError(f"demand {self.id}: {self.not_after} lies before {self.not_before}")


@dataclass(frozen=True, slots=True)
class Placement:
    """One area on one day. `span` is when its aircraft are busy with it; `demand_ids` are the demands it answers."""

    area_id: AreaId
    day: date
    due: date
    span: Span
    aircraft_ids: tuple[AircraftId, ...]
    batteries: int
    flight_s: float
    reasons: tuple[Reason, ...]
    demand_ids: tuple[str, ...] = ()
    whole_area: bool = True

    @property
    def late_days(self) -> int:
        """Days after its due date; 0 when in time."""
        return max(0, (self.day - self.due).days)


@dataclass(frozen=True, slots=True)
class Miss:
    """An area that is due and finds no day, and why."""

    area_id: AreaId
    due: date
    reason: Reason
    demand_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is flown in `days` days from `start`, by day and hour, and what is not."""

    start: date
    days: int
    placements: tuple[Placement, ...]
    misses: tuple[Miss, ...]

    def on(self, day: date) -> tuple[Placement, ...]:
        """All that is flown on one day."""
        return tuple(p for p in self.placements if p.day == day)


@dataclass(frozen=True, slots=True, order=True)
class _Task:
    due: date
    rank: int  # 重点 areas first among those due on the same day
    area_id: AreaId
    kind: int  # 0 routine, so that a demand due on the same day can ride along; 1 demand
    demand: Demand | None = field(default=None, compare=False)
    last: date | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Fit:
    span: Span
    aircraft_ids: tuple[AircraftId, ...]
    work: Workload


def schedule(
    areas: Sequence[Area],
    last_accepted: Mapping[AreaId, date],
    demands: Sequence[Demand],
    fleet: Sequence[Aircraft],
    start: date,
    days: int = 30,
    blocked_days: Mapping[date, str] | None = None,
    *,
    windows: Mapping[AreaId, ClockWindow] | None = None,
    published: Sequence[Placement] = (),
    least_sun_deg: float = LEAST_SUN_DEG,
    slack_days: int = SLACK_DAYS,
    workload: Estimate = estimate,
) -> Plan:
    """The plan from `start`; an area without an accepted survey is due at once.

    `blocked_days` says why nobody flies on a day. `windows` holds each area's clock window, that of its baseline. What was `published` stays where
    it is unless its day is blocked now. Raises PlanningError for a demand whose area is not known.
    """
    desk = _Desk(areas, fleet, start, days, blocked_days or {}, windows or {}, least_sun_deg, slack_days, workload)
    unknown = [d for d in demands if d.area_id not in desk.areas]
    if unknown:
        raise PlanningError(f"demand {unknown[0].id} is for area {unknown[0].area_id}, which is not in this plan")
    last = dict(last_accepted)
    answered: set[str] = set()
    for kept in published:
        if kept.area_id in desk.areas and desk.keep(kept):
            answered.update(kept.demand_ids)
            if kept.whole_area:
                last[kept.area_id] = max(kept.day, last.get(kept.area_id, kept.day))
    tasks = [desk.routine(area, last.get(area.id)) for area in areas]
    tasks += [desk.asked(d) for d in demands if d.id not in answered]
    heapq.heapify(tasks)
    while tasks:
        task = heapq.heappop(tasks)
        if task.demand is None and task.due > desk.end:
            continue  # not due in this plan
        placed = desk.place(task)
        if placed is not None and task.demand is None:
            heapq.heappush(tasks, desk.routine(desk.areas[task.area_id], placed))
    return Plan(
        start,
        days,
        tuple(sorted(desk.placements, key=lambda p: (p.day, p.span.start, p.area_id))),
        tuple(sorted(desk.misses, key=lambda m: (m.due, m.area_id, m.demand_id))),
    )


class _Desk:
    """What is taken so far while a plan is made."""

    def __init__(
        self,
        areas: Sequence[Area],
        fleet: Sequence[Aircraft],
        start: date,
        days: int,
        blocked: Mapping[date, str],
        windows: Mapping[AreaId, ClockWindow],
        least_sun_deg: float,
        slack_days: int,
        workload: Estimate,
    ) -> None:
        if days < 1:
            raise PlanningError(f"a plan of {days} days is empty")
        self.areas = {area.id: area for area in areas}
        self.fleet = {aircraft.id: aircraft for aircraft in fleet}
        self.start, self.end = start, start + timedelta(days=days - 1)
        self.blocked, self.windows, self.least_sun_deg, self.slack = blocked, windows, least_sun_deg, slack_days
        self.workload = workload
        self.placements: list[Placement] = []
        self.misses: list[Miss] = []
        self._busy: dict[tuple[date, AircraftId], list[Span]] = defaultdict(list)
        self._works: dict[AreaId, dict[AircraftId, Workload | str]] = {}

    def routine(self, area: Area, last: date | None) -> _Task:
        due = self.start if last is None else last + timedelta(days=area.revisit_days)
        return _Task(due, 0 if area.tier is Tier.KEY else 1, area.id, 0, None, last)

    def asked(self, demand: Demand) -> _Task:
        return _Task(demand.not_after, 0, demand.area_id, 1, demand)

    def keep(self, kept: Placement) -> bool:
        """Take over a published placement, unless its day has passed or is blocked now, or an aircraft is gone."""
        if not self.start <= kept.day <= self.end or kept.day in self.blocked or not set(kept.aircraft_ids) <= set(self.fleet):
            return False
        self._take(kept)
        return True

    def place(self, task: _Task) -> date | None:
        """Find a day for a task, or note the miss; the day, or None."""
        if task.demand is not None and self._rides_along(task.demand):
            return None
        tried: Counter[str] = Counter()
        for day in self._days(task):
            if day in self.blocked:
                tried[f"blocked:{self.blocked[day]}"] += 1
                continue
            fit, why = self._fit(task, day)
            if fit is None:
                tried[why] += 1
                continue
            area = self.areas[task.area_id]
            self._take(
                Placement(
                    area.id,
                    day,
                    max(task.due, self.start) if task.last is None and task.demand is None else task.due,
                    fit.span,
                    fit.aircraft_ids,
                    fit.work.batteries,
                    fit.work.flight_s,
                    tuple(self._why(task, day, tried)),
                    (task.demand.id,) if task.demand else (),
                    task.demand is None or task.demand.place is None,
                )
            )
            return day
        self.misses.append(Miss(task.area_id, task.due, self._why_not(task, tried), task.demand.id if task.demand else ""))
        return None

    def _rides_along(self, demand: Demand) -> bool:
        """Whether a flight of the whole area within the demand's days answers it already."""
        for index, p in enumerate(self.placements):
            if p.area_id == demand.area_id and p.whole_area and demand.not_before <= p.day <= demand.not_after:
                reason = Reason(
                    "demand",
                    f"同时满足需求 {demand.id} {demand.why}".rstrip(),
                    f"also answers demand {demand.id} {demand.why}".rstrip(),
                )
                self.placements[index] = Placement(
                    p.area_id, p.day, p.due, p.span, p.aircraft_ids, p.batteries, p.flight_s,
                    (*p.reasons, reason), (*p.demand_ids, demand.id), p.whole_area,
                )  # fmt: skip
                return True
        return False

    def _days(self, task: _Task) -> Iterator[date]:
        """Days in the order of liking: with slack, then earlier, then up to the due date, then late."""
        revisit = self.areas[task.area_id].revisit_days
        early = task.demand.not_before if task.demand else task.due - timedelta(days=max(self.slack + 1, revisit // 3))
        release = max(self.start, early)
        target = task.due - timedelta(days=0 if task.demand else min(self.slack, revisit // 3))
        days = [release + timedelta(days=i) for i in range((self.end - release).days + 1)]
        if task.demand:  # a recheck serves a deadline: the sooner the better, and after its last day it is of no use
            yield from (d for d in days if d <= task.demand.not_after)
            return
        yield from reversed([d for d in days if d <= target])
        yield from (d for d in days if d > target)

    def _fit(self, task: _Task, day: date) -> tuple[_Fit | None, str]:
        """The fewest aircraft that finish the task within the area's window on a day; or what stands in the way."""
        area = self.areas[task.area_id]
        window = sunlit(self.windows.get(area.id, DEFAULT_WINDOW).on(day), area.centre, self.least_sun_deg)
        if window is None:
            return None, "sun"
        works = {i: w for i, w in self._work(area).items() if isinstance(w, Workload)}
        if not works:
            return None, "reach"
        small = task.demand is not None and task.demand.place is not None
        fits_alone = False
        order = sorted(works, key=lambda i: (way_m(area, self.fleet[i]), i))
        for together in range(1, len(order) + 1):
            slots: list[tuple[Span, AircraftId, Workload]] = []
            for aircraft_id in order:
                work = works[aircraft_id]
                batteries = 1 if small else -(-work.batteries // together)
                seconds = work.flight_s * batteries / work.batteries + (batteries - 1) * SWAP_S
                fits_alone = fits_alone or seconds <= window.duration.total_seconds()
                slot = self._slot(day, aircraft_id, window, timedelta(seconds=seconds))
                if slot is not None:
                    slots.append((slot, aircraft_id, Workload(batteries, work.flight_s * batteries / work.batteries)))
            if len(slots) >= together:
                chosen = sorted(slots, key=lambda s: (s[0].end, order.index(s[1])))[:together]
                span = Span(min(s.start for s, _, _ in chosen), max(s.end for s, _, _ in chosen))
                total = Workload(sum(w.batteries for _, _, w in chosen), sum(w.flight_s for _, _, w in chosen))
                return _Fit(span, tuple(i for _, i, _ in chosen), total), ""
            if small:
                break
        return None, "full" if fits_alone else "window"

    def _work(self, area: Area) -> dict[AircraftId, Workload | str]:
        if area.id not in self._works:
            found: dict[AircraftId, Workload | str] = {}
            for aircraft in self.fleet.values():
                try:
                    found[aircraft.id] = self.workload(area, aircraft)
                except PlanningError as err:
                    found[aircraft.id] = str(err)
            self._works[area.id] = found
        return self._works[area.id]

    def _slot(self, day: date, aircraft_id: AircraftId, window: Span, need: timedelta) -> Span | None:
        """The earliest free time of an aircraft in a window, moves between areas included."""
        move = timedelta(seconds=MOVE_S)
        at: datetime = window.start
        for busy in sorted(self._busy[day, aircraft_id], key=lambda s: s.start):
            if at + need + move <= busy.start:
                break
            at = max(at, busy.end + move)
        return Span(at, at + need) if at + need <= window.end else None

    def _take(self, placement: Placement) -> None:
        self.placements.append(placement)
        for aircraft_id in placement.aircraft_ids:
            self._busy[placement.day, aircraft_id].append(placement.span)

    def _why(self, task: _Task, day: date, tried: Counter[str]) -> Iterator[Reason]:
        area = self.areas[task.area_id]
        if task.demand is not None:
            d = task.demand
            yield Reason(
                "demand",
                f"需求 {d.id}（{d.why or '复核'}）：{d.not_before} 至 {d.not_after}",
                f"demand {d.id} ({d.why or 'recheck'}): {d.not_before} to {d.not_after}",
            )
        elif task.last is None:
            yield Reason("first", "尚无合格成果，尽快首飞", "no accepted survey yet: first flight as soon as possible")
        else:
            yield Reason(
                "due",
                f"上次合格成果 {task.last}，周期 {area.revisit_days} 天，应于 {task.due} 前再飞",
                f"last accepted survey {task.last}, every {area.revisit_days} days: due {task.due}",
            )
        window = self.windows.get(area.id)
        if window is not None:
            yield Reason("window", f"与基准同一时段 {window}", f"same clock window as the baseline, {window}")
        if tried:
            zh, en = _told(tried)
            yield Reason("moved", f"首选日不可行：{zh}", f"better days were not possible: {en}")
        if day > task.due:
            late = (day - task.due).days
            yield Reason("late", f"晚于应飞日 {late} 天", f"{late} days after it was due")

    def _why_not(self, task: _Task, tried: Counter[str]) -> Reason:
        zh, en = _told(tried) if tried else ("期限不在本计划期内", "its days lie outside this plan")
        area = self.areas[task.area_id]
        if "reach" in tried:
            why = "; ".join(w for w in self._work(area).values() if isinstance(w, str)) or "no aircraft in the fleet"
            return Reason("reach", f"{area.name}：无飞机可达（{why}）", f"{area.name}: no aircraft can do it ({why})")
        return Reason("no_day", f"{area.name}（应于 {task.due}）排不进：{zh}", f"{area.name} (due {task.due}) finds no day: {en}")


_TOLD = {
    "full": ("{} 天飞机已排满", "{} days with all aircraft taken"),
    "window": (
        "{} 天时段内飞不完（请拆分单元或增加飞机）",
        "{} days on which its clock window is too short (divide the area, or add aircraft)",
    ),
    "sun": ("{} 天时段内太阳高度不足", "{} days on which the sun stays too low in its clock window"),
    "reach": ("{} 天无可用飞机", "{} days without an aircraft that reaches it"),
}


def _told(tried: Counter[str]) -> tuple[str, str]:
    zh, en = [], []
    for what, count in sorted(tried.items()):
        if what.startswith("blocked:"):
            zh.append(f"{count} 天停飞（{what[8:]}）")
            en.append(f"{count} days blocked ({what[8:]})")
        else:
            zh.append(_TOLD[what][0].format(count))
            en.append(_TOLD[what][1].format(count))
    return "，".join(zh), ", ".join(en)
