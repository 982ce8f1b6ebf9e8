"""How good an exported model is on made-up places it never saw, run exactly as the product runs it: with heights, and without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from change_detect import appearance
from change_detect.appearance import AppearanceRule
from change_detect.models import load
from change_detect.raster import Layers
from geo.progress import Progress, silent
from training.city import CHANGED
from training.data import Crops


def held_out(path: Path, crops: Crops, progress: Progress = silent) -> dict[str, Any]:
    """Pixel F1, precision, recall and the share of objects found; `surfaces` on crops that have them, `colours` on all without."""
    model = load(path)
    size = int(crops.layers["label"].shape[1])
    model = replace(model, sidecar=replace(model.sidecar, tile=size, overlap=64))  # a crop is one tile
    counts = {name: np.zeros(5) for name in ("surfaces", "colours", "colours_where_surfaces")}
    for done, i in enumerate(crops.ready):
        progress(done, len(crops.ready), "score")
        label = np.asarray(crops.layers["label"][i]) > 0
        before, after = (_layers(crops, int(i), date) for date in (0, 1))
        known = bool(np.isfinite(crops.layers["sigma"][i].astype(np.float32)).mean() > 0.5)
        found = model.chances(before, after, heights=False) >= model.sidecar.threshold
        counts["colours"] += counted(found, label)
        if known:
            counts["colours_where_surfaces"] += counted(found, label)
            counts["surfaces"] += counted(model.chances(before, after, heights=True) >= model.sidecar.threshold, label)
    progress(len(crops.ready), len(crops.ready), "score")
    return {name: told(c) for name, c in counts.items()}


THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def of_colours(path: Path, crops: Crops, progress: Progress = silent) -> dict[str, Any]:
    """The same for crops of colours alone, at each threshold; and of the rules for orthos (`appearance.marks`) on the same crops."""
    model = load(path)
    size = int(crops.layers["label"].shape[1])
    model = replace(model, sidecar=replace(model.sidecar, tile=size, overlap=64))
    counts = {t: np.zeros(5) for t in THRESHOLDS}
    rules = np.zeros(5)
    for done, i in enumerate(crops.ready):
        progress(done, len(crops.ready), "score")
        label = (np.asarray(crops.layers["label"][i]) & CHANGED) > 0
        before, after = (
            Layers(np.asarray(crops.layers[n][i]), np.ones(label.shape, bool), None, None, None) for n in ("before", "after")
        )
        chances = model.chances(before, after, heights=False)
        for t in THRESHOLDS:
            counts[t] += counted(chances >= t, label)
        rules += counted(by_rules(before, after), label)
    progress(len(crops.ready), len(crops.ready), "score")
    return {"thresholds": {str(t): told(c) for t, c in counts.items()}, "rules_for_orthos": told(rules)}


def best_threshold(scores: dict[str, Any]) -> float:
    """The one with the highest pixel F1."""
    return float(max(scores["thresholds"], key=lambda t: scores["thresholds"][t]["pixel_f1"]))


def by_rules(before: Layers, after: Layers) -> np.ndarray:
    """Cells that the product's rules without heights mark on either date, before objects are judged."""
    rule = AppearanceRule()
    out = np.zeros(before.valid.shape, bool)
    for old, new in ((before, after), (after, before)):
        sure, near = appearance.marks(old, new, rule)
        count, parts = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
        seeds = np.bincount(parts[sure], minlength=count) > 0
        seeds[0] = False
        out |= seeds[parts]
    return out


def counted(found: np.ndarray, label: np.ndarray) -> np.ndarray:
    """True positive, false positive, false negative cells; objects found, objects there."""
    count, parts = cv2.connectedComponents(label.astype(np.uint8))
    seen = sum(float(found[parts == k].mean()) > 0.5 for k in range(1, count))
    return np.array([(found & label).sum(), (found & ~label).sum(), (~found & label).sum(), seen, count - 1], float)


def told(c: np.ndarray) -> dict[str, float]:
    """Counts as shares."""
    tp, fp, fn, seen, there = (float(v) for v in c)
    return {
        "pixel_f1": round(2 * tp / max(2 * tp + fp + fn, 1), 3),
        "pixel_precision": round(tp / max(tp + fp, 1), 3),
        "pixel_recall": round(tp / max(tp + fn, 1), 3),
        "object_recall": round(seen / max(there, 1), 3),
        "objects": int(there),
    }


def _layers(crops: Crops, i: int, date: int) -> Layers:
    """One date of a crop as the product reads it: the later surface carries the whole difference, the sigmas are shared evenly."""
    ortho = np.asarray(crops.layers["after" if date else "before"][i])
    sigma = crops.layers["sigma"][i].astype(np.float32)
    surface = np.where(np.isfinite(sigma), crops.layers["dz"][i].astype(np.float32) * date, np.float32(np.nan)).astype(np.float32)
    return Layers(ortho, np.ones(ortho.shape[:2], bool), surface, (sigma / np.sqrt(2)).astype(np.float32), None)


SCORERS = {"place": held_out, "city": of_colours}
"""How each kind is judged."""
