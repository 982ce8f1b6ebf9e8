"""A file of zones in a real browser: dropped, its datum judged, its changes and hits seen, accepted, or refused with its place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from shapely.geometry import Polygon, box

from airspace.classes import ZoneClass
from airspace.formats import geojson
from airspace.zones import Zone, ZoneKind
from dispatch.actor import Role
from geo.area import Area, AreaId
from geo.datums import bd09
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import local_day
from patrol import auth, demo, records, repositories
from patrol.pipeline import areas
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.web.conftest import LiveServer, needs_page, open_tab, serving, sign_in_at

pytestmark = pytest.mark.web
PASSWORD = "correct horse battery"
CITY = Zone.single("S1", "市区适飞空域", ZoneKind.SUITABLE, box(120.50, 32.34, 120.60, 32.42), ceiling=Height(120, Datum.GROUND))
STATION = Zone.single("C1", "城北变电站", ZoneKind.CONTROLLED, box(120.520, 32.372, 120.524, 32.376), article_class=ZoneClass.INFRASTRUCTURE, buffer_m=50.0)
MOVED = Zone.single("C1", "城北变电站", ZoneKind.CONTROLLED, box(120.548, 32.378, 120.552, 32.382), article_class=ZoneClass.INFRASTRUCTURE, buffer_m=50.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """`patrol serve` on a store with one area, one planned mission over it, and a dispatcher."""
    needs_page()
    home = tmp_path_factory.mktemp("zones") / "store"
    settings = Settings(home=home, database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        areas.keep_area(work, Area(AreaId("a"), "北区", box(120.54, 32.37, 120.56, 32.39)), by="test")
        record = {"path": [[120.545, 32.375], [120.555, 32.385]], "items": 4, "photos": 9, "length_m": 1500.0, "duration_s": 300.0, "height_m": 80.0}
        record["clearance"] = {"verdict": "unknown", "reasons": [], "data_version": "0z0p"}
        tomorrow = local_day(datetime.now(UTC) + timedelta(days=1))
        with work.database.write() as session:
            repositories.missions.add(session, records.MissionRecord("m", "survey", "北区-1", "ab" * 32, datetime.now(UTC), "a", fly_on=tomorrow, record=record))
            auth.add_user(session, "desk", "调度", frozenset({Role.DISPATCHER}), PASSWORD, by="test", clock=work.clock)
    with serving(home, "desk", PASSWORD) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; an error of the page is an error of the test."""
    with open_tab(browser, 1440, 900) as (opened, _):
        yield opened


def open_import(page: Page, server: LiveServer) -> None:
    sign_in_at(page, server, "#/flight")
    page.get_by_test_id("zone-import-open").click()
    expect(page.get_by_test_id("zone-import")).to_have_attribute("data-phase", "choose")


def saved(folder: Path, name: str, *zones: Zone, datum: str | None = None) -> Path:
    data = json.loads(geojson.write(zones))
    data.pop("datum")
    if datum:
        data["datum"] = datum
    path = folder / name
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return path


def baidu(zone: Zone) -> Zone:
    ring = zone.parts[0].outline.exterior.coords  # type: ignore[union-attr]
    places = [bd09(LonLat(lon_deg=x, lat_deg=y)) for x, y in ring]
    limits = zone.parts[0]
    return Zone.single(zone.id, zone.name, zone.kind, Polygon([(p.lon_deg, p.lat_deg) for p in places]), limits.floor, limits.ceiling, article_class=zone.article_class, buffer_m=zone.buffer_m)


def shot(page: Page, name: str) -> None:
    """Keep a picture of the page where somebody wants to look at it."""
    folder = os.environ.get("PATROL_SHOTS")
    if folder:
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_zones_are_looked_at_and_accepted_edition_by_edition(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """A silent file asks for its datum; the next one is judged by the zones known, shows the move and what it hits, and replaces the first."""
    open_import(page, server)
    panel = page.get_by_test_id("zone-import")
    page.get_by_test_id("zone-input").set_input_files(saved(tmp_path, "市空域.geojson", CITY, STATION))
    expect(page.get_by_test_id("zone-refused")).to_contain_text("没有注明坐标系")
    page.get_by_test_id("zone-datum").select_option("wgs84")
    expect(page.get_by_test_id("zone-counts")).to_contain_text("新增 2")
    page.get_by_test_id("zone-authority").fill("某市人民政府")
    page.get_by_test_id("zone-accept").click()
    expect(panel).not_to_be_visible()
    expect(page.get_by_test_id("zone-legend")).to_contain_text("管制空域")

    page.get_by_test_id("zone-import-open").click()
    page.get_by_test_id("zone-source").fill("市空域")
    page.get_by_test_id("zone-source").blur()
    page.get_by_test_id("zone-input").set_input_files(saved(tmp_path, "第二版.geojson", baidu(CITY), baidu(MOVED)))
    expect(page.locator("[data-code=datum_guessed]")).to_contain_text("BD-09")
    expect(page.get_by_test_id("zone-changes")).to_contain_text("位置移动")
    expect(page.get_by_test_id("zone-hits")).to_contain_text("北区-1")
    shot(page, "zones-review")
    page.get_by_test_id("zone-accept").click()
    expect(panel).not_to_be_visible()


def test_a_broken_file_and_a_wrong_datum_are_refused_in_the_panel(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """The place of the fault stands in the panel, and so does the datum that would fit."""
    open_import(page, server)
    broken = tmp_path / "x.geojson"
    broken.write_text('{"type": "FeatureCollection",\n "features": [')
    page.get_by_test_id("zone-input").set_input_files(broken)
    expect(page.get_by_test_id("zone-refused")).to_contain_text("第 2 行")
    page.get_by_test_id("zone-input").set_input_files(saved(tmp_path, "错.geojson", baidu(CITY), baidu(MOVED), datum="wgs84"))
    expect(page.get_by_test_id("zone-refused")).to_contain_text("BD-09")
    shot(page, "zones-refused")
