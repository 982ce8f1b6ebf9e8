"""The kinds of jobs: use cases that a worker runs, by the names that job rows carry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from patrol.blobs import BlobFolder
from patrol.jobs import Context, job
from patrol.pipeline import comparing, surveying
from patrol.wiring import Workplace


def _work(context: Context) -> Workplace:
    return Workplace(context.settings, context.database, BlobFolder(context.settings.blobs_dir), context.clock)


@job("ingest")
def ingest(
    context: Context, *, folder: str, area_id: str, taken_on: str, by: str, flight_id: str | None = None
) -> Mapping[str, Any]:
    """Photos of a folder to a survey."""
    done = surveying.ingest(
        _work(context),
        Path(folder),
        area_id,
        date.fromisoformat(taken_on),
        by=by,
        flight_id=flight_id,
        progress=context.progress,
    )
    return {"survey_id": done.survey.id, "accepted": done.survey.accepted, "left_out": [list(item) for item in done.left_out]}


@job("compare")
def compare(
    context: Context, *, area_id: str, by: str, before_id: str | None = None, after_id: str | None = None
) -> Mapping[str, Any]:
    """Two surveys to findings."""
    done = comparing.compare(_work(context), area_id, before_id, after_id, by=by, progress=context.progress)
    return {"comparison_id": done.id}
