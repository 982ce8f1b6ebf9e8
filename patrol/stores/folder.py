"""Blobs in a folder: written under a temporary name, renamed into place, read-only from then on."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from patrol.blobs import CHUNK_BYTES, Blob, BlobError, hash_of, is_name, must_be, place


class BlobFolder:
    """Blobs below a folder; an adapter of `BlobStore`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where a content stands, whether or not it is there; raises BlobError for anything that is not a hash."""
        return self.root / place(sha256)

    def size_bytes(self, sha256: str) -> int | None:
        """How large a content is, None when it is not there."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def has(self, sha256: str) -> bool:
        """Whether a content is there."""
        return self.size_bytes(sha256) is not None

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
        return self._keep(iter(lambda: stream.read(CHUNK_BYTES), b""))

    def take(self, source: Path, sha256: str) -> Blob:
        """Keep a file that is given away: on the same disk it is renamed, not copied."""
        target = self.path(sha256)
        found = must_be(hash_of(source), sha256, source.name)
        try:
            if not target.is_file():
                with source.open("rb") as stream:
                    os.fsync(stream.fileno())
                self._settle(source, target)
            source.unlink(missing_ok=True)
        except OSError as err:
            if err.errno == errno.EXDEV:  # another disk
                self.put_file(source)
                source.unlink(missing_ok=True)
                return found
            raise BlobError(self._cause(err)) from err
        return found

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

    def local(self, sha256: str) -> Path:
        """The content's own file."""
        if not self.has(sha256):
            raise BlobError(f"blob {sha256} is not in the store")
        return self.path(sha256)

    def remove(self, sha256: str) -> bool:
        """Let a content go for good; whether it was there."""
        path = self.path(sha256)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as err:
            raise BlobError(self._cause(err)) from err
        return True

    def all(self) -> Iterator[str]:
        """The names of all contents."""
        return (path.name for path in sorted(self.root.glob("??/??/*")) if is_name(path.name))

    def damaged(self) -> Iterator[str]:
        """Names whose content is no longer what the name says."""
        for name in self.all():
            with self.open(name) as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != name:
                    yield name

    def check(self) -> str:
        """The folder and its free space."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise BlobError(self._cause(err)) from err
        if not os.access(self.root, os.W_OK):
            raise BlobError(f"cannot write below {self.root}: give this user the right to")
        return f"{self.root}{self._free()}"

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
                self._settle(half, target)
        except OSError as err:
            raise BlobError(self._cause(err)) from err
        finally:
            if half is not None:
                half.unlink(missing_ok=True)
        return blob

    @staticmethod
    def _settle(half: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        half.chmod(0o444)
        half.replace(target)

    def _cause(self, err: OSError) -> str:
        if err.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"the disk of {self.root} is full{self._free()}: make room and try again; nothing was changed"
        return f"cannot write below {self.root}: {err.strerror or err}"

    def _free(self) -> str:
        try:
            return f" ({shutil.disk_usage(self.root).free / 1e6:.0f} MB free)"
        except OSError:
            return ""
