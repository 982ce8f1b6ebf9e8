"""What a survey lacks, as polygons to fly again: ground not shown, seen by too few photos, or not lying on the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from geo.area import Area
from geo.grid import Grid
from imagery import pairs, raster
from imagery.reconstruct import Block

Mask = NDArray[np.bool_]

LEAST_PHOTOS = 2
"""Ground seen by fewer photos has no measured height."""

_CELL_M = 1.0
_MOST_CELLS = 1500
_LEAST_M2 = 25.0  # a smaller hole is bridged, not flown for
_SLIVER_M = 2.0  # a strip narrower than this along the outline is no hole
_OUTWARD_M = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """`outline_m`: what to fly again, in metres of the frame, a little more than what is missing, clipped to the area; empty without a
    gap. The shares are of the area.
    """

    outline_m: MultiPolygon
    unseen: float
    thin: float
    refused: float

    @property
    def area_m2(self) -> float:
        """Of all parts."""
        return float(self.outline_m.area)


def coarse(grid: Grid) -> tuple[Grid, int]:
    """The area's grid on cells of about a metre, and how many of its cells go into one side of them."""
    thin = max(1, round(_CELL_M / grid.gsd_m), -(-max(grid.shape) // _MOST_CELLS))
    rows, cols = -(-grid.rows // thin), -(-grid.cols // thin)
    return Grid(grid.frame, grid.gsd_m * thin, grid.west_m, grid.north_m, rows, cols), thin


def photos_over(block: Block, grid: Grid) -> NDArray[np.uint16]:
    """How many photos see each cell of a coarse grid, `(rows, cols)`, by their outlines on level ground."""
    counts = np.zeros(grid.shape, np.uint16)
    ground = float(np.median(block.points[:, 2])) if len(block.points) else 0.0
    for index in range(len(block.views)):
        outline = pairs.footprint(block, index, ground)
        if outline is not None and outline.intersects(grid.outline_m):
            counts += raster.inside(outline, grid)
    return counts


def find(
    area: Area, grid: Grid, known: Mask, counts: NDArray[np.uint16] | None = None, refused: Sequence[BaseGeometry] = ()
) -> Gap:
    """The gap of a survey: `known` and `counts` lie on the coarse `grid`, `refused` are outlines in metres."""
    wanted = raster.inside(area.outline_m, grid)
    total = max(1, int(wanted.sum()))
    unseen = wanted & ~known
    thin = wanted & known & (counts < LEAST_PHOTOS) if counts is not None else np.zeros_like(wanted)
    bad = wanted & raster.inside(unary_union(list(refused)), grid) if refused else np.zeros_like(wanted)
    shares = (float(m.sum()) / total for m in (unseen, thin, bad & ~unseen & ~thin))
    return Gap(_outlines(unseen | thin | bad, area, grid), *shares)


def _outlines(missing: Mask, area: Area, grid: Grid) -> MultiPolygon:
    """Polygons around what is missing: slivers dropped, close parts joined, simplified so that nothing missing falls outside."""
    cells = max(1, round(_SLIVER_M / grid.gsd_m))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (cells + 1, cells + 1))
    # What lies beyond the grid counts as missing while slivers are dropped, so that a hole at the edge is no sliver for its edge.
    core = cv2.erode(missing.astype(np.uint8), kernel, borderValue=1)
    parts = [p for p in raster.outlines(core > 0, grid) if p.area > 0]
    if not parts:
        return MultiPolygon()
    # Grown back and a little more; simplifying moves the border by at most what it was grown beyond.
    grown = unary_union([p.buffer(cells * grid.gsd_m + 2 * _OUTWARD_M, quad_segs=2) for p in parts]).simplify(_OUTWARD_M)
    cut = grown.intersection(area.outline_m)
    kept = [p for p in getattr(cut, "geoms", (cut,)) if isinstance(p, Polygon) and p.area >= _LEAST_M2]
    return MultiPolygon([Polygon(p.exterior) for p in kept])
