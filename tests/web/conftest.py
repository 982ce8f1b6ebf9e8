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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from patrol import simulation
from patrol.api.app import PAGE
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.conftest import absent, free_port
from tests.loop.month import Month

BROWSER_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The map draws by WebGL; machines without a graphics card draw it in software.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
PATIENCE_MS = 60_000


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


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Debian's chromium, started once for a file; a worker on a busy machine takes its time."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=chromium, args=list(BROWSER_ARGUMENTS))
        yield launched
        launched.close()


@contextmanager
def open_tab(browser: Browser, width: int, height: int) -> Iterator[tuple[Page, list[str]]]:
    """A fresh tab and what it complains of; an error of the page is an error of the test."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN", timezone_id="Asia/Shanghai")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()
    assert complaints == []


def sign_in_at(page: Page, server: LiveServer, address: str = "", login: str | None = None) -> None:
    """Through the login form to an address of the page."""
    page.goto(f"{server.url}/{address}")
    page.get_by_test_id("login-name").fill(login or server.login)
    page.get_by_test_id("login-password").fill(server.password)
    page.get_by_test_id("login-submit").click()


@contextmanager
def serving(home: Path, login: str, password: str) -> Iterator[LiveServer]:
    """`patrol serve` on a store, as a process of its own with its worker."""
    port = free_port()
    environment = {**os.environ, "PATROL_HOME": str(home), "PATROL_DATABASE_URL": "", "PATROL_BROKER_URL": ""}
    with (home / "serve.log").open("wb") as log:
        command = [sys.executable, "-m", "patrol", "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            until_up(f"http://127.0.0.1:{port}", server, home / "serve.log")
            yield LiveServer(f"http://127.0.0.1:{port}", login, password, home)
        finally:
            server.terminate()
            server.wait(30)


def needs_page() -> None:
    """Skip, or in CI fail, where the page is not built."""
    if not (PAGE / "index.html").is_file():
        absent("the page is not built: make page")


@pytest.fixture(scope="session")
def live_page_server(month: Month, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """`patrol serve` as a process of its own, with two simulated vehicles on the wire."""
    from dataclasses import replace

    from patrol import repositories

    needs_page()
    home = tmp_path_factory.mktemp("page") / "store"
    shutil.copytree(month.settings.home, home)
    settings = Settings(home=home, database_url="", broker_url="")
    with workplace(settings) as work, work.database.read() as session:
        fleet = repositories.aircraft.where(session)
    with simulation.vehicle(fleet[0].home, speedup=4.0) as one, simulation.vehicle(fleet[1].home, speedup=4.0, sysid=2) as two:
        with workplace(settings) as work, work.database.write() as session:
            for aircraft, url in zip(fleet, (one, two), strict=False):
                repositories.aircraft.put(session, replace(aircraft, link_url=url))
        with serving(home, month.login, month.password) as server:
            yield server


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
