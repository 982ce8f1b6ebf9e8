"""The smooth map between a block's own shape and the ground of the reference it must lie on.

Two blocks of one place are bent differently by what their lenses leave unsaid: centimetres to decimetres over a hundred metres, and
as smooth as a cubic. A later survey keeps its own, truer shape inside; this map lays it onto the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from geo.frames import Floats

_ROUNDS = 8
_BORDER = 1.05  # of the reach: beyond the points the plan is held at its border, a cubic would run away


@dataclass(frozen=True, eq=False)
class Bend:
    """Own shape to reference: `p + u(p)`, u cubic in plan and linear in height.

    `middle` `(3,)` metres and `reach_m` make the coordinates dimensionless; `forth` and `back` `(11, 3)` metres are the terms of u and
    of the way back; `left_m` the median distance that the map leaves between the points it was fitted to.
    """

    middle: Floats
    reach_m: float
    forth: Floats
    back: Floats
    left_m: float

    def onto(self, points: Floats) -> Floats:
        """Points `(n, 3)` of the block's own shape, on the reference's ground."""
        return np.asarray(points + self._powers(points) @ self.forth, np.float64)

    def off(self, points: Floats) -> Floats:
        """Points `(n, 3)` of the reference's ground, in the block's own shape."""
        return np.asarray(points + self._powers(points) @ self.back, np.float64)

    def numbers(self, offset_m: tuple[float, float, float], *, back: bool) -> Floats:
        """The map as the numbers `(37,)` that `bent` takes, for places in metres minus `offset_m`."""
        terms = self.back if back else self.forth
        return np.array([*(self.middle - np.array(offset_m)), self.reach_m, *terms.ravel()])

    @cached_property
    def most_m(self) -> float:
        """How far it moves any point within its reach, about."""
        line = np.linspace(-1.0, 1.0, 9) * self.reach_m
        x, y = np.meshgrid(line, line)
        here = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]) + self.middle
        return float(np.linalg.norm(self.onto(here) - here, axis=1).max())

    def record(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "middle": self.middle.tolist(),
            "reach_m": self.reach_m,
            "forth": self.forth.tolist(),
            "back": self.back.tolist(),
            "left_m": self.left_m,
        }

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> Bend:
        """What `record` gave."""
        middle, forth, back = (np.array(record[k]) for k in ("middle", "forth", "back"))
        return Bend(middle, record["reach_m"], forth, back, record["left_m"])

    def _powers(self, points: Floats) -> Floats:
        q = (points - self.middle) / self.reach_m
        x, y, z = np.clip(q[:, 0], -_BORDER, _BORDER), np.clip(q[:, 1], -_BORDER, _BORDER), q[:, 2]
        return np.column_stack([np.ones(len(q)), x, y, z, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3])


def fitted(own: Floats, reference: Floats) -> Bend:
    """The bend that brings points `(n, 3)` of a block's own shape onto the same points of the reference, wild ones held back.

    Iteratively reweighted least squares (Huber's weights on the distance).
    """
    middle = np.median(own, axis=0)
    reach = float(np.percentile(np.abs(own[:, :2] - middle[:2]).max(axis=1), 99.5))
    nothing = np.zeros((11, 3))
    powers = Bend(middle, reach, nothing, nothing, 0.0)._powers(own)
    apart = reference - own
    weight = np.ones(len(own))
    for _ in range(_ROUNDS):
        forth = _solved(powers, apart, weight)
        error = np.linalg.norm(apart - powers @ forth, axis=1)
        weight = 1.0 / np.maximum(1.0, error / max(1e-3, float(np.median(error))))
    there = own + powers @ forth
    back = _solved(Bend(middle, reach, nothing, nothing, 0.0)._powers(there), own - there, np.ones(len(own)))
    return Bend(middle, reach, forth, back, float(np.median(error)))


def _solved(powers: Floats, apart: Floats, weight: Floats) -> Floats:
    normal = powers.T @ (powers * weight[:, None]) + 1e-6 * np.eye(powers.shape[1])
    return np.asarray(np.linalg.solve(normal, powers.T @ (apart * weight[:, None])), np.float64)


@njit(cache=True, inline="always")
def bent(n: Floats, at: int, px: float, py: float, pz: float) -> tuple[float, float, float]:
    """One place moved by the map whose numbers begin at `n[at]`."""
    x, y, z = (px - n[at]) / n[at + 3], (py - n[at + 1]) / n[at + 3], (pz - n[at + 2]) / n[at + 3]
    x, y = min(max(x, -1.05), 1.05), min(max(y, -1.05), 1.05)
    xx, xy, yy = x * x, x * y, y * y
    powers = (1.0, x, y, z, xx, xy, yy, xx * x, xx * y, x * yy, yy * y)
    for k in range(11):
        t = at + 4 + 3 * k
        px += powers[k] * n[t]
        py += powers[k] * n[t + 1]
        pz += powers[k] * n[t + 2]
    return px, py, pz
