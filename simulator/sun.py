"""Where the sun stands, by date, time and place.

The equations are those of NOAA's solar calculator (after Meeus, Astronomical Algorithms); good to about 0.1 degree, and without
refraction, which matters only near the horizon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from geo.frames import LonLat
from geo.times import utc
from simulator.errors import SimulatorError

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


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


def direction(place: LonLat, at: datetime) -> tuple[float, float]:
    """(azimuth, elevation) of the sun in degrees; the elevation is negative at night."""
    days = (utc(at) - _J2000).total_seconds() / 86400.0
    century = days / 36525.0
    mean_longitude = (280.46646 + century * (36000.76983 + century * 0.0003032)) % 360.0
    anomaly = math.radians(357.52911 + century * (35999.05029 - 0.0001537 * century))
    centre = (
        math.sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + math.sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + math.sin(3 * anomaly) * 0.000289
    )
    node = math.radians(125.04 - 1934.136 * century)
    longitude = math.radians(mean_longitude + centre - 0.00569 - 0.00478 * math.sin(node))
    obliquity = math.radians(23.4392911 - 0.0130042 * century + 0.00256 * math.cos(node))
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))
    ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    sidereal_deg = (280.46061837 + 360.98564736629 * days + place.lon_deg) % 360.0
    hour = math.radians(sidereal_deg) - ascension
    latitude = math.radians(place.lat_deg)
    up = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(hour)
    east = -math.cos(declination) * math.sin(hour)
    north = math.cos(latitude) * math.sin(declination) - math.sin(latitude) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def sun_at(place: LonLat, at: datetime, strength: float = 1.0) -> Sun:
    """The sun over a place at an instant; raises SimulatorError when it is too low for photos."""
    azimuth, elevation = direction(place, at)
    return Sun(azimuth, elevation, strength)
