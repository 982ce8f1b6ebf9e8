"""Evidence of one place: cut from the orthophoto, from the heights of two dates, and from the very photos, outline drawn, hash told.

Every crop is a JPEG with a north arrow, a scale bar and a strip that says when, where and from which file, in Chinese and English.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LinearRing, MultiPolygon, Polygon

from geo.frames import Floats, LonLat
from geo.grid import Grid, Window
from geo.times import LOCAL_ZONE
from imagery import raster
from imagery.errors import SurveyError
from imagery.lettering import BLACK, GREY, draw_north, draw_outline, draw_scale, with_strip, write
from imagery.masks import veil
from imagery.stereo import Metres
from imagery.survey import Survey
from imagery.witness import Sight, Witness, coords
from imagery.witness import rings as outer_rings

Pixels = NDArray[np.uint8]
Ground = Polygon | MultiPolygon

_CHIP_MARGIN_M = 12.0
_CHIP_PX = 720  # long side of an ortho chip, enlarged if need be
_LEAST_PX = 480  # of a photo crop, so that its strip is legible
_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Crop:
    """A picture as evidence. `sha256` is of the JPEG's own bytes, `photo_sha256` of the photo it was cut from (None for chips)."""

    jpeg: bytes
    sha256: str
    caption: str
    place: LonLat
    taken_at: datetime | None = None
    photo_sha256: str | None = None


def chip(survey: Survey, outline_m: Ground) -> Crop:
    """The orthophoto around an outline (frame metres); the same window for every survey of the area. Raises SurveyError."""
    part, window = _around(survey.grid, outline_m)
    pixels = raster.read_window(survey.ortho, window)
    if not raster.read_mask(survey.ortho, window).any():
        raise SurveyError(f"survey {survey.id} does not show the place")
    factor = _CHIP_PX / max(pixels.shape[:2])
    picture = _resized(pixels, factor)
    draw_outline(picture, [_on_grid(ring, part, factor) for ring in outer_rings(outline_m)])
    draw_north(picture, (0.0, -1.0))
    draw_scale(picture, factor / part.gsd_m)
    place = _place(survey, outline_m)
    words = [
        f"{survey.taken_on.isoformat()} 正射影像 orthophoto {survey.grid.gsd_m * 100:.1f} cm",
        _degrees(place),
        f"成果 survey {survey.id}",
    ]
    caption = f"{survey.taken_on.isoformat()} 正射影像 orthophoto, {place.lon_deg:.6f}, {place.lat_deg:.6f}, {survey.id}"
    return _crop(with_strip(picture, words), caption, place)


def height_chip(before: Survey, after: Survey, outline_m: Ground) -> Crop:
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
    draw_outline(picture, [_on_grid(r, part, factor) for r in outer_rings(outline_m)], colour=BLACK)
    draw_north(picture, (0.0, -1.0))
    draw_scale(picture, factor / part.gsd_m)
    picture = np.hstack([picture, _colour_bar(picture.shape[0], most)])
    place = _place(after, outline_m)
    change = float(np.median(inner)) if len(inner) else math.nan
    words = [
        f"{before.taken_on} → {after.taken_on} 高度变化中位数 median height change {change:+.2f} m",
        _degrees(place),
        f"成果 surveys {before.id} → {after.id}",
    ]
    caption = (
        f"{before.taken_on} → {after.taken_on} 高度变化 height change {change:+.2f} m, {place.lon_deg:.6f}, {place.lat_deg:.6f}"
    )
    return _crop(with_strip(picture, words), caption, place)


def crops(survey: Survey, outline_m: Ground, count: int, *, witness: Witness | None = None) -> tuple[Crop, ...]:
    """Up to `count` photos that see the place best, cut out pixel for pixel, the best first (see `imagery.witness`).

    Ground under a mask is blanked. Give the survey's `witness` when several places are asked for: its photos are then opened once. A
    survey without photos of its own (adopted) gives its ortho chip. Raises SurveyError when no photo shows the place.
    """
    if survey.block is None or survey.surface is None:
        return (chip(survey, outline_m),)
    witness = witness or Witness(survey)
    sights, problems = witness.best(outline_m, count)
    if not sights and count > 0:
        why = f" ({'; '.join(problems[:3])})" if problems else ""
        raise SurveyError(f"no photo of survey {survey.id} shows the place{why}")
    return tuple(_photo_crop(witness, sight, outline_m) for sight in sights)


def _photo_crop(witness: Witness, sight: Sight, outline_m: Ground) -> Crop:
    survey = witness.survey
    view, camera = witness.view(sight)
    photo = witness.photo(sight.index)
    projector, offset = witness.block.projector(sight.index), np.array(witness.block.offset_m)
    rings = []
    for ring in outer_rings(outline_m):
        xy = coords(ring.segmentize(0.5))
        rings.append(projector.points(np.column_stack([xy, np.full(len(xy), sight.top_m)]) - offset)[0])
    border = np.concatenate(rings)
    centre = np.array([outline_m.centroid.x, outline_m.centroid.y, sight.top_m])
    steps = projector.points(centre - offset + np.array([[0.0, 0, 0], [0, 1, 0], [1, 0, 0]]))[0]
    px_per_m = float((np.linalg.norm(steps[1] - steps[0]) + np.linalg.norm(steps[2] - steps[0])) / 2)
    span = np.ptp(border, axis=0)
    margin = np.maximum(max(96.0, 0.5 * float(span.max()), 4 * px_per_m), (_LEAST_PX - span) / 2)
    size = np.array([camera.width_px, camera.height_px])
    low = np.maximum(np.floor(border.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(border.max(axis=0) + margin), size).astype(int)
    picture = np.ascontiguousarray(witness.pixels(sight.index)[low[1] : high[1], low[0] : high[0]])
    veiled = 0.0
    if witness.burnt:
        hidden = veil(camera, view.pose, (int(low[0]), int(low[1])), (picture.shape[0], picture.shape[1]), witness.burnt)
        picture[hidden] = GREY
        veiled = float(hidden.mean())
    draw_outline(picture, [ring - low for ring in rings])
    draw_north(picture, tuple((steps[1] - steps[0]).tolist()))
    draw_scale(picture, px_per_m)
    place = _place(survey, outline_m)
    when = _moment(photo.taken_at) if photo.taken_at else survey.taken_on.isoformat()
    words = [f"拍摄 taken {when}", _degrees(place), f"原片 photo {view.path.name}", f"SHA-256 {photo.sha256}"]
    if sight.within < 1.0:
        words.append(f"图斑只有 {sight.within:.0%} 在本片内 partly in this photo")
    if veiled:
        words.append(f"已按遮蔽区遮盖 masked {veiled:.0%}")
    caption = (
        f"{when} 原始照片 source photo {view.path.name}, {place.lon_deg:.6f}, {place.lat_deg:.6f}, SHA-256 {photo.sha256[:12]}"
    )
    if sight.within < 1.0:
        caption += f"，图斑 {sight.within:.0%} 在内 partly shown"
    if veiled:
        caption += f"，已遮盖 masked {veiled:.0%}"
    return _crop(with_strip(picture, words), caption, place, photo.taken_at, photo.sha256)


def _around(grid: Grid, outline_m: Ground) -> tuple[Grid, Window]:
    """A square window about an outline with room around it, cut at the grid's edge."""
    west, south, east, north = outline_m.bounds
    half = max(east - west, north - south) / 2 + _CHIP_MARGIN_M
    x, y = (west + east) / 2, (south + north) / 2
    window = grid.window((x - half, y - half, x + half, y + half))
    return grid.part(window), window


def _on_grid(ring: LinearRing, part: Grid, factor: float) -> Floats:
    xy = coords(ring)
    return np.column_stack([xy[:, 0] - part.west_m, part.north_m - xy[:, 1]]) / part.gsd_m * factor


def _place(survey: Survey, outline_m: Ground) -> LonLat:
    return survey.grid.frame.lonlat(outline_m.centroid.x, outline_m.centroid.y)


def _degrees(place: LonLat) -> str:
    ns, ew = ("北纬", "N") if place.lat_deg >= 0 else ("南纬", "S"), ("东经", "E") if place.lon_deg >= 0 else ("西经", "W")
    return f"{ns[0]} {abs(place.lat_deg):.6f}°{ns[1]} {ew[0]} {abs(place.lon_deg):.6f}°{ew[1]}"


def _moment(at: datetime) -> str:
    """An instant as the office's clock shows it, with its zone."""
    return at.astimezone(LOCAL_ZONE).strftime("%Y-%m-%d %H:%M:%S UTC%z")


def _resized(pixels: Pixels, factor: float) -> Pixels:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how), np.uint8)


def _diverging(values: Metres, most: float) -> Pixels:
    """Blue below, white at zero, red above; grey where unknown. `(rows, cols, 3)`."""
    t = np.clip(np.nan_to_num(values) / most, -1, 1)[..., None]
    up, down, white = np.array([178, 24, 43.0]), np.array([33, 102, 172.0]), np.array([247, 247, 247.0])
    colours = np.where(t >= 0, white + t * (up - white), white - t * (down - white))
    colours[~np.isfinite(values)] = GREY
    return np.ascontiguousarray(colours, np.uint8)


def _colour_bar(rows: int, most: float) -> Pixels:
    bar = np.full((rows, 84, 3), 255, np.uint8)
    top, bottom = 20, rows - 20
    ramp = np.linspace(most, -most, bottom - top).astype(np.float32)[:, None]
    bar[top:bottom, 8:30] = _diverging(np.repeat(ramp, 22, axis=1), most)
    for k in range(5):
        y = round(top + (bottom - top - 1) * k / 4)
        write(bar, f"{most * (1 - k / 2):+.1f} m", (34, y - 8), 12, BLACK, halo=None)
        cv2.line(bar, (30, y), (33, y), BLACK, 1)
    return bar


def _crop(
    picture: Pixels, caption: str, place: LonLat, taken_at: datetime | None = None, photo_sha256: str | None = None
) -> Crop:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise SurveyError("the evidence picture could not be written as JPEG")
    jpeg = data.tobytes()
    return Crop(jpeg, hashlib.sha256(jpeg).hexdigest(), caption, place, taken_at, photo_sha256)
