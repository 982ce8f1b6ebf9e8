"""Earth moved, seen in colours alone: bare soil of another colour than the bare soil that was there, or bare soil where none was.

Dug and heaped earth comes from below and has another hue than the trodden surface; wet and dry, sun and shade change lightness, hardly hue. So
only chroma counts. Ground that was green or paved and is bare now may as well be a ploughed field: without heights that is held back, and
shown only where digging matters (see `corridor`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from shapely.geometry.base import BaseGeometry

from change_detect.align import SurveyPair
from change_detect.appearance import GSD_M, straightness
from change_detect.candidate import Candidate, Kind, measured, outline_of, stable_id
from change_detect.raster import Layers, Mask, Metres, cells_inside
from change_detect.segment import Region, regions
from change_detect.spectral import Colours, bare_soil
from geo.grid import Window
from geo.progress import Progress, silent

BARE = "bare_ground_suspected"
"""How the reason of newly bare ground begins: earth moved or a field ploughed, which colours alone cannot tell."""
WEAK = "weak_evidence"
LEAST_SCORE = 0.3
TURNED = 11.0
"""CIELAB chroma by which soil must differ from the soil before: the 90th percentile of unmoved bare ground is 7 to 10 (fort_collins)."""
WINDOW_CELLS = 5
REACH_M = 8.0


@dataclass(frozen=True, slots=True)
class SoilLimits:
    """The numbers the rules compare with; metres and square metres."""

    least_area_m2: float = 50.0
    least_width_m: float = 4.0
    straight: float = 0.6
    uneven: float = 12.0
    field_m2: float = 3000.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What was measured of one piece of bare ground; distances in CIELAB, shares 0..1."""

    area_m2: float
    length_m: float
    width_m: float
    moved: float
    straight: float
    uneven: float
    was_soil: float
    unseen: float


_HOLDS: tuple[tuple[Callable[[Ground, SoilLimits], bool], Callable[[Ground, SoilLimits], str]], ...] = (
    (
        lambda g, _l: g.unseen > 0.15,
        lambda g, _l: f"edge_of_coverage: 位于影像边缘 / {g.unseen:.0%} of it and its rim is not seen on both dates",
    ),
    (
        lambda g, li: g.width_m < li.least_width_m,
        lambda g, li: f"narrow_strip: 过窄 / {g.width_m:.1f} m wide on average (limit {li.least_width_m:.0f} m)",
    ),
    (
        lambda g, li: g.straight > li.straight,
        lambda g, _l: (
            f"straight_outline: 轮廓平直，疑似屋面或铺装而非土方 / {g.straight:.0%} of its outline is straight and right-angled: a roof or paving"
        ),
    ),
    (
        lambda g, li: g.uneven > li.uneven,
        lambda g, _l: (
            f"vegetation: 纹理杂乱，疑似秋季植被 / colours scatter by {g.uneven:.0f} within it: autumn leaves rather than soil"
        ),
    ),
    (
        lambda g, li: g.was_soil < 0.5 and g.area_m2 > li.field_m2 and g.length_m < 4 * g.width_m,
        lambda g, _l: f"field_suspected: 整片裸露，疑似翻耕农田 / {g.area_m2:.0f} m2 laid bare at once: a ploughed field",
    ),
    (
        lambda g, _l: g.was_soil < 0.5,
        lambda g, _l: (
            f"{BARE}: 新近裸露，无高程时不能区分土方与翻耕 / laid bare since; without heights this may be earthwork or a ploughed field"
        ),
    ),
)
"""Why bare ground is held back; the first match wins."""


def marks(before: Layers, after: Layers) -> tuple[Mask, Mask]:
    """(turned, laid bare) cells of one window: soil of another colour than the soil before, and soil where none was."""
    a, b = Colours.of(before.ortho, before.shown), Colours.of(after.ortho, after.shown)
    known = before.shown & after.shown
    size = (WINDOW_CELLS, WINDOW_CELLS)
    now, was = (cv2.blur(bare_soil(c).astype(np.float32), size) > 0.6 for c in (b, a))
    turned = now & was & (cv2.blur(_chroma_moved(a, b), size) > TURNED) & known
    bare = now & ~was & known
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WINDOW_CELLS, WINDOW_CELLS))
    opened = (cv2.morphologyEx(m.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0 for m in (turned, bare))
    first, second = opened
    return first, second


def earthworks(
    pair: SurveyPair,
    *,
    within: BaseGeometry | None = None,
    limits: SoilLimits | None = None,
    tile_cells: int = 1024,
    progress: Progress = silent,
) -> list[Candidate]:
    """Bare ground that changed, as candidates; `within` (metres of the area's frame) leaves out what does not touch it."""
    limits = limits or SoilLimits()
    thin = pair.thinned(GSD_M)
    grid = thin.grid

    def marking(window: Window) -> tuple[tuple[Mask, Mask], ...]:
        if within is not None and not within.intersects(grid.part(window).outline_m):
            nothing = np.zeros((window.rows, window.cols), bool)
            return (nothing, nothing), (nothing, nothing)
        return tuple((m, m) for m in marks(*thin.read(window)))

    marked = regions(
        grid,
        marking,
        channels=2,
        tile=tile_cells,
        margin=math.ceil(REACH_M / grid.gsd_m),
        least_cells=math.ceil(limits.least_area_m2 / grid.gsd_m**2),
        progress=progress,
    )
    found = [_candidate(thin, region, limits) for those in marked for region in those]
    return [c for c in found if within is None or within.intersects(c.outline)]


def _candidate(thin: SurveyPair, region: Region, limits: SoilLimits) -> Candidate:
    grid = thin.grid
    window = region.window.grown(math.ceil(REACH_M / grid.gsd_m), grid)
    before, after = thin.read(window)
    body = np.zeros((window.rows, window.cols), bool)
    r, c = region.window.row - window.row, region.window.col - window.col
    body[r : r + region.window.rows, c : c + region.window.cols] = region.mask
    ground = _measured(before, after, body, grid.gsd_m)
    held = next((says(ground, limits) for when, says in _HOLDS if when(ground, limits)), None)
    outline = outline_of(body, grid, window)
    score = round(0.7 * min(1.0, ground.area_m2 / 200.0) * min(1.0, 0.5 + max(0.0, ground.moved - TURNED) / 15.0), 3)
    if held is None and score < LEAST_SCORE:
        held = f"{WEAK}: 仅凭颜色且可信度低 / score {score:.2f} by colours alone (limit {LEAST_SCORE:.2f})"
    height = None
    if before.surface is not None and after.surface is not None:
        dz = (after.surface - before.surface)[cells_inside(outline, grid.part(window))]
        height = float(np.median(dz[np.isfinite(dz)])) if np.isfinite(dz).any() else None
    zh = "裸土颜色改变" if ground.was_soil >= 0.5 else "新近裸露"
    en = "bare soil of another colour than before" if ground.was_soil >= 0.5 else "ground laid bare"
    sure_zh, sure_en = (
        ("未比较高程", "no heights were compared") if height is None else (f"高差 {height:+.1f} 米", f"height {height:+.1f} m")
    )
    reasons = (
        f"{zh}，{ground.area_m2:.0f} 平方米，色度变化 {ground.moved:.0f}，{sure_zh} / "
        f"{en}: {ground.area_m2:.0f} m2, hue and chroma moved by {ground.moved:.0f}; {sure_en}",
        f"轮廓平直度 {ground.straight:.0%} / {ground.straight:.0%} of its outline is straight: earth has no right angles",
    )
    return Candidate(
        id=stable_id(outline, thin.before.taken_on, thin.after.taken_on),
        outline=outline,
        area_m2=float(outline.area),
        area_sigma_m2=outline.length / 2 * math.hypot(thin.residual.sigma_xy_m, grid.gsd_m / 2),
        height_m=height,
        kind=Kind.EARTHWORK,
        score=score,
        reasons=reasons,
        suppressed=held,
        features=measured(
            area_m2=ground.area_m2,
            length_m=ground.length_m,
            width_m=ground.width_m,
            moved=ground.moved,
            straight=ground.straight,
            uneven=ground.uneven,
            was_soil=ground.was_soil,
        ),
    )


def _measured(before: Layers, after: Layers, body: Mask, gsd_m: float) -> Ground:
    a, b = Colours.of(before.ortho, before.shown), Colours.of(after.ortho, after.shown)
    rows, cols = np.nonzero(body)
    (_, _), (w, h), _ = cv2.minAreaRect(np.column_stack([cols, rows]).astype(np.float32))
    length = (max(w, h) + 1) * gsd_m
    area = float(body.sum()) * gsd_m**2
    around = cv2.dilate(body.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    usual = np.median(b.lab[body], axis=0)
    return Ground(
        area_m2=area,
        length_m=length,
        width_m=area / length,
        moved=float(np.median(_chroma_moved(a, b)[body])),
        straight=straightness(body),
        uneven=float(np.median(np.linalg.norm(b.lab[body] - usual, axis=1))),
        was_soil=float(bare_soil(a)[body].mean()),
        unseen=1.0 - float(np.mean((before.valid & after.valid)[around])),
    )


def _chroma_moved(a: Colours, b: Colours) -> Metres:
    out: Metres = np.hypot(b.lab[..., 1] - a.lab[..., 1], b.lab[..., 2] - a.lab[..., 2])
    return out
