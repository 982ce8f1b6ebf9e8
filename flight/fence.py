"""The fence of a mission: permitted air around its path, in as few items as the vehicle holds, and never wider than permitted.

The fence is the backstop; the planner alone guarantees the path. So every simplification goes inwards and none may touch the path. Only
a closed place that fits in no other way is fenced up to INNER_M inside its edge, well within the margin that permitted air keeps from zones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import shapely
from shapely.geometry import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from airspace.zones import polygons
from flight.errors import PlanningError
from flight.items import FenceArea
from geo.frames import XY, Frame, LonLat

INNER_M = 6.0
_TUBE_M = 0.5  # at least this much of the clearance of every leg stays inside the fence, for track errors
_REACHES_M = (300.0, 100.0, 50.0, 20.0)
_TOLERANCES_M = (0.2, 0.7, 1.5, 3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Fence:
    """One inclusion polygon, then exclusions; `left_out` closed places inside it found no room in the vehicle."""

    areas: tuple[FenceArea, ...]
    left_out: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a pilot must know of it."""
        if not self.left_out:
            return ()
        return (
            f"the fence has no room for {self.left_out} small closed places: the path keeps clear of them, a hand-flown vehicle may not "
            f"(围栏容量不足，有 {self.left_out} 处小范围禁入区未写入，手动飞行时须自行避让)",
        )


def fence_around(path: Sequence[XY], permitted: Polygon | MultiPolygon, frame: Frame, max_items: int) -> Fence:
    """A fence of at most `max_items` corners and circles together, tried from wide and exact to narrow and coarse.

    Closed places that fit as no exact polygon take a simpler shape that keeps off the path; if there is still no room, the smallest
    are left out and counted. Raises PlanningError where not even the outer ring fits.
    """
    line = LineString([(p.x_m, p.y_m) for p in path]) if len(set(path)) > 1 else Point(path[0].x_m, path[0].y_m)
    tube = polygons(line.buffer(_TUBE_M, quad_segs=2))
    shapely.prepare(tube)
    part = next((p for p in _parts(permitted) if p.covers(line)), None)
    if part is None:
        raise PlanningError("the path leaves permitted air: no fence can be drawn around it")
    holes = [Polygon(ring) for ring in part.interiors]
    shapes: dict[int, tuple[_Shape, ...]] = {}
    best: Fence | None = None
    for reach in _REACHES_M:
        around = tube.convex_hull.simplify(1.0).buffer(reach, join_style="mitre")
        shell = next((p for p in _parts(polygons(Polygon(part.exterior).intersection(around))) if p.covers(line)), None)
        outers = [o for t in _TOLERANCES_M if shell is not None and (o := _inwards(shell, t, tube)) is not None]
        if not outers:
            continue
        outer = next((o for o in outers if 2 * _corners(o) <= max_items), min(outers, key=_corners))
        if _corners(outer) > max_items:
            outer = _trimmed(outer, max_items, tube)
        if _corners(outer) > max_items:
            continue
        inside = [i for i, hole in enumerate(holes) if hole.intersects(outer)]
        for i in inside:
            if i not in shapes:
                shapes[i] = tuple(_shapes(holes[i], tube))
        found = _fitted(outer, [shapes[i] for i in inside], frame, max_items)
        if not found.left_out:
            return found
        if best is None or found.left_out < best.left_out:
            best = found
    if best is None:
        raise PlanningError(
            f"no fence of {max_items} corners holds this path: divide the mission, or use a vehicle with more room"
        )
    return best


@dataclass(frozen=True, slots=True)
class _Shape:
    """One way to write a closed place: a ring, or a circle where `radius_m` is above 0."""

    ring: Polygon
    radius_m: float = 0.0

    @property
    def items(self) -> int:
        return 1 if self.radius_m else _corners(self.ring)

    def area(self, frame: Frame) -> FenceArea:
        if not self.radius_m:
            return _ring_area(self.ring, frame, inclusion=False)
        centre = self.ring.centroid
        return FenceArea(inclusion=False, centre=frame.lonlat(centre.x, centre.y), radius_m=round(self.radius_m, 2))


def _fitted(outer: Polygon, holes: Sequence[tuple[_Shape, ...]], frame: Frame, max_items: int) -> Fence:
    """Every hole in its most exact shape; while there is no room, the step to a simpler shape that saves most; the smallest drop out last."""
    level = [0] * len(holes)
    used = _corners(outer) + sum(shapes[0].items for shapes in holes)
    while used > max_items:
        steps = [(h[level[i]].items - h[level[i] + 1].items, i) for i, h in enumerate(holes) if level[i] + 1 < len(h)]
        if not steps:
            break
        saved, index = max(steps)
        level[index] += 1
        used -= saved
    kept = [shapes[at] for shapes, at in zip(holes, level, strict=True)]
    kept.sort(key=lambda shape: -shape.ring.area)
    left_out = 0
    while used > max_items:
        used -= kept.pop().items
        left_out += 1
    return Fence((_ring_area(outer, frame, inclusion=True), *(shape.area(frame) for shape in kept)), left_out)


def _shapes(hole: Polygon, tube: BaseGeometry) -> Iterator[_Shape]:
    """A hole from exact to simple, each with fewer items than the one before; all but the last hold the whole hole and keep off the path."""
    fewest = _corners(hole)
    exact = _Shape(hole)
    wider = hole.buffer(1.0, join_style="mitre").simplify(0.99)
    if _holds(wider, hole, tube) and _corners(wider) < fewest:
        exact, fewest = _Shape(wider), _corners(wider)
    yield exact
    for ring in (hole.convex_hull.simplify(0.0), hole.convex_hull.buffer(2.0, join_style="mitre").simplify(1.99)):
        if _holds(ring, hole, tube) and _corners(ring) < fewest:
            fewest = _corners(ring)
            yield _Shape(ring)
    radius = float(shapely.minimum_bounding_radius(hole)) + 0.1
    circle = shapely.minimum_bounding_circle(hole)
    if circle.centroid.distance(tube) > radius:
        yield _Shape(circle, radius)
        return
    core = hole.buffer(-INNER_M / 2, join_style="mitre").simplify(INNER_M / 2)
    if isinstance(core, Polygon) and not core.is_empty and _corners(core) < fewest and not core.intersects(tube):
        yield _Shape(Polygon(core.exterior))


def _holds(ring: BaseGeometry, hole: Polygon, tube: BaseGeometry) -> TypeGuard[Polygon]:
    return isinstance(ring, Polygon) and not ring.interiors and ring.covers(hole) and not tube.intersects(ring)


def _parts(outline: Polygon | MultiPolygon) -> tuple[Polygon, ...]:
    return tuple(outline.geoms) if isinstance(outline, MultiPolygon) else (outline,)


def _corners(ring: Polygon) -> int:
    return len(ring.exterior.coords) - 1


def _inwards(ring: Polygon, tolerance: float, tube: BaseGeometry) -> Polygon | None:
    """The part around the path with fewer corners, all inside: shrunk by the tolerance, then simplified by less than that."""
    small = polygons(ring.buffer(-tolerance, join_style="mitre").simplify(tolerance * 0.99))
    part = next((p for p in _parts(small) if p.covers(tube)), None)
    return part if part is not None and ring.covers(part) else None


def _trimmed(outer: Polygon, most: int, tube: BaseGeometry) -> Polygon:
    """Outward corners cut off, the smallest first, while the path stays inside: each cut leaves less than there was."""
    while _corners(outer) > most:
        xy = shapely.get_coordinates(shapely.get_exterior_ring(outer.normalize()))[:-1]  # normal order runs clockwise
        back, on = np.roll(xy, 1, axis=0) - xy, np.roll(xy, -1, axis=0) - xy
        doubled = back[:, 0] * on[:, 1] - back[:, 1] * on[:, 0]
        for index in sorted(np.flatnonzero(doubled > 0), key=lambda i: float(doubled[i])):
            less = Polygon(np.delete(xy, index, axis=0))
            if less.is_valid and outer.covers(less) and less.covers(tube):
                outer = less
                break
        else:
            break
    return outer


def _ring_area(polygon: Polygon, frame: Frame, *, inclusion: bool) -> FenceArea:
    corners = frame.lonlat_array(shapely.get_coordinates(polygon.exterior)[:-1])
    return FenceArea(inclusion, tuple(LonLat(lon_deg=float(lon), lat_deg=float(lat)) for lon, lat in corners))
