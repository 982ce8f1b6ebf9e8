"""The catalogue, what leaves the store, and what is let go: laws of secrecy and retention, on a small adopted survey."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pystac
import pytest
import rasterio
import uvicorn
from fastapi.testclient import TestClient
from shapely.geometry import Polygon, box, mapping

from dispatch.actor import Actor, Role
from dispatch.case import CaseState
from dispatch.finding import Finding, FindingId, FindingState
from geo.area import Area, AreaId
from geo.times import FixedClock
from imagery import catalog, raster
from patrol import audit, auth, demo, records, repositories, rules, tasks
from patrol.api.app import make_app
from patrol.pipeline import areas, casework, cataloguing, evidencing, exporting, masking, retaining, surveying
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace

PASSWORD = "correct horse battery"
PLACE = (120.55, 32.38)
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
def work(tmp_path: Path, clock: FixedClock) -> Iterator[Workplace]:
    """A store with one area and two people: one who works with surveys, one who answers for secrecy."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings, clock=clock) as made:
        with made.database.write() as session:
            for login, role in (("desk", Role.REVIEWER), ("secret", Role.SECURITY_ADMIN), ("lead", Role.TOWN_LEAD)):
                auth.add_user(session, login, login, frozenset({role}), PASSWORD, by="test", clock=clock)
        areas.keep_area(made, area(), by="test")
        yield made


def area() -> Area:
    x, y = PLACE
    return Area(AreaId("a1"), "测试单元", box(x, y, x + 0.0006, y + 0.0005), gsd_m=0.1)


def adopted(work: Workplace, folder: Path, day: date, seed: int = 1) -> records.SurveyRecord:
    """A textured orthophoto and a sloping surface, adopted as a survey of the area."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = area().grid()
    rng = np.random.default_rng(1)
    base = rng.integers(30, 220, (grid.rows // 6 + 1, grid.cols // 6 + 1, 3)).astype(np.uint8)
    texture = cv2.resize(base, (grid.cols, grid.rows), interpolation=cv2.INTER_CUBIC)
    texture[:3, :3] = seed
    with raster.written(folder / f"ortho{seed}.tif", grid, "uint8", bands=3) as out:
        for window in grid.tiles(512):
            out.write(window, texture[window.slices], np.ones((window.rows, window.cols), bool))
    heights = np.add.outer(np.zeros(grid.rows), np.linspace(3, 5, grid.cols)).astype(np.float32)
    raster.write_float(folder / f"surface{seed}.tif", grid, heights)
    return surveying.adopt(
        work, folder / f"ortho{seed}.tif", "a1", day, by="test", surface=folder / f"surface{seed}.tif", gsd_m=0.1
    )


@pytest.fixture
def survey(work: Workplace, tmp_path: Path) -> records.SurveyRecord:
    return adopted(work, tmp_path / "given", date(2026, 11, 20))


def user_id(work: Workplace, login: str) -> str:
    with work.database.read() as session:
        return next(u.id for u in auth.users(session) if u.login == login)


@pytest.fixture
def client(work: Workplace) -> Iterator[TestClient]:
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as made:
        yield made


def sign_in(client: TestClient, login: str) -> None:
    assert client.post("/api/login", json={"name": login, "password": PASSWORD}).status_code == 200


def test_a_survey_folder_alone_is_a_valid_stac_item(work: Workplace, survey: records.SurveyRecord) -> None:
    """pystac reads `item.json`, the core schema holds, each asset lies beside it with the size and hash that it says."""
    folder = work.settings.home / survey.folder
    item = pystac.Item.from_file(str(folder / "item.json"))
    catalog.check(item)
    assert item.properties["proj:code"] == "EPSG:4549"
    assert {"ortho", "surface", "thumbnail", "quality"} <= set(item.assets)
    for role, asset in item.assets.items():
        path = Path(asset.get_absolute_href() or "")
        found = cataloguing.asset(folder, role, path)
        assert asset.extra_fields["file:checksum"] == "1220" + found.sha256
        assert asset.extra_fields["file:size"] == path.stat().st_size
    assert item.properties["patrol:classification"] == "internal"
    assert item.properties["patrol:area_m2"] == pytest.approx(area().area_m2, rel=0.02)


def test_the_sun_is_told_where_the_photos_tell_their_time(work: Workplace, survey: records.SurveyRecord) -> None:
    """A day alone does not say where the sun stood; photos do: high and in the south at noon."""
    assert "view:sun_elevation" not in cataloguing.item(work, survey)["properties"]
    folder = work.settings.home / survey.folder
    times = (datetime(2026, 11, 20, 3, 50, tzinfo=UTC), datetime(2026, 11, 20, 3, 56, tzinfo=UTC))
    cataloguing.save_originals(
        folder, [cataloguing.Original(str(n) * 64, f"{n}.jpg", f"{n}.jpg", 9, t) for n, t in enumerate(times)]
    )
    told = cataloguing.item(work, survey)["properties"]
    assert told["patrol:photos"] == 2
    assert told["view:sun_elevation"] == pytest.approx(90 - 32.38 - 19.7, abs=0.6)
    assert told["view:sun_azimuth"] == pytest.approx(180, abs=5)


def test_a_broken_item_is_called_broken(work: Workplace, survey: records.SurveyRecord) -> None:
    """The check is a check: an item without a place, or with a time that is none, does not pass."""
    good = json.loads((work.settings.home / survey.folder / "item.json").read_text(encoding="utf-8"))
    catalog.check(good)
    for broken in ({**good, "properties": {**good["properties"], "datetime": "yesterday"}}, {**good, "assets": None}):
        with pytest.raises(catalog.SurveyError):
            catalog.check(broken)


def test_the_api_speaks_stac(client: TestClient, survey: records.SurveyRecord) -> None:
    """Landing page, collection and items validate; search finds by box and day, and does not find what is elsewhere."""
    sign_in(client, "desk")
    landing = client.get("/api/stac").json()
    catalog.check(landing)
    collection = client.get("/api/stac/collections/a1").json()
    catalog.check(collection)
    (item,) = client.get("/api/stac/collections/a1/items").json()["features"]
    catalog.check(item)
    x, y = PLACE
    near, far = f"{x},{y},{x + 0.001},{y + 0.001}", f"{x + 1},{y},{x + 1.1},{y + 1}"
    found = client.get("/api/stac/search", params={"bbox": near, "datetime": "2026-11-01T00:00:00Z/.."}).json()
    assert [f["id"] for f in found["features"]] == [survey.id]
    assert client.get("/api/stac/search", params={"bbox": far}).json()["numberMatched"] == 0
    body = {"collections": ["a1"], "datetime": "2026-12-01T00:00:00Z/2026-12-31T00:00:00Z"}
    assert client.post("/api/stac/search", json=body).json()["numberMatched"] == 0
    assert client.get("/api/stac/search", params={"bbox": "1,2"}).status_code == 422
    assert client.get("/api/surveys/" + survey.id + "/thumbnail").headers["content-type"] == "image/webp"


def test_gdal_reads_the_ortho_by_range_through_the_api(work: Workplace, survey: records.SurveyRecord) -> None:
    """A map program opens the COG of a live server with its sign-in; its first read is far smaller than the file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(work, page=Path("/nowhere"), watch=False), port=port, log_level="error", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.05)
        import httpx

        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base) as http:
            assert http.post("/api/login", json={"name": "desk", "password": PASSWORD}).status_code == 200
            token = http.cookies["patrol_session"]
            item = http.get(f"/api/stac/collections/a1/items/{survey.id}").json()
            href = item["assets"]["ortho"]["href"]
            part = http.get(href, headers={"Range": "bytes=0-99"})
            assert (part.status_code, len(part.content)) == (206, 100)
        with (
            rasterio.Env(GDAL_HTTP_COOKIE=f"patrol_session={token}", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(f"/vsicurl/{href}") as file,
        ):
            far = file.read(1, window=((100, 120), (100, 120)))
        ortho = survey.asset("ortho")
        assert ortho is not None
        with rasterio.open(work.settings.home / survey.folder / ortho.path) as file:
            np.testing.assert_array_equal(far, file.read(1, window=((100, 120), (100, 120))))
    finally:
        server.should_exit = True
        thread.join(10)
    with work.database.read() as session:
        said = [e.action for e in audit.entries(session, subject=f"survey:{survey.id}/ortho")]
    assert said == ["export.read"]  # one line, however many ranges


def test_much_ground_needs_a_second_person(work: Workplace, survey: records.SurveyRecord, client: TestClient) -> None:
    """Nobody takes it alone, nobody approves their own request, the refusal names the article; with two people it goes out."""
    exporting.classify(work, survey.id, "secret", by="test")
    sign_in(client, "lead")  # who may both ask and approve
    alone = client.get(f"/api/stac/assets/{survey.id}/ortho")
    assert alone.status_code == 403
    assert alone.json()["reasons"][0]["article"]
    (asked,) = client.get("/api/exports", params={"state": "asked"}).json()
    own = client.post(f"/api/exports/{asked['id']}/decision", json={"approve": True})
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    assert client.get(f"/api/stac/assets/{survey.id}/ortho").status_code == 403
    sign_in(client, "secret")
    assert client.post(f"/api/exports/{asked['id']}/decision", json={"approve": True}).json()["state"] == "approved"
    assert client.get(f"/api/stac/assets/{survey.id}/ortho").status_code == 403  # to approve is not to take
    sign_in(client, "lead")
    assert client.get(f"/api/stac/assets/{survey.id}/ortho").status_code == 200
    sign_in(client, "desk")
    assert client.get(f"/api/stac/assets/{survey.id}/ortho").status_code == 403  # leave is one person's


def test_many_small_pieces_are_one_large_one(work: Workplace, survey: records.SurveyRecord) -> None:
    """Ground that lies beside what the same person took lately counts together; what another one took does not."""
    config = work.settings.home / "config"
    config.mkdir(exist_ok=True)
    lines = (rules.SHIPPED / "classification.csv").read_text(encoding="utf-8")
    (config / "classification.csv").write_text(lines.replace("25000000", str(area().area_m2 * 1.5)), encoding="utf-8")
    x, y = PLACE
    beside = Area(AreaId("a2"), "邻单元", box(x + 0.0006, y, x + 0.0012, y + 0.0005), gsd_m=0.1)
    areas.keep_area(work, beside, by="test")
    with work.database.write() as session:
        second = replace(survey, id="s2", area_id="a2", outline=beside.outline)
        repositories.surveys.add(session, second)
    assert exporting.ask(work, survey.id, by="ann").state == "approved"
    assert exporting.ask(work, "s2", by="bob").state == "approved"
    asked = exporting.ask(work, "s2", by="ann")
    assert asked.state == "asked"
    assert asked.contiguous_m2 == pytest.approx(2 * area().area_m2, rel=0.05)


def masks_given(**properties: str) -> dict[str, Any]:
    x, y = PLACE
    ground = box(x + 0.0002, y + 0.0001, x + 0.0004, y + 0.0003)
    feature = {"type": "Feature", "geometry": mapping(ground), "properties": properties}
    return {"type": "FeatureCollection", "features": [feature]}


def test_a_mask_says_by_whose_word_and_why(work: Workplace) -> None:
    """Without an authority or a reason nothing is taken."""
    with pytest.raises(masking.MaskRefused, match="authority"):
        masking.import_masks(work, masks_given(reason="x"), "m", by="test")
    with work.database.read() as session:
        assert repositories.masks.count(session) == 0


def test_masks_are_burnt_before_and_after(work: Workplace, tmp_path: Path, survey: records.SurveyRecord) -> None:
    """A later mask re-burns what is there (new hashes, item, thumbnail); a later survey is burnt before it can be seen."""
    masking.import_masks(work, masks_given(authority="某部", reason="军事管理区"), "m", by="sec")
    assert [s for s, _ in masking.burn_all(work, by="sec")] == [survey.id]
    assert masking.burn_all(work, by="sec") == ()
    with work.database.read() as session:
        burnt = repositories.surveys.get(session, survey.id)
        told = [e for e in audit.entries(session, subject=f"survey:{survey.id}") if e.action == "survey.mask"]
    assert told
    assert told[0].details["cells"][0] > 1000
    for role in ("ortho", "surface", "thumbnail"):
        old, new = survey.asset(role), burnt.asset(role)
        assert old is not None
        assert new is not None
        assert old.sha256 != new.sha256
    old_picture = survey.asset("thumbnail")
    assert old_picture is not None
    assert not work.blobs.has(old_picture.sha256)
    later = adopted(work, tmp_path / "later", date(2026, 12, 20), seed=2)
    x, y = PLACE
    middle = area().frame.to_metres(box(x + 0.00025, y + 0.00015, x + 0.00035, y + 0.00025))
    for record in (burnt, later):
        ortho = record.asset("ortho")
        assert ortho is not None
        path = work.settings.home / record.folder / ortho.path
        cells = raster.inside(middle, raster.grid_of(path))
        assert not raster.read_mask(path)[cells].any()
        assert raster.read_window(path)[cells].max() == 0
        item = pystac.Item.from_file(str(work.settings.home / record.folder / "item.json"))
        assert len(item.properties["patrol:masks"]) == 1
        assert item.assets["ortho"].extra_fields["file:checksum"] == "1220" + ortho.sha256


def test_only_those_who_answer_for_secrecy_see_masks(client: TestClient) -> None:
    """The outline of what may not be shown may not be shown either."""
    given = masks_given(authority="某部", reason="军事管理区")
    sign_in(client, "desk")
    assert client.get("/api/masks").status_code == 403
    assert client.post("/api/masks", json=given).status_code == 403
    sign_in(client, "secret")
    assert client.post("/api/masks", json={"type": "FeatureCollection", "features": [3]}).status_code == 422
    job = client.post("/api/masks", json=given).json()
    assert job["kind"] == "burn_masks"
    (mask,) = client.get("/api/masks").json()
    assert mask["authority"] == "某部"


def with_originals(work: Workplace, record: records.SurveyRecord) -> list[Path]:
    folder = work.settings.home / record.folder
    paths = []
    for number in range(3):
        path = work.settings.home / "photos" / "a1" / f"{record.id}-{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{record.id} {number}".encode())
        paths.append(path)
    found = [cataloguing.Original(str(n) * 64, p.name, str(p), p.stat().st_size) for n, p in enumerate(paths)]
    cataloguing.save_originals(folder, found)
    return paths


def test_retention_lets_go_of_the_middle_and_keeps_hashes(work: Workplace, tmp_path: Path, clock: FixedClock) -> None:
    """First (reference) and last stay; between them originals and rasters go after their days, their hashes never."""
    made = [adopted(work, tmp_path / f"g{n}", date(2026, n, 1), seed=n) for n in (1, 2, 3)]
    files = [with_originals(work, record) for record in made]
    assert retaining.due(work) == ()
    clock.advance(timedelta(days=365 * 2 + 40))
    (due,) = retaining.due(work)
    assert (due.kind, due.subject, due.files) == ("originals", made[1].id, 3)
    assert all(path.is_file() for path in files[1])
    assert retaining.apply(work, by="system") == (due,)
    assert not any(path.exists() for path in files[1])
    assert all(path.is_file() for path in (*files[0], *files[2]))
    kept = cataloguing.originals_of(work.settings.home / made[1].folder)
    assert [o.sha256[:1] for o in kept] == ["0", "1", "2"]
    assert all(o.removed_at is not None for o in kept)
    with work.database.read() as session:
        (said,) = [e for e in audit.entries(session, subject=f"survey:{made[1].id}") if e.action == "retention.originals"]
    assert said.details["sha256"] == [o.sha256 for o in kept]
    clock.advance(timedelta(days=365 * 4))
    assert [d.kind for d in retaining.apply(work, by="system")] == ["survey"]
    with work.database.read() as session:
        record = repositories.surveys.get(session, made[1].id)
    assert record.asset("ortho") is None
    assert {r["role"] for r in record.record["removed"]} >= {"ortho", "surface"}
    ortho = made[1].asset("ortho")
    assert ortho is not None
    assert not (work.settings.home / record.folder / ortho.path).exists()
    assert retaining.due(work) == ()


def test_the_nightly_job_is_asked_for_once_a_night(work: Workplace, clock: FixedClock) -> None:
    """Not by day; at three in the morning once, however often the sweep comes by; switched off, never."""
    app = tasks.make_app(work.settings)
    assert tasks.nightly(app, work.database, work.settings, clock) is None  # it is noon
    clock.advance(timedelta(hours=15))
    first = tasks.nightly(app, work.database, work.settings, clock)
    assert first is not None
    assert first.args["apply"] is False
    assert tasks.nightly(app, work.database, work.settings, clock) is None
    off = work.settings.model_copy(update={"retention": "off"})
    assert tasks.nightly(app, work.database, off, clock) is None


def found_at(
    work: Workplace, before: records.SurveyRecord, after: records.SurveyRecord, ground: Polygon, state: FindingState
) -> Finding:
    """A finding between two surveys, with the evidence that a comparison cuts for it."""
    with work.database.write() as session:
        finding = Finding(
            id=FindingId(repositories.new_id()),
            number=repositories.finding_number(session, work.clock),
            area_id="a1",
            outline_wgs84=ground,
            area_m2=20.0,
            height_m=2.0,
            kind="new_building",
            score=0.9,
            state=state,
            found_at=work.clock.now(),
            before_survey=before.id,
            after_survey=after.id,
        )
        repositories.findings.add(session, finding)
        desk = evidencing.EvidenceDesk(surveying.load_survey(work, before), surveying.load_survey(work, after))
        for role, crop, survey_id in desk.pieces(area().frame.to_metres(ground), photos=True):
            evidencing.keep(work, session, finding.id, role, crop, survey_id)
    return finding


def test_evidence_is_cut_anew_where_a_mask_comes(work: Workplace, tmp_path: Path, client: TestClient) -> None:
    """Pictures that showed what is masked now are no longer in the store; what lies under the mask whole keeps its hash alone."""
    before, after = (adopted(work, tmp_path / f"e{n}", date(2026, n, 1), seed=n) for n in (9, 10))
    x, y = PLACE
    beside = box(x + 0.00042, y + 0.00015, x + 0.00046, y + 0.00019)
    finding = found_at(work, before, after, beside, FindingState.TRIAGE)
    with work.database.read() as session:
        old = repositories.evidence_of(session, "finding", finding.id)
    assert sorted(e.role for e in old) == ["after", "before", "height"]
    masking.import_masks(work, masks_given(authority="某部", reason="军事管理区"), "m", by="sec")
    masking.burn_all(work, by="sec")
    with work.database.read() as session:
        new = repositories.evidence_of(session, "finding", finding.id)
    assert {e.id for e in new} == {e.id for e in old}
    for was, now in zip(sorted(old, key=lambda e: e.id), sorted(new, key=lambda e: e.id), strict=True):
        assert was.sha256 != now.sha256
        assert not work.blobs.has(was.sha256)
        assert work.blobs.has(now.sha256)
    sign_in(client, "desk")
    shown = client.get(f"/api/findings/{finding.id}/evidence").json()
    out = client.get(f"/api/evidence/{shown[0]['id']}/public")
    assert out.headers["x-original-sha256"] == shown[0]["sha256"]
    with work.database.read() as session:
        said = [e for e in audit.entries(session, subject=f"evidence:{shown[0]['id']}") if e.action == "export.picture"]
    assert said[0].details["handed_out"] == hashlib.sha256(out.content).hexdigest()


def test_evidence_stays_while_anybody_may_need_it(work: Workplace, tmp_path: Path, clock: FixedClock, client: TestClient) -> None:
    """A rejected finding's pictures go after their days; those of an undecided one, or of a case that is not over, never do."""
    before, after = (adopted(work, tmp_path / f"r{n}", date(2026, n, 1), seed=n) for n in (9, 10))
    x, y = PLACE
    places = [box(x + d, y + 0.0003, x + d + 0.00004, y + 0.00034) for d in (0.0001, 0.0002, 0.0003)]
    states = (FindingState.REJECTED, FindingState.TRIAGE, FindingState.TRIAGE)
    rejected, waiting, confirmed = (found_at(work, before, after, g, s) for g, s in zip(places, states, strict=True))
    casework.decide(work, confirmed.id, "confirm", "清楚", Actor("r", "r", frozenset(Role) - {Role.SYSTEM}))
    with work.database.read() as session:
        case = repositories.case_of(session, confirmed.id)
    assert case is not None
    clock.advance(timedelta(days=366 * 20))
    done = retaining.apply(work, by="system")
    assert {d.kind for d in done} == {"evidence_rest"}
    with work.database.read() as session:
        kept = {f.id: repositories.evidence_of(session, "finding", f.id) for f in (rejected, waiting, confirmed)}
    assert all(e.removed_at is not None and not work.blobs.has(e.sha256) for e in kept[rejected.id])
    assert all(e.removed_at is None and work.blobs.has(e.sha256) for f in (waiting, confirmed) for e in kept[f.id])
    sign_in(client, "desk")
    gone = client.get(f"/api/evidence/{kept[rejected.id][0].id}")
    assert gone.status_code == 410
    assert kept[rejected.id][0].sha256 in gone.json()["text"]["zh"]
    with work.database.write() as session:
        over = replace(case, state=CaseState.CLOSED, closed_at=clock.now(), version=case.version + 1)
        repositories.cases.put(session, over)
    assert all(d.kind != "evidence_case" for d in retaining.due(work))
    clock.advance(timedelta(days=366 * 5))
    assert {d.kind for d in retaining.due(work)} >= {"evidence_case"}
