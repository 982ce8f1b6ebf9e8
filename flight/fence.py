"""The fence of a mission: permitted air around its path, in as few items as the vehicle holds, and never wider than permitted.

The fence is the backstop; the planner alone guarantees the path. So every simplification goes inwards, and none may touch the path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import shapely
from shapely.geometry import LineString, MultiPolygon, Point, Polygon

from airspace.zones import polygons
from flight.errors import PlanningError
from flight.items import FenceArea
from flight.routes import CLEAR_M
from geo.frames import XY, Frame, LonLat

_REACHES_M = (500.0, 200.0, 100.0, 50.0, 20.0, 10.0)
_TOLERANCES_M = (0.3, 1.0, 3.0, 10.0)


def fence_around(path: Sequence[XY], permitted: Polygon | MultiPolygon, frame: Frame, max_items: int) -> tuple[FenceArea, ...]:
    """One inclusion polygon and exclusions for what lies inside it, at most `max_items` corners and circles together.

    Tried from wide and exact to narrow and coarse. Raises PlanningError where none fits.
    """
    line = LineString([(p.x_m, p.y_m) for p in path]) if len(set(path)) > 1 else Point(path[0].x_m, path[0].y_m)
    tube = line.buffer(CLEAR_M * 0.5)
    for reach in _REACHES_M:
        around = (
            tube.simplify(1.0).buffer(reach, quad_segs=2).simplify(reach / 10.0)
            if reach < 100
            else tube.envelope.buffer(reach, join_style="mitre")
        )
        part = _part_with(polygons(permitted.intersection(around)), line)
        if part is None:
            continue
        for tolerance in _TOLERANCES_M:
            outer = _inwards(Polygon(part.exterior), tolerance)
            if outer is None or not outer.covers(tube):
                continue
            areas = _fitted(outer, [Polygon(r) for r in part.interiors], tube, tolerance, frame, max_items)
            if areas is not None:
                return areas
    raise PlanningError(
        f"no fence of {max_items} corners and circles holds this path: divide the mission, or use a vehicle with more room"
    )


def _fitted(
    outer: Polygon, holes: Sequence[Polygon], tube: Polygon, tolerance: float, frame: Frame, max_items: int
) -> tuple[FenceArea, ...] | None:
    """Holes as polygons while there is room; those with the most corners become circles first, where a circle keeps off the path."""
    rings = [_outwards(hole, tolerance, tube) for hole in holes]
    used = len(outer.exterior.coords) - 1 + sum(len(r.exterior.coords) - 1 for r in rings)
    exclusions = {i: _ring_area(ring, frame, inclusion=False) for i, ring in enumerate(rings)}
    for index in sorted(exclusions, key=lambda i: -len(rings[i].exterior.coords)):
        if used <= max_items:
            break
        circle = _circle(holes[index], tube, frame)
        if circle is not None:
            exclusions[index] = circle
            used -= len(rings[index].exterior.coords) - 2
    if used > max_items:
        return None
    return (_ring_area(outer, frame, inclusion=True), *(exclusions[i] for i in sorted(exclusions)))


def _part_with(permitted: Polygon | MultiPolygon, line: LineString | Point) -> Polygon | None:
    parts: Iterator[Polygon] = iter(permitted.geoms if isinstance(permitted, MultiPolygon) else (permitted,))
    return next((p for p in parts if not p.is_empty and p.covers(line)), None)


def _inwards(ring: Polygon, tolerance: float) -> Polygon | None:
    """Fewer corners, all inside: shrunk by the tolerance, then simplified by less than that."""
    small = ring.buffer(-tolerance, join_style="mitre").simplify(tolerance * 0.99)
    if not isinstance(small, Polygon) or small.is_empty or not ring.covers(small):
        return None
    return small


def _outwards(hole: Polygon, tolerance: float, tube: Polygon) -> Polygon:
    """Fewer corners around a hole, where that keeps off the path; the hole itself otherwise."""
    large = hole.buffer(tolerance, join_style="mitre").simplify(tolerance * 0.99)
    if not isinstance(large, Polygon) or not large.covers(hole) or large.intersects(tube):
        return hole
    return Polygon(large.exterior)


def _circle(hole: Polygon, tube: Polygon, frame: Frame) -> FenceArea | None:
    radius = float(shapely.minimum_bounding_radius(hole)) + 0.1
    centre = shapely.minimum_bounding_circle(hole).centroid
    if centre.distance(tube) <= radius:
        return None
    return FenceArea(inclusion=False, centre=frame.lonlat(centre.x, centre.y), radius_m=round(radius, 2))


def _ring_area(polygon: Polygon, frame: Frame, *, inclusion: bool) -> FenceArea:
    corners = frame.lonlat_array(shapely.get_coordinates(polygon.exterior)[:-1])
    return FenceArea(inclusion, tuple(LonLat(lon_deg=float(lon), lat_deg=float(lat)) for lon, lat in corners))
