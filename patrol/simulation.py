"""The simulated vehicle and its camera, for `patrol demo` and the benchmarks: spoken to over the wire, like a real one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from flight.flightlog import FlightLog
from geo.camera import Camera
from geo.frames import LonLat
from geo.progress import Progress, silent
from simulator.lens import Shot, write_photos
from simulator.town import Town

CAMERA = Camera.of_fov(1280, 960, 24.0)
"""A small drone's camera with its pictures halved and halved again, so that a demo takes minutes."""


@contextmanager
def vehicle(
    home: LonLat, *, epoch: datetime | None = None, speedup: float = 30.0, port: int = 0, sysid: int = 1
) -> Iterator[str]:
    """An autopilot process of its own; yields the URL of its link."""
    command = [sys.executable, "-m", "simulator.autopilot", "--protocol", "tcp", "--port", str(port), "--speedup", str(speedup)]
    command += [f"--home={home.lon_deg:.8f},{home.lat_deg:.8f}", "--sysid", str(sysid)]
    if epoch is not None:
        command += ["--epoch", epoch.isoformat()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        if len(said) != 2 or said[0] != "ready":
            raise RuntimeError(f"the simulated autopilot did not start: it said {' '.join(said) or 'nothing'}")
        yield f"tcp:127.0.0.1:{said[1]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def photograph(
    town: Town, day: int, log: FlightLog, folder: Path, *, home: LonLat, camera: Camera = CAMERA, progress: Progress = silent
) -> tuple[Path, ...]:
    """The photos that the camera took where the vehicle released it, on one day of the town."""
    shots = [
        Shot(
            p.index,
            p.at,
            p.place.lon_deg,
            p.place.lat_deg,
            p.height.metres,
            p.yaw_deg,
            gimbal=(p.yaw_deg, p.pitch_deg, p.roll_deg),
        )
        for p in log.photos
    ]
    return write_photos(town.scene(day), camera, shots, folder, home=home, seed=town.seed + day, workers=2, progress=progress)
