"""Blocks are laid onto the ground by laws, not by luck."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geo.frames import Floats
from imagery.engines import pairs
from imagery.engines.placing import Places, is_line, lay, tilt_deg
from imagery.errors import ReconstructionError


def places_of(centres: Floats, axes: Floats, *, known: bool = True) -> Places:
    count = len(centres)
    return Places(centres[:, :2].copy(), centres[:, 2].copy(), np.full(count, 1.0), np.full(count, 1.0), axes, known, "test")


def camp(lines: int, per_line: int) -> Floats:
    x, y = np.meshgrid(np.arange(per_line) * 20.0, np.arange(lines) * 30.0)
    z = np.full(x.size, 80.0) + np.random.default_rng(2).normal(0, 0.3, x.size)
    return np.column_stack([x.ravel(), y.ravel(), z])


@pytest.mark.parametrize("seed", range(5))
def test_any_similarity_is_undone(seed: int) -> None:
    """However a block is turned, scaled and shifted, it is laid back to where its cameras stood."""
    rng = np.random.default_rng(seed)
    truth = camp(4, 6)
    down = np.tile([0.0, 0.0, -1.0], (len(truth), 1))
    turn = Rotation.random(rng=rng).as_matrix()
    scale, shift = float(rng.uniform(0.01, 30)), rng.normal(0, 50, 3)
    block, axes = (truth @ turn.T) * scale + shift, down @ turn.T
    found = lay(block, axes, places_of(truth, down))
    np.testing.assert_allclose(found.apply(block), truth, atol=0.02)
    np.testing.assert_allclose(found.matrix[:, :3], found.scale * found.rotation)


def test_a_wild_position_does_not_drag_the_block() -> None:
    """One photo that claims to be 300 m away moves the others by centimetres, not metres."""
    truth = camp(4, 6)
    down = np.tile([0.0, 0.0, -1.0], (len(truth), 1))
    places = places_of(truth, down)
    places.xy[5] += 300.0
    placed = lay(truth * 0.1, down, places).apply(truth * 0.1)
    assert np.abs(placed - truth)[np.arange(len(truth)) != 5].max() < 0.5


def test_a_single_line_is_held_level_by_the_gaze() -> None:
    """Positions on one line do not say how the block rolls about it; the cameras that look down do."""
    truth = camp(1, 8)
    truth[:, 2] = 80.0
    down = np.tile([0.0, 0.0, -1.0], (8, 1))
    turn = Rotation.from_euler("xyz", [40, 10, 70], degrees=True).as_matrix()
    places = places_of(truth, down)
    assert is_line(places)
    found = lay(truth @ turn.T, down @ turn.T, places)
    axes = down @ turn.T @ found.rotation.T
    assert np.degrees(np.arcsin(np.linalg.norm(axes[:, :2], axis=1))).max() < 0.1


def test_without_heights_the_plan_still_fits() -> None:
    """Unknown heights leave scale and place to the plan view."""
    truth = camp(3, 5)
    down = np.tile([0.0, 0.0, -1.0], (15, 1))
    places = places_of(truth, down)
    places.z[:] = np.nan
    placed = lay(truth * 3.0, down, places).apply(truth * 3.0)
    np.testing.assert_allclose(placed[:, :2], truth[:, :2], atol=0.1)


@pytest.mark.parametrize("known", [0, 2])
def test_too_few_positions_give_no_scale(known: int) -> None:
    """Fewer than three positions are an error that says what to do."""
    truth = camp(3, 4)
    down = np.tile([0.0, 0.0, -1.0], (12, 1))
    places = places_of(truth, down)
    places.xy[known:] = np.nan
    with pytest.raises(ReconstructionError, match="no scale"):
        lay(truth, down, places)


def test_photos_from_one_spot_give_no_scale() -> None:
    """A turn in place is no survey."""
    spot = camp(3, 4) * 0.001
    down = np.tile([0.0, 0.0, -1.0], (12, 1))
    with pytest.raises(ReconstructionError, match="one spot"):
        lay(camp(3, 4), down, places_of(spot, down))


def test_a_leaning_block_is_told_by_its_angle() -> None:
    """A block turned by three degrees against the gimbals' word leans three degrees."""
    truth = camp(3, 4)
    down = np.tile([0.0, 0.0, -1.0], (12, 1))
    lean = Rotation.from_euler("x", 3.0, degrees=True).as_matrix()
    assert tilt_deg(truth @ lean.T, down @ lean.T, places_of(truth, down)) == pytest.approx(3.0, abs=0.01)
    unknown = places_of(truth, down, known=False)
    assert tilt_deg(truth @ lean.T, down @ lean.T, unknown) == pytest.approx(3.0, abs=0.05)


def test_neighbours_reach_across_lines() -> None:
    """A photo among close followers of its own line also meets the lines beside it."""
    x, y = np.meshgrid(np.arange(30) * 5.0, np.arange(3) * 40.0)
    xy = np.column_stack([x.ravel(), y.ravel()])
    met = pairs.within(xy, 8)
    across = [(i, j) for i, j in met if xy[i, 1] != xy[j, 1]]
    assert {i for pair in across for i in pair} >= set(range(30, 60))
    assert all(i < j for i, j in met)


def test_photos_without_any_place_are_found_by_what_was_found() -> None:
    """A long flight of lines, and no places: sparse pairs and two rounds of going on from them tie every photo to the line beside its
    own, with far fewer comparisons than all with all."""
    lines, per_line = 10, 30
    count = lines * per_line
    place = {
        i: (i % per_line if i // per_line % 2 == 0 else per_line - 1 - i % per_line, 3 * (i // per_line)) for i in range(count)
    }

    def overlap(i: int, j: int) -> bool:
        return abs(place[i][0] - place[j][0]) <= 4 and abs(place[i][1] - place[j][1]) <= 3

    known = pairs.unplaced(count)
    for _ in range(2):
        known |= pairs.around([p for p in known if overlap(*p)], count)
    assert len(known) < 0.4 * count * (count - 1) / 2
    tied = {i for i, j in known if overlap(i, j) and place[i][1] != place[j][1]}
    tied |= {j for i, j in known if overlap(i, j) and place[i][1] != place[j][1]}
    assert len(tied) > 0.95 * count
    assert pairs.unplaced(41) == pairs.everyone(41)


def test_a_photo_without_place_meets_everyone() -> None:
    """Where nothing is known of a photo, no pair is left out."""
    xy = np.array([[0.0, 0.0], [10.0, 0.0], [np.nan, np.nan], [5000.0, 0.0]])
    assert {(0, 2), (1, 2), (2, 3)} <= pairs.within(xy, 1)
