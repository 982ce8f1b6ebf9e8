"""Made-up towns seen from far above: what the network for colours alone learns from."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from training import city, data
from training.camera import Sun
from training.city import CHANGED, NEW, OLD
from training.roofs import Block, House, Sheet, covered, draw, shadows


def sheet(lean: tuple[float, float] = (0.0, 0.0)) -> Sheet:
    return Sheet(np.full((200, 200, 3), 100, np.float32), 0.25, Sun(0.0, math.pi / 4, 0.5), lean)


def house(kind: str, **told: float) -> House:
    block = Block(kind, 25.0, 25.0, 0.0, told.get("length_m", 16.0), told.get("width_m", 10.0), told.get("eave_m", 4.0), 0.5)
    return House((block,), (120.0, 110.0, 100.0), "shingle", 1)


@pytest.mark.parametrize("kind", ["hip", "gable", "flat", "mono", "barrel"])
def test_the_faces_of_a_roof_cover_its_plan_once(kind: str) -> None:
    """Seen straight from above, the faces of a roof of 16 x 10 m add up to 160 m2, and together hide that much ground."""
    faces = house(kind).blocks[0].faces()
    areas = [cv2.contourArea(p[:, :2].astype(np.float32)) for p, _ in faces]
    assert sum(areas) == pytest.approx(160.0, rel=1e-4)
    assert covered(sheet(), [house(kind)]).sum() * 0.25**2 == pytest.approx(
        160.0, rel=0.05
    )  # drawn to the outer edge of its rim cells


def test_faces_turned_to_the_sun_are_brighter() -> None:
    """With the sun in the east, the east face of a hipped roof outshines level ground and the west face is duller."""
    drawn = sheet()
    east, level, west = (drawn.light((x, 0.0, 1.0)) for x in (0.5, 0.0, -0.5))
    assert level == pytest.approx(1.0)
    assert west < 0.9
    assert east > 1.1
    draw(drawn, house("hip"))
    assert drawn.colour[100, 128].mean() > drawn.colour[100, 72].mean() + 10


def test_shade_falls_away_from_the_sun_as_far_as_the_roof_is_high() -> None:
    """A flat roof 4 m up, the sun at 45 degrees in the east: 4 m of ground in the west lie in its shade, none in the east."""
    dark = shadows(sheet(), [house("flat")])
    cols = np.nonzero(dark.any(0))[0] * 0.25
    assert cols.min() == pytest.approx(25.0 - 8.0 - 4.0, abs=0.4)
    assert cols.max() == pytest.approx(25.0 + 8.0, abs=0.4)


def test_a_roof_that_leans_is_marked_where_it_is_seen() -> None:
    """Seen aslant by half a metre per metre, a roof 4 m up is drawn and marked 2 m aside."""
    cols = np.nonzero(covered(sheet((0.5, 0.0)), [house("flat")]).any(0))[0] * 0.25
    assert (cols.min() + cols.max() + 0.25) / 2 == pytest.approx(27.0, abs=0.3)


def test_the_same_numbers_give_the_same_town() -> None:
    """A crop is decided by its seed and its number."""
    first, other, again = city.make(3, 5), city.make(3, 6), city.make(3, 5)
    for name in ("before", "after", "label"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.before != other.before).any()


def test_what_changed_stands_on_one_date_alone() -> None:
    """Over a dozen towns, nearly all that is marked as changed is a roof on exactly one date; lean moves only rims."""
    labels = np.stack([city.make(11, i).label for i in range(12)])
    changed, old, new = ((labels & bit) > 0 for bit in (CHANGED, OLD, NEW))
    assert changed.mean() > 0.01
    assert (old ^ new)[changed].mean() > 0.9
    assert (changed & ~old & ~new).mean() < 0.001


def test_towns_are_kept_without_heights(tmp_path: Path) -> None:
    """A recipe of towns keeps colours and labels, and goes on where it was left."""
    recipe = data.Recipe(seed=4, count=2, kind="city")
    crops = data.opened(tmp_path, recipe)
    data.fill(crops, None)
    assert set(crops.layers) == {"before", "after", "label", "gsd_m", "done"}
    again = data.opened(tmp_path, recipe)
    np.testing.assert_array_equal(again.layers["after"][1], city.make(4, 1).after)
