"""Plain mapping functions from inside values to what goes over the wire, and the one table from errors to status codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any

from PIL import Image
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry
from sqlalchemy.orm import Session

from airspace.clearance import Clearance
from airspace.errors import AirspaceError
from change_detect.corridor import BAND_TEXT, URGENCY_TEXT, WORK_TEXT, Band, Work, stations
from change_detect.errors import ChangeError
from dispatch import texts, workflow
from dispatch.actor import Actor
from dispatch.case import Case, CaseState
from dispatch.errors import DispatchError
from dispatch.event import Event
from dispatch.finding import Finding
from dispatch.refusal import Refusal
from flight.errors import FlightError
from geo.area import Area
from geo.datums import gcj02
from geo.errors import GeoError
from geo.frames import Frame
from imagery.errors import ImageryError
from imagery.reasons import Reason, read_all
from patrol import records, registry, repositories, tiles, tileversions
from patrol.api import schemas as wire
from patrol.auth import AuthError, Permission, User, users
from patrol.blobs import BlobDamaged, BlobError
from patrol.jobs import Job
from patrol.pipeline.areas import ImportRefused
from patrol.pipeline.casework import FactsRefused, fields_of
from patrol.pipeline.comparing import KIND_TEXT, ComparisonRefused
from patrol.pipeline.learning import LearningRefused
from patrol.pipeline.mapfiles import MapFileError
from patrol.pipeline.masking import MaskRefused
from patrol.pipeline.surveying import SurveyRefused
from patrol.pipeline.uploading import NoRoom, UploadForeign, UploadOver, UploadRefused
from patrol.registercolumns import RegisterRefused
from patrol.rules import RulesError
from patrol.shelf import Conflict, NotFound, Taken
from patrol.wiring import Workplace

STATUS: Mapping[type[Exception], int] = {
    NotFound: 404,
    Conflict: 409,
    Taken: 409,
    AuthError: 400,
    FactsRefused: 422,
    ImportRefused: 422,
    SurveyRefused: 422,
    UploadForeign: 403,
    UploadOver: 409,
    NoRoom: 507,
    UploadRefused: 422,
    MaskRefused: 422,
    RegisterRefused: 422,
    LearningRefused: 409,
    MapFileError: 422,
    RulesError: 422,
    ComparisonRefused: 409,
    BlobDamaged: 422,
    BlobError: 507,
    GeoError: 422,
    AirspaceError: 422,
    FlightError: 502,
    ImageryError: 422,
    ChangeError: 422,
    DispatchError: 422,
}


@dataclass(eq=False)  # an exception takes its traceback while it travels: neither frozen nor slotted
class Problem(Exception):
    """An answer that is not what was asked for."""

    status: int
    code: str
    zh: str
    en: str
    reasons: tuple[wire.Reason, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> wire.Problem:
        """As it goes over the wire."""
        return wire.Problem(code=self.code, text=wire.Text2(zh=self.zh, en=self.en), reasons=list(self.reasons))


def refused(refusal: Refusal) -> Problem:
    """A refused act as an answer: 409 with every reason."""
    reasons = reasons_of(refusal)
    return Problem(409, "refused", refusal.text("zh"), refusal.text("en"), tuple(reasons))


def reasons_of(refusal: Refusal) -> list[wire.Reason]:
    """A refusal's reasons on the wire."""
    return [
        wire.Reason(
            code=r.code,
            text=wire.Text2(zh=r.text("zh"), en=r.text("en")),
            article=texts.LAWS[r.law]["zh"] if r.law else None,
        )
        for r in refusal.reasons
    ]


def text2(said: Mapping[str, str]) -> wire.Text2:
    """A pair of texts on the wire."""
    return wire.Text2(zh=said["zh"], en=said["en"])


def geometry(shape: BaseGeometry) -> wire.Geometry:
    """A shape in degrees on the wire."""
    return wire.Geometry.model_validate(mapping(shape))


def me(user: User) -> wire.Me:
    """Who is logged in."""
    allowed = [p.value for p in Permission if user.may(p)]
    return wire.Me(id=user.id, name=user.name, roles=sorted(user.roles), permissions=allowed)


def area(session: Session, value: Area) -> wire.AreaOut:
    """An area with what is known of it."""
    surveys = repositories.surveys_of(session, value.id, accepted=True)
    last = surveys[-1].taken_on if surveys else None
    states = tuple(s.value for s in CaseState if not s.is_over)
    _, open_cases = repositories.search_cases(session, repositories.CaseFilter(states=states, area_id=value.id), limit=1)
    return wire.AreaOut(
        id=value.id,
        name=value.name,
        tier=value.tier.value,
        revisit_days=value.revisit_days,
        area_m2=round(value.area_m2, 1),
        outline=geometry(value.outline),
        bounds=value.outline.bounds,
        surveys=len(surveys),
        last_survey_on=last,
        due_on=last + timedelta(days=value.revisit_days) if last else None,
        open_cases=open_cases,
    )


def quality_reason(r: Reason) -> wire.QualityReason:
    """A reason of a survey's quality."""
    return wire.QualityReason(code=r.code, text=wire.Text2(zh=r.zh, en=r.en), number=r.number, limit=r.limit, refuses=r.refuses)


def quality(given: Mapping[str, Any]) -> wire.QualityOut:
    """The quality record of a survey."""
    return wire.QualityOut(
        accepted=given["accepted"],
        reasons=[quality_reason(r) for r in read_all(given["reasons"])],
        photos_given=given["given"],
        photos_registered=given["registered"],
        **{
            name: given.get(name)
            for name in (
                "reprojection_px",
                "gps_residual_m",
                "agl_m",
                "agl_ratio",
                "tilt_deg",
                "coverage",
                "residual_median_px",
                "residual_p90_px",
                "residual_refused",
                "surface_east_m",
                "surface_north_m",
                "surface_up_m",
                "surface_nmad_m",
                "photos_per_cell",
                "thin_overlap",
                "blurred",
                "sun_azimuth_deg",
                "sun_elevation_deg",
            )
        },
        gap=wire.Geometry(**given["gap"]) if given.get("gap") else None,
        gap_m2=given.get("gap_m2", 0.0),
        gsd_m=given["gsd_m"],
        method=str(given["method"]),
        fell_back=given["fell_back"],
    )


def survey(work: Workplace, value: records.SurveyRecord) -> wire.SurveyOut:
    """A survey with where its tiles are."""
    ortho, small = value.asset("ortho"), value.asset("thumbnail")
    low, high = tiles.zooms(work.settings.home / value.folder / ortho.path) if ortho else (0, 0)
    return wire.SurveyOut(
        id=value.id,
        area_id=value.area_id,
        taken_on=value.taken_on,
        bounds=value.outline.bounds,
        photos=value.quality.get("given", 0),
        reference_id=value.reference_id,
        tiles=tileversions.addresses(value),
        minzoom=low,
        maxzoom=high,
        classification=value.classification,
        thumbnail=f"/api/surveys/{value.id}/thumbnail?v={small.sha256[:16]}" if small else None,
        quality=quality(value.quality),
        metre=_metre(value),
        nudges=[wire.NudgeOut(by=n["by"], at=n["at"], reason=n["reason"], **n["to"]) for n in value.record.get("nudges", ())],
    )


def _metre(value: records.SurveyRecord) -> wire.MetreOut:
    """One metre along the survey's own axes as degrees: its grid north is not true north."""
    grid = value.record["grid"]
    frame = Frame(int(grid["epsg"]))
    half = grid["gsd_m"] / 2
    x, y = grid["west_m"] + half * grid["cols"], grid["north_m"] - half * grid["rows"]
    here, east, north = frame.lonlat(x, y), frame.lonlat(x + 1, y), frame.lonlat(x, y + 1)
    return wire.MetreOut(
        east=(east.lon_deg - here.lon_deg, east.lat_deg - here.lat_deg),
        north=(north.lon_deg - here.lon_deg, north.lat_deg - here.lat_deg),
    )


def comparison(session: Session, value: records.ComparisonRecord) -> wire.ComparisonOut:
    """A compared pair and how much was found."""
    found = repositories.candidates_of(session, value.id)
    before, after = (repositories.surveys.get(session, i) for i in (value.before_id, value.after_id))
    return wire.ComparisonOut(
        id=value.id,
        area_id=value.area_id,
        before_id=value.before_id,
        after_id=value.after_id,
        before_on=before.taken_on,
        after_on=after.taken_on,
        made_at=value.made_at,
        candidates=sum(c.suppressed is None for c in found),
        suppressed=sum(c.suppressed is not None for c in found),
        stale=bool(value.record.get("stale")),
        masked=float(value.record.get("masked", {}).get("share", 0.0)),
        height_tiles=tileversions.height_address(value, (before, after)),
    )


def _day(session: Session, survey_id: str | None) -> date | None:
    return repositories.surveys.get(session, survey_id).taken_on if survey_id else None


def finding(session: Session, value: Finding) -> wire.FindingOut:
    """A finding with its dates, case and evidence count."""
    case = repositories.case_of(session, value.id)
    compared = (
        repositories.comparison_of(session, value.before_survey, value.after_survey)
        if value.before_survey and value.after_survey
        else None
    )
    shown = gcj02(value.place)
    zh, en = KIND_TEXT.get(value.kind, (value.kind, value.kind))
    return wire.FindingOut(
        id=value.id,
        number=value.number,
        area_id=value.area_id,
        comparison_id=compared.id if compared else None,
        case_id=case.id if case else None,
        state=value.state.value,
        state_reason=value.decision or None,
        kind=value.kind,
        kind_text=wire.Text2(zh=zh, en=en),
        score=round(value.score, 3),
        reasons=list(value.reasons),
        area_m2=round(value.area_m2, 1),
        height_m=None if value.height_m is None else round(value.height_m, 2),
        outline=geometry(value.outline_wgs84),
        centre=(value.place.lon_deg, value.place.lat_deg),
        centre_gcj02=(shown.lon_deg, shown.lat_deg),
        before_on=_day(session, value.before_survey),
        after_on=_day(session, value.after_survey),
        evidence=len(repositories.evidence_of(session, "finding", value.id)),
        urgency=value.urgency,
        watch=watched(session, value.id) if value.urgency else None,
    )


def watched(session: Session, finding_id: str) -> wire.WatchOut | None:
    """What a pipeline's corridor says of a finding."""
    label = next((found for found in registry.labels_of(session, finding_id) if found.watch is not None), None)
    if label is None or label.watch is None:
        return None
    entry, seen = registry.entries.get(session, label.entry_id), label.watch
    pairs = (WORK_TEXT[Work(seen.work)], BAND_TEXT[Band(seen.band)], URGENCY_TEXT[seen.urgency])
    work_text, band_text, urgency_text = (wire.Text2(zh=zh, en=en) for zh, en in pairs)
    return wire.WatchOut.model_validate(
        {
            "corridor": " ".join(dict.fromkeys(p for p in (entry.number, entry.name) if p)),
            "holder": entry.holder,
            "contact": entry.contact,
            "work": seen.work,
            "work_text": work_text,
            "band": seen.band,
            "band_text": band_text,
            "distance_m": seen.distance_m,
            "station": stations(seen.from_m, seen.to_m),
            "depth_m": seen.depth_m,
            "volume_m3": seen.volume_m3,
            "urgency": seen.urgency,
            "urgency_text": urgency_text,
        }
    )


EVIDENCE_TEXT: Mapping[str, tuple[str, str]] = {
    "before": ("前期", "before"),
    "after": ("后期", "after"),
    "height": ("高差", "height change"),
    "photo": ("原始照片", "source photo"),
    "field_photo": ("现场照片", "field photo"),
    "recheck": ("复核影像", "recheck"),
    "recheck_height": ("复核高差", "height change at recheck"),
    "document": ("文书", "document"),
}


def evidence(work: Workplace, value: records.EvidenceRecord) -> wire.EvidenceOut:
    """One piece of evidence."""
    zh, en = EVIDENCE_TEXT.get(value.role, (value.role, value.role))
    width = height = 0
    if value.removed_at is None:
        with Image.open(BytesIO(work.blobs.read(value.sha256))) as picture:
            width, height = picture.size
    return wire.EvidenceOut(
        id=value.id,
        kind=value.role,
        caption=wire.Text2(zh=f"{zh} · {value.caption}", en=f"{en} · {value.caption}"),
        taken_at=value.taken_at,
        sha256=value.sha256,
        photo_sha256=value.photo_sha256,
        url=f"/api/evidence/{value.id}",
        width=width,
        height=height,
    )


def event(value: Event) -> wire.EventOut:
    """One act of a history."""
    return wire.EventOut(
        at=value.at,
        by=value.by_name,
        act=value.act,
        act_text=text2(texts.ACTS.get(value.act, {"zh": value.act, "en": value.act})),
        state=value.after,
        note=value.note,
    )


def people(session: Session) -> Mapping[str, str]:
    """The name of each account, by id."""
    return {user.id: user.name for user in users(session)}


def case(value: Case, now: datetime, names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of CaseOut; an assignee is shown by name."""
    return {
        "id": value.id,
        "number": value.number,
        "finding_id": value.finding_id,
        "area_id": value.area_id,
        "state": value.state.value,
        "state_text": text2(texts.STATES[value.state]),
        "assignee": names.get(value.assignee or "", value.assignee),
        "opened_at": value.opened_at,
        "due_at": value.due_at,
        "overdue": value.is_overdue(now),
        "closed_at": value.closed_at,
        "outcome": value.close_reason or None,
    }


def case_detail(work: Workplace, session: Session, value: Case, by: Actor) -> wire.CaseDetail:
    """A case with its finding, lawful acts, history and evidence."""
    moves = [
        wire.MoveOut(
            act=offer.act.value,
            text=text2(texts.ACTS[offer.act]),
            allowed=offer.refusal is None,
            reasons=reasons_of(offer.refusal) if offer.refusal else [],
            fields=fields_of(offer.needs),
        )
        for offer in workflow.offers(value, by, work.clock, office=work.office)
    ]
    found = repositories.findings.get(session, value.finding_id)
    pieces = (
        *repositories.evidence_of(session, "finding", found.id),
        *repositories.evidence_of(session, "case", value.id),
    )
    return wire.CaseDetail(
        **case(value, work.clock.now(), people(session)),
        finding=finding(session, found),
        moves=moves,
        events=[event(e) for e in repositories.history(session, "case", value.id)],
        evidence=[evidence(work, piece) for piece in pieces],
    )


def job(value: Job) -> wire.JobOut:
    """A job and how far it is."""
    return wire.JobOut(
        id=value.id,
        kind=value.kind,
        state=value.state.value,
        done=value.done,
        total=value.total,
        what=value.what,
        error=value.error,
        attempts=value.attempts,
        made_at=value.made_at,
    )


def clearance(value: Clearance) -> wire.ClearanceOut:
    """A verdict with every reason."""
    return wire.ClearanceOut(
        verdict=value.verdict.value,
        granted=value.granted,
        reasons=[wire.Reason(code=r.code, text=wire.Text2(zh=r.zh, en=r.en), article=r.article or None) for r in value.reasons],
        data_version=value.data_version,
    )
