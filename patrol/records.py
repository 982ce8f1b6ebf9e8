"""What the store keeps beyond the departments' own values: frozen, each field a column of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon

from geo.frames import LonLat
from imagery.reasons import Reason


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A published plan of `days` days; `record` is the JSON of flight's Plan."""

    id: str
    start: date
    days: int
    made_at: datetime
    made_by: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MissionRecord:
    """A mission and its files in the blob store."""

    id: str
    kind: str
    name: str
    sha256: str
    made_at: datetime
    area_id: str | None = None
    plan_id: str | None = None
    aircraft_id: str | None = None
    plan_blob: str | None = None
    waypoints_blob: str | None = None
    fly_on: date | None = None
    state: str = "planned"
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlightRecord:
    """One flight; `log` is the JSON of flight's FlightLog, `photos` how many were taken."""

    id: str
    started: datetime
    ended: datetime | None
    outcome: str
    photos: int
    log: Mapping[str, Any]
    mission_id: str | None = None
    area_id: str | None = None
    aircraft_id: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of a survey: what it is, where below the survey's folder, and its SHA-256."""

    role: str  # the name of imagery's Survey field, or thumbnail, quality, photos, masks, cloud
    path: str
    sha256: str
    size_bytes: int
    media_type: str = "image/tiff; application=geotiff"


@dataclass(frozen=True, slots=True)
class SurveyRecord:
    """One look at an area. `outline` is what it covers, WGS 84; `record` and `quality` are the JSON of imagery's Survey."""

    id: str
    area_id: str
    taken_on: date
    made_at: datetime
    outline: Polygon | MultiPolygon
    folder: str
    accepted: bool
    quality: Mapping[str, Any]
    assets: tuple[Asset, ...]
    record: Mapping[str, Any]
    reference_id: str | None = None
    flight_id: str | None = None
    classification: str = "internal"  # a code of `data/classification.csv`

    def asset(self, role: str) -> Asset | None:
        """The file of a role, None when this survey has none."""
        return next((asset for asset in self.assets if asset.role == role), None)


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """Two surveys of an area, compared."""

    id: str
    area_id: str
    before_id: str
    after_id: str
    made_at: datetime
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """One change of a comparison, its outline in WGS 84; `finding_id` once it was promoted."""

    id: str
    comparison_id: str
    area_id: str
    outline: Polygon | MultiPolygon
    area_m2: float
    area_sigma_m2: float
    height_m: float | None
    kind: str
    score: float
    reasons: tuple[str, ...] = ()
    suppressed: str | None = None
    finding_id: str | None = None
    features: Mapping[str, float] = field(default_factory=dict)


class CalibrationState(StrEnum):
    """What a calibration is to later comparisons."""

    CURRENT = "current"  # 现行
    REPLACED = "replaced"  # 已替换
    DECLINED = "declined"  # 未采用


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """A calibration made of `labels` labels, `right` of them right. `zh`, `en` say how it did where it had not looked and what it changes.

    `record` holds the curves, the tests, the labels themselves, the areas they came from, and what changes for each kind.
    """

    id: str
    number: int
    state: CalibrationState
    labels: int
    right: int
    zh: str
    en: str
    made_by: str
    made_at: datetime
    record: Mapping[str, Any]
    said: str = ""  # why it was put back or replaced by hand


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One piece of evidence of a `finding` or `case`; its bytes stand in the blob store under `sha256`."""

    id: str
    subject: str
    subject_id: str
    role: str  # before, after, height, photo, field_photo, document
    sha256: str
    media_type: str
    size_bytes: int
    caption: str
    made_by: str
    made_at: datetime
    taken_at: datetime | None = None
    place: LonLat | None = None
    survey_id: str | None = None
    photo_sha256: str | None = None
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MaskRecord:
    """Ground that may not be shown, WGS 84: by whose word, and why."""

    id: str
    name: str
    kind: str
    authority: str
    reason: str
    outline: Polygon | MultiPolygon
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """Ground taken out of the store. `contiguous_m2` counts what the same person took beside it lately; see `pipeline.exporting`."""

    id: str
    survey_id: str
    what: str
    reason: str
    classification: str
    outline: Polygon | MultiPolygon
    area_m2: float
    contiguous_m2: float
    state: str  # asked, approved, refused, done
    asked_by: str
    asked_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    note: str = ""
    done_at: datetime | None = None


class VersionState(StrEnum):
    """Where a version of a source (register, zones) stands: only the current one speaks."""

    CURRENT = "current"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class RegisterVersion:
    """One import of a register file. `changes` counts entries new, gone, changed and same against the version before it."""

    id: str
    source: str
    number: int
    file_name: str
    sha256: str
    datum: str
    guessed: bool
    entries: int
    kinds: Mapping[str, int]
    changes: Mapping[str, int]
    notes: tuple[Reason, ...]
    state: VersionState
    imported_by: str
    imported_at: datetime
    replaced_by: str | None = None
    said: str = ""  # why it was withdrawn or put back


@dataclass(frozen=True, slots=True)
class RegisterEntry:
    """One entry of a version, WGS 84; `number` is the office's own."""

    id: str
    version_id: str
    number: str
    kind: str
    outline: Polygon | MultiPolygon
    name: str = ""
    holder: str = ""
    area_limit_m2: float | None = None
    height_limit_m: float | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    axis: LineString | MultiLineString | None = None  # of a pipeline's corridor, and what belongs to it
    inner_m: float | None = None
    outer_m: float | None = None
    start_m: float | None = None
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """Third-party works near a pipeline: what, in which band, how far from the axis, from which chainage to which, how urgent."""

    work: str  # excavation, fill, machine, structure, disturbed
    band: str  # inner, outer
    distance_m: float
    from_m: float
    to_m: float
    urgency: int  # 3 at once, 2 today, 1 watch
    depth_m: float | None = None
    volume_m3: float | None = None


@dataclass(frozen=True, slots=True)
class ZoneVersion:
    """One edition of a source's zones. `changes` counts them against the edition before it; `ends_at` is when a successor takes over."""

    id: str
    source: str
    number: int
    file_name: str
    format: str
    sha256: str
    datum: str
    guessed: bool
    authority: str
    edition: str
    classification: str  # a code of `data/classification.csv`
    zones: int
    kinds: Mapping[str, int]
    changes: Mapping[str, int]
    notes: tuple[Reason, ...]
    state: VersionState
    imported_by: str
    imported_at: datetime
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    ends_at: datetime | None = None
    replaced_by: str | None = None
    said: str = ""  # why it was withdrawn or put back


@dataclass(frozen=True, slots=True)
class FindingLabel:
    """What a register entry says of a finding: share inside, what goes beyond it, and `held`: why it was held back for it."""

    id: str
    finding_id: str
    entry_id: str
    kind: str
    share: float
    in_force: bool
    excess_area_m2: float
    excess_height_m: float
    zh: str
    en: str
    judged_on: date
    made_at: datetime
    held: str | None = None
    comparison_id: str | None = None
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class SightingRecord:
    """What the later survey of a comparison, of `taken_on`, said of a finding; area and height are of the whole thing then."""

    id: str
    finding_id: str
    comparison_id: str
    taken_on: date
    said: str  # new, same, grown, stage, gone, returned
    stage: str  # foundation, walls, roof
    area_m2: float
    height_m: float | None
    zh: str
    en: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class RecheckRecord:
    """A recheck order in the store: dispatch's RecheckOrder, and the survey that answered it."""

    id: str
    case_id: str
    area_id: str
    place: LonLat
    not_before: date
    not_after: date
    ordered_at: datetime
    survey_id: str | None = None
    done_at: datetime | None = None


class UploadState(StrEnum):
    """Where an upload stands."""

    OPEN = "open"
    FINISHED = "finished"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """Photos of an area and a day on their way in; `job_id` is the job that makes a survey of them."""

    id: str
    area_id: str
    taken_on: date
    state: UploadState
    made_by: str
    made_at: datetime
    touched_at: datetime
    flight_id: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class UploadFile:
    """One file of an upload; `stored` once its content is in the blob store."""

    id: str
    upload_id: str
    name: str
    size_bytes: int
    sha256: str
    stored: bool
