"""Hard months on disk: both surveys of a seed as the files the product reads, and what truly changed. Taken up again where they lie."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from change_detect.align import SurveyPair, align
from change_detect.evaluate import Truth
from change_detect.raster import Source, working_grid
from geo.frames import LonLat
from imagery import raster
from simulator.hardship import HardMonth, hard_month
from simulator.stereo import Survey

CENTRE = LonLat(lon_deg=120.566, lat_deg=32.392)
JUDGED = tuple(range(5001, 5025))
"""For judging only: nothing is fitted, tuned or looked at on other seeds and then called measured."""
FITTED = tuple(range(101, 149))
"""For fitting; the last third calibrates."""
DAYS = (date(2026, 4, 1), date(2026, 5, 1))


def month(seed: int) -> HardMonth:
    """What happens in the month of a seed."""
    return hard_month(seed, centre=CENTRE)


def pair(made: HardMonth, folder: Path, *, surfaces: bool = True) -> SurveyPair:
    """Both surveys aligned as the product aligns them; made where they are not in `folder` yet."""
    before, after = (_source(made, folder / name, later, surfaces) for later, name in enumerate("ab"))
    grid = working_grid(before.grid)
    return align(before.on(grid), after.on(grid))


def truth(made: HardMonth) -> list[Truth]:
    """All that changed, wanted or not, as the score wants it."""
    return [Truth(c.id, c.outline, c.height_m, c.wanted) for c in made.changes]


def _source(made: HardMonth, folder: Path, later: int, surfaces: bool) -> Source:
    paths = [folder / f"{name}.tif" for name in ("ortho", "surface", "sigma", "filled")]
    if not all(p.exists() for p in paths):
        folder.mkdir(parents=True, exist_ok=True)
        _write(made.survey(bool(later)), made, paths)
    ortho, surface, sigma, filled = paths
    if not surfaces:
        return Source.of(ortho, taken_on=DAYS[later])
    return Source.of(ortho, taken_on=DAYS[later], surface=surface, sigma=sigma, filled=filled)


def _write(survey: Survey, made: HardMonth, paths: list[Path]) -> None:
    grid = made.grid
    ortho, surface, sigma, filled = paths
    tiles = ((w, survey.ortho[w.slices], survey.valid[w.slices]) for w in grid.tiles(512))
    raster.write_cog(ortho, grid, tiles)
    raster.write_float(surface, grid, survey.surface)
    raster.write_float(sigma, grid, survey.sigma)
    raster.write_bytes(filled, grid, survey.filled.astype("uint8"), nodata=None)

