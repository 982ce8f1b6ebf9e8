"""Fort Collins: a real building site over six dates, finished orthophotos without georeferencing, image-only.

2023-12-08 to 2024-03-12 a roof appears; 2023-09-26 to 2023-10-14 vehicles, pipes and heaps move and nothing is built; 2023-10-25 to
2023-12-08 foundations are laid and earth is moved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

from PIL import Image
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from benchmarks.imagery.made import data
from benchmarks.report import Row
from change_detect.candidate import Candidate, Kind
from change_detect.evaluate import iou
from geo.area import Area, AreaId
from geo.frames import LonLat, metric_frame
from patrol import demo, repositories, terminal
from patrol.pipeline import comparing, surveying
from patrol.pipeline.areas import keep_area
from patrol.settings import Settings
from patrol.wiring import workplace

NAME = "fort_collins"
GSD_M = 0.146
_CENTRE = LonLat(lon_deg=-105.077, lat_deg=40.549)
_STRUCTURES = (Kind.NEW_BUILDING, Kind.ROOF_ADDITION, Kind.EXTENSION, Kind.SHED_OR_CONTAINER, Kind.FOUNDATION, Kind.IMAGE_CHANGE)


def rows(folder: Path) -> list[Row]:
    """All three pairs, each in a store of its own below `folder`."""
    root = data("repeat_ortho", "fort_collins")
    roof_found, frame_of = _compared(root, folder / "roof", "2023-12-08", "2024-03-12")
    corners = json.loads((root / "2024-03-12_coarse_roof.json").read_text())["polygon_px"]
    roof = Polygon([frame_of(u, v) for u, v in corners])
    shown = _shown(roof_found)
    on_roof = [c for c in shown if c.outline.intersection(roof).area > 0.5 * c.outline.area]
    whole = unary_union([c.outline for c in on_roof]) if on_roof else Polygon()
    quiet, _ = _compared(root, folder / "quiet", "2023-09-26", "2023-10-14")
    large = [c for c in _shown(quiet) if c.area_m2 >= 20 and c.kind in _STRUCTURES]
    works, _ = _compared(root, folder / "works", "2023-10-25", "2023-12-08")
    named = Counter(c.kind for c in _shown(works))
    elsewhere = [c for c in shown if c not in on_roof]
    a, b, c = (f"{NAME} {d}" for d in ("2023-12-08 to 2024-03-12", "2023-09-26 to 2023-10-14", "2023-10-25 to 2023-12-08"))
    return [
        Row("new roof: IoU with the coarse mark", a, round(iou(whole, roof), 3), "", "higher", 0.6),
        Row("new roof: part of it covered", a, round(whole.intersection(roof).area / roof.area, 3), "", "higher"),
        Row("candidates elsewhere", a, len(elsewhere), "", "lower"),
        Row("of these earthwork", a, sum(c.kind is Kind.EARTHWORK for c in elsewhere), "", "lower"),
        Row("structures of 20 m2 or more reported where nothing was built", b, len(large), "", "lower", 0),
        Row("candidates shown", b, len(_shown(quiet)), "", "lower"),
        Row("candidates named as earthwork", c, named[Kind.EARTHWORK], "", "higher", 1),
        Row("candidates named as foundations", c, named[Kind.FOUNDATION], "", "higher", 1),
        Row("candidates named otherwise", c, named.total() - named[Kind.EARTHWORK] - named[Kind.FOUNDATION], "", "lower"),
    ]


def _shown(found: list[Candidate]) -> list[Candidate]:
    return [c for c in found if c.suppressed is None]


def _compared(
    root: Path, home: Path, before: str, after: str
) -> tuple[list[Candidate], Callable[[float, float], tuple[float, float]]]:
    """Candidates of one pair, and where a pixel of the later picture lies in metres."""
    with Image.open(root / f"{before}.jpg") as picture:
        width, height = picture.size
    frame = metric_frame(_CENTRE)
    middle = frame.xy(_CENTRE)
    x, y = round(middle.x_m), round(middle.y_m)
    half_x, half_y = width * GSD_M / 2, height * GSD_M / 2
    outline = frame.to_degrees(box(x - half_x, y - half_y, x + half_x, y + half_y))
    settings = Settings(home=home, database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        area = keep_area(work, Area(AreaId(NAME), NAME, outline, gsd_m=0.15, epsg=frame.epsg), by="bench")
        ids = []
        for day in (before, after):
            with terminal.bar() as progress:
                done = surveying.adopt(
                    work, root / f"{day}.jpg", area.id, date.fromisoformat(day), by="bench", gsd_m=GSD_M, progress=progress
                )
                ids.append(done.id)
        with terminal.bar() as progress:  # by name: two of these pictures fit each other too badly to be accepted by themselves
            made = comparing.compare(work, area.id, *ids, by="bench", progress=progress)
        with work.database.read() as session:
            found = [demo.candidate_of(area, c) for c in repositories.candidates_of(session, made.id)]
    return found, lambda u, v: (x - half_x + u * GSD_M, y + half_y - v * GSD_M)
