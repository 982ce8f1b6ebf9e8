"""Lay one picture of the ground onto another: tiles or features for the fit, then a smooth drift from many small shifts.

Both pictures are grey `(rows, cols)` uint8 with a mask of what they know. Fits map cells of the new picture to cells of the
reference, counted from the outer corner as (column, row).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats
from geo.grid import Grid, Window
from imagery import residual
from imagery.errors import SurveyError
from imagery.stereo import Metres

Grey = NDArray[np.uint8]
Points = NDArray[np.float32]
Mask = NDArray[np.bool_]

WORK_CELLS = 2200
"""Long side of the pictures that are matched."""

_FEATURES = 6_000
_RATIO = 0.82
_REACH_PX = 3.0
_LEAST_FEATURES = 25
_LEAST_TILES = 12
_LEAST_SHARE = 0.06  # of the matches that must agree: fewer may agree by chance
_LEAST_SPREAD = 0.12  # share of the new picture that the hull of the agreeing matches must span
_MATCH_TILE = 96
_SEARCH = 12
_CLEAR_PEAK = 0.3
_VOTE_THIN = 4
_VOTE_TILE = 64
_VOTE_SEARCH = 40
_CLEAR_VOTE = 1.6  # times the next best shift
_DRIFT_TILE = 96
_DRIFT_STEP = 64
_DRIFT_SIGMA = 2.5  # tiles: how far one shift speaks


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two pictures: grey `(rows, cols)`, and which cells it knows."""

    grey: Grey
    known: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """`matrix` `(2, 3)`: cells of the new picture to cells of the reference; and what speaks for it."""

    matrix: Floats
    agreeing: int
    matches: int
    rms_px: float
    scale: float
    turn_deg: float
    how: str


def fit(new: Side, reference: Side, guesses: Sequence[Floats], *, scale_known: bool, what: str) -> Fit:
    """The similarity (with many matches: affine) that lays `new` onto `reference`.

    Orthophotos are north-up and nearly in place already, so `guesses` (matrices `(2, 3)` like the result) are tried first: many
    tiles are correlated, which finds a site again though most of it was dug up. Features are the fallback. With `scale_known` a fit
    that changes the scale is refused. Raises SurveyError with the numbers when nothing can be trusted.
    """
    tried: list[str] = []
    for guess in guesses:
        fitted, said = _agreed(*_tile_matches(new, reference, guess), new, how="tiles", least=_LEAST_TILES)
        tried.append(said)
        if fitted is not None:
            break
    else:
        fitted, said = _agreed(*_feature_matches(new, reference), new, how="features", least=_LEAST_FEATURES)
        tried.append(said)
    refused = f"{what}: 无法与单元的参考期配准，请确认拍的是同一地方、每像素米数无误。 it cannot be registered to the area's reference: "
    if fitted is None:
        raise SurveyError(f"{refused}{'; '.join(tried)}. Does it show the same place, and is the ground sampling right?")
    if scale_known and not 0.9 < fitted.scale < 1.11:
        raise SurveyError(
            f"{refused}it would have to be scaled by {fitted.scale:.2f}: is the ground sampling (metres per pixel) right?"
        )
    return fitted


def _agreed(places: Points, others: Points, new: Side, *, how: str, least: int) -> tuple[Fit | None, str]:
    """The fit most matches `(n, 2)` agree on, and a phrase with the numbers; None when too few do, or in one corner only."""
    count = len(places)
    if count < least:
        return None, f"{count} {how} match, at least {least} are needed"
    cv2.setRNGSeed(1)
    matrix, kept = cv2.estimateAffinePartial2D(
        places, others, method=cv2.RANSAC, ransacReprojThreshold=_REACH_PX, maxIters=20_000, confidence=0.9999, refineIters=20
    )
    inliers = np.zeros(count, bool) if kept is None else kept.ravel().astype(bool)
    found = int(inliers.sum())
    spread = cv2.contourArea(cv2.convexHull(places[inliers])) / max(1.0, float(new.known.sum())) if found >= 3 else 0.0
    said = f"{found} of {count} {how} agree (at least {least} must), spanning {spread:.0%} of it (at least {_LEAST_SPREAD:.0%})"
    if matrix is None or found < least or found < _LEAST_SHARE * count or spread < _LEAST_SPREAD:
        return None, said
    if found >= 4 * least:
        finer, kept = cv2.estimateAffine2D(places[inliers], others[inliers], method=cv2.RANSAC, ransacReprojThreshold=_REACH_PX)
        if finer is not None and kept.sum() > 0.8 * found:
            matrix = finer
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    turn = math.degrees(math.atan2(float(matrix[1, 0]), float(matrix[0, 0])))
    errors = np.linalg.norm(places[inliers] @ matrix[:, :2].T + matrix[:, 2] - others[inliers], axis=1)
    return Fit(np.asarray(matrix, np.float64), found, count, float(np.sqrt((errors**2).mean())), scale, turn, how), said


def _tile_matches(new: Side, reference: Side, guess: Floats) -> tuple[Points, Points]:
    """Middles of tiles found in both, near where the guess puts them."""
    rows, cols = reference.grey.shape
    laid = cv2.warpAffine(new.grey, guess, (cols, rows), flags=cv2.INTER_AREA)
    known = cv2.warpAffine(new.known.astype(np.uint8), guess, (cols, rows), flags=cv2.INTER_NEAREST) > 0
    one, other = _detail(laid, known), _detail(reference.grey, reference.known)
    start = _voted_shift(one, other)
    nothing = np.zeros((0, 2), np.float32)
    if start is None:
        return nothing, nothing
    back = inverted(guess)
    places, others = [], []
    half, reach = _MATCH_TILE // 2, _MATCH_TILE // 2 + _SEARCH
    for row in range(half, rows - half, half):
        for col in range(half, cols - half, half):
            r, c = row + start[1], col + start[0]
            if min(r, c) < reach or r + reach > rows or c + reach > cols:
                continue
            at, around = (
                (slice(row - half, row + half), slice(col - half, col + half)),
                (slice(r - reach, r + reach), slice(c - reach, c + reach)),
            )
            if not reference.known[at].all() or not known[around].all():
                continue
            found = _peak(one[around], other[at])
            if found is not None:
                places.append(back[:, :2] @ (c + found[0], r + found[1]) + back[:, 2])
                others.append((col, row))
    return np.array(places, np.float32).reshape(-1, 2), np.array(others, np.float32).reshape(-1, 2)


def _peak(around: Points, tile: Points) -> tuple[float, float] | None:
    """(columns, rows) from the middle at which `around` shows `tile`; None without one clear place (a road's edge has many)."""
    likeness = cv2.matchTemplate(around, tile, cv2.TM_CCOEFF_NORMED)
    _, peak, _, (x, y) = cv2.minMaxLoc(likeness)
    if peak < _CLEAR_PEAK or not (0 < x < likeness.shape[1] - 1 and 0 < y < likeness.shape[0] - 1):
        return None
    rest = likeness.copy()
    rest[max(0, y - 5) : y + 6, max(0, x - 5) : x + 6] = -1
    if peak < 1.2 * rest.max():
        return None
    return x - _SEARCH + _vertex(likeness[y, x - 1 : x + 2]), y - _SEARCH + _vertex(likeness[y - 1 : y + 2, x])


def _detail(grey: Grey, known: Mask) -> Points:
    """Fine structure, freed of light and shade; nothing where unknown."""
    values = grey.astype(np.float32)
    soft = cv2.GaussianBlur(values, (0, 0), 6.0)
    spread = np.sqrt(cv2.GaussianBlur((values - soft) ** 2, (0, 0), 12.0)) + 4.0
    return np.where(known, (cv2.GaussianBlur(values, (0, 0), 0.8) - soft) / spread, 0).astype(np.float32)


def _voted_shift(one: Points, other: Points) -> tuple[int, int] | None:
    """(columns, rows) by which `one` shows things further on than `other`; None when no shift stands out.

    Tiles of small copies each give their likeness at every shift as a vote: the few places that did not change all vote for the
    same one, those that did vote anywhere.
    """
    a, b = (cv2.resize(v, None, fx=1 / _VOTE_THIN, fy=1 / _VOTE_THIN, interpolation=cv2.INTER_AREA) for v in (one, other))
    votes = np.zeros((2 * _VOTE_SEARCH + 1,) * 2, np.float32)
    half = _VOTE_TILE // 2
    reach = half + _VOTE_SEARCH
    for row in range(reach, a.shape[0] - reach, half):
        for col in range(reach, a.shape[1] - reach, half):
            around, tile = (
                a[row - reach : row + reach, col - reach : col + reach],
                b[row - half : row + half, col - half : col + half],
            )
            if tile.any():
                votes += np.clip(cv2.matchTemplate(around, tile, cv2.TM_CCOEFF_NORMED) - 0.15, 0, None) ** 2
    votes = cv2.GaussianBlur(votes, (0, 0), 1.0)
    _, peak, _, (x, y) = cv2.minMaxLoc(votes)
    rest = votes.copy()
    rest[max(0, y - 5) : y + 6, max(0, x - 5) : x + 6] = 0
    if peak <= _CLEAR_VOTE * rest.max():
        return None
    return _VOTE_THIN * (x - _VOTE_SEARCH), _VOTE_THIN * (y - _VOTE_SEARCH)


def _vertex(three: Points) -> float:
    """Where between -0.5 and 0.5 the parabola through three values peaks."""
    low, middle, high = (float(v) for v in three)
    bend = low - 2 * middle + high
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (low - high) / bend))


def _feature_matches(new: Side, reference: Side) -> tuple[Points, Points]:
    """Places of the same things in both, `(n, 2)` each, counted from the outer corner."""
    sift = cv2.SIFT.create(nfeatures=_FEATURES)
    evened = cv2.createCLAHE(3.0, (8, 8))
    nothing = np.zeros((0, 2), np.float32)
    sides = []
    for side in (new, reference):
        inner = cv2.erode(side.known.astype(np.uint8), np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        keys, words = sift.detectAndCompute(evened.apply(side.grey), inner)
        if words is None or len(keys) < 2:
            return nothing, nothing
        root = np.sqrt(words / np.maximum(words.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)  # RootSIFT: unit length
        sides.append((np.array([k.pt for k in keys], np.float32) + 0.5, root))
    mine, theirs = [], []
    for start in range(0, len(sides[0][1]), 1000):
        alike = sides[0][1][start : start + 1000] @ sides[1][1].T
        second, best = np.argpartition(alike, -2, axis=1)[:, -2:].T
        rows = np.arange(len(alike))
        swap = alike[rows, second] > alike[rows, best]
        best, second = np.where(swap, second, best), np.where(swap, best, second)
        distance = np.sqrt(np.maximum(0, 2 - 2 * np.stack([alike[rows, best], alike[rows, second]])))
        good = distance[0] < _RATIO * distance[1]
        mine.append(start + rows[good])
        theirs.append(best[good])
    return sides[0][0][np.concatenate(mine)], sides[1][0][np.concatenate(theirs)]


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """A smooth field of shifts over a grid: `east_m` and `south_m` `(rows, cols)` on a lattice `step_m` apart, starting half a step in."""

    east_m: Metres
    south_m: Metres
    step_m: float

    def at(self, grid: Grid, whole: Grid, window: Window) -> tuple[Metres, Metres]:
        """The shifts on a window of `whole`'s cells (`grid` is that window's own grid), metres east and south."""
        size = (window.cols, window.rows)
        k = whole.gsd_m / self.step_m
        to_lattice = np.array(
            [[k, 0, (window.col + 0.5) * k - 0.5], [0, k, (window.row + 0.5) * k - 0.5]],
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        east, south = (
            np.asarray(cv2.warpAffine(v, to_lattice, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
            for v in (self.east_m, self.south_m)
        )
        return east, south


def drift(reference: Grey, reference_known: Mask, laid: Grey, laid_known: Mask, cell_m: float) -> Drift:
    """The smooth field that is left between a reference and a picture already laid onto its cells, by phase correlation of tiles.

    Each shift speaks for about 2.5 tiles around it and the median leads, so that what was built is not pulled back into place;
    where nothing speaks the field goes to zero.
    """
    rows, cols = reference.shape
    shape = (max(1, math.ceil(rows / _DRIFT_STEP)), max(1, math.ceil(cols / _DRIFT_STEP)))
    shifts = np.full((*shape, 2), np.nan)
    half = _DRIFT_TILE // 2
    for i in range(shape[0]):
        for j in range(shape[1]):
            r = min(max(i * _DRIFT_STEP + _DRIFT_STEP // 2, half), rows - half)
            c = min(max(j * _DRIFT_STEP + _DRIFT_STEP // 2, half), cols - half)
            at = slice(r - half, r + half), slice(c - half, c + half)
            if r < half or c < half or reference_known[at].mean() < 0.9 or laid_known[at].mean() < 0.9:
                continue
            found = residual.shift(reference[at].astype(np.float32), laid[at].astype(np.float32), farthest_px=10.0)
            if found is not None and found[2] > 0.45:
                shifts[i, j] = found[:2]
    known = np.isfinite(shifts[..., 0])
    if known.sum() < 6:
        zero = np.zeros(shape, np.float32)
        return Drift(zero, zero, _DRIFT_STEP * cell_m)
    middle = np.median(shifts[known], axis=0)
    spread = 1.4826 * np.median(np.abs(shifts[known] - middle), axis=0) + 0.5
    known &= (np.abs(shifts - middle) < 4 * spread).all(axis=2)
    values = np.where(known[..., None], shifts, 0.0).astype(np.float32)
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), _DRIFT_SIGMA, borderType=cv2.BORDER_CONSTANT)
    smooth = cv2.GaussianBlur(values, (0, 0), _DRIFT_SIGMA, borderType=cv2.BORDER_CONSTANT) / (weight + 0.05)[..., None]
    return Drift(
        np.ascontiguousarray(smooth[..., 0] * cell_m, np.float32),
        np.ascontiguousarray(smooth[..., 1] * cell_m, np.float32),
        _DRIFT_STEP * cell_m,
    )


def composed(outer: Floats, inner: Floats) -> Floats:
    """First `inner`, then `outer`, both `(2, 3)`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def inverted(matrix: Floats) -> Floats:
    """What undoes a fit `(2, 3)`."""
    turned = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turned, -turned @ matrix[:, 2]])
