"""A pair as large as one likes: the aligned planted pair side by side on 10 cm cells, the after survey bent and tilted smoothly.

So every square kilometre has the noise, the trees and the changes of real flights, and the offsets that two surveys have. The files
are written as the product writes them: a cloud-optimised ortho in JPEG, surface, sigma, filled and flags as deflated tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.change.ready import planted
from change_detect.raster import Layers, Source
from geo.grid import Grid, Window
from imagery.raster import write_cog, written

GSD_M = 0.10
BEND_M, BEND_LENGTH_M = 0.12, 700.0
LIFT_M = 0.25
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One survey of the small pair on 10 cm cells, read as if it went on for ever."""

    ortho: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    surface: NDArray[np.float32]

    @staticmethod
    def of(layers: Layers, gsd_m: float) -> _Pattern:
        """The layers without their ragged rim, so that copies meet on known ground."""
        assert layers.surface is not None
        known = layers.valid & np.isfinite(layers.surface)
        scale = gsd_m / GSD_M
        size = (round(known.shape[1] * scale), round(known.shape[0] * scale))
        surface = np.where(known, layers.surface, np.float32(np.nanmedian(layers.surface))).astype(np.float32)
        return _Pattern(
            np.asarray(cv2.resize(layers.ortho, size, interpolation=cv2.INTER_LINEAR), np.uint8),
            cv2.resize(known.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0,
            np.asarray(cv2.resize(surface, size, interpolation=cv2.INTER_LINEAR), np.float32),
        )

    def at(
        self, rows: NDArray[np.float32], cols: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
        """Ortho, what is known, and surface at places in cells, copy after copy."""
        height, width = self.valid.shape
        y, x = np.mod(rows, height).astype(np.float32), np.mod(cols, width).astype(np.float32)

        def pick(values: NDArray[np.generic], how: int) -> NDArray[np.generic]:
            return np.asarray(cv2.remap(values, x, y, how, borderMode=cv2.BORDER_REPLICATE))

        return (
            pick(self.ortho, cv2.INTER_LINEAR).astype(np.uint8, copy=False),
            pick(self.valid.astype(np.uint8), cv2.INTER_NEAREST) > 0,
            pick(self.surface, cv2.INTER_LINEAR).astype(np.float32, copy=False),
        )


def make(folder: Path, side_m: float) -> tuple[Source, Source]:
    """A square pair of `side_m` metres in `folder`; one that lies there already is taken as it is."""
    files = [folder / name for name in ("before", "after")]
    days = date(2018, 4, 28), date(2018, 4, 29)
    if not all((f / "ortho.tif").exists() for f in files):
        pair = planted()
        small = pair.read(Window(0, 0, pair.grid.rows, pair.grid.cols))
        cells = round(side_m / GSD_M)
        west, _, _, north = pair.grid.bounds_m
        grid = Grid(pair.grid.frame, GSD_M, round(west, 1), round(north, 1), cells, cells)
        for place, layers, bent in zip(files, small, (False, True), strict=True):
            _write(place, _Pattern.of(layers, pair.grid.gsd_m), grid, bent=bent)
    old, new = (
        Source.of(
            f / "ortho.tif",
            taken_on=day,
            surface=f / "surface.tif",
            sigma=f / "sigma.tif",
            filled=f / "filled.tif",
            flags=f / "flags.tif",
        )
        for f, day in zip(files, days, strict=True)
    )
    return old, new


def _write(folder: Path, pattern: _Pattern, grid: Grid, *, bent: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def tiles() -> Iterator[tuple[Window, NDArray[np.uint8], NDArray[np.bool_]]]:
        with ExitStack() as stack:
            surface = stack.enter_context(written(folder / "surface.tif", grid, "float32", nodata=float("nan")))
            sigma = stack.enter_context(written(folder / "sigma.tif", grid, "float32", nodata=float("nan")))
            filled = stack.enter_context(written(folder / "filled.tif", grid, "uint8", nodata=255))
            flags = stack.enter_context(written(folder / "flags.tif", grid, "uint8", nodata=255))
            for window in grid.tiles(_BLOCK):
                ortho, known, heights = pattern.at(*_places(window, bent=bent))
                if bent:
                    heights = heights + np.float32(LIFT_M * window.row / grid.rows)
                rough = np.abs(cv2.Laplacian(cv2.GaussianBlur(heights, (0, 0), 2.0), cv2.CV_32F))
                surface.write(window, np.where(known, heights, np.float32(np.nan)))
                sigma.write(window, np.where(known, np.clip(0.05 + rough, 0.05, 0.5), np.float32(np.nan)).astype(np.float32))
                filled.write(window, (~known).astype(np.uint8))
                flags.write(window, (rough > 0.4).astype(np.uint8))
                yield window, ortho, known

    write_cog(folder / "ortho.tif", grid, tiles())


def _places(window: Window, *, bent: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, cols = np.mgrid[window.row : window.row + window.rows, window.col : window.col + window.cols].astype(np.float32)
    if bent:
        turn = 2 * math.pi * GSD_M / BEND_LENGTH_M
        rows, cols = rows + BEND_M / GSD_M * np.sin(turn * cols), cols + BEND_M / GSD_M * np.cos(turn * rows)
    return rows, cols
