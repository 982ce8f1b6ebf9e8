"""Made-up zones of a province: as many as a city's map of airspace may hold, each of some thirty corners, always the same."""

from __future__ import annotations

import numpy as np
from shapely.geometry import Polygon

from airspace.classes import ZoneClass
from airspace.zones import Zone, ZoneKind
from geo.heights import Datum, Height

CORNERS = 30
KINDS = (ZoneKind.CONTROLLED, ZoneKind.CONTROLLED, ZoneKind.RESTRICTED, ZoneKind.PROHIBITED, ZoneKind.SUITABLE)


def zones(count: int, seed: int = 1) -> tuple[Zone, ...]:
    """Star-shaped outlines of 50 to 1,500 m about places in 117–122 E, 30.5–35 N."""
    chance = np.random.default_rng(seed)
    made = []
    for number in range(count):
        lon, lat = chance.uniform(117, 122), chance.uniform(30.5, 35)
        reach = chance.uniform(50, 1500) / 111_195 * chance.uniform(0.6, 1.0, CORNERS)
        turn = np.sort(chance.uniform(0, 2 * np.pi, CORNERS) * 0.01 + np.linspace(0, 2 * np.pi, CORNERS, endpoint=False))
        ring = np.column_stack([lon + reach * np.cos(turn) / np.cos(np.radians(lat)), lat + reach * np.sin(turn)])
        kind = KINDS[number % len(KINDS)]
        made.append(
            Zone.single(
                f"Z{number:05d}",
                f"空域{number}",
                kind,
                Polygon(ring),
                ceiling=Height(float(chance.integers(60, 600)), Datum.GROUND),
                article_class=None if kind is ZoneKind.SUITABLE else ZoneClass.INFRASTRUCTURE,
                buffer_m=float(chance.integers(0, 3) * 50),
                authority="某市人民政府",
                synthetic=True,
            )
        )
    return tuple(made)
