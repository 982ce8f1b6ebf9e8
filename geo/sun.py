"""Where the sun stands, by date, time and place.

The equations are those of NOAA's solar calculator (after Meeus, Astronomical Algorithms); good to about 0.1 degree, and without
refraction, which matters only near the horizon.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from geo.frames import LonLat
from geo.times import utc

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


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


def elevation_deg(at: datetime, place: LonLat) -> float:
    """Degrees of the sun's middle above the horizon; below 0 at night."""
    return direction(place, at)[1]
