"""The grid an area owns: all its surveys are written on it, so before and after have the same shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from affine import Affine
from shapely.geometry import Polygon, box

from geo.errors import GeoError
from geo.frames import Floats, Frame


@dataclass(frozen=True, slots=True)
class Window:
    """A block of whole cells: rows `[row, row+rows)`, columns `[col, col+cols)`."""

    row: int
    col: int
    rows: int
    cols: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as array slices."""
        return slice(self.row, self.row + self.rows), slice(self.col, self.col + self.cols)

    def grown(self, cells: int, grid: Grid) -> Window:
        """The window with a margin on every side, cut at the grid's edge."""
        r0, c0 = max(0, self.row - cells), max(0, self.col - cells)
        r1, c1 = min(grid.rows, self.row + self.rows + cells), min(grid.cols, self.col + self.cols + cells)
        return Window(r0, c0, r1 - r0, c1 - c0)


@dataclass(frozen=True, slots=True)
class Grid:
    """North-up square cells. `west_m`, `north_m` are the outer corner of cell (0, 0), whole multiples of `gsd_m`."""

    frame: Frame
    gsd_m: float
    west_m: float
    north_m: float
    rows: int
    cols: int

    def __post_init__(self) -> None:
        if self.gsd_m <= 0 or self.rows <= 0 or self.cols <= 0:
            raise GeoError(f"an empty grid: {self.rows} x {self.cols} cells of {self.gsd_m} m")

    @staticmethod
    def over(frame: Frame, bounds_m: tuple[float, float, float, float], gsd_m: float) -> Grid:
        """The snapped grid that covers `(west, south, east, north)`; the same bounds give the same grid always."""
        west, south, east, north = bounds_m
        c0, c1 = math.floor(west / gsd_m + 1e-9), math.ceil(east / gsd_m - 1e-9)
        r0, r1 = math.floor(south / gsd_m + 1e-9), math.ceil(north / gsd_m - 1e-9)
        return Grid(frame, gsd_m, c0 * gsd_m, r1 * gsd_m, r1 - r0, c1 - c0)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    @property
    def transform(self) -> Affine:
        """Cell corner (col, row) to metres, as rasterio wants it."""
        return Affine(self.gsd_m, 0.0, self.west_m, 0.0, -self.gsd_m, self.north_m)

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """(west, south, east, north)."""
        return (
            self.west_m,
            self.north_m - self.rows * self.gsd_m,
            self.west_m + self.cols * self.gsd_m,
            self.north_m,
        )

    @property
    def outline_m(self) -> Polygon:
        """The rectangle it covers."""
        return box(*self.bounds_m)

    def centres(self, window: Window | None = None) -> tuple[Floats, Floats]:
        """x of each column `(cols,)` and y of each row `(rows,)` at cell centres."""
        w = window or Window(0, 0, self.rows, self.cols)
        x = self.west_m + (np.arange(w.col, w.col + w.cols) + 0.5) * self.gsd_m
        y = self.north_m - (np.arange(w.row, w.row + w.rows) + 0.5) * self.gsd_m
        return x.astype(np.float64), y.astype(np.float64)

    def cell(self, x_m: float, y_m: float) -> tuple[int, int]:
        """(row, col) of the cell that holds a place; may lie outside the grid."""
        return math.floor((self.north_m - y_m) / self.gsd_m), math.floor((x_m - self.west_m) / self.gsd_m)

    def window(self, bounds_m: tuple[float, float, float, float]) -> Window:
        """The cells that touch the bounds, cut at the grid's edge; raises GeoError when none does."""
        west, south, east, north = bounds_m
        r0, c0 = self.cell(west, north)
        r1, c1 = self.cell(east, south)
        r0, c0, r1, c1 = max(r0, 0), max(c0, 0), min(r1 + 1, self.rows), min(c1 + 1, self.cols)
        if r1 <= r0 or c1 <= c0:
            raise GeoError("the place lies outside the area's grid")
        return Window(r0, c0, r1 - r0, c1 - c0)

    def part(self, window: Window) -> Grid:
        """The grid of one window, on the same cells."""
        return Grid(
            self.frame,
            self.gsd_m,
            self.west_m + window.col * self.gsd_m,
            self.north_m - window.row * self.gsd_m,
            window.rows,
            window.cols,
        )

    def tiles(self, size: int) -> Iterator[Window]:
        """Windows of at most `size` x `size` cells that cover the grid once, row by row."""
        for row in range(0, self.rows, size):
            for col in range(0, self.cols, size):
                yield Window(row, col, min(size, self.rows - row), min(size, self.cols - col))
