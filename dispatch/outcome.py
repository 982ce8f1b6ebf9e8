"""What an act leaves in the case, once it is lawful."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import date, datetime
from typing import Any

from dispatch.case import Case, CaseAct, CaseState, Step, StepKind
from dispatch.guards import Scene
from dispatch.office import Facts

STEP_OF: Mapping[CaseAct, StepKind] = {
    CaseAct.ORDER_STOP: StepKind.STOP_ORDER,
    CaseAct.DECIDE: StepKind.DECISION,
    CaseAct.DEMAND: StepKind.DEMAND,
    CaseAct.ANNOUNCE: StepKind.ANNOUNCEMENT,
    CaseAct.MAKE_READY: StepKind.ENFORCE_READY,
    CaseAct.ENFORCE: StepKind.ENFORCED,
    CaseAct.SELF_DONE: StepKind.SELF_DONE,
    CaseAct.FEEDBACK: StepKind.FEEDBACK,
}


def carried_out(scene: Scene, act: CaseAct, to: CaseState, limit: str) -> Case:
    """The case after a lawful act."""
    case, facts, now = scene.case, scene.facts, scene.at
    changes: dict[str, Any] = {"state": to, "limit": limit, "due_at": scene.office.due(limit, now)}
    if act in STEP_OF:
        changes["steps"] = (*case.steps, _step(scene, STEP_OF[act]))
    match act:
        case CaseAct.DISPATCH:
            changes |= {"assignee": facts.assignee, "unit": facts.unit or case.unit}
        case CaseAct.RETURN:
            changes["assignee"] = None
        case CaseAct.VERIFY:
            changes["verification"] = facts.verification
        case CaseAct.HANDLE:
            changes |= {"leg": case.leg + 1, "recheck": None}
        case CaseAct.FEEDBACK:
            changes |= {"due_at": case.due_at, "limit": case.limit}
        case CaseAct.RECHECK if facts.outcome is StepKind.SELF_DONE:
            changes["steps"] = (*case.steps, _step(scene, StepKind.SELF_DONE))
        case CaseAct.RECORD:
            changes["recheck"] = facts.recheck or case.recheck
        case CaseAct.CLOSE:
            reason = facts.reason or (
                case.verification.verdict if case.state is CaseState.VERIFYING and case.verification else "gone"
            )
            changes |= {"closed_at": now, "close_reason": reason, "watch_until": now + scene.office.rules.watch}
            changes["recheck"] = facts.recheck or case.recheck
        case CaseAct.LEDGER:
            changes |= {"closed_at": now, "close_reason": "ledgered", "watch_until": now + scene.office.rules.watch}
        case CaseAct.REOPEN:
            # A new round is verified and decided anew: what was found and served then says nothing about what stands there now.
            changes |= {"round": case.round + 1, "verification": None, "steps": (), "recheck": None}
            changes |= {"closed_at": None, "close_reason": "", "watch_until": None, "assignee": None}
        case CaseAct.SUSPEND:
            changes |= {"resume_to": case.state, "suspended_at": now, "due_at": case.due_at, "limit": case.limit}
        case CaseAct.RESUME:
            stood = now - case.suspended_at if case.suspended_at else None
            due = case.due_at + stood if case.due_at and stood else case.due_at
            changes |= {"resume_to": None, "suspended_at": None, "due_at": due, "limit": case.limit}
        case CaseAct.TRANSFER:
            changes["transferred_to"] = facts.to_whom
        case CaseAct.TAKE_BACK:
            changes |= {"transferred_to": "", "assignee": None}
        case CaseAct.MERGE:
            changes["merged_into"] = facts.merged_into
        case _:
            pass
    return replace(case, **changes)


def _step(scene: Scene, kind: StepKind) -> Step:
    facts = scene.facts
    return Step(
        kind, scene.at, scene.case.leg, facts.document, facts.served_at, facts.comply_by, facts.note or facts.defence_heard
    )


def plain(facts: Facts) -> dict[str, Any]:
    """What an act was told, as JSON; what was not told is left out."""
    given = {f.name: getattr(facts, f.name) for f in fields(facts)}
    return {name: _json(value) for name, value in given.items() if value not in (None, "", (), False)}


def _json(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [_json(v) for v in value]
    if isinstance(value, dict):
        return {k: _json(v) for k, v in value.items() if v not in (None, "", (), [])}
    return _json(asdict(value)) if hasattr(value, "__dataclass_fields__") else value
