"""Laws of zone files: what is written is read back, and whatever is read either becomes zones or a refusal with its place."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from airspace.classes import ZoneClass
from airspace.errors import ZoneFileRefused
from airspace.formats.table import WRITTEN
from airspace.windows import Day, Window
from airspace.zonefile import read_zones
from airspace.zones import Notice, Occasion, Part, Zone, ZoneKind
from geo.datums import bd09, gcj02
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import Span

OPENAIR = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "airspace" / "openair_fixtures"
QUICK = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
SUFFIX = {"geojson": ".geojson", "ed269": ".json", "ed318": ".json", "kml": ".kml", "gpkg": ".gpkg"}


@st.composite
def outlines(draw: st.DrawFn) -> Polygon | MultiPolygon:
    """Polygons in Jiangsu, with holes and in several pieces at times."""
    x, y = draw(st.floats(118, 121)), draw(st.floats(31, 34))
    wide, deep = draw(st.floats(1e-3, 0.3)), draw(st.floats(1e-3, 0.3))
    whole = shapely.affinity.rotate(box(x, y, x + wide, y + deep), draw(st.floats(0, 90)))
    if draw(st.booleans()):
        whole = whole.difference(Point(whole.centroid).buffer(min(wide, deep) / 4))
    if draw(st.booleans()):
        return MultiPolygon([whole, box(x + 2, y, x + 2.1, y + 0.1)])
    return whole


instants = st.integers(0, 3 * 365 * 86_400).map(lambda s: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
spans = st.builds(lambda start, s: Span(start, start + timedelta(seconds=s)), instants, st.integers(1, 10**7))
windows = st.builds(
    Window,
    st.times(),
    st.times(),
    st.lists(st.sampled_from(Day), unique=True, max_size=4).map(tuple),
    st.none() | st.dates(date(2025, 1, 1), date(2025, 12, 31)),
    st.none() | st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    st.sampled_from(("Asia/Shanghai", "UTC", "+02:00")),
)


@st.composite
def parts(draw: st.DrawFn) -> Part:
    low, high = draw(st.floats(0, 500)), draw(st.floats(501, 9000))
    return Part(draw(outlines()), Height(low, draw(datums)), Height(high, draw(datums)))


datums = st.sampled_from((Datum.GROUND, Datum.SEA_LEVEL, Datum.ELLIPSOID))


@st.composite
def zones(draw: st.DrawFn) -> tuple[Zone, ...]:
    """Some zones with everything that a zone may have."""
    made = []
    for id_ in draw(st.lists(texts, min_size=1, max_size=3, unique=True)):
        start = draw(st.none() | instants)
        made.append(
            Zone(
                id_,
                draw(texts),
                draw(st.sampled_from(ZoneKind)),
                tuple(draw(st.lists(parts(), min_size=1, max_size=3))),
                draw(st.none() | st.sampled_from(ZoneClass)),
                tuple(draw(st.lists(spans, max_size=2))),
                tuple(draw(st.lists(windows, max_size=2))),
                draw(st.just(0.0) | st.floats(0.1, 5000)),
                draw(st.just("") | texts),
                draw(st.just("") | texts),
                draw(st.booleans()),
                start,
                start + timedelta(days=draw(st.integers(1, 400))) if start and draw(st.booleans()) else None,
                draw(st.none() | st.builds(Notice, instants, st.sampled_from(Occasion))),
                tuple(draw(st.lists(st.tuples(texts, texts), max_size=2))),
            )
        )
    return tuple(made)


def same(one: Zone, other: Zone) -> bool:
    """Equal in every field, and every vertex within 1e-7 degrees."""
    fields = [name for name in Zone.__slots__ if name != "parts"]
    limits = [(p.floor, p.ceiling) for p in one.parts] == [(p.floor, p.ceiling) for p in other.parts]
    close = all(
        a.outline.normalize().equals_exact(b.outline.normalize(), 1e-7) for a, b in zip(one.parts, other.parts, strict=True)
    )
    return limits and close and all(getattr(one, f) == getattr(other, f) for f in fields)


@pytest.mark.parametrize("code", sorted(WRITTEN))
@QUICK
@given(made=zones())
def test_what_is_written_is_read_back(tmp_path: Path, code: str, made: tuple[Zone, ...]) -> None:
    """Every format that is given out keeps geometry to 1e-7 degrees and every attribute."""
    write = WRITTEN[code].write
    assert write is not None
    path = tmp_path / f"zones{SUFFIX[code]}"
    path.write_bytes(write(made))
    file = read_zones(path, datum="wgs84")
    assert file.format == code
    assert len(file.zones) == len(made)
    for one, other in zip(made, file.zones, strict=True):
        assert same(one, other), (one, other)


@QUICK
@given(
    data=st.binary(max_size=400), suffix=st.sampled_from((".geojson", ".kml", ".txt", ".csv", ".gpkg", ".shp", ".zip", ".kmz"))
)
def test_no_bytes_break_a_reader(tmp_path: Path, data: bytes, suffix: str) -> None:
    """Rubbish is refused in both languages, whatever its name says."""
    taken_or_refused(tmp_path / f"x{suffix}", data)


jsons = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("type", "features", "geometry", "properties", "coordinates", "layer", "name", "kind")), inner
        )
    ),
    max_leaves=12,
)


@QUICK
@given(inner=st.lists(jsons, max_size=3), head=st.sampled_from(("FeatureCollection", "Feature", "x")))
def test_no_json_breaks_a_reader(tmp_path: Path, inner: list[Any], head: str) -> None:
    """JSON of any shape under the keys of the three JSON formats is zones or a refusal."""
    taken_or_refused(tmp_path / "x.json", json.dumps({"type": head, "features": inner}).encode())


@pytest.mark.parametrize("code", ["geojson", "ed269", "ed318", "kml"])
@QUICK
@given(data=st.data())
def test_a_file_with_a_piece_torn_out_is_refused_or_whole(tmp_path: Path, code: str, data: st.DataObject) -> None:
    """A good file with bytes cut out, doubled or changed never breaks a reader, and never loses a zone without a word."""
    made = (
        Zone.single(
            "a",
            "一",
            ZoneKind.CONTROLLED,
            box(120.1, 32.1, 120.2, 32.2),
            spans=(Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),),
        ),
        Zone.single("b", "二", ZoneKind.SUITABLE, box(120.3, 32.1, 120.4, 32.2), windows=(Window(time(8), time(9), (Day.MO,)),)),
    )
    write = WRITTEN[code].write
    assert write is not None
    good = write(made)
    at, length = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 40))
    filler = data.draw(st.binary(max_size=20) | st.just(good[at : at + length] * 2))
    zones_read = taken_or_refused(tmp_path / f"x{SUFFIX[code]}", good[:at] + filler + good[at + length :])
    if zones_read is not None:
        assert len(zones_read) >= 1


@QUICK
@given(data=st.data())
def test_openair_with_lines_torn_out_is_refused_or_whole(tmp_path: Path, data: st.DataObject) -> None:
    """Fixtures, good and broken, with lines dropped, doubled and swapped: as many airspaces as AC lines, or a refusal."""
    files = sorted(OPENAIR.glob("*.txt")) if OPENAIR.is_dir() else []
    if not files:
        pytest.skip(f"OpenAir fixtures are not here: {OPENAIR}")
    lines = [
        line
        for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3))
        for line in path.read_text().splitlines()
    ]
    kept = data.draw(st.permutations(range(len(lines)))) if data.draw(st.booleans()) else range(len(lines))
    dropped = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=3))
    text = "\n".join(lines[i] for i in kept if i not in dropped)
    zones_read = taken_or_refused(tmp_path / "x.txt", text.encode())
    if zones_read is not None:
        assert len(zones_read) == sum(line.strip().upper().startswith("AC ") for line in text.splitlines())


def taken_or_refused(path: Path, data: bytes) -> tuple[Zone, ...] | None:
    """The zones of a file, or None for a refusal, which speaks both languages and names the file."""
    path.write_bytes(data)
    try:
        return read_zones(path, datum="wgs84").zones
    except ZoneFileRefused as refused:
        assert path.name in refused.zh
        assert path.name in refused.en
        return None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "名称,类型,经度,纬度,半径\na,管制,120,32,1" + " " * 100_000 + "x\n"),
        ("x.csv", "名称,类型,经度,纬度,半径\na,管制," + " " * 100_000 + "x,32,1\n"),
        ("x.txt", "AC R\nAN a\nAL GND\nAH UNL\nV X=32:00:00 N 120:00:00 E\nDB " + "E    " * 50_000),
        ("x.json", '{"features": ' + "9" * 100_000 + "}"),
        ("x.kml", "<kml>" + "<a>" * 100_000),
    ],
)
@pytest.mark.timeout(20)
def test_no_text_makes_a_reader_think_for_ever(tmp_path: Path, name: str, text: str) -> None:
    """Long blanks, long numbers and deep nesting are refused at once."""
    assert taken_or_refused(tmp_path / name, text.encode()) is None


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_times_at_the_ends_of_the_calendar_are_refused(tmp_path: Path, year: str) -> None:
    """An instant that some time zone cannot hold is refused, not met later as an error."""
    lines = ["AC R", "AN a", "AL GND", "AH UNL", f"AA {year}-12-31T00:00Z/NONE", "V X=32:00:00 N 120:00:00 E", "DC 1"]
    assert taken_or_refused(tmp_path / "x.txt", "\n".join(lines).encode()) is None


@pytest.mark.parametrize(("encoding", "told"), [("utf-8", True), ("gb18030", True), ("gb18030", False)])
def test_a_shapefile_is_read_in_the_encoding_it_was_written_in(tmp_path: Path, encoding: str, told: bool) -> None:
    """UTF-8 or GBK, with its .cpg or without: Chinese names come out whole, also zipped in a folder with a Chinese name."""
    table = geopandas.GeoDataFrame(
        {
            "编号": ["A1"],
            "名称": ["如皋变电站净空"],
            "类型": ["管制"],
            "类别": ["公共基础设施和水源"],
            "上限": [120.0],
            "备注": ["勿近"],
        },
        geometry=[box(120.5, 32.3, 120.51, 32.31)],
        crs=4490,
    )
    table.to_file(tmp_path / "air.shp", encoding="GB18030" if encoding == "gb18030" else "UTF-8")
    if not told:
        (tmp_path / "air.cpg").unlink()
    packed = tmp_path / "空域.zip"
    with zipfile.ZipFile(packed, "w") as out:
        for part in tmp_path.glob("air.*"):
            out.write(part, f"资料/{part.name}")
    for path in (tmp_path / "air.shp", packed):
        file = read_zones(path)
        zone = file.zones[0]
        assert (zone.id, zone.name, zone.kind) == ("A1", "如皋变电站净空", ZoneKind.CONTROLLED)
        assert zone.article_class is ZoneClass.INFRASTRUCTURE
        assert zone.parts[0].ceiling == Height(120, Datum.GROUND)
        assert ("备注", "勿近") in zone.attributes
        assert any(n.code == "encoding" for n in file.notes) is not told


def test_what_gdal_mutters_becomes_a_note(tmp_path: Path) -> None:
    """A GeoPackage with a wrong application id is read, and the doubt is passed on."""
    good = WRITTEN["gpkg"].write((Zone.single("a", "一", ZoneKind.CONTROLLED, box(120.1, 32.1, 120.2, 32.2)),))  # type: ignore[misc]
    path = tmp_path / "x.gpkg"
    path.write_bytes(good[:68] + b"GPXX" + good[72:])
    notes = read_zones(path, datum="wgs84").notes
    assert any(n.code == "reader" and "application_id" in n.en for n in notes)


@pytest.mark.parametrize(("way", "code"), [(gcj02, "gcj02"), (bd09, "bd09")])
def test_circles_of_web_maps_come_to_their_true_place(tmp_path: Path, way: Any, code: str) -> None:
    """A centre in GCJ-02 or BD-09 is converted before the circle is drawn, which then surrounds the true one."""
    true = LonLat(lon_deg=120.56, lat_deg=32.39)
    there = way(true)
    path = tmp_path / "圆.csv"
    path.write_text(f"名称,类型,经度,纬度,半径\n加油站,管制,{there.lon_deg!r},{there.lat_deg!r},200米\n", encoding="gb18030")
    zone = read_zones(path, datum=code).zones[0]
    middle = zone.outline.centroid
    assert abs(middle.x - true.lon_deg) < 2e-6
    assert abs(middle.y - true.lat_deg) < 2e-6
    from airspace.formats.limits import EARTH

    ring = np.array(zone.outline.exterior.coords)  # type: ignore[union-attr]
    count = len(ring)
    _, _, far = EARTH.inv(np.full(count, true.lon_deg), np.full(count, true.lat_deg), ring[:, 0], ring[:, 1])
    assert 199.9 < far.min() <= far.max() < 200.3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.write_text('<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY a "b">]><kml>&a;</kml>'), "entities"),
        (lambda p: p.write_text('<?xml version="1.0"?><!DOCTYPE kml SYSTEM "file:///etc/passwd"><kml/>'), "document type"),
        (lambda p: p.write_text("<kml><Document>\n<Placemark>\n<name>x</name></Document></kml>"), "line 3"),
        (
            lambda p: p.write_text(
                "<kml><Placemark><name>x</name><Point><coordinates>1,2</coordinates></Point></Placemark></kml>"
            ),
            "Point",
        ),
        (lambda p: p.write_text("<gpx/>"), "not kml"),
    ],
)
def test_xml_is_read_without_entities_and_refused_with_its_line(tmp_path: Path, make: Any, said: str) -> None:
    """Neither a bomb nor a file of the machine gets in; a broken file names its line."""
    path = tmp_path / "x.kml"
    make(path)
    with pytest.raises(ZoneFileRefused, match=said):
        read_zones(path)


def test_archives_are_bounded_in_size_ratio_and_paths(tmp_path: Path) -> None:
    """A bomb is not unpacked, a way out of the folder leads nowhere, two candidates are refused."""
    bomb = tmp_path / "bomb.kmz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("doc.kml", b" " * 50_000_000)
    with pytest.raises(ZoneFileRefused, match="unpacks to too much"):
        read_zones(bomb)
    good = WRITTEN["geojson"].write((Zone.single("a", "一", ZoneKind.CONTROLLED, box(120.1, 32.1, 120.2, 32.2)),))  # type: ignore[misc]
    sly = tmp_path / "sly.zip"
    with zipfile.ZipFile(sly, "w") as out:
        out.writestr("../../escaped.geojson", good)
    assert len(read_zones(sly).zones) == 1
    assert not list(tmp_path.parent.glob("escaped*"))
    two = tmp_path / "two.zip"
    with zipfile.ZipFile(two, "w") as out:
        out.writestr("a.geojson", good)
        out.writestr("b.geojson", good)
    with pytest.raises(ZoneFileRefused, match="this has 2"):
        read_zones(two)
