"""Routes of the airspace: the zones in force, and the editions they come from."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from airspace.classes import CLASS_TEXT
from airspace.zones import Zone
from geo.heights import Height
from patrol import airspaces
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import Viewer, Work

router = APIRouter(prefix="/api", tags=["zones"])


class HeightOut(wire.Wire):
    """A height over the ground below, over the sea, or over the ellipsoid."""

    metres: float
    datum: Literal["ground", "sea_level", "ellipsoid"]


class ZonePartOut(wire.Wire):
    """One piece of a zone's air."""

    outline: wire.Geometry
    floor: HeightOut
    ceiling: HeightOut


class ZoneOut(wire.Wire):
    """空域: air with rules. `article` and `article_text` say which item of Art. 19 closes it."""

    id: str
    name: str
    kind: Literal["suitable", "controlled", "prohibited", "restricted", "temporary"]
    parts: list[ZonePartOut]
    article_class: str | None
    article: str | None
    article_text: wire.Text2 | None
    buffer_m: float
    timed: bool
    authority: str
    version: str
    synthetic: bool


def zone_out(zone: Zone) -> ZoneOut:
    """A zone on the wire."""
    said = CLASS_TEXT[zone.article_class] if zone.article_class else None
    return ZoneOut(
        id=zone.id,
        name=zone.name,
        kind=zone.kind.value,
        parts=[
            ZonePartOut(outline=rim.geometry(p.outline), floor=_height(p.floor), ceiling=_height(p.ceiling)) for p in zone.parts
        ],
        article_class=zone.article_class.value if zone.article_class else None,
        article=said.article if said else None,
        article_text=wire.Text2(zh=said.short_zh, en=said.short_en) if said else None,
        buffer_m=zone.buffer_m,
        timed=bool(zone.spans or zone.windows or zone.valid_from or zone.valid_until),
        authority=zone.authority,
        version=zone.version,
        synthetic=zone.synthetic,
    )


def _height(height: Height) -> HeightOut:
    return HeightOut(metres=height.metres, datum=height.datum.value)


@router.get("/zones", operation_id="list_zones")
def list_zones(work: Work, _: Viewer) -> list[ZoneOut]:
    """All zones in force."""
    with work.database.read() as session:
        return [zone_out(zone) for zone in airspaces.in_force(session)]
