"""A made-up place for tests of change: sloping textured ground, houses, trees, and boxes put on it; written as survey files."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import rasterio

from change_detect.raster import Source
from geo.frames import Frame
from geo.grid import Grid

FRAME = Frame(4549)
GSD_M = 0.2
WEST_M, NORTH_M = 500_000.0, 3_580_000.0


@dataclass(frozen=True)
class Box:
    """An upright box: corner (east, south) metres from the north-west corner of the place, sizes in metres."""

    east_m: float
    south_m: float
    width_m: float
    depth_m: float
    height_m: float
    colour: tuple[int, int, int] = (70, 100, 190)


@dataclass
class Place:
    """Ground with texture that two surveys share, and what stands on it."""

    seed: int
    rows: int = 300
    cols: int = 300
    boxes: list[Box] = field(default_factory=list)
    trees: list[tuple[float, float, float]] = field(default_factory=list)  # east, south, radius
    ground_colour: tuple[int, int, int] = (150, 130, 105)

    def grid(self, shift: tuple[int, int] = (0, 0)) -> Grid:
        return Grid(FRAME, GSD_M, WEST_M + shift[1] * GSD_M, NORTH_M - shift[0] * GSD_M, self.rows, self.cols)

    def layers(self, flight: int, tone: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """(ortho uint8, surface float32): the same ground always, noise and leaves by the flight."""
        same = np.random.default_rng(self.seed)
        own = np.random.default_rng((self.seed, flight))
        shape = (self.rows, self.cols)
        v, u = np.mgrid[: self.rows, : self.cols] * GSD_M
        surface = 20.0 + 0.02 * u + 0.01 * v
        blotch = sum(
            cv2.GaussianBlur(same.standard_normal(shape), (0, 0), s) * s * a for s, a in ((1.5, 14.0), (5, 14.0), (20, 10.0))
        )
        ortho = np.array(self.ground_colour, float) + blotch[..., None]
        for e, s, r in self.trees:
            d2 = ((u - e) ** 2 + (v - s) ** 2) / r**2
            crown = d2 < 1
            rough = cv2.GaussianBlur(own.standard_normal(shape), (0, 0), 1.2) * 3.0
            surface[crown] += (4.0 * np.sqrt(1 - d2[crown])) + rough[crown]
            ortho[crown] = np.array([60, 110, 45]) + 12 * rough[crown][:, None]
        for b in self.boxes:
            on = (u >= b.east_m) & (u < b.east_m + b.width_m) & (v >= b.south_m) & (v < b.south_m + b.depth_m)
            surface[on] = float(np.median(surface[on])) + b.height_m
            ortho[on] = b.colour
        surface = surface + own.normal(0, 0.03, shape)
        ortho = ortho * tone + own.normal(0, 2.0, (*shape, 3))
        return np.clip(ortho, 0, 255).astype(np.uint8), surface.astype(np.float32)


def source(
    place: Place,
    folder: Path,
    name: str,
    *,
    flight: int,
    taken_on: date,
    heights: bool = True,
    tone: float = 1.0,
    shift: tuple[int, int] = (0, 0),
    lift_m: float = 0.0,
) -> Source:
    """The place written as one survey's files; `shift` moves the whole grid by cells, `lift_m` raises the surface."""
    ortho, surface = place.layers(flight, tone)
    grid = place.grid(shift)
    path, heights_path = folder / f"{name}.tif", folder / f"{name}_surface.tif"
    write(path, ortho, grid)
    if heights:
        write(heights_path, surface + np.float32(lift_m), grid)
    return Source.of(path, surface=heights_path if heights else None, taken_on=taken_on)


def write(path: Path, values: np.ndarray, grid: Grid) -> None:
    """A tiled GeoTIFF: uint8 `(rows, cols, 3)` or float32 `(rows, cols)` with NaN unknown."""
    bands = np.moveaxis(values, -1, 0) if values.ndim == 3 else values[None]
    extra = {"photometric": "RGB"} if values.ndim == 3 else {"nodata": float("nan")} if values.dtype == np.float32 else {}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.cols,
        height=grid.rows,
        count=len(bands),
        dtype=str(values.dtype),
        crs=f"EPSG:{grid.frame.epsg}",
        transform=grid.transform,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        **extra,
    ) as out:
        out.write(bands)
