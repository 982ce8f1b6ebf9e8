"""How an area is cut into windows that are looked at one by one, and whose each region is, however the windows fall.

A region of at most `most` cells in height and width belongs to the window that holds its first cell (the leftmost of its top row);
that window sees all of it, as it looks `most` cells further than its core. Of a larger region each window keeps the cells in its core,
and the parts are put together when all windows have been seen. So the union over windows is what one look at the whole area gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from change_detect.raster import Mask
from change_detect.segment import Region, Union
from change_detect.sheet import Sheet
from geo.grid import Grid, Window


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The cells that a window's core holds of a region too large for it: `bits` of the mask over `window`, `sure` cells among them."""

    channel: int
    window: Window
    bits: bytes
    sure: int

    @staticmethod
    def of(channel: int, window: Window, mask: Mask, sure: int) -> Part:
        """Packed."""
        return Part(channel, window, np.packbits(mask).tobytes(), sure)

    @property
    def mask(self) -> Mask:
        """`(rows, cols)` of its window."""
        w = self.window
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=w.rows * w.cols)
        return bits.reshape(w.rows, w.cols) > 0


@dataclass(frozen=True, slots=True)
class Large:
    """A region in parts; `window` holds all of them."""

    channel: int
    window: Window
    parts: tuple[Part, ...]

    @property
    def cells(self) -> int:
        """How many."""
        return sum(int(p.mask.sum()) for p in self.parts)

    def region(self, thin: int) -> Region:
        """The region on cells `thin` times as large: one counts when it holds a cell of the region."""
        w = self.window
        row, col = w.row // thin, w.col // thin
        rows, cols = (w.row + w.rows - 1) // thin - row + 1, (w.col + w.cols - 1) // thin - col + 1
        mask = np.zeros((rows, cols), bool)
        for part in self.parts:
            r, c = np.nonzero(part.mask)
            mask[(r + part.window.row) // thin - row, (c + part.window.col) // thin - col] = True
        return Region(Window(row, col, rows, cols), mask)


def regions(sheet: Sheet, channel: int, core: Window, *, most: int, least: int) -> tuple[list[Region], list[Part]]:
    """The regions of at least `least` cells that are a core's own, by row and column, and its parts of larger ones."""
    grid = sheet.pair.grid
    seen = core.grown(most, grid)
    near = sheet.near(channel, sheet.part(seen))
    if not near.any():
        return [], []
    _, labels, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=4)
    del near
    sure = np.bincount(labels[sheet.sure(channel, sheet.part(seen))], minlength=len(stats))
    x, y, w, h = (
        stats[:, i].astype(np.int64) for i in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)
    )
    row, col = core.row - seen.row, core.col - seen.col
    meets_core = (x < col + core.cols) & (x + w > col) & (y < row + core.rows) & (y + h > row)
    cut = ((x == 0) & (seen.col > 0)) | ((y == 0) & (seen.row > 0))
    cut |= ((x + w == seen.cols) & (seen.col + seen.cols < grid.cols)) | (
        (y + h == seen.rows) & (seen.row + seen.rows < grid.rows)
    )
    large = cut | (w > most) | (h > most)
    whole = ~large & (sure > 0) & (stats[:, cv2.CC_STAT_AREA] >= least)
    own: list[Region] = []
    parts: list[Part] = []
    for label in np.flatnonzero(meets_core & (whole | large)):
        if label == 0:
            continue
        left, top, wide, high = (int(v[label]) for v in (x, y, w, h))
        mask = labels[top : top + high, left : left + wide] == label
        if whole[label]:
            first = left + int(np.argmax(mask[0]))
            if row <= top < row + core.rows and col <= first < col + core.cols:
                own.append(Region(Window(seen.row + top, seen.col + left, high, wide), mask))
            continue
        parts += _in_core(channel, mask, Window(seen.row + top, seen.col + left, high, wide), core, sheet)
    return sorted(own, key=lambda g: (g.window.row, g.window.col)), parts


def _in_core(channel: int, mask: Mask, window: Window, core: Window, sheet: Sheet) -> Iterator[Part]:
    """What of a region lies in the core, piece by connected piece."""
    r0, c0 = max(window.row, core.row), max(window.col, core.col)
    r1, c1 = min(window.row + window.rows, core.row + core.rows), min(window.col + window.cols, core.col + core.cols)
    inside = Window(r0, c0, r1 - r0, c1 - c0)
    mask = mask[r0 - window.row : r1 - window.row, c0 - window.col : c1 - window.col]
    sure = sheet.sure(channel, sheet.part(inside)) & mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for label in range(1, count):
        left, top, wide, high = (int(v) for v in stats[label, :4])
        piece = labels[top : top + high, left : left + wide] == label
        seeds = int(np.count_nonzero(sure[top : top + high, left : left + wide] & piece))
        yield Part.of(channel, Window(r0 + top, c0 + left, high, wide), piece, seeds)


def joined(parts: Sequence[Part], least: int) -> tuple[Large, ...]:
    """The regions that parts of all windows make up: connected across the windows' borders, with a sure cell, of `least` cells."""
    union = Union()
    rims: dict[tuple[int, int, int], int] = {}
    for part in parts:
        number = union.add()
        for cell in _rim(part):
            rims[(part.channel, *cell)] = number
    for (channel, r, c), number in rims.items():
        for beside in ((channel, r + 1, c), (channel, r, c + 1)):
            if beside in rims:
                union.join(number, rims[beside])
    groups: dict[int, list[Part]] = defaultdict(list)
    for number, part in enumerate(parts):
        groups[union.find(number)].append(part)
    found = []
    for group in groups.values():
        large = Large(group[0].channel, cover(p.window for p in group), tuple(group))
        if sum(p.sure for p in group) > 0 and large.cells >= least:
            found.append(large)
    return tuple(sorted(found, key=lambda g: (g.channel, g.window.row, g.window.col)))


def _rim(part: Part) -> Iterator[tuple[int, int]]:
    """The cells in the outermost rows and columns of a part: where it meets a border of its window it does so with these."""
    w, mask = part.window, part.mask
    for row in {0, w.rows - 1}:
        yield from ((w.row + row, w.col + int(c)) for c in np.flatnonzero(mask[row]))
    for col in {0, w.cols - 1}:
        yield from ((w.row + int(r), w.col + col) for r in np.flatnonzero(mask[:, col]))


def cover(windows: Iterable[Window]) -> Window:
    """The smallest window that holds all of them."""
    every: NDArray[np.int64] = np.array([(w.row, w.col, w.row + w.rows, w.col + w.cols) for w in windows], np.int64)
    row, col = (int(v) for v in every[:, :2].min(0))
    end_row, end_col = (int(v) for v in every[:, 2:].max(0))
    return Window(row, col, end_row - row, end_col - col)


def snapped(window: Window, step: int, grid: Grid) -> Window:
    """The window grown to whole multiples of `step` cells, cut at the grid's end."""
    row, col = window.row // step * step, window.col // step * step
    end_row = min(grid.rows, -(-(window.row + window.rows) // step) * step)
    end_col = min(grid.cols, -(-(window.col + window.cols) // step) * step)
    return Window(row, col, end_row - row, end_col - col)
