"""A block that stands on its own GPS, laid onto the reference: turned, scaled and shifted as a whole by what both orthophotos show.

The last resort before a refusal: a block registered into the reference's own block is fifty times better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from geo.frames import Floats, Pose
from geo.grid import Grid
from geo.progress import Progress, silent
from imagery import raster, register
from imagery.errors import SurveyError
from imagery.reasons import Reason
from imagery.reconstruct import Block
from imagery.register import WORK_CELLS, Side, composed, inverted


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """A turn, scale and shift of a block: `matrix` `(2, 3)` on frame metres, `up_m` on heights; what was found, in words."""

    found: bool
    note: Reason
    matrix: Floats
    up_m: float

    def moved(self, block: Block) -> Block:
        """The block at its new place; scaled about its ground."""
        scale = math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))
        turn = np.eye(3)
        turn[:2, :2] = self.matrix[:, :2] / scale
        ground = float(np.median(block.points[:, 2]))

        def place(points: Floats) -> Floats:
            out = np.empty_like(points)
            out[:, :2] = points[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
            out[:, 2] = ground + scale * (points[:, 2] - ground) + self.up_m
            return out

        views = []
        for view in block.views:
            x, y, z = place(view.pose.centre[None])[0]
            rotation = view.pose.matrix @ turn.T
            views.append(replace(view, pose=Pose(float(x), float(y), float(z), tuple(float(v) for v in rotation.ravel()))))
        return replace(block, views=tuple(views), points=place(block.points))


def block_move(
    ortho: Path, surface: Path, reference_ortho: Path, reference_surface: Path | None, grid: Grid, progress: Progress = silent
) -> Move:
    """How a block on its own GPS must be moved so that its rasters lie on the reference's; both pairs lie on `grid`."""
    progress(0, 1, "laying onto the reference")
    thin = max(1, math.ceil(max(grid.rows, grid.cols) / WORK_CELLS))
    mine, theirs = (
        Side(cv2.cvtColor(raster.read_window(p, thin=thin), cv2.COLOR_RGB2GRAY), raster.read_mask(p, thin=thin))
        for p in (ortho, reference_ortho)
    )
    try:
        fit = register.fit(mine, theirs, [np.eye(2, 3)], scale_known=True, what="the survey's own orthophoto")
    except SurveyError as error:
        why = Reason(
            "not_laid", f"未能按影像整体配准到参考期：{error}", f"Could not be laid onto the reference by the pictures: {error}"
        )
        return Move(False, why, np.eye(2, 3), 0.0)
    cell = grid.gsd_m * thin
    to_metres = np.array([[cell, 0, grid.west_m], [0, -cell, grid.north_m]])
    matrix = composed(composed(to_metres, _similar(fit.matrix)), inverted(to_metres))
    up = 0.0
    if reference_surface is not None:
        values, known = raster.read_window(surface), raster.read_window(reference_surface)
        forth = composed(composed(inverted(_cells(grid)), matrix), _cells(grid))
        rows, cols = grid.shape
        laid = cv2.warpAffine(values, forth, (cols, rows), flags=cv2.INTER_NEAREST, borderValue=math.nan)
        gap = (laid - known)[np.isfinite(laid) & np.isfinite(known)]
        up = -float(np.median(gap)) if len(gap) > 500 else 0.0
    x, y = grid.west_m + grid.cols * grid.gsd_m / 2, grid.north_m - grid.rows * grid.gsd_m / 2
    step = matrix[:, :2] @ [x, y] + matrix[:, 2] - [x, y]
    note = Reason(
        "laid_by_picture",
        f"按影像整体配准：{fit.agreeing} 处，平移 {math.hypot(*step):.2f} 米，升降 {up:.2f} 米。",
        f"Laid onto the reference by {fit.agreeing} {fit.how}: {math.hypot(*step):.2f} m along the ground, {up:.2f} m up.",
        number=math.hypot(*step),
    )
    return Move(True, note, matrix, up)


def _cells(grid: Grid) -> Floats:
    """Cell centres (column, row) to metres."""
    g = grid.gsd_m
    return np.array([[g, 0, grid.west_m + g / 2], [0, -g, grid.north_m - g / 2]])


def _similar(matrix: Floats) -> Floats:
    """The similarity nearest to an affine fit: a block may be turned and scaled, not sheared."""
    a, b = (matrix[0, 0] + matrix[1, 1]) / 2, (matrix[1, 0] - matrix[0, 1]) / 2
    return np.array([[a, -b, matrix[0, 2]], [b, a, matrix[1, 2]]])
