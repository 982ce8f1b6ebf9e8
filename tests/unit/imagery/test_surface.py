from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.frames import Pose
from imagery import fusion, raster, stereo, surface
from imagery.errors import SurveyError
from imagery.pairs import choose_pairs
from imagery.projection import Projector
from imagery.reconstruct import Block
from imagery.survey import Survey
from tests.unit.imagery import stage

FREE = np.zeros((0, 1, 1), np.float32)  # no pair looks past anything


def test_heights_are_right_to_half_a_pixel_and_edges_stay_sharp(before: Survey) -> None:
    """Ground and roof are where they are; fewer than one cell in fifty is more than half a metre off, all of them at walls."""
    assert before.surface is not None
    error = raster.read_window(before.surface) - stage.true_heights(before.grid)
    assert np.isfinite(error).mean() > 0.99
    assert abs(np.nanmedian(error)) < 0.03
    assert 1.4826 * np.nanmedian(np.abs(error - np.nanmedian(error))) < 0.5 * before.grid.gsd_m
    assert (np.abs(error) > 0.5).mean() < 0.02


def test_sigma_is_honest(before: Survey) -> None:
    """Where the surface says it was measured, its stated error covers the true one nearly always."""
    assert before.surface and before.sigma and before.filled
    error = raster.read_window(before.surface) - stage.true_heights(before.grid)
    measured = raster.read_window(before.filled) == 0
    sigma = raster.read_window(before.sigma)[measured]
    assert (sigma > 0).all()
    assert (np.abs(error[measured]) < 3 * sigma).mean() > 0.95


def test_a_surface_is_unknown_where_no_two_photos_look(old_block: Block, tmp_path: Path) -> None:
    """Nothing is invented beyond the photos."""
    few = replace(old_block, views=old_block.views[:2])
    grid = stage.grid(gsd_m=0.2, half_m=40.0)
    files = surface.build(few, grid, tmp_path)
    known = np.isfinite(raster.read_window(files.surface))
    assert 0.02 < known.mean() < 0.5
    assert (raster.read_window(files.confidence)[~known] == surface.UNKNOWN).all()
    assert (raster.read_window(files.filled)[~known] == surface.UNKNOWN).all()


def test_a_build_goes_on_where_it_was_stopped(old_block: Block, tmp_path: Path) -> None:
    """Finished pairs are not matched again, and the result is the same as in one go."""
    few, grid = replace(old_block, views=old_block.views[:4]), stage.grid(gsd_m=0.2)
    whole = raster.read_window(surface.build(few, grid, tmp_path / "whole").surface)

    def stop(done: int, total: int, what: str) -> None:
        if "pairs" in what and done == total - 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        surface.build(few, grid, tmp_path / "cut", stop)
    finished = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut").glob("stereo-*/*.json")}
    assert finished
    assert not surface.SurfaceFiles.of(tmp_path / "cut").whole
    seen = {}

    def watch(done: int, total: int, what: str) -> None:
        seen.update({p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut").glob("stereo-*/*.json")})

    files = surface.build(few, grid, tmp_path / "cut", watch)
    assert {name: seen[name] for name in finished} == finished
    assert np.array_equal(raster.read_window(files.surface), whole, equal_nan=True)


def test_photos_that_do_not_overlap_are_refused(old_block: Block, tmp_path: Path) -> None:
    """A sentence says what to fly."""
    one = replace(old_block, views=old_block.views[:1])
    with pytest.raises(SurveyError, match="overlap"):
        surface.build(one, stage.grid(), tmp_path)


def test_every_photo_is_matched_along_and_across(old_block: Block) -> None:
    """Walls hide ground along a baseline only: the second partner stands across where there is one."""
    pairs = choose_pairs(old_block)
    centres = np.array([v.pose.centre for v in old_block.views])
    for i in range(len(centres)):
        mine = [p for p in pairs if i in (p.left, p.right)]
        assert len(mine) >= 2
        ways = [centres[p.right] - centres[p.left] for p in mine]
        turned = max(abs(a[0] * b[1] - a[1] * b[0]) / np.linalg.norm(a[:2]) / np.linalg.norm(b[:2]) for a in ways for b in ways)
        assert turned > 0.5
        assert all(0.1 < p.base_ratio < 0.8 for p in mine)


@pytest.mark.parametrize("pitch", [-30.0, -12.0])
def test_oblique_pairs_never_ask_for_gigabytes(pitch: float) -> None:
    """A rectified picture is bounded by the sensor, and the matcher never gets more disparities than columns."""
    poses = [Pose.looking(x, 0.0, 40.0, yaw_deg=yaw, pitch_deg=pitch) for x, yaw in ((0.0, 0.0), (12.0, 25.0))]
    left, right = (Projector.of(stage.CAMERA, p) for p in poses)
    for depths in ((1.0, 4000.0), (20.0, 60.0), (39.9, 40.0)):
        frame = stereo.rectify(left, right, depths)
        if frame is not None:
            assert frame.rows * frame.cols <= 4 * stage.CAMERA.width_px * stage.CAMERA.height_px
            assert frame.cols > frame.disparities + 32


def test_the_majority_is_believed_not_the_mean() -> None:
    """At an edge some pairs say roof and some say ground; what lies between is nowhere."""
    stack = np.array([0.0, 0.05, 0.02, 5.0, 5.1, -3.0], np.float32)[:, None, None]
    heights, _, sure = fusion.agree(stack, np.full(6, 0.1), FREE)
    assert abs(float(heights[0, 0]) - 0.02) < 0.05
    assert 0 < sure[0, 0] < 60


def test_three_pairs_with_three_heights_know_nothing() -> None:
    """Disagreement is unknown, not an average."""
    heights, _, _ = fusion.agree(np.array([0.0, 4.0, 9.0], np.float32)[:, None, None], np.full(3, 0.1), FREE)
    assert np.isnan(heights[0, 0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-20, 60, width=32), min_size=1, max_size=9), st.floats(-50, 50))
def test_agreement_moves_with_its_heights(values: list[float], up: float) -> None:
    """Whatever datum heights are counted from, the same pairs win."""
    stack = np.array(values, np.float32)[:, None, None]
    one, _, _ = fusion.agree(stack, np.full(len(values), 0.2), FREE)
    other, _, _ = fusion.agree((stack + np.float32(up)).astype(np.float32), np.full(len(values), 0.2), FREE)
    if np.isnan(one[0, 0]) or np.isnan(other[0, 0]):
        return  # a height at the very rim of the window may fall on either side
    assert min(abs(other[0, 0] - up - v) for v in values) < 25  # never outside what was said
    assert min(values) - 1e-3 <= one[0, 0] <= max(values) + 1e-3


def test_hidden_ground_takes_the_grounds_height_and_a_hole_in_a_roof_the_roofs() -> None:
    """Gaps are bridged without smearing walls."""
    heights = np.zeros((60, 60), np.float32)
    heights[20:40, 20:40] = 5.0
    heights[20:40, 40:43] = np.nan  # hidden at the foot of the wall
    heights[28:31, 28:31] = np.nan  # a hole in the roof
    out = fusion.bridged(heights, 10)
    assert (out[22:38, 40:43] == 0).all()
    assert (out[28:31, 28:31] == 5).all()


def test_what_is_too_wide_to_bridge_stays_unknown() -> None:
    """A pond is a pond."""
    heights = np.zeros((80, 80), np.float32)
    heights[20:60, 20:60] = np.nan
    out = fusion.bridged(heights, 8)
    assert np.isnan(out[40, 40])
    known = np.isfinite(heights)
    assert np.array_equal(out[known], heights[known])


def test_specks_go_and_sheds_stay() -> None:
    """A mismatch of a tenth of a square metre is none; four square metres are a shed."""
    heights = np.zeros((100, 100), np.float32)
    heights[10:13, 10:13] = 9.0
    heights[50:70, 50:70] = 2.5
    out = fusion.without_specks(heights, 0.1)
    assert np.isnan(out[11, 11])
    assert (out[50:70, 50:70] == 2.5).all()
