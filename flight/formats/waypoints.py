"""`.waypoints` ("QGC WPL 110"): TAB separated rows of index, current, frame, command, four params, latitude, longitude, altitude, autocontinue.

Row 0 is home. Fence and rally points are files of the same form with commands 5001-5004 and 5100. Labels stand in comment lines, which
ArduPilot's programs pass over; QGroundControl stops at them: give it the `.plan`, or write with `labels=False`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from flight.errors import FormatError, PlanningError
from flight.items import Cmd, Item, ItemFrame, RallyPoint, fence_from_items
from flight.mission import Mission
from geo.frames import LonLat

HEADER = "QGC WPL 110"
_COLUMNS = 12
_FENCE = range(Cmd.FENCE_POLYGON_INCLUSION, Cmd.FENCE_CIRCLE_EXCLUSION + 1)
_LABEL = re.compile(r"#\s*(name|version|sha256|items|speed|note):\s?(.*)")


def write(mission: Mission, *, labels: bool = True) -> str:
    """Home and items as the text of a `.waypoints` file; fence and rally points go into files of their own."""
    home = Item(Cmd.WAYPOINT, ItemFrame.GLOBAL, (0, 0, 0, 0), mission.home.lon_deg, mission.home.lat_deg, mission.home_altitude_m)
    return _text(mission, (home, *mission.items), labels=labels, more=(f"# items: {_bare(mission).sha256}",))


def write_fence(mission: Mission, *, labels: bool = True) -> str:
    """The fence as a file of the same form."""
    return _text(mission, mission.fence_items, labels=labels)


def write_rally(mission: Mission, *, labels: bool = True) -> str:
    """The rally points as a file of the same form."""
    return _text(mission, mission.rally_items, labels=labels)


def read(text: str, *, fence: str | None = None, rally: str | None = None) -> Mission:
    """The mission of a `.waypoints` text, with the texts of its fence and rally files where given; all may also stand in one text.

    Raises FormatError naming the line. Stated hashes are checked: of the items always, of the whole when fence and rally files are given.
    """
    labels: dict[str, list[str]] = {}
    rows = [row for part in (text, fence, rally) if part is not None for row in _rows(part, labels)]
    try:
        mission = _mission(rows, {k: v[0] for k, v in labels.items() if v}, tuple(dict.fromkeys(labels.get("note", ()))))
    except (PlanningError, ValueError) as err:
        raise FormatError(f"the file holds what cannot be flown: {err}") from err
    whole = fence is not None and rally is not None
    for label, found in (("items", _bare(mission).sha256), *((("sha256", mission.sha256),) if whole else ())):
        stated = labels.get(label, [found])[0]
        if stated != found:
            raise FormatError(
                f"mission {mission.name!r} was changed after it was written: {label} should hash to {stated[:12]}, not {found[:12]}; "
                "export it anew"
            )
    return mission


def _mission(rows: list[tuple[int, Item]], labels: dict[str, str], notes: tuple[str, ...]) -> Mission:
    fence = [item for _, item in rows if item.command in _FENCE]
    rally = [item for _, item in rows if item.command == Cmd.RALLY_POINT]
    flown = [(index, item) for index, item in rows if item.command not in _FENCE and item.command != Cmd.RALLY_POINT]
    home = flown[0][1] if flown and flown[0][0] == 0 else None
    if home is None and flown:
        raise FormatError("the first row must be home, with index 0")
    if home is not None:
        place = LonLat(lon_deg=home.lon_deg, lat_deg=home.lat_deg)
    elif fence or rally:  # a fence or rally file alone has no home: its first place stands for it
        place = LonLat(lon_deg=(fence or rally)[0].lon_deg, lat_deg=(fence or rally)[0].lat_deg)
    else:
        raise FormatError("the file holds no rows: not even home")
    return Mission(
        name=labels.get("name", ""),
        version=int(labels.get("version", "1")),
        home=place,
        items=tuple(item for _, item in flown[1:]),
        fence=fence_from_items(fence),
        rally=tuple(RallyPoint(LonLat(lon_deg=i.lon_deg, lat_deg=i.lat_deg), i.altitude_m) for i in rally),
        cruise_speed_m_s=float(labels.get("speed", "5.0")),
        home_altitude_m=0.0 if home is None else home.altitude_m,
        notes=notes,
    )


def _rows(text: str, labels: dict[str, list[str]]) -> Iterator[tuple[int, Item]]:
    numbered = enumerate(text.split("\n"), start=1)
    number, first = next(numbered, (1, ""))
    if first.strip() != HEADER:
        raise FormatError(f'line 1 is {first[:40]!r}, not "{HEADER}": not a waypoints file of this version')
    expected = 0
    for number, row in numbered:
        line = row.rstrip("\r")
        if not line.strip():
            continue
        if line.startswith("#"):
            if match := _LABEL.match(line):
                labels.setdefault(match[1], []).append(match[2])
            continue
        cells = line.split()  # some real files mix tabs and spaces
        if len(cells) != _COLUMNS:
            raise FormatError(f"line {number} has {len(cells)} columns; it needs {_COLUMNS}, separated by tabs")
        try:
            index, frame, command = int(cells[0]), int(cells[2]), int(cells[3])
            p1, p2, p3, p4, lat, lon, altitude = (float(c) for c in cells[4:11])
            item = Item(command, frame, (p1, p2, p3, p4), lon, lat, altitude, cells[11] != "0")
        except ValueError as err:
            raise FormatError(f"line {number}: {err}") from err
        if index < expected:
            raise FormatError(f"line {number} has index {index} where {expected} should follow: a row is doubled or out of order")
        if index > expected:  # one of ArduPilot's own files is like this; vehicles count anew
            labels.setdefault("note", []).append(f"line {number}: index {index} follows {expected - 1}, a row may be missing")
        expected = index + 1
        yield index, item


def _bare(mission: Mission) -> Mission:
    """The mission without fence and rally points: what one file alone can vouch for."""
    return replace(mission, fence=(), rally=())


def _text(mission: Mission, items: Iterable[Item], *, labels: bool, more: tuple[str, ...] = ()) -> str:
    lines = [HEADER]
    if labels:
        lines += [
            f"# name: {mission.name}",
            f"# version: {mission.version}",
            f"# sha256: {mission.sha256}",
            f"# speed: {mission.cruise_speed_m_s!r}",
            *more,
            *(f"# note: {' '.join(note.split())}" for note in mission.notes),
        ]
    for index, item in enumerate(items):
        numbers = [_number(v) for v in item.params]
        place = [f"{item.lat_deg:.8f}", f"{item.lon_deg:.8f}", _number(item.altitude_m)]
        current = "1" if index == 0 else "0"
        cells = [str(index), current, str(item.frame), str(item.command), *numbers, *place, str(int(item.autocontinue))]
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "nan" if math.isnan(value) else repr(float(value))
