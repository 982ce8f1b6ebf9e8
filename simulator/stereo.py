"""What a real survey makes of an exact one: the surface as multi-view stereo sees it, the ortho as a camera and a true-ortho step leave it.

Sizes follow what dense matching of drone photos is known to do: roof edges smeared over 0.2 to 0.4 m and wavy by a decimetre, noise of 3 to
8 cm that holds together over half a metre, leaves ragged and twigs mostly seen through, water and deep shadow wrong or bridged, a slow
bend over the whole, and the later survey one or two cells beside the earlier one. Nothing here knows which change is which.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulator.lens import toned
from simulator.overhead import Overhead

Plane = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Survey:
    """Ortho uint8 `(rows, cols, 3)`; `(rows, cols)`: which cells it shows, surface and its claimed sigma in metres, bridged cells."""

    ortho: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    surface: Plane
    sigma: Plane
    filled: NDArray[np.bool_]


def surveyed(rng: Rng, exact: Overhead, gsd_m: float, *, shifted: bool) -> Survey:
    """One survey of an exact view; `shifted` lays it up to two cells beside its place, a little differently from end to end."""
    shape = exact.surface.shape
    wave = _noise(rng, shape, 1.2 / gsd_m, 2) * np.float32(0.09 / gsd_m) + _noise(rng, shape, 5.0 / gsd_m, 2) * np.float32(
        0.06 / gsd_m
    )
    drift: Plane = np.zeros((*shape, 2), np.float32)
    if shifted:
        drift += rng.uniform(-1.4, 1.4, 2).astype(np.float32) + _noise(rng, shape, 60.0 / gsd_m, 2) * np.float32(0.4)
    both: Plane = np.asarray(wave + drift, np.float32)
    light = _moved(exact.light, both)
    leaves, bare, water = (_moved(m.astype(np.float32), drift) > 0.5 for m in (exact.leaves, exact.bare, exact.water))
    floor, standing = _moved(exact.floor, both), _moved(exact.surface, both)
    ortho = _photographed(rng, light, gsd_m)
    noise_m = float(rng.uniform(0.03, 0.08))
    dark = np.clip(1.0 - ortho.max(-1).astype(np.float32) / 90.0, 0.0, 1.0)
    solid = np.where(leaves, floor, standing).astype(np.float32)
    surface = _smeared(rng, solid, gsd_m)
    surface = np.where(leaves, _leafy(rng, standing, floor, bare, gsd_m), surface).astype(np.float32)
    rough = noise_m * (1.0 + 2.0 * dark)
    surface += rough * (0.7 * _noise(rng, shape, 0.5 / gsd_m) + 0.7 * _noise(rng, shape, 1.5 / gsd_m))
    holes = _holes(rng, dark, water, leaves, gsd_m)
    surface = _bridged(surface, holes, gsd_m)
    surface += np.where(holes & water, 0.4 * _noise(rng, shape, 1.5 / gsd_m), 0.0).astype(np.float32)
    surface += _bend(rng, shape)
    claimed = rough * (0.8 + 0.4 * rng.random()) * np.exp(0.2 * _noise(rng, shape, 3.0 / gsd_m)) + 0.15 * leaves
    sigma = np.where(holes, rng.uniform(0.3, 0.7), claimed).astype(np.float32)
    valid = _shown(rng, shape)
    surface[~valid], sigma[~valid] = np.nan, np.nan
    ortho[~valid] = 0
    return Survey(ortho, valid, surface, sigma, holes & valid)


def worn(rng: Rng, survey: Survey, gsd_m: float) -> Survey:
    """The same place from higher up through a plainer pipeline: cells half as wide again, roofs smeared over up to a metre, noise over 10 cm."""
    size = tuple(round(n / 1.5) for n in survey.valid.shape[::-1])
    unknown = ~np.isfinite(survey.surface)
    base = float(np.nanmedian(survey.surface))
    surface = np.where(unknown, np.float32(0), survey.surface - base).astype(np.float32)
    if rng.random() < 0.5:
        surface = cv2.dilate(surface, _disc(float(rng.uniform(0.05, 0.2)) / gsd_m))
    surface = cv2.GaussianBlur(surface, (0, 0), float(rng.uniform(0.10, 0.40)) / gsd_m)
    noise_m = float(rng.uniform(0.02, 0.10))
    surface = surface + noise_m * (0.7 * _noise(rng, surface.shape, 0.8 / gsd_m) + 0.7 * _noise(rng, surface.shape, 2.0 / gsd_m))
    surface = cv2.resize(surface + base, size, interpolation=cv2.INTER_AREA)
    valid, filled, lost = (
        cv2.resize(m.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for m in (survey.valid, survey.filled, unknown)
    )
    surface[lost] = np.nan
    ortho = cv2.GaussianBlur(survey.ortho, (0, 0), float(rng.uniform(0.5, 1.6)))
    sigma = np.where(lost, np.nan, cv2.resize(np.nan_to_num(survey.sigma, nan=0.1), size) + noise_m).astype(np.float32)
    return Survey(cv2.resize(ortho, size, interpolation=cv2.INTER_AREA).astype(np.uint8), valid, surface, sigma, filled)


def _noise(rng: Rng, shape: tuple[int, int], cells: float, channels: int = 1) -> Plane:
    """Smooth noise of deviation about 1 that holds together over `cells`; `(rows, cols)` or with a last axis of channels."""
    rows, cols = (max(4, int(n / max(cells, 1.0)) + 3) for n in shape)
    coarse = rng.standard_normal((min(rows, shape[0]), min(cols, shape[1]), channels)).astype(np.float32)
    fine = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine if channels > 1 else fine.reshape(shape), np.float32)


def _moved(values: Plane, by: Plane) -> Plane:
    """Values read `by` `(rows, cols, 2)` cells (across, down) beside each place."""
    rows, cols = values.shape[:2]
    x = (np.arange(cols, dtype=np.float32)[None, :] + by[..., 0]).astype(np.float32)
    y = (np.arange(rows, dtype=np.float32)[:, None] + by[..., 1]).astype(np.float32)
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _photographed(rng: Rng, light: Plane, gsd_m: float) -> NDArray[np.uint8]:
    """Exposure, white balance, blur, grain, JPEG."""
    gains = rng.uniform(0.75, 1.3) * rng.uniform(0.88, 1.14, 3)
    soft = cv2.GaussianBlur(light * gains.astype(np.float32), (0, 0), float(rng.uniform(0.4, 0.9)))
    levels = toned(soft)
    levels = 255.0 * np.power(np.clip(levels / 255.0, 0, 1), rng.uniform(0.85, 1.2)).astype(np.float32)
    levels += rng.standard_normal(levels.shape).astype(np.float32) * float(rng.uniform(1.0, 3.5))
    picture = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(78, 94))])
    return np.asarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy())


def _smeared(rng: Rng, solid: Plane, gsd_m: float) -> Plane:
    """Edges grow outwards by a decimetre or so and become slopes 0.2 to 0.4 m wide."""
    grown = cv2.dilate(solid, _disc(float(rng.uniform(0.05, 0.18)) / gsd_m))
    share = np.float32(rng.uniform(0.3, 1.0))
    out: Plane = cv2.GaussianBlur(solid * (1 - share) + grown * share, (0, 0), float(rng.uniform(0.08, 0.16)) / gsd_m)
    return out


def _leafy(rng: Rng, standing: Plane, floor: Plane, bare: NDArray[np.bool_], gsd_m: float) -> Plane:
    """Crowns as lumps, their tops lost; twigs seen through in most places."""
    shape = standing.shape
    crown = cv2.GaussianBlur(cv2.medianBlur(standing, 5), (0, 0), 0.25 / gsd_m)
    lumps = 0.28 * _noise(rng, shape, 0.7 / gsd_m) + 0.18 * _noise(rng, shape, 0.3 / gsd_m)
    tall = np.clip(crown - floor, 0, None) * np.float32(rng.uniform(0.85, 1.0)) + np.minimum(lumps, 0.6)
    through = (_noise(rng, shape, 1.0 / gsd_m) + 0.6 * _noise(rng, shape, 3.0 / gsd_m)) < rng.uniform(-0.1, 0.8)
    twigs = tall * np.clip(0.65 + 0.25 * _noise(rng, shape, 0.6 / gsd_m), 0.1, 1.0) * ~through
    return np.asarray(floor + np.where(bare, twigs, tall), np.float32)


def _holes(rng: Rng, dark: Plane, water: NDArray[np.bool_], leaves: NDArray[np.bool_], gsd_m: float) -> NDArray[np.bool_]:
    """Where matching failed: most water, much of deep shadow, some blotches anywhere."""
    shape = dark.shape
    blotch = _noise(rng, shape, 2.5 / gsd_m) + 0.5 * _noise(rng, shape, 0.8 / gsd_m)
    failed = (blotch > 2.6) | (water & (blotch > -0.6)) | ((dark > 0.55) & (blotch > 0.9)) | (leaves & (blotch > 1.9))
    return np.asarray(cv2.morphologyEx(failed.astype(np.uint8), cv2.MORPH_OPEN, _disc(0.25 / gsd_m)) > 0)


def _bridged(surface: Plane, holes: NDArray[np.bool_], gsd_m: float) -> Plane:
    """Holes filled smoothly from what is known around them."""
    known = (~holes).astype(np.float32)
    base = float(surface[~holes].mean()) if known.any() else 0.0
    out = surface - base
    for size_m in (8.0, 2.0, 0.7):
        weight = cv2.GaussianBlur(known, (0, 0), size_m / gsd_m)
        mean = cv2.GaussianBlur((surface - base) * known, (0, 0), size_m / gsd_m) / np.maximum(weight, 1e-6)
        out = np.where(holes & (weight > 0.02), mean, out)
    return np.asarray(out + base, np.float32)


def _bend(rng: Rng, shape: tuple[int, int]) -> Plane:
    """Tilt and doming of one to two decimetres over the whole."""
    v, u = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    a = rng.normal(0, (0.10, 0.04, 0.04, 0.05, 0.03, 0.05))
    return np.asarray(a[0] + a[1] * u + a[2] * v + a[3] * u * u + a[4] * u * v + a[5] * v * v, np.float32)


def _shown(rng: Rng, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """All but a cut corner and, now and then, a gap inside."""
    out = np.ones(shape, np.uint8)
    rows, cols = shape
    reach = rng.uniform(0.03, 0.14)
    corner = np.array([(0, 0), (cols * reach, 0), (0, rows * reach)])
    if rng.random() < 0.5:
        corner = np.abs(corner - (cols, rows))
    cv2.fillPoly(out, [np.rint(corner).astype(np.int32)], 0)
    if rng.random() < 0.4:
        at, size = rng.uniform(0.2, 0.8, 2) * (cols, rows), rng.uniform(8, 25)
        cv2.circle(out, (int(at[0]), int(at[1])), int(size), 0, -1)
    return out > 0


def _disc(radius: float) -> NDArray[np.uint8]:
    n = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n)), np.uint8)
