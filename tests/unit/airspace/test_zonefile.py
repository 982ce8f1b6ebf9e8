from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shapely.affinity import translate
from shapely.geometry import Point, box

from airspace.clearance import Verdict, clear
from airspace.errors import AirspaceError
from airspace.formats import geojson
from airspace.permitfile import load_permits
from airspace.zonefile import Known, read_zones
from airspace.zones import Flag, Volume, Zone, ZoneKind
from geo.datums import gcj02
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import Span

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "airspace" / "dji_nfz_china"
OPENAIR = REAL.parent / "openair_fixtures"
RING = [[120.5, 32.3], [120.6, 32.3], [120.6, 32.4], [120.5, 32.4], [120.5, 32.3]]
GOOD: dict[str, Any] = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"id": "z1", "name": "适飞一区", "kind": "suitable", "ceiling_m": 120, "version": "2026-1"},
            "geometry": {"type": "Polygon", "coordinates": [RING]},
        }
    ],
}


def load_zones(path: Path) -> tuple[Zone, ...]:
    return read_zones(path, datum="wgs84").zones


def saved(folder: Path, data: Any) -> Path:
    path = folder / "zones.geojson"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_weekly_rule_becomes_its_windows(tmp_path: Path) -> None:
    """A recurrence counts in local time, on its days only, and may run over midnight."""
    data = copy.deepcopy(GOOD)
    data["features"][0]["properties"]["recurrence"] = {
        "from": "22:00", "to": "06:00", "days": ["MO"], "first": "2026-03-01", "last": "2026-03-14",
    }  # fmt: skip
    year = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    spans = load_zones(saved(tmp_path, data))[0].times(year)
    assert [s.start for s in spans] == [datetime(2026, 3, 2, 14, tzinfo=UTC), datetime(2026, 3, 9, 14, tzinfo=UTC)]
    assert spans[0].duration == timedelta(hours=8)


def spoiled(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    data["features"].append(copy.deepcopy(data["features"][0]))
    data["features"][1]["properties"]["id"] = "z2"
    change(data["features"][1])
    return data


def put(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(feature: dict[str, Any]) -> None:
        inner: Any = feature
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("geometry", to=None), "no geometry"),
        (put("geometry", "type", to="LineString"), "LineString"),
        (put("geometry", "coordinates", to=[RING[:3]]), "3 positions"),
        (put("geometry", "coordinates", to=[[*RING[:4], [120.5, 32.31]]]), "not closed"),
        (put("geometry", "coordinates", to=[[[32.3, 120.5], *RING[1:4], [32.3, 120.5]]]), "swapped"),
        (put("geometry", "coordinates", to=[[[120.5, None], *RING[1:]]]), "position 1"),
        (put("geometry", "coordinates", to=[[RING[0], RING[2], RING[1], RING[3], RING[0]]]), "Self-intersection"),
        (put("properties", "kind", to="closed"), "'closed'"),
        (put("properties", "name", to=""), "'name' is missing"),
        (put("properties", "ceiling_m", to="high"), "not a number"),
        (put("properties", "floor_m", to=200), "not below"),
        (put("properties", "id", to="z1"), "taken by feature 1"),
        (put("properties", "spans", to=[["2026-01-01T08:00:00", "2026-01-01T09:00:00"]]), "time zone"),
        (put("properties", "spans", to=[["2026-01-02T08:00:00Z", "2026-01-01T09:00:00Z"]]), "end after it starts"),
        (put("properties", "recurrence", to={"from": "8"}), "not understood"),
    ],
)
def test_a_fault_is_named_with_file_and_feature(tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str) -> None:
    """Each kind of broken feature is refused with the file, its number and what is wrong."""
    with pytest.raises(AirspaceError) as caught:
        load_zones(saved(tmp_path, spoiled(change)))
    assert "zones.geojson, feature 2" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1"),
        ('{"type": "Topology"}', "FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "no features"),
        (json.dumps({**GOOD, "crs": {"properties": {"name": "Nowhere 7"}}}), "another coordinate system"),
        (json.dumps(GOOD)[:-1] + ', "type": "FeatureCollection"}', "stands twice"),
        (json.dumps(GOOD).replace("120.5,", "NaN,", 1), "no number of JSON"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """What is not WGS 84 GeoJSON with zones in it says so."""
    path = tmp_path / "zones.geojson"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AirspaceError, match=words):
        load_zones(path)
    with pytest.raises(AirspaceError, match="cannot be read"):
        load_zones(tmp_path / "absent.geojson")


def test_permits_load_with_their_acts(tmp_path: Path) -> None:
    """A permit has number, holder, span and the acts it names; an act that the law does not know is refused."""
    data = copy.deepcopy(GOOD)
    data["features"][0]["properties"] = {
        "id": "p1", "number": "苏2026-7", "holder": "消防", "ceiling_m": 150, "flags": ["drop"],
        "start": "2026-03-01T00:00:00+08:00", "end": "2026-04-01T00:00:00+08:00",
    }  # fmt: skip
    permit = load_permits(saved(tmp_path, data))[0]
    assert permit.flags == (Flag.DROP,)
    assert permit.span.start == datetime(2026, 2, 28, 16, tzinfo=UTC)
    data["features"][0]["properties"]["flags"] = ["bomb"]
    with pytest.raises(AirspaceError, match="bomb"):
        load_permits(saved(tmp_path, data))


def test_real_no_fly_zones_close_the_airport() -> None:
    """The 19 published polygons of Jiangsu load; over Nantong's runway nothing flies, above 120 m nothing around it."""
    files = list(REAL.glob("*84*.geojson")) if REAL.is_dir() else []
    if not files:
        pytest.skip(f"real zones are not here: {REAL}")
    zones = read_zones(files[0]).zones
    assert len(zones) == 19
    nantong = [z for z in zones if z.name == "Nantong Airport"]
    assert [z.kind for z in nantong] == [ZoneKind.PROHIBITED, ZoneKind.RESTRICTED]
    start = datetime(2026, 3, 3, 2, tzinfo=UTC)
    span = Span(start, start + timedelta(hours=1))
    city = Zone.single("c", "适飞", ZoneKind.SUITABLE, box(120, 31.5, 121.5, 32.8), ceiling=Height(120, Datum.GROUND))

    def verdict(place: Point, ceiling_m: float) -> Verdict:
        air = Volume(place.buffer(0.001), Height(0, Datum.GROUND), Height(ceiling_m, Datum.GROUND), span)
        return clear(air, (*zones, city), at=start - timedelta(days=2)).verdict

    runway, beside = (
        nantong[0].outline.centroid,
        nantong[1].outline.difference(nantong[0].outline.buffer(0.01)).representative_point(),
    )
    assert verdict(runway, 50) is Verdict.BLOCKED
    assert verdict(beside, 120) is Verdict.CLEAR
    assert verdict(beside, 130) is Verdict.BLOCKED


def real(pattern: str) -> Path:
    files = list(REAL.glob(pattern)) if REAL.is_dir() else []
    if not files:
        pytest.skip(f"real zones are not here: {REAL}")
    return files[0]


def test_the_same_zones_in_two_datums_lie_on_each_other() -> None:
    """The two Jiangsu files give the same 19 zones within a metre, each with its guess said aloud."""
    gps, baidu = read_zones(real("*84*")), read_zones(real("*百度*"))
    assert (gps.datum, baidu.datum) == ("wgs84", "bd09")
    for file in (gps, baidu):
        assert file.guessed
        assert "文件名" in file.notes[0].zh
    assert len(gps.zones) == len(baidu.zones) == 19
    for one in gps.zones:
        assert min(one.outline.hausdorff_distance(other.outline) for other in baidu.zones if other.name == one.name) < 1e-5


def test_a_file_in_another_datum_than_it_is_said_to_be_is_refused_beside_known_zones() -> None:
    """Renamed or declared wrongly, the Baidu file would put zones 1 km off: it is refused, and the refusal names the right datum."""
    gps, baidu = real("*84*"), real("*百度*")
    known = Known(zones=tuple((z.name, z.outline) for z in read_zones(gps).zones))
    for path, name, datum, right in (
        (baidu, "zones.geojson", "wgs84", "bd09"),
        (baidu, "84坐标.geojson", None, "bd09"),
        (baidu, "zones.geojson", "gcj02", "bd09"),
        (gps, "zones.geojson", "bd09", "wgs84"),
    ):
        with pytest.raises(AirspaceError, match=f"--datum {right}"):
            read_zones(path, name=name, datum=datum, known=known)
    guessed = read_zones(baidu, name="zones.geojson", known=known)
    assert (guessed.datum, guessed.guessed) == ("bd09", True)
    assert "19" in guessed.notes[0].zh


def test_zones_that_moved_do_not_hide_the_datum(tmp_path: Path) -> None:
    """Of three known zones two moved by kilometres: the one that stayed still tells the datum; when all moved, nothing does."""
    outlines = [box(120.1 + i / 10, 32.1, 120.12 + i / 10, 32.12) for i in range(3)]
    known = Known(zones=tuple((f"区{i}", o) for i, o in enumerate(outlines)))

    def written(moved: int) -> Path:
        zones = [
            Zone.single(f"区{i}", f"区{i}", ZoneKind.CONTROLLED, translate(o, 0.02 if i < moved else 0.0).segmentize(0.1))
            for i, o in enumerate(outlines)
        ]
        data = json.loads(geojson.write(zones))
        del data["datum"]
        for feature in data["features"]:
            ring = feature["geometry"]["coordinates"][0]
            places = [gcj02(LonLat(lon_deg=x, lat_deg=y)) for x, y in ring]
            feature["geometry"]["coordinates"] = [[[p.lon_deg, p.lat_deg] for p in places]]
        path = tmp_path / f"moved{moved}.geojson"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    assert read_zones(written(2), known=known).datum == "gcj02"
    with pytest.raises(AirspaceError, match="gcj02"):
        read_zones(written(2), known=known, datum="wgs84")
    with pytest.raises(AirspaceError, match="no known zone tells"):
        read_zones(written(3), known=known)


def test_a_file_that_says_nothing_is_not_taken_where_nothing_is_known() -> None:
    """Without datum, name, known zones or ground there is no telling, so it asks."""
    with pytest.raises(AirspaceError, match="--datum"):
        read_zones(real("*百度*"), name="zones.geojson")


BROKEN = {
    "activation-times-invalid-with-none-none.txt": "line 8",
    "coordinate-minutes-60.txt": "line 6",
    "empty-name.txt": "no name",
    "ignored-only.txt": "no airspace",
    "insufficient-coordinates.txt": "needs three",
    "single-airspace-ag-but-missing-af.txt": "no frequency",
    "transponder-code-invalid.txt": "line 8",
    "without-ac.txt": "line 3",
}


def test_every_openair_file_is_taken_whole_or_refused_with_its_place() -> None:
    """The good ones of the fixtures give their airspace, each broken one its line and fault."""
    files = sorted(OPENAIR.glob("*.txt")) if OPENAIR.is_dir() else []
    if not files:
        pytest.skip(f"OpenAir fixtures are not here: {OPENAIR}")
    for path in files:
        if path.name == "LICENSE.txt":
            continue
        if path.name in BROKEN:
            with pytest.raises(AirspaceError, match=BROKEN[path.name]):
                read_zones(path)
        else:
            assert len(read_zones(path).zones) == 1, path.name


def test_arcs_run_the_way_they_are_said() -> None:
    """An arc anticlockwise from 90 to 270.5 degrees around a point is the upper half of a circle of 15 nautical miles."""
    path = OPENAIR / "arc-angle-ccw.txt"
    if not path.is_file():
        pytest.skip(f"OpenAir fixtures are not here: {OPENAIR}")
    outline = read_zones(path).zones[0].outline
    west, south, east, north = outline.bounds
    middle = 39 + 26 / 60
    assert south == pytest.approx(middle, abs=0.003)
    assert north - middle == pytest.approx(0.25, abs=0.001)
    assert east - west == pytest.approx(0.5 / 0.7724, abs=0.003)  # cos 39.43


def test_ed269_zones_keep_their_parts_times_and_limits() -> None:
    """Six zones: one of three circles between limits, one on weekend evenings between heights over ground and sea."""
    path = REAL.parent / "ed269" / "test_eurocae_ed269.json"
    if not path.is_file():
        pytest.skip(f"ED-269 data is not here: {path}")
    file = read_zones(path)
    by_id = {z.id: z for z in file.zones}
    assert len(by_id) == 6
    assert [p.floor.metres for p in by_id["Flugplatz Reichenbach"].parts] == [0, 50, 100]
    concert = by_id["Montreux Concert Area"]
    assert concert.parts[0].ceiling == Height(6259, Datum.SEA_LEVEL)

    def on(day: int, hour: int) -> bool:
        start = datetime(2022, 7, day, hour, 30, tzinfo=UTC)
        return concert.active(Span(start, start + timedelta(minutes=10)))

    assert on(2, 18)  # a Saturday
    assert not on(2, 16)
    assert not on(4, 18)
    assert by_id["Gantrisch Nature Park"].kind is ZoneKind.SUITABLE
    assert by_id["Gantrisch Nature Park-2"].kind is ZoneKind.CONTROLLED
    assert by_id["Gantrisch Nature Park"].parts[0].ceiling.metres == pytest.approx(76.2)


def test_written_geojson_says_its_datum(tmp_path: Path) -> None:
    """What the product writes it reads back without asking."""
    zones = (Zone.single("a", "一", ZoneKind.CONTROLLED, box(120, 32, 120.1, 32.1), buffer_m=30),)
    path = tmp_path / "out.geojson"
    path.write_bytes(geojson.write(zones))
    assert read_zones(path).zones == zones
