"""Who gets a case: the place says which office, the office which officer.

Routes are data (a table of the city). A village zone belongs to the town government (城乡规划法 65), a city zone to the city's
own enforcement office (城乡规划法 64, 68); a case that fits no route is refused with the reason, so that a person assigns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shapely.geometry import MultiPolygon, Point, Polygon

from dispatch.case import Case
from dispatch.refusal import Reason, Refusal


class Zoning(StrEnum):
    """What kind of planning zone a route covers."""

    CITY = "city"  # 城乡规划法 64, 68
    VILLAGE = "village"  # 城乡规划法 65


@dataclass(frozen=True, slots=True)
class Route:
    """Cases inside `outline` (WGS 84; None: everywhere) go to this unit and its officers; the first that fits counts."""

    unit: str
    town: str
    zoning: Zoning
    officers: tuple[str, ...]
    outline: Polygon | MultiPolygon | None = None

    @property
    def law(self) -> str:
        """The article that gives the unit its competence, as a key of `dispatch.texts.LAWS`."""
        return "city-64" if self.zoning is Zoning.CITY else "village-65"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which unit and officer should get a case, and on which article."""

    unit: str
    town: str
    assignee: str
    law: str


def route(
    case: Case, routes: tuple[Route, ...], load: Mapping[str, int], *, away: frozenset[str] = frozenset()
) -> Assignment | Refusal:
    """The unit of the place and its least loaded officer; `load` counts each officer's open cases, `away` are not at work.

    Between equals the order of the table decides, so that the same question has the same answer.
    """
    point = Point(case.place.lon_deg, case.place.lat_deg)
    for r in routes:
        if r.outline is not None and not r.outline.covers(point):
            continue
        there = [officer for officer in r.officers if officer not in away]
        if not there:
            return Refusal("dispatch", case.state, (Reason("nobody_there", law=r.law, values={"unit": r.unit}),))
        return Assignment(r.unit, r.town, min(there, key=lambda officer: load.get(officer, 0)), r.law)
    where = f"{case.place.lon_deg:.6f}, {case.place.lat_deg:.6f}"
    return Refusal("dispatch", case.state, (Reason("no_route", values={"place": where}),))
