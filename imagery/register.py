"""Lay one picture of the ground onto another: features for the coarse fit, then a smooth drift from many small shifts.

Both pictures are grey `(rows, cols)` uint8 with a mask of what they know. Fits map cells of the new picture to cells of the
reference, counted from the outer corner as (column, row).
"""

from __future__ import annotations

import math
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
Mask = NDArray[np.bool_]

WORK_CELLS = 2200
"""Long side of the pictures that are matched."""

_FEATURES = 12_000
_RATIO = 0.82
_REACH_PX = 3.0
_LEAST_INLIERS = 25
_LEAST_SPREAD = 0.12  # share of the new picture that the hull of the inliers must span
_DRIFT_TILE = 96
_DRIFT_STEP = 64
_DRIFT_SIGMA = 2.5  # tiles: how far one shift speaks


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """`matrix` `(2, 3)`: cells of the new picture to cells of the reference; and what speaks for it."""

    matrix: Floats
    inliers: int
    matches: int
    rms_px: float
    scale: float
    turn_deg: float


def fit(new: Grey, new_known: Mask, reference: Grey, reference_known: Mask, *, scale_known: bool, what: str) -> Fit:
    """The similarity (with many matches: affine) that lays `new` onto `reference`.

    With `scale_known` both have about the same cell width, and a fit that says otherwise is refused. Raises SurveyError with the
    numbers when the match is too weak to be trusted.
    """
    places, others = _matches(new, new_known, reference, reference_known)
    count = len(places)
    refused = f"{what} cannot be registered to the area's reference: "
    if count < _LEAST_INLIERS:
        raise SurveyError(f"{refused}{count} matching points, at least {_LEAST_INLIERS} are needed; does it show the same place?")
    cv2.setRNGSeed(1)
    matrix, kept = cv2.estimateAffinePartial2D(
        places, others, method=cv2.RANSAC, ransacReprojThreshold=_REACH_PX, maxIters=20_000, confidence=0.9999, refineIters=20
    )
    inliers = np.zeros(count, bool) if kept is None else kept.ravel().astype(bool)
    found = int(inliers.sum())
    if matrix is None or found < _LEAST_INLIERS:
        raise SurveyError(
            f"{refused}{found} of {count} points agree, at least {_LEAST_INLIERS} must; does it show the same place?"
        )
    if found >= 4 * _LEAST_INLIERS:
        finer, kept = cv2.estimateAffine2D(places[inliers], others[inliers], method=cv2.RANSAC, ransacReprojThreshold=_REACH_PX)
        if finer is not None and kept.sum() > 0.8 * found:
            matrix = finer
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    turn = math.degrees(math.atan2(float(matrix[1, 0]), float(matrix[0, 0])))
    spread = cv2.contourArea(cv2.convexHull(places[inliers])) / max(1.0, float(new_known.sum()))
    if spread < _LEAST_SPREAD:
        raise SurveyError(f"{refused}the {found} points that agree span only {spread:.0%} of it (at least {_LEAST_SPREAD:.0%})")
    if scale_known and not 0.85 < scale < 1.18:
        raise SurveyError(f"{refused}it would have to be scaled by {scale:.2f}: is the ground sampling (metres per pixel) right?")
    if found < 0.02 * count:
        raise SurveyError(f"{refused}only {found} of {count} points agree ({found / count:.1%}): that may be chance")
    errors = np.linalg.norm(places[inliers] @ matrix[:, :2].T + matrix[:, 2] - others[inliers], axis=1)
    return Fit(np.asarray(matrix, np.float64), found, count, float(np.sqrt((errors**2).mean())), scale, turn)


def _matches(
    new: Grey, new_known: Mask, reference: Grey, reference_known: Mask
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places of the same things in both, `(n, 2)` each, counted from the outer corner."""
    sift = cv2.SIFT.create(nfeatures=_FEATURES)
    evened = cv2.createCLAHE(3.0, (8, 8))
    sides = []
    for grey, known in ((new, new_known), (reference, reference_known)):
        inner = cv2.erode(known.astype(np.uint8), np.ones((9, 9), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        keys, words = sift.detectAndCompute(evened.apply(grey), inner)
        if words is None or len(keys) < 2:
            nothing = np.zeros((0, 2), np.float32)
            return nothing, nothing
        root = np.sqrt(words / np.maximum(words.sum(axis=1, keepdims=True), 1e-6))  # RootSIFT
        sides.append((np.array([k.pt for k in keys], np.float32) + 0.5, root.astype(np.float32)))
    pairs = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 64}).knnMatch(sides[0][1], sides[1][1], k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < _RATIO * p[1].distance]
    if not good:
        nothing = np.zeros((0, 2), np.float32)
        return nothing, nothing
    return sides[0][0][[m.queryIdx for m in good]], sides[1][0][[m.trainIdx for m in good]]


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
