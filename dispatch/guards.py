"""What the law and the house ask before an act: one small check each, by name.

`NEEDS` look at what the act was told, `GUARDS` at the case, the actor and the hour. Each returns a reason against it, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dispatch.actor import Actor, Role
from dispatch.case import Case, Step, StepKind, Verdict
from dispatch.cause import ON_SITE
from dispatch.deadlines import add_months
from dispatch.office import Facts, Office
from dispatch.refusal import Reason


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a check may look at."""

    case: Case
    facts: Facts
    by: Actor
    at: datetime
    office: Office


Check = Callable[[Scene], Reason | None]


def _told(name: str) -> Check:
    def check(scene: Scene) -> Reason | None:
        value = getattr(scene.facts, name)
        if isinstance(value, str):
            value = value.strip()
        return None if value else Reason("told_too_little", missing=name)

    return check


def _served(scene: Scene) -> Reason | None:
    if scene.facts.served_at is None:
        return Reason("told_too_little", law="service-38", missing="served_at")
    return (
        Reason("served_in_future", law="service-38", earliest=scene.facts.served_at) if scene.facts.served_at > scene.at else None
    )


def _comply_by(scene: Scene) -> Reason | None:
    if scene.facts.comply_by is None:
        return Reason("told_too_little", law="demand-35", missing="comply_by")
    if scene.facts.served_at is not None and scene.facts.comply_by <= scene.facts.served_at:
        return Reason("comply_before_served", law="demand-35", missing="comply_by")
    return None


def _two_officers(scene: Scene) -> Reason | None:
    form = scene.facts.verification
    if form is not None and len({o.strip() for o in form.officers if o.strip()}) < 2:
        return Reason("two_officers", law="officers-42", missing="officers")
    return None


def _officers(scene: Scene) -> Reason | None:
    if len({o.strip() for o in scene.facts.officers if o.strip()}) < 2:
        return Reason("two_officers", law="officers-42", missing="officers")
    return None


def _photos(scene: Scene) -> Reason | None:
    form, least = scene.facts.verification, scene.office.rules.photos_min
    if form is not None and form.verdict is not Verdict.NO_ENTRY and len(set(form.photos)) < least:
        return Reason("photos", missing="photos", values={"least": str(least), "given": str(len(set(form.photos)))})
    return None


def _verification(scene: Scene) -> Reason | None:
    form = scene.facts.verification
    if form is None:
        return Reason("told_too_little", missing="verification")
    return Reason("visit_in_future", earliest=form.at) if form.at > scene.at else None


def _cause(scene: Scene) -> Reason | None:
    form = scene.facts.verification
    if form is None:
        return None
    if form.verdict is not Verdict.NOT_A_STRUCTURE:
        return Reason("cause_of_a_structure") if form.cause is not None else None
    return None if form.cause in ON_SITE else Reason("told_too_little", missing="cause")


def _outcome(scene: Scene) -> Reason | None:
    case, wanted = scene.case, scene.facts.outcome
    if wanted is StepKind.SELF_DONE or (wanted is None and case.step(StepKind.SELF_DONE, case.leg)):
        return None
    if wanted in {None, StepKind.ENFORCED} and case.step(StepKind.ENFORCED, case.leg):
        return None
    return Reason("nothing_done" if wanted is None else "not_enforced", missing="outcome")


def _recheck(scene: Scene) -> Reason | None:
    return None if scene.facts.recheck or scene.case.recheck else Reason("not_rechecked", missing="recheck")


def _recheck_signed(scene: Scene) -> Reason | None:
    result = scene.facts.recheck or scene.case.recheck
    if result is None or result.survey_id or len({o.strip() for o in result.officers if o.strip()}) >= 2:
        return None
    return Reason("recheck_unsigned", law="officers-42", missing="recheck_by")


NEEDS: Mapping[str, Check] = {
    **{name: _told(name) for name in ("note", "reason", "assignee", "document", "to_whom", "merged_into")},
    "defence_heard": lambda s: (
        None if s.facts.defence_heard.strip() else Reason("defence", law="defence-36", missing="defence_heard")
    ),
    "served_at": _served,
    "comply_by": _comply_by,
    "verification": _verification,
    "two_officers": _two_officers,
    "officers": _officers,
    "photos": _photos,
    "cause": _cause,
    "outcome": _outcome,
    "recheck": _recheck,
    "recheck_signed": _recheck_signed,
}


def _mine(scene: Scene) -> Reason | None:
    """An officer works on their own cases; desk, lead and reviewer are held by the table's roles alone."""
    others = scene.by.roles & {Role.DISPATCHER, Role.TOWN_LEAD, Role.REVIEWER}
    return None if others or scene.case.assignee == scene.by.id else Reason("not_yours")


def _verdict(code: str, fits: Callable[[Verdict], bool]) -> Check:
    def check(scene: Scene) -> Reason | None:
        form = scene.case.verification
        return Reason(code, values={"verdict": form.verdict}) if form is not None and not fits(form.verdict) else None

    return check


def _gone(wanted: bool, code: str) -> Check:
    def check(scene: Scene) -> Reason | None:
        result = scene.facts.recheck or scene.case.recheck
        return Reason(code) if result is not None and result.gone is not wanted else None

    return check


def _step(kind: StepKind, code: str, law: str) -> Check:
    return lambda scene: None if scene.case.step(kind) else Reason(code, law=law, missing=kind)


def _run_out(kind: StepKind, code: str, law: str) -> Check:
    def check(scene: Scene) -> Reason | None:
        step = scene.case.step(kind)
        if step is None or step.comply_by is None or step.comply_by <= scene.at:
            return None
        return Reason(code, law=law, earliest=step.comply_by)

    return check


def remedy_ends(decision: Step, office: Office) -> datetime | None:
    """When the last way to contest a decision lapses: reconsideration (60 days) and suit (6 months), both from its service."""
    if decision.served_at is None:
        return None
    rules = office.rules
    return max(decision.served_at + timedelta(days=rules.reconsideration_days), add_months(decision.served_at, rules.suit_months))


def _no_remedy_left(scene: Scene) -> Reason | None:
    decision = scene.case.step(StepKind.DECISION)
    ends = remedy_ends(decision, scene.office) if decision else None
    return Reason("remedy_open", law="announce-44", earliest=ends) if ends and ends > scene.at else None


def _decision_in_time(scene: Scene) -> Reason | None:
    last = scene.case.opened_at + timedelta(days=scene.office.rules.decision_days)
    late = scene.at > last and not scene.facts.approval.strip()
    return Reason("decision_late", law="decision-60", missing="approval") if late else None


def lawful_hour(at: datetime, office: Office) -> datetime:
    """The earliest moment, from `at` on, that is neither night nor a holiday (行政强制法 43); aware UTC."""
    dusk, dawn = office.rules.night
    local = at.astimezone(office.calendar.zone)
    while True:
        if local.time() < dawn:
            local = datetime.combine(local.date(), dawn, tzinfo=office.calendar.zone)
        if local.time() < dusk and not office.calendar.is_holiday(local.date()):
            return local.astimezone(UTC)
        local = datetime.combine(local.date() + timedelta(days=1), dawn, tzinfo=office.calendar.zone)


def _lawful_hour(scene: Scene) -> Reason | None:
    opens = lawful_hour(scene.at, scene.office)
    if scene.facts.urgent or opens <= scene.at:
        return None
    return Reason("night_or_holiday", law="hours-43", earliest=opens)


GUARDS: Mapping[str, Check] = {
    "mine": _mine,
    "verified": lambda s: None if s.case.verification else Reason("not_verified", missing="verification"),
    "nothing_to_handle": _verdict("must_be_handled", lambda v: v.ends_the_case),
    "historic": _verdict("not_historic", lambda v: v is Verdict.HISTORIC),
    "illegal": _verdict("not_illegal", lambda v: v.is_illegal),
    "reviewed": lambda s: None if s.case.reviewer else Reason("not_reviewed", law="imagery-41", missing="reviewer"),
    "decision_in_time": _decision_in_time,
    "decided": _step(StepKind.DECISION, "not_decided", "execution-34"),
    "decision_expired": _run_out(StepKind.DECISION, "decision_running", "execution-34"),
    "demanded": _step(StepKind.DEMAND, "not_demanded", "demand-35"),
    "demand_expired": _run_out(StepKind.DEMAND, "demand_running", "execution-37"),
    "announced": _step(StepKind.ANNOUNCEMENT, "not_announced", "announce-44"),
    "announcement_expired": _run_out(StepKind.ANNOUNCEMENT, "announcement_running", "announce-44"),
    "no_remedy_left": _no_remedy_left,
    "no_dispute": lambda s: Reason("dispute", law="announce-44") if s.facts.dispute_pending else None,
    "enforce_ready": _step(StepKind.ENFORCE_READY, "not_ready", "execution-37"),
    "lawful_hour": _lawful_hour,
    "gone": _gone(True, "still_there"),
    "still_there": _gone(False, "already_gone"),
    "not_itself": lambda s: Reason("merge_itself") if s.facts.merged_into == s.case.id else None,
}
