"""What screening sets aside, and that it can be taken back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from shapely.geometry import box

from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import LonLat
from imagery.photos import Photo
from imagery.screening import Why, screen

STEP_DEG = 0.0002  # about 20 m


def flight(count: int = 20) -> list[Photo]:
    return [
        Photo(
            path=Path(f"{i:03}.jpg"),
            sha256=f"{i:064}",
            taken_at=None,
            place=LonLat(lon_deg=120.5 + STEP_DEG * i, lat_deg=32.3),
            ellipsoid_height_m=100.0,
            takeoff_height_m=100.0,
            yaw_deg=0.0,
            pitch_deg=-90.0,
            roll_deg=0.0,
            camera=Camera(4000, 3000, 2900.0, 2000.0, 1500.0),
            sharpness=1000.0,
        )
        for i in range(count)
    ]


AREA = Area(AreaId("a"), "测试", box(120.499, 32.299, 120.505, 32.301))


def test_a_good_flight_is_left_alone() -> None:
    """Nothing is set aside from photos that look down from one height over one place."""
    photos = flight()
    assert screen(photos).accepted == tuple(photos)
    assert screen(photos, area=AREA).set_aside == ()


@pytest.mark.parametrize(
    ("index", "change", "why"),
    [
        (7, {"sha256": f"{3:064}"}, Why.DUPLICATE),
        (7, {"place": None}, Why.NO_POSITION),
        (7, {"place": LonLat(lon_deg=121.5, lat_deg=32.3)}, Why.ELSEWHERE),
        (7, {"pitch_deg": -5.0}, Why.HORIZON),
        (7, {"pitch_deg": -45.0}, Why.OBLIQUE),
        (0, {"takeoff_height_m": 30.0}, Why.CLIMB_OUT),
        (19, {"takeoff_height_m": 30.0}, Why.CLIMB_OUT),
        (7, {"sharpness": 100.0}, Why.BLUR),
    ],
)
def test_what_does_not_belong_is_set_aside_with_its_reason(index: int, change: dict[str, object], why: Why) -> None:
    """One odd photo is set aside for its own reason, told in two languages, and the others stay."""
    photos = flight()
    photos[index] = replace(photos[index], **change)  # type: ignore[arg-type]
    screening = screen(photos, area=AREA)
    assert [(s.photo, s.code) for s in screening.set_aside] == [(photos[index], why)]
    said = screening.set_aside[0]
    assert any("一" <= c <= "鿿" for c in said.sentence_zh)
    assert not any("一" <= c <= "鿿" for c in said.sentence_en)
    assert "{" not in said.sentence


def test_every_photo_is_in_exactly_one_of_the_two() -> None:
    """Screening loses no photo and names none twice."""
    photos = flight()
    photos[2] = replace(photos[2], place=None, pitch_deg=0.0, sharpness=1.0)
    photos[9] = replace(photos[9], sha256=photos[8].sha256)
    screening = screen(photos)
    both = [*screening.accepted, *(s.photo for s in screening.set_aside)]
    assert sorted(p.path for p in both) == [p.path for p in photos]


def test_what_was_set_aside_can_be_taken_back() -> None:
    """A person may overrule a reason or a single photo; a duplicate stays out, because its twin is in."""
    photos = flight()
    photos[4] = replace(photos[4], sharpness=10.0)
    photos[9] = replace(photos[9], sha256=photos[8].sha256)
    screening = screen(photos)
    again = screening.taken_back(codes=list(Why))
    assert photos[4] in again.accepted
    assert [s.code for s in again.set_aside] == [Why.DUPLICATE]
    assert screening.taken_back(sha256s=[photos[4].sha256]) == again


def test_a_flight_meant_to_be_oblique_is_kept() -> None:
    """Where most photos look to the side the flight was planned so, and only the horizon is thrown out."""
    photos = [replace(p, pitch_deg=-45.0) for p in flight()]
    assert len(screen(photos).accepted) == 20


def test_a_low_pass_in_the_middle_of_a_flight_was_meant() -> None:
    """Only the start and the end of a flight are climb and landing."""
    photos = flight()
    photos[10] = replace(photos[10], takeoff_height_m=40.0)
    assert not screen(photos).set_aside


def test_photos_of_another_place_leave_an_empty_survey() -> None:
    """All photos far from the area are set aside, each saying how far."""
    far = Area(AreaId("b"), "远处", box(121.5, 32.3, 121.51, 32.31))
    screening = screen(flight(), area=far)
    assert screening.accepted == ()
    assert {s.code for s in screening.set_aside} == {Why.ELSEWHERE}


def test_no_photos_are_no_trouble() -> None:
    """An empty list screens to an empty list, with an area and without."""
    assert screen([]).accepted == screen([], area=AREA).accepted == ()
