"""A stand-in for NodeODM for tests: its HTTP API word for word, over photos whose poses are known. It solves nothing.

Run as a process of its own: `python nodeodm_server.py PORT FOLDER [--fail WORDS] [--drop] [--slow SECONDS] [--token T] [--most N]`.
`FOLDER/truth/<name>.json` holds the true pose (frame metres) and camera of the photo uploaded as `<name>.jpg`. As the real service
does, it lays the block onto the GPS of `geo.txt`, keeps the poses topocentric in `opensfm/reconstruction.topocentric.json`, and with
an `align.laz` moves the point cloud alone: how, stands in `odm_georeferencing/alignment_matrix.json`. That matrix undoes the turn and
shift that the GPS brought in, and brings in those of the last block solved without one, as a perfect alignment to it would.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import laspy
import numpy as np
from pyproj import Transformer
from scipy.spatial.transform import Rotation

EPSG = 4549
UTM = "+proj=utm +zone=51 +datum=WGS84 +units=m +no_defs"
TURN_DEG = 0.4  # how far the GPS turns the block about the vertical
QUEUED, RUNNING, FAILED, COMPLETED, CANCELED = 10, 20, 30, 40, 50
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", re.I)
KNOWN_OPTIONS = {"end-with", "skip-report", "skip-orthophoto", "skip-3dmodel", "pc-quality", "crop"}


class Task:
    def __init__(self, uuid: str, body: dict[str, str]) -> None:
        self.uuid, self.body = uuid, body
        self.files: dict[str, bytes] = {}
        self.code, self.error, self.progress = QUEUED, "", 0.0
        self.output: list[str] = []
        self.archive = b""
        self.made = time.time()
        self.options = [o for o in json.loads(body.get("options", "[]")) if o["name"] in KNOWN_OPTIONS]
        self.outputs = json.loads(body.get("outputs", "[]"))

    def info(self) -> dict[str, Any]:
        status = {"code": self.code} | ({"errorMessage": self.error} if self.error else {})
        images = sum(not n.endswith((".txt", ".laz")) for n in self.files)
        return {
            "uuid": self.uuid,
            "name": self.body.get("name", ""),
            "dateCreated": int(self.made * 1000),
            "processingTime": 0,
            "status": status,
            "options": self.options,
            "imagesCount": images,
            "progress": self.progress,
        }


def positions(text: str) -> dict[str, list[float]]:
    lines = text.strip().split("\n")
    assert lines[0] == "EPSG:4326", lines[0]
    return {parts[0]: [float(v) for v in parts[1:4]] for parts in map(str.split, lines[1:])}


def solve(task: Task, truth: Path, laid: list[Any]) -> dict[str, bytes]:
    """What ODM would leave of these photos, by path."""
    names = sorted(n for n in task.files if not n.endswith((".txt", ".laz")))
    told = positions(task.files["geo.txt"].decode())
    poses = {n: json.loads((truth / f"{Path(n).stem}.json").read_text()) for n in names}
    degrees = Transformer.from_crs(EPSG, 4326, always_xy=True)
    utm = Transformer.from_crs(4326, UTM, always_xy=True)
    earth = Transformer.from_crs(4979, 4978, always_xy=True)

    def to_utm(point: Any) -> Any:
        east, north = utm.transform(*degrees.transform(point[0], point[1]))
        return np.array([east, north, point[2]])

    centres = np.array([to_utm(poses[n]["centre"]) for n in names])
    gps = np.array([[*utm.transform(told[n][0], told[n][1]), told[n][2]] for n in names])
    middle, shift = centres.mean(axis=0), (gps - centres).mean(axis=0)
    a = math.radians(TURN_DEG) if "align.laz" in task.files else 0.0
    turn = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1.0]])

    def misplaced(point: Any) -> Any:
        return middle + shift + turn @ (point - middle)

    lon, lat = utm.transform(*(middle + shift)[:2], direction="INVERSE")
    origin = np.array(earth.transform(lon, lat, 0.0))
    p, q = math.radians(lon), math.radians(lat)
    enu = np.array(
        [
            [-math.sin(p), math.cos(p), 0],
            [-math.sin(q) * math.cos(p), -math.sin(q) * math.sin(p), math.cos(q)],
            [math.cos(q) * math.cos(p), math.cos(q) * math.sin(p), math.sin(q)],
        ]
    )

    def topocentric(point: Any) -> Any:
        east, north, up = misplaced(to_utm(point))
        return enu @ (np.array(earth.transform(*utm.transform(east, north, direction="INVERSE"), up)) - origin)

    shots, cameras = {}, {}
    for n in names:
        centre, rotation = np.array(poses[n]["centre"]), np.array(poses[n]["rotation"]).reshape(3, 3)
        here = topocentric(centre)
        rows = np.array([topocentric(centre + 5 * axis) - here for axis in rotation])
        u, _, v = np.linalg.svd(rows)
        there = u @ v
        c = poses[n]["camera"]
        side = max(c["width_px"], c["height_px"])
        cameras["v2 test"] = {
            "projection_type": "brown",
            "width": c["width_px"],
            "height": c["height_px"],
            "focal_x": c["focal_px"] / side,
            "focal_y": c["focal_px"] / side,
            "c_x": (c["cx_px"] - c["width_px"] / 2) / side,
            "c_y": (c["cy_px"] - c["height_px"] / 2) / side,
        } | {k: c.get(k, 0.0) for k in ("k1", "k2", "p1", "p2", "k3")}
        shots[n] = {
            "rotation": Rotation.from_matrix(there).as_rotvec().tolist(),
            "translation": (-there @ here).tolist(),
            "camera": "v2 test",
        }
    lla = {"latitude": lat, "longitude": lon, "altitude": 0.0}
    plane = [{"cameras": cameras, "shots": shots, "points": {}, "reference_lla": lla}]
    grid = [{"cameras": cameras, "shots": {}, "points": {}}]  # the real one is in UTM less an offset, and says no reference
    made = {
        "opensfm/reconstruction.topocentric.json": json.dumps(plane).encode(),
        "opensfm/reconstruction.json": json.dumps(grid).encode(),
        "odm_georeferencing/proj.txt": UTM.encode(),
    }
    if "align.laz" not in task.files:
        laid.append(shift)
    else:
        cloud = laspy.read(io.BytesIO(task.files["align.laz"]))
        points = np.column_stack([cloud.x, cloud.y, cloud.z])
        if cloud.header.parse_crs() is None or np.abs(points[:, :2].mean(axis=0) - middle[:2]).max() > 100:
            task.output.append("[WARNING] Alignment to align.laz will be skipped.")
        else:
            matrix = np.eye(4)
            matrix[:3, :3] = turn.T
            matrix[:3, 3] = middle + (laid[-1] if laid else 0) - turn.T @ (middle + shift)
            made["odm_georeferencing/alignment_matrix.json"] = json.dumps(matrix.tolist()).encode()
    return made


class Node(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.folder, self.given = folder, options
        self.opened: dict[str, Task] = {}
        self.tasks: dict[str, Task] = {}
        self.dropped: set[str] = set()
        self.laid: list[Any] = []  # how far GPS has moved each block that was solved without a reference

    def work(self, task: Task) -> None:
        task.code = RUNNING
        task.output.append("[INFO] Running opensfm stage")
        for step in range(10):
            time.sleep(self.given.slow / 10)
            task.progress = 9.0 * step
            if task.code == CANCELED:
                return
        if self.given.fail:
            task.output += ["Traceback (most recent call last):", f"MemoryError: {self.given.fail}"]
            task.code, task.error = FAILED, self.given.fail
            return
        made = solve(task, self.folder / "truth", self.laid)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in task.outputs:
                if name in made:
                    archive.writestr(name, made[name])
        task.archive, task.progress, task.code = packed.getvalue(), 100.0, COMPLETED


class Handler(BaseHTTPRequestHandler):
    server: Node
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        with (self.server.folder / "requests.log").open("a") as file:
            file.write(format % args + "\n")

    def answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def allowed(self) -> bool:
        token = parse_qs(urlparse(self.path).query).get("token", [""])[0]
        if self.server.given.token and token != self.server.given.token:
            self.answer({"error": "Invalid authentication token: not found"}, 401)
            return False
        return True

    def parts(self) -> dict[str, tuple[str | None, bytes]]:
        """A multipart or an urlencoded body: field to (file name, content)."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            return {k: (None, v[0].encode()) for k, v in parse_qs(body.decode()).items()}
        boundary = kind.split("boundary=")[1].strip('"').encode()
        found: dict[str, tuple[str | None, bytes]] = {}
        for part in body.split(b"--" + boundary)[1:-1]:
            head, content = part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
            said = head.decode()
            name = re.search(r'[; ]name="([^"]*)"', said)
            file = re.search(r'filename="([^"]*)"', said)
            assert name is not None
            found[name[1]] = (file[1] if file else None, content.removesuffix(b"\r\n"))
        return found

    def do_GET(self) -> None:
        if not self.allowed():
            return
        way = urlparse(self.path)
        if way.path == "/info":
            memory = {"totalMemory": 16_000_000_000, "availableMemory": 8_000_000_000, "cpuCores": 4}
            known = {"version": "2.2.1", "engine": "odm", "engineVersion": "3.5.4", "maxParallelTasks": 2}
            self.answer({**known, **memory, "taskQueueCount": len(self.server.tasks), "maxImages": self.server.given.most})
            return
        found = re.fullmatch(r"/task/([^/]+)/(info|output|download/all\.zip)", way.path)
        if found is None:
            self.answer({"error": "no such route"}, 404)
            return
        task = self.server.tasks.get(found[1])
        if task is None:
            self.answer({"error": f"{found[1]} not found"})
        elif found[2] == "info":
            self.answer(task.info())
        elif found[2] == "output":
            self.answer(task.output[int(parse_qs(way.query).get("line", ["0"])[0]) :])
        elif task.code != COMPLETED:
            self.answer({"error": "Invalid asset"})
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/zip")
            self.send_header("Content-Length", str(len(task.archive)))
            self.end_headers()
            self.wfile.write(task.archive)

    def do_POST(self) -> None:
        fields = self.parts()
        if not self.allowed():
            return
        way = urlparse(self.path).path
        if way == "/task/new/init":
            uuid = self.headers.get("set-uuid", "")
            if not UUID.match(uuid) or uuid in self.server.tasks:
                self.answer({"error": f"Invalid set-uuid: {uuid}"})
                return
            self.server.opened[uuid] = Task(uuid, {k: v.decode() for k, (_, v) in fields.items()})
            self.answer({"uuid": uuid})
        elif way.startswith("/task/new/upload/"):
            self.upload(way.rsplit("/", 1)[1], fields)
        elif way.startswith("/task/new/commit/"):
            task = self.server.opened.pop(way.rsplit("/", 1)[1], None)
            if task is None:
                self.answer({"error": "Invalid uuid (not found)"})
                return
            self.server.tasks[task.uuid] = task
            threading.Thread(target=self.server.work, args=(task,), daemon=True).start()
            self.answer({"uuid": task.uuid})
        elif way in {"/task/cancel", "/task/remove"}:
            uuid = fields.get("uuid", (None, b""))[1].decode()
            task = self.server.tasks.get(uuid)
            if task is None:
                self.answer({"error": f"{uuid} not found"})
                return
            task.code = CANCELED if way == "/task/cancel" else task.code
            if way == "/task/remove":
                self.server.tasks.pop(uuid)
            self.answer({"success": True})
        else:
            self.answer({"error": "no such route"}, 404)

    def upload(self, uuid: str, fields: dict[str, tuple[str | None, bytes]]) -> None:
        task = self.server.opened.get(uuid)
        name, content = fields.get("images", (None, b""))
        if task is None:
            self.answer({"error": "Invalid uuid (not found)"})
        elif name is None:
            self.answer({"error": "Need at least 1 file."})
        elif self.server.given.drop and name not in self.server.dropped:
            self.server.dropped.add(name)
            self.answer("Internal Server Error", 500)
        else:
            task.files[re.sub(r"[^\w\.\-]", "_", name)] = content
            self.answer({"success": True})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fail", default="")
    parser.add_argument("--drop", action="store_true")
    parser.add_argument("--slow", type=float, default=0.1)
    parser.add_argument("--token", default="")
    parser.add_argument("--most", type=int, default=None)
    options = parser.parse_args(sys.argv[1:])
    Node(options.port, options.folder, options).serve_forever()
