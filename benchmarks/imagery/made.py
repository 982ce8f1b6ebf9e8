"""Surveys for the benchmarks, made as the product makes them, and what their making cost."""

from __future__ import annotations

import json
import resource
import time
from datetime import date
from pathlib import Path

import psutil
from shapely.geometry import mapping, shape

from benchmarks.report import DATA
from geo.area import Area, AreaId
from imagery.engines.colmap import ColmapReconstructor
from imagery.photos import read_folder
from imagery.screening import screen
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
    own = area or area_from_photos(screening.accepted, photos.name)
    start, cpu = time.monotonic(), time.process_time()
    with terminal.bar() as progress:
        made = build(
            screening.accepted,
            own,
            day,
            folder,
            reconstructor=ColmapReconstructor(shelf=folder.parent / "features"),
            reference=reference,
            progress=progress,
        )
    outline = {"id": own.id, "name": own.name, "outline": mapping(own.outline), "gsd_m": own.gsd_m, "epsg": own.epsg}
    (folder / "area.json").write_text(json.dumps(outline))
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


def area(survey: Survey) -> Area:
    """The area a first survey was made for, so that a later one is made for the same."""
    record = json.loads((survey.folder / "area.json").read_text())
    return Area(AreaId(record["id"]), record["name"], shape(record["outline"]), gsd_m=record["gsd_m"], epsg=record["epsg"])
