"""Keypoints of one photo, kept by the photo's hash so that the next survey takes them from the shelf.

OpenCV's SIFT gives three times the keypoints per second of the reference extractor. Descriptors are square-rooted (RootSIFT,
Arandjelovic & Zisserman 2012) and scaled to bytes as COLMAP stores them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.progress import Progress, silent
from imagery.errors import PhotoError
from imagery.photos import Photo, read_pixels


@dataclass(frozen=True, slots=True)
class Recipe:
    """How keypoints are sought; another recipe is another shelf."""

    long_side_px: int = 1600
    most: int = 8000
    contrast: float = 0.02

    @property
    def shelf(self) -> str:
        """Folder name for keypoints found this way."""
        return f"sift-{self.long_side_px}-{self.most}-{round(self.contrast * 1000)}"


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """`keypoints` `(n, 4)` float32: x, y (pixels of the full photo from its outer corner), scale, angle; strongest first.

    `descriptors` `(n, 128)` uint8.
    """

    keypoints: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


def extract(
    photos: Sequence[Photo], shelf: Path, recipe: Recipe, *, workers: int = 2, progress: Progress = silent
) -> dict[str, str]:
    """Put the keypoints of every photo on the shelf; returns the reasons for those (by hash) that could not be read."""
    shelf.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}

    def one(photo: Photo) -> tuple[str, str | None]:
        target = shelf / f"{photo.sha256}.npz"
        if target.exists():
            return photo.sha256, None
        try:
            found = find(photo, recipe)
        except PhotoError as error:
            return photo.sha256, str(error)
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, keypoints=found.keypoints, descriptors=found.descriptors)
        temporary.rename(target)
        return photo.sha256, None

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for i, (sha256, reason) in enumerate(pool.map(one, photos)):
            if reason is not None:
                failed[sha256] = reason
            progress(i + 1, len(photos), "features")
    return failed


def load(shelf: Path, sha256: str) -> Features:
    """The keypoints of a photo that `extract` has put on the shelf."""
    with np.load(shelf / f"{sha256}.npz") as arrays:
        return Features(arrays["keypoints"], arrays["descriptors"])


def keypoints(shelf: Path, sha256: str) -> NDArray[np.float32]:
    """The keypoints alone, `(n, 4)` as in `Features`; the descriptors, eight times as much, are not read."""
    with np.load(shelf / f"{sha256}.npz") as arrays:
        return np.asarray(arrays["keypoints"], np.float32)


def find(photo: Photo, recipe: Recipe) -> Features:
    """Keypoints of one photo. Raises PhotoError when its pixels cannot be read."""
    camera = photo.camera
    long_side = max(camera.width_px, camera.height_px)
    reduce = max(r for r in (1, 2, 4, 8) if r == 1 or long_side / r >= recipe.long_side_px)
    grey = read_pixels(photo.path, grey=True, reduce=reduce)
    factor = min(1.0, recipe.long_side_px / max(grey.shape))
    if factor < 1.0:
        size = (round(grey.shape[1] * factor), round(grey.shape[0] * factor))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    sift = cv2.SIFT.create(recipe.most, 3, recipe.contrast, 12, 1.6, enable_precise_upscale=True)
    points, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None or len(points) == 0:
        return Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))
    scale_x, scale_y = camera.width_px / grey.shape[1], camera.height_px / grey.shape[0]
    keypoints = np.array(
        [((p.pt[0] + 0.5) * scale_x, (p.pt[1] + 0.5) * scale_y, p.size * 0.5 * scale_x, np.radians(p.angle)) for p in points],
        np.float32,
    )
    strength = np.array([p.response for p in points])
    order = np.argsort(-strength, kind="stable")[: recipe.most]
    raw = descriptors[order].astype(np.float32)
    rooted = np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9))
    return Features(keypoints[order], np.clip(np.rint(512.0 * rooted), 0, 255).astype(np.uint8))
