"""How good a survey is: the record kept with every survey and shown, and whether it may be used."""

from __future__ import annotations

from dataclasses import dataclass

from imagery.control import ControlReport
from imagery.reasons import Reason


@dataclass(frozen=True, slots=True)
class Quality:
    """The record kept with every survey and shown: how it was made, how good it is, and whether it may be used.

    Lengths in metres, residuals in pixels of the photo (`reprojection_px`) or of the area's grid (`residual_*_px`); None where there
    is nothing to measure by. `reasons` say why a survey was refused, or what to watch in one that was accepted.
    """

    registered: int
    given: int
    reprojection_px: float | None
    gps_residual_m: float | None
    agl_m: float | None
    tilt_deg: float | None
    coverage: float
    gsd_m: float
    residual_median_px: float | None
    residual_p90_px: float | None
    method: str
    fell_back: bool
    accepted: bool
    reasons: tuple[Reason, ...] = ()
    control: ControlReport | None = None
