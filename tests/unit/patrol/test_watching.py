"""Third-party works near a pipeline: the axis is imported like any layer, and what is done beside it comes first, with whom to call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from shapely.geometry import LineString, mapping

from dispatch.actor import Actor, Role
from dispatch.finding import Finding, FindingState
from geo.times import FixedClock
from patrol import auth, demo, registry, repositories
from patrol.api.app import make_app
from patrol.pipeline import areas, attributes, casework, comparing, overlaying, registering
from patrol.registercolumns import RegisterRefused
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace
from tests.unit.patrol.built import Block, adopted, area

PASSWORD = "correct horse battery"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
AXIS_SOUTH_M = 30.0
PIT = Block(20, 31, 12, 7, -1.5)  # a metre south of the axis
MACHINE = Block(45, 32, 8, 2.6, 3.0)
FAR_MACHINE = Block(45, 66, 8, 2.6, 3.0)
SHED = Block(20, 8, 8, 6, 2.8)  # 16 m north of it
REVIEWER = Actor("r", "审核员", frozenset({Role.REVIEWER}))


def axis(south_m: float = AXIS_SOUTH_M) -> LineString:
    """From west to east through the place, in degrees."""
    frame = area().frame
    west, _, east, north = area().grid().bounds_m
    return frame.to_degrees(LineString([(west - 20, north - south_m), (east + 20, north - south_m)]))


def pipelines(folder: Path, **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    properties = {
        "管道编号": "G7", "类型": "天然气管道", "管道名称": "如东线", "管道企业": "某管道公司", "联系电话": "025-123",
        "禁止宽度": 5, "控制宽度": 25, "起点桩号": "K1+200", **more,
    }  # fmt: skip
    feature = {"type": "Feature", "properties": properties, "geometry": mapping(axis())}
    path = folder / "管道.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A pit, a machine and a shed beside a pipeline, and a machine far from it, compared."""
    home = tmp_path_factory.mktemp("watching")
    settings = Settings(home=home / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=FixedClock(NOON)) as made:
        areas.keep_area(made, area(), by="test")
        registering.import_file(made, pipelines(home), by="test", source="管道")
        adopted(made, home / "before", date(2026, 10, 20))
        adopted(made, home / "after", date(2026, 11, 20), (PIT, MACHINE, FAR_MACHINE, SHED))
        comparing.compare(made, "a1", by="test")
        yield made


def on(work: Workplace, block: Block) -> Finding:
    """The finding where a block was put."""
    with work.database.read() as session:
        found = repositories.findings.where(session)
    here = [
        f for f in found if area().frame.to_metres(f.outline_wgs84).intersection(block.outline_m()).area > 0.5 * block.width_m
    ]
    assert len(here) == 1, f"{len(here)} findings on {block}"
    return here[0]


def test_a_pit_by_the_axis_is_an_excavation_at_its_stake_with_depth_and_volume(watched: Workplace) -> None:
    """The chainage runs from the stake where the axis begins; depth and volume are those that were dug."""
    with watched.database.read() as session:
        (label,) = [x for x in registry.labels_of(session, on(watched, PIT).id) if x.watch is not None]
    watch = label.watch
    assert watch is not None
    assert (watch.work, watch.band, watch.urgency) == ("excavation", "inner", 3)
    assert watch.distance_m == pytest.approx(1.0, abs=0.4)
    assert watch.from_m == pytest.approx(1200 + 20 + PIT.east_m, abs=1.5)
    assert watch.to_m == pytest.approx(1200 + 20 + PIT.east_m + PIT.width_m, abs=1.5)
    assert watch.depth_m == pytest.approx(1.5, abs=0.15)
    assert watch.volume_m3 == pytest.approx(12 * 7 * 1.5, rel=0.1)
    assert "K1+2" in label.zh
    assert "第30条" in label.zh
    assert "某管道公司，025-123" in label.zh


def test_a_machine_is_shown_beside_a_pipeline_and_held_back_elsewhere(watched: Workplace) -> None:
    """The class that cries wolf everywhere else is what the pipeline's owner wants to see."""
    near, far = on(watched, MACHINE), on(watched, FAR_MACHINE)
    assert near.state is FindingState.TRIAGE
    assert near.urgency == 3
    assert "vehicle_suspected" in near.reasons[0], "it says what would hold it back elsewhere"
    assert far.state is FindingState.SUPPRESSED
    assert far.decision.startswith("vehicle_suspected")
    assert far.urgency == 0


def test_a_shed_in_the_outer_band_is_told_and_less_urgent(watched: Workplace) -> None:
    """The controlled band is for watching: art. 35, not art. 30."""
    shed = on(watched, SHED)
    assert shed.urgency == 1
    assert "第35条" in shed.reasons[0]


def test_works_near_pipelines_come_first_and_can_be_asked_for_alone(watched: Workplace) -> None:
    """List, filter, map and case of the API know them, and the owner's number reaches the case."""
    with watched.database.write() as session:
        auth.add_user(session, "审核", "审核员", frozenset({Role.REVIEWER}), PASSWORD, by="test", clock=watched.clock)
    with TestClient(make_app(watched, page=Path("/nowhere"), watch=False)) as client:
        me = client.post("/api/login", json={"name": "审核", "password": PASSWORD})
        assert me.status_code == 200, me.text
        every = client.get("/api/findings", params={"area": "a1"}).json()
        urgency = [f["urgency"] for f in every]
        assert urgency == sorted(urgency, reverse=True)
        assert urgency[0] == 3
        alone = client.get("/api/findings", params={"area": "a1", "watch": "pipeline"}).json()
        assert {f["id"] for f in alone} == {f["id"] for f in every if f["urgency"]}
        assert alone[0]["watch"]["contact"] == "025-123"
        (corridor,) = client.get("/api/areas/a1/corridors").json()
        assert (corridor["number"], corridor["inner_m"], corridor["outer_m"], corridor["start"]) == ("G7", 5, 25, "K1+200")
        assert corridor["axis"]["type"] == "LineString"


def test_the_exported_row_has_stake_band_and_owner(watched: Workplace) -> None:
    """A spreadsheet tells an owner all that the page does."""
    with watched.database.read() as session:
        plots = attributes.plots(watched, session, [on(watched, PIT), on(watched, FAR_MACHINE)])
    near, far = (attributes.row(p) for p in plots)
    assert near["watch"] == "开挖"
    assert near["urgency"] == "立即"
    assert str(near["station"]).startswith("K1+2")
    assert near["pipe_owner"] == "某管道公司 025-123"
    assert far["watch"] is None


def test_a_corridor_that_comes_later_brings_back_what_was_held_and_one_withdrawn_lets_it_go(tmp_path: Path) -> None:
    """Relabelling answers for today's pipelines, both ways."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=FixedClock(NOON)) as work:
        areas.keep_area(work, area(), by="test")
        adopted(work, tmp_path / "before", date(2026, 10, 20))
        adopted(work, tmp_path / "after", date(2026, 11, 20), (MACHINE,))
        comparing.compare(work, "a1", by="test")
        assert on(work, MACHINE).state is FindingState.SUPPRESSED
        version = registering.import_file(work, pipelines(tmp_path), by="test", source="管道")
        overlaying.relabel(work, "a1", by="test")
        assert (on(work, MACHINE).state, on(work, MACHINE).urgency) == (FindingState.TRIAGE, 3)
        registering.withdraw(work, version.id, by="test", reason="改线")
        overlaying.relabel(work, "a1", by="test")
        gone = on(work, MACHINE)
        assert (gone.state, gone.urgency) == (FindingState.SUPPRESSED, 0)


def test_a_confirmed_work_opens_a_case(watched: Workplace) -> None:
    """It takes the same way as every finding."""
    done = casework.decide(watched, on(watched, PIT).id, "confirm", "现场开挖", REVIEWER)
    assert isinstance(done, Finding)
    with watched.database.read() as session:
        assert repositories.case_of(session, done.id) is not None


KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{extra}<Placemark><name>东线</name>
<LineString><coordinates>{points}</coordinates></LineString></Placemark></Document></kml>"""


def test_an_axis_from_kml_has_the_widths_of_the_law(watched: Workplace, tmp_path: Path) -> None:
    """Without widths of the owner's those of the law hold: 5 and 50 m."""
    points = " ".join(f"{x},{y},0" for x, y in axis().coords)
    path = tmp_path / "东线.kml"
    path.write_text(KML.format(points=points, extra=""), encoding="utf-8")
    found = registering.registerfile.read(watched.settings, path, ground=area().outline, kind="管道保护带")
    (entry,) = found.entries
    assert (entry.inner_m, entry.outer_m, entry.name) == (5.0, 50.0, "东线")
    assert area().frame.to_metres(entry.outline).area == pytest.approx(
        area().frame.to_metres(axis()).buffer(50, quad_segs=4).area, rel=1e-3
    )


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        ({"禁止宽度": 80}, "宽度"),
        ({"起点桩号": "一公里处"}, "桩号"),
        ({"类型": "宗地"}, "面状图形"),
    ],
)
def test_a_bad_axis_is_refused_whole_in_both_languages(
    watched: Workplace, tmp_path: Path, spoilt: dict[str, Any], says: str
) -> None:
    """Widths the wrong way round, a stake that is none, a line that should be a plot: which feature, and what to do."""
    with pytest.raises(RegisterRefused) as refused:
        registering.registerfile.read(watched.settings, pipelines(tmp_path, **spoilt), ground=area().outline)
    assert says in refused.value.zh
    assert "feature 1" in refused.value.en


def test_a_kml_with_entities_is_not_opened(watched: Workplace, tmp_path: Path) -> None:
    """XML that expands is refused before anything parses it."""
    path = tmp_path / "x.kml"
    path.write_text('<!DOCTYPE kml [<!ENTITY a "b">]>' + KML.format(points="120,32", extra=""), encoding="utf-8")
    with pytest.raises(RegisterRefused, match="DOCTYPE"):
        registering.registerfile.read(watched.settings, path, ground=area().outline, kind="管道保护带")
