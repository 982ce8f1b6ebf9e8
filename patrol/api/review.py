"""Routes of the review desk: areas, surveys, comparisons, findings and evidence."""

from __future__ import annotations

from datetime import date
from typing import Literal

from fastapi import APIRouter, Response

from dispatch.cause import Cause
from dispatch.finding import FindingState
from dispatch.refusal import Refusal
from patrol import repositories, tasks
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import CaseWorker, Comparer, Triager, Viewer, Work
from patrol.pipeline import casework, choosing

router = APIRouter(prefix="/api", tags=["review"])
_CHECKED = {"Cache-Control": "private, no-cache"}  # a mask may be burnt into a survey later: the browser asks each time


@router.get("/areas", operation_id="list_areas")
def list_areas(work: Work, _: Viewer) -> list[wire.AreaOut]:
    """All areas."""
    with work.database.read() as session:
        return [rim.area(session, a) for a in repositories.areas.where(session)]


@router.get("/areas/{area_id}/surveys", operation_id="list_surveys")
def list_surveys(area_id: str, work: Work, _: Viewer) -> list[wire.SurveyOut]:
    """An area's surveys, oldest first."""
    with work.database.read() as session:
        repositories.areas.get(session, area_id)
        return [rim.survey(work, s) for s in repositories.surveys_of(session, area_id)]


@router.get("/areas/{area_id}/comparisons", operation_id="list_comparisons")
def list_comparisons(area_id: str, work: Work, _: Viewer) -> list[wire.ComparisonOut]:
    """An area's compared pairs, newest first."""
    with work.database.read() as session:
        repositories.areas.get(session, area_id)
        out = [rim.comparison(session, c) for c in repositories.comparisons_of(session, area_id)]
    return sorted(out, key=lambda c: (c.after_on, c.made_at), reverse=True)


@router.post("/areas/{area_id}/compare", operation_id="compare")
def compare(area_id: str, body: wire.Compare, work: Work, user: Comparer) -> wire.JobOut:
    """Ask for a comparison; the job does it."""
    with work.database.read() as session:
        repositories.areas.get(session, area_id)
    made = tasks.submit(
        tasks.make_app(work.settings),
        work.database,
        "compare",
        {"area_id": area_id, "before_id": body.before_id, "after_id": body.after_id, "by": user.id},
        by=user.id,
        clock=work.clock,
        key=f"compare:{area_id}:{body.before_id}:{body.after_id}",
    )
    return rim.job(made)


@router.get("/findings", operation_id="list_findings")
def list_findings(
    work: Work,
    _: Viewer,
    area: str | None = None,
    comparison: str | None = None,
    state: str | None = None,
    watch: Literal["pipeline"] | None = None,
) -> list[wire.FindingOut]:
    """Findings, the most urgent first (works near pipelines, which `watch` asks for alone), then the surest."""
    states = tuple(s for s in (state or "").split(",") if s in set(FindingState))
    with work.database.read() as session:
        found, _all = repositories.search_findings(session, repositories.CaseFilter(states=states, area_id=area), limit=2000)
        out = [rim.finding(session, f) for f in found]
        if comparison is not None:
            wanted = {c.finding_id for c in repositories.candidates_of(session, comparison)}
            out = [f for f in out if f.id in wanted]
    if watch is not None:
        out = [f for f in out if f.watch is not None]
    return out


@router.post("/findings/{finding_id}/decision", operation_id="decide")
def decide(finding_id: str, body: wire.FindingDecision, work: Work, user: Triager) -> wire.FindingOut:
    """A reviewer's word; confirming opens the case."""
    cause = Cause(body.cause) if body.cause else None
    done = casework.decide(work, finding_id, body.decision, body.note, user.actor, cause=cause)
    if isinstance(done, Refusal):
        raise rim.refused(done)
    with work.database.read() as session:
        return rim.finding(session, done)


@router.get("/findings/{finding_id}/evidence", operation_id="finding_evidence")
def finding_evidence(finding_id: str, work: Work, _: Viewer) -> list[wire.EvidenceOut]:
    """A finding's evidence."""
    with work.database.read() as session:
        repositories.findings.get(session, finding_id)
        return [rim.evidence(work, e) for e in repositories.evidence_of(session, "finding", finding_id)]


class ChoiceOut(wire.Wire):
    """An earlier survey to set against a finding's later one, how well it suits, and why."""

    survey_id: str
    taken_on: date
    score: float
    good: bool
    reasons: list[wire.Text2]


class PairOut(wire.Wire):
    """The later survey of a finding and the earlier ones, the best first."""

    after_id: str
    choices: list[ChoiceOut]


@router.get("/findings/{finding_id}/pairs", operation_id="finding_pairs")
def finding_pairs(finding_id: str, work: Work, _: Viewer) -> PairOut:
    """Which earlier survey shows best what was at a finding's place before."""
    after, found = choosing.of_finding(work, finding_id)
    ranked = [
        ChoiceOut(
            survey_id=c.look.id,
            taken_on=c.look.taken_on,
            score=round(c.score, 3),
            good=c.look.is_good,
            reasons=[wire.Text2(zh=zh, en=en) for zh, en in zip(c.zh, c.en, strict=True)],
        )
        for c in found
    ]
    return PairOut(after_id=after.id, choices=ranked)


class SightingOut(wire.Wire):
    """What one survey said of a finding."""

    taken_on: date
    said: Literal["new", "same", "grown", "stage", "gone", "returned"]
    stage: Literal["foundation", "walls", "roof"]
    area_m2: float
    height_m: float | None
    text: wire.Text2
    comparison_id: str


@router.get("/findings/{finding_id}/sightings", operation_id="finding_sightings")
def finding_sightings(finding_id: str, work: Work, _: Viewer) -> list[SightingOut]:
    """A finding through the surveys, oldest first."""
    names = ("taken_on", "said", "stage", "area_m2", "height_m", "comparison_id")
    with work.database.read() as session:
        repositories.findings.get(session, finding_id)
        found = repositories.sightings_of(session, finding_id)
    return [SightingOut(**{n: getattr(s, n) for n in names}, text=wire.Text2(zh=s.zh, en=s.en)) for s in found]


@router.get("/evidence/{evidence_id}", operation_id="get_evidence", response_class=Response)
def get_evidence(evidence_id: str, work: Work, _: CaseWorker) -> Response:
    """The picture of a piece of evidence."""
    with work.database.read() as session:
        piece = repositories.evidence.get(session, evidence_id)
    if piece.removed_at is not None:
        day = f"{piece.removed_at:%Y-%m-%d}"
        zh, en = (
            f"该证据图片已于 {day} 清理，哈希 {piece.sha256} 留存。",
            f"This picture was let go on {day}; its hash {piece.sha256} stays.",
        )
        raise rim.Problem(410, "removed", zh, en)
    return Response(work.blobs.read(piece.sha256), media_type=piece.media_type, headers=_CHECKED)
