"""What the page is told of how a survey lies and how good it is: one scale in pixels and centimetres, and the survey's own metre."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from imagery.nudging import Nudge
from patrol import auth, demo
from patrol.api.app import make_app
from patrol.pipeline import nudging
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.unit.imagery import stage
from tests.unit.patrol.pair import adopt_pair

# rasterio multiplies its transforms in a way that affine will one day not allow
pytestmark = pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")
PASSWORD = "correct horse battery"
MOVED_M = 0.5
GRID = stage.grid(gsd_m=0.1, half_m=28.0)  # wide enough for a cell of tiles


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Somebody signed in to a store with a pair, whose later survey was moved half a metre east: five cells of its grid."""
    folder = tmp_path_factory.mktemp("quality")
    settings = Settings(home=folder / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        _, second = adopt_pair(work, folder, GRID)
        nudging.nudge(work, second.id, Nudge(MOVED_M), "beside its place", user="test")
        with work.database.write() as session:
            auth.first_admin(session, work.clock, password=PASSWORD)
        with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as made:
            assert made.post("/api/login", json={"name": "admin", "password": PASSWORD}).status_code == 200
            yield made


def test_the_scale_is_one_in_pixels_and_centimetres(client: TestClient) -> None:
    """Its steps follow on one another up to the limit of refusal, and a cell's colour is that of the step it lies in."""
    _, second = client.get("/api/areas/stage/surveys").json()
    told = client.get(f"/api/surveys/{second['id']}/residual").json()
    gsd_cm = 100 * told["gsd_m"]
    steps = told["scale"]
    assert [s["to_px"] for s in steps[:-1]] == [s["from_px"] for s in steps[1:]]
    assert (steps[0]["from_px"], steps[-1]["from_px"], steps[-1]["to_px"]) == (0, told["worst_px"], None)
    assert all(s["from_cm"] == pytest.approx(s["from_px"] * gsd_cm) for s in steps)
    assert told["median_px"] == pytest.approx(MOVED_M / told["gsd_m"], abs=0.1)
    assert told["p95_cm"] == pytest.approx(told["p95_px"] * gsd_cm)
    measured = [c for c in told["cells"] if c["p95_px"] is not None]
    assert measured
    for cell in measured:
        (step,) = [s for s in steps if s["from_px"] < cell["p95_px"] <= (s["to_px"] or np.inf)]
        assert cell["colour"] == step["colour"]
        assert (cell["state"] == "refused") == (step is steps[-1])


def test_an_arrow_ends_where_the_shift_times_its_factor_lies(client: TestClient) -> None:
    """On the ground, along the survey's own axes; the page's metre has the same axes, and grid north is not true north here."""
    _, second = client.get("/api/areas/stage/surveys").json()
    told = client.get(f"/api/surveys/{second['id']}/residual").json()
    metre = np.array([second["metre"]["east"], second["metre"]["north"]])
    assert abs(metre[0, 1]) > 1e-8
    factor = told["arrows_longer"] * told["gsd_m"]
    for arrow in told["arrows"]:
        start, end = (stage.FRAME.xy_array(np.array([arrow[name]])) for name in ("start", "end"))
        way = np.array([arrow["east_px"], -arrow["south_px"]]) * factor
        assert (end - start)[0] == pytest.approx(way, abs=1e-3)
        assert np.array(arrow["start"]) + way @ metre == pytest.approx(arrow["end"], abs=1e-8)
    assert told["arrows"]


def test_an_adopted_survey_has_a_quality_record_without_photos(client: TestClient) -> None:
    """What there is not is none, not nought; the move stands in it, and a good survey asks for no flight."""
    first, second = (client.get(f"/api/surveys/{s['id']}/quality").json() for s in client.get("/api/areas/stage/surveys").json())
    assert first["residual"] is None
    assert second["residual"]["median_cm"] == pytest.approx(100 * MOVED_M, abs=1)
    assert first["area_m2"] == pytest.approx(GRID.outline_m.area, rel=0.02)
    assert second["photos_used"] is None
    assert second["make_up"] is None
    assert [n["reason"] for n in second["survey"]["nudges"]] == ["beside its place"]
