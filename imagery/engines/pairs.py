"""Which photos to compare: neighbours by place, in every direction, so that lines of a flight hold together across."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from geo.frames import Floats
from imagery import order

_SECTORS = 6
_ALL_PAIRS = 8_000  # compared at most when nothing is known of any place: all pairs of 127 photos
_AFTER = 6  # photos after it that each is compared with
_REACH = 2  # photos before and after two that were found to show one place


def neighbours(from_xy: Floats, to_xy: Floats, count: int) -> set[tuple[int, int]]:
    """Pairs (index in `from_xy`, index in `to_xy`): the `count` nearest of each, and the nearest in each of six directions.

    Photos follow each other closely along a line; by distance alone a photo would meet its own line only. A direction counts out
    to three times the distance of the `count`-th neighbour.
    """
    if len(from_xy) == 0 or len(to_xy) == 0:
        return set()
    wide = min(len(to_xy), 4 * count + 1)
    queried = cKDTree(to_xy).query(from_xy, k=np.arange(1, wide + 1))
    distances, indices = np.asarray(queried[0]), np.asarray(queried[1])
    found: set[tuple[int, int]] = set()
    for i in range(len(from_xy)):
        found.update((i, int(j)) for j in indices[i, : count + 1])
        reach = 3.0 * distances[i, min(count, wide - 1)]
        offset = to_xy[indices[i]] - from_xy[i]
        sector = ((np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
        for s in range(_SECTORS):
            here = np.flatnonzero((sector == s) & (distances[i] > 0) & (distances[i] <= reach))
            if len(here):
                found.add((i, int(indices[i, here[0]])))
    return found


def within(xy: Floats, count: int) -> set[tuple[int, int]]:
    """Unordered pairs `(i, j)`, i < j, of neighbours within one set of places `(n, 2)`; NaN places meet everyone."""
    known = np.flatnonzero(np.isfinite(xy).all(axis=1))
    lost = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    pairs = {(int(known[i]), int(known[j])) for i, j in neighbours(xy[known], xy[known], count)}
    pairs |= {(int(i), int(j)) for i in lost for j in range(len(xy))}
    return {(min(p), max(p)) for p in pairs if p[0] != p[1]}


def everyone(count: int) -> set[tuple[int, int]]:
    """All pairs of `count` photos."""
    return set(combinations(range(count), 2))


def unplaced(count: int) -> set[tuple[int, int]]:
    """Pairs of photos of which no place is known: all, or of a long flight those that follow each other and every so-many-th with all
    its like. `around` then goes on from what these show.
    """
    if count * (count - 1) // 2 <= _ALL_PAIRS:
        return everyone(count)
    step = math.ceil(count / math.sqrt(2 * _ALL_PAIRS))
    return following(count, _AFTER) | set(combinations(range(0, count, step), 2))


def around(found: Iterable[tuple[int, int]], count: int) -> set[tuple[int, int]]:
    """Pairs beside pairs (i < j) that were found to show one place: where two lines of a flight meet, their neighbours do."""
    steps = range(-_REACH, _REACH + 1)
    beside = {(i + a, j + b) for i, j in found if j - i > _AFTER for a in steps for b in steps}
    return {(i, j) for i, j in beside if 0 <= i < j < count}


def across(from_xy: Floats, to_xy: Floats, count: int, lost_limit: int) -> set[tuple[int, int]]:
    """Pairs between two sets; a photo without a place meets at most `lost_limit` of the others, spread evenly over them."""
    known = np.flatnonzero(np.isfinite(from_xy).all(axis=1))
    lost = np.flatnonzero(~np.isfinite(from_xy).all(axis=1))
    found = {(int(known[i]), j) for i, j in neighbours(from_xy[known], to_xy, count)}
    spread = np.unique(np.linspace(0, len(to_xy) - 1, min(lost_limit, len(to_xy))).astype(int))
    return found | {(int(i), int(j)) for i in lost for j in spread}


def in_turn(wanted: Sequence[tuple[str, str]], places: Mapping[str, Floats]) -> list[tuple[str, str]]:
    """Pairs of photos (by hash) in an order in which one photo's pairs follow each other closely; `places` `(2,)`, NaN unknown.

    A photo that `places` does not name takes its turn from the other one of its pair.
    """
    names = list(places)
    turn = {names[k]: n for n, k in enumerate(order.along_curve(np.array([places[name] for name in names]).reshape(-1, 2)))}
    return sorted(wanted, key=lambda p: sorted(turn[name] for name in p if name in turn))


def following(count: int, steps: int) -> set[tuple[int, int]]:
    """Pairs of photos taken one after the other, whatever their positions say: a wild position must not cut a photo off."""
    return {(i, i + s) for s in range(1, steps + 1) for i in range(count - s)}
