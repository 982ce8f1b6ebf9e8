from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from shapely.geometry import Polygon, box

from geo.grid import Grid
from imagery import evidence, lettering, masks, raster
from imagery.errors import SurveyError
from imagery.reconstruct import Block
from imagery.survey import Survey
from imagery.witness import Witness
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
    pixels = _pixels(crop).astype(int)[:-60, :-84]
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


def test_a_blurred_photo_gives_way_to_a_sharp_one(after: Survey, new_block: Block, tmp_path: Path) -> None:
    """The best placed photo is passed over when it is blurred where the place lies: evidence must be legible."""
    best = Witness(after).best(_shed(), 1)[0][0]
    views = list(new_block.views)
    chosen = views[best.index]
    soft = cv2.GaussianBlur(cv2.imread(str(chosen.path)), (0, 0), 2.5)
    cv2.imwrite(str(tmp_path / chosen.path.name), soft)
    views[best.index] = replace(
        chosen,
        path=tmp_path / chosen.path.name,
        photo_sha256=hashlib.sha256((tmp_path / chosen.path.name).read_bytes()).hexdigest(),
    )
    shutil.copytree(after.folder, tmp_path / "s")
    replace(new_block, views=tuple(views)).save(tmp_path / "s" / "block")
    sharp, *_ = Witness(Survey.load(tmp_path / "s")).best(_shed(), 1)[0]
    assert sharp.index != best.index
    assert sharp.sharpness > 0.9


def test_a_photo_crop_keeps_the_photos_own_pixels(after: Survey) -> None:
    """Full resolution means: what is not drawn over is, but for JPEG, what the sensor saw, pixel for pixel."""
    witness = Witness(after)
    (sight,), _ = witness.best(_shed(), 1)
    (crop,) = evidence.crops(after, _shed(), 1, witness=witness)
    cut, photo = _pixels(crop), witness.pixels(sight.index)
    patch = cut[40:100, 40:100]
    found = cv2.minMaxLoc(cv2.matchTemplate(photo, patch, cv2.TM_CCOEFF_NORMED))
    assert found[1] > 0.9
    assert cut.shape[1] >= 400


def test_the_strip_is_written_in_chinese(after: Survey) -> None:
    """Every character the strip needs has a glyph of its own in the font that ships with the product."""
    from PIL import ImageFont

    font = ImageFont.truetype(str(lettering.FONT), 20)
    missing = bytes(font.getmask("\ue000"))
    for sign in "拍摄原片正射影像高度变化中位数成果北纬东经南西已按遮蔽区盖如皋市米°→":
        assert bytes(font.getmask(sign)) != missing
    with_words = lettering.with_strip(np.full((50, 300, 3), 255, np.uint8), ["拍摄 2026", "北纬 32.39°N"])
    assert 20 < (with_words[50:] > 128).any(axis=2).sum() < 3000


def test_masked_ground_is_in_no_raster_and_in_no_photo_crop(after: Survey, tmp_path: Path) -> None:
    """What is burnt is gone: from every raster and its overviews, and from the crops that look at it; the rest is as it was."""
    shutil.copytree(after.folder, tmp_path / "s")
    survey = Survey.load(tmp_path / "s")
    x, y = stage.CENTRE
    house = box(x + stage.HOUSE.west, y + stage.HOUSE.south, x + stage.HOUSE.east, y + stage.HOUSE.north)
    (burnt,) = masks.burn(survey, [("m1", house), ("far", box(x + 900, y, x + 910, y + 9))])
    assert masks.burn(survey, [("m1", house)]) == ()
    assert masks.read(survey.folder) == (burnt,)
    assert burnt.low_m < 0.0 < stage.HOUSE.top < burnt.high_m
    gone = raster.inside(house, survey.grid)
    for thin in (1, 2):
        known = raster.read_mask(survey.ortho, thin=thin)
        g = survey.grid
        inner = raster.inside(house.buffer(-1.7 * min(thin, 2)), Grid(g.frame, 0.1 * thin, g.west_m, g.north_m, *known.shape))
        assert not known[inner].any()
        assert raster.read_window(survey.ortho, thin=thin)[inner].max() == 0
    for path in (survey.surface, survey.sigma):
        assert path is not None
        assert np.isnan(raster.read_window(path)[gone]).all()
    assert survey.confidence is not None
    assert not raster.read_mask(survey.confidence)[gone].any()
    far = ~raster.inside(house.buffer(2.0), survey.grid)
    assert survey.surface is not None
    assert after.surface is not None
    np.testing.assert_array_equal(raster.read_window(survey.surface)[far], raster.read_window(after.surface)[far])
    change = np.abs(raster.read_window(survey.ortho)[far].astype(int) - raster.read_window(after.ortho)[far])
    assert change.mean() < 0.5
    beside = box(x + stage.HOUSE.east + 0.5, y - 1, x + stage.HOUSE.east + 2.5, y + 1)
    witness = Witness(survey)
    for sight in witness.best(beside, 3)[0]:
        view, camera = witness.view(sight)
        hidden = masks.veil(camera, view.pose, (0, 0), (camera.height_px, camera.width_px), witness.burnt)
        inside = np.array([[x + u * 5.5, y + v * 3.5, stage.HOUSE.top] for u in (-1, 0, 1) for v in (-1, 0, 1)])
        pixels = camera.project(inside, view.pose)[0]
        for u, v in pixels[(pixels > 0).all(axis=1) & (pixels < [camera.width_px, camera.height_px]).all(axis=1)].astype(int):
            assert hidden[v, u]
    drawn = [cv2.imread(str(folder / "residual.png")) for folder in (after.folder, survey.folder)]
    assert drawn[0].shape == drawn[1].shape
    row, col = survey.grid.cell(*house.centroid.coords[0])
    thin = math.ceil(max(survey.grid.shape) / drawn[1].shape[1])
    middle = [picture[row // thin - 9 : row // thin + 9, col // thin - 9 : col // thin + 9] for picture in drawn]
    assert middle[1].std(axis=(0, 1)).max() < 0.5 * middle[0].std(axis=(0, 1)).max()
    crop = evidence.crops(survey, beside, 1)[0]
    assert "masked" in crop.caption
    assert (np.abs(_pixels(crop).astype(int) - lettering.GREY[0]).max(axis=2) < 6).mean() > 0.02


def test_a_place_wider_than_any_photo_is_shown_in_part_and_said_so(after: Survey, new_block: Block, tmp_path: Path) -> None:
    """Half a place with a word about it is better evidence than none; a photo of less than half of it is not taken."""
    shutil.copytree(after.folder, tmp_path / "s")
    replace(new_block, views=new_block.views[5:6]).save(tmp_path / "s" / "block")
    survey = Survey.load(tmp_path / "s")
    y = stage.CENTRE[1]
    view = new_block.views[5]
    reach = 0.5 * stage.CAMERA.height_px / stage.CAMERA.focal_px * (view.pose.z_m - stage.HOUSE.top)
    edge = view.pose.x_m + reach
    (crop,) = evidence.crops(survey, box(edge - 9, y - 3, edge + 4, y + 3), 1)
    assert "partly" in crop.caption
    with pytest.raises(SurveyError, match="no photo"):
        evidence.crops(survey, box(edge - 2, y - 3, edge + 9, y + 3), 1)
