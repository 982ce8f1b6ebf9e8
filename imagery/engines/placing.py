"""Laying a block that knows only its own shape onto the ground: scale, turn and shift from the photos' own positions.

Satellite height is the weakest of them: it may drift by a hundred metres in a flight or carry the wrong sign, so it is gated here
and the heights above take-off are preferred. A single line of photos does not say how it is rolled about itself; the cameras'
gaze does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from geo.frames import Floats, Frame, Pose
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.reconstruct import View

# Within a flight a drone holds its barometric height to a few decimetres. Nothing else in a nadir block with one heading keeps a wrong
# radial distortion from doming it: with a metre here, the cameras of a real flight fanned out by five degrees in 100 m.
_BAROMETER_SIGMA_M = 0.3
_LANDED_S = 180.0
_GIMBAL_SIGMA_RAD = math.radians(1.0)
_INDEPENDENT = 4.0
_SHIFT_SIGMA_M = 10.0  # by which all receivers of a flight may be off together against a survey: datum, weather, old orbits
_ANY_LEVEL_M = 1000.0  # heights over the ellipsoid, the sea or the take-off: between them lies whatever it is
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

    def unknown(self) -> Places:
        """The same photos without any position."""
        return replace(self, xy=np.full_like(self.xy, np.nan), z=np.full_like(self.z, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Points of the ground that a block has and that were surveyed: `block` `(n, 3)` in its own coordinates, `survey` `(n, 3)` metres
    with standard deviations `sigma` `(n, 3)`. Where `heights_known` is False the surveyed heights only say "all on one level".
    """

    block: Floats
    survey: Floats
    sigma: Floats
    heights_known: bool

    @property
    def holds(self) -> bool:
        """Whether the points alone place a block: three or more, not on one line."""
        if len(self.survey) < 3:
            return False
        spread = np.linalg.svd(self.survey[:, :2] - self.survey[:, :2].mean(axis=0), compute_uv=False)
        return bool(spread[1] > max(0.02 * spread[0], 0.5))

    def without(self, index: int) -> Ground:
        """All points but one."""
        return Ground(
            np.delete(self.block, index, 0), np.delete(self.survey, index, 0), np.delete(self.sigma, index, 0), self.heights_known
        )


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
    sigma = _BAROMETER_SIGMA_M if _one_flight(photos) else 1.0  # each take-off has a zero of its own
    if np.isfinite(takeoff).mean() > 0.5:  # the barometer is smooth within one flight
        shift = float(np.median(ellipsoid[both] - takeoff[both])) if both.any() else 0.0
        drift = float(np.std(ellipsoid[both] - takeoff[both])) if both.any() else math.inf
        source = "take-off heights over the satellite height" if drift < 10 else "heights above take-off"
        return takeoff + (shift if drift < 10 else 0.0), np.full(len(photos), sigma), source
    if (np.isfinite(ellipsoid) & trusted).mean() > 0.5:
        return np.where(trusted, ellipsoid, nan), np.full(len(photos), 3.0), "satellite height"
    # An offset or a sign may be wrong; heights that hardly change in a flight still say that it was level.
    spread = float(np.nanstd(ellipsoid)) if np.isfinite(ellipsoid).any() else math.inf
    sigma = sigma if spread < 0.5 else 2.0 if spread < 5.0 else 10.0  # so steady only a barometer is
    return ellipsoid, np.full(len(photos), sigma), "none that can be trusted"


def _one_flight(photos: Sequence[Photo]) -> bool:
    """Whether no pause between photos is long enough to have landed, so that all heights count from one zero."""
    times = sorted(p.taken_at for p in photos if p.taken_at is not None)
    return len(times) == len(photos) and all((b - a).total_seconds() < _LANDED_S for a, b in pairwise(times))


def lay(centres: Floats, axes: Floats, places: Places, ground: Ground | None = None) -> Similarity:
    """The similarity that brings camera centres `(n, 3)` and optical axes `(n, 3)` of a block onto the photos' own places and onto
    surveyed points of the ground.

    Robust to a few wild positions. Surveyed points decide where they speak: the receivers of the photos may then all be off by one
    shift, which is solved along; their heights and the surveyed ones may count from different datums, the surveyed one wins where
    it was measured. Raises ReconstructionError with fewer than three positions and three points, or all in one spot.
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(places.xy).all(axis=1))
    if ground is not None and ground.holds:
        start = _start_on(ground)
    else:
        _check(known, places, ground)
        start = _start(centres, axes, places, known)
    tall = known & np.isfinite(places.z)
    middle = centres[known].mean(axis=0) if known.any() else centres.mean(axis=0)
    local = centres - middle
    r0 = Rotation.from_matrix(start.rotation)
    origin = start.apply(middle[None])[0]
    z_origin = (
        float(np.median(places.z[tall])) if tall.any() else float(origin[2]) if ground is not None and ground.holds else 0.0
    )
    zero = np.array([origin[0], origin[1], z_origin])
    sigma_axis = (_GIMBAL_SIGMA_RAD if places.gaze_known else _UNKNOWN_GAZE_SIGMA_RAD) * math.sqrt(len(centres))
    # Receivers of one flight drift together: against a survey their positions count as a few independent ones, not as one each.
    sigma_xy = places.sigma_xy * (1.0 if ground is None else math.sqrt(max(1.0, known.sum() / _INDEPENDENT)))
    surveyed = None if ground is None or len(ground.block) == 0 else _Surveyed(ground, middle, zero, bool(tall.any()), places)

    def unpack(q: Floats) -> tuple[float, Rotation, Floats]:
        return start.scale * math.exp(q[0]), Rotation.from_rotvec(q[1:4]) * r0, q[4:7]

    def residual(q: Floats) -> Floats:
        scale, rotation, shift = unpack(q)
        placed = scale * rotation.apply(local) + shift + zero
        off = placed[:, :2] - places.xy - q[7:9]
        parts = [(off[known] / sigma_xy[known, None]).ravel()]
        parts.append((placed[tall, 2] - places.z[tall] - q[9]) / places.sigma_z[tall])
        parts.append(((rotation.apply(axes) - places.gaze) / sigma_axis).ravel())
        if surveyed is None:
            parts.append(q[7:11])  # the receivers' word is the last
            if not tall.any():
                parts.append(shift[2:3])
        else:
            parts += surveyed.residuals(scale, rotation, shift, q[7:11])
        return np.concatenate(parts)

    start_q = np.zeros(11)
    if tall.any() and (ground is None or not ground.holds):
        start_q[6] = float(np.median(places.z[tall] - z_origin - start.scale * r0.apply(local[tall])[:, 2]))
    if surveyed is not None and ground is not None and ground.holds and tall.any():
        start_q[6] = origin[2] - z_origin
        start_q[7:11] = surveyed.first_shifts(start.apply(centres), known, tall)
        if surveyed.level_free:
            start_q[6] -= start_q[9]
            start_q[10], start_q[9] = -start_q[9], 0.0
    solved = least_squares(
        residual, start_q, loss="soft_l1", x_scale=np.array([0.01, 0.01, 0.01, 0.01, 1, 1, 1, 1, 1, 1, 1]), max_nfev=400
    )
    scale, rotation, shift = unpack(solved.x)
    matrix = rotation.as_matrix()
    return Similarity(scale, matrix, shift + zero - scale * matrix @ middle)


def _check(known: NDArray[np.bool_], places: Places, ground: Ground | None) -> None:
    """Raises ReconstructionError when the positions do not place a block."""
    if known.sum() < 3:
        if ground is not None:
            raise ReconstructionError(
                f"{len(ground.block)} 个像控点能在两张以上照片中定位，且照片没有 GPS：至少要三个不在一条直线上的像控点。 "
                f"Only {len(ground.block)} control points are found in two photos or more and the photos carry no GPS: three that are "
                "not on one line are needed"
            )
        raise ReconstructionError(
            f"能连上的 {len(known)} 张照片中只有 {int(known.sum())} 张有位置，无法确定比例：请用有 GPS 的照片、提供像控点，或配准到已有的一期成果。 "
            f"only {int(known.sum())} of the {len(known)} matched photos carry a position: the block has no scale. "
            "Use photos with GPS, give ground control points, or register them into an earlier survey of the place"
        )
    spread = float(np.linalg.norm(places.xy[known] - np.median(places.xy[known], axis=0), axis=1).max())
    if spread < 2.0:
        raise ReconstructionError(
            f"所有照片都在 {spread:.1f} 米之内的一处拍摄：请沿航线飞过该区域，不要原地旋转。 "
            f"all photos were taken within {spread:.1f} m of one spot: fly lines over the area, not a turn in place"
        )


class _Surveyed:
    """What surveyed points add to a laying: their own distances, and what the receivers' common shift and the level may be.

    Parameters: the receivers' shift east, north and up, and how much the surveyed level lies too low.
    """

    def __init__(self, ground: Ground, middle: Floats, zero: Floats, tall: bool, places: Places) -> None:
        self.local, self.target, self.sigma = ground.block - middle, ground.survey - zero, ground.sigma
        self.zero, self.places = zero, places
        trusted = tall and not places.z_source.startswith("none")
        self.level_free = trusted and not ground.heights_known
        up, level = (1e-3, _ANY_LEVEL_M) if self.level_free else (_ANY_LEVEL_M, 1e-3)
        self.shift_sigma = np.array([_SHIFT_SIGMA_M, _SHIFT_SIGMA_M, up, level])

    def residuals(self, scale: float, rotation: Rotation, shift: Floats, shifts: Floats) -> list[Floats]:
        """In standard deviations."""
        off = scale * rotation.apply(self.local) + shift - self.target
        off[:, 2] -= shifts[3]
        return [(off / self.sigma).ravel(), shifts / self.shift_sigma]

    def first_shifts(self, placed: Floats, known: NDArray[np.bool_], tall: NDArray[np.bool_]) -> Floats:
        """Where the solution starts, from cameras `(n, 3)` placed by the points alone."""
        plan = np.median(placed[known, :2] - self.places.xy[known], axis=0)
        return np.array([plan[0], plan[1], float(np.median(placed[tall, 2] - self.places.z[tall])), 0.0])


def _start_on(ground: Ground) -> Similarity:
    """By the triple of surveyed points that most others agree with in plan (Umeyama 1991)."""
    count = len(ground.block)
    triples = list(combinations(range(count), 3))
    if len(triples) > 300:
        rng = np.random.default_rng(0)
        triples = [triples[i] for i in rng.choice(len(triples), 300, replace=False)]
    best, chosen = math.inf, None
    for triple in [*triples, tuple(range(count))]:
        fitted = umeyama(ground.block[list(triple)], ground.survey[list(triple)])
        if fitted is None:
            continue
        score = float(np.median(np.linalg.norm((fitted.apply(ground.block) - ground.survey)[:, :2], axis=1)))
        # Of equals the last, which is all points together.
        if score <= best * (1.0 if len(triple) == 3 else 1.5):
            best, chosen = score, fitted
    if chosen is None:
        raise ReconstructionError("像控点几乎在一条直线上。 The control points lie on one line: they do not place the block")
    return chosen


def umeyama(source: Floats, target: Floats, weight: Floats | None = None) -> Similarity | None:
    """The similarity of (weighted) least squares between points `(n, 3)` (Umeyama 1991); None where they lie on one line."""
    share = np.full((len(source), 1), 1.0 / len(source)) if weight is None else weight[:, None] / weight.sum()
    here, there = (source * share).sum(axis=0), (target * share).sum(axis=0)
    s, t = source - here, target - there
    u, d, vt = np.linalg.svd(t.T @ (s * share))
    if d[1] < 1e-6 * d[0] or d[0] <= 0:
        return None
    sign = np.array([1.0, 1.0, float(np.sign(np.linalg.det(u) * np.linalg.det(vt)))])
    rotation = u @ np.diag(sign) @ vt
    scale = float((d * sign).sum() / ((s**2) * share).sum())
    return Similarity(scale, rotation, there - scale * rotation @ here) if scale > 0 else None


def similarity(points: Floats, onto: Floats) -> Similarity | None:
    """The similarity that brings points `(n, 3)` onto others, wild ones held back; None where they lie on one line."""
    weight = np.ones(len(points))
    found = None
    for _ in range(6):
        found = umeyama(points, onto, weight)
        if found is None:
            break
        error = np.linalg.norm(found.apply(points) - onto, axis=1)
        weight = 1.0 / np.maximum(1.0, error / max(1e-6, float(np.median(error))))
    return found


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
