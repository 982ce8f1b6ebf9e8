"""How far a score can be trusted, in two pictures and three figures: precision over recall, reliability, ECE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 10
_SIDE, _LEFT, _TOP = 300, 60, 40
_COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#555555")


def calibration_error(chances: Sequence[float], true: Sequence[bool]) -> float:
    """Expected calibration error (Naeini et al. 2015): ten equal bins, mean distance of stated and real share, weighted by count."""
    return sum(abs(stated - real) * n for stated, real, n in bins(chances, true)) / max(1, len(chances))


def bins(chances: Sequence[float], true: Sequence[bool]) -> list[tuple[float, float, int]]:
    """(mean stated chance, share that was true, count) of each bin that is not empty."""
    p, y = np.asarray(chances, float), np.asarray(true, float)
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    return [
        (float(p[which == b].mean()), float(y[which == b].mean()), int((which == b).sum()))
        for b in range(BINS)
        if (which == b).any()
    ]


def precision_recall(chances: Sequence[float], true: Sequence[bool], there: int) -> tuple[Floats, Floats]:
    """(recall, precision) as the threshold falls; `there` counts what could have been found, found at all or not."""
    order = np.argsort(-np.asarray(chances, float), kind="stable")
    hits = np.cumsum(np.asarray(true, float)[order])
    return hits / max(1, there), hits / np.arange(1, len(order) + 1)


def average_precision(chances: Sequence[float], true: Sequence[bool], there: int) -> float:
    """Area under the steps of precision over recall."""
    recall, precision = precision_recall(chances, true, there)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def draw_precision_recall(
    path: Path, curves: Mapping[str, tuple[Floats, Floats]], points: Mapping[str, tuple[float, float]]
) -> None:
    """An SVG with one line per score, and a ring per way that has no score to turn."""
    marks = [_line(list(zip(*c, strict=True)), _COLOURS[i]) for i, c in enumerate(curves.values())]
    names = [(name, _COLOURS[i]) for i, name in enumerate(curves)]
    for i, (name, (x, y)) in enumerate(points.items()):
        colour = _COLOURS[(len(curves) + i) % len(_COLOURS)]
        marks.append(f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4" fill="none" stroke="{colour}" stroke-width="2"/>')
        names.append((name, colour))
    _write(path, "recall / 召回率", "precision / 准确率", marks, names)


def draw_reliability(path: Path, scores: Mapping[str, tuple[Sequence[float], Sequence[bool]]]) -> None:
    """An SVG: what was stated against what came true; the area of a dot is its count, the grey line is truth itself."""
    marks, names = [f'<path d="M{_x(0)} {_y(0)} L{_x(1)} {_y(1)}" stroke="#bbb" fill="none"/>'], []
    for i, (name, (chances, true)) in enumerate(scores.items()):
        found, colour = bins(chances, true), _COLOURS[i]
        marks.append(_line([(a, b) for a, b, _ in found], colour))
        most = max((n for _, _, n in found), default=1)
        marks += [
            f'<circle cx="{_x(a):.1f}" cy="{_y(b):.1f}" r="{2 + 9 * (n / most) ** 0.5:.1f}" fill="{colour}" fill-opacity="0.35"/>'
            for a, b, n in found
        ]
        names.append((f"{name}: ECE {calibration_error(chances, true):.3f}, n = {len(chances)}", colour))
    _write(path, "stated / 给出的可信度", "came true / 属实比例", marks, names)


def _x(value: float) -> float:
    return _LEFT + _SIDE * value


def _y(value: float) -> float:
    return _TOP + _SIDE * (1.0 - value)


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " L".join(f"{_x(a):.1f} {_y(b):.1f}" for a, b in points)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>' if path else ""


def _write(path: Path, across: str, up: str, marks: Sequence[str], names: Sequence[tuple[str, str]]) -> None:
    ticks = [
        f'<path d="M{_x(t)} {_y(0)} V{_y(1)} M{_x(0)} {_y(t)} H{_x(1)}" stroke="#eee" fill="none"/>'
        f'<text x="{_x(t):.0f}" y="{_y(0) + 14:.0f}" text-anchor="middle">{t:g}</text>'
        f'<text x="{_x(0) - 6:.0f}" y="{_y(t) + 4:.0f}" text-anchor="end">{t:g}</text>'
        for t in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    legend = [
        f'<text x="{_x(1) + 16:.0f}" y="{_TOP + 14 + 18 * i}" fill="{colour}">{name}</text>'
        for i, (name, colour) in enumerate(names)
    ]
    titles = (
        f'<text x="{_x(0.5):.0f}" y="{_y(0) + 32:.0f}" text-anchor="middle">{across}</text>'
        f'<text x="14" y="{_y(0.5):.0f}" text-anchor="middle" transform="rotate(-90 14 {_y(0.5):.0f})">{up}</text>'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{_TOP + _SIDE + 50}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(ticks)}{titles}{"".join(marks)}{"".join(legend)}</svg>\n'
    )
