"""A made-up flight over hilly ground with surveyed targets, as the solver's own model: poses, points and marks that are known exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pycolmap
from scipy.spatial.transform import Rotation

from geo.camera import Camera
from geo.frames import Floats, Frame, Pose
from imagery.control import Control, ControlPoint, Mark, Role
from imagery.engines import store
from imagery.engines.placing import Places

FRAME = Frame(32651)
OFFSET = np.array([300_000.0, 3_000_000.0, 0.0])
CAMERA = Camera(1600, 1200, 1300.0, 800.0, 600.0)
HEIGHT_M = 60.0
LIMIT_PX = 6.0


def ground(x: Floats, y: Floats) -> Floats:
    """Hills of a few metres."""
    return np.asarray(5.0 + 2.0 * np.sin(x / 25) + 1.5 * np.cos(y / 18))


@dataclass
class Flight:
    """A model in some coordinates, and what is true of it in metres less OFFSET."""

    model: pycolmap.Reconstruction
    poses: list[Pose]
    targets: Floats

    @property
    def ids(self) -> list[int]:
        """Image numbers, in the order of the poses."""
        return sorted(self.model.reg_image_ids())

    @property
    def numbers(self) -> dict[str, int]:
        """By the name that marks use."""
        return {f"photo{i}": i for i in self.ids}

    @property
    def names(self) -> dict[int, str]:
        """And back."""
        return {i: n for n, i in self.numbers.items()}

    def control(self, *, heights: bool = True, sigma_m: float = 0.03, noise_px: float = 0.3) -> Control:
        """The targets as a surveyor would hand them over."""
        rng = np.random.default_rng(3)
        points = []
        for k, at in enumerate(self.targets):
            marks = []
            for i, pose in enumerate(self.poses, 1):
                px, _ = CAMERA.project(at[None], pose)
                if np.isfinite(px).all() and (px > 20).all() and px[0, 0] < 1580 and px[0, 1] < 1180:
                    x, y = px[0] + rng.normal(0, noise_px, 2)
                    marks.append(Mark(f"photo{i}", float(x), float(y)))
            x, y, z = at + OFFSET
            points.append(ControlPoint(f"T{k}", x, y, z if heights else 0.0, heights, tuple(marks[:6]), sigma_m, sigma_m))
        return Control(FRAME, tuple(points), "targets.txt")

    def places(
        self, *, gps_sigma_m: float = 1.0, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), known: bool = True
    ) -> Places:
        """What receivers would have said."""
        rng = np.random.default_rng(4)
        centres = np.array([p.centre for p in self.poses]) + rng.normal(0, gps_sigma_m, (len(self.poses), 3)) + shift
        if not known:
            centres[:] = np.nan
        n = len(self.poses)
        gaze = np.tile([0.0, 0.0, -1.0], (n, 1))
        return Places(centres[:, :2], centres[:, 2], np.full(n, 3.0), np.full(n, 3.0), gaze, False, "test")

    def error_m(self) -> Floats:
        """Distances `(n,)` between where cameras stand in the model and where they truly stood."""
        now = np.array([self.model.image(i).projection_center() for i in self.ids])
        return np.asarray(np.linalg.norm(now - np.array([p.centre for p in self.poses]), axis=1))


def flight(*, tilt_deg: float = 3.0, noise_px: float = 0.4, points: int = 900) -> Flight:
    """Four lines of six photos; observed with noise, in true metres."""
    rng = np.random.default_rng(1)
    poses = []
    for i in range(4):
        for j in range(6):
            yaw, tilt, roll = 90.0 + 180 * (i % 2) + rng.normal(0, 3), rng.normal(0, tilt_deg), rng.normal(0, tilt_deg)
            x, y = (j - 2.5) * 16.0, (i - 1.5) * 22.0
            poses.append(Pose.looking(x, y, HEIGHT_M + rng.normal(0, 1.0), yaw_deg=yaw, pitch_deg=-90 + tilt, roll_deg=roll))
    xy = rng.uniform(-70, 70, (points, 2))
    world = np.column_stack([xy, ground(xy[:, 0], xy[:, 1])])
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(store.to_solver(CAMERA, 1))
    tracks: list[list[tuple[int, int]]] = [[] for _ in world]
    for number, pose in enumerate(poses, 1):
        px, _ = CAMERA.project(world, pose)
        inside = np.flatnonzero((px > 0).all(axis=1) & (px[:, 0] < CAMERA.width_px) & (px[:, 1] < CAMERA.height_px))
        for at, k in enumerate(inside):
            tracks[k].append((number, at))
        seen = px[inside] + rng.normal(0, noise_px, (len(inside), 2))
        image = pycolmap.Image(name=f"photo{number}", keypoints=seen, camera_id=1, image_id=number)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.column_stack([pose.matrix, -pose.matrix @ pose.centre])))
    for at, track in zip(world, tracks, strict=True):
        if len(track) >= 2:
            made = pycolmap.Track()
            for number, k in track:
                made.add_element(number, k)
            model.add_point3D(at, made, np.zeros(3, np.uint8))
    spots = np.array([[-38.0, -30.0], [40.0, -28.0], [36.0, 31.0], [-35.0, 33.0], [2.0, 3.0], [20.0, -5.0]])
    targets = np.column_stack([spots, ground(spots[:, 0], spots[:, 1])])
    return Flight(model, poses, targets)


def estranged(made: Flight) -> Flight:
    """The same model in coordinates that know nothing of metres, north or up."""
    turn = Rotation.from_euler("xyz", [20, -35, 110], degrees=True).as_matrix()
    made.model.transform(pycolmap.Sim3d(np.column_stack([0.13 * turn, [4.0, -7.0, 2.0]])))
    return made


def as_check(control: Control, name: str) -> Control:
    """One point only measures."""
    return replace(control, points=tuple(replace(p, role=Role.CHECK) if p.name == name else p for p in control.points))
