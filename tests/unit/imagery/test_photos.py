"""What photos say of themselves, and what happens to those that are broken."""

from __future__ import annotations

import hashlib
import resource
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from imagery.errors import PhotoError
from imagery.lenses import FocalSource, camera_prior
from imagery.photos import read_folder, read_photo, read_pixels
from imagery.tags import Receiver

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "raw_surveys"

OLD_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description drone-dji:AbsoluteAltitude="+198.31"
 drone-dji:RelativeAltitude="+39.80" drone-dji:GimbalRollDegree="+0.00" drone-dji:GimbalYawDegree="+45.00"
 drone-dji:GimbalPitchDegree="-89.90" drone-dji:GpsLatitude="31.5" drone-dji:GpsLongtitude="120.25"/></x:xmpmeta>"""
NEW_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description>
<drone-dji:AbsoluteAltitude>+112.50</drone-dji:AbsoluteAltitude><drone-dji:RelativeAltitude>+80.00</drone-dji:RelativeAltitude>
<drone-dji:GimbalYawDegree>-170.2</drone-dji:GimbalYawDegree><drone-dji:GimbalPitchDegree>-90.0</drone-dji:GimbalPitchDegree>
<drone-dji:GpsLatitude>+31.5</drone-dji:GpsLatitude><drone-dji:GpsLongitude>+120.25</drone-dji:GpsLongitude>
<drone-dji:RtkFlag>50</drone-dji:RtkFlag><drone-dji:RtkStdLon>0.012</drone-dji:RtkStdLon><drone-dji:RtkStdLat>0.009</drone-dji:RtkStdLat>
</rdf:Description></x:xmpmeta>"""


def write(path: Path, *, xmp: str = "", gps: dict[int, object] | None = None, tags: dict[int, object] | None = None) -> Path:
    pixels = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags or {})
    if gps:
        exif.get_ifd(0x8825).update(gps)
    Image.fromarray(pixels).save(path, "JPEG", exif=exif, xmp=xmp.encode() if xmp else b"")
    return path


def gps(lat: tuple[float, float, float], lon: tuple[float, float, float], **extra: object) -> dict[int, object]:
    made: dict[int, object] = {1: "N", 2: lat, 3: "W", 4: lon}
    return made | {{"ref": 5, "height": 6}[k]: v for k, v in extra.items()}


@pytest.mark.parametrize("xmp", [OLD_XMP, NEW_XMP], ids=["attributes", "elements"])
def test_both_spellings_of_dji_names_are_read(tmp_path: Path, xmp: str) -> None:
    """Old firmware writes attributes and misspells longitude, new firmware writes elements; both give place, height and gaze."""
    photo = read_photo(write(tmp_path / "a.jpg", xmp=xmp))
    assert photo.place is not None
    assert (photo.place.lat_deg, photo.place.lon_deg) == (31.5, 120.25)
    assert photo.takeoff_height_m in (39.8, 80.0)
    assert photo.pitch_deg in (-89.9, -90.0)
    assert photo.height_trusted
    assert photo.rtk_fixed == (xmp is NEW_XMP)
    assert (photo.position_sigma_m < 0.1) == photo.rtk_fixed


def test_a_height_below_the_sea_is_kept_but_not_trusted(tmp_path: Path) -> None:
    """A consumer drone that marks its height as below sea level is not believed, and the number is not lost."""
    photo = read_photo(write(tmp_path / "a.jpg", gps=gps((28.0, 2.0, 28.5), (82.0, 41.0, 54.5), ref=b"\x01", height=5.677)))
    assert photo.place is not None
    assert photo.place.lon_deg == pytest.approx(-(82 + 41 / 60 + 54.5 / 3600))
    assert photo.ellipsoid_height_m == pytest.approx(-5.677)
    assert not photo.height_trusted


@pytest.mark.parametrize("position", [{}, gps((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), gps((95.0, 0.0, 0.0), (1.0, 0.0, 0.0))])
def test_a_receiver_without_a_fix_gives_no_place(tmp_path: Path, position: dict[int, object]) -> None:
    """No GPS, zeros and a latitude beyond the pole all mean that the place is unknown, never the Gulf of Guinea."""
    assert read_photo(write(tmp_path / "a.jpg", gps=position)).place is None


def test_the_hash_is_that_of_the_original_file(tmp_path: Path) -> None:
    """Evidence rests on the bytes of the card, so the hash is of the file and not of its pixels."""
    path = write(tmp_path / "a.jpg")
    assert read_photo(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_time_is_utc_and_knows_the_place(tmp_path: Path) -> None:
    """A camera clock without a zone is read in the time kept at the place: Beijing time in China."""
    path = write(tmp_path / "a.jpg", xmp=OLD_XMP, tags={0x9003: "2026:03:01 09:30:00"})
    assert read_photo(path).taken_at == datetime(2026, 3, 1, 1, 30, tzinfo=UTC)
    path = write(tmp_path / "b.jpg", xmp=OLD_XMP, tags={0x9003: "2026:03:01 09:30:00", 0x9011: "+02:00"})
    assert read_photo(path).taken_at == datetime(2026, 3, 1, 7, 30, tzinfo=UTC)


OLD_AUTEL = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description rdf:about="Autel Robotics Meta Data" Camera:Pitch="4.0"
 Camera:Yaw="-31.4" Camera:Roll="0.1" Camera:GPSXYAccuracy="1.5" Camera:GPSZAccuracy="2.5"/></x:xmpmeta>"""
NEW_AUTEL = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description rdf:about="DJI Meta Data" drone:AbsoluteAltitude="+61.2"
 drone:RelativeAltitude="+50.1" drone:GpsLatitude="31.5" drone:GpsLongtitude="120.25" drone:GimbalPitchDegree="-86.00"
 drone:GimbalYawDegree="-31.4" drone:GimbalRollDegree="0.1"/></x:xmpmeta>"""
SEQUOIA = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description Camera:Pitch="4" Camera:Yaw="-314/10" Camera:Roll="0.1"
 Camera:AboveGroundAltitude="50.1"/></x:xmpmeta>"""
ANAFI = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description><drone-parrot:CameraPitchDegree>-86.0</drone-parrot:CameraPitchDegree>
<drone-parrot:CameraYawDegree>-31.4</drone-parrot:CameraYawDegree><drone-parrot:CameraRollDegree>0.1</drone-parrot:CameraRollDegree>
</rdf:Description></x:xmpmeta>"""


@pytest.mark.parametrize("xmp", [OLD_AUTEL, NEW_AUTEL, SEQUOIA, ANAFI], ids=["old Autel", "new Autel", "Sequoia", "Anafi"])
def test_other_makers_gaze_is_read_in_one_language(tmp_path: Path, xmp: str) -> None:
    """Pitch counted from straight down or from ahead, attributes or elements, decimals or fractions: the camera looked the same way."""
    photo = read_photo(write(tmp_path / "a.jpg", xmp=xmp, gps=gps((31.0, 30.0, 0.0), (120.0, 15.0, 0.0))))
    assert photo.pitch_deg == pytest.approx(-86.0)
    assert photo.yaw_deg == pytest.approx(-31.4)
    assert photo.roll_deg == pytest.approx(0.1)
    assert photo.takeoff_height_m in (None, 50.1)
    assert photo.place is not None


def test_the_receivers_word_on_itself_is_kept(tmp_path: Path) -> None:
    """A Matrice with RTK says state, age of corrections, kind of height, shutter and the exposure's own microsecond, and its sigma of
    height stands beside that of place."""
    names = {
        "GpsStatus": "RTK",
        "AltitudeType": "RtkAlt",
        "GpsLatitude": "+31.5",
        "GpsLongitude": "+120.25",
        "AbsoluteAltitude": "+112.50",
        "RtkFlag": "50",
        "RtkStdLon": "0.00266",
        "RtkStdLat": "0.00269",
        "RtkStdHgt": "0.04722",
        "RtkDiffAge": "1.8",
        "SurveyingMode": "1",
        "ShutterType": "Mechanical",
        "ImageSource": "WideCamera",
        "UTCAtExposure": "2025:05:20 02:12:54.019996",
    }
    xmp = "<rdf:Description " + " ".join(f'drone-dji:{k}="{v}"' for k, v in names.items()) + "/>"
    photo = read_photo(write(tmp_path / "a.jpg", xmp=xmp, tags={0x9003: "2025:05:20 10:12:34"}))
    assert photo.taken_at == datetime(2025, 5, 20, 2, 12, 54, 19996, tzinfo=UTC)
    assert photo.receiver == Receiver(50, 1.8, "RTK", "RtkAlt", True)
    assert (photo.position_sigma_m, photo.height_sigma_m) == (0.02, 0.04722)
    assert (photo.shutter, photo.infrared, photo.rtk_fixed) == ("Mechanical", False, True)


def test_a_receiver_that_says_invalid_gives_no_place(tmp_path: Path) -> None:
    """The last place it had before it lost the satellites is not where the photo was taken."""
    xmp = '<rdf:Description drone-dji:GpsStatus="Invalid" drone-dji:GpsLatitude="31.5" drone-dji:GpsLongitude="120.2"/>'
    assert read_photo(write(tmp_path / "a.jpg", xmp=xmp)).place is None


def test_a_plain_camera_gives_what_it_has(tmp_path: Path) -> None:
    """A Sony without receiver and without XMP has a time with its hundredths and a lens by its focal plane, and no place."""
    tags: dict[int, object] = {
        0x9003: "2026:03:01 09:30:00",
        0x9291: "25",
        0x920A: 35.0,
        0xA20E: 1675.257385,
        0xA210: 3,
        0xA002: 6000,
    }
    photo = read_photo(write(tmp_path / "DSC01234.jpg", tags=tags))
    assert photo.taken_at == datetime(2026, 3, 1, 1, 30, 0, 250_000, tzinfo=UTC)
    assert photo.place is photo.pitch_deg is photo.takeoff_height_m is None
    assert photo.focal_source is FocalSource.FOCAL_PLANE
    assert photo.camera.focal_px == pytest.approx(35.0 * 1675.257385 / 10 * 80 / 6000)


def test_what_is_no_photo_is_refused_for_what_it_is(tmp_path: Path) -> None:
    """Heights in a float TIFF, a VRT called .tif and a picture of 900 megapixels: each in both languages, the last without decoding it."""
    Image.fromarray(np.zeros((60, 80), np.float32)).save(tmp_path / "dsm.tif")
    (tmp_path / "vrt.tif").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"><SRS>EPSG:4326</SRS></VRTDataset>')
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    write(tmp_path / "good.jpg", xmp=OLD_XMP)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading = read_folder(tmp_path)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    said = {r.path.name: r.reason for r in reading.refused}
    assert [p.name for p in reading.photos] == ["good.jpg"]
    assert "heights" in said["dsm.tif"] and "whatever its name says" in said["vrt.tif"] and "179 megapixels" in said["huge.png"]
    assert all(any("一" <= c <= "鿿" for c in reason) for reason in said.values())
    assert {r.sha256 for r in reading.refused} == {
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("dsm.tif", "vrt.tif", "huge.png")
    }
    assert grown_mb < 100


def test_smear_tells_blur_from_a_dull_scene(tmp_path: Path) -> None:
    """Random patches have little smear at any contrast, the same blurred by six pixels much, and burnt and black shares are counted."""
    scene = np.kron(np.random.default_rng(3).integers(20, 235, (150, 200)), np.ones((5, 5))).astype(np.uint8)
    dull = (90 + scene // 12).astype(np.uint8)
    looks = {}
    for name, pixels in (("dull", dull), ("blurred", cv2.GaussianBlur(scene, (0, 0), 6)), ("night", scene // 50)):
        Image.fromarray(pixels).convert("RGB").save(tmp_path / f"{name}.jpg", quality=95)
        looks[name] = read_photo(tmp_path / f"{name}.jpg").look
    assert looks["dull"].smear < 0.35
    assert looks["blurred"].smear > 0.45
    assert looks["night"].black > 0.95
    assert looks["dull"].black == looks["dull"].burnt == 0


def test_one_broken_photo_does_not_stop_the_others(tmp_path: Path) -> None:
    """Cut-off, empty and text files are refused each with its own reason; the good ones are read."""
    for name in "abc":
        write(tmp_path / f"{name}.jpg", xmp=OLD_XMP)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "notes.txt").write_text("not even called one")
    reading = read_folder(tmp_path)
    assert [p.name for p in reading.photos] == ["a.jpg", "b.jpg", "c.jpg"]
    assert {r.path.name for r in reading.refused} == {"cut.jpg", "empty.jpg", "text.jpg"}
    said = {r.path.name: r.reason for r in reading.refused}
    assert "cut off" in said["cut.jpg"] and "empty" in said["empty.jpg"] and "whatever its name says" in said["text.jpg"]
    assert not any(name in reason for name, reason in said.items())  # whoever says it says the name before it


def test_a_folder_without_photos_says_so(tmp_path: Path) -> None:
    """An empty folder and a missing one are errors that name the folder."""
    with pytest.raises(PhotoError, match="holds no photos"):
        read_folder(tmp_path)
    with pytest.raises(PhotoError, match="not a folder"):
        read_folder(tmp_path / "nowhere")


def test_pixels_come_as_the_sensor_saw_them(tmp_path: Path) -> None:
    """An orientation tag does not turn the picture: poses speak of the sensor's rows."""
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60), (200, 30, 10)).save(path, "JPEG", exif=exif)
    assert read_pixels(path).shape == (60, 80, 3)
    assert read_pixels(path, reduce=2).shape == (30, 40, 3)
    red, _, blue = read_pixels(path, reduce=2)[10, 10]
    assert red > 150 > blue


def test_the_calibration_of_the_lens_wins() -> None:
    """A lens with a calibration is believed before its sensor, and scales with a resized picture."""
    xmp = {
        "CalibratedFocalLength": "3666.67",
        "CalibratedOpticalCenterX": "2736.0",
        "CalibratedOpticalCenterY": "1824.0",
        "DewarpData": "2018-09-07;3657.02,3657.02,-4.0,23.1,-0.26,0.11,0.0009,0.00009,0.0",
    }
    camera, source = camera_prior(1368, 912, {"Model": "FC6310R", "FocalLength": 8.8}, xmp)
    assert source is FocalSource.CALIBRATED
    assert camera.focal_px == pytest.approx(3657.02 / 4, rel=1e-4)
    assert camera.cx_px == pytest.approx(684 - 1.0, abs=0.05)
    assert camera.k1 == pytest.approx(-0.26, abs=1e-4)


def test_a_lens_off_the_middle_is_no_resized_picture() -> None:
    """Cameras that tell their true optical centre, a few pixels off the middle, keep their focal length as it is."""
    xmp = {"CalibratedFocalLength": "1109.39", "CalibratedOpticalCenterX": "803.5", "CalibratedOpticalCenterY": "596.0"}
    camera, _ = camera_prior(1600, 1200, {}, xmp)
    assert (camera.focal_px, camera.cx_px, camera.cy_px) == pytest.approx((1109.39, 803.5, 596.0))
    dewarped = xmp | {"DewarpData": "2026-04-01;1109.39,1109.39,3.5,-4.0,-0.021,0.009,0.0004,-0.0003,0.0"}
    camera, _ = camera_prior(1600, 1200, {}, dewarped)
    assert (camera.focal_px, camera.cx_px) == pytest.approx((1109.39, 803.5), abs=0.01)


@pytest.mark.parametrize(
    ("tags", "source", "focal"),
    [
        ({"Model": "FC300S\x00\x00", "FocalLength": 3.61, "FocalLengthIn35mmFilm": 20}, FocalSource.SENSOR, 2285.9),
        ({"Model": "X", "FocalLengthIn35mmFilm": 20}, FocalSource.EQUIVALENT, 2311.2),
        (
            {"FocalLength": 30.0, "FocalPlaneXResolution": 4000 / 22.2 * 25.4, "FocalPlaneResolutionUnit": 2},
            FocalSource.FOCAL_PLANE,
            5405.4,
        ),
        ({}, FocalSource.GUESS, 2880.0),
        ({"FocalLength": 0.0, "FocalLengthIn35mmFilm": 0}, FocalSource.GUESS, 2880.0),
    ],
)
def test_a_focal_length_says_where_it_comes_from(tags: dict[str, object], source: FocalSource, focal: float) -> None:
    """Each source gives its focal length in pixels, and a guess is called one."""
    camera, found = camera_prior(4000, 3000, tags, {})
    assert found is source
    assert camera.focal_px == pytest.approx(focal, rel=1e-3)


@pytest.mark.skipif(not (DATA / "brighton_beach").is_dir(), reason="the shared data folder is not there")
def test_real_photos_are_read_whole() -> None:
    """Eighteen real photos give place, height above take-off, gaze and a camera that is no guess."""
    reading = read_folder(DATA / "brighton_beach" / "images")
    assert len(reading.photos) == 18
    assert not reading.refused
    for photo in reading.photos:
        assert photo.place is not None
        assert photo.takeoff_height_m == pytest.approx(40, abs=1)
        assert photo.pitch_deg == pytest.approx(-90, abs=1)
        assert photo.focal_source is FocalSource.SENSOR
