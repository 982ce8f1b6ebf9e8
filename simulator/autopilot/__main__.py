"""`python -m simulator.autopilot`: the sockets, the real time and the command line of the simulated autopilot."""

from __future__ import annotations

import argparse
import selectors
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

from simulator.autopilot.wire import Autopilot, Peer
from simulator.manoeuvres import Origin
from simulator.missions import Kind, Store
from simulator.parameters import Parameters
from simulator.vehicle import Vehicle

_SILENT_S = 15.0  # a UDP address that says nothing for so long is no longer written to
_TICK_S = 0.01
_BEHIND_S = 0.2  # a machine that lags so far makes the vehicle's time slower, it never makes it jump
_VOLTS = 22.2


class Sockets:
    """One listening port, UDP or TCP, and everyone who talks to it."""

    def __init__(self, autopilot: Autopilot, protocol: str, host: str, port: int) -> None:
        self._autopilot, self._udp = autopilot, protocol == "udp"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if self._udp else socket.SOCK_STREAM)
        if not self._udp:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self._socket.setblocking(False)
        if not self._udp:
            self._socket.listen(8)
        self.port: int = self._socket.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)

    def serve(self, wait_s: float) -> None:
        """Hear what arrives within `wait_s`; return early when something did."""
        for key, _ in self._selector.select(wait_s):
            if key.fileobj is not self._socket:
                self._read(key.fileobj)
            elif self._udp:
                self._datagrams()
            else:
                self._accept()
        if self._udp:
            now = time.monotonic()
            for address in [a for a, p in self._autopilot.peers.items() if now - p.heard > _SILENT_S]:
                del self._autopilot.peers[address]

    def _datagrams(self) -> None:
        for _ in range(200):
            try:
                data, address = self._socket.recvfrom(65535)
            except (BlockingIOError, ConnectionError):
                return
            peers = self._autopilot.peers
            if address not in peers:
                peers[address] = Peer(partial(self._send_to, address), self._autopilot.sysid)
            self._autopilot.hear(peers[address], data)

    def _send_to(self, address: Any, data: bytes) -> None:
        self._socket.sendto(data, address)

    def _accept(self) -> None:
        connection, _ = self._socket.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._selector.register(connection, selectors.EVENT_READ)
        self._autopilot.peers[connection] = Peer(connection.sendall, self._autopilot.sysid)

    def _read(self, connection: Any) -> None:
        try:
            data = connection.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._autopilot.hear(self._autopilot.peers[connection], data)
            return
        self._selector.unregister(connection)
        del self._autopilot.peers[connection]
        connection.close()

    def close(self) -> None:
        """Hang up on everyone."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m simulator.autopilot", description="A simulated ArduCopter on MAVLink 2.")
    parser.add_argument("--port", type=int, default=5760, help="port to listen on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--protocol", choices=("tcp", "udp"), default="udp")
    parser.add_argument("--home", default="120.70,28.00", help="LON,LAT in degrees, WGS 84")
    parser.add_argument("--altitude", type=float, default=0.0, help="height of home, metres, as the receiver would give it")
    parser.add_argument("--speedup", type=float, default=1.0)
    parser.add_argument("--sysid", type=int, default=1)
    parser.add_argument("--endurance-s", type=float, default=1800.0, help="hover time of a full battery")
    parser.add_argument("--battery-wh", type=float, default=131.6)
    parser.add_argument("--boot-s", type=float, default=4.0, help="vehicle seconds until it can be armed")
    parser.add_argument("--epoch", default=None, help="calendar time of switching on, ISO 8601 with zone; default: now")
    parser.add_argument("--max-items", type=int, default=700)
    parser.add_argument("--max-fence", type=int, default=84)
    parser.add_argument("--max-rally", type=int, default=46)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="change a parameter's default")
    asked = parser.parse_args(arguments)
    try:
        asked.lon_deg, asked.lat_deg = (float(part) for part in asked.home.split(","))
        asked.parameters = {name: float(value) for name, value in (p.split("=") for p in asked.param)}
        asked.switched_on = datetime.now(UTC) if asked.epoch is None else datetime.fromisoformat(asked.epoch)
    except ValueError as error:
        parser.error(f"--home is LON,LAT, --param NAME=VALUE, --epoch an ISO 8601 time: {error}")
    if not (-180 <= asked.lon_deg <= 180 and -85 <= asked.lat_deg <= 85):
        parser.error(f"--home {asked.home}: longitude comes first, then latitude")
    if asked.speedup <= 0 or asked.endurance_s <= 0 or asked.switched_on.tzinfo is None or not 1 <= asked.sysid <= 254:
        parser.error("--speedup and --endurance-s are greater than 0, --sysid is 1 to 254, --epoch states its time zone")
    return asked


def vehicle_of(asked: argparse.Namespace) -> Vehicle:
    """The vehicle that the command line describes."""
    capacity = asked.battery_wh / _VOLTS * 1000
    battery = {"BATT_CAPACITY": capacity, "BATT_LOW_MAH": capacity * 0.2, "BATT_CRT_MAH": capacity * 0.08}
    parameters = Parameters(battery | {"SYSID_THISMAV": asked.sysid} | asked.parameters)
    store = Store({Kind.MISSION: asked.max_items, Kind.FENCE: asked.max_fence, Kind.RALLY: asked.max_rally})
    origin = Origin(asked.lon_deg, asked.lat_deg, asked.altitude)
    return Vehicle(
        origin, parameters, store, endurance_s=asked.endurance_s, boot_s=asked.boot_s, patience=max(1.0, asked.speedup)
    )


def main(arguments: list[str]) -> int:
    """Run until a signal ends it."""
    asked = options(arguments)
    autopilot = Autopilot(vehicle_of(asked), sysid=asked.sysid, speedup=asked.speedup, epoch=asked.switched_on)
    try:
        sockets = Sockets(autopilot, asked.protocol, asked.host, asked.port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {asked.protocol} port {asked.port}: {error.strerror}; choose another --port\n")
        return 2
    stop: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: stop.append(number))
    sys.stdout.write(f"ready {sockets.port}\n")
    sys.stdout.flush()
    lived = time.monotonic()
    while not stop:
        sockets.serve(_TICK_S)
        now = time.monotonic()
        steps = autopilot.live(now - lived, _BEHIND_S)
        lived = max(lived + steps, now - _BEHIND_S)
        autopilot.tell(now)
    sockets.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
