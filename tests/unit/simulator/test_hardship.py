"""A hard month: its truth is in its surfaces, nothing stands in anything else, and a survey of it is near what is true."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from geo.frames import LonLat
from geo.grid import Grid
from simulator.hardship import HardMonth, hard_month
from simulator.overhead import overhead
from simulator.stereo import surveyed
from simulator.sun import Sun

CENTRE = LonLat(lon_deg=120.566, lat_deg=32.392)


@pytest.fixture(scope="module")
def month() -> HardMonth:
    return hard_month(103, centre=CENTRE, width_m=90.0, depth_m=80.0)


@pytest.fixture(scope="module")
def gained(month: HardMonth) -> tuple[Grid, NDArray[np.float32]]:
    grid = Grid.over(month.town.frame, month.grid.bounds_m, 0.4)
    return grid, month.scene(later=True).surface(grid) - month.scene(later=False).surface(grid)


def test_the_same_seed_gives_the_same_month(month: HardMonth) -> None:
    """Changes, suns and seasons are the seed's."""
    again = hard_month(103, centre=CENTRE, width_m=90.0, depth_m=80.0)
    assert [c.id for c in again.changes] == [c.id for c in month.changes]
    assert (again.suns, again.bare) == (month.suns, month.bare)


def test_heights_of_the_truth_are_those_of_the_surface(month: HardMonth, gained: tuple[Grid, NDArray[np.float32]]) -> None:
    """Boxes and slabs rose by what the truth says, and what was pulled down fell by about its height."""
    grid, dz = gained
    seen = 0
    for c in month.changes:
        if c.kind not in ("container", "extension", "brick_stack", "storey", "hut") or c.outline.area < 4:
            continue
        x, y = c.outline.centroid.coords[0]
        row, col = int((grid.north_m - y) / grid.gsd_m), int((x - grid.west_m) / grid.gsd_m)
        if 0 <= row < grid.rows and 0 <= col < grid.cols:
            seen += 1
            assert dz[row, col] == pytest.approx(c.height_m, abs=0.5), c
    assert seen >= 3


def test_what_is_built_stands_apart(month: HardMonth) -> None:
    """No two wanted things share ground."""
    wanted = [c for c in month.changes if c.wanted and c.name != "demolished"]
    assert len(wanted) >= 5
    for a, b in combinations(wanted, 2):
        assert a.outline.intersection(b.outline).area < 0.1 * min(a.outline.area, b.outline.area), (a.id, b.id)


def test_a_survey_is_near_the_truth_but_not_it(month: HardMonth) -> None:
    """Half of all heights lie within two decimetres; edges are smeared, bridged cells say so, and the seed decides all of it."""
    west, south, _, _ = month.grid.bounds_m
    grid = Grid.over(month.town.frame, (west + 20, south + 20, west + 50, south + 50), 0.1)
    exact = overhead(month.scene(later=False), grid, Sun(150.0, 45.0))
    one, other = (surveyed(np.random.default_rng(5), exact, 0.1, shifted=False) for _ in range(2))
    assert np.array_equal(one.surface, other.surface, equal_nan=True)
    assert np.array_equal(one.ortho, other.ortho)
    known = np.isfinite(one.surface)
    assert np.median(np.abs(one.surface - exact.surface)[known]) < 0.2
    assert np.abs(one.surface - exact.surface)[known].max() > 0.5
    assert (one.sigma[one.filled] >= 0.3).all()
    assert exact.leaves.any()
    assert (exact.surface[exact.leaves] > exact.floor[exact.leaves]).all()
