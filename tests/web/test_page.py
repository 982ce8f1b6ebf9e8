"""The page in a real browser against a real server: from signing in to a closed case, by its buttons alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.web.conftest import PATIENCE_MS, open_tab, sign_in_at

pytestmark = pytest.mark.web

WALK: tuple[tuple[str, dict[str, str], str], ...] = (
    ("dispatch", {"assignee": ""}, "dispatched"),  # as the form proposes it
    ("accept", {}, "accepted"),
    ("verify", {"verdict": "illegal_built", "officers": "张建国、李明"}, "verifying"),
    ("handle", {}, "handling"),
    ("recheck", {"outcome": "self_done"}, "recheck"),
    ("close", {"gone": "true", "officers": "张建国、李明"}, "closed"),
)
"""Act, what is written into its form, and the state it leads to."""


class Server(Protocol):
    """A running server with a pair of compared surveys, and someone who may do everything on it."""

    @property
    def url(self) -> str: ...
    @property
    def login(self) -> str: ...
    @property
    def password(self) -> str: ...


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; what the page complains of is an error of the test."""
    with open_tab(browser, 1440, 900) as (opened, complaints):

        def hear(message: ConsoleMessage) -> None:
            # The browser itself logs every refusal (409); the page explains it to the reader, so it is no fault.
            if message.type == "error" and "status of 409" not in message.text:
                complaints.append(f"{message.text} ({message.location.get('url', '')})")

        opened.on("console", hear)
        yield opened


def sign_in(page: Page, server: Server) -> None:
    """From the login form to the review page with its map drawn."""
    sign_in_at(page, server)
    expect(page.get_by_test_id("tab-review")).to_have_attribute("aria-current", "page", timeout=PATIENCE_MS)
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true", timeout=PATIENCE_MS)
    page.wait_for_load_state("networkidle")


def open_one_to_decide(page: Page) -> None:
    """Open a finding that waits for a decision; where every one is decided, a suppressed one is brought back first."""
    pairs = page.get_by_test_id("pair")
    for pair in pairs.locator("option").evaluate_all("options => options.map(o => o.value)"):
        pairs.select_option(pair)
        page.wait_for_load_state("networkidle")
        waiting = page.locator("[data-testid=finding-row][data-state=triage]")
        if waiting.count():
            waiting.first.click()
            return
        if page.get_by_test_id("show-suppressed").count():
            page.get_by_test_id("filter-state").select_option("suppressed")
            # A list that is read anew while it is clicked drops the choice: choose until the panel shows it.
            for _ in range(5):
                page.locator("[data-testid=finding-row][data-state=suppressed]").first.click()
                try:
                    expect(page.get_by_test_id("finding-panel")).to_have_attribute("data-state", "suppressed", timeout=10_000)
                    page.get_by_test_id("restore").click(timeout=10_000)
                    break
                except (AssertionError, PlaywrightTimeout):
                    page.get_by_test_id("filter-state").select_option("suppressed")
            expect(page.get_by_test_id("finding-panel")).to_have_attribute("data-state", "triage", timeout=PATIENCE_MS)
            page.get_by_test_id("filter-state").select_option("all")
            return
    pytest.fail("the server's data has no finding to decide on: leave one in triage, or suppressed")


def seen(page: Page, box: dict[str, float]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What stands on the screen in a box, `(rows, cols, 3)`."""
    clip: Any = {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}
    with Image.open(BytesIO(page.screenshot(clip=clip))) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int16)


def field_photo(index: int) -> bytes:
    """A small picture; each index another one."""
    out = BytesIO()
    Image.new("RGB", (64, 48), (40 * index, 90, 160)).save(out, "JPEG")
    return out.getvalue()


def fill(page: Page, told: dict[str, str]) -> None:
    """Write into the fields of the open form; an empty value leaves what the form proposes."""
    form = page.get_by_test_id("move-form")
    for name, value in told.items():
        field = form.get_by_test_id(f"field-{name}")
        if not value:
            expect(field).not_to_have_value("")
        elif field.evaluate("e => e.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    photos = form.get_by_test_id("field-photos")
    if photos.count():
        taken: list[FilePayload] = [
            {"name": f"site-{i}.jpg", "mimeType": "image/jpeg", "buffer": field_photo(i)} for i in range(1, 4)
        ]
        photos.set_input_files(taken)
        expect(form.get_by_test_id("photos-kept")).to_contain_text("3", timeout=PATIENCE_MS)
        expect(page.get_by_test_id("move-submit")).to_be_enabled(timeout=PATIENCE_MS)


def test_a_reviewer_swipes_confirms_and_walks_the_case_to_closed(page: Page, live_page_server: Server) -> None:
    """From a finding on the map to 销号 no step needs anything but the page's own buttons."""
    sign_in(page, live_page_server)

    # The divider uncovers the other survey where it passes, and follows the pointer.
    handle = page.get_by_test_id("swipe-handle")
    grip, ground = handle.bounding_box(), page.get_by_test_id("map").bounding_box()
    assert grip is not None
    assert ground is not None
    middle = {"x": grip["x"] + grip["width"] / 2, "y": ground["y"] + ground["height"] * 0.7}
    beside = {"x": middle["x"] + 30, "y": ground["y"] + ground["height"] * 0.3, "width": 90, "height": ground["height"] * 0.3}
    later = seen(page, beside)
    page.mouse.move(middle["x"], middle["y"])
    page.mouse.down()
    page.mouse.move(middle["x"] + 200, middle["y"], steps=8)
    page.mouse.up()
    moved = handle.bounding_box()
    assert moved is not None
    assert abs(moved["x"] - grip["x"] - 200) < 3
    page.wait_for_timeout(500)
    assert np.abs(seen(page, beside) - later).mean() > 0.5, "the map shows the same picture on both sides of the divider"

    # A finding opens with its evidence, and a picture of it with its hash.
    row = page.get_by_test_id("finding-row").first
    finding_id = row.get_attribute("data-id")
    row.click()
    panel = page.get_by_test_id("finding-panel")
    expect(panel).to_have_attribute("data-id", finding_id or "")
    panel.get_by_test_id("evidence-picture").first.click()
    expect(page.get_by_test_id("evidence-view").locator("img")).to_be_visible()
    assert re.search(r"\b[0-9a-f]{64}\b", page.get_by_test_id("evidence-view").inner_text())
    page.get_by_test_id("evidence-close").click()

    open_one_to_decide(page)
    page.get_by_test_id("confirm").click()
    expect(panel).to_have_attribute("data-state", "confirmed", timeout=PATIENCE_MS)

    page.get_by_test_id("case-open").click()
    state = page.get_by_test_id("case-state")
    expect(state).to_have_attribute("data-state", "registered", timeout=PATIENCE_MS)
    for act, told, leads_to in WALK:
        page.get_by_test_id(f"move-{act}").click()
        fill(page, told)
        page.get_by_test_id("move-submit").click()
        expect(state).to_have_attribute("data-state", leads_to, timeout=PATIENCE_MS)
    assert page.get_by_test_id("history").locator("li").count() >= len(WALK)

    # What the page shows is what the server kept.
    page.reload()
    expect(page.get_by_test_id("case-state")).to_have_attribute("data-state", "closed", timeout=PATIENCE_MS)


def test_a_refused_act_says_why_and_changes_nothing(page: Page, live_page_server: Server) -> None:
    """One officer's name is not enough for a verification: the reason appears beside the form, and the case stays as it was."""
    sign_in(page, live_page_server)
    open_one_to_decide(page)
    page.get_by_test_id("confirm").click()
    page.get_by_test_id("case-open").click()
    state = page.get_by_test_id("case-state")
    for act in ("dispatch", "accept"):
        page.get_by_test_id(f"move-{act}").click()
        page.get_by_test_id("move-submit").click()
    expect(state).to_have_attribute("data-state", "accepted", timeout=PATIENCE_MS)

    page.get_by_test_id("move-verify").click()
    fill(page, {"verdict": "illegal_built", "officers": "张建国"})
    with page.expect_response(lambda r: r.url.endswith("/acts")) as answered:
        page.get_by_test_id("move-submit").click()
    assert answered.value.status == 409
    expect(page.get_by_test_id("refusal").locator("[data-code=two_officers]")).to_be_visible()
    expect(state).to_have_attribute("data-state", "accepted")


@pytest.mark.parametrize(("language", "said"), [("zh", "空中巡查"), ("en", "Drone Patrol")])
def test_every_page_opens_in_both_languages(page: Page, live_page_server: Server, language: str, said: str) -> None:
    """Each tab opens without a complaint, and the language that was chosen stays chosen after a reload."""
    sign_in(page, live_page_server)
    if language == "en":
        page.get_by_test_id("lang").click()
    for tab in ("cases", "flight", "recon", "review"):
        page.get_by_test_id(f"tab-{tab}").click()
        expect(page.get_by_test_id(f"tab-{tab}")).to_have_attribute("aria-current", "page")
        if tab != "cases":
            expect(page.locator("[data-ready=true]")).to_be_visible(timeout=PATIENCE_MS)
    page.reload()
    expect(page.get_by_test_id("tab-review")).to_be_visible(timeout=PATIENCE_MS)
    expect(page).to_have_title(said)
