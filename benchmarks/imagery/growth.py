"""How cost and memory grow with the number of photos: one simulated flight, each stage a process of its own.

CPU seconds are the process's own, imports and compiled code loaded before the clock starts; memory is the process's peak.
`SCALE=50,150` in the environment takes other parts of the flight than fifty and five hundred photos.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.imagery import flight
from benchmarks.report import Row
from geo.frames import metric_frame
from imagery import orthorectify, surface
from imagery.engines import features
from imagery.engines.colmap import ColmapReconstructor
from imagery.photos import Photo, read_folder
from imagery.reconstruct import Block
from imagery.survey import area_from_photos

_WORKERS = 2
_WARM = 15  # photos of a first run that only compiles what is not yet compiled


class _NextStage(Exception):
    """Raised out of a progress call: the stage that was asked for is done."""


def _read(folder: Path) -> tuple[Photo, ...]:
    return read_folder(folder / "photos").photos


def _features(folder: Path) -> None:
    engine = _engine(folder)
    assert engine.shelf is not None
    features.extract(_read(folder), engine.shelf / engine.recipe.shelf, engine.recipe, workers=_WORKERS)


def _engine(folder: Path) -> ColmapReconstructor:
    return ColmapReconstructor(workers=_WORKERS, shelf=folder / "features")


def _reconstruct(folder: Path, until: str | None = None) -> None:
    photos = _read(folder)
    assert photos[0].place is not None

    def progress(done: int, total: int, what: str) -> None:
        if what == until:
            raise _NextStage

    try:
        block = _engine(folder).reconstruct(photos, metric_frame(photos[0].place), folder / "work", progress=progress)
    except _NextStage:
        return
    block.save(folder / "block")


def _matching(folder: Path) -> None:
    _reconstruct(folder, until="mapping")


def _surface(folder: Path) -> None:
    photos = _read(folder)
    area = area_from_photos(photos, "flight")
    surface.build(Block.load(folder / "block", photos), area.grid(area.gsd_m), folder / "rasters")


def _ortho(folder: Path) -> None:
    photos = _read(folder)
    area = area_from_photos(photos, "flight")
    files = surface.SurfaceFiles.of(folder / "rasters")
    block = Block.load(folder / "block", photos)
    orthorectify.build(block, files.surface, area.grid(area.gsd_m), folder / "rasters", confidence=files.confidence)


STAGES: dict[str, Callable[[Path], None]] = {
    "features": _features,
    "matching": _matching,
    "mapping": _reconstruct,
    "surface": _surface,
    "ortho": _ortho,
}


def peak_mb() -> float:
    """The most memory this process has held; unlike getrusage's figure it does not begin with the parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def measured(stage: str, folder: Path) -> dict[str, float]:
    """CPU seconds, peak megabytes and seconds of a stage; kept in the folder and not measured twice."""
    kept = folder / f"{stage}.json"
    if not kept.exists():
        call = [sys.executable, "-m", "benchmarks.imagery.growth", stage, str(folder)]
        out = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        kept.write_text(out.splitlines()[-1])
    spent: dict[str, float] = json.loads(kept.read_text())
    return spent


def rows(folder: Path) -> list[Row]:
    """Cost and memory of each stage for each part of the flight, and how much dearer a photo is in the largest."""
    counts = [int(n) for n in os.environ.get("SCALE", "50,500").split(",")]
    paths = flight.photos(folder / "flight")
    found: list[Row] = []
    totals: dict[int, float] = {}
    for count in (_WARM, *counts):
        here = folder / f"{count}"
        (here / "photos").mkdir(parents=True, exist_ok=True)
        for path in flight.part(paths, count):
            link = here / "photos" / path.name
            if not link.exists():
                os.link(path, link)
        name = f"simulated flight, {count} photos of 0.27 Mpx"
        spent = {stage: measured(stage, here) for stage in STAGES}
        if count == _WARM:
            continue
        totals[count] = sum(s["cpu_s"] for s in spent.values()) / count
        found += [Row(f"{stage}: cost per photo", name, s["cpu_s"] / count, "cpu-s", "lower") for stage, s in spent.items()]
        found += [Row(f"{stage}: peak memory", name, s["peak_mb"] / 1024, "GB", "lower") for stage, s in spent.items()]
        found.append(Row("cost per photo", name, totals[count], "cpu-s", "lower"))
        bar = 4.0 if count >= 500 else 1.5
        found.append(Row("peak memory", name, max(s["peak_mb"] for s in spent.values()) / 1024, "GB", "lower", bar))
    first, last = min(counts), max(counts)
    if last > first:
        rise = 100 * (totals[last] / totals[first] - 1)
        found.append(Row("rise of the cost per photo", f"simulated flight, {first} to {last} photos", rise, "%", "lower", 20))
    return found


def main(stage: str, folder: Path) -> None:
    """One stage, measured."""
    start, cpu = time.monotonic(), time.process_time()
    STAGES[stage](folder)
    record = {"cpu_s": time.process_time() - cpu, "wall_s": time.monotonic() - start, "peak_mb": peak_mb()}
    print(json.dumps(record))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
