from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from geo.frames import Frame
from geo.grid import Grid
from imagery import coregister, raster

CELL_M = 0.06
Heights = np.ndarray


def _town(east_m: float = 0.0, north_m: float = 0.0, up_m: float = 0.0, *, n: int = 560, cell_m: float = CELL_M) -> Heights:
    """Heights of gabled houses on rolling ground as a formula, so that a shifted surface is exact: nothing is resampled."""
    x = (np.arange(n) + 0.5) * cell_m - east_m
    y = -(np.arange(n) + 0.5) * cell_m - north_m
    gx, gy = np.meshgrid(x, y)
    z = 0.6 * np.sin(gx / 7) + 0.5 * np.cos(gy / 9 + gx / 23)
    for k, (cx, cy) in enumerate([(8, -9), (25, -8), (12, -26), (31, -29), (20, -17)]):
        turn = 0.3 + 0.7 * k
        a, b = (gx - cx) * np.cos(turn) + (gy - cy) * np.sin(turn), -(gx - cx) * np.sin(turn) + (gy - cy) * np.cos(turn)
        # walls as wide as a stereo window makes them
        wall = 1 / (1 + np.exp((np.maximum(np.abs(a) / 5, np.abs(b) / 3.5) - 1) * 25))
        z = z + wall * (3.0 + 0.5 * (3.5 - np.abs(b)))
    return (z + up_m).astype(np.float32)


def _changed(surface: Heights, share: float, rng: np.random.Generator) -> Heights:
    """New flat roofs until a share of the ground is other than it was."""
    out, covered = surface.copy(), np.zeros(surface.shape, bool)
    while covered.mean() < share:
        h, w = rng.integers(60, 160, 2)
        r, c = rng.integers(0, surface.shape[0] - h), rng.integers(0, surface.shape[1] - w)
        out[r : r + h, c : c + w] = float(np.median(out[r : r + h, c : c + w])) + rng.uniform(1.5, 6)
        covered[r : r + h, c : c + w] = True
    return out


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_known_shift_is_recovered_within_five_millimetres_though_a_quarter_was_built_over(share: float) -> None:
    """New buildings and noise do not pull the answer, in any of the three directions."""
    rng = np.random.default_rng(3)
    first = _town()
    for _ in range(2):
        east, north, up = rng.uniform(-0.4, 0.4, 3)
        second = _changed(_town(east, north, up), share, rng)
        noisy = [(v + rng.normal(0, 0.03, v.shape)).astype(np.float32) for v in (first, second)]
        found = coregister.fit([(noisy[0], noisy[1], 0.0, 0.0)], CELL_M)
        assert found is not None
        assert found.xy_known
        assert np.abs([found.east_m - east, found.north_m - north, found.up_m - up]).max() < 0.005
        assert found.nmad_m < 0.05


def test_what_is_nothing_is_nothing() -> None:
    """A surface lies on itself."""
    found = coregister.fit([(_town(), _town(), 0.0, 0.0)], CELL_M)
    assert found is not None
    assert found.shift_m < 1e-6 and abs(found.up_m) < 1e-6


def test_both_ways_are_opposite() -> None:
    """What the second is off the first, the first is off the second, turned round."""
    a, b = _town(), _town(0.21, -0.34, 0.5)
    forth, back = coregister.fit([(a, b, 0.0, 0.0)], CELL_M), coregister.fit([(b, a, 0.0, 0.0)], CELL_M)
    assert forth is not None and back is not None
    assert forth.east_m == pytest.approx(-back.east_m, abs=0.002)
    assert forth.north_m == pytest.approx(-back.north_m, abs=0.002)
    assert forth.up_m == pytest.approx(-back.up_m, abs=0.002)


def test_a_tilt_is_found_beside_the_shift() -> None:
    """A block that leans is told from one that lies elsewhere."""
    n = 560
    lean_east, lean_north = 0.004, -0.003
    v, u = np.meshgrid(-(np.arange(n) + 0.5 - n / 2) * CELL_M, (np.arange(n) + 0.5 - n / 2) * CELL_M, indexing="ij")
    second = (_town(0.15, 0.1, -0.2) + lean_east * u + lean_north * v).astype(np.float32)
    found = coregister.fit([(_town(), second, 0.0, 0.0)], CELL_M, tilt=True)
    assert found is not None
    assert found.tilt == pytest.approx((lean_east, lean_north), abs=2e-4)
    assert (found.east_m, found.north_m) == pytest.approx((0.15, 0.1), abs=0.005)


def test_level_ground_tells_its_height_and_says_that_it_tells_no_place() -> None:
    """No answer is better than one made of noise."""
    rng = np.random.default_rng(1)
    flat = [rng.normal(0, 0.02, (400, 400)).astype(np.float32) + h for h in (0.0, 0.37)]
    found = coregister.fit([(flat[0], flat[1], 0.0, 0.0)], CELL_M)
    assert found is not None
    assert not found.xy_known
    assert (found.east_m, found.north_m) == (0.0, 0.0)
    assert found.up_m == pytest.approx(0.37, abs=0.003)


def test_metres_are_found_from_files_and_bridged_cells_are_not_asked(tmp_path: Path) -> None:
    """The thumbnail brings a shift of metres home; a bridged region of nonsense does not matter, and empty ground gives no answer."""
    n = 1100
    grid = Grid(Frame(32651), CELL_M, 300_000.0, 3_000_000.0, n, n)
    second, filled = _town(1.9, -1.3, 0.8, n=n), np.zeros((n, n), np.uint8)
    filled[:500, :300] = 1
    second[:500, :300] = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 90, (500, 300)), (0, 0), 9)
    raster.write_float(tmp_path / "a.tif", grid, _town(n=n))
    raster.write_float(tmp_path / "b.tif", grid, second)
    raster.write_bytes(tmp_path / "filled.tif", grid, filled, nodata=255)
    found = coregister.between(tmp_path / "a.tif", tmp_path / "b.tif", grid, (tmp_path / "filled.tif",))
    assert found is not None
    assert (found.east_m, found.north_m, found.up_m) == pytest.approx((1.9, -1.3, 0.8), abs=0.005)
    assert found.nmad_m < 0.1 * found.nmad_before_m
    empty = np.full((n, n), np.nan, np.float32)
    assert coregister.measure(lambda w, t: empty[w.slices][::t, ::t], lambda w, t: second[w.slices][::t, ::t], grid) is None


def test_a_window_beyond_the_surface_is_unknown() -> None:
    """A shift as long as the patch leaves nothing to compare, and no error."""
    a = _town(n=130)
    start = coregister.Coregistration(50.0, 0.0, 0.0, (0.0, 0.0), True, 0.0, 0.0, 0.0, 0)
    assert coregister.fit([(a, a, 0.0, 0.0)], CELL_M, start=start) is None
