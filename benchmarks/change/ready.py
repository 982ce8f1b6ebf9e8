"""planted/sheffield from its ready orthos and surfaces: two epochs built apart by a plain pipeline, not registered to each other."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import geopandas

from benchmarks.change import judged
from benchmarks.imagery.made import data
from benchmarks.report import Row
from change_detect.align import SurveyPair, align
from change_detect.evaluate import Truth
from change_detect.raster import Source, working_grid

NAME = "planted_sheffield, ready orthos and surfaces"


def sources() -> tuple[Source, Source, list[Truth]]:
    """Both surveys on one grid, and what was planted between them."""
    root = data("planted", "sheffield")
    days = {"before": date(2018, 4, 28), "after": date(2018, 4, 29)}
    before, after = (Source.of(root / f"ortho_{n}.tif", surface=root / f"dsm_{n}.tif", taken_on=d) for n, d in days.items())
    grid = working_grid(before.grid)
    table = geopandas.read_file(root / "truth_utm.geojson")
    truth = [Truth(r.id, r.geometry, float(r.height_m), bool(r.is_structure)) for r in table.itertuples()]
    return before.on(grid), after.on(grid), truth


def planted() -> SurveyPair:
    """The pair, aligned."""
    before, after, _ = sources()
    return align(before, after)


def rows(folder: Path) -> list[Row]:
    """The figures; `folder` stays empty."""
    before, after, truth = sources()
    return judged.rows(NAME, align(before, after), truth, same_frame=False)
