"""How one surface lies against another: the shift that slopes betray, after Nuth & Kääb.

A surface that was moved by (e, n) and raised by u over another one differs from it by u - tan(slope) * (e, n) . (uphill): the height
difference over the slope's tangent is a cosine of the aspect (Nuth & Kääb 2011, The Cryosphere 5, eq. 2). Written in gradients that
law is linear, so it is fitted without dividing by small slopes and without bins. Buildings that are new break it, by metres; the
fit's weights end at a few spreads (Tukey's biweight) and do not see them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats
from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import raster

Metres = NDArray[np.float32]
Mask = NDArray[np.bool_]
Read = Callable[[Window, int], Metres]

PATCH = 512
MOST_PATCHES = 24
_SOFTEN = 1.5  # cells: both are smoothed alike, so that noise is no slope and resampling one of them changes little
_STEEPEST = 4.0  # a gradient above it is a wall: where a wall stands between two cells, no surface says
_STRIDE = 2  # every second cell of a patch tells as much as all
_BIWEIGHT = 4.685  # 95 % as good as least squares where nothing is wrong (Holland & Welsch 1977)
_ROUNDS = 12
_SETTLED_CELLS = 0.002
_LEAST_CELLS = 2000
_LEAST_SLOPE = 0.03  # root mean square along the flattest direction: below it the ground tells heights, no place
_THUMBNAIL = 512


@dataclass(frozen=True, slots=True)
class Coregistration:
    """Where the second surface shows the first one's ground: metres `east_m`, `north_m`, `up_m` at the middle of the grid, and `tilt`
    in metres of height per metre east and north. `xy_known` is False where the ground is too flat to tell; east and north are then 0.
    `nmad_before_m` and `nmad_m` are the robust spread of height differences before and after the shift is taken away (Höhle & Höhle
    2009), over `cells` cells; `sigma_xy_m` one standard deviation of the shift.
    """

    east_m: float
    north_m: float
    up_m: float
    tilt: tuple[float, float]
    xy_known: bool
    sigma_xy_m: float
    nmad_before_m: float
    nmad_m: float
    cells: int

    @property
    def shift_m(self) -> float:
        """Length along the ground."""
        return math.hypot(self.east_m, self.north_m)


@dataclass(frozen=True, slots=True)
class _Patch:
    """The first surface softened, and where it is known well inside; the second as given. Metres east and north of the grid's middle."""

    first: Metres
    first_known: Mask
    second: Metres
    second_known: Mask
    u_m: float
    v_m: float

    def moved(self, right: float, down: float) -> tuple[Metres, Mask]:
        """The second surface softened, read `right` and `down` cells further on, and where it is known well inside."""
        c, r = round(right), round(down)
        values, known = _rolled(self.second, r, c, np.float32(np.nan)), _rolled(self.second_known, r, c, np.False_)
        return _softened(values, known, right - c, down - r), _inside(known)


def _rolled(values: NDArray[Any], rows: int, cols: int, beyond: Any) -> NDArray[Any]:
    """The cell `rows` down and `cols` right of each."""
    out = np.full_like(values, beyond)
    height, width = values.shape
    if abs(rows) < height and abs(cols) < width:
        out[max(0, -rows) : height - max(0, rows), max(0, -cols) : width - max(0, cols)] = values[
            max(0, rows) : height + min(0, rows), max(0, cols) : width + min(0, cols)
        ]
    return out


def between(
    reference: Path, survey: Path, grid: Grid, unsure: Sequence[Path] = (), *, tilt: bool = False, progress: Progress = silent
) -> Coregistration | None:
    """How the `survey` surface lies over the `reference` one, both files on `grid`; None when they share too little known ground.

    Cells that a file of `unsure` marks with 1 (bridged ones) are left out.
    """
    with contextlib.ExitStack() as files:
        one, other = (files.enter_context(raster.reading(path)) for path in (reference, survey))
        flags = [files.enter_context(raster.reading(path)) for path in unsure]

        def read(file: raster.Reader) -> Read:
            def values(window: Window, thin: int) -> Metres:
                z: Metres = file.window(window, thin=thin).astype(np.float32)
                for flag in flags:
                    z[(flag.window(window)[::thin, ::thin] if thin > 1 else flag.window(window)) == 1] = np.nan
                return z

            return values

        return measure(read(one), read(other), grid, tilt=tilt, progress=progress)


def measure(first: Read, second: Read, grid: Grid, *, tilt: bool = False, progress: Progress = silent) -> Coregistration | None:
    """As `between`, of surfaces that are read by window and thinning: `(rows, cols)` metres, NaN unknown.

    First on a thumbnail, which sees metres, then on patches of full cells, which see millimetres.
    """
    thin = max(1, -(-max(grid.shape) // _THUMBNAIL))
    progress(0, 2, "surface check")
    start = None
    if thin > 1:
        whole = Window(0, 0, grid.rows, grid.cols)
        start = fit([(first(whole, thin), second(whole, thin), 0.0, 0.0)], grid.gsd_m * thin)
    progress(1, 2, "surface check")
    west, south, east, north = grid.bounds_m
    patches = []
    for window in _spread(grid):
        a, b = first(window, 1), second(window, 1)
        if min(np.isfinite(a).mean(), np.isfinite(b).mean()) < 0.2:
            continue
        x, y = (v.mean() for v in grid.centres(window))
        patches.append((a, b, float(x - (west + east) / 2), float(y - (south + north) / 2)))
    progress(2, 2, "surface check")
    return fit(patches, grid.gsd_m, start=start, tilt=tilt) or start


def fit(
    patches: Sequence[tuple[Metres, Metres, float, float]],
    gsd_m: float,
    *,
    start: Coregistration | None = None,
    tilt: bool = False,
) -> Coregistration | None:
    """The shift of the second surfaces of `(first, second, east_m, north_m)` over the first ones; None on too little common ground.

    Surfaces are `(rows, cols)` metres, north-up, NaN unknown; east and north say where a patch's middle lies. The fit is repeated with
    what was found taken away, always from the surfaces as they were given, so that nothing is resampled twice.
    """
    soft = [_patch(*p) for p in patches]
    state = np.zeros(5)  # east, north, up, tilt east, tilt north
    if start is not None:
        state[:3] = start.east_m, start.north_m, start.up_m
    nmad_before = _nmad(_samples(soft, gsd_m, np.zeros(5))[:, 0])
    known, sigma, count = True, math.nan, 0
    for round_ in range(_ROUNDS):
        samples = _samples(soft, gsd_m, state)
        count = len(samples)
        if count < _LEAST_CELLS:
            return None
        step, known, sigma = _step(samples, tilt=tilt)
        state += step
        if math.hypot(step[0], step[1]) < _SETTLED_CELLS * gsd_m and abs(step[2]) < 2e-4 and round_ > 1:
            break
    left = _samples(soft, gsd_m, state)[:, 0]
    east, north, up, tilt_east, tilt_north = state.tolist()
    if not known:
        east, north = (start.east_m, start.north_m) if start is not None and start.xy_known else (0.0, 0.0)
    return Coregistration(east, north, up, (tilt_east, tilt_north), known, sigma, nmad_before, _nmad(left), count)


def _step(samples: Floats, *, tilt: bool) -> tuple[Floats, bool, float]:
    """(correction of the state, whether the place is known, sigma of the place) from rows (dh, gx, gy, u, v)."""
    dh, gx, gy = samples[:, 0], samples[:, 1], samples[:, 2]
    columns = [-gx, -gy, np.ones(len(dh))]
    if tilt:
        columns += [samples[:, 3], samples[:, 4]]
    design = np.column_stack(columns)
    answer = np.zeros(design.shape[1])
    answer[2] = float(np.median(dh))
    known, spread = True, math.nan
    weights = np.ones(len(dh))
    for _ in range(8):
        left = dh - design @ answer
        spread = max(_nmad(left), 1e-4)
        weights = np.clip(1 - (left / (_BIWEIGHT * spread)) ** 2, 0, None) ** 2
        slopes = design[:, :2] * weights[:, None]
        power = slopes.T @ design[:, :2] / weights.sum()
        known = bool(np.linalg.eigvalsh(power)[0] >= _LEAST_SLOPE**2)
        use = slice(None) if known else slice(2, None)
        weighted = design[:, use] * weights[:, None]
        fresh = answer.copy()
        fresh[use] = np.linalg.solve(weighted.T @ design[:, use], weighted.T @ dh)
        moved = float(np.abs(fresh - answer)[:3].max())
        answer = fresh
        if moved < 1e-5:
            break
    # Neighbouring cells err together over about as far as they are smoothed: that many tell as one.
    alike = max(1.0, (2 * _SOFTEN / _STRIDE) ** 2 * math.pi)
    normal = (design[:, :2] * weights[:, None]).T @ design[:, :2]
    sigma = spread * math.sqrt(alike * float(np.trace(np.linalg.inv(normal))) / 2) if known else math.inf
    state = np.zeros(5)
    state[: len(answer)] = answer
    return state, known, sigma


def _samples(patches: Sequence[_Patch], gsd_m: float, state: Floats) -> Floats:
    """`(n, 5)` rows of height difference with the state taken away, gradient east and north, metres east and north of the middle."""
    east, north, up, tilt_east, tilt_north = state.tolist()
    out = []
    for p in patches:
        rows, cols = p.first.shape
        moved, there = p.moved(east / gsd_m, -north / gsd_m)
        # The mean of both gives a gradient that favours neither: with one's own noise in it, the fit would fall short.
        mean: Metres = (p.first + moved) / np.float32(2)
        down, right = (np.asarray(np.gradient(mean, gsd_m, axis=k), np.float32) for k in (0, 1))
        use = p.first_known & there & (np.hypot(right, down) < _STEEPEST)
        keep = np.zeros_like(use)
        keep[2:-2:_STRIDE, 2:-2:_STRIDE] = use[2:-2:_STRIDE, 2:-2:_STRIDE]
        r, c = np.nonzero(keep)
        u, v = p.u_m + (c + 0.5 - cols / 2) * gsd_m, p.v_m - (r + 0.5 - rows / 2) * gsd_m
        dh = moved[keep] - p.first[keep] - up - tilt_east * u - tilt_north * v
        out.append(np.column_stack([dh, right[keep], -down[keep], u, v]))
    return np.concatenate(out).astype(np.float64) if out else np.empty((0, 5))


def _patch(first: Metres, second: Metres, u_m: float, v_m: float) -> _Patch:
    known = np.isfinite(first)
    soft = _softened(first, known, 0.0, 0.0)
    return _Patch(soft, _inside(known), second, np.isfinite(second), u_m, v_m)


def _softened(values: Metres, known: Mask, right: float, down: float) -> Metres:
    """Smoothed over what is known, as it stands `right` and `down` cells further on (each within half a cell).

    One kernel smooths and shifts: a Gaussian that sits beside its cell. Its samples hold no more than 1e-4 of their spectrum beyond
    what cells can carry, so that the place is exact, where `cv2.remap` rounds it to a 32nd of a cell.
    """
    level = np.float32(np.median(values[known])) if known.any() else np.float32(0)
    reach = np.arange(-math.ceil(3 * _SOFTEN) - 1, math.ceil(3 * _SOFTEN) + 2)
    across, along = (np.exp(-0.5 * ((reach - by) / _SOFTEN) ** 2) for by in (right, down))
    kernels = across / across.sum(), along / along.sum()
    weight = cv2.sepFilter2D(known.astype(np.float32), -1, *kernels, borderType=cv2.BORDER_REPLICATE)
    total = cv2.sepFilter2D(np.where(known, values - level, np.float32(0)), -1, *kernels, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.where(weight > 0.02, total / np.maximum(weight, 0.02), 0) + level, np.float32)


def _inside(known: Mask) -> Mask:
    """Where the whole neighbourhood that is smoothed over is known."""
    reach = 2 * math.ceil(2 * _SOFTEN) + 3
    return cv2.erode(known.astype(np.uint8), np.ones((reach, reach), np.uint8), borderValue=0) > 0


def _spread(grid: Grid) -> list[Window]:
    """Up to `MOST_PATCHES` windows over the whole grid, evenly."""
    every = [w for w in grid.tiles(PATCH) if min(w.rows, w.cols) >= PATCH // 4] or [Window(0, 0, grid.rows, grid.cols)]
    step = max(1.0, len(every) / MOST_PATCHES)
    return [every[int(i * step)] for i in range(int(len(every) / step))]


def _nmad(values: Floats) -> float:
    """1.4826 times the median distance from the median: the standard deviation of the undisturbed part."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if len(values) else math.nan
