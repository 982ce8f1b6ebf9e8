"""Work on disk that many processes share: whole files or none, and values whose large arrays are mapped, not read."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagery.errors import SurveyError

_PAGE = mmap.ALLOCATIONGRANULARITY


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of this process and thread alone, which takes its name when the block ends without error.

    Two who make the same file do not disturb each other: what they make is the same, and the last to end puts it in place.
    """
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def keep(path: Path, value: Any) -> None:
    """Write a value; its arrays lie page by page behind it, so that `load` can map them."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raws = [b.raw() for b in buffers]
    index = struct.pack(f"<{2 + len(raws)}Q", len(head), len(raws), *(r.nbytes for r in raws))
    with placed(path) as temporary, temporary.open("wb") as file:
        file.write(index + head)
        for raw in raws:
            file.seek(-(-file.tell() // _PAGE) * _PAGE)
            file.write(raw)


def load(path: Path) -> Any:
    """The value of a file that `keep` wrote in the product's own folder (never one that came from elsewhere).

    Arrays are mapped copy-on-write: many workers on one machine share their memory. Raises SurveyError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head_bytes, count = struct.unpack("<2Q", file.read(16))
            sizes = struct.unpack(f"<{count}Q", file.read(8 * count))
            head = file.read(head_bytes)
            at = file.tell()
            buffers = []
            for size in sizes:
                at = -(-at // _PAGE) * _PAGE
                buffers.append(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY, offset=at) if size else bytearray())
                at += size
        return pickle.loads(head, buffers=buffers)
    except (OSError, ValueError, struct.error, pickle.UnpicklingError, AttributeError, ImportError) as error:
        raise SurveyError(f"{path}: not a whole work file of this version ({error}); remove it and build again") from error
