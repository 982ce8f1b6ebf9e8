"""Learning from verdicts: what people found becomes labels, labels become a calibration, and a better one is used by later comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_detect import calibration
from change_detect.calibration import Example, Trial
from dispatch import label, precision
from dispatch.case import CaseAct
from dispatch.event import Event
from dispatch.finding import FindingAct, FindingState, Source
from dispatch.label import Informed, Label
from patrol import audit, calibrations, records, repositories
from patrol.pipeline.comparing import KIND_TEXT
from patrol.pipeline.scoring import RAW
from patrol.records import CalibrationRecord, CalibrationState
from patrol.shelf import next_number
from patrol.tables import CandidateRow, CaseRow, FindingRow
from patrol.values import dump
from patrol.wiring import Workplace

WEIGHT: Mapping[Informed, float] = {Informed.DESK: 0.5, Informed.SURVEY: 1.0, Informed.VISIT: 1.0, Informed.HANDLED: 1.0}
"""A word from the desk, which saw the same pictures as the detector, counts half of one from the ground."""

_ACTS = (
    *(FindingAct.SUPPRESS, FindingAct.TRIAGE, FindingAct.CONFIRM, FindingAct.REJECT),
    *(CaseAct.VERIFY, CaseAct.DECIDE, CaseAct.ENFORCE, CaseAct.SELF_DONE, CaseAct.RECHECK),
    *(CaseAct.RECORD, CaseAct.CLOSE, CaseAct.HANDLE),
)


class LearningRefused(ValueError):
    """A version that cannot be put back: which one and why."""

    code = "calibration"

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en


@dataclass(frozen=True, slots=True)
class Told:
    """What people and rules have said so far: every label, the one that counts of each finding, and what was held back from the start."""

    labels: tuple[Label, ...]
    standing: Mapping[str, Label]
    held: frozenset[str]


def told(session: Session) -> Told:
    """All labels of the store, read out of its events."""
    events: tuple[Event, ...] = repositories.events_of_acts(session, [act.value for act in _ACTS])
    finding_of = {case_id: finding_id for case_id, finding_id in session.execute(select(CaseRow.id, CaseRow.finding_id))}  # noqa: C416
    made = label.labels(events, finding_of)
    return Told(made, label.standing(made), precision.held_from_the_start(events))


def examples(session: Session) -> tuple[Example, ...]:
    """One example for each judged finding: the candidate that the judgement was about, with the score its detector gave it.

    Left out are rejections that name no cause, and what a rule held back: people take back what looks real, which is no fair sample.
    """
    standing = told(session).standing
    of_imagery = set(
        session.scalars(
            select(FindingRow.id).where(
                FindingRow.source == Source.IMAGERY.value, FindingRow.state != FindingState.DUPLICATE.value
            )
        )
    )
    seen: dict[str, list[tuple[records.ComparisonRecord, records.CandidateRecord]]] = {}
    compared = {c.id: c for c in repositories.comparisons.where(session)}
    for candidate in repositories.candidates.where(
        session, CandidateRow.finding_id.is_not(None), CandidateRow.suppressed.is_(None)
    ):
        seen.setdefault(str(candidate.finding_id), []).append((compared[candidate.comparison_id], candidate))
    made = []
    for finding_id, said in sorted(standing.items()):
        if said.is_clear and finding_id in of_imagery and finding_id in seen:
            # what was judged is what was seen last before; a recheck of years later still judges what it was dispatched for
            known = sorted(seen[finding_id], key=lambda pair: (pair[0].made_at, pair[1].id))
            before = [pair for pair in known if pair[0].made_at <= said.at]
            comparison, candidate = before[-1] if before else known[0]
            made.append(
                Example(
                    id=finding_id,
                    score=float(candidate.features.get(RAW, candidate.score)),
                    kind=candidate.kind,
                    is_right=bool(said.is_right),
                    area=candidate.area_id,
                    survey=comparison.after_id,
                    weight=WEIGHT[said.informed],
                )
            )
    return tuple(made)


def learn(work: Workplace, *, by: str) -> CalibrationRecord:
    """Fit to all labels and judge the fit on areas and surveys it has not seen; in force at once if it is better, on record in any case.

    With the same labels as last time there is nothing to learn, and the last try is the answer.
    """
    with work.database.write() as session:
        found = examples(session)
        there, last = calibrations.in_force(session), next(iter(calibrations.newest_first(session)), None)
        told_of = dump(list(found))
        if last is not None and last.record["examples"] == told_of:
            return last
        known = frozenset(e["id"] for e in there.record["examples"]) if there is not None else None
        trial = calibration.try_out(found, known)
        steps = calibration.changes(calibrations.curves(there), trial.made, found) if trial.is_better else ()
        zh, en = _sentence(trial, steps)
        made = CalibrationRecord(
            id=repositories.new_id(),
            number=next_number(session, "calibration"),
            state=CalibrationState.DECLINED,
            labels=len(found),
            right=sum(e.is_right for e in found),
            zh=zh,
            en=en,
            made_by=by,
            made_at=work.clock.now(),
            record={
                "curves": dump(trial.made),
                "tests": dump(list(trial.tests)),
                "by_area": any(t.by == "area" for t in trial.tests),
                "areas": sorted({e.area for e in found}),
                "before": there.number if there is not None else 0,
                "changes": [list(step) for step in steps],
                "examples": told_of,
            },
        )
        calibrations.calibrations.add(session, made)
        if trial.is_better:
            calibrations.put_in_force(session, made)
        details = {"number": made.number, "labels": made.labels, "right": made.right, "used": trial.is_better}
        audit.append(session, by, "calibration.learn", f"calibration:{made.id}", at=made.made_at, details=details)
        return calibrations.numbered(session, made.number)


def put_back(work: Workplace, number: int, *, by: str, reason: str) -> CalibrationRecord | None:
    """Use an earlier version again, 0 for what ships; later comparisons follow it. Raises NotFound, LearningRefused."""
    with work.database.write() as session:
        chosen = None if number == 0 else calibrations.numbered(session, number)
        if chosen is not None and chosen.state is CalibrationState.DECLINED:
            raise LearningRefused(
                f"第 {number} 版校准未通过检验，不能启用：{chosen.zh}",
                f"Calibration {number} did not pass its tests and cannot be used: {chosen.en}",
            )
        calibrations.put_in_force(session, chosen, reason)
        subject = f"calibration:{chosen.id if chosen is not None else 'shipped'}"
        details = {"number": number, "reason": reason}
        audit.append(session, by, "calibration.put_back", subject, at=work.clock.now(), details=details)
        return None if chosen is None else calibrations.numbered(session, number)


def _sentence(trial: Trial, steps: Sequence[tuple[str, int, int, float, float]]) -> tuple[str, str]:
    """What came of the try and what it changes for each kind, in both languages."""
    if not steps:
        return trial.zh, trial.en
    zh = "；".join(f"{KIND_TEXT.get(k, (k, k))[0]} {a:.2f}→{b:.2f}（{n} 条，属实 {r}）" for k, n, r, a, b in steps)
    en = "; ".join(f"{KIND_TEXT.get(k, (k, k))[1]} {a:.2f} to {b:.2f} ({n} labels, {r} right)" for k, n, r, a, b in steps)
    return f"{trial.zh}可信度中位的变化：{zh}。", f"{trial.en} Median scores change: {en}."
