"""Laws of the ground model, on a made-up landscape whose ground is known."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geo.frames import Frame
from geo.grid import Grid, Window
from imagery import ground, raster

Metres = NDArray[np.float32]
CELL_M = 0.5
SIDE_M = 400.0
HALL, HUGE, DAM, PIT = (40, 60, 100, 150), (230, 20, 370, 150), (20, 210, 380, 240), (60, 280, 140, 360)


def _axes() -> tuple[Metres, Metres]:
    along = (np.arange(round(SIDE_M / CELL_M), dtype=np.float32) + 0.5) * np.float32(CELL_M)
    x, y = np.meshgrid(along, along)
    return x, y


def _inside(box: tuple[int, int, int, int], x: Metres, y: Metres, inset: float = 0.0) -> NDArray[np.bool_]:
    west, south, east, north = box
    return (x > west + inset) & (x < east - inset) & (y > south + inset) & (y < north - inset)


@lru_cache(maxsize=1)
def landscape() -> tuple[Metres, Metres]:
    """(surface, ground): a slope of 2 % with a dam, a pit with steep walls, a hall of 60 m, one of 140 m, houses and trees."""
    rng = np.random.default_rng(3)
    x, y = _axes()
    bare = 20 + 0.02 * x + 0.6 * np.sin(y / 40)
    to_dam = np.minimum(y - DAM[1], DAM[3] - y)
    bare = bare + np.clip(to_dam / 2, 0, 5) * _inside(DAM, x, y)  # 1 in 2, five metres high, ten metres wide
    depth = np.minimum.reduce([x - PIT[0], PIT[2] - x, y - PIT[1], PIT[3] - y])
    bare = bare - np.clip(depth * 3, 0, 9)  # 9 m deep, walls of 70 degrees
    surface = bare + rng.normal(0, 0.03, x.shape)
    for box, top in ((HALL, 8.0), (HUGE, 9.0)):
        surface = np.where(_inside(box, x, y), bare + top, surface)
    for _ in range(60):
        cx, cy = rng.uniform(5, SIDE_M - 5), rng.uniform(150, 205)
        roof = _inside((cx - 6, cy - 5, cx + 6, cy + 5), x, y)
        surface = np.where(roof, np.maximum(surface, bare + 6 + 0.4 * (5 - np.abs(y - cy))), surface)
    for _ in range(150):
        cx, cy, r = rng.uniform(0, SIDE_M), rng.uniform(0, SIDE_M), rng.uniform(1.5, 4)
        crown = (x - cx) ** 2 + (y - cy) ** 2 < r * r
        surface = np.where(crown, np.maximum(surface, bare + 2 * r + rng.uniform(-0.8, 0.8, x.shape)), surface)
    return surface.astype(np.float32), bare.astype(np.float32)


def test_open_country_is_its_own_ground() -> None:
    """Where nothing stands, hills and all, the ground is the surface."""
    x, y = _axes()
    hills = (30 + 0.15 * x + 6 * np.sin(x / 35) * np.cos(y / 50)).astype(np.float32)
    found, seen = ground.model(hills, CELL_M)
    assert seen.mean() > 0.97
    assert np.abs(found - hills)[5:-5, 5:-5].max() < 0.25


def test_the_ground_runs_under_roofs_however_wide() -> None:
    """Halls of 60 and of 140 m, houses and trees are lifted off, and the ground under them is the slope that runs round them."""
    surface, bare = landscape()
    found, seen = ground.model(surface, CELL_M)
    x, y = _axes()
    for box, near_m in ((HALL, 0.3), (HUGE, 1.2)):
        roof = _inside(box, x, y, 2.0) & (surface - bare > 7)
        assert not seen[roof].any()
        assert np.abs(found - bare)[roof].max() < near_m
    error = (found - bare)[4:-4, 4:-4]
    assert np.sqrt((error**2).mean()) < 0.2


@pytest.mark.parametrize(("box", "inset"), [(DAM, 11.0), (PIT, 8.0)])
def test_dams_and_pits_are_ground(box: tuple[int, int, int, int], inset: float) -> None:
    """The crest of a dam and the floor of a pit stay where they are."""
    surface, bare = landscape()
    found, _ = ground.model(surface, CELL_M)
    x, y = _axes()
    level = _inside(box, x, y, inset) & (np.abs(surface - bare) < 0.3)
    error = np.abs(found - bare)[level]
    assert np.percentile(error, 98) < 0.15


def test_a_lone_hole_in_the_surface_pulls_nothing_down() -> None:
    """A mismatch far below the ground is no ground, and the ground around it stays."""
    x, _ = _axes()
    plain = (10 + 0.01 * x).astype(np.float32)
    holed = plain.copy()
    holed[300:306, 300:306] -= 7
    found, _ = ground.model(holed, CELL_M)
    assert np.abs(found - plain).max() < 0.2


def _files(folder: Path, surface: Metres, *, filled: NDArray[np.uint8] | None = None) -> ground.GroundFiles:
    folder.mkdir(exist_ok=True)
    grid = Grid(Frame(32651), 0.25, 300_000.0, 3_500_000.0, surface.shape[0] * 2, surface.shape[1] * 2)
    fine = surface.repeat(2, axis=0).repeat(2, axis=1)
    path = raster.write_float(folder / "surface.tif", grid, fine)
    guessed = None
    if filled is not None:
        guessed = raster.write_bytes(folder / "filled.tif", grid, filled.repeat(2, axis=0).repeat(2, axis=1), nodata=255)
    return ground.build(path, grid, folder, filled=guessed)


def test_windows_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An area filtered in windows has the ground that it has in one piece, away from the judgement of pieces cut in two."""
    surface, _ = landscape()
    whole = raster.read_window(_files(tmp_path / "whole", surface).ground)
    monkeypatch.setattr(ground, "_WINDOW", 300)
    parts = raster.read_window(_files(tmp_path / "parts", surface).ground)
    gap = np.abs(whole - parts)
    assert np.mean(gap < 0.02) > 0.99
    assert gap.max() < 0.6


def test_unknown_water_stays_unknown_and_guesses_are_no_ground(tmp_path: Path) -> None:
    """A river without heights has ground only along its banks; heights that were bridged are never taken for ground."""
    x, y = _axes()
    plain = (10 + 0.01 * x).astype(np.float32)
    plain[(y > 100) & (y < 160)] = np.nan
    guessed = np.zeros(plain.shape, np.uint8)
    lump = _inside((200, 250, 230, 280), x, y)
    plain[lump] += 1.5
    guessed[lump] = 1
    files = _files(tmp_path, plain, filled=guessed)
    whole = Window(0, 0, 2 * plain.shape[0], 2 * plain.shape[1])
    found, height, bridged = (raster.read_window(p, whole)[::2, ::2] for p in (files.ground, files.height, files.bridged))
    assert np.isnan(found[(y > 107) & (y < 153)]).all()
    assert np.isfinite(found[(y < 99) | (y > 161)]).all()
    assert (bridged[np.isnan(found)] == ground.UNKNOWN).all()
    inner = _inside((202, 252, 228, 278), x, y)
    assert height[inner] == pytest.approx(1.5, abs=0.1)
    assert (bridged[inner] == 1).all()
    assert files == ground.build(tmp_path / "nothing.tif", raster.grid_of(files.ground), tmp_path)
