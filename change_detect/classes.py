"""What a change is, and how likely a squad would want to know: boosted trees over a candidate's row of features, calibrated.

The model is a readable JSON file made by `python -m training classes`; it is walked here with numpy and nothing is unpickled. It carries a few
rows with the answers they gave when it was made, and is refused when it answers otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from change_detect.candidate import Kind
from change_detect.errors import ModelError
from change_detect.measure import Features
from change_detect.rules import Judgement
from geo.frames import Floats

SHIPPED = Path(__file__).parent / "data" / "classes.json"

#        class            kind                    Chinese          English
_TOLD: tuple[tuple[str, Kind, str, str], ...] = (
    ("new_building", Kind.NEW_BUILDING, "新建房屋", "a new building"),
    ("roof_addition", Kind.ROOF_ADDITION, "楼顶搭建", "an addition on a roof"),
    ("extension", Kind.EXTENSION, "扩建", "an extension"),
    ("container_shed", Kind.SHED_OR_CONTAINER, "棚、箱房", "a shed or container"),
    ("demolished", Kind.DEMOLISHED, "拆除", "a structure pulled down"),
    ("earthwork", Kind.EARTHWORK, "填挖", "earthwork"),
    ("vegetation", Kind.VEGETATION, "植被", "plants"),
    ("vehicle", Kind.VEHICLE, "车辆", "a vehicle"),
    ("film", Kind.COVER, "篷布、薄膜、遮阳伞", "a tarpaulin, film or umbrella"),
    ("pile", Kind.MATERIAL, "堆料", "piled material"),
    ("artefact", Kind.ARTEFACT, "成果瑕疵", "an artefact of a survey"),
)
KINDS: Mapping[str, Kind] = {name: kind for name, kind, _, _ in _TOLD}
WORDS: Mapping[str, tuple[str, str]] = {name: (zh, en) for name, _, zh, en in _TOLD}
WANTED = frozenset({"new_building", "roof_addition", "extension", "container_shed", "demolished", "earthwork"})
"""What a squad would want to know of."""

HELD_BY = (
    "edge_of_coverage",
    "surface_bridged",
    "vegetation",
    "narrow_strip",
    "not_a_structure",
    "vehicle_suspected",
    "too_small",
)
"""How the rules' sentences begin, each a column of a row."""


def rules_said(verdict: Judgement) -> Mapping[str, float]:
    """The rules' evidence and which of them held the change back, as part of its row: the classes learn how far to trust them."""
    held = verdict.suppressed or ""
    return {"rule_score": verdict.score, **{f"held_{name}": float(held.startswith(name)) for name in HELD_BY}}


@dataclass(frozen=True, slots=True)
class Opinion:
    """The likeliest class, its share, and the calibrated `chance` that the change is one a squad would want."""

    name: str
    share: float
    chance: float

    @property
    def kind(self) -> Kind:
        """The kind of candidate it makes."""
        return KINDS[self.name]

    @property
    def told(self) -> str:
        """A sentence for a reviewer."""
        zh, en = WORDS[self.name]
        return f"分类：{zh}（{self.share:.0%}），值得核查的概率 {self.chance:.0%} / looks like {en} ({self.share:.0%}); worth a visit with {self.chance:.0%}"


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Trees pressed flat. `(trees, nodes)` arrays; a node with `feature` -1 is a leaf; tree t speaks for class `t % len(names)`.

    Raw scores are `baseline + sum of leaves`; shares their softmax over `temperature`; a chance is the wanted shares' sum through `knots`.
    """

    names: tuple[str, ...]
    features: tuple[str, ...]
    baseline: Floats
    feature: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats
    temperature: float
    knots: tuple[tuple[float, float], ...]

    def shares(self, rows: Sequence[Mapping[str, float]]) -> Floats:
        """`(rows, classes)`; what a row lacks was not measured."""
        out = np.empty((len(rows), len(self.names)))
        for i, row in enumerate(rows):
            raw = self._raw(np.array([row.get(name, math.nan) for name in self.features])) / self.temperature
            e = np.exp(raw - raw.max())
            out[i] = e / e.sum()
        return out

    def chances(self, shares: Floats) -> Floats:
        """Calibrated chance `(rows,)` that a change is wanted."""
        wanted = shares[:, [name in WANTED for name in self.names]].sum(1)
        x, y = zip(*self.knots, strict=True)
        return np.asarray(np.interp(wanted, x, y))

    def opinion(self, row: Mapping[str, float]) -> Opinion:
        """What one candidate looks like."""
        shares = self.shares([row])
        best = int(shares[0].argmax())
        return Opinion(self.names[best], float(shares[0, best]), float(self.chances(shares)[0]))

    def _raw(self, row: Floats) -> Floats:
        trees = np.arange(len(self.feature))
        at = np.zeros(len(trees), np.int64)
        while True:
            of = self.feature[trees, at]
            inner = of >= 0
            if not inner.any():
                break
            seen = row[of]
            goes_left = np.where(np.isnan(seen), self.missing_left[trees, at], seen <= self.threshold[trees, at])
            at = np.where(inner, np.where(goes_left, self.left[trees, at], self.right[trees, at]), at)
        k = len(self.names)
        return self.baseline + self.value[trees, at].reshape(-1, k).sum(0)


def of_document(document: Mapping[str, Any], source: str) -> Classes:
    """The model in a document, checked against the answers it carries; raises ModelError with what is wrong."""
    try:
        model = pressed(document)
        rows, answers = document["examples"]["rows"], np.asarray(document["examples"]["shares"], float)
        got = model.shares(rows)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as err:
        raise ModelError(
            f"{source}：分类模型文件残缺或格式不符（{err}），请重新运行 python -m training classes 生成 / "
            f"is no model of classes ({err}): make it again with python -m training classes"
        ) from err
    if not len(rows) or got.shape != answers.shape or not np.allclose(got, answers, rtol=0.0, atol=1e-4):
        raise ModelError(
            f"{source}：分类模型未能复现文件内的样例结果，文件可能被改动，请恢复原文件 / "
            "the model does not give the answers it was shipped with: the file was changed, put the original back"
        )
    return model


def pressed(document: Mapping[str, Any]) -> Classes:
    """The model in a document, its answers not looked at; raises KeyError, TypeError, ValueError or IndexError for a broken one."""
    names, features = tuple(document["classes"]), tuple(document["features"])
    trees: list[list[list[float]]] = document["trees"]
    if set(names) - set(KINDS) or len(trees) % len(names) or not trees:
        raise ValueError(f"classes {names} with {len(trees)} trees")
    nodes = np.zeros((len(trees), max(len(t) for t in trees), 6))
    nodes[..., 0] = -1
    for i, tree in enumerate(trees):
        nodes[i, : len(tree)] = [_node(n, k, len(tree), len(features)) for k, n in enumerate(tree)]
    return Classes(
        names,
        features,
        np.asarray(document["baseline"], float),
        nodes[..., 0].astype(np.int64),
        nodes[..., 1],
        nodes[..., 2] > 0,
        nodes[..., 3].astype(np.int64),
        nodes[..., 4].astype(np.int64),
        nodes[..., 5],
        float(document["temperature"]),
        tuple((float(x), float(y)) for x, y in document["knots"]),
    )


def _node(node: Sequence[float], own: int, nodes: int, features: int) -> list[float]:
    """`[value]` for a leaf, `[feature, threshold, missing goes left, left, right]` else; children come later, so that every walk ends."""
    if len(node) == 1:
        return [-1, 0, 0, 0, 0, node[0]]
    feature, threshold, missing, left, right = node
    if not (0 <= int(feature) < features and own < int(left) < nodes and own < int(right) < nodes):
        raise ValueError(f"a node that leads nowhere: {node}")
    return [int(feature), threshold, missing, int(left), int(right), 0.0]


@cache
def load(path: Path = SHIPPED) -> Classes:
    """The model in a file; raises ModelError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ModelError(f"{path}：无法读取分类模型 / the model of classes cannot be read: {err}") from err
    return of_document(document, path.name)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chances: under `hold` what the rules show is held back, from `release` what looked like a vehicle is shown.

    `hold` asks for odds of twenty to one: the classes learned from made-up towns, the rules are physics.
    """

    hold: float = 0.05
    release: float = 0.9
    wide_m: float = 3.0  # GB 1589 lets vehicles be 2.55 m wide; a surface adds up to half a metre
    high_m: float = 2.1  # what drives and is higher is a van or a lorry,
    short_m: float = 4.2  # and those are longer than this


RELEASED = "vehicle_suspected"
"""The one hold that is a likeness. The others speak of leaves, of form, of size and of what was not measured: no likeness answers them."""


def agreed(verdict: Judgement, opinion: Opinion, thresholds: Thresholds, form: Features) -> Judgement:
    """Rules and classes together: the score is the chance, the rules' sentences stay, and whoever overrules the other says so.

    No likeness makes a shed of what is as narrow as a lorry by its mean width, nor a vehicle of what is high and short. The kind stays the
    rules' own as long as they are not overruled: they know sizes and neighbours, the classes know made-up towns.
    """
    reasons = (*verdict.reasons, opinion.told)
    held, kind = verdict.suppressed, verdict.kind
    if kind is Kind.FOUNDATION:  # made-up towns have none: the classes do not know it
        return verdict
    zh, en = WORDS[opinion.name]
    no_vehicle = form.gain_m > thresholds.high_m and form.length_m < thresholds.short_m
    if held is None and opinion.chance < thresholds.hold and not (opinion.name == "vehicle" and no_vehicle):
        held = f"{opinion.name}_suspected: 疑似{zh}，值得核查的概率仅 {opinion.chance:.0%} / looks like {en}, worth a visit with {opinion.chance:.0%} only"
        kind = opinion.kind
    elif (
        held is not None
        and opinion.chance >= thresholds.release
        and opinion.name in WANTED
        and held.startswith(RELEASED)
        and form.area_m2 / form.length_m > thresholds.wide_m
    ):
        reasons = (*reasons, f"规则原拟抑制，因分类把握大而保留 / a rule would have held it back, but its class is clear: {held}")
        held, kind = None, opinion.kind
    return Judgement(kind, round(opinion.chance, 3), reasons, held)
