"""The port that turns photos into a block: where each camera stood, what it saw, and how sure that is.

A block's poses and points are metres of the area's frame. Pixels count from the picture's outer corner (see `geo.camera`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geo.camera import Camera
from geo.frames import Floats, Frame, Pose
from geo.progress import Progress, silent
from imagery.bend import Bend
from imagery.control import Control, ControlReport
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.projection import Projector
from imagery.reasons import Reason, read_all

Ints = NDArray[np.int32]
Pixels2 = NDArray[np.float32]

_FORMAT = 1


class Method(StrEnum):
    """How a block came to its frame."""

    GLOBAL = "global"  # all photos at once, then aligned to GPS
    INCREMENTAL = "incremental"  # photo by photo, then aligned to GPS
    FROZEN = "frozen"  # registered into the reference block, which did not move
    JOINT = "joint"  # solved together with the reference, then laid back onto it
    ALIGNED = "aligned"  # solved apart by another program, and laid onto the reference's point cloud as a whole
    SEPARATE = "separate"  # on its own GPS although a reference was given
    GIVEN = "given"  # poses were given, not solved


@dataclass(frozen=True, slots=True)
class View:
    """One registered photo."""

    photo_sha256: str
    path: Path
    camera_id: str
    pose: Pose
    points_seen: int


@dataclass(frozen=True, slots=True)
class BlockStats:
    """How good a block is; None where there is nothing to measure it by.

    `reprojection_px` is the mean over all observations in pixels of the full photo; `gps_residual_m` the horizontal rms of camera
    places against the photos' own after alignment; `agl_m` the median height of the cameras over the points they see;
    `agl_ratio` that height over the photos' height above take-off; `tilt_deg` the angle of the mean optical axis to straight
    down; `tie_residual_px` the mean error, in the new photos, of points shared with the frozen reference; `focal_change` the
    solved focal length over the promised one, less one; `control` how ground control was used and met.
    `fell_back` says that the wanted method failed; `notes` say why, and
    what to watch.
    """

    given: int
    registered: int
    reprojection_px: float
    gps_residual_m: float | None
    agl_m: float
    tilt_deg: float
    method: Method
    fell_back: bool = False
    agl_ratio: float | None = None
    tie_points: int = 0
    tie_residual_px: float | None = None
    focal_change: float | None = None
    unregistered: tuple[tuple[str, str], ...] = ()  # (photo name, reason)
    notes: tuple[Reason, ...] = ()
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    control: ControlReport | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Photos with poses, cameras and sparse points in one frame.

    `offset_m` are whole metres to subtract before working in float32. `points` is `(n, 3)` frame metres. Tracks are three arrays
    of equal length, ordered by view: `track_view` (index into `views`), `track_point` (index into `points`), `track_px` `(m, 2)`
    the pixel. With a `bend` the views' poses stand in the block's own shape and it leads from there to the frame; points are always
    in the frame.
    """

    frame: Frame
    offset_m: tuple[float, float, float]
    cameras: Mapping[str, Camera]
    views: tuple[View, ...]
    points: Floats
    stats: BlockStats
    folder: Path
    track_view: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    track_point: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    track_px: Pixels2 = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    bend: Bend | None = None

    @property
    def key(self) -> str:
        """Short name of these poses and cameras: what was made from a block that has moved since is another block's."""
        said = [[v.photo_sha256, asdict(v.pose), asdict(self.cameras[v.camera_id])] for v in self.views]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]

    def camera(self, view: View) -> Camera:
        """The camera a view was taken with."""
        return self.cameras[view.camera_id]

    def projector(self, index: int) -> Projector:
        """Frame places, less `offset_m`, to the pixels of view number `index`."""
        view = self.views[index]
        return Projector.of(self.camera(view), view.pose, self.offset_m, self.bend)

    def seen(self, index: int) -> Ints:
        """Indices into `points` that view number `index` observes."""
        start, stop = np.searchsorted(self.track_view, [index, index + 1])
        return self.track_point[start:stop]

    def observed_px(self, index: int) -> Pixels2:
        """Pixels `(k, 2)` at which view number `index` observes the points of `seen(index)`."""
        start, stop = np.searchsorted(self.track_view, [index, index + 1])
        return self.track_px[start:stop]

    def depths_m(self, index: int) -> Floats:
        """Depths along the optical axis of the points that view number `index` sees."""
        pose = self.views[index].pose
        return np.asarray((self.points[self.seen(index)] - pose.centre) @ pose.matrix[2], np.float64)

    def depth_range_m(self, index: int) -> tuple[float, float]:
        """(nearest, farthest) depth that view number `index` should look for: robust, with a margin for roofs no point lies on.

        A view without points borrows the block's height over its points.
        """
        depths = self.depths_m(index)
        depths = depths[depths > 0]
        if len(depths) < 8:
            middle = max(1.0, self.stats.agl_m)
            return 0.5 * middle, 1.5 * middle
        near, far = np.percentile(depths, [1, 99])
        margin = max(0.1 * (far - near), 0.04 * far)
        return float(max(0.1 * near, near - margin)), float(far + margin)

    def shared_points(self, one: int, other: int) -> Ints:
        """Indices into `points` that both views observe."""
        return np.intersect1d(self.seen(one), self.seen(other)).astype(np.int32)

    def index_of(self, sha256: str) -> int | None:
        """Number of the view made from a photo, or None when that photo was not registered."""
        for i, view in enumerate(self.views):
            if view.photo_sha256 == sha256:
                return i
        return None

    def save(self, folder: Path) -> Block:
        """Write the block as a folder, whole or not at all, and return the block that lives there.

        What the engine needs to register later photos into this block (`engine/`) goes along, as hard links where possible.
        """
        temporary = folder.with_name(folder.name + ".tmp")
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir(parents=True)
        views = [
            {
                "photo_sha256": v.photo_sha256,
                "path": str(v.path),
                "camera_id": v.camera_id,
                "centre_m": [v.pose.x_m, v.pose.y_m, v.pose.z_m],
                "rotation": list(v.pose.rotation),
                "points_seen": v.points_seen,
            }
            for v in self.views
        ]
        record = {
            "format": _FORMAT,
            "epsg": self.frame.epsg,
            "offset_m": list(self.offset_m),
            "cameras": {name: asdict(camera) for name, camera in self.cameras.items()},
            "stats": asdict(self.stats),
            "views": views,
            "bend": None if self.bend is None else self.bend.record(),
        }
        (temporary / "block.json").write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
        local = (self.points - np.array(self.offset_m)).astype(np.float32)
        np.savez_compressed(
            temporary / "tracks.npz", points=local, view=self.track_view, point=self.track_point, px=self.track_px
        )
        engine = self.folder / "engine"
        if engine.is_dir():
            shutil.copytree(engine, temporary / "engine", copy_function=_link_or_copy)
        old = folder.with_name(folder.name + ".old")
        if old.exists():
            shutil.rmtree(old)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        if old.exists():
            shutil.rmtree(old)
        return replace(self, folder=folder)

    @staticmethod
    def load(folder: Path, photos: Iterable[Photo] = ()) -> Block:
        """Read a saved block; `photos` tell where pictures lie now when they moved. Raises ReconstructionError."""
        moved = {p.sha256: p.path for p in photos}
        try:
            record = json.loads((folder / "block.json").read_text(encoding="utf-8"))
            if record["format"] != _FORMAT:
                raise ReconstructionError(f"{folder}: a block of format {record['format']}; this program reads {_FORMAT}")
            with np.load(folder / "tracks.npz") as arrays:
                local, view, point, px = (arrays[n] for n in ("points", "view", "point", "px"))
            views = tuple(
                View(
                    v["photo_sha256"],
                    moved.get(v["photo_sha256"], Path(v["path"])),
                    v["camera_id"],
                    _pose(v["centre_m"], v["rotation"]),
                    v["points_seen"],
                )
                for v in record["views"]
            )
            x, y, z = record["offset_m"]
            stats = record["stats"]
            stats["method"] = Method(stats["method"])
            stats["notes"] = read_all(stats["notes"])
            if stats.get("control") is not None:
                stats["control"] = ControlReport.of_record(stats["control"])
            stats["unregistered"] = tuple((name, reason) for name, reason in stats["unregistered"])
            return Block(
                frame=Frame(record["epsg"]),
                offset_m=(x, y, z),
                cameras={name: Camera(**c) for name, c in record["cameras"].items()},
                views=views,
                points=local.astype(np.float64) + np.array([x, y, z]),
                stats=BlockStats(**stats),
                folder=folder,
                track_view=view,
                track_point=point,
                track_px=px,
                bend=Bend.of_record(record["bend"]) if record.get("bend") else None,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ReconstructionError(f"{folder} holds no whole block ({error}); build the survey again") from error


class Reconstructor(Protocol):
    """Photos in, block out. Adapters: `engines.colmap` (solves), `engines.nodeodm` (has a service solve), `engines.direct` (poses given)."""

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
        """Poses of the photos in the metres of `frame`; with a reference, in the reference's own placing of it.

        `control`, its marks by photo hash (`Control.of`), holds a block that has no reference; one with a reference, or with given
        poses, is only measured against it. The stats tell what came of it.
        Work is kept in `workdir` and taken up again after an interruption. Photos that fit nowhere are left out and named in the
        stats. Raises ReconstructionError when no block can be made.
        """
        ...

    def prepare(
        self, photos: Sequence[Photo], workdir: Path, *, reference: Block | None = None, progress: Progress = silent
    ) -> None:
        """Spare a later `reconstruct` in the same `workdir` its work on these single photos; many may do this at once.

        Photos that cannot be read are left to `reconstruct`, which says so.
        """
        ...


def _pose(centre: Sequence[float], rotation: Sequence[float]) -> Pose:
    x_m, y_m, z_m = centre
    return Pose(x_m, y_m, z_m, tuple(rotation))


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
