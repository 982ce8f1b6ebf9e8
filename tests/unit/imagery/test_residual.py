from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from geo.frames import Frame
from geo.grid import Grid, Window
from imagery import raster, residual
from imagery.errors import SurveyError
from tests.unit.imagery import stage


def _moved(picture: np.ndarray, east: float, south: float) -> np.ndarray:
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, np.array([[1, 0, east], [0, 1, south]], np.float64), size, flags=cv2.INTER_CUBIC)


def test_a_known_shift_is_found_to_hundredths_of_a_cell_though_a_quarter_changed() -> None:
    """New content, another light and noise do not pull the answer."""
    rng = np.random.default_rng(0)
    scene = cv2.cvtColor(stage.seen_from_above(stage.grid(half_m=20.0)), cv2.COLOR_RGB2GRAY).astype(np.float32)
    errors = []
    for _ in range(40):
        east, south = rng.uniform(-3, 3, 2)
        row, col = rng.integers(10, 250, 2)
        at = slice(row, row + 128), slice(col, col + 128)
        one, other = scene[at], _moved(scene, east, south)[at].copy()
        r, c = rng.integers(0, 64, 2)
        other[r : r + 64, c : c + 64] = scene[300:364, 10:74]
        found = residual.shift(one, 0.8 * other + 20 + rng.normal(0, 3, other.shape).astype(np.float32))
        if found is not None:
            errors.append(np.hypot(found[0] - east, found[1] - south))
    assert len(errors) >= 37
    assert np.median(errors) < 0.08  # the changed quarter may hide the middle, where the tile weighs most
    assert np.percentile(errors, 90) < 0.2


def test_pictures_of_different_places_have_no_shift() -> None:
    """No answer is better than a wrong one."""
    one, other = (
        cv2.cvtColor(stage.seen_from_above(stage.grid(half_m=10.0), seed), cv2.COLOR_RGB2GRAY).astype(np.float32)
        for seed in (1, 2)
    )
    assert all(residual.shift(one[:128, k : k + 128], other[:128, k : k + 128]) is None for k in range(0, 60, 10))


def test_the_map_is_kept_and_read_back(tmp_path: Path) -> None:
    """What is saved is what is shown; a broken file says so."""
    found = residual.Residual(
        np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.3, 0.4], [0.0, 1.0]]), np.array([0.9, 0.8]), 5, 0.05
    )
    again = residual.Residual.load(found.save(tmp_path / "r.json"))
    assert again.median_px == pytest.approx(0.75)
    assert again.median_cm == pytest.approx(3.75)
    assert again.tried == 5
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(SurveyError, match=r"r\.json"):
        residual.Residual.load(tmp_path / "r.json")


def test_unknown_ground_is_not_measured(tmp_path: Path) -> None:
    """Tiles that one of the two does not know are left out, and no tile is no number."""
    grid = Grid(Frame(32651), 0.1, 300_000.0, 3_000_000.0, 256, 256)
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    half = np.zeros((256, 256), bool)
    half[:, :100] = True
    window = Window(0, 0, 256, 256)
    for name, known in (("a", half), ("b", ~half)):
        raster.write_cog(tmp_path / f"{name}.tif", grid, [(window, pixels, known)])
    found = residual.measure(tmp_path / "a.tif", tmp_path / "b.tif", grid)
    assert found.tried == found.found == 0
    assert found.median_px is None
    assert found.p90_cm is None
