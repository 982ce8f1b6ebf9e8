"""Surfaces, orthos and surveys of the made-up place, each made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import cv2
import pytest

from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import Frame
from geo.progress import Progress, silent
from imagery import survey
from imagery.control import Control
from imagery.photos import Photo
from imagery.reconstruct import Block, Method
from imagery.survey import Survey
from tests.unit.imagery import stage

SHED = stage.Box(9.0, -12.0, 14.0, -8.0, 3.2)


@dataclass
class KnownPoses:
    """A reconstructor that knows the poses; it counts how often it was asked."""

    block: Block
    method: Method = Method.FROZEN
    asked: list[Block | None] = field(default_factory=list)

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
        self.asked.append(reference)
        return replace(self.block, stats=replace(self.block.stats, method=self.method if reference else Method.GIVEN))


def photos_of(block: Block) -> tuple[Photo, ...]:
    """Photos of a block, as they would have been read."""
    camera: Camera = stage.CAMERA
    return tuple(
        Photo(
            v.path,
            v.photo_sha256,
            None,
            stage.FRAME.lonlat(v.pose.x_m, v.pose.y_m),
            None,
            stage.HEIGHT_M,
            None,
            None,
            None,
            camera,
        )
        for v in block.views
    )


def area() -> Area:
    outline = stage.FRAME.to_degrees(stage.grid(half_m=15.0).outline_m)
    return Area(AreaId("stage"), "stage", outline, gsd_m=0.1, epsg=stage.FRAME.epsg)


def build(block: Block, folder: Path, day: int, reference: Survey | None = None, method: Method = Method.FROZEN) -> Survey:
    engine = KnownPoses(block, method)
    return survey.build(photos_of(block), area(), date(2026, 1, day), folder, reconstructor=engine, reference=reference)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def old_block(tmp_path_factory: pytest.TempPathFactory) -> Block:
    return stage.block(tmp_path_factory.mktemp("old_photos"), gains=True)


@pytest.fixture(scope="session")
def new_block(tmp_path_factory: pytest.TempPathFactory) -> Block:
    """Another day: the camera stood elsewhere, and a shed was built."""
    at = [replace(p, x_m=p.x_m + 1.7, y_m=p.y_m - 2.1, z_m=p.z_m + 1.0) for p in stage.poses()]
    return stage.block(tmp_path_factory.mktemp("new_photos"), (stage.HOUSE, SHED), at=at)


@pytest.fixture(scope="session")
def before(old_block: Block, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return build(old_block, tmp_path_factory.mktemp("surveys") / "before", 1)


@pytest.fixture(scope="session")
def after(new_block: Block, before: Survey, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return build(new_block, tmp_path_factory.mktemp("surveys") / "after", 2, before)
