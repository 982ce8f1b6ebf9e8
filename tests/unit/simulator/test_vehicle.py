"""The simulated vehicle flies as a real one does, within its limits, and its photos are where they should be."""

from __future__ import annotations

import math

import pytest

from simulator.manoeuvres import Origin
from simulator.missions import Cmd, FenceCmd, Incoming, Kind, Result, Store, Stored
from simulator.parameters import Parameters
from simulator.shutter import Instant, Shutter
from simulator.vehicle import STEP_S, Mode, Reached, Said, Vehicle

ORIGIN = Origin(120.7, 28.0, 10.0)


def item(command: int, east: float | None = None, north: float = 0.0, up: float = 60.0, p: tuple[float, ...] = ()) -> Stored:
    x = y = 0
    if east is not None:
        lon, lat = ORIGIN.degrees((east, north, 0.0))
        x, y = round(lat * 1e7), round(lon * 1e7)
    q = (*p, 0.0, 0.0, 0.0, 0.0)
    return Stored(command, 3, (q[0], q[1], q[2], q[3]), x, y, up)


def vehicle(*items: Stored, **parameters: float) -> Vehicle:
    store = Store(dict.fromkeys(Kind, 700))
    store.lists[Kind.MISSION] = (item(Cmd.WAYPOINT, 0.0, 0.0, 0.0), *items)
    made = Vehicle(ORIGIN, Parameters(parameters), store, endurance_s=3000, boot_s=0.0, patience=1.0)
    made.set_mode(Mode.GUIDED)
    return made


def flown(v: Vehicle, most_s: float = 2000.0) -> dict[int, float]:
    """Fly to the end; when each item was reached."""
    assert v.arm() is None
    assert v.start_mission() is None
    reached: dict[int, float] = {}
    while v.armed:
        v.step()
        while v.events:
            event = v.events.popleft()
            if isinstance(event, Reached):
                reached[event.seq] = v.t
        assert v.t < most_s
    return reached


@pytest.mark.parametrize(("speed", "real_s"), [(5.0, 527.8), (8.0, 348.4), (10.0, 293.4)])
def test_six_lines_take_as_long_as_a_real_autopilot_took(speed: float, real_s: float) -> None:
    """Six lines of 400 m, 40 m apart, take what ArduCopter 4.6.2 took, within one percent, at each speed."""
    lines = [item(Cmd.TAKEOFF), item(Cmd.WAYPOINT, 50, 50)]
    for k in range(6):
        south, north = (50, 450) if k % 2 == 0 else (450, 50)
        lines += [item(Cmd.WAYPOINT, 50 + 40 * k, south), item(Cmd.WAYPOINT, 50 + 40 * k, north)]
    reached = flown(vehicle(*lines, item(Cmd.RTL), WPNAV_SPEED=speed * 100))
    assert reached[14] - reached[3] == pytest.approx(real_s, rel=0.01)


def test_it_never_pulls_harder_than_its_limits() -> None:
    """Through right angles and a reversal the body's acceleration and speed stay within what a multicopter does."""
    path = [(0, 100), (60, 100), (60, 0), (60, 120), (0, 120)]
    v = vehicle(item(Cmd.TAKEOFF), *(item(Cmd.WAYPOINT, e, n) for e, n in path), item(Cmd.RTL), WPNAV_SPEED=1000)
    v.arm()
    v.start_mission()
    before = v.body.v
    while v.armed:
        v.step()
        pull = math.dist(v.body.v[:2], before[:2]) / STEP_S
        if not v.landed:
            assert pull <= 5.01
            assert math.hypot(*v.body.v[:2]) <= 10.3
            assert -1.7 <= v.body.v[2] <= 2.7
        before = v.body.v
    assert math.dist(v.body.p, (0, 0, 0)) < 0.1


def test_photos_by_distance_are_exact_whatever_the_steps() -> None:
    """Photos every 7 m come at 7, 14, 21 … m on the line, with coarse and with fine steps."""
    for step in (0.1, 1.3, 40.0):
        shutter = Shutter()
        shutter.every_m(7.0, Instant(0.0, (0.0, 0.0, 50.0), 0.0), at_once=True)
        at, place = 0.0, 0.0
        while place < 100.0:
            after = min(place + step, 100.0)
            shutter.watch(Instant(at, (place, 0.0, 50.0), 0.0), Instant(at + 1.0, (after, 0.0, 50.0), 0.0))
            at, place = at + 1.0, after
        assert [p.place[0] for p in shutter.photos] == pytest.approx([7.0 * k for k in range(15)])


def test_an_orbit_keeps_its_radius_and_looks_at_its_centre() -> None:
    """Two turns of 40 m about a point keep 40 m; the photos taken on the way look at it."""
    v = vehicle(
        item(Cmd.TAKEOFF),
        item(Cmd.DO_SET_ROI_LOCATION, 100, 0, 5.0),
        item(Cmd.IMAGE_START_CAPTURE, p=(0, 2.0, 0)),
        item(Cmd.LOITER_TURNS, 100, 0, 60.0, p=(2, 0, 40, 0)),
        item(Cmd.IMAGE_STOP_CAPTURE),
        item(Cmd.RTL),
    )
    reached = flown(v)
    on_it = [p for p in v.shutter.photos if reached[4] - 40 < p.at_s < reached[4]]
    assert len(on_it) > 10
    for photo in on_it:
        e, n, up = photo.place[0] - 100, photo.place[1], photo.place[2] - 5.0
        assert math.hypot(e, n) == pytest.approx(40.0, abs=1.0)
        assert photo.yaw_deg == pytest.approx(math.degrees(math.atan2(-e, -n)) % 360.0, abs=0.01)
        assert photo.pitch_deg == pytest.approx(-math.degrees(math.atan2(up, math.hypot(e, n))), abs=0.01)


def test_jumps_are_taken_as_often_as_they_say() -> None:
    """A DO_JUMP with two repeats flies its leg three times in all; one that jumps to itself does not hang."""
    v = vehicle(
        item(Cmd.TAKEOFF, up=10),
        item(Cmd.WAYPOINT, 0, 30, 10),
        item(Cmd.DO_DIGICAM_CONTROL),
        item(Cmd.WAYPOINT, 0, 0.5, 10),
        item(Cmd.DO_JUMP, p=(2, 2)),
        item(Cmd.LAND),
    )
    v.arm()
    v.start_mission()
    passed = 0
    while v.armed:
        v.step()
        while v.events:
            event = v.events.popleft()
            passed += isinstance(event, Reached) and event.seq == 2
    assert passed == 3
    endless = vehicle(item(Cmd.TAKEOFF, up=5), item(Cmd.DO_JUMP, p=(2, -1)), item(Cmd.LAND))
    endless.arm()
    endless.start_mission()
    for _ in range(1000):
        endless.step()
    assert endless.complete


def test_it_returns_to_the_nearest_rally_point() -> None:
    """A return goes to a rally point that is nearer than home, and lands there."""
    v = vehicle(item(Cmd.TAKEOFF), item(Cmd.WAYPOINT, 0, 200), item(Cmd.RTL))
    v.store.lists[Kind.RALLY] = (item(5100, 10, 150, 30),)
    flown(v)
    assert math.dist(v.body.p[:2], (10, 150)) < 0.5


def test_a_fence_of_two_polygons_is_their_intersection_unless_told_otherwise() -> None:
    """Two inclusion polygons apart allow no place; with FENCE_OPTIONS bit 1 either will do. Exclusions always keep out."""

    def ring(east: float, command: int) -> tuple[Stored, ...]:
        return tuple(item(command, east + e, n, 0, p=(4,)) for e, n in ((-20, -20), (20, -20), (20, 20), (-20, 20)))

    v = vehicle(item(Cmd.TAKEOFF), FENCE_ENABLE=1, FENCE_TYPE=4)
    inside = (*ring(0, FenceCmd.POLYGON_INCLUSION), *ring(100, FenceCmd.POLYGON_INCLUSION))
    v.store.lists[Kind.FENCE] = inside
    v.lists_changed(Kind.FENCE)
    assert v.not_ready() is not None
    v.parameters.write("FENCE_OPTIONS", 2)
    assert v.not_ready() is None
    v.store.lists[Kind.FENCE] = (*inside, item(FenceCmd.CIRCLE_EXCLUSION, 0, 0, 0, p=(5,)))
    v.lists_changed(Kind.FENCE)
    assert "Polygon fence" in (v.not_ready() or "")


def test_refusals_say_why() -> None:
    """Arming in AUTO, starting without take-off, leaving for nowhere: each is refused with a sentence and changes nothing."""
    v = vehicle(item(Cmd.WAYPOINT, 0, 50))
    v.mode = Mode.AUTO
    assert v.arm() == "Arm: Auto mode not armable"
    v.mode = Mode.GUIDED
    assert v.arm() is None
    assert v.start_mission() == "Auto: Missing Takeoff Cmd"
    assert v.go_to((0.0, 0.0, 10.0)) is not None
    assert v.landed


def test_it_disarms_by_itself_when_nothing_follows() -> None:
    """Armed and left alone on the ground it disarms after DISARM_DELAY."""
    v = vehicle(item(Cmd.TAKEOFF))
    v.arm()
    for _ in range(round(11 / STEP_S)):
        v.step()
    assert not v.armed
    assert Said(6, "Disarming motors") in v.events


def test_a_list_counts_only_when_it_is_whole() -> None:
    """Until the last item is in the old list stands; too many, broken rings and strange commands leave it as it was."""
    store = Store({Kind.MISSION: 5, Kind.FENCE: 8, Kind.RALLY: 2})
    old = (item(Cmd.WAYPOINT, 0, 0), item(Cmd.TAKEOFF))
    store.lists[Kind.MISSION] = old
    assert store.begin(Kind.MISSION, 6) is Result.NO_SPACE
    begun = store.begin(Kind.MISSION, 2)
    assert isinstance(begun, Incoming)
    assert store.take(begun, 0, item(Cmd.WAYPOINT, 1, 1)) is None
    assert store.lists[Kind.MISSION] == old
    assert store.take(begun, 1, item(34, 0, 0)) is Result.UNSUPPORTED
    assert store.lists[Kind.MISSION] == old
    assert store.take(begun, 1, item(Cmd.LAND)) is Result.ACCEPTED
    assert store.lists[Kind.MISSION][1].command == Cmd.LAND
    ring = store.begin(Kind.FENCE, 2)
    assert isinstance(ring, Incoming)
    store.take(ring, 0, item(FenceCmd.POLYGON_INCLUSION, 0, 0, p=(3,)))
    assert store.take(ring, 1, item(FenceCmd.POLYGON_INCLUSION, 1, 0, p=(3,))) is Result.INVALID
