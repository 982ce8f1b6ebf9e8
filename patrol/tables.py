"""The tables. Rows stay in this package's storage rooms; everyone else sees frozen values (see `patrol.repositories`).

Every shape is WGS 84. Its bounds stand in `min_x … max_y` on both dialects, indexed; PostGIS has a GiST index as well.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from shapely.geometry.base import BaseGeometry
from sqlalchemy import BigInteger, ForeignKey, Index, MetaData, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, validates
from sqlalchemy.schema import SchemaItem

from patrol.columns import Instant, Plain, Shape

Json = dict[str, Any]


class Base(DeclarativeBase):
    """All tables, with constraint names that are the same everywhere."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: Instant,
        BaseGeometry: Shape,
        Json: Plain,
        list[Any]: Plain,
        str: Text,
    }


class Shaped:
    """A table with a shape: bounds for box queries on any dialect, GiST where there is one."""

    shape: Mapped[BaseGeometry]
    min_x: Mapped[float]
    min_y: Mapped[float]
    max_x: Mapped[float]
    max_y: Mapped[float]

    @validates("shape")
    def _bounds(self, _: str, shape: BaseGeometry) -> BaseGeometry:
        self.min_x, self.min_y, self.max_x, self.max_y = shape.bounds
        return shape

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[SchemaItem, ...]:
        table = getattr(cls, "__tablename__")  # noqa: B009 - not known to the type checker here
        return (
            Index(f"ix_{table}_bounds", "min_x", "max_x", "min_y", "max_y"),
            Index(f"ix_{table}_shape", "shape", postgresql_using="gist").ddl_if(dialect="postgresql"),
            *getattr(cls, "_more_args", ()),
        )


class AreaRow(Shaped, Base):
    """巡查单元."""

    __tablename__ = "areas"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    tier: Mapped[str]
    revisit_days: Mapped[int]
    gsd_m: Mapped[float]
    epsg: Mapped[int]


class ZoneVersionRow(Base):
    """空域数据: one edition of the zones of one source; a later one replaces it, and it stays."""

    __tablename__ = "zone_versions"
    __table_args__ = (UniqueConstraint("source", "number"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    number: Mapped[int]
    file_name: Mapped[str]
    format: Mapped[str]
    sha256: Mapped[str]
    datum: Mapped[str]
    guessed: Mapped[bool]
    authority: Mapped[str]
    edition: Mapped[str]
    classification: Mapped[str]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    zones: Mapped[int]
    kinds: Mapped[Json]
    changes: Mapped[Json]
    notes: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(index=True)  # current, replaced, withdrawn
    ends_at: Mapped[datetime | None]  # when its successor, imported ahead of time, takes over
    replaced_by: Mapped[str | None]
    said: Mapped[str]
    imported_by: Mapped[str]
    imported_at: Mapped[datetime]


class ZoneRow(Shaped, Base):
    """空域: one zone of one version. `shape` is its outline, or a collection of one outline for each of its `parts`."""

    __tablename__ = "airspace_zones"
    id: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("zone_versions.id"), index=True)
    zone_id: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    article_class: Mapped[str | None]
    parts: Mapped[list[Any]]  # floor and ceiling of each
    spans: Mapped[list[Any]]
    windows: Mapped[list[Any]]
    buffer_m: Mapped[float]
    authority: Mapped[str]
    version: Mapped[str]
    synthetic: Mapped[bool]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    notice: Mapped[Json | None]
    attributes: Mapped[list[Any]]


class PermitRow(Shaped, Base):
    """空域批准."""

    __tablename__ = "permits"
    id: Mapped[str] = mapped_column(primary_key=True)
    floor: Mapped[Json]
    ceiling: Mapped[Json]
    span: Mapped[Json]
    holder: Mapped[str]
    number: Mapped[str]
    flags: Mapped[list[Any]]
    long_term: Mapped[bool]
    filed_days: Mapped[list[Any]]


class PilotRow(Base):
    """操控员."""

    __tablename__ = "pilots"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    record: Mapped[Json]  # airspace.papers.Pilot


class OperatorRow(Base):
    """运营单位."""

    __tablename__ = "operators"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    record: Mapped[Json]  # airspace.papers.Operator


class ApplicationRow(Base):
    """飞行活动申请."""

    __tablename__ = "flight_applications"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    body: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)  # draft, submitted, approved, rejected, lapsed
    starts_at: Mapped[datetime] = mapped_column(index=True)
    made_at: Mapped[datetime]
    record: Mapped[Json]  # airspace.applications.Application


class AirCheckRow(Base):
    """空域复核: a mission held against the airspace, at a stage of its life; what was found then stays."""

    __tablename__ = "airspace_checks"
    id: Mapped[str] = mapped_column(primary_key=True)
    mission_id: Mapped[str] = mapped_column(ForeignKey("missions.id"), index=True)
    stage: Mapped[str]  # plan, export, report_1h, arming, watch
    at: Mapped[datetime]
    by: Mapped[str]
    verdict: Mapped[str]
    data_version: Mapped[str]
    stale: Mapped[bool] = mapped_column(index=True)
    clearance: Mapped[Json]  # airspace.clearance.Clearance
    details: Mapped[Json]
    acknowledged_by: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None]


class AircraftRow(Base):
    """无人机."""

    __tablename__ = "aircraft"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    record: Mapped[Json]  # flight.fleet.Aircraft


class PlanRow(Base):
    """30天巡航计划."""

    __tablename__ = "plans"
    id: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[date]
    days: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(index=True)
    made_by: Mapped[str]
    record: Mapped[Json]  # flight.calendar.Plan


class MissionRow(Base):
    """飞行任务, with its exact files as blobs."""

    __tablename__ = "missions"
    id: Mapped[str] = mapped_column(primary_key=True)
    area_id: Mapped[str | None] = mapped_column(ForeignKey("areas.id"), index=True)
    plan_id: Mapped[str | None] = mapped_column(ForeignKey("plans.id"))
    aircraft_id: Mapped[str | None] = mapped_column(ForeignKey("aircraft.id"))
    kind: Mapped[str]  # survey, recon, recheck
    name: Mapped[str]
    sha256: Mapped[str]  # flight.mission.Mission.sha256
    plan_blob: Mapped[str | None]
    waypoints_blob: Mapped[str | None]
    made_at: Mapped[datetime]
    fly_on: Mapped[date | None] = mapped_column(index=True)
    state: Mapped[str]  # planned, confirmed, flying, flown, failed, cancelled
    record: Mapped[Json]


class FlightRow(Base):
    """飞行日志."""

    __tablename__ = "flights"
    id: Mapped[str] = mapped_column(primary_key=True)
    mission_id: Mapped[str | None] = mapped_column(ForeignKey("missions.id"), index=True)
    area_id: Mapped[str | None] = mapped_column(ForeignKey("areas.id"), index=True)
    aircraft_id: Mapped[str | None] = mapped_column(ForeignKey("aircraft.id"))
    started: Mapped[datetime] = mapped_column(index=True)
    ended: Mapped[datetime | None]
    outcome: Mapped[str]
    simulated: Mapped[bool]
    photos: Mapped[int]
    log: Mapped[Json]  # flight.flightlog.FlightLog


class SurveyRow(Shaped, Base):
    """一期成果; `record` is imagery's Survey, `assets` names each file with its hash."""

    __tablename__ = "surveys"
    id: Mapped[str] = mapped_column(primary_key=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    taken_on: Mapped[date] = mapped_column(index=True)
    made_at: Mapped[datetime]
    reference_id: Mapped[str | None] = mapped_column(ForeignKey("surveys.id"))
    flight_id: Mapped[str | None] = mapped_column(ForeignKey("flights.id"))
    folder: Mapped[str]  # below settings.home
    accepted: Mapped[bool]
    quality: Mapped[Json]
    assets: Mapped[list[Any]]
    record: Mapped[Json]
    classification: Mapped[str] = mapped_column(server_default="internal")


class ComparisonRow(Base):
    """前后两期."""

    __tablename__ = "comparisons"
    __table_args__ = (UniqueConstraint("before_id", "after_id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    before_id: Mapped[str] = mapped_column(ForeignKey("surveys.id"))
    after_id: Mapped[str] = mapped_column(ForeignKey("surveys.id"), index=True)
    made_at: Mapped[datetime]
    record: Mapped[Json]  # residual, thresholds, times


class CandidateRow(Shaped, Base):
    """疑似变化图斑."""

    __tablename__ = "candidates"
    id: Mapped[str] = mapped_column(primary_key=True)
    comparison_id: Mapped[str] = mapped_column(ForeignKey("comparisons.id"), index=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    area_m2: Mapped[float]
    area_sigma_m2: Mapped[float]
    height_m: Mapped[float | None]
    kind: Mapped[str]
    score: Mapped[float]
    reasons: Mapped[list[Any]]
    suppressed: Mapped[str | None]
    finding_id: Mapped[str | None] = mapped_column(ForeignKey("findings.id"), index=True)
    features: Mapped[Json] = mapped_column(server_default="{}")  # what was measured, by name


class FindingRow(Shaped, Base):
    """疑似违建线索."""

    __tablename__ = "findings"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    area_m2: Mapped[float]
    height_m: Mapped[float | None]
    kind: Mapped[str]
    score: Mapped[float]
    state: Mapped[str] = mapped_column(index=True)
    found_at: Mapped[datetime] = mapped_column(index=True)
    before_survey: Mapped[str | None] = mapped_column(ForeignKey("surveys.id"))
    after_survey: Mapped[str | None] = mapped_column(ForeignKey("surveys.id"))
    source: Mapped[str]
    reasons: Mapped[list[Any]]
    town: Mapped[str] = mapped_column(index=True)
    duplicate_of: Mapped[str | None] = mapped_column(ForeignKey("findings.id"))
    decision: Mapped[str]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    leased_by: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    sightings: Mapped[int]
    urgency: Mapped[int] = mapped_column(index=True)
    version: Mapped[int]


class CaseRow(Shaped, Base):
    """案件; `shape` is its place."""

    __tablename__ = "cases"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    finding_id: Mapped[str] = mapped_column(ForeignKey("findings.id"), unique=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    state: Mapped[str] = mapped_column(index=True)
    opened_at: Mapped[datetime] = mapped_column(index=True)
    reviewer: Mapped[str]
    town: Mapped[str] = mapped_column(index=True)
    code: Mapped[str]
    assignee: Mapped[str | None] = mapped_column(index=True)
    unit: Mapped[str]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    limit: Mapped[str]
    round: Mapped[int]
    leg: Mapped[int]
    verification: Mapped[Json | None]
    steps: Mapped[list[Any]]
    recheck: Mapped[Json | None]
    resume_to: Mapped[str | None]
    suspended_at: Mapped[datetime | None]
    merged_into: Mapped[str | None] = mapped_column(ForeignKey("cases.id"))
    transferred_to: Mapped[str]
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    close_reason: Mapped[str]
    watch_until: Mapped[datetime | None]
    version: Mapped[int]


class EventRow(Base):
    """One act on a finding or a case; never changed, never deleted (a trigger sees to it)."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_subject", "subject", "subject_id"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subject: Mapped[str]
    subject_id: Mapped[str]
    act: Mapped[str]
    before: Mapped[str]
    after: Mapped[str]
    by: Mapped[str]
    by_name: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)
    note: Mapped[str]
    facts: Mapped[Json]


class EvidenceRow(Base):
    """证据: a hashed crop, photo or paper in the blob store."""

    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_subject", "subject", "subject_id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str]
    subject_id: Mapped[str]
    role: Mapped[str]  # before, after, height, photo, field_photo, document
    sha256: Mapped[str] = mapped_column(index=True)
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    caption: Mapped[str]
    taken_at: Mapped[datetime | None]
    place: Mapped[BaseGeometry | None]
    survey_id: Mapped[str | None] = mapped_column(ForeignKey("surveys.id"))
    photo_sha256: Mapped[str | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]  # retention took the picture away; this row and its hash stay


class MaskRow(Shaped, Base):
    """遮蔽区: ground that may not be shown, by whose word and why."""

    __tablename__ = "masks"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    authority: Mapped[str]
    reason: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime]


class ExportRow(Shaped, Base):
    """对外提供: who took what ground out of the store, and who allowed it."""

    __tablename__ = "exports"
    id: Mapped[str] = mapped_column(primary_key=True)
    survey_id: Mapped[str] = mapped_column(ForeignKey("surveys.id"), index=True)
    what: Mapped[str]
    reason: Mapped[str]
    classification: Mapped[str]
    area_m2: Mapped[float]
    contiguous_m2: Mapped[float]
    state: Mapped[str]
    asked_by: Mapped[str] = mapped_column(index=True)
    asked_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    note: Mapped[str]
    done_at: Mapped[datetime | None]


class RegisterVersionRow(Base):
    """合法与管控底图: one import of one source; a later one replaces it, and it stays."""

    __tablename__ = "register_versions"
    __table_args__ = (UniqueConstraint("source", "number"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    number: Mapped[int]
    file_name: Mapped[str]
    sha256: Mapped[str]
    datum: Mapped[str]
    guessed: Mapped[bool]
    entries: Mapped[int]
    kinds: Mapped[Json]
    changes: Mapped[Json]
    notes: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(index=True)  # current, replaced, withdrawn
    replaced_by: Mapped[str | None]
    said: Mapped[str]
    imported_by: Mapped[str]
    imported_at: Mapped[datetime]


class RegisterEntryRow(Shaped, Base):
    """One permit, parcel, site or ledger entry of a version."""

    __tablename__ = "register_entries"
    id: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("register_versions.id"), index=True)
    number: Mapped[str]
    kind: Mapped[str]
    name: Mapped[str]
    holder: Mapped[str]
    area_limit_m2: Mapped[float | None]
    height_limit_m: Mapped[float | None]
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    axis: Mapped[BaseGeometry | None]  # of a pipeline's corridor
    inner_m: Mapped[float | None]
    outer_m: Mapped[float | None]
    start_m: Mapped[float | None]
    contact: Mapped[str]


class FindingLabelRow(Base):
    """What one entry said of one finding; `held` why it was held back for it."""

    __tablename__ = "finding_labels"
    id: Mapped[str] = mapped_column(primary_key=True)
    finding_id: Mapped[str] = mapped_column(ForeignKey("findings.id"), index=True)
    entry_id: Mapped[str] = mapped_column(ForeignKey("register_entries.id"), index=True)
    comparison_id: Mapped[str | None] = mapped_column(ForeignKey("comparisons.id"))
    kind: Mapped[str]
    share: Mapped[float]
    in_force: Mapped[bool]
    excess_area_m2: Mapped[float]
    excess_height_m: Mapped[float]
    zh: Mapped[str]
    en: Mapped[str]
    held: Mapped[str | None]
    watch: Mapped[Json | None]  # third-party works near a pipeline
    judged_on: Mapped[date]
    made_at: Mapped[datetime]


class CalibrationRow(Base):
    """One try at learning from verdicts: the curves, the labels they were made of, how they did where they had not looked."""

    __tablename__ = "calibrations"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(index=True)  # current, replaced, declined
    labels: Mapped[int]
    right: Mapped[int]
    zh: Mapped[str]
    en: Mapped[str]
    said: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    record: Mapped[Json]


class SightingRow(Base):
    """What one survey said of a finding: new, same, grown, a stage further, gone, returned."""

    __tablename__ = "sightings"
    id: Mapped[str] = mapped_column(primary_key=True)
    finding_id: Mapped[str] = mapped_column(ForeignKey("findings.id"), index=True)
    comparison_id: Mapped[str] = mapped_column(ForeignKey("comparisons.id"))
    taken_on: Mapped[date]
    said: Mapped[str]
    stage: Mapped[str]
    area_m2: Mapped[float]
    height_m: Mapped[float | None]
    zh: Mapped[str]
    en: Mapped[str]
    made_at: Mapped[datetime]


class RecheckOrderRow(Base):
    """复核飞行需求."""

    __tablename__ = "recheck_orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    place: Mapped[BaseGeometry]
    not_before: Mapped[date]
    not_after: Mapped[date] = mapped_column(index=True)
    ordered_at: Mapped[datetime]
    survey_id: Mapped[str | None] = mapped_column(ForeignKey("surveys.id"))  # the survey that answered it
    done_at: Mapped[datetime | None]


class JobRow(Base):
    """A piece of long work: a row with a lease; the message that moves it carries its id and nothing else."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_lease", "state", "lease_until"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(index=True)
    args: Mapped[Json]
    key: Mapped[str | None] = mapped_column(unique=True)  # the same work asked twice is one job while it is not over
    state: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(index=True)
    made_by: Mapped[str]
    sent_at: Mapped[datetime | None]  # when its message was last put into the queue
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[str | None]
    heartbeat_at: Mapped[datetime | None]
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    cancel_asked: Mapped[bool]
    done: Mapped[int]
    total: Mapped[int]
    what: Mapped[str]
    error: Mapped[str | None]
    result: Mapped[Json | None]
    parent_id: Mapped[str | None] = mapped_column(index=True)  # of a piece: the job that waits for it
    stage: Mapped[str | None]
    piece: Mapped[int | None]


class UploadRow(Base):
    """Photos of one flight or day on their way in."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(primary_key=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    taken_on: Mapped[date]
    flight_id: Mapped[str | None] = mapped_column(ForeignKey("flights.id"))
    state: Mapped[str]  # open, finished, dropped
    made_by: Mapped[str] = mapped_column(index=True)
    made_at: Mapped[datetime]
    touched_at: Mapped[datetime] = mapped_column(index=True)
    job_id: Mapped[str | None]


class UploadFileRow(Base):
    """One file of an upload: its name below the folder, and the content it is to have."""

    __tablename__ = "upload_files"
    __table_args__ = (Index("ix_upload_files_content", "upload_id", "sha256"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id"))
    name: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    stored: Mapped[bool]


class UserRow(Base):
    """A person who may sign in."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    roles: Mapped[list[Any]]
    town: Mapped[str]
    active: Mapped[bool]
    must_change: Mapped[bool]
    failures: Mapped[int]
    locked_until: Mapped[datetime | None]
    made_at: Mapped[datetime]


class SessionRow(Base):
    """A sign-in; the token itself is never stored, only its SHA-256."""

    __tablename__ = "sessions"
    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AuditRow(Base):
    """One link of the audit chain; never changed, never deleted (a trigger sees to it)."""

    __tablename__ = "audit"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(index=True)
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    details: Mapped[Json]
    previous: Mapped[str]
    hash: Mapped[str]


class OutboxRow(Base):
    """What must be told to the outside once the transaction that wrote it has been committed."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    topic: Mapped[str]
    payload: Mapped[Json]
    made_at: Mapped[datetime]
    sent_at: Mapped[datetime | None] = mapped_column(index=True)


class CounterRow(Base):
    """The last number given out, by name."""

    __tablename__ = "counters"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
