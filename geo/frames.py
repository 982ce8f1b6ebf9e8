"""Places: longitude and latitude for the world, one metric frame per area for all sums.

WGS 84 and CGCS2000 differ by centimetres; PROJ holds the step between them for a null ("ballpark") transform, so it is one here
too, and every area states the EPSG code it works in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from geo.errors import GeoError

Floats = NDArray[np.float64]
Shapes = NDArray[np.object_]
Geometry = TypeVar("Geometry", bound=BaseGeometry)


@dataclass(frozen=True, slots=True, kw_only=True)
class LonLat:
    """A place in degrees, WGS 84. Keywords only, so that the two cannot be swapped."""

    lon_deg: float
    lat_deg: float

    def __post_init__(self) -> None:
        if not (-180.0 <= self.lon_deg <= 180.0 and -90.0 <= self.lat_deg <= 90.0):
            raise GeoError(f"no such place: longitude {self.lon_deg}, latitude {self.lat_deg} (are the two swapped?)")


@dataclass(frozen=True, slots=True)
class XY:
    """A place in an area's metric frame: metres east and north."""

    x_m: float
    y_m: float


@lru_cache(maxsize=64)
def _transformer(source: int, target: int) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)  # EPSG:4549 says northing first


@lru_cache(maxsize=256)
def _counts_in_metres(epsg: int) -> bool:
    crs = CRS.from_epsg(epsg)
    return bool(crs.is_projected and crs.axis_info[0].unit_name == "metre")


@dataclass(frozen=True, slots=True)
class Frame:
    """A metric coordinate reference system, x east and y north, in metres."""

    epsg: int

    def __post_init__(self) -> None:
        if not _counts_in_metres(self.epsg):
            raise GeoError(f"EPSG:{self.epsg} does not count in metres: an area needs a projected frame")

    def xy(self, place: LonLat) -> XY:
        """Metres of a place."""
        x, y = _transformer(4326, self.epsg).transform(place.lon_deg, place.lat_deg)
        return XY(float(x), float(y))

    def lonlat(self, x_m: float, y_m: float) -> LonLat:
        """Degrees of a place."""
        lon, lat = _transformer(self.epsg, 4326).transform(x_m, y_m)
        return LonLat(lon_deg=float(lon), lat_deg=float(lat))

    def xy_array(self, lonlat: Floats) -> Floats:
        """Degrees `(n, 2)` lon, lat to metres `(n, 2)` x, y."""
        x, y = _transformer(4326, self.epsg).transform(lonlat[:, 0], lonlat[:, 1])
        return np.column_stack([x, y])

    def lonlat_array(self, xy: Floats) -> Floats:
        """Metres `(n, 2)` x, y to degrees `(n, 2)` lon, lat."""
        lon, lat = _transformer(self.epsg, 4326).transform(xy[:, 0], xy[:, 1])
        return np.column_stack([lon, lat])

    def to_metres(self, geometry: Geometry) -> Geometry:
        """A shapely geometry in degrees, moved into this frame."""
        return _moved(geometry, _transformer(4326, self.epsg))

    def to_metres_array(self, geometries: Shapes) -> Shapes:
        """Shapely geometries `(n,)` in degrees, moved into this frame."""
        return _moved_array(geometries, _transformer(4326, self.epsg))

    def to_degrees_array(self, geometries: Shapes) -> Shapes:
        """Shapely geometries `(n,)` of this frame, moved into WGS 84 degrees."""
        return _moved_array(geometries, _transformer(self.epsg, 4326))

    def to_degrees(self, geometry: Geometry) -> Geometry:
        """A shapely geometry of this frame, moved into WGS 84 degrees."""
        return _moved(geometry, _transformer(self.epsg, 4326))


def _moved(geometry: Geometry, transformer: Transformer) -> Geometry:
    def move(coordinates: Floats) -> Floats:
        return np.column_stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]))

    return shapely.transform(geometry, move)


def _moved_array(geometries: Shapes, transformer: Transformer) -> Shapes:
    moved: Shapes = shapely.transform(geometries, lambda c: np.column_stack(transformer.transform(c[:, 0], c[:, 1])))
    return moved


def metric_frame(place: LonLat) -> Frame:
    """The frame an area at this place works in.

    CGCS2000 / 3-degree Gauss-Kruger by central meridian in China (EPSG:4534 is CM 75E, 4549 is CM 120E), UTM on WGS 84 elsewhere.
    """
    if 73.5 <= place.lon_deg <= 135.5 and 17.0 <= place.lat_deg <= 54.0:
        return Frame(4534 + round((min(max(place.lon_deg, 75.0), 135.0) - 75.0) / 3.0))
    zone = min(int((place.lon_deg + 180.0) // 6.0) + 1, 60)
    return Frame((32600 if place.lat_deg >= 0 else 32700) + zone)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a camera stood and how it looked, in a metric frame.

    `rotation` is the 3 x 3 matrix world-to-camera, row by row; the camera looks along +z with x right and y down (as OpenCV and
    COLMAP have it). `z_m` is metres over the datum that its block states.
    """

    x_m: float
    y_m: float
    z_m: float
    rotation: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rotation) != 9:
            raise GeoError("a pose's rotation has nine numbers, row by row")

    @property
    def centre(self) -> Floats:
        """Camera centre `(3,)` in metres."""
        return np.array([self.x_m, self.y_m, self.z_m])

    @property
    def matrix(self) -> Floats:
        """World-to-camera rotation `(3, 3)`."""
        return np.array(self.rotation).reshape(3, 3)

    @property
    def off_nadir_deg(self) -> float:
        """Angle between the optical axis and straight down."""
        return math.degrees(math.acos(min(1.0, max(-1.0, -self.rotation[8]))))

    @staticmethod
    def looking(x_m: float, y_m: float, z_m: float, *, yaw_deg: float, pitch_deg: float, roll_deg: float = 0.0) -> Pose:
        """A gimballed camera: yaw clockwise from north, pitch -90 straight down, 0 the horizon."""
        yaw, pitch, roll = (math.radians(a) for a in (yaw_deg, pitch_deg, roll_deg))
        forward = np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
        right = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
        down = np.cross(forward, right)
        cr, sr = math.cos(roll), math.sin(roll)
        rows = np.array([cr * right + sr * down, cr * down - sr * right, forward])
        return Pose(x_m, y_m, z_m, tuple(float(v) for v in rows.ravel()))
