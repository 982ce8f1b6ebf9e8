"""Putting a block onto ground control: laid, then adjusted on it, then measured against it.

Points are surveyed to their stated sigma, or so they say: targets that were measured with a hand-held receiver are a metre off, and
a block bent onto them would be worse than before. So the disagreement between the points and the undistorted block is measured
first, and the control is held no tighter than that.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

from geo.camera import Camera
from geo.frames import Floats, Pose
from imagery.control import NOMINAL_SIGMA_M, Control, ControlReport, PointResidual, Role
from imagery.engines import mapping, marks, placing, store, theodolites
from imagery.engines.features import Recipe
from imagery.engines.marks import Sighting
from imagery.engines.placing import Ground, Places, Similarity
from imagery.engines.store import Roll
from imagery.photos import Photo
from imagery.reasons import Reason, read_all

_MARK_PX = 3.0  # of the picture keypoints are sought in: no hand marks a target farther off than this
_BLUNDER = 4.0  # standard deviations beyond which a place is doubted
_RELIEF = 0.1  # of the flying height: surveyed heights that differ by this much fix the focal length
_FIRST_SIGMA_M = 0.5
_SCALE_APART = 0.01  # receivers of one flight rarely miss its size by more
_LEAVE_OUT_MOST = 12  # points up to which each is left out in turn


@dataclass(frozen=True, slots=True)
class Standing:
    """A photo and where it stood, in metres less the block's offset."""

    photo: Photo
    pose: Pose


@dataclass(frozen=True, slots=True)
class Laid:
    """What was learnt while a block was put onto control; kept beside the model."""

    used: bool
    how: str = "measured only"
    sigma_m: float | None = None
    scale_change: float | None = None
    focal_freed: bool = False
    left_out: Mapping[str, tuple[float, float | None]] | None = None
    notes: tuple[Reason, ...] = ()

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Laid:
        """What `write` kept."""
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        left_out = record["left_out"]
        return Laid(
            **{
                **record,
                "notes": read_all(record["notes"]),
                "left_out": None if left_out is None else {name: (xy, up) for name, (xy, up) in left_out.items()},
            }
        )


def mark_limit_px(model: pycolmap.Reconstruction, long_side_px: int) -> float:
    """Beyond this a mark is off, in pixels of the full photo."""
    return _MARK_PX * mapping.tolerance_px(list(model.cameras.values()), long_side_px)


def first_laid(model: pycolmap.Reconstruction, ids: Sequence[int], places: Places, seen: Sequence[Sighting]) -> Similarity:
    """A block that has no positions of its own, on control alone. Raises ReconstructionError with what is missing."""
    centres, axes = mapping.centres_and_axes(model, ids)
    ground, _ = _ground(_controls(seen), _FIRST_SIGMA_M)
    return placing.lay(centres, axes, places, ground)


def put_onto(
    model: pycolmap.Reconstruction,
    control: Control,
    numbers: Mapping[str, int],
    offset: Floats,
    ids: Sequence[int],
    places: Places,
    *,
    limit_px: float,
    free_lenses: Collection[int],
    free_focals: bool,
    workers: int,
) -> Laid:
    """Lay an adjusted block onto its control and adjust it once more there, in place. `places` are the photos' own, less `offset`."""
    seen = marks.sightings(model, control, numbers, offset, limit_px)
    usable = _controls(seen)
    if not usable:
        return Laid(used=False, notes=(_UNUSED,))
    fitted, level, laid = _fitted(model, usable, ids, places)
    mapping.transform(model, fitted)
    sigma = laid.sigma_m or 0.0
    heights = [s.survey[2] for s in usable if s.point.height_known]
    agl = float(np.median(mapping.centres_and_axes(model, ids)[0][:, 2])) - float(np.median([s.survey[2] for s in usable]))
    relief = len(heights) >= 4 and bool(max(heights) - min(heights) > _RELIEF * abs(agl))
    positioned = np.isfinite(places.xy).all(axis=1).sum() >= 3
    held = _held(ids, model, places) if positioned and not placing.is_line(places) else None
    for _ in range(2):
        checked = _doubted(model, marks.sightings(model, control, numbers, offset, limit_px), limit_px, sigma, level)
        watched = [
            (replace(s, survey=_levelled(s, level)), _sigma(s, sigma))
            for s in checked
            if s.point.role is Role.CONTROL and s.good.any()
        ]
        theodolites.adjust(
            model, watched, free_lenses=free_lenses, free_focals=free_focals or relief, workers=workers, places=held
        )
    return replace(laid, focal_freed=relief and not free_focals)


def laid_onto(
    control: Control,
    stands: Sequence[Standing],
    cameras: Mapping[str, Camera],
    offset: Floats,
    places: Places,
    long_side_px: int,
) -> tuple[Similarity | None, Laid]:
    """The similarity that lays a block with these poses onto its control (None where that cannot be used): for blocks that the solver
    never holds as a whole. `places` are the photos' own, in the order of `stands`.
    """
    model, numbers = _posed(stands, cameras, long_side_px)
    usable = _controls(marks.sightings(model, control, numbers, offset, mark_limit_px(model, long_side_px)))
    if not usable:
        return None, Laid(used=False, notes=(_UNUSED,))
    fitted, _, laid = _fitted(model, usable, [numbers[s.photo.sha256] for s in stands], places)
    return fitted, replace(laid, how="laid on control")


def _fitted(
    model: pycolmap.Reconstruction, usable: Sequence[Sighting], ids: Sequence[int], places: Places
) -> tuple[Similarity, float, Laid]:
    """How the block is to be moved, how far its ground then lies over nominal heights, and what was learnt."""
    positioned = bool(np.isfinite(places.xy).all(axis=1).sum() >= 3)
    centres, axes = mapping.centres_and_axes(model, ids)
    sigma = _FIRST_SIGMA_M
    for _ in range(3):
        ground, names = _ground(usable, sigma)
        # What the points say of each other is asked without the receivers, wherever they hold the block by themselves.
        alone = placing.lay(centres, axes, places.unknown() if ground.holds else places, ground)
        sigma = _disagreement_m(alone, ground)
    ground, names = _ground(usable, sigma)
    similarity = placing.lay(centres, axes, places, ground)
    left_out = _left_out(centres, axes, places, ground, names, positioned)
    notes = []
    if sigma > 3 * max(s.point.sigma_xy_m for s in usable):
        notes.append(
            Reason(
                "control_disagrees",
                f"像控点之间互差约 {sigma:.2f} 米，大于其标称精度，按互差定权。",
                f"The control points disagree with each other by {sigma:.2f} m, more than they promise: they are trusted to that.",
                number=sigma,
            )
        )
    change = similarity.scale - 1.0 if positioned else None
    if change is not None and abs(change) > _SCALE_APART:
        notes.append(
            Reason(
                "control_scale_gps",
                f"像控点定出的尺度与照片定位相差 {change:+.1%}，以像控点为准；请核对像控坐标与坐标系。",
                f"Control changes the block's size by {change:+.1%} against the photos' own positions; control is followed. Check its "
                "coordinates and its frame.",
                number=change,
                limit=_SCALE_APART,
            )
        )
    laid = Laid(True, "adjusted on control", sigma, change, False, left_out, tuple(notes))
    return similarity, _level(similarity, ground), laid


def measured(
    control: Control,
    stands: Sequence[Standing],
    cameras: Mapping[str, Camera],
    offset: Floats,
    laid: Laid,
    long_side_px: int,
) -> ControlReport:
    """How a finished block meets every point of its control."""
    model, numbers = _posed(stands, cameras, long_side_px)
    names = {numbers[s.photo.sha256]: s.photo.name for s in stands}
    return report(model, control, numbers, names, offset, limit_px=mark_limit_px(model, long_side_px), laid=laid)


def _posed(
    stands: Sequence[Standing], cameras: Mapping[str, Camera], long_side_px: int
) -> tuple[pycolmap.Reconstruction, dict[str, int]]:
    """A model of poses alone, and its image numbers by photo hash. `cameras` go by the photos' camera names."""
    numbers = {s.photo.sha256: i + 1 for i, s in enumerate(stands)}
    roll = Roll(Recipe(long_side_px), numbers, {name: i + 1 for i, name in enumerate(cameras)})
    camera_of = {s.photo.sha256: store.camera_name(s.photo) for s in stands}
    poses = {s.photo.sha256: s.pose for s in stands}
    return store.posed(roll, cameras, camera_of, poses, (0.0, 0.0, 0.0), None), numbers


def report(
    model: pycolmap.Reconstruction,
    control: Control,
    numbers: Mapping[str, int],
    names: Mapping[int, str],
    offset: Floats,
    *,
    limit_px: float,
    laid: Laid,
) -> ControlReport:
    """How the finished model agrees with every point of the control. `names` are the photos' names by image number."""
    level = 0.0
    found = marks.sightings(model, control, numbers, offset, limit_px)
    heights = [s.place[2] - s.survey[2] for s in found if s.place is not None and not s.point.height_known]
    if heights:
        level = float(np.median(heights))
    seen = _doubted(model, found, limit_px, laid.sigma_m if laid.used and laid.sigma_m else np.inf, level)
    points = []
    for s in seen:
        at = _levelled(s, level)
        if s.place is not None and not s.point.height_known:
            at[2] = s.place[2]
        good = [i for i, g in zip(s.images, s.good, strict=True) if g]
        px = np.linalg.norm(marks.projected(model, good, at) - s.px[s.good], axis=1) if good else np.zeros(0)
        px = px[np.isfinite(px)]
        off = None if s.place is None else s.place - s.survey
        alone = (laid.left_out or {}).get(s.point.name)
        points.append(
            PointResidual(
                s.point.name,
                s.point.role,
                len(good),
                None if off is None else float(off[0]),
                None if off is None else float(off[1]),
                None if off is None or not s.point.height_known else float(off[2]),
                float(np.sqrt((px**2).mean())) if len(px) else None,
                tuple(names[i] for i, g in zip(s.images, s.good, strict=True) if not g),
                alone[0] if alone else None,
                alone[1] if alone else None,
            )
        )
    notes = [*control.notes, *laid.notes]
    doubted = [p.name for p in points if laid.used and laid.sigma_m and p.xy_m is not None and p.xy_m > _BLUNDER * laid.sigma_m]
    if doubted:
        notes.append(
            Reason(
                "control_doubted",
                f"像控点 {'、'.join(doubted)} 与其余各点明显不符，请核对坐标。",
                f"Control points {', '.join(doubted)} do not agree with the others: check their coordinates.",
                number=len(doubted),
            )
        )
    return ControlReport(
        method=laid.how,
        source=control.source,
        points=tuple(points),
        used=laid.used,
        heights_known=control.heights_known,
        sigma_m=laid.sigma_m,
        scale_error=_scale_error([s for s in seen if s.point.role is Role.CONTROL], control.heights_known),
        scale_change=laid.scale_change,
        notes=tuple(notes),
    )


_UNUSED = Reason(
    "control_unused",
    "没有一个控制点在两张以上配准的照片中标得一致，像控未用于平差。",
    "No control point is marked consistently in two registered photos: control was not used.",
)


def _controls(seen: Sequence[Sighting]) -> list[Sighting]:
    return [s for s in seen if s.point.role is Role.CONTROL and s.place is not None]


def _ground(usable: Sequence[Sighting], sigma: float) -> tuple[Ground, list[str]]:
    block = np.array([s.place for s in usable]).reshape(-1, 3)
    survey = np.array([s.survey for s in usable]).reshape(-1, 3)
    sigmas = np.array([_sigma(s, sigma) for s in usable]).reshape(-1, 3)
    return Ground(block, survey, sigmas, any(s.point.height_known for s in usable)), [s.point.name for s in usable]


def _sigma(seen: Sighting, sigma: float) -> Floats:
    """Standard deviations `(3,)` by which a point is held."""
    plan = max(seen.point.sigma_xy_m, sigma)
    up = max(seen.point.sigma_z_m, sigma) if seen.point.height_known else max(NOMINAL_SIGMA_M, sigma)
    return np.array([plan, plan, up])


def _levelled(seen: Sighting, level: float) -> Floats:
    """The surveyed place, a nominal height moved to the block's level."""
    at = seen.survey.copy()
    if not seen.point.height_known:
        at[2] += level
    return at


def _level(similarity: Similarity, ground: Ground) -> float:
    """How far the block's ground lies over a nominal level."""
    return 0.0 if ground.heights_known else float(np.median((similarity.apply(ground.block) - ground.survey)[:, 2]))


def _disagreement_m(similarity: Similarity, ground: Ground) -> float:
    """One point's standard deviation by how the points disagree with the block's shape: robust, and freed of what the fit took up."""
    off = (similarity.apply(ground.block) - ground.survey)[:, :2]
    count = 2 * len(off)
    spare = count - 4
    if spare <= 0:
        return 0.0
    rms = float(np.sqrt((off**2).mean()))
    robust = 1.4826 * float(np.median(np.abs(off)))
    return min(rms, robust if len(off) >= 5 else rms) * float(np.sqrt(count / spare))


def _left_out(
    centres: Floats, axes: Floats, places: Places, ground: Ground, names: Sequence[str], positioned: bool
) -> dict[str, tuple[float, float | None]] | None:
    """Each point's distance in plan and height from where the others put it; None for many points, or when the rest are too few."""
    if not 2 <= len(names) <= _LEAVE_OUT_MOST:
        return None
    found: dict[str, tuple[float, float | None]] = {}
    for k, name in enumerate(names):
        rest = ground.without(k)
        if not (rest.holds or (positioned and len(rest.block))):
            continue
        off = (placing.lay(centres, axes, places, rest).apply(ground.block[k : k + 1]) - ground.survey[k])[0]
        found[name] = float(np.hypot(off[0], off[1])), float(off[2]) if ground.heights_known else None
    return found or None


def _held(ids: Sequence[int], model: pycolmap.Reconstruction, places: Places) -> tuple[Collection[int], Places]:
    """The cameras softly where they stand (see `theodolites`)."""
    centres = mapping.centres_and_axes(model, ids)[0]
    known = np.isfinite(places.xy).all(axis=1) & np.isfinite(places.z)
    xy, z = centres[:, :2].copy(), centres[:, 2].copy()
    xy[~known], z[~known] = np.nan, np.nan
    return ids, replace(places, xy=xy, z=z)


def _doubted(
    model: pycolmap.Reconstruction, seen: Sequence[Sighting], limit_px: float, sigma_m: float, level: float
) -> list[Sighting]:
    """Of two marks that contradict each other the one that also misses the surveyed place is no longer believed.

    Only where the survey is fine enough to tell: its own uncertainty in pixels counts with the limit.
    """
    checked = []
    for s in seen:
        pair = s.place is not None and s.good.sum() == 2 and s.point.height_known  # they may agree on a wrong height
        if not (s.place is None or pair) or not s.images or not np.isfinite(sigma_m):
            checked.append(s)
            continue
        at = _levelled(s, level)
        apart = np.linalg.norm(marks.projected(model, s.images, at) - s.px, axis=1)
        step = marks.projected(model, s.images, at + np.array([sigma_m, 0, 0])) - marks.projected(model, s.images, at)
        limit = limit_px + 3 * np.linalg.norm(step, axis=1)
        good: NDArray[np.bool_] = np.asarray(np.nan_to_num(apart, nan=np.inf) <= limit)
        if pair:
            checked.append(replace(s, good=good & s.good, place=None) if (good & s.good).sum() == 1 else s)
        elif good.sum() >= 2:
            agreeing = replace(
                s, images=tuple(i for i, g in zip(s.images, good, strict=True) if g), px=s.px[good], good=good[good]
            )
            found = marks.located(model, agreeing, limit_px)
            good[good] = found.good
            checked.append(replace(s, good=good, place=found.place))
        else:
            checked.append(replace(s, good=good))
    return checked


def _scale_error(controls: Sequence[Sighting], heights_known: bool) -> float | None:
    """Sum of the block's distances between points over that of the survey, less one."""
    here = [s for s in controls if s.place is not None]
    width = 3 if heights_known else 2
    block = survey = 0.0
    for one, other in combinations(here, 2):
        if one.place is None or other.place is None:
            continue
        block += float(np.linalg.norm((one.place - other.place)[:width]))
        survey += float(np.linalg.norm((one.survey - other.survey)[:width]))
    return block / survey - 1.0 if survey > 0 else None
