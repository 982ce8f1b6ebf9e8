"""Which photos to match with which: neighbours with a good baseline, in crossing directions where there are any."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from shapely.geometry import Polygon

from geo.frames import Floats
from imagery.reconstruct import Block

BEST_BASE_RATIO = 0.35
"""Baseline over height that matches best: less measures heights worse, more hides ground behind roofs."""

_LEAST_OVERLAP = 0.25


@dataclass(frozen=True, slots=True)
class Pair:
    """Two views of a block by number, and their baseline over the height above ground."""

    left: int
    right: int
    base_ratio: float


def choose_pairs(block: Block, per_view: int = 2) -> tuple[Pair, ...]:
    """For every view the neighbours that measure its ground best, the second one in another direction where there is one."""
    count = len(block.views)
    if count < 2:
        return ()
    centres = np.array([v.pose.centre for v in block.views])
    ground = float(np.median(block.points[:, 2])) if len(block.points) else float(centres[:, 2].min() - block.stats.agl_m)
    outlines = [footprint(block, i, ground) for i in range(count)]
    tree = cKDTree(centres[:, :2])
    chosen: dict[tuple[int, int], float] = {}
    for i in range(count):
        _, near = tree.query(centres[i, :2], k=min(count, 25))
        ranked = []
        for j in np.atleast_1d(near):
            one, other = outlines[i], outlines[j]
            if j == i or one is None or other is None:
                continue
            ratio, score = _worth(block, i, int(j), centres, ground, one, other)
            if score > 0:
                ranked.append((score, int(j), ratio))
        ranked.sort(reverse=True)
        taken: list[Floats] = []
        while ranked and len(taken) < per_view:
            # A second pair across the first sees what the first could not: walls hide ground along the baseline only.
            best = max(ranked, key=lambda r: r[0] * _crossing(taken, centres[r[1]] - centres[i]))
            ranked.remove(best)
            taken.append(centres[best[1]] - centres[i])
            chosen[min(i, best[1]), max(i, best[1])] = best[2]
    return tuple(Pair(i, j, ratio) for (i, j), ratio in sorted(chosen.items()))


def footprint(block: Block, index: int, ground_m: float) -> Polygon | None:
    """Outline on the level plane `ground_m` that a view sees; None when it looks to the sky or nearly so."""
    view, camera = block.views[index], block.camera(block.views[index])
    w, h = float(camera.width_px), float(camera.height_px)
    corners = np.array([[0, 0], [w / 2, 0], [w, 0], [w, h / 2], [w, h], [w / 2, h], [0, h], [0, h / 2]])
    rays = camera.rays(corners) @ view.pose.matrix
    if (rays[:, 2] > -0.2 * np.linalg.norm(rays, axis=1)).any():
        return None
    reach = (ground_m - view.pose.z_m) / rays[:, 2]
    outline = Polygon(view.pose.centre[:2] + rays[:, :2] * reach[:, None])
    return outline if reach.min() > 0 and outline.is_valid else None


def _worth(block: Block, i: int, j: int, centres: Floats, ground: float, one: Polygon, other: Polygon) -> tuple[float, float]:
    """Baseline ratio and how well the pair measures (0: not at all)."""
    base = centres[j] - centres[i]
    length = float(np.linalg.norm(base))
    height = float((centres[i, 2] + centres[j, 2]) / 2 - ground)
    axes = block.views[i].pose.matrix[2], block.views[j].pose.matrix[2]
    if height <= 0 or length < 0.02 * height or float(axes[0] @ axes[1]) < math.cos(math.radians(30)):
        return 0.0, 0.0
    if abs(float((axes[0] + axes[1]) / 2 @ base)) > 0.5 * length:
        return 0.0, 0.0  # one above the other: nothing to rectify
    overlap = one.intersection(other).area / max(1e-6, min(one.area, other.area))
    ratio = length / height
    scale = min(centres[i, 2], centres[j, 2]) - ground
    if overlap < _LEAST_OVERLAP or scale <= 0.5 * height:
        return ratio, 0.0
    return ratio, overlap * math.exp(-(math.log(ratio / BEST_BASE_RATIO) ** 2) / 0.5)


def _crossing(taken: list[Floats], base: Floats) -> float:
    """1 for a first baseline or one along those taken, up to 2 for one across them."""
    if not taken:
        return 1.0
    along = max(abs(float(t[:2] @ base[:2])) / max(1e-9, float(np.linalg.norm(t[:2]) * np.linalg.norm(base[:2]))) for t in taken)
    return 2.0 - along
