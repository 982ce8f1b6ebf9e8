"""An orthophoto that keeps every pixel is asked for once, and stays asked for on every way to a survey."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagery import raster
from imagery.nudging import Nudge
from imagery.survey import Survey
from patrol import demo
from patrol.pipeline import areas, nudging, surveying
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.imagery import stage
from tests.unit.patrol.placed import AREA, PosesByPlace, jpeg

DAY = date(2026, 3, 1)
FEW = 6


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """An empty store whose engine knows the poses, in which large surveys are those of two photos."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="", share_photos=2)
    demo.fresh(settings)
    poses = {f"{k:03d}.jpg": pose for k, pose in enumerate(stage.poses()[:FEW])}
    engine = PosesByPlace(poses, stage.block(tmp_path / "points", at=stage.poses(1, 2)))
    monkeypatch.setattr(Workplace, "reconstructor", lambda self: engine)
    with workplace(settings) as made:
        areas.keep_area(made, AREA, by="test")
        yield made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos of the made-up place."""
    folder = tmp_path / "photos"
    folder.mkdir()
    noon = datetime(2026, 3, 1, 4, tzinfo=UTC)
    for k, pose in enumerate(stage.poses()[:FEW]):
        (folder / f"{k:03d}.jpg").write_bytes(jpeg(pose, noon + timedelta(seconds=3 * k)))
    return folder


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Colours and mask of the last orthophoto of each packing, as they were before they went into its file."""
    kept: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    write = raster.write_cog

    def watched(path: Path, grid: Any, tiles: Any, *, compression: raster.Compression = "jpeg", threads: int = 1) -> Path:
        colours, known = np.zeros((*grid.shape, 3), np.uint8), np.zeros(grid.shape, bool)

        def seen() -> Iterator[Any]:
            for window, values, mask in tiles:
                colours[window.slices], known[window.slices] = values, mask
                yield window, values, mask

        made = write(path, grid, seen(), compression=compression, threads=threads)
        kept[compression] = colours, known
        return made

    monkeypatch.setattr(raster, "write_cog", watched)
    return kept


def same(survey: Survey, painted: tuple[np.ndarray, np.ndarray]) -> bool:
    colours, known = painted
    assert known.mean() > 0.3
    read = raster.read_window(survey.ortho)
    return np.array_equal(raster.read_mask(survey.ortho), known) and np.array_equal(read[known], colours[known])


def test_every_pixel_comes_back_as_it_was_painted(
    work: Workplace, photos: Path, painted: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Packed for display it would not; the survey says how it is packed, and the same photos packed otherwise are another survey."""
    plain = surveying.ingest(work, photos, AREA.id, DAY, by="test").survey
    exact = surveying.ingest(work, photos, AREA.id, DAY, by="test", compression="lossless").survey
    assert plain.id != exact.id
    assert (plain.record["compression"], exact.record["compression"]) == ("jpeg", "lossless")
    assert same(surveying.load_survey(work, exact), painted["lossless"])
    assert not same(surveying.load_survey(work, plain), painted["jpeg"])
    assert surveying.ingest(work, photos, AREA.id, DAY, by="test", compression="lossless").survey.id == exact.id


def test_a_shared_survey_stays_lossless_whoever_goes_on_with_it(
    work: Workplace, photos: Path, painted: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """The order in the building folder knows: a job that is started again, by another worker, is not told a second time."""
    done = surveying.begin(work, photos, AREA.id, DAY, by="test", compression="lossless", shared=True)
    stages = []
    while isinstance(done, surveying.Share):
        stages.append(done.stage)
        for run in done.runs():
            surveying.make_piece(work, done.survey_id, done.stage, run.start, run.stop)
        done = surveying.go_on(work, done.survey_id, by="test")
    assert len(stages) >= 3
    assert same(surveying.load_survey(work, done.survey), painted["lossless"])


def test_a_lossless_survey_that_is_moved_by_hand_stays_lossless(work: Workplace, photos: Path) -> None:
    """What is written anew is packed as it was."""
    made = surveying.ingest(work, photos, AREA.id, DAY, by="test", compression="lossless").survey
    moved = nudging.nudge(work, made.id, Nudge(0.25, 0.0, 0.0), "测试", user="test")
    assert raster.compression_of(surveying.load_survey(work, moved).ortho) == "lossless"


def test_a_finished_orthophoto_can_be_taken_over_without_loss(work: Workplace, photos: Path) -> None:
    """Of its own cells on its own grid, not one changes."""
    built = surveying.load_survey(work, surveying.ingest(work, photos, AREA.id, DAY, by="test", compression="lossless").survey)
    settings = Settings(home=work.settings.home.parent / "other", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as other:
        areas.keep_area(other, replace(AREA, gsd_m=built.grid.gsd_m), by="test")
        taken = surveying.load_survey(other, surveying.adopt(other, built.ortho, AREA.id, DAY, by="test", compression="lossless"))
    assert taken.compression == "lossless"
    assert np.array_equal(raster.read_window(taken.ortho), raster.read_window(built.ortho))
