"""Small sums the imagery benchmarks share: robust spread, vegetation, rasters of other programs on our grid, slopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from scipy import ndimage

from geo.grid import Grid
from imagery import raster

Heights = NDArray[np.float32]
Mask = NDArray[np.bool_]


def nmad(values: NDArray[Any]) -> float:
    """Normalised median absolute deviation: the standard deviation if the values were normal (Höhle & Höhle 2009)."""
    known = values[np.isfinite(values)]
    return float(1.4826 * np.median(np.abs(known - np.median(known)))) if known.size else float("nan")


def onto(path: Path, grid: Grid, *, shift_m: tuple[float, float] = (0.0, 0.0), smooth: bool = True) -> NDArray[Any]:
    """A raster of another program on our grid, moved by `shift_m` east and north: `(rows, cols)` float32 NaN unknown, or RGBA."""
    with rasterio.open(path) as source:
        moved = grid.transform.translation(-shift_m[0], -shift_m[1]) * grid.transform
        how = Resampling.bilinear if smooth else Resampling.nearest
        with WarpedVRT(
            source, crs=grid.frame.epsg, transform=moved, width=grid.cols, height=grid.rows, resampling=how, add_alpha=False
        ) as laid:
            if source.count == 1:
                values = laid.read(1, masked=True).astype(np.float32)
                return np.asarray(values.filled(np.nan), np.float32)
            return np.moveaxis(laid.read(), 0, -1)


def green(ortho: Path, grid: Grid) -> Mask:
    """Vegetation by colour, with what lies within a metre of it: chromatic excess green over 0.04 (Woebbecke et al. 1995)."""
    rgb = raster.read_window(ortho).astype(np.float32)
    rgb = cv2.GaussianBlur(rgb, (0, 0), max(0.6, 0.25 / grid.gsd_m))
    excess = (2 * rgb[..., 1] - rgb[..., 0] - rgb[..., 2]) / np.maximum(rgb.sum(axis=2), 1)
    size = 2 * max(1, round(1.0 / grid.gsd_m)) + 1
    return np.asarray(cv2.dilate((excess > 0.04).astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def slope_deg(heights: Heights, cell_m: float, smooth_m: float = 0.3) -> Heights:
    """Steepness of a surface smoothed a little, degrees."""
    known = np.isfinite(heights)
    sigma = smooth_m / cell_m
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma)
    soft = cv2.GaussianBlur(np.where(known, heights, 0).astype(np.float32), (0, 0), sigma) / np.maximum(weight, 1e-3)
    soft[weight < 0.5] = np.nan
    dy, dx = np.gradient(soft, cell_m)
    return np.asarray(np.degrees(np.arctan(np.hypot(dx, dy))), np.float32)


def blobs(mask: Mask, least_m2: float, cell_m: float, opened_m: float = 0.5) -> int:
    """Connected patches of a mask that are left at `least_m2` after an opening."""
    size = max(1, round(opened_m / cell_m))
    names, count = ndimage.label(ndimage.binary_opening(mask, np.ones((size, size))))
    return int((np.bincount(names.ravel(), minlength=count + 1)[1:] * cell_m**2 >= least_m2).sum())
