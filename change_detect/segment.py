"""Regions of marked cells over an area too large to hold: found tile by tile, joined across every border.

A tile is marked with a margin around it as wide as the marking looks, and only its core is kept; so the joined regions are those that
marking the whole area at once would give, whatever the tile size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from change_detect.raster import Mask
from geo.grid import Grid, Window
from geo.progress import Progress, silent

Marking = Callable[[Window], tuple[tuple[Mask, Mask], ...]]
"""`marking(window)` gives `(sure, near)` per channel, both `(rows, cols)`; a region is connected near cells of one channel with a sure one
among them. Channels (what rose, what fell) never join."""


@dataclass(frozen=True, slots=True)
class Region:
    """Connected cells: `mask` over `window` of the grid."""

    window: Window
    mask: Mask


@dataclass(slots=True)
class _Piece:
    row: int
    col: int
    mask: Mask
    sure: int


class Union:
    """Disjoint sets of piece numbers."""

    def __init__(self) -> None:
        self.parent: list[int] = []

    def add(self) -> int:
        """One more, on its own; its number."""
        self.parent.append(len(self.parent))
        return self.parent[-1]

    def find(self, i: int) -> int:
        """The number that stands for its set."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Make two sets one."""
        a, b = self.find(i), self.find(j)
        self.parent[max(a, b)] = min(a, b)


def regions(
    grid: Grid, marking: Marking, *, channels: int, tile: int, margin: int, least_cells: int, progress: Progress = silent
) -> tuple[tuple[Region, ...], ...]:
    """Per channel all regions of at least `least_cells` cells, by row and column of their window."""
    seams = tuple(_Seams(grid) for _ in range(channels))
    tiles = tuple(grid.tiles(tile))
    for done, core in enumerate(tiles):
        progress(done, len(tiles), "detect")
        wide = core.grown(margin, grid)
        r, c = core.row - wide.row, core.col - wide.col
        for seam, (sure, near) in zip(seams, marking(wide), strict=True):
            seam.add(core, sure[r : r + core.rows, c : c + core.cols], near[r : r + core.rows, c : c + core.cols])
    progress(len(tiles), len(tiles), "detect")
    return tuple(seam.regions(least_cells) for seam in seams)


class _Seams:
    """The pieces of one channel, and the cells along the tile borders where they meet."""

    def __init__(self, grid: Grid) -> None:
        self.pieces: list[_Piece] = []
        self.union = Union()
        self.above = np.full(grid.cols, -1, np.int64)  # piece number of each cell in the last row above
        self.left = np.empty(0, np.int64)

    def add(self, core: Window, sure: Mask, near: Mask) -> None:
        """One tile's core, row by row of tiles."""
        numbers = _cut(core, sure, near, self.pieces, self.union)
        if core.col > 0:
            _join(self.left, numbers[:, 0], self.union)
        if core.row > 0:
            _join(self.above[core.col : core.col + core.cols], numbers[0], self.union)
        self.left = numbers[:, -1].copy()
        self.above[core.col : core.col + core.cols] = numbers[-1]

    def regions(self, least_cells: int) -> tuple[Region, ...]:
        """The joined pieces that have a sure cell and are large enough."""
        groups: dict[int, list[_Piece]] = defaultdict(list)
        for i, piece in enumerate(self.pieces):
            groups[self.union.find(i)].append(piece)
        found = [
            _joined(group)
            for group in groups.values()
            if sum(p.sure for p in group) > 0 and sum(int(p.mask.sum()) for p in group) >= least_cells
        ]
        return tuple(sorted(found, key=lambda g: (g.window.row, g.window.col)))


def _cut(core: Window, sure: Mask, near: Mask, pieces: list[_Piece], union: Union) -> NDArray[np.int64]:
    """Add the tile's connected pieces; the piece number of every cell, -1 outside."""
    if not near.any():
        return np.full(near.shape, -1, np.int64)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=4)
    seeds = np.bincount(labels[sure & near], minlength=count)
    number = np.full(count, -1, np.int64)
    for label in range(1, count):
        x, y, w, h, _area = (int(v) for v in stats[label])
        at_border = x == 0 or y == 0 or x + w == core.cols or y + h == core.rows
        if seeds[label] == 0 and not at_border:
            continue
        number[label] = union.add()
        mask = labels[y : y + h, x : x + w] == label
        pieces.append(_Piece(core.row + y, core.col + x, mask, int(seeds[label])))
    out: NDArray[np.int64] = number[labels]
    return out


def _join(a: NDArray[np.int64], b: NDArray[np.int64], union: Union) -> None:
    for i, j in {(int(i), int(j)) for i, j in zip(a, b, strict=True) if i >= 0 and j >= 0}:
        union.join(i, j)


def _joined(group: list[_Piece]) -> Region:
    top, west = min(p.row for p in group), min(p.col for p in group)
    bottom = max(p.row + p.mask.shape[0] for p in group)
    east = max(p.col + p.mask.shape[1] for p in group)
    mask = np.zeros((bottom - top, east - west), bool)
    for p in group:
        r, c = p.row - top, p.col - west
        mask[r : r + p.mask.shape[0], c : c + p.mask.shape[1]] |= p.mask
    return Region(Window(top, west, bottom - top, east - west), mask)
