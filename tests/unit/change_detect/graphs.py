"""Tiny ONNX files, written byte by byte: a model that sees change where colours differ, in every layout, and ones that are broken.

The product does not depend on the onnx package, so neither do its tests; field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FLOAT = 1


def _varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _node(kind: str, inputs: list[str], output: str, **whole: int) -> bytes:
    attributes = b"".join(_field(5, _field(1, k) + _field(3, v) + _field(20, 2)) for k, v in whole.items())
    return b"".join(_field(1, i) for i in inputs) + _field(2, output) + _field(4, kind) + attributes


def _tensor(name: str, values: np.ndarray) -> bytes:
    return (
        b"".join(_field(1, d) for d in values.shape)
        + _field(2, FLOAT)
        + _field(8, name)
        + _field(9, values.astype("<f4").tobytes())
    )


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(d, int) else 2, d)) for d in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, dims)))


def graph(layout: str = "pair", answer: str = "logit", *, side: int | str = "n", spoil: str = "") -> bytes:
    """An ONNX file: `logit = 8 * mean(|after - before|) - 4` of what it is fed; `spoil` is the name of an operator put last."""
    whole = (1, "c", side, side)
    inputs = {"pair": ["before", "after"], "stacked": ["both"]}[layout]
    differ = np.concatenate([-np.eye(3), np.eye(3)], axis=1).reshape(3, 6, 1, 1)
    classes = 2 if answer == "two_class" else 1
    weigh = np.zeros((classes, 3, 1, 1))
    weigh[-1] = 8 / 3
    bias = np.zeros(classes)
    bias[-1] = -4.0
    nodes = [_node("Concat", inputs, "x", axis=1)] if layout == "pair" else [_node("Identity", inputs, "x")]
    nodes += [_node("Conv", ["x", "differ"], "d"), _node("Abs", ["d"], "a"), _node("Conv", ["a", "weigh", "bias"], "y")]
    last = "y"
    for kind in ([spoil] if spoil else []) + (["Sigmoid"] if answer == "probability" else []):
        nodes.append(_node(kind, [last], last + kind))
        last += kind
    nodes.append(_node("Identity", [last], "out"))
    body = b"".join(_field(1, n) for n in nodes) + _field(2, "g")
    body += b"".join(_field(5, _tensor(n, v)) for n, v in (("differ", differ), ("weigh", weigh), ("bias", bias)))
    channels = 3 if layout == "pair" else 6
    body += b"".join(_field(11, _value(name, (1, channels, side, side))) for name in inputs) + _field(12, _value("out", whole))
    return _field(1, 8) + _field(7, body) + _field(8, _field(1, "") + _field(2, 13))


def write(
    folder: Path, layout: str = "pair", answer: str = "logit", *, spoil: str = "", side: int | str = "n", **told: object
) -> Path:
    """A model with its sidecar and self-check, all that belongs together unless `told` says otherwise; the ONNX path."""
    path = folder / "model.onnx"
    path.write_bytes(graph(layout, answer, spoil=spoil, side=side))
    rng = np.random.default_rng(1)
    before = rng.integers(0, 255, (40, 50, 3), np.uint8)
    after = before.copy()
    after[10:20, 10:30] = 255 - after[10:20, 10:30]
    logit = 8 * np.abs(after.astype(float) - before).mean(-1) / 255 * 2 - 4
    np.savez(folder / "check.npz", before=before, after=after, expected=(1 / (1 + np.exp(-logit))).astype(np.float32))
    sidecar = {
        "name": "colours",
        "layout": layout,
        "inputs": ["before", "after"] if layout == "pair" else ["both"],
        "output": "out",
        "answer": answer,
        "gsd_m": 0.2,
        "gsd_range_m": [0.1, 0.3],
        "tile": 256,
        "overlap": 64,
        "value_range": [0, 1],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "check": "check.npz",
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    return told_anew(path, **told)


def told_anew(path: Path, **told: object) -> Path:
    """The same model with other words in its sidecar; None leaves a word out."""
    sidecar = json.loads(path.with_suffix(".json").read_text()) | told
    path.with_suffix(".json").write_text(json.dumps({k: v for k, v in sidecar.items() if v is not None}))
    return path
