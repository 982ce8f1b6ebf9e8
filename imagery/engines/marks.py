"""Marks of ground control in the photos of a model: the places they give under its poses, and which of them are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.optimize import least_squares

from geo.frames import Floats
from imagery.control import Control, ControlPoint

_MOST_PAIRS = 200  # of marks of one point that are tried as a start
_LEAST_ANGLE_DEG = 0.7  # between two rays, below which they say nothing of the height


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One point as the model sees it: `images` and pixels `px` `(k, 2)` of its marks, `good` `(k,)` those that are believed, and
    the `place` `(3,)` that they give in the model's coordinates (None where they give none). `survey` `(3,)` is the surveyed place in
    the same coordinates, its height only a word where `point.height_known` is False.
    """

    point: ControlPoint
    survey: Floats
    images: tuple[int, ...]
    px: Floats
    good: NDArray[np.bool_]
    place: Floats | None = None


def sightings(
    model: pycolmap.Reconstruction, control: Control, numbers: Mapping[str, int], offset: Floats, limit_px: float
) -> tuple[Sighting, ...]:
    """Every point of the control with its marks in images that are registered; marks by photo hash, `numbers` from hash to image."""
    here = set(model.reg_image_ids())
    found = []
    for point in control.points:
        marks = [(numbers[m.photo], m.x_px, m.y_px) for m in point.marks if numbers.get(m.photo) in here]
        px = np.array([[x, y] for _, x, y in marks]).reshape(-1, 2)
        seen = Sighting(point, point.place - offset, tuple(i for i, _, _ in marks), px, np.ones(len(marks), bool))
        found.append(located(model, seen, limit_px))
    return tuple(found)


def located(model: pycolmap.Reconstruction, seen: Sighting, limit_px: float) -> Sighting:
    """The place where most rays meet; marks that miss it by more than `limit_px` are no longer believed.

    Two marks that contradict each other give no place: which of them is off cannot be told.
    """
    if len(seen.images) < 2:
        return replace(seen, place=None)
    images = [model.image(i) for i in seen.images]
    rays = _rays(model, images, seen.px)
    centres = np.array([image.projection_center() for image in images])
    pairs = list(combinations(range(len(images)), 2))[:_MOST_PAIRS]
    best: tuple[int, float, NDArray[np.bool_] | None] = (1, np.inf, None)
    for i, j in pairs:
        if float(rays[i] @ rays[j]) > np.cos(np.radians(_LEAST_ANGLE_DEG)):
            continue
        apart = np.linalg.norm(projected(model, seen.images, _meet(centres[[i, j]], rays[[i, j]])) - seen.px, axis=1)
        with np.errstate(invalid="ignore"):
            inside = apart <= limit_px
        score = (int(inside.sum()), float(apart[inside].mean()) if inside.any() else np.inf)
        if score[0] > best[0] or (score[0] == best[0] and score[1] < best[1]):
            best = (*score, inside)
    good = best[2]
    if good is None:
        return replace(seen, place=None)
    at = refined(model, [i for i, g in zip(seen.images, good, strict=True) if g], seen.px[good], _meet(centres[good], rays[good]))
    return replace(seen, good=good, place=at)


def refined(model: pycolmap.Reconstruction, images: Sequence[int], px: Floats, start: Floats) -> Floats:
    """The place `(3,)` with the least squared distance between its projections and the marks."""

    def miss(at: Floats) -> Floats:
        return np.nan_to_num(projected(model, images, at) - px, nan=1e4).ravel()

    return np.asarray(least_squares(miss, start, x_scale=np.full(3, 1.0)).x, np.float64)


def projected(model: pycolmap.Reconstruction, images: Sequence[int], at: Floats) -> Floats:
    """Pixels `(k, 2)` at which images see a place; NaN behind a camera."""
    pixels = [model.image(i).project_point(at) for i in images]
    return np.array([[np.nan, np.nan] if p is None else p for p in pixels]).reshape(-1, 2)


def _rays(model: pycolmap.Reconstruction, images: Sequence[pycolmap.Image], px: Floats) -> Floats:
    """Unit directions `(k, 3)` in the model's axes."""
    rays = []
    for image, at in zip(images, px, strict=True):
        plane = model.camera(image.camera_id).cam_from_img(at[None])[0]
        ray = image.cam_from_world().rotation.matrix().T @ np.array([plane[0], plane[1], 1.0])
        rays.append(ray / np.linalg.norm(ray))
    return np.array(rays)


def _meet(centres: Floats, rays: Floats) -> Floats:
    """The place nearest to all rays."""
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    return np.asarray(np.linalg.lstsq(across.sum(axis=0), (across @ centres[:, :, None]).sum(axis=0).ravel(), rcond=None)[0])
