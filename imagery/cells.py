"""Residuals by area cell: how well each part of a survey lies on the reference, which parts may not be compared, and a picture of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, box

from geo.frames import Floats
from geo.grid import Grid
from imagery import raster
from imagery.errors import SurveyError
from imagery.residual import TILE, Residual

WORST_P95_PX = 3.0
"""A cell whose 95th percentile lies above it is not compared."""

_WANTED_TILES = 16
_LEAST_TILES = 4
# Of a circular normal scatter two thirds lie within 1.482 sigma, 95 % within 2.448 sigma. One tile in three may so be wrong: in a cell of
# tree crowns and a fenced court (planted/sheffield) three of thirteen were, by 3 to 5 px beside ten that agreed to half a pixel.
_MOST = 200 / 3
_P95_BY_MOST = 2.448 / 1.482


class CellState(StrEnum):
    """What is known of a cell."""

    GOOD = "good"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # too few tiles match: other crops, water, or no texture


@dataclass(frozen=True, slots=True)
class Cell:
    """A square of ground: bounds in metres of the frame, how many tiles were tried and matched, their median shift, and the robust
    95th percentile of the shifts' length; pixels of the grid, east and south. None where too few match.
    """

    west_m: float
    south_m: float
    east_m: float
    north_m: float
    tried: int
    found: int
    east_px: float | None
    south_px: float | None
    p95_px: float | None
    state: CellState

    @property
    def outline_m(self) -> Polygon:
        """The square."""
        return box(self.west_m, self.south_m, self.east_m, self.north_m)

    @property
    def median_px(self) -> float | None:
        """Length of the median shift."""
        return None if self.east_px is None or self.south_px is None else math.hypot(self.east_px, self.south_px)


def cells(found: Residual, grid: Grid) -> tuple[Cell, ...]:
    """The cells of `grid` in which a tile was tried, row by row; each is as wide as about sixteen tiles need.

    The 95th percentile is that of the median shift and of a normal scatter around it, taken from the distance that two thirds keep:
    few tiles that matched a wrong place say nothing of their cell, nor does a part of it that is smaller than a third.
    """
    side = side_m(found, grid)
    west, _, _, north = grid.bounds_m

    def of(places: Floats) -> NDArray[np.int64]:
        index = np.floor((np.column_stack([north - places[:, 1], places[:, 0] - west])) / side)
        return index.astype(np.int64).reshape(-1, 2)

    matched, missed = of(found.places_m), of(found.unmatched_m)
    made = []
    for row, col in np.unique(np.vstack([matched, missed]), axis=0).tolist():
        mine = found.shifts_px[(matched == (row, col)).all(axis=1)]
        tried = len(mine) + int((missed == (row, col)).all(axis=1).sum())
        x, y = west + col * side, north - row * side
        bounds = x, max(y - side, grid.bounds_m[1]), min(x + side, grid.bounds_m[2]), y
        if len(mine) < _LEAST_TILES or len(mine) < 0.25 * tried:
            made.append(Cell(*bounds, tried, len(mine), None, None, None, CellState.UNKNOWN))
            continue
        middle = np.median(mine, axis=0)
        scatter = float(np.percentile(np.hypot(*(mine - middle).T), _MOST))
        p95 = float(np.hypot(*middle)) + _P95_BY_MOST * scatter
        state = CellState.REFUSED if p95 > WORST_P95_PX else CellState.GOOD
        made.append(Cell(*bounds, tried, len(mine), float(middle[0]), float(middle[1]), p95, state))
    return tuple(made)


def side_m(found: Residual, grid: Grid) -> float:
    """Width of a cell in metres."""
    west, south, east, north = grid.bounds_m
    spread = math.sqrt(_WANTED_TILES * (east - west) * (north - south) / max(1, found.tried))
    return max(4 * TILE * grid.gsd_m, min(spread, max(east - west, north - south)))


def refused_share(of: tuple[Cell, ...]) -> float | None:
    """Share of the measured cells that are refused; None when none could be measured."""
    measured = [c for c in of if c.state is not CellState.UNKNOWN]
    return sum(c.state is CellState.REFUSED for c in measured) / len(measured) if measured else None


# -- the picture -----------------------------------------------------------------------------------------------------------------

_LONG_SIDE = 1200
_STOPS_PX = (0.5, 1.0, 2.0, WORST_P95_PX)
# ColorBrewer YlOrRd, from good to refused: light is well, dark is bad, safe for the colour-blind.
_COLOURS = ((255, 255, 178), (254, 204, 92), (253, 141, 60), (240, 59, 32), (189, 0, 38))
_BLACK, _WHITE, UNKNOWN = (0, 0, 0), (255, 255, 255), (150, 150, 150)


def colour(p95_px: float | None) -> tuple[int, int, int]:
    """RGB of a cell; grey where nothing was measured."""
    if p95_px is None:
        return UNKNOWN
    return _COLOURS[sum(p95_px > stop for stop in _STOPS_PX)]


def scale() -> tuple[tuple[float, float | None, tuple[int, int, int]], ...]:
    """From, to (None: and above) in pixels and RGB of each step of the colours, from good to refused."""
    return tuple(zip((0.0, *_STOPS_PX), (*_STOPS_PX, None), _COLOURS, strict=True))


def exaggeration(found: Residual, grid: Grid, longest_px: float = math.inf) -> float:
    """A round factor at which an arrow of 1 px is about half as long as tiles lie apart, or `longest_px` where that is less.

    Where the shifts are larger than a pixel it is the 90th percentile that is drawn so long: arrows stay apart.
    """
    apart = math.sqrt(grid.rows * grid.cols / max(1, found.tried))
    wanted = max(1.0, 0.5 * min(apart, longest_px) / max(1.0, found.p90_px or 0.0))
    decade = 10.0 ** math.floor(math.log10(wanted))
    return max(m * decade for m in (1, 2, 5) if m * decade <= wanted)


def picture(found: Residual, grid: Grid, ortho: Path, target: Path) -> Path:
    """The residual over the survey's own orthophoto as a PNG: coloured cells, one arrow a tile, and a legend in px and cm."""
    thin = max(1, math.ceil(max(grid.shape) / _LONG_SIDE))
    pixels = raster.read_window(ortho, thin=thin)
    shade = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    out = np.repeat((0.55 * shade + 100).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    west, _, _, north = grid.bounds_m
    cell_m = grid.gsd_m * thin

    def at(x: float, y: float) -> tuple[int, int]:
        return round((x - west) / cell_m), round((north - y) / cell_m)

    tint = out.copy()
    for cell in cells(found, grid):
        corner, other = at(cell.west_m, cell.north_m), at(cell.east_m, cell.south_m)
        cv2.rectangle(tint, corner, other, colour(cell.p95_px), -1)
        cv2.rectangle(out, corner, other, _WHITE, 1)
    out = np.ascontiguousarray(cv2.addWeighted(tint, 0.45, out, 0.55, 0))
    longer = exaggeration(found, grid, 60.0 * thin)
    for (x, y), (east, south) in zip(found.places_m.tolist(), found.shifts_px.tolist(), strict=True):
        col, row = at(x, y)
        tip = round(col + east * longer / thin), round(row + south * longer / thin)
        cv2.arrowedLine(out, (col, row), tip, _WHITE, 3, cv2.LINE_AA, 0, 0.3)
        cv2.arrowedLine(out, (col, row), tip, _BLACK, 1, cv2.LINE_AA, 0, 0.3)
    done, data = cv2.imencode(".png", cv2.cvtColor(np.vstack([out, _legend(out.shape[1], found, longer)]), cv2.COLOR_RGB2BGR))
    if not done:
        raise SurveyError("the picture of the residual could not be written as PNG")
    temporary = target.with_name(f".{target.name}.part")
    temporary.write_bytes(data.tobytes())
    temporary.replace(target)
    return target


def _legend(width: int, found: Residual, longer: float) -> NDArray[np.uint8]:
    strip = np.full((64, width, 3), 255, np.uint8)
    bounds = ("0", *(f"{s:g}" for s in _STOPS_PX))
    step = min(110, width // 6)
    for k, shade in enumerate((*_COLOURS, UNKNOWN)):
        x = 6 + k * step
        cv2.rectangle(strip, (x, 6), (x + 18, 24), shade, -1)
        if k == len(_COLOURS):
            said = "not measured"
        else:
            low_cm = 100 * float(bounds[k]) * found.gsd_m
            said = f">{bounds[k]}px {low_cm:.0f}cm"
        cv2.putText(strip, said, (x + 22, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.33, _BLACK, 1, cv2.LINE_AA)
    median = "-" if found.median_px is None else f"{found.median_px:.2f} px / {found.median_cm:.1f} cm"
    p90 = "-" if found.p90_px is None else f"{found.p90_px:.2f} px / {found.p90_cm:.1f} cm"
    said = f"p95 of each cell; arrows x{longer:g}; {found.found} of {found.tried} tiles; median {median}, p90 {p90}"
    cv2.putText(strip, said, (6, 50), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _BLACK, 1, cv2.LINE_AA)
    return strip
