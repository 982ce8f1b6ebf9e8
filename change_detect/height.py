"""Where the surface rose or fell by more than noise and misregistration can explain.

Pure functions of one window's arrays. Every filter looks at most `reach_m` far, so a tile with that margin gives the same cells as the
whole area would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from change_detect.raster import Layers, Mask, Metres

UNKNOWN = np.float32(-1.0e6)


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
class Rise:
    """Gain of one surface over another: `gain` metres, `z` gain over noise, `sure` cells and the `near` cells around them."""

    gain: Metres
    z: Metres
    sure: Mask
    near: Mask


def noise(lower: Layers, upper: Layers, sigma_xy_m: float, gsd_m: float, rule: HeightRule) -> Metres:
    """One standard deviation of the height difference: `sqrt(sa² + sb² + (slope·sxy)²)`, metres `(rows, cols)`."""
    assert lower.surface is not None and upper.surface is not None
    variance = np.zeros(lower.surface.shape, np.float32)
    for layers in (lower, upper):
        own = (
            np.float32(rule.sigma_m) if layers.sigma is None else np.where(np.isfinite(layers.sigma), layers.sigma, rule.sigma_m)
        )
        if layers.filled is not None:  # a bridged cell is a guess: three times as unsure
            own = np.where(layers.filled, 3.0 * own, own)
        variance += np.square(own).astype(np.float32)
    slope = np.zeros_like(variance)
    for surface in (lower.surface, upper.surface):
        dx = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * gsd_m))
        dy = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * gsd_m))
        slope = np.fmax(slope, np.hypot(dx, dy))
    out: Metres = np.sqrt(variance + np.square(slope * np.float32(sigma_xy_m)))
    return out


def rise(lower: Layers, upper: Layers, *, sigma_xy_m: float, gsd_m: float, rule: HeightRule) -> Rise:
    """Where `upper` lies above `lower`; call it with the two swapped for what was lost.

    A sure cell passes the edge-sliver test: the lowest of the upper surface around it lies above the highest of the lower one, within
    the distance that misregistration could move an edge. Slivers along roofs and moved canopies fail it, whatever their height.
    """
    if lower.surface is None or upper.surface is None:
        raise ValueError("a rise needs two surfaces")
    known = np.isfinite(lower.surface) & np.isfinite(upper.surface)
    low = np.where(known, lower.surface, -UNKNOWN)
    high = np.where(known, upper.surface, UNKNOWN)
    gain = np.where(known, upper.surface - lower.surface, np.float32(0.0)).astype(np.float32)
    smooth = cv2.medianBlur(gain, 5)
    z = smooth / np.fmax(noise(lower, upper, sigma_xy_m, gsd_m, rule), np.float32(1e-3))
    z[~known] = 0.0
    disc = _disc(sliver_m(sigma_xy_m) / gsd_m)
    # the 5 x 5 median first: one spike of a stereo match must not eat a disc out of a roof
    floor = cv2.erode(cv2.medianBlur(high.astype(np.float32), 5), disc)
    ceiling = cv2.dilate(cv2.medianBlur(low.astype(np.float32), 5), disc)
    sure = (floor - ceiling > rule.sure_m) & (z > rule.z) & known
    around = cv2.dilate(sure.astype(np.uint8), _disc(rule.grow_m / gsd_m)) > 0
    near = around & (smooth > rule.edge_m) & known
    near = cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_OPEN, _disc(0.3 / gsd_m)) > 0
    return Rise(gain, z, sure & near, near)


def sliver_m(sigma_xy_m: float) -> float:
    """How far an edge may have moved: twice the registration's sigma, plus a third of a metre for the stereo's own rounding."""
    return min(0.8, 0.30 + 2.0 * sigma_xy_m)


def _disc(radius: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    r = max(1, math.ceil(radius - 0.25))
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    return (x * x + y * y <= (radius + 0.25) ** 2).astype(np.uint8)
