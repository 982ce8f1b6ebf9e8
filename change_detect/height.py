"""Where the surface rose or fell by more than noise and misregistration can explain.

Pure functions of one window's arrays. Every filter looks at most `reach_m` far, so a tile with that margin gives the same cells as the
whole area would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from change_detect.raster import Bytes, Layers, Mask, Metres
from geo.grid import Window

UNKNOWN = np.float32(-1.0e6)
_BLOCK = 128


@dataclass(frozen=True, slots=True)
class HeightRule:
    """What counts as a change of height.

    `sure_m`: a cell whose gain stays above it whatever the registration does starts a region; `edge_m`: cells above it near a
    sure one belong to it; `z`: gain over its own noise; `grow_m`: how far a region may reach from its sure cells; `sigma_m`: the
    surface's noise where no sigma layer says it.
    """

    sure_m: float = 1.2
    edge_m: float = 0.6
    z: float = 3.0
    grow_m: float = 1.2
    sigma_m: float = 0.10

    @property
    def reach_m(self) -> float:
        """How far a cell's answer looks around."""
        return self.grow_m + 2.5


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a change may be: `sure` cells and the `near` cells around them."""

    sure: Mask
    near: Mask


@dataclass(frozen=True, slots=True)
class Rises:
    """What rose and what fell; `z` is the gain over its noise, negative where it fell, 0 where the gain is under the rule's edge."""

    z: Metres
    rose: Marks
    fell: Marks


def gain_of(lower: Metres, upper: Metres) -> Metres:
    """How much one surface lies above the other, metres; 0 where either is unknown."""
    gain: Metres = upper - lower
    gain[~np.isfinite(gain)] = 0.0
    return gain


_Known = tuple[Metres, Metres | None, Mask | None]
"""Surface, sigma, filled."""


def _noise(lower: _Known, upper: _Known, sigma_xy_m: float, gsd_m: float, rule: HeightRule) -> Metres:
    """One standard deviation of the height difference: `sqrt(sa² + sb² + (slope·sxy)²)`, metres `(rows, cols)`."""
    variance = np.zeros(lower[0].shape, np.float32)
    steepest = np.zeros_like(variance)
    for surface, sigma, filled in (lower, upper):
        own = np.full(surface.shape, rule.sigma_m, np.float32)
        if sigma is not None:
            np.copyto(own, sigma, where=np.isfinite(sigma))
        if filled is not None:  # a bridged cell is a guess: three times as unsure
            own[filled] *= 3.0
        variance += own * own
        dx = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * gsd_m))
        dy = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * gsd_m))
        steepest = np.fmax(steepest, dx * dx + dy * dy)
    out: Metres = np.sqrt(variance + steepest * np.float32(sigma_xy_m**2))
    return out


def rises(before: Layers, after: Layers, *, sigma_xy_m: float, gsd_m: float, rule: HeightRule) -> Rises:
    """Where `after` lies above `before` and where below.

    A sure cell passes the edge-sliver test: the lowest of the upper surface around it lies above the highest of the lower one, within
    the distance that misregistration could move an edge. Slivers along roofs and moved canopies fail it, whatever their height.
    """
    if before.surface is None or after.surface is None:
        raise ValueError("rises need two surfaces")
    old, new = before.surface, after.surface
    smooth = cv2.medianBlur(gain_of(old, new), 5)
    known = np.isfinite(old) & np.isfinite(new)
    disc = _disc(sliver_m(sigma_xy_m) / gsd_m)
    z = np.zeros(old.shape, np.float32)
    sure = np.zeros((2, *old.shape), bool)
    far = disc.shape[0] // 2 + 3
    strong = (np.abs(smooth) > rule.edge_m) & known
    for block in _blocks(strong):  # most ground has not changed: what takes time is done only near what may have
        wide = _grown(block, far, old.shape)
        part = wide.slices
        core = block.row - wide.row, block.col - wide.col
        inner = (slice(core[0], core[0] + block.rows), slice(core[1], core[1] + block.cols))
        here = block.slices

        def cut(layers: Layers, part: tuple[slice, slice] = part) -> _Known:
            assert layers.surface is not None
            return (
                np.ascontiguousarray(layers.surface[part]),
                None if layers.sigma is None else layers.sigma[part],
                None if layers.filled is None else layers.filled[part],
            )

        a, b = cut(before), cut(after)
        own = smooth[here] / np.fmax(_noise(a, b, sigma_xy_m, gsd_m, rule)[inner], np.float32(1e-3))
        own[~known[here]] = 0.0
        z[here] = own
        for channel, (low, high, sign) in enumerate(((a[0], b[0], 1.0), (b[0], a[0], -1.0))):
            start = strong[here] & (sign * own > rule.z)
            if start.any():
                sure[channel][here] = start & (_room(low, high, known[part], disc)[inner] > rule.sure_m)
    grow, opening = _disc(rule.grow_m / gsd_m), _disc(0.3 / gsd_m)
    rose, fell = (
        _marks(s, near & known, grow, opening)
        for s, near in zip(sure, (smooth > rule.edge_m, smooth < -rule.edge_m), strict=True)
    )
    return Rises(z, rose, fell)


def _room(low: Metres, high: Metres, known: Mask, disc: Bytes) -> Metres:
    """How much of a gain is left when both surfaces may have moved: the lowest of the upper one less the highest of the lower one."""
    if not known.all():
        low, high = np.where(known, low, -UNKNOWN), np.where(known, high, UNKNOWN)
    # the 5 x 5 median first: one spike of a stereo match must not eat a disc out of a roof
    out: Metres = cv2.erode(cv2.medianBlur(high, 5), disc) - cv2.dilate(cv2.medianBlur(low, 5), disc)
    return out


def _marks(sure: Mask, strong: Mask, grow: Bytes, opening: Bytes) -> Marks:
    if not sure.any():
        return Marks(sure, np.zeros_like(sure))
    near = (cv2.dilate(sure.astype(np.uint8), grow) > 0) & strong
    near = cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_OPEN, opening) > 0
    return Marks(sure & near, near)


def _blocks(mask: Mask) -> tuple[Window, ...]:
    """The blocks of a mask that hold a cell."""
    rows, cols = mask.shape
    every = (
        Window(r, c, min(_BLOCK, rows - r), min(_BLOCK, cols - c)) for r in range(0, rows, _BLOCK) for c in range(0, cols, _BLOCK)
    )
    return tuple(w for w in every if mask[w.slices].any())


def _grown(window: Window, cells: int, shape: tuple[int, ...]) -> Window:
    r0, c0 = max(0, window.row - cells), max(0, window.col - cells)
    r1, c1 = min(shape[0], window.row + window.rows + cells), min(shape[1], window.col + window.cols + cells)
    return Window(r0, c0, r1 - r0, c1 - c0)


def sliver_m(sigma_xy_m: float) -> float:
    """How far an edge may have moved: twice the registration's sigma, plus a third of a metre for the stereo's own rounding."""
    return min(0.8, 0.30 + 2.0 * sigma_xy_m)


def _disc(radius: float) -> Bytes:
    r = max(1, math.ceil(radius - 0.25))
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    return (x * x + y * y <= (radius + 0.25) ** 2).astype(np.uint8)
