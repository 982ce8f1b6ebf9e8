"""What every detector promises, for heights and orthos by rules and for a model from a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from shapely.geometry import Polygon, box

from change_detect.align import SurveyPair, align
from change_detect.candidate import Candidate
from change_detect.detector import Detector, GeometryImage
from change_detect.errors import ModelError
from change_detect.evaluate import iou
from change_detect.learned import ModelDetector
from change_detect.models import load
from geo.progress import Progress
from tests.unit.change_detect import graphs, made

BEFORE, AFTER = date(2026, 1, 10), date(2026, 2, 9)
SHED = (30.0, 30.0, 8.0, 7.0, 3.0)
Maker = Callable[[Progress], Detector]


def nothing(_done: int, _total: int, _stage: str) -> None:
    return


@pytest.fixture(params=["geometry", "model"])
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    """How each kind of detector is made."""
    if request.param == "geometry":
        return lambda progress: GeometryImage(progress=progress)
    (tmp_path / "model").mkdir()
    model = load(graphs.write(tmp_path / "model", near=0.3))
    return lambda progress: ModelDetector(model, progress)


def pair_of(folder: Path, *new: tuple[float, ...], cells: int = 300) -> SurveyPair:
    old = made.Place(1, cells, cells)
    now = made.Place(1, cells, cells, boxes=[made.Box(*b) for b in new])
    a = made.source(old, folder, "before", flight=1, taken_on=BEFORE)
    b = made.source(now, folder, "after", flight=2, taken_on=AFTER)
    return align(a, b)


def on_ground(east: float, south: float, width: float, depth: float) -> Polygon:
    return box(made.WEST_M + east, made.NORTH_M - south - depth, made.WEST_M + east + width, made.NORTH_M - south)


def test_what_was_built_is_found_where_it_stands(maker: Maker, tmp_path: Path) -> None:
    """A blue shed on bare ground is one shown candidate with outline, area, height gained, score and reasons in both languages."""
    pair = pair_of(tmp_path, SHED)
    (found,) = (c for c in maker(nothing).detect(pair) if c.suppressed is None)
    assert iou(found.outline, on_ground(*SHED[:4])) > 0.8
    assert abs(found.area_m2 - 56) < 4 * found.area_sigma_m2
    assert found.height_m == pytest.approx(3.0, abs=0.2)
    assert 0.5 < found.score <= 1
    assert found.reasons and all(" / " in r for r in found.reasons[:1])


def test_a_candidate_keeps_what_was_measured_of_it(maker: Maker, tmp_path: Path) -> None:
    """Its features by name, finite numbers all: what a classifier or a later calibration learns from."""
    pair = pair_of(tmp_path, SHED)
    (found,) = (c for c in maker(nothing).detect(pair) if c.suppressed is None)
    assert all(math.isfinite(value) for value in found.features.values())
    assert found.features["area_m2"] == pytest.approx(found.area_m2, rel=0.2)
    assert found.features["sigma_xy_m"] == pytest.approx(pair.residual.sigma_xy_m)
    assert found.features["days_between"] == 30
    assert hash(found) == hash(replace(found, features={}))


def test_nothing_built_is_nothing_shown(maker: Maker, tmp_path: Path) -> None:
    """Two flights over the same ground."""
    assert [c for c in maker(nothing).detect(pair_of(tmp_path)) if c.suppressed is None] == []


def test_the_same_pair_gives_the_same_answer_in_the_same_order(maker: Maker, tmp_path: Path) -> None:
    """Candidates are values with stable ids; shown ones come first, the most likely first."""
    pair = pair_of(tmp_path, SHED, (10.0, 10.0, 9.0, 6.0, 4.0), (45.0, 12.0, 5.0, 5.0, 2.5))
    first, again = (maker(nothing).detect(pair) for _ in range(2))
    assert len(first) >= 3
    assert first == again
    order = [(c.suppressed is not None, -c.score) for c in first]
    assert order == sorted(order)
    assert len({c.id for c in first}) == len(first)


def test_progress_runs_to_its_end(maker: Maker, tmp_path: Path) -> None:
    """Whoever waits sees it move and finish."""
    told: list[tuple[int, int]] = []
    maker(lambda done, total, _stage: told.append((done, total))).detect(pair_of(tmp_path, SHED))
    assert told
    assert told[-1][0] == told[-1][1]


def test_what_may_not_be_compared_is_not(maker: Maker, tmp_path: Path) -> None:
    """A shed in the part of a survey that is refused is no candidate."""
    pair = pair_of(tmp_path, SHED)
    hidden = on_ground(25.0, 25.0, 20.0, 20.0)
    pair = replace(pair, after=replace(pair.after, refused=hidden))
    assert [c for c in maker(nothing).detect(pair) if c.suppressed is None and hidden.contains(c.outline.centroid)] == []


def shown(detector: Detector, pair: SurveyPair) -> list[Candidate]:
    return [c for c in detector.detect(pair) if c.suppressed is None]


def test_a_building_over_many_tiles_is_one(tmp_path: Path) -> None:
    """A model is shown tiles of 128 cells that share 64: a roof of 200 cells is one candidate, as with one large tile."""
    pair = pair_of(tmp_path, (20.0, 25.0, 42.0, 22.0, 4.0), cells=420)
    folders = [tmp_path / name for name in ("small", "large")]
    for folder in folders:
        folder.mkdir()
    small, large = (shown(ModelDetector(load(graphs.write(f, tile=t))), pair) for f, t in zip(folders, (128, 512), strict=True))
    assert [c.outline.wkt for c in small] == [c.outline.wkt for c in large]
    assert iou(small[0].outline, on_ground(20.0, 25.0, 42.0, 22.0)) > 0.9


def test_cells_a_model_was_not_made_for_are_refused(tmp_path: Path) -> None:
    """A model for cells of 5 cm says so of a pair at 20 cm."""
    model = load(graphs.write(tmp_path, gsd_m=0.05, gsd_range_m=[0.03, 0.08]))
    with pytest.raises(ModelError, match=r"0\.03 to 0\.08 m, these have 0\.2 m"):
        ModelDetector(model).detect(pair_of(tmp_path, SHED))
