"""10,000 polygons in each format: looked at (datum, differences, hits against the edition before) and taken into the store."""

from __future__ import annotations

import csv
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas
from shapely.affinity import translate
from shapely.geometry import box

from airspace.formats.table import WRITTEN
from airspace.zones import Zone
from benchmarks.airspace.made import zones
from benchmarks.report import Row
from geo.area import Area, AreaId
from geo.times import FixedClock
from patrol import database
from patrol.pipeline import areas, zoning
from patrol.settings import Settings
from patrol.wiring import Workplace, workplace

COUNT = 10_000
BAR_S = 10.0


def rows(folder: Path) -> list[Row]:
    """Seconds from the file to the store, for each format; and the second edition, in which every tenth zone moved."""
    made = zones(COUNT)
    found = []
    for name, write in WRITERS.items():
        path = write(folder, made)
        with _store(folder / name) as work:
            found += _rows("import of 10,000 polygons", name, _taken(work, path))
    moved = tuple(
        replace(z, parts=tuple(replace(p, outline=translate(p.outline, 0.002)) for p in z.parts)) if i % 10 == 0 else z
        for i, z in enumerate(made)
    )
    with _store(folder / "editions") as work:
        _taken(work, _given("geojson", ".geojson")(folder, made))
        found += _rows(
            "next edition, 1,000 of 10,000 moved", "GeoJSON", _taken(work, _given("geojson", ".geojson")(folder, moved))
        )
    return found


def _rows(metric: str, name: str, took: tuple[float, float]) -> list[Row]:
    wall, cpu = took
    dataset = f"made zones, {name}"
    return [
        Row(f"{metric}: wall", dataset, round(wall, 2), "s", "lower", BAR_S),
        Row(f"{metric}: CPU", dataset, round(cpu, 2), "s", "lower"),
    ]


def _taken(work: Workplace, path: Path) -> tuple[float, float]:
    """Seconds on the clock and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = zoning.import_zones(work, path, by="bench", datum="wgs84", source="bench")
    assert made.zones == COUNT
    return time.perf_counter() - wall, time.process_time() - cpu


@contextmanager
def _store(home: Path) -> Iterator[Workplace]:
    """A fresh store with one area under watch."""
    settings = Settings(home=home, database_url="", broker_url="")
    home.mkdir(parents=True)
    database.upgrade(settings.database)
    with workplace(settings, clock=FixedClock(datetime(2026, 5, 11, tzinfo=UTC))) as work:
        areas.keep_area(work, Area(AreaId("a"), "北区", box(120.54, 32.37, 120.56, 32.39)), by="bench")
        yield work


def _given(code: str, suffix: str) -> Callable[[Path, tuple[Zone, ...]], Path]:
    def write(folder: Path, made: tuple[Zone, ...]) -> Path:
        path = folder / f"{code}{suffix}"
        path.write_bytes(WRITTEN[code].write(made))  # type: ignore[misc]
        return path

    return write


def _kmz(folder: Path, made: tuple[Zone, ...]) -> Path:
    path = folder / "zones.kmz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("doc.kml", WRITTEN["kml"].write(made))  # type: ignore[misc]
    return path


def _shapefile(folder: Path, made: tuple[Zone, ...]) -> Path:
    table = geopandas.GeoDataFrame(
        {
            "编号": [z.id for z in made],
            "名称": [z.name for z in made],
            "类型": [z.kind.value for z in made],
            "上限": [z.parts[0].ceiling.metres for z in made],
            "缓冲": [z.buffer_m for z in made],
        },
        geometry=[z.parts[0].outline for z in made],
        crs=4490,
    )
    table.to_file(folder / "zones.shp", encoding="GB18030")
    return folder / "zones.shp"


def _openair(folder: Path, made: tuple[Zone, ...]) -> Path:
    def point(lon: float, lat: float) -> str:
        def axis(value: float) -> str:
            minutes, degrees = (value % 1) * 60, int(value)
            return f"{degrees}:{minutes:09.6f}"

        return f"{axis(lat)} N {axis(lon)} E"

    lines = []
    for z in made:
        lines += ["AC R", f"AN {z.name} {z.id}", "AL GND", f"AH {z.parts[0].ceiling.metres:g}m AGL"]
        lines += [f"DP {point(x, y)}" for x, y in z.parts[0].outline.exterior.coords]  # type: ignore[union-attr]
    path = folder / "zones.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _circles(folder: Path, made: tuple[Zone, ...]) -> Path:
    path = folder / "zones.csv"
    with path.open("w", encoding="gb18030", newline="") as file:
        table = csv.writer(file)
        table.writerow(("编号", "名称", "类型", "经度", "纬度", "半径", "上限"))
        for z in made:
            middle = z.outline.centroid
            table.writerow((z.id, z.name, z.kind.value, middle.x, middle.y, 500, z.parts[0].ceiling.metres))
    return path


WRITERS: dict[str, Callable[[Path, tuple[Zone, ...]], Path]] = {
    "GeoJSON": _given("geojson", ".geojson"),
    "ED-269": _given("ed269", ".json"),
    "ED-318": _given("ed318", ".json"),
    "KML": _given("kml", ".kml"),
    "KMZ": _kmz,
    "GeoPackage": _given("gpkg", ".gpkg"),
    "Shapefile GBK": _shapefile,
    "OpenAir": _openair,
    "CSV of circles": _circles,
}
