"""Calibrations in the store: each try at learning from verdicts, and which one is in force."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session

from change_detect.calibration import SHIPPED, Calibration
from patrol.records import CalibrationRecord, CalibrationState
from patrol.shelf import NotFound, Shelf
from patrol.tables import CalibrationRow
from patrol.values import load

calibrations = Shelf(CalibrationRow, CalibrationRecord, "calibration")


def newest_first(session: Session) -> tuple[CalibrationRecord, ...]:
    """All tries, those that were not good enough too."""
    return calibrations.where(session, order=(CalibrationRow.number.desc(),))


def in_force(session: Session) -> CalibrationRecord | None:
    """The one that comparisons use; None where scores are as they ship."""
    found = calibrations.where(session, CalibrationRow.state == CalibrationState.CURRENT.value)
    return found[0] if found else None


def numbered(session: Session, number: int) -> CalibrationRecord:
    """A version by its number; raises NotFound."""
    found = calibrations.where(session, CalibrationRow.number == number)
    if not found:
        raise NotFound(f"没有第 {number} 版校准 / there is no calibration {number}")
    return found[0]


def curves(record: CalibrationRecord | None, area_id: str | None = None) -> Calibration:
    """The curves of a version. Learned in one area alone, it says nothing of another, and `area_id` gets what ships."""
    if record is None or (area_id is not None and not record.record["by_area"] and area_id not in record.record["areas"]):
        return SHIPPED
    made: Calibration = load(Calibration, record.record["curves"])
    return made


def put_in_force(session: Session, record: CalibrationRecord | None, said: str = "") -> None:
    """Make a version the one in force, or none; what was in force is replaced, and stays."""
    there = in_force(session)
    if there is not None and (record is None or there.id != record.id):
        calibrations.put(session, replace(there, state=CalibrationState.REPLACED, said=said if record is None else there.said))
    if record is not None:
        calibrations.put(session, replace(record, state=CalibrationState.CURRENT, said=said or record.said))
