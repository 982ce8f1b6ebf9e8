"""The fleet: what each aircraft can do, and what each kind of autopilot can hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from airspace.papers import AircraftPapers
from flight.errors import PlanningError
from geo.camera import Camera
from geo.frames import LonLat

AircraftId = NewType("AircraftId", str)


class Autopilot(StrEnum):
    """The software that flies the vehicle."""

    ARDUPILOT = "ardupilot"
    PX4 = "px4"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one kind of autopilot holds and understands."""

    mission_items: int
    fence_items: int  # corners and circles together
    rally_points: int
    firmware_type: int  # MAV_AUTOPILOT number, as .plan files carry it
    do_orbit: bool  # MAV_CMD_DO_ORBIT: ArduCopter 4.6 refuses it


# Measured against ArduCopter 4.6.2 on default parameters; PX4 as on common boards.
LIMITS: dict[Autopilot, Limits] = {
    Autopilot.ARDUPILOT: Limits(650, 70, 46, 3, do_orbit=False),
    Autopilot.PX4: Limits(500, 64, 32, 12, do_orbit=True),
}


@dataclass(frozen=True, slots=True)
class Aircraft:
    """One vehicle with its camera. `reserve` is the part of `endurance_s` that no plan may use (0.2 = a fifth)."""

    id: AircraftId
    name: str
    camera: Camera
    cruise_m_s: float
    endurance_s: float
    reserve: float
    link_url: str
    home: LonLat
    autopilot: Autopilot = Autopilot.ARDUPILOT
    max_items: int = 0  # 0: the autopilot's own limit
    max_photos: int = 0  # 0: no limit by the card
    photo_interval_s: float = 0.7  # shortest time between two photos
    mobile: bool = False  # carried to the area by its crew; otherwise it starts from `home` always
    model: str = ""  # its id in `flight.models`; empty: one that is not in the table
    papers: AircraftPapers | None = None  # None: nobody has put them in, and nothing is said of them

    def __post_init__(self) -> None:
        if not self.cruise_m_s > 0 or not self.endurance_s > 0:
            raise PlanningError(
                f"aircraft {self.name}: cruise {self.cruise_m_s} m/s and endurance {self.endurance_s} s must be above 0"
            )
        if not 0.0 <= self.reserve < 1.0:
            raise PlanningError(
                f"aircraft {self.name}: a reserve of {self.reserve} leaves nothing to fly with; give a part below 1"
            )
        if self.max_items == 0:
            object.__setattr__(self, "max_items", self.limits.mission_items)

    @property
    def limits(self) -> Limits:
        """What its autopilot holds."""
        return LIMITS[self.autopilot]

    @property
    def usable_s(self) -> float:
        """Flying time a plan may use on one battery."""
        return self.endurance_s * (1.0 - self.reserve)
