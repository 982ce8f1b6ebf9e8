"""The one place where ports meet their adapters: a workplace holds the store, the blobs, the clock, and makes engines and links."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from change_detect.detector import Detector, GeometryImage
from change_detect.learned import ModelDetector
from change_detect.models import load as load_model
from dispatch.office import Office, standard_office
from flight.link import VehicleLink
from flight.links.dronekit import DronekitVehicle
from flight.links.mavlink import MavlinkVehicle
from geo.progress import Progress, silent
from geo.times import Clock, SystemClock
from imagery.engines.colmap import ColmapReconstructor
from imagery.engines.nodeodm import NodeodmReconstructor
from imagery.reconstruct import Reconstructor
from patrol.blobs import BlobError, BlobStore
from patrol.database import Database
from patrol.intake import KINDS, suffix_of, unfit_name
from patrol.settings import Settings
from patrol.stores.bucket import BlobBucket
from patrol.stores.fetch import fetch
from patrol.stores.folder import BlobFolder
from patrol.stores.s3 import SCHEME, Address


@dataclass(frozen=True, slots=True)
class Workplace:
    """All that a use case needs of the world."""

    settings: Settings
    database: Database
    blobs: BlobStore
    clock: Clock = field(default_factory=SystemClock)

    @property
    def office(self) -> Office:
        """The office's calendar, limits and rules."""
        return _office(self.settings.field_photos_min)

    def reconstructor(self) -> Reconstructor:
        """The engine that makes blocks of photos: a NodeODM service where one is set, else this machine."""
        url = self.settings.nodeodm_url.get_secret_value()
        return NodeodmReconstructor(url) if url else ColmapReconstructor()

    def detector(self, progress: Progress = silent) -> Detector:
        """What finds changes: the office's own model where one is set; raises ModelError when it does not fit its sidecar."""
        path = self.settings.change_model
        return ModelDetector(load_model(Path(path)), progress) if path else GeometryImage(progress=progress)

    @contextmanager
    def photos(self, source: str, progress: Progress = silent) -> Iterator[Path]:
        """The folder of photos that a source is: a folder itself, or `s3://bucket/prefix` fetched to this machine.

        Photos are read many times by libraries that know files only. What was fetched stays in the cache, so that going on after
        an interruption is cheap. Raises BlobError when the bucket or the credentials are wrong.
        """
        if not source.startswith(SCHEME):
            yield Path(source)
            return
        cache, address = self.settings.cache_dir, Address.of(source)
        folder = self.settings.work_dir / "fetched" / uuid4().hex
        try:
            yield fetch(address, BlobFolder(cache), cache / "notes", folder, _is_wanted, progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def vehicle(self, url: str) -> VehicleLink:
        """A link to a vehicle: pymavlink by default, DroneKit for telemetry and guided flight by `dronekit+tcp:…`."""
        if url.startswith("dronekit+"):
            return DronekitVehicle(url.removeprefix("dronekit+"))
        return MavlinkVehicle(url)


def _is_wanted(name: str) -> bool:
    return unfit_name(name) is None and suffix_of(name) in KINDS


@lru_cache(maxsize=4)
def _office(photos_min: int) -> Office:
    office = standard_office()
    return (
        replace(office, rules=replace(office.rules, photos_min=photos_min)) if office.rules.photos_min != photos_min else office
    )


def open_blobs(settings: Settings) -> BlobStore:
    """The blob store of these settings; nothing is connected yet. Raises BlobError when its address cannot be one."""
    if not settings.blobs_url:
        return BlobFolder(settings.blobs_dir)
    if not settings.blobs_url.startswith(SCHEME):
        raise BlobError("PATROL_BLOBS_URL is no address of a store: leave it empty for a folder, or write s3://bucket/prefix")
    return BlobBucket(Address.of(settings.blobs_url), BlobFolder(settings.cache_dir))


@contextmanager
def workplace(settings: Settings, *, clock: Clock | None = None, check: bool = True) -> Iterator[Workplace]:
    """The workplace of these settings; raises DatabaseError when the database is not ready (`patrol init` makes it so)."""
    with Database(settings.database) as database:
        if check:
            database.check()
        yield Workplace(settings, database, open_blobs(settings), clock or SystemClock())
