"""What the autopilot hears and answers: missions, parameters and commands, as ArduCopter does over MAVLink 2."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mav

from simulator.autopilot.telemetry import MESSAGES, Telemetry
from simulator.missions import Incoming, Kind, Result, Stored
from simulator.motion import Vec
from simulator.vehicle import STEP_S, Mode, Reached, Said, Severity, Vehicle

_STORAGE_S = 1.0  # after switching on, missions cannot be stored yet
_REQUEST_AGAIN_S = 1.0
_MOST_HZ = 50.0
_RATES_HZ = {
    "SYS_STATUS": 2.0,
    "GPS_RAW_INT": 2.0,
    "GLOBAL_POSITION_INT": 10.0,
    "ATTITUDE": 10.0,
    "VFR_HUD": 4.0,
    "MISSION_CURRENT": 4.0,
    "BATTERY_STATUS": 1.0,
    "SYSTEM_TIME": 2.0,
    "EKF_STATUS_REPORT": 1.0,
    "EXTENDED_SYS_STATE": 1.0,
    "MOUNT_STATUS": 2.0,
    "HOME_POSITION": 0.2,
}
_GROUPS = {  # MAV_DATA_STREAM
    1: ("ATTITUDE",),
    2: ("SYS_STATUS", "GPS_RAW_INT", "MISSION_CURRENT", "EKF_STATUS_REPORT"),
    6: ("GLOBAL_POSITION_INT",),
    10: ("ATTITUDE",),
    11: ("VFR_HUD",),
    12: ("SYSTEM_TIME", "BATTERY_STATUS"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A command as either message carries it: places in degrees, NaN where the sender left them open."""

    command: int
    p: tuple[float, float, float, float]
    lat_deg: float
    lon_deg: float
    z: float
    frame: int
    raw5: float = 0.0


class Peer:
    """Someone who listens: an address (UDP) or a connection (TCP), with its own sequence numbers."""

    def __init__(self, send: Callable[[bytes], Any], sysid: int) -> None:
        self._send = send
        self.mav = mav.MAVLink(self, srcSystem=sysid, srcComponent=mav.MAV_COMP_ID_AUTOPILOT1)
        self.mav.robust_parsing = True
        self.heard = time.monotonic()
        self.who = (0, 0)
        self.incoming: Incoming | None = None

    def write(self, data: bytes) -> None:
        """Send a packed message; a full or closed socket loses it, as a radio would."""
        try:
            self._send(data)
        except OSError:
            return


class Autopilot:
    """The wire around a Vehicle."""

    def __init__(self, vehicle: Vehicle, *, sysid: int, speedup: float, epoch: datetime) -> None:
        self.vehicle, self.sysid, self.speedup = vehicle, sysid, speedup
        self.telemetry = Telemetry(vehicle, sysid, int(epoch.timestamp() * 1e6))
        self.peers: dict[Any, Peer] = {}
        self._rates = dict(_RATES_HZ)
        self._due: dict[str, float] = {}
        self._heart = 0.0
        self._gcs: float | None = None
        self._last_heart = (-1, False)
        self._commands = self._command_table()

    # --- time ---

    def live(self, seconds: float, room_s: float) -> float:
        """Let the vehicle live for real `seconds`, sped up, within `room_s` of work; returns the real seconds it has lived."""
        until = time.monotonic() + room_s
        steps = int(seconds * self.speedup / STEP_S)
        for n in range(steps):
            self.vehicle.step()
            if n % 50 == 49 and time.monotonic() > until:
                return (n + 1) * STEP_S / self.speedup
        return steps * STEP_S / self.speedup

    def tell(self, now: float) -> None:
        """Send what is due."""
        v = self.vehicle
        shutter = v.shutter
        for photo in shutter.photos[shutter.sent :]:
            self._all(self.telemetry.camera_feedback(photo))
        shutter.sent = len(shutter.photos)
        while v.events:
            event = v.events.popleft()
            if isinstance(event, Said):
                self._all(mav.MAVLink_statustext_message(int(event.severity), event.text.encode()[:50]))
            elif isinstance(event, Reached):
                self._all(mav.MAVLink_mission_item_reached_message(event.seq))
        heart = (int(v.mode), v.armed)
        if now >= self._heart + 1.0 or heart != self._last_heart:
            self._heart, self._last_heart = now, heart
            self._all(self.telemetry.heartbeat())
        for name, hz in self._rates.items():
            if hz > 0 and now >= self._due.get(name, 0.0):
                self._due[name] = now + max(1.0 / (hz * self.speedup), 1.0 / _MOST_HZ)
                self._all(self.telemetry.named(name))
        for peer in self.peers.values():
            self._ask_again(peer, now)
        limit = v.parameters["FS_GCS_TIMEOUT"]
        if v.parameters["FS_GCS_ENABLE"] and v.armed and self._gcs is not None and now - self._gcs > limit:
            self._gcs = None
            v.failsafe("GCS Failsafe", Mode.RTL)

    def _all(self, message: Any) -> None:
        for peer in self.peers.values():
            peer.mav.send(message)

    def _say(self, text: str, severity: Severity = Severity.WARNING) -> None:
        self.vehicle.say(text, severity)

    # --- what it hears ---

    def hear(self, peer: Peer, data: bytes) -> None:
        """Answer what a peer has sent."""
        peer.heard = time.monotonic()
        for message in peer.mav.parse_buffer(data) or ():
            peer.who = message.get_srcSystem(), message.get_srcComponent()
            kind = message.get_type()
            if getattr(message, "target_system", 0) not in (0, self.sysid):
                continue
            handler = getattr(self, f"_on_{kind.lower()}", None)
            if handler is not None:
                handler(peer, message)

    def _on_heartbeat(self, _peer: Peer, m: Any) -> None:
        if m.type == mav.MAV_TYPE_GCS:
            self._gcs = time.monotonic()

    def _on_set_mode(self, peer: Peer, m: Any) -> None:
        result = self._set_mode(int(m.custom_mode)) if m.base_mode & 1 else mav.MAV_RESULT_DENIED
        peer.mav.command_ack_send(mav.MAVLINK_MSG_ID_SET_MODE, result)

    def _on_request_data_stream(self, _peer: Peer, m: Any) -> None:
        groups = _GROUPS if m.req_stream_id == 0 else {m.req_stream_id: _GROUPS.get(m.req_stream_id, ())}
        for name in (n for names in groups.values() for n in names):
            self._rates[name] = float(m.req_message_rate) if m.start_stop else 0.0

    def _on_param_request_list(self, peer: Peer, _m: Any) -> None:
        for name in self.vehicle.parameters:
            self._send_param(peer, name)

    def _on_param_request_read(self, peer: Peer, m: Any) -> None:
        names = self.vehicle.parameters.names
        name = _text(m.param_id) if m.param_index < 0 else (names[m.param_index] if m.param_index < len(names) else "")
        if name in self.vehicle.parameters:
            self._send_param(peer, name)

    def _on_param_set(self, peer: Peer, m: Any) -> None:
        name = _text(m.param_id)
        if name not in self.vehicle.parameters:
            return
        self.vehicle.parameters.write(name, m.param_value)
        self._send_param(peer, name)  # the value in force, which tells a refusal

    def _send_param(self, peer: Peer, name: str) -> None:
        p = self.vehicle.parameters
        peer.mav.param_value_send(name.encode(), p[name], mav.MAV_PARAM_TYPE_REAL32, len(p), p.names.index(name))

    def _on_set_position_target_global_int(self, _peer: Peer, m: Any) -> None:
        if m.type_mask & 0b111 == 0:
            why = self.vehicle.go_to(self._place(m.lat_int / 1e7, m.lon_int / 1e7, m.alt, m.coordinate_frame))
            if why:
                self._say(why)

    # --- missions, fences, rally points ---

    def _on_mission_count(self, peer: Peer, m: Any) -> None:
        kind = Kind(m.mission_type)
        begun: Incoming | Result = Result.NO_SPACE
        if self.vehicle.t >= _STORAGE_S:
            begun = self.vehicle.store.begin(kind, m.count)
        if isinstance(begun, Result):
            self._ack(peer, kind, begun)
            return
        if begun.count == 0:
            self._clear(peer, kind)
            return
        peer.incoming = begun
        self._ask(peer, begun)

    def _ask(self, peer: Peer, incoming: Incoming) -> None:
        incoming.asked_at = time.monotonic()
        peer.mav.mission_request_int_send(*peer.who, len(incoming.items), int(incoming.kind))

    def _ask_again(self, peer: Peer, now: float) -> None:
        incoming = peer.incoming
        if incoming is None or now - incoming.asked_at < _REQUEST_AGAIN_S:
            return
        incoming.asks += 1
        if incoming.asks > 8:
            peer.incoming = None
            self._say("Mission upload timeout")
            return
        self._ask(peer, incoming)

    def _on_mission_item_int(self, peer: Peer, m: Any) -> None:
        params = (m.param1, m.param2, m.param3, m.param4)
        self._take(peer, m, Stored(m.command, m.frame, params, m.x, m.y, m.z, m.autocontinue))

    def _on_mission_item(self, peer: Peer, m: Any) -> None:
        params = (m.param1, m.param2, m.param3, m.param4)
        if m.current == 2:  # ArduPilot's old "fly here now"
            why = self.vehicle.go_to(self._place(m.x, m.y, m.z, m.frame))
            self._ack(peer, Kind.MISSION, Result.ERROR if why else Result.ACCEPTED)
            return
        self._take(peer, m, Stored(m.command, m.frame, params, round(m.x * 1e7), round(m.y * 1e7), m.z, m.autocontinue))

    def _take(self, peer: Peer, m: Any, item: Stored) -> None:
        incoming = peer.incoming
        if incoming is None or incoming.kind != m.mission_type:
            return
        result = self.vehicle.store.take(incoming, m.seq, item)
        if result is None or result is Result.INVALID_SEQUENCE:
            incoming.asks = 0
            self._ask(peer, incoming)
            return
        peer.incoming = None
        if result is Result.ACCEPTED:
            self.vehicle.lists_changed(incoming.kind)
        self._ack(peer, incoming.kind, result)

    def _ack(self, peer: Peer, kind: Kind, result: Result) -> None:
        peer.mav.mission_ack_send(*peer.who, int(result), int(kind))

    def _clear(self, peer: Peer, kind: Kind) -> None:
        self.vehicle.store.lists[kind] = ()
        self.vehicle.lists_changed(kind)
        self._ack(peer, kind, Result.ACCEPTED)

    def _on_mission_clear_all(self, peer: Peer, m: Any) -> None:
        for kind in Kind if m.mission_type == mav.MAV_MISSION_TYPE_ALL else (Kind(m.mission_type),):
            self._clear(peer, kind)

    def _on_mission_request_list(self, peer: Peer, m: Any) -> None:
        kind = Kind(m.mission_type)
        peer.mav.mission_count_send(*peer.who, len(self._listed(kind)), int(kind))

    def _listed(self, kind: Kind) -> tuple[Stored, ...]:
        items = self.vehicle.store.lists[kind]
        if kind is not Kind.MISSION or not items:
            return items
        lon, lat = self.vehicle.origin.degrees(self.vehicle.home)
        altitude = self.vehicle.origin.altitude_m + self.vehicle.home[2]
        return (Stored(mav.MAV_CMD_NAV_WAYPOINT, 0, (0, 0, 0, 0), round(lat * 1e7), round(lon * 1e7), altitude), *items[1:])

    def _on_mission_request_int(self, peer: Peer, m: Any) -> None:
        items = self._listed(Kind(m.mission_type))
        if m.seq >= len(items):
            self._ack(peer, Kind(m.mission_type), Result.INVALID_SEQUENCE)
            return
        i = items[m.seq]
        current = int(m.mission_type == 0 and m.seq == self.vehicle.current)
        peer.mav.mission_item_int_send(
            *peer.who, m.seq, i.frame, i.command, current, i.autocontinue, *i.params, i.x, i.y, i.z, m.mission_type
        )

    def _on_mission_request(self, peer: Peer, m: Any) -> None:
        items = self._listed(Kind(m.mission_type))
        if m.seq >= len(items):
            self._ack(peer, Kind(m.mission_type), Result.INVALID_SEQUENCE)
            return
        i = items[m.seq]
        place = (i.x / 1e7, i.y / 1e7, i.z)
        peer.mav.mission_item_send(*peer.who, m.seq, i.frame, i.command, 0, i.autocontinue, *i.params, *place, m.mission_type)

    def _on_mission_set_current(self, peer: Peer, m: Any) -> None:
        if self.vehicle.set_current(m.seq):
            self._all(self.telemetry.mission_current())
        else:
            self._ack(peer, Kind.MISSION, Result.INVALID_SEQUENCE)

    # --- commands ---

    def _on_command_long(self, peer: Peer, m: Any) -> None:
        p = (m.param1, m.param2, m.param3, m.param4)
        self._obey(peer, Order(m.command, p, m.param5, m.param6, m.param7, 3, m.param5))

    def _on_command_int(self, peer: Peer, m: Any) -> None:
        p = (m.param1, m.param2, m.param3, m.param4)
        self._obey(peer, Order(m.command, p, m.x / 1e7, m.y / 1e7, m.z, m.frame, m.x))

    def _obey(self, peer: Peer, order: Order) -> None:
        act = self._commands.get(order.command)
        result = act(order) if act else self._do_now(order)
        peer.mav.command_ack_send(order.command, result)
        if order.command == mav.MAV_CMD_REQUEST_MESSAGE and result == mav.MAV_RESULT_ACCEPTED:
            peer.mav.send(self._requested(order))
        if order.command == mav.MAV_CMD_GET_HOME_POSITION:
            peer.mav.send(self.telemetry.home_position())
        if order.command == mav.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES:
            peer.mav.send(self.telemetry.autopilot_version())

    def _command_table(self) -> dict[int, Callable[[Order], int]]:
        v = self.vehicle
        return {
            mav.MAV_CMD_COMPONENT_ARM_DISARM: self._arm,
            mav.MAV_CMD_DO_SET_MODE: lambda o: self._set_mode(int(o.p[1])),
            mav.MAV_CMD_MISSION_START: lambda _: self._refusable(v.start_mission() if v.armed else "Arm: needed before start"),
            mav.MAV_CMD_NAV_TAKEOFF: lambda o: self._refusable(v.take_off(o.z)),
            mav.MAV_CMD_NAV_RETURN_TO_LAUNCH: lambda _: self._set_mode(Mode.RTL),
            mav.MAV_CMD_NAV_LAND: lambda _: self._set_mode(Mode.LAND),
            mav.MAV_CMD_NAV_LOITER_UNLIM: lambda _: self._set_mode(Mode.LOITER),
            mav.MAV_CMD_DO_PAUSE_CONTINUE: self._pause,
            mav.MAV_CMD_DO_REPOSITION: self._reposition,
            mav.MAV_CMD_DO_SET_MISSION_CURRENT: lambda o: _yes(v.set_current(int(o.p[0]))),
            mav.MAV_CMD_DO_FENCE_ENABLE: lambda o: _yes(v.parameters.write("FENCE_ENABLE", 1.0 if o.p[0] else 0.0)),
            mav.MAV_CMD_SET_MESSAGE_INTERVAL: self._set_interval,
            mav.MAV_CMD_REQUEST_MESSAGE: lambda o: _yes(self._requested(o) is not None),
            mav.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES: lambda _: mav.MAV_RESULT_ACCEPTED,
            mav.MAV_CMD_GET_HOME_POSITION: lambda _: mav.MAV_RESULT_ACCEPTED,
        }

    def _refusable(self, why: str | None, code: int = mav.MAV_RESULT_FAILED) -> int:
        if why is None:
            return int(mav.MAV_RESULT_ACCEPTED)
        self._say(why, Severity.CRITICAL)
        return code

    def _arm(self, order: Order) -> int:
        force = order.p[1] in (2989.0, 21196.0)
        return self._refusable(self.vehicle.arm() if order.p[0] == 1 else self.vehicle.disarm(force))

    def _set_mode(self, number: int) -> int:
        if number not in set(Mode):
            self._say(f"No such mode {number}")
            return int(mav.MAV_RESULT_DENIED)
        return self._refusable(self.vehicle.set_mode(Mode(number)))

    def _pause(self, order: Order) -> int:
        return _yes(order.p[0] in (0.0, 1.0) and self.vehicle.pause(order.p[0] == 0.0), mav.MAV_RESULT_FAILED)

    def _reposition(self, order: Order) -> int:
        v = self.vehicle
        if int(order.p[1]) & 1 and v.mode is not Mode.GUIDED:
            why = v.set_mode(Mode.GUIDED)
            if why:
                return self._refusable(why)
        if order.p[0] > 0:
            v.change_speed(order.p[0])
        return self._refusable(v.go_to(self._place(order.lat_deg, order.lon_deg, order.z, order.frame)), mav.MAV_RESULT_DENIED)

    def _place(self, lat_deg: float, lon_deg: float, z: float, frame: int) -> Vec:
        return self.vehicle.place_of(Stored(16, frame, (0, 0, 0, 0), round(lat_deg * 1e7), round(lon_deg * 1e7), z))

    def _set_interval(self, order: Order) -> int:
        name = _message_name(int(order.p[0]))
        if name not in MESSAGES:
            return int(mav.MAV_RESULT_FAILED)
        micros = order.p[1]
        self._rates[name] = 0.0 if micros < 0 else (_RATES_HZ.get(name, 1.0) if micros == 0 else 1e6 / micros)
        return int(mav.MAV_RESULT_ACCEPTED)

    def _requested(self, order: Order) -> Any:
        name = _message_name(int(order.p[0]))
        photos = self.vehicle.shutter.photos
        if name == "CAMERA_IMAGE_CAPTURED":
            index = int(order.p[1])
            return self.telemetry.camera_image_captured(photos[index - 1]) if 1 <= index <= len(photos) else None
        return self.telemetry.named(name)

    def _do_now(self, order: Order) -> int:
        located = bool(order.lat_deg or order.lon_deg)
        at = (round(order.lat_deg * 1e7), round(order.lon_deg * 1e7)) if located and abs(order.lat_deg) <= 90 else (0, 0)
        x = int(order.raw5) if order.command == mav.MAV_CMD_DO_DIGICAM_CONTROL else at[0]
        known = self.vehicle.do(Stored(order.command, order.frame, order.p, x, at[1], order.z))
        return int(mav.MAV_RESULT_ACCEPTED if known else mav.MAV_RESULT_UNSUPPORTED)


def _yes(done: bool, otherwise: int = mav.MAV_RESULT_DENIED) -> int:
    return int(mav.MAV_RESULT_ACCEPTED if done else otherwise)


def _text(value: Any) -> str:
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).rstrip("\x00")


def _message_name(number: int) -> str:
    kind = mav.mavlink_map.get(number)
    return str(kind.msgname) if kind else ""
