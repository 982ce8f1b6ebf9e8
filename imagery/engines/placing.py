"""Laying a block that knows only its own shape onto the ground: scale, turn and shift from the photos' own positions.

Satellite height is the weakest of them: it may drift by a hundred metres in a flight or carry the wrong sign, so it is gated here
and the heights above take-off are preferred. A single line of photos does not say how it is rolled about itself; the cameras'
gaze does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from geo.frames import Floats, Frame, Pose
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.reconstruct import View

_GIMBAL_SIGMA_RAD = math.radians(1.0)
_UNKNOWN_GAZE_SIGMA_RAD = math.radians(15.0)  # real flights with a gimbal at -75 degrees and no word of it in the files


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """What the photos say of themselves, in frame metres: `xy` `(n, 2)`, `z` `(n,)`, NaN unknown, with standard deviations.

    `gaze` `(n, 3)` are unit optical axes by the gimbal (straight down where the file is silent); `gaze_known` whether any file spoke.
    """

    xy: Floats
    z: Floats
    sigma_xy: Floats
    sigma_z: Floats
    gaze: Floats
    gaze_known: bool
    z_source: str


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """new = scale * rotation @ old + shift."""

    scale: float
    rotation: Floats
    shift: Floats

    def apply(self, points: Floats) -> Floats:
        """Points `(n, 3)` moved."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift, np.float64)

    @property
    def matrix(self) -> Floats:
        """The `(3, 4)` matrix [scale * rotation | shift]."""
        return np.column_stack([self.scale * self.rotation, self.shift])


def told(photos: Sequence[Photo], frame: Frame) -> Places:
    """The photos' own positions and gazes, with the heights that deserve it."""
    count = len(photos)
    xy = np.full((count, 2), np.nan)
    for i, photo in enumerate(photos):
        if photo.place is not None:
            at = frame.xy(photo.place)
            xy[i] = at.x_m, at.y_m
    z, sigma_z, z_source = _heights(photos)
    gaze = np.tile([0.0, 0.0, -1.0], (count, 1))
    known = [i for i, p in enumerate(photos) if p.pitch_deg is not None and p.yaw_deg is not None]
    for i in known:
        p = photos[i]
        gaze[i] = Pose.looking(0, 0, 0, yaw_deg=p.yaw_deg or 0.0, pitch_deg=p.pitch_deg or 0.0).matrix[2]
    return Places(xy, z, np.array([p.position_sigma_m for p in photos]), sigma_z, gaze, len(known) > count // 2, z_source)


def _heights(photos: Sequence[Photo]) -> tuple[Floats, Floats, str]:
    nan = math.nan
    ellipsoid = np.array([nan if p.ellipsoid_height_m is None else p.ellipsoid_height_m for p in photos])
    takeoff = np.array([nan if p.takeoff_height_m is None else p.takeoff_height_m for p in photos])
    trusted = np.array([p.height_trusted for p in photos])
    both = np.isfinite(ellipsoid) & np.isfinite(takeoff) & trusted
    rtk = np.array([p.rtk_fixed for p in photos])
    if rtk.mean() > 0.5 and (rtk & both).any():
        return np.where(rtk, ellipsoid, nan), np.full(len(photos), 0.1), "ellipsoid (RTK)"
    if np.isfinite(takeoff).mean() > 0.5:  # the barometer is smooth within one flight
        shift = float(np.median(ellipsoid[both] - takeoff[both])) if both.any() else 0.0
        drift = float(np.std(ellipsoid[both] - takeoff[both])) if both.any() else math.inf
        source = "take-off heights over the satellite height" if drift < 10 else "heights above take-off"
        return takeoff + (shift if drift < 10 else 0.0), np.full(len(photos), 1.0), source
    if (np.isfinite(ellipsoid) & trusted).mean() > 0.5:
        return np.where(trusted, ellipsoid, nan), np.full(len(photos), 3.0), "satellite height"
    # An offset or a sign may be wrong; heights that hardly change in a flight still say that it was level.
    level = bool(np.isfinite(ellipsoid).any()) and float(np.nanstd(ellipsoid)) < 5.0
    return ellipsoid, np.full(len(photos), 2.0 if level else 10.0), "none that can be trusted"


def lay(centres: Floats, axes: Floats, places: Places) -> Similarity:
    """The similarity that brings camera centres `(n, 3)` and optical axes `(n, 3)` of a block onto the photos' own places.

    Robust to a few wild positions. Raises ReconstructionError with fewer than three positions, or all in one spot.
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(places.xy).all(axis=1))
    if known.sum() < 3:
        raise ReconstructionError(
            f"only {int(known.sum())} of the {len(centres)} matched photos carry a position: the block has no scale. "
            "Use photos with GPS, or register them into an earlier survey of the place"
        )
    spread = float(np.linalg.norm(places.xy[known] - np.median(places.xy[known], axis=0), axis=1).max())
    if spread < 2.0:
        raise ReconstructionError(
            f"all photos were taken within {spread:.1f} m of one spot: fly lines over the area, not a turn in place"
        )
    start = _start(centres, axes, places, known)
    count = len(centres)
    sigma_axis = (_GIMBAL_SIGMA_RAD if places.gaze_known else _UNKNOWN_GAZE_SIGMA_RAD) * math.sqrt(count)
    tall = known & np.isfinite(places.z)
    middle = centres[known].mean(axis=0)
    local = centres - middle
    r0 = Rotation.from_matrix(start.rotation)
    origin = start.apply(middle[None])[0]
    z_origin = float(np.median(places.z[tall])) if tall.any() else 0.0
    target = np.column_stack([places.xy - origin[:2], places.z - z_origin])

    def unpack(q: Floats) -> tuple[float, Rotation, Floats]:
        return start.scale * math.exp(q[0]), Rotation.from_rotvec(q[1:4]) * r0, q[4:7]

    def residual(q: Floats) -> Floats:
        scale, rotation, shift = unpack(q)
        placed = scale * rotation.apply(local) + shift
        parts = [((placed - target)[known, :2] / places.sigma_xy[known, None]).ravel()]
        parts.append((placed - target)[tall, 2] / places.sigma_z[tall])
        parts.append(((rotation.apply(axes) - places.gaze) / sigma_axis).ravel())
        if not tall.any():
            parts.append(shift[2:3])
        return np.concatenate(parts)

    start_q = np.zeros(7)
    if tall.any():
        start_q[6] = float(np.median(target[tall, 2] - start.scale * r0.apply(local[tall])[:, 2]))
    solved = least_squares(residual, start_q, loss="soft_l1", x_scale=np.array([0.01, 0.01, 0.01, 0.01, 1, 1, 1]))
    scale, rotation, shift = unpack(solved.x)
    matrix = rotation.as_matrix()
    total = shift + np.array([origin[0], origin[1], z_origin]) - scale * matrix @ middle
    return Similarity(scale, matrix, total)


def _start(centres: Floats, axes: Floats, places: Places, known: NDArray[np.bool_]) -> Similarity:
    """Turn the mean gaze to where it should look, then the plan view onto the positions."""
    mean_axis, mean_gaze = axes.mean(axis=0), places.gaze.mean(axis=0)
    if np.linalg.norm(mean_gaze) < 0.3 or np.linalg.norm(mean_axis) < 0.3:
        mean_gaze, mean_axis = np.array([0.0, 0.0, -1.0]), _thinnest(centres[known], axes)
    upright = _turn(mean_axis / np.linalg.norm(mean_axis), mean_gaze / np.linalg.norm(mean_gaze))
    flat = (centres @ upright.T)[known]
    source = flat[:, 0] + 1j * flat[:, 1]
    target = places.xy[known, 0] + 1j * places.xy[known, 1]
    factor, shift = _plan_similarity(source, target)
    angle = float(np.angle(factor))
    spin = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    return Similarity(float(abs(factor)), spin @ upright, np.array([shift.real, shift.imag, 0.0]))


def _plan_similarity(source: NDArray[np.complex128], target: NDArray[np.complex128]) -> tuple[complex, complex]:
    """target = factor * source + shift, by least median of squares over pairs, then least squares over those that agree."""
    rng = np.random.default_rng(0)
    count = len(source)
    best, chosen = math.inf, (1 + 0j, 0j)
    for _ in range(300):
        i, j = rng.choice(count, 2, replace=False)
        if abs(source[i] - source[j]) < 1e-9 or abs(target[i] - target[j]) < 1e-6:
            continue
        factor = (target[i] - target[j]) / (source[i] - source[j])
        shift = target[i] - factor * source[i]
        score = float(np.median(np.abs(factor * source + shift - target)))
        if score < best:
            best, chosen = score, (complex(factor), complex(shift))
    error = np.abs(chosen[0] * source + chosen[1] - target)
    good = error <= max(3.0 * best, 1e-6)
    s, t = source[good], target[good]
    ds, dt = s - s.mean(), t - t.mean()
    energy = float((np.abs(ds) ** 2).sum())
    if good.sum() < 3 or energy < 1e-12:
        return chosen
    factor = complex((np.conj(ds) * dt).sum() / energy)
    return factor, complex(t.mean() - factor * s.mean())


def _thinnest(centres: Floats, axes: Floats) -> Floats:
    """Normal of the plane the cameras stand in, on the side they look to."""
    _, _, vt = np.linalg.svd(centres - centres.mean(axis=0))
    normal = np.asarray(vt[2], np.float64)
    return normal if (axes @ normal).sum() >= 0 else -normal


def _turn(source: Floats, target: Floats) -> Floats:
    """The shortest rotation `(3, 3)` that brings one unit vector onto another."""
    cross, dot = np.cross(source, target), float(source @ target)
    if dot < -1 + 1e-12:
        other = np.eye(3)[int(np.argmin(np.abs(source)))]
        axis = np.cross(source, other)
        return np.asarray(Rotation.from_rotvec(math.pi * axis / np.linalg.norm(axis)).as_matrix(), np.float64)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + dot), np.float64)


def chosen(places: Places, rows: Sequence[int], offset: Floats) -> Places:
    """The places of some photos, in their order, less a whole-metre offset `(3,)`."""
    index = np.asarray(rows, int)
    return Places(
        places.xy[index] - offset[:2],
        places.z[index] - offset[2],
        places.sigma_xy[index],
        places.sigma_z[index],
        places.gaze[index],
        places.gaze_known,
        places.z_source,
    )


def of_views(views: Sequence[View], offset: Sequence[float]) -> Places:
    """Places as a block has them, less an offset: to lay another block of the same photos onto it."""
    centres = np.array([v.pose.centre for v in views]) - np.asarray(offset)
    sigma = np.full(len(views), 0.05)
    return Places(centres[:, :2], centres[:, 2], sigma, sigma, np.array([v.pose.matrix[2] for v in views]), True, "reference")


def is_line(places: Places) -> bool:
    """Whether the positions lie so nearly on one line that they do not hold the block about it."""
    known = places.xy[np.isfinite(places.xy).all(axis=1) & np.isfinite(places.z)]
    if len(known) < 4:
        return True
    spread = np.linalg.svd(known - known.mean(axis=0), compute_uv=False) / np.sqrt(len(known))
    return bool(spread[1] < 2.0 * float(np.median(places.sigma_xy)))


def tilt_deg(centres: Floats, axes: Floats, places: Places) -> float:
    """How far the block leans, in degrees: its mean optical axis against the gimbals' word; where they are silent, the plane of its
    cameras against the plane of their told heights.
    """
    if places.gaze_known:
        mean, word = axes.mean(axis=0), places.gaze.mean(axis=0)
        cosine = float(mean @ word / max(1e-9, float(np.linalg.norm(mean) * np.linalg.norm(word))))
        return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
    if is_line(places):
        return 0.0
    tall = np.isfinite(places.z) & np.isfinite(places.xy).all(axis=1)
    plan = centres[tall, :2] - centres[tall, :2].mean(axis=0)
    design = np.column_stack([plan, np.ones(len(plan))])
    slope = np.linalg.lstsq(design, centres[tall, 2] - places.z[tall], rcond=None)[0]
    return math.degrees(math.atan(float(np.hypot(slope[0], slope[1]))))
