"""The law in tables of cases, each with its article of 《无人驾驶航空器飞行管理暂行条例》."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from shapely.geometry import Polygon, box

from airspace.classes import ZoneClass
from airspace.clearance import Clearance, Verdict, clear, clear_all, is_night, papers
from airspace.errors import AirspaceError
from airspace.index import Airspace
from airspace.law import ACTS, DUTIES, HOURS, ROWS, ZONE_RULES, Flight, due_at
from airspace.needs import Kind
from airspace.papers import AircraftClass, AircraftPapers, Operator, Pilot, Purpose
from airspace.zones import Flag, Notice, Occasion, Part, Permit, Volume, Zone, ZoneKind
from geo.frames import Frame, LonLat
from geo.heights import Datum, Height
from geo.relief import Relief
from geo.times import LOCAL_ZONE, Span

START = datetime(2026, 3, 3, 7, tzinfo=LOCAL_ZONE)  # 07:00 local
SPAN = Span(START, START + timedelta(hours=1))
NOON = Span(START + timedelta(hours=4), START + timedelta(hours=5))
EARLY = START - timedelta(days=3)
SPOT = box(120.50, 32.30, 120.51, 32.31)
PLACE = LonLat(lon_deg=120.505, lat_deg=32.305)
FRAME = Frame(4549)


def up(metres: float) -> Height:
    return Height(metres, Datum.GROUND)


def volume(outline: Polygon = SPOT, ceiling: float = 100, span: Span = NOON) -> Volume:
    return Volume(outline, up(0), up(ceiling), span)


CITY = Zone.single("city", "全市", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=up(120))
PORT = Zone.single("port", "某机场", ZoneKind.CONTROLLED, SPOT, article_class=ZoneClass.AIRPORT, authority="某空管站")
LIGHT = AircraftPapers(1.0, 1.5, "UAS00001", max_speed_km_h=70, insured_until=date(2026, 12, 31), lights=True)
MICRO = replace(LIGHT, empty_kg=0.2, takeoff_kg=0.24, max_speed_km_h=30, max_height_m=50)
SMALL = replace(LIGHT, empty_kg=9.0, takeoff_kg=14.0)
MEDIUM = replace(LIGHT, empty_kg=40.0, takeoff_kg=90.0, airworthy_until=date(2027, 1, 1))
PILOT = Pilot("p", "张三", "LIC-1", date(2027, 1, 1), trained=True)
OFFICE = Operator(
    "o",
    "某市城管局",
    certificate="OC-1",
    certified_until=date(2027, 1, 1),
    survey_licence="乙测资字1",
    survey_until=date(2027, 1, 1),
)


def codes(answer: Clearance) -> set[str]:
    return {reason.code for reason in answer.reasons}


@pytest.mark.parametrize(
    ("empty", "takeoff", "speed", "height", "holds", "kind"),
    [
        (0.24, 0.25, 40, 50, True, AircraftClass.MICRO),
        (0.25, 0.26, 40, 50, True, AircraftClass.LIGHT),
        (0.24, 0.25, 60, 50, True, AircraftClass.LIGHT),
        (0.24, 0.25, 40, 120, True, AircraftClass.LIGHT),
        (4.0, 7.0, 100, 120, True, AircraftClass.LIGHT),
        (4.01, 7.0, 100, 120, True, AircraftClass.SMALL),
        (4.0, 7.01, 100, 120, True, AircraftClass.SMALL),
        (4.0, 7.0, 101, 120, True, AircraftClass.SMALL),
        (15.0, 25.0, 200, 120, True, AircraftClass.SMALL),
        (15.0, 25.01, 100, 120, True, AircraftClass.MEDIUM),
        (1.0, 1.5, 70, 120, False, AircraftClass.MEDIUM),
        (90.0, 150.0, 100, 120, True, AircraftClass.MEDIUM),
        (90.0, 150.1, 100, 120, True, AircraftClass.LARGE),
    ],
)
def test_an_aircraft_belongs_to_the_first_class_that_holds_it(
    empty: float, takeoff: float, speed: float, height: float, holds: bool, kind: AircraftClass
) -> None:
    """Art. 62, each limit on both sides."""
    assert AircraftPapers(empty, takeoff, "", "", "", speed, height, holds).classified is kind


def test_weights_that_cannot_be_are_refused() -> None:
    """An aircraft that weighs more empty than loaded is a slip of the pen."""
    with pytest.raises(AirspaceError, match="cannot be"):
        AircraftPapers(5.0, 4.0)


GOOD = Flight(SPAN, Purpose.SURVEYING, frozenset(), controlled=True, night=True, aircraft=SMALL, pilot=PILOT, operator=OFFICE)
PAST = date(2026, 3, 2)
BREACHES = {
    "airworthiness": (replace(GOOD, aircraft=replace(MEDIUM, airworthy_until=None)), "第八条"),
    "airworthiness_over": (replace(GOOD, aircraft=replace(MEDIUM, airworthy_until=PAST)), "第八条"),
    "registration": (replace(GOOD, aircraft=replace(SMALL, registration=" ")), "第十条"),
    "registration_over": (replace(GOOD, aircraft=replace(SMALL, registered_until=PAST)), "第十条"),
    "certificate": (replace(GOOD, operator=replace(OFFICE, certificate="")), "第十一条"),
    "certificate_over": (replace(GOOD, operator=replace(OFFICE, certified_until=PAST)), "第十一条"),
    "insurance": (replace(GOOD, aircraft=replace(SMALL, insured_until=None)), "第十二条"),
    "insurance_over": (replace(GOOD, aircraft=replace(SMALL, insured_until=PAST)), "第十二条"),
    "licence": (replace(GOOD, pilot=replace(PILOT, licence="")), "第十六条"),
    "licence_over": (replace(GOOD, pilot=replace(PILOT, licensed_until=PAST)), "第十六条"),
    "training": (replace(GOOD, aircraft=LIGHT, pilot=replace(PILOT, trained=False)), "第十七条"),
    "class": (replace(GOOD, aircraft=MEDIUM), "第三十一条、第六十二条"),
    "lights": (replace(GOOD, aircraft=replace(SMALL, lights=False)), "第三十二条"),
    "survey_licence": (replace(GOOD, operator=replace(OFFICE, survey_licence="")), "第三十五条"),
    "survey_licence_over": (replace(GOOD, operator=replace(OFFICE, survey_until=PAST)), "第三十五条"),
}


def test_every_row_of_the_table_has_its_case() -> None:
    """No row without a breach shown below, no breach without a row."""
    assert set(BREACHES) == {row.code for row in ROWS}
    assert papers(GOOD) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_a_row_finds_its_breach_and_nothing_else(row: object) -> None:
    """The one paper that is amiss is named, with its article, in both languages; nothing is found where nobody showed papers."""
    flight, article = BREACHES[row.code]  # type: ignore[attr-defined]
    (found,) = [f for f in papers(flight) if f.reason.code in {row.code, *(BREACHES.keys() - {"class"})}]  # type: ignore[attr-defined]
    assert (found.reason.code, found.reason.article) == (row.code, article)  # type: ignore[attr-defined]
    assert found.reason.zh
    assert found.reason.en
    assert "{" not in found.reason.zh + found.reason.en
    assert row.breach(Flight(SPAN, Purpose.SURVEYING, frozenset(), controlled=True, night=True)) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("flight", "silent"),
    [
        (replace(GOOD, aircraft=replace(LIGHT, insured_until=None)), "insurance"),  # Art. 12: light and not commercial
        (replace(GOOD, aircraft=replace(LIGHT, insured_until=PAST)), "insurance_over"),
        (replace(GOOD, aircraft=LIGHT, pilot=replace(PILOT, licence="")), "licence"),  # Art. 16: light needs none
        (replace(GOOD, aircraft=LIGHT, pilot=replace(PILOT, licensed_until=PAST)), "licence_over"),
        (replace(GOOD, aircraft=LIGHT, controlled=False, pilot=replace(PILOT, trained=False)), "training"),  # Art. 17
        (replace(GOOD, aircraft=MICRO, operator=replace(OFFICE, certificate="")), "certificate"),
        (replace(GOOD, operator=replace(OFFICE, certificate="", organisation=False)), "certificate"),  # Art. 11: a private person
        (replace(GOOD, night=False, aircraft=replace(SMALL, lights=False)), "lights"),
        (replace(GOOD, purpose=Purpose.PATROL, operator=replace(OFFICE, survey_licence="")), "survey_licence"),
        (replace(GOOD, purpose=Purpose.PATROL, operator=replace(OFFICE, survey_until=PAST)), "survey_licence_over"),
    ],
)  # fmt: skip
def test_a_row_is_silent_where_the_law_asks_for_nothing(flight: Flight, silent: str) -> None:
    """What is asked of the big is not asked of the small, of an office not of a person, of the night not of the day."""
    assert silent not in {f.reason.code for f in papers(flight)}


def test_commercial_flying_is_insured_whatever_flies() -> None:
    """Art. 12: a light aircraft that earns money needs cover."""
    flight = replace(GOOD, aircraft=replace(LIGHT, insured_until=None), operator=replace(OFFICE, commercial=True))
    assert [f.reason.code for f in papers(flight)] == ["insurance"]


def test_insurance_that_ends_before_the_landing_blocks() -> None:
    """Art. 12: a policy to the day of the flight holds, one to the day before does not; the whole answer is blocked and says so."""
    for until, verdict in ((date(2026, 3, 3), Verdict.CLEAR), (date(2026, 3, 2), Verdict.BLOCKED)):
        answer = clear(volume(), (CITY,), (), replace(SMALL, insured_until=until), PILOT, OFFICE, at=EARLY)
        assert answer.verdict is verdict
    assert "insurance_over" in codes(answer)
    assert "2026-03-02" in answer.reasons[0].zh


@pytest.mark.parametrize(
    ("asked", "start", "late"),
    [
        ("2026-03-02 11:59", "2026-03-03 07:00", False),
        ("2026-03-02 12:00", "2026-03-03 07:00", False),
        ("2026-03-02 12:01", "2026-03-03 07:00", True),
        ("2026-03-02 02:00", "2026-03-03 07:00", False),  # 29 h ahead at 07:00 is lawful
        ("2026-03-02 12:01", "2026-03-03 23:30", True),  # the day counts, not the hours between
    ],
)
def test_an_application_is_in_by_noon_the_day_before(asked: str, start: str, late: bool) -> None:
    """Art. 26: 12:00 Beijing time on the day before the flight; the answer comes by 21:00."""
    at, begin = (datetime.fromisoformat(t).replace(tzinfo=LOCAL_ZONE) for t in (asked, start))
    answer = clear(volume(span=Span(begin, begin + timedelta(minutes=20))), (CITY, PORT), at=at)
    (need,) = answer.applications
    assert need.late is late
    assert ("too_late" in codes(answer)) is late
    assert need.body == "某空管站"
    assert need.zone_ids == ("port",)
    assert need.decided_by == datetime(2026, 3, 2, 13, tzinfo=UTC)
    assert answer.apply_by == datetime(2026, 3, 2, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("purpose", "minutes", "late"),
    [(Purpose.EMERGENCY, 31, False), (Purpose.EMERGENCY, 29, True), (Purpose.URGENT, 1, False), (Purpose.PATROL, 31, True)],
)
def test_emergencies_have_their_own_hours(purpose: Purpose, minutes: int, late: bool) -> None:
    """Art. 29: 30 minutes before take-off, answered 10 minutes before; what is specially urgent at any time."""
    answer = clear(volume(), (CITY, PORT), purpose=purpose, at=NOON.start - timedelta(minutes=minutes))
    (need,) = answer.applications
    assert need.late is late
    if purpose is Purpose.EMERGENCY:
        assert need.decided_by == NOON.start - timedelta(minutes=10)
    assert set(HOURS) == set(Purpose)


@pytest.mark.parametrize("flag", list(Flag))
def test_one_of_five_acts_makes_exempt_vanish(flag: Flag) -> None:
    """Art. 31: suitable air is exempt until something is dropped, relayed, flown over a crowd, from a vehicle or in a swarm."""
    exempt = clear(volume(), (CITY,), at=EARLY)
    assert exempt.granted
    assert exempt.applications == ()
    answer = clear(volume(), (CITY,), flags=(flag,), at=EARLY)
    assert answer.verdict is Verdict.PERMIT_NEEDED
    assert answer.reasons[0].article.startswith("第三十一条")
    assert answer.applications[0].codes == (f"flag_{flag}",)
    assert set(ACTS) == set(Flag)


def test_above_120_m_true_height_is_controlled() -> None:
    """Art. 19: 120 m is suitable, 121 m is not."""
    endless = replace(CITY, parts=(Part(CITY.outline),))
    assert clear(volume(ceiling=120), (endless,), at=EARLY).granted
    assert codes(clear(volume(ceiling=121), (endless,), at=EARLY)) == {"height"}


def test_a_medium_aircraft_is_never_exempt() -> None:
    """Art. 31 and 62: the exemption is for micro, light and small ones."""
    answer = clear(volume(), (CITY,), (), MEDIUM, PILOT, OFFICE, at=EARLY)
    assert answer.verdict is Verdict.PERMIT_NEEDED
    assert answer.applications[0].codes == ("class",)


def test_papers_nobody_showed_are_noted() -> None:
    """A clear answer about the air alone says that it is about the air alone."""
    answer = clear(volume(), (CITY,), at=EARLY)
    assert {n.code for n in answer.notes} == {"aircraft_unseen", "pilot_unseen", "operator_unseen"}
    assert clear(volume(), (CITY,), (), SMALL, PILOT, OFFICE, at=EARLY).notes == ()


def test_every_kind_of_zone_has_its_rule_and_its_article() -> None:
    """Art. 19: a zone with its item of the article cites that item."""
    assert set(ZONE_RULES) == set(ZoneKind) - {ZoneKind.SUITABLE}
    reason = clear(volume(), (CITY, PORT), at=EARLY).reasons[0]
    assert reason.article == "第十九条第二款第（一）项"
    assert "机场" in reason.zh


def test_two_bodies_get_two_applications() -> None:
    """Art. 26: what one body decides is one application; zones of one body share it."""
    other = replace(PORT, id="b", name="某限制区", kind=ZoneKind.RESTRICTED, authority="某部队")
    third = replace(PORT, id="c", name="另一机场")
    answer = clear(volume(), (CITY, PORT, other, third), flags=(Flag.DROP,), at=EARLY)
    assert {n.body: n.zone_ids for n in answer.applications} == {
        "某空管站": ("port", "c"),
        "某部队": ("b",),
        "空中交通管理机构": (),
    }


def leave(**more: object) -> Permit:
    return Permit("p1", SPOT, up(0), up(120), Span(EARLY, EARLY + timedelta(days=90)), "某市城管局", "2026-7", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filed", "verdict"),
    [((), Verdict.PERMIT_NEEDED), ((date(2026, 3, 2),), Verdict.PERMIT_NEEDED), ((date(2026, 3, 3),), Verdict.CLEAR)],
)
def test_a_long_term_approval_opens_the_days_whose_plan_was_filed(filed: tuple[date, ...], verdict: Verdict) -> None:
    """Art. 26: routine flying in fixed airspace files its plan by 12:00 the day before; only that is then missing."""
    answer = clear(volume(), (CITY, PORT), (leave(long_term=True, filed_days=filed),), at=EARLY)
    assert answer.verdict is verdict
    if verdict is Verdict.PERMIT_NEEDED:
        assert codes(answer) == {"plan_not_filed"}
        assert answer.applications[0].kind is Kind.DAILY_PLAN


def test_an_approval_that_changes_nothing_asks_for_no_plan() -> None:
    """In suitable air, and where an approval does not help, nothing is said of its daily plan."""
    unfiled = leave(long_term=True)
    assert clear(volume(), (CITY,), (unfiled,), at=EARLY).granted
    barred = replace(PORT, kind=ZoneKind.PROHIBITED)
    assert "plan_not_filed" not in codes(clear(volume(), (CITY, barred), (unfiled,), at=EARLY))


def test_leave_belongs_to_its_holder() -> None:
    """An approval of one operator opens nothing for another."""
    for holder, granted in ((OFFICE, True), (replace(OFFICE, name="某公司"), False)):
        assert clear(volume(), (CITY, PORT), (leave(),), SMALL, PILOT, holder, at=EARLY).granted is granted


def test_a_temporary_zone_of_short_notice_binds_and_is_told() -> None:
    """Art. 20: an emergency zone is announced 30 minutes ahead; one announced later binds all the same."""
    for minutes, told in ((30, False), (20, True)):
        notice = Notice(NOON.start - timedelta(minutes=minutes), Occasion.EMERGENCY)
        closed = Zone.single("t", "救灾", ZoneKind.TEMPORARY, SPOT, spans=(NOON,), notice=notice)
        answer = clear(volume(), (CITY, closed), at=EARLY)
        assert answer.verdict is Verdict.BLOCKED
        assert ("10 min later" in answer.reasons[0].en) is told


def test_city_and_village_differ_only_by_what_is_published() -> None:
    """Art. 19: over the town a controlled place needs leave, over the village suitable air is free, and beyond the data nothing is known."""
    town = Zone.single(
        "t", "汽车站", ZoneKind.CONTROLLED, box(120.55, 32.37, 120.56, 32.38), article_class=ZoneClass.INFRASTRUCTURE
    )
    for spot, verdict in (
        (box(120.552, 32.372, 120.553, 32.373), Verdict.PERMIT_NEEDED),
        (box(120.30, 32.20, 120.31, 32.21), Verdict.CLEAR),
        (box(120.85, 32.20, 120.86, 32.21), Verdict.UNKNOWN),
        (box(120.79, 32.20, 120.81, 32.21), Verdict.UNKNOWN),  # straddles
    ):
        assert clear(volume(spot), (CITY, town), at=EARLY).verdict is verdict


def test_the_straddling_part_is_measured() -> None:
    """Half a volume outside the authority's data is unknown as a whole, and the share is said."""
    answer = clear(volume(box(120.79, 32.20, 120.81, 32.21)), (CITY,), at=EARLY)
    assert "50.0%" in answer.reasons[0].zh


def test_legs_are_judged_as_one_by_one() -> None:
    """The answer on many legs has exactly the reasons of its legs, whatever their heights."""
    low = Zone.single("low", "低", ZoneKind.CONTROLLED, box(120.50, 32.30, 120.503, 32.31), ceiling=up(60))
    high = Zone.single("high", "高", ZoneKind.RESTRICTED, box(120.506, 32.30, 120.51, 32.31), floor=up(90))
    legs = tuple(
        Volume(
            box(120.499 + i * 0.002, 32.301, 120.5005 + i * 0.002, 32.309), up(70 if i % 2 else 0), up(80 + 15 * (i % 3)), NOON
        )
        for i in range(7)
    )
    data = Airspace((CITY, low, high))
    whole = clear_all(legs, data, at=EARLY)
    single = [clear(leg, data, at=EARLY) for leg in legs]
    assert codes(whole) == set().union(*(codes(a) for a in single)) - {"clear"}
    assert {r.zone_id for r in whole.reasons} == {r.zone_id for a in single for r in a.reasons if a.verdict is not Verdict.CLEAR}


def test_legs_of_different_times_are_no_flight() -> None:
    """One flight has one span."""
    with pytest.raises(AirspaceError, match="one span"):
        clear_all((volume(), volume(span=SPAN)), (CITY,), at=EARLY)


def test_a_limit_over_the_sea_is_turned_with_the_ground() -> None:
    """A zone from 200 m over the sea begins 150 m over ground of 50 m: with the relief it is out of the way, without it it closes."""
    above = Zone.single(
        "s", "航路", ZoneKind.CONTROLLED, SPOT, floor=Height(200, Datum.SEA_LEVEL), ceiling=Height(900, Datum.SEA_LEVEL)
    )
    assert clear(volume(), (CITY, above), at=EARLY).verdict is Verdict.PERMIT_NEEDED
    west, south, east, north = FRAME.to_metres(SPOT.buffer(0.01)).bounds
    heights = np.full((int((north - south) / 30) + 1, int((east - west) / 30) + 1), 50.0)
    relief = Relief(heights, FRAME, west, north, 30.0)
    assert clear(volume(), (CITY, above), at=EARLY, relief=relief).granted
    hill = heights.copy()
    hill[40, 40] = 120.0  # one cell of 120 m: there the zone begins at 80 m
    assert not clear(volume(), (CITY, above), at=EARLY, relief=replace(relief, heights_m=hill)).granted
    hole = heights.copy()
    hole[40, 40] = np.nan
    assert not clear(volume(), (CITY, above), at=EARLY, relief=replace(relief, heights_m=hole)).granted


def test_night_is_when_the_sun_is_down() -> None:
    """Art. 32 asks for lights at night: noon is day, 22:00 is night, and a flight into the dusk counts as night."""
    assert not is_night(NOON, PLACE)
    assert is_night(Span(START.replace(hour=22), START.replace(hour=23)), PLACE)
    assert is_night(Span(START.replace(hour=17), START.replace(hour=18, minute=30)), PLACE)


def test_duties_count_from_start_or_landing() -> None:
    """Art. 30: the report is due 1 h before; Art. 39 and 40: an incident within 24 h of landing."""
    due = {duty.code: due_at(duty, NOON.start, NOON.end) for duty in DUTIES}
    assert due["report_1h"] == NOON.start - timedelta(hours=1)
    assert due["incident"] == NOON.end + timedelta(hours=24)
