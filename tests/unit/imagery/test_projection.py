from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geo.camera import Camera
from geo.frames import Pose
from imagery.engines import store
from imagery.lenses import nearest_camera
from imagery.projection import OUTSIDE, Projector

OFFSET = (300_000.0, 3_000_000.0, 0.0)
LENS = Camera(4000, 3000, 2900.0, 2010.0, 1490.0, -0.12, 0.05, 0.001, -0.0005, 0.004)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, -90, 0), (33, -80, 2), (210, -65, -5)])
def test_the_compiled_projector_is_the_camera(yaw: float, pitch: float, roll: float) -> None:
    """One lens for all: grids and points land where `Camera.project` says, to a thousandth of a pixel."""
    pose = Pose.looking(300_100.0, 3_000_000.0, 70.0, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
    projector = Projector.of(LENS, pose, OFFSET)
    x, y = np.arange(0.0, 200.0, 1.5), np.arange(80.0, -80.0, -1.5)
    z = np.random.default_rng(0).uniform(0, 8, (len(y), len(x))).astype(np.float32)
    gx, gy = np.meshgrid(x, y)
    places = np.column_stack([gx.ravel(), gy.ravel(), z.ravel()])
    true, _ = LENS.project(places + OFFSET, pose)
    map_x, map_y = projector.over(x, y, z)
    shown = (true > 0).all(axis=1) & (true[:, 0] < LENS.width_px) & (true[:, 1] < LENS.height_px)
    assert shown.sum() > 500
    assert np.abs(map_x.ravel()[shown] + 0.5 - true[shown, 0]).max() < 2e-3
    assert np.abs(map_y.ravel()[shown] + 0.5 - true[shown, 1]).max() < 2e-3
    pixels, _ = projector.points(places)
    assert np.allclose(pixels[shown], true[shown], atol=1e-6)


def test_what_the_picture_cannot_show_is_outside() -> None:
    """Unknown heights, places behind the camera and rays the lens would fold back in are never painted."""
    pose = Pose.looking(300_000.0, 3_000_000.0, 50.0, yaw_deg=0, pitch_deg=-90)
    fisheye = Camera(1000, 1000, 500.0, 500.0, 500.0, k1=-0.3)  # folds back beyond tan 1.05
    projector = Projector.of(fisheye, pose, OFFSET)
    heights = np.array([[np.nan, 60.0, 0.0]], np.float32)
    map_x, _ = projector.over(np.array([0.0, 0.0, 400.0]), np.array([0.0]), heights)
    assert (map_x == OUTSIDE).all()
    pixels, _ = projector.points(np.array([[0.0, 0.0, 60.0], [400.0, 0.0, 0.0]]))
    assert np.isnan(pixels).all()


def test_a_smaller_copy_of_a_photo_sees_the_same_places() -> None:
    """A photo decoded at half its size is the same photo."""
    pose = Pose.looking(300_010.0, 3_000_005.0, 60.0, yaw_deg=70, pitch_deg=-88)
    projector = Projector.of(LENS, pose, OFFSET)
    places = np.random.default_rng(1).uniform([-20, -20, 0], [30, 30, 6], (50, 3))
    full, depth = projector.points(places)
    half, depth_too = projector.scaled(0.5).points(places)
    assert np.allclose(half, full / 2)
    assert np.allclose(depth, depth_too)


@pytest.mark.parametrize("lens", [LENS, replace(LENS, k3=0.0), replace(LENS, k3=0.0, p1=0.0, p2=0.0)])
def test_the_solver_has_the_same_lens(lens: Camera) -> None:
    """Whichever of its models the solver is given, it sees a ray at our pixel, and gives our camera back."""
    rays = np.random.default_rng(2).uniform([-0.6, -0.45, 1.0], [0.6, 0.45, 1.0], (60, 3))
    nowhere = Pose(0.0, 0.0, 0.0, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    solver = store.to_solver(lens, 1)
    assert np.allclose(solver.img_from_cam(rays), lens.project(rays, nowhere)[0], atol=1e-6)
    assert store.from_solver(solver) == lens


def test_two_focal_lengths_become_one_where_pixels_are_nearly_square() -> None:
    """A lens that is told with two focal lengths a thousandth apart loses half of that at the picture's edge; one with one, nothing."""
    full = (2900.0, 2902.9, 2010.0, 1490.0, -0.12, 0.05, 0.001, -0.0005, 0.004)
    rays = np.random.default_rng(3).uniform([-0.6, -0.45, 1.0], [0.6, 0.45, 1.0], (200, 3))
    nowhere = Pose(0.0, 0.0, 0.0, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    true = LENS.project(rays, nowhere)[0]
    told = np.column_stack([true[:, 0], 1490.0 + (true[:, 1] - 1490.0) * full[1] / full[0]])
    near = nearest_camera(4000, 3000, full).project(rays, nowhere)[0]
    assert np.linalg.norm(near - told, axis=1).max() < 0.6 * 0.001 * 2000
    assert nearest_camera(4000, 3000, (2900.0, *full[:1], *full[2:])) == LENS
