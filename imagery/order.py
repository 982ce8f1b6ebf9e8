"""In which order places are visited, so that what comes next lies near: photos and tiles stay in memory while they are needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats

_BITS = 10  # cells of the curve per side, as a power of two


def along_curve(xy: Floats) -> NDArray[np.int64]:
    """Indices of places `(n, 2)` in the order of Hilbert's curve over their extent; unknown (NaN) places come last.

    Lines of a flight grow with the area, and a photo's neighbours on the next line come a whole line later; along the curve they
    come within a few steps whatever the size.
    """
    known = np.isfinite(xy).all(axis=1)
    if not known.any():
        return np.arange(len(xy))
    low = xy[known].min(axis=0)
    side = max(float((xy[known].max(axis=0) - low).max()), 1e-9)
    cell = np.zeros((len(xy), 2), np.int64)
    cell[known] = np.minimum((xy[known] - low) / side * (1 << _BITS), (1 << _BITS) - 1).astype(np.int64)
    x, y = cell[:, 0].copy(), cell[:, 1].copy()
    distance = np.zeros(len(xy), np.int64)
    # Hilbert (1891); the bitwise walk is that of Warren, Hacker's Delight, chapter 16.
    for bit in range(_BITS - 1, -1, -1):
        s = 1 << bit
        right, upper = (x & s) > 0, (y & s) > 0
        distance += s * s * ((3 * right) ^ upper)
        x, y = x & (s - 1), y & (s - 1)
        mirrored = right & ~upper
        x, y = np.where(mirrored, s - 1 - x, x), np.where(mirrored, s - 1 - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
    distance[~known] = np.iinfo(np.int64).max
    return np.argsort(distance, kind="stable")
