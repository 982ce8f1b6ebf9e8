"""One benchmark of many sets: what was asked for is run, its rows are published; sets that are not on this machine are said to be missing."""

from __future__ import annotations

import argparse
import importlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import publish
from patrol import terminal


def run(name: str, sets: Sequence[str], about: str, arguments: Sequence[str]) -> int:
    """Run sets, modules `benchmarks.<name>.<set>` with `rows(folder) -> list[Row]`, and publish them; 1 when none could be run."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--only", default=",".join(sets))
    parser.add_argument("--keep", type=Path, help="keep the surveys in this folder")
    asked = parser.parse_args(arguments)
    done = 0
    for one in asked.only.split(","):
        folder = asked.keep / one if asked.keep else Path(tempfile.mkdtemp(prefix=f"bench-{one}-"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            rows = importlib.import_module(f"benchmarks.{name}.{one}").rows(folder)
            publish(name, rows)
            done += len(rows)
        except FileNotFoundError as err:
            terminal.complain(f"{one}: {err}")
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)
    return 0 if done else 1
