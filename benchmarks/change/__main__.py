"""Every bar of change detection. `make bench NAME=change`; `ARGS="--only ready,collins"` runs a part, `--keep FOLDER` keeps what was built.

With `--keep` surveys built from photos are taken up again. Sets that are not on this machine are said to be missing. Nothing is tuned on
one set: every set is in the table, every time.
"""

from __future__ import annotations

import sys

from benchmarks.runner import modules, run

SETS = ("ready", "photos", "collins", "towns", "hard", "pairs", "invariance", "corridor", "speed")
"""Modules of this package with `rows(folder) -> list[Row]`, in the order they are run."""


if __name__ == "__main__":
    sys.exit(run("change", modules("change", SETS), __doc__ or "", sys.argv[1:]))
