"""A long simulated flight, and compact parts of it: the same town, lens and weather for fifty photos and for five hundred."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from geo.camera import Camera
from geo.frames import LonLat
from patrol import terminal
from simulator.lens import Shot, write_photos
from simulator.town import Town, make_town

CAMERA = Camera(600, 450, 400.0, 300.0, 225.0, k1=-0.02, k2=0.006)
HEIGHT_M = 60.0
ALONG_M = 0.25 * HEIGHT_M * CAMERA.height_px / CAMERA.focal_px  # 75 % overlap along the line
ACROSS_M = 0.35 * HEIGHT_M * CAMERA.width_px / CAMERA.focal_px  # 65 % beside it
LINES, PER_LINE = 20, 25
PARTS = {15: (3, 5), 50: (5, 10), 150: (10, 15), 500: (20, 25)}
"""Photos: lines and photos per line of the compact part of the flight that has so many."""


def town() -> Town:
    """The town under the whole flight."""
    width, depth = (LINES - 1) * ACROSS_M + 20, (PER_LINE - 1) * ALONG_M + 20
    return make_town(7, centre=LonLat(lon_deg=120.567, lat_deg=32.391), width_m=width, depth_m=depth)


def photos(folder: Path, *, day: int = 0, workers: int = 2) -> tuple[Path, ...]:
    """All photos of the flight on a day, line by line; those that lie in `folder` are kept."""
    place = town()
    west = -(LINES - 1) * ACROSS_M / 2 + (4.0 if day else 0.0)
    south = -(PER_LINE - 1) * ALONG_M / 2 + (3.0 if day else 0.0)
    start = datetime(2026, 4, 1, 3, 0, tzinfo=UTC) + timedelta(days=day)
    shots = []
    for line in range(LINES):
        for step in range(PER_LINE):
            row = step if line % 2 == 0 else PER_LINE - 1 - step
            at = place.frame.lonlat(place.origin.x_m + west + line * ACROSS_M, place.origin.y_m + south + row * ALONG_M)
            n = len(shots)
            shots.append(
                Shot(n + 1, start + timedelta(seconds=2 * n), at.lon_deg, at.lat_deg, HEIGHT_M, 0.0 if line % 2 == 0 else 180.0)
            )
    with terminal.bar() as progress:
        return write_photos(
            place.scene(day), CAMERA, shots, folder, home=place.home, seed=day, workers=workers, progress=progress
        )


def part(paths: tuple[Path, ...], count: int) -> tuple[Path, ...]:
    """The compact part of the flight with `count` photos, in the order they were taken."""
    lines, per_line = PARTS[count]
    chosen = []
    for line in range(lines):
        row = paths[line * PER_LINE : (line + 1) * PER_LINE]
        chosen += row[:per_line] if line % 2 == 0 else row[-per_line:]
    return tuple(chosen)
