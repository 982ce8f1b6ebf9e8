"""The client of an upload: `patrol upload` sends a folder of photos to a server, by several connections, through broken lines.

The server knows how much of each file it has; whatever happens on the way, the sender asks and goes on from there.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from geo.progress import Progress, silent
from patrol.blobs import BlobError, hash_of
from patrol.intake import unfit

CHUNK_BYTES = 8 << 20
BATCH = 200  # files hashed and declared together, while those before them are on their way
PARALLEL = 4
PATIENCE_S = 600.0  # how long a server is waited for that has fallen silent
FIRST_S = 20.0  # … and one that has never answered: its address may be wrong
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_TRIES = 3  # of one file whose content arrives damaged


class SendError(RuntimeError):
    """The upload cannot go on: says why, in the server's words where it has any. What was sent is kept."""


class _Refused(SendError):
    def __init__(self, status: int, code: str, said: str, offset: str | None) -> None:
        super().__init__(said)
        self.status, self.code, self.offset = status, code, offset


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it. `refused` names each file that was not taken with the reason; `there` were in the store already."""

    upload: Mapping[str, Any]
    files: int
    size_bytes: int
    there: int
    refused: tuple[tuple[str, str], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str
    size_bytes: int
    sha256: str


class Server:
    """A patrol server that one has signed in to. Safe to use from several threads."""

    def __init__(self, url: str, login: str, password: str, *, patience_s: float = PATIENCE_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise SendError(f"not the address of a server: {url!r}; write https://patrol.example.cn")
        self._url, self._login, self._password, self._patience_s = url.rstrip("/"), login, password, patience_s
        self._pool = urllib3.PoolManager(maxsize=PARALLEL * 2, retries=False, timeout=urllib3.Timeout(connect=10, read=120))
        self._cookie, self._signing, self._met = "", threading.Lock(), False

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The JSON answer to a call; waits for a server that is silent. Raises SendError."""
        return self._insist(lambda: self._call(method, path, body, query))

    def _insist(self, call: Any) -> Any:
        silent_since, tries, signed = time.monotonic(), 0, False
        while True:
            try:
                return call()
            except _Refused as refused:
                if refused.status == 401 and not signed:
                    signed = True
                    self._sign_in()
                    continue
                if refused.status not in {502, 503, 504}:
                    raise
                cause = str(refused)
            except (urllib3.exceptions.HTTPError, OSError) as err:
                cause = str(err)
            patience_s = self._patience_s if self._met else min(FIRST_S, self._patience_s)
            if time.monotonic() - silent_since > patience_s:
                raise SendError(f"{self._url} does not answer ({cause}): run the command again, what was sent is kept")
            time.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])
            tries += 1

    def send(self, path: str, content: bytes, offset: int) -> Any:
        """One try to send a chunk; raises what went wrong on the line as it is."""
        return self._call("PUT", path, content, {"offset": offset})

    def _sign_in(self) -> None:
        with self._signing:
            answer = self._pool.request("POST", f"{self._url}/api/login", json={"name": self._login, "password": self._password})
            if answer.status != 200:
                raise SendError(f"{self._url}: {_problem(answer)}")
            self._cookie = answer.headers.get("set-cookie", "").split(";", 1)[0]

    def _call(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> Any:
        url = f"{self._url}{path}{'?' + urlencode(query) if query else ''}"
        headers = {"Cookie": self._cookie, "Accept": "application/json"}
        if isinstance(body, bytes):
            answer = self._pool.request(method, url, body=body, headers={**headers, "Content-Type": "application/octet-stream"})
        elif body is not None:
            answer = self._pool.request(method, url, json=body, headers=headers)
        else:
            answer = self._pool.request(method, url, headers=headers)
        self._met = True
        if answer.status >= 400:
            code = _json(answer).get("code", "")
            raise _Refused(answer.status, code, _problem(answer), answer.headers.get("Upload-Offset"))
        return _json(answer)


def _json(answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        return json.loads(answer.data) if answer.data else {}
    except ValueError:
        return {}


def _problem(answer: urllib3.BaseHTTPResponse) -> str:
    text = _json(answer).get("text", {})
    return f"{text['zh']} {text['en']}" if "zh" in text else f"the server says {answer.status} {answer.reason or ''}".strip()


@dataclass(slots=True)
class _Sending:
    server: Server
    upload_id: str
    progress: Progress
    total_bytes: int
    sent_bytes: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    there: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, size: int) -> None:
        """More bytes are there."""
        with self.lock:
            self.sent_bytes += size
            self.progress(self.sent_bytes // 1000, max(self.total_bytes // 1000, 1), "upload")

    def declare(self, files: Sequence[_File]) -> list[tuple[_File, Mapping[str, Any]]]:
        """What the server wants of some files."""
        body = {"files": [{"name": f.name, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in files]}
        answers = self.server.ask("POST", f"/api/uploads/{self.upload_id}/files", body)
        return list(zip(files, answers, strict=True))

    def send(self, file: _File, received: int) -> None:
        """One file, from a byte on, until the server has it whole."""
        path = f"/api/uploads/{self.upload_id}/contents/{file.sha256}"
        self.count(received)
        counted, offset, damaged = received, received, 0
        with file.path.open("rb") as source:
            while not self.stop.is_set():
                source.seek(offset)
                try:
                    answer = self.server.send(path, source.read(CHUNK_BYTES), offset)
                    offset = answer["received"]
                except _Refused as refused:
                    if refused.offset is not None:
                        offset = int(refused.offset)
                        continue
                    if refused.code == "damaged" and damaged + 1 < _TRIES:
                        damaged, offset = damaged + 1, 0
                        continue
                    if refused.code == "busy" or refused.status in {401, 502, 503, 504}:
                        time.sleep(_PAUSES_S[0])
                        answer = self._where(file)
                    elif refused.status in {413, 422}:
                        self._refuse(file.name, str(refused))
                        return
                    else:
                        raise
                    offset = answer["received"]
                except (urllib3.exceptions.HTTPError, OSError):
                    answer = self._where(file)
                    offset = answer["received"]
                stored = answer.get("stored", answer.get("state") == "stored")
                here = file.size_bytes if stored else offset
                self.count(here - counted)
                counted = here
                if stored:
                    return

    def _where(self, file: _File) -> Mapping[str, Any]:
        """Ask, as often as it takes, how much of a file the server has."""
        return self.declare([file])[0][1]

    def _refuse(self, name: str, why: str) -> None:
        with self.lock:
            self.refused.append((name, why))


def send_folder(
    server: Server,
    folder: Path,
    area_id: str,
    taken_on: date,
    *,
    flight_id: str | None = None,
    finish: bool = True,
    lossless: bool = False,
    progress: Progress = silent,
) -> Sent:
    """All photos of a folder to a server, then the job that makes a survey of them, `lossless` if it shall keep every pixel. Running it
    again goes on where it stopped.

    Raises SendError; what was sent is kept.
    """
    began = time.monotonic()
    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    if not paths:
        raise SendError(f"{folder} is no folder with photos in it: give the folder that was copied from the card")
    whole = sum(p.stat().st_size for p in paths)
    body = {"area_id": area_id, "taken_on": taken_on.isoformat(), "flight_id": flight_id}
    upload = server.ask("POST", "/api/uploads", body)
    sending = _Sending(server, upload["id"], progress, whole)
    running: list[Future[None]] = []
    with ThreadPoolExecutor(PARALLEL) as hands, ThreadPoolExecutor(2) as hashers:
        try:
            for start in range(0, len(paths), BATCH):
                files = list(_hashed(hashers, sending, folder, paths[start : start + BATCH]))
                for file, answer in sending.declare(files) if files else ():
                    if answer["state"] == "refused":
                        sending._refuse(file.name, f"{answer['reason']['zh']} {answer['reason']['en']}")
                        sending.count(file.size_bytes)
                    elif answer["state"] == "stored":
                        sending.there += 1
                        sending.count(file.size_bytes)
                    else:
                        running.append(hands.submit(sending.send, file, answer["received"]))
                _raise_first(running)
            for future in running:
                future.result()
        except BaseException:
            sending.stop.set()
            hands.shutdown(cancel_futures=True)
            raise
    path = f"/api/uploads/{upload['id']}"
    how = {"lossless": True} if lossless else None
    told = server.ask("POST", f"{path}/finish", how) if finish else server.ask("GET", path)
    seconds = time.monotonic() - began
    return Sent(told, told["files"], told["size_bytes"], sending.there, tuple(sorted(sending.refused)), seconds)


def _raise_first(running: Sequence[Future[None]]) -> None:
    for future in running:
        if future.done():
            future.result()


def _hashed(hashers: ThreadPoolExecutor, sending: _Sending, folder: Path, paths: Sequence[Path]) -> Iterator[_File]:
    """The files of a batch that may be sent; a file that can never be is refused before it is read."""
    fit = []
    for path in paths:
        name, size = path.relative_to(folder).as_posix(), path.stat().st_size
        said = unfit(name, size, 1 << 62)
        if said is None:
            fit.append((path, name))
        else:
            sending._refuse(name, f"{said.zh} {said.en}")
            sending.count(size)
    for (path, name), outcome in zip(fit, hashers.map(_try_hash, [p for p, _ in fit]), strict=True):
        if isinstance(outcome, BlobError):
            sending._refuse(name, str(outcome))
        else:
            yield _File(path, name, outcome.size_bytes, outcome.sha256)


def _try_hash(path: Path) -> Any:
    try:
        return hash_of(path)
    except BlobError as err:
        return err


def follow(server: Server, upload_id: str, progress: Progress = silent, pause_s: float = 1.0) -> Mapping[str, Any]:
    """Wait for the job of a finished upload; the upload as it then stands."""
    while True:
        told: Mapping[str, Any] = server.ask("GET", f"/api/uploads/{upload_id}")
        job = told["job"]
        if job is None or job["state"] in {"done", "failed", "cancelled"}:
            return told
        if job["total"]:
            progress(job["done"], job["total"], job["what"])
        time.sleep(pause_s)
