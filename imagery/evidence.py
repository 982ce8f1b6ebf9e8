"""Evidence of one place: cut from the orthophoto, from the heights of two dates, and from the very photos, outline drawn, hash told.

Every crop is a JPEG with a north arrow, a scale bar and a strip that says when, where and from which file. Strips are written in
ASCII, captions carry both languages.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LinearRing, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geo.frames import Floats, LonLat
from geo.grid import Grid, Window
from imagery import mosaic, raster
from imagery.errors import PhotoError, SurveyError
from imagery.photos import read_photo, read_pixels
from imagery.projection import Projector
from imagery.reconstruct import Block
from imagery.stereo import Metres
from imagery.survey import Survey

Pixels = NDArray[np.uint8]

_CHIP_MARGIN_M = 12.0
_CHIP_PX = 720  # long side of an ortho chip, enlarged if need be
_PHOTO_PX = 1400
_LEAST_SEEN = 0.7  # share of the place's points a photo must truly see
_SIGHT_M = 30.0  # ground around the place that may stand in the line of sight
_QUALITY = 90
_RED, _WHITE, _BLACK, _GREY = (235, 40, 30), (255, 255, 255), (0, 0, 0), (120, 120, 120)


@dataclass(frozen=True, slots=True)
class Crop:
    """A picture as evidence. `sha256` is of the JPEG's own bytes, `photo_sha256` of the photo it was cut from (None for chips)."""

    jpeg: bytes
    sha256: str
    caption: str
    place: LonLat
    taken_at: datetime | None = None
    photo_sha256: str | None = None


def chip(survey: Survey, outline_m: Polygon | MultiPolygon) -> Crop:
    """The orthophoto around an outline (frame metres); the same window for every survey of the area. Raises SurveyError."""
    part, window = _around(survey.grid, outline_m)
    pixels = raster.read_window(survey.ortho, window)
    if not raster.read_mask(survey.ortho, window).any():
        raise SurveyError(f"survey {survey.id} does not show the place")
    factor = _CHIP_PX / max(pixels.shape[:2])
    picture = _resized(pixels, factor)
    _draw_outline(picture, [_on_grid(ring, part, factor) for ring in _rings(outline_m)])
    _draw_north(picture, (0.0, -1.0))
    _draw_scale(picture, factor / part.gsd_m)
    place = _place(survey, outline_m)
    words = f"{survey.taken_on.isoformat()}  {_ascii(place)}  ortho {survey.grid.gsd_m * 100:.1f} cm  {survey.id}"
    caption = f"{survey.taken_on.isoformat()} 正射影像 orthophoto, {place.lon_deg:.6f}, {place.lat_deg:.6f}, {survey.id}"
    return _crop(_with_strip(picture, words), caption, place)


def height_chip(before: Survey, after: Survey, outline_m: Polygon | MultiPolygon) -> Crop:
    """How much higher (red) or lower (blue) the later surface lies around an outline, with a colour bar in metres; grey unknown.

    Raises SurveyError when one of the two has no surface or they do not share a grid.
    """
    if before.surface is None or after.surface is None:
        raise SurveyError("a height change needs a surface of both dates")
    if before.grid != after.grid:
        raise SurveyError(f"surveys {before.id} and {after.id} do not share a grid")
    part, window = _around(after.grid, outline_m)
    gain: Metres = raster.read_window(after.surface, window) - raster.read_window(before.surface, window)
    known = np.isfinite(gain)
    if not known.any():
        raise SurveyError("neither surface knows the place")
    ring = raster.inside(outline_m.buffer(6.0).difference(outline_m.buffer(2.0)), part) & known
    if ring.sum() > 50:  # what lies between the two as a whole is no change
        gain = gain - np.float32(np.median(gain[ring]))
    inner = gain[raster.inside(outline_m, part) & known]
    most = max(2.0, math.ceil(float(np.percentile(np.abs(inner), 95)))) if len(inner) else 3.0
    factor = _CHIP_PX / max(gain.shape)
    picture = _resized(_diverging(gain, most), factor)
    _draw_outline(picture, [_on_grid(r, part, factor) for r in _rings(outline_m)], colour=_BLACK)
    _draw_north(picture, (0.0, -1.0))
    _draw_scale(picture, factor / part.gsd_m)
    picture = np.hstack([picture, _colour_bar(picture.shape[0], most)])
    place = _place(after, outline_m)
    change = float(np.median(inner)) if len(inner) else math.nan
    words = f"{before.taken_on} -> {after.taken_on}  height {change:+.2f} m (median)  {_ascii(place)}"
    caption = (
        f"{before.taken_on} → {after.taken_on} 高度变化 height change {change:+.2f} m, {place.lon_deg:.6f}, {place.lat_deg:.6f}"
    )
    return _crop(_with_strip(picture, words), caption, place)


def crops(survey: Survey, outline_m: Polygon | MultiPolygon, count: int) -> tuple[Crop, ...]:
    """Up to `count` photos that see the place best, cut out at full resolution: steepest first, none that sees it past an obstacle.

    A photo is read anew and must have the hash it was built with. A survey without photos of its own (adopted) gives its ortho chip.
    Raises SurveyError when no photo shows the place.
    """
    if survey.block is None or survey.surface is None:
        return (chip(survey, outline_m),)
    block = Block.load(survey.block)
    ranked = _ranked(block, survey, outline_m)
    found: list[Crop] = []
    problems: list[str] = []
    for index, top_m in ranked:
        if len(found) == count:
            break
        try:
            found.append(_photo_crop(block, index, survey, outline_m, top_m))
        except PhotoError as error:
            problems.append(str(error))
    if not found and count > 0:
        why = f" ({'; '.join(problems[:3])})" if problems else ""
        raise SurveyError(f"no photo of survey {survey.id} shows the place whole{why}")
    return tuple(found)


def _ranked(block: Block, survey: Survey, outline_m: Polygon | MultiPolygon) -> list[tuple[int, float]]:
    """(view, height of the place's top) of the views that see the place, best first."""
    assert survey.surface is not None
    west, south, east, north = outline_m.buffer(_SIGHT_M).bounds
    window = survey.grid.window((west, south, east, north))
    thin = max(1, round(0.25 / survey.grid.gsd_m))
    part = survey.grid.part(window)
    heights = mosaic.without_gaps(raster.read_window(survey.surface, window)[::thin, ::thin]) - np.float32(block.offset_m[2])
    cells = Grid(part.frame, part.gsd_m * thin, part.west_m, part.north_m, *heights.shape)
    inner = raster.inside(outline_m.buffer(cells.gsd_m), cells)
    top = float(np.median(heights[inner])) if inner.any() else float(np.median(heights))
    samples = _samples(outline_m)
    points = np.column_stack([samples - np.array(block.offset_m[:2]), np.full(len(samples), top)])
    corner = (cells.west_m - block.offset_m[0], cells.north_m - block.offset_m[1])
    ranked = []
    for i, view in enumerate(block.views):
        projector = Projector.of(block.camera(view), view.pose, block.offset_m)
        pixels, _ = projector.points(points)
        edge = 0.01 * projector.numbers[19]
        with np.errstate(invalid="ignore"):
            within = (
                (pixels > edge).all(axis=1)
                & (pixels[:, 0] < projector.numbers[19] - edge)
                & (pixels[:, 1] < projector.numbers[20] - edge)
            )
        if not within.all():
            continue
        seen = mosaic.seen_share(projector, heights, corner, cells.gsd_m, points)
        if seen < _LEAST_SEEN:
            continue
        away = points[:, :2].mean(axis=0) - projector.centre[:2]
        slope = float(np.linalg.norm(away)) / max(1.0, float(projector.centre[2] - top))
        ranked.append((round(seen, 1), -slope, i))
    ranked.sort(reverse=True)
    return [(i, top + block.offset_m[2]) for _, _, i in ranked]


def _samples(outline_m: Polygon | MultiPolygon) -> Floats:
    """Places `(n, 2)` spread over an outline: its border and a lattice inside."""
    border = np.concatenate([_coords(ring.segmentize(2.0)) for ring in _rings(outline_m)])
    west, south, east, north = outline_m.bounds
    step = max(0.5, max(east - west, north - south) / 6)
    lattice = [
        (x, y) for x in np.arange(west, east, step) for y in np.arange(south, north, step) if outline_m.contains(Point(x, y))
    ]
    return np.concatenate([border, np.array(lattice, np.float64).reshape(-1, 2)])


def _photo_crop(block: Block, index: int, survey: Survey, outline_m: Polygon | MultiPolygon, top_m: float) -> Crop:
    view = block.views[index]
    photo = read_photo(view.path)
    if photo.sha256 != view.photo_sha256:
        raise PhotoError(f"{view.path.name} is not the photo the survey was built from: its hash differs")
    camera = block.camera(view)
    rings = []
    for ring in _rings(outline_m):
        xy = _coords(ring.segmentize(0.5))
        rings.append(camera.project(np.column_stack([xy, np.full(len(xy), top_m)]), view.pose)[0])
    border = np.concatenate(rings)
    centre = np.array([outline_m.centroid.x, outline_m.centroid.y, top_m])
    steps = camera.project(centre + np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0]]), view.pose)[0]
    px_per_m = float((np.linalg.norm(steps[1] - steps[0]) + np.linalg.norm(steps[2] - steps[0])) / 2)
    margin = max(96.0, 0.5 * float(np.ptp(border, axis=0).max()), 4 * px_per_m)
    low = np.maximum(np.floor(border.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(border.max(axis=0) + margin), [camera.width_px, camera.height_px]).astype(int)
    pixels = read_pixels(view.path)[low[1] : high[1], low[0] : high[0]]
    factor = min(1.0, _PHOTO_PX / max(pixels.shape[:2])) if max(pixels.shape[:2]) >= 420 else 420 / max(pixels.shape[:2])
    picture = _resized(pixels, factor)
    _draw_outline(picture, [(ring - low) * factor for ring in rings])
    _draw_north(picture, tuple((steps[1] - steps[0]).tolist()))
    _draw_scale(picture, px_per_m * factor)
    place = _place(survey, outline_m)
    when = photo.taken_at.strftime("%Y-%m-%d %H:%M:%SZ") if photo.taken_at else survey.taken_on.isoformat()
    words = f"{when}  {_ascii(place)}  {view.path.name}  sha256 {photo.sha256[:12]}"
    caption = (
        f"{when} 原始照片 source photo {view.path.name}, {place.lon_deg:.6f}, {place.lat_deg:.6f}, SHA-256 {photo.sha256[:12]}"
    )
    return _crop(_with_strip(picture, words), caption, place, photo.taken_at, photo.sha256)


def _around(grid: Grid, outline_m: Polygon | MultiPolygon) -> tuple[Grid, Window]:
    """A square window about an outline with room around it, cut at the grid's edge."""
    west, south, east, north = outline_m.bounds
    half = max(east - west, north - south) / 2 + _CHIP_MARGIN_M
    x, y = (west + east) / 2, (south + north) / 2
    window = grid.window((x - half, y - half, x + half, y + half))
    return grid.part(window), window


def _rings(outline_m: Polygon | MultiPolygon) -> list[LinearRing]:
    return [part.exterior for part in (outline_m.geoms if isinstance(outline_m, MultiPolygon) else (outline_m,))]


def _coords(ring: BaseGeometry) -> Floats:
    """Vertices `(n, 2)` of a ring."""
    return np.array(ring.coords, np.float64)[:, :2]


def _on_grid(ring: LinearRing, part: Grid, factor: float) -> Floats:
    xy = _coords(ring)
    return np.column_stack([xy[:, 0] - part.west_m, part.north_m - xy[:, 1]]) / part.gsd_m * factor


def _place(survey: Survey, outline_m: Polygon | MultiPolygon) -> LonLat:
    return survey.grid.frame.lonlat(outline_m.centroid.x, outline_m.centroid.y)


def _ascii(place: LonLat) -> str:
    ns, ew = "N" if place.lat_deg >= 0 else "S", "E" if place.lon_deg >= 0 else "W"
    return f"{abs(place.lat_deg):.6f}{ns} {abs(place.lon_deg):.6f}{ew}"


def _resized(pixels: Pixels, factor: float) -> Pixels:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how), np.uint8)


def _draw_outline(picture: Pixels, rings: Sequence[Floats], colour: tuple[int, int, int] = _RED) -> None:
    for ring in rings:
        points = [np.round(ring * 16).astype(np.int32).reshape(-1, 1, 2)]
        cv2.polylines(picture, points, True, _WHITE, 4, cv2.LINE_AA, 4)
        cv2.polylines(picture, points, True, colour, 2, cv2.LINE_AA, 4)


def _draw_north(picture: Pixels, up: tuple[float, ...]) -> None:
    """An arrow to the north in the upper right corner; `up` is that direction in the picture."""
    size = max(14.0, 0.035 * max(picture.shape[:2]))
    way = np.array(up) / max(1e-9, math.hypot(*up))
    middle = np.array([picture.shape[1] - 2.2 * size, 2.2 * size])
    tail, tip = middle - way * size, middle + way * size
    for colour, width in ((_BLACK, 5), (_WHITE, 2)):
        cv2.arrowedLine(picture, _whole(tail), _whole(tip), colour, width, cv2.LINE_AA, 0, 0.35)
    _write(picture, "N", _whole(tail - way * 0.6 * size + [-0.3 * size, 0.3 * size]), size / 28)


def _draw_scale(picture: Pixels, px_per_m: float) -> None:
    """A bar of 1, 2, 5, 10 … metres, at most a third of the picture's width."""
    most = picture.shape[1] / 3 / max(1e-6, px_per_m)
    decade = 10.0 ** math.floor(math.log10(max(most, 1e-3)))
    length = max(m * decade for m in (1, 2, 5) if m * decade <= most or m == 1)
    x0, y = 14, picture.shape[0] - 16
    x1 = x0 + round(length * px_per_m)
    for colour, width in ((_BLACK, 7), (_WHITE, 3)):
        cv2.line(picture, (x0, y), (x1, y), colour, width)
    _write(picture, f"{length:g} m", (x0, y - 10), 0.5)


def _whole(point: Floats) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _write(picture: Pixels, words: str, at: tuple[int, int], scale: float) -> None:
    for colour, width in ((_BLACK, 4), (_WHITE, 1)):
        cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width, cv2.LINE_AA)


def _with_strip(picture: Pixels, words: str) -> Pixels:
    """The picture over a black strip with its words, made as small as they need to fit."""
    scale = 0.5
    while scale > 0.28 and cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > picture.shape[1] - 12:
        scale -= 0.02
    strip = np.zeros((26, picture.shape[1], 3), np.uint8)
    cv2.putText(strip, words, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)
    return np.vstack([picture, strip])


def _diverging(values: Metres, most: float) -> Pixels:
    """Blue below, white at zero, red above; grey where unknown. `(rows, cols, 3)`."""
    t = np.clip(np.nan_to_num(values) / most, -1, 1)[..., None]
    up, down, white = np.array([178, 24, 43.0]), np.array([33, 102, 172.0]), np.array([247, 247, 247.0])
    colours = np.where(t >= 0, white + t * (up - white), white - t * (down - white))
    colours[~np.isfinite(values)] = _GREY
    return np.ascontiguousarray(colours, np.uint8)


def _colour_bar(rows: int, most: float) -> Pixels:
    bar = np.full((rows, 84, 3), 255, np.uint8)
    top, bottom = 20, rows - 20
    ramp = np.linspace(most, -most, bottom - top).astype(np.float32)[:, None]
    bar[top:bottom, 8:30] = _diverging(np.repeat(ramp, 22, axis=1), most)
    for k in range(5):
        y = round(top + (bottom - top - 1) * k / 4)
        cv2.putText(bar, f"{most * (1 - k / 2):+.1f} m", (34, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _BLACK, 1, cv2.LINE_AA)
        cv2.line(bar, (30, y), (33, y), _BLACK, 1)
    return bar


def _crop(
    picture: Pixels, caption: str, place: LonLat, taken_at: datetime | None = None, photo_sha256: str | None = None
) -> Crop:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise SurveyError("the evidence picture could not be written as JPEG")
    jpeg = data.tobytes()
    return Crop(jpeg, hashlib.sha256(jpeg).hexdigest(), caption, place, taken_at, photo_sha256)
