"""Heights as aviation writes them, and circles as polygons."""

from __future__ import annotations

import math

import numpy as np
from pyproj import Geod
from shapely.geometry import Polygon

from airspace.errors import AirspaceError
from geo.heights import Datum, Height

FOOT_M = 0.3048
MILE_M = 1852.0
EARTH = Geod(ellps="WGS84")
_CORNERS = 128  # a circle of 5 km is then met within 1.5 m
REFERENCES = {"AGL": Datum.GROUND, "SFC": Datum.GROUND, "AMSL": Datum.SEA_LEVEL, "MSL": Datum.SEA_LEVEL, "WGS84": Datum.ELLIPSOID}


def limit(value: object, unit: object, reference: object) -> Height:
    """A limit of ED-269 or ED-318: a number, M or FT, AGL, AMSL or WGS84. Raises AirspaceError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
        raise AirspaceError(f"高度限值 {value!r} 不是数字 / the limit {value!r} is no number")
    scale = {"M": 1.0, "FT": FOOT_M}.get(str(unit).upper())
    datum = REFERENCES.get(str(reference).upper())
    if scale is None:
        raise AirspaceError(f"高度单位 {unit!r} 应为 M 或 FT / the unit {unit!r} is neither M nor FT")
    if datum is None:
        raise AirspaceError(
            f"高度基准 {reference!r} 应为 AGL、AMSL 或 WGS84 / the vertical reference {reference!r} is none of AGL, AMSL, WGS84"
        )
    return Height(value * scale, datum)


def circle(lon: float, lat: float, radius_m: float, *, around: bool) -> Polygon:
    """A circle on the earth as a polygon, WGS 84: `around` it (for air that is closed), else inside it (for air that is open)."""
    if not 0 < radius_m <= 1_000_000:
        raise AirspaceError(
            f"半径 {radius_m} 米应大于 0 且不超过 1000 公里 / the radius {radius_m} m is not above 0 and at most 1,000 km"
        )
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise AirspaceError(f"圆心 {lon}, {lat} 不是经纬度 / the centre {lon}, {lat} is no longitude and latitude")
    reach = radius_m / math.cos(math.pi / _CORNERS) if around else radius_m
    bearings = np.linspace(0.0, -360.0, _CORNERS, endpoint=False)  # anticlockwise, as RFC 7946 wants rings
    lons, lats, _ = EARTH.fwd(np.full(_CORNERS, lon), np.full(_CORNERS, lat), bearings, np.full(_CORNERS, reach))
    return Polygon(np.column_stack([lons, lats]))
