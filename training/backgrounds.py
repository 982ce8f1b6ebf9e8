"""Real unchanged pairs out of one flight: each photo and a neighbour that overlaps it, laid on each other by a homography.

What differs between them is real: leaning things, glints, compression, waves. Only unlabelled photos are used, and none of a set that
scores are given on.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from geo.progress import Progress, silent

GSD_M = 0.05


def make(images: Path, folder: Path, *, photo_gsd_m: float, progress: Progress = silent) -> int:
    """Write uint8 `(2, rows, cols, 3)` arrays at 5 cm, one per overlapping pair; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in images.iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))
    scale = photo_gsd_m / GSD_M
    pictures = []
    for path in paths:
        whole = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        pictures.append(cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    sift = cv2.SIFT_create(4000)
    known = [sift.detectAndCompute(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), None) for p in pictures]
    near = [(i, j) for i, j in itertools.combinations(range(len(paths)), 2) if j - i <= 2]
    made = 0
    for done, (i, j) in enumerate(near):
        progress(done, len(near), "backgrounds")
        laid = _laid(pictures[i], pictures[j], known[i], known[j])
        if laid is None:
            continue
        part = folder / f"{paths[i].stem}_{paths[j].stem}.part"
        with part.open("wb") as file:
            np.save(file, laid)
        part.replace(part.with_suffix(".npy"))
        made += 1
    progress(len(near), len(near), "backgrounds")
    return made


def _laid(a: np.ndarray, b: np.ndarray, of_a: tuple, of_b: tuple) -> np.ndarray | None:
    """Both pictures over the largest upright rectangle that both show; None where they do not fit within 2 cells."""
    matches = cv2.BFMatcher().knnMatch(of_b[1], of_a[1], k=2)
    good = [m for m, n in matches if m.distance < 0.75 * n.distance]
    if len(good) < 80:
        return None
    src = np.float32([of_b[0][m.queryIdx].pt for m in good])
    dst = np.float32([of_a[0][m.trainIdx].pt for m in good])
    way, ok = cv2.findHomography(src, dst, cv2.RANSAC, 2.0)
    if way is None or ok.sum() < 60:
        return None
    size = (a.shape[1], a.shape[0])
    moved = cv2.warpPerspective(b, way, size, flags=cv2.INTER_LINEAR)
    shown = cv2.warpPerspective(np.full(b.shape[:2], 255, np.uint8), way, size) > 250
    rows, cols = (np.nonzero(shown.mean(axis=axis) > 0.5)[0] for axis in (1, 0))
    if len(rows) == 0 or len(cols) == 0:
        return None
    r0, r1, c0, c1 = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
    while not shown[r0:r1, c0:c1].all():  # shave the side that misses most
        part = shown[r0:r1, c0:c1]
        if min(part.shape) < 260:
            return None
        worst = int(np.argmin([part[0].mean(), part[-1].mean(), part[:, 0].mean(), part[:, -1].mean()]))
        r0, r1, c0, c1 = r0 + (worst == 0), r1 - (worst == 1), c0 + (worst == 2), c1 - (worst == 3)
    return np.stack([a[r0:r1, c0:c1], moved[r0:r1, c0:c1]])
