"""Starts the stand-in for NodeODM as a process and tells it the poses of photos."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from geo.frames import Pose
from imagery.photos import Photo
from tests.conftest import free_port


@dataclass(frozen=True)
class Node:
    """A running stand-in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tell(self, photos: Sequence[Photo], poses: Mapping[str, Pose]) -> None:
        """The true poses by photo hash; the service itself would solve them."""
        for photo in photos:
            pose = poses[photo.sha256]
            known = {"centre": pose.centre.tolist(), "rotation": list(pose.rotation), "camera": asdict(photo.camera)}
            (self.folder / "truth" / f"{photo.sha256[:20]}.json").write_text(json.dumps(known))

    def requests(self) -> list[str]:
        """What it was asked, `POST /task/new/init` and so on."""
        log = self.folder / "requests.log"
        return [line.split('"')[1].rsplit(" ", 1)[0] for line in log.read_text().splitlines()] if log.exists() else []


@contextmanager
def node(folder: Path, *options: str) -> Iterator[Node]:
    """The stand-in in its own process, listening."""
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    port = free_port()
    program = Path(__file__).with_name("nodeodm_server.py")
    process = subprocess.Popen([sys.executable, str(program), str(port), str(folder), *options])
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise AssertionError("the stand-in for NodeODM did not start")
        yield Node(folder, port, process)
    finally:
        process.kill()
        process.wait(10)
