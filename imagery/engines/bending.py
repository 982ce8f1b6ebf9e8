"""A later survey follows the frozen ground although its own lens knows better.

A first survey flown with one heading cannot tell where its lens's middle lies: a shift of the principal point looks like a tilt of all
cameras, and what is left of it bends the block. A later flight across it shows the bend: registered photo by photo into the frozen
block it is pulled and pressed by decimetres. The reference stays as it is; so the lens is solved anew from both flights together, in a
block of its own shape, and a smooth map brings that shape onto the reference's ground (see `imagery.bend`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pycolmap

from geo.frames import Floats
from imagery import bend
from imagery.bend import Bend
from imagery.engines import mapping, placing

_ENOUGH_PHOTOS = 12  # a handful does not tell a lens
_ENOUGH_POINTS = 400
_TELLING = 200  # observations of an image whose median is asked for
_TENSE = 1.1  # times the reference's own median error: below it new photos lie in the frozen block without strain
_LEAST_GAIN = 0.05  # share by which the new photos must agree better than they do with the frozen ground
_MOST_M = 5.0  # a bend larger than this is another ground, or another lens altogether


def bend_of(
    model: pycolmap.Reconstruction,
    reference: pycolmap.Reconstruction,
    new_ids: Collection[int],
    *,
    max_error_px: float,
    workers: int,
) -> tuple[pycolmap.Reconstruction, Bend] | None:
    """Both surveys in their own shape near the reference's, and the bend onto it; None where the frozen ground fits as well.

    `model` holds the reference's images as frozen and the new ones registered among them; it is left as it is. All lenses are
    solved anew but for their focal lengths.
    """
    if len(new_ids) < _ENOUGH_PHOTOS:
        return None
    before, usual = (float(np.median(_errors(m, i))) for m, i in ((model, new_ids), (reference, reference.reg_image_ids())))
    if before < _TENSE * usual:
        return None
    own = pycolmap.Reconstruction(model)
    for _ in range(2):  # what the first round does not gain, the second one does not either
        mapping.adjust(own, free_lenses=list(own.cameras), free_focals=False, free_middle=True, workers=workers)
        mapping.drop_wrong(own, max_error_px)
        after = _errors(own, new_ids)
        if not len(after) or np.median(after) > (1 - _LEAST_GAIN) * before:
            return None
    here, there = _same(own, reference)
    if len(here) < _ENOUGH_POINTS:
        return None
    laid = placing.similarity(here, there)
    if laid is None:
        return None
    mapping.transform(own, laid)
    found = bend.fitted(_same(own, reference)[0], there)
    return (own, found) if found.most_m < _MOST_M else None


def _errors(model: pycolmap.Reconstruction, ids: Collection[int]) -> Floats:
    """Distances in pixels between what the images observe and where they should, of some hundred observations of each."""
    found = []
    for i in ids:
        image = model.image(i)
        every = image.get_observation_points2D()
        for seen in every[:: max(1, len(every) // _TELLING)]:
            at = image.project_point(model.points3D[seen.point3D_id].xyz)
            if at is not None:
                found.append(float(np.linalg.norm(at - seen.xy)))
    return np.array(found)


def _same(own: pycolmap.Reconstruction, reference: pycolmap.Reconstruction) -> tuple[Floats, Floats]:
    """Points of both models `(n, 3)`, known to be the same by what the reference's images observe."""
    here, there = [], []
    taken: set[int] = set()
    old = set(reference.reg_image_ids())
    for _, point in sorted(own.points3D.items()):
        for element in point.track.elements:
            if element.image_id not in old:
                continue
            at = reference.image(element.image_id).point2D(element.point2D_idx)
            if at.has_point3D() and at.point3D_id not in taken:
                taken.add(at.point3D_id)
                here.append(point.xyz)
                there.append(reference.points3D[at.point3D_id].xyz)
                break
    return np.array(here).reshape(-1, 3), np.array(there).reshape(-1, 3)
