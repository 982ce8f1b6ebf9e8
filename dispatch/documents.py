"""Papers (法律文书): the text of each document of a case, filled from the case and the facts; a gap is refused, never left blank.

A template is a text file in `data/documents`, its first line the title; `${name}` marks a fact. A city replaces the files, not
the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from string import Template

from dispatch import texts
from dispatch.case import Case, StepKind
from dispatch.deadlines import DATA
from dispatch.errors import DispatchError
from dispatch.refusal import Reason, Refusal
from geo.times import LOCAL_ZONE


class Paper(StrEnum):
    """The papers that can be written."""

    VERIFICATION = "verification"  # 现场检查笔录
    STOP_ORDER = "stop_order"  # 责令停止违法行为通知书
    DECISION = "decision"  # 限期拆除决定书
    DEMAND = "demand"  # 履行行政决定催告书
    ANNOUNCEMENT = "announcement"  # 限期拆除公告
    ENFORCE_READY = "enforce_ready"  # 强制执行决定书
    CLOSING = "closing"  # 结案报告


@dataclass(frozen=True, slots=True)
class Document:
    """One paper: its kind, number, title and plain text."""

    paper: Paper
    number: str
    title: str
    text: str


def write(paper: Paper, case: Case, given: Mapping[str, str | date | datetime], *, written_at: datetime) -> Document | Refusal:
    """The text of a paper; a Refusal that names every missing fact.

    `given` are the facts that the case does not know: `number`, `office`, `party`, and what the template asks for. What the case
    knows (its number, place, verdict, officers, decision …) is filled in by itself; times are written in local time.
    """
    title, body = _template(paper)
    known = {**_of_case(case), "date": _said(written_at), **{name: _said(value) for name, value in given.items()}}
    wanted = sorted(set(re.findall(r"\$\{(\w+)\}", body)) | {"number"})
    gaps = tuple(Reason("paper_gap", missing=name, values={"paper": title}) for name in wanted if not known.get(name, "").strip())
    if gaps:
        return Refusal(paper, case.state, gaps)
    return Document(paper, known["number"], title, Template(body).substitute(known))


def wants(paper: Paper, case: Case) -> tuple[str, ...]:
    """The facts a form must ask for: what the template wants and the case does not know."""
    _, body = _template(paper)
    known = {name for name, value in _of_case(case).items() if value} | {"date"}
    return tuple(sorted((set(re.findall(r"\$\{(\w+)\}", body)) | {"number"}) - known))


def _of_case(case: Case) -> dict[str, str]:
    decision, demand, form = case.step(StepKind.DECISION), case.step(StepKind.DEMAND), case.verification
    announcement = case.step(StepKind.ANNOUNCEMENT)
    known = {
        "case_number": case.number,
        "place": f"东经{case.place.lon_deg:.6f}°，北纬{case.place.lat_deg:.6f}°",
        "town": case.town,
        "opened_on": _said(case.opened_at),
        "close_reason": texts.VERDICTS.get(case.close_reason, {"zh": case.close_reason})["zh"],
        "closed_on": _said(case.closed_at) if case.closed_at else "",
    }
    if form is not None:
        known |= {
            "verdict": texts.VERDICTS[form.verdict]["zh"],
            "officers": "、".join(form.officers),
            "visited_at": _said(form.at),
            "measured_m2": f"{form.measured_m2:.1f}" if form.measured_m2 else "",
            "photos": str(len(form.photos)),
            "party": form.owner,
            "use": form.use,
        }
    for name, step in (("decision", decision), ("demand", demand), ("announcement", announcement)):
        if step is not None:
            known |= {f"{name}_number": step.document, f"{name}_served_on": _said(step.served_at) if step.served_at else ""}
    return known


def _said(value: str | date | datetime) -> str:
    if isinstance(value, datetime):
        local = value.astimezone(LOCAL_ZONE)
        return f"{local.year}年{local.month}月{local.day}日"
    return f"{value.year}年{value.month}月{value.day}日" if isinstance(value, date) else value


@lru_cache(maxsize=16)
def _template(paper: Paper) -> tuple[str, str]:
    path = DATA / "documents" / f"{paper}.txt"
    try:
        title, _, body = path.read_text(encoding="utf-8").partition("\n")
    except OSError as err:
        raise DispatchError(f"the template of {paper} cannot be read: {path}") from err
    return title.strip(), body.lstrip("\n")
