"""Time, CPU seconds, memory and quality of every stage: the demo, sheffield_cross, the planted pair, brighton_beach.

`make bench NAME=pipeline`; `ARGS="--only demo,planted"` runs a part. Sets that are not on this machine are said to be missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np

from benchmarks.change import judged, peers
from benchmarks.report import DATA, Row
from benchmarks.runner import Set, run
from change_detect.evaluate import Truth, score
from geo.area import Area
from imagery.photos import read_folder
from imagery.screening import screen
from imagery.survey import area_from_photos
from patrol import demo, repositories, terminal
from patrol.pipeline import comparing, surveying
from patrol.pipeline.areas import keep_area
from patrol.settings import Settings
from patrol.stages import Stages
from patrol.wiring import Workplace, workplace

BY = "bench"


def _in_store(measured: Callable[[Settings], list[Row]]) -> Set:
    """A set that works on a fresh store in its folder."""

    def rows(folder: Path) -> list[Row]:
        settings = Settings(home=folder, database_url="", broker_url="")
        demo.fresh(settings)
        return measured(settings)

    return rows


def _folder(*parts: str) -> Path:
    path = DATA.joinpath(*parts)
    if not path.is_dir():
        raise FileNotFoundError(f"{path.name} is not on this machine: the set is left out")
    return path


def _stages(dataset: str, stages: Stages) -> list[Row]:
    rows = []
    for s in stages.found:
        rows += [
            Row(f"{s.name}: wall", dataset, round(s.wall_s, 1), "s", "lower"),
            Row(f"{s.name}: CPU", dataset, round(s.cpu_s, 1), "s", "lower"),
            Row(f"{s.name}: peak memory", dataset, round(s.peak_mb), "MB", "lower"),
        ]
    return rows


def simulated(settings: Settings) -> list[Row]:
    """The demo's month."""
    stages = Stages()
    with workplace(settings) as work:
        demo.first_admin(work)
    with terminal.bar() as progress:
        report = demo.simulated_month(settings, seed=7, progress=progress, stages=stages)
    total = sum(s.wall_s for s in stages.found)
    return [
        Row("recall of new buildings", "demo", round(report.recall, 3), "", "higher", 0.9),
        Row("precision", "demo", round(report.precision, 3), "", "higher"),
        Row("false alarms", "demo", report.false_alarms, "", "lower", 1),
        Row("position error, median", "demo", _round(report.position_error_m), "m", "lower"),
        Row("cases closed by recheck", "demo", report.closed, "", "higher", 1),
        Row("all stages: wall", "demo", round(total, 1), "s", "lower", 600),
        *_stages("demo", stages),
    ]


def _ingest(work: Workplace, area: Area, folder: Path, day: date, dataset: str, stages: Stages, name: str) -> list[Row]:
    with stages.stage(name), terminal.bar() as progress:
        done = surveying.ingest(work, folder, area.id, day, by=BY, progress=progress)
    q = done.survey.quality
    share = q["registered"] / q["given"]
    return [
        Row(f"{name}: photos registered", dataset, round(share, 4), "", "higher", 0.98),
        Row(f"{name}: reprojection", dataset, _round(q["reprojection_px"]), "px", "lower"),
        Row(f"{name}: height above ground", dataset, _round(q["agl_m"]), "m", "higher"),
        Row(f"{name}: residual to reference, median", dataset, _round(q["residual_median_px"]), "px", "lower"),
        Row(f"{name}: accepted", dataset, float(done.survey.accepted), "", "higher", 1),
    ]


def _round(value: Any) -> float | None:
    return None if value is None else round(float(value), 3)


def _area(work: Workplace, folder: Path, name: str) -> Area:
    return keep_area(work, area_from_photos(screen(read_folder(folder, workers=2).photos).accepted, name), by=BY)


def brighton(settings: Settings) -> list[Row]:
    """18 photos of 9 Mpx, one survey."""
    folder, stages = _folder("raw_surveys", "brighton_beach"), Stages()
    images = folder / "images" if (folder / "images").is_dir() else folder
    with workplace(settings) as work:
        area = _area(work, images, "brighton_beach")
        rows = _ingest(work, area, images, date(2016, 6, 23), "brighton_beach", stages, "ingest")
    return rows + _stages("brighton_beach", stages)


def sheffield(settings: Settings) -> list[Row]:
    """Two flights five minutes apart: nothing was built, what is shown is a false alarm."""
    root = _folder("raw_surveys", "sheffield_cross")
    return _pair(settings, root / "flight1_1206", root / "flight2_1219", "sheffield_cross", None)


def planted(settings: Settings) -> list[Row]:
    """The same flights with exactly known structures."""
    root = _folder("planted", "sheffield")
    return _pair(settings, root / "before", root / "after", "planted_sheffield", root / "truth_wgs84.geojson")


def _pair(settings: Settings, before: Path, after: Path, dataset: str, truth_path: Path | None) -> list[Row]:
    stages = Stages()
    with workplace(settings) as work:
        area = _area(work, before, dataset)
        rows = _ingest(work, area, before, date(2018, 4, 28), dataset, stages, "before")
        rows += _ingest(work, area, after, date(2018, 4, 29), dataset, stages, "after")
        with stages.stage("compare"), terminal.bar() as progress:
            made = comparing.compare(work, area.id, by=BY, progress=progress)
        with work.database.read() as session:
            old, new = (repositories.surveys.get(session, i) for i in (made.before_id, made.after_id))
            found = [demo.candidate_of(area, c) for c in repositories.candidates_of(session, made.id)]
        pair = comparing.aligned(work, old, new)
        layers = peers.whole(pair)
        high = peers.heights(*layers, pair.grid.gsd_m)
        baseline = peers.candidates(high, pair.grid) if high is not None else []
        coverage = peers.coverage(*layers, pair.grid)
    truths = _truth(area, truth_path) if truth_path else ()
    ours, plain = (score(c, truths, coverage) for c in (found, baseline))
    km2 = coverage.area / 1e6
    peer = "plain dz > 1.5 m, 8 m2"
    rows += [
        Row("sigma of stable heights", dataset, _round(made.record["sigma_z_m"]), "m", "lower"),
        Row("false alarms", dataset, ours.false_alarms, "", "lower", None, peer, plain.false_alarms),
        Row(
            "false alarms per km2",
            dataset,
            round(ours.false_alarms / km2, 1),
            "1/km2",
            "lower",
            None,
            peer,
            round(plain.false_alarms / km2, 1),
        ),
        Row("held back with a reason", dataset, len(ours.suppressed_hits) + len(ours.suppressed_others), "", "lower"),
    ]
    if truths:
        structures = [t for t in truths if t.is_structure]
        rows += [
            Row("recall", dataset, round(ours.recall, 3), "", "higher", None, peer, round(plain.recall, 3)),
            Row("precision", dataset, round(ours.precision, 3), "", "higher", None, peer, round(plain.precision, 3)),
            Row("structures held back", dataset, len(ours.suppressed_hits), "", "lower"),
            Row(
                "distractors shown",
                dataset,
                judged.on_distractors(found, truths),
                "",
                "lower",
                None,
                peer,
                judged.on_distractors(baseline, truths),
            ),
            Row(
                "position error, median",
                dataset,
                _round(ours.position_error_m),
                "m",
                "lower",
                None,
                peer,
                _round(plain.position_error_m),
            ),
            Row("outline IoU, median", dataset, _round(np.median(ours.ious)) if ours.ious else None, "", "higher"),
        ]
        terminal.out.print(
            f"missed of {len(structures)}: {', '.join(ours.missed) or '—'}; held back: {[p.truth_id for p in ours.suppressed_hits]}"
        )
    return rows + _stages(dataset, stages)


def _truth(area: Area, path: Path) -> tuple[Truth, ...]:
    table = geopandas.read_file(path).to_crs(area.epsg)
    return tuple(Truth(str(r.id), r.geometry, float(r.height_m), bool(r.is_structure)) for r in table.itertuples(index=False))


SETS: Mapping[str, Set] = {
    "demo": _in_store(simulated),
    "brighton_beach": _in_store(brighton),
    "sheffield_cross": _in_store(sheffield),
    "planted": _in_store(planted),
}


if __name__ == "__main__":
    sys.exit(run("pipeline", SETS, __doc__ or "", sys.argv[1:]))
