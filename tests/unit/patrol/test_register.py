"""The register in the store: versions replace each other in sight, what it explains is held back in sight, and both can be undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from shapely.geometry import mapping

from dispatch.actor import Actor, Role
from dispatch.finding import Finding, FindingState
from geo.times import FixedClock
from patrol import auth, demo, records, registry, repositories
from patrol.api.app import make_app
from patrol.pipeline import areas, casework, comparing, overlaying, registering
from patrol.records import VersionState
from patrol.registercolumns import RegisterRefused
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.patrol.built import Block, adopted, area

PASSWORD = "correct horse battery"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
ALLOWED = Block(12, 12, 9, 7, 4.0)
TOO_HIGH = Block(40, 12, 9, 7, 5.0)
EXPIRED = Block(12, 45, 8, 6, 3.0)
NOTHING = Block(55, 50, 8, 8, 3.2)
REVIEWER = Actor("r", "审核员", frozenset({Role.REVIEWER}))


def features(*entries: tuple[dict[str, Any], Block, float]) -> dict[str, Any]:
    """Entries around blocks: properties, block, and how far the plot reaches around it in metres."""
    frame = area().frame
    made = [
        {"type": "Feature", "properties": p, "geometry": mapping(frame.to_degrees(b.outline_m().buffer(m, join_style="mitre")))}
        for p, b, m in entries
    ]
    return {"type": "FeatureCollection", "features": made}


PERMITS = features(
    ({"编号": "建字1号", "类型": "建设工程规划许可证", "名称": "厂房", "占地面积": 70, "建筑高度": 4.5}, ALLOWED, 1.0),
    ({"编号": "乡字2号", "类型": "乡村建设规划许可", "占地面积": 70, "建筑高度": 3.0}, TOO_HIGH, 1.0),
    ({"编号": "临3号", "类型": "临时建设许可", "有效期至": "2026-10-01"}, EXPIRED, 1.0),
    ({"编号": "宗地4", "类型": "宗地", "权利人": "张三"}, NOTHING, 5.0),
)


def written(folder: Path, given: dict[str, Any], name: str = "许可.geojson") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(given, ensure_ascii=False), encoding="utf-8")
    return folder / name


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    """A store with one area."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=FixedClock(NOON)) as made:
        areas.keep_area(made, area(), by="test")
        yield made


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Four things built between two surveys, compared under the register."""
    home = tmp_path_factory.mktemp("register")
    settings = Settings(home=home / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=FixedClock(NOON)) as made:
        areas.keep_area(made, area(), by="test")
        registering.import_file(made, written(home, PERMITS), by="test", source="许可")
        adopted(made, home / "before", date(2026, 10, 20))
        adopted(made, home / "after", date(2026, 11, 20), (ALLOWED, TOO_HIGH, EXPIRED, NOTHING))
        comparing.compare(made, "a1", by="test")
        with made.database.write() as session:
            for login, role in (("desk", Role.DISPATCHER), ("judge", Role.REVIEWER)):
                auth.add_user(session, login, login, frozenset({role}), PASSWORD, by="test", clock=made.clock)
        yield made


def finding_at(work: Workplace, block: Block) -> Finding:
    with work.database.read() as session:
        found = repositories.findings.where(session)
    here = block.outline_m()
    return max(found, key=lambda f: area().frame.to_metres(f.outline_wgs84).intersection(here).area)


def labels_at(work: Workplace, block: Block) -> tuple[records.FindingLabel, ...]:
    with work.database.read() as session:
        return registry.labels_of(session, finding_at(work, block).id)


def test_what_is_permitted_is_held_back_in_sight_and_the_rest_is_labelled(compared: Workplace) -> None:
    """Of four new buildings the permitted one is held back with its reason; the others go to triage, each saying what is wrong."""
    with compared.database.read() as session:
        assert len(repositories.findings.where(session)) == 4
        entered = repositories.history(session, "finding", finding_at(compared, ALLOWED).id)
    allowed = finding_at(compared, ALLOWED)
    assert allowed.state is FindingState.SUPPRESSED
    assert "建字1号" in allowed.decision and "building permit" in allowed.decision
    assert [e.act for e in entered] == ["report", "suppress"] and entered[-1].note == allowed.decision
    for block, zh, en in (
        (TOO_HIGH, "超出 2.", "over the 3.0 m allowed"),
        (EXPIRED, "超期 50 天", "expired on 2026-10-01"),
        (NOTHING, "宗地", "parcel"),
    ):
        found = finding_at(compared, block)
        assert found.state is FindingState.TRIAGE
        assert zh in found.reasons[-1] and en in found.reasons[-1]
        (label,) = labels_at(compared, block)
        assert label.share > 0.9 and label.held is None
    assert labels_at(compared, ALLOWED)[0].held == allowed.decision
    assert labels_at(compared, TOO_HIGH)[0].excess_height_m == pytest.approx(2.0, abs=0.3)


def test_the_page_and_the_api_show_what_the_register_says(compared: Workplace) -> None:
    """A reviewer sees the labels with the version that speaks; nobody without the right imports one."""
    with TestClient(make_app(compared, page=Path("/nowhere"), watch=False)) as client:
        assert client.post("/api/login", json={"name": "judge", "password": PASSWORD}).status_code == 200
        found = finding_at(compared, TOO_HIGH)
        (label,) = client.get(f"/api/findings/{found.id}/register").json()
        assert label["number"] == "乡字2号" and label["kind_text"]["zh"] == "乡村建设规划许可"
        assert (label["source"], label["version"], label["version_state"]) == ("许可", 1, "current")
        shown = next(f for f in client.get("/api/findings").json() if f["id"] == found.id)
        assert label["text"]["zh"] in shown["reasons"][-1]
        assert client.post("/api/register?name=a.geojson", content=b"{}").status_code == 403


def test_a_version_replaces_the_one_before_it_and_says_what_changed(work: Workplace, tmp_path: Path) -> None:
    """New, gone, changed and same are counted; the old version stays; the same file again is nothing new."""
    first = registering.import_file(work, written(tmp_path, PERMITS), by="test", source="许可")
    assert (first.number, dict(first.changes)) == (1, {"new": 4, "gone": 0, "changed": 0, "same": 0})
    assert registering.import_file(work, tmp_path / "许可.geojson", by="test", source="许可") == first
    later = {**PERMITS, "features": [dict(f, properties=dict(f["properties"])) for f in PERMITS["features"][:3]]}
    later["features"][0]["properties"]["建筑高度"] = 9
    later["features"][2]["properties"]["编号"] = "临9号"
    second = registering.import_file(work, written(tmp_path, later, "十一月.geojson"), by="test", source="许可")
    assert (second.number, dict(second.changes)) == (2, {"new": 1, "gone": 2, "changed": 1, "same": 1})
    with work.database.read() as session:
        old = registry.versions.get(session, first.id)
        assert (old.state, old.replaced_by) == (VersionState.REPLACED, second.id)
        assert len(registry.entries_of(session, first.id)) == 4
        assert {e.version_id for e in registry.in_force(session, area().outline.bounds)} == {second.id}
    back = registering.put_back(work, first.id, by="test", reason="新版有误")
    with work.database.read() as session:
        assert back.state is VersionState.CURRENT
        assert {e.version_id for e in registry.in_force(session, area().outline.bounds)} == {first.id}


def test_the_same_numbers_under_another_name_are_noticed(work: Workplace, tmp_path: Path) -> None:
    """Last month's permits and this month's would both speak: it is said, with what to do."""
    registering.import_file(work, written(tmp_path, PERMITS, "十月.geojson"), by="test")
    made = registering.import_file(work, written(tmp_path, PERMITS, "十一月.geojson"), by="test")
    (note,) = [n for n in made.notes if n.code == "overlaps"]
    assert note.number == 4 and "--source 十月" in note.zh


def test_nothing_is_half_imported(work: Workplace, tmp_path: Path) -> None:
    """One broken entry among many: the version before it is still the one that speaks, and nothing is new."""
    first = registering.import_file(work, written(tmp_path, PERMITS), by="test", source="许可")
    broken = {
        **PERMITS,
        "features": [*PERMITS["features"], {"type": "Feature", "properties": {"类型": "宗地"}, "geometry": None}],
    }
    with pytest.raises(RegisterRefused, match="第 5 个图斑没有图形"):
        registering.import_file(work, written(tmp_path, broken, "b.geojson"), by="test", source="许可")
    with work.database.read() as session:
        assert registry.versions_of(session) == (first,)
        assert registry.entries.count(session) == 4


def test_a_withdrawn_permit_brings_its_finding_back_and_a_persons_word_stays(compared: Workplace, tmp_path: Path) -> None:
    """Without its permit the finding is in triage again, said so; put back, it is held again, unless a reviewer took it out."""
    with compared.database.read() as session:
        (version,) = registry.versions_of(session)
    number = finding_at(compared, ALLOWED).number
    registering.withdraw(compared, version.id, by="test", reason="批文撤销")
    assert overlaying.relabel(compared, "a1", by="test").back == (number,)
    found = finding_at(compared, ALLOWED)
    assert found.state is FindingState.TRIAGE and "register_changed" in found.decision
    assert labels_at(compared, ALLOWED) == () and not any("建字1号" in r for r in found.reasons)
    registering.put_back(compared, version.id, by="test", reason="撤销有误")
    assert overlaying.relabel(compared, "a1", by="test").held == (number,)
    assert overlaying.relabel(compared, "a1", by="test").held == ()
    found = finding_at(compared, ALLOWED)
    casework.decide(compared, found.id, "restore", "现场与许可不符", REVIEWER)
    again = overlaying.relabel(compared, "a1", by="test")
    assert (again.held, again.back) == ((), ())
    assert finding_at(compared, ALLOWED).state is FindingState.TRIAGE


def test_the_api_takes_a_file_and_says_what_is_wrong_with_it(compared: Workplace, tmp_path: Path) -> None:
    """A good file is a version with its notes; a file beside the area is refused in both languages, and nothing is stored."""
    path = written(tmp_path, PERMITS)
    with TestClient(make_app(compared, page=Path("/nowhere"), watch=False)) as client:
        assert client.post("/api/login", json={"name": "desk", "password": PASSWORD}).status_code == 200
        asked = {"name": "台账.geojson", "source": "台账"}
        made = client.post("/api/register", params=asked, content=path.read_bytes())
        assert made.status_code == 200, made.text
        assert made.json()["entries"] == 4 and made.json()["notes"][0]["code"] == "datum"
        entries = client.get(f"/api/register/{made.json()['id']}/entries").json()
        assert [e["number"] for e in entries] == sorted(e["number"] for e in entries) and len(entries) == 4
        off = client.post("/api/register", params={**asked, "datum": "gcj02"}, content=path.read_bytes())
        assert off.status_code == 422 and set(off.json()["text"]) == {"zh", "en"}
        assert client.post("/api/register", params={"name": "x.dwg"}, content=b"AC").status_code == 422
        move = {"state": "withdrawn", "reason": "试验"}
        assert client.post(f"/api/register/{made.json()['id']}/state", json=move).json()["state"] == "withdrawn"
        assert client.post(f"/api/register/{made.json()['id']}/state", json=move).status_code == 422
        assert client.post("/api/areas/a1/relabel").json()["looked_at"] >= 3
