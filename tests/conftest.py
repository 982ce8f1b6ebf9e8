"""Fixtures of the whole house: a database of each kind, a broker of each kind, a clock, people."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from dispatch.actor import Actor, Role
from geo.progress import silent
from geo.times import FixedClock
from patrol.settings import Settings
from tests.loop.month import SIZE_M, STRUCTURES, Month

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
DATABASES = ("sqlite", "postgresql")


def absent(what: str) -> None:
    """Skip outside CI, fail inside it: in CI a missing server would hide half of the suite."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgres_bin() -> Path | None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of our own in a temporary folder; the URL of its `postgres` database."""
    folder = _postgres_bin()
    if folder is None:
        absent("PostgreSQL is not installed: apt-get install postgresql postgresql-15-postgis-3")
    assert folder is not None
    home = Path(tempfile.mkdtemp(prefix="patrol-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(home, "postgres")
    port, data = free_port(), home / "data"

    def run(*command: str) -> None:
        done = subprocess.run([*as_user, *command], capture_output=True, text=True, cwd=home, check=False)
        assert done.returncode == 0, f"{command[0]} failed: {done.stdout}{done.stderr}"

    run(str(folder / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
    try:
        run(str(folder / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(home / "log"), "-w", "start")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [*as_user, str(folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"],
            capture_output=True,
            cwd=home,
            check=False,
        )
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """Server URL, with a database `patrol_template` that has all tables: the tests' own databases are copies of it."""
    import psycopg

    from patrol.database import upgrade

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'").fetchone()
        if found is None:
            absent("PostGIS is not installed: apt-get install postgresql-15-postgis-3")
        connection.execute("CREATE DATABASE patrol_template")
    upgrade(_on(postgres_server, "patrol_template"))
    return postgres_server


def _on(server: str, name: str) -> str:
    return server.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database with all tables."""
    import psycopg

    name = f"t{uuid4().hex[:12]}"
    with psycopg.connect(postgres_template, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE patrol_template".encode())
    yield _on(postgres_template, name)
    with psycopg.connect(postgres_template, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables."""
    from patrol.database import upgrade

    path = tmp_path_factory.mktemp("template") / "patrol.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database with all tables."""
    path = tmp_path / "patrol.sqlite"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database with all tables, once of each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[object]:
    """An open `patrol.database.Database`, once of each kind."""
    from patrol.database import Database

    with Database(database_url) as opened:
        yield opened


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis server of our own on a free port."""
    program = shutil.which("redis-server")
    if program is None:
        absent("Redis is not installed: apt-get install redis-server")
    assert program is not None
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("Redis did not start")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server that speaks S3, as a process of its own on a free port; its URL."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
    )
    try:
        for _ in range(600):
            assert server.poll() is None, "the S3 server ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the S3 server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def bucket_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a prefix in a fresh bucket, with credentials in the environment."""
    from patrol.stores.s3 import Address, client

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "patrol-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "patrol-test-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    name = f"t{uuid4().hex[:12]}"
    url = f"s3://{name}/originals?endpoint={s3_server}"
    client(Address.of(url)).create_bucket(Bucket=name)
    return url


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """A RabbitMQ server of our own on free ports, with an Erlang port mapper of its own."""
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one on the PATH insists on the system's own user and folders
    if not program.exists():
        absent("RabbitMQ is not installed: apt-get install rabbitmq-server")
    home, port, names = Path(tempfile.mkdtemp(prefix="patrol-mq-")), free_port(), str(free_port())
    environment = {
        **os.environ,
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"patrol{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "ERL_EPMD_PORT": names,
    }
    with (home / "said").open("wb") as said:
        server = subprocess.Popen([program], env=environment, stdout=said, stderr=said, cwd=home, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while b"completed with" not in (home / "said").read_bytes():
            if server.poll() is not None or time.monotonic() > end:
                pytest.fail(f"RabbitMQ did not start: {(home / 'said').read_text()[-2000:]}")
            time.sleep(0.2)
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)
        subprocess.run(["epmd", "-port", names, "-kill"], capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def clock() -> FixedClock:
    """Thursday 2026-03-05, 10:00 in Shanghai: a working hour of a working day."""
    return FixedClock(datetime(2026, 3, 5, 2, 0, tzinfo=UTC))


@pytest.fixture
def chief() -> Actor:
    """One person with every role: for tests that are not about roles."""
    return Actor("chief", "王队", frozenset(Role) - {Role.SYSTEM})


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """A simulated month on a small town; the tests that use it only look."""
    from patrol import demo
    from patrol.stages import Stages
    from patrol.wiring import workplace

    settings = Settings(home=tmp_path_factory.mktemp("month"), database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        login, password = demo.first_admin(work)
    report = demo.simulated_month(settings, seed=3, progress=silent, stages=Stages(), size_m=SIZE_M, structures=STRUCTURES)
    return Month(settings, report, login, password)
