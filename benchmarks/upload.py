"""An upload over loopback: speed, the server's memory and CPU for one gigabyte of photos, and for three thousand tiny files.

`make bench NAME=upload`. The server is a process of its own; the peer keeps the same files in a blob folder without any network.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psutil
from shapely.geometry import box

from benchmarks.report import Row, publish
from dispatch.actor import Role
from geo.area import Area, AreaId
from patrol import auth, demo
from patrol.pipeline.areas import keep_area
from patrol.sender import Server, send_folder
from patrol.settings import Settings
from patrol.stores.folder import BlobFolder
from patrol.wiring import workplace

PASSWORD = "a password for the bench"
JPEG = b"\xff\xd8\xff\xe0"
SETS = {"1 GB": (100, 10_000_000), "3000 files": (3000, 2000)}  # how many files of how many bytes


def main(arguments: Sequence[str]) -> int:
    """Both sets, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SETS))
    asked = parser.parse_args(arguments)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as made:
        root = Path(made)
        settings = Settings(home=root / "store", database_url="", broker_url="")
        demo.fresh(settings)
        with workplace(settings) as work:
            keep_area(work, Area(AreaId("a"), "bench", box(120.54, 32.37, 120.56, 32.39)), by="bench")
            with work.database.write() as session:
                auth.add_user(session, "pilot", "bench", frozenset({Role.PILOT}), PASSWORD, by="bench", clock=work.clock)
        with serving(settings) as (process, server):
            for number, name in enumerate(asked.only.split(","), start=1):
                folder = photos(root / f"card-{number}", *SETS[name])
                rows += measure(name, folder, process, server, date(2026, 3, number))
    publish("upload", rows)
    return 0


def photos(folder: Path, count: int, size: int) -> Path:
    """Files that begin as a JPEG does and cannot be compressed."""
    folder.mkdir()
    for i in range(count):
        (folder / f"DJI_{i:05}.JPG").write_bytes(JPEG + random.Random(i).randbytes(size - len(JPEG)))
    return folder


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[psutil.Process, Server]]:
    """`patrol serve` without its worker, and a client that has signed in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PATROL_HOME": str(settings.home), "PATROL_DATABASE_URL": "", "PATROL_BROKER_URL": ""}
    command = [sys.executable, "-m", "patrol", "serve", "--no-worker", "--port", str(port)]
    served = subprocess.Popen(command, env=environment)
    try:
        client = Server(f"http://127.0.0.1:{port}", "pilot", PASSWORD)
        client.ask("GET", "/api/me")
        yield psutil.Process(served.pid), client
    finally:
        served.terminate()
        served.wait(30)


def measure(name: str, folder: Path, process: psutil.Process, server: Server, day: date) -> list[Row]:
    """Send a folder, send it again, and keep it without a network."""
    before, spent = process.memory_info().rss, sum(process.cpu_times()[:2])
    end, peak = threading.Event(), [before]

    def watch() -> None:
        while not end.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    first = send_folder(server, folder, "a", day, finish=False)
    end.set()
    watcher.join()
    cpu_s = sum(process.cpu_times()[:2]) - spent
    again = send_folder(server, folder, "a", day, finish=False)
    assert first.upload["stored_files"] == first.files == again.there
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder.parent) as plain:
        for path in folder.iterdir():
            BlobFolder(Path(plain)).put_file(path)
        plain_s = time.monotonic() - began
    megabytes, peer = first.size_bytes / 1e6, "kept without a network"
    return [
        Row("speed", name, megabytes / first.seconds, "MB/s", "higher", None, peer, megabytes / plain_s),
        Row("time", name, first.seconds, "s", "lower", None, peer, plain_s),
        Row("time when all is there already", name, again.seconds, "s", "lower"),
        Row("server, per file", name, 1000 * cpu_s / first.files, "cpu-ms", "lower"),
        Row("server, per GB", name, cpu_s / (megabytes / 1000), "cpu-s", "lower"),
        Row("server's memory: peak", name, peak[0] / 1e6, "MB", "lower"),
        Row("server's memory: gained by the upload", name, (peak[0] - before) / 1e6, "MB", "lower"),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
