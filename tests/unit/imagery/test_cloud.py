"""The point cloud says what the surface says, where it is, and which of its points were never seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import laspy
import numpy as np
import pytest

from geo.frames import Frame
from geo.grid import Grid
from imagery import cloud, raster
from imagery.errors import SurveyError
from imagery.quality import Quality
from imagery.survey import Survey

GRID = Grid(Frame(4549), 0.1, 500_000.0, 3_584_000.0, 1300, 700)


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    """A slope with a hole in it, its left half bridged."""
    x, _ = GRID.centres()
    z = np.broadcast_to((0.02 * (x - GRID.west_m) + 5).astype(np.float32), GRID.shape).copy()
    z[100:120, 300:320] = np.nan
    filled = np.zeros(GRID.shape, np.uint8)
    filled[:, :350] = 1
    colours = np.zeros((*GRID.shape, 3), np.uint8)
    colours[..., 0], colours[..., 2] = 200, 10
    tiles = ((w, colours[w.slices], np.ones((w.rows, w.cols), bool)) for w in GRID.tiles(512))
    return Survey(
        "s",
        "a",
        date(2026, 11, 25),
        GRID,
        tmp_path,
        raster.write_cog(tmp_path / "ortho.tif", GRID, tiles, compression="lossless"),
        Quality(1, 1, None, None, None, None, 1.0, 0.1, None, None, "given", False, True, ()),
        1,
        surface=raster.write_float(tmp_path / "surface.tif", GRID, z),
        filled=raster.write_bytes(tmp_path / "filled.tif", GRID, filled, nodata=255),
    )


@pytest.mark.parametrize("every", [1, 3])
def test_the_points_are_the_surfaces_cells(survey: Survey, tmp_path: Path, every: int) -> None:
    """Count, place, height, colour and class of each point are those of its cell; the header knows the frame."""
    made = cloud.export(survey, tmp_path / "c.laz", every=every)
    with laspy.open(tmp_path / "c.laz") as file:
        assert file.header.parse_crs().to_epsg() == 4549
        points = file.read()
    assert survey.surface is not None
    z = raster.read_window(survey.surface)[::every, ::every]
    assert made.points == len(points) == int(np.isfinite(z).sum())
    x, y = np.asarray(points.x), np.asarray(points.y)
    np.testing.assert_allclose(np.asarray(points.z), 0.02 * (x - GRID.west_m) + 5, atol=0.002)
    cols = (x - GRID.west_m) / GRID.gsd_m - 0.5
    rows = (GRID.north_m - y) / GRID.gsd_m - 0.5
    np.testing.assert_allclose(cols, np.round(cols), atol=0.02)
    assert (np.round(cols).astype(int) % every == 0).all()
    assert (np.round(rows).astype(int) % every == 0).all()
    bridged = np.round(cols) < 350
    np.testing.assert_array_equal(np.asarray(points.classification) == cloud.BRIDGED, bridged)
    np.testing.assert_array_equal(np.asarray(points.synthetic) == 1, bridged)
    assert made.bridged == int(bridged.sum())
    assert (np.asarray(points.red) == 200 * 257).all()


def test_a_survey_without_a_surface_has_no_points(survey: Survey, tmp_path: Path) -> None:
    """It is said, and no file is left."""
    with pytest.raises(SurveyError, match="surface"):
        cloud.export(replace(survey, surface=None), tmp_path / "c.laz")
    assert not list(tmp_path.glob("*c.laz*"))
