from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from geo.area import Area, AreaId
from geo.frames import Frame
from geo.grid import Grid
from imagery import gaps, raster
from imagery.reconstruct import Block
from tests.unit.imagery import stage

FRAME = Frame(32651)
GRID = Grid(FRAME, 1.0, 300_000.0, 3_000_100.0, 100, 120)
AREA = Area(AreaId("a"), "a", FRAME.to_degrees(GRID.outline_m), gsd_m=0.1, epsg=FRAME.epsg)


def _known(*holes: tuple[int, int, int, int]) -> np.ndarray:
    known = np.ones(GRID.shape, bool)
    for row, col, rows, cols in holes:
        known[row : row + rows, col : col + cols] = False
    return known


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 80), st.integers(0, 100), st.integers(6, 40), st.integers(6, 40))
def test_all_that_is_missing_lies_inside_what_is_flown_again_and_not_much_more(row: int, col: int, rows: int, cols: int) -> None:
    """The gap holds every missing cell of a hole, stays in the area, and is no wider than a few metres more."""
    known = _known((row, col, rows, cols))
    found = gaps.find(AREA, GRID, known)
    hole = box(
        GRID.west_m + col,
        max(GRID.north_m - row - rows, GRID.bounds_m[1]),
        min(GRID.west_m + col + cols, GRID.bounds_m[2]),
        GRID.north_m - row,
    )
    assert found.outline_m.buffer(0.01).contains(hole)
    assert hole.buffer(9.0).contains(found.outline_m)
    assert AREA.outline_m.buffer(0.01).contains(found.outline_m)
    assert found.unseen == (~known).mean()


def test_slivers_and_specks_are_not_flown_for() -> None:
    """A strip a metre wide along the edge, and a hole of four square metres, make no gap."""
    known = _known((0, 0, 1, 120), (50, 50, 2, 2))
    assert gaps.find(AREA, GRID, known).outline_m.is_empty
    assert gaps.find(AREA, GRID, _known()).area_m2 == 0.0


def test_thin_overlap_and_refused_cells_are_gaps_too() -> None:
    """Ground that one photo sees has no height; ground that lies beside the reference cannot be compared."""
    counts = np.full(GRID.shape, 5, np.uint16)
    counts[20:40, 20:40] = 1
    bad = box(GRID.west_m + 80, GRID.north_m - 90, GRID.west_m + 105, GRID.north_m - 65)
    found = gaps.find(AREA, GRID, _known(), counts, [bad])
    assert len(found.outline_m.geoms) == 2
    assert found.thin == 400 / GRID.rows / GRID.cols
    assert found.refused == 625 / GRID.rows / GRID.cols
    assert found.outline_m.buffer(0.01).contains(bad)


def test_every_photo_counts_once_where_it_looks(old_block: Block) -> None:
    """The middle is seen by many photos, the far corner by none, and no cell by more than there are."""
    grid = stage.grid(gsd_m=1.0, half_m=80.0)
    counts = gaps.photos_over(old_block, grid)
    assert counts.max() <= len(old_block.views)
    assert counts[80, 80] >= 8
    assert counts[0, 0] == 0
    small, thin = gaps.coarse(stage.grid(gsd_m=0.1))
    assert thin == 10
    assert small.gsd_m == 1.0


def test_outlines_of_a_mask_rasterise_back_to_it() -> None:
    """Polygons along cell borders and the mask say the same."""
    mask = _known((10, 10, 5, 7), (40, 60, 9, 3))
    back = np.zeros_like(mask)
    for outline in raster.outlines(~mask, GRID):
        back |= raster.inside(outline, GRID)
    assert (back == ~mask).all()
