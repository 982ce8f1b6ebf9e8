"""Side files that know the photos' places better than the photos."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyproj import Transformer

from imagery.errors import PhotoError
from imagery.photos import read_folder
from imagery.sidecars import PositionSource, read_geo, read_mrk, sequence_of
from tests.unit.imagery.test_photos import OLD_XMP, write

MRK = (
    "1\t400373.488877\t[2264]\t-40,N\t0,E\t86,V\t31.50000900,Lat\t120.25000000,Lon\t59.494,Ellh\t0.009, 0.012, 0.025\t50,Q\n"
    "2\t400376.488877\t[2264]\t -41,N\t   2,E\t  87,V\t31.50001800,Lat\t120.25000000,Lon\t59.594,Ellh\t1.500000, 1.600000, 3.500000\t16,Q\n"
    "3\t400379.488877\t[2264]\t0,N\t0,E\t0,V\t0.00000000,Lat\t0.00000000,Lon\t0.000,Ellh\t0.0, 0.0, 0.0\t0,Q\n"
)


def test_a_mark_file_says_place_sigma_and_state_of_each_photo(tmp_path: Path) -> None:
    """Fixed and single-point photos keep their own sigmas; a photo without a position has no mark; the antenna's offset is kept, and
    not applied a second time."""
    path = tmp_path / "100_0005_Timestamp.MRK"
    path.write_text(MRK)
    fixed, single = read_mrk(path)
    assert (fixed.sequence, single.sequence) == (1, 2)
    assert fixed.fix.place.lat_deg == 31.500009
    assert fixed.offset_mm == (-40, 0, 86)
    assert fixed.fix.sigma_m == pytest.approx(0.02)
    assert single.fix.sigma_m == pytest.approx(2.193, abs=0.001)
    assert (fixed.fix.height_m, fixed.fix.height_sigma_m) == (59.494, 0.025)
    assert fixed.gps_time.isoformat(timespec="seconds") == "2023-06-01T15:12:53+00:00"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("100_0005_0018.JPG", 18),
        ("DJI_0018.JPG", 18),
        ("DJI_20250416072557_0201_D.JPG", 201),
        ("DJI_20250416072557_0201_T.JPG", 201),
        ("DSC01234.JPG", None),
    ],
)
def test_a_photo_is_known_by_its_number(name: str, number: int | None) -> None:
    """DJI's old and new file names carry the number that the mark file counts by; other makers' do not."""
    assert sequence_of(name) == number


def test_a_folder_uses_the_mark_file_that_lies_in_it(tmp_path: Path) -> None:
    """Positions, sigmas and RTK state come from the mark file, the note says how many, and the file's own place is kept."""
    for n in (1, 2, 3):
        write(tmp_path / f"DJI_000{n}.JPG", xmp=OLD_XMP)
    (tmp_path / "Timestamp.MRK").write_text(MRK)
    reading = read_folder(tmp_path)
    first, second, third = reading.photos
    assert [p.position_source for p in reading.photos] == [PositionSource.MRK, PositionSource.MRK, PositionSource.FILE]
    assert first.place is not None and first.place.lat_deg == 31.500009
    assert first.own_place is not None and first.own_place.lat_deg == 31.5
    assert (first.ellipsoid_height_m, first.own_height_m) == (59.494, 198.31)
    assert (first.rtk_fixed, second.rtk_fixed) == (True, False)
    assert third.place == third.own_place
    (note,) = reading.notes
    assert note.number == 2
    assert "2 of 3" in note.en and "Timestamp.MRK" in note.zh


def test_a_mark_file_of_another_flight_is_not_used(tmp_path: Path) -> None:
    """Numbers start at 1 in every flight: a file that lies kilometres off is not of these photos, and a note says so."""
    write(tmp_path / "DJI_0001.JPG", xmp=OLD_XMP)
    (tmp_path / "Timestamp.MRK").write_text(MRK.replace("31.5000", "31.6000"))
    reading = read_folder(tmp_path)
    assert reading.photos[0].position_source is PositionSource.FILE
    assert [n.code for n in reading.notes] == ["mrk_of_another_flight"]


def test_two_flights_of_one_folder_cannot_be_told_apart(tmp_path: Path) -> None:
    """Two mark files that count the same numbers stop the reading instead of mixing two flights."""
    write(tmp_path / "DJI_0001.JPG", xmp=OLD_XMP)
    (tmp_path / "a.MRK").write_text(MRK)
    (tmp_path / "b.MRK").write_text(MRK)
    with pytest.raises(PhotoError, match="folder of its own"):
        read_folder(tmp_path)


def test_a_broken_mark_file_names_its_line(tmp_path: Path) -> None:
    """A line that is cut off is told by its number, in both languages."""
    path = tmp_path / "a.MRK"
    path.write_text(MRK[:200])
    with pytest.raises(PhotoError, match=r"第 2 行.*line 2"):
        read_mrk(path)


@pytest.mark.parametrize(
    ("header", "epsg"),
    [("EPSG:4326", 4326), ("+proj=longlat +datum=WGS84 +no_defs", 4326), ("EPSG:4549", 4549), ("WGS84 UTM 51N", 32651)],
)
def test_a_geo_file_is_read_in_its_own_system(tmp_path: Path, header: str, epsg: int) -> None:
    """Degrees, PROJ words, the county's CGCS2000 zone and ODM's UTM words all lead to one place."""
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(120.25, 31.6)
    path = tmp_path / "geo.txt"
    path.write_text(f"{header}\n# a comment\nDJI_0001.JPG {x:.9f} {y:.9f} 44.5\n")
    fix = read_geo(path)["DJI_0001.JPG"]
    assert fix.place.lon_deg == pytest.approx(120.25, abs=1e-8)
    assert fix.place.lat_deg == pytest.approx(31.6, abs=1e-8)
    assert fix.height_m == 44.5


def test_a_geo_file_wins_over_all_others(tmp_path: Path) -> None:
    """What a person wrote is believed before the vehicle: place, height, angles (pitch counted from straight down) and accuracies."""
    write(tmp_path / "DJI_0001.JPG", xmp=OLD_XMP)
    write(tmp_path / "DJI_0002.JPG", xmp=OLD_XMP)
    (tmp_path / "Timestamp.MRK").write_text(MRK)
    (tmp_path / "geo.txt").write_text("EPSG:4326\nDJI_0001.JPG 120.2501 31.5 44.5 90 10 0 0.03 0.06\n")
    first, second = read_folder(tmp_path).photos
    assert (first.position_source, second.position_source) == (PositionSource.GEO_TXT, PositionSource.MRK)
    assert first.place is not None and first.place.lon_deg == pytest.approx(120.2501)
    assert (first.yaw_deg, first.pitch_deg, first.position_sigma_m, first.height_sigma_m) == (90, -80, 0.03, 0.06)


def test_zeros_that_fill_a_column_are_not_believed(tmp_path: Path) -> None:
    """Angles 0 0 0 and heights that are all 0 were written to reach the next column."""
    path = tmp_path / "geo.txt"
    path.write_text("EPSG:4326\na.jpg 120 31 0 0 0 0 0.1 0.2\nb.jpg 120 31.001 0 0 0 0 0.1 0.2\n")
    for fix in read_geo(path).values():
        assert fix.height_m is None
        assert fix.yaw_deg is None
        assert fix.sigma_m == 0.1


@pytest.mark.parametrize(
    ("text", "said"), [("hello\na.jpg 1 2\n", "EPSG:4549"), ("EPSG:4326\na.jpg 1\n", "line 2"), ("", "empty")]
)
def test_a_geo_file_that_is_none_says_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    """No coordinate system, a short row and an empty file each have their sentence."""
    path = tmp_path / "geo.txt"
    path.write_text(text)
    with pytest.raises(PhotoError, match=said):
        read_geo(path)
