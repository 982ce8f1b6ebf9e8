"""Label (标签): what a finding turned out to be, told by whom, when, and how well informed they were.

Labels are read out of events, which nobody can change: none is stored twice, none can be overwritten, and a whole history has its labels at
once. Of several the better informed counts, of equals the later: a visit corrects a desk, and a desk never a visit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from dispatch import texts
from dispatch.actor import SYSTEM
from dispatch.case import CaseAct, Verdict
from dispatch.cause import Cause
from dispatch.event import Event
from dispatch.finding import FindingAct, FindingState


class Truth(StrEnum):
    """What stands, or stood, where the finding is."""

    STRUCTURE = "structure"  # 违法建设
    LAWFUL = "lawful"  # 合法建筑
    GONE = "gone"  # 建过，已拆
    NOT_NEW = "not_new"  # 早已存在
    NOT_A_STRUCTURE = "not_a_structure"  # 非建筑
    OPEN = "open"  # 重新研判: what was said before is taken back

    @property
    def is_right(self) -> bool | None:
        """Whether the product was right to raise it: something was built there. None: nobody has said yet."""
        return _RIGHT[self]


_RIGHT: Mapping[Truth, bool | None] = {
    Truth.STRUCTURE: True,
    Truth.LAWFUL: True,
    Truth.GONE: True,
    Truth.NOT_NEW: False,  # a structure, but the product promises new ones
    Truth.NOT_A_STRUCTURE: False,
    Truth.OPEN: None,
}


class Informed(IntEnum):
    """How well informed a label's source was; the higher counts."""

    DESK = 1  # 内业研判
    SURVEY = 2  # 复核影像
    VISIT = 3  # 现场核查
    HANDLED = 4  # 处置


@dataclass(frozen=True, slots=True)
class Label:
    """One word on one finding. `cause` is None for what is right, and where nobody gave one."""

    finding_id: str
    truth: Truth
    informed: Informed
    at: datetime
    by: str
    cause: Cause | None = None

    @property
    def is_right(self) -> bool | None:
        """See `Truth.is_right`."""
        return self.truth.is_right

    @property
    def is_clear(self) -> bool:
        """Whether it can be learned from; a rejection without a cause may mean an unlawful, a lawful or no structure."""
        return self.is_right is not None and (self.truth is not Truth.NOT_A_STRUCTURE or self.cause is not None)

    @property
    def _rank(self) -> tuple[int, datetime, str, str]:
        return self.informed, self.at, self.truth, self.cause or ""


OF_VERDICT: Mapping[Verdict, Truth | None] = {
    Verdict.BUILDING: Truth.STRUCTURE,
    Verdict.BUILT: Truth.STRUCTURE,
    Verdict.LEGAL: Truth.LAWFUL,
    Verdict.TEMPORARY: Truth.LAWFUL,
    Verdict.HISTORIC: Truth.NOT_NEW,
    Verdict.NOT_A_STRUCTURE: Truth.NOT_A_STRUCTURE,
    Verdict.GONE: Truth.GONE,
    Verdict.NO_ENTRY: None,  # nobody saw it
}

OF_CAUSE: Mapping[Cause, Truth] = {
    **dict.fromkeys(Cause, Truth.NOT_A_STRUCTURE),
    Cause.PERMITTED: Truth.LAWFUL,
    Cause.NOT_NEW: Truth.NOT_NEW,
    Cause.RENOVATION: Truth.NOT_NEW,
}

_HANDLED = frozenset({CaseAct.DECIDE, CaseAct.ENFORCE, CaseAct.SELF_DONE})


def labels(events: Iterable[Event], finding_of: Mapping[str, str]) -> tuple[Label, ...]:
    """Every label that these events tell, oldest first; `finding_of` gives the finding of a case by the case's id."""
    told = []
    for event in events:
        if event.subject == "finding":
            made = _of_finding(event)
        else:
            finding_id = finding_of.get(event.subject_id)
            made = None if finding_id is None else _of_case(event, finding_id)
        if made is not None:
            told.append(made)
    return tuple(sorted(told, key=lambda label: (label.at, label.informed, label.truth)))


def standing(told: Iterable[Label]) -> Mapping[str, Label]:
    """The label that counts of each finding, in whatever order they come."""
    best: dict[str, Label] = {}
    for label in told:
        there = best.get(label.finding_id)
        if there is None or label._rank > there._rank:
            best[label.finding_id] = label
    return best


def _of_finding(event: Event) -> Label | None:
    if event.by == SYSTEM.id:  # the product does not grade itself
        return None
    truth, cause = None, None
    if event.act == FindingAct.CONFIRM:
        truth = Truth.STRUCTURE
    elif event.act == FindingAct.REJECT:
        cause = cause_of(event)
        truth = Truth.NOT_A_STRUCTURE if cause is None else OF_CAUSE[cause]
    elif event.before in {FindingState.REJECTED, FindingState.DUPLICATE} and event.after == FindingState.TRIAGE:
        truth = Truth.OPEN
    return None if truth is None else Label(event.subject_id, truth, Informed.DESK, event.at, event.by, cause)


def cause_of(event: Event) -> Cause | None:
    """The cause a rejection gives: its own fact, or a note that is word for word one of the list, as it was before there were facts."""
    if event.facts.get("cause"):
        return Cause(event.facts["cause"])
    said = event.note.strip().lower()
    return next((c for c in Cause if said in {t.lower() for t in texts.CAUSES[c].values()}), None)


def _of_case(event: Event, finding_id: str) -> Label | None:
    form, recheck = event.facts.get("verification"), event.facts.get("recheck")
    if event.act == CaseAct.VERIFY and form:
        truth = OF_VERDICT[Verdict(form["verdict"])]
        cause = Cause(form["cause"]) if form.get("cause") else None
        if truth is Truth.NOT_A_STRUCTURE and cause is Cause.RENOVATION:
            truth = Truth.NOT_NEW
        return None if truth is None else Label(finding_id, truth, Informed.VISIT, event.at, event.by, cause)
    if event.act in _HANDLED or (event.act == CaseAct.RECHECK and event.facts.get("outcome")):
        return Label(finding_id, Truth.STRUCTURE, Informed.HANDLED, event.at, event.by)
    if recheck is not None:
        informed = Informed.SURVEY if recheck.get("survey_id") else Informed.VISIT
        truth = Truth.GONE if recheck.get("gone") else Truth.STRUCTURE
        return Label(finding_id, truth, informed, event.at, event.by)
    return None
