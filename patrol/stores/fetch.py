"""Photos that wait in somebody's bucket: listed, fetched into a content-addressed cache, laid out as a folder.

A fetch that was broken off goes on where it stopped: whole photos are known by a note per version of an object, a half one by
its part, whose next byte is asked for by range and only if the object is still the same (`If-Match`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo.progress import Progress, silent
from patrol.blobs import CHUNK_BYTES, Blob, BlobError, BlobStore, hash_of
from patrol.stores.s3 import Address, client, sentences

WORKERS = 4
TRIES = 3
PAUSE_S = 1.0
SPARE_BYTES = 1_000_000_000
_PLAIN_MD5 = re.compile(r"[0-9a-f]{32}")  # the ETag of an object that was sent whole; one sent in parts has another form


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object of the bucket: its key, its path below the prefix, and what identifies this version of it."""

    key: str
    name: str
    size_bytes: int
    etag: str


def listed(s3: Any, address: Address, wanted: Callable[[str], bool]) -> tuple[Waiting, ...]:
    """The objects below the prefix whose path is wanted, by key. Raises BlobError with what is wrong."""
    prefix = f"{address.prefix}/" if address.prefix else ""
    found = []
    with sentences(address, "list the photos"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=address.bucket, Prefix=prefix):
            for thing in page.get("Contents", ()):
                name = thing["Key"][len(prefix) :]
                if wanted(name) and thing["Size"] > 0:
                    found.append(Waiting(thing["Key"], name, thing["Size"], thing["ETag"].strip('"')))
    return tuple(found)


def fetch(
    address: Address,
    cache: BlobStore,
    notes: Path,
    folder: Path,
    wanted: Callable[[str], bool],
    progress: Progress = silent,
) -> Path:
    """All wanted objects below an address as files of `folder`, under their paths below the prefix.

    `cache` keeps the contents, `notes` what was fetched already; both outlive the call, so that fetching again costs a listing.
    Raises BlobError when the bucket, its server or the credentials are wrong, nothing is there, or the disk has no room.
    """
    s3 = client(address)
    photos = listed(s3, address, wanted)
    if not photos:
        raise BlobError(f"{address}: 其中没有照片，前缀是否写对？ {address} holds no photos: is the prefix right?")
    notes.mkdir(parents=True, exist_ok=True)
    known = {photo: _known(cache, notes, address, photo) for photo in photos}
    _need_room(notes, address, (photo.size_bytes for photo, sha256 in known.items() if sha256 is None))
    done, lock, stop = 0, threading.Lock(), threading.Event()

    def one(photo: Waiting) -> None:
        nonlocal done
        if stop.is_set():
            return
        sha256 = known[photo] or _fetched(s3, address, cache, notes, photo, stop)
        if sha256 is not None:
            _lay(cache.local(sha256), folder / photo.name)
        with lock:
            done += 1
            progress(done, len(photos), "fetch")

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        running = [pool.submit(one, photo) for photo in photos]
        try:
            for future in running:
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return folder


def _note(notes: Path, address: Address, photo: Waiting) -> Path:
    version = "\n".join((address.endpoint, address.bucket, photo.key, photo.etag, str(photo.size_bytes)))
    return notes / hashlib.sha256(version.encode()).hexdigest()


def _known(cache: BlobStore, notes: Path, address: Address, photo: Waiting) -> str | None:
    try:
        sha256 = _note(notes, address, photo).read_text().strip()
    except FileNotFoundError:
        return None
    return sha256 if cache.size_bytes(sha256) == photo.size_bytes else None


def _need_room(place: Path, address: Address, sizes: Iterable[int]) -> None:
    lacking, free = sum(sizes), shutil.disk_usage(place).free
    if lacking + SPARE_BYTES > free:
        raise BlobError(
            f"{address}: 待取 {lacking / 1e9:.1f} GB，{place} 只剩 {free / 1e9:.1f} GB，请清理空间后重试，已取的不会丢失。 "
            f"{lacking / 1e9:.1f} GB are to be fetched and {free / 1e9:.1f} GB are free at {place}: free some space; what was fetched is kept"
        )


def _fetched(s3: Any, address: Address, cache: BlobStore, notes: Path, photo: Waiting, stop: threading.Event) -> str | None:
    note = _note(notes, address, photo)
    part = note.with_suffix(".part")
    for tries_left in reversed(range(TRIES)):
        try:
            if not _filled(s3, address, photo, part, stop):
                return None
            break
        except BlobError:
            if not tries_left or stop.wait(PAUSE_S):
                raise
    found = _proved(address, photo, part)
    cache.take(part, found.sha256)
    half = note.with_suffix(".half")
    half.write_text(found.sha256)
    half.replace(note)
    return found.sha256


def _filled(s3: Any, address: Address, photo: Waiting, part: Path, stop: threading.Event) -> bool:
    """The part with all its bytes, from where it ends; False when the fetch was stopped. Raises BlobError when the line breaks."""
    here = part.stat().st_size if part.exists() else 0
    if here > photo.size_bytes:
        part.unlink()
        here = 0
    if here == photo.size_bytes:
        return True
    with sentences(address, f"fetch {photo.name}"):
        ask = {"Range": f"bytes={here}-"} if here else {}
        body = s3.get_object(Bucket=address.bucket, Key=photo.key, IfMatch=photo.etag, **ask)["Body"]
        with part.open("ab") as file:
            for chunk in body.iter_chunks(CHUNK_BYTES):
                if stop.is_set():
                    return False
                file.write(chunk)
    return True


def _proved(address: Address, photo: Waiting, part: Path) -> Blob:
    found = hash_of(part)
    wrong = found.size_bytes != photo.size_bytes
    if not wrong and _PLAIN_MD5.fullmatch(photo.etag):
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        wrong = digest.hexdigest() != photo.etag
    if wrong:
        part.unlink()
        raise BlobError(f"{address}: {photo.name} did not arrive as it is in the bucket and was dropped: start again")
    return found


def _lay(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk
        half = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, half)
        half.replace(target)
