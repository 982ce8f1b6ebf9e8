"""Which of a survey's photos see a place best, and what they show of it: the source photos behind a finding.

A view's cost is a sum of four parts, each 0 at its best: how much of the place something hides, how slantwise the view is, how far from
the picture's middle the place lies, and how much less sharp the photo is there than the sharpest of the shortlist. The first three
follow from poses and surface alone; sharpness is measured on the place itself, at one ground sampling for all, so that a far photo and
a blurred one both lose.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LinearRing, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geo.camera import Camera
from geo.frames import Floats
from geo.grid import Grid
from imagery import masks, mosaic, raster
from imagery.errors import PhotoError, SurveyError
from imagery.photos import Photo, read_photo, read_pixels
from imagery.reconstruct import Block, View
from imagery.survey import Survey

Pixels = NDArray[np.uint8]
Ground = Polygon | MultiPolygon

_LEAST_SEEN = 0.7  # share of the place's points a photo must truly see
_LEAST_WITHIN = 0.5  # share of the place in the picture, where no photo holds it whole
_SIGHT_M = 30.0  # ground around the place that may stand in the line of sight
_HIDDEN, _SLANT, _OFF_CENTRE, _BLUR = 2.0, 1.0, 0.3, 0.8  # weights of the cost
_SHORTLIST = 3  # photos decoded beyond those that are asked for
_KEPT_BYTES = 250_000_000  # decoded photos held for the next place
_SHARP_PX = 256  # long side of the patch that sharpness is measured on


@dataclass(frozen=True, slots=True)
class Sight:
    """One photo that sees a place: `top_m` is the height of the place's top in the frame, `within` the share of the place that lies in
    the picture, `seen` the share of that which nothing hides, `sharpness` 0..1 of the best.
    """

    index: int
    top_m: float
    seen: float
    slant: float  # tangent of the angle between the line of sight and the plumb line
    off_centre: float  # 0 in the picture's middle, 1 in its corner
    sharpness: float = 1.0
    within: float = 1.0

    @property
    def cost(self) -> float:
        """How much less than perfect the view is."""
        return _HIDDEN * (1 - self.seen) + _SLANT * self.slant + _OFF_CENTRE * self.off_centre**2 + _BLUR * (1 - self.sharpness)


class Witness:
    """A survey's photos, opened once for many places. A photo is read anew, and must have the hash the survey was built with."""

    def __init__(self, survey: Survey) -> None:
        if survey.block is None or survey.surface is None:
            raise SurveyError(f"survey {survey.id} has no photos of its own")
        self.survey = survey
        self.block = Block.load(survey.block)
        burnt, bend = masks.read(survey.folder), self.block.bend
        self.burnt = (
            burnt if bend is None else tuple(b.bent(bend) for b in burnt)
        )  # photos are looked at in the block's own shape
        self._photos: dict[int, Photo] = {}
        self._pixels: OrderedDict[int, Pixels] = OrderedDict()
        self._views = [self.block.projector(i) for i in range(len(self.block.views))]

    def view(self, sight: Sight) -> tuple[View, Camera]:
        """The view of a sight and its camera."""
        view = self.block.views[sight.index]
        return view, self.block.camera(view)

    def photo(self, index: int) -> Photo:
        """The photo of a view; raises PhotoError when it cannot be read or is not the one the survey was built from."""
        if index not in self._photos:
            view = self.block.views[index]
            photo = read_photo(view.path)
            if photo.sha256 != view.photo_sha256:
                raise PhotoError(f"{view.path.name} is not the photo the survey was built from: its hash differs")
            self._photos[index] = photo
        return self._photos[index]

    def pixels(self, index: int) -> Pixels:
        """The photo's pixels as the sensor saw them, `(rows, cols, 3)`; hash-checked. Raises PhotoError."""
        self.photo(index)
        if index not in self._pixels:
            self._pixels[index] = read_pixels(self.block.views[index].path)
            while len(self._pixels) > 1 and sum(p.nbytes for p in self._pixels.values()) > _KEPT_BYTES:
                self._pixels.popitem(last=False)
        self._pixels.move_to_end(index)
        return self._pixels[index]

    def best(self, outline_m: Ground, count: int) -> tuple[tuple[Sight, ...], tuple[str, ...]]:
        """Up to `count` sights of a place, best first, and what was wrong with photos that were passed over."""
        ranked = self.sights(outline_m)
        problems: list[str] = []
        short: list[tuple[Sight, float]] = []
        for sight in ranked:
            if len(short) == count + _SHORTLIST:
                break
            try:
                short.append((sight, self._sharpness(sight, outline_m)))
            except PhotoError as error:
                problems.append(str(error))
        most = max((sharp for _, sharp in short), default=1.0)
        judged = sorted((replace(s, sharpness=sharp / max(most, 1e-9)) for s, sharp in short), key=lambda s: s.cost)
        return tuple(judged[:count]), tuple(problems)

    def sights(self, outline_m: Ground) -> tuple[Sight, ...]:
        """The views that hold the whole place and see most of it, best first by geometry alone; where none holds it whole, those
        that hold at least half of it."""
        survey, block = self.survey, self.block
        assert survey.surface is not None
        window = survey.grid.window(outline_m.buffer(_SIGHT_M).bounds)
        thin = max(1, round(0.25 / survey.grid.gsd_m))
        part = survey.grid.part(window)
        heights = raster.read_window(survey.surface, window)[::thin, ::thin]
        heights = mosaic.without_gaps(heights) - np.float32(block.offset_m[2])
        cells = Grid(part.frame, part.gsd_m * thin, part.west_m, part.north_m, *heights.shape)
        inner = raster.inside(outline_m.buffer(cells.gsd_m), cells)
        top = float(np.median(heights[inner])) if inner.any() else float(np.median(heights))
        samples = _samples(outline_m)
        points = np.column_stack([samples - np.array(block.offset_m[:2]), np.full(len(samples), top)])
        corner = (cells.west_m - block.offset_m[0], cells.north_m - block.offset_m[1])
        found = []
        for i, projector in enumerate(self._views):
            pixels, _ = projector.points(points)
            size = projector.numbers[19:21]
            edge = 0.01 * size[0]
            with np.errstate(invalid="ignore"):
                within = ((pixels > edge) & (pixels < size - edge)).all(axis=1)
            if within.mean() < _LEAST_WITHIN:
                continue
            seen = mosaic.seen_share(projector, heights, corner, cells.gsd_m, points[within])
            if seen < _LEAST_SEEN:
                continue
            away = points[:, :2].mean(axis=0) - projector.centre[:2]
            slant = float(np.linalg.norm(away)) / max(1.0, float(projector.centre[2] - top))
            off = float(np.linalg.norm(pixels[within].mean(axis=0) - size / 2) / np.linalg.norm(size / 2))
            found.append(Sight(i, top + block.offset_m[2], seen, slant, off, within=float(within.mean())))
        whole = [sight for sight in found if sight.within == 1.0]
        return tuple(sorted(whole or found, key=lambda s: s.cost))

    def _sharpness(self, sight: Sight, outline_m: Ground) -> float:
        """Mean strength of the fine detail over the place, all photos resampled to one number of pixels across it."""
        west, south, east, north = outline_m.buffer(1.0).bounds
        corners = np.array([[x, y, sight.top_m] for x, y in ((west, south), (west, north), (east, north), (east, south))])
        pixels = self._views[sight.index].points(corners - np.array(self.block.offset_m))[0]
        low = np.maximum(np.floor(pixels.min(axis=0)), 0).astype(int)
        high = np.ceil(pixels.max(axis=0)).astype(int) + 1
        patch = cv2.cvtColor(self.pixels(sight.index)[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
        factor = _SHARP_PX / max(patch.shape)
        if factor < 1:
            patch = cv2.resize(patch, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        fine = cv2.Laplacian(patch, cv2.CV_32F)
        return float(np.abs(fine).mean()) / (float(patch.mean()) + 1.0)  # a longer exposure is not a sharper one


def _samples(outline_m: Ground) -> Floats:
    """Places `(n, 2)` spread over an outline: its border and a lattice inside."""
    border = np.concatenate([coords(ring.segmentize(2.0)) for ring in rings(outline_m)])
    west, south, east, north = outline_m.bounds
    step = max(0.5, max(east - west, north - south) / 6)
    lattice = [
        (x, y) for x in np.arange(west, east, step) for y in np.arange(south, north, step) if outline_m.contains(Point(x, y))
    ]
    return np.concatenate([border, np.array(lattice, np.float64).reshape(-1, 2)])


def rings(outline_m: Ground) -> list[LinearRing]:
    """The outer rings of an outline."""
    return [part.exterior for part in (outline_m.geoms if isinstance(outline_m, MultiPolygon) else (outline_m,))]


def coords(ring: BaseGeometry) -> Floats:
    """Vertices `(n, 2)` of a ring."""
    return np.array(ring.coords, np.float64)[:, :2]
