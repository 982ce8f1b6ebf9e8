"""One benchmark of many sets: what was asked for is run, its rows are published; sets that are not on this machine are said to be missing."""

from __future__ import annotations

import argparse
import importlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.report import Row, publish
from patrol import terminal

Set = Callable[[Path], list[Row]]
"""The figures of one set; what it builds lies in the folder."""


def modules(name: str, sets: Sequence[str]) -> Mapping[str, Set]:
    """Sets that are modules `benchmarks.<name>.<set>` with `rows(folder)`, imported when they are run."""

    def of(one: str) -> Set:
        return lambda folder: importlib.import_module(f"benchmarks.{name}.{one}").rows(folder)

    return {one: of(one) for one in sets}


def run(name: str, sets: Mapping[str, Set], about: str, arguments: Sequence[str]) -> int:
    """Run what is asked for and publish it; 1 when no set could be run."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--only", default=",".join(sets))
    parser.add_argument("--keep", type=Path, help="keep what was built in this folder")
    asked = parser.parse_args(arguments)
    done = 0
    for one in asked.only.split(","):
        folder = asked.keep / one if asked.keep else Path(tempfile.mkdtemp(prefix=f"bench-{one}-"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            rows = sets[one](folder)
            publish(name, rows)
            done += len(rows)
        except FileNotFoundError as err:
            terminal.complain(f"{one}: {err}")
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)
    return 0 if done else 1
