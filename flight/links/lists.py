"""The mission protocol: lists of items to a vehicle and back, each answer checked, each silence counted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mav

from flight.errors import LinkError
from flight.links.session import Inbox, Session
from flight.mission import Cmd, Item

_TRIES = 5
_ANSWER_S = 1.5
_NO_SPACE = 4
_RESULTS = {
    1: "error",
    2: "its frame is not supported",
    3: "its command is not supported",
    4: "no space",
    5: "invalid",
    6: "parameter 1 is invalid",
    7: "parameter 2 is invalid",
    8: "parameter 3 is invalid",
    9: "parameter 4 is invalid",
    10: "its latitude is invalid",
    11: "its longitude is invalid",
    12: "its altitude is invalid",
    13: "items out of order",
    14: "denied",
    15: "cancelled",
}


class Kind(IntEnum):
    """MAV_MISSION_TYPE."""

    MISSION = 0
    FENCE = 1
    RALLY = 2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a vehicle whose storage is not ready yet is asked again."""

    storage_s: float = 10.0
    again_s: float = 0.5


class _Full(Exception):
    """The vehicle answered NO_SPACE before it took an item."""


def send_list(session: Session, kind: Kind, items: Sequence[Item], *, patience: Patience, note: Callable[[str], None]) -> None:
    """Give the vehicle a list; raises LinkError that names the item and the reason. NO_SPACE is tried again for a while."""
    session.require_fresh(f"upload of the {kind.name.lower()}")
    until = time.monotonic() + patience.storage_s
    while True:
        try:
            _send_once(session, kind, items)
        except _Full as full:
            if time.monotonic() >= until:
                raise LinkError(
                    f"the vehicle has no space for {len(items)} {kind.name.lower()} items; what it held before is untouched. "
                    "Split the flight into smaller sorties"
                ) from full
            note(f"no space for the {kind.name.lower()} yet (storage is not ready just after switching on): trying again")
            time.sleep(patience.again_s)
        else:
            return


def _send_once(session: Session, kind: Kind, items: Sequence[Item]) -> None:
    to = (session.system or 0, session.component)
    opening: Any = mav.MAVLink_mission_count_message(*to, len(items), int(kind))
    if not items:
        opening = mav.MAVLink_mission_clear_all_message(*to, int(kind))
    with session.talk, session.expect("MISSION_REQUEST", "MISSION_REQUEST_INT", "MISSION_ACK") as box:
        asked, silences = -1, 0
        session.send(opening)
        while True:
            answer = box.get(_ANSWER_S, lambda m: m.mission_type == kind)
            if answer is None:
                silences += 1
                if silences >= _TRIES and items and asked == len(items) - 1:
                    return  # the closing ACK is lost and never said twice: the read-back that follows decides
                if silences >= _TRIES:
                    where = f"after item {asked} of {len(items)}" if asked >= 0 else "to its announcement"
                    raise LinkError(f"{kind.name.lower()} upload: no answer {where} after {silences} tries")
                session.send(opening if asked < 0 else _wire(to, asked, items[asked], kind))
                continue
            silences = 0
            if answer.get_type() != "MISSION_ACK":
                if not 0 <= answer.seq < len(items):
                    raise LinkError(f"{kind.name.lower()} upload: the vehicle asks for item {answer.seq} of {len(items)}")
                asked = answer.seq
                session.send(_wire(to, asked, items[asked], kind))
                continue
            if answer.type == mav.MAV_MISSION_ACCEPTED and (not items or asked == len(items) - 1):
                return
            if answer.type == _NO_SPACE and asked < 0:
                raise _Full
            _refuse(kind, answer, asked, items)


def _refuse(kind: Kind, answer: Any, asked: int, items: Sequence[Item]) -> None:
    if answer.type == mav.MAV_MISSION_ACCEPTED:
        if asked < 0:
            return  # a late answer to an earlier conversation
        raise LinkError(f"{kind.name.lower()} upload: accepted after item {asked} of {len(items)}; it was not asked for the rest")
    why = _RESULTS.get(answer.type, f"result {answer.type}")
    what = f"item {asked} (command {items[asked].command})" if 0 <= asked < len(items) else "the announcement"
    raise LinkError(f"{kind.name.lower()} upload: {what} was refused: {why}")


def read_list(session: Session, kind: Kind) -> tuple[Item, ...]:
    """What the vehicle holds; raises LinkError when it does not answer."""
    session.require_fresh(f"read-back of the {kind.name.lower()}")
    to = (session.system or 0, session.component)
    with session.talk, session.expect("MISSION_COUNT", "MISSION_ITEM_INT", "MISSION_ACK") as box:
        opening = mav.MAVLink_mission_request_list_message(*to, int(kind))
        count = _ask(
            session, box, opening, lambda m: m.mission_type == kind and m.get_type() == "MISSION_COUNT", kind, "its count"
        )
        items: list[Item] = []
        for seq in range(count.count):
            request = mav.MAVLink_mission_request_int_message(*to, seq, int(kind))
            got = _ask(session, box, request, _item_wanted(kind, seq), kind, f"item {seq} of {count.count}")
            items.append(item_of(got))
        session.send(mav.MAVLink_mission_ack_message(*to, mav.MAV_MISSION_ACCEPTED, int(kind)))
    return tuple(items)


def _item_wanted(kind: Kind, seq: int) -> Callable[[Any], bool]:
    return lambda m: m.get_type() == "MISSION_ITEM_INT" and m.mission_type == kind and m.seq == seq


def _ask(session: Session, box: Inbox, request: Any, wanted: Callable[[Any], bool], kind: Kind, what: str) -> Any:
    for _ in range(_TRIES):
        session.send(request)
        got = box.get(_ANSWER_S, wanted)
        if got is not None:
            return got
    raise LinkError(f"read-back of the {kind.name.lower()}: the vehicle does not give {what} after {_TRIES} tries")


def _wire(to: tuple[int, int], seq: int, item: Item, kind: Kind) -> Any:
    x, y = ((0 if math.isnan(v) else round(v * 1e7)) for v in (item.lat_deg, item.lon_deg))
    z = 0.0 if math.isnan(item.altitude_m) else item.altitude_m
    return mav.MAVLink_mission_item_int_message(
        *to, seq, item.frame, item.command, 0, int(item.autocontinue), *item.params, x, y, z, int(kind)
    )


def item_of(m: Any) -> Item:
    """A MISSION_ITEM_INT as an Item; the `_INT` frames are the same as those without."""
    frame = {5: 0, 6: 3, 11: 10}.get(m.frame, m.frame)
    params = (m.param1, m.param2, m.param3, m.param4)
    return Item(m.command, frame, params, m.y / 1e7, m.x / 1e7, m.z, bool(m.autocontinue))


# Parameters that an autopilot keeps; it may give the others back as 0. Commands that are not named keep all four.
_KEPT: dict[int, tuple[int, ...]] = {
    Cmd.WAYPOINT: (0,),
    Cmd.TAKEOFF: (),
    Cmd.LAND: (),
    Cmd.RETURN_TO_LAUNCH: (),
    Cmd.LOITER_TURNS: (0, 2),
    Cmd.DO_SET_CAM_TRIGG_DIST: (0, 2),
    Cmd.DO_SET_ROI_LOCATION: (),
    Cmd.DO_MOUNT_CONTROL: (0, 1, 2),
    Cmd.DO_CHANGE_SPEED: (0, 1),
    Cmd.FENCE_POLYGON_INCLUSION: (0,),
    Cmd.FENCE_POLYGON_EXCLUSION: (0,),
    Cmd.FENCE_CIRCLE_INCLUSION: (0,),
    Cmd.FENCE_CIRCLE_EXCLUSION: (0,),
    Cmd.RALLY_POINT: (),
}
_PLACELESS_ALTITUDE = frozenset(
    {Cmd.FENCE_POLYGON_INCLUSION, Cmd.FENCE_POLYGON_EXCLUSION, Cmd.FENCE_CIRCLE_INCLUSION, Cmd.FENCE_CIRCLE_EXCLUSION}
)


def difference(sent: Sequence[Item], held: Sequence[Item]) -> str | None:
    """How what the vehicle holds differs from what was sent, in one sentence; None when the flight would be the same.

    Places must agree to 1e-7 degrees, altitudes to the centimetre an autopilot stores, parameters to float32.
    """
    if len(sent) != len(held):
        return f"{len(sent)} items were sent, {len(held)} came back"
    for index, (a, b) in enumerate(zip(sent, held, strict=True)):
        for name, left, right, room in _compared(a, b):
            one, two = (0.0 if math.isnan(v) else v for v in (left, right))
            if abs(one - two) > room:
                return f"item {index} (command {a.command}): {name} was sent as {left:.9g}, came back as {right:.9g}"
    return None


def _compared(a: Item, b: Item) -> list[tuple[str, float, float, float]]:
    rows = [
        ("command", float(a.command), float(b.command), 0.0),
        ("longitude", a.lon_deg, b.lon_deg, 4e-8),
        ("latitude", a.lat_deg, b.lat_deg, 4e-8),
    ]
    if a.place is not None and a.command not in _PLACELESS_ALTITUDE:
        rows.append(("frame", float(a.frame), float(b.frame), 0.0))
    if a.command not in _PLACELESS_ALTITUDE:
        rows.append(("altitude", a.altitude_m, b.altitude_m, 0.0051))
    rows += [
        (f"parameter {k + 1}", a.params[k], b.params[k], 1e-6 * max(1.0, abs(a.params[k])))
        for k in _KEPT.get(a.command, (0, 1, 2, 3))
    ]
    return rows
