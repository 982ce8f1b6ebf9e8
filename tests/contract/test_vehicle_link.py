"""The contract of VehicleLink, kept by both adapters against the simulated autopilot in its own process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from flight.errors import LinkError
from flight.execute import fly
from flight.flightlog import Ending, from_json, to_json
from flight.link import VehicleLink
from flight.links.dronekit import DronekitVehicle
from flight.links.lists import Patience
from flight.links.mavlink import MavlinkVehicle
from flight.mission import Cmd, FenceArea, Item, ItemFrame, Mission, RallyPoint
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import SystemClock
from simulator.autopilot.process import AutopilotProcess

HOME = LonLat(lon_deg=120.70, lat_deg=28.00)
EAST_M, NORTH_M = 98_363.0, 110_808.0  # metres in a degree there


def at(east_m: float, north_m: float) -> LonLat:
    return LonLat(lon_deg=HOME.lon_deg + east_m / EAST_M, lat_deg=HOME.lat_deg + north_m / NORTH_M)


def metres(place: LonLat) -> tuple[float, float]:
    return (place.lon_deg - HOME.lon_deg) * EAST_M, (place.lat_deg - HOME.lat_deg) * NORTH_M


def go(east_m: float, north_m: float, height_m: float = 40.0) -> Item:
    place = at(east_m, north_m)
    return Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), place.lon_deg, place.lat_deg, height_m)


def act(command: int, *params: float) -> Item:
    p = (*params, 0.0, 0.0, 0.0, 0.0)
    return Item(command, ItemFrame.MISSION, (p[0], p[1], p[2], p[3]))


def patrol(name: str = "two lines") -> Mission:
    """Two lines of 200 m, 40 m apart, a photo every 20 m, and home again."""
    items = [Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, altitude_m=40.0), act(Cmd.DO_CHANGE_SPEED, 1, 8)]
    for east, south, north in ((30.0, 30.0, 230.0), (70.0, 230.0, 30.0)):
        items += [go(east, south), act(Cmd.DO_SET_CAM_TRIGG_DIST, 20, 0, 1), go(east, north), act(Cmd.DO_SET_CAM_TRIGG_DIST)]
    items.append(act(Cmd.RETURN_TO_LAUNCH))
    fence = (
        FenceArea(True, (at(-100, -100), at(300, -100), at(300, 400), at(-100, 400))),
        FenceArea(False, (), at(200, 200), 40.0),
    )
    return Mission(name, 1, HOME, tuple(items), fence, (RallyPoint(at(5, -5), 30.0),))


def make_mavlink(url: str, **options: Any) -> VehicleLink:
    return MavlinkVehicle(url, **options)


class Together(DronekitVehicle):
    """DroneKit with the missions handed to a MAVLink link that is closed with it."""

    def __init__(self, url: str, **options: Any) -> None:
        self.handed = MavlinkVehicle(url, timeout_s=options.get("timeout_s", 30.0))
        super().__init__(url, missions=self.handed, **options)

    def close(self) -> None:
        super().close()
        self.handed.close()


Maker = Callable[..., VehicleLink]


@pytest.fixture(params=[make_mavlink, Together], ids=["mavlink", "dronekit"])
def make(request: pytest.FixtureRequest) -> Maker:
    maker: Maker = request.param
    return maker


@pytest.fixture
def autopilot(make: Maker) -> Iterator[AutopilotProcess]:
    protocol = "udp" if make is make_mavlink else "tcp"  # the faults' tests take the other way round
    with AutopilotProcess(HOME, altitude_m=12.5, speedup=40, protocol=protocol) as process:
        yield process


@pytest.fixture
def link(make: Maker, autopilot: AutopilotProcess) -> Iterator[VehicleLink]:
    made = make(autopilot.url)
    yield made
    made.close()


@pytest.fixture
def mavlink_link() -> Iterator[MavlinkVehicle]:
    with AutopilotProcess(HOME, speedup=40) as process:
        made = MavlinkVehicle(process.url)
        yield made
        made.close()


def wait_for(true: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_a_new_link_tells_where_the_vehicle_stands(link: VehicleLink) -> None:
    """A vehicle that was just switched on is fresh, on its home, on the ground and not armed."""
    state = link.state()
    assert state.link_fresh
    assert state.armed is False
    assert math.dist(metres(state.place), (0, 0)) < 0.1
    assert state.height.datum is Datum.TAKEOFF
    assert abs(state.height.metres) < 0.1
    assert state.battery == 1.0


def test_nobody_there_is_an_error_that_says_so(make: Maker) -> None:
    """An address where nobody answers raises within the time given, and the error names the address."""
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"tcp:127\.0\.0\.1:9"):
        make("tcp:127.0.0.1:9", timeout_s=1.0)
    assert time.monotonic() - began < 5.0


def test_what_was_uploaded_comes_back(link: VehicleLink) -> None:
    """Upload undone by download: items, fence and rally points come back exactly, to the last 1e-7 degree."""
    mission = patrol()
    link.upload(mission)
    held = link.download()
    assert held.sha256 == mission.sha256
    assert held.fence == mission.fence
    assert held.items == mission.items
    assert held.home == HOME


def test_a_mission_too_large_changes_nothing(link: VehicleLink) -> None:
    """A mission over the limit is refused before the one on the vehicle is touched."""
    small = patrol()
    link.upload(small)
    large = replace(small, items=small.items * 60)
    with pytest.raises(LinkError, match=r"holds 650"):
        link.upload(large)
    crowded = replace(small, fence=small.fence * 16)
    with pytest.raises(LinkError, match=r"fence"):
        link.upload(crowded)
    assert link.download().sha256 == small.sha256


def test_start_needs_a_verified_mission(link: VehicleLink) -> None:
    """Nothing starts that was not uploaded and read back over this link."""
    with pytest.raises(LinkError, match=r"upload"):
        link.start()


def test_a_flight_is_followed_to_the_ground(link: VehicleLink) -> None:
    """A mission is flown to its end: the log has its track, and a photo every 20 m on the lines, none lost."""
    mission = patrol()
    seen: list[int] = []
    states = []
    log = fly(mission, link, SystemClock(), on_photo=lambda p: seen.append(p.index), on_state=states.append, timeout_s=120)
    assert log.outcome.ending is Ending.COMPLETED, log.outcome
    assert log.mission_sha256 == mission.sha256
    assert log.photo_gaps == ()
    assert seen == [p.index for p in log.photos]
    assert max(s.height.metres for s in states) == pytest.approx(40.0, abs=0.3)
    assert log.started < log.photos[0].at < log.photos[-1].at < log.ended
    for east, count in ((30.0, 11), (70.0, 11)):
        line = [p for p in log.photos if abs(metres(p.place)[0] - east) < 2.0 and 25 < metres(p.place)[1] < 235]
        assert count - 1 <= len(line) <= count + 1
        steps = [math.dist(metres(a.place), metres(b.place)) for a, b in pairwise(line)]
        assert all(abs(step - 20.0) < 0.05 for step in steps), steps
    assert all(p.pitch_deg == -90.0 and abs(p.height.metres - 40.0) < 0.5 for p in log.photos)
    assert link.state().armed is False
    assert from_json(to_json(log)) == log


def test_pause_holds_and_resume_goes_on(link: VehicleLink) -> None:
    """A paused vehicle stands still in the air; resumed it goes on; sent home it lands."""
    link.upload(patrol())
    link.arm()
    link.start()
    wait_for(lambda: link.state().mission_index >= 2)
    link.pause()
    wait_for(lambda: link.state().speed_m_s < 0.05)
    held = link.state()
    assert held.armed
    time.sleep(0.5)
    assert math.dist(metres(held.place), metres(link.state().place)) < 0.5
    link.resume()
    wait_for(lambda: link.state().speed_m_s > 3.0)
    link.return_home()
    wait_for(lambda: link.state().armed is False)
    assert math.dist(metres(link.state().place), (0, 0)) < 10.0


def test_guided_flight_goes_where_it_is_sent(link: VehicleLink) -> None:
    """Out of a mission the vehicle can be sent to a place, and is then there."""
    link.upload(patrol())
    link.arm()
    link.start()
    wait_for(lambda: link.state().height.metres > 30)
    link.go_to(at(60, 90), Height(35.0, Datum.TAKEOFF))
    wait_for(lambda: math.dist(metres(link.state().place), (60, 90)) < 0.5)
    assert link.state().mode == "GUIDED"
    link.return_home()


def test_arming_waits_for_readiness(make: Maker) -> None:
    """A vehicle without a position is not armed at once: the reason is told, and it is armed when it is ready."""
    with AutopilotProcess(HOME, speedup=10, more=("--boot-s", "25")) as process:
        link = make(process.url)
        link.arm()
        assert link.state().armed
        said = " ".join(n.text for n in link.notices())
        assert "trying again" in said
        link.close()


def test_arming_gives_up_with_the_reason(make: Maker) -> None:
    """A vehicle that never becomes ready raises after the patience, with the vehicle's own sentence."""
    with AutopilotProcess(HOME, speedup=1, more=("--boot-s", "1000")) as process:
        link = make(process.url, arm_patience_s=0.5)
        with pytest.raises(LinkError, match=r"requires position|waiting for home"):
            link.arm()
        link.close()


def test_a_vanished_vehicle_is_never_called_armed(make: Maker, autopilot: AutopilotProcess) -> None:
    """Five seconds after a vehicle vanishes its link says so, does not claim to know whether it is armed, and takes no orders."""
    link = make(autopilot.url)
    link.upload(patrol())
    link.arm()
    link.start()
    wait_for(lambda: link.state().height.metres > 10)
    autopilot.kill()
    time.sleep(5.0)
    state = link.state()
    assert not state.link_fresh
    assert state.armed is None
    with pytest.raises(LinkError, match=r"lost"):
        link.return_home()
    link.close()


def test_dronekit_alone_refuses_missions() -> None:
    """DroneKit without another link refuses missions with the reason instead of sending them a metre off."""
    with AutopilotProcess(HOME, speedup=10) as process:
        link = DronekitVehicle(process.url)
        assert not link.capability().missions
        with pytest.raises(LinkError, match=r"float32"):
            link.upload(patrol())
        with pytest.raises(LinkError, match=r"float32"):
            link.download()
        link.close()


def test_a_full_vehicle_is_asked_again_then_named() -> None:
    """NO_SPACE just after switching on is tried again; NO_SPACE that stays is an error, and the old mission stands."""
    with AutopilotProcess(HOME, speedup=0.5, more=("--boot-s", "0.1", "--max-items", "20")) as process:
        link = MavlinkVehicle(process.url, storage=Patience(4.0))
        link.upload(patrol())  # storage is ready two real seconds after switching on
        assert any("no space" in n.text for n in link.notices())
        long = replace(patrol(), items=patrol().items * 3)
        with pytest.raises(LinkError, match=r"no space for \d+ mission items"):
            link.upload(long)
        assert link.download().items == patrol().items
        link.close()


def test_a_refused_item_is_named_and_the_old_mission_stands(mavlink_link: MavlinkVehicle) -> None:
    """An item the vehicle cannot fly is named with its number and command; what it held before is still there."""
    mavlink_link.upload(patrol())
    strange = replace(patrol(), items=(*patrol().items[:3], act(34, 1), *patrol().items[3:]))
    with pytest.raises(LinkError, match=r"item 4 \(command 34\).*not supported"):
        mavlink_link.upload(strange)
    assert mavlink_link.download().items == patrol().items


def test_a_mission_above_the_fence_ceiling_is_refused(mavlink_link: MavlinkVehicle) -> None:
    """A mission that its own fence would break off is refused before it is sent."""
    mission = patrol()
    high = replace(mission, items=(*mission.items[:3], go(50, 50, 150.0), *mission.items[3:]))
    with pytest.raises(LinkError, match=r"FENCE_ALT_MAX"):
        mavlink_link.upload(high)


def test_a_mission_in_flight_is_not_replaced(mavlink_link: MavlinkVehicle) -> None:
    """While a vehicle flies its mission no other one is uploaded."""
    mavlink_link.upload(patrol())
    mavlink_link.arm()
    mavlink_link.start()
    wait_for(lambda: mavlink_link.state().height.metres > 5)
    with pytest.raises(LinkError, match=r"is flying"):
        mavlink_link.upload(patrol("another"))


def test_a_breached_fence_brings_it_home_and_the_log_says_why(mavlink_link: MavlinkVehicle) -> None:
    """A mission that leaves its fence is broken off by the vehicle; the log is aborted with the vehicle's reason."""
    mission = patrol()
    tight = replace(mission, fence=(FenceArea(True, (at(-50, -50), at(150, -50), at(150, 150), at(-50, 150))),))
    log = fly(tight, mavlink_link, SystemClock(), timeout_s=120)
    assert log.outcome.ending is Ending.ABORTED
    assert "Fence Breached" in log.outcome.reason
    assert "RTL" in log.outcome.reason


def test_an_empty_battery_brings_it_home() -> None:
    """A battery that runs low brings the vehicle home; the log says so."""
    with AutopilotProcess(HOME, speedup=40, more=("--endurance-s", "60")) as process:
        link = MavlinkVehicle(process.url)
        log = fly(patrol(), link, SystemClock(), timeout_s=120)
        assert log.outcome.ending is Ending.ABORTED
        assert "Battery 1 is low" in log.outcome.reason
        link.close()


def test_a_flight_can_be_called_off(mavlink_link: MavlinkVehicle) -> None:
    """When the caller says so the vehicle is sent home, and the log keeps the caller's reason."""
    states: list[float] = []
    log = fly(
        patrol(),
        mavlink_link,
        SystemClock(),
        on_state=lambda s: states.append(s.height.metres),
        abort=lambda: "a helicopter is near" if max(states) > 30 else None,
        timeout_s=120,
    )
    assert log.outcome.ending is Ending.ABORTED
    assert log.outcome.reason == "a helicopter is near"
    assert mavlink_link.state().armed is False


def test_photos_do_not_depend_on_the_speed_of_simulation() -> None:
    """The same mission flown at 20 and at 60 times real time gives the same photo positions to two centimetres."""
    places = []
    for speedup in (20, 60):
        with AutopilotProcess(HOME, speedup=speedup) as process:
            link = MavlinkVehicle(process.url)
            log = fly(patrol(), link, SystemClock(), timeout_s=120)
            places.append([metres(p.place) for p in log.photos])
            link.close()
    assert len(places[0]) == len(places[1]) > 20
    assert max(math.dist(a, b) for a, b in zip(*places, strict=True)) < 0.02
