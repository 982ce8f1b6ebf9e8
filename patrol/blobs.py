"""Blobs: contents named by their SHA-256, so that a name proves the content and nothing is kept twice; the port of their stores."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol

CHUNK_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobError(RuntimeError):
    """A blob cannot be written or read; says why."""


class BlobDamaged(BlobError):
    """A content is not what its name says."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored content."""

    sha256: str
    size_bytes: int


class BlobStore(Protocol):
    """Contents by their hash. Every method raises BlobError with a cause, and for a name that is no hash.

    A content is there whole or not at all; putting it twice keeps it once. All methods may be called from several threads.
    """

    def size_bytes(self, sha256: str) -> int | None:
        """How large a content is, None when it is not there."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether a content is there."""
        ...

    def put(self, content: bytes) -> Blob:
        """Keep some bytes."""
        ...

    def put_file(self, source: Path) -> Blob:
        """Keep a copy of a file."""
        ...

    def put_stream(self, stream: BinaryIO) -> Blob:
        """Keep what a stream still has."""
        ...

    def take(self, source: Path, sha256: str) -> Blob:
        """Keep a file that is given away, as the content of a name; the file is gone afterwards.

        Raises BlobDamaged when its hash is another one; then the file stays where it is and nothing is kept.
        """
        ...

    def open(self, sha256: str) -> BufferedReader:
        """A content for reading; raises BlobError when it is not there."""
        ...

    def read(self, sha256: str) -> bytes:
        """A content as bytes."""
        ...

    def local(self, sha256: str) -> Path:
        """A file on this machine with the content, for what reads files only; it is read-only and must not be changed."""
        ...

    def remove(self, sha256: str) -> bool:
        """Let a content go for good, with every copy this machine keeps; whether it was there."""
        ...

    def all(self) -> Iterator[str]:
        """The names of all contents."""
        ...

    def damaged(self) -> Iterator[str]:
        """Names whose content is no longer what the name says."""
        ...

    def check(self) -> str:
        """What the store is, in a few words; raises BlobError when it cannot be reached."""
        ...


def is_name(said: str) -> bool:
    """Whether something is a blob's name: 64 hexadecimal digits in lower case."""
    return _SHA256.fullmatch(said) is not None


def place(sha256: str) -> str:
    """Where a content stands in every store, `ab/cd/abcd…`: a folder can be copied into a bucket as it is, and back.

    Raises BlobError for anything that is not a hash, so that no name leads out of the store.
    """
    if not is_name(sha256):
        raise BlobError(f"not a blob's name: {sha256[:80]!r}; it has 64 hexadecimal digits in lower case")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def hash_of(source: Path) -> Blob:
    """The hash and size of a file, read piece by piece; raises BlobError when it cannot be read."""
    try:
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
            return Blob(digest.hexdigest(), stream.tell())
    except OSError as err:
        raise BlobError(f"cannot read {source}: {err.strerror or err}") from err


def must_be(found: Blob, sha256: str, what: str) -> Blob:
    """The blob itself when it has the name; raises BlobDamaged otherwise."""
    if found.sha256 != sha256:
        raise BlobDamaged(f"{what} is damaged: its SHA-256 is {found.sha256[:12]}…, it should be {sha256[:12]}…; send it again")
    return found
