"""Weights become a file the product reads: ONNX fp32, its sidecar, its self-check, and the scores beside them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from change_detect.spectral import tone
from training.data import Crops
from training.fit import DEVIATION, LEAST_DEVIATION, MEAN, NO_SIGMA
from training.network import Siamese, Twin

CHECK_CELLS = 128
TILE, OVERLAP = 512, 128
DZ_SCALE_M, DZ_MOST = 3.0, 3.0


@dataclass(frozen=True, slots=True)
class Form:
    """What sets one kind of network apart: the channels of its inputs, how colours are fed, and its own lines of the sidecar."""

    inputs: dict[str, int]
    fed: Callable[[np.ndarray], np.ndarray]
    sidecar: dict[str, Any]


def _fixed(picture: np.ndarray) -> np.ndarray:
    return (picture.astype(np.float32) - MEAN) / DEVIATION


def _own(picture: np.ndarray) -> np.ndarray:
    mean, deviation = tone(picture[::4, ::4].reshape(-1, 3).astype(np.float32), LEAST_DEVIATION)
    return np.asarray((picture.astype(np.float32) - mean) / deviation)


FORMS: dict[str, Form] = {
    "place": Form(
        {"before": 3, "after": 3, "heights": 2},
        _fixed,
        {
            "gsd_m": 0.1,
            "gsd_range_m": [0.08, 0.6],
            "mean": [MEAN] * 3,
            "std": [DEVIATION] * 3,
            "heights": {"scale_m": DZ_SCALE_M, "most": DZ_MOST, "sigma_most_m": NO_SIGMA},
        },
    ),
    "city": Form(
        {"before": 3, "after": 3},
        _own,
        {"gsd_m": 0.5, "gsd_range_m": [0.3, 0.7], "mean": [0.0] * 3, "std": [1.0] * 3, "own_tone": LEAST_DEVIATION},
    ),
}


def export(network: Siamese | Twin, folder: Path, name: str, held_out: Crops, *, threshold: float = 0.5) -> Path:
    """Write `name.onnx`, `name.json` and `name.npz` (the self-check, a made-up crop); the ONNX path."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{name}.onnx", folder / f"{name}.part"
    network = network.eval().to(memory_format=torch.contiguous_format)
    form = FORMS[held_out.recipe.kind]
    side, names = 256, list(form.inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter speaks of its own successor
        torch.onnx.export(
            network,
            tuple(torch.zeros(1, channels, side, side) for channels in form.inputs.values()),
            str(part),
            input_names=names,
            output_names=["logit"],
            dynamic_axes={n: {2: "h", 3: "w"} for n in [*names, "logit"]},
            opset_version=17,
            dynamo=False,
        )
    part.replace(path)
    example = _example(held_out)
    planes = [form.fed(example[n]) for n in ("before", "after")]
    if "heights" in form.inputs:
        dz, sigma = np.clip(example["dz"] / DZ_SCALE_M, -DZ_MOST, DZ_MOST), np.clip(example["sigma"], 0, NO_SIGMA)
        planes.append(np.stack([dz, sigma], -1))
    beyond = (0, TILE - CHECK_CELLS, 0, TILE - CHECK_CELLS)
    fed = (torch.from_numpy(np.moveaxis(p, -1, 0)[None].astype(np.float32)) for p in planes)
    with torch.no_grad():  # as the product feeds it
        answer = torch.sigmoid(network(*(torch.nn.functional.pad(x, beyond, mode="replicate") for x in fed)))
    np.savez_compressed(folder / f"{name}.npz", expected=answer[0, 0, :CHECK_CELLS, :CHECK_CELLS].numpy(), **example)
    sidecar = {
        "name": name,
        "layout": "pair",
        "inputs": names,
        "output": "logit",
        "answer": "logit",
        "tile": TILE,
        "overlap": OVERLAP,
        "value_range": [0, 255],
        "threshold": threshold,
        "near": round(0.8 * threshold, 3),
        "least_area_m2": 10.0,
        "check": f"{name}.npz",
        **form.sidecar,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar, indent=1) + "\n")
    return path


def _example(held_out: Crops) -> dict[str, np.ndarray]:
    """The middle of the held-out crop in which most was built; of those with heights, if any may have them."""
    layers, heights = held_out.layers, "sigma" in held_out.layers
    known = [int(i) for i in held_out.ready if not heights or np.isfinite(layers["sigma"][i].astype(np.float32)).mean() > 0.5]
    r = (layers["label"].shape[1] - CHECK_CELLS) // 2
    part = np.s_[r : r + CHECK_CELLS, r : r + CHECK_CELLS]
    best = max(known, key=lambda i: int((layers["label"][i][part] & 1).sum()))
    out = {n: np.array(layers[n][best][part]) for n in ("before", "after")}
    if not heights:
        return out
    dz, sigma = (layers[n][best][part].astype(np.float32) for n in ("dz", "sigma"))
    unknown = ~np.isfinite(sigma)
    return out | {"dz": np.where(unknown, np.float32(0), dz), "sigma": np.where(unknown, np.float32(NO_SIGMA), sigma)}
