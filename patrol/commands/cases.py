"""Commands of what was found: `patrol finding`, `patrol case`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from patrol import terminal
from patrol.commands.shell import Json, actor, opened
from patrol.terminal import complain, say, table

finding_app = typer.Typer(help="线索 findings", no_args_is_help=True)
case_app = typer.Typer(help="案件 cases", no_args_is_help=True)


@finding_app.command("list")
def finding_list(
    area: Annotated[str | None, typer.Option()] = None,
    state: Annotated[str | None, typer.Option()] = None,
    least: Annotated[float, typer.Option(help="the lowest score to show, 0..1; says how many are below")] = 0.0,
    json_: Json = False,
) -> None:
    """Findings, the surest first."""
    from patrol import repositories

    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    with opened() as work, work.database.read() as session:
        every, _ = repositories.search_findings(session, wanted, limit=1000)
    found = tuple(f for f in every if f.score >= least)
    if len(found) < len(every):
        terminal.err.print(
            f"另有 {len(every) - len(found)} 条可信度低于 {least:.2f} / {len(every) - len(found)} more score below {least:.2f}"
        )
    rows = [
        (f.number, f.id, f.state, f.kind, f"{f.area_m2:.1f}", f.height_m and f"{f.height_m:+.2f}", f"{f.score:.2f}")
        for f in found
    ]
    say(found, as_json=json_, table=table("线索 findings", ("number", "id", "state", "kind", "m²", "Δh", "score"), rows))


@finding_app.command("decide")
def finding_decide(
    finding: str,
    decision: str,
    note: Annotated[str, typer.Option()] = "",
    cause: Annotated[str | None, typer.Option(help="of what is rejected: pile, renovation, vehicle, vegetation, …")] = None,
    json_: Json = False,
) -> None:
    """A reviewer's word: confirm, reject, restore or needs_imagery."""
    from dispatch.cause import AT_DESK, Cause
    from patrol.pipeline import casework

    if cause is not None and cause not in AT_DESK:
        raise typer.BadParameter(f"{cause!r} is none of {', '.join(AT_DESK)}", param_hint="--cause")

    if decision not in casework.DECISIONS:
        raise typer.BadParameter(f"{decision!r} is none of {', '.join(casework.DECISIONS)}")
    with opened() as work:
        _said(casework.decide(work, finding, decision, note, actor(), cause=Cause(cause) if cause else None), json_)


@case_app.command("list")
def case_list(
    area: Annotated[str | None, typer.Option()] = None, state: Annotated[str | None, typer.Option()] = None, json_: Json = False
) -> None:
    """Cases, the most urgent first."""
    from patrol import repositories

    wanted = repositories.CaseFilter(states=tuple(s for s in (state or "").split(",") if s), area_id=area)
    with opened() as work, work.database.read() as session:
        found, _ = repositories.search_cases(session, wanted, limit=1000)
    rows = [(c.number, c.id, c.state, c.assignee, c.due_at, c.close_reason) for c in found]
    say(found, as_json=json_, table=table("案件 cases", ("number", "id", "state", "assignee", "due", "outcome"), rows))


@case_app.command("show")
def case_show(case: str, json_: Json = False) -> None:
    """A case, its history and its lawful next acts."""
    from dispatch import workflow
    from patrol import repositories

    with opened() as work:
        with work.database.read() as session:
            found = repositories.cases.get(session, case)
            history = repositories.history(session, "case", case)
        offers = workflow.offers(found, actor(), work.clock, office=work.office)
    rows = [(f"{e.at:%Y-%m-%d %H:%M}", e.by_name, e.act, e.after, e.note) for e in history]
    acts = [{"act": o.act, "needs": o.needs, "refusal": o.refusal.text("zh") if o.refusal else None} for o in offers]
    made = table(f"案件 {found.number}  {found.state}", ("at", "by", "act", "state", "note"), rows)
    say({"case": found, "history": history, "acts": acts}, as_json=json_, table=made)
    if not json_:
        terminal.out.print("可办 next: " + "  ".join(f"{o.act}({', '.join(o.needs)})" for o in offers if o.refusal is None))


@case_app.command("act")
def case_act(
    case: str,
    act: Annotated[str, typer.Argument(help="dispatch, accept, verify, handle, recheck, close, …")],
    note: Annotated[str, typer.Option()] = "",
    fact: Annotated[list[str] | None, typer.Option(help="name=value, e.g. verdict=illegal_built, officers=张三,李四")] = None,
    json_: Json = False,
) -> None:
    """One act on a case; a refusal names the article of law and what is missing."""
    from patrol.pipeline import casework

    given: dict[str, Any] = {}
    for item in fact or []:
        name, found, value = item.partition("=")
        if not found:
            raise typer.BadParameter(f"{item!r}: write name=value")
        given[name] = value
    with opened() as work:
        _said(casework.act(work, case, act, note, given, actor()), json_)


def _said(done: Any, json_: bool) -> None:
    from dispatch.refusal import Refusal

    if isinstance(done, Refusal):
        say({"refused": True, "reasons": [r.text("zh") for r in done.reasons]}, as_json=json_)
        raise typer.Exit(complain(done.text("zh")))
    say(done, as_json=json_, table=f"{done.number}: {done.state}")
