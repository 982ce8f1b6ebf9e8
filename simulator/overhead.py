"""A scene straight from above on a grid: the ortho that a perfect survey would make of it, and what of it is leaves or water."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.grid import Grid
from simulator.lens import toned
from simulator.light import light_from_above
from simulator.scene import Scene
from simulator.soil import Look
from simulator.sun import Sun
from simulator.textures import atlas

LEAVES = frozenset({"tree", "bare_tree", "maize"})


@dataclass(frozen=True, slots=True)
class Overhead:
    """All arrays `(rows, cols)` on one grid: `light` linear `(rows, cols, 3)`, `surface` the exact highest point and `floor` the same without
    plants, metres; `leaves` where a plant is the highest, `bare` where it has no leaves now, `water`.
    """

    light: NDArray[np.float32]
    surface: NDArray[np.float32]
    floor: NDArray[np.float32]
    leaves: NDArray[np.bool_]
    bare: NDArray[np.bool_]
    water: NDArray[np.bool_]

    @property
    def ortho(self) -> NDArray[np.uint8]:
        """Grey levels as the simulator's camera develops them."""
        return np.clip(toned(self.light.copy()) + 0.5, 0, 255).astype(np.uint8)


def overhead(scene: Scene, grid: Grid, sun: Sun) -> Overhead:
    """The scene on the cells of a grid in its frame; raises SimulatorError when the grid lies in another."""
    surface = scene.surface(grid)
    floor = without(scene, LEAVES).surface(grid)
    xs, ys = grid.centres()
    out = np.empty((*grid.shape, 3), np.float32)
    sky, sky_place = scene.sky
    light_from_above(
        scene.tables, scene.relief.heights, scene.relief.place, scene.soil, atlas(), scene.shadow(sun), sky, sky_place,
        np.array(sun.towards), sun.strength, xs - scene.origin.x_m, ys - scene.origin.y_m, grid.gsd_m, out,
    )  # fmt: skip
    leaves = surface > floor + 0.1
    bare = leaves & (surface > without(scene, frozenset({"bare_tree"})).surface(grid) + 0.1)
    return Overhead(out, surface, floor, leaves, bare, _water(scene, grid))


def without(scene: Scene, kinds: frozenset[str]) -> Scene:
    """The same scene without some kinds of things."""
    things = tuple(t for t in scene.things if t.kind not in kinds)
    return Scene(scene.frame, scene.origin, scene.extent, scene.relief, things, scene.patches, scene.seed, scene.day)


def _water(scene: Scene, grid: Grid) -> NDArray[np.bool_]:
    looks = np.zeros(grid.shape, np.uint8)
    for patch in scene.patches:  # later ones lie over earlier ones
        ring = np.add(patch.ring, (scene.origin.x_m - grid.west_m, scene.origin.y_m - grid.north_m))
        cells = np.rint(ring / (grid.gsd_m, -grid.gsd_m)).astype(np.int32)
        cv2.fillPoly(looks, [cells], int(patch.look == Look.WATER))
    return looks > 0
