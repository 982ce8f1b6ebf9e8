"""Surveyed points inside the adjustment of a block.

The solver has no priors on points, but it has cameras that do not move. So every surveyed point is watched by two *theodolites*:
pinhole cameras with known poses, one far above it and one far to its south, at the level of the point, whose focal lengths are
such that one pixel is one standard deviation of the survey. The marks in the photos and the theodolites' sightings are then
observations of one point like any other, under the same robust loss: a point with a sigma of 3 cm and four marks of a pixel each is
weighed as least squares would weigh it (the perspective of a theodolite 1 km away bends that by less than a thousandth).

The photos' own positions have had their say before, when the block was laid and adjusted on GPS. Their absolute word would pull
against the survey, so what goes on into this adjustment is the shape they gave: each camera is held, softly and with the sigma
of its position, to where it stands after the block was laid onto the survey.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

import numpy as np
import pycolmap

from geo.frames import Floats
from imagery.engines import mapping
from imagery.engines.marks import Sighting
from imagery.engines.placing import Places

_AWAY_M = 1000.0
_BLIND = 1e-6  # of a focal length: the direction in which a theodolite says nothing
_FROM_ABOVE = np.diag([1.0, -1.0, -1.0])  # rows: right, down, forward
_FROM_SOUTH = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def adjust(
    model: pycolmap.Reconstruction,
    watched: Sequence[tuple[Sighting, Floats]],
    *,
    free_lenses: Collection[int],
    free_focals: bool,
    workers: int,
    places: tuple[Collection[int], Places] | None,
) -> None:
    """Bundle adjustment in place, on the survey. `watched`: sightings with the standard deviations `(3,)` to hold each by.

    The model keeps its own points and keypoints; marks and theodolites live in a copy only. Raises ReconstructionError.
    """
    work = copy.deepcopy(model)
    still: list[int] = []
    for seen, sigma in watched:
        _watch(work, seen, sigma, still)
    mapping.adjust(work, free_lenses=free_lenses, free_focals=free_focals, workers=workers, places=places, frozen=still)
    for number in model.reg_frame_ids():
        model.frame(number).rig_from_world = work.frame(number).rig_from_world
    for number, camera in model.cameras.items():
        camera.params = work.camera(number).params
    for number, point in model.points3D.items():
        point.xyz = work.point3D(number).xyz
    model.update_point_3d_errors()


def _watch(work: pycolmap.Reconstruction, seen: Sighting, sigma: Floats, still: list[int]) -> None:
    """One surveyed point with its marks and its two theodolites put into the working copy."""
    track = pycolmap.Track()
    for number, px, good in zip(seen.images, seen.px, seen.good, strict=True):
        if not good:
            continue
        image = work.image(number)
        image.points2D.append(pycolmap.Point2D(px))
        track.add_element(number, image.num_points2D() - 1)
    across = _AWAY_M / float(np.hypot(sigma[0], sigma[1]) / np.sqrt(2))
    up = _AWAY_M / float(sigma[2])
    for turn, focal in ((_FROM_ABOVE, (across, across)), (_FROM_SOUTH, (_BLIND * up, up))):
        number = max(*work.images, *work.cameras, *work.frames, *work.rigs) + 1
        camera = pycolmap.Camera(model="PINHOLE", width=1, height=1, params=[*focal, 0.0, 0.0], camera_id=number)
        work.add_camera_with_trivial_rig(camera)
        centre = seen.survey - _AWAY_M * turn[2]
        image = pycolmap.Image(name=f"theodolite {number}", keypoints=np.zeros((1, 2)), camera_id=number, image_id=number)
        work.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.column_stack([turn, -turn @ centre])))
        still.append(number)
        track.add_element(number, 0)
    start = seen.survey if seen.place is None else seen.place
    work.add_point3D(start, track, np.zeros(3, np.uint8))
