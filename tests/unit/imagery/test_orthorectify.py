from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geo.grid import Window
from imagery import mosaic, orthorectify, raster, residual
from imagery.errors import SurveyError
from imagery.projection import Projector
from imagery.reconstruct import Block
from imagery.survey import Survey
from imagery.tone import Thumbnail, tones
from tests.unit.imagery import stage


@pytest.fixture(scope="module")
def truth(before: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    colours = stage.seen_from_above(before.grid)
    tiles = [(w, colours[w.slices], np.ones((w.rows, w.cols), bool)) for w in before.grid.tiles(512)]
    return raster.write_cog(tmp_path_factory.mktemp("truth") / "truth.tif", before.grid, tiles, compression="lossless")


def test_the_ortho_shows_everything_where_it_is(before: Survey, truth: Path) -> None:
    """Ground and roof alike lie at their true place, to a tenth of a cell; poses, lens and surface went into it."""
    found = residual.measure(truth, before.ortho, before.grid, tile=64)
    assert found.found == found.tried > 10
    assert found.median_px is not None and found.median_px < 0.1
    assert found.p90_px is not None and found.p90_px < 0.3


def test_no_hole_no_seam(before: Survey) -> None:
    """All of the area is painted, and photos of five exposures look like one."""
    assert raster.read_mask(before.ortho).all()
    pixels = raster.read_window(before.ortho).astype(np.float64)
    true = stage.seen_from_above(before.grid).astype(np.float64)
    cells = 20
    rows, cols = (n // cells * cells for n in before.grid.shape)
    ratio = (pixels[:rows, :cols].reshape(rows // cells, cells, cols // cells, cells, 3).mean(axis=(1, 3))) / (
        true[:rows, :cols].reshape(rows // cells, cells, cols // cells, cells, 3).mean(axis=(1, 3))
    )
    assert ratio.std() < 0.05  # the photos themselves differ by 30 %


def test_a_wall_hides_ground_from_one_photo_and_another_paints_it(old_block: Block, before: Survey) -> None:
    """Beside the house, the view that paints the ground truly sees it."""
    assert before.source is not None
    source = raster.read_window(before.source)
    views = np.unique(source[source != orthorectify.NO_SOURCE])
    assert len(views) > 4
    house = stage.HOUSE
    heights = stage.true_heights(before.grid)
    corner = (before.grid.west_m - stage.CENTRE[0], before.grid.north_m - stage.CENTRE[1])
    blocked = total = 0
    for x, y in [(house.east + d, 0.0) for d in (0.6, 1.2, 2.0)] + [(0.0, house.south - d) for d in (0.6, 1.2, 2.0)]:
        row, col = before.grid.cell(x + stage.CENTRE[0], y + stage.CENTRE[1])
        view = old_block.views[source[row, col]]
        projector = Projector.of(stage.CAMERA, view.pose, old_block.offset_m)
        place = np.array([[x, y, float(stage.ground(np.float64(x), np.float64(y)))]])
        blocked += mosaic.seen_share(projector, heights, corner, before.grid.gsd_m, place) == 0
        total += 1
    assert total == 6
    assert blocked == 0


def test_the_steepest_photo_paints(before: Survey) -> None:
    """Half of the cells are seen from nearly straight above."""
    assert before.off_nadir is not None
    angles = raster.read_window(before.off_nadir)
    assert np.median(angles) < 12
    assert (angles[raster.read_mask(before.ortho)] != orthorectify.NO_ANGLE).all()


def test_photos_of_another_place_are_refused(old_block: Block, tmp_path: Path) -> None:
    """An ortho of nothing is no ortho."""
    far = stage.grid()
    far = type(far)(far.frame, far.gsd_m, far.west_m + 5000, far.north_m, far.rows, far.cols)
    heights = raster.write_float(tmp_path / "z.tif", far, np.zeros(far.shape, np.float32))
    with pytest.raises(SurveyError, match="no photo shows the area"):
        orthorectify.build(old_block, heights, far, tmp_path / "out")


def test_gains_bring_exposures_together() -> None:
    """Three pictures of one place with different exposures come out alike, and their mean brightness stays."""
    rng = np.random.default_rng(0)
    scene = rng.uniform(60, 150, (30, 60, 3)).astype(np.float32)
    exposures = (0.8, 1.0, 1.25)
    pictures = []
    for k, exposure in enumerate(exposures):
        window = Window(0, 10 * k, 30, 40)
        shape = (30, 40)
        pictures.append(Thumbnail(window, scene[window.slices] * exposure, np.ones(shape, bool), np.ones(shape, np.float32)))
    found = tones(pictures, (30, 60))
    final = [p.colours * t.gain + t.field for p, t in zip(pictures, found, strict=True) if t is not None]
    overlap = final[0][:, 20:30], final[2][:, 0:10]
    assert np.abs(overlap[0] - overlap[1]).mean() < 3
    assert np.mean([f.mean() for f in final]) == pytest.approx(scene.mean(), rel=0.05)


def test_gaps_of_a_scene_are_closed_from_around_it() -> None:
    """Known heights stay, unknown ones lie between those around them."""
    heights = np.fromfunction(lambda r, c: 0.1 * r + 0.2 * c, (50, 70)).astype(np.float32)
    holed = heights.copy()
    holed[10:30, 20:50] = np.nan
    out = mosaic.without_gaps(holed)
    known = np.isfinite(holed)
    assert np.array_equal(out[known], holed[known])
    assert np.abs(out - heights)[~known].max() < 3.0
    assert heights.min() <= out.min() <= out.max() <= heights.max()
