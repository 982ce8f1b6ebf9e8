"""Uploads under faults: a real server process that is killed in the middle of a chunk, broken lines, thousands of files."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
import pytest
from shapely.geometry import box

from dispatch.actor import Role
from geo.area import Area, AreaId
from patrol import auth, demo, sender
from patrol.pipeline import areas, uploading
from patrol.sender import SendError, Server, send_folder
from patrol.settings import Settings
from patrol.wiring import workplace
from tests.conftest import free_port

PASSWORD = "correct horse battery"
DAY = date(2026, 3, 4)
JPEG = b"\xff\xd8\xff\xe0"


@dataclass
class Place:
    """A store with an area and a pilot, and where its server is."""

    settings: Settings
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """`patrol serve` as a process of its own."""
        environment = {**os.environ, "PATROL_HOME": str(self.settings.home), "PATROL_DATABASE_URL": "", "PATROL_BROKER_URL": ""}
        command = [sys.executable, "-m", "patrol", "serve", "--no-worker", "--port", str(self.port)]
        with (self.settings.home / "serve.log").open("ab") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                self._until_up(server)
                yield server
            finally:
                server.kill()
                server.wait(10)

    def _until_up(self, server: subprocess.Popen[bytes]) -> None:
        for _ in range(600):
            assert server.poll() is None, (self.settings.home / "serve.log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"{self.url}/api/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail("the server did not come up")

    def part(self, upload: str, content: bytes) -> Path:
        """Where a content arrives."""
        return self.settings.uploads_dir / upload / hashlib.sha256(content).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty store with an area and a pilot; no server runs yet."""
    settings = Settings(home=tmp_path / "store", database_url="", broker_url="")
    demo.fresh(settings)
    with workplace(settings) as work:
        areas.keep_area(work, Area(AreaId("a"), "北区", box(120.54, 32.37, 120.56, 32.39)), by="test")
        with work.database.write() as session:
            auth.add_user(session, "pilot", "飞手", frozenset({Role.PILOT}), PASSWORD, by="test", clock=work.clock)
    return Place(settings, free_port())


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_server_killed_in_the_middle_of_a_chunk_loses_nothing(place: Place) -> None:
    """Half a chunk is on the disk when the server dies; the next one has it, and only the rest is sent."""
    content = JPEG + random.Random(1).randbytes(6_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    declared = {"files": [{"name": "DJI_0001.JPG", "size_bytes": len(content), "sha256": sha256}]}
    pilot = Server(place.url, "pilot", PASSWORD, patience_s=60)
    with place.serving() as server:
        upload = pilot.ask("POST", "/api/uploads", {"area_id": "a", "taken_on": str(DAY)})["id"]
        assert pilot.ask("POST", f"/api/uploads/{upload}/files", declared)[0]["received"] == 0
        line = http.client.HTTPConnection("127.0.0.1", place.port)
        line.putrequest("PUT", f"/api/uploads/{upload}/contents/{sha256}?offset=0")
        line.putheader("Cookie", pilot._cookie)
        line.putheader("Content-Length", str(len(content)))
        line.endheaders()
        line.send(content[:3_500_000])
        until(lambda: place.part(upload, content).exists() and place.part(upload, content).stat().st_size >= 3_000_000)
        server.send_signal(signal.SIGKILL)
        server.wait(10)
        line.close()
    with place.serving():
        received = pilot.ask("POST", f"/api/uploads/{upload}/files", declared)[0]["received"]
        assert 3_000_000 <= received <= 3_500_000
        assert place.part(upload, content).read_bytes() == content[:received]
        assert pilot.send(f"/api/uploads/{upload}/contents/{sha256}", content[received:], received)["stored"]
    with workplace(place.settings) as work:
        assert work.blobs.read(sha256) == content


def test_the_command_goes_on_through_a_server_that_comes_and_goes(place: Place, tmp_path: Path) -> None:
    """The server dies twice while a folder is sent; the same call ends with all of it there, each photo once."""
    folder = tmp_path / "card"
    (folder / "100MEDIA").mkdir(parents=True)
    for i in range(40):
        (folder / "100MEDIA" / f"DJI_{i:04}.JPG").write_bytes(JPEG + random.Random(i).randbytes(400_000))
    (folder / "100MEDIA" / "Thumbs.db").write_bytes(b"x")
    (folder / "100MEDIA" / "doubled.JPG").write_bytes((folder / "100MEDIA" / "DJI_0003.JPG").read_bytes())
    seen = [0]
    done: list[object] = []

    def watch(now: int, total: int, what: str) -> None:
        seen[0] = now

    def send() -> None:
        try:
            done.append(send_folder(Server(place.url, "pilot", PASSWORD), folder, "a", DAY, progress=watch))
        except SendError as err:
            done.append(err)

    hand = threading.Thread(target=send)
    for stop_at_kb in (3_000, 9_000):
        with place.serving() as server:
            if not hand.is_alive():
                hand.start()
            until(lambda at=stop_at_kb: seen[0] > at or done, 60)  # type: ignore[misc]
            server.send_signal(signal.SIGKILL)
            server.wait(10)
            assert done == []
    with place.serving():
        hand.join(60)
        (sent,) = done
        assert isinstance(sent, sender.Sent), sent
        assert sent.upload["state"] == "finished"
        assert sent.upload["stored_files"] == sent.upload["files"] == 41
        assert [name for name, _ in sent.refused] == ["100MEDIA/Thumbs.db"]
    with workplace(place.settings) as work:
        assert len(list(work.blobs.all())) == 40
        assert list(work.blobs.damaged()) == []
        assert uploading.parts_of(work).uploads() == ()


def test_two_connections_never_write_one_file_at_once(place: Place) -> None:
    """While one sender is in the middle of a chunk, its double is refused with a sentence, and the file is not harmed."""
    content = JPEG + random.Random(2).randbytes(2_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    pilot = Server(place.url, "pilot", PASSWORD, patience_s=30)
    with place.serving():
        upload = pilot.ask("POST", "/api/uploads", {"area_id": "a", "taken_on": str(DAY)})["id"]
        declared = {"files": [{"name": "DJI_0001.JPG", "size_bytes": len(content), "sha256": sha256}]}
        pilot.ask("POST", f"/api/uploads/{upload}/files", declared)
        path = f"/api/uploads/{upload}/contents/{sha256}"
        line = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
        line.putrequest("PUT", f"{path}?offset=0")
        line.putheader("Cookie", pilot._cookie)
        line.putheader("Content-Length", str(len(content)))
        line.endheaders()
        line.send(content[:1_500_000])
        until(lambda: place.part(upload, content).exists() and place.part(upload, content).stat().st_size > 1_000_000)
        with pytest.raises(SendError, match="另一连接") as busy:
            pilot.send(path, content, 0)
        assert busy.value.code == "busy"  # type: ignore[attr-defined]
        line.send(content[1_500_000:])
        answer = line.getresponse()
        assert answer.status == 200
        assert b'"stored":true' in answer.read()
        line.close()


def test_thousands_of_files_take_their_requests_and_no_more_memory(place: Place, tmp_path: Path) -> None:
    """A request per file and one per batch; the server's memory does not grow with their number. The second time: batches only."""
    folder = tmp_path / "card"
    folder.mkdir()
    count = 1000
    for i in range(count):
        (folder / f"DJI_{i:05}.JPG").write_bytes(JPEG + i.to_bytes(4, "big") + bytes(2000))
    asked: list[str] = []

    class Counting(Server):
        def _call(self, method, path, body, query):  # type: ignore[no-untyped-def]
            asked.append(method)
            return super()._call(method, path, body, query)

    with place.serving() as server:
        process = psutil.Process(server.pid)
        pilot = Counting(place.url, "pilot", PASSWORD)
        pilot.ask("GET", "/api/me")
        rss: list[tuple[int, int]] = []

        def watch(now: int, total: int, what: str) -> None:
            rss.append((now, process.memory_info().rss))

        asked.clear()
        sent = send_folder(pilot, folder, "a", DAY, finish=False, progress=watch)
        assert sent.upload["stored_files"] == count
        assert sent.refused == ()
        assert asked.count("PUT") == count
        assert len(asked) <= count + count // sender.BATCH + 3
        total = max(now for now, _ in rss)
        early = max(size for now, size in rss if now < 0.3 * total)
        assert max(size for _, size in rss) - early < 20e6
        asked.clear()
        again = send_folder(pilot, folder, "a", DAY, finish=False)
        assert again.there == count
        assert asked.count("PUT") == 0


def test_a_wrong_address_and_a_wrong_password_are_sentences(place: Place, tmp_path: Path) -> None:
    """Before a photo is read."""
    with pytest.raises(SendError, match="write https"):
        Server("patrol.example.cn", "pilot", PASSWORD)
    with pytest.raises(SendError, match=r"does not answer.*what was sent is kept"):
        Server("http://127.0.0.1:1", "pilot", PASSWORD, patience_s=0).ask("GET", "/api/me")
    with place.serving(), pytest.raises(SendError, match="用户名或密码不正确"):
        Server(place.url, "pilot", "wrong password").ask("GET", "/api/me")
    with pytest.raises(SendError, match="no folder with photos"):
        send_folder(Server(place.url, "pilot", PASSWORD), tmp_path / "nowhere", "a", DAY)
