"""In which encoding a dBASE table (.dbf of a Shapefile) is written: what is said where it is true, otherwise what the bytes show.

A UTF-8 text is hardly ever valid GBK of the same length and the other way round, so both are tried on every text of the table. A field of
fixed width may cut the last character in two: a cut end is no error.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DIGITS = {"936": "gb18030", "65001": "utf-8", "54936": "gb18030", "8859_1": "latin-1", "88591": "latin-1", "1252": "cp1252"}
_MOST_TEXTS = 20_000


@dataclass(frozen=True, slots=True)
class Encoding:
    """`codec` as Python and GDAL know it, `name` for people; `guessed` when nothing said so, or something said otherwise."""

    codec: str
    name: str
    guessed: bool


def encoding_of(path: Path, said: str | None) -> Encoding:
    """The encoding of a .dbf whose .cpg says `said` (None without one). Raises ValueError for a damaged table."""
    texts = tuple(_texts(path.read_bytes()))
    claimed = _codec(said)
    if not texts:  # ASCII alone: any reading is right
        return Encoding(claimed or "utf-8", _named(claimed or "utf-8"), guessed=False)
    if claimed is not None and _wrong(texts, claimed) == 0:
        return Encoding(claimed, _named(claimed), guessed=False)
    wrong = {codec: _wrong(texts, codec) for codec in ("utf-8", "gb18030")}
    best = min(wrong, key=lambda codec: wrong[codec])
    if wrong[best] > 0.02 * len(texts) and claimed is not None:
        best = claimed
    return Encoding(best, _named(best), guessed=True)


def _codec(said: str | None) -> str | None:
    if not said:
        return None
    plain = said.strip().lower().replace("cp", "").replace("windows-", "").replace("ansi ", "").replace("iso", "").strip("-_ ")
    known = _DIGITS.get(plain.replace("-", ""))
    if known:
        return known
    try:
        codec = codecs.lookup(said.strip()).name
    except LookupError:
        return None
    return "gb18030" if codec in {"gbk", "gb2312", "gb18030"} else codec


def _named(codec: str) -> str:
    return {"gb18030": "GBK", "utf-8": "UTF-8"}.get(codec, codec)


def _texts(raw: bytes) -> Iterator[bytes]:
    """Names of fields and texts of character fields that are not plain ASCII."""
    if len(raw) < 33:
        raise ValueError("it is cut off")
    count, header, width = struct.unpack("<IHH", raw[4:12])
    fields = []
    at, place = 32, 1
    while at + 32 <= header and raw[at] != 0x0D:
        name, kind, length = raw[at : at + 11].split(b"\0")[0], raw[at + 11 : at + 12], raw[at + 16]
        fields.append((kind, place, length))
        place += length
        if not name.isascii():
            yield name
        at += 32
    given = 0
    for row in range(count):
        start = header + row * width
        for kind, offset, length in fields:
            text = raw[start + offset : start + offset + length].rstrip(b" \0")
            if kind == b"C" and text and not text.isascii():
                yield text
                given += 1
        if given > _MOST_TEXTS:
            return


def _wrong(texts: tuple[bytes, ...], codec: str) -> int:
    """How many texts the codec cannot read; a character that the field's width cut in two is let pass."""
    count = 0
    for text in texts:
        try:
            codecs.getincrementaldecoder(codec)("strict").decode(text, final=False)
        except (UnicodeDecodeError, LookupError):
            count += 1
    return count
