"""Screening on the metadata of a real big mission: 1,452 photos of five flights over the hills of Freetown, following the ground."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from geo.camera import Camera
from geo.frames import LonLat
from imagery import flights
from imagery.photos import Photo
from imagery.screening import Why, screen

TABLE = Path(__file__).resolve().parents[3].parent / "shared/data/exif_tables/drone-testdata-freetown-1/image_metadata.csv"
pytestmark = pytest.mark.skipif(not TABLE.is_file(), reason="the shared data folder is not there")
CAMERA = Camera(4000, 3000, 2900.0, 2000.0, 1500.0)


def degrees(text: str) -> float:
    found = re.fullmatch(r"([\d.]+) deg ([\d.]+)' ([\d.]+)\" ([NSEW])", text)
    assert found is not None
    value = float(found[1]) + float(found[2]) / 60 + float(found[3]) / 3600
    return -value if found[4] in "SW" else value


def photo(row: dict[str, str], number: int) -> Photo:
    return Photo(
        path=Path(row["FileName"]),
        sha256=f"{number:064}",
        taken_at=datetime.strptime(row["DateTimeOriginal"], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC),
        place=LonLat(lon_deg=degrees(row["GPSLongitude"]), lat_deg=degrees(row["GPSLatitude"])),
        ellipsoid_height_m=float(row["AbsoluteAltitude"]),
        takeoff_height_m=None,
        yaw_deg=float(row["FlightYawDegree"]),
        pitch_deg=float(row["GimbalPitchDegree"]),
        roll_deg=0.0,
        camera=CAMERA,
        sharpness=1000.0,
    )


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    with TABLE.open() as file:
        return [photo(row, n) for n, row in enumerate(csv.DictReader(file))]


def test_five_flights_are_found(photos: list[Photo]) -> None:
    """Four tasks, one with a change of battery; no photo is lost."""
    found = flights.split(photos)
    assert sorted(len(f) for f in found) == [111, 267, 334, 359, 381]
    assert sorted(i for f in found for i in f) == list(range(1452))


def test_only_the_ways_to_the_first_lines_are_set_aside(photos: list[Photo]) -> None:
    """The set is known for its flight tails: the operators let the camera run from take-off. Each flight from the ground has one, of
    some twenty photos, and the flight after the battery change has none; beside them only the one oblique photo is set aside."""
    set_aside = screen(photos).set_aside
    assert Counter(s.code for s in set_aside) == {Why.OBLIQUE: 1, Why.TRANSIT: 90}
    tails = {s.photo.path for s in set_aside if s.code is Why.TRANSIT}
    for flight in flights.split(photos):
        here = [photos[i].path in tails for i in flight]
        assert sum(here) == (0 if len(flight) == 111 else pytest.approx(22, abs=2))
        assert here == sorted(here, reverse=True)  # all at the start


def test_hills_are_no_drift(photos: list[Photo]) -> None:
    """Heights change by 240 m because the ground does; no height is thrown away."""
    screening = screen(photos)
    assert "height_drift" not in {r.code for r in screening.remarks}
    assert all(p.height_trusted for p in screening.accepted)


def test_a_drift_over_the_same_hills_is_found(photos: list[Photo]) -> None:
    """114 m laid over one real flight are found to 35 m, and only that flight loses its heights."""
    flight = flights.split(photos)[0]
    drifting = list(photos)
    for k, i in enumerate(flight):
        height = photos[i].ellipsoid_height_m
        assert height is not None
        drifting[i] = replace(photos[i], ellipsoid_height_m=height + 114.0 * k / len(flight))
    screening = screen(drifting)
    (remark,) = [r for r in screening.remarks if r.code == "height_drift"]
    assert remark.number == pytest.approx(114, abs=35)
    named = {photos[i].path for i in flight}
    assert {p.path for p in screening.accepted if not p.height_trusted} == {p.path for p in screening.accepted} & named


def test_a_barometer_over_hills_makes_no_climb_out(photos: list[Photo]) -> None:
    """With the height above take-off in the file, photos low over a valley at the start are no climb."""
    tall = [
        replace(photos[i], takeoff_height_m=(photos[i].ellipsoid_height_m or 0) - (photos[f[0]].ellipsoid_height_m or 0) + 80.0)
        for f in flights.split(photos)
        for i in f
    ]
    found = Counter(s.code for s in screen(tall).set_aside)
    assert found[Why.CLIMB_OUT] <= 0.01 * len(photos)
