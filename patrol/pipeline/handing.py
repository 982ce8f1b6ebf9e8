"""Findings that leave the house: who took which, in what form, and a second person where their surveys ask for one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from patrol import audit, repositories
from patrol.pipeline import attributes, exporting, mapfiles
from patrol.pipeline.exporting import ExportRefused
from patrol.wiring import Workplace

WHAT = "findings"
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Handed:
    """A file of findings, ready to leave."""

    name: str
    media_type: str
    content: bytes
    sha256: str
    count: int


def findings(
    work: Workplace,
    wanted: repositories.CaseFilter,
    form: str,
    *,
    by: str,
    reason: str = "",
    epsg: int = mapfiles.DEGREES,
    encoding: str = "utf-8",
    ids: tuple[str, ...] = (),
) -> Handed | ExportRefused:
    """Findings that fit as one file, on record; refused where a second person must approve first. Raises MapFileError.

    Their outlines show the ground of the surveys they were seen in, so each of those is asked for as if its files were taken.
    """
    with work.database.read() as session:
        found, _ = repositories.search_findings(session, wanted, limit=MOST)
        chosen = [f for f in found if not ids or f.id in ids]
        plots = attributes.plots(work, session, chosen)
    content = mapfiles.make(form, plots, epsg=epsg, encoding=encoding)
    for survey_id in sorted({f.after_survey for f in chosen if f.after_survey}):
        leave = exporting.take(work, survey_id, f"{WHAT}.{form}", by=by, reason=reason, what=WHAT)
        if isinstance(leave, ExportRefused):
            return leave
    now = work.clock.now()
    digest = hashlib.sha256(content).hexdigest()
    numbers = sorted(f.number for f in chosen)
    told = {"form": form, "count": len(chosen), "first": numbers[0], "last": numbers[-1], "sha256": digest, "reason": reason}
    told |= {"area": wanted.area_id, "states": list(wanted.states), "epsg": epsg}
    with work.database.write() as session:
        audit.append(session, by, "export.findings", f"findings:{wanted.area_id or 'all'}", at=now, details=told)
    kind = mapfiles.FORMS[form]
    return Handed(f"findings-{now:%Y%m%d}{kind.suffix}", kind.media_type, content, digest, len(chosen))
