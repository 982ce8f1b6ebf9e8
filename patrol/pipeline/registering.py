"""The register (合法与管控底图): files in as versions that replace each other in sight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from shapely.ops import unary_union
from sqlalchemy.orm import Session

from change_detect.register import Entry
from imagery.reasons import Reason
from patrol import audit, registerfile, registry, repositories
from patrol.records import RegisterEntry, RegisterVersion, VersionState
from patrol.registercolumns import RegisterRefused
from patrol.wiring import Workplace


def import_file(
    work: Workplace,
    path: Path,
    *,
    by: str,
    source: str | None = None,
    name: str | None = None,
    kind: str | None = None,
    datum: str | None = None,
    layer: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> RegisterVersion:
    """A file into the store as the current version of its source, whole or not at all; the version before it stays, replaced.

    The same file again is the version that is there. Raises RegisterRefused.
    """
    with work.database.read() as session:
        areas = repositories.areas.where(session)
    ground = unary_union([a.outline for a in areas]) if areas else None
    found = registerfile.read(work.settings, path, ground=ground, kind=kind, datum=datum, layer=layer, columns=columns, name=name)
    series = (source or Path(found.name).stem).strip()
    if not series:
        raise RegisterRefused("来源名称不能为空。", "a source needs a name.")
    with work.database.write() as session:
        earlier = registry.versions_of(session, source=series)
        before = next((v for v in earlier if v.state is VersionState.CURRENT), None)
        if before is not None and (before.sha256, before.datum) == (found.sha256, found.datum):
            return before
        now = work.clock.now()
        number = earlier[0].number + 1 if earlier else 1
        version_id = repositories.new_id()
        entries = [_stored(version_id, e) for e in found.entries]
        notes = (*found.notes, *_overlaps(session, series, entries))
        made = RegisterVersion(
            id=version_id,
            source=series,
            number=number,
            file_name=found.name,
            sha256=found.sha256,
            datum=found.datum,
            guessed=found.guessed,
            entries=len(entries),
            kinds=dict(Counter(e.kind for e in entries)),
            changes=_changes(registry.entries_of(session, before.id) if before else (), entries),
            notes=notes,
            state=VersionState.CURRENT,
            imported_by=by,
            imported_at=now,
        )
        registry.versions.add(session, made)
        registry.add_entries(session, entries)
        if before is not None:
            registry.versions.put(session, replace(before, state=VersionState.REPLACED, replaced_by=made.id))
        told = {"source": series, "number": number, "entries": len(entries), "sha256": made.sha256, "datum": made.datum}
        told |= {"replaces": before.id if before else None, "changes": dict(made.changes)}
        audit.append(session, by, "register.import", f"register:{made.id}", at=now, details=told)
    return made


def _stored(version_id: str, entry: Entry) -> RegisterEntry:
    given = {name: getattr(entry, name) for name in Entry.__slots__ if name not in {"id", "kind", "ref"}}
    return RegisterEntry(id=repositories.new_id(), version_id=version_id, number=entry.id, kind=entry.kind.value, **given)


def _changes(before: Sequence[RegisterEntry], after: Sequence[RegisterEntry]) -> dict[str, int]:
    """Entries new, gone, changed and the same, told apart by kind and number."""

    def by_number(entries: Sequence[RegisterEntry]) -> dict[tuple[str, str], RegisterEntry]:
        return {(e.kind, e.number): replace(e, id="", version_id="") for e in entries}

    old, new = by_number(before), by_number(after)
    both = old.keys() & new.keys()
    same = sum(
        replace(old[k], outline=new[k].outline) == new[k] and old[k].outline.equals_exact(new[k].outline, 1e-9) for k in both
    )
    return {"new": len(new.keys() - old.keys()), "gone": len(old.keys() - new.keys()), "changed": len(both) - same, "same": same}


def _overlaps(session: Session, source: str, entries: Sequence[RegisterEntry]) -> tuple[Reason, ...]:
    elsewhere = registry.numbers_elsewhere(session, source, [e.number for e in entries])
    return tuple(
        Reason(
            "overlaps",
            f"其中 {count} 个编号在来源“{other}”中也有：若是同一批资料的新版，请用 --source {other} 导入以替换旧版。",
            f"{count} of the numbers are in source {other!r} as well: if this is its next version, import it with --source {other}.",
            float(count),
        )
        for other, count in elsewhere.items()
    )


def withdraw(work: Workplace, version_id: str, *, by: str, reason: str) -> RegisterVersion:
    """Take a current version out of force; nothing of it is deleted. Raises RegisterRefused."""
    return _move(work, version_id, VersionState.WITHDRAWN, by, reason)


def put_back(work: Workplace, version_id: str, *, by: str, reason: str) -> RegisterVersion:
    """Make an earlier version the current one of its source again. Raises RegisterRefused."""
    return _move(work, version_id, VersionState.CURRENT, by, reason)


def _move(work: Workplace, version_id: str, state: VersionState, by: str, reason: str) -> RegisterVersion:
    if not reason.strip():
        raise RegisterRefused("请说明理由。", "say why.")
    with work.database.write() as session:
        version = registry.versions.get(session, version_id)
        if version.state is state or (state is VersionState.WITHDRAWN and version.state is not VersionState.CURRENT):
            raise RegisterRefused(
                f"{version.source} 第 {version.number} 版目前是 {version.state}，无需此操作。",
                f"version {version.number} of {version.source} is {version.state}: there is nothing to do.",
            )
        if state is VersionState.CURRENT:
            for other in registry.versions_of(session, source=version.source, state=VersionState.CURRENT):
                registry.versions.put(session, replace(other, state=VersionState.REPLACED, replaced_by=version.id))
        done = replace(version, state=state, replaced_by=None, said=reason.strip())
        registry.versions.put(session, done)
        told = {"source": version.source, "number": version.number, "before": version.state, "after": state, "reason": reason}
        audit.append(session, by, "register.move", f"register:{version_id}", at=work.clock.now(), details=told)
    return done
