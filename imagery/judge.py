"""Whether a survey may be used: the gates, each with its number, its limit and its sentence in two languages.

Hard gates refuse; soft ones say what to watch. A refusal over a gap names the gap, so that only it is flown again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import mapping

from geo.area import Area
from geo.grid import Grid
from geo.sun import direction
from imagery import gaps, raster
from imagery.cells import Cell, CellState, cells, refused_share
from imagery.control import ControlReport, Role
from imagery.coregister import Coregistration
from imagery.laying import BY_SURFACE
from imagery.photos import Photo
from imagery.quality import Quality
from imagery.reasons import Reason, read_all
from imagery.reconstruct import Block, Method
from imagery.residual import Residual
from imagery.screening import sharpness_shares
from imagery.surface import native_gsd_m

_CONTROL_OFF_M = 5.0  # a hand-held receiver is better than this
_ANY_GPS_M = 1000.0  # receivers farther off than this from where surveyed points hold the block are of another place
_SOFT_SHARPNESS = 0.5  # of the photos around: below it fine edges are gone, at a quarter (screening) the photo is of no use


@dataclass(frozen=True, slots=True)
class _Gate:
    """`hard` refuses, `soft` warns; a value is bad beyond its limit (`above`) or short of it."""

    code: str
    value: float | None
    soft: float
    hard: float
    zh: str
    en: str
    above: bool = True

    def verdict(self) -> Reason | None:
        """The reason to refuse or to watch, None when all is well or there is nothing to measure."""
        if self.value is None or not np.isfinite(self.value):
            return None
        sign = 1.0 if self.above else -1.0
        refused = sign * self.value > sign * self.hard
        if not refused and sign * self.value <= sign * self.soft:
            return None
        limit = self.hard if refused else self.soft
        said = {"value": self.value, "limit": limit}
        return Reason(self.code, self.zh.format(**said), self.en.format(**said), float(self.value), limit, refuses=refused)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was measured on the finished files of a survey: ortho, residual and surface against the reference."""

    ortho: Path
    shifts: Residual | None = None
    surface: Coregistration | None = None
    notes: tuple[Reason, ...] = ()


def quality(
    block: Block, photos: Sequence[Photo], area: Area, grid: Grid, looked: Looked, filled: Path, *, has_reference: bool
) -> Quality:
    """The record of a survey made from photos."""
    stats = block.stats
    small, thin = gaps.coarse(grid)
    counts = gaps.photos_over(block, small)
    ground = _Ground.of(area, grid, small, thin, looked, counts)
    given_nadir = stats.method not in {Method.FROZEN, Method.JOINT}
    wanted = raster.inside(area.outline_m, small)
    blurred = float((sharpness_shares(photos) < _SOFT_SHARPNESS).mean()) if photos else None
    azimuth, elevation = _sun(photos, area)
    gates = (
        _Gate(
            "registered",
            stats.registered / max(1, stats.given),
            0.95,
            0.70,
            "只有 {value:.0%} 的照片能用上（应≥{limit:.0%}）。",
            "Only {value:.0%} of the photos fit together (at least {limit:.0%} are needed).",
            above=False,
        ),
        _Gate(
            "reprojection",
            stats.reprojection_px,
            1.2,
            3.0,
            "平均重投影误差 {value:.2f} 像素（上限 {limit}）。",
            "Mean reprojection error {value:.2f} px (limit {limit}).",
        ),
        _Gate(
            "gps",
            stats.gps_residual_m,
            5.0,
            15.0 if stats.control is None or not stats.control.used else _ANY_GPS_M,
            "与照片定位相差 {value:.1f} 米（上限 {limit}）。",
            "The cameras lie {value:.1f} m off their GPS places (limit {limit}).",
        ),
        _Gate(
            "height_above_ground",
            _off_one(stats.agl_ratio),
            0.15,
            0.35,
            "航高与照片记录相差 {value:.0%}，焦距可能有误（上限 {limit:.0%}）。",
            "Height above ground is {value:.0%} off what the photos say: the focal length may be wrong (limit {limit:.0%}).",
        ),
        _Gate(
            "tilt",
            stats.tilt_deg if given_nadir else None,
            3.0,
            25.0,
            "整体倾斜 {value:.1f}°（上限 {limit}°）。",
            "The block is tilted by {value:.1f}° (limit {limit}°).",
        ),
        *_controlled(stats.control),
        _Gate(
            "thin_overlap",
            ground.gap.thin,
            0.05,
            0.30,
            "单元有 {value:.0%} 只有不到两张照片覆盖，测不出高程（上限 {limit:.0%}）。",
            "{value:.0%} of the area is seen by fewer than two photos, so its height is not measured (limit {limit:.0%}).",
        ),
        _Gate(
            "blurred",
            blurred,
            0.10,
            0.50,
            "{value:.0%} 的照片明显比相邻照片模糊（上限 {limit:.0%}）。",
            "{value:.0%} of the photos are far less sharp than their neighbours (limit {limit:.0%}).",
        ),
        _Gate(
            "sun_low",
            elevation,
            20.0,
            0.0,
            "太阳高度角 {value:.0f}°，阴影较长（宜≥{limit:.0f}°）。",
            "The sun stood at {value:.0f}°: shadows are long (at least {limit:.0f}° is better).",
            above=False,
        ),
        *_shared(ground, looked, grid),
    )
    reasons = [*looked.notes, *read_all(stats.notes), *(stats.control.reasons if stats.control is not None else ())]
    if has_reference and given_nadir:
        reasons.append(
            Reason(
                "own_gps",
                "未能配准到参考期影像块，改用自身定位并按影像与地表配准。",
                "Not registered into the reference's block: placed by its own GPS and the rasters.",
            )
        )
    reasons += [verdict for verdict in (g.verdict() for g in gates) if verdict is not None]
    reasons += _guessed(filled)
    by_surface = any(r.code == BY_SURFACE for r in looked.notes)
    return Quality(
        registered=stats.registered,
        given=stats.given,
        reprojection_px=stats.reprojection_px,
        gps_residual_m=stats.gps_residual_m,
        agl_m=stats.agl_m,
        tilt_deg=stats.tilt_deg,
        gsd_m=native_gsd_m(block),
        method=f"{stats.method} + Nuth & Kääb" if by_surface else str(stats.method),
        fell_back=stats.fell_back or (has_reference and given_nadir),
        accepted=not any(r.refuses for r in reasons),
        reasons=tuple(reasons),
        control=stats.control,
        agl_ratio=stats.agl_ratio,
        photos_per_cell=float(np.median(counts[wanted])) if wanted.any() else None,
        thin_overlap=ground.gap.thin,
        blurred=blurred,
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
        **ground.record(),
        **_against_reference(looked, grid),
    )


def adopted(area: Area, grid: Grid, native_m: float, method: str, looked: Looked) -> Quality:
    """The record of a survey taken over from another program."""
    ground = _Ground.of(area, grid, *gaps.coarse(grid), looked, None)
    verdicts = (g.verdict() for g in _shared(ground, looked, grid))
    reasons = [*looked.notes, *(verdict for verdict in verdicts if verdict is not None)]
    return Quality(
        registered=0,
        given=0,
        reprojection_px=None,
        gps_residual_m=None,
        agl_m=None,
        tilt_deg=None,
        gsd_m=native_m,
        method=method,
        fell_back=False,
        accepted=not any(r.refuses for r in reasons),
        reasons=tuple(reasons),
        **ground.record(),
        **_against_reference(looked, grid),
    )


@dataclass(frozen=True, slots=True)
class _Ground:
    """How much of the area a survey shows, where its largest hole lies (a phrase, empty without one), and what to fly again."""

    share: float
    hole: str
    gap: gaps.Gap
    outline: Mapping[str, Any] | None

    @staticmethod
    def of(area: Area, grid: Grid, small: Grid, thin: int, looked: Looked, counts: NDArray[np.uint16] | None) -> _Ground:
        known = raster.read_mask(looked.ortho, thin=thin)
        bad = [c.outline_m for c in _cells(looked, grid) if c.state is CellState.REFUSED]
        gap = gaps.find(area, small, known, counts, bad)
        share, hole = coverage(area, grid, looked.ortho)
        return _Ground(share, hole, gap, None if gap.outline_m.is_empty else mapping(area.frame.to_degrees(gap.outline_m)))

    def record(self) -> dict[str, Any]:
        return {"coverage": self.share, "gap": self.outline, "gap_m2": round(self.gap.area_m2, 1)}


def _cells(looked: Looked, grid: Grid) -> tuple[Cell, ...]:
    return cells(looked.shifts, grid) if looked.shifts is not None else ()


def _against_reference(looked: Looked, grid: Grid) -> dict[str, Any]:
    shifts, surface = looked.shifts, looked.surface
    known = surface is not None and surface.xy_known
    return {
        "residual_median_px": shifts.median_px if shifts is not None else None,
        "residual_p90_px": shifts.p90_px if shifts is not None else None,
        "residual_refused": refused_share(_cells(looked, grid)),
        "surface_east_m": surface.east_m if surface is not None and known else None,
        "surface_north_m": surface.north_m if surface is not None and known else None,
        "surface_up_m": surface.up_m if surface is not None else None,
        "surface_nmad_m": surface.nmad_m if surface is not None else None,
    }


def _sun(photos: Sequence[Photo], area: Area) -> tuple[float | None, float | None]:
    """(azimuth, elevation) at the middle photo's time; None where no photo tells one."""
    times = sorted(p.taken_at for p in photos if p.taken_at is not None)
    return direction(area.centre, times[len(times) // 2]) if times else (None, None)


def coverage(area: Area, grid: Grid, ortho: Path) -> tuple[float, str]:
    """Share of the area that the ortho shows, and where its largest gap lies (a phrase; empty without one)."""
    thin = max(1, int(max(grid.rows, grid.cols) / 1500))
    small = Grid(grid.frame, grid.gsd_m * thin, grid.west_m, grid.north_m, -(-grid.rows // thin), -(-grid.cols // thin))
    known = raster.read_mask(ortho, thin=thin)
    wanted = raster.inside(area.outline_m, small)
    if not wanted.any():
        return 0.0, ""
    share = float((known & wanted).sum() / wanted.sum())
    names, count = ndimage.label(wanted & ~known)
    if count == 0:
        return share, ""
    sizes = np.bincount(names.ravel())[1:]
    row, col = ndimage.center_of_mass(names == int(np.argmax(sizes)) + 1)
    place = grid.frame.lonlat(small.west_m + (col + 0.5) * small.gsd_m, small.north_m - (row + 0.5) * small.gsd_m)
    return share, f"{sizes.max() * small.gsd_m**2:.0f} m², {place.lon_deg:.6f}, {place.lat_deg:.6f}"


def _controlled(control: ControlReport | None) -> tuple[_Gate, ...]:
    """Gates of surveyed points; a survey that they do not hold they only warn of. Pixels tell marks and poses, metres the survey."""
    if control is None:
        return ()
    return (
        _Gate(
            "control",
            control.px(Role.CONTROL),
            3.0,
            np.inf,
            "控制点残差 {value:.1f} 像素（应≤{limit}）。",
            "Control points are missed by {value:.1f} px (at most {limit}).",
        ),
        _Gate(
            "control_plan",
            control.xy_m(Role.CONTROL),
            0.5,
            _CONTROL_OFF_M if control.used else np.inf,
            "控制点平面残差 {value:.2f} 米（上限 {limit} 米）。",
            "Control points are missed by {value:.2f} m in plan (limit {limit} m).",
        ),
        _Gate(
            "control_scale",
            None if control.scale_error is None else abs(control.scale_error),
            0.005,
            0.05 if control.used else np.inf,
            "控制点间距与实测相差 {value:.2%}（上限 {limit:.1%}）。",
            "Distances between control points are off by {value:.2%} (limit {limit:.1%}).",
        ),
    )


def _shared(ground: _Ground, looked: Looked, grid: Grid) -> tuple[_Gate, ...]:
    """Gates of every survey, however it was made."""
    shifts, surface, gap = looked.shifts, looked.surface, ground.hole
    off = surface.shift_m if surface is not None and surface.xy_known else None
    matched = shifts.found / shifts.tried if shifts is not None and shifts.tried >= 12 else None
    half_metre_px = 0.5 / grid.gsd_m
    return (
        _Gate(
            "coverage",
            ground.share,
            0.98,
            0.85,
            "只覆盖了单元的 {value:.0%}（应≥{limit:.0%}），最大缺口 " + gap + "：请补飞该处。",
            "Covers {value:.0%} of the area (at least {limit:.0%}); largest gap " + gap + ": fly that part again.",
            above=False,
        ),
        _Gate(
            "shift_median",
            shifts.median_px if shifts else None,
            1.0,
            max(3.0, half_metre_px),
            "与参考期影像错位中位数 {value:.1f} 像素（上限 {limit:.1f}）。",
            "The median shift against the reference is {value:.1f} px (limit {limit:.1f}).",
        ),
        _Gate(
            "shift_p90",
            shifts.p90_px if shifts else None,
            2.5,
            max(8.0, 2 * half_metre_px),
            "与参考期影像错位 90% 分位 {value:.1f} 像素（上限 {limit:.1f}）。",
            "One in ten places is shifted by more than {value:.1f} px against the reference (limit {limit:.1f}).",
        ),
        _Gate(
            "matched",
            matched,
            0.5,
            0.05,
            "与参考期影像只有 {value:.0%} 的检查点能匹配（应≥{limit:.0%}）。",
            "Only {value:.0%} of the check tiles match the reference (at least {limit:.0%}).",
            above=False,
        ),
        _Gate(
            "residual_cells",
            refused_share(_cells(looked, grid)),
            0.02,
            0.50,
            "有 {value:.0%} 的区块与参考期错位过大，比对时不采用（上限 {limit:.0%}）。",
            "{value:.0%} of the cells lie too far off the reference and are left out of comparisons (limit {limit:.0%}).",
        ),
        _Gate(
            "surface_shift",
            off,
            max(grid.gsd_m, 0.05),
            max(3 * grid.gsd_m, 0.5),
            "地表与参考期平面相差 {value:.2f} 米（上限 {limit:.2f}）。",
            "The surface lies {value:.2f} m off the reference's along the ground (limit {limit:.2f}).",
        ),
        _Gate(
            "surface_height",
            abs(surface.up_m) if surface is not None else None,
            0.15,
            3.0,  # a season's crops raise whole fields; comparisons take an even step out
            "地表与参考期高程相差 {value:.2f} 米（上限 {limit:.2f}）。",
            "The surface lies {value:.2f} m above or below the reference's (limit {limit:.2f}).",
        ),
        _Gate(
            "surface_spread",
            surface.nmad_m if surface is not None else None,
            0.15,
            1.5,
            "与参考期的高差离散 {value:.2f} 米（上限 {limit:.2f}）。",
            "Heights differ from the reference's by {value:.2f} m (NMAD, limit {limit:.2f}).",
        ),
    )


def _off_one(ratio: float | None) -> float | None:
    return None if ratio is None else abs(ratio - 1.0)


def _guessed(filled: Path) -> list[Reason]:
    """A word on how much of the surface was bridged."""
    grid = raster.grid_of(filled)
    values = raster.read_window(filled) if grid.rows * grid.cols < 50_000_000 else raster.read_window(filled, thin=8)
    known = values <= 1
    share = float((values[known] == 1).mean()) if known.any() else 1.0
    if share <= 0.25:
        return []
    return [
        Reason(
            "bridged",
            f"高程有 {share:.0%} 为插补（树冠、水面或重叠不足）。",
            f"{share:.0%} of the heights are bridged (canopy, water or little overlap).",
            number=share,
            limit=0.25,
        )
    ]
