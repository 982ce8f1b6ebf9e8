"""Which photos a survey should be made of.

Screening only sets aside, with a code and a sentence in two languages, and can be taken back; the solver has the last word. What
concerns the set as a whole is stated beside it (`imagery.remarks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.spatial import cKDTree
from shapely import points as shapely_points
from shapely import prepare

from geo.area import Area
from geo.frames import Floats
from imagery import flights, remarks
from imagery.look import same_exposure
from imagery.photos import Photo
from imagery.reasons import Reason

# The thresholds of screening, with why.
_OBLIQUE_PITCH_DEG = -60.0  # a photo that looks higher than this adds facades and horizon, not ground
_HORIZON_PITCH_DEG = -25.0  # the horizon comes into a wide lens's picture
_CLIMB_SHARE = 0.75  # of the flight's usual height: below it a photo is of the climb or the landing
_LOWEST_SHARE = 0.9  # of the lowest heights in the middle of the flight: a drone that follows the ground is often low
_BELOW_TAKEOFF_M = -5.0  # more than a barometer errs
_BLUR_SHARE = 0.25  # of the sharpness of the photos around it: motion blur takes three quarters, grass against roofs a half
_SMEARED = 0.45  # sharp photos of towns, parks and dunes have 0.17 to 0.32; blurred by 6 px of 4000 (1 sigma) 0.5
_BURNT, _BLACK = 0.5, 0.6  # shares of the picture that keep nothing
_NEAR_M = 250.0  # a photo this far from the area still sees its edge from the legal height
_GAP_FACTOR = 12.0  # times the usual step between photos: a gap this wide means another place
_JUMP_M, _JUMP_STEPS, _NO_JUMP_STEPS = 50.0, 10.0, 4.0  # out and back again between neighbours that lie together


class Why(StrEnum):
    """Why a photo was set aside."""

    DUPLICATE = "duplicate"
    INFRARED = "infrared"
    NO_POSITION = "no_position"
    ELSEWHERE = "elsewhere"
    JUMPED = "jumped"
    HORIZON = "horizon"
    OBLIQUE = "oblique"
    CLIMB_OUT = "climb_out"
    TRANSIT = "transit"
    EXPOSURE = "exposure"
    BLUR = "blur"


_SENTENCES: dict[Why, tuple[str, str]] = {
    Why.DUPLICATE: ("与 {other} 是同一张照片，只用一张。", "The same photo as {other}; one of them is enough."),
    Why.INFRARED: (
        "红外照片，不用于正射影像。",
        "An infrared photo: it does not belong into a picture in colour.",
    ),
    Why.NO_POSITION: (
        "照片没有定位信息（GPS），无法放到地图上。",
        "The photo carries no position (GPS), so it cannot be put on the map.",
    ),
    Why.JUMPED: (
        "定位跳变：与前后两张照片相距 {distance_m:.0f} 米，而前后两张彼此很近。",
        "Its position jumps {distance_m:.0f} m away from the photos before and after it, which lie together.",
    ),
    Why.ELSEWHERE: (
        "拍摄地点离{what_zh}约 {distance_m:.0f} 米，像是别处的照片。",
        "Taken about {distance_m:.0f} m from {what_en}: it looks like a photo of another place.",
    ),
    Why.HORIZON: (
        "镜头俯仰角 {pitch_deg:.0f}°，拍到了地平线，不是下视照片。",
        "The camera looked to the horizon (pitch {pitch_deg:.0f}°), not down.",
    ),
    Why.OBLIQUE: (
        "镜头俯仰角 {pitch_deg:.0f}°，是斜视照片，与其余下视照片不一致。",
        "An oblique photo (pitch {pitch_deg:.0f}°) among photos that look straight down.",
    ),
    Why.CLIMB_OUT: (
        "拍摄高度 {height_m:.0f} 米，低于本次航线高度 {usual_m:.0f} 米，是起飞或降落途中拍的。",
        "Taken at {height_m:.0f} m while the flight's height was {usual_m:.0f} m: on the way up or down.",
    ),
    Why.TRANSIT: (
        "飞往航线或返航途中拍的（该架次{end_zh} {count} 张），不在航线上。",
        "Taken on the way to or from the lines (the {end_en} {count} photos of its flight), not on one.",
    ),
    Why.EXPOSURE: (
        "曝光失败：过曝 {burnt:.0%}，全黑 {black:.0%}。",
        "Wrongly exposed: {burnt:.0%} of it burnt out, {black:.0%} black.",
    ),
    Why.BLUR: (
        "照片模糊，{zh}。",
        "Blurred: {en}.",
    ),
}

_ALL_SET_ASIDE: dict[Why, tuple[str, str]] = {
    Why.NO_POSITION: (
        "{count} 张照片都没有定位信息（GPS）：请提供像控点（gcp_list.txt）或照片位置文件（geo.txt），或配准到该单元已有的一期成果。",
        "None of the {count} photos carries a position (GPS): give ground control (gcp_list.txt) or photo positions (geo.txt), or register "
        "them into an earlier survey of the area.",
    ),
    Why.ELSEWHERE: (
        "照片都拍摄于别处（{count} 张，离单元最近的也有 {nearest_m:.0f} 米，约在 {lon:.5f}, {lat:.5f}）：请确认单元和文件夹是否选对。",
        "All {count} photos were taken elsewhere (the nearest {nearest_m:.0f} m from the area, about {lon:.5f}, {lat:.5f}): is it the right "
        "area, the right folder?",
    ),
    Why.BLUR: (
        "{count} 张照片几乎全部模糊，无法测量：请擦净镜头、检查对焦和快门速度后重飞。",
        "Nearly all of the {count} photos are blurred, nothing can be measured in them: clean the lens, check focus and shutter speed, and "
        "fly again.",
    ),
    Why.EXPOSURE: (
        "{count} 张照片几乎全部过曝或过暗：请改用自动曝光，在光线合适时重飞。",
        "Nearly all of the {count} photos are burnt out or black: expose automatically and fly again in better light.",
    ),
}


@dataclass(frozen=True, slots=True)
class SetAside:
    """A photo that is not used, and why; `distance_m` where that is where it was taken."""

    photo: Photo
    code: Why
    sentence_zh: str
    sentence_en: str
    distance_m: float | None = None

    @property
    def sentence(self) -> str:
        """Both languages."""
        return f"{self.sentence_zh} {self.sentence_en}"


@dataclass(frozen=True, slots=True)
class Screening:
    """Photos to use, and those set aside; every photo given is in exactly one of the two. `remarks` are about the set."""

    accepted: tuple[Photo, ...]
    set_aside: tuple[SetAside, ...]
    remarks: tuple[Reason, ...] = ()

    def taken_back(self, *, codes: Collection[Why] = (), sha256s: Collection[str] = ()) -> Screening:
        """The screening with photos used after all, by reason or by hash; a duplicate stays one."""
        back = [s for s in self.set_aside if s.code is not Why.DUPLICATE and (s.code in codes or s.photo.sha256 in sha256s)]
        kept = tuple(s for s in self.set_aside if s not in back)
        return Screening(self.accepted + tuple(s.photo for s in back), kept, self.remarks)

    @property
    def refusal(self) -> Reason | None:
        """Why no survey can be made of what is left, in one sentence for the commonest reason; None where three photos are left and
        they are no small rest.
        """
        given = len(self.accepted) + sum(s.code is not Why.DUPLICATE for s in self.set_aside)
        if len(self.accepted) >= 3 and len(self.accepted) > 0.1 * given:
            return None
        common = Counter(s.code for s in self.set_aside if s.code in _ALL_SET_ASIDE).most_common(1)
        if not common or common[0][1] < 0.5 * given:
            return None
        why, count = common[0]
        named = [s.photo.place for s in self.set_aside if s.code is why and s.photo.place is not None]
        where = named[len(named) // 2] if named else None
        nearest_m = min((s.distance_m for s in self.set_aside if s.code is why and s.distance_m is not None), default=0.0)
        facts = {
            "count": count,
            "nearest_m": nearest_m,
            "lon": where.lon_deg if where else 0.0,
            "lat": where.lat_deg if where else 0.0,
        }
        zh, en = (text.format(**facts) for text in _ALL_SET_ASIDE[why])
        return Reason(f"all_{why}", zh, en, float(count), refuses=True)


Found = dict[int, tuple[Why, dict[str, object]]]


def screen(
    photos: Sequence[Photo], *, area: Area | None = None, anchored: bool = False, believed: Collection[str] = ()
) -> Screening:
    """Set aside what does not belong into a survey. The rules are asked in turn; the first that names a photo has it.

    `anchored`: photos without a position can be placed all the same, by ground control or by an earlier survey, and stay.
    `believed` are codes of remarks that a person overrules: heights so named are used although they look wrong.
    """
    aside: list[SetAside] = []
    left = tuple(photos)
    for rule in _RULES:
        if rule is _without_place and anchored:
            continue
        found = rule(left, area)
        for i, (why, facts) in sorted(found.items()):
            zh, en = _SENTENCES[why]
            distance = facts.get("distance_m")
            distance_m = distance if isinstance(distance, float) else None
            aside.append(SetAside(left[i], why, zh.format(**facts), en.format(**facts), distance_m))
        left = tuple(p for i, p in enumerate(left) if i not in found)
    left, said = remarks.on(left, believed)
    return Screening(left, tuple(aside), said)


def _duplicates(photos: Sequence[Photo], area: Area | None) -> Found:
    """The same bytes; or one exposure written twice: the same instant and place, and pictures that look the same."""
    first: dict[object, int] = {}
    found: Found = {}
    for i, photo in enumerate(photos):
        twin = first.setdefault(photo.sha256, i)
        if twin == i and photo.taken_at is not None and photo.place is not None:
            shot = first.setdefault((photo.taken_at, photo.place, photo.pitch_deg, photo.yaw_deg), i)
            twin = shot if same_exposure(photos[shot].look, photo.look) else i
        if twin == i:
            continue
        if photos[twin].camera.width_px < photo.camera.width_px and photos[twin].sha256 != photo.sha256:
            found[twin] = Why.DUPLICATE, {"other": photo.name}  # the larger of two copies is the original
            first[(photo.taken_at, photo.place, photo.pitch_deg, photo.yaw_deg)] = i
        else:
            found[i] = Why.DUPLICATE, {"other": photos[twin].name}
    return found


def _infrared(photos: Sequence[Photo], area: Area | None) -> Found:
    """Thermal twins of a colour flight; a flight that is all thermal was meant so."""
    if all(p.infrared for p in photos):
        return {}
    return {i: (Why.INFRARED, {}) for i, p in enumerate(photos) if p.infrared}


def _without_place(photos: Sequence[Photo], area: Area | None) -> Found:
    return {i: (Why.NO_POSITION, {}) for i, p in enumerate(photos) if p.place is None}


def _jumps(photos: Sequence[Photo], area: Area | None) -> Found:
    """A single wild position: far from the one before and the one after, while these two lie together."""
    found: Found = {}
    for flight in flights.split(photos):
        rows = [i for i in flight if photos[i].place is not None]
        if len(rows) < 8:
            continue
        xy = flights.places([photos[i] for i in rows])
        step = np.linalg.norm(np.diff(xy, axis=0), axis=1)
        over = np.linalg.norm(xy[2:] - xy[:-2], axis=1)
        usual = float(np.median(step))
        far = np.minimum(step[:-1], step[1:])
        wild = (far > max(_JUMP_M, _JUMP_STEPS * usual)) & (over < _NO_JUMP_STEPS * usual)
        for k in np.flatnonzero(wild):
            found[rows[int(k) + 1]] = Why.JUMPED, {"distance_m": float(far[k])}
    return found


def _far(photos: Sequence[Photo], area: Area | None) -> Found:
    """Too far from the area; where no area is given, too far from the main body of the photos."""
    rows = [i for i, p in enumerate(photos) if p.place is not None]
    if area is not None:
        outline = area.outline_m
        prepare(outline)
        lonlat = np.array([[p.place.lon_deg, p.place.lat_deg] for p in photos if p.place is not None]).reshape(-1, 2)
        at = np.atleast_1d(np.asarray(shapely_points(area.frame.xy_array(lonlat))))
        apart = np.array([outline.distance(point) for point in at])
        far = {int(i): float(apart[i]) for i in np.flatnonzero(apart > _NEAR_M)}
        what = {"what_zh": "巡查单元", "what_en": "the area"}
    else:
        far = _off_the_body(flights.places([photos[i] for i in rows]))
        what = {"what_zh": "其余照片", "what_en": "the other photos"}
    return {rows[i]: (Why.ELSEWHERE, {"distance_m": d, **what}) for i, d in far.items()}


def _off_the_body(xy: Floats) -> dict[int, float]:
    """Metres to the largest cluster of places `(n, 2)` of those outside it."""
    if len(xy) < 3:
        return {}
    main = flights.parts(xy, max(_NEAR_M, _GAP_FACTOR * flights.usual_step_m(xy))) == 0
    rest = np.flatnonzero(~main)
    if len(rest) == 0:
        return {}
    apart = np.asarray(cKDTree(xy[main]).query(xy[rest])[0])
    return {int(i): float(d) for i, d in zip(rest, apart, strict=True)}


def _by_gaze(photos: Sequence[Photo], area: Area | None) -> Found:
    """The horizon never belongs into a survey; oblique photos do where the whole flight was flown so."""
    known = [p.pitch_deg for p in photos if p.pitch_deg is not None]
    usual = float(np.median(known)) if known else -90.0
    found: Found = {}
    for i, photo in enumerate(photos):
        pitch = photo.pitch_deg
        if pitch is not None and pitch > _HORIZON_PITCH_DEG:
            found[i] = Why.HORIZON, {"pitch_deg": pitch}
        elif pitch is not None and pitch > _OBLIQUE_PITCH_DEG and usual < _OBLIQUE_PITCH_DEG:
            found[i] = Why.OBLIQUE, {"pitch_deg": pitch}
    return found


def _by_height(photos: Sequence[Photo], area: Area | None) -> Found:
    """Photos of the climb and the landing: low ones at the start or the end of a flight. A low pass in its middle was meant, and a
    drone that follows the ground is as low in its middle as at its ends.
    """
    found: Found = {}
    for flight in flights.split(photos):
        heights = np.array([_nan(photos[i].takeoff_height_m) for i in flight])
        if np.isfinite(heights).sum() < 5:
            continue
        usual = float(np.nanmedian(heights))
        middle = heights[int(0.15 * len(heights)) : len(heights) - int(0.15 * len(heights))]
        lowest = float(np.nanpercentile(middle, 10)) if np.isfinite(middle).any() else usual
        if lowest <= 0 or np.nanmin(heights) < _BELOW_TAKEOFF_M:
            continue  # a mission that goes below its own take-off says nothing by its heights above it
        low = heights < min(_CLIMB_SHARE * usual, _LOWEST_SHARE * lowest)
        for order in (range(len(flight)), range(len(flight) - 1, -1, -1)):
            for k in order:
                if not low[k]:
                    break
                found[flight[k]] = Why.CLIMB_OUT, {"height_m": heights[k], "usual_m": usual}
    return found


def _on_the_way(photos: Sequence[Photo], area: Area | None) -> Found:
    """The tails of a mission of lines: the camera ran while the drone flew to its first line, or home."""
    found: Found = {}
    for flight in flights.split(photos):
        rows = [i for i in flight if photos[i].place is not None]
        first, last = flights.tails(flights.places([photos[i] for i in rows]))
        for part, end_zh, end_en in ((rows[:first], "开头", "first"), (rows[len(rows) - last :], "末尾", "last")):
            for i in part:
                found[i] = Why.TRANSIT, {"count": len(part), "end_zh": end_zh, "end_en": end_en}
    return found


def _by_exposure(photos: Sequence[Photo], area: Area | None) -> Found:
    return {
        i: (Why.EXPOSURE, {"burnt": p.look.burnt, "black": p.look.black})
        for i, p in enumerate(photos)
        if p.look.burnt > _BURNT or p.look.black > _BLACK
    }


def _by_sharpness(photos: Sequence[Photo], area: Area | None) -> Found:
    """Smeared, whatever the scene; or dull against the median of the eight photos around it in the flight: what is below changes
    slowly, a shaken camera does not.
    """
    found: Found = {}
    for i, (photo, share) in enumerate(zip(photos, sharpness_shares(photos).tolist(), strict=True)):
        if photo.look.smear > _SMEARED:
            smear = photo.look.smear
            found[i] = (
                Why.BLUR,
                {
                    "zh": f"模糊度 {smear:.2f}（清晰照片不超过 0.35）",
                    "en": f"its smear is {smear:.2f}, of sharp photos at most 0.35",
                },
            )
        elif share < _BLUR_SHARE:
            found[i] = (
                Why.BLUR,
                {"zh": f"清晰度只有相邻照片的 {share:.0%}", "en": f"{share:.0%} of the sharpness of the photos around it"},
            )
    return found


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


_RULES: tuple[Callable[[Sequence[Photo], Area | None], Found], ...] = (
    _duplicates,
    _infrared,
    _without_place,
    _far,
    _jumps,
    _by_gaze,
    _by_height,
    _on_the_way,
    _by_exposure,
    _by_sharpness,
)


def sharpness_shares(photos: Sequence[Photo]) -> Floats:
    """Sharpness of each photo over the median of the eight around it in the flight, `(n,)`; 1 where there is nothing to tell by."""
    sharpness = np.array([p.sharpness for p in photos])
    shares = np.ones(len(photos))
    for i in range(len(photos)):
        around = np.concatenate([sharpness[max(0, i - 4) : i], sharpness[i + 1 : i + 5]])
        if len(around) >= 3 and np.median(around) > 0:
            shares[i] = sharpness[i] / np.median(around)
    return shares
