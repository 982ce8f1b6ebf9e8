"""A browser may keep a tile, and nobody is shown an old one: addresses carry the version of what they show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from shapely.geometry import Point, mapping

from imagery.nudging import Nudge
from patrol import auth, demo, records, repositories
from patrol.api.app import make_app
from patrol.api.tiling import CHECKED, KEPT
from patrol.pipeline import masking, nudging
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.patrol.pair import adopt_pair

# rasterio multiplies its transforms in a way that affine will one day not allow
pytestmark = pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")
PASSWORD = "correct horse battery"
Pair = tuple[records.SurveyRecord, records.SurveyRecord]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workplace]:
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as made:
        with made.database.write() as session:
            auth.first_admin(session, made.clock, password=PASSWORD)
        yield made


@pytest.fixture
def pair(work: Workplace, tmp_path: Path) -> Pair:
    """Two surveys and their comparison, of which the tiles need only that it is there."""
    first, second = adopt_pair(work, tmp_path)
    with work.database.write() as session:
        comparison = records.ComparisonRecord("c", first.area_id, first.id, second.id, work.clock.now() - timedelta(hours=1))
        repositories.comparisons.add(session, comparison)
    return first, second


@pytest.fixture
def client(work: Workplace) -> Iterator[TestClient]:
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as made:
        assert made.post("/api/login", json={"name": "admin", "password": PASSWORD}).status_code == 200
        yield made


def _told(client: TestClient) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The two surveys and the height tiles' address, as a page that opens now is told."""
    first, second = client.get("/api/areas/stage/surveys").json()
    return first, second, client.get("/api/areas/stage/comparisons").json()[0]["height_tiles"]


def _at(address: str, survey: dict[str, Any]) -> str:
    """The address of the tile of zoom 17 that holds the survey's middle."""
    west, south, east, north = survey["bounds"]
    across, latitude = (west + east) / 2 / 360 + 0.5, math.radians((south + north) / 2)
    down = 0.5 - math.asinh(math.tan(latitude)) / (2 * math.pi)
    return address.format(z=17, x=int(across * 2**17), y=int(down * 2**17))


def test_a_moved_survey_has_other_addresses_and_an_unmoved_one_keeps_its_own(
    client: TestClient, work: Workplace, pair: Pair
) -> None:
    """Each layer's address changes with the nudge and is never one of before again, also when the move is taken back."""
    seen: list[tuple[str, str, str]] = []
    untouched = set()
    for step in (Nudge(0.3, 0.0, 0.2), None, Nudge(0.3, 0.0, 0.2), None):
        first, second, height = _told(client)
        seen.append((second["tiles"]["ortho"], second["tiles"]["surface"], height))
        untouched.add((first["tiles"]["ortho"], first["tiles"]["surface"]))
        nudging.nudge(work, pair[1].id, step, "roofs", user="u")
    assert [len(set(addresses)) for addresses in zip(*seen, strict=True)] == [4, 4, 4]
    assert len(untouched) == 1


def test_only_the_present_address_may_be_kept(client: TestClient, work: Workplace, pair: Pair) -> None:
    """Under its version a tile is kept without asking; the old address shows the new pixels and is asked for each time."""
    _, second, height = _told(client)
    old = {name: _at(address, second) for name, address in (*second["tiles"].items(), ("height", height))}
    before = {name: client.get(address) for name, address in old.items()}
    assert {a.status_code for a in before.values()} == {200}
    assert {a.headers["cache-control"] for a in before.values()} == {KEPT}
    nudging.nudge(work, pair[1].id, Nudge(2.0, 0.0, 0.5), "roofs", user="u")
    _, second, height = _told(client)
    for name, address in (*second["tiles"].items(), ("height", height)):
        stale, fresh = client.get(old[name]), client.get(_at(address, second))
        assert stale.content == fresh.content != before[name].content, name
        assert stale.headers["cache-control"] == CHECKED
        assert fresh.headers["cache-control"] == KEPT
        asked = client.get(old[name], headers={"If-None-Match": before[name].headers["etag"]})
        assert asked.status_code == 200, "what the browser has is not what is there"
        assert client.get(old[name], headers={"If-None-Match": fresh.headers["etag"]}).status_code == 304
        assert client.get(old[name].split("?")[0]).headers["cache-control"] == CHECKED


def test_a_mask_that_is_burnt_in_changes_the_address(client: TestClient, work: Workplace, pair: Pair) -> None:
    """Ground that may no longer be shown is not shown out of a browser's store either."""
    first, second, height = _told(client)
    west, south, east, north = first["bounds"]
    ground = Point((west + east) / 2, (south + north) / 2).buffer(4e-5)
    named = {"authority": "test", "reason": "test"}
    feature = {"type": "Feature", "properties": named, "geometry": mapping(ground)}
    masking.import_masks(work, {"type": "FeatureCollection", "features": [feature]}, "test", by="test")
    assert len(masking.burn_all(work, by="test")) == 2
    first_now, second_now, height_now = _told(client)
    for then, now in ((first, first_now), (second, second_now)):
        assert then["tiles"]["ortho"] != now["tiles"]["ortho"]
        assert then["tiles"]["surface"] != now["tiles"]["surface"]
        assert then["thumbnail"] != now["thumbnail"]
    assert height != height_now
