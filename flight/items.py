"""Mission items, fence areas and rally points: what a vehicle is given, piece by piece.

Positions are kept on the 1e-7 degree grid that MISSION_ITEM_INT carries: what comes back from a vehicle equals what was sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flight.errors import PlanningError
from geo.frames import LonLat


class Cmd(IntEnum):
    """The MAV_CMD numbers this product writes (MAVLink common.xml)."""

    WAYPOINT = 16
    LOITER_TURNS = 18
    RETURN_TO_LAUNCH = 20
    LAND = 21
    TAKEOFF = 22
    DELAY = 93
    CONDITION_YAW = 115
    DO_CHANGE_SPEED = 178
    DO_SET_ROI_LOCATION = 195
    DO_SET_ROI_NONE = 197
    DO_MOUNT_CONTROL = 205
    DO_SET_CAM_TRIGG_DIST = 206
    DO_GIMBAL_MANAGER_PITCHYAW = 1000
    IMAGE_START_CAPTURE = 2000
    IMAGE_STOP_CAPTURE = 2001
    FENCE_POLYGON_INCLUSION = 5001
    FENCE_POLYGON_EXCLUSION = 5002
    FENCE_CIRCLE_INCLUSION = 5003
    FENCE_CIRCLE_EXCLUSION = 5004
    RALLY_POINT = 5100


class ItemFrame(IntEnum):
    """The MAV_FRAME numbers this product writes."""

    GLOBAL = 0  # altitude above mean sea level
    MISSION = 2  # a command without a place
    RELATIVE = 3  # altitude over take-off
    TERRAIN = 10  # altitude over the autopilot's own terrain data


# Commands whose lon/lat are a place to fly to: the legs of a mission run between these.
FLOWN = frozenset({Cmd.WAYPOINT, Cmd.LOITER_TURNS, Cmd.LAND, Cmd.TAKEOFF, 17, 19, 31, 82})


def _grid(deg: float) -> float:
    return deg if math.isnan(deg) else round(deg, 7) + 0.0  # + 0.0 turns -0.0 into 0.0: a vehicle's integers know no sign of zero


def _one_nan(value: float) -> float:
    return math.nan if math.isnan(value) else float(value)  # one NaN object, so that equal items compare equal


def _wire(value: float) -> str:
    return repr(float(np.float32(value)))  # vehicles keep params and altitudes as float32


@dataclass(frozen=True, slots=True)
class Item:
    """One MISSION_ITEM_INT: command, frame, params 1-4 (NaN = the autopilot's default), place in degrees, altitude in metres."""

    command: int
    frame: int = ItemFrame.RELATIVE
    params: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    lon_deg: float = 0.0
    lat_deg: float = 0.0
    altitude_m: float = 0.0
    autocontinue: bool = True

    def __post_init__(self) -> None:
        if len(self.params) != 4:
            raise PlanningError(f"a mission item has four parameters, not {len(self.params)} (command {int(self.command)})")
        object.__setattr__(self, "command", int(self.command))
        object.__setattr__(self, "frame", int(self.frame))
        object.__setattr__(self, "params", tuple(_one_nan(p) for p in self.params))
        object.__setattr__(self, "lon_deg", _one_nan(_grid(self.lon_deg)))
        object.__setattr__(self, "lat_deg", _one_nan(_grid(self.lat_deg)))
        object.__setattr__(self, "altitude_m", _one_nan(self.altitude_m))

    @property
    def place(self) -> LonLat | None:
        """Where this item flies to; None for a command that goes nowhere (or a take-off on the spot, at 0, 0)."""
        if self.command not in FLOWN or (self.lon_deg == 0.0 and self.lat_deg == 0.0) or math.isnan(self.lon_deg):
            return None
        return LonLat(lon_deg=self.lon_deg, lat_deg=self.lat_deg)

    @property
    def wire(self) -> str:
        """The item as a vehicle keeps it (1e-7 degrees, float32): the text that is hashed and compared after a read-back."""
        numbers = [_wire(p) for p in self.params]
        x, y = (("nan" if math.isnan(v) else str(round(v * 1e7))) for v in (self.lon_deg, self.lat_deg))
        return f"{self.command} {self.frame} {' '.join(numbers)} {x} {y} {_wire(self.altitude_m)} {int(self.autocontinue)}"


@dataclass(frozen=True, slots=True)
class FenceArea:
    """One fence: an open ring of corners, or a circle (then `ring` is empty). Inclusion keeps in, exclusion keeps out."""

    inclusion: bool
    ring: tuple[LonLat, ...] = ()
    centre: LonLat | None = None
    radius_m: float = 0.0

    def __post_init__(self) -> None:
        ring = tuple(on_grid(p) for p in self.ring)
        if len(ring) > 1 and ring[0] == ring[-1]:
            ring = ring[:-1]  # rings are open on the wire: a doubled corner is refused
        object.__setattr__(self, "ring", ring)
        if self.centre is None and len(ring) < 3:
            raise PlanningError(f"a fence polygon needs three corners, not {len(ring)}")
        if self.centre is not None and (ring or not self.radius_m > 0):
            raise PlanningError(f"a fence circle has a centre and a radius above 0 m (here {self.radius_m} m) and no corners")
        if self.centre is not None:
            object.__setattr__(self, "centre", on_grid(self.centre))

    @property
    def items(self) -> tuple[Item, ...]:
        """As fence items: 5001/5002 with the corner count in param 1, 5003/5004 with the radius."""
        if self.centre is not None:
            command = Cmd.FENCE_CIRCLE_INCLUSION if self.inclusion else Cmd.FENCE_CIRCLE_EXCLUSION
            return (Item(command, ItemFrame.GLOBAL, (self.radius_m, 0, 0, 0), self.centre.lon_deg, self.centre.lat_deg),)
        command = Cmd.FENCE_POLYGON_INCLUSION if self.inclusion else Cmd.FENCE_POLYGON_EXCLUSION
        count = float(len(self.ring))
        return tuple(Item(command, ItemFrame.GLOBAL, (count, 0, 0, 0), p.lon_deg, p.lat_deg) for p in self.ring)


@dataclass(frozen=True, slots=True)
class RallyPoint:
    """A place to return to other than home; altitude in metres over take-off."""

    place: LonLat
    altitude_m: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", on_grid(self.place))

    @property
    def item(self) -> Item:
        """As a rally item (5100)."""
        return Item(Cmd.RALLY_POINT, ItemFrame.RELATIVE, (0, 0, 0, 0), self.place.lon_deg, self.place.lat_deg, self.altitude_m)


def fence_from_items(items: Iterable[Item]) -> tuple[FenceArea, ...]:
    """Fence items, as a vehicle or a file gives them, to areas; raises PlanningError where the corner counts do not add up."""
    areas: list[FenceArea] = []
    ring: list[LonLat] = []
    wanted, kind = 0, 0
    for index, item in enumerate(items):
        place = LonLat(lon_deg=item.lon_deg, lat_deg=item.lat_deg)
        if item.command in (Cmd.FENCE_CIRCLE_INCLUSION, Cmd.FENCE_CIRCLE_EXCLUSION) and not ring:
            areas.append(FenceArea(item.command == Cmd.FENCE_CIRCLE_INCLUSION, (), place, item.params[0]))
            continue
        if not ring:
            wanted, kind = int(item.params[0]), item.command
        corner = item.command in (Cmd.FENCE_POLYGON_INCLUSION, Cmd.FENCE_POLYGON_EXCLUSION)
        if not corner or item.command != kind or int(item.params[0]) != wanted:
            raise PlanningError(f"fence item {index}: command {item.command}, {item.params[0]:g} corners, in a ring of {wanted}")
        ring.append(place)
        if len(ring) == wanted:
            areas.append(FenceArea(kind == Cmd.FENCE_POLYGON_INCLUSION, tuple(ring)))
            ring = []
    if ring:
        raise PlanningError(f"the last fence polygon has {len(ring)} of its {wanted} corners")
    return tuple(areas)


def on_grid(place: LonLat) -> LonLat:
    """The place as a vehicle keeps it, to 1e-7 degrees (about 1 cm)."""
    return LonLat(lon_deg=_grid(place.lon_deg), lat_deg=_grid(place.lat_deg))
