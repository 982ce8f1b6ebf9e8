"""What links are made of: addresses, the comparison after a read-back, and the book of photos."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flight.errors import LinkError
from flight.links.lists import difference
from flight.links.photobook import Photobook, angles
from flight.links.transport import check
from flight.mission import Cmd, Item, ItemFrame

WAYPOINT = Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), 120.7, 28.0, 60.0)


@pytest.mark.parametrize("url", ["", "tcp", "tcp:5760", "tcp:host:port", "http:host:80", "udp::", "tcp:host:"])
def test_an_address_that_cannot_be_read_says_how_to_write_one(url: str) -> None:
    """A broken address raises at once with the spellings that exist."""
    with pytest.raises(LinkError, match="tcp:HOST:PORT"):
        check(url)


def test_an_address_is_read() -> None:
    """Kind, place and number come out of an address."""
    assert check("udpout:127.0.0.1:14550") == ("udpout", "127.0.0.1", 14550)
    assert check("serial:/dev/ttyUSB0:57600") == ("serial", "/dev/ttyUSB0", 57600)


@pytest.mark.parametrize(
    ("came_back", "named"),
    [
        (replace(WAYPOINT, lon_deg=120.7000001), "longitude"),
        (replace(WAYPOINT, lat_deg=27.9999999), "latitude"),
        (replace(WAYPOINT, altitude_m=60.02), "altitude"),
        (replace(WAYPOINT, frame=ItemFrame.GLOBAL), "frame"),
        (replace(WAYPOINT, command=Cmd.LAND), "command"),
        (replace(WAYPOINT, params=(3, 0, 0, 0)), "parameter 1"),
    ],
)
def test_any_difference_that_would_be_flown_is_found(came_back: Item, named: str) -> None:
    """One step of 1e-7 degrees, two centimetres of height, another frame or hold: each is named with its item."""
    assert difference((WAYPOINT, WAYPOINT), (WAYPOINT, WAYPOINT)) is None
    said = difference((WAYPOINT, WAYPOINT), (WAYPOINT, came_back))
    assert said is not None
    assert "item 1" in said
    assert named in said


def test_what_an_autopilot_may_forget_is_no_difference() -> None:
    """A yaw or radius that ArduPilot does not keep for a waypoint, and an open value given back as 0, are no difference."""
    assert difference((replace(WAYPOINT, params=(0, 2, 0, math.nan)),), (WAYPOINT,)) is None
    assert difference((WAYPOINT,), ()) is not None


def feedback(index: int, **changed: Any) -> SimpleNamespace:
    values = dict.fromkeys(("roll", "pitch", "yaw", "lat", "lng"), 0) | {"alt_rel": 60.0, "alt_msl": 70.0, "time_usec": 0}
    return SimpleNamespace(img_idx=index, **(values | changed))


def book() -> Photobook:
    return Photobook(lambda _: datetime(2026, 5, 1, tzinfo=UTC))


def test_what_was_counted_but_not_heard_is_missing() -> None:
    """Gaps between, after and, once the count is known, before photos are named; photos of before the link are not."""
    b = book()
    b.hear("CAMERA_CAPTURE_STATUS", SimpleNamespace(image_count=10))
    for index in (11, 12, 15):
        b.hear("CAMERA_FEEDBACK", feedback(index))
    assert b.missing() == (13, 14)
    b.hear("CAMERA_CAPTURE_STATUS", SimpleNamespace(image_count=17))
    assert b.missing() == (13, 14, 16, 17)
    b.hear("CAMERA_FEEDBACK", feedback(12))  # said twice, kept once
    assert [p.index for p in b.photos()] == [11, 12, 15]


def test_the_count_goes_on_after_65535() -> None:
    """CAMERA_FEEDBACK counts in 16 bits: the book goes on counting."""
    b = book()
    for index in (65534, 65535, 0, 1):
        b.hear("CAMERA_FEEDBACK", feedback(index))
    assert [p.index for p in b.photos()] == [65534, 65535, 65536, 65537]
    assert b.missing() == ()


def test_a_restarted_vehicle_counts_anew_and_loses_nothing() -> None:
    """After a restart photo 1 is another photo 1."""
    b = book()
    b.hear("CAMERA_FEEDBACK", feedback(1))
    b.hear("CAMERA_FEEDBACK", feedback(2))
    b.restart()
    b.hear("CAMERA_FEEDBACK", feedback(1))
    assert [p.index for p in b.photos()] == [1, 2, 1]


def test_the_airframes_lean_is_not_taken_for_the_cameras() -> None:
    """ArduPilot fills in the airframe's angles: where a gimbal tells its own pitch, that is the camera's."""
    b = book()
    b.hear("ATTITUDE", SimpleNamespace(roll=0.02, pitch=-0.1))
    b.hear("MOUNT_STATUS", SimpleNamespace(pointing_a=-9000))
    b.hear("CAMERA_FEEDBACK", feedback(1, roll=1.1, pitch=-5.7, yaw=-90.0))
    photo = b.photos()[0]
    assert (photo.roll_deg, photo.pitch_deg, photo.yaw_deg) == (0.0, -90.0, 270.0)


@pytest.mark.parametrize(("pitch", "yaw"), [(-90.0, 30.0), (-90.0, 200.0), (-45.0, 300.0), (0.0, 10.0), (-89.0, 90.0)])
def test_a_quaternion_gives_back_its_angles(pitch: float, yaw: float) -> None:
    """Pitch and yaw of a level camera come back from its quaternion, straight down as well."""
    p, y = math.radians(pitch) / 2, math.radians(yaw) / 2
    q = (math.cos(p) * math.cos(y), -math.sin(p) * math.sin(y), math.sin(p) * math.cos(y), math.cos(p) * math.sin(y))
    roll, got_pitch, got_yaw = angles(q)
    assert roll == pytest.approx(0.0, abs=1e-6)
    assert got_pitch == pytest.approx(pitch, abs=1e-5)
    assert got_yaw % 360.0 == pytest.approx(yaw, abs=1e-6)
