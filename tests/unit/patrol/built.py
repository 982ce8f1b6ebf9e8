"""A small store where something was built between two surveys: adopted orthophotos and surfaces, real files, real comparison."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from shapely import affinity
from shapely.geometry import Polygon, box

from geo.area import Area, AreaId
from imagery import raster
from patrol import records
from patrol.pipeline import surveying
from patrol.wiring import Workplace

PLACE = (120.55, 32.38)
SPREAD_DEG = (0.0009, 0.0007)
GSD_M = 0.2


@dataclass(frozen=True)
class Block:
    """A flat box: metres east and south of the area's north-west corner, its size, and its height over the ground."""

    east_m: float
    south_m: float
    width_m: float
    depth_m: float
    height_m: float

    def outline_m(self) -> Polygon:
        west, _, _, north = area().grid().bounds_m
        shape = box(0, -self.depth_m, self.width_m, 0)
        return affinity.translate(shape, west + self.east_m, north - self.south_m)


def area() -> Area:
    """Some 85 by 78 metres of Rugao."""
    x, y = PLACE
    return Area(AreaId("a1"), "测试单元", box(x, y, x + SPREAD_DEG[0], y + SPREAD_DEG[1]), gsd_m=GSD_M)


def adopted(work: Workplace, folder: Path, day: date, blocks: tuple[Block, ...] = ()) -> records.SurveyRecord:
    """A survey of textured, gently sloping ground with blocks on it; ground and texture are the same on every day."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = area().grid()
    rng, own = np.random.default_rng(1), np.random.default_rng(day.toordinal())
    base = rng.integers(60, 190, (grid.rows // 6 + 2, grid.cols // 6 + 2, 1)).astype(np.uint8)
    grey = cv2.resize(base, (grid.cols, grid.rows), interpolation=cv2.INTER_CUBIC)
    ortho = np.stack([grey, (grey * 0.93).astype(np.uint8), (grey * 0.85).astype(np.uint8)], axis=-1)
    v, u = np.mgrid[: grid.rows, : grid.cols] * GSD_M
    surface = 4.0 + 0.01 * u + own.normal(0, 0.03, grid.shape)
    for b in blocks:
        on = (u >= b.east_m) & (u < b.east_m + b.width_m) & (v >= b.south_m) & (v < b.south_m + b.depth_m)
        surface[on] = float(np.median(surface[on])) + b.height_m + own.normal(0, 0.02, int(on.sum()))
        ortho[on] = (70, 100, 190)
    noisy = np.clip(ortho + own.normal(0, 2.0, ortho.shape), 0, 255).astype(np.uint8)
    with raster.written(folder / "ortho.tif", grid, "uint8", bands=3) as out:
        for window in grid.tiles(512):
            out.write(window, noisy[window.slices], np.ones((window.rows, window.cols), bool))
    raster.write_float(folder / "surface.tif", grid, surface.astype(np.float32))
    return surveying.adopt(work, folder / "ortho.tif", "a1", day, by="test", surface=folder / "surface.tif", gsd_m=GSD_M)
