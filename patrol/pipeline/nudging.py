"""A person moves a survey that lies beside its reference: who, when, how much and why is kept, and every move can be taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geo.progress import Progress, silent
from imagery.errors import SurveyError
from imagery.nudging import Nudge, place
from imagery.survey import RECORD
from patrol import audit, records, repositories
from patrol.pipeline import cataloguing, masking
from patrol.pipeline.housing import SurveyRefused
from patrol.pipeline.surveying import load_survey
from patrol.values import dump
from patrol.wiring import Workplace


def nudge(
    work: Workplace, survey_id: str, by: Nudge | None, reason: str, *, user: str, progress: Progress = silent
) -> records.SurveyRecord:
    """Move a survey by so much from where it lies now, or with None take the last move back.

    Comparisons made with the old place are marked stale; the next comparison of the pair is made anew. Raises SurveyRefused.
    """
    if not reason.strip():
        raise SurveyRefused("移动成果必须写明原因。 Say why the survey is moved.")
    with work.database.read() as session:
        record = repositories.surveys.get(session, survey_id)
        area = repositories.areas.get(session, record.area_id)
        others = repositories.surveys_of(session, record.area_id)
        reference = repositories.surveys.find(session, record.reference_id) if record.reference_id else None
    resting = [s.id for s in others if s.reference_id == record.id]
    if resting:
        raise SurveyRefused(
            f"{survey_id} 是 {len(resting)} 期成果的基准，不能移动；请移动后期成果。 "
            f"Survey {survey_id} is the reference of {len(resting)} others and cannot be moved: move the later one instead."
        )
    history = list(record.record.get("nudges", ()))
    try:
        at = _at(history) if by is not None else Nudge()
        if by is None:
            if not history:
                raise SurveyRefused(
                    f"{survey_id} 没有移动过。 Survey {survey_id} was never moved: there is nothing to take back."
                )
            before = history[-1]["from"]
            by, at = _minus(before, history[-1]["to"]), _nudge(history[-1]["to"])
        to = at.plus(by)
        survey = place(
            load_survey(work, record),
            to,
            load_survey(work, reference) if reference is not None else None,
            progress,
            before_swap=lambda moved: masking.burn_into(work, area, moved),
        )
    except (SurveyError, masking.MaskRefused) as err:
        raise SurveyRefused(f"{survey_id}: {err}") from err
    now = work.clock.now()
    history.append({"by": user, "at": now.isoformat(), "from": dump(at), "to": dump(to), "reason": reason.strip()})
    folder = work.settings.home / record.folder
    (folder / "cloud.laz").unlink(missing_ok=True)  # points of the old place: it is made again when asked for
    cataloguing.make_thumbnail(work, folder, survey)
    moved = replace(
        record,
        quality=dump(survey.quality),
        assets=tuple(cataloguing.assets(folder, survey)),
        record={**json.loads((folder / RECORD).read_text()), "nudges": history},
    )
    with work.database.write() as session:
        repositories.surveys.put(session, moved)
        stale = [c for c in repositories.comparisons_of(session, record.area_id) if record.id in {c.before_id, c.after_id}]
        for comparison in stale:
            told = {"survey": record.id, "at": now.isoformat()}
            repositories.comparisons.put(session, replace(comparison, record={**comparison.record, "stale": told}))
        details = {"from": dump(at), "to": dump(to), "reason": reason.strip(), "stale": [c.id for c in stale]}
        audit.append(session, user, "survey.nudge", f"survey:{record.id}", at=now, details=details)
    cataloguing.write_item(work, moved)
    return moved


def _at(history: list[Any]) -> Nudge:
    return _nudge(history[-1]["to"]) if history else Nudge()


def _nudge(raw: Mapping[str, float]) -> Nudge:
    return Nudge(float(raw["east_m"]), float(raw["north_m"]), float(raw["up_m"]))


def _minus(one: Mapping[str, float], other: Mapping[str, float]) -> Nudge:
    a, b = _nudge(one), _nudge(other)
    return Nudge(a.east_m - b.east_m, a.north_m - b.north_m, a.up_m - b.up_m)
