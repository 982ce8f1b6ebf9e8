"""Suitable airspace map (适飞空域图): by height band, the air of a place that is declared suitable less all that is closed in it.

A band is open only where it is open from its floor to its ceiling for the whole span that is asked about; what nobody declares is not in the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import shapely

from airspace.errors import AirspaceError
from airspace.index import Airspace
from airspace.zones import LEGAL_CEILING_M, Outline, ZoneKind, in_metres, polygons
from geo.frames import Frame
from geo.relief import Relief
from geo.times import Span

_SIMPLE_M = 0.05  # corners closer to a straight line than this are dropped, always into the closed side


@dataclass(frozen=True, slots=True)
class Band:
    """Heights over the ground from `low_m` up to `high_m`."""

    low_m: float
    high_m: float

    def __post_init__(self) -> None:
        if not 0 <= self.low_m < self.high_m <= LEGAL_CEILING_M:
            raise AirspaceError(
                f"a band from {self.low_m:g} to {self.high_m:g} m is none of suitable air, which lies between 0 and {LEGAL_CEILING_M:g} m"
            )


BANDS = (Band(0, 120), Band(0, 60), Band(60, 120))
"""The bands a map has unless an installation says others."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One band of a map: what is suitable (WGS 84), how much of the place that is, and why the rest is not, in square metres."""

    band: Band
    outline: Outline
    suitable_m2: float
    closed_m2: float
    unknown_m2: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What of a town is suitable in one band, in square metres."""

    town: str
    band: Band
    area_m2: float
    suitable_m2: float


@dataclass(frozen=True, slots=True)
class SuitableMap:
    """The map of a place at a time; `data_version` names the zones it was made from."""

    layers: tuple[Layer, ...]
    towns: tuple[Figures, ...]
    span: Span
    data_version: str


def suitable_map(
    place: Outline,
    airspace: Airspace,
    span: Span,
    frame: Frame,
    *,
    bands: Sequence[Band] = BANDS,
    towns: Mapping[str, Outline] | None = None,
    relief: Relief | None = None,
) -> SuitableMap:
    """The map of a place (WGS 84): permits do not count, for they open air to their holder alone."""
    whole = in_metres(place, frame)
    near = airspace.near(place.bounds, frame, span, relief)
    own = {name: in_metres(outline, frame) for name, outline in (towns or {}).items()}
    layers, figures = [], []
    for band in bands:
        open_ = [
            n.outline
            for n in near
            if n.zone is not None
            and n.zone.kind is ZoneKind.SUITABLE
            and n.part.floor.metres <= band.low_m
            and band.high_m <= n.part.ceiling.metres
            and n.holds_all(span)
        ]
        shut = [
            n.outline
            for n in near
            if n.zone is not None
            and n.zone.kind is not ZoneKind.SUITABLE
            and n.part.floor.metres < band.high_m
            and band.low_m < n.part.ceiling.metres
        ]
        closed = shapely.union_all(shut).intersection(whole)
        declared = shapely.union_all(open_).intersection(whole)
        suitable = polygons(declared.difference(closed))
        known = shapely.union(declared, closed)
        outline = (
            frame.to_degrees(polygons(suitable.buffer(-_SIMPLE_M).simplify(_SIMPLE_M))) if not suitable.is_empty else suitable
        )
        layers.append(Layer(band, outline, suitable.area, closed.area, max(0.0, whole.area - known.area)))
        figures += [Figures(name, band, town.area, suitable.intersection(town).area) for name, town in own.items()]
    return SuitableMap(tuple(layers), tuple(figures), span, airspace.version)
