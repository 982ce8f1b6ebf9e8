"""The suitable airspace map (适飞空域图)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from airspace.clearance import clear
from airspace.errors import AirspaceError
from airspace.index import Airspace
from airspace.suitable import Band, suitable_map
from airspace.zones import Volume, Zone, ZoneKind
from geo.frames import Frame
from geo.heights import Datum, Height
from geo.times import Span

FRAME = Frame(4549)
START = datetime(2026, 3, 3, 3, tzinfo=UTC)
SPAN = Span(START, START + timedelta(hours=1))
PLACE = box(120.50, 32.30, 120.54, 32.34)
CITY = Zone.single("c", "全市", ZoneKind.SUITABLE, box(120.50, 32.30, 120.53, 32.34), ceiling=Height(120, Datum.GROUND))
LOW = Zone.single("l", "低", ZoneKind.CONTROLLED, box(120.50, 32.30, 120.51, 32.34), ceiling=Height(50, Datum.GROUND))
TOWNS = {"西镇": box(120.50, 32.30, 120.52, 32.34), "东镇": box(120.52, 32.30, 120.54, 32.34)}


def test_a_map_is_what_is_declared_less_what_is_closed() -> None:
    """Quarters of a place: closed below 50 m, suitable, suitable, unknown; each band and each town has its share."""
    made = suitable_map(PLACE, Airspace((CITY, LOW)), SPAN, FRAME, bands=(Band(0, 120), Band(60, 120)), towns=TOWNS)
    whole = FRAME.to_metres(PLACE).area
    low, high = made.layers
    assert low.suitable_m2 / whole == pytest.approx(0.50, abs=0.001)
    assert high.suitable_m2 / whole == pytest.approx(0.75, abs=0.001)
    assert low.closed_m2 / whole == pytest.approx(0.25, abs=0.001)
    assert [layer.unknown_m2 / whole for layer in made.layers] == pytest.approx([0.25, 0.25], abs=0.001)
    shares = {(f.town, f.band.low_m): f.suitable_m2 / f.area_m2 for f in made.towns}
    assert shares == pytest.approx({("西镇", 0): 0.5, ("东镇", 0): 0.5, ("西镇", 60): 1.0, ("东镇", 60): 0.5}, abs=0.002)


def test_all_of_a_map_is_clear() -> None:
    """Whatever the map calls suitable, the clearance calls clear, and nothing beside it."""
    zones = (CITY, LOW, Zone.single("p", "禁", ZoneKind.PROHIBITED, box(120.515, 32.31, 120.52, 32.32), buffer_m=50))
    layer = suitable_map(PLACE, Airspace(zones), SPAN, FRAME, bands=(Band(0, 120),)).layers[0]
    volume = Volume(layer.outline, Height(0, Datum.GROUND), Height(120, Datum.GROUND), SPAN)
    assert clear(volume, zones, at=START - timedelta(days=2)).granted
    beside = layer.outline.buffer(0.0001).difference(layer.outline.buffer(0.00001))
    around = Volume(beside, Height(0, Datum.GROUND), Height(120, Datum.GROUND), SPAN)
    assert not clear(around, zones, at=START - timedelta(days=2)).granted


def test_a_band_above_120_m_is_no_suitable_air() -> None:
    """Art. 19."""
    with pytest.raises(AirspaceError, match="120"):
        Band(60, 130)
