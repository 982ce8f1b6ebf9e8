"""Airspace in the store: editions of each source's zones, and the zones that are in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from shapely.geometry import GeometryCollection
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Row, Select, insert, select
from sqlalchemy.orm import Session

from airspace import reasons
from airspace.classes import ZoneClass
from airspace.windows import Window
from airspace.zones import Notice, Part, Zone, ZoneKind
from geo.heights import Datum, Height
from geo.holidays import Holidays
from geo.times import Span
from imagery.reasons import Reason
from patrol.records import VersionState, ZoneVersion
from patrol.shelf import Bounds, Shelf, in_box
from patrol.tables import Base, ZoneRow, ZoneVersionRow
from patrol.values import dump, load

versions = Shelf(ZoneVersionRow, ZoneVersion, "zone version")

_BATCH = 2000


def note(said: reasons.Reason) -> Reason:
    """A reason of the airspace as the store keeps notes."""
    return Reason(said.code, said.zh, said.en)


def versions_of(session: Session, *, source: str | None = None, state: VersionState | None = None) -> tuple[ZoneVersion, ...]:
    """Versions, by source and the newest first."""
    asked = [ZoneVersionRow.source == source] if source is not None else []
    if state is not None:
        asked.append(ZoneVersionRow.state == state.value)
    return versions.where(session, *asked, order=(ZoneVersionRow.source, ZoneVersionRow.number.desc()))


def add_zones(session: Session, version_id: str, zones: Iterable[Zone]) -> None:
    """Put in the zones of a version: they come by the thousand, not one by one."""
    rows = [_row(version_id, number, zone) for number, zone in enumerate(zones, start=1)]
    for start in range(0, len(rows), _BATCH):
        # the table's own insert: the mapped one makes a statement for every other set of empty columns
        session.execute(insert(Base.metadata.tables[ZoneRow.__tablename__]), rows[start : start + _BATCH])


def zones_of(session: Session, version_id: str) -> tuple[Zone, ...]:
    """The zones of one version as its file had them, in the file's order."""
    return tuple(_zone(row) for row in session.execute(_rows_of(version_id)))


def in_force(session: Session, box: Bounds | None = None, *, holidays: Holidays | None = None) -> tuple[Zone, ...]:
    """The zones of all current versions, their ids `source/id`; `box` (west, south, east, north) asks whose outlines touch it.

    `holidays` is the installation's own table, for zones whose windows hang on it.

    A version's own validity goes into its zones. After its end a suitable zone no longer opens anything, while a closed one stays until its
    source says something newer: old data may close air, it may not open any.
    """
    found: list[Zone] = []
    for version in versions_of(session, state=VersionState.CURRENT):
        query = _rows_of(version.id)
        if box is not None:
            query = query.where(in_box(ZoneRow, session, box))
        held = (under(version, _zone(row)) for row in session.execute(query))
        found += (replace(z, holidays=holidays) if holidays and z.windows else z for z in held if z is not None)
    return tuple(found)


def outlines_in_force(session: Session) -> tuple[tuple[str, BaseGeometry], ...]:
    """Names and outlines of the zones of all current versions: what a new file is laid over, without the rest of each."""
    current = select(ZoneVersionRow.id).where(ZoneVersionRow.state == VersionState.CURRENT.value)
    return tuple(
        (name, shape)
        for name, shape in session.execute(select(ZoneRow.name, ZoneRow.shape).where(ZoneRow.version_id.in_(current)))
    )


def under(version: ZoneVersion, zone: Zone) -> Zone | None:
    """A zone as it holds under its version; None where the two share no instant."""
    starts = [at for at in (zone.valid_from, version.valid_from) if at is not None]
    ends = [at for at in (zone.valid_until, version.ends_at) if at is not None]
    if zone.kind is ZoneKind.SUITABLE and version.valid_until is not None:
        ends.append(version.valid_until)
    start, end = max(starts, default=None), min(ends, default=None)
    if start is not None and end is not None and end <= start:
        return None
    return replace(
        zone,
        id=f"{version.source}/{zone.id}",
        version=zone.version or version.edition or f"{version.source}#{version.number}",
        authority=zone.authority or version.authority,
        valid_from=start,
        valid_until=end,
    )


def _height(stored: Mapping[str, Any]) -> Height:
    return Height(stored["metres"], Datum(stored["datum"]))


def _row(version_id: str, number: int, zone: Zone) -> dict[str, Any]:
    west, south, east, north = zone.bounds
    outlines = [part.outline for part in zone.parts]
    shape: BaseGeometry = outlines[0] if len(outlines) == 1 else GeometryCollection(outlines)
    return {
        "id": f"{version_id}-{number:06d}",  # so that they stand in the file's order
        "version_id": version_id,
        "zone_id": zone.id,
        "name": zone.name,
        "kind": zone.kind.value,
        "article_class": zone.article_class.value if zone.article_class else None,
        "parts": [{"floor": dump(part.floor), "ceiling": dump(part.ceiling)} for part in zone.parts],
        "spans": dump(zone.spans),
        "windows": dump(zone.windows),
        "buffer_m": zone.buffer_m,
        "authority": zone.authority,
        "version": zone.version,
        "synthetic": zone.synthetic,
        "valid_from": zone.valid_from,
        "valid_until": zone.valid_until,
        "notice": dump(zone.notice),
        "attributes": dump(zone.attributes),
        "shape": shape,
        "min_x": west,
        "min_y": south,
        "max_x": east,
        "max_y": north,
    }


def _rows_of(version_id: str) -> Select[Any]:
    """The rows of a version in the file's order, as plain tuples: ten thousand mapped objects would take seconds."""
    return select(*ZoneRow.__table__.columns).where(ZoneRow.version_id == version_id).order_by(ZoneRow.id)


def _zone(row: Row[Any]) -> Zone:
    outlines = row.shape.geoms if isinstance(row.shape, GeometryCollection) else (row.shape,)
    parts = (
        Part(outline, _height(limits["floor"]), _height(limits["ceiling"]))
        for outline, limits in zip(outlines, row.parts, strict=True)
    )
    return Zone(
        id=row.zone_id,
        name=row.name,
        kind=ZoneKind(row.kind),
        parts=tuple(parts),
        article_class=ZoneClass(row.article_class) if row.article_class else None,
        spans=load(tuple[Span, ...], row.spans) if row.spans else (),
        windows=load(tuple[Window, ...], row.windows) if row.windows else (),
        buffer_m=row.buffer_m,
        authority=row.authority,
        version=row.version,
        synthetic=row.synthetic,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        notice=load(Notice, row.notice) if row.notice else None,
        attributes=tuple((key, value) for key, value in row.attributes),
    )
