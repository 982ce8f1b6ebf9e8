"""How right the product was, in a real browser: rejected with its cause, counted on the page, learned from, and taken back."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dispatch.actor import Actor, Role
from geo.times import FixedClock
from patrol import auth, demo, repositories
from patrol.pipeline import areas, comparing
from patrol.settings import Settings
from patrol.tables import FindingRow
from patrol.wiring import workplace
from tests.unit.patrol import judged
from tests.unit.patrol.built import Block, adopted, area
from tests.web.conftest import LiveServer, needs_page, open_tab, serving, sign_in_at

pytestmark = pytest.mark.web
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Four months of findings that people judged, and a shed that came up today and waits for a word."""
    needs_page()
    folder = tmp_path_factory.mktemp("precision")
    home = folder / "store"
    settings = Settings(home=home, database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        clock = FixedClock(datetime.now(UTC) - timedelta(days=121))
        with work.database.write() as session:
            made, _ = auth.first_admin(session, work.clock, password=PASSWORD)
        chief = Actor(made.id, made.name, frozenset(Role) - {Role.SYSTEM})
        judged.judge_most(work.database, clock, judged.fill(work.database, clock), chief)
        areas.keep_area(work, area(), by="test")
        for day, blocks in ((date(2026, 6, 20), ()), (date(2026, 7, 20), (Block(20, 20, 10, 8, 3.0),))):
            adopted(work, folder / str(day), day, blocks)
        comparing.compare(work, "a1", by="test")
        with work.database.write() as session:  # a roof like this scores 1.00: less sure, so that there is something to hide
            (shed,) = repositories.findings.where(session, FindingRow.area_id == "a1", FindingRow.state == "triage")
            repositories.findings.put(session, replace(shed, score=0.6))
    with serving(home, "admin", PASSWORD) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with open_tab(browser, 1440, 900) as (opened, _):
        yield opened


def enter(page: Page, server: LiveServer, address: str) -> None:
    sign_in_at(page, server, address)


def number(page: Page, name: str) -> int:
    return int(page.get_by_test_id(f"precision-{name}").inner_text())


def test_a_finding_is_rejected_with_what_it_is_and_counted(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """By keys alone: R, the key of the cause, Enter; a wish for surer ones hides it and says so; the page of figures counts it."""
    enter(page, server, "#/review?area=a1")
    row = page.locator("[data-testid=finding-row][data-state=triage]")
    row.first.click()
    page.get_by_test_id("filter-score").fill("0.95")
    expect(row).to_have_count(0)
    expect(page.get_by_text(re.compile("另有 [1-9]"))).to_be_visible()
    page.get_by_test_id("filter-score").fill("0")
    row.first.click()
    expect(page.get_by_test_id("finding-panel")).to_have_attribute("data-state", "triage")
    page.keyboard.press("r")
    dialog = page.get_by_test_id("reject-dialog")
    expect(dialog.get_by_test_id("reject-submit")).to_be_disabled()
    page.keyboard.press("8")
    expect(dialog.get_by_test_id("reject-submit")).to_be_disabled()  # something else has to be said
    page.keyboard.press("3")
    expect(dialog.locator("[data-cause=vehicle]")).to_have_attribute("aria-pressed", "true")
    page.screenshot(path=tmp_path / "reject.png")
    dialog.get_by_test_id("reject-submit").press("Enter")
    expect(page.locator("[data-testid=finding-row][data-state=rejected]")).to_have_count(1)
    page.get_by_test_id("tab-precision").click()
    causes = page.get_by_test_id("precision-causes")
    expect(causes.locator("[data-code=vehicle]")).to_contain_text("1")
    expect(causes.locator("[data-code=pile]")).to_contain_text("20")


def test_figures_are_filtered_exported_and_learned_from(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """The share with its interval and all that nobody judged; one town by itself; a table of it; a better score, and the way back."""
    enter(page, server, "#/precision")
    sheet = page.get_by_test_id("precision-page")
    expect(sheet).to_have_attribute("data-ready", "true")
    expect(page.get_by_test_id("precision-share")).to_have_text(re.compile(r"^\d+%$"))
    raised = number(page, "raised")
    assert raised == sum(number(page, name) for name in ("right", "wrong", "unjudged", "duplicates"))
    assert number(page, "unjudged") >= 8
    expect(page.get_by_test_id("precision-floor")).to_be_visible()
    expect(page.get_by_test_id("precision-held")).to_contain_text("8")
    expect(page.get_by_test_id("precision-trend").locator("g[data-month]")).to_have_count(12)
    page.screenshot(path=tmp_path / "precision.png", full_page=True)

    page.get_by_test_id("by-places").press("Enter")
    town = page.get_by_test_id("precision-table").locator("tr[data-key=东陈]")
    town.get_by_role("button").press("Enter")
    expect(page.get_by_test_id("precision-raised")).to_have_text("24")
    expect(page.get_by_test_id("precision-share")).to_have_text("40%")
    with page.expect_download() as download:
        page.get_by_test_id("precision-csv").click()
    rows = list(csv.reader(Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    assert {row[2] for row in rows[1:-1]} == {"东陈"} and rows[-1][3] == "24"
    page.get_by_test_id("precision-place").select_option("")

    card = page.get_by_test_id("calibration")
    expect(card).to_have_attribute("data-in-force", "0")
    page.get_by_test_id("calibration-learn").press("Enter")
    expect(card).to_have_attribute("data-in-force", "1")
    expect(page.get_by_test_id("calibration-try").first).to_contain_text("逐期留出")
    page.screenshot(path=tmp_path / "learned.png", full_page=True)
    page.get_by_test_id("calibration-shipped").press("Enter")
    page.get_by_test_id("calibration-why").fill("先观察一个月")
    page.get_by_test_id("calibration-submit").press("Enter")
    expect(card).to_have_attribute("data-in-force", "0")
    expect(page.get_by_test_id("calibration-try").first).to_have_attribute("data-state", "replaced")

    page.get_by_test_id("lang").click()
    expect(page.get_by_test_id("calibration-try").first).to_contain_text("Held out by survey")
    page.get_by_test_id("by-months").click()
    page.screenshot(path=tmp_path / "english.png", full_page=True)


def test_on_a_phone_nothing_stands_beside_the_page(browser: Browser, server: LiveServer, tmp_path: Path) -> None:
    """A narrow screen scrolls its tables inside their cards."""
    with open_tab(browser, 390, 844) as (page, _):
        enter(page, server, "#/precision")
        expect(page.get_by_test_id("precision-page")).to_have_attribute("data-ready", "true")
        expect(page.get_by_test_id("precision-trend")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.get_by_test_id("precision-page").evaluate("e => e.scrollWidth - e.clientWidth") <= 1
        page.screenshot(path=tmp_path / "phone.png", full_page=True)
