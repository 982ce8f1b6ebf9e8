"""From verdicts to a better score, over the API, on either database: decide, visit, count, learn, compare, put back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from fastapi.testclient import TestClient
from shapely.geometry import box

from change_detect.calibration import SHIPPED
from change_detect.candidate import Candidate, Kind
from dispatch.actor import Actor, Role
from geo.times import FixedClock
from patrol import audit, auth, calibrations, demo, repositories
from patrol.api.app import make_app
from patrol.database import Database
from patrol.pipeline import areas, comparing, learning, scoring
from patrol.settings import Settings
from patrol.wiring import Workplace, open_blobs, workplace
from tests.unit.patrol import judged
from tests.unit.patrol.built import Block, adopted, area

PASSWORD = "correct horse battery"
ONCE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""The first test holds both databases to it; the others ask nothing else of them."""


@pytest.fixture
def work(database: Database, clock: FixedClock, tmp_path: Path) -> Workplace:
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    roles = frozenset({Role.REVIEWER, Role.DISPATCHER, Role.OFFICER, Role.TOWN_LEAD})
    with database.write() as session:
        auth.add_user(session, "chief", "王队", roles, PASSWORD, by="test", clock=clock)
        auth.add_user(session, "pilot", "飞手", frozenset({Role.PILOT}), PASSWORD, by="test", clock=clock)
    return Workplace(settings, database, open_blobs(settings), clock)


@pytest.fixture
def client(work: Workplace) -> Iterator[TestClient]:
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as made:
        yield made


def filled(work: Workplace, client: TestClient, clock: FixedClock, **given: Any) -> list[str]:
    """What was raised in the past months, and someone signed in today."""
    raised = judged.fill(work.database, clock, **given)
    assert client.post("/api/login", json={"name": "chief", "password": PASSWORD}).status_code == 200
    return raised


def decide(client: TestClient, id: str, decision: str, **body: Any) -> None:
    answer = client.post(f"/api/findings/{id}/decision", json={"decision": decision, **body})
    assert answer.status_code == 200, answer.text


def act(client: TestClient, case: str, name: str, **facts: Any) -> Any:
    return client.post(f"/api/cases/{case}/acts", json={"act": name, "facts": facts})


def test_verdicts_are_counted_learned_from_used_and_put_back(
    work: Workplace, client: TestClient, clock: FixedClock, chief: Actor
) -> None:
    """Forty judged, two of five right though all scored 0.90: precision says so with its interval, later scores follow, and back."""
    raised = filled(work, client, clock)
    judged.judge_most(work.database, clock, raised, chief)
    figures = client.get("/api/precision").json()
    whole = figures["total"]
    assert (whole["raised"], whole["right"], whole["wrong"], whole["unjudged"], whole["held"]) == (48, 16, 24, 8, 8)
    assert whole["precision"] == pytest.approx(0.4) and whole["low"] < 0.4 < whole["high"] and whole["visited"] == 24
    assert whole["floor"] == pytest.approx(16 / 48)
    assert {c["code"]: c["count"] for c in whole["causes"]} == {"pile": 20, "renovation": 4}
    assert len(figures["months"]) == 12 and sum(m["count"]["raised"] for m in figures["months"]) == 48
    assert {p["key"] for p in figures["places"]} == {"如城", "东陈"}
    assert {c["sort"] for c in figures["choices"]} == {"kind", "area"}
    one = client.get("/api/precision", params={"place": "东陈", "kind": "new_building"}).json()
    assert one["total"]["raised"] == 24 and {c["key"] for c in one["choices"]} == {"如城", "东陈", "new_building"}

    made = client.post("/api/calibrations").json()
    assert made["state"] == "current" and (made["number"], made["labels"], made["right"]) == (1, 40, 16)
    assert {t["by"] for t in made["tests"]} == {"area", "survey"} and all(t["better"] for t in made["tests"])
    assert "新建 0.90→" in made["text"]["zh"] and "new building 0.90 to" in made["text"]["en"]
    assert client.post("/api/calibrations").json() == made, "the same labels teach nothing new"

    plain = Candidate("c", box(0, 0, 9, 9), 81.0, 2.0, 3.0, Kind.NEW_BUILDING, 0.9, ("seen",))
    with work.database.read() as session:
        (scored,) = scoring.scored([plain], calibrations.in_force(session), "elsewhere")
    assert 0.4 < scored.score < 0.75 and scored.features["score"] == 0.9
    assert "第 1 版" in scored.reasons[-1] and "calibration 1" in scored.reasons[-1]

    back = client.post("/api/calibrations/0/use", json={"reason": "先观察一个月"}).json()
    assert back["in_force"] == 0 and [c["state"] for c in back["tries"]] == ["replaced"]
    with work.database.read() as session:
        (as_shipped,) = scoring.scored([plain], calibrations.in_force(session), "a")
        assert audit.verify(session) is None
    assert (as_shipped.score, as_shipped.reasons) == (0.9, ("seen",))
    again = client.post("/api/calibrations/1/use", json={"reason": "观察无误"}).json()
    assert again["in_force"] == 1 and again["labels"] == 40
    assert client.post("/api/calibrations/7/use", json={"reason": "无此版"}).status_code == 404


@ONCE
def test_a_visit_revises_the_desk_and_both_stay_on_record(work: Workplace, client: TestClient, clock: FixedClock) -> None:
    """Confirmed at the desk, a pile on the ground: two labels, the second counts, and the figures follow at once."""
    (first, *_) = filled(work, client, clock, each=1)
    decide(client, first, "confirm")
    assert client.get("/api/precision").json()["total"]["precision"] == 1.0
    (case,) = [c["id"] for c in client.get("/api/cases").json()]
    act(client, case, "dispatch", assignee="chief")
    refused = act(client, case, "verify", verdict="not_a_structure", officers=["张三", "李四"])
    assert refused.status_code == 409 and "非建筑" in refused.json()["text"]["zh"]
    assert act(client, case, "verify", verdict="not_a_structure", officers=["张三", "李四"], cause="wall").status_code == 422
    clock.advance(timedelta(hours=1))
    done = act(client, case, "verify", verdict="not_a_structure", officers=["张三", "李四"], cause="vehicle")
    assert done.status_code == 200
    assert client.get("/api/precision").json()["total"]["precision"] == 0.0
    told = client.get(f"/api/findings/{first}/labels").json()
    assert [(x["truth"], x["informed"]["zh"], x["counts"]) for x in told] == [
        ("structure", "内业研判", False),
        ("not_a_structure", "现场核查", True),
    ]
    assert told[1]["cause"] == {"zh": "车辆或临时物品", "en": "Vehicle or movable thing"} and told[1]["by"] == "王队"


@ONCE
def test_what_was_held_back_is_no_lesson(work: Workplace, client: TestClient, clock: FixedClock) -> None:
    """Taken back and confirmed it is counted by itself; neither it nor an unexplained rejection is learned from."""
    (first, *_) = filled(work, client, clock, each=1)
    held = first.removesuffix("-0") + "-1"
    decide(client, held, "restore")
    decide(client, held, "confirm")
    decide(client, first, "reject", note="村民建房，已报批")
    whole = client.get("/api/precision").json()["total"]
    assert (whole["held_right"], whole["right"], whole["wrong"], whole["held"]) == (1, 0, 1, 7)
    assert [c["text"]["zh"] for c in whole["causes"]] == ["未说明原因"]
    with work.database.read() as session:
        assert learning.examples(session) == ()
    made = client.post("/api/calibrations").json()
    assert made["state"] == "declined" and "标签太少" in made["text"]["zh"]
    answer = client.post(f"/api/calibrations/{made['number']}/use", json={"reason": "试试"})
    assert answer.status_code == 409 and "未通过检验" in answer.json()["text"]["zh"]


@ONCE
def test_figures_leave_as_tables_and_on_record(work: Workplace, client: TestClient, clock: FixedClock, chief: Actor) -> None:
    """CSV and XLSX hold the lines and their sum; a town that begins like a formula stays a text; the log knows who took it."""
    raised = filled(work, client, clock)
    judged.judge_most(work.database, clock, raised, chief)
    judged.in_town(work.database, raised[0], "=1+1")
    answer = client.get("/api/precision/export", params={"format": "csv"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][:3] == ["月份 month", "类型 kind", "镇街/单元 town or area"] and rows[-1][3] == "48"
    assert any(row[2] == "'=1+1" for row in rows)
    book = openpyxl.load_workbook(io.BytesIO(client.get("/api/precision/export").content))
    sheet = book["查准率"]
    assert sheet.cell(sheet.max_row, 4).value == 48
    assert all(cell.data_type != "f" for row in sheet for cell in row) and book["口径说明"].max_row == 5
    with work.database.read() as session:
        assert [e.actor != "" for e in audit.entries(session) if e.action == "export.precision"] == [True, True]


@ONCE
def test_months_are_asked_for_by_name_and_nonsense_is_refused(work: Workplace, client: TestClient, clock: FixedClock) -> None:
    """Wrong months are a sentence; a pilot sees no figures and teaches nothing."""
    filled(work, client, clock, each=1)
    for query in ({"since": "2026-13"}, {"since": "2026-05", "until": "2026-04"}, {"since": "1900-01"}):
        assert client.get("/api/precision", params=query).status_code == 422, query
    assert client.get("/api/precision", params={"area": "nowhere"}).status_code == 404
    assert client.get("/api/precision", params={"since": "2026-03", "until": "2026-03"}).json()["since"] == "2026-03"
    client.post("/api/login", json={"name": "pilot", "password": PASSWORD})
    assert client.get("/api/precision").status_code == 403 and client.post("/api/calibrations").status_code == 403


@ONCE
def test_learned_in_one_area_it_is_used_there_alone(work: Workplace, client: TestClient, clock: FixedClock, chief: Actor) -> None:
    """Without a second area there is no test by area, and the other areas keep what ships."""
    raised = filled(work, client, clock)
    judged.judge_most(work.database, clock, [id for id in raised if id.startswith("a")], chief)
    made = client.post("/api/calibrations").json()
    assert made["state"] == "current" and [t["by"] for t in made["tests"]] == ["survey"]
    with work.database.read() as session:
        version = calibrations.in_force(session)
    assert calibrations.curves(version, "a") != SHIPPED and calibrations.curves(version, "b") == SHIPPED


def test_a_later_comparison_shows_the_score_that_was_learned(tmp_path: Path, clock: FixedClock, chief: Actor) -> None:
    """A real comparison of two surveys after learning: the finding has the learned score, the candidate the detector's own beside it."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=clock) as work:
        raised = judged.fill(work.database, clock, kind="extension")
        judged.judge_most(work.database, clock, raised, chief)
        assert learning.learn(work, by="test").number == 1
        areas.keep_area(work, replace(area()), by="test")
        for day, blocks in ((date(2026, 6, 20), ()), (date(2026, 7, 20), (Block(20, 20, 10, 8, 3.0),))):
            adopted(work, tmp_path / str(day), day, blocks)
        made = comparing.compare(work, "a1", by="test")
        with work.database.read() as session:
            (candidate,) = [c for c in repositories.candidates_of(session, made.id) if c.suppressed is None]
            finding = repositories.findings.get(session, str(candidate.finding_id))
    assert made.record["calibration"] == 1
    assert candidate.score < candidate.features["score"] and finding.score == candidate.score
    assert any("calibration 1" in reason for reason in finding.reasons)
