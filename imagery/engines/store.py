"""The database and the model that the solver works on: photos become images, named by their hash.

Its own coordinates are frame metres less a whole-metre offset, so that nothing large reaches single precision.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Floats, Pose
from imagery.engines import features
from imagery.engines.features import Recipe
from imagery.photos import Photo
from imagery.reconstruct import Ints, Pixels2

_DISK = {"disk is full": errno.ENOSPC, "disk I/O error": errno.EIO, "attempt to write a readonly database": errno.EROFS}


@dataclass(frozen=True, slots=True)
class Roll:
    """Who is who: numbers of images by photo hash, numbers of cameras by name, and how keypoints were found."""

    recipe: Recipe
    images: Mapping[str, int] = field(default_factory=dict)
    cameras: Mapping[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Keep the roll beside the model it speaks of."""
        record = {"recipe": asdict(self.recipe), "images": dict(self.images), "cameras": dict(self.cameras)}
        (folder / "roll.json").write_text(json.dumps(record, indent=1), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> Roll:
        """The roll kept in a folder."""
        record = json.loads((folder / "roll.json").read_text(encoding="utf-8"))
        return Roll(Recipe(**record["recipe"]), record["images"], record["cameras"])

    def with_photos(self, photos: Iterable[Photo]) -> Roll:
        """The roll with further photos; numbers already given stay."""
        images, cameras = dict(self.images), dict(self.cameras)
        for photo in photos:
            images.setdefault(photo.sha256, max(images.values(), default=0) + 1)
            cameras.setdefault(camera_name(photo), max(cameras.values(), default=0) + 1)
        return Roll(self.recipe, images, cameras)


def camera_name(photo: Photo) -> str:
    """One name per lens: maker, model, size and promised focal length."""
    c = photo.camera
    return f"{photo.make or 'unknown'} {photo.model or 'unknown'} {c.width_px}x{c.height_px} f{c.focal_px:.1f}".strip()


def to_solver(camera: Camera, number: int) -> pycolmap.Camera:
    """A camera for the solver: one focal length, two radial terms; tangential and third ones only where the prior has them."""
    c = camera
    if c.k3:
        model, params = "FULL_OPENCV", [c.focal_px, c.focal_px, c.cx_px, c.cy_px, c.k1, c.k2, c.p1, c.p2, c.k3, 0.0, 0.0, 0.0]
    elif c.p1 or c.p2:
        model, params = "OPENCV", [c.focal_px, c.focal_px, c.cx_px, c.cy_px, c.k1, c.k2, c.p1, c.p2]
    else:
        model, params = "RADIAL", [c.focal_px, c.cx_px, c.cy_px, c.k1, c.k2]
    made = pycolmap.Camera(model=model, width=c.width_px, height=c.height_px, params=params, camera_id=number)
    made.has_prior_focal_length = True
    return made


def from_solver(camera: pycolmap.Camera) -> Camera:
    """The solver's camera as everyone else knows it."""
    p = [float(v) for v in camera.params]
    if camera.model.name == "FULL_OPENCV":  # the rational terms stay at nothing: such lenses are not solved for
        return Camera(camera.width, camera.height, (p[0] + p[1]) / 2, *p[2:9])
    if camera.model.name == "OPENCV":
        return Camera(camera.width, camera.height, (p[0] + p[1]) / 2, *p[2:])
    return Camera(camera.width, camera.height, *p)


def pose_of(image: pycolmap.Image, offset: Sequence[float]) -> Pose:
    """Where an image's camera stands, in frame metres."""
    return pose(image.cam_from_world().rotation.matrix(), image.projection_center() + np.asarray(offset))


def pose(rotation: Floats, centre: Floats) -> Pose:
    """A world-to-camera rotation `(3, 3)` and a centre `(3,)` as a pose."""
    return Pose(float(centre[0]), float(centre[1]), float(centre[2]), tuple(float(v) for v in rotation.ravel()))


def write_database(
    path: Path, roll: Roll, cameras: Mapping[str, Camera], camera_of: Mapping[str, str], shelves: Mapping[str, Path]
) -> None:
    """A database of images and their keypoints: `camera_of` and `shelves` go by photo hash. Written whole or not at all.

    Descriptors stay on the shelf: `matching` compares them there, the solver needs none, and they are nine tenths of the bytes.
    """
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    database = pycolmap.Database.open(temporary)
    try:
        for name, camera in cameras.items():
            number = roll.cameras[name]
            made = to_solver(camera, number)
            database.write_camera(made, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=number)
            rig.add_ref_sensor(made.sensor_id)
            database.write_rig(rig, use_rig_id=True)
        for sha256 in sorted(camera_of, key=lambda s: roll.images[s]):
            number, camera_number = roll.images[sha256], roll.cameras[camera_of[sha256]]
            image = pycolmap.Image(name=sha256, camera_id=camera_number, image_id=number)
            database.write_image(image, use_image_id=True)
            frame = pycolmap.Frame(frame_id=number, rig_id=camera_number)
            frame.add_data_id(image.data_id)
            database.write_frame(frame, use_frame_id=True)
            database.write_keypoints(number, features.keypoints(shelves[sha256], sha256))
    finally:
        database.close()
    temporary.rename(path)


def write_excerpt(
    whole: Path,
    path: Path,
    roll: Roll,
    cameras: Mapping[str, Camera],
    camera_of: Mapping[str, str],
    shelves: Mapping[str, Path],
    pairs: Iterable[tuple[str, str]],
) -> None:
    """A database of some images (those of `camera_of`) with what `whole` knows of the `pairs` (by hash) among them."""
    temporary = path.with_suffix(".part")
    write_database(temporary, roll, cameras, camera_of, shelves)
    source, target = pycolmap.Database.open(whole), pycolmap.Database.open(temporary)
    try:
        for one, other in pairs:
            i, j = roll.images[one], roll.images[other]
            if one in camera_of and other in camera_of and source.exists_two_view_geometry(i, j):
                target.write_two_view_geometry(i, j, source.read_two_view_geometry(i, j))
    finally:
        source.close()
        target.close()
    temporary.rename(path)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Points `(n, 3)` of the solver's coordinates and who sees them where, ordered by view (see `Block`)."""

    points: Floats
    view: Ints
    point: Ints
    px: Pixels2


def tracks(model: pycolmap.Reconstruction, ids: Sequence[int]) -> Tracks:
    """Points that at least two of the images `ids` see, with their observations in those images only."""
    number = {image_id: k for k, image_id in enumerate(ids)}
    points: list[Floats] = []
    rows: list[tuple[int, int, float, float]] = []
    for _, point in sorted(model.points3D.items()):
        seen = [(number[e.image_id], e.image_id, e.point2D_idx) for e in point.track.elements if e.image_id in number]
        if len({view for view, _, _ in seen}) < 2:
            continue
        for view, image_id, at in seen:
            x, y = model.image(image_id).point2D(at).xy
            rows.append((view, len(points), x, y))
        points.append(np.asarray(point.xyz, np.float64))
    table = np.array(rows, np.float64).reshape(-1, 4)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return Tracks(
        np.array(points).reshape(-1, 3),
        table[:, 0].astype(np.int32),
        table[:, 1].astype(np.int32),
        table[:, 2:].astype(np.float32),
    )


def keep_only(model: pycolmap.Reconstruction, ids: Collection[int]) -> None:
    """Let go of every other image, and of points that fewer than two of `ids` see."""
    kept = set(ids)
    for number in list(model.reg_frame_ids()):
        if not any(data.id in kept for data in model.frame(number).data_ids):
            model.deregister_frame(number)


def keep(folder: Path, model: pycolmap.Reconstruction, roll: Roll, shelf: Path) -> None:
    """Put together what a later survey needs to register into this model: the model, who is who, and the keypoints."""
    keep_model(folder, model)
    keep_roll(folder, roll, shelf)


def keep_model(folder: Path, model: pycolmap.Reconstruction) -> None:
    """The model of a block that was solved as a whole."""
    write_model(folder / "model", model)


def write_model(folder: Path, model: pycolmap.Reconstruction) -> None:
    """Write a model and look whether all of it is there: the solver writes to a full disk without a word, and reads what is left of a
    model without one, too. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.write(folder)
    # The least that COLMAP's binary form takes (https://colmap.github.io/format.html#binary-file-format).
    points, seen = model.num_points3D(), model.compute_num_observations()
    here = [model.image(i) for i in model.reg_image_ids()]  # others are not written
    images = sum(73 + 24 * image.num_points2D() for image in here)
    least = {"cameras": 8, "images": 8 + images, "points3D": 8 + 51 * points + 8 * seen}
    for name, size in least.items():
        if (folder / f"{name}.bin").stat().st_size < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite says of the disk, through the solver, becomes the OSError that it is."""
    try:
        yield
    except RuntimeError as error:
        number = next((n for words, n in _DISK.items() if words in str(error)), None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def models(folder: Path) -> tuple[Path, ...]:
    """The models a block is kept as: one, or several that overlap."""
    return (folder / "model",) if (folder / "model").exists() else tuple(sorted(folder.glob("model-*")))


def keep_roll(folder: Path, roll: Roll, shelf: Path) -> None:
    """Who is who, and the keypoints, beside the models."""
    roll.write(folder)
    (folder / "features").mkdir()
    for sha256 in roll.images:
        source, target = shelf / f"{sha256}.npz", folder / "features" / f"{sha256}.npz"
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def posed(
    roll: Roll,
    cameras: Mapping[str, Camera],
    camera_of: Mapping[str, str],
    poses: Mapping[str, Pose],
    offset: Sequence[float],
    shelf: Path | None,
) -> pycolmap.Reconstruction:
    """A model of images with known poses and no points yet; without a shelf, without keypoints."""
    model = pycolmap.Reconstruction()
    for name, camera in cameras.items():
        model.add_camera_with_trivial_rig(to_solver(camera, roll.cameras[name]))
    for sha256, number in roll.images.items():
        rotation = poses[sha256].matrix
        shift = -rotation @ (poses[sha256].centre - np.asarray(offset))
        pixels = np.zeros((0, 2)) if shelf is None else features.keypoints(shelf, sha256)[:, :2].astype(np.float64)
        image = pycolmap.Image(name=sha256, keypoints=pixels, camera_id=roll.cameras[camera_of[sha256]], image_id=number)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.column_stack([rotation, shift])))
    return model
