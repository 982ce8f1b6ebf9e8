"""Whatever the shape of the air, nothing is planned outside it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import shapely
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from airspace.zones import polygons
from flight import coverage, sorties
from flight.errors import PlanningError
from flight.fleet import Aircraft, AircraftId
from flight.mission import Mission, survey_mission
from flight.routes import Airway, length_m
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import XY, Frame, LonLat

FRAME = Frame(4549)
MIDDLE = FRAME.xy(LonLat(lon_deg=120.56, lat_deg=32.38))
CAMERA = Camera.of_fov(5280, 3956, 24)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

SIZE = st.integers(20, 300).map(float)
PLACE = st.integers(-5000, 5000).map(lambda dm: dm / 10.0)  # whole decimetres: sub-nanometre legs are GEOS's affair
ANGLE = st.floats(0, 180)


def at_middle(shape: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    return polygons(affinity.translate(shape, MIDDLE.x_m, MIDDLE.y_m))


def u_shape(width: float, depth: float, angle: float) -> Polygon:
    slot = box(-width / 2, 500 - depth, width / 2, 600)
    return affinity.rotate(box(-500, -500, 500, 500).difference(slot), angle, origin=(0, 0))


@st.composite
def closed_places(draw: st.DrawFn) -> Polygon:
    x, y = draw(PLACE), draw(PLACE)
    if draw(st.booleans()):
        return Point(x, y).buffer(draw(st.floats(10, 120)))
    return affinity.rotate(box(x, y, x + draw(SIZE), y + draw(SIZE)), draw(ANGLE))


def metres_outside(mission: Mission, permitted: Polygon | MultiPolygon) -> float:
    """Every leg of the exact items, from home to home."""
    xy = FRAME.xy_array(np.array([[p.lon_deg, p.lat_deg] for p in mission.path]))
    return float(LineString(xy).difference(permitted).length)


def planned(area_m: Polygon | MultiPolygon, permitted: Polygon | MultiPolygon, home: XY) -> tuple[Mission, ...]:
    area = Area(AreaId("a"), "单元", FRAME.to_degrees(area_m), epsg=FRAME.epsg)
    place = FRAME.lonlat(home.x_m, home.y_m)
    aircraft = Aircraft(AircraftId("m"), "机", CAMERA, 10.0, 1800.0, 0.2, "", place)
    airway = Airway(permitted)
    lines = coverage.lines(area, CAMERA, permitted=permitted, gsd_m=0.03)
    flights = sorties.split(lines, aircraft, place, airway=airway, frame=FRAME)
    return tuple(survey_mission(s, name=f"任务{s.number}", airway=airway) for s in flights)


def home_in(permitted: Polygon | MultiPolygon) -> XY:
    roomy = permitted.buffer(-5)
    assume(not roomy.is_empty)
    point = roomy.representative_point()
    return XY(point.x, point.y)


@QUIET
@given(st.floats(60, 800), st.floats(100, 900), ANGLE)
def test_a_u_shaped_area_is_flown_without_a_metre_outside(width: float, depth: float, angle: float) -> None:
    """The two arms of a U are joined around its slot, never across it."""
    shape = at_middle(u_shape(width, depth, angle))
    for mission in planned(shape, shape, home_in(shape)):
        assert metres_outside(mission, shape) == 0.0


@QUIET
@given(st.lists(closed_places(), min_size=1, max_size=6))
def test_holes_and_notches_are_flown_around(closed: list[Polygon]) -> None:
    """With closed places inside and across the edge, every leg of every sortie stays in what is left, and so does its fence."""
    whole = at_middle(box(-500, -500, 500, 500))
    left = polygons(whole.difference(at_middle(polygons(shapely.union_all(closed)))))
    assume(not left.is_empty)
    parts = left.geoms if isinstance(left, MultiPolygon) else (left,)
    permitted = max(parts, key=lambda p: p.area)
    assume(permitted.area > 50_000)
    for mission in planned(whole, permitted, home_in(permitted)):
        assert metres_outside(mission, permitted) == 0.0
        inclusion = next(a for a in mission.fence if a.inclusion)
        ring = Polygon(FRAME.xy_array(np.array([[p.lon_deg, p.lat_deg] for p in inclusion.ring])))
        assert ring.difference(Polygon(permitted.exterior)).area < 1.0
        assert ring.covers(LineString(FRAME.xy_array(np.array([[p.lon_deg, p.lat_deg] for p in mission.path]))))


@QUIET
@given(st.lists(closed_places(), min_size=1, max_size=5), PLACE, PLACE, PLACE, PLACE)
def test_a_route_is_as_short_as_the_whole_visibility_graph_allows(
    closed: list[Polygon], ax: float, ay: float, bx: float, by: float
) -> None:
    """The lazy, pruned search finds what a search over every corner of the exact outline finds, to half a per cent and 3 m."""
    left = box(-600, -600, 600, 600).difference(shapely.union_all(closed))
    permitted = polygons(left)
    airway = Airway(permitted)
    start, end = XY(ax, ay), XY(bx, by)
    assume(airway.holds(start) and airway.holds(end))
    assume(airway.roomy.covers(Point(ax, ay)) and airway.roomy.covers(Point(bx, by)))
    best = slow_shortest(permitted, start, end)
    try:
        way = airway.route(start, end)
    except PlanningError:
        assert best is None
        return
    assert best is not None
    assert LineString([(p.x_m, p.y_m) for p in way]).difference(permitted).length == 0.0
    assert length_m(way) <= best * 1.005 + 3.0


def slow_shortest(permitted: Polygon | MultiPolygon, start: XY, end: XY) -> float | None:
    """Dijkstra over all corners of the air less ROOM_M, every pair tested."""
    free = polygons(permitted.buffer(-coverage.ROOM_M, join_style="mitre"))
    nodes = np.vstack([[start.x_m, start.y_m], [end.x_m, end.y_m], shapely.get_coordinates(free.simplify(0.2))])
    loose = free.buffer(0.3)
    shapely.prepare(loose)
    pairs = np.array(list(itertools.combinations(range(len(nodes)), 2)))
    seen = shapely.covers(loose, shapely.linestrings(nodes[pairs]))
    metres = np.full((len(nodes), len(nodes)), math.inf)
    for (i, j), ok in zip(pairs, seen, strict=True):
        if ok:
            metres[i, j] = metres[j, i] = np.hypot(*(nodes[i] - nodes[j]))
    best = np.full(len(nodes), math.inf)
    best[0] = 0.0
    open_nodes = set(range(len(nodes)))
    while open_nodes:
        node = min(open_nodes, key=lambda n: best[n])
        open_nodes.remove(node)
        best = np.minimum(best, best[node] + metres[node])
    return None if math.isinf(best[1]) else float(best[1])


@QUIET
@given(st.lists(closed_places(), max_size=3), closed_places())
def test_a_new_zone_moves_no_station_outside_itself(closed: list[Polygon], new: Polygon) -> None:
    """Stations away from a new zone stay where they were: photos of the next cycle match those of the last."""
    area = Area(AreaId("a"), "单元", FRAME.to_degrees(at_middle(box(-400, -300, 400, 300))), epsg=FRAME.epsg)
    around = at_middle(box(-800, -800, 800, 800))
    before_air = polygons(around.difference(at_middle(polygons(shapely.union_all(closed)))))
    after_air = polygons(before_air.difference(at_middle(new)))
    before, after = (stations(area, air) for air in (before_air, after_air))
    assert after <= before
    zone = at_middle(new)
    for x, y in before - after:
        assert zone.distance(Point(x, y)) <= 45.0  # the mitred room at a corner, a station and the overrun


def stations(area: Area, air: Polygon | MultiPolygon) -> set[tuple[float, float]]:
    try:
        lines = coverage.lines(area, CAMERA, permitted=air, gsd_m=0.03)
    except PlanningError:
        return set()
    places = (line.station(i) for line in lines for i in range(line.first, line.last + 1))
    return {(round(p.x_m, 2), round(p.y_m, 2)) for p in places}
