"""The originals of photos: kept beside the store under hash and name, because evidence must outlive the memory card."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from geo.area import Area
from geo.progress import Progress, silent
from imagery.photos import Photo
from patrol.wiring import Workplace


def keep(work: Workplace, area: Area, taken_on: date, photos: Sequence[Photo], progress: Progress = silent) -> tuple[Photo, ...]:
    """The photos where they stay; what is there already is not copied again. Raises OSError."""
    folder = work.settings.home / "photos" / area.id / f"{taken_on:%Y%m%d}"
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for number, photo in enumerate(photos):
        target = folder / f"{_mark(photo)}{photo.path.name}"
        if not target.exists():
            part = target.with_suffix(f".part{os.getpid()}")
            copy(work, photo.path, part)
            part.replace(target)
        kept.append(replace(photo, path=target))
        progress(number + 1, len(photos), "originals")
    return tuple(kept)


def own_name(photo: Photo) -> str:
    """The name a photo came with, wherever it lies now."""
    return photo.name.removeprefix(_mark(photo))


def copy(work: Workplace, source: Path, target: Path) -> None:
    """A copy; of an uploaded or fetched photo a second name, because its file is the store's own and read-only."""
    if work.settings.work_dir in source.parents:
        with contextlib.suppress(OSError):  # another disk
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def _mark(photo: Photo) -> str:
    return f"{photo.sha256[:12]}-"
