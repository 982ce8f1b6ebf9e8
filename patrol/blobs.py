"""Blobs: files named by the SHA-256 of their content, so that a name proves the content and nothing is kept twice."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class BlobError(RuntimeError):
    """A blob cannot be written or read; says why."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored content."""

    sha256: str
    size_bytes: int


class BlobFolder:
    """Blobs in a folder. A name other than 64 hexadecimal digits never becomes a path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where a content stands, whether or not it is there; raises BlobError for anything that is not a hash."""
        if not _SHA256.fullmatch(sha256):
            raise BlobError(f"not a blob's name: {sha256[:80]!r}; it has 64 hexadecimal digits in lower case")
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def has(self, sha256: str) -> bool:
        """Whether a content is there."""
        return self.path(sha256).is_file()

    def put(self, content: bytes) -> Blob:
        """Keep some bytes."""
        return self._keep(iter([content]))

    def put_file(self, source: Path) -> Blob:
        """Keep a copy of a file."""
        try:
            with source.open("rb") as stream:
                return self.put_stream(stream)
        except OSError as err:
            raise BlobError(f"cannot read {source}: {err.strerror or err}") from err

    def put_stream(self, stream: BinaryIO) -> Blob:
        """Keep what a stream still has."""
        return self._keep(iter(lambda: stream.read(_CHUNK), b""))

    def open(self, sha256: str) -> BufferedReader:
        """A content for reading; raises BlobError when it is not there."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError as err:
            raise BlobError(f"blob {sha256} is not in the store") from err

    def read(self, sha256: str) -> bytes:
        """A content as bytes."""
        with self.open(sha256) as stream:
            return stream.read()

    def all(self) -> Iterator[str]:
        """The names of all contents."""
        return (path.name for path in sorted(self.root.glob("??/??/*")) if _SHA256.fullmatch(path.name))

    def damaged(self) -> Iterator[str]:
        """Names whose content is no longer what the name says."""
        for name in self.all():
            with self.open(name) as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != name:
                    yield name

    def _keep(self, chunks: Iterator[bytes]) -> Blob:
        waiting = self.root / "tmp"
        half: Path | None = None
        try:
            waiting.mkdir(parents=True, exist_ok=True)
            digest, size = hashlib.sha256(), 0
            with tempfile.NamedTemporaryFile(dir=waiting, delete=False) as file:
                half = Path(file.name)
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            blob = Blob(digest.hexdigest(), size)
            target = self.path(blob.sha256)
            if not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                half.chmod(0o444)
                half.replace(target)
        except OSError as err:
            raise BlobError(self._cause(err)) from err
        finally:
            if half is not None:
                half.unlink(missing_ok=True)
        return blob

    def _cause(self, err: OSError) -> str:
        if err.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"the disk of {self.root} is full{self._free()}: make room and try again; nothing was changed"
        return f"cannot write below {self.root}: {err.strerror or err}"

    def _free(self) -> str:
        try:
            return f" ({shutil.disk_usage(self.root).free / 1e6:.0f} MB free)"
        except OSError:
            return ""
