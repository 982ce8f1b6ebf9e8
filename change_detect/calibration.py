"""Calibration: what a score was worth in this city, learned from what people found there; a rising curve for each kind of change.

Beta calibration (Kull, Silva Filho, Flach 2017, AISTATS): `logit p = c + a ln s - b ln(1 - s)`, a and b positive, so that a higher score never
becomes a lower one. Each kind has a curve of its own around one that all share, and both are held to what ships (c = 0, a = b = 1) by a
prior: five labels hardly move it, hundreds have their way. Whether it is any good is judged on areas and surveys it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGE = 0.002
"""Scores nearer than this to 0 and 1 are read as this: nothing is ever quite sure."""

SHARED = (0.25, 0.15, 0.15)
OWN = (0.2, 0.1, 0.1)
"""One sigma of the prior of c, ln a, ln b: of the curve that all kinds share, and of what a kind has of its own.

Measured: five labels that all say wrong take a score of 0.90 to 0.79; sixty of which half say wrong take it to 0.64, six hundred to 0.52.
"""

LEAST_LABELS, LEAST_EACH = 20, 3
LEAST_SURVEYS, LEAST_AREAS = 3, 2
MOST_FOLDS = 20
"""Of more areas or surveys than this, several are held out together: whole ones still, and the answer stays a matter of seconds."""


@dataclass(frozen=True, slots=True)
class Example:
    """One judged candidate: the score as the detector gave it, and whether something was built there.

    `area` and `survey` say what it is held out with; `weight` is over 0, 1 for someone who stood there.
    """

    id: str
    score: float
    kind: str
    is_right: bool
    area: str
    survey: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Curve:
    """`logit p = offset + low ln s - high ln(1 - s)`."""

    offset: float = 0.0
    low: float = 1.0
    high: float = 1.0

    def at(self, score: float) -> float:
        """The chance of being right that a score stands for."""
        s = min(1.0 - EDGE, max(EDGE, score))
        return 1.0 / (1.0 + exp(-(self.offset + self.low * log(s) - self.high * log(1.0 - s))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The shared curve, and one of each kind that had labels. Without any it is what ships: a score is taken at its word."""

    shared: Curve | None = None
    own: Mapping[str, Curve] = field(default_factory=dict)

    def of(self, kind: str, score: float) -> float:
        """The chance of being right, 0..1; never falls where the score rises."""
        curve = self.own.get(kind, self.shared)
        return score if curve is None else curve.at(score)


SHIPPED = Calibration()


def fit(examples: Iterable[Example]) -> Calibration:
    """The most likely curves, prior and labels together; the same whatever order the labels come in. None: what ships."""
    told = sorted(examples, key=lambda e: (e.kind, e.score, e.is_right, e.weight, e.id))
    if not told:
        return SHIPPED
    kinds = sorted({e.kind for e in told})
    s = np.clip([e.score for e in told], EDGE, 1.0 - EDGE)
    data = _Data(
        np.log(s),
        -np.log1p(-s),
        np.array([e.is_right for e in told], float),
        np.array([e.weight for e in told], float),
        np.array([kinds.index(e.kind) for e in told]),
        np.array([SHARED, *([OWN] * len(kinds))]),
    )
    theta = np.zeros_like(data.sigma)
    cost, slope, bend = data.around(theta)
    for _ in range(50):  # Fisher scoring, halved where a step goes too far: some ten steps in all
        step = -np.linalg.solve(bend, slope.ravel()).reshape(theta.shape)
        while True:
            further = data.around(theta + step)
            if further[0] <= cost or np.abs(step).max() < 1e-9:
                break
            step = step / 2.0
        theta = theta + step
        cost, slope, bend = further
        if np.abs(step).max() < 1e-9:
            break
    return Calibration(_curve(theta[0]), {name: _curve(theta[0] + theta[1 + i]) for i, name in enumerate(kinds)})


@dataclass(frozen=True, slots=True)
class _Data:
    """Labels as columns: ln s, -ln(1-s), right, weight, number of the kind; and the prior's sigma, a row for the shared and each own curve."""

    below: Floats
    above: Floats
    right: Floats
    weight: Floats
    kind: NDArray[np.int64]
    sigma: Floats

    def around(self, theta: Floats) -> tuple[float, Floats, Floats]:
        """Cost (negative log posterior), its slope and its expected curvature at `theta` (c, ln a, ln b in each row)."""
        c, log_a, log_b = (theta[0] + theta[1:][self.kind]).T
        a_below, b_above = np.exp(log_a) * self.below, np.exp(log_b) * self.above
        z = c + a_below + b_above
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -500.0, 500.0)))
        cost = self.weight @ (np.logaddexp(0.0, z) - self.right * z) + 0.5 * ((theta / self.sigma) ** 2).sum()
        each = np.column_stack([np.ones_like(z), a_below, b_above])
        off, heavy = self.weight * (p - self.right), self.weight * p * (1.0 - p)
        slope = theta / self.sigma**2
        bend = np.diag((1.0 / self.sigma**2).ravel())
        for k in range(len(theta) - 1):
            own = self.kind == k
            pull, curve = each[own].T @ off[own], (each[own] * heavy[own, None]).T @ each[own]
            here = slice(3 * (k + 1), 3 * (k + 2))
            slope[0] += pull
            slope[k + 1] += pull
            for rows in (slice(0, 3), here):
                bend[rows, 0:3] += curve
                bend[rows, here] += curve
        return float(cost), slope, bend


def _curve(theta: Floats) -> Curve:
    return Curve(float(theta[0]), exp(float(theta[1])), exp(float(theta[2])))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How a fit does where it has not looked, each whole area or survey (`by`) left out in turn, beside what is in force today.

    `loss_before`, `loss_after` are mean log losses (nats per label); `gain` is what all labels gain together and `sigma` one standard error of
    it, whole groups counted as one. `said_before`, `said_after` are the mean chances promised, `was` the share that was right.
    """

    by: str
    groups: int
    labels: int
    loss_before: float
    loss_after: float
    gain: float
    sigma: float
    said_before: float
    said_after: float
    was: float

    @property
    def is_better(self) -> bool:
        """Whether it gains more than chance would give."""
        return self.gain > max(self.sigma, 0.0)


GROUPS: Mapping[str, tuple[Callable[[Example], str], int]] = {
    "area": (lambda e: e.area, LEAST_AREAS),
    "survey": (lambda e: e.survey, LEAST_SURVEYS),
}
"""What is held out whole, and how many of it there must be."""


def held_out(examples: Sequence[Example], by: str, known: frozenset[str] | None = None) -> HeldOut | None:
    """A fit judged on each area or survey by the others. None where there are too few of them to leave one out.

    What is in force was made of the labels `known` (None: it is what ships); it too is made anew without the group that is left out, else
    it would be judged on what it has learned by heart.
    """
    group_of, least = GROUPS[by]
    names = sorted({group_of(e) for e in examples})
    if len(names) < least:
        return None
    fold_of = {name: i % MOST_FOLDS for i, name in enumerate(names)}
    told = sorted(examples, key=lambda e: e.id)
    gains, lost, said, rights, weights = [], np.zeros(2), np.zeros(2), 0.0, 0.0
    for fold in range(min(MOST_FOLDS, len(names))):
        inside = [e for e in told if fold_of[group_of(e)] == fold]
        others = [e for e in told if fold_of[group_of(e)] != fold]
        before = fit(e for e in others if e.id in known) if known else SHIPPED
        pair = before, fit(others)
        here = np.array([[_loss(c.of(e.kind, e.score), e) for c in pair] for e in inside]).sum(0)
        gains.append(float(here[0] - here[1]))
        lost += here
        said += np.array([[e.weight * c.of(e.kind, e.score) for c in pair] for e in inside]).sum(0)
        rights += sum(e.weight * e.is_right for e in inside)
        weights += sum(e.weight for e in inside)
    n, spread = len(gains), np.array(gains) - np.mean(gains)
    return HeldOut(
        by=by,
        groups=len(names),
        labels=len(examples),
        loss_before=float(lost[0] / weights),
        loss_after=float(lost[1] / weights),
        gain=float(np.sum(gains)),
        sigma=sqrt(float((spread**2).sum()) * n / (n - 1)),
        said_before=float(said[0] / weights),
        said_after=float(said[1] / weights),
        was=rights / weights,
    )


def _loss(chance: float, example: Example) -> float:
    p = min(1.0 - EDGE, max(EDGE, chance))
    return -example.weight * log(p if example.is_right else 1.0 - p)


@dataclass(frozen=True, slots=True)
class Trial:
    """A fit and its judgement: whether it may be used, and the sentence that says why or why not, in both languages."""

    made: Calibration
    tests: tuple[HeldOut, ...]
    is_better: bool
    zh: str
    en: str


def try_out(examples: Sequence[Example], known: frozenset[str] | None = None) -> Trial:
    """Fit and judge. Used is only what is better on every test there could be, the one by surveys among them.

    Labels of a single area can say nothing of others: that is left to the caller, who sees that no test by area was made.
    """
    rights = sum(e.is_right for e in examples)
    fewer = min(rights, len(examples) - rights)
    if len(examples) < LEAST_LABELS or fewer < LEAST_EACH:
        zh = f"标签太少：{len(examples)} 条（属实 {rights}），至少需要 {LEAST_LABELS} 条，属实与误报各不少于 {LEAST_EACH} 条。"
        en = f"Too few labels: {len(examples)} ({rights} right); {LEAST_LABELS} are needed, {LEAST_EACH} of them right and {LEAST_EACH} wrong."
        return Trial(SHIPPED, (), is_better=False, zh=zh, en=en)
    made = fit(examples)
    tests = tuple(t for t in (held_out(examples, by, known) for by in GROUPS) if t is not None)
    if not any(t.by == "survey" for t in tests):
        zh = f"标签只来自不到 {LEAST_SURVEYS} 期成果，无法用未见过的成果检验。"
        en = f"The labels come from fewer than {LEAST_SURVEYS} surveys: there is none to hold out."
        return Trial(made, tests, is_better=False, zh=zh, en=en)
    is_better = all(t.is_better for t in tests)
    lines = [(_TOLD[t.by][0].format(t=t), _TOLD[t.by][1].format(t=t)) for t in tests]
    verdict = _BETTER if is_better else _WORSE
    zh, en = ("".join(line[i] for line in lines) for i in (0, 1))
    return Trial(made, tests, is_better, f"{zh}{verdict[0]}", f"{en}{verdict[1]}")


_TOLD: Mapping[str, tuple[str, str]] = {
    "area": (
        "逐个留出 {t.groups} 个单元检验：原报可信度平均 {t.said_before:.2f}，实际属实 {t.was:.2f}，校准后 {t.said_after:.2f}"
        "（对数损失 {t.loss_before:.3f}→{t.loss_after:.3f}）。",
        "Held out by area ({t.groups}): it promised {t.said_before:.2f}, {t.was:.2f} was right, now it promises {t.said_after:.2f} "
        "(log loss {t.loss_before:.3f} to {t.loss_after:.3f}). ",
    ),
    "survey": (
        "逐期留出 {t.groups} 期成果检验：原报可信度平均 {t.said_before:.2f}，实际属实 {t.was:.2f}，校准后 {t.said_after:.2f}"
        "（对数损失 {t.loss_before:.3f}→{t.loss_after:.3f}）。",
        "Held out by survey ({t.groups}): it promised {t.said_before:.2f}, {t.was:.2f} was right, now it promises {t.said_after:.2f} "
        "(log loss {t.loss_before:.3f} to {t.loss_after:.3f}). ",
    ),
}
_BETTER = "优于现行校准，予以采用。", "Better than what is in force: it is used from now on."
_WORSE = "没有可靠地优于现行校准，不采用。", "Not reliably better than what is in force: it is not used."


def changes(
    before: Calibration, after: Calibration, examples: Sequence[Example]
) -> tuple[tuple[str, int, int, float, float], ...]:
    """What a step from one calibration to another does to each kind with labels: (kind, labels, right, median score before, after)."""
    told = []
    for kind in sorted({e.kind for e in examples}):
        those = [e for e in examples if e.kind == kind]
        usual = float(np.median([e.score for e in those]))
        told.append((kind, len(those), sum(e.is_right for e in those), before.of(kind, usual), after.of(kind, usual)))
    return tuple(told)
