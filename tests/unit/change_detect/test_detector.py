"""What the detector finds between two surveys of a made-up place."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from shapely.geometry import box

from change_detect.align import SurveyPair, align
from change_detect.candidate import Candidate, Kind
from change_detect.detector import GeometryImage
from change_detect.evaluate import iou

BEFORE, AFTER = date(2026, 1, 10), date(2026, 2, 9)
HOUSE = (10.0, 10.0, 12.0, 9.0, 5.0, (160, 60, 50))
TREES = [(45.0, 45.0, 4.0), (50.0, 20.0, 3.0)]


def pair_of(made: ModuleType, folder: Path, *new: tuple[object, ...], heights: bool = True, **after: object) -> SurveyPair:
    """A pair whose after survey has the `new` boxes."""
    ground = after.pop("ground", {})
    old = made.Place(1, boxes=[made.Box(*HOUSE)], trees=TREES, **ground)
    now = made.Place(1, boxes=[*old.boxes, *(made.Box(*b) for b in new)], trees=TREES, **ground)
    a = made.source(old, folder, "before", flight=1, taken_on=BEFORE, heights=heights)
    b = made.source(now, folder, "after", flight=2, taken_on=AFTER, heights=heights, **after)
    return align(a, b)


def shown(pair: SurveyPair) -> list[Candidate]:
    return [c for c in GeometryImage().detect(pair) if c.suppressed is None]


def ground(made: ModuleType, east: float, south: float, width: float, depth: float) -> object:
    w, n = made.WEST_M, made.NORTH_M
    return box(w + east, n - south - depth, w + east + width, n - south)


def test_unchanged_place_gives_nothing_to_look_at(made: ModuleType, tmp_path: Path) -> None:
    """Two flights over the same place, in other light and with trees that moved, show no change."""
    assert shown(pair_of(made, tmp_path, tone=0.85, lift_m=0.4)) == []


def test_small_shed_is_found_where_it_stands(made: ModuleType, tmp_path: Path) -> None:
    """A box of 4 x 4 x 2.5 m is one candidate with its outline, area and height."""
    (found,) = shown(pair_of(made, tmp_path, (30.0, 30.0, 4.0, 4.0, 2.5), lift_m=0.4))
    assert found.kind == Kind.SHED_OR_CONTAINER
    assert iou(found.outline, ground(made, 30, 30, 4, 4)) > 0.85
    assert found.height_m == pytest.approx(2.5, abs=0.15)
    assert abs(found.area_m2 - 16.0) < 3 * found.area_sigma_m2
    assert len(found.outline.exterior.coords) == 5


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        ((30.0, 30.0, 9.0, 7.0, 4.0), Kind.NEW_BUILDING),
        ((13.0, 12.0, 5.0, 4.0, 2.6), Kind.ROOF_ADDITION),
        ((22.0, 11.0, 4.0, 7.0, 2.8), Kind.EXTENSION),
    ],
)
def test_kind_follows_from_what_it_stands_on_and_beside(
    made: ModuleType, tmp_path: Path, new: tuple[float, ...], kind: Kind
) -> None:
    """On the ground it is a building, on a roof an addition, against a house an extension."""
    (found,) = shown(pair_of(made, tmp_path, new))
    assert found.kind == kind


def test_lorry_on_grey_ground_is_held_back_and_says_why(made: ModuleType, tmp_path: Path) -> None:
    """A box of 8.0 x 2.4 x 3.1 m on asphalt is suspected to be a vehicle; it is kept, with the reason."""
    pair = pair_of(made, tmp_path, (30.0, 30.0, 8.0, 2.4, 3.1), ground={"ground_colour": (120, 120, 120)})
    (found,) = GeometryImage().detect(pair)
    assert found.kind == Kind.VEHICLE
    assert found.suppressed is not None and found.suppressed.startswith("vehicle_suspected")
    assert any(r.startswith("分类") for r in found.reasons)


def test_box_of_a_containers_size_is_shown_even_on_asphalt(made: ModuleType, tmp_path: Path) -> None:
    """Twenty feet by eight by eight and a half with a flat lid is a container, whatever it stands on."""
    (found,) = shown(pair_of(made, tmp_path, (30.0, 30.0, 6.06, 2.44, 2.59), ground={"ground_colour": (120, 120, 120)}))
    assert found.kind == Kind.SHED_OR_CONTAINER


def test_grown_tree_is_held_back_as_vegetation(made: ModuleType, tmp_path: Path) -> None:
    """A new crown, rough and green, is not shown as a structure but stays in the list."""
    old = made.Place(3, trees=[])
    now = made.Place(3, trees=[(30.0, 30.0, 4.0)])
    a = made.source(old, tmp_path, "before", flight=1, taken_on=BEFORE)
    b = made.source(now, tmp_path, "after", flight=2, taken_on=AFTER)
    found = GeometryImage().detect(align(a, b))
    assert found and all(c.suppressed is not None for c in found)
    assert any(c.kind == Kind.VEGETATION for c in found)


def test_low_embankment_is_earthwork(made: ModuleType, tmp_path: Path) -> None:
    """A wide soft mound of under a metre is found as earthwork, not as a building."""
    place = made.Place(4)
    _ortho, surface = place.layers(2)
    v, u = np.mgrid[: place.rows, : place.cols] * made.GSD_M
    mound = 0.9 * np.exp(-(((u - 30) / 9) ** 2 + ((v - 30) / 9) ** 2))
    a = made.source(place, tmp_path, "before", flight=1, taken_on=BEFORE)
    b = made.source(place, tmp_path, "after", flight=2, taken_on=AFTER)
    assert b.surface is not None
    made.write(b.surface, (surface + mound).astype(np.float32), place.grid())
    found = [c for c in GeometryImage().detect(align(a, b)) if c.suppressed is None]
    assert [c.kind for c in found] == [Kind.EARTHWORK]


def test_shift_between_surveys_is_taken_away(made: ModuleType, tmp_path: Path) -> None:
    """An after survey that sits 0.6 m off and 0.5 m higher neither hides the shed nor moves it, and shows no roof edges."""
    old = made.Place(1, boxes=[made.Box(*HOUSE)], trees=TREES)
    now = made.Place(1, boxes=[made.Box(*HOUSE), made.Box(30.0, 30.0, 4.0, 4.0, 2.5)], trees=TREES)
    a = made.source(old, tmp_path, "before", flight=1, taken_on=BEFORE)
    b = made.source(now, tmp_path, "after", flight=2, taken_on=AFTER, shift=(3, -2), lift_m=0.5)
    pair = align(a, b)
    assert pair.residual.p95_px < 1.0
    (found,) = shown(pair)
    assert iou(found.outline, ground(made, 30, 30, 4, 4)) > 0.8


def test_tile_size_does_not_matter(made: ModuleType, tmp_path: Path) -> None:
    """A building cut by tile borders is one candidate, the same as when the place fits one tile."""
    pair = pair_of(made, tmp_path, (20.0, 25.0, 20.0, 12.0, 4.0))
    whole = GeometryImage(window_cells=1024).detect(pair)
    parts = GeometryImage(window_cells=64).detect(pair)
    assert {(c.id, c.score, c.kind, c.outline.wkt) for c in parts} == {(c.id, c.score, c.kind, c.outline.wkt) for c in whole}


def test_orthos_alone_show_a_new_roof_and_say_that_no_heights_were_compared(made: ModuleType, tmp_path: Path) -> None:
    """Without surfaces a new even roof with straight edges is an image change with no height, less sure than one with heights."""
    (found,) = shown(pair_of(made, tmp_path, (20.0, 25.0, 22.0, 14.0, 4.0), heights=False, tone=0.85))
    assert found.kind == Kind.IMAGE_CHANGE
    assert found.height_m is None
    assert found.score <= 0.9
    assert "orthos alone" in found.reasons[0]
    assert iou(found.outline, ground(made, 20, 25, 22, 14)) > 0.8


def test_what_leans_over_a_place_is_no_change_of_it(made: ModuleType, tmp_path: Path) -> None:
    """The same new colour, where the later survey's flags say that a wall may show: no candidate, and the pair tells the share."""
    pair = pair_of(made, tmp_path, (20.0, 25.0, 22.0, 14.0, 4.0), heights=False)
    assert shown(pair) and pair.residual.leaning == 0.0
    place = made.Place(1)
    flags = np.zeros((place.rows, place.cols), np.uint8)
    flags[round(24 / made.GSD_M) : round(40 / made.GSD_M), round(19 / made.GSD_M) : round(43 / made.GSD_M)] = 1
    path = tmp_path / "flags.tif"
    made.write(path, flags, place.grid())
    masked = align(pair.before, replace(pair.after, flags=path))
    assert shown(masked) == []
    assert 0.02 < masked.residual.leaning < 0.2
