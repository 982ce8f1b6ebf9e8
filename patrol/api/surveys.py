"""Routes of one survey: how it lies on its reference, as numbers by cell and as a picture."""

from __future__ import annotations

from fastapi import APIRouter, Response

from imagery.cells import WORST_P95_PX, cells
from imagery.residual import Residual
from imagery.survey import Survey
from patrol import records, repositories, tasks
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Nudger, Viewer, Work
from patrol.pipeline.surveying import load_survey
from patrol.wiring import Workplace

router = APIRouter(prefix="/api/surveys", tags=["surveys"])


@router.get("/{survey_id}/residual", operation_id="survey_residual")
def residual(survey_id: str, work: Work, _: Viewer) -> wire.ResidualOut:
    """How far each part of a survey lies off its reference."""
    survey, found = _residual(work, _record(work, survey_id))
    frame = survey.grid.frame
    squares = [
        wire.ResidualCell(
            outline=rim.geometry(frame.to_degrees(c.outline_m)),
            state=c.state.value,
            tried=c.tried,
            found=c.found,
            east_px=c.east_px,
            south_px=c.south_px,
            p95_px=c.p95_px,
        )
        for c in cells(found, survey.grid)
    ]
    arrows = []
    for (x, y), (east, south) in zip(found.places_m.tolist(), found.shifts_px.tolist(), strict=True):
        at = frame.lonlat(x, y)
        arrows.append(wire.ResidualArrow(lon_deg=at.lon_deg, lat_deg=at.lat_deg, east_px=east, south_px=south))
    return wire.ResidualOut(
        gsd_m=found.gsd_m,
        worst_px=WORST_P95_PX,
        tried=found.tried,
        found=found.found,
        median_px=found.median_px,
        median_cm=found.median_cm,
        p90_px=found.p90_px,
        p90_cm=found.p90_cm,
        cells=squares,
        arrows=arrows,
    )


@router.get("/{survey_id}/residual.png", operation_id="survey_residual_picture", response_class=Response)
def residual_picture(survey_id: str, work: Work, _: Viewer) -> Response:
    """The same as a picture over the orthophoto."""
    survey, _found = _residual(work, _record(work, survey_id))
    path = survey.folder / "residual.png"
    if not path.exists():
        raise rim.Problem(
            404, "no_picture", "该期成果没有错位图。", "This survey has no picture of its residual: it was built earlier."
        )
    return Response(path.read_bytes(), media_type="image/png")


@router.post("/{survey_id}/nudge", operation_id="nudge_survey")
def nudge(survey_id: str, body: wire.NudgeIn, work: Work, user: Nudger) -> wire.JobOut:
    """Move a survey by hand, or take the last move back; the job does it."""
    _record(work, survey_id)
    args = {"survey_id": survey_id, "undo": body.undo, "reason": body.reason, "by": user.id}
    made = tasks.submit(
        tasks.make_app(work.settings),
        work.database,
        "nudge",
        {**args, "east_m": body.east_m, "north_m": body.north_m, "up_m": body.up_m},
        by=user.id,
        clock=work.clock,
        max_attempts=1,  # a second run would move it twice
    )
    return rim.job(made)


def _record(work: Workplace, survey_id: str) -> records.SurveyRecord:
    with work.database.read() as session:
        return repositories.surveys.get(session, survey_id)


def _residual(work: Workplace, record: records.SurveyRecord) -> tuple[Survey, Residual]:
    survey = load_survey(work, record)
    if survey.residual is None:
        raise rim.Problem(404, "no_residual", "首期成果没有可比较的参考期。", "A first survey has no reference to lie on.")
    return survey, Residual.load(survey.residual)
