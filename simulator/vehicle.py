"""A simulated multicopter: modes, arming, missions, fence and battery, stepped in small fixed steps of its own time.

Places are metres east, north and up of where it was switched on. What happens is left in `events` for whoever carries it on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from simulator.fence import Fence, read_fence
from simulator.manoeuvres import SPOOL_S, Go, Hold, Origin, Stage, Touch, Turn, down, homewards, jump, onward, stages_of
from simulator.missions import ABSOLUTE_FRAMES, NAV, Cmd, Kind, Store, Stored
from simulator.motion import Arc, Body, Limits, Line, Segment, Vec, exit_speed, length, minus
from simulator.parameters import Parameters
from simulator.shutter import Instant, Shutter

STEP_S = 0.02
_G = 9.80665
_DRAG_S = 0.15  # lean of the airframe: acceleration per speed
_SLEW_DEG_S = 60.0


class Mode(IntEnum):
    """Flight modes by ArduCopter's numbers."""

    STABILIZE = 0
    ALT_HOLD = 2
    AUTO = 3
    GUIDED = 4
    LOITER = 5
    RTL = 6
    LAND = 9
    BRAKE = 17


_ARMABLE = frozenset({Mode.STABILIZE, Mode.ALT_HOLD, Mode.GUIDED, Mode.LOITER})


class Severity(IntEnum):
    """MAV_SEVERITY, as far as it is used."""

    CRITICAL = 2
    WARNING = 4
    INFO = 6


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for the operator."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Reached:
    """A mission item was completed."""

    seq: int


class Vehicle:
    """The aircraft and the programme that flies it."""

    def __init__(
        self, origin: Origin, parameters: Parameters, store: Store, *, endurance_s: float, boot_s: float, patience: float
    ) -> None:
        self.origin, self.parameters, self.store = origin, parameters, store
        self.endurance_s, self.boot_s = endurance_s, boot_s
        self._patience = patience  # how much faster than an operator's seconds this vehicle's run
        self.t = 0.0
        self.body, self.shutter = Body(), Shutter()
        self.home: Vec = (0.0, 0.0, 0.0)
        self.yaw_deg = self.roll_deg = self.pitch_deg = 0.0
        self.mode = Mode.STABILIZE
        self.armed, self.landed = False, True
        self.battery = 1.0
        self.current = 0
        self.complete = False
        self.breached = False
        self.events: deque[Said | Reached] = deque()
        self._stages: deque[Stage] = deque()
        self._stage: Stage | None = None
        self._hold_s = 0.0
        self._jumps: dict[int, int] = {}
        self._cruise: float | None = None
        self._yaw_fixed: float | None = None
        self._armed_at = 0.0
        self._checked = 0.0
        self._low = self._critical = False
        self._fence = Fence()
        self._do: dict[int, Callable[[Stored], None]] = {
            Cmd.DO_CHANGE_SPEED: lambda i: self.change_speed(i.params[1]),
            Cmd.DO_SET_ROI_LOCATION: lambda i: self.look_at(self.place_of(i)),
            Cmd.DO_SET_ROI: lambda i: self.look_at(self.place_of(i) if i.x or i.y else None),
            Cmd.DO_SET_ROI_NONE: lambda _: self.look_at(None),
            Cmd.DO_DIGICAM_CONTROL: lambda i: self._digicam(i.params[3], i.x),
            Cmd.DO_MOUNT_CONTROL: lambda i: self.shutter.look(i.params[0]),
            Cmd.GIMBAL_PITCHYAW: lambda i: self.shutter.look(i.params[0]),
            Cmd.DO_SET_CAM_TRIGG_DIST: lambda i: self.shutter.every_m(i.params[0], self._instant(), i.params[2] == 1),
            Cmd.IMAGE_START_CAPTURE: lambda i: self.shutter.every_s(i.params[1], int(i.params[2]), self._instant()),
            Cmd.IMAGE_STOP_CAPTURE: lambda _: self.shutter.stop(),
            Cmd.CONDITION_YAW: lambda i: self.face(i.params[0], relative=i.params[3] == 1, turn=i.params[2]),
        }

    # --- what it is asked ---

    def say(self, text: str, severity: Severity = Severity.INFO) -> None:
        """Tell the operator."""
        self.events.append(Said(severity, text))

    @property
    def limits(self) -> Limits:
        """Speeds in force."""
        p = self.parameters
        return Limits(self._cruise or p["WPNAV_SPEED"] / 100, p["WPNAV_SPEED_UP"] / 100, p["WPNAV_SPEED_DN"] / 100)

    def not_ready(self) -> str | None:
        """Why it cannot be armed now; None when it can."""
        if self.t < self.boot_s:
            return "PreArm: AHRS: waiting for home"
        if self.mode not in _ARMABLE:
            return f"Arm: {self.mode.name.title() if self.mode is not Mode.RTL else 'RTL'} mode not armable"
        if self._mah() < self.parameters["BATT_LOW_MAH"]:
            return "PreArm: Battery 1 below minimum arming capacity"
        if self.parameters["FENCE_ENABLE"] and not self._fence_allows(self.body.p):
            return "PreArm: vehicle outside Polygon fence"
        return None

    def arm(self) -> str | None:
        """Start the motors, or say why not."""
        if self.armed:
            return None
        why = self.not_ready()
        if why is None:
            self.armed, self._armed_at, self.home = True, self.t, self.body.p
            self.current, self.complete, self._low, self._critical, self.breached = 0, False, False, False, False
            self.say("Arming motors")
        return why

    def disarm(self, force: bool = False) -> str | None:
        """Stop the motors, or say why not."""
        if self.armed and not self.landed and not force:
            return "Disarm: vehicle is flying"
        if self.armed:
            self.say("Disarming motors")
        self.armed = False
        self.landed = True
        self._set_stages(())
        self.shutter.every_m(0.0, self._instant(), False)
        self.shutter.stop()
        return None

    def set_mode(self, mode: Mode) -> str | None:
        """Change the flight mode, or say why not."""
        if mode is self.mode:
            return None
        if mode is Mode.AUTO:
            return self.start_mission()
        if mode is Mode.GUIDED and self.t < self.boot_s:
            return "Mode change to GUIDED failed: requires position"
        self.mode, self.body.held = mode, False
        if self.landed:
            return None
        if mode in (Mode.RTL, Mode.LAND):
            self._break_into(self._homewards() if mode is Mode.RTL else down(self.body.stopping_point(), self.parameters))
        else:
            self._break_into([Go(self.body.stopping_point())])
        return None

    def start_mission(self) -> str | None:
        """Enter AUTO: from the first item on the ground, from the current one in flight."""
        items = self.store.lists[Kind.MISSION]
        if len(items) < 2:
            return "Mode change to AUTO failed: no mission"
        if self.mode is Mode.AUTO and not self.landed:
            self.body.held = False
            return None
        navs = [i.command for i in items[1:] if i.command in NAV]
        if self.landed and self.armed and (not navs or navs[0] != Cmd.TAKEOFF):
            return "Auto: Missing Takeoff Cmd"
        self.mode, self.body.held = Mode.AUTO, False
        if self.armed:
            self._begin_mission()
        return None

    def _begin_mission(self) -> None:
        if self.landed or self.parameters["MIS_RESTART"]:
            self._jumps, self._cruise, self.complete = {}, None, False
            self.current = self.current if self.landed and self.current > 1 else 1
        if not self.landed:
            self.body.break_off()
        self._advance(max(self.current, 1))

    def set_current(self, seq: int) -> bool:
        """Make another mission item the current one; False when there is no such item."""
        if not 0 <= seq < len(self.store.lists[Kind.MISSION]):
            return False
        self.current, self.complete = seq, False
        if self.mode is Mode.AUTO and not self.landed:
            self.body.break_off()
            self._advance(max(seq, 1))
        return True

    def pause(self, stop: bool) -> bool:
        """Stop on the path of a mission or go on; False when it flies none."""
        if self.landed or self.mode not in (Mode.AUTO, Mode.GUIDED):
            return False
        self.body.held = stop
        return True

    def take_off(self, up_m: float) -> str | None:
        """Climb straight up in GUIDED."""
        if self.mode is not Mode.GUIDED or not self.armed or not self.landed or up_m <= 0:
            return "Takeoff: needs GUIDED, armed and on the ground"
        self.landed = False
        self._set_stages([Hold(SPOOL_S), Go((self.body.p[0], self.body.p[1], self.home[2] + up_m))])
        return None

    def go_to(self, place: Vec) -> str | None:
        """Fly to a place in GUIDED; only the destination is held against the fence, as ArduCopter does."""
        if self.landed or self.mode is not Mode.GUIDED:
            return "Guided target refused: needs GUIDED in flight"
        if self.parameters["FENCE_ENABLE"] and not self._fence_allows(place):
            return "Guided target refused: outside fence"
        self.body.held = False
        self._break_into([Go(place)])
        return None

    def change_speed(self, speed_m_s: float) -> None:
        """Keep another cruising speed from the next leg on."""
        if speed_m_s > 0:
            self._cruise = min(speed_m_s, 20.0)

    def look_at(self, place: Vec | None) -> None:
        """Keep the camera, and the nose, on a point; None lets go."""
        self.shutter.roi = place

    def face(self, degrees: float, *, relative: bool = False, turn: float = 1.0) -> None:
        """Keep this heading until the next leg."""
        self._yaw_fixed = (self.yaw_deg + math.copysign(degrees, turn or 1.0) if relative else degrees) % 360.0

    def place_of(self, item: Stored) -> Vec:
        """Where an item says: zeros mean here."""
        e, n = self.origin.metres(item.y / 1e7, item.x / 1e7) if item.x or item.y else self.body.reference[:2]
        return e, n, (item.z - self.origin.altitude_m if item.frame in ABSOLUTE_FRAMES else self.home[2] + item.z)

    def lists_changed(self, kind: Kind) -> None:
        """Take note of a new mission, fence or rally list."""
        name = {Kind.MISSION: "MIS_TOTAL", Kind.FENCE: "FENCE_TOTAL", Kind.RALLY: "RALLY_TOTAL"}[kind]
        self.parameters.count(name, len(self.store.lists[kind]))
        if kind is Kind.MISSION:
            self.current, self.complete, self._jumps = 0, False, {}
            if self.mode is Mode.AUTO and not self.landed:
                self._break_into([Go(self.body.stopping_point())])
        if kind is Kind.FENCE:
            self._fence = read_fence(self.store.lists[kind], self.origin)

    # --- how it goes on ---

    def step(self, dt: float = STEP_S) -> None:
        """Live for `dt` seconds."""
        before, speed = self._instant(), self.body.ref_speed
        self.t += dt
        if not self.armed:
            return
        if self.landed and not self._stages and self._stage is None:
            self.battery -= 0.05 * dt / self.endurance_s
            if self.t - self._armed_at > self.parameters["DISARM_DELAY"] * self._patience > 0:
                self.disarm()
            return
        self.battery = max(0.0, self.battery - dt / self.endurance_s)
        self._run(dt)
        if self.landed:
            return
        pull = self.body.chase(dt, speed)
        self._turn(dt, pull)
        self.shutter.watch(before, self._instant())
        if self.t - self._checked >= 0.1:
            self._checked = self.t
            self._check()

    def _run(self, dt: float) -> None:
        left = dt
        for _ in range(1000):  # a step can end more than one stage
            if self._stage is None and not self._next_stage():
                self.body.rest()
                return
            stage = self._stage
            if isinstance(stage, Touch):
                self._touch_down()
                return
            if isinstance(stage, Hold):
                if self.body.held:
                    return
                used = min(left, self._hold_s)
                self._hold_s, left = self._hold_s - used, left - used
                self.body.rest()
                if self._hold_s > 1e-9:
                    return
            else:
                left = self.body.run(left)
                if not self.body.done:
                    return
            self._stage = None
            if left <= 1e-9:
                return

    def _next_stage(self) -> bool:
        if not self._stages:
            if self.mode is not Mode.AUTO or self.complete:
                return False
            self.events.append(Reached(self.current))
            self._advance(self.current + 1)
            if not self._stages:
                return False
        stage = self._stages.popleft()
        here, limits = self.body.reference, self.limits
        if isinstance(stage, Hold):
            self._hold_s = stage.seconds
        elif isinstance(stage, Turn):
            e, n = here[0] - stage.centre[0], here[1] - stage.centre[1]
            sweep = stage.turns * 2.0 * math.pi
            self.body.follow(Arc((*stage.centre[:2], here[2]), math.hypot(e, n), math.atan2(e, n), sweep), limits, 0.0)
        elif isinstance(stage, Go):
            if stage.down_m_s is not None:
                limits = Limits(limits.cruise_m_s, limits.up_m_s, stage.down_m_s)
            path: list[Segment] = [Line(here, stage.end)]
            path += [Line(a, b) for a, b in zip((stage.end, *stage.onward[:-1]), stage.onward, strict=False)]
            if length(minus(stage.end, here)) > 1e-6:
                self.body.follow(path[0], limits, exit_speed([p for p in path if p.length_m > 1e-6], limits))
            self._yaw_fixed = self._yaw_fixed if self.mode is not Mode.AUTO else None
        self._stage = stage
        return True

    def _advance(self, seq: int) -> None:
        """Carry out commands from item `seq` up to the next one that flies, and begin that one."""
        items = self.store.lists[Kind.MISSION]
        for _ in range(10 * len(items) + 10):  # jumps upon jumps end somewhere
            if seq >= len(items):
                break
            item = items[seq]
            if item.command in NAV:
                self.current = seq
                self._set_stages(self._stages_of(seq, item))
                self.landed = self.landed and item.command != Cmd.TAKEOFF
                return
            if item.command == Cmd.DO_JUMP:
                seq = jump(seq, item, self._jumps)
                continue
            self.do(item)
            seq += 1
        self.complete = True
        self._set_stages(())
        self.say("Mission complete")

    def do(self, item: Stored) -> bool:
        """Carry out a command that does not fly; False when it is not known."""
        act = self._do.get(item.command)
        if act is not None:
            act(item)
        return act is not None

    def _stages_of(self, seq: int, item: Stored) -> list[Stage]:
        if item.command == Cmd.RTL:
            return self._homewards()
        after = onward(self.store.lists[Kind.MISSION], seq, self._jumps, self.place_of)
        return stages_of(item, self.body.reference, self.place_of(item), after, self.parameters)

    def _homewards(self) -> list[Stage]:
        rally = [self.place_of(i) for i in self.store.lists[Kind.RALLY]]
        return homewards(self.body.stopping_point(), self.home, rally, self.parameters)

    def _set_stages(self, stages: Iterable[Stage]) -> None:
        self._stages, self._stage = deque(stages), None

    def _break_into(self, stages: Iterable[Stage]) -> None:
        self.body.break_off()
        self._set_stages(stages)

    def _touch_down(self) -> None:
        self.landed = True
        self.body.put((self.body.p[0], self.body.p[1], 0.0))
        if self.mode is Mode.AUTO:
            self.events.append(Reached(self.current))
            self.complete = True
        self.roll_deg = self.pitch_deg = 0.0
        self.disarm()

    def _turn(self, dt: float, pull: Vec) -> None:
        wanted, roi, v = self.yaw_deg, self.shutter.roi, self.body.v
        if roi is not None:
            wanted = math.degrees(math.atan2(roi[0] - self.body.p[0], roi[1] - self.body.p[1]))
        elif self._yaw_fixed is not None:
            wanted = self._yaw_fixed
        elif math.hypot(v[0], v[1]) > 0.5 and self.parameters["WP_YAW_BEHAVIOR"]:
            ahead = self.body.heading
            wanted = self.yaw_deg if ahead is None else ahead
        turn = (wanted - self.yaw_deg + 180.0) % 360.0 - 180.0
        self.yaw_deg = (self.yaw_deg + max(-_SLEW_DEG_S * dt, min(_SLEW_DEG_S * dt, turn))) % 360.0
        s, c = math.sin(math.radians(self.yaw_deg)), math.cos(math.radians(self.yaw_deg))
        e, n = pull[0] + _DRAG_S * v[0], pull[1] + _DRAG_S * v[1]
        self.pitch_deg = -math.degrees(math.atan2(e * s + n * c, _G))
        self.roll_deg = math.degrees(math.atan2(e * c - n * s, _G))

    # --- what keeps it safe ---

    def _mah(self) -> float:
        return self.battery * self.parameters["BATT_CAPACITY"]

    def _check(self) -> None:
        if not self._critical and self._mah() < self.parameters["BATT_CRT_MAH"]:
            self._critical = self._low = True
            self.failsafe("Battery 1 is critical", Mode.LAND if self.parameters["BATT_FS_CRT_ACT"] == 1 else None)
        elif not self._low and self._mah() < self.parameters["BATT_LOW_MAH"]:
            self._low = True
            self.failsafe("Battery 1 is low", Mode.RTL if self.parameters["BATT_FS_LOW_ACT"] == 2 else None)
        outside = bool(self.parameters["FENCE_ENABLE"]) and not self._fence_allows(self.body.p)
        if outside and not self.breached:
            self.failsafe("Fence Breached", Mode.RTL if self.parameters["FENCE_ACTION"] == 1 else None)
        self.breached = outside

    def failsafe(self, what: str, mode: Mode | None) -> None:
        """Say what is wrong and change to a safer mode; one that already lands is left alone."""
        self.say(what, Severity.CRITICAL)
        if mode is not None and self.mode is not Mode.LAND and not self.landed:
            self.say(f"Failsafe: mode {mode.name}", Severity.WARNING)
            self.set_mode(mode)

    def _fence_allows(self, place: Vec) -> bool:
        kinds = int(self.parameters["FENCE_TYPE"])
        if kinds & 1 and place[2] - self.home[2] > self.parameters["FENCE_ALT_MAX"]:
            return False
        if kinds & 2 and math.hypot(place[0] - self.home[0], place[1] - self.home[1]) > self.parameters["FENCE_RADIUS"]:
            return False
        return not kinds & 4 or self._fence.allows(place[0], place[1], any_of=bool(int(self.parameters["FENCE_OPTIONS"]) & 2))

    @property
    def pointing(self) -> tuple[float, float]:
        """(pitch, yaw) of the camera in degrees."""
        return self.shutter.pointing(self._instant())

    def _instant(self) -> Instant:
        return Instant(self.t, self.body.p, self.yaw_deg)

    def _digicam(self, shot_long: float, shot_item: int) -> None:
        if shot_long == 1 or shot_item == 1:  # param5 is the shutter; an integer item carries it in x
            self.shutter.take(self._instant())
