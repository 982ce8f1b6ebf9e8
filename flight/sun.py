"""How high the sun stands: for clock windows in which shadows stay short.

Low-precision solar coordinates of the Astronomical Almanac (good to 0.01 degrees from 1950 to 2050), without refraction.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from geo.frames import LonLat
from geo.times import utc

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def elevation_deg(at: datetime, place: LonLat) -> float:
    """Degrees of the sun's middle above the horizon; below 0 at night."""
    days = (utc(at) - _J2000).total_seconds() / 86400.0
    mean_longitude = math.radians((280.460 + 0.9856474 * days) % 360.0)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360.0)
    longitude = mean_longitude + math.radians(1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 0.0000004 * days)
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))
    ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    sidereal = math.radians((280.46061837 + 360.98564736629 * days + place.lon_deg) % 360.0)
    hour_angle = sidereal - ascension
    lat = math.radians(place.lat_deg)
    sine = math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))
