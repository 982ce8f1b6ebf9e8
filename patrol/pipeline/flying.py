"""Fly what was planned: preflight, the flight over the link, and the log that is kept whatever happens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

from flight import execute
from flight.errors import FlightError
from flight.fleet import Aircraft
from flight.flightlog import FlightLog, PhotoEvent, to_json
from flight.link import VehicleLink, VehicleState
from flight.preflight import check
from geo.progress import Progress, silent
from geo.times import Span, SystemClock
from patrol import audit, records, repositories
from patrol.pipeline import checking
from patrol.pipeline.planning import HOURS, flying_span, load_mission, mission_clearance
from patrol.wiring import Workplace

READY_S = 45.0
PASSING = frozenset({"no_position", "link_stale"})


class FlightRefused(FlightError):
    """Preflight said no go; each reason in a line."""


def fly(
    work: Workplace,
    mission_id: str,
    *,
    by: str,
    link: VehicleLink | None = None,
    simulated: bool = False,
    on_state: Callable[[VehicleState], None] | None = None,
    abort: Callable[[], str | None] | None = None,
    progress: Progress = silent,
) -> tuple[records.FlightRecord, FlightLog]:
    """Fly a kept mission with its aircraft. Raises FlightRefused before arming, LinkError when the vehicle cannot be given the mission."""
    with work.database.read() as session:
        record = repositories.missions.get(session, mission_id)
        if record.aircraft_id is None:
            raise FlightRefused(f"mission {record.name} has no aircraft: plan it for one")
        aircraft = repositories.aircraft.get(session, record.aircraft_id)
    mission = load_mission(work, record)
    own = link is None
    vehicle = link or work.vehicle(aircraft.link_url)
    try:
        try:
            _preflight(work, record, aircraft, vehicle, by=by)
        except checking.CheckRefused as err:
            raise FlightRefused(str(err)) from err
        _state(work, record, "flying")
        total = len(mission.items)

        def seen(state: VehicleState) -> None:
            progress(max(state.mission_index, 0), total, "fly")
            if on_state is not None:
                on_state(state)

        try:
            log = execute.fly(mission, vehicle, SystemClock(), on_state=seen, on_photo=_unwatched, abort=abort or _never)
        except FlightError:
            _state(work, record, "failed")
            raise
    finally:
        if own:
            vehicle.close()
    return _keep(work, record, aircraft, log, by=by, simulated=simulated), log


def _preflight(work: Workplace, record: records.MissionRecord, aircraft: Aircraft, vehicle: VehicleLink, *, by: str) -> None:
    mission = load_mission(work, record)
    now = work.clock.now()
    span = flying_span(record.fly_on) if record.fly_on else Span(now, now + HOURS)
    clearance = mission_clearance(work, mission, span, aircraft)
    checking.before_arming(work, record, clearance, by=by)
    until = time.monotonic() + READY_S
    while True:
        verdict = check(mission, clearance, vehicle.state(), aircraft, now=now)
        if verdict.go:
            return
        # A vehicle that was just switched on finds its place within seconds: only that is worth waiting for.
        passing = all(reason.code in PASSING for reason in verdict.reasons)
        if not passing or time.monotonic() > until:
            raise FlightRefused("; ".join(f"{r.zh} ({r.en})" for r in verdict.reasons))
        time.sleep(0.5)


def _state(work: Workplace, record: records.MissionRecord, state: str) -> None:
    with work.database.write() as session:
        repositories.missions.put(session, replace(repositories.missions.get(session, record.id), state=state))


def _keep(
    work: Workplace, record: records.MissionRecord, aircraft: Aircraft, log: FlightLog, *, by: str, simulated: bool
) -> records.FlightRecord:
    flight = records.FlightRecord(
        id=repositories.new_id(),
        started=log.started,
        ended=log.ended,
        outcome=str(log.outcome.ending),
        photos=len(log.photos),
        log=json.loads(to_json(log)),
        mission_id=record.id,
        area_id=record.area_id,
        aircraft_id=aircraft.id,
        simulated=simulated,
    )
    state = "flown" if log.outcome.completed else "failed"
    with work.database.write() as session:
        repositories.flights.add(session, flight)
        repositories.missions.put(session, replace(repositories.missions.get(session, record.id), state=state))
        details = {"mission": record.name, "outcome": flight.outcome, "reason": log.outcome.reason, "photos": flight.photos}
        audit.append(session, by, "flight.end", f"flight:{flight.id}", at=work.clock.now(), details=details)
    return flight


def _unwatched(_: PhotoEvent) -> None:
    return


def _never() -> str | None:
    return None
