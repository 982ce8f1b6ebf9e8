"""What still lies between two surveys of one area, measured and taken away: `align(before, after) -> SurveyPair`.

Both surveys were registered when they were built; centimetres to decimetres remain, and the heights may tilt or dome against each
other. The horizontal residual is measured on many tiles by phase correlation of the orthos, the vertical one on ground that looks
the same on both dates; both become smooth fields, so that nothing that was built is aligned away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from change_detect import units
from change_detect.errors import AlignError
from change_detect.field import Field, fit, nmad, with_lattice
from change_detect.raster import Layers, Metres, Source, kept_open
from change_detect.spectral import Radiometry, match
from geo.frames import Floats
from geo.grid import Grid, Window
from geo.progress import Progress, silent

TILE_M = 26.0
MOST_TILES = 160
WORST_P95_PX = 3.0
WORST_DZ_SIGMA_M = 0.15
CLEAR_PEAK = 0.30
"""Correlation a tile must reach after its own shift to be believed."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What was found between the two, and how well it is known.

    `east_m`, `south_m`: where the after survey shows the ground of a before cell, as an offset in metres. `up_m`: how much the
    after surface lies above the before one on unchanged ground. `sigma_xy_m` is one standard deviation of what is left after the
    correction, `p95_px` its 95th percentile in working cells, `sigma_z_m` the robust spread of stable height differences.
    `leaning` is the share of the tiles looked at where one of the two may show a leaning wall: colours there are not compared.
    """

    east_m: Field
    south_m: Field
    up_m: Field | None
    sigma_xy_m: float
    p95_px: float
    sigma_z_m: float
    tiles_used: int
    tiles_tried: int
    warnings: tuple[str, ...]
    leaning: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether there is a shift worth resampling for."""
        return max(self.east_m.largest, self.south_m.largest) > 0.0


@dataclass(frozen=True, slots=True)
class SurveyPair:
    """Before and after on one grid; `read` gives both as if they had been flown together."""

    before: Source
    after: Source
    grid: Grid
    residual: Residual
    radiometry: Radiometry

    @property
    def has_surfaces(self) -> bool:
        """Whether heights can be compared."""
        return self.before.surface is not None and self.after.surface is not None

    def read(self, window: Window, *, pixels: bool = True, heights: bool = True, noise: bool = True) -> tuple[Layers, Layers]:
        """Both surveys in one window, the after one shifted, lowered and toned onto the before one; what is read as in `Source.read`."""
        before = self.before.read(window, pixels=pixels, heights=heights, noise=noise)
        after = _moved(self.after, self.grid, window, self.residual, pixels=pixels, heights=heights, noise=noise)
        if self.residual.up_m is not None and after.surface is not None:
            after = replace(after, surface=after.surface - self.residual.up_m.at(self.grid, window))
        return before, replace(after, ortho=self.radiometry.apply(after.ortho)) if pixels else after

    def thinned(self, gsd_m: float) -> SurveyPair:
        """The same pair on cells a whole number of times larger, near `gsd_m`."""
        factor = max(1, round(gsd_m / self.grid.gsd_m))
        if factor == 1:
            return self
        g = self.grid
        grid = Grid(g.frame, g.gsd_m * factor, g.west_m, g.north_m, -(-g.rows // factor), -(-g.cols // factor))
        return replace(self, before=self.before.on(grid), after=self.after.on(grid), grid=grid)


@kept_open()
def align(before: Source, after: Source, progress: Progress = silent) -> SurveyPair:
    """Measure what lies between two surveys; raises AlignError when they cannot be compared at all.

    A poor but usable fit comes back with sentences in `residual.warnings`.
    """
    if before.grid.frame != after.grid.frame:
        raise AlignError(
            f"前期为 EPSG:{before.grid.frame.epsg}，后期为 EPSG:{after.grid.frame.epsg}：请统一写到巡查单元的格网上 / "
            f"before is in EPSG:{before.grid.frame.epsg}, after in EPSG:{after.grid.frame.epsg}: write both on the area's grid"
        )
    grid = before.grid
    after = after.on(grid)
    start = _coarse_shift(before, after, grid)
    tiles = _tiles(grid)
    found: list[tuple[float, float, float, float, float]] = []
    for done, tile in enumerate(tiles):
        progress(done, 2 * len(tiles), "align")
        shift = _tile_shift(before, after, grid, tile, start)
        if shift is not None:
            u = 2.0 * (tile.col + tile.cols / 2) / grid.cols - 1.0
            v = 2.0 * (tile.row + tile.rows / 2) / grid.rows - 1.0
            found.append((u, v, *shift))
    warnings: list[str] = []
    east, south, sigma_xy, p95, used = _horizontal(np.array(found).reshape(-1, 5), grid, start, warnings)
    residual = Residual(east, south, None, sigma_xy, p95, math.nan, used, len(tiles), tuple(warnings))
    pair = SurveyPair(before, after, grid, residual, Radiometry.plain())
    pair = _vertical_and_tone(pair, tiles, progress)
    progress(2 * len(tiles), 2 * len(tiles), "align")
    return pair


def _moved(source: Source, grid: Grid, window: Window, residual: Residual, **what: bool) -> Layers:
    if not residual.moves:
        return source.read(window, **what)
    # in whole steps of the resampling (a 32nd of a cell), so that a cell comes out the same whichever window it is read in
    east, south = (np.rint(f.at(grid, window) * (32.0 / grid.gsd_m)) / 32.0 for f in (residual.east_m, residual.south_m))
    reach = math.ceil(max(float(np.abs(east).max()), float(np.abs(south).max()))) + 2
    wide = Window(window.row - reach, window.col - reach, window.rows + 2 * reach, window.cols + 2 * reach)
    layers = source.read(wide, **what)
    mx = (np.arange(window.cols, dtype=np.float32)[None, :] + reach) + east.astype(np.float32)
    my = (np.arange(window.rows, dtype=np.float32)[:, None] + reach) + south.astype(np.float32)
    cells, parts = cv2.convertMaps(mx, my, cv2.CV_16SC2)
    nearest, _ = cv2.convertMaps(mx, my, cv2.CV_16SC2, nninterpolation=True)

    def move(values: NDArray[Any] | None) -> Any:
        if values is None:
            return None
        if values.dtype == np.bool_:
            flags = values.view(np.uint8)
            return cv2.remap(flags, nearest, np.empty(0, np.float32), cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) > 0
        return np.asarray(cv2.remap(values, cells, parts, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    valid = move(layers.valid)
    return Layers(
        move(layers.ortho) if what["pixels"] else np.zeros((*valid.shape, 3), np.uint8),
        valid,
        *(move(v) for v in (layers.surface, layers.sigma, layers.filled, layers.doubtful)),
    )


def _tiles(grid: Grid) -> tuple[Window, ...]:
    size = max(64, min(max(128, round(TILE_M / grid.gsd_m)), grid.rows, grid.cols))
    down, across = max(1, grid.rows // size), max(1, grid.cols // size)
    rows = np.linspace(0, max(0, grid.rows - size), down).astype(int)
    cols = np.linspace(0, max(0, grid.cols - size), across).astype(int)
    every = [Window(int(r), int(c), min(size, grid.rows), min(size, grid.cols)) for r in rows for c in cols]
    step = max(1.0, len(every) / MOST_TILES)
    return tuple(every[int(i * step)] for i in range(int(len(every) / step)))


def _grey(layers: Layers) -> Metres:
    """Brightness, band-passed and contrast-levelled, 0 outside coverage: what a correlation should look at."""
    grey = cv2.cvtColor(layers.ortho, cv2.COLOR_RGB2GRAY).astype(np.float32)
    known = layers.valid.astype(np.float32)
    base = cv2.GaussianBlur(grey * known, (0, 0), 8) / np.maximum(cv2.GaussianBlur(known, (0, 0), 8), 1e-3)
    fine = cv2.GaussianBlur(grey, (0, 0), 1.0) - base
    spread = np.sqrt(cv2.GaussianBlur(fine * fine * known, (0, 0), 16) / np.maximum(cv2.GaussianBlur(known, (0, 0), 16), 1e-3))
    out: Metres = np.clip(fine / (spread + 3.0), -3.0, 3.0) * known
    return out


def _shift_of(fixed: Metres, moving: Metres, upsample: int) -> tuple[float, float]:
    """(rows, cols) to add to a place in `fixed` to find it in `moving`."""
    from skimage.registration import phase_cross_correlation

    window = cv2.createHanningWindow((fixed.shape[1], fixed.shape[0]), cv2.CV_32F)
    # not whitened: "phase" trusts every frequency, noise as much as edges; the grey was levelled and band-passed before
    if not fixed.any() or not moving.any():
        return 0.0, 0.0
    shift, _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        fixed * window, moving * window, upsample_factor=upsample, normalization=None
    )
    return -float(shift[0]), -float(shift[1])


def _coarse_shift(before: Source, after: Source, grid: Grid) -> tuple[float, float]:
    """(rows, cols) of the whole, in cells, from a thumbnail of at most 1,024 cells; (0, 0) unless it clearly helps."""
    factor = max(1, math.ceil(max(grid.shape) / 1024))
    small = Grid(grid.frame, grid.gsd_m * factor, grid.west_m, grid.north_m, -(-grid.rows // factor), -(-grid.cols // factor))
    whole = Window(0, 0, small.rows, small.cols)
    a, b = (s.on(small).read(whole, heights=False) for s in (before, after))
    both = float(np.mean(a.valid & b.valid))
    if both < 0.02:
        raise AlignError(
            f"前后两期影像只有 {both:.1%} 的范围重合：请核对是否选错了成果，或其中一期影像无效 / "
            f"before and after share {both:.1%} of the area: they show different places, or their coverage hardly meets; look at both surveys"
        )
    fixed, moving = _grey(a), _grey(b)
    rows, cols = _shift_of(fixed, moving, 10)
    if _agreement(fixed, moving, rows, cols) < _agreement(fixed, moving, 0.0, 0.0) + 0.02:
        return 0.0, 0.0
    return rows * factor, cols * factor


def _agreement(fixed: Metres, moving: Metres, rows: float, cols: float) -> float:
    """Correlation coefficient of the two after the shift, over what both know."""
    move = np.array([[1, 0, cols], [0, 1, rows]], np.float32)
    size = (fixed.shape[1], fixed.shape[0])
    back = cv2.warpAffine(moving, move, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    known = (fixed != 0) & (back != 0)
    if np.count_nonzero(known) < 0.2 * known.size:
        return -1.0
    a, b = fixed[known], back[known]
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else -1.0


def _tile_shift(
    before: Source, after: Source, grid: Grid, tile: Window, start: tuple[float, float]
) -> tuple[float, float, float] | None:
    """(rows, cols, agreement) in cells of one tile, or None where nothing is seen clearly."""
    r0, c0 = round(start[0]), round(start[1])
    a = before.read(tile, heights=False)
    b = after.read(Window(tile.row + r0, tile.col + c0, tile.rows, tile.cols), heights=False)
    if min(a.valid.mean(), b.valid.mean()) < 0.6:
        return None
    fixed, moving = _grey(a), _grey(b)
    rows, cols = _shift_of(fixed, moving, 20)
    if math.hypot(rows, cols) > max(tile.rows, tile.cols) / 6:
        return None
    agreement = _agreement(fixed, moving, rows, cols)
    return (rows + r0, cols + c0, agreement) if agreement > CLEAR_PEAK else None


def _horizontal(
    found: Floats, grid: Grid, start: tuple[float, float], warnings: list[str]
) -> tuple[Field, Field, float, float, int]:
    gsd = grid.gsd_m
    if len(found) < 3:
        warnings.append(
            f"only {len(found)} places look alike on both dates: the pair could be shifted by its whole only, heights and edges are less sure"
        )
        sigma = 0.5 * gsd * 3
        return Field((start[1] * gsd,)), Field((start[0] * gsd,)), sigma, 3.0, len(found)
    uv, weights = found[:, :2], np.clip(found[:, 4], 0.0, 1.0) ** 2
    fields, left = [], []
    used = weights
    for column in (3, 2):
        values = found[:, column] * gsd
        field, w = fit(uv, values, weights, floor=0.05 * gsd)
        field = with_lattice(field, uv, values, w, grid, 1.2 * TILE_M)
        at = np.array([_value(field, grid, p) for p in uv])
        left.append((values - at)[w > 0])
        fields.append(field)
        used = np.minimum(used, w)
    quiet = all(f.largest < 0.05 * gsd for f in fields)
    if quiet:  # a twentieth of a cell is noise: do not resample for it
        fields = [Field((0.0,)), Field((0.0,))]
    sigma = float(np.hypot(nmad(left[0]), nmad(left[1])) / math.sqrt(2.0))
    joint = np.concatenate([np.abs(left[0]), np.abs(left[1])])
    p95 = float(np.percentile(joint, 95)) * math.sqrt(2.0) / gsd
    if p95 > WORST_P95_PX:
        warnings.append(
            f"the registration residual is {p95:.1f} px at the 95th percentile (bar {WORST_P95_PX:.0f}): edges may look changed"
        )
    return fields[0], fields[1], max(sigma, 0.3 * gsd), p95, int(np.count_nonzero(used))


def _value(field: Field, grid: Grid, uv: Floats) -> float:
    row = min(grid.rows - 1, max(0, int((uv[1] + 1) * 0.5 * grid.rows)))
    col = min(grid.cols - 1, max(0, int((uv[0] + 1) * 0.5 * grid.cols)))
    return float(field.at(grid, Window(row, col, 1, 1))[0, 0])


def _vertical_and_tone(pair: SurveyPair, tiles: tuple[Window, ...], progress: Progress) -> SurveyPair:
    """The height offset on unchanged, level ground, and the tone that brings the after ortho to the before one."""
    grid = pair.grid
    places: list[Floats] = []
    reliefs: list[Floats] = []
    shown, both = 0, 0
    colours: list[tuple[Floats, Floats]] = []
    for done, tile in enumerate(tiles):
        progress(len(tiles) + done, 2 * len(tiles), "align")
        before, after = pair.read(tile, noise=False)
        colours.append(_colour_samples(before, after))
        both += int((before.valid & after.valid).sum())
        shown += int((before.shown & after.shown).sum())
        if before.surface is not None and after.surface is not None:
            places.append(_height_samples(before.surface, after.surface, grid, tile))
            reliefs.append(units.relief(before.surface, after.surface))
    tone = match([a for a, _ in colours], [b for _, b in colours])
    pair = replace(pair, radiometry=tone, residual=replace(pair.residual, leaning=1.0 - shown / max(both, 1)))
    samples = np.concatenate(places) if places else np.empty((0, 3))
    if pair.before.surface is None or pair.after.surface is None:
        return pair
    units.check(reliefs, f"{pair.before.taken_on} {pair.before.surface.name}", f"{pair.after.taken_on} {pair.after.surface.name}")
    if len(samples) < 50:
        raise AlignError(
            "两期地表没有共同已知的平坦地面：请检查地表的覆盖范围，或不带地表、仅比对影像 / "
            "the two surfaces share no level ground that both know: look at their coverage, or compare the orthos alone (no surface)"
        )
    up, weights = fit(samples[:, :2], samples[:, 2], np.ones(len(samples)), floor=0.005)
    left = (samples[:, 2] - up.points(samples[:, :2]))[weights > 0]
    sigma = nmad(left)
    warnings = pair.residual.warnings
    if sigma > WORST_DZ_SIGMA_M:
        warnings += (
            f"heights of unchanged ground differ by {sigma:.2f} m (bar {WORST_DZ_SIGMA_M:.2f} m): low objects are less sure",
        )
    return replace(pair, residual=replace(pair.residual, up_m=up, sigma_z_m=sigma, warnings=warnings))


def _height_samples(before: Metres, after: Metres, grid: Grid, tile: Window) -> Floats:
    """`(n, 3)` u, v, dz on level cells of a tile: a few hundred are enough."""
    step = max(2, min(tile.rows, tile.cols) // 20)
    a, b = _smooth(before), _smooth(after)
    level = np.ones(a.shape, bool)
    for surface in (a, b):
        dx, dy = np.gradient(surface, grid.gsd_m)
        level &= np.hypot(dx, dy) < 0.35
    rows, cols = np.nonzero((level & np.isfinite(a) & np.isfinite(b))[::step, ::step])
    rows, cols = rows * step, cols * step
    u = 2.0 * (tile.col + cols + 0.5) / grid.cols - 1.0
    v = 2.0 * (tile.row + rows + 0.5) / grid.rows - 1.0
    return np.column_stack([u, v, (b - a)[rows, cols]]).astype(np.float64)


def _smooth(surface: Metres) -> Metres:
    """Mean over 5 x 5 cells, NaN where one of them is unknown: a running sum would carry one NaN to the end of its tile."""
    unknown = ~np.isfinite(surface)
    if not unknown.any():
        return np.asarray(cv2.blur(surface, (5, 5)), np.float32)
    mean = cv2.blur(np.where(unknown, np.float32(0), surface), (5, 5))
    mean[cv2.dilate(unknown.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = np.nan
    return np.asarray(mean, np.float32)


def _colour_samples(before: Layers, after: Layers) -> tuple[Floats, Floats]:
    step = max(2, before.valid.shape[0] // 20)
    a, b = (cv2.blur(x.ortho, (7, 7))[::step, ::step].reshape(-1, 3) for x in (before, after))
    known = (before.shown & after.shown)[::step, ::step].ravel()
    return a[known].astype(np.float64), b[known].astype(np.float64)
