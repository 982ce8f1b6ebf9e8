"""The one form every benchmark speaks: rows of figures, a table on the screen, a JSON file, a section of RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from patrol import terminal

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `bar` is what is asked for, `peer_value` what `peer` reached on the same data in the same run."""

    metric: str
    dataset: str
    value: float | None
    unit: str
    better: Literal["higher", "lower"]
    bar: float | None = None
    peer: str | None = None
    peer_value: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the bar is met; empty without a bar."""
        if self.bar is None or self.value is None:
            return ""
        met = self.value >= self.bar if self.better == "higher" else self.value <= self.bar
        return "✓" if met else "✗"


def machine() -> str:
    """The machine in a line."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        model = f"{found.group(1).strip()}, " if found else ""
    return f"{model}{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def publish(name: str, rows: Sequence[Row]) -> None:
    """Print, and write both files; figures of data sets that were not run now stay as they were."""
    path = HERE / "results" / f"{name}.json"
    fresh = {r.dataset for r in rows}
    kept = [Row(**old) for old in json.loads(path.read_text())] if path.exists() else []
    rows = [*(r for r in kept if r.dataset not in fresh), *rows]
    cells = [
        (r.metric, r.dataset, _figure(r.value), r.unit, _figure(r.bar), r.verdict, r.peer or "", _figure(r.peer_value))
        for r in rows
    ]
    head = ("metric", "dataset", "value", "unit", "bar", "", "peer", "peer value")
    terminal.out.print(terminal.table(name, head, cells))
    (HERE / "results").mkdir(exist_ok=True)
    path.write_text(json.dumps([asdict(r) for r in rows], ensure_ascii=False, indent=1) + "\n")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(c) for c in row) + " |" for row in cells]
    day = datetime.now(UTC).date()
    body = f"## {name}\n\n`make bench NAME={name}` · {machine()} · {day}\n\n" + "\n".join(lines) + "\n"
    results = HERE / "RESULTS.md"
    text = (
        results.read_text()
        if results.exists()
        else "# Results\n\nEach section is written by its benchmark; times are of a shared machine.\n"
    )
    pattern = re.compile(rf"## {re.escape(name)}\n.*?(?=\n## |\Z)", re.DOTALL)
    text = pattern.sub(lambda _: body, text) if pattern.search(text) else f"{text.rstrip()}\n\n{body}"
    results.write_text(text)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
