"""Leave to fly in a real browser: a drop needs an application, its gap is filled, it is sent and approved; a change of zones is acknowledged."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from shapely.geometry import box

from airspace.papers import AircraftPapers, Operator, Pilot
from airspace.zones import Zone, ZoneKind
from dispatch.actor import Role
from flight.fleet import Aircraft, AircraftId
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import local_day
from patrol import auth, demo, leave, repositories
from patrol.pipeline import areas, checking, planning, zoning
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.web.conftest import LiveServer, needs_page, open_tab, serving, sign_in_at

pytestmark = pytest.mark.web
PASSWORD = "correct horse battery"
AREA = Area(AreaId("a"), "北区", box(120.550, 32.380, 120.5515, 32.3815), gsd_m=0.02)
PAPERS = AircraftPapers(1.0, 1.5, "UAS1", "SN1", insured_until=date(2099, 1, 1), capability="GNSS；运行识别", transponder="无")
DRONE = Aircraft(
    AircraftId("d"), "一号机", Camera.of_fov(4000, 3000, 24), 8.0, 1500.0, 0.2, "", LonLat(lon_deg=120.5505, lat_deg=32.3805), papers=PAPERS
)  # fmt: skip
CITY = Zone.single("city", "全市", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=Height(120, Datum.GROUND))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """`patrol serve` on a store with one planned mission, its papers, and a pilot who signs in."""
    needs_page()
    home = tmp_path_factory.mktemp("leave") / "store"
    settings = Settings(home=home, database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        areas.keep_area(work, AREA, by="test")
        with work.database.write() as session:
            repositories.aircraft.put(session, DRONE)
            leave.operators.put(session, Operator("o", "某市城管局", certificate="OC1", contact="值班室", phone="0513-1"))
            leave.pilots.put(session, Pilot("p", "张三", phone="139", trained=True))
            zoning.keep(session, work, "city", (CITY,), by="test")
            auth.add_user(session, "pilot", "张三", frozenset({Role.PILOT}), PASSWORD, by="test", clock=work.clock)
        planning.plan_missions(work, AREA, DRONE, local_day(datetime.now(UTC) + timedelta(days=3)), by="test")
    with serving(home, "pilot", PASSWORD) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; an error of the page is an error of the test."""
    with open_tab(browser, 1440, 900) as (opened, _):
        yield opened


def shot(page: Page, name: str) -> None:
    folder = os.environ.get("PATROL_SHOTS")
    if folder:
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_a_drop_is_applied_for_and_a_change_is_acknowledged(page: Page, server: LiveServer) -> None:
    """Art. 31, 26, 27 and 20, as a pilot sees them."""
    sign_in_at(page, server, "#/flight")
    panel = page.get_by_test_id("leave")
    panel.locator("summary").click()
    page.get_by_test_id("draft").click()
    expect(page.get_by_test_id("nothing-needed")).to_be_visible()

    panel.locator('input[value="drop"]').check()
    page.get_by_test_id("draft").click()
    one = page.get_by_test_id("application")
    expect(one).to_have_attribute("data-state", "draft")
    expect(page.get_by_test_id("submit")).to_be_disabled()
    page.get_by_test_id("item-8").fill("2.4 GHz，20 MHz")
    page.get_by_test_id("item-8").blur()
    expect(page.get_by_test_id("submit")).to_be_enabled()
    shot(page, "leave-draft")
    with page.expect_download() as got:
        page.get_by_test_id("application-docx").click()
    with zipfile.ZipFile(io.BytesIO(Path(got.value.path()).read_bytes())) as archive:
        assert "2.4 GHz，20 MHz" in archive.read("word/document.xml").decode()
    page.get_by_test_id("submit").click()
    expect(one).to_have_attribute("data-state", "submitted")
    expect(one.get_by_test_id("due")).to_be_visible()
    page.get_by_test_id("approval-number").fill("批 7 号")
    page.get_by_test_id("approve").click()
    expect(one).to_have_attribute("data-state", "approved")
    expect(page.get_by_test_id("report")).to_be_visible()

    with workplace(Settings(home=server.home, database_url="", broker_url="")) as work:
        closed = Zone.single("x", "新禁区", ZoneKind.PROHIBITED, box(120.549, 32.379, 120.5508, 32.383))
        with work.database.write() as session:
            zoning.keep(session, work, "more", (closed,), by="test")
        assert len(checking.zones_changed(work, by="test")) == 1
    page.reload()
    expect(page.get_by_test_id("stale")).to_contain_text("新禁区")
    expect(page.get_by_test_id("clearance")).to_have_attribute("data-verdict", "blocked")  # the newest answer, not the planned one
    page.get_by_test_id("suitable-toggle").check()
    expect(page.get_by_test_id("suitable-share")).to_be_visible()
    shot(page, "leave-stale")
    page.get_by_test_id("acknowledge").click()
    expect(page.get_by_test_id("stale")).not_to_be_visible()
