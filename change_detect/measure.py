"""One row of features per region of changed height: what the rules read.

The region is measured in a window of its own with a margin, however the tiles fell. `lower`/`upper` are the surveys before/after for
something that rose, and after/before for something that was lost, so that "the object" always stands in `upper`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from change_detect.candidate import box_of
from change_detect.raster import Layers, Mask, Metres
from change_detect.spectral import Colours, bare_soil, colour_distance, greenness, greyness
from geo.frames import Floats
from geo.grid import Window

RING_M = 2.0
"""How far around a region its colours are compared with."""

GROUND_M = 12.0
"""How far around a region the ground is looked for: beyond the walls of the house it may stand on."""


@dataclass(frozen=True, slots=True)
class Features:
    """What was measured of one object; metres, square metres and shares 0..1."""

    area_m2: float
    length_m: float
    width_m: float
    gain_m: float
    gain_spread_m: float
    z: float
    rough_m: float
    planar: float
    rectangular: float
    core: float
    steep: float
    green_before: float
    green_after: float
    ground_green: float
    stood_m: float
    stood_rough_m: float
    beside_high: float
    road: float
    colour: float
    unmeasured: float
    unseen: float
    soil: float = 0.0


def body_of(gain: Metres, near: Mask, gsd_m: float) -> Mask:
    """The object inside its region: cells over half its own height, opened by half a metre, the largest part, holes closed.

    Half height is where an edge lies after a surface has smeared it; the opening cuts a tree that touches a roof.
    """
    # nothing but the region's own surroundings is looked at: the window around it is a hundred times larger
    tight = _grown(box_of(near), 0.3 / gsd_m + 4, near.shape).slices
    out = np.zeros(near.shape, bool)
    out[tight] = _body(gain[tight], near[tight], gsd_m)
    return out


def _body(gain: Metres, near: Mask, gsd_m: float) -> Mask:
    tall = float(np.percentile(gain[near], 60))
    reach = cv2.dilate(near.astype(np.uint8), _square(0.3 / gsd_m)) > 0
    body = reach & (cv2.medianBlur(gain, 5) > 0.5 * tall)
    body = _largest(cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_OPEN, _round(0.5 / gsd_m)) > 0)
    for size_m in (1.0, 2.0):  # a wider cut only where nearly all remains: an arm may be thin, a neck to a tree is thinner
        opened = _largest(cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_OPEN, _round(size_m / gsd_m)) > 0)
        if opened.sum() > 0.7 * body.sum():
            body = opened
    filled = body.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    holes = np.zeros_like(filled)
    cv2.drawContours(holes, outlines, -1, 1, cv2.FILLED)
    holes -= filled
    count, labels, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=4)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] * gsd_m**2 < 4.0:
            filled[labels == label] = 1
    return filled > 0


def measure(lower: Layers, upper: Layers, gain: Metres, z: Metres, body: Mask, sigma_xy_m: float, gsd_m: float) -> Features:
    """Features of one object whose cells are `body`; all arrays cover the same window."""
    assert lower.surface is not None and upper.surface is not None
    slack = max(0.25, sigma_xy_m)
    tight = _grown(box_of(body), max(RING_M, 1.0, slack + 0.4) / gsd_m + 4, body.shape)
    ground_m = _ground(lower.surface, upper.surface, body, gsd_m)
    lower, upper = lower.part(tight), upper.part(tight)
    assert lower.surface is not None and upper.surface is not None
    gain, z, body = gain[tight.slices], z[tight.slices], body[tight.slices]
    cells = body.astype(np.uint8)
    known = np.isfinite(lower.surface) & np.isfinite(upper.surface)
    core = cv2.erode(cells, _round(0.5 / gsd_m)) > 0
    inner = core if core.sum() >= 20 else body
    seen = inner & known if (inner & known).any() else body
    gains = gain[seen].astype(np.float64)
    length, width = _sides(body, gsd_m)
    around = cv2.dilate(cells, _round(1.0 / gsd_m)) > 0
    ring = (cv2.dilate(cells, _round(2 * RING_M / gsd_m)) > 0) & ~around & known
    close = around & ~body & known
    below = np.median(lower.surface[seen]) if known[seen].any() else np.float32(0.0)
    if ground_m is None:  # nothing around: it stands on the ground
        ground_m = float(below)
    stood = float(below) - ground_m
    foot = cv2.dilate(cells, _square(slack / gsd_m)) > 0
    outside = (cv2.dilate(foot.astype(np.uint8), _square(0.4 / gsd_m)) > 0) & ~foot & known
    tall = float(np.median(gains))
    was_green = greenness(lower.ortho)
    return Features(
        area_m2=float(body.sum()) * gsd_m**2,
        length_m=length,
        width_m=width,
        gain_m=tall,
        gain_spread_m=float(np.subtract(*np.percentile(gains, [84, 16]))) / 2,
        z=float(np.median(z[seen])),
        rough_m=_roughness(upper.surface, seen, gsd_m),
        planar=planar_share(upper.surface, seen, gsd_m),
        rectangular=float(body.sum()) * gsd_m**2 / max(length * width, 1e-6),
        core=float(core.sum()) / float(body.sum()),
        steep=float(np.mean(gain[outside] < 0.35 * tall)) if outside.any() else 1.0,
        green_before=_mean(was_green, body & lower.shown),
        green_after=_mean(greenness(upper.ortho), body & upper.shown),
        ground_green=_mean(was_green, ring & lower.shown),
        stood_m=stood,
        stood_rough_m=_roughness(lower.surface, seen, gsd_m),
        beside_high=float(np.mean((lower.surface[close] - ground_m) > max(1.8, 0.6 * tall))) if close.any() else 0.0,
        road=_mean(greyness(lower.ortho), ring & lower.shown),
        colour=_mean(colour_distance(lower.ortho, upper.ortho), body & lower.shown & upper.shown),
        unmeasured=_filled_share(lower, upper, body),
        unseen=1.0 - float(np.mean((lower.valid & upper.valid & known)[around])),
        soil=_mean(bare_soil(Colours.of(upper.ortho, upper.shown)).astype(np.float32), body & upper.shown),
    )


def _ground(lower: Metres, upper: Metres, body: Mask, gsd_m: float) -> float | None:
    """The ground around an object: the lowest tenth of what stood there, pits and noise left out; None when too little is known."""
    tight = _grown(box_of(body), GROUND_M / gsd_m + 1, body.shape).slices
    cells = body[tight].astype(np.uint8)
    side = 2 * max(1, round(GROUND_M / gsd_m)) + 1
    reached = cv2.boxFilter(cells, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT) > 0.5
    reached &= cv2.dilate(cells, _round(1.0 / gsd_m)) == 0
    values = lower[tight][reached]
    values = values[np.isfinite(values) & np.isfinite(upper[tight][reached])]
    return float(np.percentile(values, 10)) if values.size > 50 else None


def _grown(window: Window, margin: float, shape: tuple[int, ...]) -> Window:
    m = math.ceil(margin)
    row, col = max(0, window.row - m), max(0, window.col - m)
    end_row, end_col = min(shape[0], window.row + window.rows + m), min(shape[1], window.col + window.cols + m)
    return Window(row, col, end_row - row, end_col - col)


def planar_share(surface: Metres, cells: Mask, gsd_m: float, planes: int = 2, tolerance_m: float = 0.15) -> float:
    """Share of cells that lie on the best `planes` planes within the tolerance, by a fixed-seed search (a gable has two)."""
    rows, cols = np.nonzero(cells & np.isfinite(surface))
    if len(rows) < 12:
        return 0.0
    step = max(1, len(rows) // 1500)
    p = np.column_stack([cols[::step] * gsd_m, rows[::step] * gsd_m, surface[rows[::step], cols[::step]]]).astype(np.float64)
    p -= p.mean(0)
    total, left = len(p), p
    rng = np.random.default_rng(len(rows))
    for _ in range(planes):
        if len(left) < 12:
            break
        on = _best_plane(left, rng, tolerance_m)
        left = left[~on]
    return 1.0 - len(left) / total


def _best_plane(p: Floats, rng: np.random.Generator, tolerance_m: float) -> Mask:
    """Which of `(n, 3)` points lie on the fullest of 60 planes through three of them."""
    a, b, c = (p[i] for i in rng.integers(0, len(p), (3, 60)))
    u, v = b - a, c - a
    normal = np.column_stack(
        [u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1], u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2], u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]]
    )
    # steeper than 60 degrees is no roof (and three points in a line make no plane)
    usable = np.abs(normal[:, 2]) > 0.5 * np.linalg.norm(normal, axis=1)
    if not usable.any():
        return np.zeros(len(p), bool)
    normal = normal[usable] / normal[usable, 2:]
    on = np.abs(p @ normal.T - np.einsum("ij,ij->i", a[usable], normal)) < tolerance_m
    best: Mask = on[:, int(on.sum(0).argmax())]
    return best


def _roughness(surface: Metres, cells: Mask, gsd_m: float) -> float:
    """Median distance of the surface from its own mean over 1.5 m, counted inside the object: 0 on any plane, leaves are 0.2 m and more."""
    inside = (cells & np.isfinite(surface)).astype(np.float32)
    if not inside.any():
        return 0.0
    base = float(np.median(surface[inside > 0]))
    values = np.where(inside > 0, surface - np.float32(base), np.float32(0)).astype(np.float32)
    k = max(3, round(1.5 / gsd_m) | 1)
    share = cv2.blur(inside, (k, k))
    mean = cv2.blur(values, (k, k)) / np.maximum(share, 1e-6)
    whole = (inside > 0) & (share > 0.98)
    where = whole if whole.sum() > 30 else inside > 0
    return float(np.median(np.abs(values - mean)[where]))


def _sides(body: Mask, gsd_m: float) -> tuple[float, float]:
    rows, cols = np.nonzero(body)
    (_, _), (w, h), _ = cv2.minAreaRect(np.column_stack([cols, rows]).astype(np.float32))
    return (max(w, h) + 1) * gsd_m, (min(w, h) + 1) * gsd_m


def _mean(values: Metres, cells: Mask) -> float:
    return float(values[cells].mean()) if cells.any() else 0.0


def _filled_share(lower: Layers, upper: Layers, body: Mask) -> float:
    flags = [x.filled for x in (lower, upper) if x.filled is not None]
    return max((float(f[body].mean()) for f in flags), default=0.0)


def _largest(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count <= 1:
        return mask
    out: Mask = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return out


def _round(diameter: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    n = max(3, round(diameter) | 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n)), np.uint8)


def _square(radius: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    n = 2 * max(1, round(radius)) + 1
    return np.ones((n, n), np.uint8)
