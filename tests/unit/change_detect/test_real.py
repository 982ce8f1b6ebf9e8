"""Real flights: structures planted in real photos, and a real construction site."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
from shapely import affinity
from shapely.geometry import Polygon, shape
from shapely.ops import unary_union

from change_detect.align import align
from change_detect.candidate import Kind
from change_detect.detector import GeometryImage
from change_detect.evaluate import Truth, iou, score
from change_detect.raster import Source, outlines
from geo.frames import Frame
from geo.grid import Grid, Window
from tests.unit.change_detect import made

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PLANTED = DATA / "planted" / "sheffield"
SITE = DATA / "repeat_ortho" / "fort_collins"


@pytest.mark.skipif(not PLANTED.exists(), reason=f"the planted pair is not at {PLANTED}")
def test_planted_structures_are_found_and_distractors_are_not() -> None:
    """Two separately built surveys of a real suburb: at least 15 of 16 planted structures, at most two false alarms on 3.2 ha."""
    before, after = (
        Source.of(PLANTED / f"ortho_{name}.tif", surface=PLANTED / f"dsm_{name}.tif", taken_on=date(2018, 4, day))
        for name, day in (("before", 1), ("after", 29))
    )
    pair = align(before, after)
    found = GeometryImage().detect(pair)
    # The truth's frame is not the before block's. Its README gives +0.03 / -0.50 m as "epoch minus truth"; the pair itself shows that the
    # sign is the other way round (it says that after lies north of before; the pictures lie 0.9 m south).
    truth = [
        Truth(
            f["properties"]["id"],
            affinity.translate(shape(f["geometry"]), -0.03, 0.5),
            f["properties"]["gain_mean_m"],
            f["properties"]["is_structure"],
        )
        for f in json.loads((PLANTED / "truth_utm.geojson").read_text())["features"]
    ]
    a, b = pair.read(Window(0, 0, pair.grid.rows, pair.grid.cols))
    assert a.surface is not None and b.surface is not None
    covered = unary_union(outlines(a.valid & b.valid & np.isfinite(a.surface + b.surface), pair.grid.transform)).buffer(-0.5)
    result = score(found, truth, covered)
    assert result.recall >= 15 / 16
    assert result.false_alarms <= 2
    assert float(np.median(result.ious)) > 0.75
    assert result.position_error_m < 0.5
    kinds = {p.truth_id: next(c.kind for c in found if c.id == p.candidate_id) for p in result.pairs}
    assert all(kinds[i] == Kind.ROOF_ADDITION for i in ("S06", "S07", "S08") if i in kinds)


@pytest.mark.skipif(not SITE.exists(), reason=f"the repeat orthos are not at {SITE}")
def test_new_roof_of_a_building_site_leads_the_list(tmp_path: Path) -> None:
    """From orthos alone the new roof comes first, with its outline; at most four other things are shown of a whole site in turmoil."""
    sources = []
    for day in ("2023-12-08", "2024-03-12"):
        picture = cv2.imread(str(SITE / f"{day}.jpg"))[..., ::-1]
        grid = Grid(Frame(32613), 0.146, 493_000.0, 4_489_000.0, *picture.shape[:2])
        made.write(tmp_path / f"{day}.tif", np.ascontiguousarray(picture), grid)
        sources.append(Source.of(tmp_path / f"{day}.tif", taken_on=date.fromisoformat(day)))
    shown = [c for c in GeometryImage().detect(align(*sources)) if c.suppressed is None]
    corners = json.loads((SITE / "2024-03-12_coarse_roof.json").read_text())["polygon_px"]
    # marked on the after picture, which lies about a metre off the before one
    roof = Polygon([(493_000.0 + c * 0.146, 4_489_000.0 - r * 0.146) for c, r in corners])
    assert iou(shown[0].outline, roof) > 0.85
    # the site itself is dug over everywhere: what is called a structure, built or gone, stays few
    assert sum(c.kind is not Kind.EARTHWORK for c in shown) <= 5
