"""Applying (飞行活动申请): drafts for what missions need leave for, one for each body; acts on them; and what an approval opens."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import shapely

from airspace import applications, word
from airspace.applications import Act, Application, Facts, Particulars, Refused, State
from airspace.clearance import Clearance
from airspace.errors import AirspaceError
from airspace.index import Airspace
from airspace.law import ACTS
from airspace.needs import Kind
from airspace.papers import CLASS_WORDS, Operator, Pilot, Purpose
from airspace.zones import GROUND, Flag, Outline, Permit, polygons
from flight.fleet import Aircraft
from flight.mission import Mission
from flight.volumes import flown_volume
from geo.frames import metric_frame
from geo.heights import Datum, Height
from geo.times import LOCAL_ZONE, Span, local_day
from patrol import audit, leave, records, repositories
from patrol.pipeline.checking import span_of
from patrol.pipeline.planning import air, load_mission, mission_clearance
from patrol.shelf import next_number
from patrol.tables import ApplicationRow
from patrol.wiring import Workplace

_TASKS = {
    Purpose.PATROL: "城市例行巡查航拍",
    Purpose.SURVEYING: "航空测绘",
    Purpose.EMERGENCY: "应急任务（抢险救灾、医疗救护等紧急任务）",
    Purpose.URGENT: "特别紧急任务",
}


@dataclass(frozen=True, slots=True)
class _Case:
    record: records.MissionRecord
    mission: Mission
    aircraft: Aircraft | None
    span: Span
    clearance: Clearance


def draft(
    work: Workplace,
    mission_ids: Sequence[str],
    *,
    by: str,
    flags: Collection[Flag] = (),
    purpose: Purpose = Purpose.PATROL,
    pilot_id: str | None = None,
) -> tuple[Application, ...]:
    """Drafts for all that the missions need leave for, one for each body and kind; none where nothing is needed.

    What a mission has asked of a body already, undecided or granted, is not asked again. Raises AirspaceError without missions.
    """
    if not mission_ids:
        raise AirspaceError("请先选择飞行任务 / choose a mission first")
    data = Airspace(*air(work))
    with work.database.read() as session:
        found = [repositories.missions.get(session, one) for one in dict.fromkeys(mission_ids)]
        fleet = {a.id: a for a in repositories.aircraft.where(session)}
        operator = leave.operator(session)
        pilots = leave.pilots.where(session)
        asked = {(a.body, a.kind, m) for a in leave.applications_of(session) if a.state in _STANDING for m in a.mission_ids}
    pilots = tuple(p for p in pilots if pilot_id is None or p.id == pilot_id)
    cases = []
    for record in found:
        mission, span = load_mission(work, record), span_of(work, record)
        aircraft = fleet.get(record.aircraft_id) if record.aircraft_id else None  # type: ignore[call-overload]
        clearance = mission_clearance(work, mission, span, aircraft, flags=flags, purpose=purpose, data=data)
        cases.append(_Case(record, mission, aircraft, span, clearance))
    batches: dict[tuple[str, Kind], list[_Case]] = {}
    for case in cases:
        for need in case.clearance.applications:
            if (need.body, need.kind, case.record.id) not in asked:
                batches.setdefault((need.body, need.kind), []).append(case)
    with work.database.write() as session:
        made = []
        for (body, kind), own in sorted(batches.items()):
            number = f"SQ-{local_day(work.clock.now()):%Y}-{next_number(session, 'flight_application'):04d}"
            one = _application(work, body, kind, own, number, by, frozenset(flags), purpose, operator, pilots)
            leave.applications.add(session, one)
            told = {"number": number, "body": body, "missions": list(one.mission_ids)}
            audit.append(session, by, "application.draft", f"application:{one.id}", at=one.made_at, details=told)
            made.append(one)
    return tuple(made)


_STANDING = frozenset({State.DRAFT, State.SUBMITTED, State.APPROVED})


def act(work: Workplace, application_id: str, what: Act, *, by: str, facts: Facts | None = None) -> Application | Refused:
    """Carry out one act, by hand or for an authority's system; an approval opens its air as a permit, a filed plan its day."""
    now = work.clock.now()
    with work.database.write() as session:
        there = leave.applications.get(session, application_id)
        done = applications.advance(there, what, now, facts)
        if isinstance(done, Refused):
            return done
        if done.state is State.APPROVED and done.kind is Kind.APPLICATION:
            permit = Permit(
                done.id, done.outline, done.floor, done.ceiling, done.span, done.holder, done.decision_number, done.flags
            )
            repositories.permits.put(session, permit)
            done = replace(done, permit_id=permit.id)
        if done.state is State.SUBMITTED and done.kind is Kind.DAILY_PLAN:
            day = local_day(done.span.start)
            for standing in repositories.permits.where(session, box=done.outline.bounds):
                if standing.long_term and day not in standing.filed_days and standing.outline.intersects(done.outline):
                    repositories.permits.put(session, replace(standing, filed_days=(*standing.filed_days, day)))
        leave.applications.put(session, done)
        told = {"number": done.number, "before": there.state, "after": done.state, "decision": done.decision_number}
        audit.append(session, by, f"application.{what}", f"application:{done.id}", at=now, details=told)
        return done


def write_item(work: Workplace, application_id: str, number: int, text: str, *, by: str) -> Application:
    """Fill in one of the 13 items of a draft; raises AirspaceError for one that is no draft."""
    with work.database.write() as session:
        there = leave.applications.get(session, application_id)
        try:
            done = applications.written(there, number, text)
        except ValueError as err:
            raise AirspaceError(str(err)) from err
        audit.append(session, by, "application.write", f"application:{there.id}", at=work.clock.now(), details={"item": number})
        return leave.applications.put(session, done)


def lapse(work: Workplace, *, by: str = "system") -> int:
    """Let all lapse whose time is over; how many did."""
    now = work.clock.now()
    with work.database.read() as session:
        waiting = leave.applications.where(session, ApplicationRow.state.in_(("draft", "submitted")))
    due = [a for a in waiting if applications.is_due_to_lapse(a, now)]
    return sum(not isinstance(act(work, a.id, Act.LAPSE, by=by), Refused) for a in due)


def as_word(application: Application) -> bytes:
    """The application as a Word file."""
    rows = [("序号", "内容（第二十七条）", "填写")]
    rows += [(str(i.number), i.zh, i.text or "（待填写）") for i in application.items]
    begin = application.made_at.astimezone(LOCAL_ZONE)
    return word.document(
        "无人驾驶航空器飞行活动申请",
        (f"编号：{application.number}", f"致：{application.body}", f"空域数据版本：{application.data_version}"),
        rows,
        (f"申请单位：{application.holder or '（盖章）'}", f"{begin:%Y}年{begin.month}月{begin.day}日"),
    )


def _application(
    work: Workplace,
    body: str,
    kind: Kind,
    cases: Sequence[_Case],
    number: str,
    by: str,
    flags: frozenset[Flag],
    purpose: Purpose,
    operator: Operator | None,
    pilots: Sequence[Pilot],
) -> Application:
    volumes = [flown_volume(c.mission, frame=metric_frame(c.mission.home), span=c.span) for c in cases]
    outline = polygons(shapely.union_all([v.outline for v in volumes]))
    top = float(math.ceil(max(v.ceiling.metres for v in volumes)))
    span = Span(min(c.span.start for c in cases), max(c.span.end for c in cases))
    needs = [n for c in cases for n in c.clearance.applications if (n.body, n.kind) == (body, kind)]
    return Application(
        id=repositories.new_id(),
        number=number,
        body=body,
        kind=kind,
        purpose=purpose,
        mission_ids=tuple(c.record.id for c in cases),
        zone_ids=tuple(dict.fromkeys(z for n in needs for z in n.zone_ids)),
        codes=tuple(dict.fromkeys(code for n in needs for code in n.codes)),
        outline=outline,
        floor=GROUND,
        ceiling=Height(top, Datum.GROUND),
        span=span,
        items=applications.compose(_particulars(cases, outline, top, span, flags, purpose, operator, pilots)),
        data_version=cases[0].clearance.data_version,
        made_at=work.clock.now(),
        made_by=by,
        holder=operator.name if operator else "",
        flags=tuple(sorted(flags)),
        apply_by=min((n.apply_by for n in needs if n.apply_by is not None), default=None),
        decided_by=min((n.decided_by for n in needs if n.decided_by is not None), default=None),
    )


def _particulars(
    cases: Sequence[_Case],
    outline: Outline,
    top_m: float,
    span: Span,
    flags: frozenset[Flag],
    purpose: Purpose,
    operator: Operator | None,
    pilots: Sequence[Pilot],
) -> Particulars:
    crafts = list({c.aircraft.id: c.aircraft for c in cases if c.aircraft is not None}.values())
    west, south, east, north = outline.bounds
    homes = list(dict.fromkeys(f"{c.mission.home.lon_deg:.6f}E {c.mission.home.lat_deg:.6f}N" for c in cases))
    names = "、".join(c.mission.name for c in cases)
    speed = max(c.mission.cruise_speed_m_s for c in cases)
    acts = "；".join(ACTS[f].zh for f in sorted(flags))
    routes = "\n".join(
        f"{c.mission.name}：" + " ".join(f"{p.lon_deg:.6f},{p.lat_deg:.6f}" for p in c.mission.path) for c in cases
    )
    return Particulars(
        operator=f"{operator.name}，运营合格证 {operator.certificate or '无'}" if operator else "",
        pilots="；".join(
            f"操控员 {p.name}，执照 {p.licence or '无（按第十七条无需）'}，电话 {p.phone or '未登记'}" for p in pilots
        ),
        aircraft="；".join(_craft(a) for a in crafts if a.papers is not None) if all(a.papers for a in crafts) else "",
        task=f"{_TASKS[purpose]}（{names}），按预定航线自动飞行" + (f"；{acts}" if acts else ""),
        places=f"起降点 {'、'.join(homes)}；备降：原起飞点及规划备降点",
        contact=f"{operator.contact} {operator.phone}".strip() if operator else "",
        span=span,
        route=f"真高 {top_m:.0f} 米以下，最大速度 {speed:g} 米/秒；范围 {west:.6f}–{east:.6f}E，{south:.6f}–{north:.6f}N；"
        f"自起飞点垂直爬升进入，按航线返回起飞点下降退出（WGS 84）\n{routes}",
        link=_each(crafts, "link"),
        capability=_each(crafts, "capability"),
        transponder=_each(crafts, "transponder"),
    )


def _each(crafts: Sequence[Aircraft], name: str) -> str:
    """What the papers of all aircraft say of one thing; empty where one of them does not say."""
    said = [str(getattr(a.papers, name)).strip() if a.papers is not None else "" for a in crafts]
    return "；".join(dict.fromkeys(said)) if said and all(said) else ""


def _craft(aircraft: Aircraft) -> str:
    papers = aircraft.papers
    assert papers is not None
    return (
        f"{CLASS_WORDS[papers.classified][0]} {papers.model or aircraft.name} 1 架，空机 {papers.empty_kg:g} kg，最大起飞重量 "
        f"{papers.takeoff_kg:g} kg，续航 {aircraft.endurance_s / 60:.0f} 分钟，登记号 {papers.registration or '未登记'}，序列号 {papers.serial or '未登记'}"
    )
