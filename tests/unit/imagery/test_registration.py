"""A handful of real photos of two flights, five minutes apart: the second is registered into the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geo.frames import LonLat, metric_frame
from imagery.engines.colmap import ColmapReconstructor
from imagery.engines.direct import DirectReconstructor, read_opensfm
from imagery.errors import ReconstructionError
from imagery.photos import Photo, read_folder, read_photo
from imagery.reconstruct import Block, Method

RAW = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "raw_surveys"
needs_data = pytest.mark.skipif(not (RAW / "sheffield_cross").is_dir(), reason="the shared data folder is not there")


def some(flight: str, first: int, last: int) -> tuple[Photo, ...]:
    folder = RAW / "sheffield_cross" / flight
    return tuple(read_photo(folder / f"DJI_{number:04}.JPG") for number in range(first, last + 1))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Block, Path]]:
    photos = some("flight1_1206", 76, 85)
    assert photos[0].place is not None
    workdir = tmp_path_factory.mktemp("registration")
    stranger = read_photo(RAW / "brighton_beach" / "images" / "DJI_0018.JPG")
    engine = ColmapReconstructor(workers=1)
    yield engine.reconstruct((*photos, stranger), metric_frame(photos[0].place), workdir), workdir


@needs_data
def test_a_photo_of_another_place_stays_out_alone(first: tuple[Block, Path]) -> None:
    """Ten photos of a suburb make a block about 64 m up, level and near their GPS; the one from a beach is named and left out."""
    stats = first[0].stats
    assert (stats.given, stats.registered) == (11, 10)
    assert [name for name, _ in stats.unregistered] == ["DJI_0018.JPG"]
    assert stats.agl_m == pytest.approx(64, rel=0.1)
    assert stats.gps_residual_m is not None
    assert stats.gps_residual_m < 1.0
    assert stats.tilt_deg < 1.0
    assert stats.reprojection_px < 0.8


@needs_data
def test_the_second_flight_stands_in_the_first_ones_frame(first: tuple[Block, Path]) -> None:
    """Photos of the second flight over the same houses are all registered, one of them without any GPS."""
    block, workdir = first
    middle = np.mean([v.pose.centre for v in block.views], axis=0)
    folder = RAW / "sheffield_cross" / "flight2_1219"
    near = []
    for photo in read_folder(folder).photos:
        assert photo.place is not None
        at = block.frame.xy(photo.place)
        near.append((float(np.hypot(at.x_m - middle[0], at.y_m - middle[1])), photo))
    photos = [photo for _, photo in sorted(near, key=lambda n: n[0])[:6]]
    photos[2] = replace(photos[2], place=None)
    later = ColmapReconstructor(workers=1).reconstruct(photos, block.frame, workdir, reference=block)
    assert (later.stats.method, later.stats.fell_back, later.stats.registered) == (Method.FROZEN, False, 6)
    assert later.stats.tie_points > 300
    assert later.stats.tie_residual_px is not None
    assert later.stats.tie_residual_px < 1.0
    assert later.cameras == block.cameras  # the lens is the reference's: two self-calibrated surveys cannot be compared
    assert later.stats.agl_m == pytest.approx(block.stats.agl_m, rel=0.1)


@needs_data
def test_photos_without_any_position_cannot_stand_alone(first: tuple[Block, Path]) -> None:
    """Without GPS and without a reference there is no scale, and the error says what would help."""
    photos = [replace(p, place=None) for p in some("flight1_1206", 76, 80)]
    with pytest.raises(ReconstructionError, match="earlier survey"):
        ColmapReconstructor(workers=1).reconstruct(photos, first[0].frame, first[1])


@pytest.mark.skipif(not (RAW / "p4rtk_4img_known_poses").is_dir(), reason="the shared data folder is not there")
def test_poses_of_another_program_are_taken_over(tmp_path: Path) -> None:
    """Four oblique photos with OpenSfM poses: heights agree with the RTK receiver, and points with the photos."""
    folder = RAW / "p4rtk_4img_known_poses"
    photos = read_folder(folder / "images").photos
    assert photos[0].place is not None
    frame = metric_frame(photos[0].place)
    given = read_opensfm(folder / "opensfm" / "reconstruction.json", frame)
    block = DirectReconstructor(given, workers=1).reconstruct(photos, frame, tmp_path)
    assert block.stats.registered == 4
    assert block.stats.reprojection_px < 1.0
    assert len(block.points) > 50
    for photo, view in zip(photos, block.views, strict=True):
        assert view.pose.z_m == pytest.approx(photo.ellipsoid_height_m, abs=0.1)
        assert view.pose.off_nadir_deg == pytest.approx(90 + (photo.pitch_deg or 0), abs=2.0)
    assert block.stats.gps_residual_m is not None
    assert block.stats.gps_residual_m < 3.0


def test_a_file_that_is_no_reconstruction_says_so(tmp_path: Path) -> None:
    """A wrong file is refused by name."""
    path = tmp_path / "reconstruction.json"
    path.write_text("[]")
    with pytest.raises(ReconstructionError, match=r"reconstruction\.json"):
        read_opensfm(path, metric_frame(LonLat(lon_deg=120.5, lat_deg=32.3)))
