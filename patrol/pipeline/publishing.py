"""Pictures that leave the house: made fit (`imagery.privacy`), marked with who took them and when, and written into the access log."""

from __future__ import annotations

from pathlib import Path

from geo.times import LOCAL_ZONE
from imagery import privacy
from patrol import audit, repositories
from patrol.shelf import NotFound
from patrol.wiring import Workplace


def evidence(work: Workplace, evidence_id: str, *, by: str, name: str) -> privacy.Published:
    """A picture of evidence, fit to hand out. Raises NotFound when it was let go, PhotoError when it is no picture."""
    with work.database.read() as session:
        piece = repositories.evidence.get(session, evidence_id)
    if piece.removed_at is not None:
        raise NotFound(f"the picture of evidence {evidence_id} was let go on {piece.removed_at:%Y-%m-%d}; its hash stays")
    done = privacy.publish(work.blobs.read(piece.sha256), user=name, at=_now(work))
    _log(work, by, f"evidence:{evidence_id}", done, piece.photo_sha256)
    return done


def photo(work: Workplace, path: Path, *, by: str, name: str, gsd_m: float | None = None) -> privacy.Published:
    """Any picture file, fit to hand out: photos of recon flights and of officers."""
    done = privacy.publish(path.read_bytes(), user=name, at=_now(work), gsd_m=gsd_m)
    _log(work, by, f"photo:{path.name}", done, None)
    return done


def _now(work: Workplace) -> str:
    return work.clock.now().astimezone(LOCAL_ZONE).strftime("%Y-%m-%d %H:%M UTC%z")


def _log(work: Workplace, by: str, subject: str, done: privacy.Published, photo_sha256: str | None) -> None:
    told = {
        "original": done.original_sha256,
        "photo": photo_sha256,
        "handed_out": done.sha256,
        "faces": done.faces,
        "plates": done.plates,
        "notes": list(done.notes),
    }
    with work.database.write() as session:
        audit.append(session, by, "export.picture", subject, at=work.clock.now(), details=told)
