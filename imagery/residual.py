"""What still lies between two orthophotos of one grid: the shift of many small tiles, by normalised phase correlation.

Whitening makes edges speak and not brightness, so that another season or a quarter of new content moves the answer by hundredths
of a cell only; plain correlation and ECC fail there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats
from geo.grid import Grid, Window
from geo.progress import Progress, silent
from imagery import raster
from imagery.errors import SurveyError

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

TILE = 128
MOST_TILES = 400
FARTHEST_PX = 24.0
_LEAST_LIKENESS = 0.35  # correlation that a tile must have after its shift
_LEAST_KNOWN = 0.98
_BAND = 0.28  # cycles per cell: beyond it is noise and resampling
_PROMINENCE = 1.3  # times the next best shift
_LEAST_CONTRAST = 4.0  # levels of fine detail


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Shifts `(n, 2)` in cells (east, south) at places `(n, 2)` in frame metres: where the second ortho shows the first one's ground.

    `likeness` `(n,)` is the correlation of each tile after its shift; `tried` how many tiles were textured and known in both,
    `unmatched_m` `(m, 2)` where those lie that matched nowhere.
    """

    places_m: Floats
    shifts_px: Floats
    likeness: Floats
    tried: int
    gsd_m: float
    unmatched_m: Floats = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def found(self) -> int:
        """How many tiles could be matched."""
        return len(self.shifts_px)

    @property
    def median_px(self) -> float | None:
        """Median length of the shifts in cells; None when nothing matched."""
        return float(np.median(np.hypot(*self.shifts_px.T))) if self.found else None

    @property
    def p90_px(self) -> float | None:
        """Length in cells that nine of ten shifts do not exceed."""
        return float(np.percentile(np.hypot(*self.shifts_px.T), 90)) if self.found else None

    @property
    def p95_px(self) -> float | None:
        """Length in cells that nineteen of twenty shifts do not exceed."""
        return float(np.percentile(np.hypot(*self.shifts_px.T), 95)) if self.found else None

    @property
    def median_cm(self) -> float | None:
        """Median length in centimetres."""
        return None if self.median_px is None else 100 * self.median_px * self.gsd_m

    @property
    def p90_cm(self) -> float | None:
        """Nine of ten, in centimetres."""
        return None if self.p90_px is None else 100 * self.p90_px * self.gsd_m

    @property
    def p95_cm(self) -> float | None:
        """Nineteen of twenty, in centimetres."""
        return None if self.p95_px is None else 100 * self.p95_px * self.gsd_m

    def save(self, path: Path) -> Path:
        """The whole map as JSON."""
        record = {
            "gsd_m": self.gsd_m,
            "tried": self.tried,
            "median_px": self.median_px,
            "p90_px": self.p90_px,
            "median_cm": self.median_cm,
            "p90_cm": self.p90_cm,
            "unmatched": np.round(self.unmatched_m, 2).tolist(),
            "tiles": [
                {
                    "x_m": round(p[0], 2),
                    "y_m": round(p[1], 2),
                    "east_px": round(s[0], 3),
                    "south_px": round(s[1], 3),
                    "likeness": round(v, 3),
                }
                for p, s, v in zip(self.places_m.tolist(), self.shifts_px.tolist(), self.likeness.tolist(), strict=True)
            ],
        }
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(path)
        return path

    @staticmethod
    def load(path: Path) -> Residual:
        """A saved map; raises SurveyError when it is broken."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            tiles = record["tiles"]
            places = np.array([[t["x_m"], t["y_m"]] for t in tiles], np.float64).reshape(-1, 2)
            shifts = np.array([[t["east_px"], t["south_px"]] for t in tiles], np.float64).reshape(-1, 2)
            likeness = np.array([t["likeness"] for t in tiles], np.float64)
            unmatched = np.array(record.get("unmatched", []), np.float64).reshape(-1, 2)
            return Residual(places, shifts, likeness, int(record["tried"]), float(record["gsd_m"]), unmatched)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SurveyError(f"{path}: no residual map ({error}); build the survey again") from error


def measure(before: Path, after: Path, grid: Grid, progress: Progress = silent, *, tile: int = TILE) -> Residual:
    """The residual of two orthophotos that lie on `grid`, at up to `MOST_TILES` tiles spread over it."""
    step = max(tile, math.ceil(math.sqrt(grid.rows * grid.cols / MOST_TILES)))
    windows = [
        Window(row, col, tile, tile)
        for row in range(0, max(1, grid.rows - tile + 1), step)
        for col in range(0, max(1, grid.cols - tile + 1), step)
        if row + tile <= grid.rows and col + tile <= grid.cols
    ]
    places, shifts, likeness, unmatched = [], [], [], []
    with raster.reading(before) as old, raster.reading(after) as new:
        for done, window in enumerate(windows):
            progress(done, len(windows), "residual")
            if min(f.mask(window).mean() for f in (old, new)) < _LEAST_KNOWN:
                continue
            one, other = (grey(f.window(window)) for f in (old, new))
            if min(_contrast(one), _contrast(other)) < _LEAST_CONTRAST:
                continue
            x, y = grid.west_m + (window.col + tile / 2) * grid.gsd_m, grid.north_m - (window.row + tile / 2) * grid.gsd_m
            found = shift(one, other)
            if found is None:
                unmatched.append((x, y))
                continue
            shifts.append(found[:2])
            likeness.append(found[2])
            places.append((x, y))
    return Residual(
        np.array(places, np.float64).reshape(-1, 2),
        np.array(shifts, np.float64).reshape(-1, 2),
        np.array(likeness, np.float64),
        len(places) + len(unmatched),
        grid.gsd_m,
        np.array(unmatched, np.float64).reshape(-1, 2),
    )


def shift(one: Grey, other: Grey, farthest_px: float = FARTHEST_PX) -> tuple[float, float, float] | None:
    """(east, south, likeness): where `other` shows the middle of `one`, in cells; None when no shift stands out.

    Both `(rows, cols)` float32, of one even shape. The likeness is the correlation of their detail after the shift. Kuglin & Hines
    1975; the whitened spectrum is weighted by a Gaussian, so that the peak is one too and its place between cells is exact.
    """
    first = _whitened_peak(one, other)
    if first is None or math.hypot(*first) > farthest_px:
        return None
    # Once more with the shift taken away: under its taper each picture then shows the same ground, and the rest is seen exactly.
    more = _whitened_peak(one, _laid(other, *first))
    east, south = (first[0] + more[0], first[1] + more[1]) if more is not None and math.hypot(*more) < 1 else first
    edge = min(one.shape) // 8
    alike = _correlation(one[edge:-edge, edge:-edge], _laid(other, east, south)[edge:-edge, edge:-edge])
    return (east, south, alike) if alike >= _LEAST_LIKENESS else None


def _laid(picture: Grey, east: float, south: float) -> Grey:
    """The picture moved back by a shift."""
    back = np.array([[1, 0, east], [0, 1, south]], np.float64)
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, back, picture.shape[1::-1], flags=how, borderMode=cv2.BORDER_REFLECT), np.float32)


def _whitened_peak(one: Grey, other: Grey) -> tuple[float, float] | None:
    """(east, south) of the one shift that stands out, None when none does."""
    rows, cols = one.shape
    taper = np.outer(np.hanning(rows), np.hanning(cols)).astype(np.float32)
    a, b = (np.fft.rfft2((v - cv2.GaussianBlur(v, (0, 0), 8.0)) * taper) for v in (one, other))
    cross = b * np.conj(a)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None, :])
    cross *= np.exp(-0.5 * (frequency / _BAND) ** 2) / np.maximum(np.abs(cross), 1e-9)
    peaks = np.fft.fftshift(np.fft.irfft2(cross, s=one.shape)).astype(np.float32)
    row, col = np.unravel_index(int(np.argmax(peaks)), peaks.shape)
    if not (0 < row < rows - 1 and 0 < col < cols - 1):
        return None
    south, east = (
        row - rows // 2 + _vertex(peaks[row - 1 : row + 2, col]),
        col - cols // 2 + _vertex(peaks[row, col - 1 : col + 2]),
    )
    top = float(peaks[row, col])
    peaks[max(0, row - 4) : row + 5, max(0, col - 4) : col + 5] = 0
    return (float(east), float(south)) if top >= _PROMINENCE * float(peaks.max()) else None


def _vertex(three: Grey) -> float:
    """Where between -0.5 and 0.5 a Gaussian through three values peaks."""
    low, middle, high = np.log(np.maximum(three, 1e-9)).tolist()
    bend = low - 2 * middle + high
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (low - high) / bend))


def grey(pixels: NDArray[np.uint8]) -> Grey:
    """Luminance `(rows, cols)` float32 of RGB or grey pixels."""
    single = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(single, np.float32)


def _contrast(values: Grey) -> float:
    return float((values - cv2.GaussianBlur(values, (0, 0), 3.0)).std())


def _correlation(a: Grey, b: Grey) -> float:
    a, b = (cv2.GaussianBlur(v, (0, 0), 1.0) - cv2.GaussianBlur(v, (0, 0), 8.0) for v in (a, b))  # detail, not shade
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
