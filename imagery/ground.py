"""The bare ground under a surface (DTM), and how high everything stands over it.

Two questions are asked of every half metre of the surface. First, does an opening lift it off: progressive windows of up to 120 m, with a
threshold that grows with the window (Zhang et al. 2003, Pingel et al. 2013). Then, of every smooth piece: does its edge drop off all
round? A roof's does, however large it is; an embankment, the crest of a hill and the rim of a pit run down to the ground somewhere.
What is no ground is bridged by the harmonic function of what is.

All arrays are `(rows, cols)` float32 metres on square cells, NaN where unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import fusion, mosaic, raster

Metres = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

UNKNOWN = 255
CELL_M = 0.5
"""Ground is sought on cells about this wide: a finer one knows no more of it."""

_CELLS = 40_000_000  # cells of the whole area at most: a few layers of them are kept in memory
_READ = 1024  # surface cells read at a time
_WINDOW = 1536  # ground cells filtered at a time
_MARGIN_M = 150.0  # read around a window: the widest opening and a piece's edge
_HALVES_M = (1.0, 2.0, 3.5, 5.5, 8.0, 12.0, 18.0, 26.0, 40.0, 60.0)  # half widths of the openings
_RISE, _SLOPE, _MOST_M = 0.3, 0.05, 0.7  # an opening lifts off what stands over it by rise + slope x half width, at most so much
_COARSE_M = 10.0  # openings wider than twice this run on cells four times as wide
_STEEP = 0.9  # rise over run that a smooth piece may have
_EDGE_M, _DROP_M = 2.5, 1.5  # an edge cell drops off when something so near lies so much lower
_HANGS, _STANDS = (
    0.5,
    0.7,
)  # share of an edge that drops: under the first a lifted piece is ground, over the second kept ground is none
_RIM_M, _CROWN_M = 1.0, 8.0  # what lies at most so much under a roof beside it belongs to it; a tree over it reaches so far
_JOINT = 4  # cells of an edge that a piece must share with the ground to be joined to it
_PIT_M, _PIT_M2 = 1.5, 20.0  # a hole deeper and smaller than this is a mismatch
_NEAR_M = 5.0  # ground is told so far beyond what the surface knows
_SWEEPS = 80


@dataclass(frozen=True, slots=True)
class GroundFiles:
    """Three rasters on the area's grid.

    `ground`: float32 metres of the block's datum. `height`: float32 metres, surface less ground. NaN unknown in both. `bridged`: uint8
    1 where something stands on the ground and it was bridged, 0 where it was seen, 255 unknown.
    """

    ground: Path
    height: Path
    bridged: Path

    @staticmethod
    def of(folder: Path) -> GroundFiles:
        """The names of a folder's ground files."""
        return GroundFiles(*(folder / f"{name}.tif" for name in ("ground", "height", "ground_bridged")))

    @property
    def whole(self) -> bool:
        """Whether all three are there."""
        return all(p.exists() for p in (self.ground, self.height, self.bridged))


def build(surface: Path, grid: Grid, folder: Path, progress: Progress = silent, *, filled: Path | None = None) -> GroundFiles:
    """The ground under `surface` (a raster on `grid`), written into `folder`; finished files are taken as they are.

    `filled` (uint8, 1 bridged) tells which heights were guessed: they are never taken for ground. Raises SurveyError when a file
    cannot be read or written.
    """
    files = GroundFiles.of(folder)
    if files.whole:
        return files
    k = max(1, round(CELL_M / grid.gsd_m), math.ceil(math.sqrt(grid.rows * grid.cols / _CELLS)))
    cells = Grid(grid.frame, grid.gsd_m * k, grid.west_m, grid.north_m, -(-grid.rows // k), -(-grid.cols // k))
    low, value, known = _gathered(surface, filled, cells, grid, progress)
    seen = _seen(low, cells)
    ground = bridged(value, seen)
    near = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3) * cells.gsd_m <= _NEAR_M if known.any() else known
    ground[~near] = np.nan
    _write(files, surface, grid, cells, ground, seen, progress)
    return files


def model(surface: Metres, cell_m: float) -> tuple[Metres, Mask]:
    """The ground under a whole surface, and where it was seen; the same that `build` writes, for arrays that fit in memory."""
    k = max(1, round(CELL_M / cell_m))
    low, value = _evidence(surface, k)
    seen = bare(low, cell_m * k)
    ground = bridged(value, seen)
    rows, cols = surface.shape
    return _upsampled(ground, k, Window(0, 0, rows, cols)), seen.repeat(k, axis=0).repeat(k, axis=1)[:rows, :cols]


def bare(low: Metres, cell_m: float) -> Mask:
    """Which cells show the ground; `low` are the lower heights in each."""
    z = fusion.without_specks(low, cell_m)
    kept = _kept(z, cell_m)
    wrong = _pits(z, kept, cell_m) | _roofs(z, cell_m)
    if wrong.any():
        z = np.where(wrong, np.float32(np.nan), z)
        kept = _kept(z, cell_m)
    return kept | _hills(z, kept, cell_m)


def bridged(value: Metres, seen: Mask) -> Metres:
    """The ground everywhere: as seen, and between what is seen by the harmonic function (the stillest film over a frame)."""
    if not seen.any():
        return np.full_like(value, np.nan)
    ground = mosaic.without_gaps(np.where(seen, value, np.float32(np.nan)))
    _relax(ground, seen, _SWEEPS)
    return ground


def _gathered(surface: Path, filled: Path | None, cells: Grid, grid: Grid, progress: Progress) -> tuple[Metres, Metres, Mask]:
    """Lower heights, ground heights and known-ness of all ground cells."""
    k = round(cells.gsd_m / grid.gsd_m)
    low, value = np.full(cells.shape, np.nan, np.float32), np.full(cells.shape, np.nan, np.float32)
    known = np.zeros(cells.shape, bool)
    tiles = list(grid.tiles(max(1, _READ // k) * k))
    with ExitStack() as stack:
        heights = stack.enter_context(raster.reading(surface))
        guessed = stack.enter_context(raster.reading(filled)) if filled is not None else None
        for done, tile in enumerate(tiles):
            z = heights.window(tile)
            at = slice(tile.row // k, -(-(tile.row + tile.rows) // k)), slice(tile.col // k, -(-(tile.col + tile.cols) // k))
            known[at] = np.isfinite(_evidence(z, k)[0])
            if guessed is not None:
                z[guessed.window(tile) != 0] = np.nan
            low[at], value[at] = _evidence(z, k)
            progress(done + 1, len(tiles), "ground: reading")
    return low, value, known


def _seen(low: Metres, cells: Grid) -> Mask:
    """`bare` in windows that overlap, so that memory does not grow with the area."""
    margin = math.ceil(_MARGIN_M / cells.gsd_m)
    seen = np.zeros(low.shape, bool)
    for tile in cells.tiles(_WINDOW):
        wide = tile.grown(margin, cells)
        found = bare(low[wide.slices], cells.gsd_m)
        r, c = tile.row - wide.row, tile.col - wide.col
        seen[tile.slices] = found[r : r + tile.rows, c : c + tile.cols]
    return seen


@njit(cache=True)
def _evidence(z: Metres, k: int) -> tuple[Metres, Metres]:
    """For cells `k` times wider: the height that a fifth lies under, and the mean of what lies about there (noise, not grass)."""
    rows, cols = -(-z.shape[0] // k), -(-z.shape[1] // k)
    low = np.full((rows, cols), np.nan, np.float32)
    value = np.full((rows, cols), np.nan, np.float32)
    step = max(1, k // 8)
    near = np.empty(k * k, np.float32)
    for i in range(rows):
        for j in range(cols):
            n = 0
            asked = 0
            for a in range(i * k, min(i * k + k, z.shape[0]), step):
                for b in range(j * k, min(j * k + k, z.shape[1]), step):
                    asked += 1
                    if not np.isnan(z[a, b]):
                        near[n] = z[a, b]
                        n += 1
            if n == 0 or 4 * n < asked:
                continue
            part = np.sort(near[:n])
            floor = part[(n - 1) // 5]
            total, count = 0.0, 0
            for v in part:
                if abs(v - floor) <= 0.3:
                    total += v
                    count += 1
            low[i, j] = floor
            value[i, j] = total / count
    return low, value


def _kept(z: Metres, cell_m: float) -> Mask:
    """What no opening lifts off."""
    known = np.isfinite(z)
    kept, level, above, factor = known.copy(), z, z, 1
    for half_m in _HALVES_M:
        if half_m >= _COARSE_M and factor == 1:
            factor = 4
            level = _lowest(level, factor)
        half = round(half_m / (cell_m * factor))
        if half < 1:
            continue
        level = _opened(level, half)
        above = level if factor == 1 else _spread(level, factor, z.shape)
        with np.errstate(invalid="ignore"):
            kept &= ~(z - above > min(_MOST_M, _RISE + _SLOPE * half_m))
    return kept


def _opened(z: Metres, half: int) -> Metres:
    """Opening by a square of 2 x `half` + 1 cells; unknown cells say nothing."""
    kernel = np.ones((2 * half + 1, 1), np.uint8)
    unknown = ~np.isfinite(z)
    low = np.where(unknown, np.float32(1e6), z)
    low = cv2.erode(cv2.erode(low, kernel, borderType=cv2.BORDER_REPLICATE), kernel.T, borderType=cv2.BORDER_REPLICATE)
    low[low > 9e5] = -1e6
    high = cv2.dilate(cv2.dilate(low, kernel, borderType=cv2.BORDER_REPLICATE), kernel.T, borderType=cv2.BORDER_REPLICATE)
    out: Metres = np.where(unknown, np.float32(np.nan), high)
    return out


def _lowest(z: Metres, factor: int) -> Metres:
    """The lowest of every `factor` x `factor` cells."""
    rows, cols = -(-z.shape[0] // factor), -(-z.shape[1] // factor)
    wide = np.full((rows * factor, cols * factor), np.float32(np.inf))
    wide[: z.shape[0], : z.shape[1]] = np.where(np.isfinite(z), z, np.float32(np.inf))
    low: Metres = wide.reshape(rows, factor, cols, factor).min(axis=(1, 3))
    low[~np.isfinite(low)] = np.nan
    return low


def _spread(z: Metres, factor: int, shape: tuple[int, int]) -> Metres:
    return z.repeat(factor, axis=0).repeat(factor, axis=1)[: shape[0], : shape[1]]


def _pits(z: Metres, kept: Mask, cell_m: float) -> Mask:
    """Small deep holes in what was kept: mismatches, which would pull every opening down."""
    rows, cols = z.shape
    factor = max(1, round(4.0 / cell_m))
    size = (max(1, cols // factor), max(1, rows // factor))
    ground = mosaic.without_gaps(np.where(kept, z, np.float32(np.nan)))
    usual = cv2.resize(cv2.medianBlur(cv2.resize(ground, size, interpolation=cv2.INTER_AREA), 5), (cols, rows))
    with np.errstate(invalid="ignore"):
        deep = kept & (z < usual - _PIT_M)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(deep.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] * cell_m**2 < _PIT_M2
    small[0] = False
    pits: Mask = small[labels] if count > 1 else np.zeros(z.shape, bool)
    return pits


def _roofs(z: Metres, cell_m: float) -> Mask:
    """What stands, however wide: smooth pieces that drop off nearly all round, with their rims and what grows over them."""
    smooth, drops, roofs = _smooth(z, cell_m), _drops(z, cell_m), np.zeros(z.shape, bool)
    for part, piece, share, _ in _pieces(smooth, drops, np.zeros_like(smooth)):
        if share > _STANDS:
            roofs[part] |= piece
    top = np.where(roofs, z, np.float32(-1e6))
    for reach_m, what in ((_EDGE_M, ~roofs), (_CROWN_M, ~smooth)):
        kernel = np.ones((2 * max(1, round(reach_m / cell_m)) + 1, 1), np.uint8)
        near = cv2.dilate(cv2.dilate(top, kernel), kernel.T)
        with np.errstate(invalid="ignore"):
            roofs = roofs | (what & (near > -9e5) & (z > near - _RIM_M))
    return roofs


def _hills(z: Metres, kept: Mask, cell_m: float) -> Mask:
    """What an opening lifts off although it is ground: smooth pieces that run down to it somewhere."""
    smooth, drops, hills = _smooth(z, cell_m), _drops(z, cell_m), np.zeros(z.shape, bool)
    for part, piece, share, joined in _pieces(smooth & ~kept, drops, smooth & kept):
        if joined and share < _HANGS:
            hills[part] |= piece
    return hills


def _smooth(z: Metres, cell_m: float) -> Mask:
    """Cells of even slopes, in bands no narrower than about 2 m."""
    steep, bend = _shape(z, cell_m)
    width = max(3, round(2.5 / cell_m) | 1)
    rough = cv2.blur(np.nan_to_num(bend, nan=1.0), (width, width))
    even = (steep < _STEEP) & (rough < 0.08 + 0.1 * cell_m)
    reach = round(1.0 / cell_m)
    if reach < 1:
        return even
    opened: Mask = cv2.morphologyEx(even.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    return opened


@njit(cache=True)
def _shape(z: Metres, cell: float) -> tuple[Metres, Metres]:
    """Steepest rise over run to a neighbour, and distance from the mean of the eight neighbours."""
    rows, cols = z.shape
    steep = np.full((rows, cols), np.inf, np.float32)
    bend = np.full((rows, cols), np.nan, np.float32)
    for i in range(rows):
        for j in range(cols):
            v = z[i, j]
            if np.isnan(v):
                continue
            most, total, n = 0.0, 0.0, 0
            for a in range(max(i - 1, 0), min(i + 2, rows)):
                for b in range(max(j - 1, 0), min(j + 2, cols)):
                    w = z[a, b]
                    if (a != i or b != j) and not np.isnan(w):
                        far = cell if a == i or b == j else 1.4142 * cell
                        most = max(most, abs(w - v) / far)
                        total += w
                        n += 1
            if n >= 5:
                steep[i, j] = most
                bend[i, j] = abs(total / n - v)
    return steep, bend


def _drops(z: Metres, cell_m: float) -> Mask:
    """Cells beside which something lies much lower."""
    reach = max(1, round(_EDGE_M / cell_m))
    low = cv2.erode(np.where(np.isfinite(z), z, np.float32(1e6)), np.ones((2 * reach + 1,) * 2, np.uint8))
    with np.errstate(invalid="ignore"):
        drops: Mask = z - low > max(_DROP_M, _STEEP * reach * cell_m)
    return drops


def _pieces(mask: Mask, drops: Mask, other: Mask) -> Iterator[tuple[tuple[slice, slice], Mask, float, bool]]:
    """Every connected piece in its own part of the whole, the share of its edge that drops, and whether it joins `other`.

    The edge against `other` does not count; where the picture or what is known ends, nothing drops.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for x, y, w, h, number in ((*stats[n, :4], n) for n in range(1, count)):
        part = slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1)
        piece = labels[part] == number
        beside = cv2.dilate(other[part].astype(np.uint8), cross) > 0
        edge = piece & (cv2.erode(piece.astype(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0) == 0)
        free = edge & ~beside
        share = float(drops[part][free].mean()) if free.any() else 0.0
        yield part, piece, share, int((edge & beside).sum()) >= _JOINT


@njit(cache=True)
def _relax(ground: Metres, seen: Mask, sweeps: int) -> None:
    """Successive over-relaxation of Laplace's equation where the ground was not seen, in place."""
    rows, cols = ground.shape
    for _ in range(sweeps):
        for parity in range(2):
            for i in range(rows):
                up, down = max(i - 1, 0), min(i + 1, rows - 1)
                for j in range((i + parity) % 2, cols, 2):
                    if not seen[i, j]:
                        left, right = max(j - 1, 0), min(j + 1, cols - 1)
                        mean = 0.25 * (ground[up, j] + ground[down, j] + ground[i, left] + ground[i, right])
                        ground[i, j] += 1.7 * (mean - ground[i, j])


def _upsampled(coarse: Metres, k: int, window: Window) -> Metres:
    """Cells `k` times finer in a window of the fine cells, linear between the coarse centres."""
    if k == 1:
        return coarse[window.slices]
    to_coarse = np.array([[1 / k, 0, (window.col + 0.5) / k - 0.5], [0, 1 / k, (window.row + 0.5) / k - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out: Metres = cv2.warpAffine(coarse, to_coarse, (window.cols, window.rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return out


def _packable(heights: Metres) -> Metres:
    """To a 1024th of a metre: what lies below is interpolation's noise, and half of a file that holds it."""
    return np.asarray(np.rint(heights * np.float32(1024)) / np.float32(1024), np.float32)


def _write(files: GroundFiles, surface: Path, grid: Grid, cells: Grid, ground: Metres, seen: Mask, progress: Progress) -> None:
    k = round(cells.gsd_m / grid.gsd_m)
    tiles = list(grid.tiles(max(1, _READ // k) * k))
    with ExitStack() as stack:
        heights = stack.enter_context(raster.reading(surface))
        low, above = (
            stack.enter_context(raster.written(p, grid, "float32", nodata=math.nan)) for p in (files.ground, files.height)
        )
        flags = stack.enter_context(raster.written(files.bridged, grid, "uint8", nodata=UNKNOWN))
        for done, tile in enumerate(tiles):
            part = Window(tile.row // k, tile.col // k, -(-tile.rows // k), -(-tile.cols // k))
            wide = part.grown(1, cells)
            inner = Window(tile.row - wide.row * k, tile.col - wide.col * k, tile.rows, tile.cols)
            z = _upsampled(ground[wide.slices], k, inner)
            low.write(tile, _packable(z))
            above.write(tile, _packable(heights.window(tile) - z))
            guessed = np.where(seen[part.slices], 0, 1).astype(np.uint8).repeat(k, axis=0).repeat(k, axis=1)
            guessed = guessed[: tile.rows, : tile.cols]
            guessed[~np.isfinite(z)] = UNKNOWN
            flags.write(tile, guessed)
            progress(done + 1, len(tiles), "ground: tiles")
