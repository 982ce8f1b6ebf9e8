from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from airspace.zones import Flag, Permit
from flight.fleet import Aircraft, AircraftId
from geo.area import Area, AreaId, Tier
from geo.camera import Camera
from geo.errors import GeoError
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import FixedClock, Span
from patrol import database as db
from patrol import records
from patrol import repositories as store
from patrol.database import Database, DatabaseError
from patrol.shelf import next_number
from patrol.tables import AreaRow, Base, CounterRow

TOWN = box(120.54, 32.37, 120.56, 32.39)


def an_area(id: str = "a", outline: Polygon | MultiPolygon = TOWN) -> Area:
    return Area(AreaId(id), f"单元 {id}", outline, Tier.GENERAL, 60, 0.1)


def test_models_and_migrations_agree(database: Database) -> None:
    """A database made by the migrations alone has exactly the tables the models say."""
    with database.engine.connect() as connection:

        def meant(_: Any, name: str | None, kind: str, *__: Any) -> bool:
            if kind == "table":
                return name not in {"spatial_ref_sys"}
            # GiST indexes are declared for PostgreSQL only
            return kind != "index" or database.is_postgres or not str(name).endswith("_shape")

        context = MigrationContext.configure(connection, opts={"include_object": meant, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_changes_nothing_and_check_is_content(database: Database) -> None:
    """Bringing up to date what is up to date loses nothing."""
    with database.write() as session:
        store.areas.add(session, an_area())
    db.upgrade(database.url)
    database.check()
    with database.read() as session:
        assert store.areas.get(session, "a") == an_area()


def test_two_programs_may_upgrade_an_empty_database_at_once(tmp_path: Path) -> None:
    """Server and worker that start together do not trip over each other."""
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    failed: list[BaseException] = []

    def bring_up() -> None:
        try:
            db.upgrade(url)
        except BaseException as err:
            failed.append(err)

    hands = [threading.Thread(target=bring_up) for _ in range(3)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert failed == []
    with Database(url) as made:
        made.check()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "needs a file"),
        ("mysql://root@localhost/x", "not supported"),
        ("nonsense", "not a database URL"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_a_sentence(url: str, said: str) -> None:
    """Whoever writes a wrong URL learns what a right one looks like."""
    with pytest.raises(DatabaseError, match=said):
        Database(url)


def test_a_database_that_is_empty_or_away_says_what_to_do(tmp_path: Path) -> None:
    """No table, no server: the sentence names the command that helps."""
    with Database(f"sqlite:///{tmp_path / 'empty.sqlite'}") as empty, pytest.raises(DatabaseError, match="patrol init"):
        empty.check()
    with Database("postgresql://nobody@127.0.0.1:1/none") as away, pytest.raises(DatabaseError, match="does not answer"):
        away.check()


shapes = st.one_of(
    st.builds(
        lambda x, y, w, h: box(x, y, x + w, y + h),
        st.floats(-179, 170),
        st.floats(-89, 80),
        st.floats(1e-6, 5),
        st.floats(1e-6, 5),
    ),
    st.just(MultiPolygon([box(1, 1, 2, 2), box(3, 3, 4, 4)])),
    st.just(Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (1, 2), (2, 2), (2, 1)]])),
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes)
def test_a_shape_comes_back_as_it_went(database: Database, shape: Polygon | MultiPolygon) -> None:
    """Not a digit of an outline is lost on either database, holes and parts included, and its bounds stand beside it."""
    with database.write() as session:
        session.merge(AreaRow(id="s", name="n", tier="key", revisit_days=30, gsd_m=0.05, epsg=4549, shape=shape))
    with database.read() as session:
        row = session.get(AreaRow, "s")
        assert row is not None
        assert row.shape.equals_exact(shape, 0.0)
        assert (row.min_x, row.min_y, row.max_x, row.max_y) == shape.bounds


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    boxes=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8),
    at=st.tuples(st.integers(0, 20), st.integers(0, 20)),
)
def test_a_box_finds_what_touches_it(database: Database, boxes: list[tuple[int, int]], at: tuple[int, int]) -> None:
    """A box query finds exactly what geometry says touches the box, by GiST or by bounds."""
    squares = {str(i): box(x / 10, y / 10, x / 10 + 0.25, y / 10 + 0.25) for i, (x, y) in enumerate(boxes)}
    asked = box(at[0] / 10 + 0.01, at[1] / 10 + 0.01, at[0] / 10 + 0.34, at[1] / 10 + 0.34)
    with database.write() as session:
        for row in store.areas.where(session):
            store.areas.remove(session, row.id)
        for id, square in squares.items():
            store.areas.add(session, an_area(id, square))
    with database.read() as session:
        found = {area.id for area in store.areas.where(session, box=asked.bounds)}
        assert found == {id for id, square in squares.items() if square.intersects(asked)}
        assert store.areas.count(session, box=asked.bounds) == len(found)


def test_postgis_sees_real_geometry_columns(postgres_url: str) -> None:
    """The catalogue that desktop programs read lists every shape with its SRID, and a box query goes through GiST."""
    with Database(postgres_url) as database:
        with database.write() as session:
            store.areas.add(session, an_area())
        with database.read() as session:
            listed = session.execute(text("SELECT f_table_name, srid FROM geometry_columns ORDER BY 1")).all()
            names = {"shape", "place", "axis"}
            shaped = sorted((t.name, 4326) for t in Base.metadata.tables.values() for c in t.c if c.name in names)
            assert listed == shaped
            square_m = session.scalar(text("SELECT ST_Area(shape::geography) FROM areas"))
            assert square_m == pytest.approx(an_area().area_m2, rel=2e-3)
            session.execute(text("SET LOCAL enable_seqscan = off"))
            plan = session.execute(text("EXPLAIN SELECT id FROM areas WHERE shape && ST_MakeEnvelope(120, 32, 121, 33, 4326)"))
            assert "ix_areas_shape" in "\n".join(line for (line,) in plan)


def test_every_shelf_gives_back_what_was_put_on_it(database: Database, clock: FixedClock) -> None:
    """Areas, permits, aircraft, plans, missions, flights, surveys, comparisons, candidates, evidence: all come back equal."""
    now, day = clock.now(), date(2026, 3, 5)
    span = Span(now, now + timedelta(hours=2))
    ground = [Height(m, Datum.GROUND) for m in (0.0, 120.0)]
    camera = Camera(4000, 3000, 2800.0, 2000.0, 1500.0, k1=-0.01)
    values: list[tuple[Any, Any]] = [
        (store.areas, an_area()),
        (store.permits, Permit("p", TOWN, ground[0], ground[1], span, "综合行政执法局", "批1", (Flag.DROP,))),
        (store.aircraft, Aircraft(AircraftId("m3e"), "一号机", camera, 12.0, 1500.0, 0.2, "udp://:14550", LonLat(lon_deg=120.55, lat_deg=32.38))),
        (store.plans, records.PlanRecord("pl", day, 30, now, "chief", {"days": [1, 2]})),
        (store.missions, records.MissionRecord("m", "survey", "a-1", "ab" * 32, now, "a", "pl", "m3e", None, None, day)),
        (store.flights, records.FlightRecord("fl", now, now, "completed", 120, {"track": [[1.5, 2]]}, "m", "a", "m3e", True)),
        (store.surveys, a_survey("s1", day, now)),
        (store.surveys, a_survey("s2", day + timedelta(days=30), now, reference_id="s1")),
        (store.comparisons, records.ComparisonRecord("co", "a", "s1", "s2", now, {"residual_px": 0.7})),
        (store.candidates, records.CandidateRecord("ca", "co", "a", TOWN, 20.5, 1.5, None, "new_building", 0.9, ("dz",), None, None, {"gain_m": 2.5})),
        (
            store.evidence,
            records.EvidenceRecord("e", "finding", "f", "before", "cd" * 32, "image/png", 9, "前期", "chief", now, now, LonLat(lon_deg=120.55, lat_deg=32.38), "s1"),
        ),
    ]  # fmt: skip
    for shelf, value in values:
        with database.write() as session:
            shelf.add(session, value)
    for shelf, value in values:
        with database.read() as session:
            assert shelf.get(session, value.id) == value
    with database.read() as session:
        assert store.last_accepted(session) == {"a": day + timedelta(days=30)}
        assert [survey.id for survey in store.surveys_of(session, "a", accepted=True)] == ["s1", "s2"]
        assert store.comparison_of(session, "s1", "s2") == values[8][1]
        assert store.comparison_of(session, "s2", "s1") is None
        assert a_survey("s1", day, now).asset("ortho") is not None
    with database.write() as session, pytest.raises(store.Taken, match="survey s1"):
        store.surveys.remove(session, "s1")
    with database.write() as session, pytest.raises(store.Taken):
        store.areas.add(session, an_area())


def a_survey(id: str, day: date, now: datetime, reference_id: str | None = None) -> records.SurveyRecord:
    asset = records.Asset("ortho", "ortho.tif", "ef" * 32, 1000)
    quality = {"registered": 98, "given": 100}
    return records.SurveyRecord(id, "a", day, now, TOWN, f"a/{id}", True, quality, (asset,), {"id": id}, reference_id)


def test_a_time_without_zone_is_refused_before_it_is_stored(database: Database) -> None:
    """A naive time is a mistake wherever it comes from; what is stored comes back in UTC."""
    shanghai = datetime.fromisoformat("2026-03-05T10:00:00+08:00")
    with database.write() as session:
        store.plans.add(session, records.PlanRecord("p", date(2026, 3, 5), 30, shanghai, "x", {}))
    with database.read() as session:
        back = store.plans.get(session, "p").made_at
        assert (back, back.tzinfo) == (shanghai, UTC)
    naive = datetime(2026, 3, 5)  # noqa: DTZ001
    with pytest.raises(Exception, match="no time zone") as raised, database.write() as session:
        store.plans.add(session, records.PlanRecord("q", date(2026, 3, 5), 30, naive, "x", {}))
    assert isinstance(getattr(raised.value, "orig", raised.value), GeoError)


def test_a_thing_of_nowhere_cannot_be_stored(database: Database, clock: FixedClock) -> None:
    """Foreign keys hold on either database."""
    with pytest.raises(store.Taken, match="survey s1"), database.write() as session:
        store.surveys.add(session, a_survey("s1", date(2026, 3, 5), clock.now()))


def test_numbers_are_given_out_once_each_by_many_hands(database: Database) -> None:
    """Four hands draw fifteen numbers each: sixty different ones, none left out."""
    drawn: list[int] = []

    def draw() -> None:
        for _ in range(15):
            with database.write() as session:
                drawn.append(next_number(session, "series"))

    hands = [threading.Thread(target=draw) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert sorted(drawn) == list(range(1, 61))


def test_a_reader_waits_for_no_writer(sqlite_url: str) -> None:
    """On the embedded database the map stays quick while a writer holds its transaction open (WAL)."""
    with Database(sqlite_url) as database, database.write() as writing:
        store.areas.add(writing, an_area())
        with database.read() as reading:
            assert store.areas.find(reading, "a") is None


def test_a_transaction_is_whole_or_nothing(database: Database) -> None:
    """An error in the middle takes back what was written before it."""
    with pytest.raises(IntegrityError), database.write() as session:
        store.areas.add(session, an_area())
        session.add_all([CounterRow(name="x", value=1), CounterRow(name="y", value=None)])
    with database.read() as session:
        assert store.areas.find(session, "a") is None
