"""Masks: ground that may not be shown, burnt out of a survey's rasters and blanked in every photo that looks at it.

Burning is for good: the cells are gone from the files (and from their overviews), and `masks.json` beside them says what was burnt.
A photo cannot be burnt, it is an original; whoever cuts a picture out of one asks `veil` first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon, mapping, shape

from geo.camera import Camera
from geo.frames import Floats, Pose
from imagery import cells, mosaic, raster
from imagery.bend import Bend
from imagery.errors import SurveyError
from imagery.residual import Residual
from imagery.survey import Survey

Mask = NDArray[np.bool_]
Ground = Polygon | MultiPolygon

RECORD = "masks.json"
RASTERS = (
    "surface",
    "sigma",
    "confidence",
    "filled",
    "off_nadir",
    "source",
    "ground",
    "height",
    "ground_bridged",
    "flags",
    "certainty",
    "ortho",
)
_BELOW_M, _ABOVE_M = 1.5, 4.0  # masts and trees that the surface has missed stand out of what it knows
_UNKNOWN_ABOVE_M = 40.0
_LATTICE_PX = 4


@dataclass(frozen=True, slots=True)
class Burnt:
    """One mask in one survey: its outline in frame metres, and the heights between which things stand on its ground."""

    mask_id: str
    outline_m: Ground
    low_m: float
    high_m: float
    cells: int

    def bent(self, bend: Bend) -> Burnt:
        """The mask in the own shape of a block that lies on the reference's ground by a bend."""

        def off(xy: Floats) -> Floats:
            return bend.off(np.column_stack([xy, np.full(len(xy), self.low_m)]))[:, :2]

        outline = shapely.transform(shapely.segmentize(self.outline_m, 5.0), off)
        corners = shapely.get_coordinates(self.outline_m)
        falls = bend.off(np.column_stack([corners, np.full(len(corners), self.low_m)]))[:, 2] - self.low_m
        return replace(self, outline_m=outline, low_m=self.low_m + float(falls.min()), high_m=self.high_m + float(falls.max()))


def read(folder: Path) -> tuple[Burnt, ...]:
    """What was burnt out of the survey in a folder; raises SurveyError when that cannot be read."""
    path = folder / RECORD
    if not path.exists():
        return ()
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["masks"]
        return tuple(Burnt(i["mask_id"], _polygons(i["outline_m"]), i["low_m"], i["high_m"], i["cells"]) for i in items)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SurveyError(f"{path}: cannot be read ({error}); nothing of this survey is shown until it is mended") from error


def burn(survey: Survey, masks: Sequence[tuple[str, Ground]]) -> tuple[Burnt, ...]:
    """Burn masks (id, outline in frame metres) that touch a survey out of all its rasters; those burnt already are left.

    The record is written first: should the work be cut off, photos are blanked at once, and it is done again from the start. Returns
    what was burnt now.
    """
    grid = survey.grid
    there = {b.mask_id: b for b in read(survey.folder)}
    done = {mask_id for mask_id, b in there.items() if b.cells >= 0}
    fresh = [(i, o) for i, o in masks if i not in done and o.intersects(grid.outline_m)]
    if not fresh:
        return ()
    found = [Burnt(mask_id, outline, *_heights(survey, outline), -1) for mask_id, outline in fresh if mask_id not in there]
    found += [b for b in there.values() if b.cells < 0]
    _write(survey.folder, (*(b for b in there.values() if b.cells >= 0), *found))
    whole = shapely.union_all([b.outline_m for b in found])
    for role in RASTERS:
        path: Path | None = getattr(survey, role, None)
        if path is not None:
            raster.blank(path, whole)
    _redraw(survey)
    found = [replace(b, cells=_cells(survey, b.outline_m)) for b in found]
    _write(survey.folder, (*(b for b in there.values() if b.cells >= 0), *found))
    return tuple(found)


def veil(camera: Camera, pose: Pose, corner: tuple[int, int], shape_px: tuple[int, int], burnt: Sequence[Burnt]) -> Mask:
    """Which pixels of a photo's part look at masked ground or at what may stand on it, `(rows, cols)`.

    `corner` is the part's first (column, row). Each ray is walked through the heights of the mask, so that a wall that leans out of the
    outline is covered too; what stands before the mask is covered with it.
    """
    rows, cols = shape_px
    covered = np.zeros((-(-rows // _LATTICE_PX), -(-cols // _LATTICE_PX)), bool)
    gx, gy = np.meshgrid(np.arange(covered.shape[1]) + 0.5, np.arange(covered.shape[0]) + 0.5)
    pixels = np.column_stack([gx.ravel(), gy.ravel()]) * _LATTICE_PX + np.array(corner)
    rays = camera.rays(pixels) @ pose.matrix
    falls = rays[:, 2] < -1e-3  # a ray into the sky meets no ground
    for b in burnt:
        shapely.prepare(b.outline_m)
        levels = np.linspace(b.low_m, b.high_m, max(2, math.ceil((b.high_m - b.low_m) / 1.0) + 1))
        west, south, east, north = b.outline_m.bounds
        hit = np.zeros(len(rays), bool)
        for z in levels:
            with np.errstate(divide="ignore", invalid="ignore"):
                t = (z - pose.z_m) / rays[:, 2]
            x, y = pose.x_m + t * rays[:, 0], pose.y_m + t * rays[:, 1]
            asked = falls & (t > 0) & ~hit & (x >= west) & (x <= east) & (y >= south) & (y <= north)
            hit[asked] = shapely.contains_xy(b.outline_m, x[asked], y[asked])
        covered |= hit.reshape(covered.shape)
    if not covered.any():
        return np.zeros((rows, cols), bool)
    grown = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.resize(grown, None, fx=_LATTICE_PX, fy=_LATTICE_PX, interpolation=cv2.INTER_NEAREST)[:rows, :cols] > 0)


def _heights(survey: Survey, outline: Ground) -> tuple[float, float]:
    """Between which heights (frame metres) things stand within an outline, with a margin; from around it where it is unknown."""
    if survey.surface is None:
        return 0.0, 0.0
    window = survey.grid.window(outline.buffer(20.0).bounds)
    thin = max(1, round(0.5 / survey.grid.gsd_m))
    z = raster.read_window(survey.surface, window)[::thin, ::thin]
    known = np.isfinite(z)
    if not known.any():
        return 0.0, 0.0
    part = survey.grid.part(window)
    inner = raster.inside(outline, part)[::thin, ::thin]
    if not inner.any():  # narrower than the thinned cells
        inner[:] = True
    filled = mosaic.without_gaps(z)
    low, high = float(filled[inner].min()), float(filled[inner].max())
    unsure = not known[inner].any()
    return low - _BELOW_M, high + (_UNKNOWN_ABOVE_M if unsure else _ABOVE_M)


def _redraw(survey: Survey) -> None:
    """The map of the residual is drawn over the orthophoto: drawn anew over the burnt one, or gone where it cannot be."""
    picture = survey.folder / "residual.png"
    if picture.exists():
        picture.unlink()
        if survey.residual is not None and survey.residual.is_file():
            cells.picture(Residual.load(survey.residual), survey.grid, survey.ortho, picture)


def _cells(survey: Survey, outline: Ground) -> int:
    return int(raster.inside(outline, survey.grid.part(survey.grid.window(outline.bounds))).sum())


def _write(folder: Path, found: Sequence[Burnt]) -> None:
    items = [
        {
            "mask_id": b.mask_id,
            "outline_m": mapping(b.outline_m),
            "low_m": b.low_m,
            "high_m": b.high_m,
            "cells": b.cells,
        }
        for b in found
    ]
    temporary = folder / f".{RECORD}.part"
    temporary.write_text(json.dumps({"masks": items}, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(folder / RECORD)


def _polygons(raw: Any) -> Ground:
    found = shape(raw)
    if not isinstance(found, Polygon | MultiPolygon):
        raise TypeError(f"a mask is a polygon, not a {found.geom_type}")
    return found
