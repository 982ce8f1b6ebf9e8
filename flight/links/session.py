"""One MAVLink 2 conversation: a thread that reads, a heartbeat of our own, commands with their answers, and reconnection.

pymavlink's own connections are not used: their TCP spins when the peer is gone, and they speak one version for the whole process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mav

from flight.errors import LinkError
from flight.link import FRESH_S
from flight.links.transport import Transport, check, open_transport

_REOPEN_S = 0.5
_GCS = (255, 190)  # our system and component
RESULTS = {
    0: "accepted",
    1: "temporarily rejected",
    2: "denied",
    3: "unsupported",
    4: "failed",
    5: "in progress",
    6: "cancelled",
    7: "only as COMMAND_LONG",
    8: "only as COMMAND_INT",
}
_IN_PROGRESS = 5


class Inbox:
    """Messages of some kinds, kept while somebody waits for them."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.put: Callable[[Any], None]
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.put = self._queue.put

    def get(self, timeout_s: float, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next message that is wanted, or None after `timeout_s`."""
        until = time.monotonic() + timeout_s
        while True:
            left = until - time.monotonic()
            try:
                message = self._queue.get(timeout=max(left, 0.0)) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                return None
            if wanted(message):
                return message


class Session:
    """Speaks to the first autopilot it hears on `url` (or to `system` alone)."""

    def __init__(
        self,
        url: str,
        *,
        system: int | None,
        on_message: Callable[[Any], None],
        on_contact: Callable[[bool], None],
    ) -> None:
        check(url)
        self.url, self.system = url, system
        self.component = 1
        self.heard_at: float | None = None  # monotonic time of the last heartbeat
        self.trouble = "nothing was heard"
        self.talk = threading.RLock()  # one conversation at a time
        self._on_message, self._on_contact = on_message, on_contact
        self._inboxes: tuple[Inbox, ...] = ()
        self._inbox_lock, self._send_lock = threading.Lock(), threading.Lock()
        self._mav = mav.MAVLink(None, srcSystem=_GCS[0], srcComponent=_GCS[1])
        self._mav.robust_parsing = True
        self._transport: Transport | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"mavlink {url}", daemon=True)

    def start(self) -> None:
        """Begin to listen; apart from construction, so that the owner stands before the first message comes."""
        self._thread.start()

    @property
    def fresh(self) -> bool:
        """Whether a heartbeat came lately."""
        return self.heard_at is not None and time.monotonic() - self.heard_at < FRESH_S

    def close(self) -> None:
        """Hang up."""
        self._closing.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def send(self, message: Any) -> None:
        """Send a message; one that finds no open way is lost, as on a radio."""
        with self._send_lock:
            if self._transport is None:
                return
            try:
                self._transport.send(message.pack(self._mav))
            except OSError as error:
                self.trouble = str(error)

    @contextmanager
    def expect(self, *kinds: str) -> Iterator[Inbox]:
        """Collect messages of these kinds while the block runs."""
        box = Inbox(kinds)
        with self._inbox_lock:
            self._inboxes = (*self._inboxes, box)
        try:
            yield box
        finally:
            with self._inbox_lock:
                self._inboxes = tuple(b for b in self._inboxes if b is not box)

    def require_fresh(self, what: str) -> None:
        """Raise LinkError when the link is stale."""
        if not self.fresh:
            raise LinkError(f"{what}: the link to {self.url} is lost ({self.trouble}); wait until it is back")

    def command(
        self, command: int, *p: float, what: str, place: tuple[int, int] | None = None, frame: int = 6, tries: int = 4
    ) -> int:
        """Send a command until it is answered; returns its MAV_RESULT. `place` (1e-7 degrees lat, lon) makes it a COMMAND_INT."""
        params = [*p, *[0.0] * (7 - len(p))]
        self.require_fresh(what)
        with self.talk, self.expect("COMMAND_ACK") as box:
            for attempt in range(tries):
                target = (self.system or 0, self.component)
                if place is None:
                    message = mav.MAVLink_command_long_message(*target, command, attempt, *params)
                else:
                    message = mav.MAVLink_command_int_message(*target, frame, command, 0, 0, *params[:4], *place, params[6])
                self.send(message)
                answer = box.get(1.5, lambda m: m.command == command)
                while answer is not None and answer.result == _IN_PROGRESS:
                    answer = box.get(10.0, lambda m: m.command == command)
                if answer is not None:
                    return int(answer.result)
        raise LinkError(f"{what}: no COMMAND_ACK for command {command} after {tries} tries on {self.url}")

    def request(self, message_id: int, param: float = 0.0) -> None:
        """Ask for a message once, without waiting for it."""
        target = (self.system or 0, self.component)
        params = (float(message_id), param, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.send(mav.MAVLink_command_long_message(*target, mav.MAV_CMD_REQUEST_MESSAGE, 0, *params))

    # --- the thread ---

    def _read(self) -> None:
        try:
            self._listen()
        finally:
            self._drop()

    def _listen(self) -> None:
        beat = 0.0
        while not self._closing.is_set():
            if self._transport is None and not self._open():
                self._closing.wait(_REOPEN_S)
                continue
            now = time.monotonic()
            if now - beat >= 1.0:
                beat = now
                self.send(
                    mav.MAVLink_heartbeat_message(mav.MAV_TYPE_GCS, mav.MAV_AUTOPILOT_INVALID, 0, 0, mav.MAV_STATE_ACTIVE, 3)
                )
            try:
                data = self._transport.receive(0.1) if self._transport else b""
            except OSError as error:
                self.trouble = str(error)
                self._drop()
                continue
            for message in (self._mav.parse_buffer(data) or ()) if data else ():
                self._hear(message)

    def _open(self) -> bool:
        try:
            self._transport = open_transport(self.url)
        except OSError as error:
            self.trouble = f"{error.strerror or error}"
            return False
        return True

    def _drop(self) -> None:
        with self._send_lock:
            if self._transport is not None:
                self._transport.close()
            self._transport = None

    def _hear(self, message: Any) -> None:
        kind = message.get_type()
        if kind == "BAD_DATA":
            return
        source = message.get_srcSystem()
        if kind == "HEARTBEAT" and message.type != mav.MAV_TYPE_GCS and message.autopilot != mav.MAV_AUTOPILOT_INVALID:
            if self.system is None:
                self.system = source
            if source == self.system:
                first, again = self.heard_at is None, not self.fresh
                self.component = message.get_srcComponent()
                self.heard_at = time.monotonic()
                if again:
                    self._on_contact(first)
        if source != self.system:
            return
        self._on_message(message)
        for box in self._inboxes:
            if kind in box.kinds:
                box.put(message)
