"""What a comparison costs per square kilometre on 10 cm cells: processor time, memory at two sizes, and the wall with two workers.

The pairs are real flights side by side (see `large`), as dense with trees and changes as these are: some 5,000 candidates a square
kilometre. Windows are looked at by processes of their own, as jobs do it; memory is the largest that one process ever had.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from benchmarks.change.large import make
from benchmarks.report import Row
from change_detect.align import SurveyPair, align
from change_detect.candidate import Candidate
from change_detect.detector import GeometryImage, Seen
from geo.grid import Window

SIDES_M = (500.0, 1000.0)
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one piece of work in a process of its own."""

    cpu_s: float
    peak_mb: float


def rows(folder: Path) -> list[Row]:
    """The figures of every size; pairs that lie in `folder` are taken up."""
    return [row for side_m in SIDES_M for row in _size(folder / f"{side_m:.0f}", side_m)]


def _size(folder: Path, side_m: float) -> list[Row]:
    make(folder, side_m)
    start = time.monotonic()
    with ProcessPoolExecutor(1, get_context("spawn")) as one:
        pair, aligning = one.submit(_align, folder, side_m).result()
    middle = time.monotonic()
    windows = GeometryImage().windows(pair)
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as many:
        looked = [f.result() for f in [many.submit(_see, pair, window) for window in windows]]
    with ProcessPoolExecutor(1, get_context("spawn")) as one:
        found, joining = one.submit(_join, pair, [seen for seen, _ in looked]).result()
    end = time.monotonic()
    km2 = side_m**2 / 1e6
    spent = [*(s for _, s in looked), joining]
    name = f"flights side by side, {km2:g} km2"
    return [
        Row("aligning", name, round(aligning.cpu_s / km2, 1), "cpu-s/km2", "lower"),
        Row("detection", name, round(sum(s.cpu_s for s in spent) / km2, 1), "cpu-s/km2", "lower"),
        Row(
            "ortho and surface to polygons",
            name,
            round((aligning.cpu_s + sum(s.cpu_s for s in spent)) / km2, 1),
            "cpu-s/km2",
            "lower",
            60.0,
        ),
        Row(f"wall with {WORKERS} workers", name, round((end - start) / km2, 1), "s/km2", "lower", 30.0),
        Row(f"wall of detection with {WORKERS} workers", name, round((end - middle) / km2, 1), "s/km2", "lower"),
        Row("memory of a process, largest", name, round(max(s.peak_mb for s in (aligning, *spent))), "MB", "lower", 1500.0),
        Row("windows", name, len(windows), "", "lower"),
        Row("candidates", name, round(len(found) / km2), "1/km2", "lower"),
        Row("candidates shown", name, round(sum(c.suppressed is None for c in found) / km2), "1/km2", "lower"),
    ]


def _align(folder: Path, side_m: float) -> tuple[SurveyPair, Spent]:
    cv2.setNumThreads(1)
    start = time.process_time()
    pair = align(*make(folder, side_m))
    return pair, _spent(start)


def _see(pair: SurveyPair, window: Window) -> tuple[Seen, Spent]:
    cv2.setNumThreads(1)
    start = time.process_time()
    seen = GeometryImage().see(pair, window)
    return seen, _spent(start)


def _join(pair: SurveyPair, seen: Sequence[Seen]) -> tuple[tuple[Candidate, ...], Spent]:
    cv2.setNumThreads(1)
    start = time.process_time()
    found = GeometryImage().joined(pair, seen)
    return found, _spent(start)


def _spent(start: float) -> Spent:
    return Spent(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
