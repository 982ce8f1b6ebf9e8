"""Time, CPU seconds, memory and quality of every stage: the demo, sheffield_cross, the planted pair, brighton_beach.

`make bench NAME=pipeline`; `ARGS="--only demo,planted"` runs a part. Sets that are not on this machine are said to be missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from PIL import Image
from scipy import ndimage
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from benchmarks.report import DATA, Row, publish
from change_detect.candidate import outline_of
from change_detect.evaluate import Score, Truth, is_hit, score
from geo.area import Area, AreaId
from geo.frames import LonLat, metric_frame
from geo.grid import Window
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


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--keep", type=Path, help="keep the stores in this folder")
    asked = parser.parse_args(arguments)
    done = 0
    for name in asked.only.split(","):
        folder = asked.keep / name if asked.keep else Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        settings = Settings(home=folder, database_url="", broker_url="")
        try:
            demo.fresh(settings)
            rows = SETS[name](settings)
            publish("pipeline", rows)
            done += len(rows)
        except FileNotFoundError as err:
            terminal.complain(f"{name}: {err}")
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)
    return 0 if done else 1


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


def fort_collins(settings: Settings) -> list[Row]:
    """Finished orthophotos without georeferencing: the new roof between 2023-12-08 and 2024-03-12."""
    root, stages = _folder("repeat_ortho", "fort_collins"), Stages()
    gsd_m, name = 0.146, "fort_collins"
    with Image.open(root / "2023-12-08.jpg") as picture:
        width, height = picture.size
    frame = metric_frame(LonLat(lon_deg=-105.077, lat_deg=40.549))
    middle = frame.xy(LonLat(lon_deg=-105.077, lat_deg=40.549))
    x, y = round(middle.x_m), round(middle.y_m)
    half_x, half_y = width * gsd_m / 2, height * gsd_m / 2
    outline = frame.to_degrees(box(x - half_x, y - half_y, x + half_x, y + half_y))
    with workplace(settings) as work:
        area = keep_area(work, Area(AreaId(name), name, outline, gsd_m=0.15, epsg=frame.epsg), by=BY)
        made = []
        for day in ("2023-12-08", "2024-03-12"):
            with stages.stage("ingest-ortho"), terminal.bar() as progress:
                made.append(
                    surveying.adopt(
                        work, root / f"{day}.jpg", area.id, date.fromisoformat(day), by=BY, gsd_m=gsd_m, progress=progress
                    )
                )
        with stages.stage("compare"), terminal.bar() as progress:
            pair = comparing.compare(work, area.id, by=BY, progress=progress)
        with work.database.read() as session:
            found = [demo.candidate_of(area, c) for c in repositories.candidates_of(session, pair.id)]
    # The outline is drawn in the later picture's pixels, good to about a metre; the later picture was moved onto the earlier one.
    corners = json.loads((root / "2024-03-12_coarse_roof.json").read_text())["polygon_px"]
    roof = Polygon([(x - half_x + u * gsd_m, y + half_y - v * gsd_m) for u, v in corners])
    shown = [c for c in found if c.suppressed is None]
    on_roof = [c for c in shown if c.outline.intersection(roof).area > 0.5 * c.outline.area]
    covered = unary_union([c.outline for c in on_roof]).intersection(roof).area / roof.area if on_roof else 0.0
    residual = made[1].quality["residual_median_px"]
    return [
        Row("new roof: part of it covered", name, round(covered, 3), "", "higher"),
        Row("candidates on the roof", name, len(on_roof), "", "lower"),
        Row("candidates elsewhere", name, len(shown) - len(on_roof), "", "lower"),
        Row("held back with a reason", name, len(found) - len(shown), "", "lower"),
        Row("residual to reference, median", name, _round(residual), "px", "lower"),
        *_stages(name, stages),
    ]


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
        baseline, known = _plain(pair)
    truths = _truth(area, truth_path) if truth_path else ()
    coverage = known.buffer(-4.0)
    ours, plain = (_judged(c, truths, coverage) for c in (found, baseline))
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
                _on_distractors(found, truths),
                "",
                "lower",
                None,
                peer,
                _on_distractors(baseline, truths),
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


def _judged(found: Sequence[Any], truths: Sequence[Truth], coverage: Polygon) -> Score:
    return score(found, truths, coverage)


def _on_distractors(found: Sequence[Any], truths: Sequence[Truth]) -> int:
    return sum(any(c.suppressed is None and is_hit(c.outline, t.outline) for c in found) for t in truths if not t.is_structure)


def _truth(area: Area, path: Path) -> tuple[Truth, ...]:
    table = geopandas.read_file(path).to_crs(area.epsg)
    return tuple(Truth(str(r.id), r.geometry, float(r.height_m), bool(r.is_structure)) for r in table.itertuples(index=False))


def _plain(pair: Any) -> tuple[list[Any], Polygon]:
    """The peer: difference of the aligned surfaces over 1.5 m, opened by 1 m, 8 m2 and more; and the ground both know."""
    from change_detect.candidate import Candidate, Kind

    grid = pair.grid
    window = Window(0, 0, grid.rows, grid.cols)
    before, after = pair.read(window)
    rose = np.nan_to_num(after.surface - before.surface, nan=0.0) > 1.5
    size = max(1, round(1.0 / grid.gsd_m))
    labels, count = ndimage.label(ndimage.binary_opening(rose, np.ones((size, size))))
    found = []
    for number in range(1, count + 1):
        mask = labels == number
        if mask.sum() * grid.gsd_m**2 < 8.0:
            continue
        outline = outline_of(mask, grid, window)
        found.append(Candidate(f"plain-{number}", outline, outline.area, 0.0, None, Kind.NEW_BUILDING, 1.0, ()))
    known = ndimage.binary_closing(before.valid & after.valid, iterations=5)
    return found, outline_of(known, grid, window)


SETS: Mapping[str, Callable[[Settings], list[Row]]] = {
    "demo": simulated,
    "brighton_beach": brighton,
    "sheffield_cross": sheffield,
    "planted": planted,
    "fort_collins": fort_collins,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
