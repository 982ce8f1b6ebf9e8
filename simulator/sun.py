"""The sun over a made-up town: from where it shines, and how strongly. Where it stands is `geo.sun`'s to say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from geo.frames import LonLat
from geo.sun import direction
from simulator.errors import SimulatorError


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction of the sun, and how much of its light comes through the air.

    `azimuth_deg` clockwise from north, `elevation_deg` over the horizon, `strength` 1 on a clear day and 0 under a closed cloud.
    """

    azimuth_deg: float
    elevation_deg: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 3.0 <= self.elevation_deg <= 90.0:
            raise SimulatorError(
                f"the sun stands at {self.elevation_deg:.1f} degrees: a survey needs daylight (3 degrees or more)"
            )
        if not 0.0 <= self.strength <= 1.0:
            raise SimulatorError(f"sun strength {self.strength} lies outside 0..1")

    @property
    def towards(self) -> tuple[float, float, float]:
        """Unit vector from the ground to the sun: east, north, up."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        across = math.cos(elevation)
        return math.sin(azimuth) * across, math.cos(azimuth) * across, math.sin(elevation)


def sun_at(place: LonLat, at: datetime, strength: float = 1.0) -> Sun:
    """The sun over a place at an instant; raises SimulatorError when it is too low for photos."""
    azimuth, elevation = direction(place, at)
    return Sun(azimuth, elevation, strength)
