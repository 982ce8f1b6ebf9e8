from __future__ import annotations

import pytest

from geo.frames import LonLat
from simulator.town import Town, make_town

PLACE = LonLat(lon_deg=120.57, lat_deg=32.39)


@pytest.fixture(scope="session")
def small_town() -> Town:
    return make_town(3, centre=PLACE, width_m=110.0, depth_m=90.0, margin_m=20.0)
