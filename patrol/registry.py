"""The register in the store: its versions, their entries, and what they said of findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from patrol.records import FindingLabel, RegisterEntry, RegisterVersion, VersionState
from patrol.shelf import Bounds, Shelf
from patrol.tables import FindingLabelRow, RegisterEntryRow, RegisterVersionRow

versions = Shelf(RegisterVersionRow, RegisterVersion, "register version")
entries = Shelf(RegisterEntryRow, RegisterEntry, "register entry", {"outline": "shape"})
labels = Shelf(FindingLabelRow, FindingLabel, "register label")

_BATCH = 2000


def versions_of(session: Session, *, source: str | None = None, state: VersionState | None = None) -> tuple[RegisterVersion, ...]:
    """Versions, by source and the newest first."""
    asked = [RegisterVersionRow.source == source] if source is not None else []
    if state is not None:
        asked.append(RegisterVersionRow.state == state.value)
    return versions.where(session, *asked, order=(RegisterVersionRow.source, RegisterVersionRow.number.desc()))


def add_entries(session: Session, made: Iterable[RegisterEntry]) -> None:
    """Put in the entries of a version: a county's parcels go in by the thousand, not one by one."""
    rows = []
    for entry in made:
        west, south, east, north = entry.outline.bounds
        row = {name: getattr(entry, name) for name in RegisterEntry.__slots__ if name != "outline"}
        rows.append({**row, "shape": entry.outline, "min_x": west, "min_y": south, "max_x": east, "max_y": north})
    for start in range(0, len(rows), _BATCH):
        session.execute(insert(RegisterEntryRow), rows[start : start + _BATCH])


def entries_of(
    session: Session, version_id: str, *, box: Bounds | None = None, limit: int | None = None, offset: int = 0
) -> tuple[RegisterEntry, ...]:
    """The entries of one version, by number."""
    of = RegisterEntryRow.version_id == version_id
    return entries.where(session, of, box=box, order=(RegisterEntryRow.number,), limit=limit, offset=offset)


def in_force(session: Session, box: Bounds) -> tuple[RegisterEntry, ...]:
    """Entries of the current versions whose bounds touch a box of degrees; an entry's own dates are not looked at."""
    current = select(RegisterVersionRow.id).where(RegisterVersionRow.state == VersionState.CURRENT.value)
    return entries.where(session, RegisterEntryRow.version_id.in_(current), box=box)


def numbers_elsewhere(session: Session, source: str, numbers: Sequence[str]) -> dict[str, int]:
    """Current sources other than this one, and how many of these numbers they hold as well."""
    wanted, found = set(numbers), {}
    for version in versions_of(session, state=VersionState.CURRENT):
        if version.source != source:
            there = session.scalars(select(RegisterEntryRow.number).where(RegisterEntryRow.version_id == version.id))
            count = len(wanted & set(there))
            if count:
                found[version.source] = count
    return found


def labels_of(session: Session, finding_id: str) -> tuple[FindingLabel, ...]:
    """What the register says of a finding, the largest share first."""
    return labels.where(session, FindingLabelRow.finding_id == finding_id, order=(FindingLabelRow.share.desc(),))


def relabel(session: Session, finding_id: str, made: Iterable[FindingLabel]) -> None:
    """Put labels in place of those a finding has."""
    session.execute(delete(FindingLabelRow).where(FindingLabelRow.finding_id == finding_id))
    for label in made:
        labels.add(session, label)
