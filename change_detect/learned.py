"""The second way of finding changes: a network from a file judges every cell, tile by overlapping tile; objects are cut out of its answer."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from change_detect.align import SurveyPair
from change_detect.candidate import Candidate, Kind, measured, outline_of, stable_id
from change_detect.detector import area_sigma, of_pair
from change_detect.errors import ModelError
from change_detect.models import Model
from change_detect.raster import Mask
from change_detect.segment import Region, regions
from geo.grid import Window
from geo.progress import Progress, silent

CLEAR_M = 1.2
"""A height that says whether something was built or lost, where surfaces know it."""


@dataclass(frozen=True, slots=True)
class ModelDetector:
    """A user's model, or the product's own, as a detector of the port."""

    model: Model
    progress: Progress = silent

    def detect(self, pair: SurveyPair) -> tuple[Candidate, ...]:
        """Candidates of an aligned pair, the shown ones first, highest score first.

        Memory does not grow with the area: the answer lies in a temporary file of a byte per cell. Raises ModelError when the cells of
        the pair are not what the model was made for.
        """
        sidecar = self.model.sidecar
        low, high = sidecar.gsd_range_m
        pair = pair.thinned(sidecar.gsd_m)
        grid = pair.grid
        if not low - 1e-6 <= grid.gsd_m <= high + 1e-6:
            raise ModelError(
                f"模型“{sidecar.name}”适用于 {low:g}–{high:g} 米像元，本期成果为 {grid.gsd_m:g} 米 / the model “{sidecar.name}” is made for cells of "
                f"{low:g} to {high:g} m, these have {grid.gsd_m:g} m: use another model, or unset PATROL_CHANGE_MODEL"
            )
        with tempfile.TemporaryDirectory(prefix="patrol-chances-") as folder:
            answer = np.memmap(Path(folder) / "chances", np.uint8, "w+", shape=grid.shape)

            def marking(window: Window) -> tuple[tuple[Mask, Mask], ...]:
                before, after = pair.read(window)
                chances = self.model.chances(before, after, heights=pair.has_surfaces)
                core = _core(window, sidecar.margin, grid.shape)
                answer[core.slices] = _bytes(chances)[_within(core, window)]
                return ((chances >= sidecar.threshold, chances >= sidecar.near),)

            (found,) = regions(
                grid,
                marking,
                channels=1,
                tile=sidecar.core,
                margin=sidecar.margin,
                least_cells=max(1, round(0.3 * sidecar.least_area_m2 / grid.gsd_m**2)),
                progress=self.progress,
            )
            candidates = [self._candidate(pair, region, answer) for region in found]
        return tuple(sorted(candidates, key=lambda c: (c.suppressed is not None, -c.score, c.id)))

    def _candidate(self, pair: SurveyPair, region: Region, answer: NDArray[np.uint8]) -> Candidate:
        sidecar, grid = self.model.sidecar, pair.grid
        outline = outline_of(region.mask, grid, region.window)
        score = float(answer[region.window.slices][region.mask].mean()) / 255.0
        height = _height(pair, region)
        kind = Kind.IMAGE_CHANGE
        if height is not None and abs(height) > CLEAR_M:
            kind = Kind.NEW_BUILDING if height > 0 else Kind.DEMOLISHED
        told = (
            "未比较高程 / no heights were compared"
            if height is None
            else f"高程变化 {height:+.1f} m / heights changed by {height:+.1f} m"
        )
        small = outline.area < sidecar.least_area_m2
        dz_m = math.nan if height is None else height
        return Candidate(
            id=stable_id(outline, pair.before.taken_on, pair.after.taken_on),
            outline=outline,
            area_m2=float(outline.area),
            area_sigma_m2=area_sigma(outline.length, pair.residual.sigma_xy_m, grid),
            height_m=height,
            kind=kind,
            score=round(score, 3),
            reasons=(
                f"模型“{sidecar.name}”判为变化，平均概率 {score:.2f} / the model “{sidecar.name}” sees a change, {score:.2f} likely on average "
                f"over {outline.area:.0f} m2",
                told,
            ),
            suppressed=f"too_small: 面积过小 / {outline.area:.1f} m2 (limit {sidecar.least_area_m2:g} m2)" if small else None,
            features=measured(area_m2=outline.area, probability=score, dz_m=dz_m, **of_pair(pair, grid)),
        )


def _height(pair: SurveyPair, region: Region) -> float | None:
    """Median height gained over a region; None where too little of it is known."""
    if not pair.has_surfaces:
        return None
    before, after = pair.read(region.window, pixels=False)
    assert before.surface is not None
    assert after.surface is not None
    dz = (after.surface - before.surface)[region.mask]
    dz = dz[np.isfinite(dz)]
    return float(np.median(dz)) if len(dz) > 0.5 * region.mask.sum() else None


def _core(window: Window, margin: int, shape: tuple[int, int]) -> Window:
    """The part of a grown window that is its own: the margin is cut off again, but not where the grid ended."""
    r0 = window.row + (margin if window.row > 0 else 0)
    c0 = window.col + (margin if window.col > 0 else 0)
    r1, c1 = window.row + window.rows, window.col + window.cols
    r1 -= margin if r1 < shape[0] else 0
    c1 -= margin if c1 < shape[1] else 0
    return Window(r0, c0, r1 - r0, c1 - c0)


def _within(core: Window, window: Window) -> tuple[slice, slice]:
    return Window(core.row - window.row, core.col - window.col, core.rows, core.cols).slices


def _bytes(chances: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.round(chances * 255), np.uint8)
