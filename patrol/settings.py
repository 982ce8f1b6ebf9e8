"""Settings: read once from the environment (`PATROL_…`), handed on as a value. The default needs no server at all."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything that differs between one installation and another."""

    model_config = SettingsConfigDict(env_prefix="PATROL_", frozen=True, extra="ignore")

    home: Path = Field(Path("patrol-data"), description="folder of the embedded database, blobs, surveys and queue")
    database_url: str = Field("", description="empty: an SQLite file below home; or postgresql://user:password@host/name")
    broker_url: str = Field("", description="empty: a folder below home; or redis://host/0, amqp://user:password@host//")
    blobs_url: str = Field("", description="empty: a folder below home; or s3://bucket/prefix?endpoint=http://host:9000")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    language: Literal["zh", "en"] = "zh"

    session_hours: float = Field(12.0, gt=0)
    lock_after: int = Field(5, ge=1, description="wrong passwords in a row until a sign-in is locked")
    lock_minutes: float = Field(15.0, gt=0)
    field_photos_min: int = Field(0, ge=0, description="field photos a verification needs; a city that asks for them sets 3")

    classification: str = Field(
        "internal", description="level a new survey gets: public, internal, secret (config/classification.csv)"
    )
    retention: Literal["off", "report", "apply"] = Field("report", description="what is done every night with data past its days")
    export_valid_days: int = Field(30, ge=1, description="how long an approval holds, and how far back ground beside it counts")

    worker_processes: int = Field(1, ge=1)
    job_lease_s: float = Field(120.0, gt=0, description="how long a job is left to a worker that has fallen silent")
    job_max_attempts: int = Field(3, ge=1, description="how many workers may die of one job")
    job_modules: tuple[str, ...] = Field(("patrol.pipeline.kinds",), description="modules that register the kinds of jobs")
    share_photos: int = Field(300, ge=1, description="from so many photos on a survey is made in pieces that many workers share")
    share_windows: int = Field(
        4,
        ge=1,
        description="from so many windows (of half a kilometre) on a comparison is made in pieces that many workers share",
    )
    sweep_s: float = Field(15.0, gt=0, description="how often a worker looks for jobs that were left lying")

    upload_file_mb: float = Field(250.0, gt=0, description="the largest file an upload takes")
    upload_files: int = Field(20_000, ge=1, description="how many files one upload takes")
    upload_days: float = Field(7.0, gt=0, description="an upload that nobody goes on with is given up after so many days")
    cache_days: float = Field(
        14.0, gt=0, description="a local copy of a bucket's content that nobody used for so long is removed"
    )
    nodeodm_url: SecretStr = Field(
        SecretStr(""),
        description="empty: photos are solved here; or http://host:3000 of a NodeODM service, ?token=… where it asks",
    )

    change_model: str = Field(
        "", description="empty: changes are found by heights and orthos; or an ONNX file with its .json sidecar beside it"
    )

    tianditu_key: SecretStr = SecretStr("")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.home / 'patrol.sqlite'}"

    @property
    def broker(self) -> str:
        """The broker's URL; `filesystem://` is the folder `queue_dir`."""
        return self.broker_url or "filesystem://"

    @property
    def blobs_dir(self) -> Path:
        """Content-addressed files."""
        return self.home / "blobs"

    @property
    def cache_dir(self) -> Path:
        """Local copies of what stands in buckets; may be deleted at any time when nothing runs."""
        return self.home / "cache"

    @property
    def uploads_dir(self) -> Path:
        """Files of unfinished uploads: one folder per upload, named by its id."""
        return self.home / "uploads"

    @property
    def surveys_dir(self) -> Path:
        """One folder per survey, below its area."""
        return self.home / "surveys"

    @property
    def work_dir(self) -> Path:
        """Work in progress; what lies here after a crash may be deleted."""
        return self.home / "work"

    @property
    def queue_dir(self) -> Path:
        """The embedded broker's folder."""
        return self.home / "queue"
