"""DronekitVehicle: telemetry and guided flight through DroneKit, for those whose scripts and vehicles already speak it.

Missions, fences and rally points are not DroneKit's here: it sends float32 places (errors up to 1.06 m at 120 degrees), clears
the old mission before it uploads and never reads the answer, so that one refused item hangs for ever with the old one gone.
They are handed to another link to the same vehicle (`missions`), or refused with this reason.

DroneKit 2.9.2 imports `collections.MutableMapping`, which Python 3.10 took away, and after a lost link gives its last values for
ever: both are mended here.
"""

from __future__ import annotations

import collections
import collections.abc
import errno
import logging
import os
import socket
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flight.errors import LinkError
from flight.fleet import LIMITS, Autopilot
from flight.flightlog import PhotoEvent
from flight.link import FRESH_S, Capability, Notice, VehicleLink, VehicleState
from flight.links.photobook import Photobook
from flight.links.transport import check
from flight.mission import Mission
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import Clock, SystemClock

_NO_MISSIONS = (
    "DroneKit sends float32 places (up to 1 m off), clears the old mission first and reads no answer: "
    "missions, fences and rally points go through the MAVLink link; give one as `missions`"
)
_HANG_UP_S = 5.0
_REOPEN_S = 1.0
_ARM, _START, _PAUSE = 400, 300, 193
_WARNING, _INFO = 4, 6


def _library() -> Any:
    """The dronekit package, imported with what it misses; its warnings stay inside."""
    if not hasattr(collections, "MutableMapping"):
        collections.MutableMapping = collections.abc.MutableMapping  # type: ignore[attr-defined]
    before = os.environ.get("MAVLINK20")
    os.environ["MAVLINK20"] = "1"  # else it begins in MAVLink 1 and drops its own patches when the vehicle answers in 2
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import dronekit
    finally:
        if before is None:
            del os.environ["MAVLINK20"]
    for name in ("dronekit", "autopilot"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # it logs each lost packet; `notices` tells what matters
    return dronekit


class DronekitVehicle:
    """A vehicle behind a URL (tcp:, udpout:, udp:/udpin:) through DroneKit; raises LinkError when none answers in `timeout_s`."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        timeout_s: float = 30.0,
        missions: VehicleLink | None = None,
        arm_patience_s: float = 45.0,
    ) -> None:
        self._kind, self._host, self._port = check(url)
        self.url, self._clock, self._missions = url, clock or SystemClock(), missions
        self._arm_patience_s = arm_patience_s
        self._library = _library()
        self._notices: deque[Notice] = deque(maxlen=500)
        self._said = 0
        self._book = Photobook(lambda _us: self._clock.now())
        self._heard = 0.0
        self._vehicle: Any = None
        self._last: VehicleState | None = None
        self._ground: bool | None = None
        self._closing = threading.Event()
        until = time.monotonic() + timeout_s
        while not self._open(max(1.0, until - time.monotonic())):
            if time.monotonic() >= until:
                raise LinkError(f"no vehicle on {url} within {timeout_s:g} s; is it switched on, and is the address right?")
            time.sleep(0.2)
        try:
            self._wait(self._known, max(1.0, until - time.monotonic()), f"no position from {url} within {timeout_s:g} s")
        except LinkError:
            self.close()
            raise
        self._watcher = threading.Thread(target=self._watch, name=f"dronekit {url}", daemon=True)
        self._watcher.start()

    # --- the connection ---

    def _open(self, timeout_s: float) -> bool:
        if not self._answers():
            return False
        # DroneKit speaks of udp: as pymavlink does; udpout: speaks first
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                vehicle = self._library.connect(self.url, wait_ready=False, heartbeat_timeout=max(2, int(timeout_s)), rate=10)
            except (self._library.APIException, OSError):
                return False
        master = vehicle._handler.master
        if hasattr(master, "handle_eof"):
            master.handle_eof = _gone  # else its thread spins on a closed TCP connection
        for name, act in (("HEARTBEAT", self._beat), ("STATUSTEXT", self._text), ("EXTENDED_SYS_STATE", self._landed)):
            vehicle.add_message_listener(name, act)
        for name in ("CAMERA_FEEDBACK", "CAMERA_CAPTURE_STATUS", "ATTITUDE", "MOUNT_STATUS"):
            vehicle.add_message_listener(name, self._photo)
        self._heard, self._ground = time.monotonic(), None
        self._vehicle = vehicle
        return True

    def _answers(self) -> bool:
        if self._kind != "tcp":
            return True
        try:  # DroneKit itself would print and sleep for each refused try
            socket.create_connection((self._host, self._port), 1.0).close()
        except OSError:
            return False
        return True

    def _watch(self) -> None:
        while not self._closing.wait(0.2):
            if self._vehicle is not None and time.monotonic() - self._heard > _HANG_UP_S:
                self._note("no heartbeat: hanging up and calling again", _WARNING)
                self._hang_up()
            if self._vehicle is None and self._open(2.0):
                self._note("the link is back", _WARNING)
            elif self._vehicle is None:
                self._closing.wait(_REOPEN_S)

    def _hang_up(self) -> None:
        vehicle, self._vehicle = self._vehicle, None
        if vehicle is None:
            return
        handler = vehicle._handler
        handler._alive = False
        for thread in (handler.mavlink_thread_in, handler.mavlink_thread_out):
            if thread is not None and thread is not threading.current_thread():
                thread.join(timeout=2.0)
        handler.master.close()

    def _beat(self, _vehicle: Any, _name: str, m: Any) -> None:
        if m.autopilot != 8:  # another ground station's
            self._heard = time.monotonic()

    def _text(self, _vehicle: Any, _name: str, m: Any) -> None:
        text = m.text.decode("utf-8", "replace") if isinstance(m.text, bytes) else str(m.text)
        self._note(text.rstrip("\x00"), m.severity)

    def _landed(self, _vehicle: Any, _name: str, m: Any) -> None:
        self._ground = m.landed_state == 1 if m.landed_state else None

    def _photo(self, _vehicle: Any, name: str, m: Any) -> None:
        self._book.hear(name, m)

    def _note(self, text: str, severity: int) -> None:
        self._notices.append(Notice(self._clock.now(), severity, text))
        self._said += 1

    @property
    def _fresh(self) -> bool:
        return self._vehicle is not None and time.monotonic() - self._heard < FRESH_S

    def _known(self) -> bool:
        place = self._vehicle.location.global_relative_frame if self._vehicle is not None else None
        return place is not None and place.lat is not None and place.alt is not None and self._vehicle.heading is not None

    def _live(self, what: str) -> Any:
        vehicle = self._vehicle
        if vehicle is None or not self._fresh:
            raise LinkError(f"{what}: the link to {self.url} is lost; wait until it is back")
        return vehicle

    # --- the port ---

    def capability(self) -> Capability:
        """Telemetry and guided flight; missions only through another link."""
        if self._missions is not None:
            return self._missions.capability()
        version = getattr(self._vehicle, "version", None)
        firmware = str(version) if version is not None else "unknown"
        return Capability(Autopilot.ARDUPILOT, firmware, False, False, False, LIMITS[Autopilot.ARDUPILOT], (_NO_MISSIONS,))

    def state(self) -> VehicleState:
        """The last that is known; a stale link says so, which DroneKit itself does not."""
        vehicle, fresh = self._vehicle, self._fresh
        if vehicle is None or not self._known():
            assert self._last is not None  # the constructor waited for it
            return _stale(self._last)
        place, battery, gps = vehicle.location.global_relative_frame, vehicle.battery, vehicle.gps_0
        level = battery.level if battery is not None else None
        state = VehicleState(
            at=self._clock.now() if self._missions is None else self._missions.state().at,
            place=LonLat(lon_deg=place.lon, lat_deg=place.lat),
            height=Height(float(place.alt), Datum.TAKEOFF),
            yaw_deg=float(vehicle.heading) % 360.0,
            speed_m_s=float(vehicle.groundspeed or 0.0),
            mode=vehicle.mode.name,
            armed=bool(vehicle.armed),
            battery=level / 100.0 if level is not None and level >= 0 else None,
            mission_index=int(vehicle.commands.next) - 1,
            link_fresh=True,
            on_ground=self._ground,
            satellites=int(gps.satellites_visible or 0),
            position_good=bool(gps.fix_type is not None and gps.fix_type >= 3),
        )
        self._last = state
        return state if fresh else _stale(state)

    def _other(self, what: str) -> VehicleLink:
        if self._missions is None:
            raise LinkError(f"{what} refused: {_NO_MISSIONS}")
        return self._missions

    def upload(self, mission: Mission) -> None:
        """Hand the mission to the other link, or refuse it with the reason."""
        self._other("upload").upload(mission)

    def download(self) -> Mission:
        """What the other link reads from the vehicle."""
        return self._other("download").download()

    def assure(self) -> None:
        """What the other link sees."""
        self._other("check of the mission").assure()

    def photos(self) -> tuple[PhotoEvent, ...]:
        """All photos heard of, with the vehicle's own times where the other link knows them."""
        return self._missions.photos() if self._missions is not None else self._book.photos()

    def photo_gaps(self) -> tuple[int, ...]:
        """Indices that were counted but not heard of."""
        return self._missions.photo_gaps() if self._missions is not None else self._book.missing()

    def notices(self) -> tuple[Notice, ...]:
        """The latest sentences, oldest first."""
        return tuple(self._notices)

    def arm(self) -> None:
        """Start the motors in GUIDED; raises LinkError with the vehicle's reason when it stays unready."""
        until = time.monotonic() + self._arm_patience_s
        while True:
            mark = self._said
            try:
                self._mode("GUIDED")
                self._command("arming", _ARM, 1.0)
                self._wait(lambda: bool(self.state().armed), 1.5, "arming: the motors did not start")
            except LinkError as error:
                why = self._since(mark)
                if time.monotonic() > until or not self._fresh:
                    raise LinkError(f"{error}{f' ({why})' if why else ''}; given up after {self._arm_patience_s:g} s") from error
                self._note(f"arming not yet possible ({why or error}): trying again", _INFO)
                time.sleep(0.3)
            else:
                return

    def _since(self, mark: int) -> str:
        new = list(self._notices)[-(self._said - mark) :] if self._said > mark else []
        return "; ".join(dict.fromkeys(n.text for n in new if n.severity <= _WARNING))

    def _command(self, what: str, command: int, *p: float) -> None:
        vehicle = self._live(what)
        params = [*p, *[0.0] * (7 - len(p))]
        vehicle.send_mavlink(vehicle.message_factory.command_long_encode(0, 1, command, 0, *params))

    def _mode(self, name: str) -> None:
        vehicle = self._live(f"mode {name}")
        if vehicle.mode.name != name:
            vehicle.mode = self._library.VehicleMode(name)
            self._wait(lambda: self.state().mode == name, 3.0, f"mode {name}: the vehicle did not change to it")

    def _wait(self, reached: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        until = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > until:
                raise LinkError(otherwise)
            time.sleep(0.02)

    def start(self) -> None:
        """Begin the mission on the vehicle; DroneKit reads no answers, so the change of mode is the proof."""
        self._other("start").assure()
        if not self.state().armed:
            raise LinkError("start: the motors do not run; arm first")
        mark = self._said
        for _ in range(3):
            self._command("mission start", _START)
            try:
                self._wait(lambda: self.state().mode == "AUTO", 2.0, "mission start: the vehicle did not change to AUTO")
            except LinkError:
                if self._since(mark):
                    break
            else:
                return
        raise LinkError(f"mission start: the vehicle did not change to AUTO ({self._since(mark) or 'no reason given'})")

    def pause(self) -> None:
        """Stop on the path and hold there."""
        self._command("pause", _PAUSE, 0.0)

    def resume(self) -> None:
        """Go on with the mission."""
        if self.state().mode == "AUTO":
            self._command("resume", _PAUSE, 1.0)
        else:
            self._mode("AUTO")

    def take_off(self, height: Height) -> None:
        """Climb straight up in GUIDED; the motors must run."""
        self._mode("GUIDED")
        self._live("take-off").simple_takeoff(height.metres)

    def go_to(self, place: LonLat, height: Height) -> None:
        """Fly straight to a place in GUIDED."""
        if height.datum is not Datum.TAKEOFF:
            raise LinkError(f"go to: heights are given over take-off, not over {height.datum}")
        self._mode("GUIDED")
        target = self._library.LocationGlobalRelative(place.lat_deg, place.lon_deg, height.metres)
        self._live("go to").simple_goto(target)

    def return_home(self) -> None:
        """Leave the mission, return and land."""
        self._mode("RTL")

    def close(self) -> None:
        """Hang up; a link given as `missions` stays its owner's."""
        self._closing.set()
        self._hang_up()


def _gone() -> None:
    raise ConnectionResetError(errno.ECONNRESET, "the vehicle's side closed the connection")


def _stale(state: VehicleState) -> VehicleState:
    return replace(state, armed=None, link_fresh=False, on_ground=None)
