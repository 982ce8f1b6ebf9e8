"""The small parts: files, fields, segments, outlines, scores, register, persistence."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from shapely import affinity
from shapely.geometry import Polygon, box

from change_detect.align import align
from change_detect.candidate import Candidate, Kind, outline_of, regularised, stable_id
from change_detect.errors import ChangeError, RasterError
from change_detect.evaluate import Truth, iou, score
from change_detect.field import fit
from change_detect.persist import Known, Sighting, follow, presence
from change_detect.raster import Source, cells_inside, grid_of
from change_detect.register import Entry, EntryKind, Register
from change_detect.segment import regions
from geo.grid import Grid, Window

DAY = date(2026, 2, 9)


def candidate(outline: Polygon, **other: object) -> Candidate:
    plain = Candidate(stable_id(outline, DAY, DAY), outline, outline.area, 1.0, 3.0, Kind.NEW_BUILDING, 0.9, ("seen",))
    return replace(plain, **other)


def test_file_without_a_place_is_refused_by_name(tmp_path: Path) -> None:
    """A picture without georeference cannot be compared, and the sentence says what to do."""
    import cv2

    path = tmp_path / "plain.png"
    cv2.imwrite(str(path), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(RasterError, match=r"plain\.png has no georeference"):
        grid_of(path)


def test_vrt_is_never_opened_as_a_survey(tmp_path: Path) -> None:
    """A VRT reads any file of the machine, so it is refused."""
    path = tmp_path / "trick.tif"
    path.write_text('<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>')
    with pytest.raises(RasterError, match="VRT"):
        grid_of(path)


def test_surface_of_another_place_is_refused(made: ModuleType, tmp_path: Path) -> None:
    """An ortho and a surface that do not touch are no survey."""
    place = made.Place(1)
    here, far = tmp_path / "ortho.tif", tmp_path / "surface.tif"
    ortho, surface = place.layers(1)
    made.write(here, ortho, place.grid())
    made.write(far, surface, place.grid(shift=(5000, 0)))
    with pytest.raises(RasterError, match="another place"):
        Source.of(here, surface=far, taken_on=DAY)


def test_window_of_a_file_is_the_same_through_every_way_of_reading(made: ModuleType, tmp_path: Path) -> None:
    """Cells read directly equal the cells of a window that reaches beyond the file, where what lies outside is unknown."""
    source = made.source(made.Place(2), tmp_path, "a", flight=1, taken_on=DAY)
    inside = source.read(Window(0, 0, 40, 50))
    beyond = source.read(Window(-10, -20, 50, 70))
    assert not beyond.valid[:10].any() and not beyond.valid[:, :20].any()
    assert beyond.surface is not None and np.isnan(beyond.surface[:10]).all()
    np.testing.assert_array_equal(beyond.ortho[10:, 20:], inside.ortho)
    np.testing.assert_allclose(beyond.surface[10:, 20:], inside.surface, atol=1e-5)


def test_field_ignores_a_third_of_wrong_samples() -> None:
    """A tilted plane is found although every third sample is far off."""
    rng = np.random.default_rng(5)
    uv = rng.uniform(-1, 1, (90, 2))
    values = 0.3 + 0.2 * uv[:, 0] - 0.1 * uv[:, 1] + rng.normal(0, 0.01, 90)
    values[::3] += rng.uniform(1, 4, 30)
    found, weights = fit(uv, values, np.ones(90), floor=0.01)
    np.testing.assert_allclose(found.coefficients[:3], [0.3, 0.2, -0.1], atol=0.03)
    assert (weights[::3] == 0).mean() > 0.9


@pytest.mark.parametrize("tile", [16, 33, 200])
def test_regions_are_those_of_the_whole_mask(tile: int, made: ModuleType) -> None:
    """Joining across tiles gives exactly the connected parts of the whole mask."""
    import cv2

    rng = np.random.default_rng(7)
    near = cv2.GaussianBlur(rng.standard_normal((130, 110)), (0, 0), 3) > 0.05
    grid = Grid(made.FRAME, 1.0, 0.0, 200.0, 130, 110)
    (found,) = regions(grid, lambda w: ((near[w.slices], near[w.slices]),), channels=1, tile=tile, margin=2, least_cells=5)
    again = np.zeros_like(near)
    _count, labels, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=4)
    for region in found:
        part = labels[region.window.slices][region.mask]
        assert len(np.unique(part)) == 1 and region.mask.sum() == stats[part[0], cv2.CC_STAT_AREA]
        again[region.window.slices] |= region.mask
    assert len(found) == int((stats[1:, cv2.CC_STAT_AREA] >= 5).sum())


@pytest.mark.parametrize("angle", [0.0, 17.0, 44.0, 80.0])
def test_ragged_rectangle_becomes_a_rectangle(angle: float, made: ModuleType) -> None:
    """A turned rectangle drawn in cells comes back with five points and an IoU over 0.9."""
    import rasterio.features

    true = affinity.rotate(box(10, 10, 22, 17), angle)
    grid = Grid(made.FRAME, 0.2, 0.0, 40.0, 200, 200)
    mask = rasterio.features.rasterize([true], out_shape=grid.shape, transform=grid.transform) > 0
    found = outline_of(mask, grid, Window(0, 0, 200, 200))
    assert len(found.exterior.coords) == 5
    assert iou(found, true) > 0.9


def test_round_thing_keeps_its_own_outline() -> None:
    """An outline that no right angle fits is left as it is: nothing is forced."""
    ring = box(0, 0, 30, 4).union(box(0, 0, 4, 30)).union(Polygon([(4, 4), (26, 26), (24, 28), (2, 6)]))
    found = regularised(ring, 0.1)
    assert found.is_valid and iou(found, ring) > 0.85


def test_score_counts_hits_once_and_lists_held_back_ones_apart() -> None:
    """Two candidates on one thing are one hit and one false alarm; a held-back hit does not count as found."""
    truth = [
        Truth("a", box(0, 0, 10, 10), 3.0),
        Truth("b", box(50, 0, 60, 10), 3.0),
        Truth("car", box(80, 0, 84, 2), 1.5, is_structure=False),
    ]
    candidates = [
        candidate(box(0, 0, 10, 9)),
        candidate(box(1, 1, 9, 9)),
        candidate(box(50, 0, 60, 10), suppressed="vegetation: test"),
        candidate(box(80, 0, 84, 2)),
    ]
    result = score(candidates, truth, box(-5, -5, 995, 995))
    assert (result.recall, result.false_alarms, result.precision) == (0.5, 2, pytest.approx(1 / 3))
    assert result.per_km2 == pytest.approx(2.0)
    assert [p.truth_id for p in result.suppressed_hits] == ["b"]
    assert result.missed == ("b",)
    assert result.ious == (pytest.approx(0.9),)


def test_register_labels_and_never_hides() -> None:
    """A permit under a candidate adds a sentence with share and excess; the candidate stays as it was."""
    permit = Entry(
        "P-1", EntryKind.BUILDING_PERMIT, box(0, 0, 20, 10), area_limit_m2=60.0, height_limit_m=2.0, valid_to=date(2026, 1, 1)
    )
    found = candidate(box(10, 0, 30, 10))
    (label,) = Register([permit]).labels(found, DAY)
    assert label.share == pytest.approx(0.5)
    assert label.excess_area_m2 == pytest.approx(40.0) and label.excess_height_m == pytest.approx(1.0)
    assert not label.in_force
    told = Register([permit]).annotate(found, DAY)
    assert replace(told, reasons=found.reasons) == found and len(told.reasons) == 2


def test_register_refuses_a_broken_outline_by_name() -> None:
    """A bow-tie parcel is named in the sentence."""
    with pytest.raises(ChangeError, match="Z-9"):
        Entry("Z-9", EntryKind.PARCEL, Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]))


def test_dismissed_thing_speaks_again_only_when_it_grows() -> None:
    """The same outline is the same thing; a fifth more area or a metre more height is growth; elsewhere it is new."""
    known = [Known("K", box(0, 0, 10, 10), 3.0)]
    say = [
        m.sighting
        for m in follow([candidate(box(0, 0, 10, 10.5)), candidate(box(0, 0, 10, 13)), candidate(box(40, 0, 50, 10))], known)
    ]
    assert say == [Sighting.SAME, Sighting.GROWN, Sighting.NEW]
    taller = follow([candidate(box(0, 0, 10, 10), height_m=4.5)], known)
    assert taller[0].sighting == Sighting.GROWN


def test_recheck_tells_gone_from_standing(made: ModuleType, tmp_path: Path) -> None:
    """Against the survey from before it was built, a shed that stands is standing and one taken away is gone."""
    empty, built = made.Place(6), made.Place(6, boxes=[made.Box(20.0, 20.0, 6.0, 5.0, 2.6)])
    outline = box(made.WEST_M + 20, made.NORTH_M - 25, made.WEST_M + 26, made.NORTH_M - 20)
    first = made.source(empty, tmp_path, "first", flight=1, taken_on=date(2026, 1, 1))
    second = made.source(built, tmp_path, "second", flight=2, taken_on=date(2026, 2, 1))
    third = made.source(empty, tmp_path, "third", flight=3, taken_on=date(2026, 3, 1))
    assert presence(align(first, second), outline).state == "standing"
    after = presence(align(first, third), outline)
    assert after.gone and after.back > 0.95 and after.by == "height"
    with pytest.raises(ChangeError, match="outside"):
        presence(align(first, third), affinity.translate(outline, 5000, 0))


def test_ground_that_is_refused_is_read_as_unknown(made: ModuleType, tmp_path: Path) -> None:
    """Where a survey lies beside its reference neither colours nor heights are compared, and everywhere else nothing changes."""
    place = made.Place(3)
    whole = made.source(place, tmp_path, "one", flight=1, taken_on=DAY)
    grid = whole.grid
    west, _, _, north = grid.bounds_m
    refused = box(west + 10, north - 30, west + 25, north - 5)
    window = Window(0, 0, grid.rows, grid.cols)
    plain, masked = whole.read(window), replace(whole, refused=refused).read(window)
    hidden = cells_inside(refused, grid)
    assert not masked.valid[hidden].any()
    assert masked.surface is not None and np.isnan(masked.surface[hidden]).all()
    assert (masked.valid == plain.valid)[~hidden].all()
    assert plain.surface is not None and np.array_equal(masked.surface[~hidden], plain.surface[~hidden], equal_nan=True)
