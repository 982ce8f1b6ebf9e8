from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from shapely.geometry import MultiPoint

from geo.camera import Camera
from geo.errors import GeoError
from geo.frames import Pose
from simulator.errors import SimulatorError
from simulator.lens import Shot, render, true_pose, write_photos
from simulator.scene import Scene
from simulator.sun import Sun
from simulator.town import Town

CAMERA = Camera(640, 480, 440.0, 324.0, 236.0, k1=-0.03, k2=0.006, p1=0.0006, p2=-0.0004)
NOON = datetime(2026, 5, 1, 3, 50, tzinfo=UTC)
CLEAR, OVERCAST = Sun(150.0, 60.0), Sun(150.0, 60.0, strength=0.0)
DJI = "{http://www.dji.com/drone-dji/1.0/}"


@pytest.fixture(scope="module")
def scene(small_town: Town) -> Scene:
    return small_town.scene(30)


def shots(town: Town, count: int) -> list[Shot]:
    made = []
    for index in range(1, count + 1):
        place = town.frame.lonlat(town.origin.x_m + 9.0 * index - 20.0, town.origin.y_m - 6.0)
        made.append(Shot(index, NOON + timedelta(seconds=3 * index), place.lon_deg, place.lat_deg, 60.0, 90.0, 2.0, -1.0))
    return made


def test_a_line_of_sight_ends_where_the_pixel_lies(scene: Scene, small_town: Town) -> None:
    """What a pixel's ray hits projects back into that pixel, through the distortion."""
    pose = Pose.looking(small_town.origin.x_m, small_town.origin.y_m, 80.0, yaw_deg=33.0, pitch_deg=-82.0, roll_deg=2.0)
    pixels = np.random.default_rng(1).uniform((0, 0), (640, 480), (50, 2))
    ends = np.array([scene.seen(pose, ray @ pose.matrix) for ray in CAMERA.rays(pixels)])
    back, depth = CAMERA.project(ends, pose)
    assert np.abs(back - pixels).max() < 1e-3
    assert depth.min() > 40.0


def test_a_new_building_is_drawn_where_the_camera_says(small_town: Town) -> None:
    """With and without one building, the photo differs inside its projected outline and hardly anywhere else."""
    full = small_town.scene(30)
    target = max((t for t in full.things if t.planted and t.is_structure), key=lambda t: t.length_m * t.width_m)
    parts = (full.frame, full.origin, full.extent, full.relief)
    without = Scene(*parts, [t for t in full.things if t is not target], full.patches, full.seed, full.day)
    origin = np.array([full.origin.x_m, full.origin.y_m, 0.0])
    x, y = full.origin.x_m + target.x, full.origin.y_m + target.y
    pose = Pose.looking(x + 9.0, y - 7.0, 55.0, yaw_deg=-25.0, pitch_deg=-84.0)
    two = [render(s, CAMERA, pose, OVERCAST, grain=0.0).astype(int) for s in (full, without)]
    changed = np.abs(two[0] - two[1]).max(axis=2) > 12
    heights = (target.base_m - 0.3, target.base_m + target.height_m)
    corners = np.array([(x, y, z) for x, y in target.covered for z in heights]) + origin
    hull = MultiPoint(CAMERA.project(corners, pose)[0]).convex_hull

    def mask(margin_px: float) -> np.ndarray:
        ring = np.round((np.array(hull.buffer(margin_px).exterior.coords) - 0.5) * 16).astype(np.int32)
        return cv2.fillPoly(np.zeros(changed.shape, np.uint8), [ring], 1, shift=4) > 0

    assert mask(0).sum() > 1500
    assert changed[mask(-8)].mean() > 0.75
    assert changed[~mask(25)].mean() < 0.001


def test_neighbours_match_as_real_photos_do(scene: Scene, small_town: Town) -> None:
    """Features of one photo are found in the next by the hundred, and nearly all lie where the true geometry puts them."""
    x, y = small_town.origin.x_m, small_town.origin.y_m
    poses = [Pose.looking(x + dx, y, 66.0, yaw_deg=90.0 + dx, pitch_deg=-89.0) for dx in (0.0, 9.0)]
    sift = cv2.SIFT_create(4000)
    found = [
        sift.detectAndCompute(cv2.cvtColor(render(scene, CAMERA, p, CLEAR, seed=i), cv2.COLOR_RGB2GRAY), None)
        for i, p in enumerate(poses)
    ]
    pairs = cv2.BFMatcher().knnMatch(found[0][1], found[1][1], 2)
    good = [a for a, b in pairs if a.distance < 0.75 * b.distance]
    here = np.array([found[0][0][m.queryIdx].pt for m in good]) + 0.5
    there = np.array([found[1][0][m.trainIdx].pt for m in good]) + 0.5
    ends = np.array([scene.seen(poses[0], ray @ poses[0].matrix) for ray in CAMERA.rays(here.astype(np.float64))])
    off = np.linalg.norm(CAMERA.project(ends, poses[1])[0] - there, axis=1)
    assert len(good) > 300
    assert np.median(off) < 0.8
    assert (off < 2.0).mean() > 0.75
    assert np.abs(np.median(CAMERA.project(ends, poses[1])[0] - there, axis=0)).max() < 0.1


def test_the_sun_moves_the_shadows(scene: Scene, small_town: Town) -> None:
    """A morning and an afternoon photo from one pose differ in many places, as the shadows lie elsewhere."""
    pose = Pose.looking(small_town.origin.x_m, small_town.origin.y_m, 80.0, yaw_deg=0.0, pitch_deg=-90.0)
    morning, evening = (render(scene, CAMERA, pose, sun, grain=0.0).astype(int) for sun in (Sun(100.0, 35.0), Sun(255.0, 35.0)))
    assert (np.abs(morning - evening).max(axis=2) > 40).mean() > 0.1


def test_photos_carry_what_the_vehicle_knew(scene: Scene, small_town: Town, tmp_path: Path) -> None:
    """EXIF and XMP read back as written: camera, time, place within the receiver's error, height over take-off, gimbal."""
    flight = shots(small_town, 2)
    paths = write_photos(scene, CAMERA, flight, tmp_path, home=small_town.home, sun=CLEAR, seed=4)
    assert [p.name for p in paths] == ["DJI_0001.JPG", "DJI_0002.JPG"]
    with Image.open(paths[0]) as photo:
        assert photo.size == (640, 480)
        exif = photo.getexif()
        details, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        packet = photo.info["xmp"].decode()
    assert exif[0x010F] == "DJI"
    assert details[0x9003] == "2026:05:01 11:50:03"
    assert details[0x9011] == "+08:00"
    assert details[0xA405] == round(440.0 * 43.267 / 800.0)
    assert float(details[0x920A]) * 24.0 / 8.8 == pytest.approx(440.0 * 43.267 / 800.0, abs=0.01)
    lat, lon = (sum(float(v) / 60**k for k, v in enumerate(gps[tag])) for tag in (2, 4))
    assert (gps[1], gps[3]) == ("N", "E")
    across = 111_320 * math.cos(math.radians(lat))
    error = math.hypot((lon - flight[0].lon_deg) * across, (lat - flight[0].lat_deg) * 111_320)
    assert 0.0 < error < 6.0
    home = small_town.frame.xy(small_town.home)
    assert float(gps[6]) == pytest.approx(small_town.ground_m(home.x_m, home.y_m) + 60.0, abs=8.0)
    described = ET.fromstring(packet[packet.index("<x:xmpmeta") : packet.index("</x:xmpmeta>") + 12]).find(
        ".//*[@" + DJI + "RelativeAltitude]"
    )
    assert described is not None
    assert float(described.attrib[DJI + "RelativeAltitude"]) == pytest.approx(60.0, abs=1.5)
    assert float(described.attrib[DJI + "AbsoluteAltitude"]) == pytest.approx(float(gps[6]), abs=0.01)
    assert float(described.attrib[DJI + "GimbalPitchDegree"]) == -90.0
    assert float(described.attrib[DJI + "GimbalYawDegree"]) == 90.0
    assert float(described.attrib[DJI + "FlightPitchDegree"]) == 2.0
    numbers = [float(v) for v in described.attrib[DJI + "DewarpData"].split(";")[1].split(",")]
    assert numbers == pytest.approx([440.0, 440.0, 4.0, -4.0, -0.03, 0.006, 0.0006, -0.0004, 0.0])


def test_rtk_places_are_good_to_centimetres(scene: Scene, small_town: Town, tmp_path: Path) -> None:
    """With RTK the place in the file is within 6 cm of the truth, and the file says so."""
    flight = shots(small_town, 2)
    for path, shot in zip(
        write_photos(scene, CAMERA, flight, tmp_path, home=small_town.home, sun=CLEAR, rtk=True), flight, strict=True
    ):
        with Image.open(path) as photo:
            gps = photo.getexif().get_ifd(0x8825)
            assert b'RtkFlag="50"' in photo.info["xmp"]
        lat, lon = (sum(float(v) / 60**k for k, v in enumerate(gps[tag])) for tag in (2, 4))
        assert abs(lat - shot.lat_deg) * 111_320 < 0.06
        assert abs(lon - shot.lon_deg) * 94_000 < 0.06


def test_work_that_was_cut_short_goes_on(scene: Scene, small_town: Town, tmp_path: Path) -> None:
    """Photos that exist are kept as they are, the rest is made; no half photo ever bears a photo's name."""
    flight = shots(small_town, 3)

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_photos(scene, CAMERA, flight, tmp_path, home=small_town.home, sun=CLEAR, progress=stop)
    (tmp_path / "DJI_0001.JPG").write_bytes(b"kept")
    seen: list[tuple[int, int]] = []
    paths = write_photos(
        scene, CAMERA, flight, tmp_path, home=small_town.home, sun=CLEAR, progress=lambda d, n, _: seen.append((d, n))
    )
    assert (tmp_path / "DJI_0001.JPG").read_bytes() == b"kept"
    assert all(p.exists() for p in paths)
    assert not list(tmp_path.glob("*.part"))
    assert seen[-1] == (3, 3)


def test_the_same_seed_gives_the_same_photo(scene: Scene, small_town: Town, tmp_path: Path) -> None:
    """A flight is a function of its seed, however many threads write it."""
    flight = shots(small_town, 2)
    one = write_photos(scene, CAMERA, flight, tmp_path / "a", home=small_town.home, sun=CLEAR, seed=9)
    two = write_photos(scene, CAMERA, flight, tmp_path / "b", home=small_town.home, sun=CLEAR, seed=9, workers=2)
    other = write_photos(scene, CAMERA, flight, tmp_path / "c", home=small_town.home, sun=CLEAR, seed=10)
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert one[0].read_bytes() != other[0].read_bytes()


def test_the_true_pose_is_over_the_place_of_take_off(scene: Scene, small_town: Town) -> None:
    """A shot's height counts from the ground at home; the gimbal strays by less than two degrees."""
    shot = shots(small_town, 1)[0]
    pose = true_pose(scene, shot, small_town.home, seed=1)
    home = small_town.frame.xy(small_town.home)
    assert pose.z_m == pytest.approx(small_town.ground_m(home.x_m, home.y_m) + 60.0)
    assert pose.off_nadir_deg < 2.0


def test_what_cannot_be_photographed_is_refused(scene: Scene, small_town: Town, tmp_path: Path) -> None:
    """Two shots of one index, an eye under the ground, a time without zone and a folder that is a file raise with the reason."""
    shot = shots(small_town, 1)[0]
    with pytest.raises(SimulatorError, match="same index"):
        write_photos(scene, CAMERA, [shot, shot], tmp_path, home=small_town.home)
    with pytest.raises(SimulatorError, match="below the ground"):
        render(scene, CAMERA, Pose.looking(small_town.origin.x_m, small_town.origin.y_m, 1.0, yaw_deg=0, pitch_deg=-90), CLEAR)
    with pytest.raises(GeoError, match="time zone"):
        Shot(1, datetime(2026, 5, 1), 120.0, 32.0, 60.0, 0.0)  # noqa: DTZ001
    file = tmp_path / "taken"
    file.write_text("x")
    with pytest.raises(SimulatorError, match="cannot be written"):
        write_photos(scene, CAMERA, [shot], file, home=small_town.home, sun=CLEAR)
