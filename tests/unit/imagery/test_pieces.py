"""A survey's rasters made in pieces, by whoever, are to the byte those that are made in one go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagery import orthorectify, surface, workfiles
from imagery.errors import SurveyError
from imagery.reconstruct import Block
from tests.unit.imagery import stage

GRID = stage.grid(gsd_m=0.05, half_m=16.0)  # 2 x 2 tiles of the surface and more than one of the orthophoto


@pytest.fixture(scope="module")
def few(old_block: Block) -> Block:
    return replace(old_block, views=old_block.views[5:10])


def bytes_of(files: surface.SurfaceFiles | orthorectify.OrthoFiles) -> list[bytes]:
    return [Path(getattr(files, name)).read_bytes() for name in files.__slots__]


def test_a_surface_made_in_pieces_is_the_same_to_the_byte(few: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs and tiles are made out of order, each by somebody who knows nothing but the block; one piece is made twice."""
    monkeypatch.setattr(surface, "TILE", 128)
    whole = surface.build(few, GRID, tmp_path / "whole")
    pieces = tmp_path / "pieces"
    for numbers in (range(2, len(surface.Plan.of(few, GRID, pieces).pairs)), range(0, 2), range(1, 3)):
        surface.match(surface.Plan.load(few, GRID, pieces), numbers)
    tiles = len(surface.Plan.of(few, GRID, pieces).tiles)
    assert tiles >= 4
    told: list[tuple[int, int, str]] = []
    for number in reversed(range(0, tiles, 2)):
        one = range(number, min(tiles, number + 2))
        surface.heights(surface.Plan.load(few, GRID, pieces), one, lambda *said: told.append(said))
    assert told[-1][:2] == (2, 2)
    plan = surface.Plan.of(few, GRID, pieces)
    assert bytes_of(surface.finish(plan, pieces, surface.tiles_made(plan))) == bytes_of(whole)
    assert sorted(p.name for p in pieces.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_an_orthophoto_made_in_pieces_is_the_same_to_the_byte(
    few: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decided once is kept, read back by each who paints, and the mosaic does not show who painted what."""
    monkeypatch.setattr(orthorectify, "_TILE", 128)
    heights = surface.build(few, GRID, tmp_path / "whole")
    whole = orthorectify.build(few, heights.surface, GRID, tmp_path / "whole", confidence=heights.confidence)
    pieces = tmp_path / "pieces"
    orthorectify.Plan.of(few, heights.surface, GRID, pieces, confidence=heights.confidence).keep()

    def plan() -> orthorectify.Plan:
        kept = orthorectify.Plan.load(few, heights.surface, GRID, pieces)
        assert kept is not None
        return kept

    tiles = len(plan().tiles)
    assert tiles >= 4
    for numbers in (range(3, tiles), range(0, 3)):
        orthorectify.paint(plan(), numbers)
    made = {p: p.stat().st_mtime_ns for p in plan().folder.glob("tile_*")}
    orthorectify.paint(plan(), range(tiles))
    assert {p: p.stat().st_mtime_ns for p in made} == made
    assert bytes_of(orthorectify.finish(plan(), pieces, orthorectify.painted(plan()))) == bytes_of(whole)


def test_pieces_of_a_block_that_was_moved_are_not_taken(few: Block, tmp_path: Path) -> None:
    """A block laid elsewhere has another folder for its work, so that a late piece of the old place cannot slip in."""
    view = few.views[0]
    moved = replace(few, views=(replace(view, pose=replace(view.pose, x_m=view.pose.x_m + 0.01)), *few.views[1:]))
    assert surface.Plan.of(few, GRID, tmp_path).folder != surface.Plan.of(moved, GRID, tmp_path).folder
    assert orthorectify.Plan.load(moved, tmp_path / "surface.tif", GRID, tmp_path) is None


def test_kept_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    """Large, small, empty and strided arrays survive; what is changed in memory does not reach the file."""
    value = {"large": np.arange(100_000.0).reshape(250, 400), "empty": np.zeros((0, 3)), "turned": np.arange(12).reshape(3, 4).T}
    workfiles.keep(tmp_path / "value", value)
    again = workfiles.load(tmp_path / "value")
    for name, array in value.items():
        np.testing.assert_array_equal(again[name], array)
    again["large"][0, 0] = -1
    assert workfiles.load(tmp_path / "value")["large"][0, 0] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["value"]


def test_a_torn_work_file_is_a_sentence(tmp_path: Path) -> None:
    """What is not whole is named, with what to do."""
    workfiles.keep(tmp_path / "value", np.arange(5000.0))
    (tmp_path / "torn").write_bytes((tmp_path / "value").read_bytes()[:5000])
    with pytest.raises(SurveyError, match="remove it and build again"):
        workfiles.load(tmp_path / "torn")
