"""GCJ-02 and BD-09, the two coordinate systems Chinese web maps speak: for display and exchange only, never for sums.

The GCJ-02 offset is the published series on the Krasovsky 1940 ellipsoid; its inverse is found by iteration to 1e-9 degrees.
"""

from __future__ import annotations

import math

from geo.frames import LonLat

_A = 6378245.0
_E2 = 0.00669342162296594323
_BD = math.pi * 3000.0 / 180.0


def in_china(place: LonLat) -> bool:
    """Whether the offset applies: outside the box GCJ-02 equals WGS 84."""
    return 72.004 <= place.lon_deg <= 137.8347 and 0.8293 <= place.lat_deg <= 55.8271


def _series(x: float, y: float) -> tuple[float, float]:
    common = (20.0 * math.sin(6.0 * x * math.pi) + 20.0 * math.sin(2.0 * x * math.pi)) * 2.0 / 3.0
    lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x)) + common
    lat += (20.0 * math.sin(y * math.pi) + 40.0 * math.sin(y / 3.0 * math.pi)) * 2.0 / 3.0
    lat += (160.0 * math.sin(y / 12.0 * math.pi) + 320.0 * math.sin(y * math.pi / 30.0)) * 2.0 / 3.0
    lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x)) + common
    lon += (20.0 * math.sin(x * math.pi) + 40.0 * math.sin(x / 3.0 * math.pi)) * 2.0 / 3.0
    lon += (150.0 * math.sin(x / 12.0 * math.pi) + 300.0 * math.sin(x / 30.0 * math.pi)) * 2.0 / 3.0
    return lon, lat


def gcj02(place: LonLat) -> LonLat:
    """WGS 84 to GCJ-02."""
    if not in_china(place):
        return place
    d_lon, d_lat = _series(place.lon_deg - 105.0, place.lat_deg - 35.0)
    phi = math.radians(place.lat_deg)
    m = 1.0 - _E2 * math.sin(phi) ** 2
    return LonLat(
        lon_deg=place.lon_deg + math.degrees(d_lon / (_A / math.sqrt(m) * math.cos(phi))),
        lat_deg=place.lat_deg + math.degrees(d_lat / (_A * (1.0 - _E2) / (m * math.sqrt(m)))),
    )


def from_gcj02(place: LonLat) -> LonLat:
    """GCJ-02 to WGS 84."""
    guess = place
    for _ in range(30):
        there = gcj02(guess)
        guess = LonLat(
            lon_deg=guess.lon_deg + place.lon_deg - there.lon_deg,
            lat_deg=guess.lat_deg + place.lat_deg - there.lat_deg,
        )
    return guess


def bd09(place: LonLat) -> LonLat:
    """WGS 84 to BD-09."""
    g = gcj02(place)
    z = math.hypot(g.lon_deg, g.lat_deg) + 0.00002 * math.sin(g.lat_deg * _BD)
    theta = math.atan2(g.lat_deg, g.lon_deg) + 0.000003 * math.cos(g.lon_deg * _BD)
    return LonLat(lon_deg=z * math.cos(theta) + 0.0065, lat_deg=z * math.sin(theta) + 0.006)
