"""Bad photos get a clear sentence in both languages, and nothing that is stored changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box

from flight.flightlog import Ending, FlightLog, Outcome, PhotoEvent, to_json
from geo.area import Area, AreaId
from geo.frames import LonLat
from geo.heights import Datum, Height
from imagery.engines.colmap import ColmapReconstructor
from imagery.photos import read_folder
from imagery.screening import screen
from imagery.sidecars import PositionSource
from imagery.survey import area_from_photos
from patrol import demo, records, repositories
from patrol.pipeline import sorting
from patrol.pipeline.areas import keep_area
from patrol.pipeline.surveying import SurveyRefused, adopt, ingest
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.conftest import SHARED_DATA

DAY = date(2026, 10, 8)
START = datetime(2026, 10, 8, 2, 0, tzinfo=UTC)
SHORE = SHARED_DATA / "raw_surveys" / "brighton_beach" / "images"
SHEFFIELD = SHARED_DATA / "raw_surveys" / "sheffield_cross" / "flight1_1206"


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    """An empty store."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        yield made


@pytest.fixture
def area(work: Workplace) -> Area:
    return keep_area(work, Area(AreaId("a"), "测试", box(120.499, 32.299, 120.503, 32.302)), by="test")


def write(folder: Path, count: int = 6, *, lon: float | None = 120.5, blur: float = 0.0, first: int = 0) -> Path:
    """Photos of random patches 20 m apart, with a place in XMP unless `lon` is None."""
    folder.mkdir(exist_ok=True)
    for i in range(first, first + count):
        patches = np.random.default_rng(i).integers(10, 245, (60, 80, 3))
        pixels = patches.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur) if blur else pixels
        xmp = ""
        if lon is not None:
            xmp = (
                f'<rdf:Description drone-dji:GpsLatitude="32.3005" drone-dji:GpsLongitude="{lon + 0.0002 * i:.7f}"'
                ' drone-dji:RelativeAltitude="80.0" drone-dji:GimbalPitchDegree="-90.0" drone-dji:GimbalYawDegree="0.0"/>'
            )
        exif = Image.Exif()
        at = START + timedelta(seconds=3 * i)
        exif.get_ifd(0x8769).update({0x9003: at.strftime("%Y:%m:%d %H:%M:%S"), 0x9011: "+00:00"})
        Image.fromarray(pixels).save(folder / f"DJI_{i + 1:04}.JPG", "JPEG", quality=92, exif=exif, xmp=xmp.encode())
    return folder


def both(text: str) -> bool:
    return any("一" <= c <= "鿿" for c in text) and any("a" <= c <= "z" for c in text)


def empty(work: Workplace) -> bool:
    with work.database.read() as session:
        none = not repositories.surveys.where(session)
    return none and not any((work.settings.home / "surveys").glob("*"))


def refused(work: Workplace, folder: Path, area: Area) -> str:
    with pytest.raises(SurveyRefused) as caught:
        ingest(work, folder, area.id, DAY, by="test")
    assert both(str(caught.value))
    assert empty(work)
    return str(caught.value)


def test_a_folder_without_any_gps_says_what_to_give(work: Workplace, area: Area, tmp_path: Path) -> None:
    """Ground control, positions, or an earlier survey."""
    said = refused(work, write(tmp_path / "p", lon=None), area)
    assert "gcp_list.txt" in said and "geo.txt" in said and "earlier survey" in said


def test_photos_in_the_sea_ask_for_the_right_area(work: Workplace, area: Area, tmp_path: Path) -> None:
    """The sentence says where they were taken."""
    said = refused(work, write(tmp_path / "p", lon=123.5), area)
    assert "123.50" in said and "right area" in said


def test_photos_that_are_all_blurred_are_refused_as_such(work: Workplace, area: Area, tmp_path: Path) -> None:
    """However alike they are: none is sharper than the others."""
    said = refused(work, write(tmp_path / "p", blur=6.0), area)
    assert "all" in said and "blurred" in said and "模糊" in said


@pytest.mark.slow
def test_photos_that_share_no_ground_are_refused(work: Workplace, area: Area, tmp_path: Path) -> None:
    """Sharp, in the right place, and each of something else."""
    folder = write(tmp_path / "p")
    for path in folder.iterdir():  # noise: patches on one lattice would fit each other by their corners
        with Image.open(path) as picture:
            exif, xmp = picture.getexif(), picture.info["xmp"]
        pixels = np.random.default_rng(len(path.name) + int(path.stem[-1])).integers(0, 255, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, "JPEG", quality=92, exif=exif, xmp=xmp)
    assert "overlap" in refused(work, folder, area)


def test_every_broken_file_is_named_with_its_hash(work: Workplace, area: Area, tmp_path: Path) -> None:
    """Cut off, too large, a VRT under another name: each has its own reason, and the good ones are taken."""
    folder = write(tmp_path / "p", 8)
    whole = (folder / "DJI_0003.JPG").read_bytes()
    (folder / "DJI_0003.JPG").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (30_000, 30_000)).save(folder / "HUGE.PNG")
    (folder / "map.tif").write_text("<VRTDataset rasterXSize='9' rasterYSize='9'><SRS>EPSG:4326</SRS></VRTDataset>")
    found = sorting.sort(work, folder, area)
    found.keep(tmp_path)
    record = json.loads((tmp_path / sorting.RECORD).read_text())
    assert len(record["used"]) == 7
    assert {line["name"]: line["sha256"] for line in record["refused"]} == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("DJI_0003.JPG", "HUGE.PNG", "map.tif")
    }
    assert all(both(line["reason"]) for line in record["refused"])
    assert {name for name, _ in found.left_out} == {"DJI_0003.JPG", "HUGE.PNG", "map.tif"}
    assert sorting.summary(tmp_path)["screening"] == {
        "used": 7,
        "set_aside": {},
        "refused": 3,
        "taken_back": [],
        "positions": {"file": 7},
    }


def test_a_person_takes_back_what_was_set_aside_and_that_is_recorded(work: Workplace, area: Area, tmp_path: Path) -> None:
    """By reason or by name; the record says which photo was used against which reason; a word that means nothing is refused."""
    folder = write(tmp_path / "p", 8)
    write(folder, 2, blur=6.0, first=8)
    for i, name in ((1, "DJI_0009.JPG"), (2, "DJI_0010.JPG")):
        (folder / name).rename(folder / f"SOFT_{i}.JPG")
    plain = sorting.sort(work, folder, area)
    assert [(s.photo.name, str(s.code)) for s in plain.screening.set_aside] == [("SOFT_1.JPG", "blur"), ("SOFT_2.JPG", "blur")]
    named = sorting.sort(work, folder, area, use=["soft_1"])
    assert [s.photo.name for s in named.screening.set_aside] == ["SOFT_2.JPG"]
    asked = sorting.sort(work, folder, area, use=["blur"])
    assert len(asked.accepted) == 10 and not asked.left_out
    assert any(n.code == "taken_back" for n in asked.notes)
    asked.keep(tmp_path)
    used = json.loads((tmp_path / sorting.RECORD).read_text())["used"]
    assert {line["name"]: line["taken_back"] for line in used if "taken_back" in line} == {
        "SOFT_1.JPG": "blur",
        "SOFT_2.JPG": "blur",
    }
    with pytest.raises(SurveyRefused, match=r"blurr.*no_position") as caught:
        ingest(work, folder, area.id, DAY, by="test", use=["blurr"])
    assert both(str(caught.value))


def test_the_flights_log_gives_places_to_a_camera_without_a_receiver(work: Workplace, area: Area, tmp_path: Path) -> None:
    """Matched by time; the photos say that the log told their place, and the remark says how many and how well."""
    folder = write(tmp_path / "p", lon=None)
    events = tuple(
        PhotoEvent(
            i,
            START + timedelta(seconds=3 * i + 0.3),
            LonLat(lon_deg=120.5 + 0.0002 * i, lat_deg=32.3005),
            Height(80.0, Datum.TAKEOFF),
            0.0,
            -90.0,
            0.0,
        )
        for i in range(6)
    )
    log = FlightLog("m", "0" * 64, START, START + timedelta(minutes=1), (), events, Outcome(Ending.COMPLETED))
    flight = records.FlightRecord("f1", log.started, log.ended, "completed", 6, json.loads(to_json(log)), area_id=area.id)
    with work.database.write() as session:
        repositories.flights.add(session, flight)
    found = sorting.sort(work, folder, area, flight_id="f1")
    assert [p.place for p in found.accepted] == [e.place for e in events]
    assert {p.position_source for p in found.accepted} == {PositionSource.FLIGHT_LOG}
    assert {p.takeoff_height_m for p in found.accepted} == {80.0}
    (note,) = found.notes
    assert "6/6" in note.zh and "6 of 6" in note.en


def test_a_vrt_that_calls_itself_a_tif_is_never_opened_as_one(work: Workplace, area: Area, tmp_path: Path) -> None:
    """A few hundred bytes of VRT could read any file of the server into an orthophoto."""
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(256)) * 300)
    path = tmp_path / "ortho.tif"
    path.write_text(
        '<VRTDataset rasterXSize="160" rasterYSize="160"><VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
        f'<SourceFilename relativeToVRT="0">{secret}</SourceFilename><ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset>'
        "<LineOffset>160</LineOffset></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(SurveyRefused, match="no GeoTIFF"):
        adopt(work, path, area.id, DAY, by="test", gsd_m=0.1)
    assert empty(work)


@pytest.mark.slow
@pytest.mark.skipif(not SHEFFIELD.is_dir(), reason="the shared data folder is not there")
def test_two_parts_with_a_hole_between_do_not_melt(tmp_path: Path) -> None:
    """Real photos of two places by two cameras, 200 m apart by GPS: the hole and the cameras are stated, what is registered stands where
    it was taken, and every photo that is not is named."""
    suburb = read_folder(SHEFFIELD).photos[:40]
    shore = read_folder(SHORE).photos
    east = max(p.place.lon_deg for p in suburb if p.place is not None) + 0.00204
    west_of_shore = min(p.place.lon_deg for p in shore if p.place is not None)
    south = min(p.place.lat_deg for p in suburb if p.place is not None)
    south_of_shore = min(p.place.lat_deg for p in shore if p.place is not None)
    moved = [
        replace(p, place=LonLat(lon_deg=p.place.lon_deg - west_of_shore + east, lat_deg=p.place.lat_deg - south_of_shore + south))
        for p in shore
        if p.place is not None
    ]
    both_places = [*suburb, *moved]
    screening = screen(both_places)
    said = {r.code: r for r in screening.remarks}
    assert {"hole", "several_cameras"} <= said.keys()
    assert said["hole"].number == pytest.approx(200, abs=10)
    assert screening.set_aside == ()
    frame = area_from_photos(both_places, "two").frame
    block = ColmapReconstructor().reconstruct(screening.accepted, frame, tmp_path / "work")
    told = {p.sha256: frame.xy(p.place) for p in both_places if p.place is not None}
    off = [float(np.hypot(v.pose.x_m - told[v.photo_sha256].x_m, v.pose.y_m - told[v.photo_sha256].y_m)) for v in block.views]
    assert len(block.views) >= 36
    assert float(np.median(off)) < 3.0 and max(off) < 15.0
    assert len(block.views) + len(block.stats.unregistered) == len(both_places)
    assert len(block.cameras) in (1, 2)
