"""Ground that may not be shown: masks come in with an authority and a reason, and are burnt into every survey before anyone sees it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.validation import explain_validity

from geo.area import Area
from geo.progress import Progress, silent
from imagery import masks
from imagery.errors import ImageryError
from imagery.survey import Survey
from patrol import audit, records, repositories
from patrol.pipeline import cataloguing, evidencing
from patrol.tables import EvidenceRow, FindingRow
from patrol.wiring import Workplace

NEEDED = ("authority", "reason")
_NEAR_M = 80.0
"""A crop of evidence reaches this far around its place: one whose place lies nearer to a new mask is cut anew."""


class MaskRefused(ValueError):
    """Masks that cannot be taken or burnt: says which file, which feature, and what to do."""


def read_masks(path: Path) -> Any:
    """The GeoJSON of a file of masks; raises MaskRefused."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise MaskRefused(f"{path}: cannot be read ({err.strerror or err})") from err
    except ValueError as err:
        raise MaskRefused(f"{path}: not a GeoJSON file ({err})") from err


def masks_in(raw: Any, name: str) -> tuple[tuple[Mapping[str, Any], Polygon | MultiPolygon], ...]:
    """Properties and outlines (WGS 84) of a FeatureCollection; raises MaskRefused, and takes none when one is broken."""
    features = raw.get("features") if isinstance(raw, Mapping) else None
    if not isinstance(features, list) or not features:
        raise MaskRefused(f"{name}: not a GeoJSON FeatureCollection with features")
    found = []
    for number, feature in enumerate(features, start=1):
        where = f"{name}, feature {number}"
        if not isinstance(feature, Mapping):
            raise MaskRefused(f"{where}: not a GeoJSON feature")
        given = dict(feature.get("properties") or {})
        missing = [name for name in NEEDED if not str(given.get(name) or "").strip()]
        if missing:
            raise MaskRefused(f"{where}: a mask says by whose word and why; {', '.join(missing)} is missing")
        try:
            outline = shape(feature["geometry"])
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise MaskRefused(f"{where}: its geometry cannot be read ({err})") from err
        if not isinstance(outline, Polygon | MultiPolygon) or not outline.is_valid or outline.is_empty:
            raise MaskRefused(f"{where}: a mask is a valid polygon ({outline.geom_type}, {explain_validity(outline)})")
        west, south, east, north = outline.bounds
        if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
            raise MaskRefused(f"{where}: GeoJSON is in WGS 84 degrees, longitude first")
        found.append((given, outline))
    return tuple(found)


def import_masks(work: Workplace, raw: Any, name: str, *, by: str) -> tuple[records.MaskRecord, ...]:
    """Masks of a GeoJSON document into the store, all or none. Surveys that are there already are burnt by `burn_all` (a job)."""
    now = work.clock.now()
    made = []
    with work.database.write() as session:
        for given, outline in masks_in(raw, name):
            mask_id = hashlib.sha256(bytes(outline.normalize().wkb)).hexdigest()[:16]
            there = repositories.masks.find(session, mask_id)
            mask = there or records.MaskRecord(
                mask_id,
                str(given.get("name") or given.get("名称") or mask_id),
                str(given.get("kind") or "other"),
                str(given["authority"]),
                str(given["reason"]),
                outline,
                by,
                now,
            )
            if there is None:
                repositories.masks.add(session, mask)
                details = {"authority": mask.authority, "reason": mask.reason, "kind": mask.kind}
                audit.append(session, by, "mask.add", f"mask:{mask_id}", at=now, details=details)
            made.append(mask)
    return tuple(made)


def burn_into(work: Workplace, area: Area, survey: Survey) -> tuple[masks.Burnt, ...]:
    """Burn every mask of the store out of a survey's files; what was burnt now. Raises MaskRefused."""
    with work.database.read() as session:
        known = repositories.masks.where(session, box=area.frame.to_degrees(survey.grid.outline_m.buffer(200.0)).bounds)
    outlines: Sequence[tuple[str, Polygon | MultiPolygon]] = [(m.id, area.frame.to_metres(m.outline)) for m in known]
    try:
        return masks.burn(survey, outlines)
    except ImageryError as err:
        raise MaskRefused(f"survey {survey.id}: a mask could not be burnt, so it is not shown: {err}") from err


def burn_all(work: Workplace, *, by: str, progress: Progress = silent) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Burn all masks into all surveys that lack them; (survey, masks) of what was done. May be cut off and asked again."""
    with work.database.read() as session:
        surveys = repositories.surveys.where(session)
    done = []
    for number, record in enumerate(surveys):
        progress(number, len(surveys), "masks")
        burnt = _burn_again(work, record, by)
        if burnt:
            done.append((record.id, tuple(b.mask_id for b in burnt)))
    progress(len(surveys), len(surveys), "masks")
    return tuple(done)


def _burn_again(work: Workplace, record: records.SurveyRecord, by: str) -> tuple[masks.Burnt, ...]:
    folder = work.settings.home / record.folder
    ortho = record.asset("ortho")
    if ortho is None or not (folder / ortho.path).is_file():
        return ()
    with work.database.read() as session:
        area = repositories.areas.get(session, record.area_id)
    survey = Survey.load(folder)
    burnt = burn_into(work, area, survey)
    changed = [a for a in record.assets if a.role in masks.RASTERS]
    stale = bool(masks.read(folder)) and any(a != cataloguing.asset(folder, a.role, folder / a.path) for a in changed)
    if not burnt and not stale:
        return ()
    old_picture = record.asset("thumbnail")
    cataloguing.make_thumbnail(work, folder, survey)
    (folder / "cloud.laz").unlink(missing_ok=True)  # points of the masked ground: it is made again when asked for
    renewed = replace(record, assets=tuple(cataloguing.assets(folder, survey)))
    with work.database.write() as session:
        repositories.surveys.put(session, renewed)
        told = {"masks": [b.mask_id for b in masks.read(folder)], "cells": [b.cells for b in masks.read(folder)]}
        audit.append(session, by, "survey.mask", f"survey:{record.id}", at=work.clock.now(), details=told)
    cataloguing.write_item(work, renewed)
    if old_picture is not None:
        forget(work, old_picture.sha256)
    _renew_evidence(work, area, survey, masks.read(folder), by)
    return burnt or masks.read(folder)


def _renew_evidence(work: Workplace, area: Area, survey: Survey, burnt: Iterable[masks.Burnt], by: str) -> None:
    """Pictures of evidence that may show masked ground are cut anew, and the old ones let go."""
    near = [b.outline_m.buffer(_NEAR_M) for b in burnt]
    with work.database.read() as session:
        shown = {e.subject_id for e in repositories.evidence.where(session, EvidenceRow.survey_id == survey.id)}
        findings = repositories.findings.where(session, FindingRow.id.in_(shown))
    for finding in findings:
        outline = area.frame.to_metres(finding.outline_wgs84)
        if any(outline.intersects(ground) for ground in near):
            for sha256 in evidencing.renew(work, area, finding, survey, by=by):
                forget(work, sha256)


def forget(work: Workplace, sha256: str) -> bool:
    """Let go of a blob that no row speaks of any more; whether it was let go."""
    with work.database.read() as session:
        if repositories.blob_is_named(session, sha256):
            return False
    work.blobs.remove(sha256)
    return True
