"""Colour and texture between two orthos: one tone for both, then differences that shadow and exposure do not make."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from change_detect.field import TUKEY, nmad
from change_detect.raster import Bytes, Mask, Metres
from geo.frames import Floats


@dataclass(frozen=True, slots=True)
class Radiometry:
    """Three tables of 256 that bring the after ortho's bands to the before ortho's tone, and the noise left (levels of 255)."""

    tables: tuple[bytes, bytes, bytes]
    noise: float

    @staticmethod
    def plain() -> Radiometry:
        """Changes nothing."""
        same = bytes(range(256))
        return Radiometry((same, same, same), 0.0)

    def apply(self, ortho: Bytes) -> Bytes:
        """The ortho `(rows, cols, 3)` in the other's tone."""
        table = np.stack([np.frombuffer(t, np.uint8) for t in self.tables], axis=-1)[None]
        return np.asarray(cv2.LUT(ortho, table), np.uint8)


def match(before: list[Floats], after: list[Floats]) -> Radiometry:
    """Gain and offset per band in square-root light, fitted robustly to the same places on both dates.

    The gain is the ratio of the two spreads (reduced major axis): a regression would flatten the after ortho wherever much has changed.

    Args:
        before, after: lists of `(n, 3)` samples at the same places. Places that changed are outliers to the fit.
    """
    a, b = (np.sqrt(np.concatenate(x)) if x else np.empty((0, 3)) for x in (before, after))
    if len(a) < 100:
        return Radiometry.plain()
    levels = np.sqrt(np.arange(256.0))
    tables, noise = [], []
    for band in range(3):
        gain, offset = 1.0, float(np.median(a[:, band] - b[:, band]))
        for _ in range(15):
            left = a[:, band] - gain * b[:, band] - offset
            scale = max(nmad(left), 0.05)
            w = np.clip(1 - (left / (TUKEY * scale)) ** 2, 0, None) ** 2
            mean_a, mean_b = np.average(a[:, band], weights=w), np.average(b[:, band], weights=w)
            spread_a = np.average((a[:, band] - mean_a) ** 2, weights=w)
            spread_b = np.average((b[:, band] - mean_b) ** 2, weights=w)
            gain = min(max(float(np.sqrt(spread_a / max(spread_b, 1e-6))), 0.6), 1.7)
            offset = float(mean_a - gain * mean_b)
        matched = np.clip(gain * levels + offset, 0, None) ** 2
        tables.append(np.clip(np.rint(matched), 0, 255).astype(np.uint8).tobytes())
        noise.append(nmad(a[:, band] ** 2 - (gain * b[:, band] + offset) ** 2))
    return Radiometry((tables[0], tables[1], tables[2]), float(np.mean(noise)))


def greenness(ortho: Bytes) -> Metres:
    """Excess green over all light, `(2g - r - b) / (r + g + b)`, about 0 for grey, over 0.05 for leaves; float32 `(rows, cols)`."""
    r, g, b = (ortho[..., i].astype(np.float32) for i in range(3))
    out: Metres = (2 * g - r - b) / np.maximum(r + g + b, 30.0)
    return out


def greyness(ortho: Bytes) -> Metres:
    """1 where a cell has no colour of its own (asphalt, concrete), 0 where it clearly has; float32 `(rows, cols)`."""
    r, g, b = (
        ortho[..., i] for i in range(3)
    )  # the largest of three bands by name: over an axis of three it takes ten times as long
    top = np.maximum(np.maximum(r, g), b).astype(np.float32)
    low = np.minimum(np.minimum(r, g), b).astype(np.float32)
    out: Metres = np.clip(1.0 - (top - low) / np.maximum(top, 30.0) / 0.25, 0.0, 1.0)
    return out


def colour_distance(before: Bytes, after: Bytes) -> Metres:
    """Distance in chroma, with a small part of lightness (shadow changes lightness, hardly chroma); CIELAB units, `(rows, cols)`."""
    a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2LAB).astype(np.float32) for x in (before, after))
    d = b - a
    out: Metres = np.sqrt(d[..., 1] ** 2 + d[..., 2] ** 2 + (0.2 * d[..., 0] * (100 / 255)) ** 2)
    return out


def tone(values: Metres, least: float) -> tuple[Metres, Metres]:
    """Mean and deviation, `(3,)` each, of `(n, 3)` colours.

    The deviation is one for all bands, so that colour stays colour, and `least` or more, so that a lawn is not stretched into a town.
    """
    deviation = max(float(values.std(axis=0).mean()), least)
    return np.asarray(values.mean(axis=0), np.float32), np.full(3, deviation, np.float32)


@dataclass(frozen=True, slots=True)
class Colours:
    """CIELAB of one ortho, float32 `(rows, cols, 3)`, lightness 0..100; and where it is known."""

    lab: Metres
    valid: Mask

    @staticmethod
    def of(ortho: Bytes, valid: Mask) -> Colours:
        """Colours of 8-bit RGB, ribs and grain smoothed away over three cells."""
        rgb = cv2.medianBlur(ortho, 3).astype(np.float32) / 255.0
        return Colours(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32), valid)


def bare_soil(colours: Colours) -> Mask:
    """Cells of the colours that bare earth has, from loess to red clay: CIELAB hue 35 to 88 degrees, chroma over 9, neither black nor white.

    Asphalt and concrete have less chroma, leaves more hue; red tiles and dry grass are like it, and are told apart by shape and texture.
    """
    light, a, b = (colours.lab[..., i] for i in range(3))
    hue = np.degrees(np.arctan2(b, a))
    soil: Mask = (np.hypot(a, b) > 9.0) & (hue > 35.0) & (hue < 88.0) & (light > 20.0) & (light < 85.0) & colours.valid
    return soil


LIGHTNESS_PART = 0.5
"""How much a step of lightness counts against one of chroma: shadow and exposure move lightness, seldom chroma."""


def distance_beyond(before: Colours, after: Colours) -> Metres:
    """How far a cell's new colour lies outside every colour its 3 x 3 neighbourhood had: small where only an edge moved by a cell.

    Darkening counts half as much as brightening: a shadow that moved only darkens.
    """
    low = cv2.erode(before.lab, np.ones((3, 3), np.uint8))
    high = cv2.dilate(before.lab, np.ones((3, 3), np.uint8))
    over = after.lab - np.clip(after.lab, low, high)
    lightness = np.where(over[..., 0] < 0, 0.5, 1.0) * over[..., 0] * LIGHTNESS_PART
    out: Metres = np.sqrt(lightness**2 + over[..., 1] ** 2 + over[..., 2] ** 2).astype(np.float32)
    out[~(before.valid & after.valid)] = 0.0
    return out


def edges(colours: Colours) -> Metres:
    """Length of the colour gradient, CIELAB per cell, the strongest of the three channels."""
    dx = cv2.Sobel(colours.lab, cv2.CV_32F, 1, 0, ksize=3, scale=0.25)
    dy = cv2.Sobel(colours.lab, cv2.CV_32F, 0, 1, ksize=3, scale=0.25)
    out: Metres = np.hypot(dx, dy).max(-1)
    return out
