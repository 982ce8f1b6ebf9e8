"""Lost links and vanished vehicles: nothing is lost without notice, nothing stale is believed."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flight.errors import LinkError
from flight.execute import fly
from flight.flightlog import Ending, FlightLog
from flight.link import VehicleState
from flight.links.dronekit import DronekitVehicle
from flight.links.mavlink import MavlinkVehicle
from flight.mission import Cmd, FenceArea, Item, ItemFrame, Mission
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import SystemClock
from simulator.autopilot.process import AutopilotProcess

HOME = LonLat(lon_deg=120.70, lat_deg=28.00)
_CAMERA_FEEDBACK = 180


def patrol() -> Mission:
    """One line of 600 m with a photo every 20 m, and home."""
    north = 1 / 110_808.0
    items = [
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, altitude_m=40.0),
        Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (20, 0, 1, 0)),
        Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), HOME.lon_deg, HOME.lat_deg + 600 * north, 40.0),
        Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION),
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    ]
    ring = tuple(
        LonLat(lon_deg=HOME.lon_deg + e / 98_363.0, lat_deg=HOME.lat_deg + n * north)
        for e, n in ((-90, -90), (90, -90), (90, 690), (-90, 690))
    )
    return Mission("one line", 1, HOME, tuple(items), (FenceArea(True, ring),))


class Radio:
    """A UDP relay between a link and a vehicle that loses what `loses` says."""

    def __init__(self, vehicle_port: int) -> None:
        self.loses: Callable[[bytes], bool] = lambda _: False
        self._near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._near.bind(("127.0.0.1", 0))
        self._far.connect(("127.0.0.1", vehicle_port))
        for side in (self._near, self._far):
            side.settimeout(0.1)
        self._link: tuple[str, int] | None = None
        self._open = True
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._up, self._down)]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        return f"udpout:127.0.0.1:{self._near.getsockname()[1]}"

    def _up(self) -> None:
        while self._open:
            try:
                data, self._link = self._near.recvfrom(65535)
                if not self.loses(data):
                    self._far.send(data)
            except OSError:
                continue

    def _down(self) -> None:
        while self._open:
            try:
                data = self._far.recv(65535)
                if self._link is not None and not self.loses(data):
                    self._near.sendto(data, self._link)
            except OSError:
                continue

    def close(self) -> None:
        self._open = False
        for thread in self._threads:
            thread.join()
        self._near.close()
        self._far.close()


@pytest.fixture
def vehicle() -> Iterator[AutopilotProcess]:
    with AutopilotProcess(HOME, speedup=25) as process:
        yield process


def message_number(packet: bytes) -> int:
    return int.from_bytes(packet[7:10], "little")


def fly_while(link: MavlinkVehicle, happens: Callable[[VehicleState], None], *, patience_s: float = 8.0) -> FlightLog:
    """Fly; `happens` is called once, when the vehicle is 150 m on its way."""
    done: list[bool] = []

    def watch(state: VehicleState) -> None:
        if not done and (state.place.lat_deg - HOME.lat_deg) * 110_808 > 150:
            done.append(True)
            happens(state)

    return fly(patrol(), link, SystemClock(), on_state=watch, timeout_s=120, link_patience_s=patience_s)


def test_a_vehicle_that_vanishes_leaves_a_log_of_what_was_seen(vehicle: AutopilotProcess) -> None:
    """A vehicle killed in flight ends the log as lost, with its track and photos up to there, and no false landing."""
    link = MavlinkVehicle(vehicle.url)
    log = fly_while(link, lambda _: vehicle.kill(), patience_s=1.0)
    assert log.outcome.ending is Ending.LINK_LOST
    assert "silent" in log.outcome.reason
    assert len(log.photos) >= 7
    assert len(log.track) > 10
    assert link.state().armed is None
    link.close()


def test_a_vehicle_switched_off_and_on_is_not_taken_for_a_landing(vehicle: AutopilotProcess) -> None:
    """A vehicle that comes back without its mission, on the ground, is a broken flight with its reason; it can then be given a new one."""
    link = MavlinkVehicle(vehicle.url)

    def again(_: VehicleState) -> None:
        vehicle.kill()
        time.sleep(3.5)
        vehicle.start()

    log = fly_while(link, again)
    assert log.outcome.ending is Ending.ABORTED
    assert "holds another mission" in log.outcome.reason
    with pytest.raises(LinkError, match=r"Upload the mission again"):
        link.start()
    link.upload(patrol())
    link.arm()
    link.start()
    assert link.state().mode == "AUTO"
    link.close()


def test_a_quick_restart_is_seen_too(vehicle: AutopilotProcess) -> None:
    """A vehicle that is back before its link counted as lost has still lost its mission: start is refused until it is given again."""
    link = MavlinkVehicle(vehicle.url)
    link.upload(patrol())
    time.sleep(1.0)  # let its clock run, so that a new one is told from it
    vehicle.kill()
    vehicle.start()
    until = time.monotonic() + 15
    while not any("off and on again" in n.text for n in link.notices()):
        assert time.monotonic() < until
        time.sleep(0.05)
    with pytest.raises(LinkError, match=r"Upload the mission again"):
        link.start()
    link.close()


def test_a_hole_in_the_radio_loses_no_photo(vehicle: AutopilotProcess) -> None:
    """A link that is gone for a while and comes back: the flight completes, and the photos taken meanwhile are fetched."""
    radio = Radio(vehicle.port)
    link = MavlinkVehicle(radio.url)
    fresh: list[bool] = []

    def hole(_: VehicleState) -> None:
        radio.loses = lambda _: True
        time.sleep(3.3)
        fresh.append(link.state().link_fresh)
        radio.loses = lambda _: False

    log = fly_while(link, hole)
    assert fresh == [False]
    assert log.outcome.ending is Ending.COMPLETED, log.outcome
    assert log.photo_gaps == ()
    assert [p.index for p in log.photos] == list(range(1, len(log.photos) + 1))
    assert len(log.photos) >= 30
    link.close()
    radio.close()


def test_photos_that_cannot_be_fetched_are_named(vehicle: AutopilotProcess) -> None:
    """Events lost on the way are asked for again; those that stay away are gaps by their index, never silence."""
    radio = Radio(vehicle.port)
    lost: list[int] = []

    def loses(packet: bytes) -> bool:
        if message_number(packet) == _CAMERA_FEEDBACK:
            lost.append(1)
            return len(lost) in (5, 6, 9)
        return message_number(packet) == 263  # CAMERA_IMAGE_CAPTURED: no second chance

    radio.loses = loses
    link = MavlinkVehicle(radio.url)
    log = fly(patrol(), link, SystemClock(), timeout_s=120)
    assert log.outcome.ending is Ending.COMPLETED
    assert log.photo_gaps == (5, 6, 9)
    radio.loses = lambda _: False
    assert link.photo_gaps() == ()
    by_index = {p.index: p for p in link.photos()}
    step = (by_index[9].place.lat_deg - by_index[8].place.lat_deg) * 110_808
    assert step == pytest.approx(20.0, abs=0.1)
    assert by_index[9].pitch_deg == pytest.approx(-90.0, abs=0.1)
    link.close()
    radio.close()


def test_a_noisy_radio_still_brings_the_mission_over(vehicle: AutopilotProcess) -> None:
    """With every eleventh packet lost both ways an upload still ends verified: each silence is asked again."""
    radio = Radio(vehicle.port)
    count: list[int] = []

    def loses(_: bytes) -> bool:
        count.append(1)
        return len(count) % 11 == 0

    radio.loses = loses
    link = MavlinkVehicle(radio.url)
    link.upload(patrol())
    radio.loses = lambda _: False
    assert link.download().sha256 == patrol().sha256
    link.close()
    radio.close()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_dronekit_finds_its_vehicle_again(protocol: str) -> None:
    """After a vehicle vanished DroneKit's last values are not believed; when it is back the link works again."""
    with AutopilotProcess(HOME, speedup=25, protocol=protocol) as process:
        link = DronekitVehicle(process.url)
        link.arm()
        link.take_off(Height(20.0, Datum.TAKEOFF))
        process.kill()
        time.sleep(5.0)
        assert link.state().armed is None
        assert not link.state().link_fresh
        process.start()
        until = time.monotonic() + 20
        while not link.state().link_fresh:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert link.state().armed is False
        assert math.isclose(link.state().height.metres, 0.0, abs_tol=0.2)
        link.arm()
        link.close()
