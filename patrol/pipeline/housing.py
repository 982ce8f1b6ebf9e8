"""The folder a survey is built in: its name, the room it needs on the disk, and the way into its place in the store."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from geo.area import Area
from imagery.photos import Photo
from imagery.survey import Compression, Survey
from patrol import audit, records, repositories
from patrol.pipeline import cataloguing, masking, sorting
from patrol.values import dump
from patrol.wiring import Workplace

# Disk that a build takes at its fullest, beside the originals that are kept.
# Keypoints and matches: 1.4 and 0.8 MB on brighton_beach and sheffield_cross, as much again while solving.
PHOTO_BYTES = 4_000_000
PATCH_BYTES = 8.0  # two pairs for each photo, float32 heights: on disk until the surface is made
CELL_BYTES = 24.0  # surface, sigma, ground and height as float32, colours and masks, before they are compressed
ORTHO_FACTOR = 4.0  # an adopted orthophoto, over its own size
SPACE_FLOOR_BYTES = 200_000_000


class SurveyRefused(RuntimeError):
    """A survey that cannot be made or is not good enough; it says why, and earlier surveys are untouched."""


def building_of(work: Workplace, survey_id: str) -> Path:
    """Where a survey is built; the same folder for every try, so that a killed build is taken up again."""
    return work.settings.home / "building" / survey_id


def place_of(work: Workplace, survey_id: str) -> Path:
    """Where a finished survey lies."""
    return work.settings.home / "surveys" / survey_id


def id_of(area: Area, taken_on: date, hashes: Iterable[str], compression: Compression) -> str:
    """A survey's id, by what goes into it: the same photos give the same survey."""
    packed = [] if compression == "jpeg" else [compression]  # ids of before there was a choice stay
    content = hashlib.sha256("\n".join([area.id, *sorted(hashes), *packed]).encode()).hexdigest()
    return f"{area.id}-{taken_on:%Y%m%d}-{content[:8]}"


def sha256_of(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def needed_bytes(photos: Sequence[Photo], area: Area) -> int:
    """What a build takes on disk at its fullest: originals, keypoints and matches, depth patches, rasters."""
    heights = sorted(p.takeoff_height_m for p in photos if p.takeoff_height_m is not None and p.takeoff_height_m > 5)
    native_m = photos[0].camera.gsd_m(heights[len(heights) // 2]) if heights else area.gsd_m
    cell_m = max(area.gsd_m, native_m)
    ground_m2 = sum(p.camera.width_px * p.camera.height_px for p in photos) * native_m**2
    west, south, east, north = area.outline_m.bounds
    grid_m2 = (east - west) * (north - south)
    originals = sum(p.path.stat().st_size for p in photos)
    return int(originals + PHOTO_BYTES * len(photos) + (PATCH_BYTES * ground_m2 + CELL_BYTES * grid_m2) / cell_m**2)


def room(work: Workplace, survey_id: str, needed_bytes: int) -> Path:
    """The folder to build in, made; raises SurveyRefused when the disk has less than is needed."""
    building = building_of(work, survey_id)
    building.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(building).free, needed_bytes + SPACE_FLOOR_BYTES
    if free < needed:
        raise SurveyRefused(
            f"{work.settings.home}: 磁盘剩余 {free / 1e9:.1f} GB，本期约需 {needed / 1e9:.1f} GB；请清理空间后重新入库，已有数据不受影响。 "
            f"{free / 1e9:.1f} GB are free and this survey needs about {needed / 1e9:.1f} GB; "
            "free some space and ingest again: nothing is lost"
        )
    return building


def trouble(err: OSError, building: Path) -> str:
    """What a failing disk means to who ingests, in both languages."""
    said = err.strerror or str(err)
    full = err.errno in {errno.ENOSPC, errno.EDQUOT}
    zh = "磁盘已满" if full else "磁盘读写出错"
    return (
        f"{building}: {zh}，请清理空间或检修磁盘后重新入库，从中断处继续，已有成果不受影响。 "
        f"{said}: free some space or mend the disk, then ingest again, it goes on where it stopped; earlier surveys are untouched"
    )


def put_in_place(
    work: Workplace,
    area: Area,
    survey: Survey,
    building: Path,
    *,
    by: str,
    flight_id: str | None,
    photos: Sequence[Photo] = (),
) -> records.SurveyRecord:
    """A whole survey from its building folder into the store: masked, catalogued, renamed, and seen only by the row written last."""
    burnt = masking.burn_into(work, area, survey)  # before any tile, crop or export of it can exist
    if photos:
        cataloguing.write_originals(building, photos)
    cataloguing.make_thumbnail(work, building, survey)
    place = place_of(work, survey.id)
    place.parent.mkdir(parents=True, exist_ok=True)
    if building != place:
        if place.exists():  # an earlier run was killed between the rename and the row
            shutil.rmtree(place)
        building.replace(place)
    survey = sorting.on_record(place, Survey.load(place))
    record = records.SurveyRecord(
        id=survey.id,
        area_id=area.id,
        taken_on=survey.taken_on,
        made_at=work.clock.now(),
        outline=area.frame.to_degrees(survey.grid.outline_m),
        folder=str(place.relative_to(work.settings.home)),
        accepted=survey.quality.accepted,
        quality=dump(survey.quality),
        assets=tuple(cataloguing.assets(place, survey)),
        record=json.loads((place / "survey.json").read_text()) | sorting.summary(place),
        reference_id=survey.reference_id,
        flight_id=flight_id,
        classification=work.settings.classification,
    )
    cataloguing.write_item(work, record)
    with work.database.write() as session:
        repositories.surveys.put(session, record)
        audit.append(
            session,
            by,
            "survey.add",
            f"survey:{record.id}",
            at=record.made_at,
            details={
                "area": area.id,
                "taken_on": record.taken_on,
                "accepted": record.accepted,
                "masks": [b.mask_id for b in burnt],
                "taken_back": sorting.summary(place).get("screening", {}).get("taken_back", []),
            },
        )
    return record
