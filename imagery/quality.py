"""How good a survey is: the record kept with every survey and shown, and whether it may be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagery.control import ControlReport
from imagery.reasons import Reason


@dataclass(frozen=True, slots=True)
class Quality:
    """The record kept with every survey and shown: how it was made, how good it is, and whether it may be used.

    Lengths in metres, residuals in pixels of the photo (`reprojection_px`) or of the area's grid (`residual_*_px`); None where there
    is nothing to measure by. `reasons` say why a survey was refused, or what to watch in one that was accepted.

    `residual_refused` is the share of measured cells whose residual is too large to compare; `surface_*_m` how the surface lies over the
    reference's (Nuth & Kääb) and the spread of heights once that is taken away. `photos_per_cell` is the median over the area,
    `thin_overlap` the share of it that fewer than two photos see; `blurred` the share of photos less than half as sharp as those
    around them; the sun is that of the middle photo. `gap` is what to fly again as a GeoJSON geometry of WGS 84, None without one.
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
    agl_ratio: float | None = None
    residual_refused: float | None = None
    surface_east_m: float | None = None
    surface_north_m: float | None = None
    surface_up_m: float | None = None
    surface_nmad_m: float | None = None
    photos_per_cell: float | None = None
    thin_overlap: float | None = None
    blurred: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    gap: Mapping[str, Any] | None = None
    gap_m2: float = 0.0
