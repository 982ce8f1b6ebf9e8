"""Routes of what leaves the store: requests and their second person, classification, masks, thumbnails, and pictures made fit to hand out."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from patrol import records, repositories, rules, tasks
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Approver, CaseWorker, Exporter, Masker, Someone, Viewer, Work
from patrol.auth import Permission
from patrol.pipeline import attributes, exporting, handing, masking, publishing
from patrol.tables import ExportRow

router = APIRouter(prefix="/api", tags=["export"])
_CHECKED = {"Cache-Control": "private, no-cache"}


class ExportOut(wire.Wire):
    """对外提供申请: who wants to take which survey's files out, and what a second person said."""

    id: str
    survey_id: str
    what: str
    reason: str
    classification: str
    area_m2: float
    contiguous_m2: float = Field(description="with what the same person took beside it lately")
    state: Literal["asked", "approved", "refused"]
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str


class ExportAsk(wire.Wire):
    """Ask to take a survey's files out."""

    survey_id: str = Field(max_length=200)
    reason: str = Field(min_length=2, max_length=2000)


class ExportDecision(wire.Wire):
    """A second person's word."""

    approve: bool
    note: str = Field(default="", max_length=2000)


class LevelOut(wire.Wire):
    """密级."""

    code: str
    text: wire.Text2
    second_person_from_m2: float


class Classify(wire.Wire):
    """Another level for a survey."""

    classification: str = Field(max_length=50)


class MaskOut(wire.Wire):
    """遮蔽区; its outline is itself not for everyone."""

    id: str
    name: str
    kind: str
    authority: str
    reason: str
    outline: wire.Geometry
    made_by: str
    made_at: datetime


def refused(said: exporting.ExportRefused) -> rim.Problem:
    """A refused export as an answer: 403 with the article; the request that can be decided is named in the text."""
    reason = wire.Reason(code=said.code, text=wire.Text2(zh=said.zh, en=said.en), article=said.article or None)
    return rim.Problem(403, said.code, said.zh, said.en, (reason,))


def _out(value: records.ExportRecord) -> ExportOut:
    names = ExportOut.model_fields
    return ExportOut(**{name: getattr(value, name) for name in names})


@router.get("/classification", operation_id="list_levels")
def list_levels(work: Work, _: Viewer) -> list[LevelOut]:
    """The classification levels of this installation."""
    return [
        LevelOut(code=v.code, text=wire.Text2(zh=v.zh, en=v.en), second_person_from_m2=v.second_person_from_m2)
        for v in rules.levels(work.settings).values()
    ]


@router.post("/surveys/{survey_id}/classification", operation_id="classify_survey")
def classify_survey(survey_id: str, body: Classify, work: Work, user: Approver) -> wire.SurveyOut:
    """Give a survey another level."""
    return rim.survey(work, exporting.classify(work, survey_id, body.classification, by=user.id))


@router.get("/exports", operation_id="list_exports")
def list_exports(work: Work, user: Someone, state: str | None = None) -> list[ExportOut]:
    """Requests, newest first: all of them for whoever may approve, otherwise one's own."""
    own = [] if user.may(Permission.APPROVE_EXPORT) else [ExportRow.asked_by == user.id]
    if state is not None:
        own.append(ExportRow.state == state)
    with work.database.read() as session:
        found = repositories.exports.where(session, *own, order=(ExportRow.asked_at.desc(),), limit=500)
    return [_out(e) for e in found]


@router.post("/exports", operation_id="ask_export")
def ask_export(body: ExportAsk, work: Work, user: Exporter) -> ExportOut:
    """Ask to take a survey's files out; approved at once where no second person is needed."""
    return _out(exporting.ask(work, body.survey_id, by=user.id, reason=body.reason))


@router.post("/exports/{export_id}/decision", operation_id="decide_export")
def decide_export(export_id: str, body: ExportDecision, work: Work, user: Approver) -> ExportOut:
    """The second person's word; nobody decides their own request."""
    done = exporting.decide(work, export_id, approve=body.approve, by=user.id, note=body.note)
    if isinstance(done, exporting.ExportRefused):
        raise refused(done)
    return _out(done)


@router.post("/surveys/{survey_id}/cloud", operation_id="make_cloud")
def make_cloud(survey_id: str, work: Work, user: Exporter) -> wire.JobOut:
    """Have a survey's point cloud made; it is then the asset `cloud`."""
    leave = exporting.take(work, survey_id, "cloud", by=user.id)
    if isinstance(leave, exporting.ExportRefused):
        raise refused(leave)
    made = tasks.submit(
        tasks.make_app(work.settings),
        work.database,
        "point_cloud",
        {"survey_id": survey_id, "by": user.id},
        by=user.id,
        clock=work.clock,
        key=f"point_cloud:{survey_id}",
    )
    return rim.job(made)


@router.get("/surveys/{survey_id}/thumbnail", operation_id="thumbnail", response_class=Response)
def thumbnail(survey_id: str, work: Work, _: Viewer) -> Response:
    """A small picture of a survey."""
    with work.database.read() as session:
        survey = repositories.surveys.get(session, survey_id)
    found = survey.asset("thumbnail")
    if found is None or not work.blobs.has(found.sha256):
        return Response(status_code=204, headers=_CHECKED)
    return Response(work.blobs.read(found.sha256), media_type="image/webp", headers=_CHECKED | {"ETag": f'"{found.sha256}"'})


class AttributeOut(wire.Wire):
    """One attribute of a finding (图斑), named in both languages; `short` is its name in a Shapefile."""

    code: str
    short: str
    text: wire.Text2
    unit: str
    value: str | float | int | None


@router.get("/findings/{finding_id}/attributes", operation_id="finding_attributes")
def finding_attributes(finding_id: str, work: Work, _: Viewer) -> list[AttributeOut]:
    """All attributes of a finding, in the order of exports."""
    with work.database.read() as session:
        (plot,) = attributes.plots(work, session, [repositories.findings.get(session, finding_id)])
    values = attributes.row(plot)
    return [
        AttributeOut(code=f.code, short=f.short, text=wire.Text2(zh=f.zh, en=f.en), unit=f.unit, value=values[f.code])
        for f in attributes.FIELDS
    ]


@router.get("/findings/export", operation_id="export_findings", response_class=Response)
def export_findings(
    work: Work,
    user: Exporter,
    form: Annotated[Literal["gpkg", "shp", "geojson", "kml", "xlsx"], Query(alias="format")] = "gpkg",
    area: str | None = None,
    state: str | None = None,
    crs: Annotated[int, Query(description="4490, or a 3-degree zone such as 4549 (GeoPackage and Shapefile)")] = 4490,
    encoding: Annotated[Literal["utf-8", "gbk"], Query(description="of a Shapefile")] = "utf-8",
    reason: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Findings as a file: logged, and refused where a second person must approve first."""
    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    done = handing.findings(work, wanted, form, by=user.id, reason=reason, epsg=crs, encoding=encoding)
    if isinstance(done, exporting.ExportRefused):
        raise refused(done)
    headers = {"Cache-Control": "private, no-store", "X-SHA256": done.sha256}
    headers["Content-Disposition"] = f'attachment; filename="{done.name}"'
    return Response(done.content, media_type=done.media_type, headers=headers)


@router.get("/masks", operation_id="list_masks")
def list_masks(work: Work, _: Masker) -> list[MaskOut]:
    """Ground that may not be shown."""
    with work.database.read() as session:
        found = repositories.masks.where(session)
    return [
        MaskOut(
            id=m.id,
            name=m.name,
            kind=m.kind,
            authority=m.authority,
            reason=m.reason,
            outline=rim.geometry(m.outline),
            made_by=m.made_by,
            made_at=m.made_at,
        )
        for m in found
    ]


@router.post("/masks", operation_id="add_masks")
def add_masks(body: dict[str, Any], work: Work, user: Masker) -> wire.JobOut:
    """Masks of a GeoJSON FeatureCollection (`authority` and `reason` of each, WGS 84); the job burns them into what is there."""
    made = masking.import_masks(work, body, "GeoJSON", by=user.id)
    key = "burn_masks:" + hashlib.sha256(",".join(sorted(m.id for m in made)).encode()).hexdigest()[:16]
    app = tasks.make_app(work.settings)
    return rim.job(tasks.submit(app, work.database, "burn_masks", {"by": user.id}, by=user.id, clock=work.clock, key=key))


@router.get("/evidence/{evidence_id}/public", operation_id="public_evidence", response_class=Response)
def public_evidence(evidence_id: str, work: Work, user: CaseWorker) -> Response:
    """A picture of evidence made fit to hand out: faces and plates blurred, no EXIF, with the name and time of who took it."""
    done = publishing.evidence(work, evidence_id, by=user.id, name=user.name)
    headers = {
        "Cache-Control": "private, no-store",
        "X-Original-SHA256": done.original_sha256,
        "Content-Disposition": f'attachment; filename="{evidence_id}.jpg"',
    }
    return Response(done.jpeg, media_type="image/jpeg", headers=headers)
