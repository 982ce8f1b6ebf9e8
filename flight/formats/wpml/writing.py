"""A mission as the two files of a `.kmz`."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field, replace
from datetime import datetime
from xml.etree import ElementTree as xml

from flight.errors import FormatError
from flight.formats.wpml.names import LABEL, RELATIVE, SECURITY_M, TEMPLATE, WAYLINES
from flight.items import Cmd, Item, ItemFrame
from flight.mission import Mission
from flight.models import Model

MANY_WAYPOINTS = 100
"""Above it small remote controls struggle."""

_KML, _WPML = "http://www.opengis.net/kml/2.2", "http://www.dji.com/wpmz/1.0.6"
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same mission gives the same bytes

xml.register_namespace("", _KML)
xml.register_namespace("wpml", _WPML)


@dataclass(slots=True)
class _Action:
    """What is done from one waypoint to another (the same one: when it is reached)."""

    first: int
    last: int
    trigger: str
    every: float | None
    does: str
    pitch_deg: float = 0.0


@dataclass(slots=True)
class _Wayline:
    """A mission as DJI sees it."""

    take_off_m: float
    speed_m_s: float
    points: list[tuple[Item, float]] = field(default_factory=list)  # with the speed towards it
    actions: list[_Action] = field(default_factory=list)
    goes_home: bool = False


def write(mission: Mission, model: Model, made_at: datetime | None = None) -> bytes:
    """The mission as the bytes of a `.kmz` file; raises FormatError naming the item that a wayline cannot hold."""
    if model.dji is None:
        raise FormatError(
            f"{model.name} 不执行 DJI WPML 航线，请下载 .plan 文件。 {model.name} flies no WPML mission: give the .plan file"
        )
    line = _wayline(mission)
    files = {
        TEMPLATE: _document(mission, model, line, made_at, template=True),
        WAYLINES: _document(mission, model, line, made_at, template=False),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _wayline(mission: Mission) -> _Wayline:
    if not mission.items or mission.items[0].command != Cmd.TAKEOFF:
        raise FormatError("item 1 has to be a take-off: a wayline begins with one")
    height = mission.items[0].altitude_m
    if not SECURITY_M[0] <= height <= SECURITY_M[1]:
        raise FormatError(f"item 1: a take-off to {height} m; DJI allows {SECURITY_M[0]} to {SECURITY_M[1]:.0f} m")
    line = _Wayline(height, mission.cruise_speed_m_s)
    speed = mission.cruise_speed_m_s
    open_at: tuple[int, float] | None = None
    for number, item in enumerate(mission.items[1:], start=2):
        at = max(0, len(line.points) - 1)
        if line.goes_home:
            raise FormatError(f"item {number} follows the return home: a wayline ends there")
        match item.command:
            case Cmd.DO_CHANGE_SPEED:
                speed = item.params[1]
                if not line.points:
                    line.speed_m_s = speed
            case Cmd.WAYPOINT if item.frame == ItemFrame.RELATIVE and not item.params[0]:
                line.points.append((item, speed))
            case Cmd.DO_MOUNT_CONTROL:
                line.actions.append(_Action(at, at, "reachPoint", None, "gimbalRotate", item.params[0]))
            case Cmd.DO_SET_CAM_TRIGG_DIST if item.params[0] > 0:
                open_at = (at, item.params[0])
            case Cmd.DO_SET_CAM_TRIGG_DIST:
                if open_at is not None:
                    line.actions.append(_Action(open_at[0], at, "multipleDistance", open_at[1], "takePhoto"))
                open_at = None
            case Cmd.IMAGE_START_CAPTURE if item.params[2] == 1:
                line.actions.append(_Action(at, at, "reachPoint", None, "takePhoto"))
            case Cmd.RETURN_TO_LAUNCH:
                line.goes_home = True
            case _:
                raise FormatError(
                    f"第 {number} 项（指令 {item.command}，坐标系 {item.frame}）无法写入 DJI 航线，请下载 .plan 文件。 "
                    f"item {number} (command {item.command}, frame {item.frame}) has no place in a DJI wayline: give the .plan file"
                )
    if open_at is not None:
        line.actions.append(_Action(open_at[0], len(line.points) - 1, "multipleDistance", open_at[1], "takePhoto"))
    if len(line.points) < 2:
        raise FormatError(f"a wayline needs two waypoints, the mission has {len(line.points)}")
    return line


def _document(mission: Mission, model: Model, line: _Wayline, made_at: datetime | None, *, template: bool) -> bytes:
    root = xml.Element(_kml("kml"))
    document = xml.SubElement(root, _kml("Document"))
    if template:
        _put(document, "author", "Drone Patrol")
        if made_at is not None:
            for name in ("createTime", "updateTime"):
                _put(document, name, f"{round(made_at.timestamp() * 1000)}")
    _config(document, mission, model, line, template=template)
    folder = xml.SubElement(document, _kml("Folder"))
    if template:
        _put(folder, "templateType", "waypoint")
        _put(folder, "templateId", "0")
        place = xml.SubElement(folder, _wpml("waylineCoordinateSysParam"))
        _put(place, "coordinateMode", "WGS84")
        _put(place, "heightMode", RELATIVE)
    else:
        _put(folder, "templateId", "0")
        _put(folder, "executeHeightMode", RELATIVE)
        _put(folder, "waylineId", "0")
    _put(folder, "autoFlightSpeed", _number(line.speed_m_s))
    if template:
        _put(folder, "globalHeight", _number(line.take_off_m))
        _put(folder, "caliFlightEnable", "0")
        _put(folder, "gimbalPitchMode", "manual")
        _heading(xml.SubElement(folder, _wpml("globalWaypointHeadingParam")))
        _put(folder, "globalWaypointTurnMode", "toPointAndStopWithDiscontinuityCurvature")
        _put(folder, "globalUseStraightLine", "1")
    for index, (item, speed) in enumerate(line.points):
        folder.append(_placemark(index, item, speed, line, template=template))
    if template:
        _extended(document, mission)
    xml.indent(root)
    return xml.tostring(root, encoding="UTF-8", xml_declaration=True)


def _config(document: xml.Element, mission: Mission, model: Model, line: _Wayline, *, template: bool) -> None:
    config = xml.SubElement(document, _wpml("missionConfig"))
    _put(config, "flyToWaylineMode", "safely")
    _put(config, "finishAction", "goHome" if line.goes_home else "noAction")
    _put(config, "exitOnRCLost", "executeLostAction")
    _put(config, "executeRCLostAction", "goBack")
    _put(config, "takeOffSecurityHeight", _number(line.take_off_m))
    if template:
        home = mission.home
        _put(config, "takeOffRefPoint", f"{home.lat_deg:.7f},{home.lon_deg:.7f},{mission.home_altitude_m:.6f}")
        _put(config, "takeOffRefPointAGLHeight", "0")
    _put(config, "globalTransitionalSpeed", _number(line.speed_m_s))
    _put(config, "globalRTHHeight", _number(max(line.take_off_m, *(item.altitude_m for item, _ in line.points))))
    assert model.dji is not None
    drone = xml.SubElement(config, _wpml("droneInfo"))
    _put(drone, "droneEnumValue", str(model.dji.drone))
    _put(drone, "droneSubEnumValue", str(model.dji.drone_sub))
    payload = xml.SubElement(config, _wpml("payloadInfo"))
    _put(payload, "payloadEnumValue", str(model.dji.payload))
    _put(payload, "payloadSubEnumValue", str(model.dji.payload_sub))
    _put(payload, "payloadPositionIndex", "0")


def _placemark(index: int, item: Item, speed: float, line: _Wayline, *, template: bool) -> xml.Element:
    mark = xml.Element(_kml("Placemark"))
    point = xml.SubElement(mark, _kml("Point"))
    xml.SubElement(point, _kml("coordinates")).text = f"{item.lon_deg:.7f},{item.lat_deg:.7f}"
    _put(mark, "index", str(index))
    if template:
        _put(mark, "ellipsoidHeight", _number(item.altitude_m))
        _put(mark, "height", _number(item.altitude_m))
        _put(mark, "useGlobalHeight", "0")
        _put(mark, "useGlobalSpeed", "0")
        _put(mark, "useGlobalHeadingParam", "1")
        _put(mark, "useGlobalTurnParam", "1")
    else:
        _put(mark, "executeHeight", _number(item.altitude_m))
    _put(mark, "waypointSpeed", _number(speed))
    if not template:
        _heading(xml.SubElement(mark, _wpml("waypointHeadingParam")))
        turn = xml.SubElement(mark, _wpml("waypointTurnParam"))
        _put(turn, "waypointTurnMode", "toPointAndStopWithDiscontinuityCurvature")  # whoever cuts a corner leaves the checked way
        _put(turn, "waypointTurnDampingDist", "0")
    _put(mark, "useStraightLine", "1")
    for number, action in enumerate(line.actions):
        if action.first == index:
            mark.append(_group(number, action))
    return mark


def _group(number: int, action: _Action) -> xml.Element:
    group = xml.Element(_wpml("actionGroup"))
    _put(group, "actionGroupId", str(number))
    _put(group, "actionGroupStartIndex", str(action.first))
    _put(group, "actionGroupEndIndex", str(action.last))
    _put(group, "actionGroupMode", "sequence")
    trigger = xml.SubElement(group, _wpml("actionTrigger"))
    _put(trigger, "actionTriggerType", action.trigger)
    if action.every is not None:
        _put(trigger, "actionTriggerParam", _number(action.every))
    does = xml.SubElement(group, _wpml("action"))
    _put(does, "actionId", "0")
    _put(does, "actionActuatorFunc", action.does)
    how = xml.SubElement(does, _wpml("actionActuatorFuncParam"))
    if action.does == "gimbalRotate":
        for name, value in (
            ("gimbalHeadingYawBase", "aircraft"),
            ("gimbalRotateMode", "absoluteAngle"),
            ("gimbalPitchRotateEnable", "1"),
            ("gimbalPitchRotateAngle", _number(action.pitch_deg)),
            ("gimbalRollRotateEnable", "0"),
            ("gimbalRollRotateAngle", "0"),
            ("gimbalYawRotateEnable", "0"),
            ("gimbalYawRotateAngle", "0"),
            ("gimbalRotateTimeEnable", "0"),
            ("gimbalRotateTime", "0"),
        ):
            _put(how, name, value)
    _put(how, "payloadPositionIndex", "0")
    if action.does == "takePhoto":
        _put(how, "useGlobalPayloadLensIndex", "1")
    return group


def _heading(parent: xml.Element) -> None:
    _put(parent, "waypointHeadingMode", "followWayline")
    _put(parent, "waypointHeadingAngle", "0")
    _put(parent, "waypointPoiPoint", "0.000000,0.000000,0.000000")
    _put(parent, "waypointHeadingPathMode", "followBadArc")


def _extended(document: xml.Element, mission: Mission) -> None:
    data = xml.SubElement(document, _kml("ExtendedData"))
    notes = [*mission.notes]
    if mission.fence or mission.rally:
        notes.append(
            f"a DJI file carries no fence ({len(mission.fence)}) and no rally points ({len(mission.rally)}): set them on the aircraft "
            "(围栏和备降点不在此文件中，请在飞机上另行设置)"
        )
    if (count := sum(i.command == Cmd.WAYPOINT for i in mission.items)) > MANY_WAYPOINTS:
        notes.append(f"{count} waypoints: small remote controls struggle above {MANY_WAYPOINTS} (航点较多，小型遥控器可能卡顿)")
    bare = replace(mission, fence=(), rally=())
    stated = [("name", mission.name), ("version", str(mission.version)), ("sha256", mission.sha256), ("items", bare.sha256)]
    for name, value in [*stated, *(("note", n) for n in notes)]:
        entry = xml.SubElement(data, _kml("Data"), name=f"{LABEL}{name}")
        xml.SubElement(entry, _kml("value")).text = value


def _put(parent: xml.Element, name: str, text: str) -> None:
    xml.SubElement(parent, _wpml(name)).text = text


def _kml(name: str) -> str:
    return f"{{{_KML}}}{name}"


def _wpml(name: str) -> str:
    return f"{{{_WPML}}}{name}"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
