"""What each stage of a run cost: wall and CPU seconds with children, and peak memory of the whole process tree."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_SAMPLE_S = 0.1


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's cost. `peak_mb` is resident memory of this process and its children, sampled ten times a second."""

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float


class Stages:
    """Collects stages in order; stages of one name add up."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._found: dict[str, Stage] = {}

    @property
    def found(self) -> tuple[Stage, ...]:
        """All stages so far."""
        return tuple(self._found[name] for name in self._order)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        watch = _Watch()
        watch.start()
        wall, cpu = time.monotonic(), _cpu_s()
        try:
            yield
        finally:
            watch.end.set()
            watch.join()
            made = Stage(name, time.monotonic() - wall, max(_cpu_s(), watch.cpu_s) - cpu, watch.peak_mb)
            self._add(made)

    def _add(self, made: Stage) -> None:
        old = self._found.get(made.name)
        if old is None:
            self._order.append(made.name)
            self._found[made.name] = made
        else:
            self._found[made.name] = Stage(
                made.name, old.wall_s + made.wall_s, old.cpu_s + made.cpu_s, max(old.peak_mb, made.peak_mb)
            )


def _cpu_s() -> float:
    t = os.times()
    living = sum(_of(p) for p in psutil.Process().children(recursive=True))
    return t.user + t.system + t.children_user + t.children_system + living


def _of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


class _Watch(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="stage-watch", daemon=True)
        self.end = threading.Event()
        self.peak_mb = 0.0
        self.cpu_s = 0.0

    def run(self) -> None:
        while True:
            total = 0
            for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak_mb = max(self.peak_mb, total / 1e6)
            self.cpu_s = max(self.cpu_s, _cpu_s())
            if self.end.wait(_SAMPLE_S):
                return
