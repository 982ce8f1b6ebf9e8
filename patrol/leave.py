"""Leave to fly in the store: pilots, the operator, applications, and every check of a mission against the airspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from airspace.applications import Application
from airspace.papers import Operator, Pilot
from patrol.shelf import Shelf
from patrol.tables import AirCheckRow, ApplicationRow, OperatorRow, PilotRow


class Stage(StrEnum):
    """When in a mission's life it is held against the airspace (Art. 20): zones may have changed since the stage before."""

    PLAN = "plan"
    EXPORT = "export"
    REPORT = "report_1h"
    ARMING = "arming"
    WATCH = "watch"  # the zones changed


@dataclass(frozen=True, slots=True)
class AirCheck:
    """A mission held against the airspace; `clearance` is the JSON of what was found then, under the data of then.

    `stale`: it differs from what the mission's people know, and nobody may fly or hand out the mission before they have acknowledged it.
    """

    id: str
    mission_id: str
    stage: Stage
    at: datetime
    by: str
    verdict: str
    data_version: str
    stale: bool
    clearance: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


pilots = Shelf(PilotRow, Pilot, "pilot", whole="record")
operators = Shelf(OperatorRow, Operator, "operator", whole="record")
applications = Shelf(ApplicationRow, Application, "application", whole="record")
checks = Shelf(AirCheckRow, AirCheck, "airspace check")


def operator(session: Session) -> Operator | None:
    """Who organises the flights of this installation; None until somebody has said."""
    found = operators.where(session, limit=1)
    return found[0] if found else None


def checks_of(session: Session, mission_id: str) -> tuple[AirCheck, ...]:
    """All checks of a mission, the newest first."""
    return checks.where(session, AirCheckRow.mission_id == mission_id, order=(AirCheckRow.at.desc(),))


def stale_of(session: Session, mission_id: str | None = None) -> tuple[AirCheck, ...]:
    """Changes that nobody has acknowledged yet, of one mission or of all, the newest first."""
    asked: list[ColumnElement[bool]] = [AirCheckRow.stale.is_(True), AirCheckRow.acknowledged_at.is_(None)]
    if mission_id is not None:
        asked.append(AirCheckRow.mission_id == mission_id)
    return checks.where(session, *asked, order=(AirCheckRow.at.desc(),))


def applications_of(session: Session, mission_id: str | None = None) -> tuple[Application, ...]:
    """Applications, the newest first; those that name a mission where one is asked for."""
    found = applications.where(session, order=(ApplicationRow.made_at.desc(),))
    return tuple(a for a in found if mission_id is None or mission_id in a.mission_ids)
