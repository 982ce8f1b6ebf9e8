"""Scores of candidates by the calibration in force; what the detector itself said stays beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from change_detect.calibration import SHIPPED, Calibration
from change_detect.candidate import Candidate
from patrol import calibrations
from patrol.records import CalibrationRecord

RAW = "score"
"""The name among a candidate's features of the score as its detector gave it: what calibrations are made of, and made anew of."""


def scored(found: Sequence[Candidate], version: CalibrationRecord | None, area_id: str) -> tuple[Candidate, ...]:
    """Candidates with the score that a calibration makes of the detector's own, which they keep; the shown ones first, the surest first."""
    curves = calibrations.curves(version, area_id)
    made = [_scored(c, curves, version) for c in found]
    return tuple(sorted(made, key=lambda c: (c.suppressed is not None, -c.score, c.id)))


def _scored(c: Candidate, curves: Calibration, version: CalibrationRecord | None) -> Candidate:
    kept = replace(c, features={**c.features, RAW: c.score})
    score = round(curves.of(c.kind, c.score), 3)
    if version is None or curves == SHIPPED:
        return kept
    said = (
        f"可信度 {c.score:.2f} 按本市核查结果校准为 {score:.2f}（第 {version.number} 版） / "
        f"score {c.score:.2f}, by what was found in this city {score:.2f} (calibration {version.number})"
    )
    return replace(kept, score=score, reasons=(*c.reasons, said))
