"""Findings leave as files of five kinds, each read back by a program that did not write it: same count, same ground, same words."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import sqlite3
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from dispatch.actor import Actor, Role
from dispatch.finding import Finding, FindingAct, FindingId, FindingState
from geo.datums import bd09, gcj02
from geo.frames import Frame
from geo.times import FixedClock
from patrol import audit, auth, demo, records, repositories
from patrol.api.app import make_app
from patrol.pipeline import areas, attributes, handing, mapfiles, registering
from patrol.pipeline.attributes import FIELDS, Plot, row
from patrol.pipeline.mapfiles import MapFileError
from patrol.settings import Settings
from patrol.tables import AuditRow
from patrol.wiring import Workplace, workplace
from tests.unit.patrol.built import Block, area
from tests.unit.patrol.test_register import PERMITS, written

PASSWORD = "correct horse battery"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
LONG = "；".join(f"第{n}条：屋顶新增一层，高 {n}.5 米，囍、镠等字亦须保留" for n in range(40))


def outlines() -> tuple[Polygon | MultiPolygon, ...]:
    plain = Block(12, 12, 9, 7, 4).outline_m()
    ring = Block(40, 12, 12, 12, 5).outline_m()
    hollow = Polygon(ring.exterior, [ring.centroid.buffer(3, quad_segs=4).exterior])
    two = MultiPolygon([Block(12, 45, 8, 6, 3).outline_m(), Block(30, 45, 8, 6, 3).outline_m()])
    return tuple(area().frame.to_degrees(o) for o in (plain, hollow, two))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Three findings: plain, with a hole, in two parts; one with a text that no Shapefile field can hold."""
    home = tmp_path_factory.mktemp("files")
    settings = Settings(home=home / "store", database_url="", broker_url="")
    demo.fresh(settings)
    system = Actor("system", "system", frozenset({Role.SYSTEM}))
    with workplace(settings, clock=FixedClock(NOON)) as made:
        areas.keep_area(made, area(), by="test")
        registering.import_file(made, written(home, PERMITS), by="test")
        with made.database.write() as session:
            for login, role in (("desk", Role.DISPATCHER), ("pilot", Role.PILOT)):
                auth.add_user(session, login, login, frozenset({role}), PASSWORD, by="test", clock=made.clock)
            surveys = [_survey(day) for day in (date(2026, 10, 20), date(2026, 11, 20))]
            for survey in surveys:
                repositories.surveys.add(session, survey)
            pair = records.ComparisonRecord(
                "s1_s2", "a1", *(s.id for s in surveys), NOON, {"sigma_xy_m": 0.04, "sigma_z_m": 0.06}
            )
            repositories.comparisons.add(session, pair)
            for n, outline in enumerate(outlines(), start=1):
                reasons = (LONG, "=1+1") if n == 1 else ("升高 4.0 米 / rose by 4.0 m",)
                kind, height = ("new_building", 4.0) if n < 3 else ("shed_or_container", None)
                number = repositories.finding_number(session, made.clock)
                seen_by = (surveys[0].id, surveys[1].id)
                start = (FindingId(f"f{n}"), number, "a1", outline, 60.25 + n, height, kind, 0.8, FindingState.DETECTED, NOON)
                finding = Finding(*start, *seen_by, reasons=reasons, town="如城街道")
                repositories.report_finding(session, finding, system)
                repositories.judge_finding(session, finding.id, FindingAct.TRIAGE, system, made.clock)
                seen = records.CandidateRecord(
                    f"c{n}", pair.id, "a1", outline, 60.25 + n, 1.5, height, kind, 0.8, reasons, finding_id=finding.id
                )
                repositories.candidates.add(session, seen)
        yield made


def _survey(day: date) -> records.SurveyRecord:
    quality = {"gsd_m": 0.03, "sun_elevation_deg": 25.0 if day.month == 11 else 41.0, "sun_azimuth_deg": 180.0}
    return records.SurveyRecord(f"s-{day}", "a1", day, NOON, area().outline, "nowhere", True, quality, (), {})


def plots(work: Workplace) -> tuple[Plot, ...]:
    with work.database.read() as session:
        found = sorted(repositories.findings.where(session), key=lambda f: f.number)
        return attributes.plots(work, session, found)


def texts(work: Workplace) -> list[dict[str, Any]]:
    return [row(p) for p in plots(work)]


def off_m(read: list[BaseGeometry]) -> float:
    """The worst distance in metres between outlines read (degrees) and meant."""
    frame = area().frame
    pairs = zip(read, outlines(), strict=True)
    return max(float(shapely.hausdorff_distance(frame.to_metres(a), frame.to_metres(b))) for a, b in pairs)


def test_a_finding_carries_all_its_attributes(work: Workplace) -> None:
    """Area with its sigma, CGCS2000 in degrees and in the zone, both web datums, dates, GSD, residual, sun, the nearest permit."""
    first = plots(work)[0]
    told = row(first)
    assert list(told) == [f.code for f in FIELDS]
    assert (told["area_m2"], told["area_sigma_m2"], told["height_sigma_m"]) == (61.2, 1.5, 0.06)
    assert (told["before_on"], told["after_on"], told["gsd_m"], told["residual_m"]) == ("2026-10-20", "2026-11-20", 0.03, 0.04)
    assert told["kind"] == "新建" and told["state"] == "待研判" and told["area_name"] == "测试单元"
    assert told["zone_epsg"] == 4549
    at = Frame(4549).lonlat(float(told["x_m"] or 0), float(told["y_m"] or 0))
    assert at.lon_deg == pytest.approx(told["lon_deg"], abs=2e-7) and at.lat_deg == pytest.approx(told["lat_deg"], abs=2e-7)
    assert told["lon_gcj02"] == pytest.approx(gcj02(first.centre).lon_deg, abs=1e-6)
    assert told["lat_bd09"] == pytest.approx(bd09(first.centre).lat_deg, abs=1e-6)
    assert told["permit"] == "建字1号" and told["permit_m"] == 0.0
    assert told["shadows"] == "太阳高度角偏低 low sun"


def test_names_of_fields_are_fit_for_every_format() -> None:
    """Ten ASCII letters for a Shapefile, each name once in each language."""
    assert all(f.short.isascii() and len(f.short) <= 10 and f.short == f.short.upper() for f in FIELDS)
    for name in ("code", "short", "zh", "en"):
        assert len({getattr(f, name) for f in FIELDS}) == len(FIELDS)


def test_geopackage_as_plain_sqlite_says_the_same(work: Workplace, tmp_path: Path) -> None:
    """Read with sqlite3 alone: header, well-known binary and text, in degrees and in the zone."""
    for epsg in (4490, 4549):
        path = tmp_path / f"{epsg}.gpkg"
        path.write_bytes(mapfiles.make("gpkg", plots(work), epsg=epsg))
        with sqlite3.connect(path) as db:
            (name, column, srs), *_ = db.execute("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns")
            (organization, code), *_ = db.execute(
                "SELECT organization, organization_coordsys_id FROM gpkg_spatial_ref_sys WHERE srs_id = ?", (srs,)
            )
            assert (organization.upper(), code) == ("EPSG", epsg)
            names = [f.code for f in FIELDS]
            found = db.execute(f"SELECT {column}, {', '.join(names)} FROM {name} ORDER BY number").fetchall()
        read = []
        for blob, *values in found:
            assert blob[:2] == b"GP"
            envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[(blob[3] >> 1) & 7]
            read.append(shapely.from_wkb(blob[8 + envelope :]))
            assert dict(zip(names, values, strict=True)) == texts(work)[len(read) - 1]
        frame = Frame(4549)
        assert off_m([frame.to_degrees(g) for g in read] if epsg == 4549 else read) < 1e-6


def dbf(raw: bytes, encoding: str) -> list[dict[str, str]]:
    """A dBASE table, read by its published layout."""
    count, header, width = struct.unpack("<IHH", raw[4:12])
    fields = []
    at = 32
    while raw[at] != 0x0D:
        fields.append((raw[at : at + 11].split(b"\0")[0].decode("ascii"), raw[at + 16]))
        at += 32
    rows = []
    for n in range(count):
        at = header + n * width + 1
        read = {}
        for name, length in fields:
            read[name] = raw[at : at + length].decode(encoding).strip(" \0")  # as readers do
            at += length
        rows.append(read)
    return rows


def shp(raw: bytes) -> list[BaseGeometry]:
    """Polygons of a .shp, read by ESRI's published layout: outer rings run clockwise."""
    read, at = [], 100
    while at < len(raw):
        length = struct.unpack(">I", raw[at + 4 : at + 8])[0] * 2
        body = raw[at + 8 : at + 8 + length]
        assert struct.unpack("<I", body[:4])[0] == 5
        parts, points = struct.unpack("<II", body[36:44])
        starts = [*struct.unpack(f"<{parts}I", body[44 : 44 + 4 * parts]), points]
        xy = np.frombuffer(body, "<f8", 2 * points, 44 + 4 * parts).reshape(-1, 2)
        rings = [shapely.LinearRing(xy[a:b]) for a, b in itertools.pairwise(starts)]
        outer = [Polygon(r) for r in rings if not r.is_ccw]
        holes = [r for r in rings if r.is_ccw]
        whole = [Polygon(o.exterior, [h for h in holes if o.contains(Polygon(h))]) for o in outer]
        read.append(whole[0] if len(whole) == 1 else MultiPolygon(whole))
        at += 8 + length
    return read


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_shapefile_byte_by_byte_says_the_same(work: Workplace, encoding: str) -> None:
    """Its table in the encoding that .cpg says, long texts whole over several fields, every field in the dictionary beside it."""
    chosen = plots(work)
    packed = zipfile.ZipFile(io.BytesIO(mapfiles.make("shp", chosen, encoding=encoding)))
    assert packed.read("findings.cpg").decode().lower() == encoding
    assert b"China_2000" in packed.read("findings.prj") or b"CGCS" in packed.read("findings.prj").upper()
    assert off_m(shp(packed.read("findings.shp"))) < 1e-6
    table = dbf(packed.read("findings.dbf"), encoding)
    words = list(csv.reader(io.StringIO(packed.read(mapfiles.DICTIONARY).decode("utf-8-sig"))))
    assert [w[0] for w in words[1:]] == list(table[0])
    for read, meant in zip(table, texts(work), strict=True):
        for field in FIELDS:
            more = [k for k in read if re.fullmatch(rf"{field.short[:8]}_[2-9]|{field.short[:7]}_[1-9]\d", k)]
            value = read[field.short] + "".join(read[k] for k in more)
            if field.decimals is None:
                assert value == (meant[field.code] or ""), field.code
            elif meant[field.code] is not None:
                assert float(value) == pytest.approx(meant[field.code], abs=1e-9), field.code
    assert any(len(w[0]) <= 10 and w[0].startswith("REASONS_") for w in words)


@given(st.text(st.sampled_from("建a 5 \n，"), max_size=900), st.sampled_from(["UTF-8", "GBK"]))
def test_a_split_text_is_whole_again(text: str, encoding: str) -> None:
    """Pieces fit the field, join to what they were, and lose nothing to a reader that strips spaces."""
    text = text.strip()
    pieces = mapfiles.split(text, encoding)
    assert all(len(p.encode(encoding)) <= 254 for p in pieces)
    assert "".join(p.strip() for p in pieces) == text


def test_what_gbk_cannot_write_is_refused_not_questioned(work: Workplace) -> None:
    """A rare character would become a question mark: the sentence names it and says to use UTF-8."""
    (first, *_) = plots(work)
    odd = replace(first, finding=replace(first.finding, town="𠮷村"))
    with pytest.raises(MapFileError, match=r"𠮷.*UTF-8"):
        mapfiles.make("shp", [odd], encoding="gbk")
    assert mapfiles.make("shp", [odd])


def test_geojson_as_plain_json_says_the_same(work: Workplace) -> None:
    read = json.loads(mapfiles.make("geojson", plots(work)))
    assert [f["properties"] for f in read["features"]] == texts(work)
    assert off_m([shape(f["geometry"]) for f in read["features"]]) < 1e-9


def test_kml_in_gdal_says_the_same(work: Workplace, tmp_path: Path) -> None:
    """GDAL, which did not write it, reads types, Chinese texts and holes."""
    path = tmp_path / "findings.kml"
    path.write_bytes(mapfiles.make("kml", plots(work)))
    read = pyogrio.read_dataframe(path)
    assert off_m(list(read.geometry)) < 1e-6
    for told, meant in zip(read.to_dict("records"), texts(work), strict=True):
        for field in FIELDS:
            value = told[field.code]
            if meant[field.code] is None:
                assert value is None or value != value or value == "", field.code  # noqa: PLR0124 - NaN
            else:
                assert value == meant[field.code], field.code


def test_xlsx_in_gdal_says_the_same(work: Workplace, tmp_path: Path) -> None:
    """GDAL reads the sheets: texts that look like formulas are texts, outlines come whole out of their vertices."""
    path = tmp_path / "findings.xlsx"
    path.write_bytes(mapfiles.make("xlsx", plots(work)))
    read = pyogrio.read_dataframe(path, layer="图斑", read_geometry=False)
    assert len(read) == 3 and len(read.columns) == len(FIELDS)
    for told, meant in zip(read.to_dict("records"), texts(work), strict=True):
        for (title, value), field in zip(told.items(), FIELDS, strict=True):
            assert title.startswith(field.zh)
            if meant[field.code] is not None:
                assert value == meant[field.code], field.code
    assert "=1+1" in read["判定依据"][0]
    rows = pyogrio.read_dataframe(path, layer="界址点", read_geometry=False)
    back = []
    for number in read["图斑编号"]:
        mine = rows[rows["图斑编号"] == number]
        parts = []
        for part in sorted(set(mine["部分"])):
            rings = [r[["经度(°)", "纬度(°)"]].to_numpy() for _, r in mine[mine["部分"] == part].groupby("环")]
            parts.append(Polygon(rings[0], rings[1:]))
        back.append(parts[0] if len(parts) == 1 else MultiPolygon(parts))
    assert off_m(back) < 1e-6
    metres = Frame(4549).lonlat_array(rows[["横坐标东(m)", "纵坐标北(m)"]].to_numpy())
    assert np.abs(metres - rows[["经度(°)", "纬度(°)"]].to_numpy()).max() < 1e-8


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"form": "dwg"}, "dwg"), ({"epsg": 999999}, "999999"), ({"epsg": 4214}, "4214"), ({"encoding": "big5"}, "big5")],
)
def test_what_cannot_be_written_is_one_sentence(work: Workplace, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(MapFileError, match=said):
        mapfiles.make(**{"form": "gpkg", "plots": plots(work), **asked})
    with pytest.raises(MapFileError, match="没有符合条件"):
        mapfiles.make("gpkg", [])


def test_what_leaves_is_logged_and_much_ground_needs_a_second_person(work: Workplace) -> None:
    """One line says who took how many in what form with which hash; a secret survey's findings wait for a second person."""
    done = handing.findings(work, repositories.CaseFilter(area_id="a1"), "geojson", by="desk", reason="移交")
    assert isinstance(done, handing.Handed) and done.count == 3
    with work.database.read() as session:
        (line,) = [r for r in session.query(AuditRow) if r.action == "export.findings" and r.actor == "desk"]
        assert line.details["sha256"] == done.sha256 and line.details["count"] == 3 and line.details["reason"] == "移交"
        audit.verify(session)
        survey = repositories.surveys.get(session, "s-2026-11-20")
    with work.database.write() as session:
        repositories.surveys.put(session, replace(survey, classification="secret"))
    try:
        held = handing.findings(work, repositories.CaseFilter(area_id="a1"), "geojson", by="desk")
        assert isinstance(held, handing.ExportRefused) and held.export_id is not None
    finally:
        with work.database.write() as session:
            repositories.surveys.put(session, survey)


def test_the_api_hands_out_files_to_whom_it_may(work: Workplace) -> None:
    """The file comes with its hash and name; a pilot gets none; attributes are named in both languages."""
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as client:
        assert client.post("/api/login", json={"name": "desk", "password": PASSWORD}).status_code == 200
        told = client.get("/api/findings/f1/attributes").json()
        assert [t["code"] for t in told] == [f.code for f in FIELDS]
        assert next(t for t in told if t["code"] == "area_sigma_m2")["text"]["zh"] == "面积中误差"
        for form, kind in mapfiles.FORMS.items():
            done = client.get("/api/findings/export", params={"format": form, "area": "a1", "reason": "移交"})
            assert done.status_code == 200, done.text
            assert done.headers["content-type"].startswith(kind.media_type) and kind.suffix in done.headers["content-disposition"]
        none = client.get("/api/findings/export", params={"state": "rejected"})
        assert none.status_code == 422 and "没有符合条件" in none.json()["text"]["zh"]
    with TestClient(make_app(work, page=Path("/nowhere"), watch=False)) as client:
        assert client.post("/api/login", json={"name": "pilot", "password": PASSWORD}).status_code == 200
        assert client.get("/api/findings/export").status_code == 403
