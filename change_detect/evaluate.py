"""How good the candidates are against a known truth, counted by objects: `score(candidates, truth, coverage) -> Score`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from shapely import STRtree
from shapely.geometry import MultiPolygon, Polygon

from change_detect.candidate import Candidate

HIT_IOU = 0.3
NEAR_M = 2.0
AREA_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Truth:
    """One thing that really changed: outline in the area's frame; `height_m` None when not known."""

    id: str
    outline: Polygon
    height_m: float | None = None
    is_structure: bool = True


@dataclass(frozen=True, slots=True)
class Pairing:
    """A candidate and the truth it found."""

    candidate_id: str
    truth_id: str
    iou: float
    centre_error_m: float
    height_error_m: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """Counts by objects. `false_alarms` are shown candidates that found nothing; held-back ones are listed apart."""

    recall: float
    precision: float
    false_alarms: int
    per_km2: float
    position_error_m: float
    ious: tuple[float, ...]
    pairs: tuple[Pairing, ...]
    missed: tuple[str, ...]
    false_ids: tuple[str, ...]
    suppressed_hits: tuple[Pairing, ...]
    suppressed_others: tuple[str, ...]


def score(candidates: Sequence[Candidate], truth: Sequence[Truth], coverage: Polygon | MultiPolygon) -> Score:
    """Match one to one, best overlap first; a hit is IoU >= 0.3, or centres within 2 m and areas within a factor 2.

    Truth and candidates whose centre lies outside `coverage` (metres, the ground both surveys know) do not count. Truth that is not a
    structure can be found by nobody: a shown candidate on it is a false alarm.
    """
    things = [t for t in truth if t.is_structure and coverage.contains(t.outline.centroid)]
    inside = [c for c in candidates if coverage.contains(c.outline.centroid)]
    shown = [c for c in inside if c.suppressed is None]
    held = [c for c in inside if c.suppressed is not None]
    pairs = _match(shown, things)
    found = {p.truth_id for p in pairs}
    hit = {p.candidate_id for p in pairs}
    false_ids = tuple(c.id for c in shown if c.id not in hit)
    held_pairs = _match(held, [t for t in things if t.id not in found])
    held_hit = {p.candidate_id for p in held_pairs}
    km2 = coverage.area / 1e6
    return Score(
        recall=len(pairs) / len(things) if things else math.nan,
        precision=len(pairs) / len(shown) if shown else math.nan,
        false_alarms=len(false_ids),
        per_km2=len(false_ids) / km2 if km2 > 0 else math.nan,
        position_error_m=float(np.median([p.centre_error_m for p in pairs])) if pairs else math.nan,
        ious=tuple(p.iou for p in pairs),
        pairs=pairs,
        missed=tuple(t.id for t in things if t.id not in found),
        false_ids=false_ids,
        suppressed_hits=held_pairs,
        suppressed_others=tuple(c.id for c in held if c.id not in held_hit),
    )


def iou(a: Polygon, b: Polygon) -> float:
    """Intersection over union."""
    inside = float(a.intersection(b).area)
    union = float(a.area + b.area) - inside
    return inside / union if union > 0 else 0.0


def is_hit(found: Polygon, true: Polygon) -> bool:
    """Whether an outline found a thing."""
    if iou(found, true) >= HIT_IOU:
        return True
    near = found.centroid.distance(true.centroid) <= NEAR_M
    return near and 1 / AREA_FACTOR <= found.area / true.area <= AREA_FACTOR


def _match(candidates: Sequence[Candidate], truth: Sequence[Truth]) -> tuple[Pairing, ...]:
    if not candidates or not truth:
        return ()
    tree = STRtree([c.outline for c in candidates])
    possible: list[tuple[float, float, int, int]] = []
    for j, thing in enumerate(truth):
        for i in tree.query(thing.outline.buffer(2 * NEAR_M)):
            found = candidates[int(i)].outline
            if is_hit(found, thing.outline):
                possible.append((-iou(found, thing.outline), found.centroid.distance(thing.outline.centroid), int(i), j))
    taken_c: set[int] = set()
    taken_t: set[int] = set()
    pairs: list[Pairing] = []
    for overlap, distance, i, j in sorted(possible):
        if i in taken_c or j in taken_t:
            continue
        taken_c.add(i)
        taken_t.add(j)
        c, t = candidates[i], truth[j]
        error = None if c.height_m is None or t.height_m is None else c.height_m - t.height_m
        pairs.append(Pairing(c.id, t.id, -overlap, distance, error))
    return tuple(pairs)
