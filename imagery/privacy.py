"""Pictures made fit to leave the house: faces, number plates and chosen places made unreadable, no EXIF, a watermark.

What is found: frontal faces (the LBP cascade that ships with scikit-image) and Chinese number plates (blue, green or yellow by colour,
shape and lettering). There is no detector of whole persons: OpenCV 5 has none without a model that must be fetched. Where the ground
sampling makes a face or a plate smaller than can be recognised, nothing is looked for, and the record says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from imagery.errors import PhotoError
from imagery.lettering import GREY, WHITE, width_px, with_strip, write

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""(column, row, columns, rows)"""

FACE_M, PLATE_M = 0.16, 0.14  # width of a face, height of a plate (GA 36: 440 x 140 mm)
FACE_LEAST_PX, PLATE_LEAST_PX = 20, 9  # below: nobody is recognised, no character is read
_CELLS = 4  # a blurred place keeps 4 x 4 colours: nothing is left to sharpen
_MOST_PX = 2400  # faces are looked for in a copy of at most this size
# Hue of OpenCV (0..180), least saturation and value: blue (fuel cars), green (new energy), yellow (large vehicles).
_PLATE_COLOURS = (((98, 130), 90, 45), ((35, 92), 50, 60), ((15, 34), 100, 90))


@dataclass(frozen=True, slots=True)
class Published:
    """A picture that may leave, and what was done to it; `notes` in both languages."""

    jpeg: bytes
    sha256: str
    original_sha256: str
    faces: int
    plates: int
    masked: int
    notes: tuple[str, ...]


def publish(
    picture: bytes,
    *,
    user: str,
    at: str,
    gsd_m: float | None = None,
    masks_px: Sequence[Polygon] = (),
    find_faces: bool = True,
    find_plates: bool = True,
) -> Published:
    """A JPEG or PNG made fit to leave; `gsd_m` is its ground sampling where known. Raises PhotoError for what is no picture."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB) if picture else None
    if pixels is None:
        raise PhotoError("the picture to hand out cannot be decoded: nothing is handed out")
    pixels = np.ascontiguousarray(pixels, np.uint8)
    notes = ["没有人形检测，仅查人脸和车牌。 No detector of whole persons: faces and plates only."]
    found_faces = (_looked_for(find_faces, FACE_M, FACE_LEAST_PX, gsd_m, "人脸 faces", notes) and faces(pixels)) or ()
    found_plates = (_looked_for(find_plates, PLATE_M, PLATE_LEAST_PX, gsd_m, "车牌 plates", notes) and plates(pixels)) or ()
    for box in found_faces:
        blur(pixels, _grown(box, 0.35))
    for box in found_plates:
        blur(pixels, _grown(box, 0.25))
    for outline in masks_px:
        ring = np.round(np.array(outline.exterior.coords)[:, :2]).astype(np.int32)
        cv2.fillPoly(pixels, [ring.reshape(-1, 1, 2)], GREY)
    original = hashlib.sha256(picture).hexdigest()
    _watermark(pixels, f"{user} {at}")
    pixels = with_strip(pixels, [f"对外提供 handed out to {user}", at, f"原图 original SHA-256 {original}"])
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise PhotoError("the picture to hand out could not be written as JPEG")
    jpeg = data.tobytes()
    sha256 = hashlib.sha256(jpeg).hexdigest()
    return Published(jpeg, sha256, original, len(found_faces), len(found_plates), len(masks_px), tuple(notes))


def _looked_for(asked: bool, size_m: float, least_px: int, gsd_m: float | None, what: str, notes: list[str]) -> bool:
    if not asked:
        notes.append(f"{what}：未要求查找 not asked for.")
        return False
    if gsd_m is not None and size_m / gsd_m < least_px:
        small = size_m / gsd_m
        notes.append(
            f"{what}：地面分辨率 {gsd_m * 100:.1f} 厘米，至多 {small:.0f} 像素，无法辨认，未查找。 "
            f"At most {small:.0f} px at this ground sampling: too small to recognise, not looked for."
        )
        return False
    return True


@lru_cache(maxsize=1)
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    where: Any = lbp_frontal_face_cascade_filename
    return Cascade(where())


def faces(pixels: Pixels) -> tuple[Box, ...]:
    """Frontal faces from about 24 pixels on, upright, in a picture `(rows, cols, 3)`."""
    factor = min(1.0, _MOST_PX / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else pixels
    largest = min(small.shape[:2])
    if largest < 24:
        return ()
    hits = _cascade().detect_multi_scale(
        img=small, scale_factor=1.15, step_ratio=1, min_size=(24, 24), max_size=(largest, largest), min_neighbor_number=3
    )
    return tuple(
        (round(h["c"] / factor), round(h["r"] / factor), round(h["width"] / factor), round(h["height"] / factor)) for h in hits
    )


def plates(pixels: Pixels) -> tuple[Box, ...]:
    """Number plates: patches of a plate's colour, two to six times as wide as high however they lie, with lettering across them."""
    hsv, grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    found: list[Box] = []
    for (low, high), saturation, value in _PLATE_COLOURS:
        ground = cv2.inRange(hsv, np.array([low, saturation, value]), np.array([high, 255, 255]))
        for reach in (5, 13, 31):  # closes the gaps that the characters leave, at three sizes of plate
            closed = cv2.morphologyEx(ground, cv2.MORPH_CLOSE, np.ones((max(3, reach // 3), reach), np.uint8))
            contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            found += [box for contour in contours if (box := _plate(contour, ground, grey)) is not None]
    return tuple(_apart(found))


def _plate(contour: Any, ground: Pixels, grey: Pixels) -> Box | None:
    (_, _), sides, _ = cv2.minAreaRect(contour)
    long, short = max(sides), min(sides)
    if short < PLATE_LEAST_PX - 2 or not 1.9 <= long / max(short, 1e-6) <= 6.0:
        return None
    if cv2.contourArea(contour) < 0.7 * long * short:
        return None
    x, y, w, h = (int(v) for v in cv2.boundingRect(contour))
    share = float((ground[y : y + h, x : x + w] > 0).sum()) / (long * short)
    if not 0.35 <= share <= 0.93:  # a plain coloured patch has no letters, a speckled one no ground
        return None
    patch = grey[y : y + h, x : x + w].astype(np.float32)
    across = np.abs(np.diff(patch, axis=1))
    strokes = float((across > 0.25 * (np.ptp(patch) + 1)).sum()) / h  # edges met on a line through the plate
    return (x, y, w, h) if strokes >= 4.0 else None


def _apart(boxes: list[Box]) -> list[Box]:
    """The largest of boxes that overlap."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda b: -b[2] * b[3]):
        if not any(_overlap(box, other) > 0.3 for other in kept):
            kept.append(box)
    return kept


def _overlap(a: Box, b: Box) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0, w) * max(0, h) / max(1, min(a[2] * a[3], b[2] * b[3]))


def _grown(box: Box, share: float) -> Box:
    x, y, w, h = box
    dx, dy = round(w * share), round(h * share)
    return x - dx, y - dy, w + 2 * dx, h + 2 * dy


def blur(pixels: Pixels, box: Box) -> None:
    """Make a place of a picture unreadable, in place: only a few of its colours are left, and what is gone cannot come back."""
    x, y, w, h = box
    part = pixels[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    if part.size == 0:
        return
    few = cv2.resize(part, (min(_CELLS, part.shape[1]), min(_CELLS, part.shape[0])), interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(few, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)


def _watermark(pixels: Pixels, words: str) -> None:
    """Who and when, faint, over the whole picture: cropping does not take it off."""
    px = max(14, min(40, max(pixels.shape[:2]) // 40))
    layer = pixels.copy()
    step = width_px(words, px) + 6 * px
    for number, row in enumerate(range(px, pixels.shape[0], 6 * px)):
        for col in range(-(number % 2) * step // 2, pixels.shape[1], step):
            write(layer, words, (col, row), px, WHITE)
    cv2.addWeighted(layer, 0.28, pixels, 0.72, 0, dst=pixels)
