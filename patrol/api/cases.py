"""Routes of the case desk: cases, their lawful acts, field photos, jobs."""

from __future__ import annotations

import hashlib
from io import BytesIO

from fastapi import APIRouter, UploadFile
from PIL import Image, UnidentifiedImageError

from dispatch.refusal import Refusal
from patrol import audit, jobs, records, repositories
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import CaseWorker, JobKeeper, Viewer, Work
from patrol.pipeline import casework

router = APIRouter(prefix="/api", tags=["cases"])
PHOTO_BYTES = 40_000_000
PHOTO_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@router.get("/cases", operation_id="list_cases")
def list_cases(work: Work, _: Viewer, area: str | None = None, state: str | None = None) -> list[wire.CaseOut]:
    """Cases, the most urgent first."""
    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    with work.database.read() as session:
        found, _all = repositories.search_cases(session, wanted, limit=2000)
        names = rim.people(session)
    return [wire.CaseOut(**rim.case(c, work.clock.now(), names)) for c in found]


@router.get("/cases/{case_id}", operation_id="get_case")
def get_case(case_id: str, work: Work, user: Viewer) -> wire.CaseDetail:
    """A case with its lawful acts for the one who asks."""
    with work.database.read() as session:
        return rim.case_detail(work, session, repositories.cases.get(session, case_id), user.actor)


@router.post("/cases/{case_id}/acts", operation_id="act")
def act(case_id: str, body: wire.ActIn, work: Work, user: CaseWorker) -> wire.CaseDetail:
    """One act; a refusal says every reason and changes nothing."""
    done = casework.act(work, case_id, body.act, body.note, body.facts, user.actor)
    if isinstance(done, Refusal):
        raise rim.refused(done)
    with work.database.read() as session:
        return rim.case_detail(work, session, done, user.actor)


@router.post("/cases/{case_id}/photos", operation_id="add_photo")
def add_photo(case_id: str, file: UploadFile, work: Work, user: CaseWorker) -> wire.EvidenceOut:
    """A field photo of a case; the same picture sent twice is kept once."""
    content = file.file.read(PHOTO_BYTES + 1)
    if len(content) > PHOTO_BYTES:
        raise rim.Problem(413, "too_large", "照片超过40 MB。", "The photo is larger than 40 MB.")
    try:
        with Image.open(BytesIO(content), formats=list(PHOTO_FORMATS)) as picture:
            picture.verify()
            media_type = PHOTO_FORMATS[picture.format or ""]
    except (UnidentifiedImageError, OSError, SyntaxError, KeyError) as err:
        raise rim.Problem(422, "not_a_photo", "文件不是照片（JPEG、PNG、WEBP）。", "Not a photo (JPEG, PNG, WEBP).") from err
    blob = work.blobs.put(content)
    piece = records.EvidenceRecord(
        id=hashlib.sha256(f"{case_id}:{blob.sha256}".encode()).hexdigest()[:32],
        subject="case",
        subject_id=case_id,
        role="field_photo",
        sha256=blob.sha256,
        media_type=media_type,
        size_bytes=blob.size_bytes,
        caption=(file.filename or "photo")[:120],
        made_by=user.id,
        made_at=work.clock.now(),
    )
    with work.database.write() as session:
        repositories.cases.get(session, case_id)
        repositories.evidence.put(session, piece)
        audit.append(session, user.id, "evidence.add", f"case:{case_id}", at=piece.made_at, details={"sha256": blob.sha256})
    return rim.evidence(work, piece)


@router.get("/jobs", operation_id="list_jobs")
def list_jobs(work: Work, _: Viewer) -> list[wire.JobOut]:
    """The newest jobs first."""
    with work.database.read() as session:
        return [rim.job(j) for j in jobs.recent(session)]


@router.post("/jobs/{job_id}/cancel", operation_id="cancel_job")
def cancel_job(job_id: str, work: Work, user: JobKeeper) -> wire.JobOut:
    """End a job."""
    with work.database.write() as session:
        return rim.job(jobs.cancel(session, job_id, by=user.id, clock=work.clock))
