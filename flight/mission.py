"""Mission (飞行任务): the exact items, fence and rally points given to a vehicle, and the hash that names them.

The model is neutral: formats write and read it, links upload it and read it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from flight.items import Cmd, FenceArea, Item, ItemFrame, RallyPoint, fence_from_items, on_grid
from geo.frames import LonLat

__all__ = ["Cmd", "FenceArea", "Item", "ItemFrame", "Mission", "RallyPoint", "fence_from_items"]


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
        object.__setattr__(self, "home", on_grid(self.home))

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
