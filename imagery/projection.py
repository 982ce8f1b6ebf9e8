"""World to pixel for whole grids, compiled: the same lens as `geo.camera.Camera`, which it is checked against.

Inside, places are metres minus an offset (`Block.offset_m`), so that float32 rasters of heights and pixels lose nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geo.camera import Camera
from geo.frames import Floats, Pose
from imagery.bend import Bend, bent

Metres = NDArray[np.float32]
Pixels = NDArray[np.float32]

_PLAIN = 23  # numbers of a projector that is not bent
OUTSIDE = np.float32(-1e4)
"""Pixel given to what a picture cannot show: `cv2.remap` paints it as border."""


@dataclass(frozen=True, slots=True, eq=False)
class Projector:
    """One photo's lens and pose as the numbers `(23,)` that the compiled loops take; `(60,)` with the bend of its block.

    `numbers` = rotation (9), centre (3), focal, cx, cy, k1, k2, p1, p2, width, height, largest tan² off the axis, k3; then the bend's way
    back into the block's own shape (37). Places given to a bent projector lie on the reference's ground.
    """

    numbers: Floats

    @staticmethod
    def of(
        camera: Camera, pose: Pose, offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0), bend: Bend | None = None
    ) -> Projector:
        """The projector of a view; world places are then metres minus `offset_m`."""
        centre = pose.centre - np.array(offset_m)
        lens = (camera.focal_px, camera.cx_px, camera.cy_px, camera.k1, camera.k2, camera.p1, camera.p2)
        size = (camera.width_px, camera.height_px)
        tail = bend.numbers(offset_m, back=True) if bend is not None else ()
        return Projector(np.array([*pose.rotation, *centre, *lens, *size, _widest(camera), camera.k3, *tail]))

    @property
    def straight(self) -> Projector:
        """The same view for places of its block's own shape."""
        return Projector(self.numbers[:_PLAIN])

    @property
    def centre(self) -> Floats:
        """Camera centre `(3,)`, metres minus the offset."""
        return self.numbers[9:12]

    def scaled(self, factor: float) -> Projector:
        """The same view with the picture resized by `factor`."""
        numbers = self.numbers.copy()
        numbers[12:15] *= factor
        numbers[19:21] = np.round(numbers[19:21] * factor)
        return Projector(numbers)

    def over(self, x_m: Floats, y_m: Floats, z_m: Metres) -> tuple[Pixels, Pixels]:
        """Where the cells of a grid lie in the picture, ready for `cv2.remap`.

        Args:
            x_m: `(cols,)` metres minus offset; `y_m`: `(rows,)`; `z_m`: `(rows, cols)`, NaN where unknown.

        Returns:
            Two float32 `(rows, cols)`: column and row counted from the centre of the first pixel (`cv2.remap`); `OUTSIDE` where
            the height is unknown or the lens does not reach.
        """
        return (_over if len(self.numbers) == _PLAIN else _over_bent)(self.numbers, x_m, y_m, z_m)

    def points(self, points: Floats) -> tuple[Floats, Floats]:
        """Points `(n, 3)` to pixels `(n, 2)` counted from the outer corner, and depths; NaN behind the camera or beyond the lens."""
        return _points(self.numbers, points)


def _widest(camera: Camera) -> float:
    """tan² of the widest angle that still lies in the picture: beyond it the distortion polynomial folds rays back in."""
    w, h = camera.width_px, camera.height_px
    along = np.linspace(0.0, 1.0, 9)
    edge = np.concatenate([np.column_stack([along * w, np.full(9, y)]) for y in (0.0, float(h))])
    edge = np.concatenate([edge, *[np.column_stack([np.full(9, x), along * h]) for x in (0.0, float(w))]])
    rays = camera.rays(edge)
    widest: float = float((rays[:, :2] ** 2).sum(axis=1).max()) * 1.02
    return widest


@njit(cache=True, inline="always")
def pixel(n: Floats, x: float, y: float, z: float) -> tuple[float, float, float]:
    """One place to (column, row) from the outer corner and depth; column is `OUTSIDE` when the picture cannot show it."""
    if n.shape[0] > _PLAIN:
        x, y, z = bent(n, _PLAIN, x, y, z)
    dx, dy, dz = x - n[9], y - n[10], z - n[11]
    depth = n[6] * dx + n[7] * dy + n[8] * dz
    if not depth > 1e-6:
        return -1e4, -1e4, depth
    a = (n[0] * dx + n[1] * dy + n[2] * dz) / depth
    b = (n[3] * dx + n[4] * dy + n[5] * dz) / depth
    r2 = a * a + b * b
    if r2 > n[21]:
        return -1e4, -1e4, depth
    radial = 1.0 + r2 * (n[15] + r2 * (n[16] + r2 * n[22]))
    u = n[12] * (a * radial + 2.0 * n[17] * a * b + n[18] * (r2 + 2.0 * a * a)) + n[13]
    v = n[12] * (b * radial + n[17] * (r2 + 2.0 * b * b) + 2.0 * n[18] * a * b) + n[14]
    return u, v, depth


@njit(cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc", "nsz"})
def _over(n: Floats, xs: Floats, ys: Floats, z: Metres) -> tuple[Pixels, Pixels]:
    rows, cols = z.shape
    map_x = np.empty((rows, cols), np.float32)
    map_y = np.empty((rows, cols), np.float32)
    for i in range(rows):
        dy = ys[i] - n[10]
        ax, ay, az = n[1] * dy, n[4] * dy, n[7] * dy
        for j in range(cols):
            dx, dz = xs[j] - n[9], z[i, j] - n[11]
            depth = n[6] * dx + az + n[8] * dz
            inverse = 1.0 / depth
            a = (n[0] * dx + ax + n[2] * dz) * inverse
            b = (n[3] * dx + ay + n[5] * dz) * inverse
            r2 = a * a + b * b
            radial = 1.0 + r2 * (n[15] + r2 * (n[16] + r2 * n[22]))
            u = n[12] * (a * radial + 2.0 * n[17] * a * b + n[18] * (r2 + 2.0 * a * a)) + n[13] - 0.5
            v = n[12] * (b * radial + n[17] * (r2 + 2.0 * b * b) + 2.0 * n[18] * a * b) + n[14] - 0.5
            seen = (depth > 1e-6) & (r2 <= n[21])
            map_x[i, j] = u if seen else OUTSIDE
            map_y[i, j] = v if seen else OUTSIDE
    return map_x, map_y


@njit(cache=True)
def _over_bent(n: Floats, xs: Floats, ys: Floats, z: Metres) -> tuple[Pixels, Pixels]:
    rows, cols = z.shape
    map_x = np.empty((rows, cols), np.float32)
    map_y = np.empty((rows, cols), np.float32)
    for i in range(rows):
        for j in range(cols):
            u, v, _ = pixel(n, xs[j], ys[i], z[i, j])
            map_x[i, j] = u - 0.5 if u > -9e3 else OUTSIDE
            map_y[i, j] = v - 0.5 if u > -9e3 else OUTSIDE
    return map_x, map_y


@njit(cache=True)
def _points(n: Floats, points: Floats) -> tuple[Floats, Floats]:
    count = points.shape[0]
    pixels = np.empty((count, 2))
    depths = np.empty(count)
    for i in range(count):
        u, v, depths[i] = pixel(n, points[i, 0], points[i, 1], points[i, 2])
        lost = u <= -9e3
        pixels[i, 0] = math.nan if lost else u
        pixels[i, 1] = math.nan if lost else v
    return pixels, depths
