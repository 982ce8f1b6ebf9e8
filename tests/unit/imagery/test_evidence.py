from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from shapely.geometry import Polygon, box

from imagery import evidence
from imagery.errors import SurveyError
from imagery.reconstruct import Block
from imagery.survey import Survey
from tests.unit.imagery import conftest as made
from tests.unit.imagery import stage


def _shed() -> Polygon:
    x, y = stage.CENTRE
    return box(x + made.SHED.west, y + made.SHED.south, x + made.SHED.east, y + made.SHED.north)


def _pixels(crop: evidence.Crop) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(crop.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_chips_of_two_dates_show_the_same_window(before: Survey, after: Survey) -> None:
    """A reviewer compares like with like: same size, same place, outline drawn, hash of the very bytes."""
    old, new = evidence.chip(before, _shed()), evidence.chip(after, _shed())
    assert _pixels(old).shape == _pixels(new).shape
    assert old.place == new.place
    assert old.sha256 == hashlib.sha256(old.jpeg).hexdigest() != new.sha256
    assert before.id in old.caption
    red = (_pixels(new).astype(int) @ [2, -1, -1]) > 330
    assert red.sum() > 300


def test_the_height_chip_is_red_where_something_was_built(before: Survey, after: Survey) -> None:
    """Red is higher, white is the same, and the caption tells the metres."""
    crop = evidence.height_chip(before, after, _shed())
    pixels = _pixels(crop).astype(int)[:-26, :-84]
    red = pixels[..., 0] > pixels[..., 2] + 60
    seen = before.grid.outline_m.intersection(_shed().centroid.buffer(14.5).envelope)  # the chip's window, cut at the grid's edge
    assert red.mean() == pytest.approx(_shed().area / seen.area, rel=0.25)
    assert (pixels.min(axis=2) > 200).mean() > 0.6
    metres = float(crop.caption.split("height change ")[1].split(" m")[0])
    assert metres == pytest.approx(made.SHED.top, abs=0.4)


def test_photos_show_the_place_whole_and_the_best_comes_first(after: Survey, new_block: Block) -> None:
    """Each crop is cut from a photo of the survey that holds the whole outline; the steepest view leads."""
    crops = evidence.crops(after, _shed(), 3)
    assert len(crops) == 3
    assert len({c.photo_sha256 for c in crops}) == 3
    views = {v.photo_sha256: v for v in new_block.views}
    slopes = []
    for crop in crops:
        assert crop.photo_sha256 is not None
        view = views[crop.photo_sha256]
        corners = np.array([[x, y, made.SHED.top] for x, y in _shed().exterior.coords])
        pixels, _ = stage.CAMERA.project(corners, view.pose)
        assert (pixels > 0).all()
        assert (pixels < [stage.CAMERA.width_px, stage.CAMERA.height_px]).all()
        assert crop.photo_sha256[:12] in crop.caption
        away = np.array(_shed().centroid.coords[0]) - view.pose.centre[:2]
        slopes.append(np.hypot(*away) / view.pose.z_m)
    assert slopes[0] == min(slopes)


def test_a_photo_that_was_changed_is_no_evidence(after: Survey, new_block: Block, tmp_path: Path) -> None:
    """A photo whose bytes are not those the survey was built from is passed over; when none is left that is said."""
    shutil.copytree(after.folder, tmp_path / "s")
    for view in new_block.views:
        shutil.copy(view.path, tmp_path / view.path.name)
        with (tmp_path / view.path.name).open("ab") as file:
            file.write(b"x")
    moved = replace(new_block, views=tuple(replace(v, path=tmp_path / v.path.name) for v in new_block.views))
    moved.save(tmp_path / "s" / "block")
    with pytest.raises(SurveyError, match="hash differs"):
        evidence.crops(Survey.load(tmp_path / "s"), _shed(), 2)


def test_ground_behind_a_wall_is_shown_by_photos_that_see_it(before: Survey, old_block: Block) -> None:
    """A strip at the foot of the house comes from photos of its own side, or from above."""
    x, y = stage.CENTRE
    strip = box(x + stage.HOUSE.east + 0.3, y - 2, x + stage.HOUSE.east + 1.5, y + 2)
    views = {v.photo_sha256: v for v in old_block.views}
    for crop in evidence.crops(before, strip, 3):
        assert crop.photo_sha256 is not None
        pose = views[crop.photo_sha256].pose
        beyond = (x + stage.HOUSE.east) - pose.x_m  # how far the camera stands on the wrong side of the wall
        assert beyond < 0.35 * pose.z_m


def test_a_place_outside_the_survey_has_no_evidence(after: Survey) -> None:
    """No picture is better than a picture of something else."""
    x, y = stage.CENTRE
    with pytest.raises((SurveyError, ValueError)):
        evidence.chip(after, box(x + 500, y, x + 510, y + 10))


def test_an_adopted_ortho_is_its_own_evidence(after: Survey) -> None:
    """A survey without photos gives its ortho chip, and says that no photo stands behind it."""
    (only,) = evidence.crops(replace(after, block=None), _shed(), 3)
    assert only.photo_sha256 is None
