"""Map tiles out of the surveys' COGs: patrol's door to GDAL. Callers name a file that the store gave them, never the browser."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import rio_tiler
from numpy.typing import NDArray
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader
from rio_tiler.models import ImageData

SIZE_PX = 256
_HEIGHT_STOPS_M = np.array([-6.0, -2.0, -0.6, 0.6, 2.0, 6.0])
# Blue for lost, red for gained height: ColorBrewer RdBu, safe for the colour-blind; nothing is drawn below 0.6 m.
_HEIGHT_RGBA = np.array(
    [[5, 48, 97, 230], [67, 147, 195, 190], [209, 229, 240, 0], [253, 219, 199, 0], [214, 96, 77, 190], [103, 0, 31, 230]], float
)


class Outside(LookupError):
    """The tile holds nothing of this survey."""


def gdal_version() -> str:
    """The GDAL behind the tiles."""
    return f"rio-tiler {rio_tiler.__version__}"


def ortho_tile(path: Path, z: int, x: int, y: int) -> bytes:
    """A WEBP tile with alpha of an RGB orthophoto; raises Outside where it holds nothing."""
    return bytes(_read(path, z, x, y).render(img_format="WEBP", quality=82))


def surface_tile(path: Path, z: int, x: int, y: int, low_m: float, high_m: float) -> bytes:
    """A WEBP tile of a surface, shaded from `low_m` (dark) to `high_m` (light)."""
    image = _read(path, z, x, y)
    z_m = image.array.data[0].astype(float)
    known = image.mask > 0
    relief = np.gradient(np.where(known, z_m, np.nan))
    light = np.nan_to_num(0.5 + 0.25 * (relief[1] - relief[0]), nan=0.5)
    tone = np.clip((z_m - low_m) / max(high_m - low_m, 0.1), 0, 1) * 0.6 + 0.4 * np.clip(light, 0, 1)
    grey = (255 * np.nan_to_num(tone)).astype(np.uint8)
    return _webp(np.stack([grey, grey, grey]), known)


def height_tile(before: Path, after: Path, z: int, x: int, y: int, offset_m: float = 0.0) -> bytes:
    """A PNG tile of height gained (red) and lost (blue) between two surfaces of one grid; `offset_m` is taken from the gain."""
    old, new = _read(before, z, x, y), _read(after, z, x, y)
    gain = new.array.data[0].astype(float) - old.array.data[0] - offset_m
    known = (old.mask > 0) & (new.mask > 0) & np.isfinite(gain)
    flat = np.where(known, gain, 0.0).ravel()
    rgba = np.stack([np.interp(flat, _HEIGHT_STOPS_M, _HEIGHT_RGBA[:, band]) for band in range(4)])
    picture = rgba.reshape(4, *gain.shape).astype(np.uint8)
    alpha = np.where(known, picture[3], 0).astype(np.uint8)
    return bytes(ImageData(np.ma.MaskedArray(picture[:3], mask=False), alpha_mask=alpha).render(img_format="PNG"))


@lru_cache(maxsize=64)
def height_range(path: Path, version: str) -> tuple[float, float]:
    """The 2nd and 98th percentile of a surface, in its own metres, from a thumbnail; `version` tells contents of one path apart."""
    with Reader(str(path)) as reader:
        image = reader.preview(max_size=256)
    known = image.array.data[0][image.mask > 0]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    return float(low), float(high)


@lru_cache(maxsize=256)
def zooms(path: Path) -> tuple[int, int]:
    """The lowest and highest zoom at which the file has something to show."""
    with Reader(str(path)) as reader:
        return int(reader.minzoom), int(reader.maxzoom)


def _read(path: Path, z: int, x: int, y: int) -> ImageData:
    with Reader(str(path)) as reader:
        try:
            return reader.tile(x, y, z, tilesize=SIZE_PX, resampling_method="bilinear", reproject_method="bilinear")
        except TileOutsideBounds as err:
            raise Outside(f"no part of {path.name} lies in tile {z}/{x}/{y}") from err


def _webp(rgb: NDArray[np.uint8], known: NDArray[np.bool_]) -> bytes:
    alpha = np.where(known, 255, 0).astype(np.uint8)
    return bytes(ImageData(np.ma.MaskedArray(rgb, mask=False), alpha_mask=alpha).render(img_format="WEBP", quality=82))
