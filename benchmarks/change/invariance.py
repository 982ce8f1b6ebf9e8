"""What must not matter: the later survey shifted by 0.4 m before it is aligned, or in other colours; and a flight against itself.

Shift and cast go into copies of the survey's files, so that alignment, tone and detection all see them. The surveys are those of the sets
`ready`, `towns` and `photos`: with `--keep`, put their folders into `FOLDER/invariance`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.change import judged, peers, photos, ready, towns
from benchmarks.imagery import made
from benchmarks.report import Row
from change_detect.align import SurveyPair, align
from change_detect.detector import GeometryImage
from change_detect.evaluate import Truth, score
from change_detect.raster import Source

SHIFT_M = 0.4
SHIFTS: Mapping[str, tuple[float, float]] = {
    "east": (SHIFT_M, 0.0),
    "north-west": (-SHIFT_M / 2**0.5, SHIFT_M / 2**0.5),
    "south": (0.0, -SHIFT_M),
    "south-west": (-SHIFT_M / 2**0.5, -SHIFT_M / 2**0.5),
}
_LEVELS = np.arange(256) / 255.0
CASTS: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = {
    "warm": (1.2 * _LEVELS, _LEVELS, 0.8 * _LEVELS),
    "cold": (0.8 * _LEVELS, _LEVELS, 1.2 * _LEVELS),
    "gamma 0.7": (_LEVELS**0.7,) * 3,
    "gamma 1.4": (_LEVELS**1.4,) * 3,
    "darker": (0.75 * _LEVELS,) * 3,
}
_LAYERS = ("ortho", "surface", "sigma", "filled", "flags")
Change = Callable[[Source, Path], Source]


def rows(folder: Path) -> list[Row]:
    """The figures of every set that is there."""
    out = _judged(ready.NAME, *ready.sources(), folder / "made")
    for seed in towns.SEEDS:
        before, after, truth = towns.sources(seed, folder / "towns" / str(seed))
        out += _judged(f"simulated town {seed}, from photos", before, after, truth, folder / "made")
    return out + _itself(folder / "sheffield")


def _itself(folder: Path) -> list[Row]:
    raw = made.data("raw_surveys", "sheffield_cross")
    survey = made.survey(raw / "flight1_1206", folder / "before", date(2018, 4, 28))
    source = photos.source(survey)
    pair = align(source, replace(source, taken_on=source.taken_on + timedelta(days=1)))
    whole = peers.coverage(*peers.whole(pair), pair.grid)
    shown = [c for c in GeometryImage().detect(pair) if c.suppressed is None]
    name = "sheffield_cross, a flight and itself"
    return [Row("candidates per km2", name, round(len(shown) / (whole.area / 1e6), 2), "1/km2", "lower", 2.0)]


def _judged(name: str, before: Source, after: Source, truth: Sequence[Truth], room: Path) -> list[Row]:
    plain, false = _recall(align(before, after), truth)
    out = [Row("recall, as flown", name, round(plain, 3), "", "higher")]
    changes: Mapping[str, tuple[float, Mapping[str, Change]]] = {
        "shift of 0.4 m": (2.0, {n: _shifted(by) for n, by in SHIFTS.items()}),
        "colour cast": (3.0, {n: _toned(t) for n, t in CASTS.items()}),
    }
    for what, (bar, those) in changes.items():
        losses, alarms = {}, {}
        for number, (one, change) in enumerate(those.items()):
            folder = room / f"{number}"
            recall, wrong = _recall(align(before, change(after, folder)), truth)
            losses[one], alarms[one] = 100 * (plain - recall), wrong - false
            shutil.rmtree(folder)
            print(f"{name}, {what} {one}: recall {recall:.3f}, false {wrong}")
        worst = max(losses, key=lambda n: losses[n])
        out.append(Row(f"{what}: points of recall lost at worst ({worst})", name, round(losses[worst], 1), "", "lower", bar))
        out.append(Row(f"{what}: false alarms more at worst", name, max(alarms.values()), "", "lower"))
    return out


def _recall(pair: SurveyPair, truth: Sequence[Truth]) -> tuple[float, int]:
    found = GeometryImage().detect(pair)
    coverage = peers.coverage(*peers.whole(pair), pair.grid)
    judged_by = score(found, judged.shifted(found, truth), coverage)
    return judged_by.recall, judged_by.false_alarms


def _shifted(by: tuple[float, float]) -> Change:
    def change(source: Source, folder: Path) -> Source:
        def move(path: Path) -> None:
            with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
                file.transform = rasterio.Affine.translation(*by) @ file.transform

        return _copied(source, folder, _LAYERS, move)

    return change


def _toned(tables: Sequence[NDArray[np.float64]]) -> Change:
    levels = [np.clip(np.rint(255 * t), 0, 255).astype(np.uint8) for t in tables]

    def change(source: Source, folder: Path) -> Source:
        def tone(path: Path) -> None:
            with rasterio.open(path) as file:
                profile, values, mask = file.profile, file.read([1, 2, 3]), file.dataset_mask()
            path.unlink()
            like = {k: profile[k] for k in ("width", "height", "crs", "transform")}
            with (
                rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
                rasterio.open(path, "w", driver="GTiff", dtype="uint8", count=3, photometric="RGB", tiled=True, **like) as out,
            ):
                out.write(np.stack([t[v] for t, v in zip(levels, values, strict=True)]))
                out.write_mask(mask)

        return _copied(source, folder, ("ortho",), tone)

    return change


def _copied(source: Source, folder: Path, layers: Sequence[str], change: Callable[[Path], None]) -> Source:
    """The survey with changed copies of some of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    new = {}
    for layer in layers:
        path = getattr(source, layer)
        if path is not None:
            new[layer] = folder / path.name
            shutil.copy(path, new[layer])
            change(new[layer])
    return replace(source, **new)
