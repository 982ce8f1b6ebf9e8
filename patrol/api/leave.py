"""Routes of leave to fly: applications with their files, checks of missions and their acknowledgement, the suitable airspace map."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Literal
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import Field

from airspace import applications
from airspace.applications import STATE_WORDS, TITLES, Act, Application, Facts, Refused
from airspace.papers import Purpose
from airspace.zones import Flag
from geo.times import local_day
from patrol import leave
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import AirKeeper, Viewer, Work
from patrol.pipeline import applying, checking, suitability
from patrol.values import dump

router = APIRouter(prefix="/api", tags=["leave"])
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class ItemOut(wire.Wire):
    """One of the 13 items of Art. 27."""

    number: int
    title: wire.Text2
    text: str
    missing: bool


class ApplicationOut(wire.Wire):
    """飞行活动申请. `due_at` is what its countdown runs to, `seconds_left` how long that is; null once it is decided."""

    id: str
    number: str
    body: str
    kind: Literal["application", "daily_plan"]
    purpose: Literal["patrol", "surveying", "emergency", "urgent"]
    state: Literal["draft", "submitted", "approved", "rejected", "lapsed"]
    state_text: wire.Text2
    mission_ids: list[str]
    items: list[ItemOut]
    flags: list[str]
    apply_by: datetime | None
    decided_by: datetime | None
    due_at: datetime | None
    seconds_left: float | None
    starts_at: datetime
    ends_at: datetime
    decision_number: str
    decision_note: str
    data_version: str
    made_at: datetime


class DraftIn(wire.Wire):
    """What to apply for: missions, acts of Art. 31, and what for."""

    mission_ids: list[str] = Field(min_length=1, max_length=200)
    flags: list[Literal["relay", "drop", "crowd", "moving", "swarm"]] = Field(default_factory=list)
    purpose: Literal["patrol", "surveying", "emergency", "urgent"] = "patrol"
    pilot_id: str | None = None


class ApplicationAct(wire.Wire):
    """An act on an application; an approval has its number, a rejection its reason in `note`."""

    act: Literal["submit", "approve", "reject", "lapse"]
    number: str = Field("", max_length=200)
    decided_by: str = Field("", max_length=200)
    note: str = Field("", max_length=4000)


class ItemIn(wire.Wire):
    """One item written by hand."""

    number: int = Field(ge=1, le=len(TITLES))
    text: str = Field(max_length=8000)


class AirCheckOut(wire.Wire):
    """空域复核: what was found at a stage, under the data of then."""

    id: str
    mission_id: str
    stage: Literal["plan", "export", "report_1h", "arming", "watch"]
    at: datetime
    by: str
    verdict: Literal["clear", "permit_needed", "blocked", "unknown"]
    data_version: str
    stale: bool
    reasons: list[wire.Reason]
    confirmed: str | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None


class ConfirmIn(wire.Wire):
    """The authority's confirmation of a report, by its number."""

    number: str = Field(min_length=1, max_length=200)


class SuitableLayer(wire.Wire):
    """A band of heights over the ground, and what of the city is suitable in it; areas in square metres."""

    low_m: float
    high_m: float
    outline: wire.Geometry
    suitable_m2: float
    closed_m2: float
    unknown_m2: float


class SuitableTown(wire.Wire):
    """A town's figures in one band."""

    town: str
    low_m: float
    high_m: float
    area_m2: float
    suitable_m2: float


class SuitableOut(wire.Wire):
    """适飞空域图."""

    day: date
    data_version: str
    layers: list[SuitableLayer]
    towns: list[SuitableTown]


def _application(work: Work, a: Application) -> ApplicationOut:
    left = applications.countdown(a, work.clock.now())
    zh, en = STATE_WORDS[a.state]
    return ApplicationOut(
        id=a.id,
        number=a.number,
        body=a.body,
        kind=a.kind.value,
        purpose=a.purpose.value,
        state=a.state.value,
        state_text=wire.Text2(zh=zh, en=en),
        mission_ids=list(a.mission_ids),
        items=[ItemOut(number=i.number, title=wire.Text2(zh=i.zh, en=i.en), text=i.text, missing=i.missing) for i in a.items],
        flags=[f.value for f in a.flags],
        apply_by=a.apply_by,
        decided_by=a.decided_by,
        due_at=a.next_at(),
        seconds_left=left.total_seconds() if left is not None else None,
        starts_at=a.span.start,
        ends_at=a.span.end,
        decision_number=a.decision_number,
        decision_note=a.decision_note,
        data_version=a.data_version,
        made_at=a.made_at,
    )


def _check(c: leave.AirCheck) -> AirCheckOut:
    reasons = [
        wire.Reason(code=r["code"], text=wire.Text2(zh=r["zh"], en=r["en"]), article=r["article"] or None)
        for r in c.clearance["reasons"]
    ]
    given = {name: getattr(c, name) for name in AirCheckOut.model_fields if name not in {"reasons", "confirmed", "stage"}}
    return AirCheckOut(**given, stage=c.stage.value, reasons=reasons, confirmed=c.details.get("confirmed"))


def _refused(err: checking.CheckRefused) -> rim.Problem:
    zh, _, en = str(err).partition(" / ")
    return rim.Problem(409, "airspace", zh, en)


@router.get("/applications", operation_id="list_applications")
def list_applications(work: Work, _: Viewer, mission: str | None = None) -> list[ApplicationOut]:
    """Applications, the newest first; what has run out lapses before it is shown."""
    applying.lapse(work)
    with work.database.read() as session:
        found = leave.applications_of(session, mission)
    return [_application(work, a) for a in found[:500]]


@router.post("/applications", operation_id="draft_applications")
def draft_applications(body: DraftIn, work: Work, user: AirKeeper) -> list[ApplicationOut]:
    """Drafts for all that the missions need leave for, one for each body; none where nothing is needed."""
    flags = frozenset(Flag(f) for f in body.flags)
    made = applying.draft(work, body.mission_ids, by=user.id, flags=flags, purpose=Purpose(body.purpose), pilot_id=body.pilot_id)
    return [_application(work, a) for a in made]


@router.post("/applications/{application_id}/act", operation_id="act_on_application")
def act_on_application(application_id: str, body: ApplicationAct, work: Work, user: AirKeeper) -> ApplicationOut:
    """Submit it, enter the authority's decision, or let it lapse."""
    facts = Facts(body.number, body.decided_by, body.note)
    done = applying.act(work, application_id, Act(body.act), by=user.id, facts=facts)
    if isinstance(done, Refused):
        zh, en = ("；".join(r.zh for r in done.reasons), "; ".join(r.en for r in done.reasons))
        raise rim.Problem(409, done.reasons[0].code, zh, en)
    return _application(work, done)


@router.post("/applications/{application_id}/item", operation_id="write_application_item")
def write_application_item(application_id: str, body: ItemIn, work: Work, user: AirKeeper) -> ApplicationOut:
    """Write one of the 13 items of a draft by hand."""
    return _application(work, applying.write_item(work, application_id, body.number, body.text, by=user.id))


@router.get("/applications/{application_id}/{form}", operation_id="download_application", response_class=Response)
def download_application(application_id: str, form: Literal["docx", "json", "txt"], work: Work, _: Viewer) -> Response:
    """The application as a Word file, as JSON, or as plain text."""
    with work.database.read() as session:
        found = leave.applications.get(session, application_id)
    name = f"{found.number}.{form}"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    if form == "json":
        return Response(
            json.dumps(dump(found), ensure_ascii=False, indent=1).encode(), media_type="application/json", headers=headers
        )
    if form == "txt":
        return Response(applications.as_text(found).encode(), media_type="text/plain; charset=utf-8", headers=headers)
    return Response(applying.as_word(found), media_type=WORD, headers=headers)


@router.get("/air-checks", operation_id="list_air_checks")
def list_air_checks(mission: str, work: Work, _: Viewer) -> list[AirCheckOut]:
    """Every time a mission was held against the airspace, the newest first."""
    with work.database.read() as session:
        return [_check(c) for c in leave.checks_of(session, mission)]


@router.get("/airspace/stale", operation_id="list_stale_missions")
def list_stale_missions(work: Work, _: Viewer) -> list[AirCheckOut]:
    """Missions whose airspace has changed and whose pilots have not acknowledged it."""
    with work.database.read() as session:
        return [_check(c) for c in leave.stale_of(session)]


@router.post("/missions/{mission_id}/acknowledge", operation_id="acknowledge_airspace")
def acknowledge_airspace(mission_id: str, work: Work, user: AirKeeper) -> list[AirCheckOut]:
    """A pilot has read what changed."""
    return [_check(c) for c in checking.acknowledge(work, mission_id, by=user.id)]


@router.post("/missions/{mission_id}/report", operation_id="report_take_off")
def report_take_off(mission_id: str, work: Work, user: AirKeeper) -> AirCheckOut:
    """The report 1 h before take-off (Art. 30): checked anew and kept."""
    try:
        return _check(checking.report(work, mission_id, by=user.id))
    except checking.CheckRefused as err:
        raise _refused(err) from err


@router.post("/air-checks/{check_id}/confirm", operation_id="confirm_report")
def confirm_report(check_id: str, body: ConfirmIn, work: Work, user: AirKeeper) -> AirCheckOut:
    """The authority's confirmation of a report (Art. 30)."""
    try:
        return _check(checking.confirm(work, check_id, by=user.id, number=body.number))
    except checking.CheckRefused as err:
        raise _refused(err) from err


@router.get("/airspace/suitable", operation_id="suitable_airspace")
def suitable_airspace(work: Work, _: Viewer, day: date | None = None) -> SuitableOut:
    """The suitable airspace map of a day (today): by height band, with figures for each town."""
    asked = day or local_day(work.clock.now())
    made = suitability.city_map(work, asked)
    layers = [
        SuitableLayer(
            low_m=layer.band.low_m,
            high_m=layer.band.high_m,
            outline=rim.geometry(layer.outline),
            suitable_m2=round(layer.suitable_m2, 1),
            closed_m2=round(layer.closed_m2, 1),
            unknown_m2=round(layer.unknown_m2, 1),
        )
        for layer in made.layers
    ]
    towns = [
        SuitableTown(
            town=f.town,
            low_m=f.band.low_m,
            high_m=f.band.high_m,
            area_m2=round(f.area_m2, 1),
            suitable_m2=round(f.suitable_m2, 1),
        )
        for f in made.towns
    ]
    return SuitableOut(day=asked, data_version=made.data_version, layers=layers, towns=towns)
