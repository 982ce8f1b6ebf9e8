"""What an autopilot keeps of a mission, a fence and rally points, and the rules by which it takes them in.

Numbers of commands, frames and results are those of the MAVLink standard (common.xml); nothing here knows how they travel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Cmd(IntEnum):
    """Commands that this autopilot flies or carries out."""

    WAYPOINT = 16
    LOITER_UNLIM = 17
    LOITER_TURNS = 18
    LOITER_TIME = 19
    RTL = 20
    LAND = 21
    TAKEOFF = 22
    DELAY = 93
    CONDITION_DELAY = 112
    CONDITION_YAW = 115
    DO_JUMP = 177
    DO_CHANGE_SPEED = 178
    DO_SET_ROI_LOCATION = 195
    DO_SET_ROI_NONE = 197
    DO_SET_ROI = 201
    DO_DIGICAM_CONTROL = 203
    DO_MOUNT_CONTROL = 205
    DO_SET_CAM_TRIGG_DIST = 206
    SET_CAMERA_MODE = 530
    GIMBAL_PITCHYAW = 1000
    IMAGE_START_CAPTURE = 2000
    IMAGE_STOP_CAPTURE = 2001


class FenceCmd(IntEnum):
    """Items of a fence list."""

    RETURN_POINT = 5000
    POLYGON_INCLUSION = 5001
    POLYGON_EXCLUSION = 5002
    CIRCLE_INCLUSION = 5003
    CIRCLE_EXCLUSION = 5004


RALLY_POINT = 5100
NAV = frozenset(
    {
        Cmd.WAYPOINT,
        Cmd.LOITER_UNLIM,
        Cmd.LOITER_TURNS,
        Cmd.LOITER_TIME,
        Cmd.RTL,
        Cmd.LAND,
        Cmd.TAKEOFF,
        Cmd.DELAY,
        Cmd.CONDITION_DELAY,
    }
)
RELATIVE_FRAMES, ABSOLUTE_FRAMES, BARE_FRAMES = frozenset({3, 6}), frozenset({0, 5}), frozenset({2})


class Result(IntEnum):
    """MAV_MISSION_RESULT."""

    ACCEPTED = 0
    ERROR = 1
    UNSUPPORTED_FRAME = 2
    UNSUPPORTED = 3
    NO_SPACE = 4
    INVALID = 5
    INVALID_PARAM1 = 6
    INVALID_X = 10
    INVALID_Y = 11
    INVALID_Z = 12
    INVALID_SEQUENCE = 13
    DENIED = 14


@dataclass(frozen=True, slots=True)
class Stored:
    """One item as the wire has it: x and y are latitude and longitude in 1e-7 degrees, z metres in the item's frame."""

    command: int
    frame: int
    params: tuple[float, float, float, float]
    x: int
    y: int
    z: float
    autocontinue: int = 1


class Kind(IntEnum):
    """MAV_MISSION_TYPE."""

    MISSION = 0
    FENCE = 1
    RALLY = 2


_KNOWN: dict[Kind, frozenset[int]] = {
    Kind.MISSION: frozenset(int(c) for c in Cmd),
    Kind.FENCE: frozenset(int(c) for c in FenceCmd),
    Kind.RALLY: frozenset({RALLY_POINT}),
}


def refusal(kind: Kind, seq: int, item: Stored) -> Result:
    """ACCEPTED, or why this item cannot be kept."""
    if kind is Kind.MISSION and seq == 0:
        return Result.ACCEPTED  # home: the autopilot writes its own
    if item.command not in _KNOWN[kind]:
        return Result.UNSUPPORTED
    if item.frame not in RELATIVE_FRAMES | ABSOLUTE_FRAMES | BARE_FRAMES:
        return Result.UNSUPPORTED_FRAME
    if not -900_000_000 <= item.x <= 900_000_000:
        return Result.INVALID_X
    if not -1_800_000_000 <= item.y <= 1_800_000_000:
        return Result.INVALID_Y
    if not math.isfinite(item.z):
        return Result.INVALID_Z
    if kind is Kind.FENCE and item.params[0] <= 0 and item.command != FenceCmd.RETURN_POINT:
        return Result.INVALID_PARAM1
    return Result.ACCEPTED


@dataclass(slots=True)
class Incoming:
    """An upload under way: nothing of it counts before its last item is in."""

    kind: Kind
    count: int
    items: list[Stored] = field(default_factory=list)
    asked_at: float = 0.0
    asks: int = 0


@dataclass(slots=True)
class Store:
    """The three lists and how much each may hold."""

    capacity: dict[Kind, int]
    lists: dict[Kind, tuple[Stored, ...]] = field(default_factory=lambda: dict.fromkeys(Kind, ()))

    def begin(self, kind: Kind, count: int) -> Incoming | Result:
        """Open an upload, or refuse it with everything kept as it was."""
        return Result.NO_SPACE if count > self.capacity[kind] else Incoming(kind, count)

    def take(self, incoming: Incoming, seq: int, item: Stored) -> Result | None:
        """Add the next item; None while more are expected, ACCEPTED once the new list stands."""
        if seq != len(incoming.items):
            return None if seq < len(incoming.items) else Result.INVALID_SEQUENCE
        why = refusal(incoming.kind, seq, item)
        if why is not Result.ACCEPTED:
            return why
        incoming.items.append(item)
        if len(incoming.items) < incoming.count:
            return None
        if incoming.kind is Kind.FENCE and not rings_whole(incoming.items):
            return Result.INVALID
        self.lists[incoming.kind] = tuple(incoming.items)
        return Result.ACCEPTED


_RINGS = (FenceCmd.POLYGON_INCLUSION, FenceCmd.POLYGON_EXCLUSION)


def rings_whole(items: Sequence[Stored]) -> bool:
    """Whether every polygon of a fence has as many vertices (three or more) as each of them says."""
    seq = 0
    while seq < len(items):
        if items[seq].command not in _RINGS:
            seq += 1
            continue
        count = int(items[seq].params[0])
        ring = items[seq : seq + count]
        if count < 3 or len(ring) < count or any((i.command, i.params[0]) != (items[seq].command, count) for i in ring):
            return False
        seq += count
    return True
