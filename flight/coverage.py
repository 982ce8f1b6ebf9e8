"""Survey lines (航线) over an area, on a grid of photo stations that belongs to the area and never moves.

Rows and stations follow from the area's outline, the camera, height and overlaps alone. Permitted air only takes stations away, so the
next cycle takes its photos at the same places, and a new zone moves nothing that lies outside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from airspace.zones import polygons
from flight.errors import PlanningError
from flight.routes import ROOM_M
from geo.area import Area
from geo.camera import Camera
from geo.frames import XY
from geo.heights import Datum, Height

OVERRUN_M = 2.0  # flown on behind the last station, so that its photo is taken before the turn begins
_MOST_ROWS = 5000
_TURN_METRES = 80.0  # what one more line costs, in metres flown: two corners at 10 m/s and the way across
_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class SurveyLine:
    """One pass over a row of stations, `first` to `last` (both flown), every `trigger_m` metres; places in metres of the area's frame."""

    row: int
    first: int
    last: int
    start: XY
    end: XY
    trigger_m: float
    height: Height

    @property
    def id(self) -> str:
        """The same in every cycle while its ends are: row and first station."""
        return f"R{self.row:03d}/{self.first:+05d}"

    @property
    def photos(self) -> int:
        """Stations on it."""
        return self.last - self.first + 1

    @property
    def length_m(self) -> float:
        """Metres from the first station to the last."""
        return (self.last - self.first) * self.trigger_m

    def station(self, index: int) -> XY:
        """The place of one of its stations."""
        part = (index - self.first) / max(1, self.last - self.first)
        return XY(
            self.start.x_m + part * (self.end.x_m - self.start.x_m), self.start.y_m + part * (self.end.y_m - self.start.y_m)
        )

    def halves(self) -> tuple[SurveyLine, SurveyLine]:
        """The line in two, no station lost; raises PlanningError for a line of one station."""
        if self.photos < 2:
            raise PlanningError(f"line {self.id} has one station and cannot be divided")
        middle = (self.first + self.last) // 2
        a, b = self.station(middle), self.station(middle + 1)
        return (
            SurveyLine(self.row, self.first, middle, self.start, a, self.trigger_m, self.height),
            SurveyLine(self.row, middle + 1, self.last, b, self.end, self.trigger_m, self.height),
        )


@dataclass(frozen=True, slots=True)
class Lattice:
    """The stations of an area: rows along `course_deg` (clockwise from north), `spacing_m` apart, stations every `trigger_m` on them.

    `centre` is the middle of the area; row and station numbers count from it. `(t, w)` are metres along and across, from `centre`.
    """

    centre: XY
    course_deg: float
    spacing_m: float
    trigger_m: float
    middle_w_m: float
    rows: int

    def turned(self, shape: BaseGeometry) -> BaseGeometry:
        """A shape of the frame in (t, w)."""
        sin, cos = self._axis
        x, y = self.centre.x_m, self.centre.y_m
        return affinity.affine_transform(shape, [sin, cos, cos, -sin, -(sin * x + cos * y), -(cos * x - sin * y)])

    def place(self, t_m: float, w_m: float) -> XY:
        """(t, w) in metres of the frame."""
        sin, cos = self._axis
        return XY(self.centre.x_m + t_m * sin + w_m * cos, self.centre.y_m + t_m * cos - w_m * sin)

    def w_m(self, row: int) -> float:
        """Where a row lies."""
        return self.middle_w_m + (row - (self.rows - 1) / 2.0) * self.spacing_m

    @property
    def _axis(self) -> tuple[float, float]:
        angle = math.radians(self.course_deg)
        return math.sin(angle), math.cos(angle)


def lines(
    area: Area,
    camera: Camera,
    *,
    permitted: Polygon | MultiPolygon,
    gsd_m: float | None = None,
    height: Height | None = None,
    overlap_forward: float = 0.8,
    overlap_side: float = 0.7,
    angle_deg: float | None = None,
    turn_m: float = OVERRUN_M,
    within: Polygon | MultiPolygon | None = None,
) -> tuple[SurveyLine, ...]:
    """All lines that cover the area as far as permitted air (metres of the area's frame) allows; of them only the stations that help
    `within`, a part of the area to be flown again: those that stand over it or half a photo beside it.

    Give `gsd_m` or `height` (over GROUND); without either the area's own gsd counts. `angle_deg` is the course of the rows, clockwise from
    north; None takes the area's best. Line ends keep `turn_m` from the edge of permitted air along the row. Raises PlanningError.
    """
    height = flying_height(area, camera, gsd_m, height)
    lattice = lattice_of(area.outline_m, camera, height, overlap_forward, overlap_side, angle_deg)
    turn_m = max(turn_m, OVERRUN_M)
    wanted = lattice.turned(area.outline_m if within is None else _helping(area, within, camera, height))
    free = lattice.turned(polygons(permitted.buffer(-ROOM_M, join_style="mitre")))
    shapely.prepare(wanted)
    made: list[SurveyLine] = []
    for row in range(lattice.rows):
        w = lattice.w_m(row)
        flyable = _along(free, w)
        for low, high in _wanted_stations(wanted, lattice, w):
            for a, b in flyable:
                first = max(low, math.ceil((a + turn_m) / lattice.trigger_m - _EPS))
                last = min(high, math.floor((b - turn_m) / lattice.trigger_m + _EPS))
                if last >= first:
                    start, end = lattice.place(first * lattice.trigger_m, w), lattice.place(last * lattice.trigger_m, w)
                    made.append(SurveyLine(row, first, last, start, end, lattice.trigger_m, height))
    if not made:
        raise PlanningError(f"area {area.name}: no line fits into permitted air; see the clearance of the area for the reasons")
    return tuple(made)


def _helping(area: Area, within: Polygon | MultiPolygon, camera: Camera, height: Height) -> Polygon | MultiPolygon:
    """Where stations stand whose photos show `within`; raises PlanningError when it lies beside the area."""
    reach_m = min(camera.footprint_m(height.metres)) / 2.0
    helping = polygons(within.buffer(reach_m, join_style="mitre").intersection(area.outline_m))
    if within.is_empty or helping.is_empty:
        raise PlanningError(f"area {area.name}: the part to be flown again lies outside the area")
    return helping


def flying_height(area: Area, camera: Camera, gsd_m: float | None = None, height: Height | None = None) -> Height:
    """The height over ground to fly at; raises PlanningError for one that is given twice, on another datum, or not above 0."""
    if height is not None and gsd_m is not None:
        raise PlanningError("give gsd_m or height, not both: one follows from the other")
    height = height or Height(camera.height_for_gsd_m(gsd_m or area.gsd_m), Datum.GROUND)
    if height.datum != Datum.GROUND or not height.metres > 0:
        raise PlanningError(f"lines are flown at a height above 0 m over GROUND, not {height.metres} m over {height.datum}")
    return height


def lattice_of(
    outline_m: Polygon | MultiPolygon,
    camera: Camera,
    height: Height,
    overlap_forward: float,
    overlap_side: float,
    angle_deg: float | None,
) -> Lattice:
    """The stations that belong to an outline (metres): rows centred on it, so that no strip at the edge is missed."""
    for name, overlap in (("forward", overlap_forward), ("side", overlap_side)):
        if not 0.0 <= overlap < 0.95:
            raise PlanningError(f"a {name} overlap of {overlap} is not possible: give a part from 0 up to 0.95")
    across_m, along_m = camera.footprint_m(height.metres)
    spacing_m, trigger_m = across_m * (1.0 - overlap_side), along_m * (1.0 - overlap_forward)
    if angle_deg is None:
        return min((_laid(outline_m, a, spacing_m, trigger_m) for a in _courses(outline_m)), key=lambda x: _cost_m(outline_m, x))
    return _laid(outline_m, angle_deg % 180.0, spacing_m, trigger_m)


def _laid(outline_m: Polygon | MultiPolygon, course_deg: float, spacing_m: float, trigger_m: float) -> Lattice:
    west, south, east, north = outline_m.bounds
    bare = Lattice(XY((west + east) / 2, (south + north) / 2), course_deg, spacing_m, trigger_m, 0.0, 1)
    _, low, _, high = bare.turned(outline_m).bounds
    rows = max(1, math.ceil((high - low) / spacing_m - _EPS))
    if rows > _MOST_ROWS:
        raise PlanningError(f"{rows:,} rows {spacing_m:.2f} m apart: fly higher, overlap less, or divide the area")
    return Lattice(bare.centre, course_deg, spacing_m, trigger_m, (low + high) / 2.0, rows)


def _courses(outline_m: Polygon | MultiPolygon) -> tuple[float, ...]:
    """Courses worth trying: along each side of the hull, where the fewest rows of a convex area lie (rotating calipers)."""
    corners: NDArray[np.float64] = shapely.get_coordinates(outline_m.convex_hull.simplify(1.0))
    sides = np.diff(corners, axis=0)
    courses = np.round(np.degrees(np.arctan2(sides[:, 0], sides[:, 1])) % 180.0, 2) % 180.0
    return tuple(sorted(set(courses.tolist())))


def _cost_m(outline_m: Polygon | MultiPolygon, lattice: Lattice) -> float:
    """Metres flown over the whole outline, each line's turn counted as metres; rounded so that ties fall the same way always."""
    shape = lattice.turned(outline_m)
    parts = [(a, b) for row in range(lattice.rows) for a, b in _wanted_stations(shape, lattice, lattice.w_m(row))]
    return round(sum((b - a) * lattice.trigger_m + _TURN_METRES for a, b in parts), 0)


def _wanted_stations(shape: BaseGeometry, lattice: Lattice, w: float) -> tuple[tuple[int, int], ...]:
    """Station ranges of one row: the whole strip half way to its neighbours, rounded outwards; short gaps are flown through."""
    west, _, east, _ = shape.bounds
    half = lattice.spacing_m / 2.0
    strip = polygons(shape.intersection(box(west - 1.0, w - half, east + 1.0, w + half)))
    parts = strip.geoms if isinstance(strip, MultiPolygon) else (strip,)
    spans = sorted((p.bounds[0], p.bounds[2]) for p in parts if not p.is_empty and p.area > _EPS)
    ranges: list[tuple[int, int]] = []
    for a, b in spans:
        low, high = math.floor(a / lattice.trigger_m + _EPS), math.ceil(b / lattice.trigger_m - _EPS)
        if ranges and (low - ranges[-1][1]) * lattice.trigger_m <= _TURN_METRES:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], high))
        else:
            ranges.append((low, high))
    return tuple(ranges)


def _along(free: BaseGeometry, w: float) -> tuple[tuple[float, float], ...]:
    """Stretches of one row inside free air."""
    if free.is_empty:
        return ()
    west, _, east, _ = free.bounds
    cut = free.intersection(LineString([(west - 1.0, w), (east + 1.0, w)]))
    parts = getattr(cut, "geoms", (cut,))
    return tuple(sorted((p.bounds[0], p.bounds[2]) for p in parts if isinstance(p, LineString) and not p.is_empty))
