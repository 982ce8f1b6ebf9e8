"""A small made-up place that tests of surface, ortho and survey look at: a textured slope with a box on it, seen by real rays."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.camera import Camera
from geo.frames import Floats, Frame, Pose
from geo.grid import Grid
from imagery.reconstruct import Block, BlockStats, Method, View

FRAME = Frame(32651)
CENTRE = (300_000.0, 3_000_000.0)
HALF_M = 30.0
TEXEL_M = 0.05
HEIGHT_M = 45.0
CAMERA = Camera(640, 480, 520.0, 322.0, 238.0, k1=-0.06, k2=0.02, p1=0.0008, p2=-0.0005)


@dataclass(frozen=True)
class Box:
    """A flat-roofed house: bounds in metres from the centre, height above datum of its roof."""

    west: float
    south: float
    east: float
    north: float
    top: float


HOUSE = Box(-6.0, -4.0, 6.0, 5.0, 4.0)


@lru_cache(maxsize=2)
def texture(seed: int = 1) -> NDArray[np.float32]:
    """Colours of the place seen from above `(rows, cols, 3)`, north-up, TEXEL_M per cell: noise of several widths."""
    rng = np.random.default_rng(seed)
    n = round(2 * HALF_M / TEXEL_M)
    total = np.zeros((n, n, 3), np.float32)
    for cells, strength in ((n // 2, 40.0), (n // 6, 40.0), (n // 30, 40.0)):
        noise = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        total += strength * cv2.resize(noise, (n, n), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + total, 0, 255)


def ground(x: Floats, y: Floats) -> Floats:
    """Height of the ground at metres from the centre: a slope of 2 %."""
    return 0.02 * x + 0 * y


def height(x: Floats, y: Floats, boxes: tuple[Box, ...]) -> Floats:
    """Height of the surface."""
    z = ground(x, y)
    for b in boxes:
        z = np.where((x > b.west) & (x < b.east) & (y > b.south) & (y < b.north), b.top, z)
    return z


@lru_cache(maxsize=1)
def _rays() -> Floats:
    gx, gy = np.meshgrid(np.arange(CAMERA.width_px) + 0.5, np.arange(CAMERA.height_px) + 0.5)
    return CAMERA.rays(np.column_stack([gx.ravel(), gy.ravel()]))


def photograph(pose: Pose, colours: NDArray[np.float32], boxes: tuple[Box, ...]) -> NDArray[np.uint8]:
    """What the camera sees, RGB: rays are walked down to ground, roof or wall."""
    h, w = CAMERA.height_px, CAMERA.width_px
    rays = _rays() @ pose.matrix
    cx, cy, cz = pose.x_m - CENTRE[0], pose.y_m - CENTRE[1], pose.z_m
    # Ground z = 0.02 x: (cz + t rz) = 0.02 (cx + t rx).
    t = (0.02 * cx - cz) / (rays[:, 2] - 0.02 * rays[:, 0])
    wall = np.zeros(len(t), bool)
    for b in boxes:
        enter, leave = np.full(len(t), -np.inf), np.full(len(t), np.inf)
        faces = []
        for c, r, low, high in (
            (cx, rays[:, 0], b.west, b.east),
            (cy, rays[:, 1], b.south, b.north),
            (cz, rays[:, 2], -5.0, b.top),
        ):
            a, z = (low - c) / r, (high - c) / r
            near, far = np.minimum(a, z), np.maximum(a, z)
            faces.append(near)
            enter, leave = np.maximum(enter, near), np.minimum(leave, far)
        hit = (enter < leave) & (enter < t) & (enter > 0)
        t = np.where(hit, enter, t)
        wall = np.where(hit, faces[2] < enter, wall)
    x, y = cx + t * rays[:, 0], cy + t * rays[:, 1]
    col = ((x + HALF_M) / TEXEL_M - 0.5).reshape(h, w).astype(np.float32)
    row = ((HALF_M - y) / TEXEL_M - 0.5).reshape(h, w).astype(np.float32)
    seen = cv2.remap(colours, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    seen[wall.reshape(h, w)] = (90, 80, 70)
    return np.clip(seen + 0.5, 0, 255).astype(np.uint8)


def poses(rows: int = 3, cols: int = 5, step_m: float = 12.0) -> list[Pose]:
    """Lines flown there and back, looking down but for a degree or two."""
    result = []
    for i in range(rows):
        for j in range(cols):
            x = CENTRE[0] + (j - (cols - 1) / 2) * step_m
            y = CENTRE[1] + (i - (rows - 1) / 2) * step_m
            yaw = 90.0 if i % 2 == 0 else 270.0
            result.append(
                Pose.looking(x, y, HEIGHT_M + 0.5 * math.sin(i + j), yaw_deg=yaw + 2 * math.cos(j), pitch_deg=-88.5, roll_deg=1.0)
            )
    return result


def block(
    folder: Path, boxes: tuple[Box, ...] = (HOUSE,), *, seed: int = 1, gains: bool = False, at: list[Pose] | None = None
) -> Block:
    """Photos of the place as files, and the block with their true poses."""
    folder.mkdir(parents=True, exist_ok=True)
    colours = cv2.GaussianBlur(texture(seed), (0, 0), 0.45 * HEIGHT_M / CAMERA.focal_px / TEXEL_M)  # a pixel sees an area
    views = []
    for k, pose in enumerate(at or poses()):
        picture = photograph(pose, colours, boxes)
        if gains:
            picture = np.clip(picture * (0.85 + 0.3 * ((k * 7) % 5) / 4), 0, 255).astype(np.uint8)
        path = folder / f"{k:03d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        views.append(View(hashlib.sha256(path.read_bytes()).hexdigest(), path, "c", pose, 100))
    rng = np.random.default_rng(5)
    xy = rng.uniform(-HALF_M, HALF_M, (600, 2))
    points = np.column_stack([xy + CENTRE, height(xy[:, 0], xy[:, 1], boxes)])
    stats = BlockStats(len(views), len(views), 0.4, 0.1, HEIGHT_M, 0.5, Method.GIVEN)
    return Block(FRAME, (CENTRE[0], CENTRE[1], 0.0), {"c": CAMERA}, tuple(views), points, stats, folder)


def grid(gsd_m: float = 0.1, half_m: float = 18.0) -> Grid:
    """Cells over the middle of the place."""
    x, y = CENTRE
    return Grid.over(FRAME, (x - half_m, y - half_m, x + half_m, y + half_m), gsd_m)


def seen_from_above(g: Grid, seed: int = 1) -> NDArray[np.uint8]:
    """The true orthophoto on a grid."""
    x, y = g.centres()
    col = np.broadcast_to((x - CENTRE[0] + HALF_M) / TEXEL_M - 0.5, g.shape).astype(np.float32)
    row = np.broadcast_to(((HALF_M - (y - CENTRE[1])) / TEXEL_M - 0.5)[:, None], g.shape).astype(np.float32)
    soft = cv2.GaussianBlur(texture(seed), (0, 0), 0.45 * g.gsd_m / TEXEL_M)
    return np.clip(cv2.remap(soft, col, row, cv2.INTER_LINEAR), 0, 255).astype(np.uint8)


def true_heights(g: Grid, boxes: tuple[Box, ...] = (HOUSE,)) -> NDArray[np.float32]:
    """The true surface on a grid."""
    x, y = g.centres()
    gx, gy = np.meshgrid(x - CENTRE[0], y - CENTRE[1])
    return height(gx, gy, boxes).astype(np.float32)
