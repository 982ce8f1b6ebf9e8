"""The engine for photos whose poses are known already: from a simulator, from another program, from survey-grade direct georeferencing.

Nothing is solved; sparse points are triangulated from the photos under the given poses, so that the surface knows its depth range,
or are taken as given. Like any block it can serve later surveys as their reference.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from scipy.spatial.transform import Rotation

from geo.camera import Camera
from geo.frames import Floats, Frame, LonLat, Pose
from geo.progress import Progress, silent
from imagery.control import Control, ControlReport
from imagery.engines import features, grounding, judging, mapping, matching, pairs, placing, store
from imagery.engines.features import Recipe
from imagery.errors import ReconstructionError
from imagery.lenses import nearest_camera
from imagery.photos import Photo
from imagery.reconstruct import Block, Method, View


@dataclass(frozen=True, slots=True)
class Given:
    """Poses in frame metres and cameras of full-size pixels, by photo hash or by file name with or without its ending."""

    poses: Mapping[str, Pose]
    cameras: Mapping[str, Camera] = field(default_factory=dict)

    def of(self, photo: Photo) -> tuple[Pose, Camera] | None:
        """Pose and camera of a photo (its own prior where no camera is given), or None when its pose is not known."""
        for key in (photo.sha256, photo.name, photo.path.stem):
            if key in self.poses:
                return self.poses[key], self.cameras.get(key, photo.camera)
        return None


@dataclass(slots=True)
class DirectReconstructor:
    """Adapter of `Reconstructor` for given poses. `points` `(n, 3)` frame metres stand in for triangulated ones."""

    given: Given
    points: Floats | None = None
    workers: int = 2
    recipe: Recipe = field(default_factory=Recipe)
    neighbours: int = 8

    def reconstruct(
        self,
        photos: Sequence[Photo],
        frame: Frame,
        workdir: Path,
        *,
        reference: Block | None = None,
        control: Control | None = None,
        progress: Progress = silent,
    ) -> Block:
        """See `Reconstructor`. Given poses share their frame by themselves: the reference is not needed and not used,
        and control is only measured.
        """
        mapping.quiet()
        unique = tuple({p.sha256: p for p in photos}.values())
        own = [(p, *known) for p in unique if (known := self.given.of(p)) is not None]
        if not own:
            raise ReconstructionError(f"none of the {len(unique)} photos has a given pose: do the names match?")
        offset = _offset([pose for _, pose, _ in own])
        key = hashlib.sha256(repr([(p.sha256, pose, c) for p, pose, c in own]).encode()).hexdigest()[:16]
        run = workdir / f"given-{key}"
        run.mkdir(parents=True, exist_ok=True)
        names = _names([camera for _, _, camera in own])
        engine = run / "kept.tmp"
        shutil.rmtree(engine, ignore_errors=True)
        if self.points is None:
            found, error = self._triangulated(own, names, offset, workdir, run, engine, progress)
        else:
            found, error = _seen(self.points - np.array(offset), own, offset), 0.0
            engine.mkdir()
        seen = np.bincount(found.view, minlength=len(own))
        views = tuple(View(p.sha256, p.path, names[c], pose, int(seen[k])) for k, (p, pose, c) in enumerate(own))
        cameras = {name: camera for camera, name in names.items()}
        points = found.points + np.array(offset)
        photos_used = [p for p, _, _ in own]
        judged = judging.judge(photos_used, views, points, found, placing.told(photos_used, frame), cameras)
        missing = tuple((p.name, "no pose was given for it") for p in unique if self.given.of(p) is None)
        block = Block(
            frame=frame,
            offset_m=offset,
            cameras=cameras,
            views=views,
            points=points,
            stats=replace(
                judged,
                given=len(unique),
                reprojection_px=error,
                method=Method.GIVEN,
                unregistered=missing,
                control=None if control is None else self._measured(control, own, names, offset),
            ),
            folder=engine,
            track_view=found.view,
            track_point=found.point,
            track_px=found.px,
        )
        saved = block.save(run / "block")
        shutil.rmtree(engine, ignore_errors=True)
        return saved

    def _measured(
        self,
        control: Control,
        own: Sequence[tuple[Photo, Pose, Camera]],
        names: Mapping[Camera, str],
        offset: tuple[float, float, float],
    ) -> ControlReport:
        """How the given poses meet surveyed points."""
        numbers = {p.sha256: i + 1 for i, (p, _, _) in enumerate(own)}
        roll = store.Roll(self.recipe, numbers, {n: i + 1 for i, n in enumerate(names.values())})
        cameras = {name: camera for camera, name in names.items()}
        model = store.posed(
            roll, cameras, {p.sha256: names[c] for p, _, c in own}, {p.sha256: pose for p, pose, _ in own}, offset, None
        )
        limit = grounding.mark_limit_px(model, self.recipe.long_side_px)
        known = {i + 1: p.name for i, (p, _, _) in enumerate(own)}
        return grounding.report(model, control, numbers, known, np.array(offset), limit_px=limit, laid=grounding.Laid(used=False))

    def prepare(
        self, photos: Sequence[Photo], workdir: Path, *, reference: Block | None = None, progress: Progress = silent
    ) -> None:
        """See `Reconstructor`: keypoints of single photos; nothing where the points are given too."""
        if self.points is None:
            shelf = workdir / "features" / self.recipe.shelf
            features.extract(photos, shelf, self.recipe, workers=self.workers, progress=progress)

    def _triangulated(
        self,
        own: Sequence[tuple[Photo, Pose, Camera]],
        names: Mapping[Camera, str],
        offset: tuple[float, float, float],
        workdir: Path,
        run: Path,
        engine: Path,
        progress: Progress,
    ) -> tuple[store.Tracks, float]:
        photos = [p for p, _, _ in own]
        shelf = workdir / "features" / self.recipe.shelf
        failed = features.extract(photos, shelf, self.recipe, workers=self.workers, progress=progress)
        if failed:
            raise ReconstructionError(f"photos cannot be read: {'; '.join(failed.values())}")
        roll = store.Roll(
            self.recipe, {p.sha256: i + 1 for i, p in enumerate(photos)}, {n: i + 1 for i, n in enumerate(names.values())}
        )
        camera_of = {p.sha256: names[c] for p, _, c in own}
        database = run / "given.db"
        database.unlink(missing_ok=True)
        cameras = {name: camera for camera, name in names.items()}
        store.write_database(database, roll, cameras, camera_of, dict.fromkeys(camera_of, shelf))
        near = pairs.within(np.array([[pose.x_m, pose.y_m] for _, pose, _ in own]), self.neighbours)
        wanted = [(photos[i].sha256, photos[j].sha256) for i, j in sorted(near)]
        matching.match_all(
            database,
            wanted,
            roll.images,
            dict.fromkeys(camera_of, shelf),
            workers=self.workers,
            progress=lambda done, total: progress(done, total, "matching"),
        )
        poses = {p.sha256: pose for p, pose, _ in own}
        model = mapping.triangulate(database, store.posed(roll, cameras, camera_of, poses, offset, shelf), run / "scratch")
        store.keep(engine / "engine", model, roll, shelf)
        ids = [roll.images[p.sha256] for p in photos]
        return store.tracks(model, ids), float(model.compute_mean_reprojection_error())


def _names(cameras: Sequence[Camera]) -> dict[Camera, str]:
    """A name for every different camera."""
    different = dict.fromkeys(cameras)
    return {c: f"given {i + 1} {c.width_px}x{c.height_px} f{c.focal_px:.1f}" for i, c in enumerate(different)}


def _offset(poses: Sequence[Pose]) -> tuple[float, float, float]:
    middle = np.floor(np.median([[p.x_m, p.y_m] for p in poses], axis=0))
    return float(middle[0]), float(middle[1]), 0.0


def _seen(points: Floats, own: Sequence[tuple[Photo, Pose, Camera]], offset: tuple[float, float, float]) -> store.Tracks:
    """Given points, less the offset, as tracks: who sees which of them where."""
    views, numbers, pixels = [], [], []
    world = points + np.array(offset)
    for k, (_, pose, camera) in enumerate(own):
        px, depth = camera.project(world, pose)
        with np.errstate(invalid="ignore"):
            inside = (depth > 0) & (px >= 0).all(axis=1) & (px[:, 0] < camera.width_px) & (px[:, 1] < camera.height_px)
        here = np.flatnonzero(inside)
        views.append(np.full(len(here), k, np.int32))
        numbers.append(here.astype(np.int32))
        pixels.append(px[here].astype(np.float32))
    return store.Tracks(points, np.concatenate(views), np.concatenate(numbers), np.concatenate(pixels).reshape(-1, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A move of another program's points: `matrix` `(4, 4)` on (east, north, height) metres of its `crs`, as PROJ reads it."""

    crs: str
    matrix: Floats


def read_opensfm(path: Path, frame: Frame, alignment: Alignment | None = None) -> Given:
    """Poses and cameras of an OpenSfM `reconstruction.json` (as OpenDroneMap keeps it), brought into the metres of `frame`.

    Its own coordinates are east, north, up on the plane that touches the ellipsoid at `reference_lla`; the frame's grid north and
    scale differ from those by the meridian convergence and the scale factor there, which are applied, and the `alignment` before
    them. Heights stay metres over the reference altitude's datum. Raises ReconstructionError.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))[0]
        lla = record["reference_lla"]
        lenses = {name: _opensfm_camera(c) for name, c in record["cameras"].items()}
        to_frame, turn = _plane_to_frame(lla["longitude"], lla["latitude"], lla["altitude"], frame, alignment)
        poses: dict[str, Pose] = {}
        cameras: dict[str, Camera] = {}
        for name, shot in record["shots"].items():
            rotation = Rotation.from_rotvec(shot["rotation"]).as_matrix()
            centre = to_frame(-rotation.T @ np.array(shot["translation"]))
            poses[name] = Pose(float(centre[0]), float(centre[1]), float(centre[2]), tuple((rotation @ turn.T).ravel().tolist()))
            cameras[name] = lenses[shot["camera"]]
    except (OSError, ValueError, KeyError, IndexError, TypeError, ProjError) as error:
        raise ReconstructionError(f"{path}: not a reconstruction that OpenSfM wrote ({error!r})") from error
    return Given(poses, cameras)


def _opensfm_camera(c: Mapping[str, Any]) -> Camera:
    """Brown's lens, with lengths as shares of the picture's longer side and its centre as origin."""
    if c["projection_type"] not in ("brown", "perspective"):
        raise ValueError(f"projection {c['projection_type']} is not known here; brown and perspective are")
    width, height = int(c["width"]), int(c["height"])
    side = max(width, height)
    focal = c.get("focal_x", c.get("focal", 0.0)) * side
    focal_y = c.get("focal_y", c.get("focal", 0.0)) * side
    cx, cy = width / 2 + c.get("c_x", 0.0) * side, height / 2 + c.get("c_y", 0.0) * side
    terms = tuple(float(c.get(k, 0.0)) for k in ("k1", "k2", "p1", "p2", "k3"))
    return nearest_camera(width, height, (focal, focal_y, cx, cy, *terms))


def _plane_to_frame(
    lon: float, lat: float, altitude: float, frame: Frame, alignment: Alignment | None
) -> tuple[Callable[[Floats], Floats], Floats]:
    """How points `(3,)` of the touching plane come into the frame, and the rotation `(3, 3)` of the axes."""
    earth = Transformer.from_crs(4979, 4978, always_xy=True)
    origin = np.array(earth.transform(lon, lat, altitude))
    a, b = math.radians(lon), math.radians(lat)
    axes = np.array(
        [
            [-math.sin(a), math.cos(a), 0.0],
            [-math.sin(b) * math.cos(a), -math.sin(b) * math.sin(a), math.cos(b)],
            [math.cos(b) * math.cos(a), math.cos(b) * math.sin(a), math.sin(b)],
        ]
    )
    theirs = Transformer.from_crs(4326, CRS.from_user_input(alignment.crs), always_xy=True) if alignment is not None else None

    def to_frame(point: Floats) -> Floats:
        x, y, z = origin + axes.T @ point
        lon_deg, lat_deg, height = earth.transform(x, y, z, direction="INVERSE")
        if alignment is not None and theirs is not None:
            east, north = theirs.transform(lon_deg, lat_deg)
            east, north, height, _ = alignment.matrix @ np.array([east, north, height, 1.0])
            lon_deg, lat_deg = theirs.transform(east, north, direction="INVERSE")
        at = frame.xy(LonLat(lon_deg=lon_deg, lat_deg=lat_deg))
        return np.array([at.x_m, at.y_m, height])

    here = to_frame(np.zeros(3))
    left, _, right = np.linalg.svd(np.column_stack([to_frame(step) - here for step in 20.0 * np.eye(3)]))
    return to_frame, np.asarray(left @ right, np.float64)
