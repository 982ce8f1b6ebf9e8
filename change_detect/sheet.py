"""The heights of both surveys over one window, read once: what rose, what fell, and all that is needed to measure it; 14 bytes a cell."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from change_detect.align import SurveyPair
from change_detect.height import HeightRule, Rises, rises
from change_detect.raster import Bytes, Layers, Mask, Metres
from geo.grid import Window
from geo.progress import Progress, silent

TILE_CELLS = 1500
"""Cells of a tile's side: filters take their scratch memory for one tile, not for the window."""

_SURE, _NEAR = (1, 4), (2, 8)
_FILLED = (16, 32)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Heights over `window` of the pair's grid, all arrays `(rows, cols)`.

    Args:
        pair: the pair on the cells of this sheet.
        before, after: surfaces in metres, the after one moved and lowered onto the before one, NaN unknown.
        z: gain over its own noise.
        flags: bits of what rose, what fell, and what was filled before and after.
    """

    pair: SurveyPair
    window: Window
    before: Metres
    after: Metres
    z: NDArray[np.float16]
    flags: Bytes

    @staticmethod
    def blank(pair: SurveyPair, window: Window) -> Sheet:
        """Nothing known yet."""
        shape = (window.rows, window.cols)
        before, after = (np.full(shape, np.nan, np.float32) for _ in range(2))
        return Sheet(pair, window, before, after, np.zeros(shape, np.float16), np.zeros(shape, np.uint8))

    def put(self, part: tuple[slice, slice], layers: tuple[Layers, Layers], found: Rises, inner: tuple[slice, slice]) -> None:
        """What was found in a tile, of which `inner` belongs to `part` of the sheet."""
        before, after = layers
        assert before.surface is not None and after.surface is not None
        self.before[part], self.after[part] = before.surface[inner], after.surface[inner]
        self.z[part] = np.clip(found.z[inner], -6e4, 6e4)
        flags = np.zeros(self.flags[part].shape, np.uint8)
        for marks, sure, near in zip((found.rose, found.fell), _SURE, _NEAR, strict=True):
            flags |= marks.sure[inner] * np.uint8(sure) | marks.near[inner] * np.uint8(near)
        for one, bit in zip(layers, _FILLED, strict=True):
            if one.filled is not None:
                flags |= one.filled[inner] * np.uint8(bit)
        self.flags[part] = flags

    def near(self, channel: int, part: tuple[slice, slice]) -> Mask:
        """Cells that may have risen (channel 0) or fallen (1)."""
        return np.asarray(self.flags[part] & _NEAR[channel] > 0)

    def sure(self, channel: int, part: tuple[slice, slice]) -> Mask:
        """Cells that did."""
        return np.asarray(self.flags[part] & _SURE[channel] > 0)

    def layers(self, window: Window, pictures: tuple[Layers, Layers]) -> tuple[Layers, Layers]:
        """Both surveys over a window inside the sheet, the colours as given."""
        part = self.part(window)
        pair = (self.before, self.after)
        old, new = (
            replace(
                picture,
                surface=surface[part],
                filled=None if source.filled is None else self.flags[part] & bit > 0,
            )
            for picture, surface, bit, source in zip(pictures, pair, _FILLED, (self.pair.before, self.pair.after), strict=True)
        )
        return old, new

    def part(self, window: Window) -> tuple[slice, slice]:
        """A window of the grid as slices of the sheet's arrays."""
        return Window(window.row - self.window.row, window.col - self.window.col, window.rows, window.cols).slices


def read(
    pair: SurveyPair,
    window: Window,
    rule: HeightRule,
    *,
    thin: int = 1,
    thin_rule: HeightRule | None = None,
    progress: Progress = silent,
) -> tuple[Sheet, Sheet | None]:
    """The sheet of a window and, with a rule for it, the same ground on cells `thin` times as large, from one reading of the files.

    The window begins at a whole number of large cells. Within the rule's reach of the window's rim (not of the grid's) marks may be
    missing, as what lies beyond is not read.
    """
    grid, sigma = pair.grid, pair.residual.sigma_xy_m
    fine = Sheet.blank(pair, window)
    wide = None
    if thin_rule is not None:
        large = pair.thinned(grid.gsd_m * thin)
        wide = _Thinned(
            large, Window(window.row // thin, window.col // thin, -(-window.rows // thin), -(-window.cols // thin)), thin
        )
    side = TILE_CELLS // thin * thin
    margin = math.ceil(rule.reach_m / grid.gsd_m)
    tiles = [
        Window(r, c, min(side, window.rows - r), min(side, window.cols - c))
        for r in range(0, window.rows, side)
        for c in range(0, window.cols, side)
    ]
    for done, tile in enumerate(tiles):
        progress(done, len(tiles), "detect")
        r0, c0 = max(0, tile.row - margin), max(0, tile.col - margin)
        r1, c1 = min(window.rows, tile.row + tile.rows + margin), min(window.cols, tile.col + tile.cols + margin)
        layers = pair.read(Window(window.row + r0, window.col + c0, r1 - r0, c1 - c0), pixels=False)
        inner = Window(tile.row - r0, tile.col - c0, tile.rows, tile.cols).slices
        fine.put(tile.slices, layers, rises(*layers, sigma_xy_m=sigma, gsd_m=grid.gsd_m, rule=rule), inner)
        if wide is not None:
            wide.put(tile, layers, inner)
    progress(len(tiles), len(tiles), "detect")
    return fine, None if wide is None or thin_rule is None else wide.sheet(thin_rule)


class _Thinned:
    """Layers on larger cells, filled tile by tile."""

    def __init__(self, pair: SurveyPair, window: Window, factor: int) -> None:
        self.pair, self.window, self.factor = pair, window, factor
        shape = (window.rows, window.cols)
        picture, nothing = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)

        def unknown() -> Metres:
            return np.full(shape, np.nan, np.float32)

        self.layers = tuple(
            Layers(
                picture,
                nothing,
                unknown(),
                None if source.sigma is None else unknown(),
                None if source.filled is None else np.zeros(shape, bool),
            )
            for source in (pair.before, pair.after)
        )

    def put(self, tile: Window, layers: tuple[Layers, Layers], inner: tuple[slice, slice]) -> None:
        f = self.factor
        into = Window(tile.row // f, tile.col // f, -(-tile.rows // f), -(-tile.cols // f)).slices
        for out, fine in zip(self.layers, layers, strict=True):
            for name in ("surface", "sigma"):
                values = getattr(fine, name)
                if values is not None:
                    getattr(out, name)[into] = _means(values[inner], f)
            if fine.filled is not None and out.filled is not None:
                out.filled[into] = _means(fine.filled[inner].astype(np.float32), f) > 0.5

    def sheet(self, rule: HeightRule) -> Sheet:
        out = Sheet.blank(self.pair, self.window)
        before, after = self.layers
        sigma, gsd = self.pair.residual.sigma_xy_m, self.pair.grid.gsd_m
        everything = (slice(0, self.window.rows), slice(0, self.window.cols))
        out.put(everything, (before, after), rises(before, after, sigma_xy_m=sigma, gsd_m=gsd, rule=rule), everything)
        return out


def _means(values: Metres, factor: int) -> Metres:
    """The mean of what is known in each block of `factor` x `factor` cells, NaN where nothing is; blocks at the end may be cut."""
    rows, cols = -(-values.shape[0] // factor), -(-values.shape[1] // factor)
    down, right = rows * factor - values.shape[0], cols * factor - values.shape[1]
    if down or right:
        values = np.pad(values, ((0, down), (0, right)), constant_values=np.nan)
    known = np.isfinite(values)
    size = (cols, rows)
    if known.all():
        return np.asarray(cv2.resize(np.ascontiguousarray(values), size, interpolation=cv2.INTER_AREA), np.float32)
    total = cv2.resize(np.where(known, values, np.float32(0)), size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.where(share > 0, total / np.maximum(share, 1e-9), np.float32(np.nan)), np.float32)
