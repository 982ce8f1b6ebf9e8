"""Routes of what verdicts teach: precision by month, kind and town, the labels of a finding, calibrations."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from dispatch import texts
from dispatch.precision import Count
from patrol import calibrations, records, repositories
from patrol.api import rim
from patrol.api import schemas as wire
from patrol.api.desk import FigureReader, Teacher, Viewer, Work
from patrol.pipeline import learning, precision

router = APIRouter(prefix="/api", tags=["learning"])
Month = Annotated[str | None, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="such as 2026-11")]


class CauseOut(wire.Wire):
    """How many of the wrong ones were what."""

    code: str
    text: wire.Text2
    count: int


class CountOut(wire.Wire):
    """How right a group of findings was; raised is right, wrong, duplicates and unjudged."""

    raised: int
    right: int
    wrong: int
    unjudged: int
    duplicates: int
    visited: int = Field(description="of the judged, seen on the ground")
    held: int = Field(description="held back by a rule from the start and judged by nobody")
    held_right: int
    held_wrong: int
    precision: float | None
    low: float | None = Field(description="95 % interval (Wilson) of the precision")
    high: float | None
    floor: float | None = Field(description="the precision if all that is unjudged were wrong")
    causes: list[CauseOut]


class GroupOut(wire.Wire):
    """One month, kind, or place, and its count."""

    key: str
    text: wire.Text2
    count: CountOut


class LineOut(wire.Wire):
    """One kind in one place in one month."""

    month: str
    kind: str
    kind_text: wire.Text2
    place: str
    count: CountOut


class FilterOut(wire.Wire):
    """A kind or place that figures can be asked for; a place is a town, or an area where no town is known."""

    key: str
    text: wire.Text2
    sort: Literal["kind", "town", "area"]


class PrecisionOut(wire.Wire):
    """查准率: of what was raised, how much was right, with all that nobody has judged yet."""

    since: str
    until: str
    total: CountOut
    months: list[GroupOut]
    kinds: list[GroupOut]
    places: list[GroupOut]
    lines: list[LineOut]
    choices: list[FilterOut]
    meaning: list[wire.Text2]


def _count(c: Count) -> CountOut:
    low, high = c.interval or (None, None)
    causes = [
        CauseOut(code=code, text=rim.text2(precision.cause_text(code)), count=n)
        for code, n in sorted(c.causes.items(), key=lambda item: (-item[1], item[0]))
    ]
    numbers = ("raised", "right", "wrong", "unjudged", "duplicates", "visited", "held", "held_right", "held_wrong")
    given = {name: getattr(c, name) for name in numbers}
    return CountOut(**given, precision=c.precision, low=low, high=high, floor=c.floor, causes=causes)


def _kind(code: str) -> wire.Text2:
    zh, en = precision.kind_text(code)
    return wire.Text2(zh=zh, en=en)


def _same(said: str) -> wire.Text2:
    return wire.Text2(zh=said, en=said)


def _wanted(
    work: Work,
    since: Month = None,
    until: Month = None,
    area: str | None = None,
    kind: str | None = None,
    place: str | None = None,
) -> precision.Wanted:
    first, last = precision.lately(work)
    first = date.fromisoformat(f"{since}-01") if since else first
    last = date.fromisoformat(f"{until}-01") if until else last
    if first > last or (last.year - first.year) * 12 + last.month - first.month >= 120:
        zh, en = "起始月份不能晚于截止月份，且不超过十年。", "The first month must not be after the last, and ten years at most."
        raise rim.Problem(422, "months", zh, en)
    return precision.Wanted(first, last, area, kind, place)


@router.get("/precision", operation_id="precision")
def get_precision(
    work: Work,
    _: FigureReader,
    since: Month = None,
    until: Month = None,
    area: str | None = None,
    kind: str | None = None,
    place: str | None = None,
) -> PrecisionOut:
    """Monthly precision per kind and town, of the last twelve months where none are named, as known at this moment."""
    made = precision.report(work, _wanted(work, since, until, area, kind, place))
    return PrecisionOut(
        since=f"{made.wanted.since:%Y-%m}",
        until=f"{made.wanted.until:%Y-%m}",
        total=_count(made.total),
        months=[GroupOut(key=f"{m:%Y-%m}", text=_same(f"{m:%Y-%m}"), count=_count(c)) for m, c in made.by_month],
        kinds=[GroupOut(key=k, text=_kind(k), count=_count(c)) for k, c in made.by_kind],
        places=[GroupOut(key=p, text=_same(p), count=_count(c)) for p, c in made.by_place],
        lines=[
            LineOut(month=f"{x.month:%Y-%m}", kind=x.kind, kind_text=_kind(x.kind), place=x.place, count=_count(x.count))
            for x in made.lines
        ],
        choices=[
            *(FilterOut(key=k, text=_kind(k), sort="kind") for k in made.kinds),
            *(FilterOut(key=p, text=_same(p), sort="town" if s == "town" else "area") for p, s in made.places.items()),
        ],
        meaning=[wire.Text2(zh=zh, en=en) for zh, en in precision.MEANING],
    )


@router.get("/precision/export", operation_id="export_precision", response_class=Response)
def export_precision(
    work: Work,
    user: FigureReader,
    form: Annotated[Literal["csv", "xlsx"], Query(alias="format")] = "xlsx",
    since: Month = None,
    until: Month = None,
    area: str | None = None,
    kind: str | None = None,
    place: str | None = None,
) -> Response:
    """The same figures as a table; logged."""
    wanted = _wanted(work, since, until, area, kind, place)
    name, media_type, content = precision.handed_out(work, wanted, form, by=user.id)
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


class LabelOut(wire.Wire):
    """标签: what a finding turned out to be, told by whom, when, how well informed; `counts` the one that stands."""

    truth: Literal["structure", "lawful", "gone", "not_new", "not_a_structure", "open"]
    text: wire.Text2
    cause: wire.Text2 | None
    informed: wire.Text2
    at: datetime
    by: str
    counts: bool


@router.get("/findings/{finding_id}/labels", operation_id="finding_labels")
def finding_labels(finding_id: str, work: Work, _: Viewer) -> list[LabelOut]:
    """Every label of a finding, oldest first; none is ever overwritten."""
    with work.database.read() as session:
        repositories.findings.get(session, finding_id)
        told, names = learning.told(session), rim.people(session)
    counting = told.standing.get(finding_id)
    return [
        LabelOut(
            truth=x.truth.value,
            text=rim.text2(texts.TRUTHS[x.truth]),
            cause=rim.text2(texts.CAUSES[x.cause]) if x.cause else None,
            informed=rim.text2(texts.INFORMED[x.informed]),
            at=x.at,
            by=names.get(x.by, x.by),
            counts=x == counting,
        )
        for x in told.labels
        if x.finding_id == finding_id
    ]


class TestOut(wire.Wire):
    """How a calibration did on whole areas or surveys that it had not seen, beside what was in force."""

    by: Literal["area", "survey"]
    groups: int
    labels: int
    loss_before: float
    loss_after: float
    said_before: float
    said_after: float
    was: float
    better: bool


class CalibrationOut(wire.Wire):
    """校准: one try at learning from verdicts."""

    number: int
    state: Literal["current", "replaced", "declined"]
    labels: int
    right: int
    text: wire.Text2
    said: str
    made_by: str
    made_at: datetime
    tests: list[TestOut]


class CalibrationsOut(wire.Wire):
    """All tries, the newest first; `in_force` is the number of the one in use, 0 for what ships; `labels` can be learned from now."""

    in_force: int
    labels: int
    tries: list[CalibrationOut]


class PutBack(wire.Wire):
    """Why another version is used."""

    reason: str = Field(min_length=2, max_length=500)


@router.get("/calibrations", operation_id="list_calibrations")
def list_calibrations(work: Work, _: FigureReader) -> CalibrationsOut:
    """Calibrations, with how each did where it had not looked."""
    with work.database.read() as session:
        names = rim.people(session)
        found = [_calibration(c, names.get(c.made_by, c.made_by)) for c in calibrations.newest_first(session)]
        there = calibrations.in_force(session)
        return CalibrationsOut(
            in_force=there.number if there is not None else 0, labels=len(learning.examples(session)), tries=found
        )


@router.post("/calibrations", operation_id="learn")
def learn(work: Work, user: Teacher) -> CalibrationOut:
    """Learn from all verdicts there are; used by later comparisons if it is better on areas and surveys it has not seen."""
    return _calibration(learning.learn(work, by=user.id), user.name)


@router.post("/calibrations/{number}/use", operation_id="use_calibration")
def use_calibration(number: int, body: PutBack, work: Work, user: Teacher) -> CalibrationsOut:
    """Use an earlier version again; 0 is what ships. Comparisons made before keep their scores."""
    learning.put_back(work, number, by=user.id, reason=body.reason)
    return list_calibrations(work, user)


def _calibration(value: records.CalibrationRecord, name: str) -> CalibrationOut:
    tests = [
        TestOut(
            **{n: t[n] for n in ("by", "groups", "labels", "loss_before", "loss_after", "said_before", "said_after", "was")},
            better=t["gain"] > t["sigma"],
        )
        for t in value.record["tests"]
    ]
    return CalibrationOut(
        number=value.number,
        state=value.state.value,
        labels=value.labels,
        right=value.right,
        text=wire.Text2(zh=value.zh, en=value.en),
        said=value.said,
        made_by=name,
        made_at=value.made_at,
        tests=tests,
    )
