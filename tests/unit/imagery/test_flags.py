"""Laws of the flags of an orthophoto, on a made-up place seen by known views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geo.frames import Pose
from imagery import flags, raster
from imagery.survey import Survey
from tests.unit.imagery import stage

Bytes = NDArray[np.uint8]


def _judged(folder: Path, at: list[Pose], *, filled: Bytes | None = None, sure: int = 100) -> tuple[Bytes, Bytes]:
    """Flags and certainty of the place under its exact surface, all of it painted by the first view."""
    block, grid = stage.block(folder, at=at), stage.grid(half_m=14.0)
    layers = flags.Layers(
        raster.write_float(folder / "surface.tif", grid, stage.true_heights(grid)),
        raster.write_bytes(folder / "confidence.tif", grid, np.full(grid.shape, sure, np.uint8), nodata=255),
        raster.write_bytes(folder / "filled.tif", grid, np.zeros(grid.shape, np.uint8) if filled is None else filled, nodata=255),
        raster.write_bytes(folder / "source.tif", grid, np.zeros(grid.shape, np.uint16), nodata=65535),
    )
    files = flags.build(block, layers, grid, folder)
    return raster.read_window(files.flags), raster.read_window(files.certainty)


def _aside(x_m: float) -> Pose:
    return Pose.looking(stage.CENTRE[0] + x_m, stage.CENTRE[1], stage.HEIGHT_M, yaw_deg=0.0, pitch_deg=-90.0)


def _strip(values: Bytes, west_m: float, east_m: float) -> Bytes:
    """The cells between two distances east of the middle, along the middle of the house."""
    x, y = stage.grid(half_m=14.0).centres()
    cols = (x - stage.CENTRE[0] > west_m) & (x - stage.CENTRE[0] < east_m)
    rows = np.abs(y - stage.CENTRE[1]) < 3.0
    return values[np.ix_(rows, cols)]


def test_ground_behind_a_house_is_hidden_as_far_as_its_height_says(tmp_path: Path) -> None:
    """One view from the west: the wall of 4 m hides a strip of 4 m x tan(angle) in the east, and nothing in the west."""
    found, certainty = _judged(tmp_path, [_aside(-15.0)])
    edge, top = stage.HOUSE.east, stage.HOUSE.top
    far = edge + top * (edge + 15) / (stage.HEIGHT_M - top)
    assert (_strip(found, edge + 0.3, far - 0.5) & flags.HIDDEN).all()
    assert not (_strip(found, far + 0.3, 12.0) & flags.HIDDEN).any()
    assert not (_strip(found, -13.0, stage.HOUSE.west - 0.2) & flags.HIDDEN).any()
    assert (_strip(certainty, edge + 0.3, far - 0.5) == 0).all()


def test_a_second_view_brings_light_behind_the_house_but_the_first_still_leans(tmp_path: Path) -> None:
    """With a view from the east as well nothing is hidden; what the western one painted there is a lean."""
    found, _ = _judged(tmp_path, [_aside(-15.0), _aside(15.0)])
    assert not (_strip(found, -12.0, 12.0) & flags.HIDDEN).any()
    assert (_strip(found, stage.HOUSE.east + 0.3, stage.HOUSE.east + 1.4) & flags.LEAN).all()
    assert not _strip(found, stage.HOUSE.west + 1.0, stage.HOUSE.east - 1.0).any()


def test_a_view_from_straight_above_leans_nowhere(tmp_path: Path) -> None:
    """Over a house seen from its zenith neither roof nor foot is masked."""
    found, certainty = _judged(tmp_path, [_aside(0.0)])
    assert _strip(found, -3.0, 3.0).max() == 0
    assert _strip(certainty, -3.0, 3.0).min() >= 49


def test_certainty_is_the_formula_of_its_docstring(tmp_path: Path) -> None:
    """Angle, number of views, confidence of the surface, and bridges, each as written."""
    grid = stage.grid(half_m=14.0)
    guessed = np.zeros(grid.shape, np.uint8)
    guessed[:40] = 1
    found, certainty = _judged(tmp_path, [_aside(-10.0), _aside(-9.0), _aside(-8.0)], filled=guessed, sure=60)
    row, col = 200, 20
    x, y = (float(v[i]) for v, i in zip(grid.centres(), (col, row), strict=True))
    angle = np.arctan(np.hypot(x - stage.CENTRE[0] + 10, y - stage.CENTRE[1]) / stage.HEIGHT_M)
    assert certainty[row, col] == pytest.approx(100 * np.cos(angle) * 3 / 4 * (1 + 3 * 0.6) / 4, abs=1)
    assert (found[:40] & flags.BRIDGED).all() and not (found[41:] & flags.BRIDGED).any()


def test_a_survey_masks_its_walls_and_little_else(before: Survey) -> None:
    """Of a real mosaic the cells by the walls are masked far more often than open ground, which is certain."""
    assert before.flags and before.certainty
    found, certainty = raster.read_window(before.flags), raster.read_window(before.certainty)
    x, y = before.grid.centres()
    gx, gy = np.meshgrid(x - stage.CENTRE[0], y - stage.CENTRE[1])
    house = stage.HOUSE
    out = np.maximum.reduce([house.west - gx, gx - house.east, house.south - gy, gy - house.north])
    by_walls, open_ground = (out > 0) & (out < 0.4), (out > 4) & (out < 8)
    assert (found[open_ground] > 0).mean() < 0.02
    assert (found[by_walls] > 0).mean() > 0.3
    assert np.median(certainty[open_ground]) > 60 > np.median(certainty[by_walls])
