"""Which earlier survey of an area to compare with: the last, the last good one, or the one most alike, with the reasons."""

from __future__ import annotations

from shapely.geometry.base import BaseGeometry
from sqlalchemy.orm import Session

from change_detect.pairing import Choice, Look, choose
from geo.area import Area
from imagery.reasons import read_all
from patrol import records, repositories
from patrol.wiring import Workplace

LAST, GOOD, BEST = "last", "good", "best"
WORDS = (LAST, GOOD, BEST)
"""What stands for a survey's id where one is asked for: the last before, the last of good quality, the one most alike."""


def look(survey: records.SurveyRecord, place: BaseGeometry) -> Look:
    """A survey as the chooser sees it; `place` (WGS 84) is what both are to show."""

    def number(name: str) -> float | None:
        value = survey.quality.get(name)
        return None if value is None else float(value)

    seen = survey.outline.intersection(place).area / place.area if place.area > 0 else 0.0
    remarks = [r for r in read_all(survey.quality.get("reasons", ())) if not r.refuses]
    return Look(
        id=survey.id,
        taken_on=survey.taken_on,
        seen=min(1.0, float(seen)),
        gsd_m=number("gsd_m"),
        residual_px=number("residual_p90_px"),
        sun_azimuth_deg=number("sun_azimuth_deg"),
        sun_elevation_deg=number("sun_elevation_deg"),
        remarks=len(remarks),
        has_surface=survey.asset("surface") is not None,
    )


def choices(
    session: Session, area: Area, after: records.SurveyRecord, *, place: BaseGeometry | None = None
) -> tuple[Choice, ...]:
    """Accepted surveys before `after`, the best to compare a place (default: the area) with first."""
    ground = place if place is not None else area.outline
    earlier = [s for s in repositories.surveys_of(session, area.id, accepted=True) if s.id != after.id]
    return choose(look(after, ground), [look(s, ground) for s in earlier])


def named(session: Session, area: Area, after: records.SurveyRecord, word: str) -> Choice | None:
    """The survey that a word stands for, None when there is none."""
    found = choices(session, area, after)
    if word == GOOD:
        found = tuple(c for c in found if c.look.is_good)
    if word != BEST:
        found = tuple(sorted(found, key=lambda c: c.look.taken_on, reverse=True))
    return found[0] if found else None


def of_finding(work: Workplace, finding_id: str) -> tuple[records.SurveyRecord, tuple[Choice, ...]]:
    """For a finding's own place: its later survey, and the earlier ones ranked by how well they show what was there before."""
    with work.database.read() as session:
        finding = repositories.findings.get(session, finding_id)
        area = repositories.areas.get(session, finding.area_id)
        surveys = repositories.surveys_of(session, area.id, accepted=True)
        after = next((s for s in surveys if s.id == finding.after_survey), surveys[-1] if surveys else None)
        if after is None:
            raise repositories.NotFound(f"area {area.name} has no accepted survey")
        return after, choices(session, area, after, place=finding.outline_wgs84)
