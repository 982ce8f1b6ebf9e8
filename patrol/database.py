"""The database behind one door: an SQLite file by default, PostgreSQL with PostGIS by URL alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_READ = {"patrol_read": True}


class DatabaseError(RuntimeError):
    """The database cannot be reached, or is not what its URL says."""


def engine(url: str) -> Engine:
    """An engine for a URL such as `sqlite:////data/patrol.sqlite` or `postgresql://user@host/name`."""
    try:
        parsed = make_url(url)
    except ArgumentError as err:
        raise DatabaseError(f"not a database URL: {url!r}; write sqlite:////path/file or postgresql://user@host/name") from err
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=10, max_overflow=10)
    raise DatabaseError(f"{parsed.get_backend_name()} is not supported: use SQLite or PostgreSQL")


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise DatabaseError("SQLite needs a file, such as sqlite:////data/patrol.sqlite: several processes share it")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    made = create_engine(url, connect_args={"timeout": 30})

    @event.listens_for(made, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, in one place
        for pragma in ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write says so at once: a reader that turns into a writer half-way may find itself locked out.
        reading = connection.get_execution_options().get("patrol_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return made


class Database:
    """One engine and its transactions. Each process opens its own; `close` it at the end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = engine(url)

    @property
    def is_postgres(self) -> bool:
        """Whether the shapes are PostGIS's."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end, or rolled back whole when anything is raised."""
        with Session(self.engine) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction for looking only; on SQLite it waits for nobody."""
        with Session(self.engine.execution_options(**_READ)) as session:
            yield session

    def check(self) -> None:
        """Raise DatabaseError unless the database answers and has the newest tables."""
        try:
            with self.engine.execution_options(**_READ).connect() as connection:
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        except SQLAlchemyError as err:
            said = _first_line(err)
            if "disk" in said:  # SQLite cannot even be read on a full one
                raise DatabaseError(
                    f"数据库所在磁盘已满或出错，请清理空间后重试，数据不会丢失。 the database's disk is full or broken ({said}): free some space, "
                    "nothing is lost"
                ) from err
            raise DatabaseError(f"the database does not answer or is empty ({said}); run `patrol init`") from err
        if found != newest():
            raise DatabaseError(f"the database is at revision {found}, this program needs {newest()}; run `patrol init`")

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _first_line(err: Exception) -> str:
    return str(getattr(err, "orig", None) or err).strip().split("\n", maxsplit=1)[0]


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def newest() -> str | None:
    """The newest revision this program knows."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(url: str) -> None:
    """Bring a database to the newest tables: makes them where there are none, safe to run twice and by two processes at once."""
    made = engine(url)
    try:
        with made.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(7303014)"))
            config = _config()
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except SQLAlchemyError as err:
        raise DatabaseError(f"the database could not be brought up to date: {_first_line(err)}") from err
    finally:
        made.dispose()
