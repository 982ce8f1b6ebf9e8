"""Whether two surfaces speak of the same metre: the same ground has the same relief, and one in feet or centimetres has a multiple of it.

Heights themselves may differ by any datum; so only how far cells lie above or below the middle of their own tile is compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from change_detect.errors import AlignError
from change_detect.raster import Metres
from geo.frames import Floats

FEWEST = 200
ALIKE = 0.8
"""Correlation of the two reliefs above which their scale means something; level fields, where noise is all, stay below."""
NEAR = 0.12
"""Logarithm by which a ratio may miss a unit's own: works between two dates hardly move the median of it by a tenth."""
ODD = math.log(1.7)
_UNITS: tuple[tuple[float, str, str], ...] = (
    (3.2808, "英尺", "feet"),
    (100.0, "厘米", "centimetres"),
    (1000.0, "毫米", "millimetres"),
    (10.0, "分米", "decimetres"),
)


def relief(before: Metres, after: Metres) -> Floats:
    """`(n, 2)` heights of a few hundred cells of one tile over its own median, on both dates; cells unknown on either left out."""
    step = max(1, min(before.shape) // 24)
    a, b = before[::step, ::step].ravel(), after[::step, ::step].ravel()
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 20:
        return np.empty((0, 2))
    a, b = a[known].astype(np.float64), b[known].astype(np.float64)
    return np.column_stack([a - np.median(a), b - np.median(b)])


def ratio(samples: Sequence[Floats]) -> float | None:
    """How many times the relief before the relief after is; None where the two are too few or too little alike to say."""
    both = np.concatenate(samples) if samples else np.empty((0, 2))
    if len(both) < FEWEST:
        return None
    limits = np.percentile(np.abs(both), 98, axis=0)
    if (limits <= 0).any():
        return None
    clipped = np.clip(both, -limits, limits)
    if float(np.asarray(np.corrcoef(clipped.T))[0, 1]) < ALIKE:
        return None
    a, b = both[(np.abs(both[:, 0]) > np.percentile(np.abs(both[:, 0]), 70)) & (both[:, 0] * both[:, 1] > 0)].T
    return float(np.exp(np.median(np.log(b / a)))) if len(a) >= FEWEST // 10 else None


def check(samples: Sequence[Floats], before: str, after: str) -> None:
    """Raises AlignError when one of two surfaces, by their files' names, is not in metres."""
    found = ratio(samples)
    if found is None or abs(math.log(found)) < ODD:
        return
    larger, times = (after, found) if found > 1 else (before, 1 / found)
    unit = next(((zh, en) for size, zh, en in _UNITS if abs(math.log(times / size)) < NEAR), None)
    guess_zh, guess_en = (
        (f"，很可能以{unit[0]}为单位", f", most likely in {unit[1]}") if unit else ("，单位不是米", ", not in metres")
    )
    raise AlignError(
        f"地表 {larger} 的高低起伏是另一期的 {times:.1f} 倍{guess_zh}：请换算成米后重新入库，或不带地表、仅比对影像 / "
        f"surface {larger}: its relief is {times:.1f} times that of the other date{guess_en}: bring it in again in metres, or without a "
        "surface to compare the orthos alone"
    )
