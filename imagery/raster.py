"""The one door to GDAL of this package: windows of rasters in, tiled rasters and cloud-optimised orthos out.

Arrays are `(rows, cols)` or `(rows, cols, bands)`. A file is written under a temporary name and gets its own when it is whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import rasterio.features
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what a copy raises when the disk is full: it has no public name
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as FileWindow
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from geo.errors import GeoError
from geo.frames import Frame
from geo.grid import Grid, Window
from imagery.errors import SurveyError

Array = NDArray[Any]
Mask = NDArray[np.bool_]

# A raster is opened by what its first bytes say, never by what GDAL would make of it: a few hundred bytes of VRT read any file.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),  # BigTIFF
    (b"MM\x00+", "GTiff"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
)
DRIVERS = ("GTiff", "COG", "JPEG", "PNG")
BLOCK = 512

# Side files (.aux.xml, .msk, .ovr) may be of any format and name other files: they are not looked for.
_READ_ENV = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
# rasterio takes the cache's size in bytes, GDAL's own option in megabytes; it stays set for the whole process, and a cache smaller than
# a row of blocks makes every read unpack each block anew.
_CACHE_BYTES = 128 << 20
_WRITE_ENV = {"GDAL_TIFF_INTERNAL_MASK": True, "GDAL_PAM_ENABLED": "NO", "GDAL_CACHEMAX": _CACHE_BYTES}

_GDAL_ERRORS = (RasterioError, CPLE_BaseError)

Compression = Literal["jpeg", "webp", "lossless"]
Packing = Literal["deflate", "zstd", "none"]
_PACKING: dict[Packing, dict[str, Any]] = {
    "deflate": {"compress": "DEFLATE", "zlevel": 1},
    "zstd": {"compress": "ZSTD", "zstd_level": 1},
    "none": {},
}
_COMPRESSION: dict[Compression, dict[str, Any]] = {
    "jpeg": {"compress": "JPEG", "quality": 92},
    "webp": {"compress": "WEBP", "quality": 90},
    "lossless": {"compress": "DEFLATE", "predictor": "YES", "level": 6},
}
_LOSSY: tuple[Compression, ...] = ("jpeg", "webp")


@dataclass(frozen=True, slots=True)
class RasterInfo:
    """What a file says of itself; `grid` is None for a picture without a place."""

    rows: int
    cols: int
    bands: int
    dtype: str
    driver: str
    grid: Grid | None
    epsg: int | None
    transform: Affine | None


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A raster file for reading; raises SurveyError for anything but a readable GeoTIFF, JPEG or PNG."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise SurveyError(f"{path}: 文件无法读取。 the file cannot be read ({error.strerror or error})") from error
    driver = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if driver is None:
        raise SurveyError(
            f"{path.name}: 不论叫什么名字，都不是 GeoTIFF、JPEG 或 PNG 影像，请提供这三种格式之一。 "
            "it is no GeoTIFF, JPEG or PNG picture, whatever its name says: give one of these"
        )
    with rasterio.Env(**_READ_ENV), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            file = rasterio.open(path.resolve(), driver=driver)
        except _GDAL_ERRORS as error:
            raise SurveyError(
                f"{path.name}: {driver} 文件损坏，请重新导出或拷贝。 the {driver} file is broken ({_cause(error)}): make it or copy it again"
            ) from error
        with file:
            try:
                yield file
            except _GDAL_ERRORS as error:
                raise SurveyError(
                    f"{path.name}: 像素无法读出，文件不完整或损坏，请重新导出或拷贝。 "
                    f"its pixels cannot be read, the file is cut off or broken ({_cause(error)}): make it or copy it again"
                ) from error


def _cause(error: BaseException) -> str:
    """GDAL's own words at the bottom of an error; rasterio's only point to them."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def info(path: Path) -> RasterInfo:
    """Size, type and place of a file."""
    with opened(path) as file:
        placed = file.crs is not None and not file.transform.is_identity
        epsg = file.crs.to_epsg() if file.crs is not None else None
        t = file.transform
        grid = None
        if placed and epsg is not None and abs(t.b) < 1e-9 and abs(t.d) < 1e-9 and abs(t.a + t.e) < 1e-6 * abs(t.a):
            try:
                grid = Grid(Frame(epsg), float(t.a), float(t.c), float(t.f), int(file.height), int(file.width))
            except GeoError:
                grid = None  # degrees: a place, but no cells of metres
        return RasterInfo(
            int(file.height),
            int(file.width),
            int(file.count),
            str(file.dtypes[0]),
            str(file.driver),
            grid,
            epsg,
            t if placed else None,
        )


def grid_of(path: Path) -> Grid:
    """The grid a north-up metric file is written on; raises SurveyError when it has none."""
    grid = info(path).grid
    if grid is None:
        raise SurveyError(
            f"{path.name}: 不是以米为单位、带 EPSG 代码的正北方格网，请先用 ingest-ortho 入库。 "
            "it does not lie north-up on square cells of metres with an EPSG code: adopt it for the area first"
        )
    return grid


class Reader:
    """Reads windows of one open file; see `reading`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._bands = [i + 1 for i, c in enumerate(file.colorinterp) if c != ColorInterp.alpha]
        self._floats = np.dtype(file.dtypes[0]).kind == "f"

    def window(self, window: Window | None = None, *, thin: int = 1) -> Array:
        """See `read_window`."""
        where, shape = _where(self._file, window, thin)
        how = Resampling.average if thin > 1 else Resampling.nearest
        values = self._file.read(self._bands, window=where, out_shape=(len(self._bands), *shape), resampling=how)
        nodata = self._file.nodata
        if self._floats and nodata is not None and not np.isnan(nodata):
            values[values == nodata] = np.nan
        return values[0] if len(self._bands) == 1 else np.ascontiguousarray(np.moveaxis(values, 0, -1))

    def mask(self, window: Window | None = None, *, thin: int = 1) -> Mask:
        """See `read_mask`."""
        where, shape = _where(self._file, window, thin)
        known: Mask = self._file.dataset_mask(window=where, out_shape=shape, resampling=Resampling.nearest) > 127
        if self._floats:
            known &= np.isfinite(self._file.read(1, window=where, out_shape=shape, resampling=Resampling.nearest))
        return known


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """A file kept open for many windows; raises SurveyError."""
    with opened(path) as file:
        yield Reader(file)


def read_window(path: Path, window: Window | None = None, *, thin: int = 1) -> Array:
    """The cells of a window, `(rows, cols)` for one band and `(rows, cols, bands)` for more; colours without their alpha.

    `thin` > 1 reads every block of that many cells as one mean, through the overviews where they fit. Float cells that the file
    calls unknown are NaN. Raises SurveyError.
    """
    with reading(path) as file:
        return file.window(window, thin=thin)


def read_mask(path: Path, window: Window | None = None, *, thin: int = 1) -> Mask:
    """`(rows, cols)` True where the file knows its cells: mask, alpha, nodata and NaN alike."""
    with reading(path) as file:
        return file.mask(window, thin=thin)


def _where(file: Any, window: Window | None, thin: int) -> tuple[FileWindow, tuple[int, int]]:
    w = window or Window(0, 0, file.height, file.width)
    if w.row < 0 or w.col < 0 or w.row + w.rows > file.height or w.col + w.cols > file.width:
        raise SurveyError(f"{Path(file.name).name}: a window of {w} reaches over the file's {file.height} x {file.width} cells")
    return FileWindow(w.col, w.row, w.cols, w.rows), (-(-w.rows // thin), -(-w.cols // thin))


class TileWriter:
    """Writes windows of one file; see `written`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, window: Window, values: Array, mask: Mask | None = None) -> None:
        """Cells `(rows, cols)` or `(rows, cols, bands)` of one window, and which of them are known."""
        where = FileWindow(window.col, window.row, window.cols, window.rows)
        if values.ndim == 2:
            self._file.write(values, 1, window=where)
        else:
            self._file.write(np.moveaxis(values, -1, 0), window=where)
        if mask is not None:
            self._file.write_mask(mask.astype(np.uint8) * np.uint8(255), window=where)


@contextmanager
def written(
    path: Path, grid: Grid, dtype: str, *, bands: int = 1, nodata: float | None = None, packing: Packing = "deflate"
) -> Iterator[TileWriter]:
    """A tiled GeoTIFF on `grid`, filled window by window; it takes its name only when the block ends without error.

    `packing`: what stays is deflated, every program reads that; work files are packed by zstd, plainly, in a third of the time.
    """
    temporary = path.with_name(f".{path.name}.part")
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": grid.rows,
        "width": grid.cols,
        "count": bands,
        "dtype": dtype,
        "crs": f"EPSG:{grid.frame.epsg}",
        "transform": grid.transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "BIGTIFF": "IF_SAFER",
    }
    profile |= _PACKING[packing]
    if packing == "deflate":
        profile["predictor"] = 3 if np.dtype(dtype).kind == "f" else 2
    if bands == 3:
        profile |= {"photometric": "RGB", "interleave": "pixel"}
    try:
        with rasterio.Env(**_WRITE_ENV):
            with rasterio.open(temporary, "w", **profile) as file:
                yield TileWriter(file)
            temporary.replace(path)
    except _GDAL_ERRORS as error:
        raise SurveyError(
            f"{path}: 无法写入，磁盘是否已满？清理空间后重新入库，已有成果不受影响。 "
            f"cannot be written ({_cause(error)}): is the disk full? Free some space and ingest again, earlier surveys are untouched"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_float(path: Path, grid: Grid, values: Array) -> Path:
    """One float32 layer `(rows, cols)` with NaN where unknown, as a tiled GeoTIFF."""
    _fits(path, grid, values)
    with written(path, grid, "float32", nodata=float("nan")) as out:
        for window in grid.tiles(2 * BLOCK):
            out.write(window, values[window.slices].astype(np.float32, copy=False))
    return path


def write_bytes(path: Path, grid: Grid, values: Array, *, nodata: float | None) -> Path:
    """One uint8 or uint16 layer `(rows, cols)` as a tiled GeoTIFF."""
    _fits(path, grid, values)
    with written(path, grid, str(values.dtype), nodata=nodata) as out:
        for window in grid.tiles(2 * BLOCK):
            out.write(window, values[window.slices])
    return path


def write_cog(
    path: Path,
    grid: Grid,
    tiles: Iterable[tuple[Window, Array, Mask]],
    *,
    compression: Compression = "jpeg",
    threads: int = 1,
) -> Path:
    """RGB uint8 tiles `(window, (rows, cols, 3), known)` as a cloud-optimised GeoTIFF with overviews and an inner mask.

    Cells no tile covers are unknown. Tiles are taken one at a time, so the ortho is never whole in memory.
    """
    flat = path.with_name(f".{path.name}.flat.tif")
    temporary = path.with_name(f".{path.name}.part")
    try:
        with written(flat, grid, "uint8", bands=3, packing="none") as out:
            nothing = True
            for window, values, mask in tiles:
                out.write(window, values, mask)
                nothing = False
            if nothing:
                raise SurveyError(
                    f"{path.name}: 影像与巡查单元没有重叠，请确认单元和文件是否选对。 "
                    "no picture covers the area's grid: is it the right area, the right file?"
                )
        options = {"blocksize": BLOCK, "overview_resampling": "AVERAGE", "bigtiff": "IF_SAFER", "num_threads": threads}
        with rasterio.Env(**_WRITE_ENV):
            rasterio.shutil.copy(str(flat), str(temporary), driver="COG", **options, **_COMPRESSION[compression])
        temporary.replace(path)
    except (*_GDAL_ERRORS, OSError) as error:
        raise SurveyError(
            f"{path}: 无法写入，磁盘是否已满？清理空间后重新入库，已有成果不受影响。 "
            f"cannot be written ({_cause(error)}): is the disk full? Free some space and ingest again, earlier surveys are untouched"
        ) from error
    finally:
        flat.unlink(missing_ok=True)
        temporary.unlink(missing_ok=True)
    return path


def compression_of(path: Path) -> Compression:
    """How an orthophoto's colours are packed; what is neither JPEG nor WEBP has lost nothing."""
    with opened(path) as file:
        packed = str(file.compression).rpartition(".")[2].lower()
    return next((c for c in _LOSSY if c in packed), "lossless")


def blank(path: Path, outline: BaseGeometry) -> None:
    """Make every cell that an outline of the file's frame touches unknown, in the file and its overviews, for good.

    The file is written anew under a temporary name; a cloud-optimised one stays one, in its own compression. Raises SurveyError.
    """
    grid = grid_of(path)
    with opened(path) as file:
        dtype, nodata, bands = str(file.dtypes[0]), file.nodata, int(file.count)
        layout = file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT")
    with reading(path) as old:
        tiles = _blanked(old, grid, outline, 0 if nodata is None else nodata)
        if layout == "COG":
            write_cog(path, grid, tiles, compression=compression_of(path))
            return
        with written(path, grid, dtype, bands=bands, nodata=nodata) as out:
            for window, values, known in tiles:
                out.write(window, values, known if nodata is None else None)


def _blanked(old: Reader, grid: Grid, outline: BaseGeometry, unknown: float) -> Iterator[tuple[Window, Array, Mask]]:
    for window in grid.tiles(2 * BLOCK):
        values, known = old.window(window), old.mask(window)
        part = grid.part(window)
        if outline.intersects(part.outline_m):
            gone = inside(outline, part, touched=True)
            values[gone], known[gone] = unknown, False
        yield window, values, known


def _fits(path: Path, grid: Grid, values: Array) -> None:
    if values.shape != grid.shape:
        raise SurveyError(f"{path.name}: an array of shape {values.shape} is not the grid's {grid.shape}")


def inside(outline: BaseGeometry, grid: Grid, *, touched: bool = False) -> Mask:
    """Which cells of a grid have their centre in an outline of its frame, or are `touched` by it at all, `(rows, cols)`."""
    cells: Mask = (
        rasterio.features.rasterize([outline], out_shape=grid.shape, transform=grid.transform, dtype="uint8", all_touched=touched)
        > 0
    )
    return cells


def outlines(mask: Mask, grid: Grid) -> tuple[Polygon, ...]:
    """The outlines along cell borders of every 4-connected part of a mask `(rows, cols)`, in metres of the grid."""
    found = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, transform=grid.transform)
    return tuple(Polygon(g["coordinates"][0], g["coordinates"][1:]) for g, _ in found)
