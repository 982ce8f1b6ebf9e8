"""The port every way of finding changes keeps, and the product's own: heights decide, images help or stand in.

`Detector.detect(pair)` streams over windows; nothing holds the whole area.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import numpy as np
from shapely import STRtree

from change_detect import appearance, soil
from change_detect.align import SurveyPair
from change_detect.appearance import AppearanceRule, LookLimits
from change_detect.candidate import Candidate, measured, outline_of, stable_id
from change_detect.height import HeightRule, Rise, rise
from change_detect.measure import GROUND_M, body_of, measure
from change_detect.raster import Layers, Mask, Metres
from change_detect.rules import Judgement, Limits, judge
from change_detect.segment import Region, regions
from geo.grid import Grid, Window
from geo.progress import Progress, silent

__all__ = ["Detector", "GeometryImage", "Layers"]

TILE_CELLS = 1024
EARTH_GSD_M = 0.5


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
    earth: HeightRule = field(default_factory=lambda: HeightRule(sure_m=0.5, edge_m=0.3, grow_m=2.0))
    look: AppearanceRule = field(default_factory=AppearanceRule)
    look_limits: LookLimits = field(default_factory=LookLimits)
    tile_cells: int = TILE_CELLS
    progress: Progress = silent

    def detect(self, pair: SurveyPair) -> tuple[Candidate, ...]:
        """Candidates of an aligned pair, the shown ones first, highest score first."""
        if pair.has_surfaces:
            found = self._heights(pair, self.rule, self.limits)
            found += self._earth(pair, found)
        else:
            found = self._looks(pair)
            found += _apart(soil.earthworks(pair, tile_cells=self.tile_cells, progress=self.progress), found)
        return tuple(sorted(found, key=lambda c: (c.suppressed is not None, -c.score, c.id)))

    def _earth(self, pair: SurveyPair, known: list[Candidate]) -> list[Candidate]:
        """Shallow and wide changes of ground, on half-metre cells: what the rule for structures is too strict to see."""
        wide = replace(self.limits, least_area_m2=self.limits.earth_area_m2)
        taken = STRtree([c.outline for c in known])

        def is_new(c: Candidate) -> bool:
            near = (known[int(i)].outline for i in taken.query(c.outline, predicate="intersects"))
            return sum(c.outline.intersection(n).area for n in near) < 0.3 * c.area_m2

        return [c for c in self._heights(pair.thinned(EARTH_GSD_M), self.earth, wide) if is_new(c)]

    def _heights(self, pair: SurveyPair, rule: HeightRule, limits: Limits) -> list[Candidate]:
        grid, sigma = pair.grid, pair.residual.sigma_xy_m

        def rises(window: Window, *, pixels: bool) -> tuple[tuple[Layers, Layers], tuple[Rise, Rise]]:
            before, after = pair.read(window, pixels=pixels)
            up = rise(before, after, sigma_xy_m=sigma, gsd_m=grid.gsd_m, rule=rule)
            down = rise(after, before, sigma_xy_m=sigma, gsd_m=grid.gsd_m, rule=rule)
            return (before, after), (up, down)

        def marking(window: Window) -> tuple[tuple[Mask, Mask], ...]:
            return tuple((r.sure, r.near) for r in rises(window, pixels=False)[1])

        margin = math.ceil(rule.reach_m / grid.gsd_m)
        least = math.ceil(0.5 * limits.least_area_m2 / grid.gsd_m**2)
        marked = regions(
            grid, marking, channels=2, tile=self.tile_cells, margin=margin, least_cells=least, progress=self.progress
        )
        # measured tile by tile as well, so that every cell is read twice in all, however many regions there are
        around = math.ceil((GROUND_M + 1.0) / grid.gsd_m)
        waiting: dict[tuple[int, int], list[tuple[Region, Window, int]]] = {}
        for channel, those in enumerate(marked):
            for region in those:
                w = region.window
                tile = (w.row + w.rows // 2) // self.tile_cells, (w.col + w.cols // 2) // self.tile_cells
                waiting.setdefault(tile, []).append((region, w.grown(around, grid), channel))
        candidates: list[Candidate] = []
        for _, batch in sorted(waiting.items()):
            for group in _readable(batch, 3 * self.tile_cells):
                whole = _cover([w for _, w, _ in group])
                layers, both = rises(whole, pixels=True)
                for region, window, channel in group:
                    part = _part(window, whole)
                    lower, upper = (_cropped(x, part) for x in (layers if channel == 0 else layers[::-1]))
                    found = both[channel]
                    candidate = self._candidate(
                        pair, region, window, lower, upper, found.gain[part], found.z[part], limits, rose=channel == 0
                    )
                    if candidate is not None:
                        candidates.append(candidate)
        return candidates

    def _candidate(
        self,
        pair: SurveyPair,
        region: Region,
        window: Window,
        lower: Layers,
        upper: Layers,
        gain: Metres,
        z: Metres,
        limits: Limits,
        *,
        rose: bool,
    ) -> Candidate | None:
        grid, sigma = pair.grid, pair.residual.sigma_xy_m
        body = body_of(gain, placed(region, window), grid.gsd_m)
        if body.sum() * grid.gsd_m**2 < 0.4 * limits.least_area_m2:
            return None
        features = measure(lower, upper, gain, z, body, sigma, grid.gsd_m)
        verdict = judge(features, rose=rose, sigma_xy_m=sigma, limits=limits)
        row = measured(**asdict(features), rose=rose, **of_pair(pair, grid))
        return _stated(pair, grid, window, body, verdict, features.gain_m if rose else -features.gain_m, row)

    def _looks(self, pair: SurveyPair) -> list[Candidate]:
        thin = pair.thinned(appearance.GSD_M)
        grid = thin.grid
        candidates: list[Candidate] = []

        def marking(window: Window) -> tuple[tuple[Mask, Mask], ...]:
            before, after = thin.read(window)
            return appearance.marks(before, after, self.look), appearance.marks(after, before, self.look)

        marked = regions(
            grid,
            marking,
            channels=2,
            tile=self.tile_cells,
            margin=math.ceil(self.look.reach_m / grid.gsd_m),
            least_cells=math.ceil(0.6 * self.look_limits.least_area_m2 / grid.gsd_m**2),
            progress=self.progress,
        )
        for channel, those in enumerate(marked):
            for region in those:
                window = region.window.grown(math.ceil(self.look.reach_m / grid.gsd_m), grid)
                layers = thin.read(window)
                old, new = layers if channel == 0 else layers[::-1]
                body = appearance.body_of(new, placed(region, window), self.look)
                if body.sum() * grid.gsd_m**2 < 0.6 * self.look_limits.least_area_m2:
                    continue
                seen = appearance.look(old, new, body, grid.gsd_m)
                verdict = appearance.judge(seen, appeared=channel == 0, limits=self.look_limits)
                row = measured(**asdict(seen), appeared=channel == 0, **of_pair(pair, grid))
                candidates.append(_stated(pair, grid, window, body, verdict, None, row))
        return candidates


def _apart(earth: list[Candidate], known: list[Candidate]) -> list[Candidate]:
    """Earth that is no part of a shown even surface: of what is seen twice the one with straight edges is the better witness."""
    shown = [c.outline for c in known if c.suppressed is None]
    return [e for e in earth if sum(e.outline.intersection(s).area for s in shown if s.intersects(e.outline)) < 0.3 * e.area_m2]


def of_pair(pair: SurveyPair, grid: Grid) -> Mapping[str, float]:
    """What a row of features knows of the pair: how well it lies, its cell, the days between."""
    residual = pair.residual
    days = (pair.after.taken_on - pair.before.taken_on).days
    return {"sigma_xy_m": residual.sigma_xy_m, "sigma_z_m": residual.sigma_z_m, "gsd_m": grid.gsd_m, "days_between": days}


def _stated(
    pair: SurveyPair,
    grid: Grid,
    window: Window,
    body: Mask,
    verdict: Judgement,
    height_m: float | None,
    features: Mapping[str, float],
) -> Candidate:
    outline = outline_of(body, grid, window)
    return Candidate(
        id=stable_id(outline, pair.before.taken_on, pair.after.taken_on),
        outline=outline,
        area_m2=float(outline.area),
        area_sigma_m2=area_sigma(outline.length, pair.residual.sigma_xy_m, grid),
        height_m=height_m,
        kind=verdict.kind,
        score=verdict.score,
        reasons=verdict.reasons,
        suppressed=verdict.suppressed,
        features=features,
    )


def _readable(batch: list[tuple[Region, Window, int]], most_cells: int) -> Iterator[list[tuple[Region, Window, int]]]:
    """A tile's regions in one group, but those that reach far out of it each on its own."""
    together = [b for b in batch if max(b[1].rows, b[1].cols) <= most_cells]
    if together:
        yield together
    yield from ([b] for b in batch if max(b[1].rows, b[1].cols) > most_cells)


def _cover(windows: list[Window]) -> Window:
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    end_row, end_col = max(w.row + w.rows for w in windows), max(w.col + w.cols for w in windows)
    return Window(row, col, end_row - row, end_col - col)


def _part(window: Window, whole: Window) -> tuple[slice, slice]:
    return Window(window.row - whole.row, window.col - whole.col, window.rows, window.cols).slices


def _cropped(layers: Layers, part: tuple[slice, slice]) -> Layers:
    def crop(values: Metres | None) -> Metres | None:
        return None if values is None else np.ascontiguousarray(values[part])

    return Layers(
        np.ascontiguousarray(layers.ortho[part]),
        layers.valid[part],
        crop(layers.surface),
        crop(layers.sigma),
        None if layers.filled is None else layers.filled[part],
        None if layers.doubtful is None else layers.doubtful[part],
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
