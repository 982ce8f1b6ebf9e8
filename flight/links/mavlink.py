"""MavlinkVehicle: the real path to a vehicle: missions with fence and rally points, arming, flight, photos.

Written against ArduCopter 4.6. PX4 is heard (state, photos) but not commanded: its modes and mission numbering differ.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mav

from flight.errors import LinkError, PlanningError
from flight.fleet import LIMITS, Autopilot, Limits
from flight.flightlog import PhotoEvent
from flight.link import Capability, Notice, VehicleState
from flight.links.lists import Kind, Patience, difference, read_list, send_list
from flight.links.photobook import Photobook
from flight.links.session import RESULTS, Session
from flight.mission import Item, ItemFrame, Mission, RallyPoint, fence_from_items
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import Clock, SystemClock

_MODES = {
    0: "STABILIZE",
    1: "ACRO",
    2: "ALT_HOLD",
    3: "AUTO",
    4: "GUIDED",
    5: "LOITER",
    6: "RTL",
    7: "CIRCLE",
    9: "LAND",
    16: "POSHOLD",
    17: "BRAKE",
    18: "THROW",
    21: "SMART_RTL",
    27: "AUTO_RTL",
}
_NUMBERS = {name: number for number, name in _MODES.items()}
_RATES_HZ = {
    "GLOBAL_POSITION_INT": 10.0,
    "ATTITUDE": 10.0,
    "MISSION_CURRENT": 4.0,
    "VFR_HUD": 4.0,
    "SYS_STATUS": 2.0,
    "GPS_RAW_INT": 2.0,
    "SYSTEM_TIME": 2.0,
    "EXTENDED_SYS_STATE": 2.0,
    "GIMBAL_DEVICE_ATTITUDE_STATUS": 4.0,
}
_IDS = {kind.msgname: number for number, kind in mav.mavlink_map.items()}
_POLYGONS, _CIRCLE, _CEILING = 4, 2, 1  # FENCE_TYPE
_UNION = 2  # FENCE_OPTIONS: several inclusion polygons mean their union
_MISSION_PAUSED, _LANDED = 4, 1
_WARNING, _INFO = 4, 6


class MavlinkVehicle:
    """A vehicle behind a URL (see `links.transport`).

    Construction waits for its heartbeat and place and raises LinkError after `timeout_s`.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        timeout_s: float = 30.0,
        system: int | None = None,
        limits: Limits | None = None,
        arm_patience_s: float = 45.0,
        storage: Patience | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._arm_patience_s, self._storage = arm_patience_s, storage or Patience()
        self._own_limits = limits
        self._last: dict[str, Any] = {}
        self._notices: deque[Notice] = deque(maxlen=500)
        self._said = 0
        self._book = Photobook(self._when)
        self._given: Mission | None = None  # what was read back as equal
        self._doubt = False  # the link was lost since
        self._boot_ms = 0
        self._ready = threading.Event()
        self._session = Session(url, system=system, on_message=self._hear, on_contact=self._contact)
        self._session.start()
        try:
            self._greet(timeout_s)
        except LinkError:
            self._session.close()
            raise

    def _greet(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        if not self._ready.wait(timeout_s):
            what = "no position yet (is the receiver under open sky?)" if self._session.fresh else self._session.trouble
            raise LinkError(f"no vehicle on {self._session.url} within {timeout_s:g} s: {what}")
        while time.monotonic() < until and not {"AUTOPILOT_VERSION", "HOME_POSITION", "SYSTEM_TIME"} <= self._last.keys():
            for name in ("AUTOPILOT_VERSION", "HOME_POSITION", "CAMERA_CAPTURE_STATUS"):
                self._session.request(_IDS[name])
            time.sleep(0.1)
            if time.monotonic() > until - timeout_s + 3.0:
                break  # an autopilot that does not say these can still be flown

    # --- what is heard (on the session's thread) ---

    def _contact(self, first: bool) -> None:
        target = (self._session.system or 0, self._session.component)
        for name, hz in _RATES_HZ.items():
            params = (float(_IDS[name]), 1e6 / hz, 0.0, 0.0, 0.0, 0.0, 0.0)
            self._session.send(mav.MAVLink_command_long_message(*target, mav.MAV_CMD_SET_MESSAGE_INTERVAL, 0, *params))
        for name in ("HOME_POSITION", "AUTOPILOT_VERSION", "CAMERA_CAPTURE_STATUS"):
            self._session.request(_IDS[name])
        if not first:
            self._doubt = True
            self._note("the link is back: what the vehicle holds will be checked before it goes on", _WARNING)

    def _hear(self, m: Any) -> None:
        kind = m.get_type()
        self._last[kind] = m
        self._book.hear(kind, m)
        if kind == "STATUSTEXT":
            self._note(_text(m.text), m.severity)
        elif kind == "GLOBAL_POSITION_INT":
            if m.time_boot_ms + 5000 < self._boot_ms:
                self._doubt = True
                self._book.restart()
                self._note("the vehicle was switched off and on again", _WARNING)
            self._boot_ms = m.time_boot_ms
            if m.lat or m.lon:
                self._ready.set()

    def _note(self, text: str, severity: int) -> None:
        self._notices.append(Notice(self._clock.now(), severity, text))
        self._said += 1

    def _when(self, unix_us: int = 0, boot_ms: int | None = None) -> datetime:
        """The vehicle's calendar time; its receiver's clock where it has one, else ours."""
        if unix_us > 1_000_000_000_000_000:
            return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=unix_us)
        system = self._last.get("SYSTEM_TIME")
        if system is None or system.time_unix_usec < 1_000_000_000_000_000:
            return self._clock.now()
        since_ms = 0 if boot_ms is None else boot_ms - system.time_boot_ms
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=system.time_unix_usec + since_ms * 1000)

    # --- what it says about the vehicle ---

    def capability(self) -> Capability:
        """What this autopilot can do, by what it says of itself."""
        kind = self._last["HEARTBEAT"].autopilot
        autopilot = {3: Autopilot.ARDUPILOT, 12: Autopilot.PX4}.get(kind)
        version = self._last.get("AUTOPILOT_VERSION")
        able = version.capabilities if version is not None else mav.MAV_PROTOCOL_CAPABILITY_MISSION_INT
        refusals = []
        if autopilot is not Autopilot.ARDUPILOT:
            refusals.append(f"autopilot type {kind} is watched but not commanded: only ArduPilot is flown")
        if not able & mav.MAV_PROTOCOL_CAPABILITY_MISSION_INT:
            refusals.append("the autopilot takes no integer mission items: places would be off by up to a metre")
        if not able & mav.MAV_PROTOCOL_CAPABILITY_MISSION_FENCE:
            refusals.append("the autopilot takes no fence over MAVLink")
        if not able & mav.MAV_PROTOCOL_CAPABILITY_MISSION_RALLY:
            refusals.append("the autopilot takes no rally points over MAVLink")
        number = version.flight_sw_version if version is not None else 0
        missions = autopilot is Autopilot.ARDUPILOT and bool(able & mav.MAV_PROTOCOL_CAPABILITY_MISSION_INT)
        return Capability(
            autopilot,
            f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}" if number else "unknown",
            missions,
            missions and bool(able & mav.MAV_PROTOCOL_CAPABILITY_MISSION_FENCE),
            missions and bool(able & mav.MAV_PROTOCOL_CAPABILITY_MISSION_RALLY),
            self._own_limits or LIMITS[autopilot or Autopilot.PX4],
            tuple(refusals),
        )

    def state(self) -> VehicleState:
        """The last that is known; never blocks."""
        last, fresh = self._last, self._session.fresh
        heart, here = last["HEARTBEAT"], last["GLOBAL_POSITION_INT"]
        status, gps = last.get("SYS_STATUS"), last.get("GPS_RAW_INT")
        current, ground = last.get("MISSION_CURRENT"), last.get("EXTENDED_SYS_STATE")
        left = status.battery_remaining if status is not None else -1
        return VehicleState(
            at=self._when(boot_ms=here.time_boot_ms),
            place=LonLat(lon_deg=here.lon / 1e7, lat_deg=here.lat / 1e7),
            height=Height(here.relative_alt / 1000.0, Datum.TAKEOFF),
            yaw_deg=(here.hdg / 100.0) % 360.0,
            speed_m_s=float((here.vx**2 + here.vy**2) ** 0.5) / 100.0,
            mode=_MODES.get(heart.custom_mode, f"MODE_{heart.custom_mode}"),
            armed=bool(heart.base_mode & mav.MAV_MODE_FLAG_SAFETY_ARMED) if fresh else None,
            battery=left / 100.0 if left >= 0 else None,
            mission_index=current.seq - 1 if current is not None else -1,
            link_fresh=fresh,
            on_ground=ground.landed_state == _LANDED if fresh and ground is not None and ground.landed_state else None,
            paused=current is not None and getattr(current, "mission_state", 0) == _MISSION_PAUSED,
            satellites=gps.satellites_visible if gps is not None and gps.satellites_visible != 255 else 0,
            position_good=gps is not None and gps.fix_type >= 3,
        )

    def notices(self) -> tuple[Notice, ...]:
        """The latest sentences of the vehicle and of the link, oldest first."""
        return tuple(self._notices)

    def photos(self) -> tuple[PhotoEvent, ...]:
        """All photos heard of since the link was made, in order."""
        return self._book.photos()

    def photo_gaps(self) -> tuple[int, ...]:
        """Photos the vehicle counted and this link never heard of, after asking for each of them three times."""
        if self._session.fresh:
            self._session.request(_IDS["CAMERA_CAPTURE_STATUS"])
            time.sleep(0.2)
            for _ in range(3):
                missing = self._book.missing()
                for index in missing:
                    self._session.request(_IDS["CAMERA_IMAGE_CAPTURED"], index)
                until = time.monotonic() + 1.0 + len(missing) / 200
                while missing and self._book.missing() and time.monotonic() < until:
                    time.sleep(0.02)
        return self._book.missing()

    def parameter(self, name: str) -> float:
        """A parameter of the vehicle; raises LinkError when it does not have it or does not answer."""
        to = (self._session.system or 0, self._session.component)
        return self._param(mav.MAVLink_param_request_read_message(*to, name.encode(), -1), name)

    def set_parameter(self, name: str, value: float) -> None:
        """Set a parameter and see that it holds."""
        to = (self._session.system or 0, self._session.component)
        held = self._param(mav.MAVLink_param_set_message(*to, name.encode(), value, mav.MAV_PARAM_TYPE_REAL32), name)
        if abs(held - value) > 1e-6 * max(1.0, abs(value)):
            raise LinkError(f"parameter {name}: {value:g} was set, the vehicle keeps {held:g}")

    def _param(self, request: Any, name: str) -> float:
        self._session.require_fresh(f"parameter {name}")
        with self._session.talk, self._session.expect("PARAM_VALUE") as box:
            for _ in range(3):
                self._session.send(request)
                answer = box.get(1.5, lambda m: _text(m.param_id) == name)
                if answer is not None:
                    return float(answer.param_value)
        raise LinkError(f"parameter {name}: the vehicle does not answer; does its firmware have it?")

    # --- missions ---

    def upload(self, mission: Mission) -> None:
        """Fence, rally points, then the mission; everything is read back and compared. Raises LinkError with its reason."""
        with self._session.talk:
            self._session.require_fresh("upload")
            self._refuse_upload(mission)
            self._given = None
            home = Item(16, ItemFrame.GLOBAL, (0, 0, 0, 0), mission.home.lon_deg, mission.home.lat_deg, mission.home_altitude_m)
            able = self.capability()
            parts = [(Kind.FENCE, mission.fence_items, able.fence), (Kind.RALLY, mission.rally_items, able.rally)]
            # the mission comes last, so that no new mission ever stands beside an old fence
            for kind, items, can in [*parts, (Kind.MISSION, (home, *mission.items), True)]:
                if not can:
                    continue
                send_list(self._session, kind, items, patience=self._storage, note=lambda t: self._note(t, _INFO))
                held = read_list(self._session, kind)
                first = 1 if kind is Kind.MISSION else 0  # the autopilot rewrites home
                differs = difference(items[first:], held[first:])
                if differs:
                    raise LinkError(f"the {kind.name.lower()} came back changed: {differs}")
            if mission.fence:
                self._enable_fence(mission)
            self._given, self._doubt = mission, False

    def _refuse_upload(self, mission: Mission) -> None:
        able = self.capability()
        limits = able.limits
        if not able.missions or (mission.fence and not able.fence) or (mission.rally and not able.rally):
            raise LinkError(f"upload refused: {'; '.join(able.refusals)}")
        for what, count, most in (
            ("mission items", len(mission.items) + 1, limits.mission_items),
            ("fence corners and circles", len(mission.fence_items), limits.fence_items),
            ("rally points", len(mission.rally), limits.rally_points),
        ):
            if count > most:
                raise LinkError(
                    f"upload refused: {count} {what}, the vehicle holds {most}; nothing on it was changed. Split the flight"
                )
        if not mission.items:
            raise LinkError("upload refused: the mission has no items")
        if self.state().armed and self.state().mode == "AUTO" and not self.state().on_ground:
            raise LinkError("upload refused: the vehicle is flying its mission; pause it or let it land first")
        highest = max((i.altitude_m for i in mission.items if i.place is not None and i.frame == ItemFrame.RELATIVE), default=0.0)
        if mission.fence and int(self.parameter("FENCE_TYPE")) & _CEILING:
            ceiling = self.parameter("FENCE_ALT_MAX")
            if highest > ceiling:
                raise LinkError(
                    f"upload refused: the mission climbs to {highest:g} m, FENCE_ALT_MAX stops the vehicle at {ceiling:g} m; "
                    "plan lower or, where the permit allows it, raise FENCE_ALT_MAX"
                )

    def _enable_fence(self, mission: Mission) -> None:
        kinds = int(self.parameter("FENCE_TYPE"))
        # the round fence about home (FENCE_RADIUS) is not part of a plan and would stop most flights
        wanted: dict[str, float] = {"FENCE_TYPE": (kinds | _POLYGONS) & ~_CIRCLE, "FENCE_ACTION": 1}
        if sum(area.inclusion for area in mission.fence) > 1:
            wanted["FENCE_OPTIONS"] = int(self.parameter("FENCE_OPTIONS")) | _UNION
        for name, value in (wanted | {"FENCE_ENABLE": 1}).items():
            self.set_parameter(name, value)

    def download(self) -> Mission:
        """What the vehicle holds, without the home item in front."""
        with self._session.talk:
            held = {kind: read_list(self._session, kind) for kind in Kind}
        items = held[Kind.MISSION]
        try:
            fence = fence_from_items(held[Kind.FENCE])
        except PlanningError as error:
            raise LinkError(f"the vehicle's fence makes no sense: {error}") from error
        rally = tuple(RallyPoint(LonLat(lon_deg=i.lon_deg, lat_deg=i.lat_deg), i.altitude_m) for i in held[Kind.RALLY])
        home = LonLat(lon_deg=items[0].lon_deg, lat_deg=items[0].lat_deg) if items else self.state().place
        altitude = items[0].altitude_m if items else 0.0
        return Mission("downloaded", 0, home, items[1:], fence, rally, home_altitude_m=altitude)

    def assure(self) -> None:
        """After a lost link: see that the vehicle still holds what was uploaded; raises LinkError when it does not."""
        if self._given is None:
            raise LinkError("no mission was uploaded and verified over this link; upload it first")
        if not self._doubt:
            return
        held = self.download()
        for what, sent, got in (
            ("mission", self._given.items, held.items),
            ("fence", self._given.fence_items, held.fence_items),
            ("rally points", self._given.rally_items, held.rally_items),
        ):
            differs = difference(sent, got)
            if differs:
                raise LinkError(f"after the link was lost the vehicle holds another {what}: {differs}. Upload the mission again")
        self._doubt = False

    # --- flight ---

    def _do(self, command: int, *p: float, what: str, place: tuple[int, int] | None = None) -> None:
        mark = self._said
        if self.capability().autopilot is not Autopilot.ARDUPILOT:
            raise LinkError(f"{what}: {'; '.join(self.capability().refusals)}")
        result = self._session.command(command, *p, what=what, place=place)
        if result:
            time.sleep(0.15)  # the sentence that says why follows the answer
            raise LinkError(f"{what}: {RESULTS.get(result, result)}{self._because(mark)}")

    def _because(self, mark: int) -> str:
        new = list(self._notices)[-(self._said - mark) :] if self._said > mark else []
        said = [n.text for n in new if n.severity <= _WARNING]
        return f" ({'; '.join(dict.fromkeys(said))})" if said else ""

    def _mode(self, name: str) -> None:
        self._do(mav.MAV_CMD_DO_SET_MODE, 1.0, float(_NUMBERS[name]), what=f"mode {name}")
        self._wait(lambda s: s.mode == name, 5.0, f"mode {name}: accepted, but the vehicle did not change to it")

    def _wait(self, reached: Any, timeout_s: float, otherwise: str) -> None:
        until = time.monotonic() + timeout_s
        while not reached(self.state()):
            if time.monotonic() > until:
                raise LinkError(otherwise)
            time.sleep(0.02)

    def arm(self) -> None:
        """Start the motors in GUIDED; waits while the vehicle is not ready, raises LinkError with its reason if it stays so."""
        until = time.monotonic() + self._arm_patience_s
        tries = 0
        while True:
            tries += 1
            try:
                if self.state().mode not in ("GUIDED", "LOITER"):
                    self._mode("GUIDED")
                self._do(mav.MAV_CMD_COMPONENT_ARM_DISARM, 1.0, what="arming")
                self._wait(lambda s: s.armed, 3.0, "arming: accepted, but the motors did not start")
            except LinkError as error:
                if time.monotonic() > until or not self._session.fresh:
                    raise LinkError(f"{error}; given up after {tries} tries in {self._arm_patience_s:g} s") from error
                self._note(f"{error}: trying again", _INFO)
                time.sleep(0.5)
            else:
                return

    def start(self) -> None:
        """Begin the mission that was uploaded and verified; the motors must run."""
        self.assure()
        if not self.state().armed:
            raise LinkError("start: the motors do not run; arm first")
        self._do(mav.MAV_CMD_MISSION_START, what="mission start")
        self._wait(lambda s: s.mode == "AUTO", 5.0, "mission start: accepted, but the vehicle did not change to AUTO")

    def pause(self) -> None:
        """Stop on the path and hold there."""
        self._do(mav.MAV_CMD_DO_PAUSE_CONTINUE, 0.0, what="pause")

    def resume(self) -> None:
        """Go on with the mission, after a pause or from another mode."""
        self.assure()
        if self.state().mode == "AUTO":
            self._do(mav.MAV_CMD_DO_PAUSE_CONTINUE, 1.0, what="resume")
        else:
            self._mode("AUTO")

    def go_to(self, place: LonLat, height: Height) -> None:
        """Fly straight to a place in GUIDED. The vehicle checks its fence at the destination alone: the caller checks the way."""
        if height.datum is not Datum.TAKEOFF:
            raise LinkError(f"go to: heights are given over take-off, not over {height.datum}")
        where = (round(place.lat_deg * 1e7), round(place.lon_deg * 1e7))
        self._do(mav.MAV_CMD_DO_REPOSITION, -1.0, 1.0, 0.0, float("nan"), 0.0, 0.0, height.metres, what="go to", place=where)

    def take_off(self, height: Height) -> None:
        """Climb straight up in GUIDED; the motors must run."""
        self._do(mav.MAV_CMD_NAV_TAKEOFF, 0, 0, 0, 0, 0, 0, height.metres, what="take-off")

    def return_home(self) -> None:
        """Leave the mission, return and land."""
        self._mode("RTL")

    def land(self) -> None:
        """Land here."""
        self._mode("LAND")

    def preflight_parameters(self) -> Mapping[str, float]:
        """The parameters that decide about safety, as the vehicle has them now."""
        names = (
            "FENCE_ENABLE",
            "FENCE_ACTION",
            "FENCE_TYPE",
            "FENCE_ALT_MAX",
            "FENCE_OPTIONS",
            "OA_TYPE",
            "RTL_ALT",
            "WPNAV_SPEED",
        )
        return {name: self.parameter(name) for name in names}

    def close(self) -> None:
        """Hang up."""
        self._session.close()


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).rstrip("\x00")
