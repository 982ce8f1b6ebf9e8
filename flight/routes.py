"""Routes that stay inside permitted air: a visibility graph over its inward corners, searched lazily.

Metres of one frame throughout. Every leg of a route keeps CLEAR_M from the edge of the permitted polygon, so that rounding to 1e-7
degrees (1 cm) and the bow between a straight line on the ground and in the frame (1 cm on 1 km) never carry it outside.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Point, Polygon

from airspace.zones import polygons
from flight.errors import PlanningError
from geo.frames import XY

CLEAR_M = 2.0
_CORNER_TOLERANCE_M = 1.0  # corners come from a simplified outline: fewer of them, and routes stay short within centimetres
_CORE_M = CLEAR_M + _CORNER_TOLERANCE_M + 0.1  # simplified, it still keeps CLEAR_M
ROOM_M = _CORE_M + _CORNER_TOLERANCE_M + 0.4  # what lines keep: their ends lie inside the simplified outline


class Airway:
    """Permitted air made ready for routing. Corners are found once; who sees whom is worked out as the search asks for it."""

    def __init__(self, permitted: Polygon | MultiPolygon) -> None:
        if permitted.is_empty:
            raise PlanningError("no permitted air is left: load the authority's suitable zones, or ask for a permit")
        self.permitted = permitted
        self.free = polygons(permitted.buffer(-CLEAR_M, join_style="mitre"))
        self.roomy = polygons(permitted.buffer(-ROOM_M, join_style="mitre"))
        shapely.prepare(self.free)
        core = polygons(permitted.buffer(-_CORE_M, join_style="mitre").simplify(_CORNER_TOLERANCE_M))
        self._parts = tuple(core.geoms) if isinstance(core, MultiPolygon) else (core,)
        corners, sides = _inward_corners(core)
        inside = shapely.covers(self.free, shapely.points(corners)) if len(corners) else np.zeros(0, dtype=bool)
        self._corners, self._sides = corners[inside], sides[inside]
        self._seen = np.full((len(self._corners), len(self._corners)), -1, dtype=np.int8)
        self._legs: dict[tuple[XY, XY], tuple[XY, ...]] = {}
        self._lengths: dict[tuple[XY, XY], float] = {}

    def holds(self, place: XY) -> bool:
        """Whether a vehicle may be here."""
        return bool(shapely.covers(self.free, Point(place.x_m, place.y_m)))

    def straight(self, start: XY, end: XY) -> bool:
        """Whether the straight leg between two places stays inside."""
        return bool(shapely.covers(self.free, LineString([(start.x_m, start.y_m), (end.x_m, end.y_m)])))

    def part(self, place: XY) -> int:
        """Which of the parts of the air, not joined by a passage wide enough to fly, is nearest to a place."""
        if len(self._parts) == 1:
            return 0
        return int(np.argmin(shapely.distance(np.array(self._parts), Point(place.x_m, place.y_m))))

    def require(self, place: XY, what: str) -> None:
        """Raise PlanningError, with the distance to go, when a place lies outside."""
        if not self.holds(place):
            metres = shapely.distance(self.free, Point(place.x_m, place.y_m))
            raise PlanningError(
                f"{what} lies {metres:.0f} m outside the air that may be used: choose another place or ask for a permit"
            )

    def route(self, start: XY, end: XY) -> tuple[XY, ...]:
        """The shortest way, both ends included; raises PlanningError where the air between is not connected."""
        key = (start, end)
        if key not in self._legs:
            self._legs[key] = way = (start, end) if self.straight(start, end) else self._around(start, end)
            self._legs[end, start] = way[::-1]
        return self._legs[key]

    def length_m(self, start: XY, end: XY) -> float:
        """Metres along the shortest way."""
        key = (start, end)
        if key not in self._lengths:
            self._lengths[key] = self._lengths[end, start] = length_m(self.route(start, end))
        return self._lengths[key]

    def _around(self, start: XY, end: XY) -> tuple[XY, ...]:
        """The shortest way over corners. It lies in the ellipse of its own length around both ends: small ellipses are tried first."""
        self.require(start, "the start of a leg")
        self.require(end, "the end of a leg")
        origin, goal = np.array([start.x_m, start.y_m]), np.array([end.x_m, end.y_m])
        apart = float(np.hypot(*(goal - origin)))
        detour = np.hypot(*(self._corners - origin).T) + np.hypot(*(self._corners - goal).T)
        limit, taut = 1.1 * apart + 30.0, True
        while True:
            near = np.flatnonzero(detour <= limit)
            length, middle = self._search(origin, goal, near, taut=taut)
            whole = len(near) == len(self._corners)
            if length <= limit or (whole and middle is not None):
                corners = self._corners[middle] if middle else np.empty((0, 2))
                return (start, *(XY(float(x), float(y)) for x, y in corners), end)
            if whole and not taut:
                raise PlanningError(
                    f"no way through permitted air from ({start.x_m:.0f}, {start.y_m:.0f}) to ({end.x_m:.0f}, {end.y_m:.0f}): "
                    "the two lie in parts that do not touch; take off from inside the part to be flown"
                )
            if whole:
                taut = False  # an end close to the edge may need a way that is not taut around the simplified corners
            limit *= 2.0

    def _search(
        self, origin: NDArray[np.float64], goal: NDArray[np.float64], near: NDArray[np.intp], *, taut: bool
    ) -> tuple[float, list[int] | None]:
        """A* over some corners: length and corners of the best way, (inf, None) where there is none. -1 is the origin, -2 the goal."""
        to_goal = np.hypot(*(self._corners - goal).T)
        sees_goal = set(self._visible(goal, near, taut=taut).tolist())
        best: dict[int, float] = {-1: 0.0}
        came: dict[int, int] = {}
        queue: list[tuple[float, int]] = [(float(np.hypot(*(goal - origin))), -1)]
        done: set[int] = set()
        while queue:
            cost, node = heapq.heappop(queue)
            if node == -2:
                way = []
                while (node := came[node]) != -1:
                    way.append(node)
                return cost, way[::-1]
            if node in done:
                continue
            done.add(node)
            here = origin if node == -1 else self._corners[node]
            reach = self._visible(origin, near, taut=taut) if node == -1 else self._from_corner(node, near, taut=taut)
            costs = best[node] + np.hypot(*(self._corners[reach] - here).T)
            for other, metres in zip(reach.tolist(), costs.tolist(), strict=True):
                if other not in done and metres < best.get(other, math.inf):
                    best[other], came[other] = metres, node
                    heapq.heappush(queue, (metres + float(to_goal[other]), other))
            if node in sees_goal and (metres := best[node] + float(to_goal[node])) < best.get(-2, math.inf):
                best[-2], came[-2] = metres, node
                heapq.heappush(queue, (metres, -2))
        return math.inf, None

    def _from_corner(self, index: int, near: NDArray[np.intp], *, taut: bool) -> NDArray[np.intp]:
        """Corners seen from a corner; what was worked out once is kept."""
        if taut:
            near = near[self._touches(self._corners[near], index) & self._touched_from(self._corners[index], near)]
        unknown = near[self._seen[index, near] < 0]
        if len(unknown):
            answer = self._covered(self._corners[index], unknown)
            self._seen[index, unknown] = answer
            self._seen[unknown, index] = answer
        return near[self._seen[index, near] > 0]

    def _visible(self, place: NDArray[np.float64], near: NDArray[np.intp], *, taut: bool) -> NDArray[np.intp]:
        if taut:
            near = near[self._touched_from(place, near)]
        return near[self._covered(place, near)]

    def _covered(self, place: NDArray[np.float64], corners: NDArray[np.intp]) -> NDArray[np.bool_]:
        if not len(corners):
            return np.zeros(0, dtype=bool)
        ends = self._corners[corners]
        return np.asarray(
            shapely.covers(self.free, shapely.linestrings(np.stack([np.broadcast_to(place, ends.shape), ends], axis=1)))
        )

    def _touched_from(self, place: NDArray[np.float64], corners: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether the leg from a place to each corner passes it by, both sides of the corner lying on one hand: only such legs are taut."""
        return _one_hand(place, self._corners[corners], self._sides[corners])

    def _touches(self, places: NDArray[np.float64], corner: int) -> NDArray[np.bool_]:
        return _one_hand(places, self._corners[corner][None, :], self._sides[corner][None])


def _one_hand(places: NDArray[np.float64], corners: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.bool_]:
    leg = corners - places
    hands = leg[:, None, 0] * sides[:, :, 1] - leg[:, None, 1] * sides[:, :, 0]
    return np.asarray(hands[:, 0] * hands[:, 1] >= -1e-9)


def length_m(way: Sequence[XY]) -> float:
    """Metres along a way."""
    return sum(math.hypot(b.x_m - a.x_m, b.y_m - a.y_m) for a, b in itertools.pairwise(way))


def _inward_corners(free: Polygon | MultiPolygon) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners `(n, 2)` a shortest way can bend at, where the free air turns inwards, and the two sides from each, `(n, 2, 2)`."""
    found: list[NDArray[np.float64]] = []
    sides: list[NDArray[np.float64]] = []
    for part in free.geoms if isinstance(free, MultiPolygon) else (free,):
        turned = shapely.geometry.polygon.orient(part)  # outside anticlockwise, holes clockwise: free air always on the left
        for ring in (turned.exterior, *turned.interiors):
            xy = np.asarray(ring.coords)[:-1, :2]
            back, on = np.roll(xy, 1, axis=0) - xy, np.roll(xy, -1, axis=0) - xy
            inward = back[:, 1] * on[:, 0] - back[:, 0] * on[:, 1] < 0
            found.append(xy[inward])
            sides.append(np.stack([back, on], axis=1)[inward])
    if not found:
        return np.empty((0, 2)), np.empty((0, 2, 2))
    return np.concatenate(found), np.concatenate(sides)
