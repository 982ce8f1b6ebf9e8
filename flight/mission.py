"""Mission (飞行任务): the exact items, fence and rally points given to a vehicle, and the hash that names them.

The model is neutral: formats write and read it, links upload it and read it back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from flight.errors import PlanningError
from flight.fence import fence_around
from flight.fleet import Autopilot
from flight.items import Cmd, FenceArea, Item, ItemFrame, RallyPoint, fence_from_items, on_grid
from flight.pace import vertical_s, way_s
from flight.routes import Airway
from flight.sorties import Sortie
from flight.terrain import NO_TERRAIN, Ground, flat, profile
from geo.frames import XY, Frame, LonLat, metric_frame

__all__ = [
    "Cmd",
    "FenceArea",
    "Item",
    "ItemFrame",
    "Mission",
    "RallyPoint",
    "fence_from_items",
    "safe_returns",
    "survey_mission",
    "time_s",
    "waypoint",
]


@dataclass(frozen=True, slots=True)
class Mission:
    """What a vehicle is given. `items` do not hold home: on ArduPilot a link puts it in front as item 0.

    `cruise_speed_m_s` is the modelled speed; the vehicle hears it from a DO_CHANGE_SPEED item. `home_altitude_m` is metres above
    the sea (0 when not known): it is written to files, and no item counts from it.
    `notes` say what the plan rests on and who flies it must know (no terrain data, no straight way home).
    """

    name: str
    version: int
    home: LonLat
    items: tuple[Item, ...]
    fence: tuple[FenceArea, ...] = ()
    rally: tuple[RallyPoint, ...] = ()
    cruise_speed_m_s: float = 5.0
    home_altitude_m: float = 0.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isprintable():
            raise PlanningError(f"a mission's name stands in one line of its files: {self.name!r} does not")
        object.__setattr__(self, "home", on_grid(self.home))
        # .plan files keep polygons and circles apart: one order for all, so that the hash survives every format
        object.__setattr__(self, "fence", tuple(sorted(self.fence, key=lambda area: area.centre is not None)))

    @property
    def sha256(self) -> str:
        """Hash of what a vehicle holds (items, fence, rally), in its own precision: a true read-back has the same hash.

        Name, version and home are labels and do not enter: the autopilot rewrites home, and a renamed mission flies the same.
        """
        return hashlib.sha256("\n".join(self._lines()).encode()).hexdigest()

    @property
    def fence_items(self) -> tuple[Item, ...]:
        """All fence areas as items, in order."""
        return tuple(item for area in self.fence for item in area.items)

    @property
    def rally_items(self) -> tuple[Item, ...]:
        """All rally points as items, in order."""
        return tuple(point.item for point in self.rally)

    @property
    def path(self) -> tuple[LonLat, ...]:
        """The corners of what is flown: home, every item with a place, and home again when the mission ends with a return."""
        places = [self.home, *(p for item in self.items if (p := item.place) is not None)]
        if any(item.command == Cmd.RETURN_TO_LAUNCH for item in self.items):
            places.append(self.home)
        return tuple(places)

    def _lines(self) -> Iterable[str]:
        for title, items in (("mission", self.items), ("fence", self.fence_items), ("rally", self.rally_items)):
            yield title
            yield from (item.wire for item in items)


def survey_mission(
    sortie: Sortie,
    *,
    name: str,
    airway: Airway,
    version: int = 1,
    ground: Ground = flat,
    rally: Sequence[LonLat] = (),
    home_altitude_m: float = 0.0,
) -> Mission:
    """Everything a vehicle needs to fly one sortie: take-off, speed, camera down, lines with photos by distance, the way home, RTL.

    Altitudes count over take-off and follow `ground`; without it the mission carries a note. `rally` are places known to be safe to
    land on; those outside permitted air are left out. The last waypoint lies over home, so that RTL only descends.
    """
    yaw = math.nan if sortie.aircraft.autopilot is Autopilot.PX4 else 0.0  # PX4 turns north on 0; ArduPilot gives NaN back as 0
    build = _Builder(sortie, ground, yaw)
    first = build.altitude(sortie.passes[0].start, ground(sortie.passes[0].start.x_m, sortie.passes[0].start.y_m))
    items = [
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, yaw), sortie.home.lon_deg, sortie.home.lat_deg, first),
        Item(Cmd.DO_CHANGE_SPEED, ItemFrame.MISSION, (1, round(sortie.speed_m_s, 2), -1, 0)),
        Item(Cmd.DO_MOUNT_CONTROL, ItemFrame.MISSION, (-90, 0, 0, 0), altitude_m=2),  # 2: MAV_MOUNT_MODE_MAVLINK_TARGETING
    ]
    for way, flown in zip(sortie.ways, sortie.passes, strict=False):
        items += build.along(way)
        items.append(Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (round(flown.line.trigger_m, 3), 0, 1, 0)))
        items += build.along((flown.start, flown.end))
        items.append(Item(Cmd.DO_SET_CAM_TRIGG_DIST, ItemFrame.MISSION, (0, 0, 0, 0)))
    items += build.along(sortie.ways[-1])
    items.append(Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION))
    places = tuple(p for p in rally if airway.holds(sortie.frame.xy(p)))
    top = max(i.altitude_m for i in items if i.place is not None)
    fence = fence_around(sortie.path, airway.permitted, sortie.frame, sortie.aircraft.limits.fence_items)
    notes = [*([NO_TERRAIN] if ground is flat else []), *fence.notes]
    if sortie.unreached:
        photos = sum(line.photos for line in sortie.unreached)
        notes.append(
            f"{len(sortie.unreached)} lines ({photos} photos) lie in air cut off from the take-off place and are not flown: plan them from "
            f"another one (有 {len(sortie.unreached)} 条航线与起飞点不连通，未飞，请另选起飞点)"
        )
    notes += safe_returns(sortie.path, [sortie.frame.xy(sortie.home), *(sortie.frame.xy(p) for p in places)], airway)
    return Mission(
        name=name,
        version=version,
        home=sortie.home,
        items=tuple(items),
        fence=fence.areas,
        rally=tuple(RallyPoint(p, top) for p in places[: sortie.aircraft.limits.rally_points]),
        cruise_speed_m_s=sortie.speed_m_s,
        home_altitude_m=home_altitude_m,
        notes=tuple(notes),
    )


def waypoint(place: XY, frame: Frame, altitude_m: float, yaw_deg: float = 0.0) -> Item:
    """A waypoint over a place of the frame, metres over take-off."""
    lonlat = frame.lonlat(place.x_m, place.y_m)
    return Item(Cmd.WAYPOINT, ItemFrame.RELATIVE, (0, 0, 0, yaw_deg), lonlat.lon_deg, lonlat.lat_deg, round(altitude_m, 2))


def safe_returns(path: Sequence[XY], landings: Sequence[XY], airway: Airway) -> list[str]:
    """A note when a return in a straight line, as autopilots fly it, would leave permitted air from a corner of the path."""
    corners = list(dict.fromkeys(path))
    unsafe = sum(not airway.straight(c, min(landings, key=lambda p: math.hypot(p.x_m - c.x_m, p.y_m - c.y_m))) for c in corners)
    if not unsafe:
        return []
    return [
        f"from {unsafe} of {len(corners)} corners a straight return to the nearest landing place leaves permitted air: "
        f"pause and fly the planned way back, or add rally points (有 {unsafe} 处直线返航会越出许可空域，请按规划航线返回或增设备降点)"
    ]


def time_s(mission: Mission) -> float:
    """Modelled seconds of a whole mission, from its own items."""
    frame = metric_frame(mission.home)
    path = [frame.xy(p) for p in mission.path]
    top = max((item.altitude_m for item in mission.items if item.place is not None), default=0.0)
    return way_s([p for i, p in enumerate(path) if not i or p != path[i - 1]], mission.cruise_speed_m_s) + vertical_s(top)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Altitudes over take-off for places of a sortie."""

    sortie: Sortie
    ground: Ground
    yaw: float

    def altitude(self, place: XY, ground_m: float) -> float:
        home = self.sortie.frame.xy(self.sortie.home)
        return round(self.sortie.passes[0].line.height.metres + ground_m - self.ground(home.x_m, home.y_m), 2)

    def at(self, place: XY, ground_m: float) -> Item:
        return waypoint(place, self.sortie.frame, self.altitude(place, ground_m), self.yaw)

    def along(self, way: Sequence[XY]) -> list[Item]:
        """Waypoints of a way after its first place, following the ground."""
        return [self.at(*place) for a, b in pairwise(way) for place in profile(a, b, self.ground)[1:]]
