"""Blocks solved in parts are the blocks that would have been solved at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geo.frames import Floats
from imagery.engines import parts, store
from imagery.engines.colmap import ColmapReconstructor
from imagery.engines.features import Recipe
from imagery.lenses import FocalSource
from imagery.photos import Photo
from imagery.reconstruct import Block, Method
from tests.unit.imagery import stage
from tests.unit.imagery.conftest import photos_of

RECIPE = Recipe(long_side_px=640, most=1500)


def engine(folder: Path, most: int) -> ColmapReconstructor:
    return ColmapReconstructor(workers=1, recipe=RECIPE, neighbours=3, shelf=folder / "features", most=most)


def with_gps_noise(block: Block, seed: int) -> tuple[Photo, ...]:
    """Photos of a block whose receiver strays by 5 cm."""
    rng = np.random.default_rng(seed)
    noisy = []
    for photo, view in zip(photos_of(block), block.views, strict=True):
        east, north, up = rng.normal(0, 0.05, 3)
        place = stage.FRAME.lonlat(view.pose.x_m + east, view.pose.y_m + north)
        noisy.append(replace(photo, focal_source=FocalSource.SENSOR, place=place, takeoff_height_m=view.pose.z_m + float(up)))
    return tuple(noisy)


def centres(block: Block) -> Floats:
    return np.array([v.pose.centre for v in sorted(block.views, key=lambda v: v.photo_sha256)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("large")


@pytest.fixture(scope="module")
def photos(folder: Path) -> tuple[Photo, ...]:
    return with_gps_noise(stage.block(folder / "photos", at=stage.poses(rows=2, cols=6, step_m=10.0)), 1)


@pytest.fixture(scope="module")
def whole(folder: Path, photos: tuple[Photo, ...]) -> Block:
    return engine(folder, 300).reconstruct(photos, stage.FRAME, folder / "whole")


@pytest.fixture(scope="module")
def split(folder: Path, photos: tuple[Photo, ...]) -> Iterator[Block]:
    """Solved in two parts, and killed between them once."""
    done: list[float] = []

    def killed(at: int, total: int, what: str) -> None:
        if what == "mapping" and at == 1:
            raise KeyboardInterrupt

    workdir = folder / "split"
    with pytest.raises(KeyboardInterrupt):
        engine(folder, 6).reconstruct(photos, stage.FRAME, workdir, progress=killed)
    (first,) = workdir.glob("run-*/first-0")
    done.append(first.stat().st_mtime_ns)
    block = engine(folder, 6).reconstruct(photos, stage.FRAME, workdir)
    assert first.stat().st_mtime_ns == done[0], "the part that was finished before the kill was solved again"
    yield block


def test_a_block_in_parts_is_the_block_as_a_whole(whole: Block, split: Block) -> None:
    """All photos stand within 2 cm of where they stand when solved at once, whichever part they were in, and show the ground in the
    same pixels: half of it to 0.6 px (a lens's decentring may stand for a millirad of pitch)."""
    assert split.stats.registered == whole.stats.registered == 12
    assert len(store.models(split.folder / "engine")) == 2
    assert np.abs(centres(split) - centres(whole)).max() < 0.02
    for k in range(12):
        ground = whole.points[whole.seen(k)]
        here, there = (b.projector(k).points(ground - np.array(b.offset_m))[0] for b in (split, whole))
        assert np.median(np.hypot(*(here - there).T)) < 0.6
    assert split.stats.reprojection_px < 1.1 * whole.stats.reprojection_px
    assert len(split.points) > 0.8 * len(whole.points)


def test_points_seen_across_a_border_are_one(split: Block) -> None:
    """A photo sees a point once, and many points are seen from both sides of the border."""
    assert len(np.unique(np.column_stack([split.track_view, split.track_point]), axis=0)) == len(split.track_view)
    west = {k for k, v in enumerate(split.views) if v.pose.x_m < stage.CENTRE[0]}
    sides = [{int(v) in west for v in split.track_view[split.track_point == p]} for p in range(0, len(split.points), 10)]
    assert sum(len(s) == 2 for s in sides) > 20


def test_a_later_survey_in_groups_stands_where_it_would_at_once(folder: Path, whole: Block, split: Block) -> None:
    """Photos of another day, group by group into the nearby images of a reference in parts: as into the whole one, within 2 cm."""
    at = [replace(p, x_m=p.x_m + 2.0, y_m=p.y_m - 1.5) for p in stage.poses(rows=2, cols=6, step_m=10.0)]
    photos = with_gps_noise(stage.block(folder / "later_photos", at=at), 2)
    grouped = engine(folder, 6).reconstruct(photos, stage.FRAME, folder / "grouped", reference=split)
    assert (grouped.stats.method, grouped.stats.fell_back, grouped.stats.registered) == (Method.FROZEN, False, 12)
    assert grouped.stats.tie_points > 100
    assert grouped.stats.tie_residual_px is not None
    assert grouped.stats.tie_residual_px < 1.0
    at_once = engine(folder, 300).reconstruct(photos, stage.FRAME, folder / "at_once", reference=whole)
    shift = centres(split) - centres(whole)
    assert np.abs(centres(grouped) - centres(at_once) - shift.mean(axis=0)).max() < 0.02
    assert grouped.cameras == split.cameras


def test_every_photo_is_in_the_core_of_one_part() -> None:
    """Parts cover all photos once, stay within their size, and their rings hold all neighbours across the border."""
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 100, (500, 2))
    xy[17] = np.nan
    near = {(int(i), int(j)) for i, j in rng.integers(0, 500, (2000, 2)) if i < j}
    layout = parts.split(xy, near, 120)
    assert sorted(i for part in layout for i in part.core) == list(range(500))
    assert max(len(part.core) for part in layout) <= 120
    for i, j in near - {p for p in near if 17 in p}:
        assert any(i in part.core and j in part.members for part in layout)


def test_a_flight_without_positions_is_one_part() -> None:
    """Nobody can tell where to cut it, so it is not cut."""
    assert len(parts.split(np.full((50, 2), np.nan), set(), 10)) == 1
