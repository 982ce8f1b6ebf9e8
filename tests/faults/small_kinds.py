"""Small kinds of jobs for the faults' tests; a worker process imports this file by its module name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patrol.jobs import Context, Piece, Spread, job


@job("note")
def note(context: Context, *, folder: str, name: str) -> Mapping[str, Any]:
    """Leaves one line per run: how often it truly ran can be counted."""
    with (Path(folder) / name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return {"pid": os.getpid()}


@job("slow_build")
def slow_build(context: Context, *, folder: str, steps: int) -> Mapping[str, Any]:
    """Works in steps under a temporary name, goes on where a dead worker stopped, renames at the end."""
    half, whole = Path(folder) / "build.half", Path(folder) / "build"
    with (Path(folder) / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if whole.exists():
        return {"built": "before"}
    done = len(half.read_text().splitlines()) if half.exists() else 0
    resumed_at = done
    while done < steps:
        with half.open("a") as file:
            file.write(f"step {done} by {os.getpid()}\n")
        done += 1
        context.progress(done, steps, "building")
        if context.attempt == 1:  # the first worker is slow enough to be killed; the next one is not
            time.sleep(0.2)
    half.replace(whole)
    return {"steps": done, "resumed_at": resumed_at}


@job("wait_for_the_end")
def wait_for_the_end(context: Context) -> None:
    """Works for ever, until it is told to stop."""
    while True:
        context.progress(0, 0, "waiting")
        time.sleep(0.02)


@job("full_disk")
def full_disk(context: Context) -> None:
    """Fails as a full disk does."""
    context.progress(3, 10, "writing")
    raise OSError(28, "No space left on device", "/data/surveys/ortho.tif")


@job("shared_build")
def shared_build(context: Context, *, folder: str, pieces: int, stage: int = 0, bad: int = -1) -> Mapping[str, Any] | Spread:
    """Two stages of pieces that leave a file each, and an end that counts them."""
    made = len(list(Path(folder).glob("piece-*")))
    if stage == 2:
        return {"made": made}
    args = [{"folder": folder, "name": f"piece-{stage}-{n}", "bad": n == bad} for n in range(pieces)]
    missing = [Piece(a, 10) for a in args if not (Path(folder) / str(a["name"])).exists()]
    if not missing:
        return shared_build(context, folder=folder, pieces=pieces, stage=stage + 1)
    return Spread(f"stage {stage}", "shared_piece", tuple(missing), {"stage": stage + 1})


@job("shared_piece")
def shared_piece(context: Context, *, folder: str, name: str, bad: bool) -> None:
    """Ten steps, then a file; or a full disk."""
    for step in range(10):
        context.progress(step, 10, "piece")
        if bad and step == 4:
            raise OSError(28, "No space left on device", f"/data/{name}")
    (Path(folder) / name).touch()
