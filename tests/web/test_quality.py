"""How a survey lies and how good it is, seen and mended in a real browser: misalignment, quality record, and a move by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dispatch.actor import Role
from geo.area import Area
from geo.grid import Window
from imagery import raster, residual
from imagery.nudging import Nudge
from imagery.photos import Refused, read_photo
from imagery.screening import screen
from patrol import auth, demo, records, repositories
from patrol.pipeline import areas, nudging, surveying
from patrol.pipeline.sorting import Sorted
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.imagery import stage
from tests.unit.patrol.pair import area_of
from tests.web.conftest import LiveServer, needs_page, open_tab, serving, sign_in_at
from tests.web.test_page import seen
from tests.web.test_upload import jpeg, shot

pytestmark = pytest.mark.web
PASSWORD = "correct horse battery"
GRID = stage.grid(gsd_m=0.06, half_m=29.0)
OFF_M = 0.3


def make_surveys(work: Workplace, folder: Path) -> None:
    """A first survey; a second that lies OFF_M too far east; a third of half the area, which is refused."""
    area = area_of(GRID)
    areas.keep_area(work, area, by="test")
    half = np.ones(GRID.shape, bool)
    half[:, GRID.cols // 2 :] = False
    adopt(work, folder, area, date(2026, 1, 1), np.ones(GRID.shape, bool))
    second = adopt(work, folder, area, date(2026, 2, 1), np.ones(GRID.shape, bool))
    third = adopt(work, folder, area, date(2026, 3, 1), half)
    assert not third.accepted
    nudging.nudge(work, second.id, Nudge(OFF_M), "set beside its place", user="test")
    with work.database.write() as session:
        first = repositories.surveys_of(session, area.id)[0]
        pair = records.ComparisonRecord("pair", area.id, first.id, second.id, work.clock.now())
        repositories.comparisons.add(session, pair)
    screen_photos(folder / "photos", area, work.settings.home / third.folder)


def adopt(work: Workplace, folder: Path, area: Area, day: date, known: np.ndarray) -> records.SurveyRecord:
    """One finished orthophoto, with the noise of its day, into the store."""
    pixels = stage.seen_from_above(GRID)
    noisy = np.clip(pixels + np.random.default_rng(day.month).normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
    path = folder / f"{day}.tif"
    raster.write_cog(path, GRID, [(Window(0, 0, *GRID.shape), noisy, known)], compression="lossless")
    return surveying.adopt(work, path, area.id, day, by="test")


def screen_photos(folder: Path, area: Area, survey: Path) -> None:
    """Photos without a place, one of them twice, and a file that is none: screened as an upload is, and kept beside a survey."""
    folder.mkdir()
    for i in range(3):
        (folder / f"DJI_{i:04}.JPG").write_bytes(jpeg(i, 200))
    (folder / "DJI_0003.JPG").write_bytes(jpeg(2, 200))
    photos = [read_photo(path) for path in sorted(folder.iterdir())]
    refused = (Refused(folder / "DJI_0099.JPG", "不是 JPEG 图像。 Not a JPEG picture."),)
    Sorted(screen(photos, area=area), refused, ()).keep(survey)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """`patrol serve` with its worker on a store with three surveys of one area, a reviewer, and one who may only look."""
    needs_page()
    folder = tmp_path_factory.mktemp("quality")
    home = folder / "store"
    settings = Settings(home=home, database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        make_surveys(work, folder)
        with work.database.write() as session:
            for login, role in (("reviewer", Role.REVIEWER), ("pilot", Role.PILOT)):
                auth.add_user(session, login, login, frozenset({role}), PASSWORD, by="test", clock=work.clock)
    with serving(home, "reviewer", PASSWORD) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; an error of the page is an error of the test."""
    with open_tab(browser, 1440, 900) as (opened, _):
        yield opened


def open_review(page: Page, server: LiveServer, login: str = "reviewer", more: str = "") -> None:
    """Sign in and wait until the pair stands on the map."""
    sign_in_at(page, server, f"#/review?area=stage{more}", login=login)
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true")
    expect(page.get_by_test_id("survey-quality")).to_have_count(2)


def beside_the_divider(page: Page) -> dict[str, float]:
    """Ground of the later survey that no panel covers."""
    box = page.get_by_test_id("map").bounding_box()
    assert box is not None
    return {"x": box["x"] + box["width"] * 0.55, "y": box["y"] + box["height"] * 0.2, "width": 220, "height": 200}


def settled(page: Page, box: dict[str, float]) -> np.ndarray:
    """What stands in a box once it no longer changes."""
    last = seen(page, box)
    for _ in range(40):
        page.wait_for_timeout(250)
        now = seen(page, box)
        if now.std() > 10 and np.abs(now - last).max() == 0:
            return now
        last = now
    pytest.fail("the map does not come to rest")


def test_the_misalignment_lies_over_the_map_with_its_scale(page: Page, server: LiveServer) -> None:
    """One key colours the cells; the legend names pixels and centimetres and counts what is refused; its button takes it off."""
    open_review(page, server)
    bare = settled(page, beside_the_divider(page))
    page.keyboard.press("m")
    legend = page.get_by_test_id("residual-legend")
    expect(legend).to_contain_text("0–0.5 px")
    expect(legend).to_contain_text("> 18 cm")  # 3 px of 6 cm
    expect(legend.get_by_test_id("residual-refused").locator("b")).to_have_text("4")  # the survey lies 5 px off everywhere
    tinted = settled(page, beside_the_divider(page))
    assert np.abs(tinted - bare).mean() > 10
    shot(page, "misalignment")
    page.get_by_test_id("residual-toggle").click()
    expect(legend).to_be_hidden()
    assert np.abs(settled(page, beside_the_divider(page)) - bare).mean() < 1


def test_a_refused_survey_says_why_and_what_to_fly(page: Page, server: LiveServer) -> None:
    """By its address as the upload's card links it: verdict, reasons, the gap's command, and photos set aside by reason, in both languages."""
    with workplace(Settings(home=server.home, database_url="", broker_url="")) as work, work.database.read() as session:
        third = repositories.surveys_of(session, "stage")[2]
    open_review(page, server, "pilot", f"&quality={third.id}")
    panel = page.get_by_test_id("quality-panel")
    expect(panel).to_have_attribute("data-accepted", "false")
    for lines in (panel.get_by_test_id("quality-verdict"), panel.get_by_test_id("quality-figures")):
        expect(lines).to_contain_text(re.compile("[\u4e00-\u9fff]"))
    refusing = [r for r in third.quality["reasons"] if r["refuses"]]
    assert refusing
    for reason in refusing:
        expect(panel.get_by_test_id("quality-verdict")).to_contain_text(reason["zh"])
    expect(panel.get_by_test_id("quality-makeup")).to_contain_text(f"patrol plan stage --gap {third.id}")
    group = panel.locator("details[data-code=duplicate]")
    expect(group.locator("summary b")).to_have_text("1")
    expect(group.locator("li").first).to_be_hidden()
    group.locator("summary").click()
    expect(group.locator("li").first).to_contain_text("DJI_000")
    expect(panel.locator("details[data-code=unreadable] summary b")).to_have_text("1")
    shot(page, "refused")
    page.get_by_test_id("lang").click()
    for reason in refusing:
        expect(panel.get_by_test_id("quality-verdict")).to_contain_text(reason["en"])
    expect(page.get_by_test_id("nudge-toggle")).to_have_count(0)  # a pilot moves no survey
    # the accepted one of the pair is one click away, with how it lies in pixels and centimetres
    page.get_by_test_id("quality-survey").select_option(index=1)
    expect(panel).to_have_attribute("data-accepted", "true")
    expect(panel.get_by_test_id("quality-figures")).to_contain_text(re.compile(r"[\d.]+ px · [\d.]+ cm"))
    expect(panel.get_by_test_id("quality-makeup")).to_have_count(0)


def test_a_survey_is_moved_by_hand_and_nobody_sees_the_old_pixels(page: Page, server: LiveServer) -> None:
    """Keys and a drag move the sheet at once by what the panel says; the server does it, other tiles are fetched, and the survey lies well."""
    tiles: set[str] = set()
    page.on("request", lambda r: tiles.add(r.url.split("?v=")[1]) if "/ortho/" in r.url else None)
    open_review(page, server)
    box = beside_the_divider(page)
    before = settled(page, box)
    page.keyboard.press("n")
    expect(page.get_by_test_id("ghost")).to_have_attribute("data-ready", "true")
    assert np.abs(settled(page, box) - before).mean() < 3, "the sheet lies where the survey lies"
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_test_id("nudge-east")).to_have_text("+300.0 cm")
    east = settled(page, box)
    scale = np.hypot(*shift_px(before, east)) / 3  # pixels of the screen to a metre
    assert scale > 5
    page.keyboard.press("ArrowUp")
    expect(page.get_by_test_id("nudge-north")).to_have_text("+10.0 cm")
    assert shift_px(east, settled(page, box)) == pytest.approx((0, -0.1 * scale), abs=0.3)
    page.keyboard.press("0")
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + 50 + 8 * scale, box["y"] + 50, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    dragged = float(page.get_by_test_id("nudge-east").inner_text().split()[0])
    assert dragged == pytest.approx(800, abs=20)  # a browser's pointer stands on whole pixels
    page.get_by_test_id("nudge-home").click()
    for _ in range(3):
        page.get_by_test_id("nudge-left").click()
    expect(page.get_by_test_id("nudge-east")).to_have_text("\u221230.0 cm")
    expect(page.get_by_test_id("nudge-submit")).to_be_disabled()  # nobody moves a survey without a reason
    page.get_by_test_id("nudge-reason").fill("屋顶边线偏东")
    shot(page, "nudge")
    mended = settled(page, box)
    old = set(tiles)
    page.get_by_test_id("nudge-submit").click()
    expect(page.get_by_test_id("nudge-panel")).to_be_hidden()
    expect(page.get_by_test_id("stale")).to_be_visible()
    moved = settled(page, box)
    assert len(tiles - old) == 1, "only the moved survey has another version"
    assert shift_px(before, moved)[0] == pytest.approx(-OFF_M * scale, abs=0.8)
    assert np.hypot(*shift_px(mended, moved)) < 0.8, "what was seen is what was done"
    page.keyboard.press("m")
    expect(page.get_by_test_id("residual-refused").locator("b")).to_have_text("0")
    with workplace(Settings(home=server.home, database_url="", broker_url="")) as work, work.database.read() as session:
        told = repositories.surveys_of(session, "stage")[1].record["nudges"][-1]
    assert (told["reason"], told["to"]["east_m"], told["to"]["north_m"]) == ("屋顶边线偏东", 0.0, 0.0)


def shift_px(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How far the second picture's content lies right and down of the first's."""
    found = residual.shift(*(residual.grey(v.astype(np.uint8)) for v in (one, other)), farthest_px=60)
    assert found is not None, "the two pictures show nothing in common"
    return found[:2]
