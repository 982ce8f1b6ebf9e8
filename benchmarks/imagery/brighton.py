"""A real park on a slope, 18 photos of 9 Mpx, beside the point cloud that another program made of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import laspy
import numpy as np
from pyproj import CRS, Transformer

from benchmarks.imagery import fields, made
from benchmarks.imagery.fields import Heights
from benchmarks.report import Row
from geo.frames import Floats
from geo.grid import Grid
from imagery import raster

NAME = "brighton_beach"
_CELL_M = 0.1


def rows(folder: Path) -> list[Row]:
    """The survey, its height over the ground, and its surface against the cloud after a shift and a plane."""
    root = made.data("raw_surveys", NAME)
    survey = made.survey(root / "images", folder / "survey", date(2016, 6, 23))
    assert survey.surface is not None
    q = survey.quality
    k = max(1, round(_CELL_M / survey.grid.gsd_m))
    cell = survey.grid.gsd_m * k
    own = _coarser(raster.read_window(survey.surface), k)
    grid = Grid(survey.grid.frame, cell, survey.grid.west_m, survey.grid.north_m, *own.shape)
    cloud = _cloud(root / "reference" / "model.laz", grid)
    apart, moved = _laid(cloud, own, grid)
    flat = fields.slope_deg(own, cell, 0.5) < 12
    return [
        Row("photos registered", NAME, round(q.registered / q.given, 4), "", "higher", 0.98),
        Row("ground below the camera, off 40 m", NAME, round(abs((q.agl_m or 0) / 40 - 1), 4), "", "lower", 0.10),
        Row("surface to cloud, slopes < 12°, NMAD", NAME, round(fields.nmad(apart[flat]), 4), "m", "lower", 0.095),
        Row("surface to cloud, everywhere, NMAD", NAME, round(fields.nmad(apart), 4), "m", "lower"),
        Row("surface to cloud, shift taken away", NAME, round(float(np.hypot(*moved)), 2), "m", "lower"),
        Row("cells compared", NAME, int(np.isfinite(apart[flat]).sum()), "", "higher"),
    ]


def _coarser(heights: Heights, k: int) -> Heights:
    rows, cols = heights.shape[0] // k, heights.shape[1] // k
    with np.errstate(all="ignore"):
        return np.asarray(np.median(heights[: rows * k, : cols * k].reshape(rows, k, cols, k), axis=(1, 3)), np.float32)


def _cloud(path: Path, grid: Grid) -> Floats:
    """The cloud's points `(n, 3)` in the grid's frame."""
    cloud = laspy.read(path)
    crs = cloud.header.parse_crs() or CRS.from_epsg(32615)
    x, y = Transformer.from_crs(crs, grid.frame.epsg, always_xy=True).transform(np.asarray(cloud.x), np.asarray(cloud.y))
    return np.column_stack([x, y, np.asarray(cloud.z)])


def _heights(points: Floats, grid: Grid) -> Heights:
    """Median height of the points in each cell, NaN where there is none."""
    col = np.floor((points[:, 0] - grid.west_m) / grid.gsd_m).astype(int)
    row = np.floor((grid.north_m - points[:, 1]) / grid.gsd_m).astype(int)
    inside = (row >= 0) & (col >= 0) & (row < grid.rows) & (col < grid.cols)
    cell = row[inside] * grid.cols + col[inside]
    order = np.lexsort((points[inside, 2], cell))
    cells, start, count = np.unique(cell[order], return_index=True, return_counts=True)
    out = np.full(grid.rows * grid.cols, np.nan, np.float32)
    out[cells] = points[inside, 2][order][start + count // 2]
    return out.reshape(grid.shape)


def _laid(points: Floats, own: Heights, grid: Grid) -> tuple[Heights, tuple[float, float]]:
    """Own minus cloud after the horizontal shift and the plane that fit best, and that shift."""
    east = north = 0.0
    gy, gx = np.gradient(own, grid.gsd_m)
    xx, yy = np.meshgrid(np.arange(grid.cols) * grid.gsd_m, -np.arange(grid.rows) * grid.gsd_m)
    for _ in range(12):
        apart = own - _heights(points + np.array([east, north, 0.0]), grid)
        use = np.isfinite(apart) & np.isfinite(gx) & np.isfinite(gy) & (np.hypot(gx, gy) < 1.5)
        design = np.column_stack([gx[use], -gy[use], np.ones(use.sum()), xx[use], yy[use]])
        kept = np.ones(len(design), bool)
        for _ in range(4):
            fit = np.linalg.lstsq(design[kept], apart[use][kept], rcond=None)[0]
            error = apart[use] - design @ fit
            kept = np.abs(error) < 3 * fields.nmad(error)
        # own(x) - cloud(x - step) = own - cloud + slope . step
        east, north = east - fit[0], north - fit[1]
    plane = fit[2] + fit[3] * xx + fit[4] * yy
    return np.asarray(apart - plane, np.float32), (east, north)
