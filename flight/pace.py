"""How long flying takes: straight legs, corners, climb and landing, fitted to flights of a real autopilot.

ArduCopter 4.6.2 with default parameters flew six lines of 400 m, 40 m apart (2,600 m, ten right-angled corners) in 527.8 s at 5 m/s,
348.4 s at 8 and 293.4 s at 10; length over speed alone says 520, 325 and 260.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from flight.routes import length_m
from geo.frames import XY

_CORNER_SPEEDS = (0.0, 5.0, 8.0, 10.0)
_CORNER_COSTS = (0.0, 0.8, 2.3, 3.3)  # seconds lost at a right angle
_CLIMB_M_S = 2.5  # WPNAV_SPEED_UP
_SINK_M_S = 1.5  # WPNAV_SPEED_DN
_FINAL_M_S = 0.5  # LAND_SPEED, below LAND_ALT_LOW
_FINAL_M = 10.0
# Arming, spin-up, the stop over home, disarming. An estimate, not a measurement: the real flights took 140 s at 60 m for all but the
# lines, of which 77 s are climb and descent and some 27 s are taken here for ways whose length was not written down.
_HANDLING_S = 35.0


def corner_s(speed_m_s: float, turn_deg: float) -> float:
    """Seconds lost by slowing down for a turn: 90 degrees costs what was measured, others by the change of velocity squared."""
    if speed_m_s <= _CORNER_SPEEDS[-1]:
        right_angle = float(np.interp(speed_m_s, _CORNER_SPEEDS, _CORNER_COSTS))
    else:
        right_angle = _CORNER_COSTS[-1] + 0.5 * (speed_m_s - _CORNER_SPEEDS[-1])
    return right_angle * (1.0 - math.cos(math.radians(turn_deg)))


def way_s(way: Sequence[XY], speed_m_s: float) -> float:
    """Seconds along a way of straight legs, corners included."""
    corners = sum(corner_s(speed_m_s, turn_deg(a, b, c)) for a, b, c in zip(way, way[1:], way[2:], strict=False))
    return length_m(way) / speed_m_s + corners


def vertical_s(height_m: float) -> float:
    """Seconds for take-off, climb, descent and landing, handling included; the ways there and back are not in it."""
    final = min(height_m, _FINAL_M)
    return height_m / _CLIMB_M_S + (height_m - final) / _SINK_M_S + final / _FINAL_M_S + _HANDLING_S


def turn_deg(before: XY, corner: XY, after: XY) -> float:
    """Change of course at a corner, 0 straight on to 180 back; 0 where two of the places are the same."""
    ax, ay = corner.x_m - before.x_m, corner.y_m - before.y_m
    bx, by = after.x_m - corner.x_m, after.y_m - corner.y_m
    if (ax == 0 and ay == 0) or (bx == 0 and by == 0):
        return 0.0
    return abs(math.degrees(math.atan2(ax * by - ay * bx, ax * bx + ay * by)))
