"""A block's own shape and the reference's ground: there and back, and through a photo."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geo.camera import Camera
from geo.frames import Floats, Pose
from imagery.bend import Bend, fitted
from imagery.projection import Projector

CAMERA = Camera(800, 600, 456.0, 404.0, 305.0, -0.02, 0.013)


def _shapes(wild: int = 0) -> tuple[Floats, Floats]:
    """Points of a block, and where a reference domed by a metre and sheared by two thousandths has them."""
    rng = np.random.default_rng(3)
    own = np.column_stack([rng.uniform(-100, 100, (2000, 2)), rng.uniform(0, 8, 2000)])
    own += np.array([500_000.0, 3_500_000.0, 0.0])
    x, y = (own[:, :2] - [500_000.0, 3_500_000.0]).T / 100
    there = own + np.column_stack([0.2 * y, 0.2 * x + 0.05 * x * y, 1.0 * (x * x + y * y) + 0.1 * x**3])
    there += rng.normal(0, 0.05, there.shape)
    there[:wild] += rng.uniform(-20, 20, (wild, 3))
    return own, there


@pytest.fixture(scope="module")
def bend() -> Bend:
    return fitted(*_shapes(wild=200))


def test_the_bend_finds_the_shape_under_noise_and_wild_points(bend: Bend) -> None:
    """Two hundred wild points of two thousand do not pull it by a centimetre."""
    own, _ = _shapes()
    x, y = (own[:, :2] - [500_000.0, 3_500_000.0]).T / 100
    true = own + np.column_stack([0.2 * y, 0.2 * x + 0.05 * x * y, 1.0 * (x * x + y * y) + 0.1 * x**3])
    error = np.linalg.norm(bend.onto(own) - true, axis=1)
    assert np.percentile(error, 95) < 0.02
    assert 1.0 < bend.most_m < 4.0


def test_there_and_back_is_where_one_was(bend: Bend) -> None:
    """The way back undoes the way forth to a centimetre anywhere in reach."""
    own, _ = _shapes()
    assert np.abs(bend.off(bend.onto(own)) - own).max() < 0.01


def test_a_bent_projector_shows_the_reference_as_the_straight_one_shows_its_own_shape(bend: Bend) -> None:
    """Cell by cell and point by point, with an offset taken away."""
    offset = (500_000.0, 3_500_000.0, 0.0)
    pose = Pose.looking(500_010.0, 3_500_020.0, 62.0, yaw_deg=90.0, pitch_deg=-88.0)
    bent, plain = Projector.of(CAMERA, pose, offset, bend), Projector.of(CAMERA, pose, offset)
    x, y = np.arange(-20.0, 30.0, 5.0), np.arange(40.0, 0.0, -5.0)
    z = np.full((len(y), len(x)), 3.0, np.float32)
    grid = np.stack([*np.meshgrid(x, y), z], axis=-1).reshape(-1, 3).astype(np.float64)
    own = bend.off(grid + np.array(offset)) - np.array(offset)
    pixels, depths = bent.points(grid)
    assert np.allclose(pixels, plain.points(own)[0], atol=1e-6)
    assert np.allclose(depths, plain.points(own)[1], atol=1e-6)
    assert np.allclose(bent.straight.points(own)[0], pixels, atol=1e-6)
    map_x, map_y = bent.over(x, y, z)
    assert np.allclose(np.column_stack([map_x.ravel(), map_y.ravel()]) + 0.5, pixels, atol=1e-3)


def test_a_bend_is_kept_as_plain_numbers(bend: Bend) -> None:
    """Through JSON it is the same map."""
    again = Bend.of_record(json.loads(json.dumps(bend.record())))
    own, _ = _shapes()
    assert np.array_equal(again.onto(own), bend.onto(own))
