"""From a folder to the photos a survey is made of: what is used, what is left out and why, and what a person took back.

All of it is kept as `screening.json` in the survey's folder, every original by its SHA-256, and its remarks stand among the reasons
of the survey's quality.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flight import flightlog
from flight.errors import FormatError
from geo.area import Area
from geo.progress import Progress, silent
from imagery.exposures import Exposure, matched
from imagery.photos import Photo, Refused, read_folder
from imagery.reasons import Reason, read_all
from imagery.remarks import HEIGHT_DRIFT
from imagery.screening import Screening, Why, screen
from imagery.survey import Survey
from patrol import repositories
from patrol.pipeline import originals
from patrol.values import dump, hints, load
from patrol.wiring import Workplace

RECORD = "screening.json"
# What side files, the flight's log and screening tell of a photo beyond its own file: all that is lost with the card's folder.
_TOLD = (
    "place", "position_source", "ellipsoid_height_m", "height_trusted", "takeoff_height_m", "yaw_deg", "pitch_deg", "roll_deg",
    "rtk_fixed", "position_sigma_m", "height_sigma_m", "receiver",
)  # fmt: skip


class UnknownUse(ValueError):
    """Asked to use what is neither a reason nor a photo of the folder."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """A folder's photos, sorted. `taken_back` names reason and photo of each that is used although screening set it aside."""

    screening: Screening
    refused: tuple[Refused, ...]
    notes: tuple[Reason, ...]
    taken_back: tuple[tuple[str, Photo], ...] = ()
    believed: tuple[str, ...] = ()  # codes of remarks that a person overruled

    @property
    def accepted(self) -> tuple[Photo, ...]:
        """The photos to build from."""
        return self.screening.accepted

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Name and reason, in both languages, of every file that is not used."""
        files = tuple((r.path.name, r.reason) for r in self.refused)
        return files + tuple((s.photo.name, s.sentence) for s in self.screening.set_aside)

    def keep(self, folder: Path, others: Sequence[Photo] = ()) -> None:
        """Write `screening.json` into a survey's folder, whole or not at all; `others` are photos of an earlier flight used beside these."""
        why = {photo.sha256: code for code, photo in self.taken_back}
        record = {
            "used": [_line(p) | ({"taken_back": why[p.sha256]} if p.sha256 in why else {}) for p in (*others, *self.accepted)],
            "set_aside": [
                _line(s.photo) | {"code": str(s.code), "zh": s.sentence_zh, "en": s.sentence_en} for s in self.screening.set_aside
            ],
            "refused": [{"name": r.path.name, "sha256": r.sha256, "reason": r.reason} for r in self.refused],
            "remarks": dump(list(self.notes)),
        }
        part = folder / f".{RECORD}.part"
        part.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
        part.replace(folder / RECORD)


def sort(
    work: Workplace,
    folder: Path,
    area: Area,
    *,
    flight_id: str | None = None,
    use: Sequence[str] = (),
    anchored: bool = False,
    progress: Progress = silent,
) -> Sorted:
    """Read a folder and screen it. `use` names reasons (`blur`), remarks (`height_drift`) or photos that a person overrules.

    Raises PhotoError when there is nothing to read, UnknownUse for a word that names nothing, NotFound for an unknown flight.
    """
    reading = read_folder(folder, workers=2, progress=progress)
    photos, notes = reading.photos, list(reading.notes)
    if flight_id is not None:
        photos, told = _with_log(work, flight_id, photos)
        notes.append(told)
    codes, names = _meant(use, [p.name for p in photos])
    believed = (HEIGHT_DRIFT,) if HEIGHT_DRIFT in use else ()
    screening = screen(photos, area=area, anchored=anchored, believed=believed)
    chosen = [
        (str(s.code), s.photo)
        for s in screening.set_aside
        if s.code is not Why.DUPLICATE and (s.code in codes or s.photo.name in names)
    ]
    if chosen:
        screening = screening.taken_back(codes=codes, sha256s={photo.sha256 for _, photo in chosen})
        counts = Counter(code for code, _ in chosen)
        which = ", ".join(f"{code} {count}" for code, count in counts.items())
        notes.append(
            Reason(
                "taken_back",
                f"{len(chosen)} 张被筛除的照片按要求恢复使用（{which}）。",
                f"{len(chosen)} photos that screening had set aside are used as asked ({which}).",
                float(len(chosen)),
            )
        )
    return Sorted(screening, reading.refused, (*notes, *screening.remarks), tuple(chosen), believed)


def as_told(folder: Path, photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Photos read again from their files, with what was told of them beside when the survey of this folder was made; a survey of before
    that was kept says less. Raises ValuesError, OSError.
    """
    path = folder / RECORD
    used = json.loads(path.read_text(encoding="utf-8"))["used"] if path.is_file() else []
    lines = {line["sha256"]: line for line in used}
    known = hints(Photo)

    def told(photo: Photo) -> Photo:
        line = lines.get(photo.sha256, {})
        return replace(photo, **{name: load(known[name], line[name]) for name in _TOLD if name in line})

    return tuple(told(photo) for photo in photos)


def on_record(folder: Path, survey: Survey) -> Survey:
    """The survey with the remarks of its `screening.json` before its own reasons; saved, and the same when asked again."""
    path = folder / RECORD
    if not path.is_file():
        return survey
    remarks = read_all(json.loads(path.read_text(encoding="utf-8"))["remarks"])
    new = tuple(r for r in remarks if r not in survey.quality.reasons)
    if not new:
        return survey
    return replace(survey, quality=replace(survey.quality, reasons=(*new, *survey.quality.reasons))).save()


def summary(folder: Path) -> dict[str, Any]:
    """`screening`: how many photos were used, set aside for each reason, refused and taken back; nothing for a survey without photos."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    counts = {
        "used": len(record["used"]),
        "set_aside": dict(Counter(line["code"] for line in record["set_aside"])),
        "refused": len(record["refused"]),
        "taken_back": sorted(line["name"] for line in record["used"] if "taken_back" in line),
        "positions": dict(Counter(line["position_source"] for line in record["used"])),
    }
    return {"screening": counts}


def _line(photo: Photo) -> dict[str, Any]:
    return dump(
        {
            "name": originals.own_name(photo),
            "sha256": photo.sha256,
            "taken_at": photo.taken_at,
            "own_place": photo.own_place,
            "own_height_m": photo.own_height_m,
            **{name: getattr(photo, name) for name in _TOLD},
        }
    )


def _meant(use: Sequence[str], names: Sequence[str]) -> tuple[set[Why], set[str]]:
    """Reasons and photo names that words stand for."""
    known = {str(why): why for why in Why if why is not Why.DUPLICATE}
    by_word = {name.lower(): name for name in names} | {Path(name).stem.lower(): name for name in names}
    wrong = [word for word in use if word not in known and word.lower() not in by_word and word != HEIGHT_DRIFT]
    if wrong:
        allowed = ", ".join((*known, HEIGHT_DRIFT))
        raise UnknownUse(
            f"--use {wrong[0]}: 既不是筛除原因，也不是文件夹中的照片名；可用的原因：{allowed}。 "
            f"neither a reason nor a photo of the folder; reasons are {allowed}"
        )
    return {known[w] for w in use if w in known}, {by_word[w.lower()] for w in use if w not in known and w.lower() in by_word}


def _with_log(work: Workplace, flight_id: str, photos: tuple[Photo, ...]) -> tuple[tuple[Photo, ...], Reason]:
    with work.database.read() as session:
        flight = repositories.flights.get(session, flight_id)
    try:
        log = flightlog.from_json(json.dumps(flight.log))
    except FormatError as err:
        return photos, Reason(
            "log_not_matched",
            f"飞行日志无法读取，未采用其照片位置：{err}。",
            f"The flight log cannot be read, its photo places were not used: {err}.",
        )
    exposures = [Exposure(e.at, e.place, e.height.metres, e.yaw_deg, e.pitch_deg, e.roll_deg) for e in log.photos]
    return matched(photos, exposures)
