from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path

import pytest
from shapely.geometry import MultiPolygon, Polygon, box
from sqlalchemy import text

from airspace.classes import ZoneClass
from airspace.windows import Day, Window
from airspace.zones import Notice, Occasion, Part, Zone, ZoneKind
from geo.heights import Datum, Height
from geo.times import FixedClock, Span
from patrol import airspaces
from patrol import database as db
from patrol.database import Database
from patrol.pipeline import zoning
from patrol.records import VersionState
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace

WEST, EAST = box(120.50, 32.30, 120.51, 32.31), box(120.60, 32.30, 120.61, 32.31)


@pytest.fixture
def work(tmp_path: Path, database_url: str, clock: FixedClock) -> Iterator[Workplace]:
    """An empty store on each kind of database."""
    with workplace(Settings(home=tmp_path / "store", database_url=database_url, broker_url=""), clock=clock) as made:
        yield made


def rich(work: Workplace) -> Zone:
    """A zone that has everything a zone can have."""
    now = work.clock.now()
    ring = Polygon(box(120.5, 32.3, 120.6, 32.4).exterior.coords, [box(120.52, 32.32, 120.54, 32.34).exterior.coords])
    return Zone(
        "N-7",
        "某机场净空",
        ZoneKind.TEMPORARY,
        (
            Part(ring, Height(0, Datum.GROUND), Height(300, Datum.SEA_LEVEL)),
            Part(MultiPolygon([WEST, EAST]), Height(60, Datum.ELLIPSOID), Height(500, Datum.ELLIPSOID)),
        ),
        ZoneClass.AIRPORT,
        (Span(now, now + timedelta(days=2)),),
        (Window(time(8), time(18, 30), (Day.WORK, Day.SA), now.date(), None, "UTC"),),
        120.5,
        "空管",
        "2026-2",
        True,
        now,
        now + timedelta(days=30),
        Notice(now - timedelta(hours=25), Occasion.EVENT),
        (("备注", "一"), ("备注", "二")),
    )


def test_a_zone_comes_back_from_the_store_as_it_went(work: Workplace) -> None:
    """Parts with their datums, windows, notice and attributes included, in the order of the file."""
    zones = (rich(work), Zone.single("0", "乙", ZoneKind.SUITABLE, WEST))
    with work.database.write() as session:
        made = zoning.keep(session, work, "某市", zones, by="t")
    with work.database.read() as session:
        assert airspaces.zones_of(session, made.id) == zones
        assert airspaces.versions_of(session) == (made,)
        held = airspaces.in_force(session)
    assert [z.id for z in held] == ["某市/N-7", "某市/0"]
    assert held[1].version == "某市#1"


def test_a_box_finds_the_zones_that_touch_it(work: Workplace) -> None:
    """Zones elsewhere are not even read."""
    with work.database.write() as session:
        zoning.keep(
            session,
            work,
            "a",
            (Zone.single("w", "西", ZoneKind.CONTROLLED, WEST), Zone.single("e", "东", ZoneKind.CONTROLLED, EAST)),
            by="t",
        )
    with work.database.read() as session:
        assert [z.id for z in airspaces.in_force(session, (120.605, 32.0, 121.0, 33.0))] == ["a/e"]


def test_the_next_edition_replaces_the_one_before(work: Workplace) -> None:
    """Only the current version of a source speaks; the other stays in the store."""
    with work.database.write() as session:
        zoning.keep(session, work, "a", (Zone.single("w", "西", ZoneKind.CONTROLLED, WEST),), by="t")
        second = zoning.keep(session, work, "a", (Zone.single("e", "东", ZoneKind.CONTROLLED, EAST),), by="t")
    with work.database.read() as session:
        assert [z.id for z in airspaces.in_force(session)] == ["a/e"]
        old = airspaces.versions_of(session, state=VersionState.REPLACED)
        assert [(v.number, v.replaced_by) for v in old] == [(1, second.id)]
        assert len(airspaces.zones_of(session, old[0].id)) == 1


def test_an_edition_for_later_leaves_no_hour_without_rules(work: Workplace) -> None:
    """Until the new one is valid the old one holds, from then on only the new one."""
    now = work.clock.now()
    later = now + timedelta(days=10)
    with work.database.write() as session:
        zoning.keep(session, work, "a", (Zone.single("w", "西", ZoneKind.CONTROLLED, WEST),), by="t")
        zoning.keep(
            session,
            work,
            "a",
            (Zone.single("w", "西", ZoneKind.CONTROLLED, EAST),),
            by="t",
            file=replace(zoning.MADE_HERE, valid_from=later),
        )
    with work.database.read() as session:
        zones = airspaces.in_force(session)
    before, after = Span(later - timedelta(hours=2), later), Span(later, later + timedelta(hours=2))
    assert [z.outline for z in zones if z.active(before)] == [WEST]
    assert [z.outline for z in zones if z.active(after)] == [EAST]


def test_old_data_may_close_air_but_opens_none(work: Workplace) -> None:
    """After the validity of an edition its suitable zones open nothing, while its closed ones stay closed."""
    now = work.clock.now()
    zones = (Zone.single("s", "适飞", ZoneKind.SUITABLE, WEST), Zone.single("p", "禁", ZoneKind.PROHIBITED, WEST))
    with work.database.write() as session:
        zoning.keep(session, work, "a", zones, by="t", file=replace(zoning.MADE_HERE, valid_until=now + timedelta(days=1)))
    after = Span(now + timedelta(days=2), now + timedelta(days=2, hours=1))
    with work.database.read() as session:
        assert [z.id for z in airspaces.in_force(session) if z.active(after)] == ["a/p"]


def test_zones_from_before_versions_are_carried_over(tmp_path: Path) -> None:
    """The migration loses none of the zones that were imported before."""
    import alembic.command

    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    made = db.engine(url)
    with made.begin() as connection:
        config = db._config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0021_sightings")
        connection.execute(
            text(
                "INSERT INTO zones VALUES ('z1', '旧区', 'controlled', :floor, :ceiling, '[]', '局', 'v1', 0, 25.0, :shape, 120.5, 32.3, 120.51, 32.31)"
            ),
            {"floor": '{"metres": 0.0, "datum": "ground"}', "ceiling": '{"metres": 300.0, "datum": "ground"}', "shape": WEST.wkb},
        )
    made.dispose()
    db.upgrade(url)
    with Database(url) as now, now.read() as session:
        zone = Zone.single(
            "z1",
            "旧区",
            ZoneKind.CONTROLLED,
            WEST,
            Height(0, Datum.GROUND),
            Height(300, Datum.GROUND),
            authority="局",
            version="v1",
            buffer_m=25.0,
        )
        assert airspaces.in_force(session) == (replace(zone, id="before/z1"),)
