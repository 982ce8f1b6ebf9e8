"""A disk that fills up in the middle: whatever was writing says so, and leaves neither half a file nor a survey that only looks whole.

The files of this process are bounded instead of a disk: what writes past the bound fails as on a full one.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from geo.frames import Frame
from geo.grid import Grid
from imagery import raster
from imagery.engines import store
from imagery.errors import SurveyError

GRID = Grid(Frame(32651), 0.1, 300_000.0, 3_000_000.0, 600, 600)


@contextmanager
def no_more_than(size_bytes: int) -> Iterator[None]:
    """No file may grow larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def model(points: int = 5000) -> pycolmap.Reconstruction:
    """Some points over nothing."""
    made = pycolmap.Reconstruction()
    for xyz in np.random.default_rng(0).normal(size=(points, 3)):
        made.add_point3D(xyz, pycolmap.Track(), np.zeros(3, np.uint8))
    return made


def test_a_model_that_did_not_fit_is_never_taken_for_one(tmp_path: Path) -> None:
    """The solver writes to a full disk without a word."""
    store.write_model(tmp_path / "whole", model())
    assert pycolmap.Reconstruction(tmp_path / "whole").num_points3D() == 5000
    with no_more_than(50_000), pytest.raises(OSError, match="No space left"):
        store.write_model(tmp_path / "cut", model())


def test_a_model_with_images_that_found_no_place_is_whole(tmp_path: Path) -> None:
    """The solver does not write them: their keypoints are not missed."""
    made = pycolmap.Reconstruction()
    made.add_camera_with_trivial_rig(
        pycolmap.Camera(model="PINHOLE", width=640, height=480, params=[500.0, 500, 320, 240], camera_id=1)
    )
    for number in (1, 2):
        image = pycolmap.Image(name=str(number), keypoints=np.zeros((500, 2)), camera_id=1, image_id=number)
        made.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
    made.deregister_frame(1)
    store.write_model(tmp_path / "model", made)
    assert list(pycolmap.Reconstruction(tmp_path / "model").reg_image_ids()) == [2]


@pytest.mark.parametrize("size_bytes", [100_000, 1_000_000, 1_200_000])
def test_an_orthophoto_that_does_not_fit_is_refused(tmp_path: Path, size_bytes: int) -> None:
    """Wherever it stops, in the tiles, in the overviews or at the very end: a sentence in both languages, and nothing is left."""
    pixels = np.random.default_rng(0).integers(0, 255, (*GRID.shape, 3), dtype=np.uint8)
    tiles = [(w, pixels[w.slices], np.ones((w.rows, w.cols), bool)) for w in GRID.tiles(512)]
    with no_more_than(size_bytes), pytest.raises(SurveyError, match=r"磁盘.*disk full"):
        raster.write_cog(tmp_path / "ortho.tif", GRID, tiles, compression="lossless")
    assert list(tmp_path.iterdir()) == []


def test_a_surface_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """As the orthophoto."""
    heights = np.random.default_rng(0).normal(size=GRID.shape)
    with no_more_than(500_000), pytest.raises(SurveyError, match=r"磁盘.*disk full"):
        raster.write_float(tmp_path / "surface.tif", GRID, heights)
    assert list(tmp_path.iterdir()) == []


def test_what_the_solver_says_of_the_disk_is_understood(tmp_path: Path) -> None:
    """Its database is SQLite: a full disk there is no error of the program."""
    database = pycolmap.Database.open(tmp_path / "first.db")
    camera = pycolmap.Camera(model="SIMPLE_RADIAL", width=640, height=480, params=[500.0, 320.0, 240.0, 0.0], camera_id=1)
    database.write_camera(camera)
    database.write_image(pycolmap.Image(name="a", camera_id=1, image_id=1), True)
    with no_more_than(100_000), pytest.raises(OSError, match=r"No space left|Input/output"), store.told(tmp_path):
        database.write_keypoints(1, np.zeros((100_000, 2), np.float32))
    database.close()
    with pytest.raises(RuntimeError, match="something else"), store.told(tmp_path):
        raise RuntimeError("something else")
