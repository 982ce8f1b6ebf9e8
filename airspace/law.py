"""The law as tables (规则表): each row cites the article it rests on, says what it finds in both languages, and what that means.

《无人驾驶航空器飞行管理暂行条例》 (State Council and Central Military Commission, in force 2024-01-01). Heights, hours and weights are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from airspace.papers import CLASS_WORDS, AircraftClass, AircraftPapers, Operator, Pilot, Purpose
from airspace.zones import Flag, ZoneKind
from geo.times import LOCAL_ZONE, Span, local_day, utc


class Verdict(StrEnum):
    """The answer, from best to worst."""

    CLEAR = "clear"
    PERMIT_NEEDED = "permit_needed"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"


ORDER = tuple(Verdict)
BODY = "空中交通管理机构"  # who decides where a zone names nobody (Art. 26)


@dataclass(frozen=True, slots=True)
class ZoneRule:
    """What a kind of zone means for a volume that enters it; `permit_helps` says whether a permit lifts it."""

    verdict: Verdict
    permit_helps: bool
    article: str
    zh: str
    en: str


ZONE_RULES: Mapping[ZoneKind, ZoneRule] = {
    ZoneKind.CONTROLLED: ZoneRule(
        Verdict.PERMIT_NEEDED,
        True,
        "第十九条、第二十六条",
        "进入管制空域“{0}”，须经批准",
        "enters controlled airspace {0}: approval needed",
    ),
    ZoneKind.RESTRICTED: ZoneRule(
        Verdict.BLOCKED, True, "第十九条", "进入空中限制区“{0}”，未获批准", "enters restricted area {0} without approval"
    ),
    ZoneKind.TEMPORARY: ZoneRule(
        Verdict.BLOCKED, True, "第二十条", "进入临时管制空域“{0}”，未获批准", "enters temporary zone {0} without approval"
    ),
    ZoneKind.PROHIBITED: ZoneRule(
        Verdict.BLOCKED, False, "第十九条", "进入空中禁区“{0}”，禁止飞行", "enters prohibited area {0}: no flight"
    ),
}


@dataclass(frozen=True, slots=True)
class Act:
    """An act of Art. 31 that takes the exemption of suitable air away."""

    article: str
    zh: str
    en: str


ACTS: Mapping[Flag, Act] = {
    Flag.RELAY: Act(
        "第三十一条第二款第（一）项", "通过通信基站或者互联网进行中继飞行", "relay through a mobile network or the internet"
    ),
    Flag.DROP: Act("第三十一条第二款第（二）项", "运载危险品或者投放物品", "carrying dangerous goods or dropping objects"),
    Flag.CROWD: Act("第三十一条第二款第（三）项", "飞越集会人群上空", "flying over a crowd"),
    Flag.MOVING: Act("第三十一条第二款第（四）项", "在移动的交通工具上操控", "controlling from a moving vehicle"),
    Flag.SWARM: Act("第三十一条第二款第（五）项", "实施分布式操作或者集群飞行", "distributed or swarm flight"),
}


@dataclass(frozen=True, slots=True)
class Flight:
    """What the rows on papers look at. `controlled`: some of the air is controlled, with a permit or without; `night`: the sun is down at
    some instant of the flight. Papers that are None were not asked about.
    """

    span: Span
    purpose: Purpose
    flags: frozenset[Flag]
    controlled: bool
    night: bool
    aircraft: AircraftPapers | None = None
    pilot: Pilot | None = None
    operator: Operator | None = None

    @property
    def last_day(self) -> date:
        """The local day on which it ends: papers must hold until then."""
        return local_day(self.span.end - timedelta(microseconds=1))


Breach = Mapping[str, str] | None
"""The words that fill a row's sentence, or None where the row finds nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: what it is about, its article, what a breach means and how it is said."""

    code: str
    article: str
    verdict: Verdict
    breach: Callable[[Flight], Breach]
    zh: str
    en: str


_PILOTED = frozenset({AircraftClass.SMALL, AircraftClass.MEDIUM, AircraftClass.LARGE})
_BIG = frozenset({AircraftClass.MEDIUM, AircraftClass.LARGE})
_FOUND: Mapping[str, str] = {}


def _is(flight: Flight, classes: frozenset[AircraftClass]) -> bool:
    return flight.aircraft is not None and flight.aircraft.classified in classes


def _over(until: date | None, flight: Flight) -> Breach:
    return {"until": until.isoformat()} if until is not None and until < flight.last_day else None


def _unregistered(flight: Flight) -> Breach:
    return _FOUND if flight.aircraft is not None and not flight.aircraft.registration.strip() else None


def _registration_over(flight: Flight) -> Breach:
    return _over(flight.aircraft.registered_until, flight) if flight.aircraft is not None else None


def _needs_cover(flight: Flight) -> bool:
    """Art. 12: commercial flying, and small aircraft and up in any case."""
    return _is(flight, _PILOTED) or (flight.aircraft is not None and flight.operator is not None and flight.operator.commercial)


def _uninsured(flight: Flight) -> Breach:
    return _FOUND if _needs_cover(flight) and flight.aircraft is not None and flight.aircraft.insured_until is None else None


def _insurance_over(flight: Flight) -> Breach:
    return _over(flight.aircraft.insured_until, flight) if flight.aircraft is not None and _needs_cover(flight) else None


def _needs_certificate(flight: Flight) -> bool:
    """Art. 11: an organisation that flies anything above micro."""
    above_micro = flight.aircraft is not None and flight.aircraft.classified is not AircraftClass.MICRO
    return above_micro and flight.operator is not None and flight.operator.organisation


def _uncertified(flight: Flight) -> Breach:
    return _FOUND if _needs_certificate(flight) and flight.operator and not flight.operator.certificate.strip() else None


def _certificate_over(flight: Flight) -> Breach:
    return _over(flight.operator.certified_until, flight) if flight.operator is not None and _needs_certificate(flight) else None


def _unlicensed(flight: Flight) -> Breach:
    return _FOUND if _is(flight, _PILOTED) and flight.pilot is not None and not flight.pilot.licence.strip() else None


def _licence_over(flight: Flight) -> Breach:
    return _over(flight.pilot.licensed_until, flight) if flight.pilot is not None and _is(flight, _PILOTED) else None


def _untrained(flight: Flight) -> Breach:
    light = _is(flight, frozenset({AircraftClass.LIGHT}))
    return _FOUND if light and flight.controlled and flight.pilot is not None and not flight.pilot.trained else None


def _unfit(flight: Flight) -> Breach:
    return _FOUND if _is(flight, _BIG) and flight.aircraft is not None and flight.aircraft.airworthy_until is None else None


def _fitness_over(flight: Flight) -> Breach:
    return _over(flight.aircraft.airworthy_until, flight) if flight.aircraft is not None and _is(flight, _BIG) else None


def _too_big(flight: Flight) -> Breach:
    if flight.aircraft is None or not _is(flight, _BIG):
        return None
    zh, en = CLASS_WORDS[flight.aircraft.classified]
    return {"class_zh": zh, "class_en": en}


def _unlit(flight: Flight) -> Breach:
    return _FOUND if flight.night and flight.aircraft is not None and not flight.aircraft.lights else None


def _no_survey_licence(flight: Flight) -> Breach:
    surveying = flight.purpose is Purpose.SURVEYING and flight.operator is not None
    return _FOUND if surveying and flight.operator is not None and not flight.operator.survey_licence.strip() else None


def _survey_licence_over(flight: Flight) -> Breach:
    surveying = flight.purpose is Purpose.SURVEYING and flight.operator is not None
    return _over(flight.operator.survey_until, flight) if surveying and flight.operator is not None else None


_NO = Verdict.BLOCKED
ROWS: tuple[Row, ...] = (
    Row(
        "airworthiness",
        "第八条",
        _NO,
        _unfit,
        "中型、大型无人机未取得适航许可",
        "medium and large aircraft need an airworthiness approval",
    ),
    Row(
        "airworthiness_over",
        "第八条",
        _NO,
        _fitness_over,
        "适航许可已于 {until} 到期",
        "the airworthiness approval ended on {until}",
    ),
    Row("registration", "第十条", _NO, _unregistered, "无人机未登记实名登记号", "the aircraft has no registration number"),
    Row("registration_over", "第十条", _NO, _registration_over, "实名登记已于 {until} 失效", "the registration ended on {until}"),
    Row("certificate", "第十一条", _NO, _uncertified, "单位未取得运营合格证", "the organisation has no operator certificate"),
    Row(
        "certificate_over",
        "第十一条",
        _NO,
        _certificate_over,
        "运营合格证已于 {until} 到期",
        "the operator certificate ended on {until}",
    ),
    Row("insurance", "第十二条", _NO, _uninsured, "未投保责任保险", "there is no liability insurance"),
    Row(
        "insurance_over",
        "第十二条",
        _NO,
        _insurance_over,
        "责任保险已于 {until} 到期",
        "the liability insurance ended on {until}",
    ),
    Row(
        "licence",
        "第十六条",
        _NO,
        _unlicensed,
        "操控员没有执照（小型及以上须持照）",
        "the pilot has no licence (needed from small aircraft on)",
    ),
    Row("licence_over", "第十六条", _NO, _licence_over, "操控员执照已于 {until} 到期", "the pilot's licence ended on {until}"),
    Row(
        "training",
        "第十七条",
        _NO,
        _untrained,
        "在管制空域操控轻型无人机须经培训合格",
        "a light aircraft in controlled air needs a trained pilot",
    ),
    Row(
        "class",
        "第三十一条、第六十二条",
        Verdict.PERMIT_NEEDED,
        _too_big,
        "{class_zh}无人机不适用适飞空域免申请，须提出飞行活动申请",
        "a {class_en} aircraft has no exemption in suitable air: an application is needed",
    ),
    Row(
        "lights",
        "第三十二条",
        _NO,
        _unlit,
        "夜间飞行须开启灯光系统，该机无灯光",
        "night flying needs lights, and this aircraft has none",
    ),
    Row(
        "survey_licence",
        "第三十五条",
        _NO,
        _no_survey_licence,
        "单位未取得测绘资质",
        "the operator has no surveying qualification",
    ),
    Row(
        "survey_licence_over",
        "第三十五条",
        _NO,
        _survey_licence_over,
        "测绘资质已于 {until} 到期",
        "the surveying qualification ended on {until}",
    ),
)


@dataclass(frozen=True, slots=True)
class Hours:
    """When an application closes and when it is answered, for a start; None: at any time."""

    article: str
    apply_by: Callable[[datetime], datetime | None]
    decided_by: Callable[[datetime], datetime | None]


def day_before(start: datetime, hour: int) -> datetime:
    """An hour of local time on the day before a start."""
    return utc(datetime.combine(local_day(start) - timedelta(days=1), time(hour), LOCAL_ZONE))


def _never(_: datetime) -> None:
    return None


_ORDINARY = Hours("第二十六条", lambda start: day_before(start, 12), lambda start: day_before(start, 21))
HOURS: Mapping[Purpose, Hours] = {
    Purpose.PATROL: _ORDINARY,
    Purpose.SURVEYING: _ORDINARY,
    Purpose.EMERGENCY: Hours(
        "第二十九条", lambda start: utc(start) - timedelta(minutes=30), lambda start: utc(start) - timedelta(minutes=10)
    ),
    Purpose.URGENT: Hours("第二十九条", _never, _never),
}


@dataclass(frozen=True, slots=True)
class Duty:
    """What has to be done around a flight that was approved, and by when: `after` counts from its start, or from its landing."""

    code: str
    article: str
    from_landing: bool
    after: timedelta
    zh: str
    en: str


DUTIES: tuple[Duty, ...] = (
    Duty(
        "report_1h",
        "第三十条",
        False,
        timedelta(hours=-1),
        "起飞 1 小时前报告预计起飞时刻和准备情况",
        "report the expected take-off and readiness 1 h before",
    ),
    Duty("confirmed", "第三十条", False, timedelta(0), "经空中交通管理机构确认后方可起飞", "take off only after confirmation"),
    Duty("ended", "第三十二条", True, timedelta(0), "飞行结束后及时报告", "report the end of the flight"),
    Duty(
        "incident",
        "第三十九条、第四十条",
        True,
        timedelta(hours=24),
        "发生飞行安全事件，降落后 24 小时内报告",
        "report an incident within 24 h of landing",
    ),
)


def due_at(duty: Duty, start: datetime, landed: datetime) -> datetime:
    """When a duty is due."""
    return utc(landed if duty.from_landing else start) + duty.after
