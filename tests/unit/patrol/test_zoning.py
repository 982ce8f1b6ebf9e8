from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from shapely.affinity import translate
from shapely.geometry import Polygon, box

from airspace.differences import Aspect
from airspace.errors import ZoneFileRefused
from airspace.formats import geojson
from airspace.windows import Day, Window
from airspace.zones import Zone, ZoneKind
from dispatch.actor import Role
from flight.calendar import Placement, Plan
from geo.area import Area, AreaId
from geo.datums import bd09
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import FixedClock, Span
from patrol import airspaces, audit, auth, database, records, repositories
from patrol.api.app import make_app
from patrol.pipeline import areas, planning, zoning
from patrol.pipeline.zonehits import DOWNLOAD
from patrol.records import VersionState
from patrol.settings import Settings
from patrol.values import dump
from patrol.wiring import Workplace, workplace

NOON = datetime(2026, 5, 11, 4, tzinfo=UTC)
PASSWORD = "correct horse 4"
NORTH, EAST = box(120.54, 32.37, 120.56, 32.39), box(120.70, 32.37, 120.72, 32.39)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    """A store with two areas, a dispatcher and an officer."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    settings.home.mkdir()
    database.upgrade(settings.database)
    with workplace(settings, clock=FixedClock(NOON)) as made:
        areas.keep_area(made, Area(AreaId("n"), "北区", NORTH), by="test")
        areas.keep_area(made, Area(AreaId("e"), "东区", EAST), by="test")
        with made.database.write() as session:
            for login, role in (("desk", Role.DISPATCHER), ("officer", Role.OFFICER)):
                auth.add_user(session, login, login, frozenset({role}), PASSWORD, by="test", clock=made.clock)
        yield made


def zone(id: str, outline: Polygon, name: str = "", **more: Any) -> Zone:
    return Zone.single(id, name or f"区{id}", ZoneKind.CONTROLLED, outline, **more)


def saved(tmp_path: Path, *zones: Zone, datum: str | None = "wgs84", name: str = "市空域.geojson") -> Path:
    data = json.loads(geojson.write(zones))
    if datum is None:
        del data["datum"]
    else:
        data["datum"] = datum
    path = tmp_path / name
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def to_baidu(zones: tuple[Zone, ...]) -> tuple[Zone, ...]:
    def moved(outline: Any) -> Polygon:
        places = [bd09(LonLat(lon_deg=x, lat_deg=y)) for x, y in outline.exterior.coords]
        return Polygon([(p.lon_deg, p.lat_deg) for p in places])

    return tuple(replace(z, parts=tuple(replace(p, outline=moved(p.outline)) for p in z.parts)) for z in zones)


def a_mission(work: Workplace, id: str, path: list[list[float]], day: int = 12, state: str = "planned") -> None:
    record = {"path": path, "items": 3, "length_m": 1.0, "duration_s": 1.0, "clearance": {}, "height_m": 80.0}
    made = records.MissionRecord(
        id,
        "survey",
        f"任务{id}",
        "ab" * 32,
        work.clock.now(),
        fly_on=datetime(2026, 5, day, tzinfo=UTC).date(),
        state=state,
        record=record,
    )
    with work.database.write() as session:
        repositories.missions.add(session, made)


def test_the_next_edition_shows_what_changes_and_what_that_hits(work: Workplace, tmp_path: Path) -> None:
    """Before anything is stored: a zone that moves over the north area hits its mission, its sortie and itself, and nothing in the east."""
    elsewhere, still = box(120.60, 32.30, 120.61, 32.31), box(120.90, 32.30, 120.91, 32.31)
    zoning.import_zones(work, saved(tmp_path, zone("a", elsewhere), zone("b", still), zone("c", still)), by="t", source="市局")
    a_mission(work, "m1", [[120.545, 32.375], [120.555, 32.385]])
    a_mission(work, "m2", [[120.705, 32.375], [120.715, 32.385]])
    a_mission(work, "old", [[120.545, 32.375], [120.555, 32.385]], day=10)
    a_mission(work, "done", [[120.545, 32.375], [120.555, 32.385]], state="flown")
    day = datetime(2026, 5, 13, tzinfo=UTC)
    placed = [
        Placement(AreaId(a), day.date(), day.date(), Span(day, day + timedelta(hours=1)), (), 1, 600.0, ()) for a in ("n", "e")
    ]
    with work.database.write() as session:
        plan = Plan(NOON.date(), 30, tuple(placed), ())
        repositories.plans.add(session, records.PlanRecord("p", NOON.date(), 30, NOON, "t", dump(plan)))
        audit.append(session, "pilot", DOWNLOAD, "mission:m1", at=NOON, details={})
    moved = replace(zone("a", translate(elsewhere, -0.055, 0.075)), buffer_m=10.0)
    path = saved(tmp_path, moved, zone("b", still), zone("d", still), name="下一版.geojson")
    seen = zoning.review(work, path, source="市局")
    assert seen.differences.counts == {"added": 1, "removed": 1, "changed": 1, "same": 1}
    assert seen.differences.changes[0].aspects == (Aspect.MOVED, Aspect.BUFFER)
    assert [(h.what, h.id, h.exported) for h in seen.hits] == [
        ("mission", "m1", True),
        ("sortie", "n@2026-05-13", False),
        ("area", "n", False),
    ]
    with work.database.read() as session:
        assert len(airspaces.versions_of(session)) == 1
    made = zoning.accept(work, seen, by="t")
    assert (made.number, made.changes["changed"]) == (2, 1)
    with work.database.read() as session:
        assert {z.id for z in airspaces.in_force(session)} == {"市局/a", "市局/b", "市局/d"}


def test_a_change_far_above_a_mission_does_not_hit_it(work: Workplace, tmp_path: Path) -> None:
    """A zone that begins at 600 m is no matter of a flight at 80 m."""
    a_mission(work, "m1", [[120.545, 32.375], [120.555, 32.385]])
    high = zone("h", NORTH, floor=Height(600, Datum.GROUND), ceiling=Height(900, Datum.GROUND))
    assert zoning.review(work, saved(tmp_path, high)).hits == ()
    assert [h.id for h in zoning.review(work, saved(tmp_path, zone("h", NORTH))).hits] == ["m1", "n"]


def test_the_next_edition_in_another_datum_is_seen_for_what_it_is(work: Workplace, tmp_path: Path) -> None:
    """The same zones out of Baidu's map: guessed and said when the file is silent, refused when it claims WGS 84."""
    zones = (zone("a", NORTH), zone("b", EAST))
    zoning.import_zones(work, saved(tmp_path, *zones), by="t", source="市局")
    silent = zoning.review(work, saved(tmp_path, *to_baidu(zones), datum=None), source="市局")
    assert (silent.file.datum, silent.file.guessed, silent.differences.counts["same"]) == ("bd09", True, 2)
    with pytest.raises(ZoneFileRefused, match="--datum bd09"):
        zoning.review(work, saved(tmp_path, *to_baidu(zones), datum="wgs84"), source="市局")


def test_what_was_looked_at_is_taken_only_while_it_is_true(work: Workplace, tmp_path: Path) -> None:
    """When another version came in the meantime the acceptance is refused; the same file twice is one version."""
    path = saved(tmp_path, zone("a", NORTH))
    seen = zoning.review(work, path)
    first = zoning.accept(work, seen, by="t")
    with pytest.raises(ZoneFileRefused, match="meantime"):
        zoning.accept(work, seen, by="t")
    assert zoning.import_zones(work, path, by="t") == first


def test_an_installation_has_its_own_holidays(work: Workplace, tmp_path: Path) -> None:
    """A day that the city's own table calls a holiday opens the holiday window when air is planned in."""
    quiet = zone("q", NORTH, windows=(Window(days=(Day.HOLIDAY,)),))
    zoning.import_zones(work, saved(tmp_path, quiet), by="t")
    span = Span(NOON, NOON + timedelta(hours=1))
    assert not planning.air(work)[0][0].active(span)
    config = work.settings.home / "config"
    config.mkdir()
    (config / "holidays.csv").write_text("date,kind,name\n2026-05-11,off,建城日\n", encoding="utf-8")
    assert planning.air(work)[0][0].active(span)


def test_versions_are_withdrawn_and_put_back(work: Workplace, tmp_path: Path) -> None:
    """Nothing is deleted, and a successor that was to come later leaves its predecessor in force when it is withdrawn."""
    first = zoning.import_zones(work, saved(tmp_path, zone("a", NORTH)), by="t", source="s")
    seen = zoning.review(work, saved(tmp_path, zone("a", EAST)), source="s")
    later = zoning.accept(work, seen, zoning.Terms(valid_from=NOON + timedelta(days=3)), by="t")
    with work.database.read() as session:
        assert airspaces.versions.get(session, first.id).ends_at == NOON + timedelta(days=3)
    zoning.withdraw(work, later.id, by="t", reason="误发")
    with work.database.read() as session:
        back = airspaces.versions.get(session, first.id)
        assert (back.state, back.ends_at) == (VersionState.CURRENT, None)
    zoning.withdraw(work, first.id, by="t", reason="停用")
    with work.database.read() as session:
        assert airspaces.in_force(session) == ()
    assert zoning.put_back(work, first.id, by="t", reason="恢复").state is VersionState.CURRENT
    with pytest.raises(ZoneFileRefused, match="nothing to do"):
        zoning.put_back(work, first.id, by="t", reason="恢复")


@pytest.mark.parametrize("form", ["geojson", "ed269", "ed318", "kml", "gpkg"])
def test_zones_in_force_go_out_and_come_back_unchanged(work: Workplace, tmp_path: Path, form: str) -> None:
    """The zones of a source as a file are the same edition again."""
    zoning.import_zones(work, saved(tmp_path, zone("a", NORTH, buffer_m=20.0), zone("b", EAST)), by="t", source="s")
    made = zoning.write(work, form, by="t", source="s")
    path = tmp_path / made.name
    path.write_bytes(made.content)
    again = zoning.review(work, path, source="s")
    assert [c.aspects for c in again.differences.changes] == []
    assert again.file.format == form


def test_a_browser_looks_at_a_file_and_takes_it(work: Workplace, tmp_path: Path) -> None:
    """Review, acceptance, versions, export and withdrawal over HTTP; refusals in both languages; only who may, may."""
    path = saved(tmp_path, zone("a", NORTH))
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as client:
        client.post("/api/login", json={"name": "officer", "password": PASSWORD})
        assert client.post("/api/zones/review", params={"name": path.name}, content=b"{}").status_code == 403
        client.post("/api/login", json={"name": "desk", "password": PASSWORD})
        asked = {"name": path.name, "source": "市局"}
        seen = client.post("/api/zones/review", params=asked, content=path.read_bytes()).json()
        assert (seen["datum"], seen["zones"], seen["seen"], seen["counts"]["added"]) == ("wgs84", 1, "none", 1)
        assert [h["id"] for h in seen["hits"]] == ["n"]
        assert client.get("/api/zones").json() == []
        taken = client.post(
            "/api/zones/versions", params={**asked, "seen": seen["seen"], "authority": "市政府"}, content=path.read_bytes()
        )
        assert taken.status_code == 200, taken.text
        stale = client.post("/api/zones/versions", params={**asked, "seen": "none"}, content=path.read_bytes())
        assert (stale.status_code, stale.json()["code"]) == (409, "zones_changed")
        (shown,) = client.get("/api/zones").json()
        assert (shown["id"], shown["authority"], shown["parts"][0]["ceiling"]["datum"]) == ("市局/a", "市政府", "ground")
        broken = client.post(
            "/api/zones/review", params={"name": "x.geojson"}, content=b'{"type": "FeatureCollection",\n "features": ['
        )
        assert broken.status_code == 422
        assert "第 2 行" in broken.json()["text"]["zh"]
        assert "line 2" in broken.json()["text"]["en"]
        assert client.post("/api/zones/review", params={"name": "x.exe"}, content=b"MZ").status_code == 422
        file = client.get("/api/zones/export/ed318")
        assert file.json()["type"] == "FeatureCollection"
        version = taken.json()["id"]
        assert [z["id"] for z in client.get(f"/api/zones/versions/{version}/zones").json()] == ["a"]
        client.post(f"/api/zones/versions/{version}/state", json={"state": "withdrawn", "reason": "试验"})
        assert client.get("/api/zones").json() == []
        assert client.get("/api/zones/versions", params={"state": "withdrawn"}).json()[0]["said"] == "试验"
