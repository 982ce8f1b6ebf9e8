"""What changed between two surveys, found by one worker or by many: of a large area each window is a piece of work, a file when it is done.

All workers see the store's folder. A window's file is there whole or not at all and is the same whoever made it, so that a piece may be
made twice, a killed worker's is made by another, and a comparison that was interrupted goes on from what lies there.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from change_detect.align import SurveyPair
from change_detect.candidate import Candidate
from change_detect.detector import Divisible, Seen
from change_detect.raster import Source
from geo.progress import Progress, silent
from imagery import workfiles
from imagery.errors import SurveyError
from patrol.wiring import Workplace

STEPS = 100
"""How many steps of progress a window counts for."""


@dataclass(frozen=True, slots=True)
class Share:
    """The windows of a comparison that are to be looked at by whoever has time, before it can go on."""

    before_id: str
    after_id: str
    room: str
    numbers: tuple[int, ...]


def detect(
    work: Workplace,
    ids: tuple[str, str],
    sources: tuple[Source, Source],
    paired: Callable[[], SurveyPair],
    progress: Progress = silent,
    *,
    shared: bool = False,
) -> tuple[SurveyPair, tuple[Candidate, ...]] | Share:
    """The aligned pair and its candidates; a `shared` one of `share_windows` or more comes back as what others are to look at.

    `paired` aligns the two sources, when that was not done by an earlier run. Raises ChangeError.
    """
    detector = work.detector(progress)
    if not shared or not isinstance(detector, Divisible):
        pair = paired()
        return pair, detector.detect(pair)
    room = rooms(work) / f"{'_'.join(ids)}-{_stamp(sources, detector)}"
    pair = _kept(room / "pair")
    if pair is None:
        pair = paired()
    windows = detector.windows(pair)
    if len(windows) < work.settings.share_windows:
        return pair, detector.detect(pair)
    if not (room / "pair").exists():
        room.mkdir(parents=True, exist_ok=True)
        workfiles.keep(room / "pair", pair)
    seen = [_kept(_file(room, number)) for number in range(len(windows))]
    missing = tuple(number for number, one in enumerate(seen) if one is None)
    if missing:
        return Share(*ids, room.name, missing)
    return pair, detector.joined(pair, (one for one in seen if one is not None))


def look(work: Workplace, room: str, number: int, progress: Progress = silent) -> None:
    """Look at one window of a shared comparison; one that was looked at stays as it is. Raises ChangeError."""
    place = rooms(work) / room
    if _kept(_file(place, number)) is not None:
        return
    pair = workfiles.load(place / "pair")

    def told(done: int, total: int, what: str) -> None:
        progress(STEPS * done // max(total, 1), STEPS, what)

    detector = work.detector(told)
    assert isinstance(detector, Divisible)
    seen: Seen = detector.see(pair, detector.windows(pair)[number])
    workfiles.keep(_file(place, number), seen)


def leave(work: Workplace, ids: tuple[str, str]) -> None:
    """Clear away what a comparison left, once it is stored: of earlier states of its surveys too."""
    for room in rooms(work).glob(f"{'_'.join(ids)}-*"):
        shutil.rmtree(room, ignore_errors=True)


def rooms(work: Workplace) -> Path:
    """Where shared comparisons are made."""
    return work.settings.home / "comparing"


def _file(room: Path, number: int) -> Path:
    return room / f"window-{number:05}"


def _kept(path: Path) -> Any:
    """What lies there; None when there is nothing, or what an older version of the product wrote, which is then made anew."""
    if not path.exists():
        return None
    with suppress(SurveyError):
        return workfiles.load(path)
    path.unlink(missing_ok=True)
    return None


def _stamp(sources: tuple[Source, Source], detector: Divisible) -> str:
    """Changes with anything that the candidates follow from: the files of both surveys, what is refused of them, the detector's rules."""
    said = [repr(getattr(detector, name)) for name in getattr(detector, "__slots__", ()) if name != "progress"]
    for source in sources:
        said.append(source.refused.wkt if source.refused is not None else "")
        for path in (source.ortho, source.surface, source.sigma, source.filled, source.flags):
            if path is not None:
                now = path.stat()
                said.append(f"{path}|{now.st_size}|{now.st_mtime_ns}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]
