"""A scene: the town on one day, pressed into tables that rays can search, with its painted ground and its shadows.

The surface and the masks it gives are exact: they come from the very solids that the photos show.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.frames import XY, Floats, Frame, Pose
from geo.grid import Grid
from simulator import tracer
from simulator.errors import SimulatorError
from simulator.soil import Patch, Soil, paint
from simulator.solids import Book, Tables
from simulator.sun import Sun
from simulator.things import BUILDERS, Thing
from simulator.tracer import Relief

SHADOW_STEP_M = 0.15
SKY_STEP_M = 0.5


class Shadow(NamedTuple):
    """The town seen from the sun: how far towards it the first thing stands, for a raster along two axes across the light."""

    depths: NDArray[np.float32]
    axes: Floats  # (3, 3) rows: across, up, towards the sun
    corner: Floats  # (2,)
    step: float


class Scene:
    """What stands on one day. Heavy parts are made when first asked for, and kept."""

    def __init__(
        self,
        frame: Frame,
        origin: XY,
        extent: tuple[float, float, float, float],
        relief: Relief,
        things: Sequence[Thing],
        patches: Sequence[Patch],
        seed: int,
        day: int,
    ) -> None:
        self.frame, self.origin, self.extent = frame, origin, extent
        self.relief, self.things, self.patches = relief, tuple(things), tuple(patches)
        self.seed, self.day = seed, day
        self._shadows: OrderedDict[Sun, Shadow] = OrderedDict()

    @cached_property
    def tables(self) -> Tables:
        """All solids, ready for rays."""
        book = Book()
        for thing in self.things:
            BUILDERS[thing.kind](book, thing)
        return book.press(*self.extent)

    @cached_property
    def soil(self) -> Soil:
        """The painted ground."""
        return paint(self.patches, self.extent, self.seed, self.day)

    @cached_property
    def sky(self) -> tuple[NDArray[np.float32], Floats]:
        """How much of the sky the ground sees, 0..1, row 0 in the south, with its place (west, south, step)."""
        west, south, east, north = self.extent
        xs, ys = np.arange(west, east, SKY_STEP_M) + SKY_STEP_M / 2, np.arange(south, north, SKY_STEP_M) + SKY_STEP_M / 2
        tops = np.empty((len(ys), len(xs)), np.float32)
        tracer.tops(self.tables, self.relief.heights, self.relief.place, xs, ys, tops)
        return tracer.sky_seen(tops, SKY_STEP_M), np.array([west, south, SKY_STEP_M])

    def ground_m(self, x_m: float, y_m: float) -> float:
        """Height of the bare ground at a place of the metric frame."""
        return float(tracer.relief_at(self.relief.heights, self.relief.place, x_m - self.origin.x_m, y_m - self.origin.y_m))

    def surface(self, grid: Grid) -> NDArray[np.float32]:
        """The exact height `(rows, cols)` of the highest thing at each cell centre, trees and cars included; metres over the ellipsoid."""
        self._same_frame(grid)
        xs, ys = grid.centres()
        out = np.empty(grid.shape, np.float32)
        tracer.tops(self.tables, self.relief.heights, self.relief.place, xs - self.origin.x_m, ys - self.origin.y_m, out)
        return out

    def bare_ground(self, grid: Grid) -> NDArray[np.float32]:
        """The height `(rows, cols)` of the ground alone at each cell centre."""
        self._same_frame(grid)
        xs, ys = grid.centres()
        west, south, step = self.relief.place
        rows, cols = self.relief.heights.shape
        u = np.clip((xs - self.origin.x_m - west) / step, 0, cols - 1.001)
        v = np.clip((ys - self.origin.y_m - south) / step, 0, rows - 1.001)
        col, row = u.astype(int), v.astype(int)
        fu, fv = (u - col)[None, :], (v - row)[:, None]
        h = self.relief.heights
        low = h[np.ix_(row, col)] * (1 - fu) + h[np.ix_(row, col + 1)] * fu
        high = h[np.ix_(row + 1, col)] * (1 - fu) + h[np.ix_(row + 1, col + 1)] * fu
        return (low * (1 - fv) + high * fv).astype(np.float32)

    def seen(self, pose: Pose, direction: Floats) -> Floats | None:
        """Where a line of sight from a pose along a world direction `(3,)` ends, in frame metres `(3,)`; None in the sky."""
        way = direction / np.linalg.norm(direction)
        x, y, z = pose.x_m - self.origin.x_m, pose.y_m - self.origin.y_m, pose.z_m
        at, body, _ = tracer.hit(self.tables, self.relief.heights, self.relief.place, x, y, z, way[0], way[1], way[2])
        return None if body == tracer.SKY else pose.centre + way * at

    def shadow(self, sun: Sun) -> Shadow:
        """The light and shade of one sun; the last two are kept."""
        if sun in self._shadows:
            self._shadows.move_to_end(sun)
            return self._shadows[sun]
        made = self._cast(sun)
        self._shadows[sun] = made
        while len(self._shadows) > 2:
            self._shadows.popitem(last=False)
        return made

    def _cast(self, sun: Sun) -> Shadow:
        towards = np.array(sun.towards)
        across = np.array([-towards[1], towards[0], 0.0]) / math.hypot(towards[0], towards[1])
        axes = np.stack([across, np.cross(towards, across), towards])
        west, south, east, north = self.extent
        low, high = float(self.relief.heights.min()), float(max(self.tables.grid[5], self.relief.heights.max()))
        corners = np.array([(x, y, z) for x in (west, east) for y in (south, north) for z in (low, high)])
        flat = corners @ axes[:2].T
        corner, end = flat.min(axis=0), flat.max(axis=0)
        cols, rows = (math.ceil((e - c) / SHADOW_STEP_M) for e, c in zip(end, corner, strict=True))
        depths = np.empty((rows, cols), np.float32)
        tracer.depths_from_sun(self.tables, self.relief.heights, self.relief.place, axes, corner, SHADOW_STEP_M, depths)
        return Shadow(depths, axes, corner, SHADOW_STEP_M)

    def _same_frame(self, grid: Grid) -> None:
        if grid.frame != self.frame:
            raise SimulatorError(
                f"the grid is in EPSG:{grid.frame.epsg}, the town in EPSG:{self.frame.epsg}: ask in the town's frame"
            )
