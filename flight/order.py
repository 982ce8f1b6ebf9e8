"""The order lines are flown in: cells of neighbouring rows flown to and fro, the cells one after another by the shortest way.

A row that an obstacle cuts makes two lines; lines of following rows that face each other one to one make a cell (boustrophedon
decomposition after Choset), so that nobody flies around the obstacle once per row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flight.coverage import OVERRUN_M, SurveyLine
from flight.routes import Airway
from geo.frames import XY

_SWEEPS = 4  # passes of improvement over the order of cells; more found nothing on maps of 50 zones


@dataclass(frozen=True, slots=True)
class Pass:
    """A line flown one way: from its first station in this direction to OVERRUN_M behind its last."""

    line: SurveyLine
    backwards: bool

    @property
    def start(self) -> XY:
        """Where photos begin."""
        return self.line.end if self.backwards else self.line.start

    @property
    def end(self) -> XY:
        """Where photos have ended."""
        a, b = (self.line.end, self.line.start) if self.backwards else (self.line.start, self.line.end)
        length = math.hypot(b.x_m - a.x_m, b.y_m - a.y_m)
        if length == 0.0:
            return b
        return XY(b.x_m + (b.x_m - a.x_m) / length * OVERRUN_M, b.y_m + (b.y_m - a.y_m) / length * OVERRUN_M)


def tour(lines: Sequence[SurveyLine], home: XY, airway: Airway) -> tuple[Pass, ...]:
    """All lines in the order and direction to fly them, from home."""
    left = [tuple(_variants(cell)) for cell in cells(lines)]
    chosen: list[tuple[Pass, ...]] = []
    here = home
    while left:
        index, variant = _nearest(here, left, airway)
        chosen.append(variant)
        here = variant[-1].end
        left.pop(index)
    return tuple(p for cell in _improved(chosen, home, airway) for p in cell)


def cells(lines: Sequence[SurveyLine]) -> tuple[tuple[SurveyLine, ...], ...]:
    """Lines grouped into runs of facing neighbours, row by row."""
    rows: dict[int, list[SurveyLine]] = defaultdict(list)
    for line in lines:
        rows[line.row].append(line)
    open_cells: dict[SurveyLine, list[SurveyLine]] = {}
    done: list[list[SurveyLine]] = []
    for row in sorted(rows):
        before = rows.get(row - 1, [])
        for line in sorted(rows[row], key=lambda x: x.first):
            facing = [b for b in before if _face(b, line)]
            if len(facing) == 1 and sum(_face(facing[0], other) for other in rows[row]) == 1:
                cell = open_cells[facing[0]]
            else:
                cell = []
                done.append(cell)
            cell.append(line)
            open_cells[line] = cell
    return tuple(tuple(cell) for cell in done)


def _face(a: SurveyLine, b: SurveyLine) -> bool:
    return a.first <= b.last and b.first <= a.last


def _variants(cell: Sequence[SurveyLine]) -> Iterator[tuple[Pass, ...]]:
    """A cell flown from either end, beginning in either direction."""
    for rows in (cell, cell[::-1]):
        for backwards in (False, True):
            yield tuple(Pass(line, backwards ^ bool(i % 2)) for i, line in enumerate(rows))


def _nearest(here: XY, left: Sequence[tuple[tuple[Pass, ...], ...]], airway: Airway) -> tuple[int, tuple[Pass, ...]]:
    """The cell whose nearest entry is nearest by the way flown; straight distance says when to stop looking."""
    entries = sorted(
        ((_apart(here, v[0].start), i, n) for i, variants in enumerate(left) for n, v in enumerate(variants)), key=lambda e: e[0]
    )
    best, found = math.inf, (entries[0][1], left[entries[0][1]][entries[0][2]])
    for straight, index, number in entries:
        if straight >= best:
            break
        variant = left[index][number]
        metres = airway.length_m(here, variant[0].start)
        if metres < best:
            best, found = metres, (index, variant)
    return found


def _improved(order: list[tuple[Pass, ...]], home: XY, airway: Airway) -> list[tuple[Pass, ...]]:
    """Turn runs of cells round (2-opt, each cell then flown from its other end) while that shortens the ways between them."""

    def gap(a: XY, b: XY, limit: float) -> float:
        straight = _apart(a, b)
        return straight if straight >= limit else airway.length_m(a, b)

    for _ in range(_SWEEPS):
        better = False
        starts, ends = [c[0].start for c in order], [c[-1].end for c in order]
        turned_starts, turned_ends = [_turned(c)[0].start for c in order], [_turned(c)[-1].end for c in order]
        for i in range(len(order)):
            before = ends[i - 1] if i else home
            for j in range(i, len(order)):
                after = starts[j + 1] if j + 1 < len(order) else home
                now = airway.length_m(before, starts[i]) + airway.length_m(ends[j], after)
                then = gap(before, turned_starts[j], now)
                if then < now:
                    then += gap(turned_ends[i], after, now - then)
                if then < now - 1.0:
                    order[i : j + 1] = [_turned(c) for c in reversed(order[i : j + 1])]
                    starts[i : j + 1], turned_starts[i : j + 1] = turned_starts[i : j + 1][::-1], starts[i : j + 1][::-1]
                    ends[i : j + 1], turned_ends[i : j + 1] = turned_ends[i : j + 1][::-1], ends[i : j + 1][::-1]
                    better = True
        if not better:
            break
    return order


def _turned(cell: tuple[Pass, ...]) -> tuple[Pass, ...]:
    return tuple(Pass(p.line, not p.backwards) for p in reversed(cell))


def _apart(a: XY, b: XY) -> float:
    return math.hypot(b.x_m - a.x_m, b.y_m - a.y_m)
