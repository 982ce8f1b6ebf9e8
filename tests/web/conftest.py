"""A real server on a copy of the simulated month, and a real browser's address for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from patrol import simulation
from patrol.api.app import PAGE
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.conftest import absent, free_port
from tests.loop.month import Month


@dataclass(frozen=True, slots=True)
class LiveServer:
    """Where the page is and how to sign in."""

    url: str
    login: str
    password: str
    home: Path


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's browser."""
    found = shutil.which("chromium")
    if found is None:
        absent("chromium is not installed: apt-get install chromium")
    return str(found)


@pytest.fixture(scope="session")
def live_page_server(month: Month, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """`patrol serve` as a process of its own, with two simulated vehicles on the wire."""
    from dataclasses import replace

    from patrol import repositories

    if not (PAGE / "index.html").is_file():
        absent("the page is not built: make page")
    home = tmp_path_factory.mktemp("page") / "store"
    shutil.copytree(month.settings.home, home)
    settings = Settings(home=home, database_url="", broker_url="")
    port = free_port()
    with workplace(settings) as work, work.database.read() as session:
        fleet = repositories.aircraft.where(session)
    with simulation.vehicle(fleet[0].home, speedup=4.0) as one, simulation.vehicle(fleet[1].home, speedup=4.0, sysid=2) as two:
        with workplace(settings) as work, work.database.write() as session:
            for aircraft, url in zip(fleet, (one, two), strict=False):
                repositories.aircraft.put(session, replace(aircraft, link_url=url))
        environment = {**os.environ, "PATROL_HOME": str(home), "PATROL_DATABASE_URL": "", "PATROL_BROKER_URL": ""}
        with (home / "serve.log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "patrol", "serve", "--port", str(port)], env=environment, stdout=log, stderr=log
            )
            try:
                until_up(f"http://127.0.0.1:{port}", server, home / "serve.log")
                yield LiveServer(f"http://127.0.0.1:{port}", month.login, month.password, home)
            finally:
                server.terminate()
                server.wait(30)


def until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers that it is well."""
    for _ in range(240):
        assert server.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{url}/api/health", timeout=2) as answer:
                if json.load(answer)["database"]:
                    return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")
