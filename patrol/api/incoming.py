"""A file on its way in as the body of a request: written under the store's own disk, bounded, named as its sender names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import Request

from patrol.api import rim
from patrol.wiring import Workplace

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def plain_name(name: str) -> str:
    """A file's own name without any folder."""
    return PurePosixPath(name.replace("\\", "/")).name


@asynccontextmanager
async def received(request: Request, work: Workplace, name: str, *, most_bytes: int, instead: str) -> AsyncIterator[Path]:
    """The body as a file that is gone at the end. Raises Problem 413; `instead` is the command for what is larger."""
    room = work.settings.home / "work"  # on the store's own disk: the system's temporary one may be small
    room.mkdir(parents=True, exist_ok=True)
    most = most_bytes // 1_000_000
    with TemporaryDirectory(prefix="incoming-", dir=room) as folder:
        path = Path(folder) / f"given{Path(name).suffix.lower()}"
        count = 0
        with path.open("wb") as file:
            async for piece in request.stream():
                count += len(piece)
                if count > most_bytes:
                    raise rim.Problem(
                        413,
                        "too_large",
                        f"{name} 超过 {most} MB：请分幅上传，或在服务器上用 {instead} 导入。",
                        f"{name} has more than {most} MB: split it, or use `{instead}` on the server.",
                    )
                file.write(piece)
        yield path
