"""The bars of the airspace. `make bench NAME=airspace`; `ARGS="--only imports"` runs a part."""

from __future__ import annotations

import sys

from benchmarks.runner import modules, run

SETS = ("imports", "clearing", "drafting")
"""Modules of this package with `rows(folder) -> list[Row]`, in the order they are run."""


if __name__ == "__main__":
    sys.exit(run("airspace", modules("airspace", SETS), __doc__ or "", sys.argv[1:]))
