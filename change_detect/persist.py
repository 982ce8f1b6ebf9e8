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
from change_detect.candidate import Candidate
from change_detect.errors import ChangeError
from change_detect.evaluate import iou
from change_detect.raster import cells_inside
from change_detect.spectral import Colours, distance_beyond
from geo.errors import GeoError

BACK_M = 0.5
BACK_SHARE = 0.8
GROWN_AREA = 0.20
GROWN_M = 1.0
SAME_COLOUR = 8.0


class Sighting(StrEnum):
    """What a later survey says of a known thing."""

    SAME = "same"
    GROWN = "grown"  # > 20 % more area or > 1 m more height: a dismissed one speaks again
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Known:
    """A thing found earlier: outline in the area's frame, height over what stood before."""

    id: str
    outline: Polygon
    height_m: float | None


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate and the known thing it is, if any."""

    candidate_id: str
    known_id: str | None
    sighting: Sighting
    why: str


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


def follow(candidates: Sequence[Candidate], known: Sequence[Known]) -> tuple[Match, ...]:
    """For each candidate the known thing it is: best overlap first, IoU over 0.2 or most of the smaller one covered."""
    tree = STRtree([k.outline for k in known])
    matches = []
    for candidate in candidates:
        best: tuple[float, int] | None = None
        for i in tree.query(candidate.outline, predicate="intersects"):
            other = known[int(i)].outline
            covered = candidate.outline.intersection(other).area / min(candidate.outline.area, other.area)
            overlap = max(iou(candidate.outline, other), 0.5 * covered)
            if overlap >= 0.2 and (best is None or overlap > best[0]):
                best = overlap, int(i)
        if best is None:
            matches.append(Match(candidate.id, None, Sighting.NEW, "nothing known stands here"))
        else:
            matches.append(_compared(candidate, known[best[1]]))
    return tuple(matches)


def _compared(candidate: Candidate, thing: Known) -> Match:
    wider = candidate.outline.area / thing.outline.area - 1.0
    taller = 0.0 if candidate.height_m is None or thing.height_m is None else candidate.height_m - thing.height_m
    if wider > GROWN_AREA or taller > GROWN_M:
        return Match(
            candidate.id,
            thing.id,
            Sighting.GROWN,
            f"grown by {wider:+.0%} in area and {taller:+.1f} m in height since {thing.id}",
        )
    return Match(candidate.id, thing.id, Sighting.SAME, f"the same as {thing.id} ({wider:+.0%} in area, {taller:+.1f} m)")


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
