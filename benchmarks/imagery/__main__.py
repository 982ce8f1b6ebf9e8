"""Every bar of imagery. `make bench NAME=imagery`; `ARGS="--only planted,town"` runs a part, `--keep FOLDER` keeps what was built.

With `--keep` finished surveys are taken up again, so that a change of one stage is measured without the stages before it: delete the
files of the stage that changed. Sets that are not on this machine are said to be missing.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import publish
from patrol import terminal

SETS = ("sheffield", "planted", "brighton", "town", "ground", "control", "cost", "growth", "coregistration")
"""Modules of this package with `rows(folder) -> list[Row]`, in the order they are run."""


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--keep", type=Path, help="keep the surveys in this folder")
    asked = parser.parse_args(arguments)
    done = 0
    for name in asked.only.split(","):
        folder = asked.keep / name if asked.keep else Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            rows = importlib.import_module(f"benchmarks.imagery.{name}").rows(folder)
            publish("imagery", rows)
            done += len(rows)
        except FileNotFoundError as err:
            terminal.complain(f"{name}: {err}")
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
