"""What an upload may hold: names, kinds and sizes of files, each refusal with its sentence in both languages.

A file is judged twice: by name and size before a byte is sent, and by its first bytes when they arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HEAD_BYTES = 512
NAME_BYTES = 240  # of a path below the folder: what every file system of today keeps
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a file is not taken."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: the bytes it may begin with (none: plain text) and its own bound of size."""

    name: str
    heads: tuple[bytes, ...]
    most_bytes: int | None = None


_JPEG = Kind("JPEG", (b"\xff\xd8\xff",))
_TIFF = Kind("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
_PNG = Kind("PNG", (b"\x89PNG\r\n\x1a\n",))
_TEXT = Kind("text", (), 50_000_000)  # DJI's .MRK, ODM's geo.txt and gcp_list.txt

KINDS: Mapping[str, Kind] = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".png": _PNG,
    ".mrk": _TEXT,
    ".txt": _TEXT,
}
PHOTOS = frozenset(suffix for suffix, kind in KINDS.items() if kind is not _TEXT)


def suffix_of(name: str) -> str:
    """The suffix in lower case, `.jpg`."""
    last = name.rsplit("/", 1)[-1]
    return f".{last.rsplit('.', 1)[-1].lower()}" if "." in last else ""


def unfit_name(name: str) -> Unfit | None:
    """Why a name cannot be a path below a folder; names use `/` between folders."""
    parts = name.split("/")
    unclean = any(ord(sign) < 32 or ord(sign) == 127 or sign == "\\" for sign in name)
    if unclean or any(part in {"", ".", ".."} for part in parts):
        shown = ascii(name[:80])
        return Unfit(
            "name",
            f"文件名 {shown} 不能使用：只接受所选文件夹内的相对路径。",
            f"The name {shown} cannot be used: give a plain path below the chosen folder.",
        )
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = NAME_BYTES + 1
    if length > NAME_BYTES or len(parts) > DEEPEST:
        shown = ascii(name[:40])
        return Unfit(
            "name",
            f"文件名 {shown}… 过长或层级过深：请缩短后再传（最多 {NAME_BYTES} 字节、{DEEPEST} 层）。",
            f"The name {shown}… is too long or too deep: shorten it (at most {NAME_BYTES} bytes, {DEEPEST} levels).",
        )
    if parts[-1].startswith("."):
        return Unfit("hidden", f"{name} 是系统隐藏文件，不必上传。", f"{name} is a hidden file of the system and is not needed.")
    return None


def unfit(name: str, size_bytes: int, most_bytes: int) -> Unfit | None:
    """Why a file of this name and size is not taken; None when it may be sent."""
    said = unfit_name(name)
    if said is not None:
        return said
    kind = KINDS.get(suffix_of(name))
    if kind is None:
        wanted = "、".join(sorted(KINDS))
        return Unfit(
            "kind",
            f"{name} 不是航拍照片或定位文件，不接收。可接收：{wanted}。",
            f"{name} is neither a photo nor a file of positions. Taken are: {', '.join(sorted(KINDS))}.",
        )
    if size_bytes <= 0:
        return Unfit(
            "empty",
            f"{name} 是空文件：请从存储卡重新复制。",
            f"{name} is empty: copy it again from the card.",
        )
    most = min(most_bytes, kind.most_bytes or most_bytes)
    if size_bytes > most:
        return Unfit(
            "too_large",
            f"{name} 有 {size_bytes / 1e6:.0f} MB，单个文件最大 {most / 1e6:.0f} MB。",
            f"{name} has {size_bytes / 1e6:.0f} MB; a single file may have {most / 1e6:.0f} MB.",
        )
    return None


def unfit_head(name: str, head: bytes) -> Unfit | None:
    """Why a file whose content begins so is not what its name says; `head` has up to HEAD_BYTES."""
    kind = KINDS[suffix_of(name)]
    if kind.heads and not head.startswith(kind.heads):
        return Unfit(
            "content",
            f"{name} 的内容不是 {kind.name} 图像：文件可能已损坏或被改名，请从存储卡重新复制。",
            f"The content of {name} is no {kind.name} picture: it may be damaged or renamed; copy it again from the card.",
        )
    if not kind.heads and b"\0" in head:
        return Unfit(
            "content",
            f"{name} 的内容不是文本。",
            f"The content of {name} is not text.",
        )
    return None
