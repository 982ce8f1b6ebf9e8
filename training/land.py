"""Open land from far above: real photos of dunes and woods as texture, painted ground, scrub and woods that cast shade, fields in strips.

A photo is shown at whatever scale: nature looks much alike at many, and a clump of grass from ten metres is a wood from a thousand.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from geo.progress import Progress, silent
from training import ground
from training.camera import Sun
from training.ground import Plane, noise


class Textures:
    """Unlabelled photos of places where nobody lives, float32 RGB of about 1400 cells a side."""

    def __init__(self, folder: Path) -> None:
        self.photos = [np.load(p) for p in sorted(folder.glob("*.npy"))]
        """uint8 `(rows, cols, 3)` each."""
        if not self.photos:
            raise FileNotFoundError(f"no photos in {folder}: run `python -m training textures` first")

    def draw(self, rng: np.random.Generator, size: int) -> Plane:
        """A square piece of one at a random scale, turned and mirrored."""
        photo = self.photos[int(rng.integers(len(self.photos)))]
        rows, cols = photo.shape[:2]
        n = int(min(rows, cols, size * np.exp(rng.uniform(math.log(0.8), math.log(3.4)))))
        r, c = int(rng.integers(rows - n + 1)), int(rng.integers(cols - n + 1))
        p = cv2.resize(photo[r : r + n, c : c + n], (size, size), interpolation=cv2.INTER_AREA if n > size else cv2.INTER_LINEAR)
        p = np.rot90(p, int(rng.integers(4)))
        return np.ascontiguousarray(p[:, ::-1] if rng.random() < 0.5 else p).astype(np.float32)


LONGEST_CELLS = 1424


def keep_textures(photos: Path, folder: Path, progress: Progress = silent, *, longest_cells: int = LONGEST_CELLS) -> int:
    """Photos of a folder and those below it, made small, into `folder`; how many there are in it now."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    for done, path in enumerate(paths):
        progress(done, len(paths), "textures")
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        scale = min(1.0, longest_cells / picture.shape[1])
        part = folder / f"{photos.name}_{path.stem}.part"
        with part.open("wb") as file:
            np.save(file, cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        part.replace(part.with_suffix(".npy"))
    progress(len(paths), len(paths), "textures")
    return len(list(folder.glob("*.npy")))


def retoned(rng: np.random.Generator, picture: Plane) -> Plane:
    """A real texture in the colours of another place: its own contrast in part, another mean."""
    name = str(rng.choice(["lawn", "dry_grass", "soil", "sand", "woods", "bare_woods", "field"]))
    mean = np.asarray(ground.MATERIALS[name][0], np.float32) + rng.normal(0, 16) + rng.normal(0, 5, 3).astype(np.float32)
    own = picture.mean((0, 1))
    keep = rng.uniform(0.2, 0.9)
    gain = np.exp(rng.uniform(math.log(0.6), math.log(1.5)))
    return np.asarray((picture - own) * gain + own * keep + mean * (1 - keep), np.float32)


def open_land(rng: np.random.Generator, size: int, cell_m: float, textures: Textures | None) -> tuple[Plane, Plane]:
    """The same land on two dates, before the sun shines on anything that stands there."""
    if textures is not None and rng.random() < 0.6:
        one = retoned(rng, textures.draw(rng, size))
        if rng.random() < 0.35:
            one = ground.over(one, retoned(rng, textures.draw(rng, size)), ground.blotches(rng, size, cell_m, 40.0, 0.4))
        pair = one, one
    else:
        pair = ground.pair(rng, size, cell_m, rebuilt=bool(rng.random() < 0.2))
    if rng.random() < 0.2:
        pair = tuple(strips(rng, pair, cell_m))  # type: ignore[assignment]
    if rng.random() < 0.5:  # damp, dry, grown or mown in places
        change = 1 + rng.uniform(0.03, 0.15) * noise(rng, size, rng.uniform(5, 60) / cell_m)[..., None]
        pair = pair[0], pair[1] * change * (1 + rng.normal(0, 0.05, 3).astype(np.float32))
    if rng.random() < 0.15 and textures is not None:  # nothing is as it was
        pair = pair[0], retoned(rng, textures.draw(rng, size))
    return np.asarray(pair[0], np.float32), np.asarray(pair[1], np.float32)


def strips(rng: np.random.Generator, pair: tuple[Plane, Plane], cell_m: float) -> list[Plane]:
    """Fields in narrow strips, each sown anew on the later date or not."""
    size = pair[0].shape[0]
    out = [p.copy() for p in pair]
    turn = rng.uniform(0, math.pi)
    v, u = np.mgrid[:size, :size].astype(np.float32) * np.float32(cell_m)
    along, across = u * math.cos(turn) + v * math.sin(turn), -u * math.sin(turn) + v * math.cos(turn)
    widths = rng.uniform(3, 18, 120)
    strip = np.searchsorted(np.cumsum(widths), across - across.min())
    piece = strip * 7 + np.floor(along / rng.uniform(40, 120)).astype(int) - int(np.floor(along.min() / 40))
    count = int(piece.max()) + 1
    names = [ground.MATERIALS[str(n)][0] for n in rng.choice(["field", "lawn", "soil", "dry_grass", "woods"], count)]
    tones = np.asarray(names, np.float32) + rng.normal(0, 12, (count, 1)).astype(np.float32)
    sown = rng.random(count) < rng.uniform(0, 0.8)
    later = np.where(sown[:, None], tones[rng.permutation(count)], tones)
    grain = noise(rng, size, 1.0 / cell_m)[..., None] * 0.05
    where = ground.blotches(rng, size, cell_m, 80.0, rng.uniform(0.4, 1.0))
    for i, t in enumerate((tones, later)):
        out[i] = ground.over(out[i], (t[piece] * (1 + grain)).astype(np.float32), where)
    return out


def scrub(rng: np.random.Generator, size: int, cell_m: float, *, share: float, clump_m: float) -> tuple[Plane, Plane]:
    """(cover 0..1, height in metres) of bushes or trees of a size."""
    bumps = noise(rng, size, clump_m / cell_m) + 0.7 * noise(rng, size, 2.2 * clump_m / cell_m)
    bumps = bumps + 0.8 * noise(rng, size, 12 * clump_m / cell_m)
    edge = float(np.quantile(bumps[::4, ::4], 1 - share))
    rise = np.clip(bumps - edge, 0, None)
    cover = np.asarray(np.clip(rise * 6, 0, 1), np.float32)
    rough = 1 + 0.25 * noise(rng, size, max(1.5, 0.5 / cell_m))
    return cover, np.asarray(np.sqrt(rise) * rough * clump_m * 0.8, np.float32)


def planted(
    picture: Plane, cover: Plane, height: Plane, tint: np.ndarray, sun: Sun, cell_m: float, keep: Plane | None = None
) -> Plane:
    """Bushes on a picture: their shade first, then their crowns, bright towards the sun; `keep` 0 where none may stand."""
    if keep is not None:
        cover = cover * keep
    size = picture.shape[0]
    step = float(np.percentile(height[::4, ::4], 90)) / math.tan(sun.elevation) / cell_m
    dark = np.zeros_like(cover)
    for part in (0.4, 0.8, 1.2):
        move = np.float32([[1, 0, -part * step * math.cos(sun.azimuth)], [0, 1, -part * step * math.sin(sun.azimuth)]])
        np.maximum(dark, cv2.warpAffine(cover, move, (size, size), borderMode=cv2.BORDER_REFLECT), out=dark)
    picture = picture * (1 - (1 - sun.dark) * dark)[..., None]
    gx, gy = (cv2.Sobel(height, cv2.CV_32F, *d, scale=1 / (8 * cell_m)) for d in ((1, 0), (0, 1)))
    slope = np.clip(-(gx * math.cos(sun.azimuth) + gy * math.sin(sun.azimuth)), -1, 1)
    return ground.over(picture, tint * (1 + 0.35 * slope)[..., None], cover)
