"""Uploads: photos of an area and a day come in, by any number of connections that may break, until all are in the blob store.

Open, declare what there is, send what is lacking, finish. Contents go by their SHA-256: what is in the store is not sent again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from geo.progress import Progress, silent
from patrol import audit, intake, repositories, uploads
from patrol.blobs import BlobDamaged, is_name
from patrol.intake import Unfit
from patrol.parts import Part, Parts
from patrol.records import UploadFile, UploadRecord, UploadState
from patrol.shelf import NotFound
from patrol.wiring import Workplace

BATCH = 500  # files in one declaration: bounds its body and its transaction
SPARE_BYTES = 1_000_000_000  # left free whatever is uploaded: the database and the running jobs need room
_LOOKERS = 8  # questions to the blob store at once


class UploadRefused(RuntimeError):
    """An upload or a file of it that cannot be taken; says why in both languages, and nothing stored is changed."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{zh} {en}")
        self.code, self.zh, self.en = code, zh, en

    @classmethod
    def of(cls, said: Unfit) -> UploadRefused:
        """The refusal of a file."""
        return cls(said.code, said.zh, said.en)


class UploadForeign(UploadRefused):
    """It belongs to somebody else."""


class UploadOver(UploadRefused):
    """It was finished or given up, or is not ready to be finished."""


class NoRoom(UploadRefused):
    """The disk has no room for it."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What one wants to send: a path below the chosen folder, and its content."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a declared file: stored already, wanted from the byte `received` on, or refused with the reason."""

    name: str
    sha256: str
    stored: bool
    received: int = 0
    refusal: Unfit | None = None


def parts_of(work: Workplace) -> Parts:
    """Where files arrive."""
    return Parts(work.settings.uploads_dir)


def open_upload(work: Workplace, area_id: str, taken_on: date, *, by: str, flight_id: str | None = None) -> UploadRecord:
    """An upload for an area and a day: the one this person has not finished, or a new one."""
    now = work.clock.now()
    if taken_on > now.date() + timedelta(days=1):
        raise UploadRefused("date", f"拍摄日期 {taken_on} 在未来。", f"The day {taken_on} has not come yet.")
    with work.database.write() as session:
        repositories.areas.get(session, area_id)
        if flight_id is not None and repositories.flights.get(session, flight_id).area_id not in {None, area_id}:
            raise UploadRefused("flight", "该架次不属于此巡查单元。", "That flight was over another area.")
        there = uploads.open_one(session, by, area_id, taken_on, flight_id)
        if there is not None:
            uploads.touch(session, there.id, now)
            return there
        made = UploadRecord(repositories.new_id(), area_id, taken_on, UploadState.OPEN, by, now, now, flight_id)
        uploads.uploads.add(session, made)
        audit.append(session, by, "upload.open", f"upload:{made.id}", at=now, details={"area": area_id, "taken_on": taken_on})
    return made


def mine(work: Workplace, upload_id: str, *, by: str) -> UploadRecord:
    """An upload of this person. Raises NotFound, UploadForeign."""
    with work.database.read() as session:
        found = uploads.uploads.get(session, upload_id)
    if found.made_by != by:
        raise UploadForeign("foreign", "这是其他人的上传任务。", "This upload belongs to somebody else.")
    return found


def _mine_open(work: Workplace, upload_id: str, by: str) -> UploadRecord:
    found = mine(work, upload_id, by=by)
    if found.state is not UploadState.OPEN:
        raise UploadOver("over", "此次上传已结束，请重新开始一次上传。", "This upload is over: begin another one.")
    return found


def declare(work: Workplace, upload_id: str, declared: Sequence[Declared], *, by: str) -> tuple[Answer, ...]:
    """Say what there is to send, up to BATCH files at a time; may be said again, which is how an upload is taken up."""
    upload = _mine_open(work, upload_id, by)
    most_bytes = int(work.settings.upload_file_mb * 1e6)
    refused = {d.name: said for d in declared if (said := _unfit(d, most_bytes))}
    fit = [d for d in {d.name: d for d in declared}.values() if d.name not in refused]
    there = _sizes(work, {d.sha256 for d in fit})
    for d in fit:
        size = there[d.sha256]
        if size is not None and size != d.size_bytes:
            refused[d.name] = _contradiction(d)
    fit = [d for d in fit if d.name not in refused]
    parts = parts_of(work)
    received = {d.sha256: parts.received(upload.id, d.sha256) for d in fit if there[d.sha256] is None}
    rows = [
        UploadFile(uploads.file_id(upload.id, d.name), upload.id, d.name, d.size_bytes, d.sha256, there[d.sha256] is not None)
        for d in fit
    ]
    with work.database.write() as session:
        uploads.declare(session, rows)
        tally = uploads.tallies(session, [upload.id])[upload.id]
        if tally.files > work.settings.upload_files:
            most = work.settings.upload_files
            raise UploadRefused(
                "too_many",
                f"一次上传最多 {most} 个文件，请分次上传（按日期或架次）。",
                f"One upload takes {most} files at most: split it by day or flight.",
            )
        lacking = tally.size_bytes - tally.stored_bytes - sum(received.values())
        _need_room(work, lacking)
        uploads.touch(session, upload.id, work.clock.now())
    return tuple(
        Answer(d.name, d.sha256, False, 0, refused[d.name])
        if d.name in refused
        else Answer(d.name, d.sha256, there[d.sha256] is not None, received.get(d.sha256, 0))
        for d in declared
    )


def _unfit(d: Declared, most_bytes: int) -> Unfit | None:
    if not is_name(d.sha256):
        return Unfit("hash", f"{d.name[:80]!a} 的 SHA-256 写法不对。", f"The SHA-256 of {d.name[:80]!a} is not one.")
    return intake.unfit(d.name, d.size_bytes, most_bytes)


def _contradiction(d: Declared) -> Unfit:
    return Unfit(
        "size",
        f"{d.name} 的大小与其 SHA-256 不符，请重新选择文件。",
        f"The size of {d.name} does not fit its SHA-256: choose the file again.",
    )


def _sizes(work: Workplace, names: set[str]) -> Mapping[str, int | None]:
    with ThreadPoolExecutor(max_workers=_LOOKERS) as pool:
        return dict(zip(names, pool.map(work.blobs.size_bytes, names), strict=True))


def _need_room(work: Workplace, lacking_bytes: int) -> None:
    work.settings.uploads_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(work.settings.uploads_dir).free
    if lacking_bytes + SPARE_BYTES > free:
        lack = (lacking_bytes + SPARE_BYTES - free) / 1e9
        raise NoRoom(
            "no_room",
            f"服务器磁盘空间不足：还要接收 {lacking_bytes / 1e9:.1f} GB，可用 {free / 1e9:.1f} GB，还差 {lack:.1f} GB。"
            "请管理员清理空间后继续，已上传的照片不会丢失。",
            f"The server's disk has no room: {lacking_bytes / 1e9:.1f} GB are to come, {free / 1e9:.1f} GB are free, "
            f"{lack:.1f} GB are lacking. Free some space and go on; what was sent is kept.",
        )


def wanted(work: Workplace, upload_id: str, sha256: str, *, by: str) -> UploadFile:
    """The file whose content is to be sent. Raises NotFound when none was declared with it."""
    upload = _mine_open(work, upload_id, by)
    with work.database.read() as session:
        found = uploads.of_content(session, upload.id, sha256)
    if not found:
        raise NotFound(f"upload {upload_id} has no file with the SHA-256 {sha256[:64]!r}: declare it first")
    return found[0]


def look_at_head(work: Workplace, file: UploadFile, part: Part, *, by: str) -> None:
    """Refuse a file whose first bytes are not of its kind: the part is dropped, the file taken out of the upload."""
    said = intake.unfit_head(file.name, part.head(intake.HEAD_BYTES))
    if said is None:
        return
    part.empty()
    part.path.unlink(missing_ok=True)
    with work.database.write() as session:
        uploads.withdraw(session, file.upload_id, file.sha256)
        _note(work, session, by, "upload.refuse", file, said.code)
    raise UploadRefused.of(said)


def settle(work: Workplace, file: UploadFile, part: Part, *, by: str) -> None:
    """All bytes are here: into the blob store if the hash is right. Otherwise the part is dropped, and the file may be sent anew."""
    try:
        work.blobs.take(part.path, file.sha256)
    except BlobDamaged as err:
        part.empty()
        part.path.unlink(missing_ok=True)
        with work.database.write() as session:
            _note(work, session, by, "upload.damaged", file, "damaged")
        raise UploadRefused(
            "damaged",
            f"{file.name} 传输后与原文件不一致（SHA-256 不符），已丢弃，请重新上传该文件。",
            f"{file.name} arrived damaged (its SHA-256 differs) and was dropped: send it again.",
        ) from err
    with work.database.write() as session:
        uploads.mark_stored(session, file.upload_id, file.sha256, work.clock.now())


def _note(work: Workplace, session: object, by: str, action: str, file: UploadFile, code: str) -> None:
    details = {"name": file.name, "sha256": file.sha256, "code": code}
    audit.append(session, by, action, f"upload:{file.upload_id}", at=work.clock.now(), details=details)  # type: ignore[arg-type]


def ready(work: Workplace, upload_id: str, *, by: str) -> UploadRecord:
    """The upload, if all its files are in the store and it may be finished; one that is finished comes back as it is."""
    upload = mine(work, upload_id, by=by)
    if upload.state is UploadState.FINISHED:
        return upload
    upload = _mine_open(work, upload_id, by)
    with work.database.read() as session:
        tally = uploads.tallies(session, [upload.id])[upload.id]
        lacking = uploads.waiting(session, upload.id, limit=3)
    if not tally.files:
        raise UploadOver("empty", "还没有任何照片。", "There is no photo yet.")
    if lacking:
        count, names = tally.files - tally.stored_files, "、".join(f.name for f in lacking)
        raise UploadOver(
            "lacking",
            f"还有 {count} 个文件没有传完（{names} …），请继续上传。",
            f"{count} files are not here yet ({names} …): go on with the upload.",
        )
    return upload


def finished(work: Workplace, upload: UploadRecord, job_id: str, *, by: str) -> UploadRecord:
    """Close an upload: `job_id` makes a survey of it."""
    now = work.clock.now()
    with work.database.write() as session:
        tally = uploads.tallies(session, [upload.id])[upload.id]
        made = uploads.move(session, upload, UploadState.FINISHED, now, job_id)
        details = {"files": tally.files, "size_bytes": tally.size_bytes, "job": job_id}
        audit.append(session, by, "upload.finish", f"upload:{upload.id}", at=now, details=details)
    parts_of(work).drop(upload.id)
    return made


def drop(work: Workplace, upload_id: str, *, by: str) -> UploadRecord:
    """Give up an upload. Contents that are in the blob store stay there: the next upload does not send them again."""
    return _drop(work, _mine_open(work, upload_id, by), by)


def _drop(work: Workplace, upload: UploadRecord, by: str) -> UploadRecord:
    now = work.clock.now()
    with work.database.write() as session:
        made = uploads.move(session, upload, UploadState.DROPPED, now)
        audit.append(session, by, "upload.drop", f"upload:{upload.id}", at=now)
    parts_of(work).drop(upload.id)
    return made


def sweep(work: Workplace) -> int:
    """Give up uploads that nobody goes on with, and remove parts that belong to none; returns how many uploads were given up."""
    before = work.clock.now() - timedelta(days=work.settings.upload_days)
    with work.database.read() as session:
        old = uploads.stale(session, before)
    for upload in old:
        _drop(work, upload, "sweep")
    parts = parts_of(work)
    for upload_id in parts.uploads():
        with work.database.read() as session:
            found = uploads.uploads.find(session, upload_id)
        if found is None or found.state is not UploadState.OPEN:
            parts.drop(upload_id)
    return len(old)


def lay_out(work: Workplace, upload_id: str, progress: Progress = silent) -> Path:
    """The folder of an upload's photos under their own names, for the ingest: links to the store's files, or fetched copies."""
    with work.database.read() as session:
        files = uploads.of_upload(session, upload_id)
    folder = work.settings.work_dir / "uploads" / upload_id
    for number, file in enumerate(files, start=1):
        target = folder / file.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            link(work.blobs.local(file.sha256), target)
        progress(number, len(files), "fetch")
    return folder


def link(source: Path, target: Path) -> None:
    """A second name for a read-only file, or a copy where the disk is another one."""
    try:
        os.link(source, target)
    except OSError:
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
