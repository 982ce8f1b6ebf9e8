from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from geo.frames import LonLat
from geo.sun import direction
from simulator.errors import SimulatorError
from simulator.sun import Sun, sun_at

RUGAO = LonLat(lon_deg=120.57, lat_deg=32.39)


def highest(place: LonLat, day: datetime) -> tuple[float, float]:
    return max((direction(place, day + timedelta(minutes=k)) for k in range(0, 1440, 2)), key=lambda d: d[1])


@pytest.mark.parametrize(
    ("day", "declination"),
    [
        (datetime(2026, 6, 21, tzinfo=UTC), 23.44),
        (datetime(2026, 12, 21, tzinfo=UTC), -23.44),
        (datetime(2026, 3, 20, tzinfo=UTC), 0.0),
    ],
)
def test_at_noon_the_sun_stands_at_ninety_minus_latitude_plus_declination(day: datetime, declination: float) -> None:
    """On solstices and equinoxes the noon height follows from the latitude alone."""
    azimuth, elevation = highest(RUGAO, day)
    assert elevation == pytest.approx(90.0 - 32.39 + declination, abs=0.3)
    assert azimuth == pytest.approx(180.0, abs=2.0)


def test_solar_noon_comes_when_the_longitude_says() -> None:
    """Noon at 120.57 E is near 04:00 UTC less the equation of time (+3.7 minutes on the 15th of May)."""
    day = datetime(2026, 5, 15, tzinfo=UTC)
    minute = max(range(1440), key=lambda k: direction(RUGAO, day + timedelta(minutes=k))[1])
    assert minute == pytest.approx(240 - 0.57 * 4 - 3.7, abs=2.0)


def test_the_sun_rises_in_the_east_and_sets_in_the_west() -> None:
    """Mornings have the sun in the east half, evenings in the west."""
    assert direction(RUGAO, datetime(2026, 5, 1, 0, tzinfo=UTC))[0] < 180.0
    assert direction(RUGAO, datetime(2026, 5, 1, 9, tzinfo=UTC))[0] > 180.0


def test_the_vector_points_where_the_angles_say() -> None:
    """A low sun due east shines along +x, a high one along +z."""
    east = Sun(90.0, 10.0).towards
    assert east[0] > 0.98
    assert abs(east[1]) < 1e-9
    assert Sun(200.0, 90.0).towards[2] == pytest.approx(1.0)


def test_night_is_refused_with_a_reason() -> None:
    """Photos need daylight."""
    with pytest.raises(SimulatorError, match="daylight"):
        sun_at(RUGAO, datetime(2026, 5, 1, 17, tzinfo=UTC))
