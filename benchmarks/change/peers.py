"""What others would do with the same aligned pair: a plain height threshold, change vectors, a building index, structural similarity.

Each gives outlines as the product's own detector does, all of a score: `PEERS` names them. They see whole arrays, not windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import Polygon
from skimage.filters import threshold_otsu
from skimage.metrics import structural_similarity
from skimage.morphology import reconstruction

from change_detect.align import SurveyPair
from change_detect.candidate import Candidate, Kind, outline_of
from change_detect.raster import Layers
from geo.grid import Grid, Window

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

LEAST_M2 = 8.0
_OPENING_M = 1.0
_MBI_LENGTHS_M = (2.0, 5.0, 8.0, 11.0)


def heights(before: Layers, after: Layers, gsd_m: float) -> Mask | None:
    """Plain difference of the surfaces over 1.5 m; None without surfaces."""
    if before.surface is None or after.surface is None:
        return None
    return np.asarray(np.nan_to_num(after.surface - before.surface, nan=0.0) > 1.5)


def change_vectors(before: Layers, after: Layers, gsd_m: float) -> Mask:
    """Length of the colour difference over Otsu's threshold (change vector analysis, Malila 1980)."""
    return _over(np.linalg.norm(after.ortho.astype(np.float32) - before.ortho, axis=-1), before.valid & after.valid)


def similarity(before: Layers, after: Layers, gsd_m: float) -> Mask:
    """One minus structural similarity (Wang et al. 2004) of the grey pictures, over Otsu's threshold."""
    one, other = (cv2.cvtColor(x.ortho, cv2.COLOR_RGB2GRAY) for x in (before, after))
    window = max(7, round(1.5 / gsd_m) | 1)
    _, full = structural_similarity(one, other, win_size=window, full=True, data_range=255)
    return _over((1.0 - full).astype(np.float32), before.valid & after.valid)


def building_index(before: Layers, after: Layers, gsd_m: float) -> Mask:
    """Difference of the morphological building indices (Huang and Zhang 2011), over Otsu's threshold."""
    return _over(_mbi(after, gsd_m) - _mbi(before, gsd_m), before.valid & after.valid)


def _mbi(layers: Layers, gsd_m: float) -> Values:
    """Mean differential of top-hats by reconstruction over four directions and lengths, on cells half as fine."""
    bright = layers.ortho.max(axis=-1)
    small = cv2.resize(bright, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
    total = np.zeros_like(small)
    for turn in range(4):
        profile = []
        for length_m in _MBI_LENGTHS_M:
            n = max(3, round(length_m / (2 * gsd_m)) | 1)
            line = np.zeros((n, n), np.uint8)
            dx, dy = ((1, 0), (1, 1), (0, 1), (1, -1))[turn]
            h = n // 2
            cv2.line(line, (h - dx * h, h - dy * h), (h + dx * h, h + dy * h), 1)
            opened = cv2.erode(small, line)
            profile.append(small - reconstruction(opened, small).astype(np.float32))
        total += sum(np.abs(b - a) for a, b in pairwise(profile))
    size = (layers.valid.shape[1], layers.valid.shape[0])
    return np.asarray(cv2.resize(total / (4 * (len(_MBI_LENGTHS_M) - 1)), size, interpolation=cv2.INTER_LINEAR), np.float32)


def _over(values: Values, known: Mask) -> Mask:
    return np.asarray((values > threshold_otsu(values[known])) & known) if known.any() else known


PEERS: Mapping[str, Callable[[Layers, Layers, float], Mask | None]] = {
    "plain dz > 1.5 m": heights,
    "CVA": change_vectors,
    "MBI": building_index,
    "SSIM": similarity,
}


def candidates(mask: Mask, grid: Grid) -> list[Candidate]:
    """Every part of a mask that is left after an opening of a metre and has eight square metres."""
    size = max(1, round(_OPENING_M / grid.gsd_m))
    labels, _ = ndimage.label(ndimage.binary_opening(mask, np.ones((size, size))))
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == number
        if part.sum() * grid.gsd_m**2 < LEAST_M2:
            continue
        window = Window(box[0].start, box[1].start, *part.shape)
        outline = outline_of(part, grid, window)
        found.append(Candidate(f"plain-{number}", outline, outline.area, 0.0, None, Kind.NEW_BUILDING, 1.0, ()))
    return found


def whole(pair: SurveyPair) -> tuple[Layers, Layers]:
    """Both surveys, all of them."""
    return pair.read(Window(0, 0, pair.grid.rows, pair.grid.cols))


def coverage(before: Layers, after: Layers, grid: Grid) -> Polygon:
    """The ground that both surveys show and know, four metres within its border."""
    known = before.valid & after.valid
    if before.surface is not None and after.surface is not None:
        known = known & np.isfinite(before.surface) & np.isfinite(after.surface)
    known = ndimage.binary_closing(known, iterations=max(1, round(0.6 / grid.gsd_m)))
    return outline_of(known, grid, Window(0, 0, *known.shape)).buffer(-4.0)
