"""QGroundControl `.plan` (top version 1, mission 2, geoFence 2, rallyPoints 2), written as simple items and read back.

Name, version and hash of the mission stand in the file under `dronePatrol`, which other programs pass over; a file whose items no longer
match that hash is refused. Of other programs' files, simple items and the items inside a Survey are read: only those are flown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from flight.errors import FormatError, PlanningError
from flight.fleet import LIMITS, Autopilot
from flight.items import FLOWN, FenceArea, Item, ItemFrame, RallyPoint
from flight.mission import Mission
from geo.errors import GeoError
from geo.frames import LonLat

_ALTITUDE_MODES = {ItemFrame.GLOBAL: 2, ItemFrame.RELATIVE: 1, ItemFrame.TERRAIN: 4}
_COPTER = 2  # MAV_TYPE_QUADROTOR
_LABELS = "dronePatrol"


def write(mission: Mission, autopilot: Autopilot = Autopilot.ARDUPILOT) -> str:
    """The mission as the text of a `.plan` file."""
    plan = {
        "fileType": "Plan",
        "version": 1,
        "groundStation": "QGroundControl",
        _LABELS: {
            "name": mission.name,
            "version": mission.version,
            "sha256": mission.sha256,
            "notes": list(mission.notes),
        },
        "mission": {
            "version": 2,
            "firmwareType": LIMITS[autopilot].firmware_type,
            "vehicleType": _COPTER,
            "cruiseSpeed": mission.cruise_speed_m_s,
            "hoverSpeed": mission.cruise_speed_m_s,
            "globalPlanAltitudeMode": 1,
            "plannedHomePosition": [mission.home.lat_deg, mission.home.lon_deg, mission.home_altitude_m],
            "items": [_simple(item, number) for number, item in enumerate(mission.items, start=1)],
        },
        "geoFence": {
            "version": 2,
            "polygons": [_polygon(area) for area in mission.fence if area.centre is None],
            "circles": [_circle(area, area.centre) for area in mission.fence if area.centre is not None],
        },
        "rallyPoints": {
            "version": 2,
            "points": [[p.place.lat_deg, p.place.lon_deg, p.altitude_m] for p in mission.rally],
        },
    }
    return json.dumps(plan, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def read(text: str) -> Mission:
    """The mission in a `.plan` file. Polygons of the fence come before its circles. Raises FormatError naming the place in the file."""
    try:
        plan = json.loads(text)
    except json.JSONDecodeError as err:
        raise FormatError(f"not a .plan file: line {err.lineno}, column {err.colno}: {err.msg}") from err
    if not isinstance(plan, dict) or plan.get("fileType") != "Plan":
        raise FormatError('not a .plan file: "fileType" is not "Plan"')
    for part in ("mission", "geoFence", "rallyPoints"):
        if not isinstance(plan.get(part), dict):
            raise FormatError(f"the .plan file has no {part!r}: all three parts are needed")
    try:
        return _mission(plan)
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise FormatError(f"the .plan file is not complete: {type(err).__name__}: {err}") from err
    except PlanningError as err:
        raise FormatError(f"the .plan file holds what cannot be flown: {err}") from err


def _mission(plan: dict[str, Any]) -> Mission:
    body, labels = plan["mission"], plan.get(_LABELS) or {}
    home = body["plannedHomePosition"]
    if len(home) != 3:
        raise FormatError(f"plannedHomePosition has {len(home)} numbers; it needs latitude, longitude and altitude")
    mission = Mission(
        name=str(labels.get("name", "")),
        version=int(labels.get("version", 1)),
        home=_place(home, "plannedHomePosition"),
        items=tuple(_items(body["items"], "item")),
        fence=tuple(_fence(plan["geoFence"])),
        rally=tuple(
            RallyPoint(_place(p, f"rally point {number}"), float(p[2]))
            for number, p in enumerate(plan["rallyPoints"].get("points", []), start=1)
        ),
        cruise_speed_m_s=float(body.get("hoverSpeed") or body.get("cruiseSpeed") or 5.0),
        home_altitude_m=float(home[2] or 0.0),
        notes=tuple(str(n) for n in labels.get("notes", ())),
    )
    stated = labels.get("sha256")
    if stated and stated != mission.sha256:
        raise FormatError(
            f"mission {mission.name!r} was changed after it was written: the file states {str(stated)[:12]}, its items hash to "
            f"{mission.sha256[:12]}; export it anew"
        )
    return mission


def _simple(item: Item, number: int) -> dict[str, Any]:
    numbers = [*item.params, item.lat_deg, item.lon_deg, item.altitude_m]
    simple: dict[str, Any] = {
        "type": "SimpleItem",
        "autoContinue": item.autocontinue,
        "command": item.command,
        "doJumpId": number,
        "frame": item.frame,
        "params": [None if math.isnan(v) else v for v in numbers],
    }
    if item.command in FLOWN and item.frame in _ALTITUDE_MODES:
        altitude = None if math.isnan(item.altitude_m) else item.altitude_m
        simple |= {"AMSLAltAboveTerrain": None, "Altitude": altitude, "AltitudeMode": _ALTITUDE_MODES[ItemFrame(item.frame)]}
    return simple


def _items(entries: Any, where: str) -> Iterator[Item]:
    for number, entry in enumerate(entries, start=1):
        kind = entry.get("type")
        if kind == "SimpleItem":
            yield _item(entry, f"{where} {number}")
        elif kind == "ComplexItem" and "TransectStyleComplexItem" in entry and entry.get("complexItemType") == "survey":
            yield from _items(entry["TransectStyleComplexItem"]["Items"], f"{where} {number} (Survey), item")
        else:
            raise FormatError(
                f"{where} {number} is a {entry.get('complexItemType', kind)}: only simple items and surveys can be read; "
                "draw it as waypoints in the program that made it"
            )


def _item(entry: dict[str, Any], where: str) -> Item:
    params = entry["params"]
    if len(params) != 7:
        raise FormatError(f"{where} has {len(params)} params; it needs seven")
    p1, p2, p3, p4, lat, lon, altitude = (math.nan if v is None else float(v) for v in params)
    return Item(
        int(entry["command"]), int(entry["frame"]), (p1, p2, p3, p4), lon, lat, altitude, bool(entry.get("autoContinue", True))
    )


def _polygon(area: FenceArea) -> dict[str, Any]:
    return {"version": 1, "inclusion": area.inclusion, "polygon": [[p.lat_deg, p.lon_deg] for p in area.ring]}


def _circle(area: FenceArea, centre: LonLat) -> dict[str, Any]:
    return {
        "version": 1,
        "inclusion": area.inclusion,
        "circle": {"center": [centre.lat_deg, centre.lon_deg], "radius": area.radius_m},
    }


def _fence(fence: dict[str, Any]) -> Iterator[FenceArea]:
    for number, entry in enumerate(fence.get("polygons", []), start=1):
        corners = tuple(_place(p, f"fence polygon {number}") for p in entry["polygon"])
        yield FenceArea(bool(entry["inclusion"]), corners)
    for number, entry in enumerate(fence.get("circles", []), start=1):
        centre = _place(entry["circle"]["center"], f"fence circle {number}")
        yield FenceArea(bool(entry.get("inclusion", False)), (), centre, float(entry["circle"]["radius"]))


def _place(numbers: Any, where: str) -> LonLat:
    try:
        return LonLat(lon_deg=float(numbers[1]), lat_deg=float(numbers[0]))
    except GeoError as err:
        raise FormatError(f"{where}: {err}") from err
