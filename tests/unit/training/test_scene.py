"""The made-up places that the network learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import data, scene
from training.camera import Sun, shade
from training.things import Canvas, Thing


def thing(**told: object) -> Thing:
    values: dict[str, object] = {"kind": "flat", "x_m": 20.0, "y_m": 20.0, "yaw": 0.0, "length_m": 10.0, "width_m": 6.0}
    values |= {"height_m": 4.0, "colour": (200.0, 60.0, 50.0), "seed": 1}
    return Thing(**(values | told))  # type: ignore[arg-type]


def empty(gsd_m: float = 0.2) -> Canvas:
    return Canvas(np.full((200, 200, 3), 100, np.float32), np.zeros((200, 200), np.float32), gsd_m)


def test_the_same_numbers_give_the_same_crop() -> None:
    """A crop is decided by its seed and its number, whichever was made before it."""
    first, other, again = scene.make(3, 5), scene.make(3, 6), scene.make(3, 5)
    for name in ("before", "after", "dz", "sigma", "label"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.before != other.before).any()


def test_heights_tell_what_was_built_wherever_they_are_known() -> None:
    """Over crops with surfaces, what is marked rose or fell by well over a metre; most of the rest did not."""
    marked, others = [], []
    for i in range(16):
        crop = scene.make(11, i)
        known = np.isfinite(crop.sigma)
        label = (crop.label > 0) & known
        marked.append(np.abs(crop.dz[label].astype(float)))
        others.append(np.abs(crop.dz[known & ~label].astype(float)))
    assert np.median(np.concatenate(marked)) > 1.8
    assert np.median(np.concatenate(others)) < 0.3


def test_a_roof_covers_its_plan_and_casts_its_shadow_away_from_the_sun() -> None:
    """A flat roof of 10 x 6 m marks 60 m2, and with the sun at 45 degrees in the east it darkens 4 m of ground in the west."""
    canvas = empty()
    canvas.draw(thing(seed=5))
    covered = canvas.height > 2
    assert covered.sum() * 0.04 == pytest.approx(60, abs=3)
    dark = shade(canvas.height, Sun(0.0, np.pi / 4, 0.5), 0.2) > 0.5
    on_ground = dark & (canvas.height < 0.1)
    cols = np.nonzero(on_ground.any(0))[0] * 0.2
    assert cols.max() < 15.2
    assert 15.0 - cols.min() == pytest.approx(4.0, abs=1.2)  # a parapet may add up to 0.9 m


def test_a_roof_that_leans_moves_off_its_foot() -> None:
    """Seen aslant, a roof 4 m up is drawn 4 m times the lean aside, and its wall fills the gap."""
    canvas = empty()
    canvas.draw(thing(), lean=(0.5, 0.0))
    cols = np.nonzero((canvas.height > 3.9).any(0))[0] * 0.2
    assert (cols.min() + cols.max() + 0.2) / 2 == pytest.approx(22.0, abs=0.3)
    assert (canvas.colour[100, 76] != 100).any()  # its old west edge at 15 m: wall


def test_data_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """What is made is kept, what is missing is made, and the outcome is that of one run; another recipe is refused."""
    recipe = data.Recipe(seed=4, count=3)
    crops = data.opened(tmp_path / "a", recipe)
    data.fill(crops, None, share=(0, 2))
    assert list(crops.ready) == [0, 2]
    data.fill(data.opened(tmp_path / "a", recipe), None)
    whole = data.opened(tmp_path / "b", recipe)
    data.fill(whole, None)
    for name in data.LAYERS["place"]:
        np.testing.assert_array_equal(data.opened(tmp_path / "a", recipe).layers[name], whole.layers[name])
    with pytest.raises(ValueError, match="holds crops of"):
        data.opened(tmp_path / "a", data.Recipe(seed=5, count=3))
