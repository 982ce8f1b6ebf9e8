"""Known shifts on real ground: surfaces (Nuth & Kääb beside plain medians and phase correlation) and orthophotos (ours beside scikit-image).

Base: the surface and orthophoto of a real flight (planted/sheffield, before), read through a cubic spline so that both sides of a pair
are resampled alike, by amounts of less than a cell; a quarter of the second one is built over or replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from benchmarks.imagery import made
from benchmarks.report import Row
from geo.frames import Floats
from imagery import coregister, raster, residual

NAME = "planted_sheffield_before"
CHANGED = 0.25
PAIRS = 12
TILES = 80
_MARGIN = 20
Metres = coregister.Metres


def rows(folder: Path) -> list[Row]:
    """Accuracy and cost of ours and of the peers on the same pairs; `folder` stays empty."""
    root = made.data("planted", "sheffield")
    cv2.setNumThreads(1)
    return [*_surfaces(root / "dsm_before.tif"), *_pictures(root / "ortho_before.tif")]


def _surfaces(path: Path) -> list[Row]:
    cell_m = raster.grid_of(path).gsd_m
    heights = raster.read_window(path).astype(np.float64)
    heights[~np.isfinite(heights)] = np.nanmedian(heights)
    spline = ndimage.spline_filter(heights, order=3)
    out = []
    for target_m, side in ((0.06, 1200), (0.13, 900)):
        rng = np.random.default_rng(7)
        step = target_m / cell_m
        errors: dict[str, list[float]] = {"ours": [], "phase": [], "nothing": []}
        ups: dict[str, list[float]] = {"ours": [], "median": []}
        spent = 0.0
        for _ in range(PAIRS):
            east, north, up = rng.uniform(-0.5, 0.5, 3)
            at = [rng.uniform(_MARGIN, n - side * step - _MARGIN) for n in heights.shape]
            first = _read(spline, at, side, step)
            second = _read(spline, [at[0] + north / cell_m, at[1] - east / cell_m], side, step) + np.float32(up)
            second = _built_over(second, target_m, rng)
            first, second = (z + rng.normal(0, 0.03, z.shape).astype(np.float32) for z in (first, second))
            start = time.process_time()
            found = coregister.fit([(first, second, 0.0, 0.0)], target_m)
            spent += time.process_time() - start
            assert found is not None
            errors["ours"].append(float(np.hypot(found.east_m - east, found.north_m - north)))
            ups["ours"].append(abs(found.up_m - up))
            seen = _phase_correlation(first, second)
            errors["phase"].append(float(np.hypot(seen[0] * target_m - east, -seen[1] * target_m - north)))
            ups["median"].append(abs(float(np.median(second - first)) - up))
        name = f"{NAME}, surface {100 * target_m:.0f} cm"
        out += [
            Row(
                "surface shift, worst horizontal error, 25 % changed",
                name,
                1000 * max(errors["ours"]),
                "mm",
                "lower",
                5.0,
                "phase correlation of the surfaces (scikit-image)",
                1000 * max(errors["phase"]),
            ),
            Row(
                "surface shift, worst vertical error, 25 % changed",
                name,
                1000 * max(ups["ours"]),
                "mm",
                "lower",
                5.0,
                "median of the difference",
                1000 * max(ups["median"]),
            ),
            Row("surface shift, cost", name, side * side * PAIRS / spent / 1e6, "Mpx/cpu-s", "higher"),
        ]
    return out


def _pictures(path: Path) -> list[Row]:
    picture = residual.grey(raster.read_window(path)).astype(np.float64)
    spline = ndimage.spline_filter(picture, order=3)
    known = raster.read_mask(path)
    rng = np.random.default_rng(11)
    tile = residual.TILE
    errors: dict[str, list[float]] = {"ours": [], "normalised": [], "plain": []}
    spent = {"ours": 0.0, "normalised": 0.0}
    while len(errors["normalised"]) < TILES:
        east, north = rng.uniform(-3, 3, 2)
        row, col = (int(rng.integers(_MARGIN, n - tile - _MARGIN)) for n in picture.shape)
        if not known[row - _MARGIN : row + tile + _MARGIN, col - _MARGIN : col + tile + _MARGIN].all():
            continue
        first, second = _read(spline, [row, col], tile, 1.0), _read(spline, [row + north, col - east], tile, 1.0)
        patch = tile // 2
        r, c = rng.integers(0, tile - patch, 2)
        y, x = (int(rng.integers(_MARGIN, n - patch - _MARGIN)) for n in picture.shape)
        second = 0.8 * second + 20
        second[r : r + patch, c : c + patch] = picture[y : y + patch, x : x + patch]
        second = (second + rng.normal(0, 3, second.shape)).astype(np.float32)
        methods: dict[str, Callable[[], tuple[float, float] | None]] = {
            "ours": lambda a=first, b=second: _two(residual.shift(a, b)),
            "normalised": lambda a=first, b=second: _phase_correlation(a, b),
            "plain": lambda a=first, b=second: _phase_correlation(a, b, None),
        }
        for method, ask in methods.items():
            start = time.process_time()
            found = ask()
            if method in spent:
                spent[method] += time.process_time() - start
            if found is not None:
                errors[method].append(float(np.hypot(found[0] - east, found[1] + north)))
    name = f"{NAME}, orthophoto {100 * raster.grid_of(path).gsd_m:.0f} cm"
    peer = "phase correlation, normalised (scikit-image)"
    return [
        Row(
            "picture shift, median error, 25 % changed",
            name,
            float(np.median(errors["ours"])),
            "px",
            "lower",
            0.05,
            peer,
            float(np.median(errors["normalised"])),
        ),
        Row(
            "picture shift, 90th percentile of the error",
            name,
            float(np.percentile(errors["ours"], 90)),
            "px",
            "lower",
            None,
            peer,
            float(np.percentile(errors["normalised"], 90)),
        ),
        Row(
            "picture shift, median error, 25 % changed, against plain correlation",
            name,
            float(np.median(errors["ours"])),
            "px",
            "lower",
            0.05,
            "phase correlation, not normalised (scikit-image)",
            float(np.median(errors["plain"])),
        ),
        Row("picture shift, tiles answered", name, len(errors["ours"]) / TILES, "share", "higher", 0.9),
        Row(
            "picture shift, cost of a tile of 128 px",
            name,
            1000 * spent["ours"] / TILES,
            "cpu-ms",
            "lower",
            None,
            peer,
            1000 * spent["normalised"] / TILES,
        ),
    ]


def _read(spline: Floats, at: list[float], side: int, step: float) -> Metres:
    """`side` x `side` cells of a picture behind its spline, `step` of its cells wide, from a corner (row, col)."""
    row, col = np.meshgrid(np.arange(side) * step, np.arange(side) * step, indexing="ij")
    return np.asarray(ndimage.map_coordinates(spline, [at[0] + row, at[1] + col], order=3, prefilter=False), np.float32)


def _built_over(heights: Metres, cell_m: float, rng: np.random.Generator) -> Metres:
    """New flat roofs of 4 to 14 m until a quarter is changed."""
    out, changed = heights.copy(), np.zeros(heights.shape, bool)
    while changed.mean() < CHANGED:
        h, w = rng.integers(round(4 / cell_m), round(14 / cell_m), 2)
        r, c = (int(rng.integers(0, n - size)) for n, size in zip(heights.shape, (h, w), strict=True))
        out[r : r + h, c : c + w] = np.median(out[r : r + h, c : c + w]) + rng.uniform(1.5, 6)
        changed[r : r + h, c : c + w] = True
    return out


def _phase_correlation(first: Metres, second: Metres, normalization: str | None = "phase") -> tuple[float, float]:
    """(east, south) in cells that scikit-image finds, with the taper that its documentation asks for."""
    from skimage.registration import phase_cross_correlation

    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    a, b = ((v - v.mean()) * window for v in (first, second))
    shift, _, _ = phase_cross_correlation(a, b, upsample_factor=100, normalization=normalization)  # type: ignore[no-untyped-call]
    return -float(shift[1]), -float(shift[0])


def _two(found: tuple[float, float, float] | None) -> tuple[float, float] | None:
    return None if found is None else found[:2]
