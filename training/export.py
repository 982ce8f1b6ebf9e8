"""Weights become a file the product reads: ONNX fp32, its sidecar, its self-check, and the scores beside them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch

from training.data import Crops
from training.fit import DEVIATION, MEAN, NO_SIGMA
from training.network import Siamese

CHECK_CELLS = 128
TILE, OVERLAP = 512, 128
DZ_SCALE_M, DZ_MOST = 3.0, 3.0


def export(network: Siamese, folder: Path, name: str, held_out: Crops) -> Path:
    """Write `name.onnx`, `name.json` and `name.npz` (the self-check, a made-up crop); the ONNX path."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{name}.onnx", folder / f"{name}.part"
    network = network.eval().to(memory_format=torch.contiguous_format)
    side = 256
    feed = (torch.zeros(1, 3, side, side), torch.zeros(1, 3, side, side), torch.zeros(1, 2, side, side))
    names = ["before", "after", "heights"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter speaks of its own successor
        torch.onnx.export(
            network,
            feed,
            str(part),
            input_names=names,
            output_names=["logit"],
            dynamic_axes={n: {2: "h", 3: "w"} for n in [*names, "logit"]},
            opset_version=17,
            dynamo=False,
        )
    part.replace(path)
    example = _example(held_out)
    before, after = (_fed(example[n]) for n in ("before", "after"))
    dz, sigma = example["dz"], example["sigma"]
    heights = torch.from_numpy(np.stack([np.clip(dz / DZ_SCALE_M, -DZ_MOST, DZ_MOST), np.clip(sigma, 0, NO_SIGMA)])[None])
    beyond = (0, TILE - CHECK_CELLS, 0, TILE - CHECK_CELLS)
    tile = [torch.nn.functional.pad(x, beyond, mode="replicate") for x in (before, after, heights)]  # as the product feeds it
    with torch.no_grad():
        expected = torch.sigmoid(network(*tile))[0, 0, :CHECK_CELLS, :CHECK_CELLS].numpy()
    np.savez_compressed(folder / f"{name}.npz", expected=expected, **example)
    sidecar = {
        "name": name,
        "layout": "pair",
        "inputs": names,
        "output": "logit",
        "answer": "logit",
        "gsd_m": 0.1,
        "gsd_range_m": [0.08, 0.6],
        "tile": TILE,
        "overlap": OVERLAP,
        "value_range": [0, 255],
        "mean": [MEAN] * 3,
        "std": [DEVIATION] * 3,
        "threshold": 0.5,
        "near": 0.4,
        "least_area_m2": 10.0,
        "heights": {"scale_m": DZ_SCALE_M, "most": DZ_MOST, "sigma_most_m": NO_SIGMA},
        "check": f"{name}.npz",
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar, indent=1) + "\n")
    return path


def _fed(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis((picture.astype(np.float32) - MEAN) / DEVIATION, -1, 0)[None].copy())


def _example(held_out: Crops) -> dict[str, np.ndarray]:
    """The middle of the held-out crop with heights in which most was built."""
    known = [int(i) for i in held_out.ready if np.isfinite(held_out.layers["sigma"][i].astype(np.float32)).mean() > 0.5]
    r = (held_out.layers["label"].shape[1] - CHECK_CELLS) // 2
    part = np.s_[r : r + CHECK_CELLS, r : r + CHECK_CELLS]
    best = max(known, key=lambda i: int(held_out.layers["label"][i][part].sum()))
    out = {n: np.array(held_out.layers[n][best][part]) for n in ("before", "after")}
    dz, sigma = (held_out.layers[n][best][part].astype(np.float32) for n in ("dz", "sigma"))
    unknown = ~np.isfinite(sigma)
    return out | {"dz": np.where(unknown, np.float32(0), dz), "sigma": np.where(unknown, np.float32(NO_SIGMA), sigma)}
