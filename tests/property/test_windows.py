"""Windows of an area: however they fall, every region is measured whole by exactly one of them or joined from their parts."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from change_detect.align import SurveyPair, align
from change_detect.candidate import Candidate
from change_detect.detector import Divisible, GeometryImage
from change_detect.sheet import Sheet
from change_detect.windows import joined, regions
from geo.grid import Grid
from tests.unit.change_detect import made

SIDE = 72


def sheet_of(blobs: list[tuple[int, int, int, int, bool]]) -> Sheet:
    """A sheet whose flags are drawn: rectangles of near cells, some with a sure cell in them."""
    flags = np.zeros((SIDE, SIDE), np.uint8)
    for row, col, rows, cols, sure in blobs:
        flags[row : row + rows, col : col + cols] |= 2
        if sure:
            flags[row, col] |= 1
    grid = Grid(made.FRAME, 0.2, made.WEST_M, made.NORTH_M, SIDE, SIDE)
    empty = np.zeros((SIDE, SIDE), np.float32)
    whole = next(grid.tiles(SIDE))
    return Sheet(replace(some_pair(), grid=grid), whole, empty, empty, empty.astype(np.float16), flags)


@lru_cache(maxsize=1)
def some_pair() -> SurveyPair:
    """Of which only the grid counts."""
    with tempfile.TemporaryDirectory() as folder:
        return pair_of(Path(folder), [])


def pair_of(folder: Path, boxes: list[made.Box], cells: int = 240) -> SurveyPair:
    house = made.Box(6.0, 6.0, 10.0, 8.0, 5.0, (150, 70, 60))
    old, now = (made.Place(5, cells, cells, [house, *more], [(38.0, 8.0, 3.0)]) for more in ([], boxes))
    a = made.source(old, folder, "before", flight=1, taken_on=date(2026, 1, 10))
    b = made.source(now, folder, "after", flight=2, taken_on=date(2026, 2, 9), shift=(1, -2), lift_m=0.3)
    return align(a, b)


blob = st.tuples(st.integers(0, 68), st.integers(0, 68), st.integers(1, 40), st.integers(1, 40), st.booleans())


@settings(max_examples=100, deadline=None)
@given(blobs=st.lists(blob, max_size=12), window=st.integers(5, 40), most=st.integers(2, 25))
def test_every_region_is_one_windows_or_joined_from_parts(
    blobs: list[tuple[int, int, int, int, bool]], window: int, most: int
) -> None:
    """Owned and joined regions together are the connected components with a sure cell, cell for cell, none twice."""
    held = sheet_of(blobs)
    near, sure = held.flags & 2, held.flags & 1
    count, labels = cv2.connectedComponents(near, connectivity=4)
    expected = {np.packbits(labels == n).tobytes() for n in range(1, count) if sure[labels == n].any()}
    found, parts = [], []
    for core in held.pair.grid.tiles(window):
        own, more = regions(held, 0, core, most=most, least=1)
        found += own
        parts += more
        assert all(r.window.rows <= most and r.window.cols <= most for r in own)
    found += [large.region(1) for large in joined(parts, 1)]
    drawn = []
    for region in found:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[region.window.slices] = region.mask
        drawn.append(np.packbits(mask).tobytes())
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == expected


@settings(max_examples=5, deadline=None)
@given(window=st.integers(30, 200), large_m=st.floats(4.0, 30.0), east=st.floats(20, 30), south=st.floats(20, 30))
def test_however_windows_fall_the_candidates_are_those_of_one_look(
    window: int, large_m: float, east: float, south: float
) -> None:
    """Structures, losses and their outlines are the same for any cut; a window seen twice gives the same bytes."""
    boxes = [made.Box(east, south, 7.0, 5.0, 3.0), made.Box(2.0, 38.0, 40.0, 3.0, 4.0), made.Box(7.0, 7.0, 4.0, 3.0, 8.0)]
    with tempfile.TemporaryDirectory() as folder:
        pair = pair_of(Path(folder), boxes)
        whole = GeometryImage().detect(pair)
        assert sum(c.suppressed is None for c in whole) >= 3
        cut = GeometryImage(window_cells=window, large_m=large_m)
        assert isinstance(cut, Divisible)
        windows = cut.windows(pair)
        assert len(windows) > 1
        seen = [cut.see(pair, w) for w in reversed(windows)]
        assert told(cut.joined(pair, seen)) == told(whole)
        assert pickle.dumps(cut.see(pair, windows[0])) == pickle.dumps(seen[-1])


def told(found: tuple[Candidate, ...]) -> list[tuple[object, ...]]:
    return [(c.id, c.kind, c.score, c.outline.wkt, c.reasons, c.suppressed) for c in found]
