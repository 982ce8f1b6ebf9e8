"""Uploads in the store: shelves, and the few questions that are asked of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from patrol.records import UploadFile, UploadRecord, UploadState
from patrol.shelf import Shelf
from patrol.tables import UploadFileRow, UploadRow

uploads = Shelf(UploadRow, UploadRecord, "upload")
files = Shelf(UploadFileRow, UploadFile, "file of an upload")


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of an upload there is, and how much of it is in the blob store."""

    files: int = 0
    size_bytes: int = 0
    stored_files: int = 0
    stored_bytes: int = 0


def file_id(upload_id: str, name: str) -> str:
    """The id of a name within an upload: declaring it twice is one file."""
    return hashlib.sha256(f"{upload_id}\n{name}".encode()).hexdigest()[:32]


def open_one(session: Session, by: str, area_id: str, taken_on: date, flight_id: str | None) -> UploadRecord | None:
    """The upload a person has not finished for an area and a day."""
    flight = UploadRow.flight_id == flight_id if flight_id else UploadRow.flight_id.is_(None)
    mine = (UploadRow.made_by == by, UploadRow.area_id == area_id, UploadRow.taken_on == taken_on, flight)
    found = uploads.where(session, *mine, UploadRow.state == UploadState.OPEN.value, order=(UploadRow.made_at,))
    return found[0] if found else None


def of_person(session: Session, by: str, limit: int = 20) -> tuple[UploadRecord, ...]:
    """A person's uploads, the newest first; not those that were given up."""
    kept = UploadRow.state != UploadState.DROPPED.value
    return uploads.where(session, UploadRow.made_by == by, kept, order=(UploadRow.touched_at.desc(),), limit=limit)


def stale(session: Session, before: datetime) -> tuple[UploadRecord, ...]:
    """Open uploads that nobody has touched since."""
    return uploads.where(session, UploadRow.state == UploadState.OPEN.value, UploadRow.touched_at < before)


def tallies(session: Session, ids: Collection[str]) -> dict[str, Tally]:
    """How far each of some uploads is."""
    size = UploadFileRow.size_bytes
    stored = UploadFileRow.stored
    query = (
        select(
            UploadFileRow.upload_id,
            func.count(),
            func.sum(size),
            func.sum(case((stored, 1), else_=0)),
            func.sum(case((stored, size), else_=0)),
        )
        .where(UploadFileRow.upload_id.in_(ids))
        .group_by(UploadFileRow.upload_id)
    )
    found = {row[0]: Tally(*(int(n or 0) for n in row[1:])) for row in session.execute(query)}
    return {id: found.get(id, Tally()) for id in ids}


def of_content(session: Session, upload_id: str, sha256: str) -> tuple[UploadFile, ...]:
    """The files of an upload that have a content, by name."""
    mine = (UploadFileRow.upload_id == upload_id, UploadFileRow.sha256 == sha256)
    return files.where(session, *mine, order=(UploadFileRow.name,))


def waiting(session: Session, upload_id: str, limit: int | None = None) -> tuple[UploadFile, ...]:
    """Files whose content has not arrived, by name."""
    mine = (UploadFileRow.upload_id == upload_id, UploadFileRow.stored.is_(False))
    return files.where(session, *mine, order=(UploadFileRow.name,), limit=limit)


def of_upload(session: Session, upload_id: str) -> tuple[UploadFile, ...]:
    """All files of an upload, by name."""
    return files.where(session, UploadFileRow.upload_id == upload_id, order=(UploadFileRow.name,))


def declare(session: Session, declared: Sequence[UploadFile]) -> None:
    """Write files in place of those of the same names."""
    session.execute(delete(UploadFileRow).where(UploadFileRow.id.in_([file.id for file in declared])))
    session.add_all([UploadFileRow(**_columns(file)) for file in declared])
    session.flush()


def _columns(file: UploadFile) -> dict[str, Any]:
    return {name: getattr(file, name) for name in UploadFile.__slots__}


def mark_stored(session: Session, upload_id: str, sha256: str, now: datetime) -> None:
    """A content has arrived."""
    mine = (UploadFileRow.upload_id == upload_id, UploadFileRow.sha256 == sha256)
    session.execute(update(UploadFileRow).where(*mine).values(stored=True))
    touch(session, upload_id, now)


def withdraw(session: Session, upload_id: str, sha256: str) -> None:
    """Take back the files of a content that is not what they say."""
    mine = (UploadFileRow.upload_id == upload_id, UploadFileRow.sha256 == sha256)
    session.execute(delete(UploadFileRow).where(*mine))


def touch(session: Session, upload_id: str, now: datetime) -> None:
    """Somebody goes on with it."""
    session.execute(update(UploadRow).where(UploadRow.id == upload_id).values(touched_at=now))


def move(session: Session, upload: UploadRecord, state: UploadState, now: datetime, job_id: str | None = None) -> UploadRecord:
    """Finish or give up an upload."""
    return uploads.put(session, replace(upload, state=state, touched_at=now, job_id=job_id or upload.job_id))
