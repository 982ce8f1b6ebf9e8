"""What a small copy of a photo shows: how sharp it is, how smeared, how much of it is burnt out or black."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]

_LONG_SIDE_PX = 1000
_BURNT, _BLACK = 250, 5  # grey levels in which a sensor keeps nothing more
_REBLUR = 9  # taps, as in the paper
_EVERY = 8  # of the rows and columns one is looked at: enough for a mean over a whole photo
_THUMB = 16


@dataclass(frozen=True, slots=True)
class Look:
    """`sharpness`: variance of the Laplacian, comparable within one flight only. `smear`: 0 sharp to 1 smeared, whatever the scene
    (0.17 to 0.32 for sharp real photos of towns, parks and dunes), in the direction that is worse. `burnt`, `black`: shares of the
    picture. `thumb`: 16 x 16 grey levels, by which two copies of one exposure know each other.
    """

    sharpness: float = 0.0
    smear: float = 0.0
    burnt: float = 0.0
    black: float = 0.0
    thumb: bytes = b""


def look(image: Image.Image) -> Look:
    """Look at a picture once, small; decoding it also finds cut-off streams. Raises what Pillow raises for broken ones."""
    long_side = max(image.size)
    size = (max(1, image.width * _LONG_SIDE_PX // long_side), max(1, image.height * _LONG_SIDE_PX // long_side))
    image.draft("L", size)
    grey = np.asarray(image.convert("L"))
    if max(grey.shape) > 1.6 * _LONG_SIDE_PX:
        factor = _LONG_SIDE_PX / max(grey.shape)
        grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    levels = np.bincount(grey[::4, ::4].ravel(), minlength=256) / grey[::4, ::4].size
    return Look(
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        smear=max(_smear(grey[::_EVERY]), _smear(np.ascontiguousarray(grey[:, ::_EVERY].T))),
        burnt=float(levels[_BURNT:].sum()),
        black=float(levels[: _BLACK + 1].sum()),
        thumb=cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).tobytes(),
    )


def _smear(rows: Grey) -> float:
    """How little a further blur along the rows changes the steps between neighbours (Crété et al. 2007, "The blur effect")."""
    if rows.shape[1] <= _REBLUR:
        return 0.0
    values = rows.astype(np.float32)
    again = cv2.blur(values, (_REBLUR, 1))
    steps, after = cv2.absdiff(values[:, 1:], values[:, :-1]), cv2.absdiff(again[:, 1:], again[:, :-1])
    total = float(steps.sum())
    return 1.0 - float(np.maximum(steps - after, 0.0).sum()) / total if total > 0 else 0.0


def same_exposure(one: Look, other: Look) -> bool:
    """Whether two looks may be of one exposure, written twice: their thumbs differ by no more than another encoder makes them."""
    if len(one.thumb) != _THUMB * _THUMB or len(other.thumb) != _THUMB * _THUMB:
        return False
    a, b = (np.frombuffer(x.thumb, np.uint8).astype(np.int16) for x in (one, other))
    return float(np.abs(a - b).mean()) < 1.5
