"""A model from a file: an ONNX graph with its sidecar, checked against its own example before it may judge anything.

All arrays are `(rows, cols)` on one window; probabilities are float32 0..1, 0 where a date shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
    RuntimeException,
)

from change_detect.errors import ModelError
from change_detect.raster import Layers, Metres
from change_detect.sidecar import Sidecar
from change_detect.spectral import tone

Chances = NDArray[np.float32]

THREADS = 2
"""A survey is compared beside other work."""

REFUSED = (EPFail, Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile, NotImplemented, RuntimeException)


@dataclass(frozen=True, slots=True)
class Model:
    """A checked model; `load` makes it."""

    sidecar: Sidecar
    session: Any

    def chances(self, before: Layers, after: Layers, *, heights: bool) -> Chances:
        """The probability of change per cell of one window of at most `tile` x `tile` cells; heights only where both surveys have them.

        Raises ModelError when the answer holds anything that is no probability.
        """
        shown = before.shown & after.shown
        dz = sigma = None
        if self.sidecar.heights is not None and heights and before.surface is not None and after.surface is not None:
            dz = after.surface - before.surface
            sigma = _sigma(before, after)
        out = self._answer(before.ortho, after.ortho, shown, dz, sigma)
        return np.where(shown, out, np.float32(0))

    def check(self, path: Path) -> None:
        """Run the shipped example; raises ModelError when it cannot be read or the answer is not the expected one."""
        try:
            with np.load(path, allow_pickle=False) as file:
                example = {name: file[name] for name in file.files}
        except (OSError, ValueError) as err:
            raise ModelError(f"自检样例 {path.name} 读不出来 / the self-check {path.name} cannot be read: {err}") from err
        needed = ("before", "after", "expected", *(() if self.sidecar.heights is None else ("dz", "sigma")))
        if missing := [name for name in needed if name not in example]:
            raise ModelError(
                f"自检样例 {path.name} 缺少 {', '.join(missing)} / the self-check {path.name} lacks {', '.join(missing)}"
            )
        a, b, expected = example["before"], example["after"], example["expected"]
        size = expected.shape
        fits = a.shape == b.shape == (*size, 3) and a.dtype == b.dtype == np.uint8 and max(size) <= self.sidecar.tile
        if not fits or any(example[name].shape != size for name in needed[3:]):
            raise ModelError(
                f"自检样例 {path.name} 的尺寸或类型不符 / the self-check {path.name} has to be uint8 (h, w, 3) twice and (h, w) expected, "
                f"at most {self.sidecar.tile} cells a side; it is {a.dtype} {a.shape}, {b.dtype} {b.shape}, {size}"
            )
        dz, sigma = (example[n].astype(np.float32) if n in needed else None for n in ("dz", "sigma"))
        found = self._answer(a, b, np.ones(size, bool), dz, sigma)
        off = float(np.abs(found - expected).max())
        if not off <= self.sidecar.tolerance:
            raise ModelError(
                f"模型“{self.sidecar.name}”自检不通过，最大偏差 {off:.3f} / the model “{self.sidecar.name}” does not give what its self-check "
                f"expects: off by up to {off:.3f} (limit {self.sidecar.tolerance}): model and sidecar do not belong together"
            )

    def _answer(
        self,
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
        shown: NDArray[np.bool_],
        dz: Metres | None,
        sigma: Metres | None,
    ) -> Chances:
        size = self.sidecar.tile
        rows, cols = shown.shape
        parts = [_coloured(before, shown, self.sidecar), _coloured(after, shown, self.sidecar)]
        if self.sidecar.heights is not None:
            parts.append(_height_channels(dz, sigma, shown.shape, self.sidecar))
        border = (0, size - rows, 0, size - cols)
        padded = [cv2.copyMakeBorder(p, *border, cv2.BORDER_REPLICATE) for p in parts]
        planes = [np.ascontiguousarray(np.moveaxis(p, -1, 0)[None]) for p in padded]
        if self.sidecar.layout == "stacked":
            planes = [np.concatenate(planes, axis=1)]
        try:
            (raw,) = self.session.run([self.sidecar.output], dict(zip(self.sidecar.inputs, planes, strict=True)))
        except REFUSED as err:
            raise ModelError(f"模型“{self.sidecar.name}”运行失败 / the model “{self.sidecar.name}” fails: {err}") from err
        return _chances(np.asarray(raw), self.sidecar)[:rows, :cols]


def load(path: Path) -> Model:
    """The model of an ONNX file with its `.json` sidecar beside it, checked; raises ModelError saying what does not fit and where."""
    if not path.is_file():
        raise ModelError(f"找不到模型文件 {path} / there is no model file {path}: mend PATROL_CHANGE_MODEL")
    sidecar = Sidecar.read(path.with_suffix(".json"))
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.log_severity_level = 4  # what is wrong is said by the exception
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except REFUSED as err:
        raise ModelError(
            f"{path.name} 不是可用的 ONNX 模型 / {path.name} is no ONNX model that this machine can run: {err}"
        ) from err
    _must_fit(session, sidecar)
    model = Model(sidecar, session)
    model.check(path.with_name(sidecar.check))
    return model


def _must_fit(session: Any, sidecar: Sidecar) -> None:
    """Names, kinds and shapes of the graph against the sidecar."""
    has = {i.name: i for i in session.get_inputs()}
    if set(has) != set(sidecar.inputs):
        raise ModelError(
            f"模型“{sidecar.name}”的输入名称不符 / the model “{sidecar.name}” has inputs {', '.join(has)}, its sidecar says {', '.join(sidecar.inputs)}"
        )
    for name, channels in zip(sidecar.inputs, sidecar.channels, strict=True):
        wanted = (1, channels, sidecar.tile, sidecar.tile)
        given = has[name].shape
        if has[name].type != "tensor(float)":
            raise ModelError(f"模型输入 {name} 应为 float32 / the input {name} has to be float32, it is {has[name].type}")
        if len(given) != 4 or any(isinstance(g, int) and g != w for g, w in zip(given, wanted, strict=True)):
            raise ModelError(
                f"模型输入 {name} 的形状为 {given}，应为 {wanted} / the input {name} is {given}, its sidecar makes it {wanted}"
            )
    if sidecar.output not in {o.name for o in session.get_outputs()}:
        raise ModelError(f"模型没有输出 {sidecar.output} / the model “{sidecar.name}” has no output {sidecar.output}")


def _coloured(ortho: NDArray[np.uint8], shown: NDArray[np.bool_], sidecar: Sidecar) -> Metres:
    low, high = sidecar.value_range
    values = ortho.astype(np.float32) * np.float32((high - low) / 255.0) + np.float32(low)
    if sidecar.own_tone > 0 and shown.any():
        mean, deviation = tone(values[::4, ::4][shown[::4, ::4]] if shown[::4, ::4].any() else values[shown], sidecar.own_tone)
        values = (values - mean) / deviation
    out = (values - np.asarray(sidecar.mean, np.float32)) / np.asarray(sidecar.std, np.float32)
    out[~shown] = 0.0  # the average colour on both dates: no change
    return np.asarray(out, np.float32)


def _height_channels(dz: Metres | None, sigma: Metres | None, shape: tuple[int, ...], sidecar: Sidecar) -> Metres:
    how = sidecar.heights
    assert how is not None
    out = np.zeros((*shape, 2), np.float32)
    out[..., 1] = how.sigma_most_m
    if dz is None:
        return out
    known = np.isfinite(dz)
    out[..., 0][known] = np.clip(dz[known] / how.scale_m, -how.most, how.most)
    if sigma is not None:
        known &= np.isfinite(sigma)
        out[..., 1][known] = np.clip(sigma[known], 0, how.sigma_most_m)
    return out


def _sigma(before: Layers, after: Layers) -> Metres | None:
    if before.sigma is None or after.sigma is None:
        return None
    return np.asarray(np.hypot(before.sigma, after.sigma), np.float32)


def _chances(raw: NDArray[Any], sidecar: Sidecar) -> Chances:
    """`(tile, tile)` probabilities out of an answer of any of the three kinds."""
    classes = 2 if sidecar.answer == "two_class" else 1
    side = (sidecar.tile, sidecar.tile)
    if raw.shape not in {(1, classes, *side), side, (classes, *side)}:
        raise ModelError(
            f"模型“{sidecar.name}”的输出形状为 {raw.shape} / the model “{sidecar.name}” answers {raw.shape}, not {(1, classes, *side)}"
        )
    values = raw.reshape(classes, *side).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelError(
            f"模型“{sidecar.name}”的输出含 NaN 或无穷，请更换模型或清空 PATROL_CHANGE_MODEL / "
            f"the model “{sidecar.name}” answers NaN or infinity: it cannot be trusted anywhere; use another, or unset PATROL_CHANGE_MODEL"
        )
    if sidecar.answer == "probability":
        if values.min() < -1e-3 or values.max() > 1 + 1e-3:
            raise ModelError(
                f"模型“{sidecar.name}”的输出在 {values.min():.2f} 与 {values.max():.2f} 之间，不是概率 / the model “{sidecar.name}” answers from "
                f"{values.min():.2f} to {values.max():.2f}, which is no probability: say “logit” in its sidecar if it is one"
            )
        return np.asarray(np.clip(values[0], 0, 1), np.float32)
    logit = values[1] - values[0] if sidecar.answer == "two_class" else values[0]
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -40, 40))), np.float32)
