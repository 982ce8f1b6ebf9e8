"""Which photos a survey should be made of, and how good a survey is.

Screening only sets aside, with a code and a sentence in two languages, and can be taken back; the solver has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from shapely import points as shapely_points
from shapely import prepare

from geo.area import Area
from geo.frames import Floats
from imagery.photos import Photo
from imagery.reasons import Reason

# The thresholds of screening, with why.
_OBLIQUE_PITCH_DEG = -60.0  # a photo that looks higher than this adds facades and horizon, not ground
_HORIZON_PITCH_DEG = -25.0  # the horizon comes into a wide lens's picture
_CLIMB_SHARE = 0.75  # of the flight's usual height: below it a photo is of the climb or the landing
_BLUR_SHARE = 0.25  # of the sharpness of the photos around it: motion blur takes three quarters, grass against roofs a half
_NEAR_M = 250.0  # a photo this far from the area still sees its edge from the legal height
_GAP_FACTOR = 12.0  # times the usual step between photos: a gap this wide means another place


class Why(StrEnum):
    """Why a photo was set aside."""

    DUPLICATE = "duplicate"
    NO_POSITION = "no_position"
    ELSEWHERE = "elsewhere"
    HORIZON = "horizon"
    OBLIQUE = "oblique"
    CLIMB_OUT = "climb_out"
    BLUR = "blur"


_SENTENCES: dict[Why, tuple[str, str]] = {
    Why.DUPLICATE: ("与 {other} 是同一张照片，只用一张。", "The same photo as {other}; one of them is enough."),
    Why.NO_POSITION: (
        "照片没有定位信息（GPS），无法放到地图上。",
        "The photo carries no position (GPS), so it cannot be put on the map.",
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
    Why.BLUR: (
        "照片模糊，清晰度只有相邻照片的 {share:.0%}。",
        "Blurred: {share:.0%} of the sharpness of the photos around it.",
    ),
}


@dataclass(frozen=True, slots=True)
class SetAside:
    """A photo that is not used, and why."""

    photo: Photo
    code: Why
    sentence_zh: str
    sentence_en: str

    @property
    def sentence(self) -> str:
        """Both languages."""
        return f"{self.sentence_zh} {self.sentence_en}"


@dataclass(frozen=True, slots=True)
class Screening:
    """Photos to use, and those set aside; every photo given is in exactly one of the two."""

    accepted: tuple[Photo, ...]
    set_aside: tuple[SetAside, ...]

    def taken_back(self, *, codes: Collection[Why] = (), sha256s: Collection[str] = ()) -> Screening:
        """The screening with photos used after all, by reason or by hash; a duplicate stays one."""
        back = [s for s in self.set_aside if s.code is not Why.DUPLICATE and (s.code in codes or s.photo.sha256 in sha256s)]
        kept = tuple(s for s in self.set_aside if s not in back)
        return Screening(self.accepted + tuple(s.photo for s in back), kept)


@dataclass(frozen=True, slots=True)
class Quality:
    """The record kept with every survey and shown: how it was made, how good it is, and whether it may be used.

    Lengths in metres, residuals in pixels of the photo (`reprojection_px`) or of the area's grid (`residual_*_px`); None where there
    is nothing to measure by. `reasons` say why a survey was refused, or what to watch in one that was accepted.
    """

    registered: int
    given: int
    reprojection_px: float | None
    gps_residual_m: float | None
    agl_m: float | None
    tilt_deg: float | None
    coverage: float
    gsd_m: float
    residual_median_px: float | None
    residual_p90_px: float | None
    method: str
    fell_back: bool
    accepted: bool
    reasons: tuple[Reason, ...] = ()


Found = dict[int, tuple[Why, dict[str, object]]]


def screen(photos: Sequence[Photo], *, area: Area | None = None) -> Screening:
    """Set aside what does not belong into a survey. The rules are asked in turn; the first that names a photo has it."""
    aside: list[SetAside] = []
    left = tuple(photos)
    for rule in _RULES:
        found = rule(left, area)
        for i, (why, facts) in sorted(found.items()):
            zh, en = _SENTENCES[why]
            aside.append(SetAside(left[i], why, zh.format(**facts), en.format(**facts)))
        left = tuple(p for i, p in enumerate(left) if i not in found)
    return Screening(left, tuple(aside))


def _duplicates(photos: Sequence[Photo], area: Area | None) -> Found:
    first: dict[str, Photo] = {}
    found: Found = {}
    for i, photo in enumerate(photos):
        if photo.sha256 in first:
            found[i] = Why.DUPLICATE, {"other": first[photo.sha256].name}
        first.setdefault(photo.sha256, photo)
    return found


def _without_place(photos: Sequence[Photo], area: Area | None) -> Found:
    return {i: (Why.NO_POSITION, {}) for i, p in enumerate(photos) if p.place is None}


def _far(photos: Sequence[Photo], area: Area | None) -> Found:
    """Too far from the area; where no area is given, too far from the main body of the photos."""
    lonlat = np.array([[p.place.lon_deg, p.place.lat_deg] for p in photos if p.place is not None]).reshape(-1, 2)
    if area is not None:
        outline = area.outline_m
        prepare(outline)
        apart = np.array([outline.distance(at) for at in np.atleast_1d(np.asarray(shapely_points(area.frame.xy_array(lonlat))))])
        far = {int(i): float(apart[i]) for i in np.flatnonzero(apart > _NEAR_M)}
        what = {"what_zh": "巡查单元", "what_en": "the area"}
    else:
        far = _off_the_body(_local_metres(lonlat))
        what = {"what_zh": "其余照片", "what_en": "the other photos"}
    return {i: (Why.ELSEWHERE, {"distance_m": d, **what}) for i, d in far.items()}


def _off_the_body(xy: Floats) -> dict[int, float]:
    """Metres to the largest cluster of places `(n, 2)` of those outside it."""
    if len(xy) < 3:
        return {}
    tree = cKDTree(xy)
    steps = np.asarray(tree.query(xy, k=2)[0])[:, 1]
    reach = max(_NEAR_M, _GAP_FACTOR * float(np.median(steps)))
    links = tree.query_pairs(reach, output_type="ndarray")
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(xy), len(xy)))
    _, body = connected_components(graph, directed=False)
    main = body == int(np.argmax(np.bincount(body)))
    rest = np.flatnonzero(~main)
    if len(rest) == 0:
        return {}
    apart = np.asarray(cKDTree(xy[main]).query(xy[rest])[0])
    return {int(i): float(d) for i, d in zip(rest, apart, strict=True)}


def _local_metres(lonlat: Floats) -> Floats:
    """Metres about the middle photo: exact nearby, and good enough to say "far" of a photo from another continent."""
    if len(lonlat) == 0:
        return lonlat
    middle = np.median(lonlat, axis=0)
    metres_per_deg = math.radians(1.0) * 6371008.8
    east = ((lonlat[:, 0] - middle[0] + 180) % 360 - 180) * math.cos(math.radians(float(middle[1])))
    return np.column_stack([east, lonlat[:, 1] - middle[1]]) * metres_per_deg


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
    """Photos of the climb and the landing: low ones at the start or the end of a flight. A low pass in its middle was meant."""
    heights = [p.takeoff_height_m for p in photos]
    known = [h for h in heights if h is not None]
    if len(known) < 5:
        return {}
    usual = float(np.median(known))
    low = [h is not None and h < _CLIMB_SHARE * usual for h in heights]
    found: Found = {}
    for order in (range(len(photos)), range(len(photos) - 1, -1, -1)):
        for i in order:
            if not low[i]:
                break
            found[i] = Why.CLIMB_OUT, {"height_m": heights[i], "usual_m": usual}
    return found


def _by_sharpness(photos: Sequence[Photo], area: Area | None) -> Found:
    """Against the median of the eight photos around it in the flight: what is below changes slowly, a shaken camera does not."""
    sharpness = np.array([p.sharpness for p in photos])
    found: Found = {}
    for i in range(len(photos)):
        around = np.concatenate([sharpness[max(0, i - 4) : i], sharpness[i + 1 : i + 5]])
        if len(around) < 3 or np.median(around) <= 0:
            continue
        share = float(sharpness[i] / np.median(around))
        if share < _BLUR_SHARE:
            found[i] = Why.BLUR, {"share": share}
    return found


_RULES: tuple[Callable[[Sequence[Photo], Area | None], Found], ...] = (
    _duplicates,
    _without_place,
    _far,
    _by_gaze,
    _by_height,
    _by_sharpness,
)
