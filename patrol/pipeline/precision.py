"""How right the product was, from the store: lines per month, kind and town or area, totals along each, and files of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import openpyxl
from openpyxl.styles import Font
from sqlalchemy import select

from dispatch import texts
from dispatch.finding import Finding, Source
from dispatch.precision import UNEXPLAINED, Count, Line, count, total
from geo.area import AreaId
from geo.times import local_day
from patrol import audit, repositories
from patrol.pipeline import learning
from patrol.pipeline.comparing import KIND_TEXT
from patrol.tables import CaseRow, FindingRow
from patrol.wiring import Workplace

MONTHS = 12
UNEXPLAINED_TEXT: Mapping[str, str] = {"zh": "未说明原因", "en": "no cause given"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: months from `since` to `until` (first days, both counted), and one area, kind or place where it is named."""

    since: date
    until: date
    area_id: str | None = None
    kind: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The lines that were wanted, and their sums: in all, by month (every month, empty ones too), by kind, by place.

    `places` says of each place whether it is a town or, where none is known, an area; `kinds` and `places` are all there are in
    these months, wanted or not.
    """

    wanted: Wanted
    lines: tuple[Line, ...]
    total: Count
    by_month: tuple[tuple[date, Count], ...]
    by_kind: tuple[tuple[str, Count], ...]
    by_place: tuple[tuple[str, Count], ...]
    kinds: tuple[str, ...]
    places: Mapping[str, str]


def lately(work: Workplace, months: int = MONTHS) -> tuple[date, date]:
    """The first days of the first and the last of so many months, this one included."""
    now = local_day(work.clock.now()).replace(day=1)
    return _months_on(now, 1 - months), now


def report(work: Workplace, wanted: Wanted) -> Report:
    """The figures of these months as they stand now: a verdict of today may be on a finding of long ago."""
    with work.database.read() as session:
        conditions = [FindingRow.source == Source.IMAGERY.value]
        if wanted.area_id is not None:
            repositories.areas.get(session, wanted.area_id)
            conditions.append(FindingRow.area_id == wanted.area_id)
        findings = repositories.findings.where(session, *conditions)
        towns = {finding_id: town for finding_id, town in session.execute(select(CaseRow.finding_id, CaseRow.town)) if town}
        names = {area.id: area.name for area in repositories.areas.where(session)}
        told = learning.told(session)
    places: dict[str, str] = {}

    def place_of(finding: Finding) -> str:
        town = finding.town or towns.get(str(finding.id), "")
        name = town or names.get(AreaId(finding.area_id), finding.area_id)
        places[name] = "town" if town or places.get(name) == "town" else "area"
        return name

    inside = [f for f in findings if wanted.since <= local_day(f.found_at).replace(day=1) <= wanted.until]
    every = count(inside, told.standing, told.held, place_of)
    lines = tuple(x for x in every if wanted.kind in {None, x.kind} and wanted.place in {None, x.place})
    by_month = dict(_sums(lines, lambda x: x.month))
    months = _every_month(wanted.since, wanted.until)
    return Report(
        wanted,
        lines,
        total(lines),
        tuple((m, by_month.get(m, Count())) for m in months),
        _sums(lines, lambda x: x.kind),
        _sums(lines, lambda x: x.place),
        tuple(sorted({x.kind for x in every})),
        {x: places[x] for x in sorted(places)},
    )


def _sums(lines: Iterable[Line], key: Callable[[Line], Any]) -> tuple[tuple[Any, Count], ...]:
    groups: dict[Any, Count] = {}
    for line in lines:
        groups[key(line)] = groups.get(key(line), Count()) + line.count
    return tuple(sorted(groups.items(), key=lambda item: (-item[1].raised, str(item[0]))))


def _months_on(month: date, by: int) -> date:
    years, index = divmod(month.year * 12 + month.month - 1 + by, 12)
    return date(years, index + 1, 1)


def _every_month(since: date, until: date) -> tuple[date, ...]:
    n = (until.year - since.year) * 12 + until.month - since.month + 1
    return tuple(_months_on(since, i) for i in range(max(n, 0)))


COLUMNS: tuple[tuple[str, str, Callable[[Count], Any]], ...] = (
    ("报出", "raised", lambda c: c.raised),
    ("属实", "right", lambda c: c.right),
    ("误报", "wrong", lambda c: c.wrong),
    ("未研判", "unjudged", lambda c: c.unjudged),
    ("重复", "duplicates", lambda c: c.duplicates),
    ("其中到现场", "seen on the ground", lambda c: c.visited),
    ("查准率", "precision", lambda c: _share(c.precision)),
    ("95%下限", "95 % from", lambda c: _share(c.interval and c.interval[0])),
    ("95%上限", "95 % to", lambda c: _share(c.interval and c.interval[1])),
    ("未研判全按误报计", "if all unjudged were wrong", lambda c: _share(c.floor)),
    ("规则抑制未看", "held back, not looked at", lambda c: c.held),
    ("抑制后认定属实", "held back, found right", lambda c: c.held_right),
    ("抑制后认定误报", "held back, found wrong", lambda c: c.held_wrong),
)

MEANING: tuple[tuple[str, str], ...] = (
    (
        "查准率＝属实÷（属实＋误报）；未研判的不计入，但逐项列出。",
        "Precision is right over right and wrong; what nobody has judged is not in it, and listed beside it.",
    ),
    (
        "属实：该处确有新建（不论合法与否），含已拆除。误报：非建筑，或并非新建。",
        "Right: something was built there, lawful or not, standing or gone. Wrong: no structure, or no new one.",
    ),
    (
        "现场核查优先于内业研判，同级以较晚者为准；按发现月份统计，结果随核查更新。",
        "A visit counts before the desk, the later before the earlier; each counts in the month it came up, as known today.",
    ),
    (
        "区间为 Wilson 95% 置信区间。排除时未说明原因的一律按误报计。",
        "Intervals are Wilson's, 95 %. A rejection that names no cause counts as wrong.",
    ),
)


def cause_text(code: str) -> Mapping[str, str]:
    """A cause in both languages."""
    return UNEXPLAINED_TEXT if code == UNEXPLAINED else texts.CAUSES[code]


def kind_text(code: str) -> tuple[str, str]:
    """A kind of change in both languages."""
    return KIND_TEXT.get(code, (code, code))


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def table(made: Report) -> list[list[Any]]:
    """Header, a row per line, and the sum."""
    causes = sorted({code for line in made.lines for code in line.count.causes})
    head = ["月份 month", "类型 kind", "镇街/单元 town or area", *(f"{zh} {en}" for zh, en, _ in COLUMNS)]
    head += [f"误报：{cause_text(c)['zh']} {cause_text(c)['en']}" for c in causes]

    def cells(c: Count) -> list[Any]:
        return [*(of(c) for _, _, of in COLUMNS), *(c.causes.get(code, 0) for code in causes)]

    rows = [[f"{x.month:%Y-%m}", kind_text(x.kind)[0], x.place, *cells(x.count)] for x in made.lines]
    return [head, *rows, ["合计 total", "", "", *cells(made.total)]]


def as_csv(made: Report) -> bytes:
    """UTF-8 with the mark that spreadsheets look for; a text that begins like a formula stays a text."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([[_safe(cell) for cell in row] for row in table(made)])
    return out.getvalue().encode("utf-8-sig")


def _safe(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@"} else cell


def as_xlsx(made: Report) -> bytes:
    """Two sheets: the lines, and what each figure means."""
    book = openpyxl.Workbook()
    _fill(book.active, "查准率", table(made), bold=(0, -1))
    _fill(book.create_sheet(), "口径说明", [["口径", "meaning"], *map(list, MEANING)], bold=(0,))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(sheet: Any, title: str, rows: Sequence[Sequence[Any]], *, bold: tuple[int, ...]) -> None:
    sheet.title = title
    thick = {i % len(rows) for i in bold}
    for r, row in enumerate(rows):
        for c, value in enumerate(row):
            cell = sheet.cell(r + 1, c + 1, value)
            if isinstance(value, str):
                cell.data_type = "s"
            if r in thick:
                cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"


FORMS: Mapping[str, tuple[str, Callable[[Report], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", as_xlsx),
}


def handed_out(work: Workplace, wanted: Wanted, form: str, *, by: str) -> tuple[str, str, bytes]:
    """Name, media type and bytes of a file of the figures; that they left is on record."""
    made = report(work, wanted)
    media_type, write = FORMS[form]
    now = work.clock.now()
    with work.database.write() as session:
        told = {"form": form, "since": wanted.since.isoformat(), "until": wanted.until.isoformat(), "lines": len(made.lines)}
        audit.append(session, by, "export.precision", f"precision:{wanted.area_id or 'all'}", at=now, details=told)
    return f"precision-{wanted.since:%Y%m}-{wanted.until:%Y%m}.{form}", media_type, write(made)
