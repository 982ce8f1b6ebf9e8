"""Preflight (起飞前检查): go or no-go, with every reason in both languages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from airspace.clearance import Clearance
from airspace.reasons import Reason
from flight.fleet import Aircraft
from flight.items import Cmd
from flight.link import VehicleState
from flight.mission import Mission, time_s
from geo.frames import metric_frame
from geo.times import utc

__all__ = ["FRESH", "Preflight", "check", "time_s"]

FRESH = timedelta(minutes=30)  # Art. 20: an emergency zone is announced 30 min before, so an older answer may miss one
_HOME_M = 30.0  # farther from the planned home, routes and heights no longer hold
_LEAST_BATTERY = 0.3


@dataclass(frozen=True, slots=True)
class Preflight:
    """`reasons` forbid the flight; `notes` are for the pilot to acknowledge. `go` is true when nothing forbids."""

    go: bool
    reasons: tuple[Reason, ...]
    notes: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    mission: Mission
    clearance: Clearance
    state: VehicleState
    aircraft: Aircraft
    now: datetime
    held_sha256: str | None


def check(
    mission: Mission,
    clearance: Clearance,
    vehicle_state: VehicleState,
    aircraft: Aircraft,
    *,
    now: datetime,
    held_sha256: str | None = None,
) -> Preflight:
    """All checks before arming; `held_sha256` is the hash of what was read back from the vehicle, where that was done."""
    case = _Case(mission, clearance, vehicle_state, aircraft, utc(now), held_sha256)
    reasons = tuple(reason for look in _CHECKS for reason in look(case))
    notes = [Reason("note", note, note) for note in mission.notes]
    if held_sha256 is None:
        notes.append(Reason("not_read_back", "尚未回读核对机上任务", "the mission on the vehicle has not been read back yet"))
    if vehicle_state.battery is None:
        notes.append(Reason("battery_unknown", "电量未知，请人工确认", "the battery level is not known: look at it"))
    return Preflight(not reasons, reasons, tuple(notes))


def _airspace(case: _Case) -> Iterator[Reason]:
    clearance = case.clearance
    if not clearance.granted:
        yield from clearance.reasons
    elif case.now >= clearance.valid_until:
        yield Reason("clearance_over", "空域判定已过有效期，请重新判定", "the clearance is no longer valid: ask anew", "第二十条")
    elif case.now - clearance.checked_at > FRESH:
        minutes = int((case.now - clearance.checked_at).total_seconds() // 60)
        yield Reason(
            "clearance_old",
            f"空域判定已是 {minutes} 分钟前的，起飞前须重新判定（应急临时管制提前 30 分钟公布）",
            f"the clearance is {minutes} min old: ask anew before arming (emergency zones are announced 30 min ahead)",
            "第二十条",
        )


def _link(case: _Case) -> Iterator[Reason]:
    state = case.state
    if not state.link_fresh:
        yield Reason(
            "link_stale", "与飞机的链路已中断，状态不可信", "the link to the vehicle is stale: nothing it said can be relied on"
        )
        return
    if state.armed:
        yield Reason("armed", "飞机已解锁或在飞行中", "the vehicle is armed already")
    if not state.position_good:
        yield Reason(
            "no_position", f"定位未就绪（卫星 {state.satellites} 颗）", f"no 3D position fix yet ({state.satellites} satellites)"
        )


def _place(case: _Case) -> Iterator[Reason]:
    if not case.state.link_fresh or not case.state.position_good:
        return
    frame = metric_frame(case.mission.home)
    a, b = frame.xy(case.mission.home), frame.xy(case.state.place)
    metres = math.hypot(a.x_m - b.x_m, a.y_m - b.y_m)
    if metres > _HOME_M:
        yield Reason(
            "away_from_home",
            f"飞机距规划起飞点 {metres:.0f} 米，航线与高度均以起飞点计，请移至起飞点或重新规划",
            f"the vehicle stands {metres:.0f} m from the planned take-off place: carry it there, or plan anew from here",
        )


def _battery(case: _Case) -> Iterator[Reason]:
    battery = case.state.battery
    if battery is None:
        return
    if battery < _LEAST_BATTERY:
        yield Reason(
            "battery_low",
            f"电量 {battery:.0%}，低于 {_LEAST_BATTERY:.0%}",
            f"battery at {battery:.0%}, below {_LEAST_BATTERY:.0%}",
        )
        return
    need, have = time_s(case.mission), case.aircraft.endurance_s * (battery - case.aircraft.reserve)
    if need > have:
        yield Reason(
            "battery_short",
            f"任务约需 {need:.0f} 秒，当前电量扣除余量后可飞 {have:.0f} 秒",
            f"the mission takes about {need:.0f} s; this battery gives {have:.0f} s above its reserve",
        )


def _items(case: _Case) -> Iterator[Reason]:
    mission, aircraft = case.mission, case.aircraft
    counts = (
        ("items", "任务项", len(mission.items), aircraft.max_items),
        ("fence_items", "电子围栏项", len(mission.fence_items), aircraft.limits.fence_items),
        ("rally_points", "备降点", len(mission.rally), aircraft.limits.rally_points),
    )
    for code, zh, count, most in counts:
        if count > most:
            yield Reason(f"too_many_{code}", f"{zh} {count} 个，超过飞机上限 {most}", f"{count} {code}; the vehicle holds {most}")
    if not mission.fence:
        yield Reason("no_fence", "任务没有电子围栏", "the mission has no fence", "第三十二条")
    commands = [item.command for item in mission.items]
    if Cmd.TAKEOFF not in commands[:2]:
        yield Reason("no_takeoff", "任务没有以起飞开始", "the mission does not begin with a take-off")
    if not commands or commands[-1] not in (Cmd.RETURN_TO_LAUNCH, Cmd.LAND):
        yield Reason("no_return", "任务没有以返航或降落结束", "the mission does not end with a return or a landing")


def _same(case: _Case) -> Iterator[Reason]:
    if case.held_sha256 is not None and case.held_sha256 != case.mission.sha256:
        yield Reason(
            "other_mission",
            f"机上任务（{case.held_sha256[:12]}）与“{case.mission.name}”（{case.mission.sha256[:12]}）不同，请重新上传",
            f"the vehicle holds another mission ({case.held_sha256[:12]}) than {case.mission.name} ({case.mission.sha256[:12]}): upload again",
        )


_CHECKS: tuple[Callable[[_Case], Iterator[Reason]], ...] = (_airspace, _link, _place, _battery, _items, _same)
