"""Settling a solved block: from a shape of its own onto the ground, by the photos' positions and by ground control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pycolmap

from geo.frames import Floats
from imagery.control import Control
from imagery.engines import grounding, mapping, marks, placing
from imagery.engines.grounding import Laid
from imagery.engines.placing import Places

_UNSOLVED_LENS = 3.0  # times the limit of a mark before the lens is solved


def settle(
    database: Path,
    model: pycolmap.Reconstruction,
    scratch: Path,
    ids: Sequence[int],
    places: Places,
    *,
    long_side_px: int,
    free_lenses: Collection[int],
    free_focals: bool,
    workers: int,
    control: tuple[Control, Mapping[str, int], Floats] | None = None,
) -> tuple[pycolmap.Reconstruction, Laid | None]:
    """The block laid onto GPS (where the photos have none, onto control), adjusted with the positions as soft priors and laid once more;
    then onto control, with what was learnt there.

    `places` are those of `ids`, in the model's coordinates; `control` comes with image numbers by photo hash and the offset `(3,)` of
    those coordinates. Raises ReconstructionError when nothing places the block.
    """
    limit = mapping.tolerance_px(list(model.cameras.values()), long_side_px)
    mark_limit = grounding.mark_limit_px(model, long_side_px)
    lay = _layer(ids, places, control, mark_limit)
    lay(model)
    # A single line of photos is not held about its own axis by positions: adjust it freely, and lay it by the cameras' gaze.
    soft = None if placing.is_line(places) else (ids, places)
    middle = bool(free_lenses) and mapping.headings_differ(model)

    def adjust() -> None:
        mapping.adjust(model, free_lenses=free_lenses, free_focals=free_focals, free_middle=middle, workers=workers, places=soft)

    mapping.drop_wrong(model, 2 * limit)
    adjust()
    model = mapping.triangulate(database, model, scratch)
    mapping.drop_wrong(model, 2 * limit)
    adjust()
    mapping.drop_wrong(model, limit)
    lay(model)
    laid = None
    if control is not None:
        given, numbers, offset = control
        laid = grounding.put_onto(
            model,
            given,
            numbers,
            offset,
            ids,
            places,
            limit_px=mark_limit,
            free_lenses=free_lenses,
            free_focals=free_focals,
            workers=workers,
        )
        mapping.drop_wrong(model, limit)
    model.update_point_3d_errors()
    return model, laid


def _layer(
    ids: Sequence[int], places: Places, control: tuple[Control, Mapping[str, int], Floats] | None, mark_limit: float
) -> Callable[[pycolmap.Reconstruction], None]:
    """How the block is laid before it is put onto its control."""

    def by_control(model: pycolmap.Reconstruction) -> None:
        assert control is not None
        seen = marks.sightings(model, *control, _UNSOLVED_LENS * mark_limit)
        mapping.transform(model, grounding.first_laid(model, ids, places, seen))

    def by_positions(model: pycolmap.Reconstruction) -> None:
        mapping.transform(model, placing.lay(*mapping.centres_and_axes(model, ids), places))

    positioned = np.isfinite(places.xy).all(axis=1).sum() >= 3
    return by_control if control is not None and not positioned else by_positions
