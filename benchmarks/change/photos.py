"""Real flights from their photos: the planted pair with its truth, and the same two flights unplanted, where nothing was built."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import geopandas

from benchmarks.change import judged
from benchmarks.imagery import made
from benchmarks.report import Row
from change_detect.align import SurveyPair, align
from change_detect.evaluate import Truth
from change_detect.raster import Source
from imagery.survey import Survey

PLANTED = "planted_sheffield, from photos"
UNPLANTED = "sheffield_cross, two flights minutes apart"


def rows(folder: Path) -> list[Row]:
    """Both pairs; surveys that lie in `folder` (in `planted/` and `sheffield/`, as the imagery benchmark keeps them) are taken up."""
    root = made.data("planted", "sheffield")
    table = geopandas.read_file(root / "truth_utm.geojson")
    truth = [Truth(r.id, r.geometry, float(r.height_m), bool(r.is_structure)) for r in table.itertuples()]
    planted = _pair(folder / "planted", root / "before", root / "after")
    raw = made.data("raw_surveys", "sheffield_cross")
    unplanted = _pair(folder / "sheffield", raw / "flight1_1206", raw / "flight2_1219")
    return [*judged.rows(PLANTED, planted, truth, same_frame=False), *_quiet(unplanted)]


def _quiet(pair: SurveyPair) -> list[Row]:
    found = judged.rows(UNPLANTED, pair, ())
    return [replace(r, bar=2.0) if r.metric == "false alarms per km2" else r for r in found]


def _pair(folder: Path, before: Path, after: Path) -> SurveyPair:
    first = made.survey(before, folder / "before", date(2018, 4, 28))
    return paired(first, made.survey(after, folder / "after", date(2018, 4, 29), area=made.area(first), reference=first))


def paired(first: Survey, later: Survey) -> SurveyPair:
    """Two finished surveys, aligned."""
    old, new = source(first), source(later)
    return align(old, new.on(old.grid))


def source(survey: Survey) -> Source:
    """A survey as change detection reads it, on its working grid."""
    folder = survey.folder
    return Source.of(
        folder / "ortho.tif",
        taken_on=survey.taken_on,
        surface=folder / "surface.tif",
        sigma=folder / "sigma.tif",
        filled=folder / "filled.tif",
        flags=folder / "flags.tif",
    )
