"""Training: crops turned, recoloured and swapped anew each time, checkpoints that a run goes on from, a loss curve kept beside them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from geo.progress import Progress, silent
from training.data import Crops
from training.network import Siamese

MEAN, DEVIATION = 118.0, 55.0
NO_SIGMA = 1.0


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


def batches(crops: Crops, plan: Plan, start: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Endless (before, after, heights, label), each step decided by its number alone (and by which crops are ready)."""
    step = start
    while True:
        rng = np.random.default_rng([plan.seed, step])
        ready = crops.ready
        picked = rng.choice(ready, plan.batch)
        parts = [_one(crops, int(i), rng, plan) for i in picked]
        yield tuple(torch.from_numpy(np.stack(p)) for p in zip(*parts, strict=True))  # type: ignore[misc]
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


def loss_of(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy plus the Dice of the whole batch."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, label)
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * label).sum() + 1) / (p.sum() + label.sum() + 1)
    return entropy + 0.5 * dice


def fit(crops: Crops, plan: Plan, folder: Path, progress: Progress = silent, *, until: float = math.inf) -> Siamese:
    """Train, or go on training, up to the plan's steps or minutes (or the wall clock `until`, seconds of `time.time`).

    The rate falls along a half cosine over whichever share, of steps or of minutes, is further gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    network = Siamese().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.6 times as fast on a CPU
    optimiser = torch.optim.AdamW(network.parameters(), plan.rate, weight_decay=1e-4)
    step, spent, curve = 0, 0.0, []
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        step, spent, curve = kept["step"], kept["spent_s"], kept["curve"]
    network.train()
    began, losses = time.time() - spent, []
    for before, after, heights, label in batches(crops, plan, step):
        now = time.time()
        gone = max(step / plan.steps, (now - began) / 60 / plan.minutes, 1.0 if now > until else 0.0)
        if gone >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * max(0.01, 0.5 * (1 + math.cos(math.pi * gone))) * min(1.0, (step + 1) / plan.warm_up)
        pictures = (x.contiguous(memory_format=torch.channels_last) for x in (before, after, heights))
        with torch.autocast("cpu", torch.bfloat16):  # 1.65 times as fast where the CPU has it
            logits = network(*pictures)
        loss = loss_of(logits.float(), label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        step += 1
        progress(step, plan.steps, f"train, loss {np.mean(losses[-50:]):.3f}")
        if step % plan.keep_every == 0:
            curve.append((step, round(float(np.mean(losses[-plan.keep_every :])), 4)))
            _keep(checkpoint, network, optimiser, step, time.time() - began, curve, plan)
    _keep(checkpoint, network, optimiser, step, time.time() - began, curve, plan)
    return network.eval()


def _keep(
    path: Path,
    network: Siamese,
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
