"""Photos from a folder on a desk to a survey, in a real browser against a real server: by drop and by choice, through pauses and reloads."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from shapely.geometry import box

from dispatch.actor import Role
from geo.area import Area, AreaId
from patrol import auth, demo, repositories
from patrol.pipeline import areas
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.loop.month import Month
from tests.web.conftest import LiveServer, needs_page, open_tab, serving, sign_in_at

pytestmark = pytest.mark.web
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """`patrol serve` with its worker on a store with one area and one pilot."""
    needs_page()
    home = tmp_path_factory.mktemp("upload") / "store"
    settings = Settings(home=home, database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        areas.keep_area(work, Area(AreaId("a"), "北区", box(120.54, 32.37, 120.56, 32.39)), by="test")
        with work.database.write() as session:
            auth.add_user(session, "pilot", "飞手", frozenset({Role.PILOT}), PASSWORD, by="test", clock=work.clock)
    with serving(home, "pilot", PASSWORD) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; an error of the page is an error of the test."""
    with open_tab(browser, 1280, 860) as (opened, _):
        yield opened


def open_upload(page: Page, server: LiveServer) -> None:
    """Sign in and go to the page of uploads."""
    sign_in_at(page, server, "#/upload")
    expect(page.get_by_test_id("drop-zone")).to_be_visible()
    expect(page.get_by_test_id("upload-area")).not_to_have_value("")


def jpeg(seed: int, side: int = 900) -> bytes:
    """A small noisy picture; each seed another one."""
    out = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def card(folder: Path, count: int, first: int) -> Path:
    """A memory card: photos in a subfolder, and what else lies on one."""
    (folder / "100MEDIA").mkdir(parents=True)
    for i in range(count):
        (folder / "100MEDIA" / f"DJI_{i:04}.JPG").write_bytes(jpeg(first + i))
    (folder / "100MEDIA" / "Thumbs.db").write_bytes(b"x")
    return folder


def shot(page: Page, name: str) -> None:
    """Keep a picture of the page where somebody wants to look at it."""
    folder = os.environ.get("PATROL_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_a_folder_of_photos_becomes_a_job(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """Every photo is sent once, a file that is none of its kind is refused by name, and the job's own words are shown at the end."""
    folder = card(tmp_path / "card", 6, 0)
    (folder / "100MEDIA" / "DJI_0099.JPG").write_bytes(b"MZ this is a program")
    open_upload(page, server)
    shot(page, "choose")
    page.get_by_test_id("upload-day").fill("2026-03-04")
    page.get_by_test_id("upload-folder").set_input_files(folder)
    expect(page.get_by_test_id("upload-card")).to_have_attribute("data-phase", "ask")
    expect(page.get_by_test_id("upload-count")).to_have_text("6 / 7")
    expect(page.get_by_test_id("upload-refused")).to_contain_text("DJI_0099.JPG")
    expect(page.get_by_test_id("upload-refused")).to_contain_text("不是 JPEG 图像")
    shot(page, "refused")
    page.get_by_test_id("upload-finish").click()
    # photos without a place make no survey: the job runs, and says so
    expect(page.get_by_test_id("upload-result")).to_have_attribute("data-state", "failed")
    expect(page.get_by_test_id("upload-result").get_by_role("alert")).not_to_contain_text(str(server.home))
    shot(page, "failed")
    with workplace(Settings(home=server.home, database_url="", broker_url="")) as work:
        assert len(list(work.blobs.all())) == 6


def test_a_paused_and_reloaded_upload_goes_on(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """Pause, go on, reload the page in the middle, choose the folder again: only what is lacking is sent, and nothing twice."""
    folder = card(tmp_path / "card", 12, 100)
    open_upload(page, server)
    page.get_by_test_id("upload-day").fill("2026-03-05")
    sent: list[str] = []

    def slowly(route: Route) -> None:
        sent.append(route.request.url.split("/contents/")[1][:64])
        time.sleep(0.15)
        route.continue_()

    page.route(re.compile("/contents/"), slowly)
    page.get_by_test_id("upload-folder").set_input_files(folder)
    card_ = page.get_by_test_id("upload-card")
    expect(card_).to_have_attribute("data-phase", "sending")
    page.wait_for_function("() => parseInt(document.querySelector('[data-testid=upload-count]').textContent) >= 2")
    shot(page, "sending")
    page.get_by_test_id("upload-pause").click()
    expect(card_).to_have_attribute("data-phase", "paused")
    shot(page, "paused")
    page.get_by_test_id("upload-resume").click()
    page.wait_for_function("() => parseInt(document.querySelector('[data-testid=upload-count]').textContent) >= 5")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_test_id("upload-unfinished")).to_contain_text("2026-03-05")
    shot(page, "unfinished")
    page.get_by_test_id("upload-unfinished").locator("button").first.click()
    expect(page.get_by_test_id("upload-day")).to_have_value("2026-03-05")
    before = set(sent)
    page.get_by_test_id("upload-folder").set_input_files(folder)
    expect(page.get_by_test_id("upload-result")).to_be_visible()
    assert len(set(sent)) == 12
    assert len(sent) <= 12 + 2 * 3  # what was on its way when it was stopped, twice three
    assert before < set(sent)


def test_a_server_that_is_away_is_waited_for(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """A line that breaks is said, tried again by itself, and the upload ends whole."""
    folder = card(tmp_path / "card", 4, 200)
    open_upload(page, server)
    page.get_by_test_id("upload-day").fill("2026-03-06")
    broken = [0]

    def breaks(route: Route) -> None:
        broken[0] += 1
        if broken[0] <= 3:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(re.compile("/contents/"), breaks)
    page.get_by_test_id("upload-folder").set_input_files(folder)
    expect(page.get_by_test_id("upload-result")).to_be_visible()
    expect(page.get_by_test_id("upload-result")).to_contain_text("4 个文件")
    assert broken[0] >= 7


def test_a_dropped_folder_is_walked_to_its_last_photo(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """More entries than a browser hands out at once, in two subfolders of one name each; on a phone's screen, in English."""
    folder = tmp_path / "DCIM"
    for sub in ("100MEDIA", "101MEDIA"):
        (folder / sub).mkdir(parents=True)
        for i in range(70):
            (folder / sub / f"DJI_{i:04}.JPG").write_bytes(jpeg(300 + i + 70 * (sub == "101MEDIA"), 16))
    page.set_viewport_size({"width": 400, "height": 800})
    open_upload(page, server)
    page.get_by_test_id("upload-day").fill("2026-03-07")
    page.get_by_test_id("lang").click()
    shot(page, "phone")
    place = page.get_by_test_id("drop-zone").bounding_box()
    assert place is not None
    at = {"x": place["x"] + place["width"] / 2, "y": place["y"] + 40}
    hand = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        hand.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})
    expect(page.get_by_test_id("upload-result")).to_contain_text("140 files")
    shot(page, "phone-result")


def test_a_folder_without_photos_is_refused_with_a_sentence(page: Page, server: LiveServer, tmp_path: Path) -> None:
    """And the page stays where it was."""
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "report.docx").write_bytes(b"x")
    open_upload(page, server)
    page.get_by_test_id("upload-folder").set_input_files(tmp_path / "papers")
    expect(page.get_by_test_id("toast")).to_contain_text("没有照片")
    expect(page.get_by_test_id("drop-zone")).to_be_visible()


def test_photos_that_make_a_survey_show_its_quality(
    page: Page, live_page_server: LiveServer, month: Month, tmp_path: Path
) -> None:
    """The simulated month's own photos, sent again: the survey is known by its photos, and its quality stands on the page."""
    with workplace(month.settings) as work, work.database.read() as session:
        survey = repositories.surveys.where(session)[0]
    kept = month.settings.home / "photos" / survey.area_id / f"{survey.taken_on:%Y%m%d}"
    folder = tmp_path / "card"
    folder.mkdir()
    for path in kept.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    open_upload(page, live_page_server)
    page.get_by_test_id("upload-area").select_option(survey.area_id)
    page.get_by_test_id("upload-day").fill(survey.taken_on.isoformat())
    page.get_by_test_id("upload-folder").set_input_files(folder)
    expect(page.get_by_test_id("upload-result")).to_have_attribute("data-state", "done", timeout=300_000)
    expect(page.get_by_test_id("upload-quality")).to_contain_text("地面分辨率")
    shot(page, "quality")
