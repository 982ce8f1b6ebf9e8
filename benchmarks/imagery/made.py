"""Surveys for the benchmarks, made as the product makes them, and what their making cost."""

from __future__ import annotations

import json
import resource
import time
from datetime import date
from pathlib import Path

import psutil

from benchmarks.report import DATA
from geo.area import Area
from imagery.engines.colmap import ColmapReconstructor
from imagery.photos import read_folder
from imagery.quality import screen
from imagery.survey import Survey, area_from_photos, build
from patrol import terminal


def data(*parts: str) -> Path:
    """A folder of the shared data; raises FileNotFoundError with a sentence when it is not here."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is not on this machine: the set is left out")
    return path


def survey(photos: Path, folder: Path, day: date, *, area: Area | None = None, reference: Survey | None = None) -> Survey:
    """A survey of a folder of photos in `folder`; one that lies there already is taken as it is."""
    reading = read_folder(photos)
    screening = screen(reading.photos)
    start, cpu = time.monotonic(), time.process_time()
    with terminal.bar() as progress:
        made = build(
            screening.accepted,
            area or area_from_photos(screening.accepted, photos.name),
            day,
            folder,
            reconstructor=ColmapReconstructor(shelf=folder.parent / "features"),
            reference=reference,
            progress=progress,
        )
    spent = folder / "spent.json"
    if not spent.exists():
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        record = {
            "wall_s": time.monotonic() - start,
            "cpu_s": time.process_time() - cpu,
            "peak_mb": peak_mb,
            "now_mb": psutil.Process().memory_info().rss / 1e6,
            "photos": len(screening.accepted),
        }
        spent.write_text(json.dumps(record))
    return made
