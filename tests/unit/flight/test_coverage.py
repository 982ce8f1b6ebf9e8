from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import affinity
from shapely.geometry import Point, Polygon, box

from flight import coverage
from flight.coverage import SurveyLine
from flight.errors import PlanningError
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import Frame, LonLat
from geo.heights import Datum, Height

FRAME = Frame(4549)
MIDDLE = FRAME.xy(LonLat(lon_deg=120.56, lat_deg=32.38))
CAMERA = Camera.of_fov(5280, 3956, 24)
L_SHAPE = Polygon([(-400, -300), (400, -300), (400, -100), (-100, -100), (-100, 300), (-400, 300)])


def there(shape: Polygon) -> Polygon:
    return affinity.translate(shape, MIDDLE.x_m, MIDDLE.y_m)


def area_of(shape: Polygon) -> Area:
    return Area(AreaId("a"), "单元", FRAME.to_degrees(there(shape)), gsd_m=0.03, epsg=FRAME.epsg)


def lines_over(shape: Polygon, **more: object) -> tuple[SurveyLine, ...]:
    return coverage.lines(area_of(shape), CAMERA, permitted=there(box(-2000, -2000, 2000, 2000)), **more)  # type: ignore[arg-type]


def seen_by(shape: Polygon, lines: tuple[SurveyLine, ...], height_m: float) -> np.ndarray:
    """How many photos see each place of a 7 m raster over the shape."""
    across, along = CAMERA.footprint_m(height_m)
    west, south, east, north = there(shape).bounds
    xs, ys = np.meshgrid(np.arange(west + 1, east, 7), np.arange(south + 1, north, 7))
    inside = shapely.contains_xy(there(shape), xs, ys)
    counts = np.zeros(int(inside.sum()), dtype=int)
    for line in lines:
        ux, uy = np.array([line.end.x_m - line.start.x_m, line.end.y_m - line.start.y_m]) / max(line.length_m, 1e-9)
        for index in range(line.first, line.last + 1):
            place = line.station(index)
            dx, dy = xs[inside] - place.x_m, ys[inside] - place.y_m
            counts += (np.abs(dx * ux + dy * uy) <= along / 2) & (np.abs(dx * uy - dy * ux) <= across / 2)
    return counts


@pytest.mark.parametrize("shape", [box(-400, -300, 400, 300), affinity.rotate(box(-300, -200, 300, 200), 33), L_SHAPE])
def test_no_edge_strip_is_missed(shape: Polygon) -> None:
    """Every place of the area, edges and corners included, is seen by at least four photos at 80 and 70 per cent."""
    lines = lines_over(shape)
    assert seen_by(shape, lines, lines[0].height.metres).min() >= 4


def test_rows_keep_the_overlaps_asked_for() -> None:
    """Rows and stations lie no farther apart than the overlaps allow."""
    lines = lines_over(box(-400, -300, 400, 300), overlap_forward=0.75, overlap_side=0.6)
    across, along = CAMERA.footprint_m(lines[0].height.metres)
    assert lines[0].trigger_m == pytest.approx(along * 0.25)
    a, b = (next(x for x in lines if x.row == row) for row in (3, 4))
    assert Point(a.start.x_m, a.start.y_m).distance(Point(b.start.x_m, b.start.y_m)) == pytest.approx(across * 0.4)


@pytest.mark.parametrize("turn", [0.0, 17.0, 60.0, 90.0, 135.0])
def test_lines_run_along_the_long_side(turn: float) -> None:
    """The best course of a rectangle is its long side, whichever way it lies."""
    shape = affinity.rotate(box(-500, -150, 500, 150), turn, origin=(0, 0))
    lines = lines_over(shape)
    a, b = lines[0].start, lines[0].end
    course = np.degrees(np.arctan2(b.x_m - a.x_m, b.y_m - a.y_m)) % 180.0
    assert abs((course - (90.0 - turn) + 90.0) % 180.0 - 90.0) < 0.1
    assert len(lines) == int(np.ceil(300 / (CAMERA.footprint_m(lines[0].height.metres)[0] * 0.3)))


def test_the_grid_belongs_to_the_area() -> None:
    """The same area gives the same stations twice, and with less air a part of the same stations under the same row numbers."""
    shape = box(-400, -300, 400, 300)
    whole, again = lines_over(shape), lines_over(shape)
    assert whole == again
    hole = there(box(-2000, -2000, 2000, 2000)).difference(there(box(-50, -60, 80, 90)))
    cut = coverage.lines(area_of(shape), CAMERA, permitted=hole)
    assert len(cut) > len(whole)
    by_row = {line.row: line for line in whole}
    for line in cut:
        full = by_row[line.row]
        assert full.first <= line.first <= line.last <= full.last
        assert line.start.x_m == pytest.approx(full.station(line.first).x_m, abs=1e-6)
        assert line.end.y_m == pytest.approx(full.station(line.last).y_m, abs=1e-6)


def test_a_divided_line_loses_no_station() -> None:
    """Both halves together hold every station once."""
    line = lines_over(box(-400, -300, 400, 300))[0]
    a, b = line.halves()
    assert a.photos + b.photos == line.photos
    assert b.first == a.last + 1
    assert b.start == line.station(b.first)


def test_what_cannot_be_flown_is_said() -> None:
    """No air, absurd overlaps, heights of another datum: each refused in words."""
    shape = box(-400, -300, 400, 300)
    with pytest.raises(PlanningError, match="no line fits"):
        coverage.lines(area_of(shape), CAMERA, permitted=there(box(3000, 3000, 4000, 4000)))
    for more, words in (
        ({"overlap_side": 1.0}, "side overlap"),
        ({"height": Height(90, Datum.TAKEOFF)}, "GROUND"),
        ({"height": Height(90, Datum.GROUND), "gsd_m": 0.03}, "not both"),
        ({"gsd_m": 0.00001}, "rows"),
    ):
        with pytest.raises(PlanningError, match=words):
            lines_over(shape, **more)


def test_a_gap_is_flown_from_the_stations_of_the_whole_and_seen_as_often() -> None:
    """A make-up flight takes a subset of the area's stations, far fewer, and shows every place of the gap by at least four photos."""
    whole = lines_over(L_SHAPE)
    gap = box(-180, -260, -60, -150)
    part = lines_over(L_SHAPE, within=there(gap))

    def stations(lines: tuple[SurveyLine, ...]) -> set[tuple[int, int]]:
        return {(line.row, index) for line in lines for index in range(line.first, line.last + 1)}

    assert stations(part) < stations(whole)
    assert len(stations(part)) < 0.35 * len(stations(whole))
    assert seen_by(gap, part, part[0].height.metres).min() >= 4


def test_a_gap_beside_the_area_is_refused() -> None:
    """It says so, rather than flying elsewhere."""
    with pytest.raises(PlanningError, match="outside the area"):
        lines_over(L_SHAPE, within=there(box(900, 900, 950, 950)))
