"""The fleet as it is now: a link to each aircraft, kept alive, and what each is doing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flight.errors import FlightError
from flight.fleet import Aircraft
from flight.link import VehicleLink, VehicleState
from patrol import repositories
from patrol.wiring import Workplace

log = logging.getLogger(__name__)
RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One aircraft, what is known of it (None: never heard), and the mission it is given."""

    aircraft: Aircraft
    state: VehicleState | None
    mission_name: str | None
    activity: str  # idle, preparing, flying, returning, lost, offline


def aircraft_of(work: Workplace) -> tuple[Aircraft, ...]:
    """The fleet as it is in the store."""
    with work.database.read() as session:
        return repositories.aircraft.where(session)


class FleetWatch:
    """Holds one link per aircraft in a thread of its own each; `start` and `stop` bracket its life."""

    def __init__(self, work: Workplace) -> None:
        self._work = work
        self._links: dict[str, VehicleLink] = {}
        self._missions: dict[str, tuple[str, str]] = {}  # aircraft id -> (mission name, preparing | flying)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look for the fleet."""
        self._thread = threading.Thread(target=self._look, name="fleet-watch", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until every aircraft with an address has answered, or the time is over."""
        wanted = {a.id for a in aircraft_of(self._work) if a.link_url}
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all(self._good(i) for i in wanted):
            time.sleep(0.1)

    def _good(self, aircraft_id: str) -> bool:
        link = self.link(aircraft_id)
        return link is not None and link.state().position_good

    def stop(self) -> None:
        """Hang up everywhere."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)
        with self._lock:
            links, self._links = list(self._links.values()), {}
        for link in links:
            link.close()

    @property
    def ended(self) -> bool:
        """Whether the watch was stopped."""
        return self._end.is_set()

    def link(self, aircraft_id: str) -> VehicleLink | None:
        """The link to an aircraft, None while there is none."""
        with self._lock:
            return self._links.get(aircraft_id)

    def sightings(self) -> tuple[Sighting, ...]:
        """Every aircraft of the store and what is known of it now."""
        seen = []
        for aircraft in aircraft_of(self._work):
            link = self.link(aircraft.id)
            state = link.state() if link is not None else None
            with self._lock:
                mission, phase = self._missions.get(aircraft.id, (None, ""))
            seen.append(Sighting(aircraft, state, mission, _activity(state, phase)))
        return tuple(seen)

    @contextmanager
    def engaged(self, aircraft_id: str, mission_name: str) -> Iterator[None]:
        """Mark an aircraft as taken for a mission; raises FlightError when it is taken already."""
        with self._lock:
            if aircraft_id in self._missions:
                raise FlightError(f"aircraft {aircraft_id} is taken by {self._missions[aircraft_id][0]}")
            self._missions[aircraft_id] = (mission_name, "flying")
        try:
            yield
        finally:
            with self._lock:
                self._missions.pop(aircraft_id, None)

    def _look(self) -> None:
        while not self._end.is_set():
            for aircraft in aircraft_of(self._work):
                if aircraft.link_url and self.link(aircraft.id) is None and not self._end.is_set():
                    self._call(aircraft)
            self._end.wait(RETRY_S)

    def _call(self, aircraft: Aircraft) -> None:
        try:
            link = self._work.vehicle(aircraft.link_url)
        except FlightError as err:
            log.info("%s does not answer at %s: %s", aircraft.name, aircraft.link_url, err)
            return
        with self._lock:
            self._links[aircraft.id] = link


def _activity(state: VehicleState | None, phase: str) -> str:
    if state is None:
        return "offline"
    if not state.link_fresh:
        return "lost"
    if state.armed:
        return "returning" if state.mode.upper() in {"RTL", "LAND", "SMART_RTL"} else "flying"
    return "preparing" if phase else "idle"
