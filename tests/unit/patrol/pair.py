"""Two adopted surveys of one made-up place, a month apart: for tests of what is done with surveys that are there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from geo.area import Area, AreaId
from geo.grid import Grid, Window
from imagery import raster
from patrol import records
from patrol.pipeline import areas, surveying
from patrol.wiring import Workplace
from tests.unit.imagery import stage

GRID = stage.grid(gsd_m=0.1, half_m=15.0)


def area_of(grid: Grid) -> Area:
    """The area whose own grid this is."""
    return Area(AreaId("stage"), "stage", stage.FRAME.to_degrees(grid.outline_m), gsd_m=grid.gsd_m, epsg=stage.FRAME.epsg)


def adopt_pair(work: Workplace, folder: Path, grid: Grid = GRID) -> tuple[records.SurveyRecord, records.SurveyRecord]:
    """The area and its two surveys into a store; pictures and surfaces are written into `folder` first."""
    areas.keep_area(work, area_of(grid), by="test")
    whole = Window(0, 0, *grid.shape)
    made = []
    for month in (1, 2):
        pixels = stage.seen_from_above(grid)
        noisy = np.clip(pixels + np.random.default_rng(month).normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
        ortho, surface = folder / f"o{month}.tif", folder / f"s{month}.tif"
        raster.write_cog(ortho, grid, [(whole, noisy, np.ones(grid.shape, bool))], compression="lossless")
        raster.write_float(surface, grid, stage.true_heights(grid))
        made.append(surveying.adopt(work, ortho, AreaId("stage"), date(2026, month, 1), by="test", surface=surface))
    return made[0], made[1]
