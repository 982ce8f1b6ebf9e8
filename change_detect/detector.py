"""The port every way of finding changes keeps, and the product's own: heights decide, images help or stand in.

`detect(pair)` looks at one window of the area after the other and joins what was seen; nothing holds the whole area. Many workers may
look at windows, each on its own (`windows`, `see`, `joined`): the candidates are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from shapely import STRtree

from change_detect import appearance, sheet, soil
from change_detect.align import SurveyPair
from change_detect.appearance import AppearanceRule, LookLimits
from change_detect.candidate import Candidate, measured, outline_of, stable_id
from change_detect.classes import Classes, Thresholds, agreed, load, rules_said
from change_detect.height import HeightRule, gain_of
from change_detect.measure import GROUND_M, body_of, measure
from change_detect.raster import Layers, Mask, kept_open
from change_detect.rules import Judgement, Limits, judge
from change_detect.segment import Region, regions
from change_detect.sheet import Sheet
from change_detect.windows import Part, cover, joined, snapped
from change_detect.windows import regions as own_regions
from change_detect.witness import witness
from geo.grid import Grid, Window
from geo.progress import Progress, silent

__all__ = ["Detector", "Divisible", "GeometryImage", "Layers", "Seen"]

WINDOW_CELLS = 5000
TILE_CELLS = 1500
EARTH_GSD_M = 0.5
LARGE_M = 24.0
"""A region wider than this is put together from its windows; windows look so far beyond their core."""
AROUND_M = GROUND_M + 1.0
MOST_CELLS = 25_000_000
"""A region whose surroundings have more cells is measured on larger ones."""


class Detector(Protocol):
    """Anything that turns an aligned pair into candidates."""

    def detect(self, pair: SurveyPair) -> tuple[Candidate, ...]:
        """Every change it sees, the held-back ones too, in a stable order."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a window gave: candidates among structures and on the ground, and parts of what is larger than the window sees."""

    structures: tuple[Candidate, ...]
    earth: tuple[Candidate, ...]
    parts: tuple[Part, ...]
    earth_parts: tuple[Part, ...]


@runtime_checkable
class Divisible(Detector, Protocol):
    """A detector whose work many can share, window by window."""

    def windows(self, pair: SurveyPair) -> tuple[Window, ...]:
        """The windows to look at; none when this pair cannot be divided."""
        ...

    def see(self, pair: SurveyPair, window: Window) -> Seen:
        """What one window shows: a function of the pair and the window alone."""
        ...

    def joined(self, pair: SurveyPair, seen: Iterable[Seen]) -> tuple[Candidate, ...]:
        """The candidates, once every window has been seen: those that `detect` gives."""
        ...


@dataclass(frozen=True, slots=True)
class GeometryImage:
    """Heights where both surveys have a surface; orthos alone where one has none. Without `classes` the rules decide alone."""

    rule: HeightRule = field(default_factory=HeightRule)
    limits: Limits = field(default_factory=Limits)
    earth: HeightRule = field(default_factory=lambda: HeightRule(sure_m=0.5, edge_m=0.3, grow_m=2.0))
    look: AppearanceRule = field(default_factory=AppearanceRule)
    look_limits: LookLimits = field(default_factory=LookLimits)
    classes: Classes | None = field(default_factory=load, repr=False)
    thresholds: Thresholds = field(default_factory=Thresholds)
    window_cells: int = WINDOW_CELLS
    large_m: float = LARGE_M
    progress: Progress = silent

    def detect(self, pair: SurveyPair) -> tuple[Candidate, ...]:
        """Candidates of an aligned pair, the shown ones first, highest score first."""
        windows = self.windows(pair)

        def seen() -> Iterator[Seen]:
            for number, window in enumerate(windows):

                def told(done: int, total: int, what: str, number: int = number) -> None:
                    self.progress(number * total + done, len(windows) * total, what)

                yield replace(self, progress=told).see(pair, window)

        with kept_open():
            return self.joined(pair, seen())

    def windows(self, pair: SurveyPair) -> tuple[Window, ...]:
        """See `Divisible`; orthos alone are looked at in one piece, on cells five times as large."""
        if not pair.has_surfaces:
            return ()
        step = _thin(pair)
        return tuple(pair.grid.tiles(max(1, self.window_cells // step) * step))

    @kept_open()
    def see(self, pair: SurveyPair, window: Window) -> Seen:
        """What one window shows, the files read once for structures and earth."""
        grid, step = pair.grid, _thin(pair)
        most = math.ceil(self.large_m / grid.gsd_m / step) * step
        around = math.ceil(max(AROUND_M, self.earth.reach_m, self.rule.reach_m) / grid.gsd_m / step) * step
        wide = snapped(window.grown(most + around, grid), step, grid)
        fine, rough = sheet.read(pair, wide, self.rule, thin=step, thin_rule=self.earth, progress=self.progress)
        assert rough is not None
        structures, parts = self._own(fine, window, most, self.limits)
        large = Window(window.row // step, window.col // step, -(-window.rows // step), -(-window.cols // step))
        earth, earth_parts = self._own(rough, large, most // step, self._wide_limits)
        return Seen(structures, earth, parts, earth_parts)

    def joined(self, pair: SurveyPair, seen: Iterable[Seen]) -> tuple[Candidate, ...]:
        """What windows saw as one, in a stable order; earth only where no structure stands."""
        if not pair.has_surfaces:
            looks = self._looks(pair)
            return _sorted([*looks, *_apart(soil.earthworks(pair, tile_cells=TILE_CELLS, progress=self.progress), looks)])
        every = tuple(seen)
        with kept_open():
            found = [c for s in every for c in s.structures]
            found += self._large(pair, [p for s in every for p in s.parts], self.rule, self.limits)
            earth = [c for s in every for c in s.earth]
            rough = pair.thinned(EARTH_GSD_M)
            earth += self._large(rough, [p for s in every for p in s.earth_parts], self.earth, self._wide_limits)
        taken = STRtree([c.outline for c in found])

        def is_new(c: Candidate) -> bool:
            near = (found[int(i)].outline for i in taken.query(c.outline, predicate="intersects"))
            return sum(c.outline.intersection(n).area for n in near) < 0.3 * c.area_m2

        return _sorted([*found, *(c for c in earth if is_new(c))])

    @property
    def _wide_limits(self) -> Limits:
        """Shallow and wide changes of ground, on half-metre cells: what the rule for structures is too strict to see."""
        return replace(self.limits, least_area_m2=self.limits.earth_area_m2)

    def _own(self, held: Sheet, core: Window, most: int, limits: Limits) -> tuple[tuple[Candidate, ...], tuple[Part, ...]]:
        least = _least(limits, held.pair.grid)
        found: list[Candidate] = []
        parts: list[Part] = []
        for channel in (0, 1):
            own, more = own_regions(held, channel, core, most=most, least=least)
            parts += more
            found += self._measured(held, own, channel, limits)
        return tuple(found), tuple(parts)

    def _large(self, pair: SurveyPair, parts: list[Part], rule: HeightRule, limits: Limits) -> list[Candidate]:
        found: list[Candidate] = []
        for large in joined(parts, _least(limits, pair.grid)):
            w = large.window
            around = 2 * AROUND_M / pair.grid.gsd_m
            thin = math.ceil(math.sqrt((w.rows + around) * (w.cols + around) / MOST_CELLS))
            on = pair.thinned(pair.grid.gsd_m * thin)
            region = large.region(thin)
            window = region.window.grown(math.ceil(AROUND_M / on.grid.gsd_m), on.grid)
            held, _ = sheet.read(on, window, rule)
            found += self._measured(held, [region], large.channel, limits)
        return found

    def _measured(self, held: Sheet, those: list[Region], channel: int, limits: Limits) -> list[Candidate]:
        """Regions of one channel as candidates; colours are read for those of one tile together."""
        pair, grid = held.pair, held.pair.grid
        around = math.ceil(AROUND_M / grid.gsd_m)
        waiting: dict[tuple[int, int], list[tuple[Region, Window]]] = {}
        for region in those:
            w = region.window
            tile = (w.row + w.rows // 2) // TILE_CELLS, (w.col + w.cols // 2) // TILE_CELLS
            waiting.setdefault(tile, []).append((region, w.grown(around, grid)))
        candidates: list[Candidate] = []
        for _, batch in sorted(waiting.items()):
            whole = cover(w for _, w in batch)
            pictures = pair.read(whole, heights=False)
            for region, window in batch:
                place = Window(window.row - whole.row, window.col - whole.col, window.rows, window.cols)
                layers = held.layers(window, (pictures[0].part(place), pictures[1].part(place)))
                candidate = self._candidate(
                    held, region, window, layers if channel == 0 else layers[::-1], limits, rose=channel == 0
                )
                if candidate is not None:
                    candidates.append(candidate)
        return candidates

    def _candidate(
        self, held: Sheet, region: Region, window: Window, layers: tuple[Layers, ...], limits: Limits, *, rose: bool
    ) -> Candidate | None:
        pair, grid, sigma = held.pair, held.pair.grid, held.pair.residual.sigma_xy_m
        lower, upper = layers
        assert lower.surface is not None and upper.surface is not None
        gain = gain_of(lower.surface, upper.surface)
        body = body_of(gain, placed(region, window), grid.gsd_m)
        if body.sum() * grid.gsd_m**2 < 0.4 * limits.least_area_m2:
            return None
        z = held.z[held.part(window)] * np.float32(1.0 if rose else -1.0)
        features = measure(lower, upper, gain, z, body, sigma, grid.gsd_m)
        verdict = judge(features, rose=rose, sigma_xy_m=sigma, limits=limits)
        seen = witness(lower, upper, gain, body, grid.gsd_m)
        row = measured(**asdict(features), **seen, **rules_said(verdict), rose=rose, **of_pair(pair, grid))
        if self.classes is not None:
            verdict = agreed(verdict, self.classes.opinion(row), self.thresholds, features)
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
            tile=TILE_CELLS,
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


def _thin(pair: SurveyPair) -> int:
    """How many cells of the pair make one of those on which earth is sought."""
    return max(1, round(EARTH_GSD_M / pair.grid.gsd_m))


def _least(limits: Limits, grid: Grid) -> int:
    return math.ceil(0.5 * limits.least_area_m2 / grid.gsd_m**2)


def _sorted(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(sorted(found, key=lambda c: (c.suppressed is not None, -c.score, c.id)))


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
    # right angles are for what is shown: nine of ten held-back ones are trees and edges, and regularising takes half of their time
    outline = outline_of(body, grid, window, regular=verdict.suppressed is None)
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
