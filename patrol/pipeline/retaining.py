"""Retention (保存期限): what is past its days goes, what a case still needs stays, and the hash of all of it stays for ever.

The days are data (`retention.csv`). What is kept whatever the days say: the survey that later ones are registered to, an area's last
accepted survey, whatever an undecided finding or a case that is not over points at, and everything of a class without a line.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from dispatch.case import Case
from dispatch.finding import Finding, FindingState
from geo.progress import Progress, silent
from geo.times import LOCAL_ZONE
from imagery.survey import RECORD
from patrol import audit, records, repositories, rules
from patrol.pipeline import cataloguing, masking
from patrol.wiring import Workplace

ORIGINALS, SURVEY, EVIDENCE_CASE, EVIDENCE_REST = "originals", "survey", "evidence_case", "evidence_rest"
_KEPT_FILES = frozenset(
    {"quality", "photos", "masks", "thumbnail", "residual", "residual_map"}
)  # small, and the record of what was there
_UNDECIDED = frozenset({FindingState.DETECTED, FindingState.TRIAGE, FindingState.CONFIRMED, FindingState.NEEDS_IMAGERY})


@dataclass(frozen=True, slots=True)
class Due:
    """One thing past its days: what it is, since when it is due, how much room it takes."""

    kind: str
    subject: str
    since: datetime
    files: int
    size_bytes: int


def due(work: Workplace) -> tuple[Due, ...]:
    """All that is past its days and that nothing needs, oldest first. Changes nothing."""
    with work.database.read() as session:
        found = tuple(_due(session, work))
    return tuple(sorted(found, key=lambda d: d.since))


def apply(work: Workplace, *, by: str, progress: Progress = silent) -> tuple[Due, ...]:
    """Let go of what is due, each with its line in the audit log; asks again before each one. May be cut off and asked again."""
    done = []
    listed = due(work)
    for number, thing in enumerate(listed):
        progress(number, len(listed), "retention")
        with work.database.read() as session:
            still = any((d.kind, d.subject) == (thing.kind, thing.subject) for d in _due(session, work))
        if still:
            _LET_GO[thing.kind](work, thing, by)
            done.append(thing)
    progress(len(listed), len(listed), "retention")
    return tuple(done)


def _due(session: Session, work: Workplace) -> Iterator[Due]:
    keep, now = rules.keeps(work.settings), work.clock.now()
    needed = _needed(session)
    for record in repositories.surveys.where(session):
        if record.id in needed:
            continue
        folder, taken = work.settings.home / record.folder, datetime.combine(record.taken_on, time(0), LOCAL_ZONE).astimezone(UTC)
        if (since := _past(keep, ORIGINALS, taken, now)) is not None:
            there = [o for o in cataloguing.originals_of(folder) if _ours(work, Path(o.path))]
            if there:
                yield Due(ORIGINALS, record.id, since, len(there), sum(o.size_bytes for o in there))
        if (since := _past(keep, SURVEY, taken, now)) is not None:
            files = [a for a in record.assets if a.role not in _KEPT_FILES]
            if files:
                yield Due(SURVEY, record.id, since, len(files), sum(a.size_bytes for a in files))
    for piece in repositories.evidence.where(session):
        if piece.removed_at is not None:
            continue
        kind, start = _evidence_from(session, piece)
        if start is not None and (since := _past(keep, kind, start, now)) is not None:
            yield Due(kind, piece.id, since, 1, piece.size_bytes)


def _past(keep: Mapping[str, rules.Keep], kind: str, start: datetime, now: datetime) -> datetime | None:
    rule = keep.get(kind)
    if rule is None:
        return None
    end = start + timedelta(days=rule.days)
    return end if end <= now else None


def _needed(session: Session) -> frozenset[str]:
    """Surveys that something alive points at."""
    records_ = repositories.surveys.where(session)
    needed = {r.reference_id for r in records_ if r.reference_id is not None}
    last: dict[str, records.SurveyRecord] = {}
    first: dict[str, records.SurveyRecord] = {}
    for record in sorted((r for r in records_ if r.accepted), key=lambda r: (r.taken_on, r.made_at)):
        first.setdefault(record.area_id, record)
        last[record.area_id] = record
    needed |= {r.id for r in (*first.values(), *last.values())}  # the next survey is laid onto the first, compared with the last
    for finding in repositories.findings.where(session):
        case = repositories.case_of(session, finding.id)
        alive = _alive(session, case) if case is not None else finding.state in _UNDECIDED
        if alive:
            needed |= {s for s in (finding.before_survey, finding.after_survey) if s is not None}
            needed |= {e.survey_id for e in repositories.evidence_of(session, "finding", finding.id) if e.survey_id is not None}
    needed |= {order.survey_id for order in repositories.open_rechecks(session) if order.survey_id is not None}
    return frozenset(needed)


def _alive(session: Session, case: Case) -> bool:
    """Whether a case is not over; one that was merged is as alive as the one it went into."""
    if case.merged_into is not None:
        return _alive(session, repositories.cases.get(session, case.merged_into))
    return not case.state.is_over


def _evidence_from(session: Session, piece: records.EvidenceRecord) -> tuple[str, datetime | None]:
    """(class, the moment its days count from) of a piece; None for the moment as long as it is needed."""
    finding: Finding | None = None
    if piece.subject == "case":
        case: Case | None = repositories.cases.find(session, piece.subject_id)
    else:
        finding = repositories.findings.find(session, piece.subject_id)
        case = repositories.case_of(session, piece.subject_id)
    if case is not None:
        while case.merged_into is not None:
            case = repositories.cases.get(session, case.merged_into)
        if _alive(session, case) or case.closed_at is None:
            return EVIDENCE_CASE, None
        return EVIDENCE_CASE, max(case.closed_at, case.watch_until or case.closed_at)
    if finding is None or finding.state in _UNDECIDED:
        return EVIDENCE_REST, None
    return EVIDENCE_REST, finding.decided_at or finding.found_at


def _ours(work: Workplace, path: Path) -> bool:
    """Whether a file lies in the store: what lies elsewhere is not ours to delete."""
    return path.is_relative_to(work.settings.home) and path.is_file()


def _let_originals_go(work: Workplace, thing: Due, by: str) -> None:
    with work.database.read() as session:
        record = repositories.surveys.get(session, thing.subject)
        needed = _needed(session)
        shared = {
            original.path
            for other in repositories.surveys.where(session)
            if other.id != record.id and other.id in needed
            for original in cataloguing.originals_of(work.settings.home / other.folder)
        }
    folder, now = work.settings.home / record.folder, work.clock.now()
    kept, gone = [], []
    for original in cataloguing.originals_of(folder):
        goes = _ours(work, Path(original.path)) and original.path not in shared
        gone += [original] if goes else []
        kept.append(replace(original, removed_at=original.removed_at or now) if goes else original)
    # the list first: what is still there after a crash is due again, what is gone is already said to be
    cataloguing.save_originals(folder, kept)
    with work.database.write() as session:
        told = {"count": len(gone), "bytes": sum(o.size_bytes for o in gone), "sha256": [o.sha256 for o in gone]}
        audit.append(session, by, "retention.originals", f"survey:{record.id}", at=now, details=told)
    for original in gone:
        Path(original.path).unlink(missing_ok=True)
        masking.forget(work, original.sha256)  # as it was uploaded
    _refresh(work, record, folder)


def _let_survey_go(work: Workplace, thing: Due, by: str) -> None:
    with work.database.read() as session:
        record = repositories.surveys.get(session, thing.subject)
    folder, now = work.settings.home / record.folder, work.clock.now()
    gone = [a for a in record.assets if a.role not in _KEPT_FILES]
    removed = [
        *record.record.get("removed", []),
        *({"role": a.role, "sha256": a.sha256, "size_bytes": a.size_bytes, "at": now.isoformat()} for a in gone),
    ]
    renewed = replace(
        record,
        assets=tuple(a for a in record.assets if a.role in _KEPT_FILES),
        record={**record.record, "removed": removed},
    )
    for asset in gone:  # the row after the files: cut off in between, the survey is due again
        (folder / asset.path).unlink(missing_ok=True)
    shutil.rmtree(folder / "block" / "engine", ignore_errors=True)  # features, to register later surveys; the poses stay
    with work.database.write() as session:
        repositories.surveys.put(session, renewed)
        told = {"files": [[a.role, a.sha256] for a in gone], "bytes": sum(a.size_bytes for a in gone)}
        audit.append(session, by, "retention.survey", f"survey:{record.id}", at=now, details=told)
    _refresh(work, renewed, folder)


def _refresh(work: Workplace, record: records.SurveyRecord, folder: Path) -> None:
    """Hashes of the records that changed, and the item beside the files."""
    if not (folder / RECORD).is_file():
        return
    assets = tuple(
        cataloguing.asset(folder, a.role, folder / a.path) if (folder / a.path).is_file() else a for a in record.assets
    )
    renewed = replace(record, assets=assets)
    with work.database.write() as session:
        repositories.surveys.put(session, renewed)
    cataloguing.write_item(work, renewed)


def _let_evidence_go(work: Workplace, thing: Due, by: str) -> None:
    now = work.clock.now()
    with work.database.write() as session:
        piece = repositories.evidence.get(session, thing.subject)
        repositories.evidence.put(session, replace(piece, removed_at=now))
        told = {"sha256": piece.sha256, "subject": f"{piece.subject}:{piece.subject_id}", "role": piece.role}
        audit.append(session, by, "retention.evidence", f"evidence:{piece.id}", at=now, details=told)
    masking.forget(work, piece.sha256)


_LET_GO = {
    ORIGINALS: _let_originals_go,
    SURVEY: _let_survey_go,
    EVIDENCE_CASE: _let_evidence_go,
    EVIDENCE_REST: _let_evidence_go,
}
