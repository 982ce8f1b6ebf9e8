"""The same thing across surveys: seen again, grown, gone, come back.

`gone` answers a recheck: after a demolition order, is the height back to what it was before the thing was built?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from shapely import STRtree
from shapely.geometry import Polygon

from change_detect.align import SurveyPair
from change_detect.appearance import GSD_M
from change_detect.candidate import Candidate, Kind
from change_detect.errors import ChangeError
from change_detect.evaluate import iou
from change_detect.raster import cells_inside
from change_detect.rules import RAGGED
from change_detect.spectral import Colours, distance_beyond
from geo.errors import GeoError

BACK_M = 0.5
BACK_SHARE = 0.8
GROWN_AREA = 0.20
GROWN_M = 1.0
SAME_COLOUR = 8.0
FOUNDATION_M = 1.2
BESIDE_M = 1.0
_ADDED = frozenset({Kind.EXTENSION, Kind.ROOF_ADDITION})


class Sighting(StrEnum):
    """What a later survey says of a known thing."""

    SAME = "same"
    GROWN = "grown"  # > 20 % more area or > 1 m more height: a dismissed one speaks again
    STAGE = "stage"  # the same building, a stage further
    RETURNED = "returned"  # it was gone, and stands again
    GONE = "gone"
    NEW = "new"


class Stage(StrEnum):
    """How far a building is, as heights and roofs show it."""

    FOUNDATION = "foundation"  # 基础
    WALLS = "walls"  # 主体
    ROOF = "roof"  # 封顶


STAGE_TEXT = {
    Stage.FOUNDATION: ("基础", "foundation"),
    Stage.WALLS: ("主体（未封顶）", "walls without a roof"),
    Stage.ROOF: ("封顶", "roof"),
}
_ORDER = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Known:
    """A thing found earlier: outline in the area's frame, height over what stood before it.

    `stood` when it stood already in the before survey of the comparison that is followed: a candidate there is what came on top of it.
    `gone` when the last survey that looked found it gone; `stage` how far it was.
    """

    id: str
    outline: Polygon
    height_m: float | None
    stood: bool = False
    gone: bool = False
    stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate and the known thing it is, if any; outline and height are of the whole thing as it stands now."""

    candidate_id: str
    known_id: str | None
    sighting: Sighting
    zh: str
    en: str
    outline: Polygon
    height_m: float | None
    stage: Stage

    @property
    def why(self) -> str:
        """Both languages."""
        return f"{self.zh} / {self.en}"


@dataclass(frozen=True, slots=True)
class Presence:
    """The answer to a recheck.

    `state` is "gone", "standing", "partly" (under 80 % but over 20 % of the outline is back) or "unknown" (too little is seen).
    `back` is the share of the known cells of the outline that are back; `by` says what it was judged by.
    """

    state: str
    back: float
    seen: float
    by: str
    why: str

    @property
    def gone(self) -> bool:
        """Whether the thing is no longer there."""
        return self.state == "gone"


def stage_of(candidate: Candidate, height_m: float | None) -> Stage:
    """How far a building of this height over its old ground is: low is a foundation, high and rough walls, high and even a roof."""
    low = height_m is not None and height_m < FOUNDATION_M
    if low or candidate.kind in {Kind.FOUNDATION, Kind.EARTHWORK}:
        return Stage.FOUNDATION
    return Stage.WALLS if (candidate.suppressed or "").startswith(RAGGED) else Stage.ROOF


def follow(candidates: Sequence[Candidate], known: Sequence[Known]) -> tuple[Match, ...]:
    """For each candidate the known thing it is: best overlap first, IoU over 0.2 or most of the smaller one covered.

    What was added to a thing that stood already lies on it or beside it (within a metre). What was lost
    is a sighting only of what is known as a loss.
    """
    tree = STRtree([k.outline for k in known])
    matches = []
    for candidate in candidates:
        best: tuple[float, int] | None = None
        lost = candidate.height_m is not None and candidate.height_m < 0
        for i in tree.query(candidate.outline.buffer(BESIDE_M), predicate="intersects"):
            other = known[int(i)]
            falls = other.height_m is not None and other.height_m < 0
            overlap = _overlap(candidate, other) if lost == falls else 0.0
            if overlap >= 0.2 and (best is None or overlap > best[0]):
                best = overlap, int(i)
        if best is None:
            stage = stage_of(candidate, candidate.height_m)
            nothing = "此处以往没有发现", "nothing known stands here"
            matches.append(Match(candidate.id, None, Sighting.NEW, *nothing, candidate.outline, candidate.height_m, stage))
        else:
            matches.append(_compared(candidate, known[best[1]]))
    return tuple(matches)


def lost(candidates: Sequence[Candidate], known: Sequence[Known]) -> tuple[tuple[Candidate, Known], ...]:
    """Losses of height that may be a known thing gone: each known thing with the loss that covers most of it, if that is half or more.

    Whether it is gone is for `presence` to say, against the survey from before it was built.
    """
    falling = [c for c in candidates if c.height_m is not None and c.height_m < 0]
    tree = STRtree([c.outline for c in falling])
    pairs = []
    for thing in known:
        if thing.stood and not thing.gone:
            near = [falling[int(i)] for i in tree.query(thing.outline, predicate="intersects")]
            best = max(near, key=lambda c: c.outline.intersection(thing.outline).area, default=None)
            if best is not None and best.outline.intersection(thing.outline).area >= 0.5 * thing.outline.area:
                pairs.append((best, thing))
    return tuple(pairs)


def _overlap(candidate: Candidate, thing: Known) -> float:
    covered = candidate.outline.intersection(thing.outline).area / min(candidate.outline.area, thing.outline.area)
    added = thing.stood and candidate.kind in _ADDED and candidate.outline.distance(thing.outline) <= BESIDE_M
    return max(iou(candidate.outline, thing.outline), 0.5 * covered, 0.2 if added else 0.0)


def _compared(candidate: Candidate, thing: Known) -> Match:
    outline, height_m = candidate.outline, candidate.height_m
    if thing.stood and not thing.gone:  # the comparison saw only what was added
        joined = candidate.outline.buffer(BESIDE_M / 2).union(thing.outline.buffer(BESIDE_M / 2)).buffer(-BESIDE_M / 2)
        whole = joined if isinstance(joined, Polygon) else max(joined.geoms, key=lambda part: part.area)
        outline = thing.outline if thing.outline.buffer(BESIDE_M).contains(candidate.outline) else whole
        height_m = None if height_m is None or thing.height_m is None else height_m + thing.height_m
    wider = outline.area / thing.outline.area - 1.0
    taller = 0.0 if height_m is None or thing.height_m is None else height_m - thing.height_m
    stage = stage_of(candidate, height_m)
    rest = outline, height_m, stage
    if thing.gone:
        zh, en = "拆除后又重新出现", "was gone and stands again"
        return Match(candidate.id, thing.id, Sighting.RETURNED, zh, en, *rest)
    zh = f"面积 {wider:+.0%}，高度 {taller:+.1f} 米"
    en = f"{wider:+.0%} in area, {taller:+.1f} m in height"
    if thing.stage is not None and thing.stage is not Stage.ROOF and _ORDER.index(stage) > _ORDER.index(thing.stage):
        (from_zh, from_en), (to_zh, to_en) = STAGE_TEXT[thing.stage], STAGE_TEXT[stage]
        zh, en = f"同一建筑，由{from_zh}到{to_zh}，{zh}", f"the same building, from {from_en} to {to_en}, {en}"
        return Match(candidate.id, thing.id, Sighting.STAGE, zh, en, *rest)
    if wider > GROWN_AREA or taller > GROWN_M:
        return Match(candidate.id, thing.id, Sighting.GROWN, f"较上次扩大：{zh}", f"grown since it was last seen: {en}", *rest)
    return Match(candidate.id, thing.id, Sighting.SAME, f"与上次相同（{zh}）", f"the same as before ({en})", *rest)


def presence(pair: SurveyPair, outline: Polygon) -> Presence:
    """Whether a thing inside `outline` (metres of the area's frame) still stands.

    `pair` is the survey from before it was built, against the new one. With surfaces: gone when the height is back under 0.5 m over at
    least 80 % of the outline. Orthos alone: by colour, said so. Raises ChangeError when the outline lies outside the grid.
    """
    thin = pair if pair.has_surfaces else pair.thinned(GSD_M)
    grid = thin.grid
    try:
        window = grid.window(outline.bounds)
    except GeoError as err:
        raise ChangeError("the outline to recheck lies outside the area's grid: is it in the area's own frame?") from err
    window = window.grown(8, grid)
    before, after = thin.read(window)
    inside = cells_inside(outline, grid.part(window))
    if before.surface is not None and after.surface is not None:
        gain = after.surface - before.surface
        # a bridged cell knows nothing about what stands there
        known = inside & np.isfinite(gain)
        for layers in (before, after):
            if layers.filled is not None:
                known &= ~layers.filled
        back, by = known & (np.abs(np.nan_to_num(gain, nan=99.0)) < BACK_M), "height"
    else:
        a, b = Colours.of(before.ortho, before.shown), Colours.of(after.ortho, after.shown)
        known = inside & before.shown & after.shown
        back, by = known & (distance_beyond(a, b) < SAME_COLOUR), "colour"
    seen = float(known.sum()) / max(float(inside.sum()), 1.0)
    share = float(back.sum()) / max(float(known.sum()), 1.0)
    said = f"{share:.0%} 的轮廓已恢复原状 / by {by}: {share:.0%} of the outline is as it was before ({seen:.0%} of it seen)"
    if seen < 0.6:
        return Presence("unknown", share, seen, by, f"too little of the outline is measured on both dates; {said}")
    state = "gone" if share >= BACK_SHARE else "standing" if share <= 1.0 - BACK_SHARE else "partly"
    return Presence(state, share, seen, by, said)
