"""The words everyone shares keep their promises."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from geo.area import Area, AreaId
from geo.camera import Camera
from geo.datums import bd09, from_gcj02, gcj02
from geo.errors import GeoError
from geo.frames import Frame, LonLat, Pose, metric_frame
from geo.grid import Grid, Window
from geo.heights import Datum, Height
from geo.times import FixedClock, Span, local_day, utc

RUGAO = LonLat(lon_deg=120.56, lat_deg=32.39)


def test_heights_of_two_datums_never_mix() -> None:
    """A height over the ground and one over take-off cannot be compared or subtracted."""
    with pytest.raises(GeoError, match="cannot be compared"):
        _ = Height(50, Datum.GROUND) - Height(40, Datum.TAKEOFF)
    assert Height(50, Datum.GROUND).over(Height(20, Datum.GROUND), Datum.TAKEOFF) == Height(30, Datum.TAKEOFF)


def test_time_without_zone_is_refused() -> None:
    """A naive time has no meaning here."""
    with pytest.raises(GeoError, match="time zone"):
        utc(datetime(2026, 1, 1))  # noqa: DTZ001
    assert local_day(datetime(2026, 1, 1, 17, tzinfo=UTC)) == date(2026, 1, 2)


def test_a_span_holds_its_start_and_not_its_end() -> None:
    """Spans that touch do not overlap."""
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    first = Span(clock.now(), clock.now() + timedelta(hours=1))
    clock.advance(timedelta(hours=1))
    second = Span(clock.now(), clock.now() + timedelta(hours=1))
    assert first.start in first
    assert first.end not in first
    assert not first.overlaps(second)


def test_an_area_in_rugao_works_in_the_city_frame() -> None:
    """The first customer's areas count in EPSG:4549; Florida's in UTM 17N."""
    assert metric_frame(RUGAO).epsg == 4549
    assert metric_frame(LonLat(lon_deg=-81.75, lat_deg=28.04)).epsg == 32617


@given(st.floats(118.6, 121.4), st.floats(31.0, 33.0))
def test_frame_there_and_back(lon: float, lat: float) -> None:
    """Degrees to metres and back is the same place within a tenth of a millimetre."""
    frame = Frame(4549)
    xy = frame.xy(LonLat(lon_deg=lon, lat_deg=lat))
    back = frame.lonlat(xy.x_m, xy.y_m)
    assert math.isclose(back.lon_deg, lon, abs_tol=1e-9)
    assert math.isclose(back.lat_deg, lat, abs_tol=1e-9)
    assert 0 < xy.x_m < 1e6 < xy.y_m  # east first, north second


def test_a_frame_in_degrees_is_refused() -> None:
    """An area cannot work in a frame that does not count in metres."""
    with pytest.raises(GeoError, match="metres"):
        Frame(4490)


@given(st.floats(119.0, 121.5), st.floats(31.5, 33.0))
def test_gcj02_there_and_back(lon: float, lat: float) -> None:
    """The display offset can be undone to better than a centimetre, and is some hundred metres here."""
    place = LonLat(lon_deg=lon, lat_deg=lat)
    shifted = gcj02(place)
    back = from_gcj02(shifted)
    assert abs(back.lon_deg - lon) < 1e-7
    assert abs(back.lat_deg - lat) < 1e-7
    frame = Frame(4549)
    a, b, c = frame.xy(place), frame.xy(shifted), frame.xy(bd09(place))
    assert 200 < math.hypot(a.x_m - b.x_m, a.y_m - b.y_m) < 900
    assert math.hypot(a.x_m - c.x_m, a.y_m - c.y_m) > 400


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), st.floats(1, 300), st.floats(1, 300), st.sampled_from([0.05, 0.1, 0.15]))
def test_a_grid_covers_its_bounds_and_is_snapped(west: float, south: float, width: float, height: float, gsd: float) -> None:
    """Every point of the bounds lies in a cell, and corners are whole multiples of the cell."""
    grid = Grid.over(Frame(4549), (west, south, west + width, south + height), gsd)
    w, s, e, n = grid.bounds_m
    assert w <= west + 1e-6
    assert s <= south + 1e-6
    assert e >= west + width - 1e-6
    assert n >= south + height - 1e-6
    assert abs(w / gsd - round(w / gsd)) < 1e-4


def test_tiles_cover_a_grid_once() -> None:
    """Windows neither overlap nor leave a cell out."""
    grid = Grid(Frame(4549), 0.1, 0.0, 100.0, 237, 101)
    seen = np.zeros(grid.shape, int)
    for window in grid.tiles(64):
        seen[window.slices] += 1
    assert (seen == 1).all()
    part = grid.part(Window(10, 20, 5, 5))
    assert part.bounds_m[0] == pytest.approx(2.0)
    assert grid.cell(2.05, 98.95) == (10, 20)


def test_two_surveys_of_an_area_share_one_grid() -> None:
    """The grid depends on the area alone."""
    outline = box(120.56, 32.39, 120.562, 32.391)
    one = Area(AreaId("a"), "一号单元", outline).grid()
    two = Area(AreaId("a"), "一号单元", Polygon(list(outline.exterior.coords)[::-1])).grid()
    assert one == two
    with pytest.raises(GeoError, match="broken"):
        Area(AreaId("b"), "坏", Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]))


def test_a_nadir_camera_sees_east_on_the_right_when_it_faces_north() -> None:
    """Yaw 0 and pitch -90: the picture's top is north."""
    camera = Camera(4000, 3000, 3000.0, 2000.0, 1500.0)
    pose = Pose.looking(0, 0, 100, yaw_deg=0, pitch_deg=-90)
    pixels, depth = camera.project(np.array([[10.0, 0, 0], [0, 10.0, 0], [0, 0, 0]]), pose)
    assert np.allclose(depth, 100)
    assert pixels[0] == pytest.approx([2300, 1500])
    assert pixels[1] == pytest.approx([2000, 1200])
    assert pose.off_nadir_deg == pytest.approx(0, abs=1e-5)
    assert Pose.looking(0, 0, 9, yaw_deg=30, pitch_deg=-60).off_nadir_deg == pytest.approx(30)


def test_projection_agrees_with_opencv_and_rays_undo_it() -> None:
    """The camera model is OpenCV's, shifted by half a pixel, and its inverse is exact to a thousandth of a pixel."""
    camera = Camera(1600, 1200, 1300.0, 811.0, 590.0, k1=-0.08, k2=0.02, p1=0.001, p2=-0.0007, k3=-0.01)
    pose = Pose.looking(5, -3, 70, yaw_deg=33, pitch_deg=-80, roll_deg=4)
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.uniform(-20, 20, 50), rng.uniform(-20, 20, 50), rng.uniform(0, 8, 50)])
    pixels, _ = camera.project(points, pose)
    matrix = np.array([[camera.focal_px, 0, camera.cx_px], [0, camera.focal_px, camera.cy_px], [0, 0, 1]])
    distortion = np.array([camera.k1, camera.k2, camera.p1, camera.p2, camera.k3])
    oracle, _ = cv2.projectPoints(points, cv2.Rodrigues(pose.matrix)[0], -pose.matrix @ pose.centre, matrix, distortion)
    assert np.abs(pixels - oracle.reshape(-1, 2)).max() < 1e-6
    directions = camera.rays(pixels)
    local = (points - pose.centre) @ pose.matrix.T
    assert np.abs(directions - local / local[:, 2:]).max() < 1e-6


def test_what_lies_behind_the_camera_has_no_pixel() -> None:
    """A point above a nadir camera projects to NaN."""
    pixels, depth = Camera(10, 10, 10.0, 5, 5).project(
        np.array([[0.0, 0, 200]]), Pose.looking(0, 0, 100, yaw_deg=0, pitch_deg=-90)
    )
    assert depth[0] < 0
    assert np.isnan(pixels).all()
