"""Files that are still arriving: each grows at its end only, so that its size on disk is what has been received.

Nothing about a chunk is written to the database: a server that is killed in the middle of one finds the truth in the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patrol.blobs import BlobError, place

_ID = re.compile(r"[0-9a-f]{32}")


class WrongOffset(RuntimeError):
    """A chunk does not begin where the file ends; `received` says where that is."""

    def __init__(self, received: int) -> None:
        super().__init__(f"the next byte wanted is {received}")
        self.received = received


class PartBusy(RuntimeError):
    """Another request is writing this file just now."""


class Part:
    """A file held for writing by one request."""

    def __init__(self, descriptor: int, path: Path, received: int) -> None:
        self._descriptor, self.path, self.received = descriptor, path, received

    def append(self, content: bytes) -> None:
        """Write at the end; raises BlobError when the disk is full: what was received before stays."""
        view = memoryview(content)
        try:
            while view:
                written = os.write(self._descriptor, view)
                self.received += written
                view = view[written:]
        except OSError as err:
            full = err.errno in {errno.ENOSPC, errno.EDQUOT}
            cause = "the disk is full: make room, then go on with the upload" if full else str(err.strerror or err)
            raise BlobError(f"{self.path.parent}: {cause}; nothing that was received is lost") from err

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        return os.pread(self._descriptor, size, 0)

    def empty(self) -> None:
        """Throw away what was received."""
        os.ftruncate(self._descriptor, 0)
        self.received = 0


class Parts:
    """The folder of arriving files: one folder per upload, one file per content."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, upload_id: str) -> Path:
        """The folder of an upload."""
        if not _ID.fullmatch(upload_id):
            raise BlobError(f"not an upload's id: {upload_id[:40]!r}")
        return self.root / upload_id

    def path(self, upload_id: str, sha256: str) -> Path:
        """Where a content of an upload arrives."""
        return self.folder(upload_id) / place(sha256).rsplit("/", 1)[-1]

    def received(self, upload_id: str, sha256: str) -> int:
        """How many bytes of it are here."""
        try:
            return self.path(upload_id, sha256).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def hold(self, upload_id: str, sha256: str, offset: int) -> Iterator[Part]:
        """The file, for this caller alone, its end at `offset`. Raises WrongOffset, PartBusy (also across processes)."""
        path = self.path(upload_id, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as err:
                raise PartBusy(f"{path.name} is being written") from err
            received = os.fstat(descriptor).st_size
            if received != offset:
                raise WrongOffset(received)
            yield Part(descriptor, path, received)
        finally:
            os.close(descriptor)

    def drop(self, upload_id: str) -> None:
        """Remove what an upload has left lying."""
        shutil.rmtree(self.folder(upload_id), ignore_errors=True)

    def uploads(self) -> tuple[str, ...]:
        """The uploads that have a folder here."""
        with contextlib.suppress(FileNotFoundError):
            return tuple(sorted(p.name for p in self.root.iterdir() if _ID.fullmatch(p.name)))
        return ()
