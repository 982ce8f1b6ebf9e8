"""Route of a survey's quality: everything on record of how good it is, and what to fly again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from imagery.control import ControlReport
from imagery.reasons import Reason, read_all
from imagery.residual import Residual
from imagery.survey import Survey
from patrol import records, repositories
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Viewer, Work
from patrol.pipeline import sorting
from patrol.pipeline.surveying import load_survey

router = APIRouter(prefix="/api/surveys", tags=["surveys"])


class PhotoAside(wire.Wire):
    """A photo that was set aside, and its own reason."""

    name: str
    text: wire.Text2


class AsideOut(wire.Wire):
    """Photos that were set aside for one reason."""

    code: str
    photos: list[PhotoAside]


class ControlPointOut(wire.Wire):
    """How the block agrees with a surveyed point: block less survey."""

    name: str
    role: Literal["control", "check"]
    marks: int
    xy_m: float | None
    up_m: float | None
    px: float | None


class ResidualSum(wire.Wire):
    """How a survey lies on its reference, over all tiles."""

    tried: int
    found: int
    median_px: float | None
    median_cm: float | None
    p95_px: float | None
    p95_cm: float | None


class QualityDetail(wire.Wire):
    """成果质量: everything that is on record of how good a survey is. `accepted` and the reasons stand in its `quality`."""

    survey: wire.SurveyOut
    area_m2: float
    residual: ResidualSum | None = Field(description="None for a first survey")
    control: list[ControlPointOut]
    photos_used: int | None = Field(description="after screening; None for an orthophoto that was taken over")
    remarks: list[wire.QualityReason] = Field(description="on the set of photos as a whole; the reasons hold them too")
    set_aside: list[AsideOut]
    make_up: str | None = Field(description="the command that plans a flight over the gap; None without a gap")


@router.get("/{survey_id}/quality", operation_id="survey_quality")
def quality(survey_id: str, work: Work, _: Viewer) -> QualityDetail:
    """How good a survey is, whether it was accepted or not."""
    with work.database.read() as session:
        record = repositories.surveys.get(session, survey_id)
        area = repositories.areas.get(session, record.area_id)
    survey = load_survey(work, record)
    screening = work.settings.home / record.folder / sorting.RECORD
    told = json.loads(screening.read_text(encoding="utf-8")) if screening.is_file() else {}
    return QualityDetail(
        survey=rim.survey(work, record),
        area_m2=round(area.area_m2, 1),
        residual=_residual(survey),
        control=_control(record),
        photos_used=len(told["used"]) if told else None,
        remarks=[rim.quality_reason(r) for r in read_all(told.get("remarks", ()))],
        set_aside=_set_aside(told),
        make_up=_make_up(record),
    )


def _residual(survey: Survey) -> ResidualSum | None:
    if survey.residual is None:
        return None
    found = Residual.load(survey.residual)
    return ResidualSum(**{name: getattr(found, name) for name in ResidualSum.model_fields})


def _control(record: records.SurveyRecord) -> list[ControlPointOut]:
    given = record.quality.get("control")
    points = ControlReport.of_record(given).points if given else ()
    return [ControlPointOut(name=p.name, role=p.role.value, marks=p.marks, xy_m=p.xy_m, up_m=p.up_m, px=p.px) for p in points]


def _set_aside(told: Mapping[str, Any]) -> list[AsideOut]:
    """By reason, the most frequent first; files that could not be read are a reason of their own."""
    by: dict[str, list[PhotoAside]] = {}
    for line in told.get("set_aside", ()):
        text = wire.Text2(zh=line["zh"], en=line["en"])
        by.setdefault(line["code"], []).append(PhotoAside(name=line["name"], text=text))
    for line in told.get("refused", ()):
        why = Reason.read(line["reason"])
        by.setdefault("unreadable", []).append(PhotoAside(name=line["name"], text=wire.Text2(zh=why.zh, en=why.en)))
    return [AsideOut(code=code, photos=photos) for code, photos in sorted(by.items(), key=lambda item: -len(item[1]))]


def _make_up(record: records.SurveyRecord) -> str | None:
    if record.accepted or not record.quality.get("gap"):
        return None
    return shlex.join(["patrol", "plan", record.area_id, "--gap", record.id, "--out", f"makeup-{record.id}"])
