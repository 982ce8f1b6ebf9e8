"""Evidence of findings: cut from surveys, kept in the blob store, and cut anew when a mask comes over its ground."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session

from dispatch.actor import SYSTEM
from dispatch.finding import Finding
from geo.area import Area
from imagery import evidence
from imagery.errors import ImageryError
from imagery.survey import Survey
from imagery.witness import Ground, Witness
from patrol import audit, records, repositories
from patrol.tables import EvidenceRow
from patrol.wiring import Workplace

SOURCE_PHOTOS = 3
CUT = ("before", "after", "recheck", "height", "recheck_height", "photo")
"""The roles that this program cuts itself; field photos and papers are other people's."""


class EvidenceDesk:
    """Cuts the evidence of one comparison; each survey's photos are opened once for all its findings."""

    def __init__(self, old: Survey, new: Survey) -> None:
        self._old, self._new = old, new
        self._witnesses: dict[str, Witness] = {}

    def pieces(self, outline_m: Ground, *, photos: bool) -> tuple[tuple[str, evidence.Crop, str], ...]:
        """(role, crop, survey id): chips of both dates, the height chip, and source photos, most of them of the later survey.

        Without `photos` none are cut: hundreds of held-back changes are never looked at.
        """
        old, new = self._old, self._new
        found = [("before", evidence.chip(old, outline_m), old.id), ("after", evidence.chip(new, outline_m), new.id)]
        if old.surface is not None and new.surface is not None:
            found.append(("height", evidence.height_chip(old, new, outline_m), new.id))
        if photos:
            for survey, count in ((new, SOURCE_PHOTOS), (old, 1)):
                found += [("photo", crop, survey.id) for crop in self._crops(survey, outline_m, count)]
        return tuple(found)

    def _crops(self, survey: Survey, outline_m: Ground, count: int) -> tuple[evidence.Crop, ...]:
        if survey.block is None or survey.surface is None:
            return ()  # an adopted orthophoto has no photos of its own: its chip is its evidence
        try:
            if survey.id not in self._witnesses:
                self._witnesses[survey.id] = Witness(survey)
            return evidence.crops(survey, outline_m, count, witness=self._witnesses[survey.id])
        except ImageryError:
            return ()  # no photo holds the place whole, or the originals are gone: the chips stand


def keep(work: Workplace, session: Session, finding_id: str, role: str, crop: evidence.Crop, survey_id: str) -> None:
    """One crop as evidence of a finding, within the caller's transaction."""
    blob = work.blobs.put(crop.jpeg)
    repositories.evidence.add(
        session,
        records.EvidenceRecord(
            id=repositories.new_id(),
            subject="finding",
            subject_id=finding_id,
            role=role,
            sha256=blob.sha256,
            media_type="image/jpeg",
            size_bytes=blob.size_bytes,
            caption=crop.caption,
            made_by=SYSTEM.id,
            made_at=work.clock.now(),
            taken_at=crop.taken_at,
            place=crop.place,
            survey_id=survey_id,
            photo_sha256=crop.photo_sha256,
        ),
    )


def renew(work: Workplace, area: Area, finding: Finding, survey: Survey, *, by: str) -> tuple[str, ...]:
    """Cut the evidence that a finding has of one survey anew, in place of what is there; the hashes that are no longer shown.

    What cannot be cut any more (all of its ground is masked) is marked as removed: the row and its hash stay.
    """
    with work.database.read() as session:
        rows = repositories.evidence.where(
            session,
            EvidenceRow.subject == "finding",
            EvidenceRow.subject_id == finding.id,
            EvidenceRow.survey_id == survey.id,
            EvidenceRow.role.in_(CUT),
            EvidenceRow.removed_at.is_(None),
            order=(EvidenceRow.made_at,),
        )
        before = repositories.surveys.find(session, finding.before_survey) if finding.before_survey else None
    old = Survey.load(work.settings.home / before.folder) if before is not None else None
    outline = area.frame.to_metres(finding.outline_wgs84)
    pool = _Pool(survey, old, outline, sum(row.role == "photo" for row in rows))
    now, gone = work.clock.now(), []
    for row in rows:
        crop = pool.cut(row.role)
        if crop is None:
            renewed = replace(row, removed_at=now, caption=f"{row.caption}（已遮蔽 masked）")
        else:
            blob = work.blobs.put(crop.jpeg)
            renewed = replace(
                row,
                sha256=blob.sha256,
                size_bytes=blob.size_bytes,
                caption=crop.caption,
                taken_at=crop.taken_at,
                photo_sha256=crop.photo_sha256,
            )
        if renewed == row:
            continue
        with work.database.write() as session:
            repositories.evidence.put(session, renewed)
            told = {"before": row.sha256, "after": None if crop is None else renewed.sha256, "why": "mask"}
            audit.append(session, by, "evidence.renew", f"evidence:{row.id}", at=now, details=told)
        gone.append(row.sha256)
    return tuple(gone)


class _Pool:
    """Crops of one place by role, photos handed out one after the other."""

    def __init__(self, survey: Survey, old: Survey | None, outline_m: Ground, photos: int) -> None:
        self._survey, self._old, self._outline = survey, old, outline_m
        try:
            self._photos = list(evidence.crops(survey, outline_m, photos)) if photos else []
        except ImageryError:
            self._photos = []

    def cut(self, role: str) -> evidence.Crop | None:
        if role == "photo":
            return self._photos.pop(0) if self._photos else None
        try:
            if role.endswith("height"):
                return None if self._old is None else evidence.height_chip(self._old, self._survey, self._outline)
            return evidence.chip(self._survey, self._outline)
        except ImageryError:
            return None
