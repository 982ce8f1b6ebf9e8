"""Zones (空域): a file looked at first — its datum, what changes, what that hits — then taken as the next edition of its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from shapely.ops import unary_union
from sqlalchemy.orm import Session

from airspace.differences import Differences, compare
from airspace.errors import ZoneFileRefused
from airspace.formats.table import WRITTEN
from airspace.placing import Known
from airspace.zonefile import ZoneFile, read_zones
from airspace.zones import Zone, ZoneKind
from patrol import airspaces, audit, repositories, rules
from patrol.pipeline import checking
from patrol.pipeline.zonehits import Hit, hits
from patrol.records import VersionState, ZoneVersion
from patrol.wiring import Workplace


@dataclass(frozen=True, slots=True)
class Review:
    """A file as it would be taken: against which version, what changes, what that hits. Nothing is stored yet."""

    file: ZoneFile
    source: str
    before: ZoneVersion | None
    differences: Differences
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person says of an edition, where the file does not."""

    authority: str = ""
    edition: str = ""
    classification: str = "internal"
    valid_from: datetime | None = None
    valid_until: datetime | None = None


def known(session: Session) -> Known:
    """What a new file's datum is judged against: areas under watch and the zones in force."""
    areas = repositories.areas.where(session)
    return Known(unary_union([a.outline for a in areas]) if areas else None, airspaces.outlines_in_force(session))


def review(
    work: Workplace,
    path: Path,
    *,
    name: str | None = None,
    source: str | None = None,
    datum: str | None = None,
    kind: ZoneKind | None = None,
    layer: str | None = None,
) -> Review:
    """A file looked at. Raises ZoneFileRefused."""
    with work.database.read() as session:
        file = read_zones(path, name=name, known=known(session), datum=datum, kind=kind, layer=layer)
        series = (source or Path(file.name).stem).strip()
        if not series or "/" in series:
            raise ZoneFileRefused("来源名称不能为空，也不能含“/”。", "a source needs a name, without a slash.")
        before = _current(airspaces.versions_of(session, source=series))
        differences = compare(airspaces.zones_of(session, before.id) if before else (), file.zones)
        return Review(file, series, before, differences, hits(session, differences.changes, work.clock))


def accept(work: Workplace, seen: Review, terms: Terms | None = None, *, by: str) -> ZoneVersion:
    """What was looked at becomes the current version of its source, unless another one has come in the meantime. Raises ZoneFileRefused.

    The same file again is the version that is there.
    """
    terms, file = terms or Terms(), seen.file
    if terms.classification not in rules.levels(work.settings):
        known_levels = "、".join(rules.levels(work.settings))
        raise ZoneFileRefused(
            f"密级 {terms.classification} 不认识（{known_levels}）。",
            f"classification {terms.classification!r} is none of {known_levels}.",
        )
    start, end = terms.valid_from or file.valid_from, terms.valid_until or file.valid_until
    if start is not None and end is not None and end <= start:
        raise ZoneFileRefused("有效期的结束不晚于开始。", "its validity ends before it starts.")
    with work.database.write() as session:
        now_current = _current(airspaces.versions_of(session, source=seen.source))
        if (now_current.id if now_current else None) != (seen.before.id if seen.before else None):
            raise ZoneFileRefused(
                f"来源“{seen.source}”在此期间已有新版本，请重新查看差异。",
                f"{seen.source!r} has got another version in the meantime: look at the changes anew.",
            )
        if seen.before is not None and (seen.before.sha256, seen.before.datum) == (file.sha256, file.datum):
            return seen.before
        made = keep(
            session,
            work,
            seen.source,
            file.zones,
            by=by,
            file=replace(
                file,
                authority=terms.authority or file.authority,
                edition=terms.edition or file.edition,
                valid_from=start,
                valid_until=end,
            ),
            classification=terms.classification,
            changes=seen.differences.counts,
        )
    checking.zones_changed(work, by=by)
    return made


def import_zones(work: Workplace, path: Path, *, by: str, datum: str | None = None, source: str | None = None) -> ZoneVersion:
    """A file looked at and taken at once, all of it or nothing. Raises ZoneFileRefused."""
    return accept(work, review(work, path, datum=datum, source=source), by=by)


MADE_HERE = ZoneFile("", "", "", "wgs84", False, ())
"""What stands for the file of zones that no file brought."""


def keep(
    session: Session,
    work: Workplace,
    source: str,
    zones: Sequence[Zone],
    *,
    by: str,
    file: ZoneFile = MADE_HERE,
    classification: str = "internal",
    changes: Mapping[str, int] | None = None,
) -> ZoneVersion:
    """Zones as the current version of their source. The version before it stays in force until this one is valid, then it is replaced."""
    now = work.clock.now()
    earlier = airspaces.versions_of(session, source=source)
    made = ZoneVersion(
        id=repositories.new_id(),
        source=source,
        number=earlier[0].number + 1 if earlier else 1,
        file_name=file.name,
        format=file.format,
        sha256=file.sha256,
        datum=file.datum,
        guessed=file.guessed,
        authority=file.authority,
        edition=file.edition,
        classification=classification,
        zones=len(zones),
        kinds=dict(Counter(zone.kind.value for zone in zones)),
        changes=dict(changes or {"added": len(zones)}),
        notes=tuple(airspaces.note(n) for n in file.notes),
        state=VersionState.CURRENT,
        imported_by=by,
        imported_at=now,
        valid_from=file.valid_from,
        valid_until=file.valid_until,
    )
    airspaces.versions.add(session, made)
    airspaces.add_zones(session, made.id, zones)
    for before in earlier:
        if before.state is VersionState.CURRENT:
            airspaces.versions.put(session, _followed(before, made, now))
    told = {"source": source, "number": made.number, "zones": made.zones, "sha256": made.sha256, "datum": made.datum}
    audit.append(session, by, "zone.import", f"zones:{made.id}", at=now, details={**told, "changes": dict(made.changes)})
    return made


def _current(versions: Sequence[ZoneVersion]) -> ZoneVersion | None:
    """The newest version in force of a source (the newest first)."""
    return next((v for v in versions if v.state is VersionState.CURRENT), None)


def _followed(before: ZoneVersion, after: ZoneVersion, now: datetime) -> ZoneVersion:
    """An edition that takes effect later leaves the one before it in force until then: there is no hour without rules."""
    if after.valid_from is None or after.valid_from <= now:
        return replace(before, state=VersionState.REPLACED, replaced_by=after.id)
    ends = min(after.valid_from, before.ends_at or after.valid_from)
    return replace(before, ends_at=ends, replaced_by=after.id)


def withdraw(work: Workplace, version_id: str, *, by: str, reason: str) -> ZoneVersion:
    """Take a current version out of force; nothing of it is deleted. Raises ZoneFileRefused."""
    return _move(work, version_id, VersionState.WITHDRAWN, by, reason)


def put_back(work: Workplace, version_id: str, *, by: str, reason: str) -> ZoneVersion:
    """Make an earlier or withdrawn version the current one of its source again. Raises ZoneFileRefused."""
    return _move(work, version_id, VersionState.CURRENT, by, reason)


def _move(work: Workplace, version_id: str, state: VersionState, by: str, reason: str) -> ZoneVersion:
    if not reason.strip():
        raise ZoneFileRefused("请说明理由。", "say why.")
    with work.database.write() as session:
        version = airspaces.versions.get(session, version_id)
        if version.state is state or (state is VersionState.WITHDRAWN and version.state is not VersionState.CURRENT):
            raise ZoneFileRefused(
                f"{version.source} 第 {version.number} 版目前是 {version.state}，无需此操作。",
                f"version {version.number} of {version.source} is {version.state}: there is nothing to do.",
            )
        for other in airspaces.versions_of(session, source=version.source, state=VersionState.CURRENT):
            if state is VersionState.CURRENT:
                airspaces.versions.put(session, replace(other, state=VersionState.REPLACED, replaced_by=version.id))
            elif other.replaced_by == version.id:  # it was to take over: the one before it goes on
                airspaces.versions.put(session, replace(other, ends_at=None, replaced_by=None))
        done = replace(version, state=state, replaced_by=None, ends_at=None, said=reason.strip())
        airspaces.versions.put(session, done)
        told = {"source": version.source, "number": version.number, "before": version.state, "after": state, "reason": reason}
        audit.append(session, by, "zone.move", f"zones:{version_id}", at=work.clock.now(), details=told)
    checking.zones_changed(work, by=by)
    return done


@dataclass(frozen=True, slots=True)
class Written:
    """Zones in force as a file."""

    name: str
    media_type: str
    content: bytes
    zones: int = field(default=0)


def write(work: Workplace, code: str, *, by: str, source: str | None = None) -> Written:
    """The zones in force (of one source) in one of the formats that are given out. Raises ZoneFileRefused."""
    if code not in WRITTEN:
        raise ZoneFileRefused(
            f"不能导出为 {code}，可选 {'、'.join(WRITTEN)}。", f"{code!r} is not written; choose one of {', '.join(WRITTEN)}."
        )
    made = WRITTEN[code]
    with work.database.write() as session:
        zones = [z for z in airspaces.in_force(session) if source is None or z.id.startswith(f"{source}/")]
        if not zones:
            raise ZoneFileRefused("没有可导出的空域。", "there are no zones to write.")
        assert made.write is not None
        if source is not None:  # its own ids, so that it can come back as an edition of the same source
            zones = [replace(z, id=z.id.removeprefix(f"{source}/")) for z in zones]
        content = made.write(zones)
        told = {"format": code, "zones": len(zones), "source": source}
        audit.append(session, by, "zone.export", f"zones:{source or 'all'}", at=work.clock.now(), details=told)
    suffix = ".json" if code in {"ed269", "ed318"} else made.suffixes[-1] if code == "geojson" else made.suffixes[0]
    return Written(f"zones-{code}{suffix}", made.media_type, content, len(zones))
