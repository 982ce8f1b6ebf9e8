"""The camera a photo's own tags promise: focal length and lens, with a word on how far to trust them.

A flat nadir block cannot find its focal length by itself (25 % of focal change costs under 2 % of reprojection error), so the
prior matters. Order of trust: the maker's calibration of this very lens; the model's sensor; focal plane tags; the 35 mm
equivalent, which is rounded to whole millimetres; a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from scipy.optimize import least_squares

from geo.camera import Camera
from geo.frames import Floats


class FocalSource(StrEnum):
    """Where the focal length comes from, best first."""

    CALIBRATED = "calibrated"  # DewarpData or CalibratedFocalLength of this lens
    SENSOR = "sensor"  # focal length in mm over the known sensor of the model
    FOCAL_PLANE = "focal_plane"  # EXIF FocalPlaneXResolution
    EQUIVALENT = "equivalent"  # EXIF FocalLengthIn35mmFilm
    GUESS = "guess"  # nothing known: a usual wide drone lens

    @property
    def sigma(self) -> float:
        """How far the focal length may be off, as a share of itself (one standard deviation)."""
        return _SIGMA[self]


_SIGMA = {
    FocalSource.CALIBRATED: 0.003,
    FocalSource.SENSOR: 0.015,
    FocalSource.FOCAL_PLANE: 0.03,
    FocalSource.EQUIVALENT: 0.04,
    FocalSource.GUESS: 0.25,
}

# Width in mm of the sensor part that fills a photo's width, so chosen that it gives the focal lengths in pixels which makers and
# photogrammetric camera tables state (FC300S and FC330: 2286 px at 4000; FC6310: 3667 px at 5472).
_SENSOR_WIDTH_MM = {
    "FC220": 6.317,
    "FC300C": 6.317,
    "FC300S": 6.317,
    "FC300X": 6.317,
    "FC330": 6.317,
    "FC350": 6.317,
    "FC6310": 13.133,
    "FC6310R": 13.133,
    "FC6310S": 13.133,
    "FC6510": 13.133,
    "FC6520": 17.42,
    "FC6540": 23.5,
    "FC3411": 13.2,
    "L1D-20C": 13.2,
    "M3E": 17.5,
    "ZENMUSEP1": 35.9,
}

_CENTRED = 0.04  # no lens sits further from the middle, as a share of the width, and no one resizes photos by so little
_GUESSED_FOCAL_PER_WIDTH = 0.72  # 26 mm equivalent, between the wide lenses of small drones (20-28 mm)


def camera_prior(width_px: int, height_px: int, tags: Mapping[str, object], xmp: Mapping[str, str]) -> tuple[Camera, FocalSource]:
    """The camera by a photo's tags (EXIF names) and DJI XMP names; never fails, a guess says that it is one."""
    calibrated = _calibrated(width_px, height_px, tags, xmp)
    if calibrated is not None:
        return calibrated, FocalSource.CALIBRATED
    by_trust = (
        (FocalSource.SENSOR, _by_sensor(width_px, tags)),
        (FocalSource.FOCAL_PLANE, _by_focal_plane(width_px, tags)),
        (FocalSource.EQUIVALENT, _by_equivalent(width_px, height_px, tags)),
    )
    sane = [(source, focal) for source, focal in by_trust if focal is not None and 0.3 * width_px < focal < 15 * width_px]
    source, focal = sane[0] if sane else (FocalSource.GUESS, _GUESSED_FOCAL_PER_WIDTH * width_px)
    return Camera(width_px, height_px, focal, width_px / 2, height_px / 2), source


def number(value: object) -> float | None:
    """A tag as a finite float, or None: EXIF rationals come as 0/0, texts, signs and all; Parrot's XMP has "1/3"."""
    if isinstance(value, str) and "/" in value:
        above, _, below = value.partition("/")
        top, bottom = number(above), number(below)
        return top / bottom if top is not None and bottom else None
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return result if math.isfinite(result) else None


def _by_sensor(width_px: int, tags: Mapping[str, object]) -> float | None:
    focal_mm = number(tags.get("FocalLength"))
    sensor_mm = _SENSOR_WIDTH_MM.get(str(tags.get("Model", "")).strip("\x00 ").upper())
    return focal_mm / sensor_mm * width_px if focal_mm and sensor_mm else None


def _by_focal_plane(width_px: int, tags: Mapping[str, object]) -> float | None:
    focal_mm, per_unit = number(tags.get("FocalLength")), number(tags.get("FocalPlaneXResolution"))
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}.get(int(number(tags.get("FocalPlaneResolutionUnit")) or 2))
    full_width = number(tags.get("ExifImageWidth")) or width_px
    if not focal_mm or not per_unit or unit_mm is None:
        return None
    return focal_mm * per_unit / unit_mm * (width_px / full_width)


def _by_equivalent(width_px: int, height_px: int, tags: Mapping[str, object]) -> float | None:
    focal_35mm = number(tags.get("FocalLengthIn35mmFilm"))
    if not focal_35mm:
        return None
    # The number is told for the whole 4:3 sensor; a 16:9 photo is that sensor with top and bottom cut off.
    wide = max(width_px, height_px) / min(width_px, height_px) > 1.65
    diagonal = 1.25 * max(width_px, height_px) if wide else math.hypot(width_px, height_px)
    return focal_35mm * diagonal / 43.267


def _calibrated(width_px: int, height_px: int, tags: Mapping[str, object], xmp: Mapping[str, str]) -> Camera | None:
    centre_x, centre_y = number(xmp.get("CalibratedOpticalCenterX")), number(xmp.get("CalibratedOpticalCenterY"))
    full_width = 2 * centre_x if centre_x else number(tags.get("ExifImageWidth")) or float(width_px)
    if not centre_x:
        centre_x, centre_y = full_width / 2, full_width / 2 * height_px / width_px
    if abs(full_width / width_px - 1) < _CENTRED:
        full_width = float(width_px)  # the lens's true centre, near the middle: the photo was not resized
    factor = width_px / (2 * round(full_width / 2))
    focal = number(xmp.get("CalibratedFocalLength"))
    lens = _dewarp(xmp.get("DewarpData", "")) if xmp.get("DewarpFlag", "0").strip() != "1" else None
    if lens is not None:
        fx, fy, dx, dy, k1, k2, p1, p2, k3 = lens
        cx, cy = width_px / 2 + dx * factor, height_px / 2 + dy * factor
        full = (fx * factor, fy * factor, cx, cy, k1, k2, p1, p2, k3)
        return nearest_camera(width_px, height_px, full)
    if focal is None or focal <= 0 or not 0.3 < focal / full_width < 15:
        return None
    return Camera(width_px, height_px, focal * factor, centre_x * factor, (centre_y or 0.0) * factor)


def _dewarp(text: str) -> tuple[float, ...] | None:
    """DJI DewarpData: "date;fx,fy,cx offset,cy offset,k1,k2,p1,p2,k3" in pixels of the full photo."""
    values = [number(part) for part in text.rpartition(";")[2].split(",")]
    if len(values) < 9 or any(v is None for v in values) or not values[0] or values[0] <= 0:
        return None
    return tuple(float(v) for v in values[:9] if v is not None)


def nearest_camera(width_px: int, height_px: int, full: tuple[float, ...]) -> Camera:
    """The `Camera` (one focal length) of a lens (fx, fy, cx, cy, k1, k2, p1, p2, k3); where its two focal lengths differ, the nearest
    one over the rays of the whole picture.
    """
    fx, fy, cx, cy, k1, k2, p1, p2, k3 = full
    same = Camera(width_px, height_px, fx, cx, cy, k1, k2, p1, p2, k3)
    if fx == fy:
        return same
    gx, gy = np.meshgrid(np.linspace(0, width_px, 15), np.linspace(0, height_px, 15))
    # Rays of a square pixel's lens through a picture stretched to it: the true rays.
    rays = same.rays(np.column_stack([gx.ravel(), (gy.ravel() - cy) * fx / fy + cy]))
    x, y = rays[:, 0], rays[:, 1]

    def pixels(q: Floats) -> tuple[Floats, Floats]:
        r2 = x * x + y * y
        radial = 1 + r2 * (q[2] + r2 * (q[3] + r2 * q[6]))
        u = x * radial + 2 * q[4] * x * y + q[5] * (r2 + 2 * x * x)
        v = y * radial + q[4] * (r2 + 2 * y * y) + 2 * q[5] * x * y
        return u, v

    u, v = pixels(np.array([0, 0, k1, k2, p1, p2, k3]))

    def residual(q: Floats) -> Floats:
        own_u, own_v = pixels(q[1:])
        return np.concatenate([q[0] * fx * own_u + q[1] * fx - fx * u - cx, q[0] * fx * own_v + q[2] * fx - fy * v - cy])

    q = least_squares(residual, np.array([1.0, cx / fx, cy / fx, k1, k2, p1, p2, k3])).x
    return Camera(width_px, height_px, *(float(value) for value in (*q[:3] * fx, *q[3:])))
