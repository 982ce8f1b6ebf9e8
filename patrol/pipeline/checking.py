"""Checking (空域复核): missions held against the airspace again at export, at the 1-h report, before arming, and whenever zones change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airspace.applications import State
from airspace.clearance import Clearance, Verdict
from airspace.errors import AirspaceError
from airspace.index import Airspace
from airspace.law import DUTIES, due_at
from flight.errors import FlightError
from geo.times import Span, local_day
from patrol import audit, leave, records, repositories
from patrol.blobs import BlobError
from patrol.leave import AirCheck, Stage
from patrol.pipeline.planning import HOURS, air, flying_span, load_mission, mission_clearance
from patrol.tables import MissionRow
from patrol.values import dump
from patrol.wiring import Workplace

OPEN = ("planned", "confirmed")


class CheckRefused(AirspaceError):
    """A mission that may not go on; the message says why in both languages, apart by ` / `."""


def span_of(work: Workplace, record: records.MissionRecord) -> Span:
    """When a mission flies: its day's window, or from now on."""
    now = work.clock.now()
    return flying_span(record.fly_on) if record.fly_on else Span(now, now + HOURS)


def look(work: Workplace, record: records.MissionRecord, data: Airspace | None = None) -> Clearance:
    """A mission's clearance as of now."""
    with work.database.read() as session:
        aircraft = repositories.aircraft.find(session, record.aircraft_id) if record.aircraft_id else None
    return mission_clearance(work, load_mission(work, record), span_of(work, record), aircraft, data=data)


def check(work: Workplace, mission_id: str, stage: Stage, *, by: str, details: Mapping[str, Any] | None = None) -> AirCheck:
    """Hold a mission against the airspace of now and keep what was found, with its data version."""
    with work.database.read() as session:
        record = repositories.missions.get(session, mission_id)
    return _keep(work, record, stage, look(work, record), by, stale=False, details=details)


def may_leave(work: Workplace, mission_id: str, *, by: str, form: str) -> AirCheck:
    """Whether a mission's file may be handed out: checked anew and kept. Raises CheckRefused for one that is stale or blocked.

    One that only needs leave goes out, for its file is part of the application; so does one of the past, which is a record.
    """
    _refuse_stale(work, mission_id)
    found = check(work, mission_id, Stage.EXPORT, by=by, details={"form": form})
    if found.verdict == Verdict.BLOCKED and any(r["code"] != "past" for r in found.clearance["reasons"]):
        raise CheckRefused(_why(found, "任务不能导出", "the mission cannot be handed out"))
    return found


def report(work: Workplace, mission_id: str, *, by: str) -> AirCheck:
    """The report 1 h before take-off (Art. 30): checked anew. Raises CheckRefused when it is stale, not clear or too late."""
    _refuse_stale(work, mission_id)
    with work.database.read() as session:
        record = repositories.missions.get(session, mission_id)
    span, duty = span_of(work, record), next(d for d in DUTIES if d.code == Stage.REPORT)
    due = due_at(duty, span.start, span.end)
    late = work.clock.now() > due
    found = check(work, mission_id, Stage.REPORT, by=by, details={"due_at": due.isoformat(), "late": late})
    if found.verdict != Verdict.CLEAR:
        raise CheckRefused(_why(found, "空域不放行，不能报告起飞", "the air is not clear, so no take-off can be reported"))
    if late:
        raise CheckRefused(
            "已不足起飞前 1 小时，请推迟起飞时刻后再报告（第三十条） / less than 1 h is left to take-off: put it off and report again (Art. 30)"
        )
    return found


def confirm(work: Workplace, check_id: str, *, by: str, number: str) -> AirCheck:
    """The authority's confirmation of a report (Art. 30), by its number. Raises CheckRefused for what is no report."""
    with work.database.write() as session:
        found = leave.checks.get(session, check_id)
        if found.stage is not Stage.REPORT or found.verdict != Verdict.CLEAR or found.details.get("late") or not number.strip():
            raise CheckRefused(
                "只有有效的起飞前报告可以确认，并须填写确认号 / only a valid report can be confirmed, with its number"
            )
        done = replace(
            found, details={**found.details, "confirmed": number.strip(), "confirmed_at": work.clock.now().isoformat()}
        )
        audit.append(
            session, by, "airspace.confirm", f"mission:{found.mission_id}", at=work.clock.now(), details={"number": number}
        )
        return leave.checks.put(session, done)


def before_arming(work: Workplace, record: records.MissionRecord, clearance: Clearance, *, by: str) -> None:
    """The last look: kept, and refused when a change was not acknowledged or an approved flight has no confirmed report."""
    _keep(work, record, Stage.ARMING, clearance, by, stale=False)
    _refuse_stale(work, record.id)
    with work.database.read() as session:
        approved = any(a.state is State.APPROVED for a in leave.applications_of(session, record.id))
        reports = [c for c in leave.checks_of(session, record.id) if c.stage is Stage.REPORT and c.details.get("confirmed")]
    if approved and not reports:
        raise CheckRefused(
            "经批准的飞行须在起飞前 1 小时报告并经确认（第三十条） / an approved flight is reported 1 h before and confirmed (Art. 30)"
        )


def zones_changed(work: Workplace, *, by: str) -> tuple[AirCheck, ...]:
    """After zones changed: every mission still to be flown is looked at again; those whose answer differs turn stale."""
    today = local_day(work.clock.now())
    with work.database.read() as session:
        waiting = repositories.missions.where(session, MissionRow.state.in_(OPEN))
        known = {m.id: next((c.clearance for c in leave.checks_of(session, m.id)), m.record.get("clearance")) for m in waiting}
    if not waiting:
        return ()
    data, found = Airspace(*air(work)), []
    for record in waiting:
        if record.fly_on is not None and record.fly_on < today:
            continue
        try:
            now = look(work, record, data)
        except (FlightError, BlobError):
            continue  # it cannot be flown or handed out either: both read the same file
        if _said(dump(now)) != _said(known[record.id] or {}):
            found.append(_keep(work, record, Stage.WATCH, now, by, stale=True))
    return tuple(found)


def acknowledge(work: Workplace, mission_id: str, *, by: str) -> tuple[AirCheck, ...]:
    """A pilot has read what changed: the mission goes on under the new answer, whatever that is."""
    now = work.clock.now()
    with work.database.write() as session:
        open_ = leave.stale_of(session, mission_id)
        for one in open_:
            leave.checks.put(session, replace(one, acknowledged_by=by, acknowledged_at=now))
        if open_:
            audit.append(session, by, "airspace.acknowledge", f"mission:{mission_id}", at=now, details={"checks": len(open_)})
        return open_


def _keep(
    work: Workplace,
    record: records.MissionRecord,
    stage: Stage,
    clearance: Clearance,
    by: str,
    *,
    stale: bool,
    details: Mapping[str, Any] | None = None,
) -> AirCheck:
    made = AirCheck(
        repositories.new_id(),
        record.id,
        stage,
        work.clock.now(),
        by,
        clearance.verdict.value,
        clearance.data_version,
        stale,
        dump(clearance),
        dict(details or {}),
    )
    with work.database.write() as session:
        return leave.checks.add(session, made)


def _said(clearance: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two answers different to a pilot: the verdict, and what stands against the flight. Hours that pass do not."""
    reasons = {(r["code"], r["zone_id"]) for r in clearance.get("reasons", ()) if r["code"] not in {"past", "too_late"}}
    return clearance.get("verdict"), frozenset(reasons)


def _refuse_stale(work: Workplace, mission_id: str) -> None:
    with work.database.read() as session:
        stale = leave.stale_of(session, mission_id)
    if stale:
        raise CheckRefused(_why(stale[0], "空域已变化，须先确认知悉", "the airspace has changed: acknowledge it first"))


def _why(found: AirCheck, zh: str, en: str) -> str:
    reasons = found.clearance["reasons"]
    said = (
        "；".join(r["zh"] + (f"（{r['article']}）" if r["article"] else "") for r in reasons),
        "; ".join(r["en"] for r in reasons),
    )
    return f"{zh}：{said[0]} / {en}: {said[1]}"
