"""A flight log survives being written and read, and a broken one is named where it is broken."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.errors import FormatError
from flight.flightlog import Ending, FlightLog, Outcome, PhotoEvent, TrackPoint, from_json, to_json
from geo.errors import GeoError
from geo.frames import LonLat
from geo.heights import Datum, Height

_numbers = st.floats(-1e6, 1e6)
_times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_places = st.builds(LonLat, lon_deg=st.floats(-180, 180), lat_deg=st.floats(-90, 90))
_heights = st.builds(Height, _numbers, st.just(Datum.TAKEOFF))
_photos = st.builds(
    PhotoEvent, st.integers(1, 10**6), _times, _places, _heights, _numbers, _numbers, _numbers, st.none() | _numbers
)
_points = st.builds(TrackPoint, _times, _places, _heights, _numbers, _numbers, st.text(max_size=8), st.integers(-1, 700))
_logs = st.builds(
    FlightLog,
    st.text(),
    st.text(),
    _times,
    _times,
    st.lists(_points, max_size=4).map(tuple),
    st.lists(_photos, max_size=4).map(tuple),
    st.builds(Outcome, st.sampled_from(Ending), st.text()),
    st.lists(st.integers(1, 9999), max_size=4).map(tuple),
)


@given(_logs)
@settings(max_examples=60, deadline=None)
def test_reading_undoes_writing(log: FlightLog) -> None:
    """Reading what was written gives the same log, digit for digit."""
    assert from_json(to_json(log)) == log


def one() -> FlightLog:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    place, height = LonLat(lon_deg=120.7, lat_deg=28.0), Height(60.0, Datum.TAKEOFF)
    photo = PhotoEvent(1, at, place, height, 90.0, -90.0, 0.0)
    point = TrackPoint(at, place, height, 90.0, 8.0, "AUTO", 3)
    return FlightLog("m", "0" * 64, at, at, (point,), (photo,), Outcome(Ending.COMPLETED))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v["photos"][0].pop("yaw_deg"), r"photos\[0\].*yaw_deg"),
        (lambda v: v["photos"][0].update(lat_deg=200.0), r"photos\[0\].*latitude 200"),
        (lambda v: v["track"][0].update(at="yesterday"), r"track\[0\]"),
        (lambda v: v["track"][0].update(at="2026-05-01T00:00:00"), r"track\[0\].*time zone"),
        (lambda v: v.pop("outcome"), r"outcome"),
        (lambda v: v.update(format="something else"), r"another file"),
    ],
)
def test_a_broken_log_names_its_break(change: object, named: str) -> None:
    """A part that is missing or impossible is named in the error."""
    value = json.loads(to_json(one()))
    change(value)  # type: ignore[operator]
    with pytest.raises(FormatError, match=named):
        from_json(json.dumps(value))


def test_what_is_not_json_says_so() -> None:
    """A file of another kind is refused as such."""
    with pytest.raises(FormatError, match="not JSON"):
        from_json("TLOG")


def test_heights_of_another_datum_do_not_enter() -> None:
    """A photo whose height counts from the ellipsoid is refused: a log counts over take-off alone."""
    with pytest.raises(GeoError, match="take-off"):
        PhotoEvent(1, datetime(2026, 5, 1, tzinfo=UTC), LonLat(lon_deg=0, lat_deg=0), Height(1, Datum.ELLIPSOID), 0, 0, 0)
