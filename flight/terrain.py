"""Ground heights: a callable, and what follows from it for a line flown at one height above the ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geo.frames import XY

Ground = Callable[[float, float], float]
"""`ground(x_m, y_m)`: height of the ground in metres over any one datum, at a place of the area's frame."""

NO_TERRAIN = "no terrain data: heights count from the take-off place as if the ground were flat (无地形数据，按平地计算)"


def flat(x_m: float, y_m: float) -> float:
    """Ground where nothing is known of it; a plan that uses it carries the note NO_TERRAIN."""
    return 0.0


def profile(
    start: XY, end: XY, ground: Ground, *, tolerance_m: float = 3.0, step_m: float = 20.0
) -> tuple[tuple[XY, float], ...]:
    """Places along a leg with the ground below them, as few as keep the ground within the tolerance of the straight line between."""
    count = max(2, int(np.hypot(end.x_m - start.x_m, end.y_m - start.y_m) / step_m) + 2)
    along = np.linspace(0.0, 1.0, count)
    xs = start.x_m + along * (end.x_m - start.x_m)
    ys = start.y_m + along * (end.y_m - start.y_m)
    heights = np.array([ground(float(x), float(y)) for x, y in zip(xs, ys, strict=True)])
    keep = {0, count - 1}
    todo = [(0, count - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        inner = np.arange(first + 1, last)
        straight = np.interp(inner, [first, last], [heights[first], heights[last]])
        worst = int(np.argmax(np.abs(heights[inner] - straight)))
        if abs(heights[inner[worst]] - straight[worst]) > tolerance_m:
            keep.add(int(inner[worst]))
            todo += [(first, int(inner[worst])), (int(inner[worst]), last)]
    inside = [(XY(float(xs[i]), float(ys[i])), float(heights[i])) for i in sorted(keep - {0, count - 1})]
    return ((start, float(heights[0])), *inside, (end, float(heights[-1])))
