"""The one table of lawful moves of a case, and the ten lines that read it.

An officer's simple path is the five verbs: dispatch, verify, handle, recheck, close. All that the law asks of an enforcement
stands in the guards; a refused act names the article, what is missing and the earliest lawful moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dispatch.actor import Actor, Role
from dispatch.case import Case, CaseAct, CaseId, CaseState
from dispatch.event import Event
from dispatch.finding import Finding, FindingState, Source
from dispatch.guards import GUARDS, NEEDS, Check, Scene
from dispatch.office import Facts, Office, standard_office
from dispatch.outcome import carried_out, plain
from dispatch.refusal import Reason, Refusal
from geo.times import Clock


@dataclass(frozen=True, slots=True)
class Move:
    """Where an act leads (None: back where it was suspended), who may do it, its needs and guards, the limit it starts."""

    to: CaseState | None
    roles: frozenset[Role]
    needs: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The case after the act, and the one event that says so."""

    case: Case
    event: Event


@dataclass(frozen=True, slots=True)
class Offer:
    """An act that the case's state knows: the facts its form asks for, and what stands against it now (None: nothing)."""

    act: CaseAct
    needs: tuple[str, ...]
    refusal: Refusal | None


_DESK = frozenset({Role.DISPATCHER, Role.TOWN_LEAD})
_FIELD = frozenset({Role.OFFICER})
_SIGN = frozenset({Role.REVIEWER, Role.TOWN_LEAD})
_SEE = frozenset({Role.REVIEWER, Role.OFFICER, Role.SYSTEM})
_S, _A = CaseState, CaseAct

MOVES: Mapping[tuple[CaseState, CaseAct], Move] = {
    (_S.REGISTERED, _A.DISPATCH): Move(_S.DISPATCHED, _DESK, ("assignee",), (), "accept"),
    (_S.RETURNED, _A.DISPATCH): Move(_S.DISPATCHED, _DESK, ("assignee",), (), "accept"),
    (_S.REOPENED, _A.DISPATCH): Move(_S.DISPATCHED, _DESK, ("assignee",), (), "accept"),
    (_S.DISPATCHED, _A.DISPATCH): Move(_S.DISPATCHED, _DESK, ("assignee",), (), "accept"),
    (_S.DISPATCHED, _A.ACCEPT): Move(_S.ACCEPTED, _FIELD, (), ("mine",), "visit"),
    (_S.DISPATCHED, _A.RETURN): Move(_S.RETURNED, _FIELD, ("reason",), ("mine",), "reassign"),
    (_S.ACCEPTED, _A.RETURN): Move(_S.RETURNED, _FIELD, ("reason",), ("mine",), "reassign"),
    (_S.DISPATCHED, _A.VERIFY): Move(
        _S.VERIFYING, _FIELD, ("verification", "cause", "two_officers", "photos"), ("mine",), "conclude"
    ),
    (_S.ACCEPTED, _A.VERIFY): Move(
        _S.VERIFYING, _FIELD, ("verification", "cause", "two_officers", "photos"), ("mine",), "conclude"
    ),
    (_S.VERIFYING, _A.VERIFY): Move(
        _S.VERIFYING, _FIELD, ("verification", "cause", "two_officers", "photos"), ("mine",), "conclude"
    ),
    (_S.VERIFYING, _A.CLOSE): Move(_S.CLOSED, _SIGN, ("reason",), ("verified", "nothing_to_handle")),
    (_S.VERIFYING, _A.LEDGER): Move(_S.LEDGERED, _SIGN, (), ("verified", "historic")),
    (_S.VERIFYING, _A.HANDLE): Move(_S.HANDLING, _FIELD, (), ("mine", "verified", "illegal"), "handle"),
    (_S.HANDLING, _A.ORDER_STOP): Move(_S.HANDLING, _FIELD, ("document", "served_at"), ("mine",), "stop"),
    (_S.HANDLING, _A.DECIDE): Move(
        _S.HANDLING, _SIGN, ("document", "served_at", "comply_by"), ("reviewed", "decision_in_time"), "handle"
    ),
    (_S.HANDLING, _A.DEMAND): Move(
        _S.HANDLING, _FIELD, ("document", "served_at", "comply_by"), ("mine", "decided", "decision_expired"), "handle"
    ),
    (_S.HANDLING, _A.ANNOUNCE): Move(_S.HANDLING, _FIELD, ("document", "served_at", "comply_by"), ("mine", "decided"), "handle"),
    (_S.HANDLING, _A.MAKE_READY): Move(
        _S.HANDLING,
        _SIGN,
        ("document", "served_at", "defence_heard"),
        ("decided", "demanded", "demand_expired", "announced", "announcement_expired", "no_remedy_left", "no_dispute"),
        "handle",
    ),
    (_S.HANDLING, _A.ENFORCE): Move(_S.HANDLING, _FIELD, ("officers",), ("mine", "enforce_ready", "lawful_hour"), "recheck"),
    (_S.HANDLING, _A.SELF_DONE): Move(_S.HANDLING, _FIELD, (), ("mine",), "recheck"),
    (_S.HANDLING, _A.FEEDBACK): Move(_S.HANDLING, _FIELD | _DESK, ("note",), (), "handle"),
    (_S.HANDLING, _A.RECHECK): Move(_S.RECHECK, _FIELD | _DESK | _SIGN, ("outcome",), ("mine",), "recheck"),
    (_S.RECHECK, _A.RECORD): Move(_S.RECHECK, _SEE, ("recheck", "recheck_signed"), (), "conclude"),
    (_S.RECHECK, _A.CLOSE): Move(_S.CLOSED, _SIGN, ("recheck", "recheck_signed"), ("verified", "gone")),
    (_S.RECHECK, _A.HANDLE): Move(
        _S.HANDLING, _FIELD | _SIGN, ("recheck", "recheck_signed"), ("mine", "verified", "still_there"), "handle"
    ),
    (_S.CLOSED, _A.REOPEN): Move(_S.REOPENED, _SIGN | frozenset({Role.SYSTEM}), ("reason",), (), "dispatch"),
    (_S.LEDGERED, _A.REOPEN): Move(_S.REOPENED, _SIGN | frozenset({Role.SYSTEM}), ("reason",), (), "dispatch"),
    (_S.SUSPENDED, _A.RESUME): Move(None, _DESK | _SIGN),
    (_S.TRANSFERRED, _A.TAKE_BACK): Move(_S.REGISTERED, _DESK, ("reason",), (), "dispatch"),
} | {
    (state, act): move
    for state in CaseState
    if not state.is_over and state is not CaseState.SUSPENDED
    for act, move in (
        (_A.SUSPEND, Move(_S.SUSPENDED, _DESK | _SIGN, ("reason",))),
        (_A.TRANSFER, Move(_S.TRANSFERRED, _DESK, ("reason", "to_whom"))),
        (_A.MERGE, Move(_S.MERGED, _DESK | _SIGN, ("merged_into",), ("not_itself",))),
    )
}


def register(
    finding: Finding, by: Actor, clock: Clock, *, id: CaseId, number: str, town: str = "", office: Office | None = None
) -> Advanced | Refusal:
    """Open a case on a confirmed finding (立案)."""
    office, now = office or standard_office(), clock.now()
    refused = []
    if not by.is_any(_DESK | _SIGN):
        refused.append(Reason("role"))
    if finding.state is not FindingState.CONFIRMED or finding.decided_by is None:
        refused.append(Reason("not_confirmed", law="imagery-41" if finding.source is Source.IMAGERY else ""))
    if refused:
        return Refusal(CaseAct.REGISTER, finding.state, tuple(refused))
    case = Case(
        id,
        number,
        finding.id,
        finding.area_id,
        finding.place,
        CaseState.REGISTERED,
        now,
        reviewer=finding.decided_by or "",
        town=town or finding.town,
        due_at=office.due("dispatch", now),
        limit="dispatch",
        version=1,
    )
    return Advanced(case, Event("case", id, CaseAct.REGISTER, "", case.state, by.id, by.name, now, "", {"finding": finding.id}))


def advance(
    case: Case, act: CaseAct, by: Actor, facts: Facts, clock: Clock, *, office: Office | None = None
) -> Advanced | Refusal:
    """Carry out one act and start its limit, or say why not. A refusal changes nothing."""
    office, now = office or standard_office(), clock.now()
    move = MOVES.get((case.state, act))
    if move is None:
        return Refusal(act, case.state, (Reason("no_such_move", values={"state": case.state, "act": act}),))
    scene = Scene(case, facts, by, now, office)
    refused = _against(scene, move, (*(NEEDS[n] for n in move.needs), *(GUARDS[g] for g in move.guards)))
    if refused:
        return Refusal(act, case.state, refused)
    after = carried_out(scene, act, move.to or case.resume_to or CaseState.REGISTERED, move.limit)
    told = plain(facts) | ({"late": case.limit} if case.is_overdue(now) else {})
    event = Event("case", case.id, act, case.state, after.state, by.id, by.name, now, facts.note or facts.reason, told)
    return Advanced(replace(after, version=case.version + 1), event)


def offers(case: Case, by: Actor, clock: Clock, *, office: Office | None = None) -> tuple[Offer, ...]:
    """Every act that the case's state knows, with what stands against it before any form is filled in: for buttons."""
    scene = Scene(case, Facts(), by, clock.now(), office or standard_office())
    found = []
    for (state, act), move in MOVES.items():
        if state is case.state:
            refused = _against(scene, move, tuple(GUARDS[g] for g in move.guards))
            found.append(Offer(act, move.needs, Refusal(act, state, refused) if refused else None))
    return tuple(found)


def _against(scene: Scene, move: Move, checks: tuple[Check, ...]) -> tuple[Reason, ...]:
    refused = [] if scene.by.is_any(move.roles) else [Reason("role")]
    for check in checks:
        reason = check(scene)
        if reason is not None:
            refused.append(reason)
    return tuple(refused)
