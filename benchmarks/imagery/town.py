"""Simulated towns, whose truth is exact to the millimetre: heights, roof edges and places of a survey and of the next one, in GSD.

Two towns are flown twice (75 % along, 70 % across, 70 m up, consumer GPS; the second time across, a month later, registered into the
first). The first survey's absolute place is as good as its GPS: it is told apart, and the truth is looked at through the block's own
frame (see `truth`), so that all else is shape. Seed 7 may be tuned on; seed 23 is for judging only.

With `--keep FOLDER` all is kept in `FOLDER/town/<seed>/`: photos in `photos_a`, `photos_b`, surveys in `a`, `b`. To measure a change,
delete files and run again: `rm */[ab]/surface.tif` makes surface and ortho anew, `rm */[ab]/ortho.tif` the ortho alone; photos and
blocks stay. `TOWNS=7` in the environment runs one town, `TOWNS=7a` only its first survey.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.imagery import made, truth
from benchmarks.report import Row
from geo.area import Area, AreaId
from geo.camera import Camera
from geo.frames import LonLat
from imagery.survey import RECORD, Survey
from patrol import terminal
from simulator.lens import Shot, true_pose, write_photos
from simulator.sun import sun_at
from simulator.town import Town, make_town

SEEDS = (7, 23)
CENTRE = LonLat(lon_deg=120.566, lat_deg=32.392)
WIDTH_M, DEPTH_M = 120.0, 90.0
HEIGHT_M = 70.0
ALONG, ACROSS = 0.75, 0.70
BEYOND_M = 15.0  # how far the lines reach over the area's edge
_WIDE = Camera.of_fov(1600, 1200, 24.0)
CAMERA = Camera(1600, 1200, _WIDE.focal_px, 803.5, 596.0, k1=-0.021, k2=0.009, p1=0.0004, p2=-0.0003)


@dataclass(frozen=True, slots=True)
class Flight:
    """One visit: its letter, the town's day, when, and whether the lines run north-south."""

    name: str
    day: int
    at: datetime
    northward: bool


FLIGHTS = (
    Flight("a", 0, datetime(2026, 4, 1, 2, 30, tzinfo=UTC), northward=False),
    Flight("b", 30, datetime(2026, 5, 1, 3, 40, tzinfo=UTC), northward=True),
)


def rows(folder: Path) -> list[Row]:
    """All figures of both towns."""
    asked = os.environ.get("TOWNS", "")
    found = []
    for seed in SEEDS:
        if not asked or str(seed) == asked.rstrip("ab"):
            found += _town(seed, folder / str(seed), only_first=asked.endswith("a"))
    return found


def shots(town: Town, flight: Flight) -> list[Shot]:
    """Lines there and back over the flown part, `BEYOND_M` over its edge."""
    across_m, along_m = CAMERA.footprint_m(HEIGHT_M)
    west, south, east, north = town.flown
    (u0, u1), (v0, v1) = ((south, north), (west, east)) if flight.northward else ((west, east), (south, north))
    us, vs = _spread(u0, u1, along_m * (1 - ALONG)), _spread(v0, v1, across_m * (1 - ACROSS))
    found: list[Shot] = []
    for line, v in enumerate(vs):
        there = line % 2 == 0
        for u in us if there else us[::-1]:
            x, y = (v, u) if flight.northward else (u, v)
            yaw = (0.0 if there else 180.0) if flight.northward else (90.0 if there else 270.0)
            at = town.frame.lonlat(town.origin.x_m + x, town.origin.y_m + y)
            index = len(found) + 1
            found.append(Shot(index, flight.at + timedelta(seconds=3 * index), at.lon_deg, at.lat_deg, HEIGHT_M, yaw))
    return found


def _spread(low: float, high: float, step: float) -> list[float]:
    low, high = low - BEYOND_M, high + BEYOND_M
    return [float(v) for v in np.linspace(low, high, math.ceil((high - low) / step) + 1)]


def _town(seed: int, folder: Path, *, only_first: bool) -> list[Row]:
    town = make_town(seed, centre=CENTRE, width_m=WIDTH_M, depth_m=DEPTH_M, margin_m=70.0)
    area = Area(AreaId(f"town-{seed}"), f"town {seed}", town.outline, gsd_m=0.05, epsg=town.frame.epsg)
    found: list[Row] = []
    first: tuple[Survey, truth.Seen] | None = None
    for flight in FLIGHTS[: 1 if only_first else 2]:
        name = f"town {seed}{flight.name}"
        scene, taken = town.scene(flight.day), shots(town, flight)
        photos, lies = folder / f"photos_{flight.name}", folder / flight.name
        noise = seed * 100 + flight.day
        with terminal.bar() as progress:
            write_photos(scene, CAMERA, taken, photos, home=town.home, seed=noise, workers=2, progress=progress)
        _taken_up_again(lies)
        survey = made.survey(photos, lies, flight.at.date(), area=area, reference=first[0] if first else None)
        poses = {f"DJI_{s.index:04d}.JPG": true_pose(scene, s, town.home, noise) for s in taken}
        middle = taken[len(taken) // 2]
        sun = sun_at(LonLat(lon_deg=middle.lon_deg, lat_deg=middle.lat_deg), middle.at)
        seen = truth.seen(scene, sun, survey, poses)
        found += truth.placed(name, seen, survey)
        found += (
            truth.heights(name, seen, survey)
            + truth.bare(name, seen, survey)
            + truth.edges(name, seen, survey, town, flight.day)
            + truth.places(name, seen, survey)
        )
        if first is not None:
            found += truth.between(name, *first, survey, seen)
        first = first or (survey, seen)
    return found


def _taken_up_again(folder: Path) -> None:
    """Where files of a finished survey were deleted, what depends on them goes too, and the survey counts as unfinished."""
    if not (folder / RECORD).exists():
        return
    after = {
        "surface": ("sigma", "confidence", "filled", "ground", "height", "ground_bridged", "ortho"),
        "ortho": ("off_nadir", "source", "flags", "certainty"),
    }
    gone = False
    for name, others in after.items():
        if not (folder / f"{name}.tif").exists():
            gone = True
            for other in others:
                (folder / f"{other}.tif").unlink(missing_ok=True)
    if gone:
        for name in (RECORD, "residual.json", "spent.json"):
            (folder / name).unlink(missing_ok=True)
