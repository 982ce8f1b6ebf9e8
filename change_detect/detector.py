"""The port every way of finding changes keeps, and the product's own: heights decide, images help or stand in.

`Detector.detect(pair)` streams over windows; nothing holds the whole area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from change_detect.align import SurveyPair
from change_detect.candidate import Candidate, Kind, outline_of, stable_id
from change_detect.height import HeightRule, rise
from change_detect.measure import GROUND_M, body_of, measure
from change_detect.raster import Layers, Mask
from change_detect.rules import Limits, judge
from change_detect.segment import Region, regions
from geo.grid import Grid, Window
from geo.progress import Progress, silent

__all__ = ["Detector", "GeometryImage", "Layers"]

TILE_CELLS = 1024


class Detector(Protocol):
    """Anything that turns an aligned pair into candidates."""

    def detect(self, pair: SurveyPair) -> tuple[Candidate, ...]:
        """Every change it sees, the held-back ones too, in a stable order."""
        ...


@dataclass(frozen=True, slots=True)
class GeometryImage:
    """Heights where both surveys have a surface; orthos alone where one has none."""

    rule: HeightRule = field(default_factory=HeightRule)
    limits: Limits = field(default_factory=Limits)
    tile_cells: int = TILE_CELLS
    progress: Progress = silent

    def detect(self, pair: SurveyPair) -> tuple[Candidate, ...]:
        """Candidates of an aligned pair, highest score first."""
        found = [*self._heights(pair, rose=True), *self._heights(pair, rose=False)]
        return tuple(sorted(found, key=lambda c: (c.suppressed is not None, -c.score, c.id)))

    def _heights(self, pair: SurveyPair, *, rose: bool) -> list[Candidate]:
        grid, sigma = pair.grid, pair.residual.sigma_xy_m

        def marking(window: Window) -> tuple[Mask, Mask]:
            before, after = pair.read(window)
            found = rise(*((before, after) if rose else (after, before)), sigma_xy_m=sigma, gsd_m=grid.gsd_m, rule=self.rule)
            return found.sure, found.near

        margin = math.ceil(self.rule.reach_m / grid.gsd_m)
        least = math.ceil(0.5 * self.limits.least_area_m2 / grid.gsd_m**2)
        marked = regions(grid, marking, tile=self.tile_cells, margin=margin, least_cells=least, progress=self.progress)
        candidates = (self._candidate(pair, region, rose=rose) for region in marked)
        return [c for c in candidates if c is not None]

    def _candidate(self, pair: SurveyPair, region: Region, *, rose: bool) -> Candidate | None:
        grid, sigma = pair.grid, pair.residual.sigma_xy_m
        window = region.window.grown(math.ceil((GROUND_M + 1.0) / grid.gsd_m), grid)
        before, after = pair.read(window)
        lower, upper = (before, after) if rose else (after, before)
        found = rise(lower, upper, sigma_xy_m=sigma, gsd_m=grid.gsd_m, rule=self.rule)
        body = body_of(found.gain, placed(region, window), grid.gsd_m)
        if body.sum() * grid.gsd_m**2 < 0.4 * self.limits.least_area_m2:
            return None
        features = measure(lower, upper, found.gain, found.z, body, sigma, grid.gsd_m)
        verdict = judge(features, rose=rose, sigma_xy_m=sigma, limits=self.limits)
        outline = outline_of(body, grid, window)
        return Candidate(
            id=stable_id(outline, pair.before.taken_on, pair.after.taken_on),
            outline=outline,
            area_m2=float(outline.area),
            area_sigma_m2=area_sigma(outline.length, sigma, grid),
            height_m=features.gain_m if rose else -features.gain_m,
            kind=verdict.kind,
            score=verdict.score,
            reasons=verdict.reasons,
            suppressed=verdict.suppressed,
        )


def placed(region: Region, window: Window) -> Mask:
    """The region's cells over a window that holds it."""
    out = np.zeros((window.rows, window.cols), bool)
    r, c = region.window.row - window.row, region.window.col - window.col
    out[r : r + region.window.rows, c : c + region.window.cols] = region.mask
    return out


def area_sigma(perimeter_m: float, sigma_xy_m: float, grid: Grid) -> float:
    """One standard deviation of an area: each of four sides off by the registration and a third of a cell, on its own.

    `sigma_side * sqrt(sum of squared sides)`, which is half the perimeter for a square.
    """
    return math.hypot(sigma_xy_m, grid.gsd_m / math.sqrt(12.0), 0.1) * perimeter_m / 2.0


_ = Kind
