"""Leave to fly: applications of a planned mission, and what a change of zones does to it at each stage."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from shapely.geometry import box

from airspace.applications import Act, Application, Facts, Refused, State
from airspace.needs import Kind
from airspace.papers import AircraftPapers, Operator, Pilot, Purpose
from airspace.zones import Flag, Notice, Occasion, Permit, Zone, ZoneKind
from flight.errors import PlanningError
from flight.fleet import Aircraft, AircraftId
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import LOCAL_ZONE, FixedClock, Span
from patrol import leave, repositories
from patrol.leave import Stage
from patrol.pipeline import applying, areas, checking, planning, suitability, zoning
from patrol.records import MissionRecord
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace

AREA = Area(AreaId("a"), "北区", box(120.550, 32.380, 120.5515, 32.3815), gsd_m=0.02)
HOME = LonLat(lon_deg=120.5505, lat_deg=32.3805)
PAPERS = AircraftPapers(
    1.0, 1.5, "UAS1", "SN1", insured_until=date(2027, 1, 1), link="2.4 GHz，20 MHz", capability="GNSS；运行识别", transponder="无"
)
DRONE = Aircraft(AircraftId("d"), "一号机", Camera.of_fov(4000, 3000, 24), 8.0, 1500.0, 0.2, "", HOME, papers=PAPERS)
OFFICE = Operator("o", "某市城管局", certificate="OC1", contact="值班室", phone="0513-1")
CITY = Zone.single("city", "全市", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=Height(120, Datum.GROUND))
DAY = date(2026, 3, 9)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL_ZONE)


@pytest.fixture
def work(tmp_path: Path, sqlite_url: str, clock: FixedClock) -> Iterator[Workplace]:
    """A store with an area, an aircraft with papers, an operator, a pilot and a suitable city."""
    with workplace(Settings(home=tmp_path / "store", database_url=sqlite_url, broker_url=""), clock=clock) as made:
        areas.keep_area(made, AREA, by="t")
        with made.database.write() as session:
            repositories.aircraft.put(session, DRONE)
            leave.operators.put(session, OFFICE)
            leave.pilots.put(session, Pilot("p", "张三", phone="139", trained=True))
            zoning.keep(session, made, "city", (CITY,), by="t")
        yield made


def planned(work: Workplace) -> MissionRecord:
    (mission,) = planning.plan_missions(work, AREA, DRONE, DAY, by="t")
    return mission


def published(work: Workplace, kind: ZoneKind, **more: object) -> None:
    """A new edition of another source lands, over half of the area."""
    zone = Zone.single("x", "新区", kind, box(120.549, 32.379, 120.5508, 32.383), authority="某空管站", **more)  # type: ignore[arg-type]
    with work.database.write() as session:
        zoning.keep(session, work, "more", (zone,), by="t")
    checking.zones_changed(work, by="t")


def test_a_drop_needs_an_application_and_an_approval_opens_it(work: Workplace, clock: FixedClock) -> None:
    """Art. 31, 26, 30: exempt vanishes with a drop; the draft has all 13 items, goes out, is approved, and is then reported and confirmed."""
    mission = planned(work)
    assert mission.record["clearance"]["verdict"] == "clear"
    assert applying.draft(work, [mission.id], by="t") == ()
    (draft,) = applying.draft(work, [mission.id], by="t", flags={Flag.DROP})
    assert (draft.state, draft.apply_by) == (State.DRAFT, local("2026-03-08 12:00"))
    assert draft.missing == ()
    assert applying.draft(work, [mission.id], by="t", flags={Flag.DROP}) == ()  # asked already
    sent = applying.act(work, draft.id, Act.SUBMIT, by="t")
    assert isinstance(sent, Application)
    assert isinstance(applying.act(work, draft.id, Act.APPROVE, by="t"), Refused)
    done = applying.act(work, draft.id, Act.APPROVE, by="t", facts=Facts("批 7 号", "空管"))
    assert isinstance(done, Application)
    with work.database.read() as session:
        permit = repositories.permits.get(session, done.permit_id)
    assert (permit.number, permit.flags) == ("批 7 号", (Flag.DROP,))
    mission_now = planning.load_mission(work, mission)
    again = planning.mission_clearance(work, mission_now, checking.span_of(work, mission), DRONE, flags={Flag.DROP})
    assert again.granted
    with pytest.raises(checking.CheckRefused, match="第三十条"):
        checking.before_arming(work, mission, again, by="t")
    reported = checking.report(work, mission.id, by="t")
    checking.confirm(work, reported.id, by="t", number="确认 3")
    checking.before_arming(work, mission, again, by="t")


def test_bodies_are_asked_once_for_many_missions(work: Workplace) -> None:
    """Art. 26: two missions in the air of one body make one application over both."""
    first, second = planned(work), planned(work)
    published(work, ZoneKind.CONTROLLED)
    made = applying.draft(work, [first.id, second.id], by="t", flags={Flag.RELAY})
    assert {a.body: a.mission_ids for a in made} == {
        "某空管站": (first.id, second.id),
        "空中交通管理机构": (first.id, second.id),
    }
    assert made[0].number != made[1].number


def test_the_files_of_an_application_say_the_same(work: Workplace) -> None:
    """Word, JSON and text hold the same 13 items."""
    (draft,) = applying.draft(work, [planned(work).id], by="t", flags={Flag.SWARM})
    with zipfile.ZipFile(io.BytesIO(applying.as_word(draft))) as archive:
        xml = archive.read("word/document.xml").decode()
    for item in draft.items:
        assert item.zh in xml
        assert item.text.split("\n")[0].replace("&", "&amp;") in xml


def test_an_emergency_is_in_time_half_an_hour_before(work: Workplace, clock: FixedClock) -> None:
    """Art. 29: 30 minutes before take-off is in time, and what is specially urgent at any time."""
    mission, other = planned(work), planned(work)
    published(work, ZoneKind.CONTROLLED)
    clock.advance(planning.flying_span(DAY).start - timedelta(minutes=31) - clock.now())
    (draft,) = applying.draft(work, [mission.id], by="t", purpose=Purpose.EMERGENCY)
    assert isinstance(applying.act(work, draft.id, Act.SUBMIT, by="t"), Application)
    (urgent,) = applying.draft(work, [other.id], by="t", purpose=Purpose.URGENT)
    assert urgent.apply_by is None


def test_what_runs_out_lapses(work: Workplace, clock: FixedClock) -> None:
    """Art. 26: at 12:01 the day before, a draft can no longer go out."""
    (draft,) = applying.draft(work, [planned(work).id], by="t", flags={Flag.DROP})
    clock.advance(local("2026-03-08 12:01") - clock.now())
    assert isinstance(applying.act(work, draft.id, Act.SUBMIT, by="t"), Refused)
    assert applying.lapse(work) == 1
    with work.database.read() as session:
        assert leave.applications.get(session, draft.id).state is State.LAPSED


def test_a_filed_plan_opens_its_day_of_a_long_term_approval(work: Workplace) -> None:
    """Art. 26: under a long-term approval the day's plan is filed by 12:00 the day before; submitting it is enough."""
    mission = planned(work)
    published(work, ZoneKind.CONTROLLED)
    with work.database.write() as session:
        span = Span(work.clock.now(), work.clock.now() + timedelta(days=90))
        ground, top = Height(0, Datum.GROUND), Height(120, Datum.GROUND)
        standing = Permit("L", box(120.5, 32.3, 120.6, 32.4), ground, top, span, OFFICE.name, "长 1", long_term=True)
        repositories.permits.put(session, standing)
    (plan,) = applying.draft(work, [mission.id], by="t")
    assert plan.kind is Kind.DAILY_PLAN
    assert isinstance(applying.act(work, plan.id, Act.SUBMIT, by="t"), Application)
    assert checking.look(work, mission).granted


@pytest.mark.parametrize("stage", ["planning", "exported", "reported"])
def test_a_zone_of_30_min_notice_at_every_stage(work: Workplace, clock: FixedClock, stage: str) -> None:
    """Art. 20: it blocks the plan, makes an exported or reported mission stale, and nobody flies before acknowledging and clear air."""
    mission = planned(work)
    start = planning.flying_span(DAY).start
    clock.advance(start - timedelta(minutes=70) - clock.now())
    if stage != "planning":
        checking.may_leave(work, mission.id, by="pilot", form="plan")
    if stage == "reported":
        checking.report(work, mission.id, by="pilot")
    before = checking.look(work, mission)
    clock.advance(timedelta(minutes=30))
    closed = Span(clock.now() + timedelta(minutes=30), clock.now() + timedelta(hours=3))
    published(work, ZoneKind.TEMPORARY, spans=(closed,), notice=Notice(clock.now(), Occasion.EMERGENCY))
    with work.database.read() as session:
        (stale,) = leave.stale_of(session, mission.id)
        kept = leave.checks_of(session, mission.id)
    assert (stale.stage, stale.verdict) == (Stage.WATCH, "blocked")
    assert all(c.data_version == before.data_version for c in kept if c.stage is not Stage.WATCH)  # what was known then stays
    with pytest.raises(checking.CheckRefused, match="acknowledge"):
        checking.may_leave(work, mission.id, by="pilot", form="plan")
    with pytest.raises(checking.CheckRefused, match="acknowledge"):
        checking.before_arming(work, mission, checking.look(work, mission), by="pilot")
    (seen,) = checking.acknowledge(work, mission.id, by="pilot")
    assert checking.acknowledge(work, mission.id, by="pilot") == ()
    assert seen.mission_id == mission.id
    with pytest.raises(checking.CheckRefused, match="新区"):
        checking.may_leave(work, mission.id, by="pilot", form="plan")
    with pytest.raises(checking.CheckRefused, match="air is not clear"):
        checking.report(work, mission.id, by="pilot")
    assert checking.zones_changed(work, by="t") == ()  # the same answer makes nothing stale twice


def test_a_zone_elsewhere_makes_nothing_stale(work: Workplace) -> None:
    """A new edition that does not touch a mission leaves it alone."""
    planned(work)
    far = Zone.single("f", "远", ZoneKind.PROHIBITED, box(120.7, 32.1, 120.71, 32.11))
    with work.database.write() as session:
        zoning.keep(session, work, "far", (far,), by="t")
    assert checking.zones_changed(work, by="t") == ()


def test_a_report_within_the_last_hour_is_too_late(work: Workplace, clock: FixedClock) -> None:
    """Art. 30: 1 h before; 59 minutes before is refused, and a report that was refused cannot be confirmed."""
    mission = planned(work)
    clock.advance(planning.flying_span(DAY).start - timedelta(minutes=59) - clock.now())
    with pytest.raises(checking.CheckRefused, match="1 h"):
        checking.report(work, mission.id, by="pilot")
    with work.database.read() as session:
        kept = leave.checks_of(session, mission.id)[0]
    with pytest.raises(checking.CheckRefused, match="valid report"):
        checking.confirm(work, kept.id, by="pilot", number="1")


def test_expired_insurance_keeps_the_file_in_the_house(work: Workplace) -> None:
    """Art. 12: a commercial operator's light aircraft whose policy ended is not exportable, and the reason names the article."""
    mission = planned(work)
    with work.database.write() as session:
        leave.operators.put(session, replace(OFFICE, commercial=True))
        repositories.aircraft.put(session, replace(DRONE, papers=replace(PAPERS, insured_until=date(2026, 3, 8))))
    with pytest.raises(checking.CheckRefused, match="第十二条"):
        checking.may_leave(work, mission.id, by="pilot", form="plan")


def test_the_map_of_the_city_is_kept_by_its_data(work: Workplace) -> None:
    """Made once for a day and the data of that day; a new zone makes another one."""
    one = suitability.city_map(work, DAY)
    assert one == suitability.city_map(work, DAY)
    assert one.towns[0].suitable_m2 == pytest.approx(one.towns[0].area_m2, rel=1e-6)
    published(work, ZoneKind.PROHIBITED)
    two = suitability.city_map(work, DAY)
    assert two.data_version != one.data_version
    assert two.towns[0].suitable_m2 < one.towns[0].suitable_m2
    towns = {
        "type": "FeatureCollection",
        "features": [{"properties": {"name": "某镇"}, "geometry": json.loads(json.dumps(AREA.outline.__geo_interface__))}],
    }
    (work.settings.home / "config").mkdir(parents=True, exist_ok=True)
    (work.settings.home / "config" / suitability.TOWNS).write_text(json.dumps(towns), encoding="utf-8")
    assert {f.town for f in suitability.city_map(work, DAY).towns} == {"某镇"}


def test_controlled_air_can_be_planned_to_apply_with(work: Workplace) -> None:
    """Art. 26: over an area that is controlled as a whole nothing is planned to fly, but a mission to apply with; granted, it is clear."""
    whole = Zone.single("w", "净空", ZoneKind.CONTROLLED, box(120.53, 32.36, 120.57, 32.40), authority="某空管站")
    with work.database.write() as session:
        zoning.keep(session, work, "whole", (whole,), by="t")
    with pytest.raises(PlanningError, match="净空"):
        planned(work)
    (mission,) = planning.plan_missions(work, AREA, DRONE, DAY, by="t", seek_leave=True)
    assert mission.record["clearance"]["verdict"] == "permit_needed"
    (draft,) = applying.draft(work, [mission.id], by="t")
    applying.act(work, draft.id, Act.SUBMIT, by="t")
    applying.act(work, draft.id, Act.APPROVE, by="t", facts=Facts("批 9 号"))
    assert checking.look(work, mission).granted
