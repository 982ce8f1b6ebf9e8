"""The ground control of a survey: the file that is used, what the survey it completes had, and what is kept for the one after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geo.area import Area
from imagery import controlfiles
from imagery.control import Control
from imagery.errors import ControlError
from imagery.reasons import Reason
from patrol.values import dump, load

RECORD = "control.json"


def chosen(path: Path | None, photos: Path, area: Area, checks: Sequence[str], first: Control | None = None) -> Control | None:
    """The control to use: of the file that is named, else of one among the `photos`, beside the points of a `first` survey that these
    photos complete. What nobody asked for is said in its notes. Raises ControlError.
    """
    found = path or controlfiles.own_of(photos)
    if found is None and first is None:
        if checks:
            raise ControlError(
                f"指定了检查点 {'、'.join(checks)}，但没有像控点文件。 Check points {', '.join(checks)} are named, but there is no control file"
            )
        return None
    ground = controlfiles.read(found, area.frame) if found is not None else None
    if ground is not None and path is None:
        ground = replace(ground, notes=(_found(ground.source), *ground.notes))
    if first is not None:
        first = replace(first, notes=(_of_first(len(first.points)),))
        ground = first if ground is None else first.beside(ground)
    assert ground is not None
    return ground.with_checks(checks)


def keep(folder: Path, ground: Control) -> None:
    """Write `control.json` into a survey's folder, its marks by the photos' hashes: a make-up flight goes on from it."""
    part = folder / f".{RECORD}.part"
    part.write_text(json.dumps(dump(ground), ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(folder / RECORD)


def kept(folder: Path) -> Control | None:
    """The control a survey was built with; None of one without. Raises ValuesError, OSError."""
    path = folder / RECORD
    if not path.is_file():
        return None
    ground: Control = load(Control, json.loads(path.read_text(encoding="utf-8")))
    return ground


def _found(name: str) -> Reason:
    return Reason(
        "control_found",
        f"照片文件夹里有像控点文件 {name}，已自动使用。",
        f"The photos' folder holds ground control, {name}: it is used.",
    )


def _of_first(count: int) -> Reason:
    return Reason(
        "control_of_first",
        f"沿用待补飞成果的 {count} 个像控点。",
        f"The {count} points of ground control of the survey that is completed hold this one too.",
        float(count),
    )
