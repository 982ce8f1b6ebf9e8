"""`python -m training backgrounds|data|fit|export`: each goes on where it was left; all of it stands below the cache folder.

nice -n 15 python -m training backgrounds --photos FOLDER --photo-gsd 0.0172
nice -n 15 python -m training data --count 20000
nice -n 15 python -m training fit --minutes 480
nice -n 15 python -m training export --to change_detect/data
nice -n 15 python -m training classes --to change_detect/data
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2

from geo.progress import Progress
from patrol import terminal
from training import backgrounds, data
from training.camera import Backgrounds

NAME = "structures"
BACKGROUNDS = "backgrounds"
HELD_OUT = data.Recipe(seed=7, count=160, real="brighton_beach")


def main(arguments: Sequence[str]) -> int:
    """One step of the way from nothing to weights."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("step", choices=tuple(STEPS))
    parser.add_argument("--cache", type=Path, default=data.cache())
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--photo-gsd", type=float, help="metres per pixel of those photos")
    parser.add_argument("--real", default="brighton_beach", help="name of the background pairs; empty: made-up ground only")
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=480.0)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", default="run")
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args(arguments)
    cv2.setNumThreads(asked.threads)
    recipe = data.Recipe(asked.seed, asked.count, asked.real)
    with terminal.bar() as progress:
        STEPS[asked.step](asked, recipe, progress)
    return 0


def _backgrounds(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    folder = asked.cache / BACKGROUNDS / recipe.real
    count = backgrounds.make(asked.photos, folder, photo_gsd_m=asked.photo_gsd, progress=progress)
    terminal.out.print(f"{count} pairs in {folder}")


def _data(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    for what, name in ((HELD_OUT, "held_out"), (recipe, "crops")):
        real = Backgrounds(asked.cache / BACKGROUNDS / what.real) if what.real else None
        data.fill(data.opened(asked.cache / name, what), real, progress)


def _fit(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    import torch

    from training.fit import Plan, fit

    torch.set_num_threads(asked.threads)
    plan = Plan(steps=asked.steps, minutes=asked.minutes)
    fit(data.opened(asked.cache / "crops", recipe), plan, asked.cache / asked.run, progress)


def _export(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    import torch

    from training import scores
    from training.export import export
    from training.network import Siamese, parameters

    network = Siamese()
    network.load_state_dict(torch.load(asked.cache / asked.run / "checkpoint.pt", weights_only=True)["network"])
    unseen = data.opened(asked.cache / "held_out", HELD_OUT)
    path = export(network, asked.to or asked.cache / asked.run, NAME, unseen)
    crops = data.opened(asked.cache / "crops", recipe)
    told = {
        "recipe": {**asdict(recipe), "crops_ready": len(crops.ready), "crop_cells": crops.layers["label"].shape[1]},
        "training": json.loads((asked.cache / asked.run / "curve.json").read_text()),
        "parameters": parameters(network),
        "held_out": {"seed": HELD_OUT.seed, **scores.held_out(path, unseen, progress)},
    }
    path.with_suffix(".scores.json").write_text(json.dumps(told, indent=1) + "\n")
    terminal.out.print(json.dumps(told["held_out"], indent=1))


def _classes(asked: argparse.Namespace, recipe: data.Recipe, progress: Progress) -> None:
    from benchmarks.change.months import FITTED, WORN
    from training import classes

    made = classes.Recipe(FITTED, WORN)
    document = classes.fitted(classes.rows(made, asked.cache / "months", progress), made)
    classes.write(document, (asked.to or asked.cache) / "classes.json")
    terminal.out.print(json.dumps(document["scores"], indent=1))


STEPS = {"backgrounds": _backgrounds, "data": _data, "fit": _fit, "export": _export, "classes": _classes}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
