"""Commands of what verdicts teach: `patrol precision`, `patrol calibration …`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from patrol.commands.shell import BY, Json, opened
from patrol.terminal import say, table

calibration_app = typer.Typer(help="校准 calibration: what scores are worth in this city", no_args_is_help=True)

Month = Annotated[str | None, typer.Option(help="such as 2026-11")]


def precision(
    since: Month = None,
    until: Month = None,
    area: Annotated[str | None, typer.Option(help="id of an area")] = None,
    kind: Annotated[str | None, typer.Option(help="one kind of change, such as new_building")] = None,
    place: Annotated[str | None, typer.Option(help="one town, or area where no town is known")] = None,
    out: Annotated[Path | None, typer.Option(help="write a table: .csv or .xlsx")] = None,
    json_: Json = False,
) -> None:
    """Of what was raised, how much was right: by month, kind and town, with all that nobody has judged yet."""
    from patrol.pipeline import precision as figures

    if out is not None and out.suffix[1:] not in figures.FORMS:
        raise typer.BadParameter(f"{out.name}: write .csv or .xlsx", param_hint="--out")
    with opened() as work:
        first, last = figures.lately(work)
        wanted = figures.Wanted(_month(since) or first, _month(until) or last, area, kind, place)
        made = figures.report(work, wanted)
        if out is not None:
            out.write_bytes(figures.handed_out(work, wanted, out.suffix[1:], by=BY)[2])
    rows = [[f"{x.month:%Y-%m}", figures.kind_text(x.kind)[0], x.place, *_cells(x.count)] for x in made.lines]
    rows.append(["合计 total", "", "", *_cells(made.total)])
    columns = (
        "月 month",
        "类型 kind",
        "镇街 place",
        "报出 raised",
        "属实 right",
        "误报 wrong",
        "未研判 unjudged",
        "查准率",
        "95%",
        "误报原因",
    )
    say(made, as_json=json_, table=table(f"查准率 precision {wanted.since:%Y-%m} … {wanted.until:%Y-%m}", columns, rows))


def _cells(count: Any) -> list[Any]:
    from patrol.pipeline.precision import cause_text

    low_high = "" if count.interval is None else f"{count.interval[0]:.0%}–{count.interval[1]:.0%}"
    causes = "、".join(f"{cause_text(code)['zh']} {n}" for code, n in sorted(count.causes.items(), key=lambda item: -item[1]))
    share = "" if count.precision is None else f"{count.precision:.0%}"
    return [count.raised, count.right, count.wrong, count.unjudged, share, low_high, causes]


def _month(said: str | None) -> date | None:
    if said is None:
        return None
    try:
        return date.fromisoformat(f"{said}-01")
    except ValueError as err:
        raise typer.BadParameter(f"{said!r} is not a month; write 2026-11") from err


@calibration_app.command("list")
def calibration_list(json_: Json = False) -> None:
    """Every try at learning from verdicts, and which is in force."""
    from patrol import calibrations

    with opened() as work, work.database.read() as session:
        found = calibrations.newest_first(session)
    say(found, as_json=json_, table=_table(found))


@calibration_app.command("learn")
def calibration_learn(json_: Json = False) -> None:
    """Learn from all verdicts; used from now on if it is better on areas and surveys it has not seen."""
    from patrol.pipeline import learning

    with opened() as work:
        made = learning.learn(work, by=BY)
    say(made, as_json=json_, table=_table((made,)))


@calibration_app.command("use")
def calibration_use(
    number: Annotated[int, typer.Argument(help="of an earlier version; 0 is what ships")],
    reason: Annotated[str, typer.Option(help="why; it goes on record")],
    json_: Json = False,
) -> None:
    """Use an earlier version again; comparisons made before keep their scores."""
    from patrol.pipeline import learning

    with opened() as work:
        done = learning.put_back(work, number, by=BY, reason=reason)
    say(done, as_json=json_, table="出厂评分 as shipped" if done is None else _table((done,)))


def _table(found: Any) -> Any:
    rows = [(c.number, c.state, c.labels, c.right, f"{c.made_at:%Y-%m-%d}", f"{c.zh}\n{c.en}") for c in found]
    return table("校准 calibrations", ("版 version", "状态 state", "标签 labels", "属实 right", "made", "说明"), rows)
