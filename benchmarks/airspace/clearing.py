"""A mission of 200 legs put to 10,000 zones: milliseconds at the 95th percentile, by the clock and by the processor, and making the index."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import Polygon, box

from airspace.clearance import clear_all
from airspace.index import Airspace
from airspace.zones import Zone, ZoneKind
from benchmarks.report import Row
from flight.items import Cmd, Item, ItemFrame
from flight.mission import Mission, waypoint
from flight.volumes import clear_mission, leg_volumes
from geo.frames import XY, Frame, LonLat
from geo.heights import Datum, Height
from geo.times import Span

COUNT, LEGS, MISSIONS = 10_000, 200, 60
BAR_MS = 50.0
FRAME = Frame(4549)
START = datetime(2026, 3, 3, 3, tzinfo=UTC)
SPAN, AT = Span(START, START + timedelta(hours=1)), START - timedelta(days=2)
_CLOSED = (ZoneKind.CONTROLLED, ZoneKind.RESTRICTED, ZoneKind.TEMPORARY, ZoneKind.PROHIBITED)


def rows(folder: Path) -> list[Row]:
    """Times of `clear_all` on the legs of a mission, of the whole `clear_mission` with its contingency returns, and of the index."""
    rng = np.random.default_rng(1)
    zones = _zones(rng)
    start = time.perf_counter()
    data = Airspace(zones)
    loaded_s = time.perf_counter() - start
    legs, whole, cpu = [], [], []
    for _ in range(MISSIONS):
        mission = _mission(rng)
        volumes = leg_volumes(mission, frame=FRAME, span=SPAN)
        wall, used = time.perf_counter(), time.process_time()
        clear_all(volumes, data, at=AT)
        legs.append(time.perf_counter() - wall)
        cpu.append(time.process_time() - used)
        wall = time.perf_counter()
        clear_mission(mission, data, frame=FRAME, span=SPAN, at=AT)
        whole.append(time.perf_counter() - wall)
    name = f"{COUNT} made zones, missions of {LEGS} legs"
    return [
        Row("clear(), 95th percentile", name, _p95(legs), "ms", "lower", BAR_MS),
        Row("clear(), 95th percentile, processor time", name, _p95(cpu), "ms", "lower", BAR_MS),
        Row("clear_mission() with volumes and straight returns, 95th percentile", name, _p95(whole), "ms", "lower"),
        Row("index of zones", name, round(loaded_s, 2), "s", "lower"),
    ]


def _p95(seconds: list[float]) -> float:
    return round(float(np.percentile(seconds, 95)) * 1e3, 1)


def _zones(rng: np.random.Generator) -> tuple[Zone, ...]:
    """One suitable city and ragged closed zones of 30 to 150 m all over it."""
    made = [Zone.single("city", "全市", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=Height(120, Datum.GROUND))]
    while len(made) < COUNT:
        lon, lat, size = rng.uniform(120.2, 120.8), rng.uniform(32.0, 32.5), rng.uniform(0.0003, 0.0015)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(8, 40))))
        outline = shapely.make_valid(Polygon(np.column_stack([lon + size * np.cos(angles), lat + size * np.sin(angles)])))
        if not isinstance(outline, Polygon):
            continue
        ceiling = Height(float(rng.choice([60, 120, 300])), Datum.GROUND)
        kind, buffer_m = _CLOSED[len(made) % 4], float(rng.choice([0, 20]))
        made.append(Zone.single(str(len(made)), f"区{len(made)}", kind, outline, ceiling=ceiling, buffer_m=buffer_m))
    return tuple(made)


def _mission(rng: np.random.Generator) -> Mission:
    """100 lines of 800 m, 10 m apart, somewhere over the city, at seven heights."""
    home = LonLat(lon_deg=rng.uniform(120.25, 120.75), lat_deg=rng.uniform(32.05, 32.45))
    corner = FRAME.xy(home)
    ends = [
        XY(corner.x_m + 800 * ((row + turn) % 2), corner.y_m + 10 * row) for row in range(LEGS // 2) for turn in (0, 1)
    ]  # fmt: skip
    items = (
        Item(Cmd.TAKEOFF, ItemFrame.RELATIVE, (0, 0, 0, 0), home.lon_deg, home.lat_deg, 80),
        *(waypoint(place, FRAME, 80.0 + number % 7) for number, place in enumerate(ends)),
        Item(Cmd.RETURN_TO_LAUNCH, ItemFrame.MISSION),
    )
    return Mission(name="bench", version=1, home=home, items=items, fence=(), rally=(), cruise_speed_m_s=8.0)
