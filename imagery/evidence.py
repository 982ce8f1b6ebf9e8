"""Evidence (证据): hashed pictures of one place, cut from orthophotos, surfaces and the source photos, with outline, scale and north."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Point, Polygon

from geo.frames import Floats, LonLat
from geo.grid import Grid, Window
from imagery import raster
from imagery.errors import PhotoError, SurveyError
from imagery.photos import read_photo
from imagery.projection import Projector
from imagery.reconstruct import Block, View
from imagery.survey import Survey

Pixels = NDArray[np.uint8]

CHIP_PX = 512
AROUND = 0.7  # of the outline's longer side is shown on every side of it
LEAST_AROUND_M = 5.0
CLEAR_M = 0.4  # a surface that rises so far into the line of sight hides what lies behind it
STEPS_M = (-6.0, -2.0, 0.0, 2.0, 6.0)
COLOURS = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))  # ColorBrewer RdBu, turned


@dataclass(frozen=True, slots=True)
class Crop:
    """A picture as JPEG with the SHA-256 of its bytes, and of the photo it was cut from (None: an ortho or a surface)."""

    jpeg: bytes
    sha256: str
    width: int
    height: int
    caption: str
    taken_at: datetime | None
    place: LonLat
    photo_sha256: str | None = None


def chip(survey: Survey, outline: Polygon) -> Crop:
    """The orthophoto around an outline (metres of the area's frame), north up. Raises SurveyError outside the survey."""
    window = _around(survey.grid, outline)
    pixels = raster.read_window(survey.ortho, window)
    return _chip(survey, pixels, window, outline, f"{survey.taken_on}, {survey.grid.gsd_m * 100:.0f} cm")


def height_chip(before: Survey, after: Survey, outline: Polygon) -> Crop:
    """Height gained (red) and lost (blue) between two surveys of one grid, with its colour bar. Raises SurveyError."""
    if before.surface is None or after.surface is None or before.grid != after.grid:
        raise SurveyError("a height chip needs two surveys of one area that both have a surface")
    window = _around(after.grid, outline)
    gain = raster.read_window(after.surface, window) - raster.read_window(before.surface, window)
    level = np.abs(gain) < 1.0
    gain = gain - (np.median(gain[level]) if level.any() else 0.0)
    pixels = _coloured(gain.astype(np.float32))
    made = _drawn(pixels, after.grid.part(window), outline)
    _colour_bar(made)
    inside = gain[_inside(outline, after.grid, window)]
    known = inside[np.isfinite(inside)]
    median = f", median {np.median(known):+.2f} m" if known.size else ""
    return _crop(made, f"{before.taken_on} → {after.taken_on}{median}", outline, after)


def crops(survey: Survey, outline: Polygon, count: int) -> tuple[Crop, ...]:
    """The best source photos of a place at full resolution: most central, least hidden, sharpest.

    Fewer than `count` when fewer photos show it. Raises SurveyError for a survey that has no photos of its own.
    """
    if survey.block is None or survey.surface is None:
        raise SurveyError(f"survey {survey.id} was adopted as a finished orthophoto: it has no photos to cut from")
    block = Block.load(survey.block)
    top_m = _top_m(survey, outline)
    seen = sorted(_seen(block, survey, outline, top_m), key=lambda s: -s[0])[: 2 * count]
    cut = [(worth, crop, sharp) for worth, view in seen for crop, sharp in _cut(block, view, survey, outline, top_m)]
    most = max((sharp for _, _, sharp in cut), default=1.0)
    best = sorted(cut, key=lambda c: -(c[0] + 0.3 * c[2] / most))
    return tuple(crop for _, crop, _ in best[:count])


def _seen(block: Block, survey: Survey, outline: Polygon, top_m: float) -> Iterator[tuple[float, View]]:
    """(worth 0..1, view) of each view that has the whole outline in its picture, unhidden."""
    ring = _ring(outline, top_m)
    sight = _Sight(survey, outline)
    for view in block.views:
        camera = block.camera(view)
        pixels, depths = Projector.of(camera, view.pose).points(ring)
        if not np.isfinite(pixels).all() or (depths <= 0).any():
            continue
        size = np.array([camera.width_px, camera.height_px])
        if (pixels < 0.02 * size).any() or (pixels > 0.98 * size).any():
            continue
        central = 1.0 - float(np.hypot(*((pixels.mean(0) - size / 2) / (size / 2)))) / math.sqrt(2.0)
        yield central * sight.share(view.pose.centre, ring), view


class _Sight:
    """The surface around a place, to ask what stands in the way."""

    def __init__(self, survey: Survey, outline: Polygon) -> None:
        assert survey.surface is not None
        reach = outline.buffer(40.0).bounds
        self.window = survey.grid.window(reach)
        self.grid = survey.grid.part(self.window)
        self.surface = raster.read_window(survey.surface, self.window)

    def share(self, eye: Floats, ring: Floats) -> float:
        """Part of the outline's corners that a camera sees freely."""
        free = [self._free(eye, corner) for corner in ring]
        return sum(free) / len(free)

    def _free(self, eye: Floats, corner: Floats) -> bool:
        way = eye - corner
        flat = float(np.hypot(way[0], way[1]))
        if flat < 0.5:
            return True
        steps = np.arange(1.0, min(flat, 38.0), 2 * self.grid.gsd_m)
        places = corner + np.outer(steps / flat, way)
        rows = ((self.grid.north_m - places[:, 1]) / self.grid.gsd_m).astype(int)
        cols = ((places[:, 0] - self.grid.west_m) / self.grid.gsd_m).astype(int)
        held = (rows >= 0) & (cols >= 0) & (rows < self.grid.rows) & (cols < self.grid.cols)
        heights = self.surface[rows[held], cols[held]]
        return not bool((heights > places[held, 2] + CLEAR_M).any())


def _cut(block: Block, view: View, survey: Survey, outline: Polygon, top_m: float) -> Iterator[tuple[Crop, float]]:
    """(crop, sharpness) of one view; nothing when its photo is gone or was changed since."""
    try:
        photo = read_photo(view.path)
    except PhotoError:
        return
    if photo.sha256 != view.photo_sha256:
        return
    pixels = cv2.imread(str(view.path), cv2.IMREAD_COLOR)
    if pixels is None:
        return
    projector = Projector.of(block.camera(view), view.pose)
    ring, _ = projector.points(_ring(outline, top_m))
    centre = np.array([*outline.centroid.coords[0], top_m])
    compass, _ = projector.points(centre + np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    px_per_m = float(np.hypot(*(compass[2] - compass[0])))
    low, high = ring.min(0), ring.max(0)
    margin = max(AROUND * float((high - low).max()), LEAST_AROUND_M * px_per_m, 100.0)
    c0, r0 = np.maximum(low - margin, 0).astype(int)
    c1, r1 = np.minimum(high + margin, (pixels.shape[1], pixels.shape[0])).astype(int)
    part = np.ascontiguousarray(pixels[r0:r1, c0:c1, ::-1])
    scale = max(1, round(360 / min(part.shape[:2])))
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    sharp = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    if scale > 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    _line(part, (ring - (c0, r0)) * scale)
    _north(part, compass[1] - compass[0])
    _scale_bar(part, px_per_m * scale)
    when = f"{photo.taken_at:%Y-%m-%d %H:%M:%S}Z, " if photo.taken_at else ""
    yield _crop(part, f"{when}{photo.name}, {photo.sha256[:12]}", outline, survey, photo.taken_at, photo.sha256), sharp


def _around(grid: Grid, outline: Polygon) -> Window:
    west, south, east, north = outline.bounds
    margin = max(AROUND * max(east - west, north - south), LEAST_AROUND_M)
    side = max(east - west, north - south) / 2 + margin
    x, y = (west + east) / 2, (south + north) / 2
    return grid.window((x - side, y - side, x + side, y + side))


def _top_m(survey: Survey, outline: Polygon) -> float:
    """Median height of the surface inside the outline."""
    assert survey.surface is not None
    window = survey.grid.window(outline.bounds)
    heights = raster.read_window(survey.surface, window)[_inside(outline, survey.grid, window)]
    heights = heights[np.isfinite(heights)]
    if not heights.size:
        raise SurveyError(f"survey {survey.id} knows no height at this place")
    return float(np.median(heights))


def _inside(outline: Polygon, grid: Grid, window: Window) -> NDArray[np.bool_]:
    return raster.inside(outline, grid.part(window))


def _ring(outline: Polygon, z_m: float) -> Floats:
    corners = np.asarray(outline.exterior.coords)[:-1, :2]
    return np.column_stack([corners, np.full(len(corners), z_m)])


def _chip(survey: Survey, pixels: Pixels, window: Window, outline: Polygon, caption: str) -> Crop:
    return _crop(_drawn(np.ascontiguousarray(pixels), survey.grid.part(window), outline), caption, outline, survey)


def _drawn(pixels: Pixels, grid: Grid, outline: Polygon) -> Pixels:
    """The picture brought to a readable size, with outline, north and scale."""
    scale = CHIP_PX / max(pixels.shape[:2])
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    made = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how)
    corners = np.asarray(outline.exterior.coords)[:, :2]
    ring = np.column_stack([corners[:, 0] - grid.west_m, grid.north_m - corners[:, 1]]) / grid.gsd_m * scale
    _line(made, ring)
    _north(made, np.array([0.0, -1.0]))
    _scale_bar(made, scale / grid.gsd_m)
    return made


def _line(picture: Pixels, ring: Floats) -> None:
    points = [np.rint(ring).astype(np.int32).reshape(-1, 1, 2)]
    cv2.polylines(picture, points, True, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.polylines(picture, points, True, (255, 214, 10), 2, cv2.LINE_AA)


def _north(picture: Pixels, direction: Floats) -> None:
    unit = direction / max(float(np.hypot(*direction)), 1e-9)
    middle = np.array([28.0, 30.0])
    tail, tip = (tuple(int(v) for v in middle + s * 16 * unit) for s in (-1, 1))
    for colour, width in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.arrowedLine(picture, tail, tip, colour, width, cv2.LINE_AA, tipLength=0.4)
    _write(picture, "N", (44, 26))


def _scale_bar(picture: Pixels, px_per_m: float) -> None:
    wanted = picture.shape[1] / 4 / px_per_m
    metres = next((m for m in (50, 20, 10, 5, 2, 1) if m <= wanted), 1)
    length, y = round(metres * px_per_m), picture.shape[0] - 14
    for colour, width in (((0, 0, 0), 6), ((255, 255, 255), 3)):
        cv2.line(picture, (14, y), (14 + length, y), colour, width)
    _write(picture, f"{metres} m", (14, y - 8))


def _write(picture: Pixels, text: str, at: tuple[int, int]) -> None:
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)


def _coloured(gain: NDArray[np.float32]) -> Pixels:
    flat = np.nan_to_num(gain).ravel()
    bands = [np.interp(flat, STEPS_M, [c[b] for c in COLOURS]) for b in range(3)]
    pixels = np.stack(bands, axis=-1).reshape(*gain.shape, 3).astype(np.uint8)
    pixels[~np.isfinite(gain)] = (120, 120, 120)
    return pixels


def _colour_bar(picture: Pixels) -> None:
    height = picture.shape[0] - 80
    values = np.linspace(STEPS_M[-1], STEPS_M[0], height, dtype=np.float32).reshape(-1, 1)
    picture[40 : 40 + height, -26:-12] = np.repeat(_coloured(values), 14, axis=1)
    for metres in STEPS_M:
        y = 40 + round((STEPS_M[-1] - metres) / (STEPS_M[-1] - STEPS_M[0]) * (height - 1))
        _write(picture, f"{metres:+.0f}", (picture.shape[1] - 58, y + 5))


def _crop(
    pixels: Pixels, caption: str, outline: Polygon, survey: Survey, taken_at: datetime | None = None, photo: str | None = None
) -> Crop:
    done, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise SurveyError(f"survey {survey.id}: a crop could not be written as JPEG")
    jpeg = data.tobytes()
    point: Point = outline.representative_point()
    place = survey.grid.frame.lonlat(point.x, point.y)
    where = f"{caption}, {place.lon_deg:.6f}, {place.lat_deg:.6f}"
    return Crop(jpeg, hashlib.sha256(jpeg).hexdigest(), pixels.shape[1], pixels.shape[0], where, taken_at, place, photo)
