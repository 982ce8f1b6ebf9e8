"""Findings across surveys: what a comparison saw is matched to what is known, and each sighting is kept.

One table (`SPEAKS`) says when a known thing speaks again; everything else is kept in silence, as a sighting that anyone can read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shapely.geometry import Polygon
from sqlalchemy import delete
from sqlalchemy.orm import Session

from change_detect.candidate import Candidate, Kind
from change_detect.persist import Known, Match, Presence, Sighting, Stage
from change_detect.persist import follow as match_all
from change_detect.rules import RAGGED
from dispatch.actor import SYSTEM
from dispatch.case import CaseAct, CaseState
from dispatch.finding import Finding, FindingAct, FindingState
from dispatch.office import Facts
from dispatch.refusal import Refusal
from geo.area import Area
from patrol import records, repositories
from patrol.tables import FindingRow, SightingRow
from patrol.wiring import Workplace

_LOUD = frozenset({Sighting.GROWN, Sighting.STAGE, Sighting.RETURNED})
SPEAKS: Mapping[FindingState, frozenset[Sighting]] = {
    FindingState.REJECTED: _LOUD,  # silent until it grows, goes a stage further or comes back
    FindingState.SUPPRESSED: _LOUD | {Sighting.SAME},  # what held it back did not hold it this time
}
_OPEN = frozenset({FindingState.TRIAGE, FindingState.CONFIRMED, FindingState.NEEDS_IMAGERY})
_OVER = frozenset({CaseState.CLOSED, CaseState.LEDGERED})


@dataclass(frozen=True, slots=True)
class Remembered:
    """Everything ever found in an area. `quiet` are the ids of what is dismissed or held back, `lost` what this survey found lost before."""

    things: tuple[Known, ...]
    quiet: frozenset[str]
    lost: tuple[Known, ...]


def remember(session: Session, area: Area, before: records.SurveyRecord, after: records.SurveyRecord) -> Remembered:
    """What is known of an area, each thing as it was last seen before a comparison with `before`."""
    found = repositories.findings.where(session, FindingRow.area_id == area.id, FindingRow.state != FindingState.DUPLICATE.value)
    things = {f.id: _known(session, area, f, before) for f in found}
    return Remembered(
        tuple(things[f.id] for f in found if f.kind != Kind.DEMOLISHED),
        frozenset(f.id for f in found if f.state not in _OPEN),
        tuple(things[f.id] for f in found if f.kind == Kind.DEMOLISHED and f.after_survey == after.id),
    )


def _known(session: Session, area: Area, finding: Finding, before: records.SurveyRecord) -> Known:
    seen = [s for s in repositories.sightings_of(session, finding.id) if s.taken_on <= before.taken_on]
    outline = area.frame.to_metres(finding.outline_wgs84)
    after = repositories.surveys.get(session, finding.after_survey) if finding.after_survey else None
    return Known(
        id=finding.id,
        outline=outline if isinstance(outline, Polygon) else max(outline.geoms, key=lambda part: part.area),
        height_m=finding.height_m,
        stood=after is not None and after.taken_on <= before.taken_on,
        gone=bool(seen) and seen[-1].said == Sighting.GONE,
        stage=Stage(seen[-1].stage) if seen else None,
    )


def follow(found: Sequence[Candidate], remembered: Remembered) -> tuple[Match, ...]:
    """The match of each candidate. What is held back joins only what is quiet: it must not hide in an open finding."""
    quiet = tuple(k for k in remembered.things if k.id in remembered.quiet)
    loud, held, lost = (iter(match_all(found, things)) for things in (remembered.things, quiet, remembered.lost))
    return tuple(_chosen(c, *three) for c, *three in zip(found, loud, held, lost, strict=True))


def _chosen(candidate: Candidate, any_: Match, quiet: Match, lost: Match) -> Match:
    if candidate.height_m is not None and candidate.height_m < 0:
        return lost
    return quiet if _is_held(candidate, any_) else any_


def _is_held(candidate: Candidate, match: Match) -> bool:
    """What is too rough for a roof is walls where a foundation is known: it is not held back for that."""
    walls = match.sighting is Sighting.STAGE and (candidate.suppressed or "").startswith(RAGGED)
    return candidate.suppressed is not None and not walls


def seen(
    work: Workplace, session: Session, area: Area, candidate: Candidate, match: Match, comparison: records.ComparisonRecord
) -> None:
    """One more sighting of a known finding: its numbers brought up to date, and its state where `SPEAKS` says so."""
    finding = repositories.findings.get(session, str(match.known_id))
    if _is_held(candidate, match):
        return
    if finding.state in _OPEN:
        finding = replace(finding.seen_again(candidate.score), version=finding.version + 1)
    if match.sighting is not Sighting.SAME:
        outline = area.frame.to_degrees(match.outline)
        finding = replace(
            finding,
            outline_wgs84=outline,
            area_m2=match.outline.area,
            height_m=match.height_m,
            after_survey=comparison.after_id,
            reasons=(*finding.reasons, match.why),
        )
    repositories.findings.put(session, finding)
    if match.sighting in SPEAKS.get(finding.state, frozenset()):
        before = f"（此前 before: {finding.decision}）" if finding.decision else ""
        repositories.judge_finding(session, finding.id, FindingAct.TRIAGE, SYSTEM, work.clock, reason=match.why + before)
    case = repositories.case_of(session, finding.id)
    if case is not None and case.state in _OVER and match.sighting in _LOUD:
        facts = Facts(reason=match.why)
        done = repositories.act_on_case(session, case.id, CaseAct.REOPEN, SYSTEM, facts, clock=work.clock, office=work.office)
        if isinstance(done, Refusal):  # the finding's reasons say it, and the case is for people to open
            return


def keep(
    work: Workplace,
    session: Session,
    finding_id: str,
    match: Match,
    comparison: records.ComparisonRecord,
    after: records.SurveyRecord,
    *,
    first: bool = False,
) -> None:
    """What a comparison saw of a finding, on record; `first` when this comparison, made anew, was the first to see it."""
    _add(
        work,
        session,
        finding_id,
        comparison,
        after,
        said=Sighting.NEW if first else match.sighting,
        stage=match.stage,
        area_m2=match.outline.area,
        height_m=match.height_m,
        zh=match.zh,
        en=match.en,
    )


def keep_gone(
    work: Workplace,
    session: Session,
    area: Area,
    finding_id: str,
    answer: Presence,
    comparison: records.ComparisonRecord,
    after: records.SurveyRecord,
) -> None:
    """A known thing that a survey found gone: its sighting and a reason; what that means for a case is the recheck's to say."""
    finding = repositories.findings.get(session, finding_id)
    zh = f"{after.taken_on} 已拆除：{answer.back:.0%} 的轮廓恢复到建前高度"
    en = f"gone on {after.taken_on}: {answer.back:.0%} of the outline is back at its old height"
    why = f"{zh} / {en}"
    if why not in finding.reasons:
        repositories.findings.put(session, replace(finding, reasons=(*finding.reasons, why)))
    last = repositories.sightings_of(session, finding_id)
    stage = Stage(last[-1].stage) if last else Stage.ROOF
    area_m2 = area.frame.to_metres(finding.outline_wgs84).area
    _add(
        work, session, finding_id, comparison, after, said=Sighting.GONE, stage=stage, area_m2=area_m2, height_m=0.0, zh=zh, en=en
    )


def _add(
    work: Workplace,
    session: Session,
    finding_id: str,
    comparison: records.ComparisonRecord,
    after: records.SurveyRecord,
    *,
    said: Sighting,
    stage: Stage,
    area_m2: float,
    height_m: float | None,
    zh: str,
    en: str,
) -> None:
    made = records.SightingRecord(
        id=repositories.new_id(),
        finding_id=finding_id,
        comparison_id=comparison.id,
        taken_on=after.taken_on,
        said=said.value,
        stage=stage.value,
        area_m2=area_m2,
        height_m=height_m,
        zh=zh,
        en=en,
        made_at=work.clock.now(),
    )
    repositories.sightings.add(session, made)


def forget(session: Session, comparison_id: str) -> frozenset[str]:
    """Let go of what a comparison said before it is made anew; the findings it was the first to see."""
    of = SightingRow.comparison_id == comparison_id
    first = repositories.sightings.where(session, of, SightingRow.said == Sighting.NEW.value)
    session.execute(delete(SightingRow).where(of))
    return frozenset(s.finding_id for s in first)
