"""Classes of changes learned from hard months: rows of features with the class of what truly lay there, boosted, calibrated, written as JSON.

Fitted on `months.FITTED` alone. Both the temperature and the knots come from answers for whole blocks that a fold's trees had not seen.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from benchmarks.change import hard
from benchmarks.change.curves import calibration_error
from change_detect.candidate import Candidate
from change_detect.classes import WANTED, of_document, pressed, rules_said
from change_detect.detector import EARTH_GSD_M, GeometryImage
from change_detect.evaluate import is_hit
from change_detect.measure import Features
from change_detect.rules import Limits, judge
from geo.frames import Floats
from geo.progress import Progress, silent
from simulator.hardship import Change

LEFT_OUT = frozenset(
    {
        "days_between", "sigma_z_m", "sigma_xy_m", "sigma_after_m", "z", "light_before", "light_after", "a_before", "a_after", "b_before",
        "b_after",
    }
)  # fmt: skip
"""What would teach the made-up town itself: its paints, its noise."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the model, and nothing else does."""

    seeds: tuple[int, ...]
    worn: tuple[int, ...] = ()
    """Seeds whose months are read a second time as a plainer pipeline would have measured them."""
    rounds: int = 60
    leaves: int = 8
    rate: float = 0.08
    least: int = 12
    ridge: float = 1.0
    folds: int = 5
    seed: int = 20261125


@dataclass(frozen=True, slots=True)
class Rows:
    """`row[i]` of block `block[i]` is a `name[i]`; a candidate that is only a part of what was built is left out."""

    row: tuple[Mapping[str, float], ...]
    name: tuple[str, ...]
    block: tuple[int, ...]


def label_of(candidate: Candidate, changes: Sequence[Change]) -> str | None:
    """The class of what lies there: what was built if the outline found it, else what covers most of it; None for a mere part of it."""
    rose = (candidate.height_m or 0.0) >= 0.0
    near = [c for c in changes if (c.height_m >= 0.0) == rose and c.outline.intersects(candidate.outline)]
    found = [c for c in near if c.wanted and is_hit(candidate.outline, c.outline)]
    if found:
        return max(found, key=lambda c: c.outline.intersection(candidate.outline).area).name
    under: Counter[str] = Counter()
    for c in near:
        under[c.name] += c.outline.intersection(candidate.outline).area
    best = under.most_common(1)
    if not best or best[0][1] < 0.3 * candidate.outline.area or best[0][0] == "repaint":
        return "artefact"
    return None if best[0][0] in WANTED else best[0][0]


def rows(recipe: Recipe, folder: Path, progress: Progress = silent) -> Rows:
    """The rows of all blocks; surveys and rows that lie in `folder/<seed>` are taken up again."""
    row, name, block = [], [], []
    asked = [(s, False) for s in recipe.seeds] + [(s, True) for s in recipe.worn]
    for done, (seed, worn) in enumerate(asked):
        progress(done, len(asked), "rows")
        kept = folder / str(seed) / ("rows_worn.json" if worn else "rows.json")
        if not kept.exists():
            seen = hard.looked_at(seed, folder / str(seed), detector=GeometryImage(classes=None), with_peers=False, worn=worn)
            inside = [c for c in seen.found if seen.coverage.contains(c.outline.centroid)]
            part = kept.with_suffix(".part")
            part.write_text(json.dumps([[label_of(c, seen.changes), dict(c.features)] for c in inside]))
            part.replace(kept)
        for label, features in json.loads(kept.read_text()):
            if label is not None:
                row.append(judged(features))
                name.append(label)
                block.append(seed)
    return Rows(tuple(row), tuple(name), tuple(block))


def judged(row: Mapping[str, float]) -> Mapping[str, float]:
    """A kept row with what today's rules say of it: rows outlive changes of the rules."""
    features = Features(**{f.name: row.get(f.name, 0.0) for f in fields(Features)})
    limits = Limits()
    if row["gsd_m"] >= EARTH_GSD_M * 0.7:  # measured on the wide cells that earth is sought on
        limits = replace(limits, least_area_m2=limits.earth_area_m2)
    verdict = judge(features, rose=row["rose"] > 0.5, sigma_xy_m=row["sigma_xy_m"], limits=limits)
    return {**row, **rules_said(verdict)}


def fitted(data: Rows, recipe: Recipe) -> dict[str, Any]:
    """The document of a model: trees fitted on all rows, calibrated on whole blocks left out, its scores on those beside it."""
    names = sorted({*data.name}, key=lambda n: (n not in WANTED, n))
    features = sorted({k for r in data.row for k in r} - LEFT_OUT)
    x = np.array([[r.get(f, np.nan) for f in features] for r in data.row])
    y = np.array([names.index(n) for n in data.name])
    blocks = np.array(data.block)
    order = np.random.default_rng(recipe.seed).permutation(np.unique(blocks))
    raw = np.zeros((len(y), len(names)))
    for fold in range(recipe.folds):
        out = np.isin(blocks, order[fold :: recipe.folds])
        model = _booster(recipe).fit(x[~out], y[~out])
        raw[np.ix_(out, model.classes_)] = model._raw_predict(x[out])
        raw[np.ix_(out, np.setdiff1d(np.arange(len(names)), model.classes_))] = -20.0
    temperature = _temperature(raw, y)
    shares = _softmax(raw / temperature)
    wanted = np.array([n in WANTED for n in names])
    p, true = shares[:, wanted].sum(1), wanted[y]
    knots = _knots(p, true)
    model = _booster(recipe).fit(x, y)
    document: dict[str, Any] = {
        "about": "python -m training classes",
        "recipe": asdict(recipe),
        "scores": _scores(p, true, shares, y, names, knots),
        "classes": names,
        "features": features,
        "baseline": [round(float(v), 6) for v in np.ravel(model._baseline_prediction)],
        "temperature": round(temperature, 4),
        "knots": knots,
        "trees": [_tree(t) for stage in model._predictors for t in stage],
    }
    chosen = [int(np.nonzero(y == k)[0][0]) for k in range(len(names))]
    examples = [{f: round(v, 4) for f, v in data.row[i].items() if f in features} for i in chosen]
    document["examples"] = {"rows": examples, "shares": []}
    document["examples"]["shares"] = _answers(document)
    mine = of_document(document, "fresh").shares([dict(zip(features, v, strict=True)) for v in x[:200]])
    theirs = _softmax(model._raw_predict(x[:200]) / temperature)
    if np.abs(mine - theirs).max() > 1e-3:
        raise RuntimeError(f"the walker differs from the booster by {np.abs(mine - theirs).max():.4f}")
    return document


def write(document: Mapping[str, Any], path: Path) -> Path:
    """One line per tree: a file that can be read and compared."""
    head = {k: v for k, v in document.items() if k != "trees"}
    text = json.dumps(head, indent=1)[:-2] + ',\n "trees": [\n'
    text += ",\n".join(json.dumps(t, separators=(",", ":")) for t in document["trees"]) + "\n ]\n}\n"
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)
    return path


def _booster(recipe: Recipe) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=recipe.rate,
        max_iter=recipe.rounds,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=recipe.least,
        l2_regularization=recipe.ridge,
        max_features=0.5,
        early_stopping=False,
        random_state=recipe.seed,
    )


def _tree(predictor: Any) -> list[list[float]]:
    nodes = []
    for n in predictor.nodes:
        if n["is_leaf"]:
            nodes.append([round(float(n["value"]), 5)])
        else:
            threshold = float(n["num_threshold"])
            nodes.append([int(n["feature_idx"]), threshold, int(n["missing_go_to_left"]), int(n["left"]), int(n["right"])])
    return nodes


def _answers(document: dict[str, Any]) -> list[list[float]]:
    shares = pressed(document).shares(document["examples"]["rows"])
    return [[round(float(v), 6) for v in row] for row in shares]


def _temperature(raw: Floats, y: np.ndarray[Any, Any]) -> float:
    def loss(log_t: float) -> float:
        s = _softmax(raw / np.exp(log_t))
        return float(-np.log(np.maximum(s[np.arange(len(y)), y], 1e-9)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def _softmax(raw: Floats) -> Floats:
    e = np.exp(raw - raw.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def _knots(p: Floats, true: np.ndarray[Any, Any], steps: int = 12) -> list[list[float]]:
    """A rising line through means of equal counts (isotonic), never quite 0 or 1."""
    order = np.argsort(p)
    parts = np.array_split(order, steps)
    x = np.array([p[i].mean() for i in parts])
    n = np.array([len(i) for i in parts], float)
    y = np.array([(true[i].sum() + 0.5) / (len(i) + 1.0) for i in parts])
    y = IsotonicRegression().fit_transform(x, y, sample_weight=n)
    keep = np.r_[True, np.diff(x) > 1e-4]
    found = [[round(float(a), 5), round(float(b), 5)] for a, b in zip(x[keep], y[keep], strict=True)]
    return [[0.0, found[0][1]], *found, [1.0, found[-1][1]]]


def _scores(
    p: Floats, true: np.ndarray[Any, Any], shares: Floats, y: np.ndarray[Any, Any], names: Sequence[str], knots: list[list[float]]
) -> dict[str, Any]:
    chance = np.interp(p, *zip(*knots, strict=True))
    shown = chance >= 0.5
    best = shares.argmax(1)
    return {
        "on": "blocks that the fold's trees had not seen",
        "rows": len(y),
        "blocks_left_out_whole": True,
        "accuracy": round(float((best == y).mean()), 4),
        "recall_by_class": {n: round(float((best == k)[y == k].mean()), 3) for k, n in enumerate(names)},
        "count_by_class": {n: int((y == k).sum()) for k, n in enumerate(names)},
        "wanted_recall": round(float(shown[true].mean()), 4),
        "wanted_precision": round(float(true[shown].mean()), 4),
        "ece": round(calibration_error(list(chance), list(true)), 4),
    }
