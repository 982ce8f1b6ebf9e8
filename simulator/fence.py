"""The fence of the simulated vehicle: where it may be, from the items it was given."""

from __future__ import annotations

from dataclasses import dataclass

from shapely.geometry import Point, Polygon

from simulator.manoeuvres import Origin
from simulator.missions import FenceCmd, Stored


@dataclass(frozen=True, slots=True)
class Fence:
    """Where the vehicle may be, in its own metres east and north."""

    stay_in: tuple[Polygon, ...] = ()
    keep_out: tuple[Polygon, ...] = ()

    def allows(self, x_m: float, y_m: float, *, any_of: bool) -> bool:
        """Whether a place is permitted; several inclusions mean their union (`any_of`) or their intersection."""
        place = Point(x_m, y_m)
        inside = [p.covers(place) for p in self.stay_in]
        return (not inside or (any if any_of else all)(inside)) and not any(p.contains(place) for p in self.keep_out)


def read_fence(items: tuple[Stored, ...], origin: Origin) -> Fence:
    """The fence of a list of items, in metres about `origin`."""
    shapes: dict[bool, list[Polygon]] = {True: [], False: []}
    seq = 0
    while seq < len(items):
        item, count = items[seq], 1
        if item.command in (FenceCmd.POLYGON_INCLUSION, FenceCmd.POLYGON_EXCLUSION):
            count = int(item.params[0])
            ring = [origin.metres(i.y / 1e7, i.x / 1e7) for i in items[seq : seq + count]]
            shapes[item.command == FenceCmd.POLYGON_INCLUSION].append(Polygon(ring))
        elif item.command in (FenceCmd.CIRCLE_INCLUSION, FenceCmd.CIRCLE_EXCLUSION):
            centre = Point(origin.metres(item.y / 1e7, item.x / 1e7))
            shapes[item.command == FenceCmd.CIRCLE_INCLUSION].append(centre.buffer(item.params[0], quad_segs=32))
        seq += count
    return Fence(tuple(shapes[True]), tuple(shapes[False]))
