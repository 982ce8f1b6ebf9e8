"""Labelled satellite pairs, colours alone: the network `roofs`, the rules for orthos, and three classical ways, on the same pictures.

Nothing was trained or tuned on them. LEVIR-CD has cells of 0.5 m; DSIFN-CD does not state its own and is taken as 0.5 m. The peers are
change vector analysis (colours brought to the same mean and deviation, length of their difference), one minus SSIM, and the plain
difference of grey; each is cut by Otsu's threshold, picture by picture, and cleaned of what is under 10 m2, as the network's answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.report import DATA, Row
from change_detect import appearance
from change_detect.appearance import AppearanceRule
from change_detect.models import Model, load
from change_detect.raster import Layers
from geo.frames import Frame
from geo.grid import Grid

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

WEIGHTS = Path(__file__).resolve().parents[2] / "change_detect" / "data" / "roofs.onnx"
GSD_M = 0.5
LEAST_CELLS = 40
"""10 m2: smaller objects are neither asked for nor reported."""

SETS = (("levir_cd_1024", 0.5), ("levir_cd_256_bit_samples", 0.5), ("dsifn_256", None))
"""Folder, and the bar of its pixel F1."""


@dataclass
class Tally:
    """Cells and objects of a whole set."""

    cells: NDArray[np.int64]  # true positive, false positive, false negative
    objects: NDArray[np.int64]  # truth found, truth, reported true, reported
    km2: float = 0.0

    def add(self, found: Mask, label: Mask) -> None:
        """One more pair."""
        self.cells += [(found & label).sum(), (found & ~label).sum(), (~found & label).sum()]
        hit, there = overlapped(label, found)
        true, reported = overlapped(found, label)
        self.objects += [hit, there, true, reported]
        self.km2 += label.size * GSD_M**2 / 1e6

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn) over all cells of the set."""
        tp, fp, fn = (float(v) for v in self.cells)
        return 2 * tp / max(2 * tp + fp + fn, 1.0)

    @property
    def recall(self) -> float:
        """Share of true objects of which half or more is reported."""
        return float(self.objects[0] / max(self.objects[1], 1))

    @property
    def precision(self) -> float:
        """Share of reported objects of which half or more is true; 0 when nothing is reported."""
        return float(self.objects[2] / max(self.objects[3], 1))

    @property
    def false_per_km2(self) -> float:
        """Reported objects that are not true, per square kilometre."""
        return float((self.objects[3] - self.objects[2]) / self.km2)


def overlapped(these: Mask, those: Mask) -> tuple[int, int]:
    """How many objects of `these` lie half or more on `those`, and how many there are."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(these.astype(np.uint8), connectivity=4)
    on = np.bincount(parts[those], minlength=count)
    sizes = stats[:, cv2.CC_STAT_AREA]
    large = np.arange(count)[1:][sizes[1:] >= LEAST_CELLS]
    return int((on[large] >= 0.5 * sizes[large]).sum()), len(large)


def rows(folder: Path) -> list[Row]:
    """Pixel F1, object recall and precision, false objects per km2 of every set, with each peer's figure; failures go to `folder`."""
    if not WEIGHTS.exists():
        raise FileNotFoundError(f"there is no {WEIGHTS.name}: train it by `python -m training`, export it to {WEIGHTS.parent}")
    model = load(WEIGHTS)
    ways: dict[str, Callable[[Picture, Picture], Mask]] = {
        "network": lambda a, b: network(model, a, b),
        "rules for orthos": by_rules,
        "CVA": vectors,
        "SSIM": structure,
        "plain difference": plain,
    }
    found: list[Row] = []
    for name, bar in SETS:
        tallies = {way: Tally(np.zeros(3, np.int64), np.zeros(4, np.int64)) for way in ways}
        pages = []
        for a, b, label in pairs(name):
            masks = {way: cleaned(see(a, b)) for way, see in ways.items()}
            for way, mask in masks.items():
                tallies[way].add(mask, label)
            pages.append(
                np.hstack([a, b, *(np.repeat(255 * m.astype(np.uint8)[..., None], 3, 2) for m in (label, masks["network"]))])
            )
        for i, page in enumerate(pages):
            cv2.imwrite(str(folder / f"{name}_{i:02d}.jpg"), page[..., ::-1])
        mine = tallies["network"]
        for peer in list(ways)[1:]:
            other = tallies[peer]
            found += [
                Row("pixel F1, colours alone", name, round(mine.f1, 3), "", "higher", bar, peer, round(other.f1, 3)),
                Row("object recall", name, round(mine.recall, 3), "", "higher", None, peer, round(other.recall, 3)),
                Row("object precision", name, round(mine.precision, 3), "", "higher", None, peer, round(other.precision, 3)),
                Row("false objects", name, round(mine.false_per_km2), "per km2", "lower", None, peer, round(other.false_per_km2)),
            ]
    return found


def pairs(name: str) -> Iterator[tuple[Picture, Picture, Mask]]:
    """Before, after and what changed; a pair without a label, or whose pictures differ in size, is no test and is left out."""
    root = DATA / "cd_pairs" / name
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not on this machine")
    for path in sorted((root / "A").iterdir()):
        other, label = root / "B" / path.name, root / "label" / path.name
        if not label.exists():
            continue
        a, b = (cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in (path, other))
        mask = cv2.imread(str(label), cv2.IMREAD_GRAYSCALE) > 127
        if a.shape == b.shape and a.shape[:2] == mask.shape:
            yield a, b, mask


def cleaned(mask: Mask) -> Mask:
    """Without parts under 10 m2."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= LEAST_CELLS
    keep[0] = False
    out: Mask = keep[parts] if count > 1 else np.zeros_like(mask)
    return out


def network(model: Model, a: Picture, b: Picture) -> Mask:
    """The shipped model over a whole picture, tile by overlapping tile as the product does it."""
    whole = Grid(Frame(3857), GSD_M, 0.0, 0.0, *a.shape[:2])
    out = np.zeros(a.shape[:2], bool)
    for core in whole.tiles(model.sidecar.core):
        wide = core.grown(model.sidecar.margin, whole)
        chances = model.chances(layers(a[wide.slices]), layers(b[wide.slices]), heights=False)
        r, c = core.row - wide.row, core.col - wide.col
        out[core.slices] = chances[r : r + core.rows, c : c + core.cols] >= model.sidecar.threshold
    return out


def by_rules(a: Picture, b: Picture) -> Mask:
    """The product's rules without heights: new or lost even surfaces (`change_detect.appearance`), before objects are judged."""
    rule = AppearanceRule()
    out = np.zeros(a.shape[:2], bool)
    for old, new in ((layers(a), layers(b)), (layers(b), layers(a))):
        sure, near = appearance.marks(old, new, rule)
        count, parts = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
        seeds = np.bincount(parts[sure], minlength=count) > 0
        seeds[0] = False
        out |= seeds[parts]
    return out


def vectors(a: Picture, b: Picture) -> Mask:
    """Change vector analysis."""
    first, second = (p.astype(np.float32) for p in (a, b))
    second = (second - second.mean((0, 1))) / (second.std((0, 1)) + 1e-6) * first.std((0, 1)) + first.mean((0, 1))
    return otsu(np.linalg.norm(first - second, axis=-1))


def structure(a: Picture, b: Picture) -> Mask:
    """One minus SSIM over 7 x 7 cells."""
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (a, b)]
    _, similar = structural_similarity(*grey, full=True)
    return otsu(1.0 - similar)


def plain(a: Picture, b: Picture) -> Mask:
    """Difference of grey."""
    first, second = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32) for p in (a, b))
    return otsu(np.abs(first - second))


def otsu(values: NDArray[np.floating]) -> Mask:
    """Cells over the threshold that parts the values best."""
    low, high = float(values.min()), float(values.max())
    scaled = np.round((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    edge, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    out: Mask = scaled > edge
    return out


def layers(ortho: Picture) -> Layers:
    """A picture as a survey without heights."""
    return Layers(np.ascontiguousarray(ortho), np.ones(ortho.shape[:2], bool), None, None, None)
