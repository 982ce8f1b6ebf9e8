"""The one door to GDAL of this package: windows of a survey's files, read onto one working grid.

All arrays are `(rows, cols)` on that grid, heights in metres, NaN where unknown. A file on the same cells, or on cells a whole number
of times finer, is read directly (through its overviews); any other is resampled on the way.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
from affine import Affine
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

CACHE_BYTES = 128 * 2**20
"""Decoded blocks kept while files stay open; a number is taken as bytes, not as megabytes."""

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

    def part(self, window: Window) -> Layers:
        """The cells of a window of this window: views, nothing is copied."""

        def cut(values: NDArray[Any] | None) -> Any:
            return None if values is None else values[window.slices]

        return Layers(*(cut(v) for v in (self.ortho, self.valid, self.surface, self.sigma, self.filled, self.doubtful)))

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

    def read(self, window: Window, *, pixels: bool = True, heights: bool = True, noise: bool = True) -> Layers:
        """The layers of one window of the working grid; cells outside the files are unknown.

        What is not asked for is left unread, for time: without `pixels` the ortho is black and valid nowhere, without `heights` there is
        no surface, without `noise` (or heights) neither sigma nor what was filled.
        """
        part = self.grid.part(window)
        if pixels:
            colours, valid = _read_ortho(self.ortho, part)
        else:
            colours, valid = np.zeros((*part.shape, 3), np.uint8), np.zeros(part.shape, bool)
        noise = noise and heights
        surface = None if self.surface is None or not heights else _read_metres(self.surface, part)
        sigma = None if self.sigma is None or not noise else _read_metres(self.sigma, part)
        filled = None if self.filled is None or not noise else _read_flags(self.filled, part)
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
            raise RasterError(
                f"{path.name} 没有坐标信息：请先作为巡查单元的一期成果入库，由系统配准 / "
                f"{path.name} has no georeference: bring it in as a survey of the area first, which registers it"
            )
        epsg = file.crs.to_epsg()
        if epsg is None:
            raise RasterError(
                f"{path.name}：坐标系没有 EPSG 代码，请改写到巡查单元的坐标系 / {path.name}: its coordinate system has no EPSG code; write it in the area's own frame"
            )
        t = file.transform
        if abs(t.b) > 1e-9 or abs(t.d) > 1e-9 or abs(t.a + t.e) > 1e-6 * t.a:
            raise RasterError(
                f"{path.name}：像元有旋转或不是正方形，请按正北方向写到巡查单元格网上 / "
                f"{path.name}: its cells are turned or not square; write it north-up on the area's grid"
            )
        return Grid(Frame(epsg), float(t.a), float(t.c), float(t.f), int(file.height), int(file.width))


def working_grid(grid: Grid, gsd_m: float = WORKING_GSD_M) -> Grid:
    """The grid thinned by a whole number so that its cells come near `gsd_m` (never finer than the file)."""
    factor = max(1, round(gsd_m / grid.gsd_m))
    if factor == 1:
        return grid
    return Grid(grid.frame, grid.gsd_m * factor, grid.west_m, grid.north_m, -(-grid.rows // factor), -(-grid.cols // factor))


_kept: ContextVar[tuple[ExitStack, dict[Path, Any]] | None] = ContextVar("files that stay open", default=None)


@contextmanager
def kept_open() -> Iterator[None]:
    """Inside, a file that was read once stays open, with its blocks: opening it anew for every window costs more than reading it.

    The cache of decoded blocks is bounded, so that memory does not grow with the area.
    """
    if _kept.get() is not None:
        yield
        return
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), ExitStack() as stack:
        token = _kept.set((stack, {}))
        try:
            yield
        finally:
            _kept.reset(token)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    held = _kept.get()
    if held is None:
        with _opened_once(path) as file:
            yield file
        return
    stack, files = held
    if path not in files:
        files[path] = stack.enter_context(_opened_once(path))
    try:
        yield files[path]
    except RasterioError as err:
        raise RasterError(f"{path} cannot be read as an image with a place: {err}") from err


@contextmanager
def _opened_once(path: Path) -> Iterator[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `grid_of` says it in a sentence of its own
            opened = rasterio.open(path)
        with opened as file:
            if file.driver not in DRIVERS:
                raise RasterError(
                    f"{path.name} 是 {file.driver} 文件，请提供 GeoTIFF / {path.name} is a {file.driver} file: give a GeoTIFF"
                )
            yield file
    except RasterioError as err:
        raise RasterError(
            f"{path.name} 无法作为带坐标的影像读取，文件可能损坏，请重新入库 / "
            f"{path} cannot be read as an image with a place: {err}; bring it in again"
        ) from err


def _must_overlap(path: Path, grid: Grid) -> None:
    own = grid_of(path)
    if own.frame != grid.frame:
        raise RasterError(
            f"{path.name} 为 EPSG:{own.frame.epsg}，巡查单元为 EPSG:{grid.frame.epsg}，请改写到该坐标系 / "
            f"{path.name} is in EPSG:{own.frame.epsg}, the area works in EPSG:{grid.frame.epsg}: write it in that frame"
        )
    w, s, e, n = grid.bounds_m
    ow, os_, oe, on = own.bounds_m
    if ow >= e or oe <= w or os_ >= n or on <= s:
        raise RasterError(
            f"{path.name} 不在本巡查单元范围内，请核对文件 / "
            f"{path.name} shows another place: {own.bounds_m} does not touch the area's {grid.bounds_m}; is it the right file?"
        )


def _read_ortho(path: Path, part: Grid) -> tuple[Bytes, Mask]:
    with _opened(path) as file:
        bands = [1, 2, 3] if file.count >= 3 else [1, 1, 1]
        if file.dtypes[0] != "uint8":
            raise RasterError(
                f"{path.name}：正射影像每波段应为 8 位，此文件为 {file.dtypes[0]}，请转换后重新入库 / "
                f"{path.name}: an ortho has 8 bits per band, this one has {file.dtypes[0]}"
            )
        pixels, mask = _read(file, part, bands, Resampling.average)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), mask


def _read_metres(path: Path, part: Grid) -> Metres:
    with _opened(path) as file:
        values, mask = _read(file, part, [1], Resampling.average)
    out: Metres = values[0].astype(np.float32, copy=False)
    out[~(mask & np.isfinite(out))] = np.nan
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
    if same_cells:
        return _read_cells(file, part, bands, thinning, round(factor), round(row), round(col))
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
        if file.nodata is not None:
            return values, _is_data(values[0], file.nodata)
        mask = warped.dataset_mask() if _adds_alpha(file) else warped.read_masks(1)
    return values, mask > 127


def _read_cells(
    file: Any, part: Grid, bands: list[int], thinning: Resampling, factor: int, row: int, col: int
) -> tuple[Any, Mask]:
    """Cells of `factor` x `factor` of the file's own, from its (row, col) on; unknown outside it, and where its end cuts a cell."""
    f = factor
    top, left = max(0, -(row // f)), max(0, -(col // f))
    end, right = min(part.rows, (file.height - row) // f), min(part.cols, (file.width - col) // f)
    if top == left == 0 and (end, right) == part.shape:
        return _read_inside(file, (row, col), part.shape, bands, thinning, f)
    values = np.zeros((len(bands), *part.shape), np.dtype(file.dtypes[bands[0] - 1]))
    mask = np.zeros(part.shape, bool)
    if end > top and right > left:
        here = (slice(top, end), slice(left, right))
        shape = (end - top, right - left)
        values[:, *here], mask[here] = _read_inside(file, (row + top * f, col + left * f), shape, bands, thinning, f)
    return values, mask


def _read_inside(
    file: Any, start: tuple[int, int], shape: tuple[int, int], bands: list[int], thinning: Resampling, factor: int
) -> tuple[Any, Mask]:
    where = FileWindow(start[1], start[0], shape[1] * factor, shape[0] * factor)
    how = thinning if factor > 1 else Resampling.nearest
    values = file.read(bands, window=where, out_shape=(len(bands), *shape), resampling=how)
    if file.nodata is not None:
        return values, _is_data(values[0], file.nodata)
    mask = file.read_masks(bands[0], window=where, out_shape=shape, resampling=Resampling.nearest)
    return values, mask > 127


def _is_data(values: NDArray[Any], nodata: float) -> Mask:
    """What a file with a value for "unknown" knows; a mean over some known cells is known."""
    return np.asarray(np.isfinite(values) if np.isnan(nodata) else values != values.dtype.type(nodata))


def _adds_alpha(file: Any) -> bool:
    """A file without nodata and without alpha gets one, so that cells outside it are told from black ones."""
    return file.nodata is None and "alpha" not in {c.name for c in file.colorinterp}


def outlines(mask: Mask, transform: Affine) -> tuple[Polygon, ...]:
    """The outlines along cell borders of every 4-connected part of a mask `(rows, cols)`; `transform` takes (col, row) to metres."""
    found = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, transform=transform)
    return tuple(Polygon(g["coordinates"][0], g["coordinates"][1:]) for g, _ in found)


def cells_inside(outline: Polygon | MultiPolygon, grid: Grid) -> Mask:
    """The cells whose centre lies inside an outline in metres, `(rows, cols)`."""
    inside: Mask = rasterio.features.rasterize([outline], out_shape=grid.shape, transform=grid.transform) > 0
    return inside
