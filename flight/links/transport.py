"""Bytes to and from a vehicle: TCP, UDP or a serial radio, by the URL that ground stations use.

`tcp:HOST:PORT` connects; `udpout:HOST:PORT` speaks first to an address; `udp:HOST:PORT` and `udpin:HOST:PORT` wait for the
vehicle to speak; `serial:DEVICE:BAUD` opens a radio (needs the package pyserial).
"""

from __future__ import annotations

import importlib
import select
import socket
from typing import Any, Protocol

from flight.errors import LinkError

_SPELLINGS = "tcp:HOST:PORT, udpout:HOST:PORT, udp:HOST:PORT (listens) or serial:DEVICE:BAUD"


class Transport(Protocol):
    """A way for bytes. `receive` and `send` raise OSError when it has broken."""

    def send(self, data: bytes) -> None:
        """Send, as far as there is somebody to send to."""
        ...

    def receive(self, timeout_s: float) -> bytes:
        """What has come, or nothing after `timeout_s`."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class _Tcp:
    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(2.0)  # a peer that takes nothing for so long is gone

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, timeout_s: float) -> bytes:
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        data = self._socket.recv(65535)
        if not data:
            raise ConnectionResetError("the vehicle's side closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()


class _Udp:
    def __init__(self, host: str, port: int, *, listen: bool) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._to: tuple[str, int] | None = None if listen else (socket.gethostbyname(host), port)
        if listen:
            self._socket.bind((host, port))
        self._socket.setblocking(False)

    def send(self, data: bytes) -> None:
        if self._to is not None:
            try:
                self._socket.sendto(data, self._to)
            except ConnectionRefusedError:  # nobody listens there yet: UDP says so on the next call
                return

    def receive(self, timeout_s: float) -> bytes:
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        try:
            data, self._to = self._socket.recvfrom(65535)
        except (ConnectionRefusedError, BlockingIOError):
            return b""
        return data

    def close(self) -> None:
        self._socket.close()


class _Serial:
    def __init__(self, device: str, baud: int) -> None:
        try:
            serial: Any = importlib.import_module("serial")
        except ModuleNotFoundError as error:
            raise LinkError(f"serial:{device}: radios on a serial port need the package pyserial; install it") from error
        self._port = serial.Serial(device, baud, timeout=0.05, write_timeout=2.0)

    def send(self, data: bytes) -> None:
        self._port.write(data)

    def receive(self, timeout_s: float) -> bytes:
        self._port.timeout = timeout_s
        return bytes(self._port.read(max(1, self._port.in_waiting)))

    def close(self) -> None:
        self._port.close()


def check(url: str) -> tuple[str, str, int]:
    """(kind, host or device, port or baud) of a URL; raises LinkError for one that cannot be read."""
    kind, _, rest = url.partition(":")
    where, _, number = rest.rpartition(":")
    if kind not in ("tcp", "udp", "udpin", "udpout", "serial") or not where or not number.isdigit():
        raise LinkError(f"vehicle address {url!r} cannot be read: write {_SPELLINGS}")
    return kind, where, int(number)


def open_transport(url: str, timeout_s: float = 2.0) -> Transport:
    """Open the way to a vehicle; raises OSError when it cannot be opened now, LinkError when it never can."""
    kind, where, number = check(url)
    if kind == "tcp":
        return _Tcp(where, number, timeout_s)
    if kind == "serial":
        return _Serial(where, number)
    return _Udp(where, number, listen=kind != "udpout")
