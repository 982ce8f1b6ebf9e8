"""Photos matched to the exposures of a flight log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from geo.frames import LonLat
from imagery.exposures import Exposure, matched
from imagery.photos import Photo
from imagery.sidecars import PositionSource
from tests.unit.imagery.test_screening import STEP_DEG, flight

START = datetime(2026, 10, 8, 2, 0, tzinfo=UTC)
#             lines of nine photos 2 s apart, and a turn of 7 s
SECONDS = [2.0 * i + 7.0 * (i // 9) for i in range(36)]


def exposures() -> list[Exposure]:
    return [
        Exposure(START + timedelta(seconds=s), LonLat(lon_deg=120.5 + STEP_DEG * i, lat_deg=32.3), 100.0, 90.0, -90.0, 0.0)
        for i, s in enumerate(SECONDS)
    ]


def plain(offset_s: float = 0.0) -> list[Photo]:
    """Photos of a camera without a receiver, whose clock counts whole seconds and is off."""
    at = [START + timedelta(seconds=s + offset_s) for s in SECONDS]
    photos = flight(len(SECONDS))
    return [
        replace(p, taken_at=t.replace(microsecond=0), place=None, takeoff_height_m=None, yaw_deg=None, pitch_deg=None)
        for p, t in zip(photos, at, strict=True)
    ]


@pytest.mark.parametrize("offset_s", [0.0, 0.4, 28_800.0, -3601.3])
def test_a_camera_without_a_receiver_gets_its_places(offset_s: float) -> None:
    """However far the camera's clock is off, every photo finds its own exposure, and says where its place comes from."""
    told, note = matched(plain(offset_s), exposures())
    for photo, exposure in zip(told, exposures(), strict=True):
        assert photo.place == exposure.place
        assert photo.position_source is PositionSource.FLIGHT_LOG
        assert (photo.takeoff_height_m, photo.yaw_deg, photo.pitch_deg) == (100.0, 90.0, -90.0)
        assert photo.own_place is None
    assert "36 of 36" in note.en and "36/36" in note.zh


def test_photos_that_are_missing_do_not_shift_the_others() -> None:
    """Three photos lost on the card, a turn between the lines: the others still find their own exposures."""
    photos = plain(120.0)
    del photos[20], photos[10], photos[0]
    told, note = matched(photos, exposures())
    by_name = {e: p for p, e in zip(plain(), exposures(), strict=True)}
    for exposure, photo in by_name.items():
        mine = next((p for p in told if p.name == photo.name), None)
        assert mine is None or mine.place == exposure.place
    assert "33 of 33" in note.en


def test_an_even_rhythm_with_a_wrong_clock_is_not_guessed() -> None:
    """Photos every two seconds without a turn fit one exposure earlier as well: nothing is changed, and the note says why."""
    events = [replace(e, at=START + timedelta(seconds=2.0 * i)) for i, e in enumerate(exposures())]
    photos = [replace(p, taken_at=START + timedelta(seconds=2.0 * i + 500)) for i, p in enumerate(plain())][5:-5]
    told, note = matched(photos, events)
    assert list(told) == photos
    assert note.code == "log_not_matched"
    assert "more than one offset" in note.en


def test_an_even_rhythm_with_a_right_clock_is_matched() -> None:
    """Where the clocks agree the doubt is gone."""
    events = [replace(e, at=START + timedelta(seconds=2.0 * i)) for i, e in enumerate(exposures())]
    photos = [replace(p, taken_at=e.at) for p, e in zip(plain(), events, strict=True)][5:-5]
    told, _ = matched(photos, events)
    assert [p.place for p in told] == [e.place for e in events][5:-5]


def test_photos_that_know_their_place_keep_it_and_are_compared() -> None:
    """The log fills in what the file does not say, and the note tells the distance between the two."""
    photos = [replace(p, place=e.place, taken_at=e.at) for p, e in zip(plain(), exposures(), strict=True)]
    moved = [replace(e, place=LonLat(lon_deg=e.place.lon_deg, lat_deg=e.place.lat_deg + 2e-5)) for e in exposures()]
    told, note = matched(photos, moved)
    assert [p.place for p in told] == [p.place for p in photos]
    assert all(p.takeoff_height_m == 100.0 for p in told)
    assert "2.2 m off" in note.en


def test_the_log_of_another_flight_is_not_used() -> None:
    """Places kilometres apart: the note says so and nothing is changed."""
    photos = [
        replace(p, place=LonLat(lon_deg=120.6, lat_deg=32.3), taken_at=e.at) for p, e in zip(plain(), exposures(), strict=True)
    ]
    told, note = matched(photos, exposures())
    assert list(told) == photos
    assert note.code == "log_not_matched"


def test_times_that_do_not_agree_are_no_match() -> None:
    """A flight with another rhythm has too few exposures in common."""
    photos = [replace(p, taken_at=START + timedelta(seconds=3.7 * i)) for i, p in enumerate(plain())]
    told, note = matched(photos, exposures())
    assert list(told) == photos
    assert note.code == "log_not_matched"
