"""What is left of an outline for planning: suitable air and permits, less all that may not be entered, inset by a margin."""

from __future__ import annotations

from collections.abc import Sequence

import shapely
from shapely.geometry import Polygon

from airspace.law import ZONE_RULES
from airspace.zones import GROUND, LEGAL_CEILING_M, Outline, Part, Permit, Volume, Zone, ZoneKind, in_metres, padded, polygons
from geo.frames import Frame
from geo.heights import Height
from geo.times import Span


def permitted_outline(
    outline: Outline,
    zones: Sequence[Zone],
    permits: Sequence[Permit],
    *,
    ceiling: Height,
    span: Span,
    margin_m: float,
    frame: Frame,
) -> Outline:
    """The part of `outline` (WGS 84) in which a flight from the ground up to `ceiling` may be planned, in metres of `frame`.

    The margin is kept from every edge of airspace, not from `outline` itself, which only says where one wants to fly (the area
    together with the take-off place). Above 120 m only permits count. The result may be empty or in several parts.
    """
    wish = Volume(outline, GROUND, ceiling, span)  # checks outline, heights and span
    bounds = padded(outline.bounds, margin_m + max((z.buffer_m for z in zones), default=0.0) + 500.0)
    west, south, east, north = bounds

    def near(of: Part | Permit) -> bool:
        w, s, e, n = of.outline.bounds
        return not (e < west or w > east or n < south or s > north)

    def cut(of: Part | Permit) -> Outline:
        return in_metres(of.outline, frame, bounds)

    def parts(of: Zone) -> list[Part]:
        closed = of.kind is not ZoneKind.SUITABLE
        return [there for part in of.parts if near(part) and (there := part.over_ground(closed=closed)) is not None]

    leave = [p for p in permits if near(p) and p.holds_all(span) and p.floor <= GROUND and ceiling <= p.ceiling]
    given = [cut(p) for p in leave]
    declared = []
    if ceiling.metres <= LEGAL_CEILING_M:
        declared = [
            cut(p)
            for z in zones
            if z.kind is ZoneKind.SUITABLE
            for p in parts(z)
            if p.floor <= GROUND and ceiling <= p.ceiling and z.holds_all(span)
        ]
    allowed = shapely.union_all([*given, *declared])
    for helps in (True, False):  # a permit lifts controlled, restricted and temporary zones, never a prohibited one
        hard = [
            cut(p).buffer(z.buffer_m) if z.buffer_m else cut(p)
            for z in zones
            if z.kind is not ZoneKind.SUITABLE and ZONE_RULES[z.kind].permit_helps is helps
            for p in parts(z)
            if p.floor < wish.ceiling and z.active(span)
        ]
        closed = shapely.union_all(hard)
        if helps and given:
            closed = closed.difference(shapely.union_all(given))
        allowed = allowed.difference(closed)
    inset = polygons(allowed).buffer(-margin_m, join_style="mitre") if margin_m > 0 else polygons(allowed)
    left = polygons(inset.intersection(in_metres(outline, frame)))
    return left if not left.is_empty else Polygon()
