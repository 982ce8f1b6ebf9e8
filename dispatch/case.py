"""Case (案件): a confirmed finding under the workflow, with what was seen, served and done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from dispatch.cause import Cause
from dispatch.finding import FindingId
from geo.frames import LonLat

CaseId = NewType("CaseId", str)


class CaseState(StrEnum):
    """Where a case stands."""

    REGISTERED = "registered"  # 已立案
    DISPATCHED = "dispatched"  # 已派单
    ACCEPTED = "accepted"  # 已接单
    RETURNED = "returned"  # 已退回
    VERIFYING = "verifying"  # 核查中
    HANDLING = "handling"  # 处置中
    RECHECK = "recheck"  # 待复核
    CLOSED = "closed"  # 已销号
    LEDGERED = "ledgered"  # 已入台账
    REOPENED = "reopened"  # 重新打开
    SUSPENDED = "suspended"  # 已挂起
    TRANSFERRED = "transferred"  # 已移送
    MERGED = "merged"  # 已并案

    @property
    def is_over(self) -> bool:
        """Whether nobody is expected to do anything now."""
        return self in _OVER


_OVER = frozenset({CaseState.CLOSED, CaseState.LEDGERED, CaseState.TRANSFERRED, CaseState.MERGED})


class CaseAct(StrEnum):
    """What can be done with a case; the five verbs are dispatch, verify, handle, recheck, close."""

    REGISTER = "register"  # 立案
    DISPATCH = "dispatch"  # 派单
    ACCEPT = "accept"  # 接单
    RETURN = "return"  # 退回
    VERIFY = "verify"  # 核查
    LEDGER = "ledger"  # 入台账
    HANDLE = "handle"  # 处置
    ORDER_STOP = "order_stop"  # 责令停止
    DECIDE = "decide"  # 作出决定
    DEMAND = "demand"  # 催告
    ANNOUNCE = "announce"  # 公告
    MAKE_READY = "make_ready"  # 强制执行决定
    ENFORCE = "enforce"  # 强制拆除
    SELF_DONE = "self_done"  # 自行拆除
    FEEDBACK = "feedback"  # 处理反馈
    RECHECK = "recheck"  # 复核
    RECORD = "record"  # 登记复核结果
    CLOSE = "close"  # 销号
    REOPEN = "reopen"  # 重新打开
    SUSPEND = "suspend"  # 挂起
    RESUME = "resume"  # 恢复
    TRANSFER = "transfer"  # 移送
    TAKE_BACK = "take_back"  # 收回
    MERGE = "merge"  # 并案


class Verdict(StrEnum):
    """What two officers found on the ground."""

    BUILDING = "illegal_building"  # 在建违法
    BUILT = "illegal_built"  # 已建违法
    LEGAL = "legal"  # 合法
    HISTORIC = "historic"  # 历史存量
    TEMPORARY = "temporary_legal"  # 临时合法
    NOT_A_STRUCTURE = "not_a_structure"  # 非建筑
    GONE = "gone"  # 已拆
    NO_ENTRY = "no_entry"  # 无法进入

    @property
    def is_illegal(self) -> bool:
        """Whether it must be handled."""
        return self in {Verdict.BUILDING, Verdict.BUILT}

    @property
    def ends_the_case(self) -> bool:
        """Whether nothing is left to handle."""
        return self in {Verdict.LEGAL, Verdict.TEMPORARY, Verdict.NOT_A_STRUCTURE, Verdict.GONE}


@dataclass(frozen=True, slots=True)
class Verification:
    """The field form: who went, what they saw, and the SHA-256 of each photo they took."""

    verdict: Verdict
    officers: tuple[str, ...]
    at: datetime
    place: LonLat | None = None
    accuracy_m: float | None = None
    photos: tuple[str, ...] = ()
    stage: str = ""
    use: str = ""
    owner: str = ""
    permit: str = ""
    measured_m2: float | None = None
    note: str = ""
    cause: Cause | None = None  # of what is no structure: what it is


class StepKind(StrEnum):
    """The steps of handling that leave a paper."""

    STOP_ORDER = "stop_order"  # 责令停止违法行为通知书
    DECISION = "decision"  # 行政决定书
    DEMAND = "demand"  # 催告书
    ANNOUNCEMENT = "announcement"  # 公告
    ENFORCE_READY = "enforce_ready"  # 强制执行决定书
    ENFORCED = "enforced"  # 强制拆除
    SELF_DONE = "self_done"  # 自行拆除
    FEEDBACK = "feedback"  # 处理反馈


@dataclass(frozen=True, slots=True)
class Step:
    """One step of handling: when, by which paper, served when, to be complied with by when. `leg` counts the goes at handling."""

    kind: StepKind
    at: datetime
    leg: int
    document: str = ""
    served_at: datetime | None = None
    comply_by: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """What the recheck saw, and by whom: a later survey, or two officers."""

    gone: bool
    at: datetime
    survey_id: str | None = None
    officers: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. Times are aware UTC; `due_at` belongs to `limit`; `resume_to` is set while suspended; `version` counts acts."""

    id: CaseId
    number: str
    finding_id: FindingId
    area_id: str
    place: LonLat
    state: CaseState
    opened_at: datetime
    reviewer: str  # who confirmed the finding (行政处罚法 41)
    town: str = ""
    code: str = "01-01"  # GB/T 30428.2 私搭乱建, city tables
    assignee: str | None = None
    unit: str = ""
    due_at: datetime | None = None
    limit: str = ""
    round: int = 1
    leg: int = 0
    verification: Verification | None = None
    steps: tuple[Step, ...] = ()
    recheck: RecheckResult | None = None
    resume_to: CaseState | None = None
    suspended_at: datetime | None = None
    merged_into: CaseId | None = None
    transferred_to: str = ""
    closed_at: datetime | None = None
    close_reason: str = ""
    watch_until: datetime | None = None
    version: int = 0

    def step(self, kind: StepKind, leg: int | None = None) -> Step | None:
        """The newest step of a kind, of one leg or of any."""
        return next((s for s in reversed(self.steps) if s.kind is kind and leg in {None, s.leg}), None)

    def is_overdue(self, at: datetime) -> bool:
        """Whether its limit has run out; a suspended case's clock stands still."""
        return self.due_at is not None and self.due_at < at and not self.state.is_over and self.state is not CaseState.SUSPENDED
