"""The ground model against truth: lidar of a real town (2 m cells), and simulated towns with exactly known ground (10 cm cells).

Peers in the same run: one grey opening by a window wider than any house, and a plain SMRF (Pingel et al. 2013) with the settings its
authors recommend for towns, both filled in by the same interpolation as ours. The lidar's own ground is not without faults: two
buildings and a podium are left standing in it, which costs every method the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import geopandas
import numpy as np
from numpy.typing import NDArray

from benchmarks.imagery.made import data
from benchmarks.imagery.town import CENTRE, DEPTH_M, SEEDS, WIDTH_M
from benchmarks.imagery.truth import nmad
from benchmarks.report import Row
from geo.grid import Grid
from imagery import ground, raster
from simulator.town import make_town

Metres = NDArray[np.float32]
_PEERS = ("SMRF", "opening")


def rows(folder: Path) -> list[Row]:
    """Both sets; `folder` is not needed: nothing takes long."""
    found: list[Row] = []
    for seed in SEEDS:
        town = make_town(seed, centre=CENTRE, width_m=WIDTH_M, depth_m=DEPTH_M, margin_m=70.0)
        scene = town.scene(0)
        x, y = scene.origin.x_m, scene.origin.y_m
        grid = Grid.over(scene.frame, (x - WIDTH_M, y - DEPTH_M, x + WIDTH_M, y + DEPTH_M), 0.1)
        found += _judged(f"town {seed}, exact surface", scene.surface(grid), scene.bare_ground(grid), 0.1)
    return found + _lidar()


def _lidar() -> list[Row]:
    name = "usgs_2m"
    root = data("elevation", "usgs_2m")
    surface, truth = raster.read_window(root / "dsm.tif"), raster.read_window(root / "dtm.tif")
    grid = raster.grid_of(root / "dsm.tif")
    found = _judged(name, surface, truth, grid.gsd_m)
    houses = geopandas.read_file(root / "buildings.geojson").to_crs(grid.frame.epsg).geometry
    cells = [c for h in houses if (c := raster.inside(h.buffer(-1.0), grid) & np.isfinite(truth)).sum() >= 6]
    errors: dict[str, Metres] = {}
    for method, made in _methods(surface, grid.gsd_m).items():
        errors[method] = np.array([np.median((truth - made())[c]) for c in cells], np.float32)
    found += _pairs(f"roofs over ground, {len(cells)} houses: error of the median height", name, errors)
    return found


def _methods(surface: Metres, cell_m: float) -> dict[str, Callable[[], Metres]]:
    return {
        "ours": lambda: ground.model(surface, cell_m)[0],
        "SMRF": lambda: smrf(surface, cell_m),
        "opening": lambda: _filled(surface, np.abs(surface - _opening(surface, 61.0, cell_m)) < 0.5),
    }


def _judged(name: str, surface: Metres, truth: Metres, cell_m: float) -> list[Row]:
    errors, spent = {}, {}
    for method, made in _methods(surface, cell_m).items():
        start = time.process_time()
        found = made()
        spent[method] = time.process_time() - start
        known = np.isfinite(truth) & np.isfinite(found)
        errors[method] = (found - truth)[known]
    mpx = surface.size / 1e6
    return [
        *_pairs("ground", name, errors),
        Row("ground: speed", name, round(mpx / spent["ours"], 2), "Mpx/cpu-s", "higher", None, "SMRF", round(mpx / spent["SMRF"], 2)),
    ]  # fmt: skip


def _pairs(what: str, name: str, errors: dict[str, Metres]) -> list[Row]:
    figures: dict[str, Callable[[Metres], float]] = {
        "bias": lambda e: abs(float(np.median(e))),
        "NMAD": nmad,
        "RMSE": lambda e: float(np.sqrt((e**2).mean())),
        "share off by over 0.5 m": lambda e: float((np.abs(e) > 0.5).mean()),
    }
    return [
        Row(f"{what}: {figure}", name, _f(of(errors["ours"])), _unit(figure), "lower", None, peer, _f(of(errors[peer])))
        for figure, of in figures.items()
        for peer in _PEERS
    ]


def _f(value: float) -> float:
    return round(value, 3)


def _unit(figure: str) -> str:
    return "" if figure.startswith("share") else "m"


def smrf(surface: Metres, cell_m: float, slope: float = 0.15, window_m: float = 18.0, threshold_m: float = 0.5) -> Metres:
    """A plain Simple Morphological Filter: discs that grow cell by cell, a threshold of slope times radius, holes filled in."""
    k = max(1, round(1.0 / cell_m))  # the paper works on 1 m cells, lowest height in each
    low = _least(surface, k)
    cell = cell_m * k
    last, kept = low, np.ones(low.shape, bool)
    for radius in range(1, int(np.ceil(window_m / cell)) + 1):
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        opened = cv2.morphologyEx(last, cv2.MORPH_OPEN, disc)
        kept &= last - opened <= slope * radius * cell
        last = opened
    first = _filled(low, kept)
    rows, cols = surface.shape
    there = cv2.resize(first, (low.shape[1] * k, low.shape[0] * k), interpolation=cv2.INTER_LINEAR)[:rows, :cols]
    dy, dx = np.gradient(there, cell_m)
    return _filled(surface, np.abs(surface - there) <= threshold_m + 1.25 * np.hypot(dx, dy))


def _least(z: Metres, k: int) -> Metres:
    rows, cols = -(-z.shape[0] // k), -(-z.shape[1] // k)
    wide = np.full((rows * k, cols * k), np.float32(1e6))
    wide[: z.shape[0], : z.shape[1]] = z
    low: Metres = wide.reshape(rows, k, cols, k).min(axis=(1, 3))
    return low


def _opening(z: Metres, window_m: float, cell_m: float) -> Metres:
    size = int(window_m / cell_m) | 1
    kernel = np.ones((size, 1), np.uint8)
    low = cv2.erode(cv2.erode(z, kernel), kernel.T)
    opened: Metres = cv2.dilate(cv2.dilate(low, kernel), kernel.T)
    return opened


def _filled(z: Metres, kept: NDArray[np.bool_]) -> Metres:
    return ground.bridged(z, kept)
