"""Leaving the store: every export is on record, and one that covers much ground in one piece needs a second person.

Ground counts as one piece with what the same person took beside it lately: cutting a city into ten small exports changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import shapely
from shapely.geometry import MultiPolygon, Polygon
from sqlalchemy.orm import Session

from geo.area import Area
from geo.progress import Progress, silent
from imagery import cloud
from imagery.survey import Survey
from patrol import audit, records, repositories, rules
from patrol.pipeline import cataloguing
from patrol.records import ExportRecord
from patrol.tables import ExportRow
from patrol.wiring import Workplace

ASKED, APPROVED, REFUSED = "asked", "approved", "refused"
FILES = "files"
"""What most exports are of: a survey's files. Pictures of evidence go one by one and are logged, not approved."""
_TOUCH_M = 1.0


@dataclass(frozen=True, slots=True)
class ExportRefused:
    """Why an export may not go out now; `export_id` names the request that a second person can decide."""

    code: str
    zh: str
    en: str
    article: str
    export_id: str | None = None


def ask(work: Workplace, survey_id: str, *, by: str, reason: str = "", what: str = FILES) -> ExportRecord:
    """Ask to take a survey's files out; approved at once where no second person is needed. The open or valid request if there is one."""
    level_of = rules.levels(work.settings)
    with work.database.write() as session:
        survey = repositories.surveys.get(session, survey_id)
        area = repositories.areas.get(session, survey.area_id)
        there = _standing(session, work, survey_id, what, by)
        if there is not None:
            return there
        level = level_of.get(survey.classification)
        if level is None:
            raise rules.RulesError(f"survey {survey_id} is {survey.classification!r}: no such level in classification.csv")
        ground, beside = _ground(session, work, area, survey, by)
        free = beside < level.second_person_from_m2
        now = work.clock.now()
        made = ExportRecord(
            id=repositories.new_id(),
            survey_id=survey_id,
            what=what,
            reason=reason,
            classification=survey.classification,
            outline=survey.outline,
            area_m2=ground,
            contiguous_m2=beside,
            state=APPROVED if free else ASKED,
            asked_by=by,
            asked_at=now,
            decided_at=now if free else None,
            note="无需第二人批准 no second person needed" if free else "",
        )
        repositories.exports.add(session, made)
        told = {"survey": survey_id, "state": made.state, "contiguous_m2": round(beside), "reason": reason, "what": what}
        audit.append(session, by, "export.ask", f"export:{made.id}", at=now, details=told)
    return made


def decide(work: Workplace, export_id: str, *, approve: bool, by: str, note: str = "") -> ExportRecord | ExportRefused:
    """The second person's word on a request; refused when it is the same person, or the request is decided already."""
    with work.database.write() as session:
        asked = repositories.exports.get(session, export_id)
        level = rules.levels(work.settings)[asked.classification]
        if asked.asked_by == by:
            return ExportRefused(
                "same_person",
                "申请人不能批准自己的对外提供申请：须由另一名有批准权限的人批准。",
                "Nobody approves their own export: a second person must.",
                level.article,
                export_id,
            )
        if asked.state != ASKED:
            return ExportRefused(
                "decided", "该申请已有决定。", "This request has been decided already.", level.article, export_id
            )
        done = replace(
            asked, state=APPROVED if approve else REFUSED, decided_by=by, decided_at=work.clock.now(), note=note or asked.note
        )
        repositories.exports.put(session, done)
        told = {"survey": asked.survey_id, "asked_by": asked.asked_by, "note": note}
        audit.append(session, by, f"export.{done.state}", f"export:{export_id}", at=work.clock.now(), details=told)
    return done


def take(
    work: Workplace, survey_id: str, role: str, *, by: str, reason: str = "", what: str = FILES
) -> ExportRecord | ExportRefused:
    """Leave to take one file of a survey out now, with its line in the access log; or why not, with the request to decide."""
    export = ask(work, survey_id, by=by, reason=reason, what=what)
    if export.state != APPROVED:
        return _needs_second(work, export)
    with work.database.write() as session:
        seen = f"survey:{survey_id}/{role}"
        now = work.clock.now()
        # a map program reads one file in hundreds of ranges: one line a day for each person and file says it all
        if not audit.said_since(session, by, "export.read", seen, now - timedelta(days=1)):
            audit.append(session, by, "export.read", seen, at=now, details={"export": export.id})
        if export.done_at is None:
            export = replace(export, done_at=now)
            repositories.exports.put(session, export)
    return export


def point_cloud(
    work: Workplace, survey_id: str, *, by: str, every: int = 1, reason: str = "", progress: Progress = silent
) -> tuple[records.SurveyRecord, Path] | ExportRefused:
    """A survey's points as LAZ beside its other files, made once; it is then an asset like the others."""
    leave = take(work, survey_id, "cloud", by=by, reason=reason)
    if isinstance(leave, ExportRefused):
        return leave
    with work.database.read() as session:
        record = repositories.surveys.get(session, survey_id)
    folder = work.settings.home / record.folder
    path = folder / "cloud.laz"
    if not path.is_file():
        cloud.export(Survey.load(folder), path, every=every, progress=progress)
    assets = (*(a for a in record.assets if a.role != "cloud"), cataloguing.asset(folder, "cloud", path))
    renewed = replace(record, assets=assets)
    if renewed != record:
        with work.database.write() as session:
            repositories.surveys.put(session, renewed)
        cataloguing.write_item(work, renewed)
    return renewed, path


def classify(work: Workplace, survey_id: str, level: str, *, by: str) -> records.SurveyRecord:
    """Give a survey another level; requests decided under the old one no longer hold. Raises RulesError."""
    if level not in rules.levels(work.settings):
        raise rules.RulesError(f"no level {level!r}: one of {', '.join(rules.levels(work.settings))} (classification.csv)")
    with work.database.write() as session:
        record = repositories.surveys.get(session, survey_id)
        renewed = replace(record, classification=level)
        repositories.surveys.put(session, renewed)
        told = {"before": record.classification, "after": level}
        audit.append(session, by, "survey.classify", f"survey:{survey_id}", at=work.clock.now(), details=told)
    cataloguing.write_item(work, renewed)
    return renewed


def _standing(session: Session, work: Workplace, survey_id: str, what: str, by: str) -> ExportRecord | None:
    """A person's own request for a survey that is open, or approved and still valid, at the level the survey has today."""
    level = repositories.surveys.get(session, survey_id).classification
    since = work.clock.now() - timedelta(days=work.settings.export_valid_days)
    found = repositories.exports.where(
        session,
        ExportRow.survey_id == survey_id,
        ExportRow.what == what,
        ExportRow.asked_by == by,
        ExportRow.classification == level,
        order=(ExportRow.asked_at.desc(),),
    )
    return next((e for e in found if e.state == ASKED or (e.state == APPROVED and (e.decided_at or e.asked_at) >= since)), None)


def _ground(session: Session, work: Workplace, area: Area, survey: records.SurveyRecord, by: str) -> tuple[float, float]:
    """(square metres of a survey, square metres of the one piece it makes with what the person took lately)."""
    since = work.clock.now() - timedelta(days=work.settings.export_valid_days)
    lately = repositories.exports.where(session, ExportRow.asked_by == by, ExportRow.asked_at >= since)
    own = area.frame.to_metres(survey.outline)
    taken: list[Polygon | MultiPolygon] = [area.frame.to_metres(e.outline) for e in lately if e.state == APPROVED]
    whole = shapely.union_all([ground.buffer(_TOUCH_M) for ground in (own, *taken)])
    pieces = whole.geoms if isinstance(whole, MultiPolygon) else (whole,)
    touched = max((piece for piece in pieces if piece.intersects(own)), key=lambda piece: piece.area)
    return float(own.area), max(float(own.area), float(touched.buffer(-_TOUCH_M).area))


def _needs_second(work: Workplace, export: ExportRecord) -> ExportRefused:
    level = rules.levels(work.settings)[export.classification]
    return ExportRefused(
        "second_person",
        f"密级“{level.zh}”、连续覆盖 {export.contiguous_m2 / 1e6:.2f} 平方千米（达到 {level.second_person_from_m2 / 1e6:g} 平方千米），"
        f"须由第二人批准；申请号 {export.id}，请有批准权限的另一人决定。",
        f"Level {level.en}, {export.contiguous_m2 / 1e6:.2f} km² in one piece (from {level.second_person_from_m2 / 1e6:g} km² on): "
        f"a second person must approve request {export.id}.",
        level.article,
        export.id,
    )
