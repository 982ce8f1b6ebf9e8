"""Register files come in whole or not at all, whatever program wrote them; every guess is said, every wrong datum is caught."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from change_detect.register import Entry, EntryKind
from geo import reading
from geo.datums import bd09, from_bd09_array, from_gcj02_array, gcj02, gcj02_array
from geo.frames import Frame, LonLat
from patrol.registercolumns import RegisterRefused
from patrol.registerfile import RegisterFile, read
from patrol.settings import Settings

FRAME = Frame(4549)
PLACE = LonLat(lon_deg=120.5612, lat_deg=32.3921)
AT = FRAME.xy(PLACE)
GROUND = FRAME.to_degrees(box(AT.x_m, AT.y_m, AT.x_m + 400, AT.y_m + 300))
SETTINGS = Settings(home=Path("/nowhere"), database_url="", broker_url="")


def outlines() -> list[Polygon]:
    """Six plots inside the area, metres of EPSG:4549."""
    return [box(AT.x_m + 20 + 60 * n, AT.y_m + 40, AT.x_m + 50 + 60 * n, AT.y_m + 70 + n) for n in range(6)]


def table(names: str = "zh") -> geopandas.GeoDataFrame:
    chinese = {
        "许可证号": [f"建字第32068220260{n}号" for n in range(6)],
        "许可类型": ["建设工程规划许可证", "乡村建设规划许可", "临时建设许可", "宗地", "在建工地", "存量台账"],
        "项目名称": ["如城街道镠囍嘉园一期", "丁堰镇村民自建房", "临时售楼处", "城北街道", "工地", "老厂房"],
        "占地面积": [300.0, 120.0, 80.0, 0.0, 0.0, 260.5],
        "建筑高度": [18.0, 9.5, 4.0, 0.0, 0.0, 6.2],
        "发证日期": ["2025-03-01", "2025年3月1日", "20250301", "2025/03/01", "", ""],
        "有效期至": ["", "长期", "2026-03-01", "", "2027-01-01", ""],
    }
    english = dict(zip(chinese, ("permit_no", "kind", "project", "footprint_m2", "height", "issued", "expires"), strict=True))
    data = chinese if names == "zh" else {english[k]: v for k, v in chinese.items()}
    return geopandas.GeoDataFrame(data, geometry=outlines(), crs=4549)


def take(path: Path, **more: Any) -> RegisterFile:
    return read(SETTINGS, path, ground=GROUND, **more)


def off_m(found: RegisterFile) -> float:
    """The worst distance between outlines read and outlines meant, in metres."""
    pairs = zip(found.entries, outlines(), strict=True)
    return max(float(shapely.hausdorff_distance(FRAME.to_metres(e.outline), meant)) for e, meant in pairs)


def gpkg(folder: Path) -> Path:
    table().to_file(folder / "register.gpkg", driver="GPKG")
    return folder / "register.gpkg"


def geojson(folder: Path) -> Path:
    table("en").to_crs(4326).to_file(folder / "register.geojson", driver="GeoJSON")
    return folder / "register.geojson"


def shapefile(folder: Path, encoding: str, *, cpg: bool = True, prj: bool = True, crs: int = 4549) -> Path:
    path = folder / "register.shp"
    short = {"许可证号": "XKZH", "许可类型": "XKLX", "项目名称": "XMMC", "占地面积": "JZZDMJ", "建筑高度": "JZGD"}
    short |= {"发证日期": "FZRQ", "有效期至": "YXQZ"}
    table().rename(columns=short).to_crs(crs).to_file(path, driver="ESRI Shapefile", encoding=encoding)
    if not cpg:
        path.with_suffix(".cpg").unlink()
    if not prj:
        path.with_suffix(".prj").unlink()
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "gpkg": gpkg,
    "geojson": geojson,
    "shp utf-8": lambda f: shapefile(f, "UTF-8"),
    "shp gbk": lambda f: shapefile(f, "GBK"),
    "shp gbk no cpg": lambda f: shapefile(f, "GBK", cpg=False),
    "shp utf-8 no cpg": lambda f: shapefile(f, "UTF-8", cpg=False),
    "shp no prj": lambda f: shapefile(f, "GBK", prj=False),
    "shp zone in easting, no prj": lambda f: shapefile(f, "GBK", prj=False, crs=4528),
    "shp degrees": lambda f: shapefile(f, "UTF-8", crs=4490),
}


@pytest.mark.parametrize("made", MAKERS)
def test_every_format_gives_the_same_entries(made: str, tmp_path: Path) -> None:
    """The same six plots come out of every format, encoding and frame: text to the letter, outlines to a millimetre."""
    found = take(MAKERS[made](tmp_path))
    assert [e.kind for e in found.entries] == [
        EntryKind.BUILDING_PERMIT,
        EntryKind.VILLAGE_PERMIT,
        EntryKind.TEMPORARY_PERMIT,
        EntryKind.PARCEL,
        EntryKind.SITE,
        EntryKind.LEDGER,
    ]
    assert [e.id for e in found.entries] == list(table()["许可证号"])
    assert [e.name for e in found.entries] == list(table()["项目名称"])
    assert [e.area_limit_m2 for e in found.entries] == [300.0, 120.0, 80.0, None, None, 260.5]
    assert [e.height_limit_m for e in found.entries] == [18.0, 9.5, 4.0, None, None, 6.2]
    assert {e.valid_from for e in found.entries[:4]} == {date(2025, 3, 1)}
    assert [e.valid_to for e in found.entries] == [None, None, date(2026, 3, 1), None, date(2027, 1, 1), None]
    assert off_m(found) < 1e-3
    assert found.guessed == ("no prj" in made)
    assert ("encoding" in {n.code for n in found.notes}) == ("no cpg" in made)
    assert all(n.zh and n.en for n in found.notes)


def test_a_zip_is_the_shapefile_in_it(tmp_path: Path) -> None:
    """What people send is a zip, and a zip of two maps is ambiguous."""
    path = shapefile(tmp_path, "GBK")
    packed = tmp_path / "报送.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for part in tmp_path.glob("register.*"):
            out.write(part, f"报送/{part.name}")
    assert [e.name for e in take(packed).entries] == [e.name for e in take(path).entries]
    with zipfile.ZipFile(packed, "a") as out:
        out.write(geojson(tmp_path), "x.geojson")
    with pytest.raises(RegisterRefused, match="one map file"):
        take(packed)


def test_a_lying_cpg_is_found_out(tmp_path: Path) -> None:
    """A .cpg that says UTF-8 over GBK bytes would turn every name into rubbish: the bytes are believed, and it is said."""
    path = shapefile(tmp_path, "GBK")
    path.with_suffix(".cpg").write_text("UTF-8")
    found = take(path)
    assert found.entries[0].name == "如城街道镠囍嘉园一期"
    assert "GBK" in next(n for n in found.notes if n.code == "encoding").zh


def test_steps_between_datums_undo_each_other() -> None:
    """GCJ-02 and BD-09 and back is the same place within a hundredth of a millimetre, and arrays say what single places say."""
    rng = np.random.default_rng(1)
    here = rng.uniform((80, 20), (130, 50), (200, 2))
    there = gcj02_array(here)
    one = gcj02(LonLat(lon_deg=here[0, 0], lat_deg=here[0, 1]))
    assert np.allclose(there[0], (one.lon_deg, one.lat_deg), atol=1e-12)
    assert np.abs(from_gcj02_array(there) - here).max() < 1e-10
    places = [bd09(LonLat(lon_deg=x, lat_deg=y)) for x, y in here]
    assert np.abs(from_bd09_array(np.array([(p.lon_deg, p.lat_deg) for p in places])) - here).max() < 1e-10


def shifted(datum: str, *, swapped: bool = False, crs: int | None = 4326) -> geopandas.GeoDataFrame:
    step = {
        "gcj02": gcj02_array,
        "bd09": lambda c: np.array([(p.lon_deg, p.lat_deg) for p in (bd09(LonLat(lon_deg=x, lat_deg=y)) for x, y in c)]),
    }
    given = table().to_crs(4326)
    moved = shapely.transform(given.geometry.to_numpy(), step.get(datum, lambda c: c))
    if swapped:
        moved = shapely.transform(moved, lambda c: c[:, ::-1])
    return geopandas.GeoDataFrame(given.drop(columns="geometry"), geometry=moved, crs=crs)


@pytest.mark.parametrize("datum", ["gcj02", "bd09", "wgs84-swapped"])
def test_a_datum_that_is_not_what_the_file_says_is_refused_by_name(datum: str, tmp_path: Path) -> None:
    """Labelled WGS 84 but beside the area: refused in both languages with the datum that fits; declared so, all lie in place."""
    path = tmp_path / "register.gpkg"
    shifted(datum, swapped="swapped" in datum).to_file(path, driver="GPKG")
    # the area is as small as the plots are close: half a kilometre off, none of them touches it
    near = FRAME.to_degrees(box(AT.x_m, AT.y_m + 30, AT.x_m + 390, AT.y_m + 90))
    with pytest.raises(RegisterRefused) as refused:
        read(SETTINGS, path, ground=near)
    assert f"--datum {datum}" in refused.value.zh and f"--datum {datum}" in refused.value.en
    assert "WGS 84" in refused.value.zh
    found = read(SETTINGS, path, ground=near, datum=datum)
    assert off_m(found) < 1e-3
    assert found.datum == datum


def test_a_declared_datum_is_checked_as_well(tmp_path: Path) -> None:
    """A person who says GCJ-02 of a WGS 84 file is told so."""
    with pytest.raises(RegisterRefused, match="wgs84"):
        take(geojson(tmp_path), datum="gcj02")
    with pytest.raises(RegisterRefused, match="mars"):
        take(geojson(tmp_path), datum="mars")


def test_an_unlabelled_file_that_could_be_either_is_not_guessed(tmp_path: Path) -> None:
    """Degrees without a .prj over a ground as wide as a county fit WGS 84 as well as GCJ-02: who made it must say."""
    path = shapefile(tmp_path, "UTF-8", prj=False, crs=4490)
    wide = GROUND.buffer(0.1)
    with pytest.raises(RegisterRefused, match="several would fit"):
        read(SETTINGS, path, ground=wide)
    assert off_m(read(SETTINGS, path, ground=wide, datum="CGCS2000")) < 1e-3


def test_entries_of_another_town_are_refused_with_their_distance(tmp_path: Path) -> None:
    """A file of a place nobody watches says how far away it is."""
    with pytest.raises(RegisterRefused, match=r"\d+ km"):
        read(SETTINGS, geojson(tmp_path), ground=box(118.0, 31.0, 118.01, 31.01))


def test_without_areas_a_datum_must_be_declared(tmp_path: Path) -> None:
    """There is nothing to check against, so it is not taken for right."""
    with pytest.raises(RegisterRefused, match="import areas first"):
        read(SETTINGS, geojson(tmp_path), ground=None)
    assert len(read(SETTINGS, geojson(tmp_path), ground=None, datum="wgs84").entries) == 6


def one(folder: Path, **changed: Any) -> Path:
    """A GeoJSON of two permits, the second changed."""
    shapes = shapely.transform(np.array(outlines()[:2], dtype=object), FRAME.lonlat_array)
    features = []
    for n, shape in enumerate(shapes):
        properties = {"编号": f"P-{n}", "类型": "乡村建设规划许可", "有效期至": "2027-01-01"}
        geometry: Any = mapping(shape)
        if n == 1:
            geometry = changed.pop("geometry", geometry)
            properties |= changed
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    path = folder / "two.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"类型": "随便"}, "随便"),
        ({"类型": "临时建设许可", "有效期至": ""}, "城乡规划法第44条"),
        ({"有效期至": "明年"}, "明年"),
        ({"建筑高度": "很高"}, "很高"),
        ({"编号": "P-0"}, "编号重复"),
        ({"geometry": {"type": "Point", "coordinates": [120.56, 32.39]}}, "Point"),
        ({"geometry": None}, "没有图形"),
        ({"有效期至": "2020-01-01", "发证日期": "2021-01-01"}, "before it begins"),
    ],
)
def test_one_broken_feature_stops_the_file_and_is_named(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    """The sentence names the file, the feature and what is wrong in it."""
    with pytest.raises(RegisterRefused) as refused:
        take(one(tmp_path, **changed))
    assert said in str(refused.value)
    assert "two.geojson" in refused.value.zh and "two.geojson" in refused.value.en


def test_a_bow_tie_is_refused_and_a_hair_is_mended(tmp_path: Path) -> None:
    """Half an outline is not guessed; a ring that touches itself is taken as it was meant, and it is said."""
    a, b = outlines()[1].bounds[:2], outlines()[1].bounds[2:]
    bow = shapely.transform(Polygon([a, b, (b[0], a[1]), (a[0], b[1])]), FRAME.lonlat_array)
    with pytest.raises(RegisterRefused, match="crosses itself"):
        take(one(tmp_path, geometry=mapping(bow)))
    x, y = a
    spike = Polygon([(x, y), (x + 20, y), (x + 20, y + 20), (x + 20, y + 20.5), (x + 20, y + 20), (x, y + 20)])
    assert not spike.is_valid
    found = take(one(tmp_path, geometry=mapping(shapely.transform(spike, FRAME.lonlat_array))))
    assert found.entries[1].outline.is_valid
    assert "mended" in {n.code for n in found.notes}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.geojson", b'<OGRVRTDataSource><OGRVRTLayer name="x"/></OGRVRTDataSource>', "no GeoJSON"),
        ("a.shp", b"PK\x03\x04", "no ESRI Shapefile"),
        ("a.gpkg", b"{}", "no GPKG"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": []}', "no outlines"),
        ("a.geojson", b'{"type": ', "cannot be read"),
        ("a.zip", b"not a zip", "no whole zip"),
        ("a.dwg", b"AC1032", "no format"),
    ],
)
def test_what_is_not_such_a_file_is_never_opened(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    """A renamed or broken file is one sentence."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RegisterRefused, match=said):
        take(tmp_path / name)


def test_a_shapefile_without_its_table_says_which_parts_are_missing(tmp_path: Path) -> None:
    path = shapefile(tmp_path, "GBK")
    path.with_suffix(".dbf").unlink()
    with pytest.raises(RegisterRefused, match=r"\.dbf is missing"):
        take(path)
    shutil.copy(gpkg(tmp_path), tmp_path / "again.gpkg")
    with pytest.raises(RegisterRefused, match="no layer none"):
        take(tmp_path / "again.gpkg", layer="none")


def test_columns_may_be_named_and_kinds_declared(tmp_path: Path) -> None:
    """What no list of names foresees is said once on the command line."""
    odd = table().rename(columns={"许可证号": "甲", "许可类型": "乙", "占地面积": "建筑面积"}).drop(columns="乙")
    path = tmp_path / "odd.gpkg"
    odd.to_file(path, driver="GPKG")
    with pytest.raises(RegisterRefused, match="--kind"):
        take(path)
    found = take(path, kind="parcel", columns={"id": "甲"})
    assert found.columns["id"] == "甲" and found.entries[0].id.startswith("建字")
    assert {e.kind for e in found.entries} == {EntryKind.PARCEL}
    assert "floor_area" in {n.code for n in found.notes}
    with pytest.raises(RegisterRefused, match="id=丙"):
        take(path, columns={"id": "丙"})


def test_readings_are_told_apart_by_size() -> None:
    """Degrees are never read as metres; a zone in front of the easting names its meridian."""
    assert {r.code for r in reading.readings(np.array([[120.5, 32.4]]))} >= {"wgs84", "gcj02", "bd09", "wgs84-swapped"}
    assert [r.code for r in reading.readings(np.array([[40_552_000.0, 3_585_000.0]]))] == ["epsg:4528"]
    assert [r.code for r in reading.readings(np.array([[3_585_000.0, 40_552_000.0]]))] == ["epsg:4528-swapped"]
    assert reading.readings(np.array([[1e9, 5.0]])) == ()


def test_multipolygons_are_one_entry(tmp_path: Path) -> None:
    """A permit of two plots is one permit."""
    both = shapely.transform(MultiPolygon(outlines()[1:3]), FRAME.lonlat_array)
    found = take(one(tmp_path, geometry=mapping(both)))
    assert isinstance(found.entries[1], Entry) and isinstance(found.entries[1].outline, MultiPolygon)
