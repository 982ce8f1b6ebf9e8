"""Pictures for `docs/imagery.md`: a place in the orthophoto, the same in the photo that painted it, and its heights, side by side.

`python -m benchmarks.imagery.crops KEPT OUT` after `python -m benchmarks.imagery --keep KEPT --only sheffield,cost`. The photo is laid
on a level plane at the height of the place's middle, as it was taken: what stands higher leans there, and must not in the orthophoto.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from benchmarks.imagery import made
from geo.grid import Window
from imagery import raster
from imagery.orthorectify import NO_SOURCE
from imagery.photos import read_folder, read_pixels
from imagery.reconstruct import Block

# name: survey of the kept folder, photos, row and column of the middle, half width in metres
PLACES = {
    "roofs": ("sheffield/before", ("sheffield_cross", "flight1_1206"), 45, 690, 16.0),
    "trees": ("sheffield/before", ("sheffield_cross", "flight1_1206"), 340, 480, 16.0),
    "cars": ("cost/first", ("brighton_beach", "images"), 4190, 3500, 7.0),
    "gazebo": ("cost/first", ("brighton_beach", "images"), 4270, 2930, 6.0),
    "seam": ("cost/first", ("brighton_beach", "images"), 2330, 2290, 8.0),
    "willow": ("cost/first", ("brighton_beach", "images"), 3960, 4300, 10.0),
    "border": ("cost/first", ("brighton_beach", "images"), 1600, 5150, 7.0),
}
SIDE_PX = 340


def place(kept: Path, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One picture `(SIDE_PX, 3 SIDE_PX + 20, 3)`: orthophoto, photo, shaded heights."""
    folder, photos, row, col, half_m = PLACES[name]
    survey = kept / folder
    block = Block.load(survey / "block", read_folder(made.data("raw_surveys", *photos)).photos)
    grid = raster.grid_of(survey / "ortho.tif")
    half = round(half_m / grid.gsd_m)
    top, left = (int(np.clip(at - half, 0, most - 2 * half)) for at, most in ((row, grid.rows), (col, grid.cols)))
    window = Window(top, left, 2 * half, 2 * half)
    ortho, heights = raster.read_window(survey / "ortho.tif", window), raster.read_window(survey / "surface.tif", window)
    source = raster.read_window(survey / "source.tif", window)
    view = int(np.bincount(source[source != NO_SOURCE]).argmax())
    x, y = grid.centres(window)
    level = np.full(heights.shape, np.nanpercentile(heights, 20) - block.offset_m[2], np.float32)
    straight = block.projector(view)
    picture = read_pixels(block.views[view].path)
    map_x, map_y = straight.over(x - block.offset_m[0], y - block.offset_m[1], level)
    photo = cv2.remap(picture, map_x, map_y, cv2.INTER_AREA)
    parts = [_sized(ortho), _sized(photo), _sized(_shaded(heights, grid.gsd_m))]
    gap = np.full((SIDE_PX, 10, 3), 255, np.uint8)
    return np.hstack([parts[0], gap, parts[1], gap, parts[2]])


def _sized(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    how = cv2.INTER_AREA if picture.shape[0] > SIDE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=how), np.uint8)


def _shaded(
    heights: np.ndarray[tuple[int, ...], np.dtype[np.float32]], gsd_m: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    known = np.isfinite(heights)
    z = np.where(known, heights, np.nanmedian(heights))
    low, high = np.percentile(z, [1, 99])
    colour = cv2.applyColorMap((np.clip((z - low) / max(0.5, high - low), 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    dy, dx = np.gradient(cv2.GaussianBlur(z, (0, 0), 1.0), gsd_m)
    light = np.clip((dx * -0.5 + dy * -0.5 + 1.0) / np.sqrt(1.5 * (1 + dx**2 + dy**2)) * 1.15, 0.25, 1.2)
    shaded = np.clip(colour[..., ::-1] * light[..., None], 0, 255).astype(np.uint8)
    shaded[~known] = 255
    return shaded


if __name__ == "__main__":
    kept, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name in PLACES:
        cv2.imwrite(str(out / f"imagery-{name}.webp"), place(kept, name)[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 76])
