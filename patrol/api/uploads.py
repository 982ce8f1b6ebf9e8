"""Routes of uploads: open one, declare its files, send what is lacking in chunks, finish it into a job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from patrol import intake, jobs, tasks, uploads
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Ingester, Work
from patrol.jobs import JobState
from patrol.parts import Part, PartBusy, WrongOffset
from patrol.pipeline import uploading
from patrol.pipeline.uploading import Declared, UploadRefused
from patrol.records import UploadFile, UploadRecord, UploadState
from patrol.shelf import NotFound
from patrol.wiring import Workplace

router = APIRouter(prefix="/api/uploads", tags=["uploads"])
GATHER_BYTES = 1 << 20  # what is held of a body before it is written: all the memory that one connection takes
SILENCE_S = 60.0  # a sender that says nothing for so long is gone; its file must be free for its next connection
DRAIN_BYTES = 32 << 20
OFFSET = "Upload-Offset"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", operation_id="open_upload")
def open_upload(body: wire.UploadIn, work: Work, user: Ingester) -> wire.UploadOut:
    """An upload for an area and a day: the one this person has not finished yet, or a new one."""
    made = uploading.open_upload(work, body.area_id, body.taken_on, by=user.id, flight_id=body.flight_id)
    return _told(work, [made])[0]


@router.get("", operation_id="list_uploads")
def list_uploads(work: Work, user: Ingester) -> list[wire.UploadOut]:
    """One's own uploads, the newest first."""
    with work.database.read() as session:
        found = uploads.of_person(session, user.id)
    return _told(work, found)


@router.get("/{upload_id}", operation_id="get_upload")
def get_upload(upload_id: str, work: Work, user: Ingester) -> wire.UploadOut:
    """How far an upload is, and what its job made of it."""
    return _told(work, [uploading.mine(work, upload_id, by=user.id)])[0]


@router.post("/{upload_id}/files", operation_id="declare_files")
def declare_files(upload_id: str, body: wire.UploadDeclare, work: Work, user: Ingester) -> list[wire.UploadFileOut]:
    """Say what there is to send; the answer says of each file whether it is wanted, and from which byte on."""
    given = [Declared(f.name, f.size_bytes, f.sha256) for f in body.files]
    return [
        wire.UploadFileOut(
            name=a.name,
            sha256=a.sha256,
            state="refused" if a.refusal else "stored" if a.stored else "wanted",
            received=a.received,
            reason=wire.Text2(zh=a.refusal.zh, en=a.refusal.en) if a.refusal else None,
        )
        for a in uploading.declare(work, upload_id, given, by=user.id)
    ]


@router.put("/{upload_id}/contents/{sha256}", operation_id="send_content", openapi_extra=_BODY)
async def send_content(
    upload_id: str, sha256: str, request: Request, work: Work, user: Ingester, offset: Annotated[int, Query(ge=0)]
) -> wire.UploadContentOut:
    """A chunk of a file's content, from `offset` on; 409 with the right offset in `Upload-Offset` when it is another one."""
    try:
        return await _chunk(upload_id, sha256, request, work, user.id, offset)
    except (rim.Problem, UploadRefused, NotFound):
        await _drain(request)
        raise


async def _drain(request: Request) -> None:
    """Read what the sender still sends: a connection that is closed on it may lose the answer with the reason on its way."""
    drained = 0
    with contextlib.suppress(ClientDisconnect, TimeoutError, RuntimeError):  # RuntimeError: it was read to its end
        async with asyncio.timeout(SILENCE_S):
            async for piece in request.stream():
                drained += len(piece)
                if drained > DRAIN_BYTES:
                    return


async def _chunk(upload_id: str, sha256: str, request: Request, work: Workplace, by: str, offset: int) -> wire.UploadContentOut:
    file = await run_in_threadpool(uploading.wanted, work, upload_id, sha256, by=by)
    if file.stored:  # the answer to the last chunk was lost, and it came again
        return wire.UploadContentOut(received=file.size_bytes, size_bytes=file.size_bytes, stored=True)
    _must_fit(request, file, offset)
    try:
        with uploading.parts_of(work).hold(upload_id, sha256, offset) as part:
            await _receive(request, work, file, part, by)
            stored = part.received == file.size_bytes
            if stored:
                await run_in_threadpool(uploading.settle, work, file, part, by=by)
            return wire.UploadContentOut(received=part.received, size_bytes=file.size_bytes, stored=stored)
    except WrongOffset as wrong:
        raise rim.Problem(
            409,
            "offset",
            f"数据块位置不对：服务器已收到 {wrong.received} 字节，请从此处继续。",
            f"The chunk is out of place: {wrong.received} bytes are here, go on from there.",
            headers={OFFSET: str(wrong.received)},
        ) from wrong
    except PartBusy as busy:
        raise rim.Problem(
            409,
            "busy",
            "同一文件正在由另一连接上传，请稍候。",
            "Another connection is sending this file: wait a moment.",
        ) from busy


def _must_fit(request: Request, file: UploadFile, offset: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and offset + int(length) > file.size_bytes:
        raise _too_long(file)


def _too_long(file: UploadFile) -> rim.Problem:
    return rim.Problem(
        413,
        "too_long",
        f"{file.name} 的数据超过了声明的大小（{file.size_bytes} 字节），文件可能在上传中被改动，请重新选择。",
        f"{file.name} has more bytes than were declared ({file.size_bytes}): was it changed meanwhile? Choose it again.",
    )


async def _receive(request: Request, work: Workplace, file: UploadFile, part: Part, by: str) -> None:
    """The body into the part, a little at a time. A sender that leaves or falls silent has sent what it has sent."""
    unseen = part.received < intake.HEAD_BYTES
    with contextlib.suppress(ClientDisconnect, TimeoutError):
        async for gathered in _gathered(request):
            if part.received + len(gathered) > file.size_bytes:
                raise _too_long(file)
            await run_in_threadpool(part.append, gathered)
            if unseen and part.received >= min(intake.HEAD_BYTES, file.size_bytes):
                unseen = False
                await run_in_threadpool(uploading.look_at_head, work, file, part, by=by)


async def _gathered(request: Request) -> AsyncIterator[bytes]:
    held = bytearray()
    body = aiter(request.stream())
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                piece = await anext(body)
            held += piece
            if len(held) >= GATHER_BYTES:
                yield bytes(held)
                held.clear()
    except StopAsyncIteration:
        pass
    except (ClientDisconnect, TimeoutError):
        if held:
            yield bytes(held)
        raise
    if held:
        yield bytes(held)


@router.post("/{upload_id}/finish", operation_id="finish_upload")
def finish_upload(upload_id: str, work: Work, user: Ingester, body: wire.UploadFinish | None = None) -> wire.UploadOut:
    """All is here: a job makes a survey of it. May be asked again, which also tries a job again that failed."""
    upload = uploading.ready(work, upload_id, by=user.id)
    compression = "jpeg"
    if upload.job_id is not None:
        with work.database.read() as session:
            job = jobs.shelf.find(session, upload.job_id)
        if job is not None and (not job.state.is_over or job.state is JobState.DONE):
            return _told(work, [upload])[0]
        if job is not None:
            compression = job.args.get("compression", compression)
    if body is not None and body.lossless is not None:
        compression = "lossless" if body.lossless else "jpeg"
    made = tasks.submit(
        tasks.make_app(work.settings),
        work.database,
        "ingest_upload",
        {"upload_id": upload.id, "by": user.id, "compression": compression},
        by=user.id,
        clock=work.clock,
        key=f"upload:{upload.id}",
    )
    return _told(work, [uploading.finished(work, upload, made.id, by=user.id)])[0]


@router.post("/{upload_id}/drop", operation_id="drop_upload", status_code=204, response_class=Response)
def drop_upload(upload_id: str, work: Work, user: Ingester) -> None:
    """Give up an upload; contents that are in the store stay there."""
    uploading.drop(work, upload_id, by=user.id)


def _told(work: Workplace, found: list[UploadRecord] | tuple[UploadRecord, ...]) -> list[wire.UploadOut]:
    with work.database.read() as session:
        tallies = uploads.tallies(session, [u.id for u in found])
        made = {u.job_id: jobs.shelf.find(session, u.job_id) for u in found if u.job_id}
    return [_upload(u, tallies[u.id], made.get(u.job_id or "")) for u in found]


def _upload(upload: UploadRecord, tally: uploads.Tally, job: jobs.Job | None) -> wire.UploadOut:
    result = job.result if job is not None and job.result is not None else {}
    return wire.UploadOut(
        id=upload.id,
        area_id=upload.area_id,
        taken_on=upload.taken_on,
        flight_id=upload.flight_id,
        state="open" if upload.state is UploadState.OPEN else "finished" if upload.state is UploadState.FINISHED else "dropped",
        made_at=upload.made_at,
        touched_at=upload.touched_at,
        files=tally.files,
        size_bytes=tally.size_bytes,
        stored_files=tally.stored_files,
        stored_bytes=tally.stored_bytes,
        job=rim.job(job) if job is not None else None,
        survey_id=result.get("survey_id"),
        left_out=[wire.LeftOut(name=name, reason=reason) for name, reason in result.get("left_out", ())],
    )
