from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from geo.frames import Frame
from geo.grid import Grid, Window
from imagery import cells, raster
from imagery.cells import CellState
from imagery.residual import Residual

GRID = Grid(Frame(32651), 0.05, 300_000.0, 3_000_100.0, 2048, 2048)  # 102.4 m: four by four cells


def _residual(shift_of: object, *, missed: object = lambda x, y: False) -> Residual:
    places, shifts, unmatched = [], [], []
    for row in range(16):
        for col in range(16):
            x, y = GRID.west_m + (col + 0.5) * 6.4, GRID.north_m - (row + 0.5) * 6.4
            if missed(x, y):  # type: ignore[operator]
                unmatched.append((x, y))
            else:
                places.append((x, y))
                shifts.append(shift_of(row, col))  # type: ignore[operator]
    return Residual(
        np.array(places), np.array(shifts, float), np.ones(len(places)), 256, GRID.gsd_m, np.array(unmatched).reshape(-1, 2)
    )


def test_every_tile_is_in_one_cell() -> None:
    """Cells share out the tiles, none twice."""
    made = cells.cells(_residual(lambda r, c: (0.1, 0.0)), GRID)
    assert len(made) == 16
    assert sum(c.tried for c in made) == 256
    assert sum(c.outline_m.area for c in made) == pytest.approx(GRID.outline_m.area)


def test_a_cell_that_lies_beside_the_reference_is_refused_and_its_neighbours_are_not() -> None:
    """The one corner that moved by four pixels is not compared; the rest is."""
    made = cells.cells(_residual(lambda r, c: (4.0, 0.0) if r < 4 and c < 4 else (0.2, -0.1)), GRID)
    assert [c.state for c in made].count(CellState.REFUSED) == 1
    assert made[0].state is CellState.REFUSED
    assert made[0].median_px == pytest.approx(4.0)
    assert cells.refused_share(made) == 1 / 16


def test_a_tile_that_matched_a_wrong_place_refuses_nothing() -> None:
    """Four wild answers of sixteen are outvoted; six of them are not."""
    rng = np.random.default_rng(0)
    quiet = rng.normal(0, 0.3, (16, 16, 2))

    def some(wild: int) -> Residual:
        return _residual(lambda r, c: (9.0, -9.0) if r < 4 and c < 4 and (4 * r + c) % 16 < wild else quiet[r, c])

    assert cells.cells(some(4), GRID)[0].state is CellState.GOOD
    assert cells.cells(some(6), GRID)[0].state is CellState.REFUSED


def test_the_robust_percentile_is_the_true_one_where_shifts_are_normal() -> None:
    """Of a normal scatter of half a pixel 95 % lie within 1.22 px, and that is what the cells say on average."""
    rng = np.random.default_rng(1)
    scatter = rng.normal(0, 0.5, (16, 16, 2))
    said = [c.p95_px for c in cells.cells(_residual(lambda r, c: scatter[r, c]), GRID)]
    assert np.mean([s for s in said if s is not None]) == pytest.approx(1.22, abs=0.2)


def test_where_little_matches_nothing_is_said() -> None:
    """Another crop on a field is no misregistration: the cell is unknown, neither good nor refused."""
    made = cells.cells(_residual(lambda r, c: (0.0, 0.0), missed=lambda x, y: x < GRID.west_m + 25.6), GRID)
    assert [c.state for c in made].count(CellState.UNKNOWN) == 4
    assert cells.refused_share(made) == 0.0
    assert cells.refused_share(made[:1]) is None


def test_the_map_is_kept_with_the_tiles_that_matched_nowhere_and_drawn(tmp_path: Path) -> None:
    """Cells of a saved map are those of the measured one; the picture is a PNG with a legend below the ortho."""
    found = _residual(lambda r, c: (0.5, -1.5), missed=lambda x, y: y > GRID.north_m - 30)
    again = Residual.load(found.save(tmp_path / "r.json"))
    assert [(c.tried, c.state) for c in cells.cells(again, GRID)] == [(c.tried, c.state) for c in cells.cells(found, GRID)]
    pixels = np.full((2048, 2048, 3), 120, np.uint8)
    raster.write_cog(tmp_path / "o.tif", GRID, [(Window(0, 0, 2048, 2048), pixels, np.ones((2048, 2048), bool))])
    drawn = cv2.imread(str(cells.picture(found, GRID, tmp_path / "o.tif", tmp_path / "r.png")))
    assert drawn.shape[0] > drawn.shape[1] == 1024
    assert len(np.unique(drawn[:1024].reshape(-1, 3), axis=0)) > 10
