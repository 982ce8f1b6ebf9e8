"""Applications (飞行活动申请): what is asked of a body, with the 13 items of Art. 27, and the one table of its lawful moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from airspace.needs import Kind
from airspace.papers import Purpose
from airspace.reasons import Reason
from airspace.zones import Flag, Outline
from geo.heights import Height
from geo.times import LOCAL_ZONE, Span, utc


class State(StrEnum):
    """How far an application is."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    LAPSED = "lapsed"


class Act(StrEnum):
    """What is done to it."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    LAPSE = "lapse"


STATE_WORDS: Mapping[State, tuple[str, str]] = {
    State.DRAFT: ("草稿", "draft"),
    State.SUBMITTED: ("已提交", "submitted"),
    State.APPROVED: ("已批准", "approved"),
    State.REJECTED: ("未批准", "rejected"),
    State.LAPSED: ("已失效", "lapsed"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One of the 13 items of Art. 27; `missing` where the store does not know it and a person has to write it in."""

    number: int
    zh: str
    en: str
    text: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Application:
    """An application to one body. `outline`, `floor`, `ceiling` and `flags` are the air and the acts asked for: what an approval opens.

    `apply_by` and `decided_by` are the hours of Art. 26 or 29, None where the law sets none.
    """

    id: str
    number: str
    body: str
    kind: Kind
    purpose: Purpose
    mission_ids: tuple[str, ...]
    zone_ids: tuple[str, ...]
    codes: tuple[str, ...]
    outline: Outline
    floor: Height
    ceiling: Height
    span: Span
    items: tuple[Item, ...]
    data_version: str
    made_at: datetime
    made_by: str
    holder: str = ""
    flags: tuple[Flag, ...] = ()
    apply_by: datetime | None = None
    decided_by: datetime | None = None
    state: State = State.DRAFT
    submitted_at: datetime | None = None
    decision_at: datetime | None = None
    decision_from: str = ""
    decision_number: str = ""
    decision_note: str = ""
    permit_id: str = ""
    starts_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts_at", utc(self.span.start))

    @property
    def missing(self) -> tuple[Item, ...]:
        """Items that a person still has to write."""
        return tuple(item for item in self.items if item.missing)

    def next_at(self) -> datetime | None:
        """What its countdown runs to: the cut-off of a draft, the answer to what was submitted; None once it is decided."""
        if self.state is State.DRAFT:
            return self.apply_by or self.starts_at
        return (self.decided_by or self.starts_at) if self.state is State.SUBMITTED else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What an act states: the number of a decision, who made it, and a remark."""

    number: str = ""
    decided_by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """An act that cannot be, with every reason; nothing was changed."""

    act: Act
    state: State
    reasons: tuple[Reason, ...]


MOVES: Mapping[tuple[State, Act], State] = {
    (State.DRAFT, Act.SUBMIT): State.SUBMITTED,
    (State.DRAFT, Act.LAPSE): State.LAPSED,
    (State.SUBMITTED, Act.APPROVE): State.APPROVED,
    (State.SUBMITTED, Act.REJECT): State.REJECTED,
    (State.SUBMITTED, Act.LAPSE): State.LAPSED,
}


def advance(application: Application, act: Act, now: datetime, facts: Facts | None = None) -> Application | Refused:
    """The application after an act, or every reason against it."""
    facts = facts or Facts()
    to = MOVES.get((application.state, act))
    if to is None:
        zh, en = STATE_WORDS[application.state]
        said = Reason("no_such_move", f"{zh}的申请不能再做此操作", f"an application that is {en} cannot do this")
        return Refused(act, application.state, (said,))
    reasons = tuple(_against(application, act, utc(now), facts))
    if reasons:
        return Refused(act, application.state, reasons)
    if act is Act.SUBMIT:
        return replace(application, state=to, submitted_at=utc(now))
    return replace(
        application,
        state=to,
        decision_at=utc(now),
        decision_from=facts.decided_by,
        decision_number=facts.number,
        decision_note=facts.note,
    )


def is_due_to_lapse(application: Application, now: datetime) -> bool:
    """Whether waiting any longer is of no use: a draft past its cut-off, or nothing decided when the flight begins."""
    if application.state is State.DRAFT:
        return utc(now) > (application.apply_by or application.starts_at)
    return application.state is State.SUBMITTED and utc(now) >= application.starts_at


def _against(application: Application, act: Act, now: datetime, facts: Facts) -> list[Reason]:
    found = []
    if act is Act.SUBMIT:
        if application.apply_by is not None and now > application.apply_by:
            local = application.apply_by.astimezone(LOCAL_ZONE)
            zh = f"申请应于 {local:%Y-%m-%d %H:%M} 前提出，现已逾期"
            en = f"the application had to be in by {local:%Y-%m-%d %H:%M} local time"
            article = "第二十九条" if application.purpose in {Purpose.EMERGENCY, Purpose.URGENT} else "第二十六条"
            found.append(Reason("too_late", zh, en, article))
        for item in application.missing:
            zh, en = f"第（{NUMERALS[item.number]}）项未填写：{item.zh}", f"item {item.number} is not filled in: {item.en}"
            found.append(Reason("item_missing", zh, en, "第二十七条"))
    if act is Act.APPROVE and not facts.number.strip():
        found.append(Reason("number_missing", "请填写批准文号", "give the number of the approval", "第二十六条"))
    if act is Act.REJECT and not facts.note.strip():
        found.append(Reason("note_missing", "请填写不予批准的理由", "say why it was not approved", "第二十六条"))
    if act is Act.LAPSE and not is_due_to_lapse(application, now):
        found.append(Reason("not_over", "申请期限未过，不能作废", "its time is not over yet"))
    return found


@dataclass(frozen=True, slots=True)
class Particulars:
    """What the 13 items are written from; an empty text is a gap that a person fills."""

    operator: str
    pilots: str
    aircraft: str
    task: str
    places: str
    contact: str
    span: Span
    route: str
    link: str
    capability: str
    transponder: str
    emergency: str = (
        "失联、低电量：按规划航线返航或就近备降；飞出围栏：立即悬停并返航；发生事故：立即报告，降落后 24 小时内书面报告。"
    )
    support: str = "无"
    other: str = "无"


NUMERALS = ("", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二", "十三")

TITLES: tuple[tuple[str, str], ...] = (
    ("组织飞行活动的单位或者个人、操控人员信息以及有关资质证书", "who organises and who flies, with certificates"),
    ("无人驾驶航空器的类型、数量、主要性能指标和登记管理信息", "aircraft: kind, number, performance, registration"),
    ("飞行任务性质和飞行方式", "nature of the task and way of flying"),
    ("起飞、降落和备降机场（场地）", "places of take-off, landing and diversion"),
    ("通信联络方法", "how to reach the crew"),
    ("预计飞行开始、结束时刻", "expected begin and end"),
    ("飞行航线、高度、速度和空域范围，进出空域方法", "route, height, speed and airspace, ways in and out"),
    ("指挥控制链路无线电频率以及占用带宽", "frequencies and bandwidth of the control link"),
    ("通信、导航和被监视能力", "communication, navigation and surveillance"),
    ("安装二次雷达应答机或者有关自动监视设备的代码申请", "code of a transponder or other surveillance device"),
    ("应急处置程序", "emergency procedures"),
    ("特殊飞行保障需求", "special support"),
    ("国家空中交通管理领导机构规定的与空域使用和飞行安全有关的其他必要信息", "other information that the authority asks for"),
)
"""Art. 27 (1)–(13): the heads of an application, Chinese as the law has them."""


def compose(given: Particulars) -> tuple[Item, ...]:
    """The 13 items of Art. 27, those that nobody knows marked as missing."""
    begin, end = (at.astimezone(LOCAL_ZONE) for at in (given.span.start, given.span.end))
    texts = (
        "\n".join(t for t in (given.operator, given.pilots) if t) if given.operator and given.pilots else "",
        given.aircraft,
        given.task,
        given.places,
        given.contact,
        f"{begin:%Y-%m-%d %H:%M} 至 {end:%Y-%m-%d %H:%M}（北京时间）",
        given.route,
        given.link,
        given.capability,
        given.transponder,
        given.emergency,
        given.support,
        given.other,
    )
    return tuple(
        Item(number, zh, en, text, not text.strip())
        for number, ((zh, en), text) in enumerate(zip(TITLES, texts, strict=True), start=1)
    )


def written(application: Application, number: int, text: str) -> Application:
    """A draft with one item written by hand; raises ValueError for one that is no draft or an item there is not."""
    if application.state is not State.DRAFT:
        raise ValueError(f"application {application.number} is {application.state}: only a draft can be written on")
    if not 1 <= number <= len(TITLES):
        raise ValueError(f"there is no item {number}: Art. 27 has {len(TITLES)}")
    items = tuple(replace(i, text=text, missing=not text.strip()) if i.number == number else i for i in application.items)
    return replace(application, items=items)


def countdown(application: Application, now: datetime) -> timedelta | None:
    """How long is left to what it waits for, negative once that has passed; None once it is decided."""
    due = application.next_at()
    return None if due is None else due - utc(now)


def as_text(application: Application) -> str:
    """The whole application as plain Chinese text, to be read out or sent as a message."""
    head = f"飞行活动申请 {application.number}\n致：{application.body}\n"
    return head + "".join(f"（{NUMERALS[i.number]}）{i.zh}：{i.text or '待填写'}\n" for i in application.items)
