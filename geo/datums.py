"""GCJ-02 and BD-09, the two coordinate systems Chinese web maps speak: for display and exchange only, never for sums.

The GCJ-02 offset is the published series on the Krasovsky 1940 ellipsoid; its inverse is found by iteration to 1e-9 degrees.
"""

from __future__ import annotations

import math

import numpy as np

from geo.frames import Floats, LonLat

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


def gcj02_array(lonlat: Floats) -> Floats:
    """WGS 84 `(n, 2)` lon, lat to GCJ-02: what `gcj02` does, for many places at once."""
    x, y = lonlat[:, 0] - 105.0, lonlat[:, 1] - 35.0
    pi = np.pi
    common = (20.0 * np.sin(6.0 * x * pi) + 20.0 * np.sin(2.0 * x * pi)) * 2.0 / 3.0
    lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x)) + common
    lat += (20.0 * np.sin(y * pi) + 40.0 * np.sin(y / 3.0 * pi)) * 2.0 / 3.0
    lat += (160.0 * np.sin(y / 12.0 * pi) + 320.0 * np.sin(y * pi / 30.0)) * 2.0 / 3.0
    lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x)) + common
    lon += (20.0 * np.sin(x * pi) + 40.0 * np.sin(x / 3.0 * pi)) * 2.0 / 3.0
    lon += (150.0 * np.sin(x / 12.0 * pi) + 300.0 * np.sin(x / 30.0 * pi)) * 2.0 / 3.0
    phi = np.radians(lonlat[:, 1])
    m = 1.0 - _E2 * np.sin(phi) ** 2
    moved = lonlat + np.degrees(
        np.column_stack([lon / (_A / np.sqrt(m) * np.cos(phi)), lat / (_A * (1.0 - _E2) / (m * np.sqrt(m)))])
    )
    inside = (np.abs(lonlat[:, 0] - 104.92335) <= 32.91935) & (np.abs(lonlat[:, 1] - 28.3282) <= 27.4989)
    return np.where(inside[:, None], moved, lonlat)


def from_gcj02_array(lonlat: Floats) -> Floats:
    """GCJ-02 `(n, 2)` to WGS 84."""
    guess = lonlat
    for _ in range(12):  # each round is some 300 times closer: 1e-12 degrees after five
        guess = guess + lonlat - gcj02_array(guess)
    return guess


def from_bd09_array(lonlat: Floats) -> Floats:
    """BD-09 `(n, 2)` to WGS 84: the exact inverse of `bd09`, found by iteration."""
    guess = lonlat - np.array([0.0065, 0.006])
    for _ in range(12):
        z = np.hypot(guess[:, 0], guess[:, 1]) + 0.00002 * np.sin(guess[:, 1] * _BD)
        theta = np.arctan2(guess[:, 1], guess[:, 0]) + 0.000003 * np.cos(guess[:, 0] * _BD)
        there = np.column_stack([z * np.cos(theta) + 0.0065, z * np.sin(theta) + 0.006])
        guess = guess + lonlat - there
    return from_gcj02_array(guess)
