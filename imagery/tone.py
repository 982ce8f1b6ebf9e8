"""One light over all photos: a gain for each, and a soft field that takes what the gain leaves, so that no seam shows.

Works on thumbnails of about one metre per cell: seams are a matter of low frequencies, and all photos fit in memory this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from geo.grid import Window

Colours = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SOFT_CELLS = 2.0  # one standard deviation of the fields
_MOST = 40.0  # a field corrects light, not content: more than this many levels is something that moved
_STAY = 0.02  # how strongly gains are held at 1, against one overlap of a thousand cells
_LEAST_OVERLAP = 30


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """One view on the tone cells: RGB `(rows, cols, 3)` float32, which cells it shows, and how central they are (0..1)."""

    window: Window
    colours: Colours
    seen: Mask
    weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """How one view's colours are changed: times `gain` `(3,)`, plus `field` `(rows, cols, 3)` on its window of the tone cells."""

    gain: NDArray[np.float32]
    window: Window
    field: Colours


def tones(thumbnails: Sequence[Thumbnail | None], shape: tuple[int, int]) -> list[Tone | None]:
    """A tone for every view that has a thumbnail."""
    gains = _gains(thumbnails)
    total = np.zeros((*shape, 3), np.float32)
    weight = np.zeros(shape, np.float32)
    for thumbnail, gain in zip(thumbnails, gains, strict=True):
        if thumbnail is not None:
            at = thumbnail.window.slices
            w = thumbnail.weight * thumbnail.seen
            total[at] += w[..., None] * thumbnail.colours * gain
            weight[at] += w
    common = total / np.maximum(weight, 1e-6)[..., None]
    result: list[Tone | None] = []
    for thumbnail, gain in zip(thumbnails, gains, strict=True):
        if thumbnail is None:
            result.append(None)
            continue
        gap = np.clip(common[thumbnail.window.slices] - thumbnail.colours * gain, -_MOST, _MOST)
        result.append(Tone(gain, thumbnail.window, _soft(gap.astype(np.float32), thumbnail.seen)))
    return result


def _soft(field: Colours, seen: Mask) -> Colours:
    """Blurred over the seen cells only."""
    w = seen.astype(np.float32)
    blurred = cv2.GaussianBlur(field * w[..., None], (0, 0), _SOFT_CELLS, borderType=cv2.BORDER_CONSTANT)
    share = cv2.GaussianBlur(w, (0, 0), _SOFT_CELLS, borderType=cv2.BORDER_CONSTANT)
    out: Colours = (blurred / np.maximum(share, 1e-3)[..., None]).astype(np.float32)
    return out


def _gains(thumbnails: Sequence[Thumbnail | None]) -> NDArray[np.float32]:
    """Gains `(views, 3)` that make overlapping views agree, by least squares on their mean log ratios."""
    count = len(thumbnails)
    gains = np.ones((count, 3), np.float32)
    rows, cols, vals = [], [], []
    ratios: list[NDArray[np.float64]] = []
    logs = [None if t is None else _logs(t) for t in thumbnails]
    for i, a in enumerate(thumbnails):
        for j in range(i + 1, count):
            b, log_a, log_b = thumbnails[j], logs[i], logs[j]
            if a is None or b is None or log_a is None or log_b is None:
                continue
            r0, c0 = max(a.window.row, b.window.row), max(a.window.col, b.window.col)
            r1 = min(a.window.row + a.window.rows, b.window.row + b.window.rows)
            c1 = min(a.window.col + a.window.cols, b.window.col + b.window.cols)
            if r1 <= r0 or c1 <= c0:
                continue
            one = log_a[r0 - a.window.row : r1 - a.window.row, c0 - a.window.col : c1 - a.window.col]
            other = log_b[r0 - b.window.row : r1 - b.window.row, c0 - b.window.col : c1 - b.window.col]
            ratio, cells = _ratio(one, other)
            if cells < _LEAST_OVERLAP:
                continue
            strength = min(1.0, cells / 1000) ** 0.5
            k = len(ratios)
            rows += [k, k]
            cols += [i, j]
            vals += [strength, -strength]
            ratios.append(-ratio * strength)
    if not ratios:
        return gains
    matrix = coo_matrix((vals, (rows, cols)), shape=(len(ratios), count)).tocsr()
    normal = matrix.T @ matrix + coo_matrix((np.full(count, _STAY), (range(count), range(count))), shape=(count, count))
    for band in range(3):
        gains[:, band] = np.exp(np.clip(spsolve(normal.tocsc(), matrix.T @ np.array([r[band] for r in ratios])), -0.7, 0.7))
    return gains


def _logs(thumbnail: Thumbnail) -> Colours:
    """Logarithms of the colours, NaN where unseen, too dark or burnt out."""
    colours = thumbnail.colours
    usable = thumbnail.seen & (colours.min(axis=2) > 12) & (colours.max(axis=2) < 245)
    logs: Colours = np.where(usable[..., None], np.log(np.maximum(colours, 1.0)), np.nan).astype(np.float32)
    return logs


@njit(cache=True)
def _ratio(one: Colours, other: Colours) -> tuple[NDArray[np.float64], int]:
    """Mean log ratio per band over the cells both show well, large ones held back, and how many cells."""
    total = np.zeros(3)
    cells = 0
    for i in range(one.shape[0]):
        for j in range(one.shape[1]):
            if np.isnan(one[i, j, 0]) or np.isnan(other[i, j, 0]):
                continue
            cells += 1
            for b in range(3):
                total[b] += min(0.5, max(-0.5, one[i, j, b] - other[i, j, b]))
    return total / max(cells, 1), cells
