"""The kinds of jobs: use cases that a worker runs, by the names that job rows carry."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from geo.times import Clock
from imagery.nudging import Nudge
from imagery.survey import Compression
from patrol import uploads
from patrol.database import Database
from patrol.jobs import Context, Piece, Spread, housekeeper, job
from patrol.pipeline import comparing, exporting, looking, masking, nudging, retaining, surveying, uploading
from patrol.settings import Settings
from patrol.wiring import Workplace, open_blobs


def _work(context: Context) -> Workplace:
    return Workplace(context.settings, context.database, open_blobs(context.settings), context.clock)


@job("ingest")
def ingest(
    context: Context,
    *,
    folder: str,
    area_id: str,
    taken_on: str,
    by: str,
    flight_id: str | None = None,
    control: str | None = None,
    checks: Sequence[str] = (),
    use: Sequence[str] = (),
    compression: Compression = "jpeg",
    survey_id: str | None = None,
) -> Mapping[str, Any] | Spread:
    """Photos of a folder to a survey; a large one in pieces, `survey_id` being the one that was begun."""
    work = _work(context)
    if survey_id is not None:
        return _said(surveying.go_on(work, survey_id, by=by, progress=context.progress))
    done = surveying.begin(
        work,
        Path(folder),
        area_id,
        date.fromisoformat(taken_on),
        by=by,
        flight_id=flight_id,
        control=Path(control) if control else None,
        checks=checks,
        use=use,
        compression=compression,
        progress=context.progress,
        shared=True,
    )
    return _said(done)


@job("ingest_upload")
def ingest_upload(
    context: Context, *, upload_id: str, by: str, compression: Compression = "jpeg", survey_id: str | None = None
) -> Mapping[str, Any] | Spread:
    """Photos of a finished upload to a survey, as `ingest`. The folder is made of links and goes again; the contents stay in the blob
    store, and what a survey needs of them beside it.
    """
    work = _work(context)
    if survey_id is not None:
        return _said(surveying.go_on(work, survey_id, by=by, progress=context.progress))
    with work.database.read() as session:
        upload = uploads.uploads.get(session, upload_id)
    folder = uploading.lay_out(work, upload_id, context.progress)
    try:
        done = surveying.begin(
            work,
            folder,
            upload.area_id,
            upload.taken_on,
            by=by,
            flight_id=upload.flight_id,
            compression=compression,
            progress=context.progress,
            shared=True,
        )
    except surveying.SurveyRefused as err:
        # The folder is the server's own affair: whoever sent the photos is told of the photos.
        raise surveying.SurveyRefused(str(err).replace(f"{folder}: ", "").replace(f"{folder}/", "")) from err
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _said(done)


def _said(done: surveying.Ingested | surveying.Share) -> Mapping[str, Any] | Spread:
    """What became of a survey as a job's result, or the missing pieces of its stage as jobs."""
    if isinstance(done, surveying.Share):
        named = {"survey_id": done.survey_id, "stage": done.stage.value}
        pieces = (Piece({**named, "start": run.start, "stop": run.stop}, len(run)) for run in done.runs())
        return Spread(done.stage.value, "survey_piece", tuple(pieces), {"survey_id": done.survey_id})
    return {"survey_id": done.survey.id, "accepted": done.survey.accepted, "left_out": [list(item) for item in done.left_out]}


@job("survey_piece")
def survey_piece(context: Context, *, survey_id: str, stage: str, start: int, stop: int) -> None:
    """Some photos, pairs or tiles of a survey that many workers share."""
    surveying.make_piece(_work(context), survey_id, stage, start, stop, progress=context.progress)


@housekeeper("uploads")
def sweep_uploads(settings: Settings, database: Database, clock: Clock) -> None:
    """Uploads that nobody goes on with."""
    uploading.sweep(Workplace(settings, database, open_blobs(settings), clock))


@housekeeper("cache")
def sweep_cache(settings: Settings, _: Database, __: Clock) -> None:
    """Local copies of a bucket's contents that nobody used for long."""
    oldest = time.time() - settings.cache_days * 86400
    for path in (*settings.cache_dir.glob("*/*/*"), *settings.cache_dir.glob("notes/*")):
        if path.is_file() and path.stat().st_atime < oldest and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


@job("compare")
def compare(
    context: Context, *, area_id: str, by: str, before_id: str | None = None, after_id: str | None = None
) -> Mapping[str, Any] | Spread:
    """Two surveys to findings; of a large area in windows, for the surveys it was begun with."""
    done = comparing.begin(_work(context), area_id, before_id, after_id, by=by, progress=context.progress, shared=True)
    if isinstance(done, looking.Share):
        pieces = tuple(Piece({"room": done.room, "number": number}, looking.STEPS) for number in done.numbers)
        return Spread("detect", "comparison_window", pieces, {"before_id": done.before_id, "after_id": done.after_id})
    return {"comparison_id": done.id}


@job("comparison_window")
def comparison_window(context: Context, *, room: str, number: int) -> None:
    """One window of a comparison that many workers share."""
    looking.look(_work(context), room, number, context.progress)


@job("burn_masks")
def burn_masks(context: Context, *, by: str) -> Mapping[str, Any]:
    """Every mask into every survey that lacks it."""
    done = masking.burn_all(_work(context), by=by, progress=context.progress)
    return {"surveys": [[survey, list(burnt)] for survey, burnt in done]}


@job("point_cloud")
def point_cloud(context: Context, *, survey_id: str, by: str, every: int = 1) -> Mapping[str, Any]:
    """A survey's surface as LAZ."""
    done = exporting.point_cloud(_work(context), survey_id, by=by, every=every, progress=context.progress)
    if isinstance(done, exporting.ExportRefused):
        return {"refused": done.zh, "article": done.article}
    return {"survey_id": survey_id, "role": "cloud"}


@job("retention")
def retention(context: Context, *, by: str, apply: bool) -> Mapping[str, Any]:
    """What is past its days: listed, or let go."""
    work = _work(context)
    found = retaining.apply(work, by=by, progress=context.progress) if apply else retaining.due(work)
    return {"applied": apply, "things": len(found), "bytes": sum(d.size_bytes for d in found)}


@job("nudge")
def nudge(
    context: Context, *, survey_id: str, east_m: float, north_m: float, up_m: float, undo: bool, reason: str, by: str
) -> Mapping[str, Any]:
    """A survey moved by hand, or its last move taken back."""
    step = None if undo else Nudge(east_m, north_m, up_m)
    done = nudging.nudge(_work(context), survey_id, step, reason, user=by, progress=context.progress)
    return {"survey_id": done.id, "nudges": len(done.record["nudges"])}
