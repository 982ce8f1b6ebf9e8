"""How the command line speaks: tables and progress bars for people, one JSON document for machines, exit codes for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from geo.progress import Progress
from patrol.values import dump

OK, REFUSED, USAGE, NOT_SET_UP = 0, 1, 2, 3

out = Console()
err = Console(stderr=True)

STAGES: Mapping[str, str] = {
    "fetch": "取回照片 fetch",
    "hash": "计算指纹 hash",
    "upload": "上传 upload",
    "originals": "保存原片 originals",
    "features": "特征提取 features",
    "matching": "影像匹配 matching",
    "mapping": "空三解算 mapping",
    "surface": "表面模型 surface",
    "ortho": "正射影像 orthophoto",
    "align": "两期配准 align",
    "detect": "变化检测 detect",
    "evidence": "证据裁切 evidence",
    "render": "模拟拍摄 render",
    "fly": "飞行 fly",
}


@contextmanager
def bar(quiet: bool = False) -> Iterator[Progress]:
    """A progress callable that draws one bar per stage on standard error; silent for machines."""
    if quiet:
        yield lambda done, total, what: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=err, transient=not err.is_terminal) as bars:
        rows: dict[str, Any] = {}

        def progress(done: int, total: int, what: str) -> None:
            if what not in rows:
                for other in rows.values():
                    bars.stop_task(other)
                rows[what] = bars.add_task(STAGES.get(what, what), total=total)
            bars.update(rows[what], completed=done, total=total)

        yield progress


def say(value: Any, *, as_json: bool, table: Table | str | None = None) -> None:
    """One result: JSON on standard output for machines, otherwise the table or sentence."""
    if as_json:
        sys.stdout.write(json.dumps(dump(value), ensure_ascii=False, indent=1) + "\n")
    elif table is not None:
        out.print(table)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A plain table."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column)
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def complain(sentence: str, *, code: int = REFUSED) -> int:
    """One clear sentence on standard error."""
    err.print(f"[red]✗[/red] {sentence}", soft_wrap=True, highlight=False)
    return code
