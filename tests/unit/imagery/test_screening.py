"""What screening sets aside, and that it can be taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shapely.geometry import box

from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import LonLat
from imagery.look import Look
from imagery.photos import Photo
from imagery.screening import Why, screen
from imagery.tags import Receiver

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
        (7, {"look": Look(smear=0.6)}, Why.BLUR),
        (7, {"look": Look(burnt=0.7)}, Why.EXPOSURE),
        (7, {"look": Look(black=0.7)}, Why.EXPOSURE),
        (7, {"infrared": True}, Why.INFRARED),
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


def lawnmower(lines: int = 10, per_line: int = 20) -> list[Photo]:
    """A flight of lines 25 m apart, a photo every 2 s and 20 m, heights of a slope that the drone follows."""
    photos = flight(lines * per_line)
    start = datetime(2026, 10, 8, 2, 0, tzinfo=UTC)
    made = []
    for n, photo in enumerate(photos):
        line, k = divmod(n, per_line)
        east = (k if line % 2 == 0 else per_line - 1 - k) * 20.0
        north = line * 25.0
        place = LonLat(lon_deg=120.5 + east / 94_200, lat_deg=32.3 + north / 111_195)
        made.append(
            replace(
                photo,
                place=place,
                taken_at=start + timedelta(seconds=2.0 * n + 4.0 * line),
                takeoff_height_m=None,
                ellipsoid_height_m=100.0 + 0.2 * east + 0.1 * north,
            )
        )
    return made


def test_following_the_ground_is_no_drift() -> None:
    """A drone that rises with a hill is as high over one place at any time."""
    photos = lawnmower()
    assert screen(photos).accepted == tuple(photos)
    assert screen(photos).remarks == ()


def _since(photo: Photo, first: Photo) -> float:
    assert photo.taken_at is not None and first.taken_at is not None
    return (photo.taken_at - first.taken_at).total_seconds()


def test_a_drifting_height_is_stated_and_not_used_unless_a_person_says_so() -> None:
    """114 m over one flight, as a real receiver did: the heights are taken off, the file's own stay, and the remark says how much."""
    photos = lawnmower()
    drifting = [
        replace(p, ellipsoid_height_m=z, own_height_m=z)
        for p in photos
        for z in [(p.ellipsoid_height_m or 0.0) + 114.0 * _since(p, photos[0]) / _since(photos[-1], photos[0])]
    ]
    screening = screen(drifting)
    (remark,) = screening.remarks
    assert remark.code == "height_drift"
    assert remark.number == pytest.approx(114, rel=0.05)
    assert "114" in remark.zh and "114" in remark.en
    assert all(p.ellipsoid_height_m is None and not p.height_trusted for p in screening.accepted)
    assert [p.own_height_m for p in screening.accepted] == [p.own_height_m for p in drifting]
    again = screen(drifting, believed=["height_drift"])
    assert again.accepted == tuple(drifting)
    assert "used all the same" in again.remarks[0].en


def test_the_barometer_finds_a_drift_that_the_ground_hides() -> None:
    """Where the file tells the height above take-off, the two must keep their distance within a flight."""
    photos = [replace(p, takeoff_height_m=80.0, ellipsoid_height_m=100.0 + 0.2 * i) for i, p in enumerate(lawnmower())]
    (remark,) = screen(photos).remarks
    assert remark.code == "height_drift"
    assert "barometer" in remark.en


def test_the_way_to_the_first_line_is_no_line() -> None:
    """A camera that ran from take-off on: the slanting way to the first line is set aside, the lines are not."""
    lines = lawnmower()
    first = lines[0]
    assert first.place is not None and first.taken_at is not None
    way = [
        replace(
            first,
            path=Path(f"way{k}.jpg"),
            sha256=f"way{k}",
            place=LonLat(lon_deg=first.place.lon_deg + 0.00013 * (12 - k), lat_deg=first.place.lat_deg + 0.0001 * (12 - k)),
            taken_at=first.taken_at - timedelta(seconds=2.0 * (12 - k)),
        )
        for k in range(12)
    ]
    screening = screen([*way, *lines])
    assert {s.code for s in screening.set_aside} == {Why.TRANSIT}
    assert [s.photo for s in screening.set_aside] == way


def test_one_wild_position_is_set_aside() -> None:
    """A position that jumps away and back is the receiver's, not the drone's."""
    photos = lawnmower()
    at = photos[50].place
    assert at is not None
    photos[50] = replace(photos[50], place=LonLat(lon_deg=at.lon_deg, lat_deg=at.lat_deg - 0.002))
    screening = screen(photos)
    assert [(s.photo, s.code) for s in screening.set_aside] == [(photos[50], Why.JUMPED)]


def test_two_flights_of_different_height_are_each_judged_by_themselves() -> None:
    """A second battery from a higher place: its photos are lower above their own take-off, and belong all the same."""
    first = [replace(p, takeoff_height_m=100.0, ellipsoid_height_m=None) for p in lawnmower()]
    second = [
        replace(
            p, path=Path(f"b{p.path}"), sha256=f"b{p.sha256}", takeoff_height_m=60.0, taken_at=p.taken_at + timedelta(hours=1)
        )
        for p in first
        if p.taken_at is not None
    ]
    assert screen([*first, *second]).set_aside == ()


def test_a_copy_of_one_exposure_is_known_by_what_it_shows() -> None:
    """Written again by another program: other bytes, the same instant, place and picture; the larger one is kept. A burst is no copy."""
    thumb = bytes(range(256))
    photos = [replace(p, look=Look(thumb=thumb)) for p in lawnmower()]
    copy = replace(photos[30], path=Path("copy.jpg"), sha256="copy", camera=Camera(2000, 1500, 1450.0, 1000.0, 750.0))
    burst = replace(photos[40], path=Path("burst.jpg"), sha256="burst", look=Look(thumb=thumb[::-1]))
    screening = screen([*photos[:30], copy, *photos[30:], burst])
    assert [(s.photo, s.code) for s in screening.set_aside] == [(copy, Why.DUPLICATE)]


def test_a_set_that_is_all_blurred_is_refused_in_one_sentence() -> None:
    """Relative sharpness sees nothing odd in it; smear does."""
    photos = [replace(p, look=Look(smear=0.6)) for p in lawnmower()]
    refusal = screen(photos).refusal
    assert refusal is not None and refusal.code == "all_blur"
    assert "模糊" in refusal.zh and "200 photos are blurred" in refusal.en
    back = screen(photos).taken_back(codes=[Why.BLUR])
    assert back.refusal is None and len(back.accepted) == 200


def test_a_set_without_gps_says_what_to_give() -> None:
    """Ground control, positions, or an earlier survey; with one of these the photos stay."""
    photos = [replace(p, place=None) for p in lawnmower()]
    refusal = screen(photos, area=AREA).refusal
    assert refusal is not None and "gcp_list.txt" in refusal.zh and "earlier survey" in refusal.en
    anchored = screen(photos, area=AREA, anchored=True)
    assert anchored.refusal is None and len(anchored.accepted) == 200


def test_a_set_of_another_place_says_where_it_was_taken() -> None:
    """In the sea, 100 km off: the sentence names the place and asks about area and folder."""
    photos = [replace(p, place=LonLat(lon_deg=122.5 + 0.0001 * i, lat_deg=32.3)) for i, p in enumerate(lawnmower())]
    refusal = screen(photos, area=AREA).refusal
    assert refusal is not None and refusal.code == "all_elsewhere"
    assert "122.5" in refusal.zh and "right area" in refusal.en


def test_a_hole_is_stated_with_its_width_and_place() -> None:
    """Two halves 200 m apart share no ground; the remark says where to fly again."""
    photos = [replace(p, takeoff_height_m=60.0, ellipsoid_height_m=None) for p in lawnmower()]
    parted = [p for p in photos if p.place is not None and not 120.50085 < p.place.lon_deg < 120.50295]
    (remark,) = screen(parted).remarks
    assert remark.code == "hole"
    assert remark.number == pytest.approx(200, abs=21)
    assert "120.50" in remark.en and "120.50" in remark.zh
    assert screen(photos).remarks == ()


def test_two_cameras_are_stated_and_both_kept() -> None:
    """Each is solved with its own lens."""
    photos = lawnmower()
    other = Camera(6000, 4000, 5000.0, 3000.0, 2000.0)
    photos[100:] = [replace(p, camera=other, model="ILCE-6000") for p in photos[100:]]
    screening = screen(photos)
    assert [r.code for r in screening.remarks] == ["several_cameras"]
    assert len(screening.accepted) == 200
    assert "ILCE-6000 6000x4000" in screening.remarks[0].zh


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"receiver": Receiver(rtk_flag=34)}, "rtk_not_fixed"),
        ({"receiver": Receiver(rtk_flag=50, corrections_age_s=40.0)}, "rtk_corrections_old"),
        ({"receiver": Receiver(rtk_flag=50, for_surveying=False)}, "not_for_surveying"),
        ({"shutter": "Electronic"}, "electronic_shutter"),
        ({"ellipsoid_height_m": -5.7, "height_trusted": False}, "height_below_sea"),
    ],
)
def test_what_the_files_admit_is_said(change: dict[str, object], code: str) -> None:
    """Each in two languages, without dropping a photo."""
    photos = lawnmower()
    photos[7] = replace(photos[7], **change)  # type: ignore[arg-type]
    screening = screen(photos)
    (remark,) = screening.remarks
    assert remark.code == code
    assert len(screening.accepted) == 200
    assert any("一" <= c <= "鿿" for c in remark.zh) and not any("一" <= c <= "鿿" for c in remark.en)
