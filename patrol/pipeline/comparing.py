"""Two surveys of an area to candidates, candidates to findings with evidence, and rechecks answered by the later survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union
from sqlalchemy.orm import Session

from change_detect import persist
from change_detect.align import SurveyPair, align
from change_detect.candidate import Candidate, Kind
from change_detect.errors import ChangeError
from change_detect.raster import Source, working_grid
from dispatch.actor import SYSTEM
from dispatch.case import CaseAct, RecheckResult
from dispatch.finding import Finding, FindingAct, FindingId, FindingState
from dispatch.office import Facts
from dispatch.refusal import Refusal
from geo.area import Area
from geo.progress import Progress, silent
from imagery import evidence
from imagery.cells import WORST_P95_PX, CellState, cells
from imagery.reasons import Reason
from imagery.residual import Residual
from patrol import audit, calibrations, records, repositories
from patrol.pipeline import choosing, evidencing, following, looking, overlaying, scoring, watching
from patrol.pipeline.surveying import load_survey
from patrol.values import dump
from patrol.wiring import Workplace

KIND_TEXT: Mapping[str, tuple[str, str]] = {
    Kind.NEW_BUILDING: ("新建", "new building"),
    Kind.ROOF_ADDITION: ("加层、楼顶搭建", "roof addition"),
    Kind.EXTENSION: ("扩建", "extension"),
    Kind.SHED_OR_CONTAINER: ("棚、箱房", "shed or container"),
    Kind.DEMOLISHED: ("拆除", "demolished"),
    Kind.FOUNDATION: ("地基", "foundation"),
    Kind.EARTHWORK: ("填挖", "earthwork"),
    Kind.VEGETATION: ("植被", "vegetation"),
    Kind.VEHICLE: ("车辆", "vehicle"),
    Kind.COVER: ("篷布、薄膜", "tarpaulin or film"),
    Kind.MATERIAL: ("堆料", "piled material"),
    Kind.IMAGE_CHANGE: ("影像变化", "change in the images"),
    Kind.ARTEFACT: ("成果瑕疵", "artefact of a survey"),
}
NOT_NEW = frozenset({Kind.DEMOLISHED})


class ComparisonRefused(RuntimeError):
    """Two surveys that cannot be compared, and why."""


def compare(
    work: Workplace,
    area_id: str,
    before_id: str | None = None,
    after_id: str | None = None,
    *,
    by: str,
    progress: Progress = silent,
) -> records.ComparisonRecord:
    """Compare two surveys (by default the last two accepted ones); each change becomes a finding with its evidence.

    `before_id` may be a word: `last`, `good` (the last of good quality) or `best` (the one most alike, see `choosing`).
    Doing it again changes nothing. Raises ComparisonRefused.
    """
    done = begin(work, area_id, before_id, after_id, by=by, progress=progress)
    assert isinstance(done, records.ComparisonRecord)
    return done


def begin(
    work: Workplace,
    area_id: str,
    before_id: str | None = None,
    after_id: str | None = None,
    *,
    by: str,
    progress: Progress = silent,
    shared: bool = False,
) -> records.ComparisonRecord | looking.Share:
    """As `compare`; a `shared` one of many windows comes back as those that others are to look at before it is begun again."""
    with work.database.read() as session:
        area = repositories.areas.get(session, area_id)
        before, after = _chosen(session, area, before_id, after_id)
        there = repositories.comparison_of(session, before.id, after.id)
    if there is not None and not there.record.get("stale"):  # a survey that was moved since is compared anew
        return there
    ids = before.id, after.id
    try:
        sources = source(work, before), source(work, after)
        looked = looking.detect(work, ids, sources, lambda: _aligned(*sources, progress), progress, shared=shared)
        if isinstance(looked, looking.Share):
            return looked
        pair, found = looked
        found += watching.laid_bare(work, area, pair, found, progress)
    except ChangeError as err:
        zh, _, en = str(err).partition(" / ")
        raise ComparisonRefused(f"{before.id} → {after.id}：{zh} / {before.id} → {after.id}: {en or zh}") from err
    residual = pair.residual
    with work.database.read() as session:
        version = calibrations.in_force(session)
        found = scoring.scored(found, version, area.id)
        overlays = overlaying.overlay(session, area, found, after.taken_on, sigma_z_m=residual.sigma_z_m, pair=pair)
        known = following.remember(session, area, before, after)
    found = tuple(said.told(candidate) for said, candidate in zip(overlays, found, strict=True))
    gone = _gone(work, area, after, found, known.things, progress)
    comparison = records.ComparisonRecord(
        id=f"{before.id}_{after.id}",
        area_id=area.id,
        before_id=before.id,
        after_id=after.id,
        made_at=work.clock.now(),
        record={
            "sigma_xy_m": residual.sigma_xy_m,
            "p95_px": residual.p95_px,
            "sigma_z_m": residual.sigma_z_m,
            "leaning": residual.leaning,
            "tiles_used": residual.tiles_used,
            "tiles_tried": residual.tiles_tried,
            "warnings": list(residual.warnings),
            "up_m": residual.up_m.coefficients[0] if residual.up_m is not None else 0.0,
            "masked": masked(area, pair),
            "calibration": version.number if version is not None else 0,
        },
    )
    pieces = []
    desk = evidencing.EvidenceDesk(load_survey(work, before), load_survey(work, after))
    for number, candidate in enumerate(found):
        progress(number, len(found), "evidence")
        pieces.append(desk.pieces(candidate.outline, photos=candidate.suppressed is None))
    with work.database.write() as session:
        repositories.comparisons.put(session, comparison)
        first = following.forget(session, comparison.id)  # a comparison made anew says anew what it saw
        matches = following.follow(found, known)
        for candidate, said, match, crops in zip(found, overlays, matches, pieces, strict=True):
            if candidate.id in gone:
                finding_id, seen = gone[candidate.id]
                following.keep_gone(work, session, area, finding_id, seen, comparison, after)
                _candidate(session, area, comparison, candidate, finding_id)
                _keep_crops(work, session, finding_id, crops)
                continue
            finding_id = _promote(work, session, area, comparison, candidate, match)
            _keep_crops(work, session, finding_id, crops)
            following.keep(work, session, finding_id, match, comparison, after, first=finding_id in first)
            if match.known_id is None or candidate.suppressed is None:
                overlaying.keep(work, session, finding_id, said, after.taken_on, comparison.id)
        details = {"area": area.id, "candidates": len(found)}
        audit.append(session, by, "comparison.add", f"comparison:{comparison.id}", at=comparison.made_at, details=details)
    answer_rechecks(work, area, after, progress=progress)
    looking.leave(work, ids)
    return comparison


def _chosen(
    session: Session, area: Area, before_id: str | None, after_id: str | None
) -> tuple[records.SurveyRecord, records.SurveyRecord]:
    accepted = repositories.surveys_of(session, area.id, accepted=True)
    if after_id is None and len(accepted) < 2:
        raise ComparisonRefused(
            f"巡查单元 {area.name} 只有 {len(accepted)} 期合格成果，比对需要两期：请再入库一期 / "
            f"area {area.name} has {len(accepted)} accepted survey(s); two are needed: ingest another date"
        )
    after = repositories.surveys.get(session, after_id) if after_id else accepted[-1]
    if before_id is None:
        earlier = [s for s in accepted if (s.taken_on, s.made_at) < (after.taken_on, after.made_at)]
        if not earlier:
            raise ComparisonRefused(
                f"巡查单元 {area.name} 在 {after.taken_on} 之前没有合格成果，请指明与哪一期比对 / "
                f"area {area.name} has no accepted survey before {after.taken_on}: name the one to compare with"
            )
        before = earlier[-1]
    elif before_id in choosing.WORDS:
        choice = choosing.named(session, area, after, before_id)
        if choice is None:
            raise ComparisonRefused(
                f"巡查单元 {area.name} 在 {after.taken_on} 之前没有符合“{before_id}”的成果，请指明与哪一期比对 / "
                f"area {area.name} has no {before_id} survey before {after.taken_on}: name the one to compare with"
            )
        before = repositories.surveys.get(session, choice.look.id)
    else:
        before = repositories.surveys.get(session, before_id)
    for survey in (before, after):
        if survey.area_id != area.id:
            raise ComparisonRefused(
                f"成果 {survey.id} 不属于巡查单元 {area.name}，请重新选择 / survey {survey.id} is not of area {area.name}: choose another"
            )
    if before.id == after.id:
        raise ComparisonRefused(
            f"成果 {before.id} 不能与自身比对，请选择另一期 / survey {before.id} cannot be compared with itself: choose another date"
        )
    return before, after


def source(work: Workplace, record: records.SurveyRecord) -> Source:
    """A survey as change detection reads it."""
    folder = work.settings.home / record.folder

    def path(role: str) -> Path | None:
        asset = record.asset(role)
        return folder / asset.path if asset else None

    ortho = path("ortho")
    if ortho is None:
        raise ComparisonRefused(
            f"成果 {record.id} 没有正射影像，请重新入库 / survey {record.id} has no orthophoto: ingest it again"
        )
    return Source.of(
        ortho,
        taken_on=record.taken_on,
        surface=path("surface"),
        sigma=path("sigma"),
        filled=path("filled"),
        flags=path("flags"),
        grid=None,
        refused=refused_cells(work, record),
    )


def refused_cells(work: Workplace, record: records.SurveyRecord) -> MultiPolygon | None:
    """Where a survey lies too far off its reference to be compared (95th percentile above 3 px), metres of its frame."""
    survey = load_survey(work, record)
    if survey.residual is None:
        return None
    bad = [c.outline_m for c in cells(Residual.load(survey.residual), survey.grid) if c.state is CellState.REFUSED]
    return polygons(unary_union(bad)) if bad else None


def polygons(shape: BaseGeometry) -> MultiPolygon:
    """The polygons of a union."""
    return MultiPolygon([p for p in getattr(shape, "geoms", (shape,)) if isinstance(p, Polygon)])


def masked(area: Area, pair: SurveyPair) -> Mapping[str, Any]:
    """The share of the area that a comparison leaves out, and why, in both languages."""
    parts = [s.refused for s in (pair.before, pair.after) if s.refused is not None]
    share = float(unary_union(parts).intersection(area.outline_m).area / area.area_m2) if parts else 0.0
    why = Reason(
        "residual_cells",
        f"有 {share:.1%} 的面积与参考期错位超过 {WORST_P95_PX:.0f} 像素，未参与比对。",
        f"{share:.1%} of the area lies more than {WORST_P95_PX:.0f} px off the reference and was not compared.",
        share,
        WORST_P95_PX,
    )
    return {"share": share, "reasons": [dump(why)] if parts else []}


def aligned(
    work: Workplace, before: records.SurveyRecord, after: records.SurveyRecord, progress: Progress = silent
) -> SurveyPair:
    """The pair on its working grid, with what still lies between the two measured."""
    return _aligned(source(work, before), source(work, after), progress)


def _aligned(old: Source, new: Source, progress: Progress) -> SurveyPair:
    grid = working_grid(old.grid)
    return align(old.on(grid), new.on(grid), progress)


def _promote(
    work: Workplace,
    session: Session,
    area: Area,
    comparison: records.ComparisonRecord,
    candidate: Candidate,
    match: persist.Match,
) -> str:
    """A candidate to a finding: a new one, or one more sighting of one that is there; its id."""
    if match.known_id is not None:
        following.seen(work, session, area, candidate, match, comparison)
        _candidate(session, area, comparison, candidate, match.known_id)
        return match.known_id
    found = Finding(
        id=FindingId(repositories.new_id()),
        number=repositories.finding_number(session, work.clock),
        area_id=area.id,
        outline_wgs84=area.frame.to_degrees(candidate.outline),
        area_m2=candidate.area_m2,
        height_m=candidate.height_m,
        kind=candidate.kind,
        score=candidate.score,
        state=FindingState.DETECTED,
        found_at=work.clock.now(),
        before_survey=comparison.before_id,
        after_survey=comparison.after_id,
        reasons=candidate.reasons,
    )
    repositories.report_finding(session, found, SYSTEM)
    act = FindingAct.SUPPRESS if candidate.suppressed else FindingAct.TRIAGE
    done = repositories.judge_finding(session, found.id, act, SYSTEM, work.clock, reason=candidate.suppressed or "")
    if isinstance(done, Refusal):
        raise ComparisonRefused(f"finding {found.number}: {done.text('en')}")
    _candidate(session, area, comparison, candidate, found.id)
    return found.id


def _candidate(session: Session, area: Area, comparison: records.ComparisonRecord, candidate: Candidate, finding_id: str) -> None:
    record = records.CandidateRecord(
        id=f"{comparison.id}-{candidate.id}",
        comparison_id=comparison.id,
        area_id=area.id,
        outline=area.frame.to_degrees(candidate.outline),
        area_m2=candidate.area_m2,
        area_sigma_m2=candidate.area_sigma_m2,
        height_m=candidate.height_m,
        kind=candidate.kind,
        score=candidate.score,
        reasons=candidate.reasons,
        suppressed=candidate.suppressed,
        finding_id=finding_id,
        features=candidate.features,
    )
    repositories.candidates.put(session, record)


def _keep_crops(work: Workplace, session: Session, finding_id: str, crops: tuple[tuple[str, evidence.Crop, str], ...]) -> None:
    for role, crop, survey_id in crops:
        evidencing.keep(work, session, finding_id, role, crop, survey_id)


def _gone(
    work: Workplace,
    area: Area,
    after: records.SurveyRecord,
    found: Sequence[Candidate],
    known: Sequence[persist.Known],
    progress: Progress,
) -> Mapping[str, tuple[str, persist.Presence]]:
    """Lost candidates that are known things gone, each judged against the survey from before it was built: id → (finding, answer)."""
    gone: dict[str, tuple[str, persist.Presence]] = {}
    pairs: dict[str, SurveyPair] = {}
    for candidate, thing in persist.lost(found, known):
        with work.database.read() as session:
            finding = repositories.findings.get(session, thing.id)
            base = repositories.surveys.get(session, finding.before_survey) if finding.before_survey else None
        if base is None or base.id == after.id:
            continue
        if base.id not in pairs:
            pairs[base.id] = aligned(work, base, after, progress)
        seen = persist.presence(pairs[base.id], thing.outline)
        if seen.gone:
            gone[candidate.id] = (thing.id, seen)
    return gone


def answer_rechecks(
    work: Workplace, area: Area, after: records.SurveyRecord, *, progress: Progress = silent
) -> tuple[tuple[str, bool], ...]:
    """Each open recheck order of the area that this survey is late enough for: (case id, whether it is gone)."""
    with work.database.read() as session:
        orders = [o for o in repositories.open_rechecks(session, area.id) if after.taken_on >= o.not_before]
        cases = [repositories.cases.get(session, order.case_id) for order in orders]
        findings = [repositories.findings.get(session, case.finding_id) for case in cases]
        baselines = {f.before_survey: repositories.surveys.get(session, f.before_survey) for f in findings if f.before_survey}
    answers = []
    pairs: dict[str, SurveyPair] = {}
    for order, case, finding in zip(orders, cases, findings, strict=True):
        if finding.before_survey is None or finding.before_survey == after.id:
            continue
        if finding.before_survey not in pairs:
            pairs[finding.before_survey] = aligned(work, baselines[finding.before_survey], after, progress)
        pair = pairs[finding.before_survey]
        seen = persist.presence(pair, _outline(area, finding))
        if seen.state == "unknown":
            continue  # this survey does not see the place: the order waits for the next one
        result = RecheckResult(seen.gone, work.clock.now(), survey_id=after.id, note=seen.why)
        with work.database.write() as session:
            done = repositories.act_on_case(
                session, case.id, CaseAct.RECORD, SYSTEM, Facts(recheck=result), clock=work.clock, office=work.office
            )
            if isinstance(done, Refusal):
                continue  # the case has moved on; the order stays open for the next survey
            repositories.recheck_orders.put(session, replace(order, survey_id=after.id, done_at=work.clock.now()))
            for role, crop, survey_id in _recheck_evidence(work, baselines[finding.before_survey], after, area, finding):
                evidencing.keep(work, session, finding.id, role, crop, survey_id)
        answers.append((str(case.id), seen.gone))
    return tuple(answers)


def _recheck_evidence(
    work: Workplace, before: records.SurveyRecord, after: records.SurveyRecord, area: Area, finding: Finding
) -> tuple[tuple[str, evidence.Crop, str], ...]:
    outline = _outline(area, finding)
    old, new = load_survey(work, before), load_survey(work, after)
    pieces = [("recheck", evidence.chip(new, outline), after.id)]
    if old.surface is not None and new.surface is not None:
        pieces.append(("recheck_height", evidence.height_chip(old, new, outline), after.id))
    return tuple(pieces)


def _outline(area: Area, finding: Finding) -> Polygon:
    """A finding's outline in the area's metres; of several parts, the largest."""
    outline = area.frame.to_metres(finding.outline_wgs84)
    return outline if isinstance(outline, Polygon) else max(outline.geoms, key=lambda part: part.area)
