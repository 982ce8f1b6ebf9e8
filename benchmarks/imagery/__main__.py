"""Every bar of imagery. `make bench NAME=imagery`; `ARGS="--only planted,town"` runs a part, `--keep FOLDER` keeps what was built.

With `--keep` finished surveys are taken up again, so that a change of one stage is measured without the stages before it: delete the
files of the stage that changed. Sets that are not on this machine are said to be missing.
"""

from __future__ import annotations

import sys

from benchmarks.runner import modules, run

SETS = ("sheffield", "planted", "brighton", "town", "ground", "control", "cost", "growth", "coregistration")
"""Modules of this package with `rows(folder) -> list[Row]`, in the order they are run."""


if __name__ == "__main__":
    sys.exit(run("imagery", modules("imagery", SETS), __doc__ or "", sys.argv[1:]))
