"""What every engine promises, on photos of hills that were drawn here: their poses and heights are known exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from geo.camera import Camera
from geo.frames import Floats, Frame, Pose
from imagery.control import Control, ControlPoint, Mark, Role
from imagery.engines.colmap import ColmapReconstructor
from imagery.engines.direct import DirectReconstructor, Given
from imagery.engines.features import Recipe
from imagery.engines.nodeodm import NodeodmReconstructor
from imagery.errors import ReconstructionError
from imagery.lenses import FocalSource
from imagery.photos import Photo
from imagery.reconstruct import Block, Method, Reconstructor
from tests.contract.nodeodm_process import node

FRAME = Frame(4549)
EAST, NORTH = 546_000.0, 3_581_000.0
CAMERA = Camera(560, 420, 430.0, 280.0, 210.0)
CELL = 0.1
SIZE = 1600
RECIPE = Recipe(long_side_px=560, most=1500)


def noise(seed: int, sigma: float) -> Floats:
    made = gaussian_filter(np.random.default_rng(seed).normal(size=(SIZE, SIZE)), sigma, mode="wrap")
    return np.asarray((made - made.mean()) / made.std(), np.float64)


@dataclass(frozen=True)
class Hills:
    """Ground 160 m wide about (EAST, NORTH): heights of some metres, and a texture with detail of every size."""

    height: Floats
    paint: Floats

    def sample(self, layer: Floats, xy: Floats) -> Floats:
        at = (xy - np.array([EAST, NORTH])) / CELL + SIZE / 2
        return np.asarray(map_coordinates(layer, [at[..., 1], at[..., 0]], order=1, mode="wrap"), np.float64)

    def photo(self, pose: Pose) -> np.ndarray:
        u, v = np.meshgrid(np.arange(CAMERA.width_px) + 0.5, np.arange(CAMERA.height_px) + 0.5)
        rays = CAMERA.rays(np.column_stack([u.ravel(), v.ravel()])) @ pose.matrix
        ground = np.zeros(len(rays))
        for _ in range(6):  # the slope is gentle: walking along the ray settles at once
            xy = pose.centre[:2] + rays[:, :2] * ((ground - pose.z_m) / rays[:, 2])[:, None]
            ground = self.sample(self.height, xy)
        grey = np.clip(128 + 45 * self.sample(self.paint, xy), 0, 255)
        return grey.reshape(CAMERA.height_px, CAMERA.width_px).astype(np.uint8)


@pytest.fixture(scope="module")
def hills() -> Hills:
    height = 3.0 * noise(1, 120.0) + 0.6 * noise(2, 40.0)
    paint = 0.5 * noise(3, 2.0) + 0.5 * noise(4, 5.0) + 0.5 * noise(5, 14.0)
    return Hills(height, paint)


@dataclass(frozen=True)
class Flight:
    photos: tuple[Photo, ...]
    poses: dict[str, Pose]


def fly(hills: Hills, folder: Path, seed: int, *, gps_shift_m: float = 0.0) -> Flight:
    """Three lines of four photos, 50 m up, with a metre of GPS error and a gimbal that is half a degree off."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    photos, poses = [], {}
    for k in range(12):
        line, step = divmod(k, 4)
        place = np.array([EAST - 18 + 12 * step, NORTH - 14 + 14 * line]) + rng.normal(0, 1.5, 2)
        turned = 90.0 if line % 2 == 0 else -90.0
        gaze = {"yaw_deg": turned + rng.normal(0, 3), "pitch_deg": -90 + rng.normal(0, 0.5), "roll_deg": rng.normal(0, 0.5)}
        pose = Pose.looking(float(place[0]), float(place[1]), float(50 + rng.normal(0, 0.5)), **gaze)
        path = folder / f"{seed}_{k:02}.png"
        cv2.imwrite(str(path), hills.photo(pose))
        told = place + rng.normal(0, 0.5, 2) + gps_shift_m
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        poses[sha256] = pose
        photos.append(
            Photo(
                path=path,
                sha256=sha256,
                taken_at=None,
                place=FRAME.lonlat(float(told[0]), float(told[1])),
                ellipsoid_height_m=pose.z_m + 3.0 + rng.normal(0, 0.3),
                takeoff_height_m=pose.z_m,
                yaw_deg=gaze["yaw_deg"],
                pitch_deg=gaze["pitch_deg"],
                roll_deg=0.0,
                camera=CAMERA,
                make="test",
                model="pinhole",
                focal_source=FocalSource.SENSOR,
            )
        )
    return Flight(tuple(photos), poses)


@pytest.fixture(scope="module")
def before(hills: Hills, tmp_path_factory: pytest.TempPathFactory) -> Flight:
    return fly(hills, tmp_path_factory.mktemp("before") / "photos", 7)


@pytest.fixture(scope="module")
def after(hills: Hills, tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """The same place again, with a receiver that is three metres off to the north-east."""
    return fly(hills, tmp_path_factory.mktemp("after") / "photos", 8, gps_shift_m=3.0)


Make = Callable[[Flight], Reconstructor]
ENGINES: dict[str, Make] = {
    "colmap": lambda flight: ColmapReconstructor(workers=1, recipe=RECIPE),
    "direct": lambda flight: DirectReconstructor(Given(flight.poses), workers=1, recipe=RECIPE),
}


@pytest.fixture(scope="module", params=[*sorted(ENGINES), "nodeodm"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    if request.param != "nodeodm":
        yield ENGINES[request.param]
        return
    with node(tmp_path_factory.mktemp("node")) as service:

        def make_one(flight: Flight) -> Reconstructor:
            service.tell(flight.photos, flight.poses)
            return NodeodmReconstructor(service.url, workers=1, recipe=RECIPE, poll_s=0.05)

        yield make_one


@dataclass(frozen=True)
class Made:
    block: Block
    told: list[tuple[int, int, str]]
    workdir: Path


@pytest.fixture(scope="module")
def first(make: Make, before: Flight, tmp_path_factory: pytest.TempPathFactory) -> Made:
    workdir = tmp_path_factory.mktemp("first")
    told: list[tuple[int, int, str]] = []
    block = make(before).reconstruct(before.photos, FRAME, workdir, progress=lambda *said: told.append(said))
    return Made(block, told, workdir)


@pytest.fixture(scope="module")
def second(make: Make, first: Made, after: Flight, tmp_path_factory: pytest.TempPathFactory) -> Block:
    kept = first.block.save(first.workdir / "kept" / "block")
    return make(after).reconstruct(after.photos, FRAME, tmp_path_factory.mktemp("second"), reference=kept)


def errors(block: Block, flights: Sequence[Flight]) -> Floats:
    poses = {sha: pose for flight in flights for sha, pose in flight.poses.items()}
    return np.array([v.pose.centre - poses[v.photo_sha256].centre for v in block.views])


def test_every_photo_finds_its_place(first: Made, before: Flight) -> None:
    """All photos are registered, less than a GPS error from where they were taken, in the frame's own metres."""
    block = first.block
    assert block.stats.registered == block.stats.given == len(before.photos)
    assert {v.photo_sha256 for v in block.views} == set(before.poses)
    assert np.abs(errors(block, [before])[:, :2]).max() < 1.0
    assert block.stats.agl_m == pytest.approx(50, rel=0.1)
    assert block.stats.tilt_deg < 1.0


def test_points_lie_on_the_ground(first: Made, hills: Hills) -> None:
    """Sparse points lie on the hills, but for the block's own shift."""
    block = first.block
    assert len(block.points) > 300
    shift = np.median(block.points[:, 2] - hills.sample(hills.height, block.points[:, :2]))
    off = block.points[:, 2] - hills.sample(hills.height, block.points[:, :2]) - shift
    assert np.median(np.abs(off)) < 0.3


def test_tracks_poses_and_cameras_agree(first: Made) -> None:
    """Every observed pixel is where its point projects through the view's own camera and pose."""
    block = first.block
    for i, view in enumerate(block.views):
        pixels, depth = block.camera(view).project(block.points[block.seen(i)], view.pose)
        assert len(pixels) == view.points_seen >= 20
        assert (depth > 0).all()
        assert np.linalg.norm(pixels - block.observed_px(i), axis=1).mean() < 1.0
        near, far = block.depth_range_m(i)
        assert near < depth.min() + 0.05 * far
        assert far > np.percentile(depth, 99)


def test_a_block_is_the_same_after_it_was_kept(first: Made, tmp_path: Path) -> None:
    """Saving and loading gives the same views, cameras, stats and tracks, and points to a tenth of a millimetre."""
    saved = first.block.save(tmp_path / "here" / "block")
    again = Block.load(saved.folder)
    assert again.views == first.block.views
    assert dict(again.cameras) == dict(first.block.cameras)
    assert again.stats == first.block.stats
    assert again.frame == FRAME
    np.testing.assert_allclose(again.points, first.block.points, atol=1e-4)
    for name in ("track_view", "track_point", "track_px"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first.block, name))


def test_saving_twice_leaves_one_whole_block(first: Made, tmp_path: Path) -> None:
    """A block saved over another replaces it, and leaves nothing else beside it."""
    first.block.save(tmp_path / "block")
    first.block.save(tmp_path / "block")
    assert [p.name for p in tmp_path.iterdir()] == ["block"]
    assert len(Block.load(tmp_path / "block").views) == len(first.block.views)


def test_progress_is_told_to_the_end(first: Made) -> None:
    """Each kind of work is told from its start to its last step."""
    kinds = {what for _, _, what in first.told}
    assert {"features", "matching"} <= kinds
    for kind in kinds:
        done, total, _ = [said for said in first.told if said[2] == kind][-1]
        assert done == total


def test_the_same_work_is_not_done_twice(make: Make, first: Made, before: Flight) -> None:
    """Asked again in the same folder, in any order and with a photo doubled, the engine gives the same block."""
    photos = (*reversed(before.photos), before.photos[0])
    again = make(before).reconstruct(photos, FRAME, first.workdir)
    ours = {v.photo_sha256: v.pose for v in first.block.views}
    for view in again.views:
        np.testing.assert_allclose(view.pose.centre, ours[view.photo_sha256].centre, atol=1e-6)


def test_a_later_survey_comes_out_in_the_references_frame(second: Block, first: Made, before: Flight, after: Flight) -> None:
    """Its GPS is three metres off, but its poses share the reference's error to a tenth of a metre."""
    assert second.stats.registered == len(after.photos)
    assert not second.stats.fell_back
    shared = errors(second, [after]).mean(axis=0) - errors(first.block, [before]).mean(axis=0)
    assert np.abs(shared).max() < 0.1
    assert {v.photo_sha256 for v in second.views} == set(after.poses)


def surveyed(hills: Hills, flight: Flight) -> Control:
    """Six targets on the hills, marked in every photo that shows them."""
    spots = np.array([[-22.0, -16.0], [24.0, -14.0], [20.0, 22.0], [-20.0, 24.0], [2.0, 4.0], [-4.0, 16.0]])
    spots += np.array([EAST, NORTH])
    points = []
    for k, (x, y) in enumerate(spots):
        z = float(hills.sample(hills.height, np.array([[x, y]]))[0])
        marks = []
        for sha, pose in flight.poses.items():
            px, depth = CAMERA.project(np.array([[x, y, z]]), pose)
            if depth[0] > 0 and (px > 5).all() and px[0, 0] < CAMERA.width_px - 5 and px[0, 1] < CAMERA.height_px - 5:
                marks.append(Mark(sha, float(px[0, 0]), float(px[0, 1])))
        points.append(ControlPoint(f"T{k}", float(x), float(y), z, True, tuple(marks)))
    return Control(FRAME, tuple(points), "targets")


def test_control_is_measured_where_it_does_not_hold(make: Make, first: Made, hills: Hills, after: Flight, tmp_path: Path) -> None:
    """A survey with a reference, or with given poses, only says how far its control lies off: here by the reference's own GPS."""
    kept = first.block.save(tmp_path / "kept" / "block")
    block = make(after).reconstruct(after.photos, FRAME, tmp_path, reference=kept, control=surveyed(hills, after))
    report = block.stats.control
    assert report is not None
    assert not report.used
    off = errors(block, [after]).mean(axis=0)
    assert report.xy_m(Role.CONTROL) == pytest.approx(float(np.hypot(off[0], off[1])), abs=0.15)


def test_photos_without_gps_are_placed_by_control(hills: Hills, before: Flight, tmp_path: Path) -> None:
    """No place, no height, no gaze in any file: targets alone put every camera to within decimetres; without them there is no scale."""
    silent = {"place": None, "ellipsoid_height_m": None, "takeoff_height_m": None, "pitch_deg": None, "yaw_deg": None}
    photos = [replace(p, **silent) for p in before.photos]
    engine = ColmapReconstructor(workers=1, recipe=RECIPE)
    block = engine.reconstruct(photos, FRAME, tmp_path, control=surveyed(hills, before))
    report = block.stats.control
    assert report is not None
    assert report.used
    assert block.stats.registered == len(photos)
    assert np.linalg.norm(errors(block, [before]), axis=1).max() < 0.4
    assert (report.px(Role.CONTROL) or 9) < 2.0
    with pytest.raises(ReconstructionError, match="no scale"):
        engine.reconstruct(photos, FRAME, tmp_path)


def test_photos_prepared_by_many_are_not_read_again(make: Make, before: Flight, tmp_path: Path) -> None:
    """What was prepared for single photos, in any order, is taken by the reconstruction in the same folder."""
    engine = make(before)
    engine.prepare(before.photos[7:], tmp_path)
    engine.prepare(before.photos[:7], tmp_path)
    shelf = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npz")}
    assert len(shelf) == len(before.photos)
    block = engine.reconstruct(before.photos, FRAME, tmp_path)
    assert block.stats.registered == len(before.photos)
    assert {p: p.stat().st_mtime_ns for p in shelf} == shelf


def test_nothing_to_build_is_an_error(make: Make, before: Flight, tmp_path: Path) -> None:
    """No photos at all make no block, and the sentence says so."""
    with pytest.raises(ReconstructionError, match="photos"):
        make(before).reconstruct([], FRAME, tmp_path)


def test_a_folder_without_a_block_is_an_error(tmp_path: Path) -> None:
    """Loading what is not there, or only half there, says which folder is broken."""
    with pytest.raises(ReconstructionError, match="no whole block"):
        Block.load(tmp_path)
    (tmp_path / "block.json").write_text('{"format": 1}')
    with pytest.raises(ReconstructionError, match="no whole block"):
        Block.load(tmp_path)


def test_a_reference_does_not_move(second: Block, first: Made) -> None:
    """Registering into a block leaves its files and poses as they were."""
    again = Block.load(first.workdir / "kept" / "block")
    assert again.views == first.block.views


def test_the_solved_engine_says_how_it_came_to_its_frame(before: Flight, after: Flight, tmp_path: Path) -> None:
    """First survey, frozen registration and a reference of elsewhere are three different methods, and the last is a fallback."""
    engine = ColmapReconstructor(workers=1, recipe=RECIPE)
    reference = engine.reconstruct(before.photos[:6], FRAME, tmp_path)
    assert reference.stats.method is Method.GLOBAL
    frozen = engine.reconstruct(after.photos[:6], FRAME, tmp_path, reference=reference)
    assert (frozen.stats.method, frozen.stats.fell_back) == (Method.FROZEN, False)
    assert frozen.stats.tie_points > 50
    assert frozen.stats.tie_residual_px is not None
    assert frozen.stats.tie_residual_px < 1.5
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    strangers = []
    for photo in after.photos[:6]:  # the mirror image of a place is another place
        path = mirror / photo.name
        cv2.imwrite(str(path), cv2.imread(str(photo.path))[:, ::-1])
        strangers.append(replace(photo, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    apart = engine.reconstruct(strangers, FRAME, tmp_path, reference=reference)
    assert (apart.stats.method, apart.stats.fell_back) == (Method.SEPARATE, True)
    assert apart.stats.notes


def test_an_interrupted_build_goes_on_where_it_stopped(before: Flight, tmp_path: Path) -> None:
    """A build stopped while it solves keeps its keypoints and matches, shows no block, and ends as if it had not been stopped."""

    class Stopped(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if what == "mapping":
            raise Stopped

    photos = before.photos[:6]
    engine = ColmapReconstructor(workers=1, recipe=RECIPE)
    with pytest.raises(Stopped):
        engine.reconstruct(photos, FRAME, tmp_path, progress=stop)
    assert not list(tmp_path.rglob("block.json"))
    shelf = {p: p.stat().st_mtime_ns for p in (tmp_path / "features").rglob("*.npz")}
    assert len(shelf) == 6
    told: list[str] = []
    block = engine.reconstruct(photos, FRAME, tmp_path, progress=lambda done, total, what: told.append(what))
    assert "matching" not in told
    assert {p: p.stat().st_mtime_ns for p in shelf} == shelf
    assert block.stats.registered == 6
