"""Applications (飞行活动申请): their 13 items, their lawful moves, and their Word files."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from defusedxml.ElementTree import fromstring
from shapely.geometry import box

from airspace import word
from airspace.applications import (
    MOVES,
    TITLES,
    Act,
    Application,
    Facts,
    Particulars,
    Refused,
    State,
    advance,
    as_text,
    compose,
    countdown,
    is_due_to_lapse,
    written,
)
from airspace.needs import Kind
from airspace.papers import Purpose
from airspace.zones import GROUND
from geo.heights import Datum, Height
from geo.times import Span

START = datetime(2026, 3, 3, 3, tzinfo=UTC)
SPAN = Span(START, START + timedelta(hours=1))
CLOSES, DECIDED = datetime(2026, 3, 2, 4, tzinfo=UTC), datetime(2026, 3, 2, 13, tzinfo=UTC)
FULL = Particulars("局", "张三", "轻型 1 架", "巡查", "起降点", "电话", SPAN, "航线", "2.4 GHz", "GNSS", "无")


def application(state: State = State.DRAFT, given: Particulars = FULL) -> Application:
    return Application(
        "a", "SQ-1", "某空管站", Kind.APPLICATION, Purpose.PATROL, ("m",), ("z",), ("controlled",), box(120.5, 32.3, 120.51, 32.31), GROUND,
        Height(100, Datum.GROUND), SPAN, compose(given), "1z0p", CLOSES - timedelta(days=1), "pilot", apply_by=CLOSES, decided_by=DECIDED, state=state,
    )  # fmt: skip


def test_an_application_has_the_13_items_of_art_27() -> None:
    """Art. 27: thirteen, in the law's order, the times in Beijing time, and what nobody knows is marked as missing."""
    items = compose(FULL)
    assert [i.number for i in items] == list(range(1, 14))
    assert len(TITLES) == 13
    assert not any(i.missing for i in items)
    assert items[5].text == "2026-03-03 11:00 至 2026-03-03 12:00（北京时间）"
    gaps = compose(replace(FULL, link="", pilots=""))
    assert [i.number for i in gaps if i.missing] == [1, 8]


LATE, IN_TIME, OVER = CLOSES + timedelta(minutes=1), CLOSES - timedelta(minutes=1), START


@pytest.mark.parametrize(("state", "act"), list(product(State, Act)))
def test_only_the_table_moves(state: State, act: Act) -> None:
    """Every pair of state and act: it leads where the table says, or is refused with a reason in both languages."""
    now = OVER if act is Act.LAPSE else IN_TIME
    done = advance(application(state), act, now, Facts("批 7 号", "某空管站", "空域占用"))
    if (state, act) in MOVES:
        assert isinstance(done, Application)
        assert done.state is MOVES[(state, act)]
    else:
        assert isinstance(done, Refused)
        assert done.reasons[0].zh
        assert done.reasons[0].en


@pytest.mark.parametrize(
    ("state", "act", "now", "facts", "code"),
    [
        (State.DRAFT, Act.SUBMIT, LATE, Facts(), "too_late"),  # Art. 26
        (State.SUBMITTED, Act.APPROVE, IN_TIME, Facts(), "number_missing"),
        (State.SUBMITTED, Act.REJECT, IN_TIME, Facts("7"), "note_missing"),
        (State.DRAFT, Act.LAPSE, IN_TIME, Facts(), "not_over"),
        (State.SUBMITTED, Act.LAPSE, LATE, Facts(), "not_over"),
    ],
)
def test_an_act_says_what_is_missing(state: State, act: Act, now: datetime, facts: Facts, code: str) -> None:
    """A refused act changes nothing and names what is amiss."""
    done = advance(application(state), act, now, facts)
    assert isinstance(done, Refused)
    assert [r.code for r in done.reasons] == [code]


def test_a_draft_with_gaps_is_not_submitted_until_they_are_written() -> None:
    """Art. 27: item 8 is missing, is written by hand, and then the application goes out."""
    draft = application(given=replace(FULL, link=""))
    refused = advance(draft, Act.SUBMIT, IN_TIME)
    assert isinstance(refused, Refused)
    assert refused.reasons[0].article == "第二十七条"
    assert "（八）" in refused.reasons[0].zh
    sent = advance(written(draft, 8, "5.8 GHz，20 MHz"), Act.SUBMIT, IN_TIME)
    assert isinstance(sent, Application)
    with pytest.raises(ValueError, match="only a draft"):
        written(sent, 8, "x")
    with pytest.raises(ValueError, match="13"):
        written(draft, 14, "x")


def test_a_countdown_runs_to_what_is_waited_for() -> None:
    """A draft runs to noon, what is submitted to 21:00, what is decided nowhere; then each lapses."""
    assert countdown(application(), IN_TIME) == timedelta(minutes=1)
    assert countdown(application(State.SUBMITTED), DECIDED - timedelta(hours=2)) == timedelta(hours=2)
    assert countdown(application(State.APPROVED), IN_TIME) is None
    assert is_due_to_lapse(application(), LATE)
    assert not is_due_to_lapse(application(State.SUBMITTED), LATE)
    assert is_due_to_lapse(application(State.SUBMITTED), START)
    assert not is_due_to_lapse(application(State.APPROVED), START)


def test_the_text_has_every_item() -> None:
    """What is read out over the telephone leaves nothing out."""
    said = as_text(application(given=replace(FULL, link="")))
    assert all(zh in said for zh, _ in TITLES)
    assert "待填写" in said


def test_a_word_file_is_a_whole_package() -> None:
    """Each part of the package is well-formed, names its neighbours, and holds the text, markup in it made harmless."""
    made = word.document("标题", ("致：<某站> & 局\n第二行",), (("序号", "内容", "填写"), ("1", "甲", "乙\x00")), ("落款",))
    assert made == word.document(
        "标题", ("致：<某站> & 局\n第二行",), (("序号", "内容", "填写"), ("1", "甲", "乙\x00")), ("落款",)
    )
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["[Content_Types].xml", "_rels/.rels", "word/document.xml"]
        parts = {name: fromstring(archive.read(name)) for name in archive.namelist()}
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    texts = [node.text for node in parts["word/document.xml"].iter(f"{space}t")]
    assert texts == ["标题", "致：<某站> & 局", "第二行", "序号", "内容", "填写", "1", "甲", "乙", "落款"]
    assert parts["_rels/.rels"][0].get("Target") == "word/document.xml"
    assert len(list(parts["word/document.xml"].iter(f"{space}tr"))) == 2
