"""The lens: photos of a scene from any pose, through a real camera with its distortion, and a flight's folder of them.

Every pixel is a ray; pixels on edges are looked at four times. Exposure, vignetting and grain are the camera's own.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geo.camera import Camera
from geo.frames import LonLat, Pose
from geo.progress import Progress, silent
from geo.times import utc
from simulator import tags
from simulator.errors import SimulatorError
from simulator.light import edges, light
from simulator.scene import Scene
from simulator.sun import Sun, sun_at
from simulator.textures import atlas

Rgb8 = NDArray[np.uint8]
GIMBAL_SIGMA_DEG = 0.25  # how far a stabilised camera strays from what it reports


@dataclass(frozen=True, slots=True)
class Shot:
    """One release of the shutter, as the vehicle lived it.

    `yaw_deg`, `pitch_deg`, `roll_deg` are the vehicle's attitude; `gimbal` is the camera's (yaw, pitch, roll), pitch -90 straight
    down; without it the camera is stabilised straight down and turned as the vehicle is. `takeoff_height_m` counts from the
    ground at the place of take-off.
    """

    index: int
    at: datetime
    lon_deg: float
    lat_deg: float
    takeoff_height_m: float
    yaw_deg: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    gimbal: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        utc(self.at)  # raises without a time zone

    @property
    def camera_angles(self) -> tuple[float, float, float]:
        """(yaw, pitch, roll) of the camera in degrees."""
        return self.gimbal or (self.yaw_deg, -90.0, 0.0)


@lru_cache(maxsize=2)
def _rays(camera: Camera) -> NDArray[np.float32]:
    """The camera's rays `(rows, cols, 2)` with z = 1; solved once per camera, on every eighth pixel, and filled in smoothly."""
    step = 8
    us = np.arange(-step, camera.width_px + 2 * step, step) + 0.5
    vs = np.arange(-step, camera.height_px + 2 * step, step) + 0.5
    u, v = np.meshgrid(us, vs)
    coarse = camera.rays(np.column_stack([u.ravel(), v.ravel()]))[:, :2].reshape(len(vs), len(us), 2).astype(np.float32)
    cols = ((np.arange(camera.width_px) + step) / step).astype(np.float32)
    rows = ((np.arange(camera.height_px) + step) / step).astype(np.float32)
    at_u, at_v = np.meshgrid(cols, rows)
    return cv2.remap(coarse, at_u, at_v, cv2.INTER_CUBIC)


@lru_cache(maxsize=2)
def _falloff(camera: Camera) -> NDArray[np.float32]:
    """Light left `(rows, cols, 1)` towards the corners: half of the cos^4 law, as cameras correct the rest."""
    rays = _rays(camera)
    r2 = (rays**2).sum(axis=-1, keepdims=True)
    return ((1.0 + r2) ** -1.0).astype(np.float32)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    return np.random.default_rng(99).normal(0.0, 1.0, (1 << 21) + 7).astype(np.float32)


def render(
    scene: Scene, camera: Camera, pose: Pose, sun: Sun, *, exposure: float = 1.0, grain: float = 1.4, seed: int = 0
) -> Rgb8:
    """A photo uint8 `(rows, cols, 3)` RGB of the scene from a pose in its metric frame (z over the ellipsoid).

    `exposure` multiplies the light, `grain` is the noise in grey levels. Raises SimulatorError for an eye below the ground.
    """
    if pose.z_m <= scene.ground_m(pose.x_m, pose.y_m):
        raise SimulatorError(f"the camera at {pose.x_m:.1f}, {pose.y_m:.1f} stands at {pose.z_m:.1f} m, below the ground there")
    eye = np.array([pose.x_m - scene.origin.x_m, pose.y_m - scene.origin.y_m, pose.z_m])
    sky, sky_place = scene.sky
    world = (
        scene.tables, scene.relief.heights, scene.relief.place, scene.soil, atlas(), scene.shadow(sun), sky, sky_place,
        np.array(sun.towards), sun.strength, pose.matrix, eye, 1.0 / camera.focal_px,
    )  # fmt: skip
    rays = _rays(camera)
    image, keys = np.empty((*rays.shape[:2], 3), np.float32), np.empty(rays.shape[:2], np.int32)
    light(*world, rays.reshape(-1, 2), image.reshape(-1, 3), keys.reshape(-1))
    picked, more = edges(keys, rays)
    finer = np.empty((len(more), 3), np.float32)
    light(*world, more, finer, np.empty(len(more), np.int32))
    image.reshape(-1, 3)[picked] = finer.reshape(-1, 4, 3).mean(axis=1)
    return _develop(image, camera, exposure, grain, seed)


def toned(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The camera's tone curve: light of any shape to grey levels 0..255, not yet rounded."""
    image: NDArray[np.float32] = light * np.float32(1.35)
    np.divide(image, 1.0 + 0.18 * image, out=image)
    np.sqrt(np.clip(image, 0.0, 1.0, out=image), out=image)
    image *= 255.0
    return image


def _develop(light: NDArray[np.float32], camera: Camera, exposure: float, grain: float, seed: int) -> Rgb8:
    """Light to grey levels: blur of the glass, vignetting, tone curve, grain."""
    image = cv2.GaussianBlur(light, (3, 3), 0.45)
    image *= _falloff(camera) * np.float32(exposure)
    image = toned(image)
    if grain > 0.0:
        noise = _grain()
        start = int(np.random.default_rng(seed).integers(0, len(noise)))
        flat = image.reshape(-1)
        for low in range(0, flat.size, len(noise)):
            part = flat[low : low + len(noise)]
            part += np.roll(noise, -start)[: part.size] * np.float32(grain)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def true_pose(scene: Scene, shot: Shot, home: LonLat, seed: int = 0) -> Pose:
    """Where the camera truly was, in the scene's frame: the shot's place, and its angles with the small error of a gimbal."""
    at = scene.frame.xy(LonLat(lon_deg=shot.lon_deg, lat_deg=shot.lat_deg))
    base = scene.frame.xy(home)
    stray = np.random.default_rng([seed, 11, shot.index]).normal(0.0, GIMBAL_SIGMA_DEG, 3)
    yaw, pitch, roll = (float(a + s) for a, s in zip(shot.camera_angles, stray, strict=True))
    z = scene.ground_m(base.x_m, base.y_m) + shot.takeoff_height_m
    return Pose.looking(at.x_m, at.y_m, z, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)


def write_photos(
    scene: Scene,
    camera: Camera,
    shots: Sequence[Shot],
    folder: Path,
    *,
    home: LonLat,
    sun: Sun | None = None,
    seed: int = 0,
    rtk: bool = False,
    quality: int = 90,
    workers: int = 1,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """The photos of one flight as JPEG with EXIF and DJI's XMP, `DJI_0001.JPG` for the shot with index 1; photos that exist are kept.

    Without `sun` it stands where it does at the middle shot. Positions in the files carry the error of a consumer receiver (about
    a metre that lasts the whole flight, and a little that does not), or 2 cm with `rtk`. The same seed gives the same photos.
    Raises SimulatorError when two shots share an index or the folder cannot be written.
    """
    if len({shot.index for shot in shots}) != len(shots):
        raise SimulatorError("two shots have the same index: number the shots of a flight one by one")
    if not shots:
        return ()
    middle = shots[len(shots) // 2]
    light_of_day = sun or sun_at(LonLat(lon_deg=middle.lon_deg, lat_deg=middle.lat_deg), middle.at)
    paths = tuple(folder / f"DJI_{shot.index:04d}.JPG" for shot in shots)
    missing = [(shot, path) for shot, path in zip(shots, paths, strict=True) if not path.exists()]
    done = len(shots) - len(missing)
    progress(done, len(shots), "photos")
    if not missing:
        return paths
    scene.shadow(light_of_day), scene.sky, scene.soil  # made once, before the threads share them
    base = scene.frame.xy(home)
    home_m = scene.ground_m(base.x_m, base.y_m)
    flight = np.random.default_rng([seed, 12]).normal(0.0, 1.0, 4)

    def write(job: tuple[Shot, Path]) -> None:
        shot, path = job
        rng = np.random.default_rng([seed, 13, shot.index])
        exposure = float(1.0 + 0.03 * rng.normal())
        photo = render(
            scene, camera, true_pose(scene, shot, home, seed), light_of_day, exposure=exposure, seed=int(rng.integers(1 << 30))
        )
        fix = tags.fix(shot.lon_deg, shot.lat_deg, home_m, shot.takeoff_height_m, flight, rng.normal(0.0, 1.0, 4), rtk=rtk)
        stamp = tags.Stamp(utc(shot.at), fix, (shot.yaw_deg, shot.pitch_deg, shot.roll_deg), shot.camera_angles)
        data = io.BytesIO()
        Image.fromarray(photo).save(
            data, "JPEG", quality=quality, subsampling="4:2:0", exif=tags.exif(stamp, camera), xmp=tags.xmp(stamp, camera)
        )
        part = path.with_suffix(".part")
        part.write_bytes(data.getvalue())
        part.replace(path)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max(1, workers)) as pool:
            try:
                for _ in pool.map(write, missing):
                    done += 1
                    progress(done, len(shots), "photos")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except OSError as err:
        raise SimulatorError(f"the photos cannot be written to {folder}: {err}") from err
    return paths
