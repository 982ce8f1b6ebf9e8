"""`patrol demo`: a simulated month over a simulated town, from the plan to the closed case; or two folders of real photos.

The simulator is imported here and nowhere else in the product; it is spoken to over MAVLink, as a real vehicle is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from shapely.geometry import Polygon, box

from airspace.classes import ZoneClass
from airspace.zones import Zone, ZoneKind
from change_detect.candidate import Candidate, Kind
from change_detect.evaluate import Score, Truth, score
from dispatch.actor import Actor, Role
from dispatch.case import CaseState
from dispatch.finding import Finding, FindingState
from dispatch.refusal import Refusal
from flight.fleet import Aircraft, AircraftId
from geo.area import Area, AreaId, Tier
from geo.frames import LonLat
from geo.progress import Progress
from geo.times import LOCAL_ZONE, FixedClock, local_day, utc
from imagery.photos import read_folder
from imagery.screening import screen
from imagery.survey import area_from_photos
from patrol import auth, database, records, repositories, serving, simulation, terminal
from patrol.pipeline import casework, comparing, flying, planning, surveying, zoning
from patrol.pipeline.areas import keep_area
from patrol.settings import Settings
from patrol.stages import Stage, Stages
from patrol.values import dump
from patrol.wiring import Workplace, workplace
from simulator.town import Town, make_town

CENTRE = LonLat(lon_deg=120.5600, lat_deg=32.3900)
SIZE_M = (150.0, 110.0)
GSD_M = 0.08
FIRST_DAY = date(2026, 10, 8)
SPEEDUP = 40.0
OVERLAPS = (0.78, 0.65)
BY = "demo"
NEIGHBOURS = (  # units that are planned but not flown: name, tier, revisit days, place and size in metres from the town's middle
    ("城东工业园单元", Tier.KEY, 30, 420.0, -160.0, 380.0, 300.0),
    ("北门老街单元", Tier.KEY, 15, -140.0, 380.0, 320.0, 240.0),
    ("龙游湖东岸单元", Tier.GENERAL, 60, -900.0, -120.0, 420.0, 360.0),
    ("城南新村单元", Tier.GENERAL, 30, -180.0, -760.0, 460.0, 380.0),
    ("运河管线廊道单元", Tier.KEY, 30, 200.0, 120.0, 700.0, 180.0),
)
OFFICE = Actor("demo", "演示值班员", frozenset(Role) - {Role.SYSTEM})


class DemoFailed(RuntimeError):
    """A step of the demo did not come out; says which and why."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo measured. `position_error_m` is the median distance between found and true centres."""

    recall: float
    precision: float
    false_alarms: int
    position_error_m: float | None
    cases: int
    closed: int
    suppressed: int
    stages: tuple[Stage, ...]
    missed: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def fresh(settings: Settings) -> None:
    """An empty store in the demo's own folder; a folder that holds anything but a demo is left alone."""
    home = settings.home
    if home.exists() and any(home.iterdir()) and not (home / "demo").exists():
        raise DemoFailed(f"{home} holds something that no demo made: name another folder with --home, or empty it")
    if home.exists():
        shutil.rmtree(home)
    home.mkdir(parents=True)
    (home / "demo").touch()
    database.upgrade(settings.database)


def first_admin(work: Workplace) -> tuple[str, str]:
    """The administrator of the demo's page: login and a password made for it."""
    with work.database.write() as session:
        user, chosen = auth.first_admin(session, work.clock)
    return user.login, chosen


def simulated_month(
    settings: Settings,
    *,
    seed: int,
    progress: Progress,
    stages: Stages,
    size_m: tuple[float, float] = SIZE_M,
    structures: int = 11,
) -> Report:
    """Plan, fly day 0 and day 30, compare, open cases, close one by a recheck flight, and hold all of it against the truth."""
    clock = FixedClock(_at(FIRST_DAY))
    with workplace(settings, clock=clock) as work:
        with stages.stage("town"):
            town = make_town(seed, centre=CENTRE, width_m=size_m[0], depth_m=size_m[1], structures=structures)
            area, aircraft = _set_up(work, town)
        with stages.stage("plan"):
            planning.plan_month(work, FIRST_DAY, by=BY)
            planning.plan_missions(work, area, aircraft, FIRST_DAY, by=BY, overlap_forward=OVERLAPS[0], overlap_side=OVERLAPS[1])
        _survey(work, town, area, aircraft, 0, stages, progress)
        clock.advance(timedelta(days=30))
        _survey(work, town, area, aircraft, 30, stages, progress)
        with stages.stage("compare"):
            pair = comparing.compare(work, area.id, by=BY, progress=progress)
        result, truths = _scored(work, town, area, pair)
        with stages.stage("cases"):
            findings = _confirm_all(work, area)
        chosen = _choose(town, area, findings, truths)
        with stages.stage("recheck"):
            closed = _close_one(work, town, area, aircraft, clock, chosen, progress)
        planning.plan_month(work, local_day(clock.now()), by=BY)
        with work.database.read() as session:
            suppressed = sum(c.suppressed is not None for c in repositories.candidates_of(session, pair.id))
            cases = len(repositories.cases.where(session))
    return Report(
        recall=result.recall,
        precision=result.precision,
        false_alarms=result.false_alarms,
        position_error_m=result.position_error_m,
        cases=cases,
        closed=closed,
        suppressed=suppressed,
        stages=stages.found,
        missed=result.missed,
        extra={"seed": seed, "structures": sum(t.is_structure for t in truths)},
    )


def real_pair(settings: Settings, before: Path, after: Path, *, progress: Progress, stages: Stages) -> dict[str, Any]:
    """Two folders of real photos: ingest both, compare, and put what was found before the reviewer."""
    with workplace(settings) as work:
        reading = read_folder(before, workers=2)
        area = keep_area(work, area_from_photos(screen(reading.photos).accepted, before.parent.name or "实拍"), by=BY)
        dates = (_taken(before, 0), _taken(after, 1))
        if dates[0] >= dates[1]:  # flights of one day: the store orders surveys by day
            dates = (dates[1] - timedelta(days=1), dates[1])
        surveys = []
        for folder, day in zip((before, after), dates, strict=True):
            with stages.stage("ingest"):
                surveys.append(surveying.ingest(work, folder, area.id, day, by=BY, progress=progress).survey)
        for survey in surveys:
            if not survey.accepted:
                raise DemoFailed(f"survey {survey.id} was refused: {survey.quality['reasons']}")
        with stages.stage("compare"):
            pair = comparing.compare(work, area.id, surveys[0].id, surveys[1].id, by=BY, progress=progress)
        with work.database.read() as session:
            candidates = repositories.candidates_of(session, pair.id)
    return {
        "area_m2": area.area_m2,
        "surveys": [{"id": s.id, "quality": s.quality} for s in surveys],
        "comparison": pair.record,
        "candidates": sum(c.suppressed is None for c in candidates),
        "suppressed": sum(c.suppressed is not None for c in candidates),
        "stages": stages.found,
    }


def _taken(folder: Path, _: int) -> date:
    times = sorted(p.taken_at for p in read_folder(folder, workers=2).photos if p.taken_at is not None)
    if not times:
        raise DemoFailed(f"{folder}: no photo says when it was taken; ingest it with `patrol ingest --date`")
    return local_day(times[len(times) // 2])


def _at(day: date) -> datetime:
    return utc(datetime.combine(day, time(9, 0), LOCAL_ZONE))


def _set_up(work: Workplace, town: Town) -> tuple[Area, Aircraft]:
    """The area, its synthetic air, and two aircraft that stand at the town's edge."""
    area = Area(AreaId("demo"), "如城示范单元", town.outline, gsd_m=GSD_M)
    keep_area(work, area, by=BY)
    suitable = area.frame.to_degrees(area.outline_m.buffer(1500.0))
    x, y = area.outline_m.centroid.coords[0]
    for number, (name, tier, days, east, north, width, depth) in enumerate(NEIGHBOURS, start=1):
        shape = area.frame.to_degrees(box(x + east, y + north, x + east + width, y + north + depth))
        keep_area(work, Area(AreaId(f"demo-{number}"), name, shape, tier, days, gsd_m=0.05), by=BY)
    station = area.frame.to_degrees(Polygon([(x + 300, y + 180), (x + 380, y + 180), (x + 380, y + 260), (x + 300, y + 260)]))
    zones = (
        Zone.single("suitable", "示范适飞空域（合成数据）", ZoneKind.SUITABLE, suitable, synthetic=True),
        Zone.single(
            "substation",
            "变电站（合成数据）",
            ZoneKind.CONTROLLED,
            station,
            article_class=ZoneClass.INFRASTRUCTURE,
            synthetic=True,
            buffer_m=20.0,
        ),
    )
    fleet = tuple(
        Aircraft(
            AircraftId(f"demo-{n}"),
            f"巡查{n}号",
            simulation.CAMERA,
            cruise_m_s=6.0,
            endurance_s=1500.0,
            reserve=0.25,
            link_url="",
            home=home,
        )
        for n, home in ((1, town.home), (2, _second_home(town)))
    )
    with work.database.write() as session:
        zoning.keep(session, work, "demo", zones, by=BY)
        for aircraft in fleet:
            repositories.aircraft.put(session, aircraft)
    return area, fleet[0]


def _second_home(town: Town) -> LonLat:
    _, _, east, north = town.flown
    return town.frame.lonlat(town.origin.x_m + east - 6.0, town.origin.y_m + north - 6.0)


def _survey(
    work: Workplace,
    town: Town,
    area: Area,
    aircraft: Aircraft,
    day: int,
    stages: Stages,
    progress: Progress,
    kind: str = "survey",
) -> records.SurveyRecord:
    """Fly the area over MAVLink, photograph the town where the vehicle released the camera, and ingest the photos."""
    on = local_day(work.clock.now())
    with work.database.read() as session:
        planned = [
            m for m in repositories.missions.where(session) if m.fly_on == on and m.state == "planned" and m.area_id == area.id
        ]
    if not planned:
        with stages.stage("plan"):
            planned = list(
                planning.plan_missions(
                    work, area, aircraft, on, by=BY, kind=kind, overlap_forward=OVERLAPS[0], overlap_side=OVERLAPS[1]
                )
            )
    folder = work.settings.home / "camera" / f"day{day:02d}"
    flight_id = None
    for number, mission in enumerate(planned):
        epoch = utc(datetime.combine(on, planning.FLY_AT, LOCAL_ZONE)) + timedelta(minutes=30 * number)
        with stages.stage("fly"), simulation.vehicle(aircraft.home, epoch=epoch, speedup=SPEEDUP) as url:
            link = work.vehicle(url)
            try:
                flight, log = flying.fly(work, mission.id, by=BY, link=link, simulated=True, progress=progress)
            finally:
                link.close()
        if not log.outcome.completed:
            raise DemoFailed(f"the flight of day {day} ended early: {log.outcome.reason}")
        flight_id = flight.id
        with stages.stage("photograph"):
            simulation.photograph(town, day, log, folder / f"{number}", home=aircraft.home, progress=progress)
    with stages.stage("ingest"):
        done = surveying.ingest(work, folder, area.id, on, by=BY, flight_id=flight_id, progress=progress)
    if not done.survey.accepted:
        raise DemoFailed(f"the survey of day {day} was refused: {done.survey.quality['reasons']}")
    return done.survey


def _scored(work: Workplace, town: Town, area: Area, pair: records.ComparisonRecord) -> tuple[Score, tuple[Any, ...]]:
    truths = town.truth(0, 30)
    with work.database.read() as session:
        found = repositories.candidates_of(session, pair.id)
    candidates = tuple(candidate_of(area, c) for c in found)
    told = tuple(Truth(t.id, area.frame.to_metres(t.outline), t.height_m, is_structure=t.is_structure) for t in truths)
    return score(candidates, told, coverage=area.outline_m), truths


def candidate_of(area: Area, c: records.CandidateRecord) -> Candidate:
    """A stored candidate as change detection made it, in metres of the area."""
    outline = area.frame.to_metres(c.outline)
    assert isinstance(outline, Polygon)
    return Candidate(
        c.id, outline, c.area_m2, c.area_sigma_m2, c.height_m, Kind(c.kind), c.score, c.reasons, c.suppressed, c.features
    )


def _confirm_all(work: Workplace, area: Area) -> tuple[Finding, ...]:
    """The demo's reviewer confirms all that is new; each opens its case."""
    wanted = repositories.CaseFilter(states=(FindingState.TRIAGE.value,), area_id=area.id)
    with work.database.read() as session:
        findings, _ = repositories.search_findings(session, wanted, limit=500)
    confirmed = []
    for finding in findings:
        if finding.kind in comparing.NOT_NEW:
            continue
        done = casework.decide(work, finding.id, "confirm", "演示：影像与高差一致", OFFICE)
        if isinstance(done, Refusal):
            raise DemoFailed(done.text("en"))
        confirmed.append(done)
    return tuple(confirmed)


def _choose(town: Town, area: Area, findings: Sequence[Finding], truths: Sequence[Any]) -> tuple[Finding, str]:
    """The confirmed finding that lies best on a true structure: the one whose owner will pull it down."""
    best = None
    for truth in (t for t in truths if t.is_structure):
        there = area.frame.to_metres(truth.outline)
        for finding in findings:
            here = area.frame.to_metres(finding.outline_wgs84)
            iou = here.intersection(there).area / here.union(there).area
            if best is None or iou > best[0]:
                best = (iou, finding, truth.id)
    if best is None or best[0] == 0.0:
        raise DemoFailed("no case lies on a true structure: nothing to recheck")
    return best[1], best[2]


def _close_one(
    work: Workplace,
    town: Town,
    area: Area,
    aircraft: Aircraft,
    clock: FixedClock,
    chosen: tuple[Finding, str],
    progress: Progress,
) -> int:
    """派单－核查－处置－复核－销号 of one case; the recheck is flown three days later, when the structure is gone."""
    finding, thing = chosen
    with work.database.read() as session:
        case = repositories.case_of(session, finding.id)
    if case is None:
        raise DemoFailed(f"finding {finding.number} has no case")
    steps: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("dispatch", "请今日到场", {"assignee": OFFICE.id, "unit": "一中队"}),
        ("accept", "", {}),
        ("verify", "现场为新搭建，无审批", {"verdict": "illegal_built", "officers": "张建国,李明"}),
        ("handle", "责令限期自行拆除", {}),
        ("recheck", "当事人已自行拆除", {"outcome": "self_done"}),
    )
    for act, note, facts in steps:
        clock.advance(timedelta(hours=2))
        done = casework.act(work, case.id, act, note, facts, OFFICE)
        if isinstance(done, Refusal):
            raise DemoFailed(f"{act}: {done.text('en')}")
    clock.advance(timedelta(days=3) - timedelta(hours=10))
    later = town.with_removed([thing], 32)
    inner = Stages()
    after = _survey(work, later, area, aircraft, 33, inner, progress, kind="recheck")
    comparing.compare(work, area.id, after_id=after.id, by=BY, progress=progress)
    with work.database.read() as session:
        seen = repositories.cases.get(session, case.id)
    if seen.recheck is None or not seen.recheck.gone:
        raise DemoFailed(f"the recheck flight did not see {thing} gone: {seen.recheck.note if seen.recheck else 'no answer'}")
    done = casework.act(work, case.id, "close", "复核航飞确认已拆除", {}, OFFICE)
    if isinstance(done, Refusal):
        raise DemoFailed(f"close: {done.text('en')}")
    return int(done.state is CaseState.CLOSED)


def run(
    settings: Settings, *, real: tuple[Path, Path] | None, seed: int, serve_page: bool, port: int, json_file: Path | None
) -> None:
    """The whole demo for the command line: measure, print, write, and leave the page running."""
    fresh(settings)
    stages = Stages()
    with workplace(settings) as work:
        login, password = first_admin(work)
    with terminal.bar() as progress:
        if real is None:
            report = simulated_month(settings, seed=seed, progress=progress, stages=stages)
            measured, shown = dump(report), _summary(report)
        else:
            found = real_pair(settings, *real, progress=progress, stages=stages)
            measured, shown = dump(found), (("候选 candidates", found["candidates"]), ("抑制 suppressed", found["suppressed"]))
    terminal.out.print(terminal.table("空中巡查演示 demo", ("", ""), shown))
    rows = [(s.name, f"{s.wall_s:.1f}", f"{s.cpu_s:.1f}", f"{s.peak_mb:.0f}") for s in stages.found]
    rows.append(("total", f"{sum(s.wall_s for s in stages.found):.1f}", f"{sum(s.cpu_s for s in stages.found):.1f}", ""))
    terminal.out.print(terminal.table("各阶段 stages", ("stage", "wall s", "CPU s", "peak MB"), rows))
    if json_file is not None:
        json_file.write_text(json.dumps(measured, ensure_ascii=False, indent=1) + "\n")
    if serve_page:
        _leave_running(settings, port, login, password, simulated=real is None)


def _summary(r: Report) -> Sequence[tuple[str, Any]]:
    error = "—" if r.position_error_m is None else f"{r.position_error_m:.2f} m"
    return (
        ("新建筑召回率 recall", f"{r.recall:.2f}"),
        ("精确率 precision", f"{r.precision:.2f}"),
        ("误报 false alarms", r.false_alarms),
        ("位置误差 position error", error),
        ("立案 cases", r.cases),
        ("销号 closed", r.closed),
        ("抑制 suppressed", r.suppressed),
        ("漏检 missed", ", ".join(r.missed) or "—"),
    )


def _leave_running(settings: Settings, port: int, login: str, password: str, *, simulated: bool) -> None:
    with workplace(settings) as work, work.database.read() as session:
        fleet = repositories.aircraft.where(session)
    with ExitStack() as stack:
        if simulated:
            for n, aircraft in enumerate(fleet, start=1):
                url = stack.enter_context(simulation.vehicle(aircraft.home, speedup=1.0, sysid=n))
                with workplace(settings) as work, work.database.write() as session:
                    repositories.aircraft.put(session, replace(aircraft, link_url=url))
        terminal.out.print(
            f"\n页面 page: [bold]http://127.0.0.1:{port}/[/bold]   用户 login: [bold]{login}[/bold]   "
            f"密码 password: [bold]{password}[/bold]   (Ctrl-C 结束 ends it)"
        )
        serving.serve(settings, "127.0.0.1", port, worker=True)
