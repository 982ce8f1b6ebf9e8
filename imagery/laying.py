"""A block that stands on its own GPS, laid onto the reference as a whole: first by what both orthophotos show, then by the surfaces.

Pictures turn, scale and shift it; slopes (Nuth & Kääb) then tell its height, its tilt and the last centimetres along the ground.

The last resort before a refusal: a block registered into the reference's own block is fifty times better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats, Pose
from geo.grid import Grid
from geo.progress import Progress, silent
from imagery import coregister, raster, register
from imagery.errors import SurveyError
from imagery.reasons import Reason
from imagery.reconstruct import Block
from imagery.register import WORK_CELLS, Side, composed, inverted

BY_SURFACE = "laid_by_surface"


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """A turn, scale and shift of a block: `matrix` `(2, 3)` on frame metres, `up_m` on heights, and metres of height per metre east and
    north that are taken away (`tilt`) by turning it about the `middle` of the ground; what was found, in words.
    """

    found: bool
    notes: tuple[Reason, ...]
    matrix: Floats
    up_m: float
    tilt: tuple[float, float] = (0.0, 0.0)
    middle: tuple[float, float] = (0.0, 0.0)

    def moved(self, block: Block) -> Block:
        """The block at its new place; scaled about its ground."""
        scale = math.sqrt(abs(float(np.linalg.det(self.matrix[:, :2]))))
        turn = np.eye(3)
        turn[:2, :2] = self.matrix[:, :2] / scale
        ground = float(np.median(block.points[:, 2]))
        upright = _upright(*self.tilt)

        def place(points: Floats) -> Floats:
            out = np.empty_like(points)
            out[:, :2] = points[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
            out[:, 2] = ground + scale * (points[:, 2] - ground) + self.up_m
            about = np.array([*self.middle, ground])
            return np.asarray((out - about) @ upright.T + about)

        views = []
        for view in block.views:
            x, y, z = place(view.pose.centre[None])[0]
            rotation = view.pose.matrix @ turn.T @ upright.T
            views.append(replace(view, pose=Pose(float(x), float(y), float(z), tuple(float(v) for v in rotation.ravel()))))
        return replace(block, views=tuple(views), points=place(block.points))


def block_move(
    ortho: Path, surface: Path, reference_ortho: Path, reference_surface: Path | None, grid: Grid, progress: Progress = silent
) -> Move:
    """How a block on its own GPS must be moved so that its rasters lie on the reference's; both pairs lie on `grid`."""
    progress(0, 1, "laying onto the reference")
    by_picture = _by_picture(ortho, reference_ortho, grid)
    if isinstance(by_picture, SurveyError):
        matrix = np.eye(2, 3)
        notes = [
            Reason(
                "not_laid_by_picture",
                f"未能按影像整体配准到参考期：{by_picture}",
                f"Could not be laid onto the reference by the pictures: {by_picture}",
            )
        ]
    else:
        matrix, agreeing, how = by_picture
        step = _step(matrix, grid)
        said = math.hypot(*step)
        notes = [
            Reason(
                "laid_by_picture",
                f"按影像整体配准：{agreeing} 处，平移 {said:.2f} 米。",
                f"Laid onto the reference by {agreeing} {how}: {said:.2f} m along the ground.",
                number=said,
            )
        ]
    fine = _by_surface(surface, reference_surface, matrix, grid, progress) if reference_surface is not None else None
    if fine is None or (isinstance(by_picture, SurveyError) and not _trusted(fine)):
        return Move(not isinstance(by_picture, SurveyError), tuple(notes), matrix, 0.0)
    # Where the pictures agree they know the place better: roofs end between two cells, and town slopes are mostly roofs' ends.
    east, north = (fine.east_m, fine.north_m) if isinstance(by_picture, SurveyError) else (0.0, 0.0)
    matrix = matrix - np.array([[0, 0, east], [0, 0, north]])
    notes.append(
        Reason(
            BY_SURFACE,
            f"按地表配准（Nuth & Kääb）：平移 {math.hypot(east, north):.2f} 米，升降 {-fine.up_m:.2f} 米，"
            f"倾斜改正 {1000 * math.hypot(*fine.tilt):.1f} 毫米/米，改正后高差离散 {fine.nmad_m:.2f} 米。",
            f"Laid onto the reference's surface (Nuth & Kääb): {math.hypot(east, north):.2f} m along the ground, {-fine.up_m:.2f} m up, "
            f"a tilt of {1000 * math.hypot(*fine.tilt):.1f} mm per metre taken away; heights then differ by {fine.nmad_m:.2f} m (NMAD).",
            number=fine.nmad_m,
        )
    )
    west, south, east, north = grid.bounds_m
    return Move(True, tuple(notes), matrix, -fine.up_m, fine.tilt, ((west + east) / 2, (south + north) / 2))


def _by_picture(ortho: Path, reference_ortho: Path, grid: Grid) -> tuple[Floats, int, str] | SurveyError:
    """(similarity `(2, 3)` of frame metres, how many places agree, what they are), or why there is none."""
    thin = max(1, math.ceil(max(grid.rows, grid.cols) / WORK_CELLS))
    mine, theirs = (
        Side(cv2.cvtColor(raster.read_window(p, thin=thin), cv2.COLOR_RGB2GRAY), raster.read_mask(p, thin=thin))
        for p in (ortho, reference_ortho)
    )
    try:
        fit = register.fit(mine, theirs, [np.eye(2, 3)], scale_known=True, what="the survey's own orthophoto")
    except SurveyError as error:
        return error
    cell = grid.gsd_m * thin
    to_metres = np.array([[cell, 0, grid.west_m], [0, -cell, grid.north_m]])
    matrix = composed(composed(to_metres, _similar(fit.matrix)), inverted(to_metres))
    return matrix, fit.agreeing, fit.how


def _by_surface(
    surface: Path, reference_surface: Path, matrix: Floats, grid: Grid, progress: Progress
) -> coregister.Coregistration | None:
    """What still lies between the surfaces when the survey's has been moved by a matrix."""
    values, known = raster.read_window(surface), raster.read_window(reference_surface)
    forth = composed(composed(inverted(_cells(grid)), matrix), _cells(grid))
    size = (grid.cols, grid.rows)
    laid = cv2.warpAffine(values, forth, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=math.nan)

    def reader(array: NDArray[np.float32]) -> coregister.Read:
        return lambda window, thin: array[window.slices][::thin, ::thin]

    return coregister.measure(reader(known), reader(laid), grid, tilt=True, progress=progress)


def _trusted(fine: coregister.Coregistration) -> bool:
    """Whether slopes alone may place a block: they say so, and heights agree better by far afterwards."""
    return fine.xy_known and fine.nmad_m < min(0.3, 0.7 * fine.nmad_before_m)


def _step(matrix: Floats, grid: Grid) -> Floats:
    """How far the grid's middle is moved, `(2,)` metres."""
    middle = np.array([grid.west_m + grid.cols * grid.gsd_m / 2, grid.north_m - grid.rows * grid.gsd_m / 2])
    return np.asarray(matrix[:, :2] @ middle + matrix[:, 2] - middle)


def _upright(east: float, north: float) -> Floats:
    """The turn that makes a plane of these slopes level (Rodrigues), `(3, 3)`."""
    leaning = np.array([-east, -north, 1.0]) / math.sqrt(1 + east**2 + north**2)
    axis = np.array([leaning[1], -leaning[0], 0.0])  # leaning x up
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + leaning[2]))


def _cells(grid: Grid) -> Floats:
    """Cell centres (column, row) to metres."""
    g = grid.gsd_m
    return np.array([[g, 0, grid.west_m + g / 2], [0, -g, grid.north_m - g / 2]])


def _similar(matrix: Floats) -> Floats:
    """The similarity nearest to an affine fit: a block may be turned and scaled, not sheared."""
    a, b = (matrix[0, 0] + matrix[1, 1]) / 2, (matrix[1, 0] - matrix[0, 1]) / 2
    return np.array([[a, -b, matrix[0, 2]], [b, a, matrix[1, 2]]])
