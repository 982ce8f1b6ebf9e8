"""A mission as rows and labels: what GeoJSON, KML and CSV write each in its own clothes, and read back to the same mission."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from flight.errors import FormatError, PlanningError
from flight.items import Cmd, Item, ItemFrame, RallyPoint, fence_from_items
from flight.mission import Mission
from geo.errors import GeoError
from geo.frames import LonLat

Part = Literal["mission", "fence", "rally"]
PARTS: tuple[Part, ...] = get_args(Part)
Labels = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One item and which of the three lists it stands in."""

    part: Part
    item: Item


def rows_of(mission: Mission) -> Iterator[Row]:
    """Every item of a mission, its fence and its rally points, in order."""
    for part, items in (("mission", mission.items), ("fence", mission.fence_items), ("rally", mission.rally_items)):
        yield from (Row(part, item) for item in items)  # type: ignore[arg-type]  # mypy widens the literals of a tuple


def labels_of(mission: Mission) -> dict[str, tuple[str, ...]]:
    """What stands beside the rows: name, version, hash, speed, home and notes, all as text."""
    home = mission.home
    return {
        "name": (mission.name,),
        "version": (str(mission.version),),
        "sha256": (mission.sha256,),
        "speed_m_s": (repr(mission.cruise_speed_m_s),),
        "home": (f"{home.lon_deg:.7f},{home.lat_deg:.7f},{mission.home_altitude_m!r}",),
        "note": mission.notes,
    }


def mission_of(rows: Sequence[Row], labels: Labels) -> Mission:
    """The mission of rows with their labels; raises FormatError when they do not hash to what the labels state."""

    def one(name: str, default: str) -> str:
        return next(iter(labels.get(name, ())), default)

    try:
        lon, lat, altitude = (float(v) for v in one("home", "").split(","))
        mission = Mission(
            name=one("name", ""),
            version=int(one("version", "1")),
            home=LonLat(lon_deg=lon, lat_deg=lat),
            items=tuple(r.item for r in rows if r.part == "mission"),
            fence=fence_from_items(r.item for r in rows if r.part == "fence"),
            rally=tuple(
                RallyPoint(LonLat(lon_deg=r.item.lon_deg, lat_deg=r.item.lat_deg), r.item.altitude_m)
                for r in rows
                if r.part == "rally"
            ),
            cruise_speed_m_s=float(one("speed_m_s", "5.0")),
            home_altitude_m=altitude,
            notes=tuple(labels.get("note", ())),
        )
    except (PlanningError, GeoError, ValueError) as err:
        raise FormatError(f"the file holds what cannot be flown: {err}") from err
    stated = one("sha256", mission.sha256)
    if stated != mission.sha256:
        raise FormatError(
            f"mission {mission.name!r} was changed after it was written: it should hash to {stated[:12]}, not {mission.sha256[:12]}; "
            "export it anew"
        )
    return mission


def of_line(places: Sequence[tuple[float, ...]], where: str) -> Mission:
    """A mission along another program's line of `(lon, lat, height over take-off)`: the first place is home, nothing is photographed."""
    if len(places) < 3:
        raise FormatError(f"{where}: a line to fly has three places or more (the first is home), this one has {len(places)}")
    if any(len(p) < 3 for p in places):
        raise FormatError(f"{where}: the line has no heights: give each place a third number, metres over the take-off place")
    try:
        home = LonLat(lon_deg=places[0][0], lat_deg=places[0][1])
        flown = [Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, 0), lon, lat, height) for lon, lat, height, *_ in places[1:]]
        for item in flown:
            LonLat(lon_deg=item.lon_deg, lat_deg=item.lat_deg)
    except GeoError as err:
        raise FormatError(f"{where}: {err}") from err
    take_off = Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, 0), home.lon_deg, home.lat_deg, flown[0].altitude_m)
    note = "read from a line of another program: speed and photos are not in it (由其他软件的航迹读入，不含速度和拍照)"
    return Mission("", 1, home, (take_off, *flown, Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION)), notes=(note,))


FIELDS = ("part", "command", "frame", "p1", "p2", "p3", "p4", "lat", "lon", "altitude_m", "autocontinue")
"""The columns of a row."""


def told(row: Row) -> dict[str, str | int | float | None]:
    """A row as plain values by `FIELDS`; what the autopilot chooses itself (NaN) is None."""
    i = row.item
    numbers = (*i.params, i.lat_deg, i.lon_deg, i.altitude_m)
    values = (row.part, i.command, i.frame, *(None if math.isnan(v) else v for v in numbers), int(i.autocontinue))
    return dict(zip(FIELDS, values, strict=True))


def heard(values: Mapping[str, object], where: str) -> Row:
    """What `told` gave, of numbers or texts; raises FormatError naming the place and the value."""

    def number(name: str) -> float:
        given = values.get(name)
        if given is None or given == "":
            return math.nan
        try:
            return float(str(given))
        except ValueError as err:
            raise FormatError(f"{where}: {name} is {given!r}, not a number") from err

    part = values.get("part")
    if part not in PARTS:
        raise FormatError(f"{where}: part is {part!r}; it has to be one of {', '.join(PARTS)}")
    whole = {name: number(name) for name in ("command", "frame", "autocontinue")}
    if any(math.isnan(v) for v in whole.values()):
        raise FormatError(f"{where}: command, frame and autocontinue are needed")
    params = (number("p1"), number("p2"), number("p3"), number("p4"))
    item = Item(
        int(whole["command"]),
        int(whole["frame"]),
        params,
        number("lon"),
        number("lat"),
        number("altitude_m"),
        bool(whole["autocontinue"]),
    )
    return Row(part, item)
