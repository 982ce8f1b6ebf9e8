"""A candidate: cells changed here, as a polygon with area, height, kind, score and reasons. What it means is for others to decide."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import cv2
import numpy as np
from affine import Affine
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from change_detect.errors import ChangeError
from change_detect.raster import Mask, outlines
from geo.grid import Grid, Window

KEEPS_IOU = 0.85


class Kind(StrEnum):
    """What a change looks like."""

    NEW_BUILDING = "new_building"  # 新建
    ROOF_ADDITION = "roof_addition"  # 加层、楼顶
    EXTENSION = "extension"  # 扩建
    SHED_OR_CONTAINER = "shed_or_container"  # 棚、箱房
    DEMOLISHED = "demolished"  # 拆除
    FOUNDATION = "foundation"  # 地基: a slab or low walls, the first stage of a building
    EARTHWORK = "earthwork"  # 填挖
    VEGETATION = "vegetation"
    VEHICLE = "vehicle"
    COVER = "cover"  # 篷布、薄膜、遮阳伞
    MATERIAL = "material"  # 堆料
    IMAGE_CHANGE = "image_change"  # seen in the orthos alone
    ARTEFACT = "artefact"  # made by the survey itself


@dataclass(frozen=True, slots=True)
class Candidate:
    """One change.

    Args:
        id: stable: the same change between the same dates has the same id.
        outline: valid polygon in metres of the area's frame.
        area_m2, area_sigma_m2: its area, and one standard deviation of it.
        height_m: median gain over the outline (negative: lost), None when there are no surfaces.
        kind: what it looks like.
        score: 0..1, how much it looks like a structure's change (see `rules`).
        reasons: sentences for a reviewer, the numbers in them.
        suppressed: why it is held back, or None. Reversible: everything else is kept.
        features: what was measured of it, by name (see `measured`): what a classifier or a later calibration learns from.
    """

    id: str
    outline: Polygon
    area_m2: float
    area_sigma_m2: float
    height_m: float | None
    kind: Kind
    score: float
    reasons: tuple[str, ...]
    suppressed: str | None = None
    features: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.outline.is_empty or not self.outline.is_valid:
            raise ChangeError(f"candidate {self.id}: its outline is broken")
        if not 0.0 <= self.score <= 1.0:
            raise ChangeError(f"candidate {self.id}: a score of {self.score} is outside 0..1")


def measured(**values: float) -> Mapping[str, float]:
    """One row of features by name; what is not finite was not measured and is left out."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def stable_id(outline: Polygon, before: date, after: date) -> str:
    """A hash of dates, centre (half a metre) and area (whole square metres)."""
    centre = outline.centroid
    text = f"{before}|{after}|{round(centre.x * 2)}|{round(centre.y * 2)}|{round(outline.area)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def outline_of(mask: Mask, grid: Grid, window: Window, *, regular: bool = True) -> Polygon:
    """The outline of the largest part of a mask, in metres: regularised to its dominant direction where that fits, or only thinned."""
    if not mask.any():
        raise ChangeError("an empty mask has no outline")
    tight = box_of(mask)
    where = Window(window.row + tight.row, window.col + tight.col, tight.rows, tight.cols)
    parts = outlines(mask[tight.slices], grid.part(where).transform)
    raw = max(parts, key=lambda p: float(p.area))
    raw = _without_pinholes(raw.buffer(0), grid.gsd_m)
    return regularised(raw, grid.gsd_m) if regular else _thinned(raw, grid.gsd_m)


def _thinned(raw: Polygon, gsd_m: float) -> Polygon:
    plain = _largest(raw.simplify(1.0 * gsd_m).buffer(0))
    return plain if plain.is_valid and not plain.is_empty else raw


def box_of(mask: Mask) -> Window:
    """The smallest window that holds every cell of a mask that is not empty."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0] + 1), int(cols[-1] - cols[0] + 1))


def regularised(raw: Polygon, gsd_m: float) -> Polygon:
    """The simplest right-angled outline that keeps an IoU over 0.85 with the raw one; otherwise the raw one, thinned.

    Tried in order: one rectangle, then the outline snapped to steps of half a metre along the dominant direction.
    """
    plain = _largest(raw.simplify(1.0 * gsd_m).buffer(0))
    angle = _direction(plain)
    turned = affinity.rotate(raw, -angle, origin=(0, 0))
    rectangle = _fitted_rectangle(turned)
    tries = [rectangle]
    steps = _stepped(turned, max(0.5, 3 * gsd_m))
    if steps is not None:
        tries.append(steps)
    best = max(tries, key=lambda t: _iou(t, turned))
    simple = rectangle if _iou(rectangle, turned) > max(KEEPS_IOU, _iou(best, turned) - 0.04) else best
    if _iou(simple, turned) > KEEPS_IOU:
        back = affinity.rotate(simple, angle, origin=(0, 0))
        if back.is_valid and not back.is_empty:
            return back
    return plain if plain.is_valid and not plain.is_empty else raw


def _direction(polygon: Polygon) -> float:
    """Dominant direction of its edges in degrees, modulo 90, weighted by length (a circular mean of four times the angle)."""
    xy = np.asarray(polygon.exterior.coords)
    d = np.diff(xy, axis=0)
    length = np.hypot(d[:, 0], d[:, 1])
    four = np.exp(4j * np.arctan2(d[:, 1], d[:, 0]))
    # long edges tell the direction, stair steps do not: weight by length squared
    mean = (four * length**2).sum()
    share = abs(mean) / max((length**2).sum(), 1e-9)
    if share < 0.3:
        corners = np.asarray(_largest(_polygonal(polygon.minimum_rotated_rectangle)).exterior.coords)
        edge = corners[1] - corners[0]
        return math.degrees(math.atan2(edge[1], edge[0])) % 90.0
    return math.degrees(float(np.angle(mean))) / 4.0 % 90.0


def _fitted_rectangle(turned: Polygon) -> Polygon:
    """The upright rectangle with the polygon's own area and spread: sides at the distance that second moments give."""
    west, south, east, north = turned.bounds
    size = 256
    scale = size / max(east - west, north - south)
    canvas = np.zeros((math.ceil((north - south) * scale) + 1, math.ceil((east - west) * scale) + 1), np.uint8)
    ring = (np.asarray(turned.exterior.coords) - (west, south)) * scale
    cv2.fillPoly(canvas, [np.rint(ring).astype(np.int32)], 1)
    along, across = canvas.sum(0).astype(float), canvas.sum(1).astype(float)
    # a side lies where the filled length passes half of its usual value
    x0, x1 = _half(along)
    y0, y1 = _half(across)
    return box(west + x0 / scale, south + y0 / scale, west + x1 / scale, south + y1 / scale)


def _half(profile: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    usual = float(np.median(profile[profile > 0]))
    over = np.nonzero(profile >= 0.5 * usual)[0]
    return float(over[0]), float(over[-1] + 1)


def _stepped(turned: Polygon, step_m: float) -> Polygon | None:
    """The polygon on a coarse upright lattice of its own: cells more than half covered, joined."""
    west, south, east, north = turned.bounds
    cols, rows = math.ceil((east - west) / step_m), math.ceil((north - south) / step_m)
    if rows * cols > 40_000 or rows * cols == 0:
        return None
    fine = 8
    canvas = np.zeros((rows * fine, cols * fine), np.uint8)
    rings = [turned.exterior, *turned.interiors]
    paths = [np.rint((np.asarray(r.coords) - (west, south)) / step_m * fine).astype(np.int32) for r in rings]
    cv2.fillPoly(canvas, paths, 1)
    share = canvas.reshape(rows, fine, cols, fine).mean((1, 3))
    keep = cv2.morphologyEx((share >= 0.5).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    parts = outlines(keep > 0, Affine(step_m, 0.0, west, 0.0, step_m, south))
    if not parts:
        return None
    return _largest(_polygonal(max(parts, key=lambda p: float(p.area)).buffer(0).simplify(0.01)))


def _iou(a: Polygon, b: Polygon) -> float:
    inside = a.intersection(b).area
    return float(inside / (a.area + b.area - inside)) if a.area + b.area > 0 else 0.0


def _polygonal(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    if isinstance(geometry, Polygon | MultiPolygon):
        return geometry
    raise ChangeError(f"an outline shrank to a {geometry.geom_type}")


def _largest(geometry: Polygon | MultiPolygon) -> Polygon:
    parts = list(geometry.geoms) if isinstance(geometry, MultiPolygon) else [geometry]
    return max(parts, key=lambda p: p.area)


def _without_pinholes(geometry: Polygon | MultiPolygon, gsd_m: float) -> Polygon:
    polygon = _largest(geometry)
    least = max(1.0, 20 * gsd_m * gsd_m)
    return Polygon(polygon.exterior, [r for r in polygon.interiors if Polygon(r).area > max(least, 0.02 * polygon.area)])
