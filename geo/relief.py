"""Relief (地形): ground heights on a grid of a metric frame, asked one place at a time or under a whole outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geo.errors import GeoError
from geo.frames import Floats, Frame
from geo.heights import Datum


@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """Heights `(rows, cols)` in metres over `datum`, NaN where unknown; row 0 is the north one.

    `west_m` and `north_m` are the outer corner of the grid, `step_m` the side of a cell. Called with x and y it is a ground like any other.
    """

    heights_m: NDArray[np.floating]
    frame: Frame
    west_m: float
    north_m: float
    step_m: float
    datum: Datum = Datum.SEA_LEVEL

    def __post_init__(self) -> None:
        if self.heights_m.ndim != 2 or not self.heights_m.size or not self.step_m > 0:
            raise GeoError(f"a relief is a grid (rows, cols) of cells above 0 m, not {self.heights_m.shape} of {self.step_m} m")
        if self.datum not in {Datum.SEA_LEVEL, Datum.ELLIPSOID}:
            raise GeoError(f"ground heights count over the sea or the ellipsoid, not over {self.datum}")

    def __call__(self, x_m: float, y_m: float) -> float:
        """The height of the cell at a place, NaN outside the grid and where it is unknown."""
        return float(self.heights(np.array([x_m]), np.array([y_m]))[0])

    def heights(self, x_m: Floats, y_m: Floats) -> Floats:
        """Heights of the cells at places `(n,)`, NaN where unknown."""
        rows, cols = np.floor((self.north_m - y_m) / self.step_m), np.floor((x_m - self.west_m) / self.step_m)
        inside = (rows >= 0) & (rows < self.heights_m.shape[0]) & (cols >= 0) & (cols < self.heights_m.shape[1])
        found = np.full(len(rows), np.nan)
        found[inside] = self.heights_m[rows[inside].astype(int), cols[inside].astype(int)]
        return found

    def under(self, outline_m: BaseGeometry) -> tuple[float, float] | None:
        """Lowest and highest ground of all cells that the outline (metres of the frame) touches; None where one of them is unknown."""
        west, south, east, north = outline_m.bounds
        first_row, last_row = int((self.north_m - north) // self.step_m), int((self.north_m - south) // self.step_m)
        first_col, last_col = int((west - self.west_m) // self.step_m), int((east - self.west_m) // self.step_m)
        if first_row < 0 or first_col < 0 or last_row >= self.heights_m.shape[0] or last_col >= self.heights_m.shape[1]:
            return None
        rows, cols = np.mgrid[first_row : last_row + 1, first_col : last_col + 1]
        x, y = self.west_m + cols * self.step_m, self.north_m - rows * self.step_m
        touched = shapely.intersects(outline_m, shapely.box(x, y - self.step_m, x + self.step_m, y))
        heights = self.heights_m[rows[touched], cols[touched]]
        return None if np.isnan(heights).any() else (float(heights.min()), float(heights.max()))
