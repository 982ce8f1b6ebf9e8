"""What people do with findings and cases: each act goes through dispatch's table, and leaves its event and audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dispatch.actor import Actor
from dispatch.case import Case, CaseAct, CaseId, CaseState, RecheckResult, StepKind, Verdict, Verification
from dispatch.cause import ON_SITE, Cause
from dispatch.finding import Finding, FindingAct
from dispatch.office import Facts
from dispatch.recheck import order
from dispatch.refusal import Refusal
from geo.times import LOCAL_ZONE, utc
from patrol import auth, repositories
from patrol.wiring import Workplace

DECISIONS: Mapping[str, FindingAct] = {
    "confirm": FindingAct.CONFIRM,
    "reject": FindingAct.REJECT,
    "restore": FindingAct.TRIAGE,
    "needs_imagery": FindingAct.NEED_IMAGERY,
}

# What a form asks for behind each of the workflow's needs.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "verification": ("verdict",),
    "two_officers": ("officers",),
    "recheck": ("gone",),
    "recheck_signed": ("officers",),
    "outcome": ("outcome",),
}


class FactsRefused(ValueError):
    """A form that cannot be read: it names the field and what belongs in it."""


def decide(
    work: Workplace, finding_id: str, decision: str, note: str, by: Actor, *, cause: Cause | None = None
) -> Finding | Refusal:
    """A reviewer's word on a finding; a confirmed one opens its case in the same transaction. `cause` says why one is rejected."""
    with work.database.write() as session:
        done = repositories.judge_finding(session, finding_id, DECISIONS[decision], by, work.clock, reason=note, cause=cause)
        if isinstance(done, Refusal) or decision != "confirm":
            return done
        opened = repositories.register_case(session, finding_id, by, work.clock, office=work.office)
        return opened if isinstance(opened, Refusal) else done


def act(work: Workplace, case_id: str, act_name: str, note: str, given: Mapping[str, Any], by: Actor) -> Case | Refusal:
    """One act on a case. A case sent to recheck orders its flight at once. Raises FactsRefused for a form that cannot be read."""
    try:
        wanted = CaseAct(act_name)
    except ValueError as err:
        raise FactsRefused(f"act: there is no act {act_name!r}; one of {', '.join(CaseAct)}") from err
    with work.database.write() as session:
        photos = tuple(e.sha256 for e in repositories.evidence_of(session, "case", case_id) if e.role == "field_photo")
        facts = read_facts(work, note, _with_person(session, given), photos)
        done = repositories.act_on_case(session, case_id, wanted, by, facts, clock=work.clock, office=work.office)
        if not isinstance(done, Refusal) and done.state is CaseState.RECHECK and wanted is CaseAct.RECHECK:
            repositories.order_recheck(session, order(done, work.clock, office=work.office))
        return done


def _with_person(session: Session, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """An assignee named by login or name becomes the account's id; a name nobody has stays as it is (a unit, a paper list)."""
    said = str(given.get("assignee") or "").strip()
    person = next((u for u in auth.users(session) if said and said in {u.id, u.login, u.name}), None)
    return {**given, "assignee": person.id} if person else given


def read_facts(work: Workplace, note: str, given: Mapping[str, Any], photos: tuple[str, ...] = ()) -> Facts:
    """The flat fields of a form to the facts of an act."""
    now = work.clock.now()
    officers = _list(given.get("officers"))
    verification = None
    if given.get("verdict"):
        try:
            verdict = Verdict(str(given["verdict"]))
        except ValueError as err:
            raise FactsRefused(f"verdict: {given['verdict']!r} is none of {', '.join(Verdict)}") from err
        photos = (*photos, *_list(given.get("photos")))
        at = _time(given, "visited_at") or now
        verification = Verification(verdict, officers, at, photos=photos, note=note, cause=_cause(given))
    recheck = None
    if given.get("gone") not in (None, ""):
        gone = str(given["gone"]).strip().lower() in {"true", "1", "yes", "gone", "是"}
        recheck = RecheckResult(gone, now, officers=officers, note=note)
    outcome = None
    if given.get("outcome"):
        try:
            outcome = StepKind(str(given["outcome"]))
        except ValueError as err:
            raise FactsRefused(f"outcome: {given['outcome']!r} is not self_done or enforced") from err
    merged = str(given.get("merged_into") or "").strip()
    return Facts(
        note=note,
        reason=_text(given, "reason") or note,
        assignee=_text(given, "assignee") or None,
        unit=_text(given, "unit"),
        verification=verification,
        document=_text(given, "document"),
        served_at=_time(given, "served_at"),
        comply_by=_time(given, "comply_by"),
        officers=officers,
        outcome=outcome,
        recheck=recheck,
        to_whom=_text(given, "to_whom"),
        merged_into=CaseId(merged) if merged else None,
        defence_heard=_text(given, "defence_heard"),
        approval=_text(given, "approval"),
        dispute_pending=bool(given.get("dispute_pending", False)),
        urgent=bool(given.get("urgent", False)),
    )


def _cause(given: Mapping[str, Any]) -> Cause | None:
    said = _text(given, "cause")
    try:
        return Cause(said) if said else None
    except ValueError as err:
        raise FactsRefused(f"cause: {said!r} is none of {', '.join(ON_SITE)}") from err


def fields_of(needs: tuple[str, ...]) -> list[str]:
    """The form fields behind an act's needs, each once."""
    return list(dict.fromkeys(field for need in needs for field in FIELDS.get(need, (need,))))


def _text(given: Mapping[str, Any], name: str) -> str:
    return str(given.get(name) or "").strip()


def _list(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.replace("，", ",").replace("、", ",").split(",")
    return tuple(str(v).strip() for v in value or () if str(v).strip())


def _time(given: Mapping[str, Any], name: str) -> datetime | None:
    said = _text(given, name)
    if not said:
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError as err:
        raise FactsRefused(f"{name}: {said!r} is not a time; write 2026-11-23T09:30") from err
    return utc(at if at.tzinfo else at.replace(tzinfo=LOCAL_ZONE))
