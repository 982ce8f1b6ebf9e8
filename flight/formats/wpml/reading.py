"""The mission of a `.kmz` file, our own or another program's."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from xml.etree import ElementTree as xml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from flight.errors import FormatError, PlanningError
from flight.formats.wpml.names import LABEL, RELATIVE, TEMPLATE, WAYLINES
from flight.items import Cmd, Item, ItemFrame
from flight.mission import Mission
from flight.models import models
from geo.errors import GeoError
from geo.frames import LonLat

_MOST_BYTES = 64 << 20  # of one file unpacked: the largest real ones hold 100 kB
_BEFORE = -1  # a gimbal turned at the first waypoint is turned before it


def read(data: bytes) -> Mission:
    """The mission of a `.kmz` file, our own or another program's; what its waylines hold beyond a mission is said in `notes`.

    Raises FormatError naming the file inside and the waypoint. A file of ours whose items were changed is refused.
    """
    template, waylines = _parts(data)
    try:
        mission = _mission(waylines, template)
    except PlanningError as err:
        raise FormatError(f"{WAYLINES} holds what cannot be flown: {err}") from err
    labels = _labels(template)
    if not labels:
        return mission
    notes = tuple(labels.get("note", ())) or mission.notes
    mission = replace(mission, name=labels["name"][0], version=int(labels.get("version", ["1"])[0]), notes=notes)
    stated = labels.get("items", [mission.sha256])[0]
    if stated != mission.sha256:
        raise FormatError(
            f"mission {mission.name!r} was changed after it was written: its items should hash to {stated[:12]}, not "
            f"{mission.sha256[:12]}; export it anew"
        )
    return mission


def _parts(data: bytes) -> tuple[xml.Element, xml.Element]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = []
            for name in (TEMPLATE, WAYLINES):
                entry = next((i for i in archive.infolist() if i.filename == name), None)
                if entry is None:
                    raise FormatError(f"the file lacks {name}: both {TEMPLATE} and {WAYLINES} are needed")
                if entry.file_size > _MOST_BYTES:
                    raise FormatError(f"{name} unpacks to {entry.file_size >> 20} MB: no mission is so large")
                found.append(_root(name, archive.read(entry)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as err:
        raise FormatError(f"not a .kmz file: {err}") from err
    return found[0], found[1]


def _root(name: str, text: bytes) -> xml.Element:
    try:
        root: xml.Element = fromstring(text)
    except xml.ParseError as err:
        raise FormatError(f"{name}: line {err.position[0]}, column {err.position[1] + 1}: {err}") from err
    except DefusedXmlException as err:
        raise FormatError(f"{name} declares entities, which no mission file needs: {err}") from err
    for element in root.iter():  # WPML's name changes with its version: 1.0.2 to 1.0.6 mean the same here
        space, _, local = element.tag.rpartition("}")
        element.tag = f"{'wpml-' if 'wpmz' in space else ''}{local}"
    return root


def _mission(waylines: xml.Element, template: xml.Element) -> Mission:
    folders, notes = waylines.findall(".//Folder"), list(_odd_pairs(waylines))
    if not folders:
        raise FormatError(f"{WAYLINES} holds no wayline")
    if len(folders) > 1:
        notes.append(f"{len(folders)} waylines, flown one after another")
    reference = template.findtext(".//wpml-takeOffRefPoint")
    home, ground_m = _home(reference)
    lines = [_flown(number, folder, home, ground_m, notes) for number, folder in enumerate(folders)]
    first = lines[0][0]
    if home is None:
        home = LonLat(lon_deg=first[0].lon_deg, lat_deg=first[0].lat_deg)
        notes.append("the file names no take-off place: its first waypoint stands for it")
    security = waylines.findtext(".//wpml-takeOffSecurityHeight")
    take_off = float(security) if security else first[0].altitude_m
    cruise = _float(folders[0], "autoFlightSpeed", WAYLINES)
    items = [Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, 0), home.lon_deg, home.lat_deg, take_off), _speed(cruise)]
    speed = cruise
    for points, speeds, before, after in lines:
        items += before
        for n, point in enumerate(points):
            if speeds[n] != speed:
                items.append(_speed(speeds[n]))
                speed = speeds[n]
            items += [point, *after.get(n, ())]
    if waylines.findtext(".//wpml-finishAction") == "goHome":
        items.append(Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION))
    return Mission(
        "", 1, home, tuple(items), cruise_speed_m_s=cruise, home_altitude_m=ground_m, notes=tuple(dict.fromkeys(notes))
    )


def _flown(
    number: int, folder: xml.Element, home: LonLat | None, ground_m: float, notes: list[str]
) -> tuple[list[Item], list[float], list[Item], dict[int, list[Item]]]:
    """Waypoints of one wayline with the speed towards each, items before the first, and items after each."""
    where = WAYLINES if number == 0 else f"{WAYLINES}, wayline {number}"
    mode = _text(folder, "executeHeightMode", where)
    if mode == "WGS84" and home is None:
        raise FormatError(f"{where}: heights over the ellipsoid, and no takeOffRefPoint in {TEMPLATE} that says where 0 m is")
    if mode == "WGS84":
        notes.append("heights over the ellipsoid were taken over the height of the take-off place")
    elif mode != RELATIVE:
        raise FormatError(f"{where}: executeHeightMode {mode!r} cannot be flown from here: only {RELATIVE} and WGS84")
    marks = folder.findall("Placemark")
    if len(marks) < 2:
        raise FormatError(f"{where}: a wayline needs two waypoints, it has {len(marks)}")
    cruise = _float(folder, "autoFlightSpeed", where)
    found = [
        _waypoint(f"{where}, waypoint {n}", n, mark, ground_m if mode == "WGS84" else 0.0, cruise) for n, mark in enumerate(marks)
    ]
    before, after = _actions(where, marks, notes)
    return [point for point, _ in found], [speed for _, speed in found], before, after


def _speed(metres_per_s: float) -> Item:
    return Item(Cmd.DO_CHANGE_SPEED, ItemFrame.MISSION, (1, metres_per_s, -1, 0))


def _home(reference: str | None) -> tuple[LonLat | None, float]:
    if not reference:
        return None, 0.0
    try:
        lat, lon, height = (float(v) for v in reference.split(","))
        return LonLat(lon_deg=lon, lat_deg=lat), height
    except (ValueError, GeoError) as err:
        raise FormatError(f"{TEMPLATE}: takeOffRefPoint {reference!r} is not latitude, longitude, height ({err})") from err


def _waypoint(where: str, number: int, mark: xml.Element, ground_m: float, cruise: float) -> tuple[Item, float]:
    index = _text(mark, "index", where)
    if index != str(number):
        raise FormatError(f"{where}: has index {index}; indices count from 0 without a gap")
    told = (mark.findtext("Point/coordinates") or "").split(",")
    try:
        lon, lat = float(told[0]), float(told[1])
        LonLat(lon_deg=lon, lat_deg=lat)
    except (ValueError, IndexError, GeoError) as err:
        raise FormatError(f"{where}: coordinates {','.join(told).strip()!r} are not longitude, latitude ({err})") from err
    height = round(_float(mark, "executeHeight", where) - ground_m, 2)
    speed = mark.findtext("wpml-waypointSpeed")
    item = Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), lon, lat, height)
    return item, float(speed) if speed else cruise


def _actions(line: str, marks: list[xml.Element], notes: list[str]) -> tuple[list[Item], dict[int, list[Item]]]:
    """Items before the first waypoint, and those after each; an end comes before what begins there."""
    begins: dict[int, list[Item]] = {}
    ends: dict[int, list[Item]] = {}
    for n, mark in enumerate(marks):
        for group in mark.findall("wpml-actionGroup"):
            where = f"{line}, waypoint {n}, actionGroup"
            first, last = (int(_float(group, f"actionGroup{w}Index", where)) for w in ("Start", "End"))
            if not 0 <= first <= last < len(marks):
                raise FormatError(f"{where}: spans waypoints {first} to {last} of {len(marks)}")
            trigger = _text(group, "actionTrigger/wpml-actionTriggerType", where)
            every = group.findtext("wpml-actionTrigger/wpml-actionTriggerParam")
            for action in group.findall("wpml-action"):
                does = _text(action, "actionActuatorFunc", where)
                start, stop = _items_of(does, trigger, every, action)
                if start is None:
                    notes.append(f"{does} ({trigger}) is not carried over")
                    continue
                at = _BEFORE if does == "gimbalRotate" and first == 0 else first
                begins.setdefault(at, []).append(start)
                if stop is not None:
                    ends.setdefault(last, []).append(stop)
    after = {n: [*ends.get(n, ()), *begins.get(n, ())] for n in range(len(marks)) if n in ends or n in begins}
    return begins.get(_BEFORE, []), after


def _items_of(does: str, trigger: str, every: str | None, action: xml.Element) -> tuple[Item | None, Item | None]:
    if does == "takePhoto" and trigger == "multipleDistance" and every:
        distance = (Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION)
        return Item(*distance, (float(every), 0, 1, 0)), Item(*distance, (0, 0, 0, 0))
    if does == "takePhoto" and trigger == "multipleTiming" and every:
        start = Item(Cmd.IMAGE_START_CAPTURE, ItemFrame.MISSION, (0, float(every), 0, 0))
        return start, Item(Cmd.IMAGE_STOP_CAPTURE, ItemFrame.MISSION)
    if does == "takePhoto":
        return Item(Cmd.IMAGE_START_CAPTURE, ItemFrame.MISSION, (0, 0, 1, 0)), None
    if does == "gimbalRotate":
        pitch = action.findtext(".//wpml-gimbalPitchRotateAngle")
        if pitch is not None:
            return Item(Cmd.DO_MOUNT_CONTROL, ItemFrame.MISSION, (float(pitch), 0, 0, 0), altitude_m=2), None
    return None, None


def _odd_pairs(waylines: xml.Element) -> Iterator[str]:
    drone, payload = (waylines.findtext(f".//wpml-{n}EnumValue") for n in ("drone", "payload"))
    known = {(str(m.dji.drone), str(m.dji.payload)) for m in models().values() if m.dji is not None}
    drones = {d for d, _ in known}
    if payload is not None and drone in drones and (drone, payload) not in known:
        yield f"aircraft {drone} with camera {payload}: the two are no pair that is known here"


def _labels(template: xml.Element) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in template.findall(".//ExtendedData/Data"):
        name = entry.get("name", "")
        if name.startswith(LABEL):
            found.setdefault(name.removeprefix(LABEL), []).append(entry.findtext("value") or "")
    return found


def _text(parent: xml.Element, name: str, where: str) -> str:
    text = parent.findtext(f"wpml-{name}")
    if text is None or not text.strip():
        raise FormatError(f"{where}: wpml:{name} is missing")
    return text.strip()


def _float(parent: xml.Element, name: str, where: str) -> float:
    text = _text(parent, name, where)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FormatError(f"{where}: wpml:{name} is {text!r}, not a number")
    return value
