"""How long an emergency application takes: from the tap to the drafts with their 13 items, clearance over 10,000 zones and Word file included."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

from shapely.geometry import box

from airspace.papers import Purpose
from airspace.zones import Zone, ZoneKind
from benchmarks.airspace.made import zones
from benchmarks.report import Row
from flight.fleet import Aircraft, AircraftId
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import FixedClock
from patrol import database, repositories
from patrol.pipeline import applying, areas, planning, zoning
from patrol.settings import Settings
from patrol.wiring import workplace

AREA = Area(AreaId("a"), "a", box(120.550, 32.380, 120.5515, 32.3815), gsd_m=0.02)
HOME = LonLat(lon_deg=120.5505, lat_deg=32.3805)
DRONE = Aircraft(AircraftId("d"), "d", Camera.of_fov(4000, 3000, 24), 8.0, 1500.0, 0.2, "", HOME)
DAY = date(2026, 3, 9)
COUNT, TIMES = 10_000, 7


def rows(folder: Path) -> list[Row]:
    """Median processor and wall seconds of one draft."""
    clock = FixedClock(datetime(2026, 3, 1, tzinfo=UTC))
    settings = Settings(home=folder / "store", database_url="", broker_url="")
    database.upgrade(settings.database)
    with workplace(settings, clock=clock) as work:
        city = Zone.single("city", "city", ZoneKind.SUITABLE, box(120.2, 32.0, 120.8, 32.5), ceiling=Height(120, Datum.GROUND))
        closed = Zone.single("x", "x", ZoneKind.CONTROLLED, box(120.549, 32.379, 120.5508, 32.383), authority="x")
        areas.keep_area(work, AREA, by="bench")
        with work.database.write() as session:
            repositories.aircraft.put(session, DRONE)
            zoning.keep(session, work, "city", (city,), by="bench")
        missions = [planning.plan_missions(work, AREA, DRONE, DAY, by="bench")[0] for _ in range(TIMES)]
        with work.database.write() as session:
            zoning.keep(session, work, "many", (*zones(COUNT), closed), by="bench")
        clock.advance(planning.flying_span(DAY).start - timedelta(minutes=31) - clock.now())
        spent, wall = [], []
        for mission in missions:
            cpu, start = time.process_time(), time.perf_counter()
            drafts = applying.draft(work, [mission.id], by="bench", purpose=Purpose.EMERGENCY)
            if not drafts:
                raise RuntimeError("no application was needed: the benchmark measures nothing")
            for draft in drafts:
                applying.as_word(draft)
            spent.append(time.process_time() - cpu)
            wall.append(time.perf_counter() - start)
    name = "emergency over 10,000 zones"
    return [
        Row("application drafted, with its Word file: wall", name, round(median(wall), 3), "s", "lower", 1.0),
        Row("the same: CPU", name, round(median(spent), 3), "cpu-s", "lower"),
    ]
