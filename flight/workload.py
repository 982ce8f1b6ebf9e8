"""How much flying an area is: batteries and seconds, before any line is laid, for the calendar."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import shapely

from flight.errors import PlanningError
from flight.fleet import Aircraft
from flight.pace import corner_s, vertical_s
from geo.area import Area

OVERLAP_FORWARD, OVERLAP_SIDE = 0.8, 0.7
_LEAST_USEFUL_S = 60.0


@dataclass(frozen=True, slots=True)
class Workload:
    """Batteries needed, and seconds in the air over all of them."""

    batteries: int
    flight_s: float


Estimate = Callable[[Area, Aircraft], Workload]


def estimate(area: Area, aircraft: Aircraft) -> Workload:
    """Rows over the area's smallest rectangle, their turns, and take-off, ways and landing once per battery.

    Raises PlanningError when the area lies too far from where the aircraft starts.
    """
    outline = area.outline_m
    height_m = aircraft.camera.height_for_gsd_m(area.gsd_m)
    across, along = aircraft.camera.footprint_m(height_m)
    spacing = across * (1.0 - OVERLAP_SIDE)
    speed = min(aircraft.cruise_m_s, along * (1.0 - OVERLAP_FORWARD) / aircraft.photo_interval_s)
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(outline))
    width = min(math.dist(corners[0], corners[1]), math.dist(corners[1], corners[2]))
    rows = max(1, math.ceil(width / spacing))
    flying = (outline.area / spacing + (rows - 1) * spacing) / speed + rows * 2.0 * corner_s(speed, 90.0)
    each = vertical_s(height_m) + 2.0 * way_m(area, aircraft) / speed
    useful = aircraft.usable_s - each
    if useful < _LEAST_USEFUL_S:
        raise PlanningError(
            f"{aircraft.name} cannot work in {area.name}: the way there and back with take-off and landing takes {each:.0f} of its {aircraft.usable_s:.0f} s"
        )
    batteries = max(1, math.ceil(flying / useful))
    return Workload(batteries, flying + batteries * each)


def way_m(area: Area, aircraft: Aircraft) -> float:
    """From where the aircraft starts to the middle of the area; a mobile one starts beside it."""
    if aircraft.mobile:
        return math.sqrt(area.area_m2) / 2.0
    home, centre = area.frame.xy(aircraft.home), area.frame.xy(area.centre)
    return math.hypot(home.x_m - centre.x_m, home.y_m - centre.y_m)
