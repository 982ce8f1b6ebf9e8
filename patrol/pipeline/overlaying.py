"""What the register says of candidates and findings: labels kept beside each, held back in sight, brought back when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from shapely.geometry import MultiPolygon, Polygon
from sqlalchemy.orm import Session

from change_detect.align import SurveyPair
from change_detect.candidate import Candidate, Kind
from change_detect.corridor import Alert
from change_detect.register import HEIGHT_SIGMA_M, Entry, EntryKind, Overlay, Register
from dispatch.actor import SYSTEM
from dispatch.finding import Finding, FindingAct, FindingState
from dispatch.refusal import Refusal
from geo.area import Area
from patrol import audit, records, registry, repositories
from patrol.pipeline import watching
from patrol.records import FindingLabel, RegisterEntry
from patrol.registercolumns import RegisterRefused
from patrol.tables import CandidateRow, FindingRow
from patrol.wiring import Workplace

HELD = "register_"
"""How the reason of a finding begins that the register holds back."""
_STANDING = (FindingState.TRIAGE, FindingState.CONFIRMED, FindingState.NEEDS_IMAGERY, FindingState.SUPPRESSED)
_LEAST_SIGMA_M = 0.05
_SHOWN_BY_CORRIDORS = frozenset({Kind.VEHICLE, Kind.ARTEFACT})
"""What is held back everywhere but near a pipeline."""
_NO_CORRIDOR = f"{HELD}corridor: 管道保护带已变，不再涉及此处 / no corridor of a pipeline touches this place any longer"
_NO_ENTRY = "register_changed: 底图已变，不再覆盖此处 / the register has changed and explains it no longer"


@dataclass(frozen=True, slots=True)
class Relabelled:
    """What another register changes: findings looked at, held back now, and brought back to triage."""

    looked_at: int
    held: tuple[str, ...]
    back: tuple[str, ...]


def register_of(session: Session, area: Area) -> Register:
    """The entries in force around an area, in its metric frame; an entry's id is the store's, its number leads its name."""
    found = registry.in_force(session, area.outline.bounds)
    return Register([_entry(area, e) for e in found if e.kind != EntryKind.CORRIDOR])


def _entry(area: Area, e: RegisterEntry) -> Entry:
    given = {name: getattr(e, name) for name in ("name", "holder", "area_limit_m2", "height_limit_m", "valid_from", "valid_to")}
    return Entry(e.number, EntryKind(e.kind), _whole(area.frame.to_metres(e.outline)), **given, ref=e.id)


def _whole(outline: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """An outline that a step of frames has torn by a hair, whole again."""
    if outline.is_valid:
        return outline
    mended = outline.buffer(0)
    return mended if isinstance(mended, Polygon | MultiPolygon) else outline


def overlay(
    session: Session, area: Area, candidates: Sequence[Candidate], on: date, *, sigma_z_m: float, pair: SurveyPair | None = None
) -> tuple[Overlay, ...]:
    """What the register says of the candidates of a comparison on the day of its later survey; `pair` to measure earth moved near pipes."""
    register = register_of(session, area)
    said = tuple(Overlay() for _ in candidates)
    if register.entries:
        built = [o for _, o in standing(session, area)]
        said = register.judge(candidates, on, height_sigma_m=_sigma(sigma_z_m), built=built)
    alerts = watching.alerts(session, area, candidates, on, pair)
    return tuple(replace(s, alert=alert) for s, alert in zip(said, alerts, strict=True))


def _sigma(measured_m: float) -> float:
    return max(measured_m, _LEAST_SIGMA_M) if measured_m > 0 else HEIGHT_SIGMA_M


def standing(session: Session, area: Area) -> tuple[tuple[str, Polygon | MultiPolygon], ...]:
    """Ids and outlines (metres) of earlier findings that may stand there: all but what was rejected or held back as no structure."""
    states = [s.value for s in _STANDING]
    found = repositories.findings.where(session, FindingRow.area_id == area.id, FindingRow.state.in_(states))
    return tuple(
        (f.id, area.frame.to_metres(f.outline_wgs84))
        for f in found
        if f.kind != Kind.DEMOLISHED and (f.state is not FindingState.SUPPRESSED or f.decision.startswith(HELD))
    )


def keep(work: Workplace, session: Session, finding_id: str, said: Overlay, on: date, comparison_id: str | None = None) -> None:
    """What the register says of a finding, among its reasons too, in place of what it said before."""
    now = work.clock.now()
    finding = repositories.findings.get(session, finding_id)
    told = tuple(label.text for label in said.labels)
    first = (said.alert.text,) if said.alert is not None else ()
    before = {f"{label.zh} / {label.en}" for label in registry.labels_of(session, finding_id)}
    reasons = (*first, *(r for r in finding.reasons if r not in {*before, *told, *first}), *told)
    urgency = said.alert.urgency if said.alert is not None else 0
    if (reasons, urgency) != (finding.reasons, finding.urgency):
        repositories.findings.put(session, replace(finding, reasons=reasons, urgency=urgency))
    registry.relabel(
        session,
        finding_id,
        [
            FindingLabel(
                id=repositories.new_id(),
                finding_id=finding_id,
                entry_id=label.ref,
                comparison_id=comparison_id,
                kind=label.kind.value,
                share=label.share,
                in_force=label.in_force,
                excess_area_m2=label.excess_area_m2,
                excess_height_m=label.excess_height_m,
                zh=label.zh,
                en=label.en,
                held=said.held.text if said.held is not None and said.held.ref == label.ref else None,
                judged_on=on,
                made_at=now,
            )
            for label in said.labels
        ]
        + ([_watched(said.alert, finding_id, on, comparison_id, now)] if said.alert is not None else []),
    )


def _watched(alert: Alert, finding_id: str, on: date, comparison_id: str | None, now: datetime) -> FindingLabel:
    return FindingLabel(
        id=repositories.new_id(),
        finding_id=finding_id,
        entry_id=alert.corridor.ref,
        comparison_id=comparison_id,
        kind=EntryKind.CORRIDOR.value,
        share=alert.share,
        in_force=True,
        excess_area_m2=0.0,
        excess_height_m=0.0,
        zh=alert.zh,
        en=alert.en,
        watch=watching.kept(alert),
        judged_on=on,
        made_at=now,
    )


def relabel(work: Workplace, area_id: str, *, by: str) -> Relabelled:
    """Look at an area's open findings again under the register of today.

    What an entry explains now is held back, what none explains any longer comes back to triage; what a person decided stays decided.
    """
    held, back = [], []
    with work.database.write() as session:
        area = repositories.areas.get(session, area_id)
        register = register_of(session, area)
        found = repositories.findings.where(
            session,
            FindingRow.area_id == area_id,
            FindingRow.state.in_([FindingState.TRIAGE.value, FindingState.SUPPRESSED.value]),
        )
        built = [outline for _, outline in standing(session, area)]
        seen = [_candidate(session, area, f) for f in found]
        judged = [_judged_by(session, f, comparison) for f, (_, comparison) in zip(found, seen, strict=True)]
        near = _alerts(session, area, [c for c, _ in seen], [on for on, _ in judged])
        looked_at = 0
        for finding, (candidate, comparison), (on, sigma), alert in zip(found, seen, judged, near, strict=True):
            if finding.state is FindingState.SUPPRESSED and not finding.decision.startswith(HELD) and alert is None:
                continue
            looked_at += 1
            (said,) = register.judge([candidate], on, height_sigma_m=sigma, built=built)
            said = replace(said, alert=alert, held=said.held if alert is None else None)
            now_held = said.held.text if said.held is not None else None
            was_near = any(label.watch is not None for label in registry.labels_of(session, finding.id))
            if now_held is None and alert is None and was_near and finding.kind in _SHOWN_BY_CORRIDORS:
                now_held = _NO_CORRIDOR
            keep(work, session, finding.id, said, on, comparison.id if comparison else None)
            act = None
            if finding.state is FindingState.SUPPRESSED and now_held is None:
                act = FindingAct.TRIAGE
                back.append(finding.number)
            elif finding.state is FindingState.TRIAGE and now_held is not None and not _taken_back(session, finding):
                act = FindingAct.SUPPRESS
                held.append(finding.number)
            if act is not None:
                why = now_held or (alert.text if alert is not None else _NO_ENTRY)
                done = repositories.judge_finding(session, finding.id, act, SYSTEM, work.clock, reason=why)
                if isinstance(done, Refusal):
                    raise RegisterRefused(f"{finding.number}：{done.text('zh')}", f"{finding.number}: {done.text('en')}")
        told = {"looked_at": looked_at, "held": held, "back": back}
        audit.append(session, by, "register.relabel", f"area:{area_id}", at=work.clock.now(), details=told)
    return Relabelled(looked_at, tuple(held), tuple(back))


def _alerts(session: Session, area: Area, candidates: Sequence[Candidate], days: Sequence[date]) -> list[Alert | None]:
    """What today's corridors say of candidates, those of each day together."""
    said: list[Alert | None] = [None] * len(candidates)
    for day in set(days):
        at = [i for i, on in enumerate(days) if on == day]
        for i, alert in zip(at, watching.alerts(session, area, [candidates[i] for i in at], day), strict=True):
            said[i] = alert
    return said


def _candidate(session: Session, area: Area, finding: Finding) -> tuple[Candidate, records.ComparisonRecord | None]:
    """A finding as the candidate it was last seen as, without what the register said then."""
    seen = repositories.candidates.where(session, CandidateRow.finding_id == finding.id)
    outline = area.frame.to_metres(finding.outline_wgs84)
    pairs = [(repositories.comparisons.get(session, c.comparison_id), c) for c in seen]
    comparison, last = max(pairs, key=lambda p: p[0].made_at) if pairs else (None, None)
    sigma = last.area_sigma_m2 if last else 0.1 * finding.area_m2
    largest = outline if isinstance(outline, Polygon) else max(outline.geoms, key=lambda p: p.area)
    kind = Kind(finding.kind) if finding.kind in set(Kind) else Kind.IMAGE_CHANGE
    held = finding.decision if finding.state is FindingState.SUPPRESSED and not finding.decision.startswith(HELD) else None
    measured = last.features if last else {}
    made = Candidate(
        finding.id, largest, finding.area_m2, sigma, finding.height_m, kind, finding.score, finding.reasons, held, measured
    )
    return made, comparison


def _judged_by(session: Session, finding: Finding, comparison: records.ComparisonRecord | None) -> tuple[date, float]:
    day = repositories.surveys.get(session, finding.after_survey).taken_on if finding.after_survey else finding.found_at.date()
    return day, _sigma(float(comparison.record.get("sigma_z_m", 0.0)) if comparison else 0.0)


def _taken_back(session: Session, finding: Finding) -> bool:
    """Whether a person once took this finding back from where it was held: the register does not overrule people."""
    return any(
        e.act == FindingAct.TRIAGE and e.before == FindingState.SUPPRESSED and e.by != SYSTEM.id
        for e in repositories.history(session, "finding", finding.id)
    )
