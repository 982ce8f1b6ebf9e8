"""Point clouds for other programs: a reference's ground as LAZ in the UTM zone that OpenDroneMap works in."""

from __future__ import annotations

import math
from pathlib import Path

import laspy
import numpy as np
from pyproj import CRS, Transformer

from geo.frames import Floats, Frame
from imagery import raster
from imagery.reconstruct import Block
from imagery.surface import SurfaceFiles

_MOST = 4_000_000  # points: some ten megabytes


def of_reference(block: Block) -> Floats:
    """Points `(n, 3)` in frame metres: the surface that its survey keeps beside the block, else the block's sparse points."""
    surface = SurfaceFiles.of(block.folder.parent).surface
    if not surface.exists():
        return block.points
    grid = raster.grid_of(surface)
    thin = max(1, math.ceil(math.sqrt(grid.rows * grid.cols / _MOST)))
    heights = raster.read_window(surface, thin=thin)
    rows, cols = np.nonzero(np.isfinite(heights))
    cell = grid.gsd_m * thin
    return np.column_stack(
        [grid.west_m + (cols + 0.5) * cell, grid.north_m - (rows + 0.5) * cell, heights[rows, cols].astype(np.float64)]
    )


def write_laz(path: Path, points: Floats, frame: Frame) -> None:
    """Frame points `(n, 3)` as a LAZ file in metres of their WGS 84 UTM zone, to the millimetre.

    The zone and not the frame, because programs disagree on the order of axes of national systems.
    """
    to_degrees = Transformer.from_crs(frame.epsg, 4326, always_xy=True)
    lon, lat = to_degrees.transform(*points[:, :2].mean(axis=0))
    utm = (32600 if lat >= 0 else 32700) + math.floor((lon + 180) / 6) + 1
    x, y = Transformer.from_crs(frame.epsg, utm, always_xy=True).transform(points[:, 0], points[:, 1])
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales = np.full(3, 0.001)
    header.offsets = np.floor([x.min(), y.min(), points[:, 2].min()])
    header.add_crs(CRS.from_epsg(utm))
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = x, y, points[:, 2]
    with path.open("wb") as file:
        cloud.write(file, do_compress=True, laz_backend=laspy.LazBackend.Lazrs)
