from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point, box, shape

from geo.frames import Pose
from imagery import judge, laying, raster, survey
from imagery.errors import SurveyError
from imagery.reconstruct import Block, Method
from imagery.survey import Survey
from tests.unit.imagery import conftest as made
from tests.unit.imagery import stage


def test_two_dates_have_one_shape_and_lie_on_each_other(before: Survey, after: Survey) -> None:
    """Before and after share the grid, and unchanged ground shows at the same cells."""
    assert before.grid == after.grid
    assert after.reference_id == before.id
    assert before.quality.accepted
    assert after.quality.accepted, after.quality.reasons
    assert after.quality.residual_median_px is not None and after.quality.residual_median_px < 0.2
    assert before.quality.residual_median_px is None
    assert after.quality.surface_up_m is not None and abs(after.quality.surface_up_m) < 0.03
    assert after.quality.surface_nmad_m is not None and after.quality.surface_nmad_m < 0.1
    assert after.quality.residual_refused in {None, 0.0}
    assert after.quality.photos_per_cell is not None and after.quality.photos_per_cell > 4
    assert after.quality.gap is None
    assert (after.folder / "residual.png").exists()


def test_what_was_built_between_them_stands_out_and_nothing_else(before: Survey, after: Survey) -> None:
    """The shed's height is found to a decimetre, and no other square metre rose or fell by half a metre."""
    assert before.surface and after.surface
    gain = raster.read_window(after.surface) - raster.read_window(before.surface)
    shed = made.SHED
    x, y = stage.CENTRE
    outline = box(x + shed.west, y + shed.south, x + shed.east, y + shed.north)
    inner = raster.inside(outline.buffer(-0.3), before.grid)
    true = shed.top - float(stage.ground(np.float64((shed.west + shed.east) / 2), np.float64(0)))
    assert abs(float(np.nanmedian(gain[inner])) - true) < 0.1
    away = ~raster.inside(outline.buffer(0.5), before.grid)
    walls = raster.inside(
        box(x + stage.HOUSE.west, y + stage.HOUSE.south, x + stage.HOUSE.east, y + stage.HOUSE.north).boundary.buffer(0.4),
        before.grid,
    )
    assert (np.abs(gain[away & ~walls]) > 0.5).mean() < 0.001


def test_a_survey_moves_as_a_folder(before: Survey, tmp_path: Path) -> None:
    """Paths are kept relative: the survey is the same wherever its folder is renamed to."""
    shutil.copytree(before.folder, tmp_path / "elsewhere")
    again = Survey.load(tmp_path / "elsewhere")
    assert replace(again, folder=before.folder, **{n: getattr(before, n) for n in survey._PATHS}) == before
    for name in survey._PATHS:
        path = getattr(again, name)
        assert path is None or (path.exists() and path.is_relative_to(tmp_path))


def test_a_survey_knows_how_high_its_houses_stand(before: Survey) -> None:
    """Height over ground is the house's own height on its roof, and nothing on open ground."""
    assert before.height
    height = raster.read_window(before.height)
    house, (x, y) = stage.HOUSE, stage.CENTRE
    outline = box(x + house.west, y + house.south, x + house.east, y + house.north)
    on_roof = height[raster.inside(outline.buffer(-0.5), before.grid)]
    assert abs(float(np.nanmedian(on_roof)) - house.top) < 0.15
    around = height[raster.inside(outline.buffer(8).difference(outline.buffer(1)), before.grid)]
    assert abs(float(np.nanmedian(around))) < 0.05


def test_records_of_before_there_was_a_ground_are_read(before: Survey, tmp_path: Path) -> None:
    """A survey made by an older version has no ground layers, and is a survey all the same."""
    shutil.copytree(before.folder, tmp_path / "s")
    record = json.loads((tmp_path / "s" / survey.RECORD).read_text())
    for name in survey._LAYERS:
        del record[name]
    (tmp_path / "s" / survey.RECORD).write_text(json.dumps(record))
    old = Survey.load(tmp_path / "s")
    assert old.height is None and old.id == before.id


def test_a_record_never_leads_out_of_its_folder(before: Survey, tmp_path: Path) -> None:
    """A forged record cannot make the server read another file."""
    shutil.copytree(before.folder, tmp_path / "s")
    record = json.loads((tmp_path / "s" / survey.RECORD).read_text())
    record["surface"] = "../../../etc/passwd"
    (tmp_path / "s" / survey.RECORD).write_text(json.dumps(record))
    with pytest.raises(SurveyError, match="outside"):
        Survey.load(tmp_path / "s")


def test_a_finished_survey_is_not_built_again(before: Survey, old_block: Block) -> None:
    """The same call gives the same survey, and the engine is not asked."""
    engine = made.KnownPoses(old_block)
    again = survey.build(made.photos_of(old_block), made.area(), date(2026, 1, 1), before.folder, reconstructor=engine)
    assert again == before
    assert engine.asked == []


def test_a_killed_build_takes_up_its_finished_files(old_block: Block, tmp_path: Path) -> None:
    """A block and a surface that lie there are used, and until the record is written there is no survey."""
    few = replace(old_block, views=old_block.views[:6])
    engine = made.KnownPoses(few)

    said: list[str] = []

    def kill(done: int, total: int, what: str) -> None:
        said.append(what)
        if "surface: edges" in said and what != "surface: edges":
            raise InterruptedError

    arguments = (made.photos_of(few), made.area(), date(2026, 1, 1), tmp_path / "s")
    with pytest.raises(InterruptedError):
        survey.build(*arguments, reconstructor=engine, progress=kill)
    with pytest.raises(SurveyError):
        Survey.load(tmp_path / "s")
    stamp = (tmp_path / "s" / "surface.tif").stat().st_mtime_ns
    made_now = survey.build(*arguments, reconstructor=engine)
    assert len(engine.asked) == 1
    assert made_now.surface is not None and made_now.surface.stat().st_mtime_ns == stamp


def test_a_gap_is_named_and_only_it_is_asked_for(old_block: Block, tmp_path: Path) -> None:
    """A survey that misses a part of the area is refused with the share, and with the place to fly again."""
    west = tuple(v for v in old_block.views if v.pose.x_m < stage.CENTRE[0] - 10)
    found = made.build(replace(old_block, views=west), tmp_path / "s", 3)
    assert not found.quality.accepted
    assert found.quality.coverage < 0.85
    reason = next(r for r in found.quality.reasons if r.code == "coverage")
    assert reason.refuses
    assert reason.number == found.quality.coverage
    assert reason.limit == 0.85
    lon, lat = (float(v) for v in reason.en.split("largest gap ")[1].split(": fly")[0].split(", ")[1:])
    x, _ = stage.FRAME.xy_array(np.array([[lon, lat]]))[0]
    assert x > stage.CENTRE[0]
    gap = made.area().frame.to_metres(shape(found.quality.gap))
    assert gap.area == pytest.approx(found.quality.gap_m2, abs=1.0)
    assert gap.bounds[0] > stage.CENTRE[0] - 5
    assert gap.area / made.area().area_m2 > 1 - found.quality.coverage
    assert Survey.load(found.folder).quality.gap is not None


def test_a_block_on_its_own_gps_is_laid_onto_the_reference_and_says_so(new_block: Block, before: Survey, tmp_path: Path) -> None:
    """Where registration into the reference failed, the rasters bring the survey home: a metre of GPS error is gone."""
    off = np.array([0.9, -0.6, 0.7])
    views = tuple(
        replace(v, pose=Pose(v.pose.x_m + off[0], v.pose.y_m + off[1], v.pose.z_m + off[2], v.pose.rotation))
        for v in new_block.views
    )
    lost = replace(new_block, views=views, points=new_block.points + off)
    found = made.build(lost, tmp_path / "s", 4, before, Method.SEPARATE)
    assert found.quality.fell_back
    assert any(r.code == "laid_by_picture" for r in found.quality.reasons)
    assert found.quality.residual_median_px is not None and found.quality.residual_median_px < 0.5
    assert found.surface and before.surface
    gap = raster.read_window(found.surface) - raster.read_window(before.surface)
    assert abs(float(np.nanmedian(gap))) < 0.02
    assert found.quality.method == "separate + Nuth & Kääb"
    again = {r.code for r in Survey.load(found.folder).quality.reasons}
    assert {"laid_by_picture", "laid_by_surface", "made_again", "own_gps"} <= again


def test_a_leaning_block_is_set_upright(new_block: Block) -> None:
    """A move that takes a tilt away makes a leaning plane of points level, and turns the cameras with it."""
    lean = (0.01, -0.02)
    x, y = stage.CENTRE
    at = new_block.points[:, :2] - stage.CENTRE
    leaning = replace(new_block, points=np.column_stack([new_block.points[:, :2], 5 + at @ np.array(lean)]))
    upright = laying.Move(True, (), np.eye(2, 3), -0.5, lean, (x, y)).moved(leaning)
    assert np.ptp(upright.points[:, 2]) < 0.02
    assert abs(float(np.median(upright.points[:, 2])) - 4.5) < 0.02
    was, now = leaning.views[0].pose, upright.views[0].pose
    seen = [(p - v.centre) @ v.matrix.T for p, v in ((leaning.points[7], was), (upright.points[7], now))]
    assert np.abs(seen[0] - seen[1]).max() < 0.51  # the same ray but for what it was lowered


def test_an_area_from_photos_holds_their_places(old_block: Block) -> None:
    """Where nobody drew an area, the hull of the photos is one, with the photos' own ground sampling."""
    photos = made.photos_of(old_block)
    found = survey.area_from_photos(photos, "test")
    for photo in photos:
        assert photo.place is not None
        at = found.frame.xy(photo.place)
        assert found.outline_m.contains(Point(at.x_m, at.y_m))
    assert found.gsd_m == pytest.approx(stage.HEIGHT_M / stage.CAMERA.focal_px, abs=0.006)
    assert survey.area_from_photos(photos[::-1], "test").id == found.id


def test_photos_without_places_make_no_area(old_block: Block) -> None:
    """The sentence says what to do instead."""
    blind = [replace(p, place=None) for p in made.photos_of(old_block)]
    with pytest.raises(SurveyError, match="draw the area"):
        survey.area_from_photos(blind, "test")


def test_coverage_counts_the_area_only(before: Survey) -> None:
    """What lies beside the outline neither helps nor hurts."""
    share, gap = judge.coverage(made.area(), before.grid, before.ortho)
    assert share == 1.0
    assert gap == ""
