"""The one door to GDAL of this package: windows of a survey's files, read onto one working grid.

All arrays are `(rows, cols)` on that grid, heights in metres, NaN where unknown. A file on the same cells, or on cells a whole number
of times finer, is read directly (through its overviews); any other is resampled on the way.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as FileWindow
from shapely.geometry import MultiPolygon, Polygon

from change_detect.errors import RasterError
from geo.frames import Frame
from geo.grid import Grid, Window

Bytes = NDArray[np.uint8]
Metres = NDArray[np.float32]
Mask = NDArray[np.bool_]

WORKING_GSD_M = 0.10
"""Change is sought at about this cell: a finer one costs four times the work and finds nothing more (objects are metres wide)."""

DRIVERS = ("GTiff", "JPEG", "PNG", "JP2OpenJPEG")
"""Never VRT: a few hundred bytes of it read any file of the machine. Checked before the first pixel is read."""


@dataclass(frozen=True, slots=True)
class Layers:
    """One survey in one window.

    Args:
        ortho: uint8 `(rows, cols, 3)`, red green blue.
        valid: `(rows, cols)`, True where the ortho shows ground.
        surface: float32 `(rows, cols)` metres, NaN unknown; None when the survey has no surface.
        sigma: float32 `(rows, cols)` one standard deviation of the surface in metres; None when not known.
        filled: `(rows, cols)` True where the surface was bridged, not measured; None when not known.
        doubtful: `(rows, cols)` True where the ortho may show a wall or roof that leans over the place; None when not known.
    """

    ortho: Bytes
    valid: Mask
    surface: Metres | None
    sigma: Metres | None
    filled: Mask | None
    doubtful: Mask | None = None

    def __post_init__(self) -> None:
        shape = self.valid.shape
        if self.ortho.shape != (*shape, 3):
            raise RasterError(f"an ortho of shape {self.ortho.shape} does not fit a mask of shape {shape}")
        for name in ("surface", "sigma", "filled", "doubtful"):
            layer = getattr(self, name)
            if layer is not None and layer.shape != shape:
                raise RasterError(f"the {name} layer of shape {layer.shape} does not fit the ortho's {shape}")

    @property
    def shown(self) -> Mask:
        """Where the ortho's colours are those of the place itself: what leans differently on two dates has not changed."""
        return self.valid if self.doubtful is None else self.valid & ~self.doubtful


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one survey and the working grid its windows are read on; in `refused` (metres of its frame) it is not to be
    compared, and is read as unknown.
    """

    ortho: Path
    surface: Path | None
    sigma: Path | None
    filled: Path | None
    taken_on: date
    grid: Grid
    refused: Polygon | MultiPolygon | None = None
    flags: Path | None = None

    @staticmethod
    def of(
        ortho: Path,
        *,
        taken_on: date,
        surface: Path | None = None,
        sigma: Path | None = None,
        filled: Path | None = None,
        flags: Path | None = None,
        grid: Grid | None = None,
        refused: Polygon | MultiPolygon | None = None,
    ) -> Source:
        """A survey by its files; without a grid it works on the ortho's own cells, thinned to about 10 cm.

        Raises RasterError when a file is missing, unreadable or lies elsewhere.
        """
        own = grid_of(ortho)
        source = Source(ortho, surface, sigma, filled, taken_on, grid or working_grid(own), refused, flags)
        for path in (surface, sigma, filled, flags):
            if path is not None:
                _must_overlap(path, source.grid)
        _must_overlap(ortho, source.grid)
        return source

    def on(self, grid: Grid) -> Source:
        """The same survey read on other cells."""
        return replace(self, grid=grid)

    def read(self, window: Window, *, pixels: bool = True) -> Layers:
        """The layers of one window of the working grid; cells outside the files are unknown.

        Without `pixels` the ortho is left unread: black, and valid nowhere (three quarters of the time where only heights count).
        """
        part = self.grid.part(window)
        if pixels:
            colours, valid = _read_ortho(self.ortho, part)
        else:
            colours, valid = np.zeros((*part.shape, 3), np.uint8), np.zeros(part.shape, bool)
        surface = None if self.surface is None else _read_metres(self.surface, part)
        sigma = None if self.sigma is None else _read_metres(self.sigma, part)
        filled = None if self.filled is None else _read_flags(self.filled, part)
        doubtful = None if self.flags is None or not pixels else _read_flags(self.flags, part)
        if self.refused is not None and not self.refused.is_empty and self.refused.intersects(part.outline_m):
            hidden = cells_inside(self.refused, part)
            valid = valid & ~hidden
            if surface is not None:
                surface[hidden] = np.nan
        return Layers(colours, valid, surface, sigma, filled, doubtful)


def grid_of(path: Path) -> Grid:
    """The grid a north-up file is written on; raises RasterError when it has none."""
    with _opened(path) as file:
        if file.crs is None or file.transform.is_identity:
            raise RasterError(f"{path.name} has no georeference: bring it in as a survey of the area first, which registers it")
        epsg = file.crs.to_epsg()
        if epsg is None:
            raise RasterError(f"{path.name}: its coordinate system has no EPSG code; write it in the area's own frame")
        t = file.transform
        if abs(t.b) > 1e-9 or abs(t.d) > 1e-9 or abs(t.a + t.e) > 1e-6 * t.a:
            raise RasterError(f"{path.name}: its cells are turned or not square; write it north-up on the area's grid")
        return Grid(Frame(epsg), float(t.a), float(t.c), float(t.f), int(file.height), int(file.width))


def working_grid(grid: Grid, gsd_m: float = WORKING_GSD_M) -> Grid:
    """The grid thinned by a whole number so that its cells come near `gsd_m` (never finer than the file)."""
    factor = max(1, round(gsd_m / grid.gsd_m))
    if factor == 1:
        return grid
    return Grid(grid.frame, grid.gsd_m * factor, grid.west_m, grid.north_m, -(-grid.rows // factor), -(-grid.cols // factor))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `grid_of` says it in a sentence of its own
            opened = rasterio.open(path)
        with opened as file:
            if file.driver not in DRIVERS:
                raise RasterError(f"{path.name} is a {file.driver} file: give a GeoTIFF")
            yield file
    except RasterioError as err:
        raise RasterError(f"{path} cannot be read as an image with a place: {err}") from err


def _must_overlap(path: Path, grid: Grid) -> None:
    own = grid_of(path)
    if own.frame != grid.frame:
        raise RasterError(
            f"{path.name} is in EPSG:{own.frame.epsg}, the area works in EPSG:{grid.frame.epsg}: write it in that frame"
        )
    w, s, e, n = grid.bounds_m
    ow, os_, oe, on = own.bounds_m
    if ow >= e or oe <= w or os_ >= n or on <= s:
        raise RasterError(f"{path.name} shows another place: {own.bounds_m} does not touch the area's {grid.bounds_m}")


def _read_ortho(path: Path, part: Grid) -> tuple[Bytes, Mask]:
    with _opened(path) as file:
        bands = [1, 2, 3] if file.count >= 3 else [1, 1, 1]
        if file.dtypes[0] != "uint8":
            raise RasterError(f"{path.name}: an ortho has 8 bits per band, this one has {file.dtypes[0]}")
        pixels, mask = _read(file, part, bands, Resampling.average)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), mask


def _read_metres(path: Path, part: Grid) -> Metres:
    with _opened(path) as file:
        values, mask = _read(file, part, [1], Resampling.average)
    out: Metres = values[0].astype(np.float32, copy=False)
    out[~mask | ~np.isfinite(out)] = np.nan
    return out


def _read_flags(path: Path, part: Grid) -> Mask:
    with _opened(path) as file:
        values, mask = _read(file, part, [1], Resampling.nearest)
    flags: Mask = (values[0] != 0) & mask
    return flags


def _read(file: Any, part: Grid, bands: list[int], thinning: Resampling) -> tuple[Any, Mask]:
    """Bands `(n, rows, cols)` and what of them is known, on the cells of `part`."""
    own = file.transform
    factor = part.gsd_m / own.a
    col, row = (part.west_m - own.c) / own.a, (own.f - part.north_m) / own.a
    same_cells = all(abs(v - round(v)) < 1e-3 for v in (factor, col, row)) and round(factor) >= 1
    f, c0, r0 = round(factor), round(col), round(row)
    inside = c0 >= 0 and r0 >= 0 and c0 + part.cols * f <= file.width and r0 + part.rows * f <= file.height
    if same_cells and inside:
        where = FileWindow(c0, r0, part.cols * f, part.rows * f)
        how = thinning if f > 1 else Resampling.nearest
        values = file.read(bands, window=where, out_shape=(len(bands), part.rows, part.cols), resampling=how)
        mask = file.read_masks(bands[0], window=where, out_shape=part.shape, resampling=Resampling.nearest)
        return values, mask > 127
    finer = own.a < part.gsd_m * 0.75
    how = thinning if finer or thinning == Resampling.nearest else Resampling.bilinear
    with WarpedVRT(
        file,
        crs=file.crs,
        transform=part.transform,
        width=part.cols,
        height=part.rows,
        resampling=how,
        add_alpha=_adds_alpha(file),
    ) as warped:
        values = warped.read(bands)
        mask = warped.dataset_mask() if _adds_alpha(file) else warped.read_masks(1)
    return values, mask > 127


def _adds_alpha(file: Any) -> bool:
    """A file without nodata and without alpha gets one, so that cells outside it are told from black ones."""
    return file.nodata is None and "alpha" not in {c.name for c in file.colorinterp}


def outlines(mask: Mask, grid: Grid) -> tuple[Polygon, ...]:
    """The outlines along cell borders of every 4-connected part of a mask `(rows, cols)`, in metres of the grid."""
    found = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, transform=grid.transform)
    return tuple(Polygon(g["coordinates"][0], g["coordinates"][1:]) for g, _ in found)


def cells_inside(outline: Polygon | MultiPolygon, grid: Grid) -> Mask:
    """The cells whose centre lies inside an outline in metres, `(rows, cols)`."""
    inside: Mask = rasterio.features.rasterize([outline], out_shape=grid.shape, transform=grid.transform) > 0
    return inside
