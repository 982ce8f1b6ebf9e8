"""Which keypoints of two photos are the same thing on the ground.

The thousand largest of each are compared all with all and give a coarse plane-to-plane map; then every keypoint is compared only
with those near the place where that map sends it. That is a quarter of the work of comparing all with all, and finds a third more,
because the second-best candidate of the ratio test comes from nearby and not from the whole picture. The solver's own geometric
check follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numba import njit
from numpy.typing import NDArray

from imagery.engines import features
from imagery.engines.features import Features

SEED = 1
_COARSE = (1000, 2500)  # keypoints compared all with all, step by step until they agree on a map; more have hardly ever agreed
_COARSE_LEAST = 12  # agreeing matches below which the coarse map is chance
_REACH = (
    0.01,
    0.05,
)  # of the longer side: how far relief and turned photos may move a point off the map, on flat and on steep ground
_RATIO = 0.85
_NEAREST = 0.70  # distance of unit descriptors beyond which two keypoints are not alike
_AGREE = 30  # matches that passed the geometric check, below which two photos may only look alike
_MOST = 3000  # matches of two photos: those taken from nearly one place have thousands more, which cost and tell nothing
_CHUNK = 200
_EMPTY = np.zeros((0, 2), np.uint32)

Matches = NDArray[np.uint32]


def match_all(
    database: Path,
    wanted: Sequence[tuple[str, str]],
    numbers: Mapping[str, int],
    shelves: Mapping[str, Path],
    *,
    workers: int,
    progress: Callable[[int, int], None],
) -> None:
    """Match and check pairs of photos (by hash) and write them into the database; pairs already there are passed over.

    May be interrupted after any chunk and taken up again.
    """
    listing = database.with_suffix(".pairs")
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = SEED
    # The matches are of one map already: most are right, and a model of the right ones is found in a few trials.
    options.ransac.min_num_trials, options.ransac.max_num_trials = 30, 1000
    options.ransac.dyn_num_trials_multiplier = 1.0

    @lru_cache(maxsize=96)
    def load(sha256: str) -> Features:
        return features.load(shelves[sha256], sha256)

    def one(pair: tuple[str, str]) -> Matches:
        return match(load(pair[0]), load(pair[1]))

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for start in range(0, len(wanted), _CHUNK):
            opened = pycolmap.Database.open(database)
            try:
                chunk = [
                    (a, b)
                    for a, b in wanted[start : start + _CHUNK]
                    if not opened.exists_two_view_geometry(numbers[a], numbers[b])
                ]
                for (a, b), found in zip(chunk, pool.map(one, chunk), strict=True):
                    if not opened.exists_matches(numbers[a], numbers[b]):
                        opened.write_matches(numbers[a], numbers[b], found)
            finally:
                opened.close()
            if chunk:
                listing.write_text("".join(f"{a} {b}\n" for a, b in chunk), encoding="utf-8")
                pycolmap.verify_matches(database, listing, options)
            progress(min(start + _CHUNK, len(wanted)), len(wanted))
    listing.unlink(missing_ok=True)


def agreeing(database: Path, wanted: Sequence[tuple[int, int]]) -> list[bool]:
    """Which pairs of images (by number) passed the geometric check."""
    opened = pycolmap.Database.open(database)
    try:
        return [
            opened.exists_two_view_geometry(a, b) and len(opened.read_two_view_geometry(a, b).inlier_matches) >= _AGREE
            for a, b in wanted
        ]
    finally:
        opened.close()


def match(one: Features, other: Features) -> Matches:
    """Indices `(k, 2)` of keypoints that are each other's best, clearly better than the next; none where no map is agreed on.

    Without a map the matches are of pictures that hardly overlap: one in a hundred such pairs is of use, and the geometric check of
    the others takes as long as that of all good pairs together.
    """
    if min(len(one.keypoints), len(other.keypoints)) < _COARSE_LEAST:
        return _EMPTY
    extent = max(float(np.ptp(one.keypoints[:, 0])), float(np.ptp(one.keypoints[:, 1])), 1.0)
    for count in _COARSE:
        mine, theirs = _largest(one, count), _largest(other, count)
        found = _all_with_all(one.descriptors[mine], other.descriptors[theirs])
        coarse = np.column_stack([mine[found[:, 0]], theirs[found[:, 1]]]).astype(np.uint32)
        if len(coarse) < _COARSE_LEAST:
            continue
        here = one.keypoints[coarse[:, 0], :2].astype(np.float64)
        there = other.keypoints[coarse[:, 1], :2].astype(np.float64)
        plane, inside = cv2.findHomography(here, there, cv2.RANSAC, 0.02 * extent, maxIters=500, confidence=0.99)
        if plane is not None and int(inside.sum()) >= _COARSE_LEAST:
            plane = np.asarray(plane, np.float64)
            return _near_map(one, other, plane, _reach(_sent(here, plane), there, extent))
    return _EMPTY


def _sent(places: NDArray[np.float64], plane: NDArray[np.float64]) -> NDArray[np.float32]:
    """Where a plane-to-plane map sends places `(n, 2)`; far off where it sends them nowhere."""
    here = np.column_stack([places, np.ones(len(places))]) @ plane.T
    with np.errstate(divide="ignore", invalid="ignore"):
        sent = (here[:, :2] / here[:, 2:]).astype(np.float32)
    sent[~np.isfinite(sent).all(axis=1)] = -1e9
    return sent


def _reach(sent: NDArray[np.float32], there: NDArray[np.float64], extent: float) -> float:
    """How far around the map's word to look, pixels: as far as the coarse matches themselves lie off it. On flat ground that is a
    fifth of what roofs and trees need, and a twenty-fifth of the work."""
    least, most = (r * extent for r in _REACH)
    off = np.hypot(*(sent - there).T)
    off = off[off < most]
    return float(np.clip(2.0 * np.percentile(off, 98), least, most)) if len(off) >= 2 * _COARSE_LEAST else most


def _largest(found: Features, count: int) -> NDArray[np.int64]:
    """Indices of the keypoints of the largest scale: few, and the surest to be seen again from another place."""
    return np.asarray(np.argsort(-found.keypoints[:, 2], kind="stable")[:count], np.int64)


def _all_with_all(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Matches:
    """Mutual best by the ratio test, over all pairs."""
    alike = _unit(first) @ _unit(second).T
    rows = np.arange(len(alike))
    back = np.argmax(alike, axis=0)
    best = np.argmax(alike, axis=1)
    value = alike[rows, best]
    alike[rows, best] = -1.0
    index = np.flatnonzero(_clear(value, alike.max(axis=1)) & (back[best] == rows))
    return np.column_stack([index, best[index]]).astype(np.uint32)


def _clear(value: NDArray[np.float32], next_value: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Near enough, and clearly nearer than the next; values are cosines."""
    near, next_near = 2.0 - 2.0 * value, 2.0 - 2.0 * next_value
    return np.asarray((near < _NEAREST**2) & (near < _RATIO**2 * next_near))


def _unit(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    raw = descriptors.astype(np.float32)
    return np.asarray(raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-6), np.float32)


def _near_map(one: Features, other: Features, plane: NDArray[np.float64], reach: float) -> Matches:
    sent = _sent(one.keypoints[:, :2].astype(np.float64), plane)
    there = np.ascontiguousarray(other.keypoints[:, :2])
    low = there.min(axis=0)
    cells = np.floor((there - low) / reach).astype(np.int32)
    columns, rows = (int(v) + 1 for v in cells.max(axis=0))
    cell = cells[:, 1] * columns + cells[:, 0]
    order = np.argsort(cell, kind="stable").astype(np.int32)
    starts = np.searchsorted(cell[order], np.arange(columns * rows + 1)).astype(np.int32)
    best, value, next_value, back = _search(
        sent, there, one.descriptors, other.descriptors, order, starts, columns, rows, low, np.float32(reach)
    )
    # RootSIFT bytes are of length 512 up to rounding.
    scale = np.float32(1.0 / 512.0**2)
    good = (best >= 0) & _clear(value * scale, np.maximum(next_value, 0) * scale)
    index = np.flatnonzero(good)
    index = index[back[best[index]] == index]
    index = index[:_MOST]  # the strongest keypoints come first
    return np.column_stack([index, best[index]]).astype(np.uint32)


@njit(cache=True, nogil=True)
def _search(sent, there, first, second, order, starts, columns, rows, low, reach):  # type: ignore[no-untyped-def]
    """For each keypoint of the first photo the best and next-best product of descriptors within `reach` of where it is sent."""
    count, others = sent.shape[0], there.shape[0]
    best = np.full(count, -1, np.int32)
    value = np.zeros(count, np.float32)
    next_value = np.full(count, -1.0, np.float32)
    back = np.full(others, -1, np.int32)
    back_value = np.zeros(others, np.int32)
    for a in range(count):
        x, y = sent[a, 0], sent[a, 1]
        column, row = int(np.floor((x - low[0]) / reach)), int(np.floor((y - low[1]) / reach))
        top, top_value, second_value = -1, np.int32(-1), np.int32(-1)
        for r in range(max(0, row - 1), min(rows, row + 2)):
            for c in range(max(0, column - 1), min(columns, column + 2)):
                for k in range(starts[r * columns + c], starts[r * columns + c + 1]):
                    b = order[k]
                    dx, dy = there[b, 0] - x, there[b, 1] - y
                    if dx * dx + dy * dy > reach * reach:
                        continue
                    product = np.int32(0)
                    for d in range(128):
                        product += np.int32(first[a, d]) * np.int32(second[b, d])
                    if product > top_value:
                        second_value = top_value
                        top, top_value = b, product
                    elif product > second_value:
                        second_value = product
                    if product > back_value[b]:
                        back_value[b] = product
                        back[b] = a
        best[a] = top
        value[a] = top_value
        next_value[a] = second_value
    return best, value, next_value, back
