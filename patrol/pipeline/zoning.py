"""Zones (空域): files in as editions of a source, which replace each other in sight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from airspace.zonefile import read_zones
from airspace.zones import Zone
from imagery.reasons import Reason
from patrol import airspaces, audit, repositories
from patrol.records import VersionState, ZoneVersion
from patrol.wiring import Workplace


def import_zones(work: Workplace, path: Path, *, by: str, datum: str | None = None) -> ZoneVersion:
    """Zones of a file into the store, all or none; raises airspace's own error naming the broken feature."""
    found = read_zones(path, datum=datum)
    with work.database.write() as session:
        return keep(session, work, path.stem, found.zones, by=by, file_name=path.name, sha256=found.sha256, datum=found.datum)


def keep(
    session: Session,
    work: Workplace,
    source: str,
    zones: Sequence[Zone],
    *,
    by: str,
    file_name: str = "",
    format: str = "",
    sha256: str = "",
    datum: str = "wgs84",
    guessed: bool = False,
    authority: str = "",
    edition: str = "",
    classification: str = "internal",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    notes: Sequence[Reason] = (),
    changes: dict[str, int] | None = None,
) -> ZoneVersion:
    """Zones as the current version of their source. The version before it stays in force until this one is valid, then it is replaced."""
    now = work.clock.now()
    earlier = airspaces.versions_of(session, source=source)
    made = ZoneVersion(
        id=repositories.new_id(),
        source=source,
        number=earlier[0].number + 1 if earlier else 1,
        file_name=file_name,
        format=format,
        sha256=sha256,
        datum=datum,
        guessed=guessed,
        authority=authority,
        edition=edition,
        classification=classification,
        zones=len(zones),
        kinds=dict(Counter(zone.kind.value for zone in zones)),
        changes=changes or {"added": len(zones)},
        notes=tuple(notes),
        state=VersionState.CURRENT,
        imported_by=by,
        imported_at=now,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    airspaces.versions.add(session, made)
    airspaces.add_zones(session, made.id, zones)
    for before in earlier:
        if before.state is VersionState.CURRENT:
            airspaces.versions.put(session, _followed(before, made, now))
    told = {
        "source": source,
        "number": made.number,
        "zones": made.zones,
        "sha256": sha256,
        "datum": datum,
        "changes": dict(made.changes),
    }
    audit.append(session, by, "zone.import", f"zones:{made.id}", at=now, details=told)
    return made


def _followed(before: ZoneVersion, after: ZoneVersion, now: datetime) -> ZoneVersion:
    """An edition that takes effect later leaves the one before it in force until then: there is no hour without rules."""
    if after.valid_from is None or after.valid_from <= now:
        return replace(before, state=VersionState.REPLACED, replaced_by=after.id)
    ends = min(after.valid_from, before.ends_at or after.valid_from)
    return replace(before, ends_at=ends, replaced_by=after.id)
