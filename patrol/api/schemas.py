"""The words of the HTTP rim: what goes over the wire, and nothing else.

Places on the wire are WGS 84 degrees, GeoJSON order (longitude first); times are ISO 8601 with zone.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """Base of all bodies: unknown fields are refused, so that a typing error is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class Text2(Wire):
    """One sentence in the two languages of the page."""

    zh: str
    en: str


class Reason(Wire):
    """Why something was refused or decided, with the article of law where there is one."""

    code: str
    text: Text2
    article: str | None = None


class Problem(Wire):
    """Every error answer: what is wrong, and what to do."""

    code: str
    text: Text2
    reasons: list[Reason] = Field(default_factory=list)


class Geometry(BaseModel):
    """A GeoJSON geometry."""

    type: Literal["Point", "LineString", "MultiLineString", "Polygon", "MultiPolygon"]
    coordinates: list[Any]


class Login(Wire):
    """Name and password."""

    name: str = Field(max_length=100)
    password: str = Field(max_length=200)


class Me(Wire):
    """Who is logged in, and what the role allows."""

    id: str
    name: str
    roles: list[str]
    permissions: list[str]


class AreaOut(Wire):
    """巡查单元."""

    id: str
    name: str
    tier: Literal["key", "general"]
    revisit_days: int
    area_m2: float
    outline: Geometry
    bounds: tuple[float, float, float, float] = Field(description="west, south, east, north")
    surveys: int
    last_survey_on: date | None
    due_on: date | None
    open_cases: int


class QualityReason(Wire):
    """Why a survey was refused (`refuses`) or what to watch in it: what was measured, and the limit it was held against."""

    code: str
    text: Text2
    number: float | None = None
    limit: float | None = None
    refuses: bool = False


class QualityOut(Wire):
    """The quality record of a survey."""

    accepted: bool
    reasons: list[QualityReason]
    photos_given: int
    photos_registered: int
    reprojection_px: float | None
    gps_residual_m: float | None
    agl_m: float | None
    agl_ratio: float | None
    tilt_deg: float | None
    coverage: float | None
    gsd_m: float
    residual_median_px: float | None
    residual_p90_px: float | None
    residual_refused: float | None = Field(description="share of measured cells that are not compared")
    surface_east_m: float | None
    surface_north_m: float | None
    surface_up_m: float | None
    surface_nmad_m: float | None
    photos_per_cell: float | None
    thin_overlap: float | None
    blurred: float | None
    sun_azimuth_deg: float | None
    sun_elevation_deg: float | None
    gap: Geometry | None = Field(description="what to fly again")
    gap_m2: float
    method: str
    fell_back: bool


class NudgeIn(Wire):
    """A move of a survey by hand, in metres, and why; `undo` takes the last one back instead."""

    east_m: float = Field(0.0, ge=-20, le=20)
    north_m: float = Field(0.0, ge=-20, le=20)
    up_m: float = Field(0.0, ge=-20, le=20)
    reason: str = Field(min_length=1, max_length=500)
    undo: bool = False


class NudgeOut(Wire):
    """A move that was made: by whom, when, why, and where the survey lies since, counted from where it was built."""

    by: str
    at: datetime
    reason: str
    east_m: float
    north_m: float
    up_m: float


class MetreOut(Wire):
    """How many degrees (lon, lat) one metre east and one metre north of the survey's own grid are, at its middle."""

    east: tuple[float, float]
    north: tuple[float, float]


class SurveyOut(Wire):
    """一期成果: one accepted look at an area."""

    id: str
    area_id: str
    taken_on: date
    bounds: tuple[float, float, float, float]
    photos: int
    reference_id: str | None
    tiles: dict[str, str] = Field(
        description="address of the tiles of ortho and surface, `{z}/{x}/{y}` to fill in; another one once their content changed"
    )
    minzoom: int
    maxzoom: int
    classification: str
    thumbnail: str | None = Field(description="where a small picture of it is")
    quality: QualityOut
    nudges: list[NudgeOut] = Field(description="moves by hand, oldest first")
    metre: MetreOut


class ComparisonOut(Wire):
    """前后两期: an aligned pair and how many changes were found on it."""

    id: str
    area_id: str
    before_id: str
    after_id: str
    before_on: date
    after_on: date
    made_at: datetime
    candidates: int
    suppressed: int
    stale: bool = Field(description="a survey was moved since: compare again")
    masked: float = Field(description="share of the area that was not compared")
    height_tiles: str | None = Field(description="address of the tiles of the height change; None where a surface is missing")


FindingState = Literal["detected", "suppressed", "triage", "confirmed", "rejected", "needs_imagery", "duplicate"]


class WatchOut(Wire):
    """第三方施工: works within a pipeline's corridor; `urgency` 3 at once, 2 today, 1 watch."""

    corridor: str = Field(description="its number and name")
    holder: str
    contact: str
    work: Literal["excavation", "fill", "machine", "structure", "disturbed"]
    work_text: Text2
    band: Literal["inner", "outer"]
    band_text: Text2
    distance_m: float
    station: str = Field(description="K1+230, or from one stake to another")
    depth_m: float | None
    volume_m3: float | None
    urgency: int
    urgency_text: Text2


class FindingOut(Wire):
    """疑似违建线索 (图斑)."""

    id: str
    number: str
    area_id: str
    comparison_id: str | None
    case_id: str | None
    state: FindingState
    state_reason: str | None
    kind: str
    kind_text: Text2
    score: float
    reasons: list[str]
    area_m2: float
    height_m: float | None
    outline: Geometry
    centre: tuple[float, float]
    centre_gcj02: tuple[float, float]
    before_on: date | None
    after_on: date | None
    evidence: int
    urgency: int
    watch: WatchOut | None


CauseAtDesk = Literal["pile", "renovation", "vehicle", "vegetation", "shadow", "permitted", "not_new", "other"]


class FindingDecision(Wire):
    """What a reviewer says of a finding; `cause` says why it is rejected, and is counted and learned from."""

    decision: Literal["confirm", "reject", "restore", "needs_imagery"]
    note: str = Field(default="", max_length=2000)
    cause: CauseAtDesk | None = None


class MoveOut(Wire):
    """A lawful next act on a case for the user who asks, or why it is not."""

    act: str
    text: Text2
    allowed: bool
    reasons: list[Reason]
    fields: list[str] = Field(description="facts the act asks for: note, verdict, officers, assignee, photos …")


class EventOut(Wire):
    """One act of a case's history."""

    at: datetime
    by: str
    act: str
    act_text: Text2
    state: str
    note: str


class EvidenceOut(Wire):
    """A hashed crop."""

    id: str
    kind: str
    caption: Text2
    taken_at: datetime | None
    sha256: str
    photo_sha256: str | None
    url: str
    width: int
    height: int


class CaseOut(Wire):
    """案件: a finding under the workflow."""

    id: str
    number: str
    finding_id: str
    area_id: str
    state: str
    state_text: Text2
    assignee: str | None
    opened_at: datetime
    due_at: datetime | None
    overdue: bool
    closed_at: datetime | None
    outcome: str | None


class CaseDetail(CaseOut):
    """A case with all that its page shows."""

    finding: FindingOut
    moves: list[MoveOut]
    events: list[EventOut]
    evidence: list[EvidenceOut]


class ActIn(Wire):
    """An act on a case with the facts it rests on."""

    act: str = Field(max_length=50)
    note: str = Field(default="", max_length=2000)
    facts: dict[str, str | int | float | bool | list[str]] = Field(default_factory=dict)


class ClearanceOut(Wire):
    """空域判定: verdict with every reason."""

    verdict: Literal["clear", "permit_needed", "blocked", "unknown"]
    granted: bool
    reasons: list[Reason]
    data_version: str


class AircraftOut(Wire):
    """A vehicle of the fleet and where it last was."""

    id: str
    name: str
    home: tuple[float, float]
    state: Literal["idle", "preparing", "flying", "returning", "lost", "offline"]
    place: tuple[float, float] | None
    height_m: float | None
    yaw_deg: float | None
    speed_m_s: float | None
    battery: float | None
    mode: str | None
    mission_name: str | None
    link_fresh: bool
    at: datetime | None


class CalendarEntry(Wire):
    """One day of the 30-day plan, with its reason."""

    day: date
    area_id: str
    area_name: str
    kind: Literal["patrol", "recheck", "makeup"]
    aircraft_id: str | None
    placed: bool
    reason: Text2
    mission_id: str | None


class MissionOut(Wire):
    """飞行任务: the exact items given to a vehicle."""

    id: str
    name: str
    area_id: str | None
    kind: Literal["patrol", "recheck", "recon"]
    day: date | None
    sha256: str
    items: int
    photos: int
    length_m: float
    duration_s: float
    path: Geometry
    clearance: ClearanceOut
    flown: bool
    forms: list[str]
    """Suffixes of the files it can be downloaded as."""


class ReconIn(Wire):
    """The fire team's tap on the map."""

    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    radius_m: float = Field(default=30.0, ge=10, le=300)
    height_m: float = Field(default=40.0, ge=10, le=120)


class ReconOut(Wire):
    """应急侦察架次: planned, checked, uploaded; flies after a human's confirmation."""

    id: str
    state: Literal["refused", "ready", "flying", "done", "failed", "aborted"]
    point: tuple[float, float]
    aircraft: AircraftOut | None
    mission: MissionOut | None
    clearance: ClearanceOut
    reasons: list[Reason]
    asked_at: datetime
    ready_at: datetime | None
    photos: int


class JobOut(Wire):
    """Long work and how far it is."""

    id: str
    kind: str
    state: Literal["queued", "running", "waiting", "done", "failed", "cancelled"]
    done: int
    total: int
    what: str
    error: str | None
    attempts: int
    made_at: datetime


class Compare(Wire):
    """Ask for a comparison of an area's last two surveys, or of two that are named."""

    before_id: str | None = None
    after_id: str | None = None


class UploadIn(Wire):
    """Photos of an area and a day, and of the flight that took them where it is known."""

    area_id: str = Field(max_length=200)
    taken_on: date
    flight_id: str | None = Field(None, max_length=200)


class UploadFileIn(Wire):
    """One file: its path below the chosen folder (`/` between folders), its size, the SHA-256 of its content."""

    name: str = Field(max_length=1000)
    size_bytes: int = Field(ge=0)
    sha256: str = Field(max_length=64)


class UploadDeclare(Wire):
    """Some of the files that are to be sent."""

    files: list[UploadFileIn] = Field(min_length=1, max_length=500)


class UploadFinish(Wire):
    """How the survey is made of what was sent: `lossless` keeps every pixel of the orthophoto, in a file several times larger; where
    nothing is said, a job that is tried again is as it was.
    """

    lossless: bool | None = None


class UploadFileOut(Wire):
    """What became of a declared file; a wanted one is to be sent from the byte `received` on."""

    name: str
    sha256: str
    state: Literal["stored", "wanted", "refused"]
    received: int
    reason: Text2 | None


class UploadContentOut(Wire):
    """How much of a content is here, and whether it is whole and in the store."""

    received: int
    size_bytes: int
    stored: bool


class LeftOut(Wire):
    """A photo that the survey was made without."""

    name: str
    reason: str


class UploadOut(Wire):
    """An upload: how much of what was declared is in the store, and what became of it."""

    id: str
    area_id: str
    taken_on: date
    flight_id: str | None
    state: Literal["open", "finished", "dropped"]
    made_at: datetime
    touched_at: datetime
    files: int
    size_bytes: int
    stored_files: int
    stored_bytes: int
    job: JobOut | None
    survey_id: str | None
    left_out: list[LeftOut]


class Health(Wire):
    """Whether each part answers."""

    ok: bool
    database: bool
    worker: bool
    version: str
