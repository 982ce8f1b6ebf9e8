"""Training: crops turned, recoloured and swapped anew each time, checkpoints that a run goes on from, a loss curve kept beside them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from change_detect.spectral import tone
from geo.progress import Progress, silent
from training.city import CHANGED, NEW, OLD
from training.data import Crops
from training.network import Siamese, Twin

MEAN, DEVIATION = 118.0, 55.0
NO_SIGMA = 1.0
LEAST_DEVIATION = 15.0
"""A picture of nothing but lawn is not stretched further than this allows."""

NETWORKS: dict[str, type[Siamese] | type[Twin]] = {"place": Siamese, "city": Twin}
"""Which network learns from which kind of crops."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast; `minutes` bounds the whole run over all its goings-on, whichever is reached first."""

    steps: int = 20_000
    batch: int = 8
    crop: int = 128
    rate: float = 2e-3
    minutes: float = math.inf
    seed: int = 5
    keep_every: int = 20
    warm_up: int = 30
    heights_dropped: float = 0.5


def batches(crops: Crops, plan: Plan, start: int) -> Iterator[tuple[Tensor, ...]]:
    """Endless batches of `PARTS` of the kind, each step decided by its number alone (and by which crops are ready)."""
    step, one = start, PARTS[crops.recipe.kind]
    ready = crops.ready
    while True:
        rng = np.random.default_rng([plan.seed, step])
        if step % 50 == 0:
            ready = crops.ready
        parts = [one(crops, int(i), rng, plan) for i in rng.choice(ready, plan.batch)]
        yield tuple(torch.from_numpy(np.stack(p)) for p in zip(*parts, strict=True))
        step += 1


def _one(crops: Crops, i: int, rng: np.random.Generator, plan: Plan) -> tuple[np.ndarray, ...]:
    size, n = crops.layers["label"].shape[1], plan.crop
    r, c = (int(v) for v in rng.integers(0, size - n + 1, 2))
    part = np.s_[i, r : r + n, c : c + n]
    before, after, dz, sigma, label = (np.asarray(crops.layers[k][part]) for k in ("before", "after", "dz", "sigma", "label"))
    dz, sigma = dz.astype(np.float32), sigma.astype(np.float32)
    if rng.random() < 0.5:
        before, after, dz = after, before, -dz
    if rng.random() < plan.heights_dropped:
        dz, sigma = np.zeros_like(dz), np.full_like(sigma, NO_SIGMA)
    turn, flip = int(rng.integers(4)), rng.random() < 0.5
    out = []
    for a in (before, after, dz, sigma, label):
        b = np.rot90(a, turn)
        out.append(b[:, ::-1] if flip else b)
    pictures = []
    for a in out[:2]:
        p = a.astype(np.float32) * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32) + np.float32(rng.normal(0, 8))
        pictures.append(np.ascontiguousarray(np.moveaxis((p - MEAN) / DEVIATION, -1, 0), dtype=np.float32))
    heights = np.stack([np.clip(out[2] / 3, -3, 3), np.clip(out[3], 0, NO_SIGMA)]).astype(np.float32)
    return pictures[0], pictures[1], heights, np.ascontiguousarray(out[4][None]).astype(np.float32)


def _colours(crops: Crops, i: int, rng: np.random.Generator, plan: Plan) -> tuple[np.ndarray, ...]:
    """Before and after `(3, n, n)`, and what came or went, stood, stands `(3, n / 2, n / 2)`: shares of each cell."""
    size, n = crops.layers["label"].shape[1], plan.crop
    r, c = (int(v) for v in rng.integers(0, (size - n) // 2 + 1, 2) * 2)
    turn, flip, swapped = int(rng.integers(4)), rng.random() < 0.5, rng.random() < 0.5
    bits = np.asarray(crops.layers["label"][i, r : r + n, c : c + n])
    dates = ("after", "before") if swapped else ("before", "after")
    shown = []
    for name in dates:
        whole = np.asarray(crops.layers[name][i])
        mean, deviation = tone(whole[::4, ::4].reshape(-1, 3).astype(np.float32), LEAST_DEVIATION)
        deviation = deviation * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3))
        p = (whole[r : r + n, c : c + n].astype(np.float32) - mean - rng.normal(0, 5) - rng.normal(0, 3, 3)) / deviation
        shown.append(np.moveaxis(_turned(p, turn, flip=flip), -1, 0).astype(np.float32))
    masks = np.stack([(bits & bit) > 0 for bit in ((CHANGED, NEW, OLD) if swapped else (CHANGED, OLD, NEW))], -1)
    masks = masks.astype(np.float32).reshape(n // 2, 2, n // 2, 2, 3).mean((1, 3))
    return shown[0], shown[1], np.ascontiguousarray(np.moveaxis(_turned(masks, turn, flip=flip), -1, 0))


def _turned(picture: np.ndarray, turn: int, *, flip: bool) -> np.ndarray:
    out = np.rot90(picture, turn)
    return out[:, ::-1] if flip else out


PARTS: dict[str, Callable[[Crops, int, np.random.Generator, Plan], tuple[np.ndarray, ...]]] = {"place": _one, "city": _colours}
"""What the network of each kind is fed, its label last."""


def loss_of(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy plus the Dice of the whole batch."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, label)
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * label).sum() + 1) / (p.sum() + label.sum() + 1)
    return entropy + 0.5 * dice


def loss(network: Siamese | Twin, fed: tuple[Tensor, ...], label: Tensor) -> Tensor:
    """Of one batch; a Twin also answers for what it says of each date, half as much."""
    with torch.autocast("cpu", torch.bfloat16):  # 1.65 times as fast where the CPU has it
        told = network.parts(*fed) if isinstance(network, Twin) else (network(*fed),)
    each = [loss_of(logits.float(), label[:, k : k + 1]) for k, logits in enumerate(told)]
    return each[0] + 0.5 * sum(each[1:], torch.zeros(()))


def fit(
    crops: Crops, plan: Plan, folder: Path, progress: Progress = silent, *, until: float = math.inf, begin: Path | None = None
) -> Siamese | Twin:
    """Train, or go on training, up to the plan's steps or minutes (or the wall clock `until`, seconds of `time.time`).

    A new run takes over from the checkpoint `begin`, of whatever kind, the weights whose names and shapes it shares.
    The rate falls along a half cosine over whichever share, of steps or of minutes, is further gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    network = NETWORKS[crops.recipe.kind]().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.6 times as fast on a CPU
    optimiser = torch.optim.AdamW(network.parameters(), plan.rate, weight_decay=1e-4)
    step, spent, curve = 0, 0.0, []
    checkpoint = folder / "checkpoint.pt"
    if begin is not None:
        own, given = network.state_dict(), torch.load(begin, weights_only=True)["network"]
        network.load_state_dict({k: given[k] if k in given and given[k].shape == v.shape else v for k, v in own.items()})
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        step, spent, curve = kept["step"], kept["spent_s"], kept["curve"]
    network.train()
    began, losses = time.time() - spent, []
    for *fed, label in batches(crops, plan, step):
        now = time.time()
        gone = max(step / plan.steps, (now - began) / 60 / plan.minutes, 1.0 if now > until else 0.0)
        if gone >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * max(0.01, 0.5 * (1 + math.cos(math.pi * gone))) * min(1.0, (step + 1) / plan.warm_up)
        now_lost = loss(network, tuple(x.contiguous(memory_format=torch.channels_last) for x in fed), label)
        optimiser.zero_grad(set_to_none=True)
        now_lost.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        losses.append(float(now_lost.detach()))
        step += 1
        progress(step, plan.steps, f"train, loss {np.mean(losses[-50:]):.3f}")
        if step % plan.keep_every == 0:
            curve.append((step, round(float(np.mean(losses[-plan.keep_every :])), 4)))
            _keep(checkpoint, network, optimiser, step, time.time() - began, curve, plan)
    _keep(checkpoint, network, optimiser, step, time.time() - began, curve, plan)
    return network.eval()


def _keep(
    path: Path,
    network: Siamese | Twin,
    optimiser: torch.optim.Optimizer,
    step: int,
    spent_s: float,
    curve: list[tuple[int, float]],
    plan: Plan,
) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent_s": spent_s, "curve": curve},
        part,
    )
    part.replace(path)
    note = {"plan": asdict(plan), "steps": step, "minutes": round(spent_s / 60, 1), "curve": curve}
    part = path.with_name("curve.part")
    part.write_text(json.dumps(note, default=str) + "\n")
    part.replace(path.with_name("curve.json"))
