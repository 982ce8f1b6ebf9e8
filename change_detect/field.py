"""A smooth field over an area: a low polynomial that ignores outliers, plus a gentle lattice of what it leaves.

Registration residuals and height offsets between two surveys are smooth (tilt, doming, a lens that warmed up); what is built is
not. So a field is fitted to many local samples, most of which are trusted and some of which are wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from change_detect.raster import Metres
from geo.frames import Floats
from geo.grid import Grid, Window

TUKEY = 4.685
"""Tukey's biweight at 95 % efficiency for normal errors."""


@dataclass(frozen=True, slots=True)
class Field:
    """`value = polynomial(u, v) + lattice(u, v)` with u, v in -1..1 over the grid (u east, v south).

    `coefficients` belong to the terms 1, u, v, u², uv, v² (shorter tuples stop earlier). `lattice` is `(n, m)` values at equal
    steps from corner to corner, or None.
    """

    coefficients: tuple[float, ...]
    lattice: tuple[tuple[float, ...], ...] | None = None

    def at(self, grid: Grid, window: Window) -> Metres:
        """The field over the cells of a window, float32 `(rows, cols)`."""
        u = (2.0 * (window.col + np.arange(window.cols) + 0.5) / grid.cols - 1.0)[None, :]
        v = (2.0 * (window.row + np.arange(window.rows) + 0.5) / grid.rows - 1.0)[:, None]
        c = (*self.coefficients, *(0.0,) * (len(POWERS) - len(self.coefficients)))
        # column by row: only the last three steps touch every cell
        out = (c[1] + c[4] * v) * u
        out += c[0] + c[2] * v + c[5] * v**2
        out += c[3] * u**2
        values: Metres = out.astype(np.float32)
        if self.lattice is not None:
            knots = np.asarray(self.lattice, np.float32)
            n, m = knots.shape
            mx = np.broadcast_to(((u + 1.0) * 0.5 * (m - 1)).astype(np.float32), out.shape)
            my = np.broadcast_to(((v + 1.0) * 0.5 * (n - 1)).astype(np.float32), out.shape)
            values += cv2.remap(
                knots, np.ascontiguousarray(mx), np.ascontiguousarray(my), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        return values

    def points(self, uv: Floats) -> Floats:
        """The polynomial part at `(n, 2)` places u, v."""
        return np.asarray(design(uv, len(self.coefficients)) @ np.asarray(self.coefficients))

    @property
    def largest(self) -> float:
        """A bound on the magnitude anywhere."""
        knots = 0.0 if self.lattice is None else float(np.abs(np.asarray(self.lattice)).max())
        return float(np.abs(self.coefficients).sum()) + knots


POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))


def design(uv: Floats, terms: int) -> Floats:
    """The columns 1, u, v, u², uv, v² at `(n, 2)` places."""
    return np.column_stack([uv[:, 0] ** i * uv[:, 1] ** j for i, j in POWERS[:terms]])


def nmad(values: Floats) -> float:
    """Robust standard deviation: 1.4826 times the median distance from the median."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else math.nan


def fit(uv: Floats, values: Floats, weights: Floats, *, floor: float, rounds: int = 12) -> tuple[Field, Floats]:
    """The polynomial by iteratively reweighted least squares, and the final weights `(n,)` (0 = outlier).

    The order follows the number of samples: constant below 8, plane below 40, quadratic above. `floor` is the smallest spread
    believed in, in the unit of the values.
    """
    terms = 1 if len(values) < 8 else 3 if len(values) < 40 else 6
    a = design(uv, terms)
    coefficients: Floats = np.zeros(terms)
    coefficients[0] = np.median(values)
    w: Floats = weights
    for _ in range(rounds):
        left = values - a @ coefficients
        scale = max(nmad(left), floor)
        w = np.asarray(weights, np.float64) * np.clip(1.0 - (left / (TUKEY * scale)) ** 2, 0.0, None) ** 2
        if np.count_nonzero(w) < 2 * terms:
            break
        root = np.sqrt(w)
        # a little ridge on the bent terms: few samples must not bend the field far
        ridge = np.diag([0.0, *([1e-3 * w.sum()] * (terms - 1))]) if terms > 1 else np.zeros((1, 1))
        normal = (a * w[:, None]).T @ a + ridge * 1e-2
        coefficients = np.asarray(np.linalg.solve(normal, (a * root[:, None]).T @ (values * root)), np.float64)
    return Field(tuple(float(c) for c in coefficients)), w


def with_lattice(field: Field, uv: Floats, values: Floats, weights: Floats, grid: Grid, step_m: float) -> Field:
    """The field with a Gaussian-smoothed lattice of what the polynomial leaves (`step_m` between knots, sigma one step)."""
    width, height = grid.cols * grid.gsd_m, grid.rows * grid.gsd_m
    m, n = (max(2, min(64, 1 + round(side / step_m))) for side in (width, height))
    if np.count_nonzero(weights) < 12 or m * n < 9:
        return field
    left = values - field.points(uv)
    x, y = (uv[:, 0] + 1) * 0.5 * width, (uv[:, 1] + 1) * 0.5 * height
    kx, ky = np.linspace(0, width, m), np.linspace(0, height, n)
    near = np.exp(-0.5 * ((kx[None, :, None] - x) ** 2 + (ky[:, None, None] - y) ** 2) / step_m**2) * weights
    # one whole sample of doubt pulls lonely knots back to the polynomial
    knots = (near * left).sum(-1) / (near.sum(-1) + 1.0 * np.median(weights[weights > 0]))
    return Field(field.coefficients, tuple(tuple(float(k) for k in row) for row in knots))
