"""Hard months on disk: both surveys of a seed as the files the product reads, and what truly changed. Taken up again where they lie."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from change_detect.align import SurveyPair, align
from change_detect.evaluate import Truth
from change_detect.raster import Source, working_grid
from geo.frames import LonLat
from geo.grid import Grid, Window
from imagery import raster
from simulator.hardship import HardMonth, hard_month
from simulator.stereo import Survey, worn

CENTRE = LonLat(lon_deg=120.566, lat_deg=32.392)
JUDGED = tuple(range(5001, 5021))
"""For judging only: nothing is fitted, tuned or looked at on other seeds and then called measured."""
FITTED = tuple(range(101, 117))
"""For fitting."""
WORN = FITTED[:5]
"""Of these, months that are fitted on a second time as a plainer pipeline would have measured them."""
LAYERS = ("ortho", "sigma", "filled", "surface")
DAYS = (date(2026, 4, 1), date(2026, 5, 1))


def month(seed: int) -> HardMonth:
    """What happens in the month of a seed."""
    return hard_month(seed, centre=CENTRE)


def pair(made: HardMonth, folder: Path) -> SurveyPair:
    """Both surveys aligned as the product aligns them; made where they are not in `folder` yet."""
    before, after = (_source(made, folder / name, later) for later, name in enumerate("ab"))
    grid = working_grid(before.grid)
    return align(before.on(grid), after.on(grid))


def worn_pair(made: HardMonth, folder: Path) -> SurveyPair:
    """The same month from higher up through a plainer pipeline, on cells of 15 cm, without a sigma: for fitting alone."""
    pair(made, folder)
    sources = []
    for later, name in enumerate("ab"):
        home = folder / f"{name}_worn"
        if not (home / "surface.tif").exists():
            home.mkdir(exist_ok=True)
            source = _read(folder / name, later)
            layers = source.read(Window(0, 0, *source.grid.shape))
            assert layers.surface is not None
            assert layers.sigma is not None
            assert layers.filled is not None
            survey = Survey(layers.ortho, layers.valid, layers.surface, layers.sigma, layers.filled)
            worse = worn(np.random.default_rng([made.seed, 32, later]), survey, source.grid.gsd_m)
            rows, cols = worse.valid.shape
            _write(worse, replace(source.grid, gsd_m=1.5 * source.grid.gsd_m, rows=rows, cols=cols), home)
        sources.append(Source.of(home / "ortho.tif", taken_on=DAYS[later], surface=home / "surface.tif"))
    return align(*sources)


def truth(made: HardMonth) -> list[Truth]:
    """All that changed, wanted or not, as the score wants it."""
    return [Truth(c.id, c.outline, c.height_m, c.wanted) for c in made.changes]


def _source(made: HardMonth, folder: Path, later: int) -> Source:
    paths = [folder / f"{name}.tif" for name in LAYERS]
    if not all(p.exists() for p in paths):
        folder.mkdir(parents=True, exist_ok=True)
        _write(made.survey(bool(later)), made.grid, folder)
    return _read(folder, later)


def _read(folder: Path, later: int) -> Source:
    ortho, sigma, filled, surface = (folder / f"{name}.tif" for name in LAYERS)
    return Source.of(ortho, taken_on=DAYS[later], surface=surface, sigma=sigma, filled=filled)


def _write(survey: Survey, grid: Grid, folder: Path) -> None:
    ortho, sigma, filled, surface = (folder / f"{name}.tif" for name in LAYERS)
    tiles = ((w, survey.ortho[w.slices], survey.valid[w.slices]) for w in grid.tiles(512))
    raster.write_cog(ortho, grid, tiles)
    raster.write_float(sigma, grid, survey.sigma)
    raster.write_bytes(filled, grid, survey.filled.astype(np.uint8), nodata=None)
    raster.write_float(surface, grid, survey.surface)
