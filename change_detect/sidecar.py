"""The sheet of paper that lies beside an ONNX file: what the model wants to be fed, and what its answer means.

`model.json` beside `model.onnx`; every key is said in `Sidecar`. Refusals are ModelError, in both languages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from change_detect.errors import ModelError

LEAST_OVERLAP = 64
"""Cells two neighbouring tiles share at least: nearer to its border than half of that, a network guesses."""

LARGEST_TILE = 2048


@dataclass(frozen=True, slots=True)
class Heights:
    """How a height difference and its sigma are fed: `dz / scale_m` within ±`most`, sigma in metres within `sigma_most_m`.

    Where a height is unknown, or the surveys have no surfaces, dz is 0 and sigma is `sigma_most_m`.
    """

    scale_m: float = 1.0
    most: float = 10.0
    sigma_most_m: float = 1.0


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a model wants and says.

    Args:
        name: what it is called in reasons and messages.
        layout: "pair" is two inputs `(1, 3, h, w)` before and after (and a third `(1, 2, h, w)` when it takes heights);
            "stacked" is one input `(1, 6, h, w)`, before first (8 channels with heights).
        inputs: the names of those inputs in that order.
        output: name of the answer; `answer` says whether it is a "probability", a "logit", or "two_class" scores (softmax is taken,
            the second class is change). Shape `(1, 1, h, w)` or `(1, h, w)`, `(1, 2, h, w)` for two classes.
        gsd_m: cell it was trained for; a pair whose cells lie outside `gsd_range_m` is refused.
        tile, overlap: cells per side of what it is fed, and cells that neighbouring tiles share (64 or more).
        value_range: what byte 0 and byte 255 become; then `(value - mean) / std` per colour.
        own_tone: 0, or the least deviation: each date of a tile then loses its own mean colour and is divided by its own deviation (one for
            all three colours, no less than this), in units of `value_range`, before `mean` and `std` are applied.
        threshold, near: probability that starts an object, and that belongs to one.
        least_area_m2: smaller objects are held back.
        heights: None for a model of colours alone.
        check: name of the self-check file beside this one: an .npz of uint8 `before`, `after` `(h, w, 3)`, float32 `expected` `(h, w)`
            probabilities, and float32 `dz`, `sigma` when it takes heights. One smaller than a tile is fed in the tile's north-west corner,
            its last row and column repeated to the tile's end, as every tile at the edge of an area is.
        tolerance: how far the self-check may be off anywhere.
    """

    name: str
    layout: Literal["pair", "stacked"]
    inputs: tuple[str, ...]
    output: str
    answer: Literal["probability", "logit", "two_class"]
    gsd_m: float
    gsd_range_m: tuple[float, float]
    tile: int
    overlap: int
    value_range: tuple[float, float]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    check: str
    threshold: float = 0.5
    near: float = 0.35
    least_area_m2: float = 10.0
    tolerance: float = 0.02
    own_tone: float = 0.0
    heights: Heights | None = None

    def __post_init__(self) -> None:
        for fits, what, says in _RULES:
            if not fits(self):
                raise ModelError(f"模型说明“{self.name}”的 {what} 不合要求 / the sidecar of “{self.name}”: {what} {says}")

    @property
    def margin(self) -> int:
        """Cells around a tile's core that are seen but not answered."""
        return self.overlap // 2

    @property
    def core(self) -> int:
        """Cells per side that a tile answers for."""
        return self.tile - 2 * self.margin

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each input."""
        if self.layout == "stacked":
            return (6 if self.heights is None else 8,)
        return (3, 3) if self.heights is None else (3, 3, 2)

    @staticmethod
    def read(path: Path) -> Sidecar:
        """From its file; raises ModelError that names the key and what is wrong with it."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as err:
            raise ModelError(f"缺少模型说明文件 {path.name} / {path.name} is missing: put the model's sidecar beside it") from err
        except (OSError, ValueError) as err:
            raise ModelError(f"模型说明文件 {path.name} 不是有效的 JSON / {path.name} is no JSON: {err}") from err
        if not isinstance(told, dict):
            raise ModelError(f"模型说明文件 {path.name} 应为 JSON 对象 / {path.name} has to be a JSON object")
        return _told(told, path.name)


def _told(told: Mapping[str, Any], where: str) -> Sidecar:
    known = {f.name for f in fields(Sidecar)}
    if unknown := sorted(set(told) - known):
        raise ModelError(f"{where} 有不认识的项 {', '.join(unknown)} / {where} has unknown keys {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, value in told.items():
        try:
            values[name] = _READERS[name](value)
        except (TypeError, ValueError, KeyError) as err:
            raise ModelError(f"{where} 的 {name} 读不懂：{value!r} / {where}: {name} cannot be {value!r}") from err
    missing = [f.name for f in fields(Sidecar) if f.name not in values and f.name in _NEEDED]
    if missing:
        raise ModelError(f"{where} 缺少 {', '.join(missing)} / {where} lacks {', '.join(missing)}")
    return Sidecar(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return read


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _numbers(count: int) -> Callable[[Any], tuple[float, ...]]:
    def read(value: Any) -> tuple[float, ...]:
        if not isinstance(value, list) or len(value) != count:
            raise TypeError
        return tuple(_number(v) for v in value)

    return read


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(v) for v in value)


def _heights(value: Any) -> Heights | None:
    return None if value is None else Heights(**{name: _number(v) for name, v in value.items()})


def _file_name(value: Any) -> str:
    if Path(_text(value)).name != value:  # beside the sidecar, nowhere else on this machine
        raise ValueError
    return str(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "name": _text,
    "layout": _one_of("pair", "stacked"),
    "inputs": _texts,
    "output": _text,
    "answer": _one_of("probability", "logit", "two_class"),
    "gsd_m": _number,
    "gsd_range_m": _numbers(2),
    "tile": _whole,
    "overlap": _whole,
    "value_range": _numbers(2),
    "mean": _numbers(3),
    "std": _numbers(3),
    "check": _file_name,
    "threshold": _number,
    "near": _number,
    "least_area_m2": _number,
    "tolerance": _number,
    "own_tone": _number,
    "heights": _heights,
}
_NEEDED = frozenset(_READERS) - {"threshold", "near", "least_area_m2", "tolerance", "own_tone", "heights"}

_RULES: tuple[tuple[Callable[[Sidecar], bool], str, str], ...] = (
    (
        lambda s: 0 < s.gsd_range_m[0] <= s.gsd_m <= s.gsd_range_m[1] < 10,
        "gsd_m, gsd_range_m",
        "have to be metres, low <= gsd_m <= high",
    ),
    (lambda s: s.overlap >= LEAST_OVERLAP, "overlap", f"has to be {LEAST_OVERLAP} cells or more"),
    (lambda s: s.overlap % 2 == 0, "overlap", "has to be even"),
    (lambda s: 2 * s.overlap <= s.tile <= LARGEST_TILE, "tile", f"has to be twice the overlap or more, {LARGEST_TILE} at most"),
    (lambda s: s.value_range[0] < s.value_range[1], "value_range", "has to rise"),
    (lambda s: all(v > 0 for v in s.std), "std", "has to be positive"),
    (lambda s: 0 < s.near <= s.threshold < 1, "near, threshold", "have to be probabilities, near <= threshold"),
    (lambda s: s.least_area_m2 >= 0, "least_area_m2", "cannot be negative"),
    (lambda s: s.own_tone >= 0, "own_tone", "cannot be negative"),
    (lambda s: 0 < s.tolerance <= 0.1, "tolerance", "has to be over 0, 0.1 at most"),
    (lambda s: len(s.inputs) == len(s.channels), "inputs", "does not fit layout and heights: one name per input"),
    (
        lambda s: s.heights is None or min(s.heights.scale_m, s.heights.most, s.heights.sigma_most_m) > 0,
        "heights",
        "has to be positive",
    ),
)
