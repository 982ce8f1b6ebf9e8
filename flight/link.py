"""VehicleLink: the door to a vehicle in the field, whatever speaks to it on the other side.

Two adapters keep it: `links.mavlink` (missions, fences, flight) and `links.dronekit` (telemetry and guided flight).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from flight.fleet import Autopilot, Limits
from flight.flightlog import PhotoEvent
from flight.mission import Mission
from geo.frames import LonLat
from geo.heights import Height

FRESH_S = 3.0
"""A link that has brought no heartbeat for so long is stale: well within the five seconds in which it must be known."""


@dataclass(frozen=True, slots=True)
class Capability:
    """What a link and the vehicle behind it can do; `refusals` say why not, one sentence for each thing that is missing."""

    autopilot: Autopilot | None
    firmware: str
    missions: bool
    fence: bool
    rally: bool
    limits: Limits
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VehicleState:
    """The last that is known of a vehicle.

    `at` is the vehicle's own time where it tells one. A stale link (`link_fresh` false) leaves place and height as they were
    last heard and makes `armed` None: nobody knows. `mission_index` counts from 0 in the mission's items, -1 before the
    first; `battery` is the part left, 0 to 1, None if unknown.
    """

    at: datetime
    place: LonLat
    height: Height
    yaw_deg: float
    speed_m_s: float
    mode: str
    armed: bool | None
    battery: float | None
    mission_index: int
    link_fresh: bool
    on_ground: bool | None = None
    paused: bool = False
    satellites: int = 0
    position_good: bool = False  # a three-dimensional fix


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence from the vehicle or about the link; severity as MAVLink counts: 0 emergency … 4 warning … 6 information."""

    at: datetime
    severity: int
    text: str


class VehicleLink(Protocol):
    """What every adapter keeps. All of it may be called from any thread; what fails raises LinkError with its cause."""

    def capability(self) -> Capability:
        """What can be done over this link."""
        ...

    def state(self) -> VehicleState:
        """The last that is known; never blocks and never raises for a lost link."""
        ...

    def upload(self, mission: Mission) -> None:
        """Give the vehicle a mission with fence and rally points, read all of it back and compare.

        Refused before anything on the vehicle is touched when it is too large or flies already.
        """
        ...

    def download(self) -> Mission:
        """What the vehicle holds now."""
        ...

    def assure(self) -> None:
        """After a lost link: see that the vehicle still holds what was uploaded; raises LinkError when it does not."""
        ...

    def arm(self) -> None:
        """Start the motors; waits while the vehicle is not ready and raises with its reason when it stays so."""
        ...

    def start(self) -> None:
        """Begin the mission that was uploaded."""
        ...

    def pause(self) -> None:
        """Stop and hold."""
        ...

    def resume(self) -> None:
        """Go on with the mission after a pause."""
        ...

    def go_to(self, place: LonLat, height: Height) -> None:
        """Leave the mission and fly straight to a place (height over TAKEOFF). The caller has checked the way."""
        ...

    def return_home(self) -> None:
        """Leave the mission, return and land."""
        ...

    def photos(self) -> tuple[PhotoEvent, ...]:
        """All photos heard of since the link was made, in order."""
        ...

    def photo_gaps(self) -> tuple[int, ...]:
        """Indices the vehicle counted but whose events are missing, after asking for them again where that is possible."""
        ...

    def notices(self) -> tuple[Notice, ...]:
        """The latest sentences, oldest first."""
        ...

    def close(self) -> None:
        """Hang up; the vehicle goes on with what it does."""
        ...
