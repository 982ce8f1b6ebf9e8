"""Routes of one survey: how it lies on its reference, as numbers by cell and as a picture."""

from __future__ import annotations

import hashlib
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from imagery import cells
from imagery.residual import Residual
from imagery.survey import Survey
from patrol import records, repositories, tasks
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Nudger, Viewer, Work
from patrol.pipeline.surveying import load_survey
from patrol.wiring import Workplace

router = APIRouter(prefix="/api/surveys", tags=["surveys"])
_PICTURE = "residual.png"


class ResidualCell(wire.Wire):
    """A square of ground and how far the survey lies off the reference in it; pixels of the grid, east and south."""

    outline: wire.Geometry
    state: Literal["good", "refused", "unknown"]
    tried: int
    found: int
    east_px: float | None
    south_px: float | None
    p95_px: float | None
    p95_cm: float | None
    colour: str


class ResidualArrow(wire.Wire):
    """The shift of one tile: from its middle to where an arrow of it ends on the map, `arrows_longer` times as far."""

    start: tuple[float, float]
    end: tuple[float, float]
    east_px: float
    south_px: float


class ResidualStep(wire.Wire):
    """A step of the scale that cells are coloured by, upper end None for the last."""

    colour: str
    from_px: float
    to_px: float | None
    from_cm: float
    to_cm: float | None


class ResidualOut(wire.Wire):
    """The residual of a survey against its reference, by cell and tile."""

    gsd_m: float
    worst_px: float = Field(description="95th percentile above which a cell is not compared")
    worst_cm: float
    scale: list[ResidualStep] = Field(description="from good to refused, by the 95th percentile of a cell")
    unknown_colour: str
    arrows_longer: float
    picture: str | None = Field(description="where the same is as a PNG")
    tried: int
    found: int
    median_px: float | None
    median_cm: float | None
    p90_px: float | None
    p90_cm: float | None
    p95_px: float | None
    p95_cm: float | None
    cells: list[ResidualCell]
    arrows: list[ResidualArrow]


@router.get("/{survey_id}/residual", operation_id="survey_residual")
def residual(survey_id: str, work: Work, _: Viewer) -> ResidualOut:
    """How far each part of a survey lies off its reference."""
    survey, found = _residual(work, _record(work, survey_id))
    frame = survey.grid.frame
    longer = cells.exaggeration(found, survey.grid)

    def degrees(x_m: float, y_m: float) -> tuple[float, float]:
        at = frame.lonlat(x_m, y_m)
        return at.lon_deg, at.lat_deg

    squares = [
        ResidualCell(
            outline=rim.geometry(frame.to_degrees(c.outline_m)),
            state=c.state.value,
            tried=c.tried,
            found=c.found,
            east_px=c.east_px,
            south_px=c.south_px,
            p95_px=c.p95_px,
            p95_cm=None if c.p95_px is None else _cm(c.p95_px, found),
            colour=_hex(cells.colour(c.p95_px)),
        )
        for c in cells.cells(found, survey.grid)
    ]
    arrows = []
    for (x, y), (east, south) in zip(found.places_m.tolist(), found.shifts_px.tolist(), strict=True):
        end = degrees(x + east * longer * found.gsd_m, y - south * longer * found.gsd_m)
        arrows.append(ResidualArrow(start=degrees(x, y), end=end, east_px=east, south_px=south))
    steps = [
        ResidualStep(
            colour=_hex(rgb), from_px=low, to_px=high, from_cm=_cm(low, found), to_cm=None if high is None else _cm(high, found)
        )
        for low, high, rgb in cells.scale()
    ]
    picture = survey.folder / _PICTURE
    figures = ("median_px", "median_cm", "p90_px", "p90_cm", "p95_px", "p95_cm")
    return ResidualOut(
        gsd_m=found.gsd_m,
        worst_px=cells.WORST_P95_PX,
        worst_cm=_cm(cells.WORST_P95_PX, found),
        scale=steps,
        unknown_colour=_hex(cells.UNKNOWN),
        arrows_longer=longer,
        picture=f"/api/surveys/{survey_id}/{_PICTURE}" if picture.is_file() else None,
        tried=found.tried,
        found=found.found,
        cells=squares,
        arrows=arrows,
        **{name: getattr(found, name) for name in figures},
    )


@router.get("/{survey_id}/residual.png", operation_id="survey_residual_picture", response_class=Response)
def residual_picture(survey_id: str, request: Request, work: Work, _: Viewer) -> Response:
    """The same as a picture over the orthophoto."""
    survey, _found = _residual(work, _record(work, survey_id))
    path = survey.folder / _PICTURE
    if not path.exists():
        raise rim.Problem(
            404, "no_picture", "该期成果没有错位图。", "This survey has no picture of its residual: it was built earlier."
        )
    data = path.read_bytes()
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/png", headers=headers)


def _cm(pixels: float, found: Residual) -> float:
    return round(100 * pixels * found.gsd_m, 2)


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


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
