"""What is to be said of a set of photos as a whole: heights that cannot be right, two cameras, a hole, an RTK that was not fixed.

A remark never drops a photo. Where heights are not believed they are taken off the photos, whose own number is kept, and a person
may overrule that by the remark's code.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from geo.frames import LonLat
from imagery import flights
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.tags import RTK_FIXED

HEIGHT_DRIFT = "height_drift"
_BAROMETER_M = 10.0  # satellite less barometric height may vary by this much within one flight
_DRIFT_M, _DRIFT_SPREADS = 20.0, 4.0  # a drift that is told, in metres and in spreads of the ground it is found on
_OLD_CORRECTIONS_S = 10.0
_APART_STEPS, _APART_M = 5.0, 60.0  # photos farther apart than both share no ground that a block could be held by


def on(photos: Sequence[Photo], believed: Collection[str] = ()) -> tuple[tuple[Photo, ...], tuple[Reason, ...]]:
    """The photos, less heights that are not believed, and all remarks on them."""
    found: list[Reason] = [*_below_the_sea(photos)]
    drift, rows = _drift(photos)
    if drift is not None:
        overruled = HEIGHT_DRIFT in believed
        found.append(replace(drift, zh=drift.zh + _USED[overruled][0], en=drift.en + _USED[overruled][1]))
        if not overruled:
            photos = [replace(p, ellipsoid_height_m=None, height_trusted=False) if i in rows else p for i, p in enumerate(photos)]
    found += [*_cameras(photos), *_rtk(photos), *_shutter(photos), *_hole(photos)]
    return tuple(photos), tuple(found)


_USED = {
    False: ("：不采用（可用 --use height_drift 恢复）。", ": not used (--use height_drift takes it back)."),
    True: ("：按要求仍采用。", ": used all the same, as asked."),
}


def _below_the_sea(photos: Sequence[Photo]) -> list[Reason]:
    """Consumer drones that write a height of -5 m for photos from 60 m above ground."""
    wrong = [p.ellipsoid_height_m for p in photos if p.ellipsoid_height_m is not None and not p.height_trusted]
    if not wrong:
        return []
    middle = float(np.median(wrong))
    return [
        Reason(
            "height_below_sea",
            f"{len(wrong)} 张照片的卫星高程不可信（中位 {middle:.1f} 米，标为海平面以下或自相矛盾）：不作为绝对高程。",
            f"The satellite height of {len(wrong)} photos cannot be right ({middle:.1f} m at the median, marked as below the sea or at odds "
            "with itself): not used as a height.",
            middle,
        )
    ]


def _drift(photos: Sequence[Photo]) -> tuple[Reason | None, frozenset[int]]:
    """The worst drift of the satellite height within a flight, against the barometer where there is one, else against itself, and the
    photos of all flights that drift.
    """
    worst: tuple[float, str, str] | None = None
    rows: set[int] = set()
    for flight in flights.split(photos):
        members = [photos[i] for i in flight]
        satellite = np.array(
            [p.ellipsoid_height_m if p.ellipsoid_height_m is not None and p.height_trusted else math.nan for p in members]
        )
        barometer = np.array([math.nan if p.takeoff_height_m is None else p.takeoff_height_m for p in members])
        gap = (satellite - barometer)[np.isfinite(satellite - barometer)]
        if len(gap) >= 5:
            low, high = np.percentile(gap, [2, 98])
            size, limit, zh, en = float(high - low), _BAROMETER_M, "相对气压高度", "against the barometer"
        else:
            told = flights.height_drift(flights.places(members), flights.times_s(members), satellite)
            if told is None:
                continue
            size, limit = abs(told[0]), max(_DRIFT_M, _DRIFT_SPREADS * told[1])
            zh, en = "相邻航线同一地点前后不一", "between neighbouring lines over the same ground"
        if size <= limit:
            continue
        rows |= set(flight)
        if worst is None or size > worst[0]:
            worst = size, zh, en
    if worst is None:
        return None, frozenset()
    size, zh, en = worst
    return Reason(
        HEIGHT_DRIFT,
        f"卫星高程在一个架次内漂移约 {size:.0f} 米（{zh}）",
        f"The satellite height drifts by about {size:.0f} m within a flight ({en})",
        size,
    ), frozenset(rows)


def _cameras(photos: Sequence[Photo]) -> list[Reason]:
    kinds = Counter(f"{p.make} {p.model} {p.camera.width_px}x{p.camera.height_px}".strip() for p in photos)
    if len(kinds) < 2:
        return []
    zh = "，".join(f"{name} {count} 张" for name, count in kinds.most_common())
    en = ", ".join(f"{count} of {name}" for name, count in kinds.most_common())
    return [
        Reason(
            "several_cameras",
            f"文件夹中有 {len(kinds)} 种相机（{zh}），各按自己的镜头解算。",
            f"The folder holds photos of {len(kinds)} cameras ({en}); each is solved with its own lens.",
            float(len(kinds)),
        )
    ]


def _rtk(photos: Sequence[Photo]) -> list[Reason]:
    flags = [p.receiver.rtk_flag for p in photos if p.receiver.rtk_flag is not None]
    found: list[Reason] = []
    fixed = sum(flag >= RTK_FIXED for flag in flags)
    if flags and fixed < len(flags):
        found.append(
            Reason(
                "rtk_not_fixed",
                f"{len(flags)} 张 RTK 照片中 {fixed} 张为固定解，其余按各自精度使用。",
                f"{fixed} of {len(flags)} photos with RTK have a fixed solution; the others count by their own accuracy.",
                float(fixed),
            )
        )
    old = sum((p.receiver.corrections_age_s or 0.0) > _OLD_CORRECTIONS_S for p in photos)
    if old:
        found.append(
            Reason(
                "rtk_corrections_old",
                f"{old} 张照片的差分数据龄期超过 {_OLD_CORRECTIONS_S:.0f} 秒。",
                f"The RTK corrections of {old} photos were older than {_OLD_CORRECTIONS_S:.0f} s.",
                float(old),
                _OLD_CORRECTIONS_S,
            )
        )
    advised = sum(p.receiver.for_surveying is False for p in photos)
    if advised:
        found.append(
            Reason(
                "not_for_surveying",
                f"{advised} 张照片被飞机自身标为不建议用于测绘（SurveyingMode 0）。",
                f"The drone itself advises against surveying with {advised} photos (SurveyingMode 0).",
                float(advised),
            )
        )
    return found


def _shutter(photos: Sequence[Photo]) -> list[Reason]:
    rolling = sum(p.shutter.lower().startswith("electronic") for p in photos)
    if not rolling:
        return []
    return [
        Reason(
            "electronic_shutter",
            f"{rolling} 张照片用电子快门拍摄（逐行曝光），飞行中会有变形；建议改用机械快门。",
            f"{rolling} photos were taken with the electronic shutter, line by line: they are sheared in flight; use the mechanical one.",
            float(rolling),
        )
    ]


def _hole(photos: Sequence[Photo]) -> list[Reason]:
    """Photos that fall into parts between which no photo sees ground of both."""
    placed = [p for p in photos if p.place is not None]
    if len(placed) < 6:
        return []
    xy = flights.places(placed)
    reach = max(_APART_M, _APART_STEPS * flights.usual_step_m(xy), _footprint_m(placed))
    part = flights.parts(xy, reach)
    largest = np.flatnonzero(part == 0)
    others = [k for k in range(1, int(part.max()) + 1) if (part == k).sum() >= 3]
    found: list[Reason] = []
    for k in others:
        rows = np.flatnonzero(part == k)
        apart, nearest = cKDTree(xy[largest]).query(xy[rows])
        i = int(np.argmin(apart))
        one, other = placed[int(rows[i])].place, placed[int(largest[nearest[i]])].place
        assert one is not None and other is not None
        middle = LonLat(lon_deg=(one.lon_deg + other.lon_deg) / 2, lat_deg=(one.lat_deg + other.lat_deg) / 2)
        gap = float(apart[i])
        found.append(
            Reason(
                "hole",
                f"照片中有 {gap:.0f} 米的空缺（约在 {middle.lon_deg:.5f}, {middle.lat_deg:.5f}），把 {len(rows)} 张与其余 {len(largest)} 张隔开；请补飞空缺。",
                f"There is a hole of {gap:.0f} m in the photos (about {middle.lon_deg:.5f}, {middle.lat_deg:.5f}): it parts {len(rows)} photos "
                f"from the other {len(largest)}; fly the hole.",
                gap,
                reach,
            )
        )
    return found


def _footprint_m(photos: Sequence[Photo]) -> float:
    """The longer side of a photo's ground at the usual height over take-off; 0 where no photo tells one."""
    heights = [p.takeoff_height_m for p in photos if p.takeoff_height_m is not None and p.takeoff_height_m > 5]
    return max(photos[0].camera.footprint_m(float(np.median(heights)))) if heights else 0.0
