"""The made-up place as photos that know where they were taken, and a reconstructor that knows it too: surveys in seconds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from PIL import Image

from geo.area import Area, AreaId
from geo.frames import Frame, Pose
from geo.progress import Progress, silent
from imagery.control import Control
from imagery.photos import Photo
from imagery.reconstruct import Block, BlockStats, Method, View
from tests.unit.imagery import stage

AREA = Area(AreaId("stage"), "stage", stage.FRAME.to_degrees(stage.grid(half_m=15.0).outline_m), gsd_m=0.1, epsg=stage.FRAME.epsg)


@dataclass
class PosesByPlace:
    """A reconstructor that knows how each file was taken, by the name it was written under."""

    poses: dict[str, Pose]
    points: Block
    asked: list[tuple[tuple[Photo, ...], Control | None]] = field(default_factory=list)

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
        self.asked.append((tuple(photos), control))
        views = tuple(View(p.sha256, p.path, "c", self.poses[p.path.name.split("-")[-1]], 100) for p in photos)
        stats = BlockStats(len(views), len(views), 0.4, 0.1, stage.HEIGHT_M, 0.5, Method.GIVEN)
        return replace(self.points, views=views, stats=stats, folder=workdir)

    def prepare(
        self, photos: Sequence[Photo], workdir: Path, *, reference: Block | None = None, progress: Progress = silent
    ) -> None:
        """Nothing has to be found in photos whose poses are known."""


def jpeg(pose: Pose, at: datetime) -> bytes:
    """A photo of the place, as a small camera writes it."""
    place = stage.FRAME.lonlat(pose.x_m, pose.y_m)

    def dms(degrees: float) -> tuple[float, float, float]:
        return int(degrees), int(degrees * 60) % 60, round(degrees * 3600 % 60, 5)

    exif = Image.Exif()
    exif[0x0110] = "made"
    gps = {1: "N", 2: dms(place.lat_deg), 3: "E", 4: dms(place.lon_deg), 5: 0, 6: stage.HEIGHT_M}
    exif.get_ifd(0x8825).update(gps)
    exif.get_ifd(0x8769).update({0x9003: f"{at:%Y:%m:%d %H:%M:%S}", 0x9011: "+00:00", 0xA405: 30, 0x920A: 5.0})
    out = io.BytesIO()
    Image.fromarray(stage.photograph(pose, stage.texture(), (stage.HOUSE,))).save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()
