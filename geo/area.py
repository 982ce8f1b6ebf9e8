"""Area (巡查单元): ground under watch; owns a grid and a revisit rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from shapely.geometry import MultiPolygon, Polygon
from shapely.validation import explain_validity

from geo.errors import GeoError
from geo.frames import Frame, LonLat, metric_frame
from geo.grid import Grid

AreaId = NewType("AreaId", str)


class Tier(StrEnum):
    """How closely an area is watched."""

    KEY = "key"  # 重点
    GENERAL = "general"  # 一般


@dataclass(frozen=True, slots=True)
class Area:
    """A polygon of ground in WGS 84 degrees, with the EPSG code of the metric frame it works in."""

    id: AreaId
    name: str
    outline: Polygon | MultiPolygon
    tier: Tier = Tier.KEY
    revisit_days: int = 30
    gsd_m: float = 0.05
    epsg: int = 0  # 0: chosen by the place

    def __post_init__(self) -> None:
        if self.outline.is_empty or not self.outline.is_valid:
            raise GeoError(f"area {self.name}: the outline is broken ({explain_validity(self.outline)}); draw it anew")
        if self.revisit_days < 1:
            raise GeoError(f"area {self.name}: a revisit of {self.revisit_days} days is not possible")
        if self.epsg == 0:
            object.__setattr__(self, "epsg", metric_frame(self.centre).epsg)

    @property
    def frame(self) -> Frame:
        """The metric frame all its sums are done in."""
        return Frame(self.epsg)

    @property
    def centre(self) -> LonLat:
        """Middle of the outline."""
        point = self.outline.centroid
        return LonLat(lon_deg=point.x, lat_deg=point.y)

    @property
    def outline_m(self) -> Polygon | MultiPolygon:
        """The outline in the area's metric frame."""
        return self.frame.to_metres(self.outline)

    @property
    def area_m2(self) -> float:
        """Ground covered."""
        return float(self.outline_m.area)

    def grid(self, gsd_m: float | None = None) -> Grid:
        """The area's own grid: deterministic and snapped to whole cells."""
        return Grid.over(self.frame, self.outline_m.bounds, gsd_m or self.gsd_m)
