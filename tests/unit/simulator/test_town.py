from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest

from geo.errors import GeoError
from geo.frames import LonLat
from geo.grid import Grid
from simulator.errors import SimulatorError
from simulator.town import Town, make_town

PLACE = LonLat(lon_deg=120.57, lat_deg=32.39)


def grid_over(town: Town, gsd_m: float) -> Grid:
    return Grid.over(town.frame, town.frame.to_metres(town.outline).bounds, gsd_m)


@pytest.mark.parametrize("seed", [1, 7, 2026])
def test_the_demo_town_has_its_changes(seed: int) -> None:
    """A town of 200 x 150 m gains at least eight structures of five kinds or more, and six distractors or more."""
    truth = make_town(seed, centre=PLACE).truth(0, 30)
    structures = [t for t in truth if t.is_structure]
    assert len(structures) >= 8
    assert len({t.kind for t in structures}) >= 5
    assert len(truth) - len(structures) >= 6
    for t in structures:
        assert 8.0 <= t.area_m2 <= 110.0
        assert 2.2 <= t.height_m <= 6.3
        assert 0 < t.appears_day <= 30


def test_the_same_seed_gives_the_same_town() -> None:
    """Towns are functions of their seed."""
    a, b, c = (make_town(s, centre=PLACE, width_m=60, depth_m=60, margin_m=10) for s in (5, 5, 6))
    assert a.things == b.things
    assert a.patches == b.patches
    assert np.array_equal(a.relief.heights, b.relief.heights)
    assert a.things != c.things


def test_planted_things_lie_inside_and_apart(small_town: Town) -> None:
    """Every planted outline lies inside the flown part, and no two share ground."""
    truth = small_town.truth(0, 30)
    assert len(truth) >= 6
    for t in truth:
        assert small_town.outline.contains(t.outline)
    for a, b in combinations(truth, 2):
        assert a.outline.intersection(b.outline).area < 0.02 * min(a.outline.area, b.outline.area)


def test_the_ground_rises_by_metres_and_gently(small_town: Town) -> None:
    """Relief of metres, slopes under fifteen percent."""
    ground = small_town.scene(0).bare_ground(grid_over(small_town, 1.0))
    assert np.ptp(ground) > 1.5
    assert max(float(np.abs(g).max()) for g in np.gradient(ground)) < 0.15


def test_the_surface_changes_where_the_truth_says_and_nowhere_else(small_town: Town) -> None:
    """Between two days the exact surface gains each structure's height inside its outline; elsewhere only cars and the felled tree differ."""
    import rasterio.features

    before, after = small_town.scene(0), small_town.scene(30)
    grid = grid_over(small_town, 0.25)
    gain = after.surface(grid) - before.surface(grid)
    explained = np.zeros(grid.shape, bool)
    for t in small_town.truth(0, 30):
        outline = small_town.frame.to_metres(t.outline)
        inside = rasterio.features.geometry_mask([outline.buffer(-0.3)], grid.shape, grid.transform, invert=True)
        explained |= rasterio.features.geometry_mask([outline.buffer(0.8)], grid.shape, grid.transform, invert=True)
        if t.is_structure:
            assert np.median(gain[inside]) > 0.75 * 2.2, t.id
            assert np.percentile(gain[inside], 98) == pytest.approx(t.height_m, abs=0.6), t.id
        elif t.kind != "tree":
            assert np.abs(gain[inside]).max() < 1.05, t.id
    for car in small_town.cars(0) + small_town.cars(30):
        ring = np.array(car.ring) + np.array([small_town.origin.x_m, small_town.origin.y_m])
        shape = {"type": "Polygon", "coordinates": [[*map(tuple, ring), tuple(ring[0])]]}
        explained |= rasterio.features.geometry_mask([shape], grid.shape, grid.transform, invert=True, all_touched=True)
    assert np.abs(gain[~explained]).max() < 1e-3


def test_what_is_pulled_down_is_gone(small_town: Town) -> None:
    """After removal on day 45 the surface of day 60 is that of day 0 there; on day 44 the thing still stands."""
    target = next(t for t in small_town.truth(0, 30) if t.is_structure)
    removed = small_town.with_removed([target.id], day=45)
    place = small_town.frame.to_metres(target.outline).centroid
    grid = Grid.over(small_town.frame, (place.x - 0.5, place.y - 0.5, place.x + 0.5, place.y + 0.5), 0.25)
    at = {day: removed.scene(day).surface(grid) for day in (0, 44, 60)}
    assert np.array_equal(at[60], at[0])
    assert (at[44] - at[0]).min() > 1.5
    gone = removed.truth(30, 60)
    assert [t.id for t in gone] == [target.id]
    assert gone[0].gone_day == 45


def test_a_name_the_town_does_not_know_is_refused(small_town: Town) -> None:
    """Removing what is not there is an error that names it."""
    with pytest.raises(SimulatorError, match="no-such-thing"):
        small_town.with_removed(["no-such-thing"], day=60)


def test_cars_move_between_days(small_town: Town) -> None:
    """Cars of two days stand in different places, and those of one day always in the same."""
    assert small_town.cars(0) == small_town.cars(0)
    assert {(c.x, c.y) for c in small_town.cars(0)}.isdisjoint({(c.x, c.y) for c in small_town.cars(30)})


def test_heights_of_the_ground_agree(small_town: Town) -> None:
    """`Town.ground_m`, `Scene.ground_m` and the raster of the bare ground are one ground."""
    scene = small_town.scene(0)
    grid = grid_over(small_town, 5.0)
    xs, ys = grid.centres()
    raster = scene.bare_ground(grid)
    for row, col in ((0, 0), (3, 7), (grid.rows - 1, grid.cols - 1)):
        assert small_town.ground_m(xs[col], ys[row]) == scene.ground_m(xs[col], ys[row])
        assert raster[row, col] == pytest.approx(scene.ground_m(xs[col], ys[row]), abs=1e-4)


def test_small_and_foreign_requests_are_refused(small_town: Town) -> None:
    """A town too small to build in and a grid of another frame raise with the reason."""
    with pytest.raises(SimulatorError, match="too small"):
        make_town(1, centre=PLACE, width_m=10.0, depth_m=100.0)
    with pytest.raises(GeoError):
        make_town(1, centre=LonLat(lon_deg=32.39, lat_deg=120.57))
    other = dataclasses.replace(grid_over(small_town, 1.0), frame=type(small_town.frame)(32651))
    with pytest.raises(SimulatorError, match="EPSG:32651"):
        small_town.scene(0).surface(other)
