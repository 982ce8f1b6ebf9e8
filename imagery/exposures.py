"""Photos matched to the exposures that a flight log counted, so that a camera without a receiver gets its places from the vehicle.

The camera's clock may be off by a constant: the offset is found that lets most photos have an exposure of their own. A photo that
knows its place keeps it, and the two are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats, LonLat
from imagery.photos import Photo, metres_apart
from imagery.reasons import Reason
from imagery.sidecars import PositionSource

_WITHIN_S = 1.0  # EXIF counts whole seconds
_STEP_SHARE = 0.45  # of the time between exposures: farther off, the neighbour is nearer
_SAME_FLIGHT_M = 30.0  # median distance from the photos' own places
_ENOUGH = 0.8  # share of the photos that must find an exposure


@dataclass(frozen=True, slots=True)
class Exposure:
    """One release of the shutter by the vehicle's own log; `height_m` is over take-off, angles as in `Photo`."""

    at: datetime
    place: LonLat
    height_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def matched(photos: Sequence[Photo], exposures: Sequence[Exposure]) -> tuple[tuple[Photo, ...], Reason]:
    """Photos with what the log knows and their files do not, and a remark with how many matched and how well.

    Nothing is changed where the match is doubtful: too few photos find an exposure, another offset of the clock serves as well, or
    the photos' own places say that it was another flight.
    """
    if not photos or not exposures:
        return tuple(photos), _none("日志或文件夹中没有照片", "the log or the folder has no photos")
    exposures = sorted(exposures, key=lambda e: e.at)
    pairs, offset_s, rms_s, why = _pairs(photos, exposures)
    if why is not None:
        return tuple(photos), why
    apart = [metres_apart(p.place, exposures[j].place) for i, j in pairs.items() if (p := photos[i]).place is not None]
    off_m = float(np.median(apart)) if apart else None
    if off_m is not None and off_m > _SAME_FLIGHT_M:
        return tuple(photos), _none(
            f"与照片自身定位中位相差 {off_m:.0f} 米", f"it lies {off_m:.0f} m off the photos' own places at the median"
        )
    told = tuple(_told(p, exposures[pairs[i]]) if i in pairs else p for i, p in enumerate(photos))
    given = sum(p.position_source is PositionSource.FLIGHT_LOG for p in told)
    off_zh = "" if off_m is None else f"，与照片自身定位中位相差 {off_m:.1f} 米"
    off_en = "" if off_m is None else f", {off_m:.1f} m off the photos' own places at the median"
    by_zh = "按顺序" if offset_s is None else f"按时间（相机时钟差 {offset_s:.1f} 秒，残差 {rms_s:.2f} 秒）"
    by_en = "by order" if offset_s is None else f"by time (camera clock {offset_s:+.1f} s, residual {rms_s:.2f} s)"
    return told, Reason(
        "matched_to_log",
        f"{len(pairs)}/{len(photos)} 张照片与飞行日志的 {len(exposures)} 次曝光{by_zh}对应{off_zh}；{given} 张采用日志位置。",
        f"{len(pairs)} of {len(photos)} photos matched to the {len(exposures)} exposures of the flight log {by_en}{off_en}; {given} take "
        "their place from it.",
        float(len(pairs)),
    )


def _pairs(photos: Sequence[Photo], exposures: Sequence[Exposure]) -> tuple[dict[int, int], float | None, float, Reason | None]:
    """Exposure by photo, the clock's offset in seconds (None: by order), its residual; or why there is no match."""
    start = exposures[0].at
    log_s = np.array([(e.at - start).total_seconds() for e in exposures])
    timed = [i for i, p in enumerate(photos) if p.taken_at is not None]
    if len(timed) < 0.5 * len(photos):
        if len(photos) == len(exposures):
            return dict(enumerate(range(len(photos)))), None, 0.0, None
        return {}, None, 0.0, _none("照片没有时间且数量不同", "the photos tell no time and are not as many as the exposures")
    photo_s = np.array([(t - start).total_seconds() for i in timed if (t := photos[i].taken_at) is not None])
    step = float(np.median(np.diff(log_s))) if len(log_s) > 1 else _WITHIN_S
    within = min(_WITHIN_S, max(0.05, _STEP_SHARE * step))
    # Every offset that lets one of the first photos fall on an exposure is tried; the clocks of the two agree or not.
    tried = np.unique(np.round((log_s[:, None] - photo_s[None, : min(5, len(photo_s))]).ravel(), 3))
    scored = [(*_count(photo_s + d, log_s, within), float(d)) for d in (0.0, *tried)]
    most = max(count for count, _, _ in scored)
    if most < _ENOUGH * len(photo_s):
        return (
            {},
            None,
            0.0,
            _none(
                f"只有 {most}/{len(photo_s)} 张的时间对得上", f"the times of only {most} of {len(photo_s)} photos agree with it"
            ),
        )
    best = min((s for s in scored if s[0] == most), key=lambda s: (abs(s[2]) > within, s[1]))
    rivals = [s for s in scored if s[0] == most and abs(s[2] - best[2]) > 2 * within]
    if rivals and abs(best[2]) > within:
        return (
            {},
            None,
            0.0,
            _none(
                "相机时钟差不唯一", "more than one offset of the camera's clock serves as well: set the clock, or use all photos"
            ),
        )
    shift = best[2] + _median_gap(photo_s + best[2], log_s, within)
    near, gap = _nearest(photo_s + shift, log_s)
    pairs: dict[int, int] = {}
    for k in np.argsort(np.abs(gap), kind="stable"):  # each exposure made one photo: the nearer one
        if abs(gap[k]) <= within and int(near[k]) not in pairs.values():
            pairs[timed[int(k)]] = int(near[k])
    used = np.abs(gap) <= within
    return pairs, -shift, float(np.sqrt(np.mean(gap[used] ** 2))), None


def _nearest(seconds: Floats, log_s: Floats) -> tuple[NDArray[np.int64], Floats]:
    after = np.clip(np.searchsorted(log_s, seconds), 1, max(1, len(log_s) - 1))
    near = np.where(
        np.abs(seconds - log_s[after - 1]) <= np.abs(seconds - log_s[np.minimum(after, len(log_s) - 1)]), after - 1, after
    )
    near = np.minimum(near, len(log_s) - 1)
    return near, seconds - log_s[near]


def _count(seconds: Floats, log_s: Floats, within: float) -> tuple[int, float]:
    """How many exposures find a photo, and the spread of those in seconds."""
    near, gap = _nearest(seconds, log_s)
    good = np.abs(gap) <= within
    return len(np.unique(near[good])), float(np.std(gap[good])) if good.any() else np.inf


def _median_gap(seconds: Floats, log_s: Floats, within: float) -> float:
    _, gap = _nearest(seconds, log_s)
    return -float(np.median(gap[np.abs(gap) <= within]))


def _told(photo: Photo, exposure: Exposure) -> Photo:
    told = replace(
        photo,
        takeoff_height_m=exposure.height_m if photo.takeoff_height_m is None else photo.takeoff_height_m,
        yaw_deg=exposure.yaw_deg if photo.yaw_deg is None else photo.yaw_deg,
        pitch_deg=exposure.pitch_deg if photo.pitch_deg is None else photo.pitch_deg,
        roll_deg=exposure.roll_deg if photo.roll_deg is None else photo.roll_deg,
    )
    if photo.place is not None:
        return told
    return replace(told, place=exposure.place, position_source=PositionSource.FLIGHT_LOG)


def _none(zh: str, en: str) -> Reason:
    return Reason("log_not_matched", f"未采用飞行日志中的照片位置：{zh}。", f"The flight log's photo places were not used: {en}.")
