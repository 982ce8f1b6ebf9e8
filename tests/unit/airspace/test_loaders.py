from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import Point, box

from airspace.clearance import Verdict, clear
from airspace.errors import AirspaceError
from airspace.loaders import load_permits, load_zones, zones_geojson
from airspace.zones import Flag, Volume, Zone, ZoneKind
from geo.heights import Datum, Height
from geo.times import Span

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "airspace" / "dji_nfz_china"
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


def saved(folder: Path, data: Any) -> Path:
    path = folder / "zones.geojson"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_zone_comes_out_as_it_was_written(tmp_path: Path) -> None:
    """Writing zones and loading them again gives equal zones, windows and synthetic mark included."""
    start = datetime(2026, 5, 1, tzinfo=UTC)
    zones = (
        Zone.single(
            "a",
            "一",
            ZoneKind.CONTROLLED,
            box(120, 32, 120.1, 32.1),
            spans=(Span(start, start + timedelta(days=1)),),
            buffer_m=30,
        ),
        Zone.single(
            "b", "二", ZoneKind.SUITABLE, Point(120, 32).buffer(0.1).difference(Point(120, 32).buffer(0.02)), synthetic=True
        ),
    )
    assert load_zones(saved(tmp_path, zones_geojson(zones))) == zones


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
        (put("properties", "ceiling_m", to="120 m"), "not a number"),
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
        (json.dumps({**GOOD, "crs": {"properties": {"name": "BD-09"}}}), "another coordinate system"),
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
    zones = load_zones(files[0])
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
