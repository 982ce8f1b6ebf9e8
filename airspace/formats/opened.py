"""A file on its way in: its head for sniffing, its text with the encoding found out, its JSON read once, archives kept within bounds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from airspace.errors import ZoneFileRefused
from airspace.reasons import Reason

MOST_BYTES = 300_000_000
MOST_FEATURES = 200_000
_MOST_UNPACKED = 600_000_000
_MOST_RATIO = 200
_MOST_FILES = 1000
_HEAD = 65_536


@dataclass
class Opened:
    """One file and what people call it. `notes` gather what was guessed on the way."""

    path: Path
    name: str
    notes: list[Reason] = field(default_factory=list)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, without a byte order mark."""
        with self.path.open("rb") as file:
            return file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")

    @cached_property
    def text(self) -> str:
        """The whole text: UTF-8, else GBK with a note. Raises ZoneFileRefused."""
        data = self.path.read_bytes()
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as err:
            at = err.start
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError as err:
            row = data.count(b"\n", 0, at) + 1
            raise ZoneFileRefused(
                f"{self.name} 第 {row} 行：既不是 UTF-8 也不是 GBK 文字（第 {at} 字节），请另存为 UTF-8。",
                f"{self.name}, line {row}: is not UTF-8 text, nor GBK (byte {at}); save it as UTF-8.",
            ) from err
        self.notes.append(
            Reason("encoding", "文件不是 UTF-8，按 GBK 读取文字。", "the file is not UTF-8; its text is read as GBK.")
        )
        return text

    @cached_property
    def json(self) -> Any:
        """The JSON it holds, every key once. Raises ZoneFileRefused with line and column."""
        try:
            return json.loads(self.text, object_pairs_hook=_once, parse_constant=_constant)
        except json.JSONDecodeError as err:
            raise ZoneFileRefused(
                f"{self.name} 第 {err.lineno} 行第 {err.colno} 列：不是有效的 JSON（{err.msg}）。",
                f"{self.name}: is not JSON: line {err.lineno}, column {err.colno}: {err.msg}.",
            ) from err
        except RecursionError as err:
            raise ZoneFileRefused(
                f"{self.name}：JSON 嵌套过深，拒绝读取。", f"{self.name}: its JSON is nested too deeply."
            ) from err
        except ValueError as err:
            raise ZoneFileRefused(f"{self.name}：JSON 内容有误（{err}）。", f"{self.name}: its JSON is wrong ({err}).") from err


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


@contextmanager
def opened(path: Path, name: str | None = None) -> Iterator[Opened]:
    """A file, or the one map file in a .zip or .kmz, unpacked without trusting names, sizes or ratios. Raises ZoneFileRefused."""
    called = name or path.name
    try:
        size = path.stat().st_size
    except OSError as err:
        raise ZoneFileRefused(
            f"{called}：无法读取（{err.strerror}）。", f"{called}: cannot be read ({err.strerror or err})."
        ) from err
    if size > MOST_BYTES:
        most = MOST_BYTES // 1_000_000
        raise ZoneFileRefused(f"{called}：超过 {most} MB，请分幅。", f"{called}: has more than {most} MB; split it.")
    if size == 0:
        raise ZoneFileRefused(f"{called}：是空文件。", f"{called}: is empty.")
    if Path(called).suffix.lower() not in {".zip", ".kmz"}:
        yield Opened(path, called)
        return
    with TemporaryDirectory(prefix="zones-") as folder:
        yield Opened(_unpacked(path, called, Path(folder)), called)


INSIDE = {".zip": (".shp", ".gpkg", ".geojson", ".json", ".kml", ".csv", ".txt", ".openair"), ".kmz": (".kml",)}
_BESIDE = (".shx", ".dbf", ".prj", ".cpg")


def _unpacked(path: Path, called: str, folder: Path) -> Path:
    wanted = INSIDE[Path(called).suffix.lower()]
    total = 0
    try:
        with zipfile.ZipFile(path) as packed:
            items = [i for i in packed.infolist() if not i.is_dir()]
            if len(items) > _MOST_FILES:
                raise ZoneFileRefused(f"{called}：压缩包内文件过多。", f"{called}: holds too many files.")
            for item in items:
                inner = PurePosixPath(
                    _true_name(item).replace("\\", "/")
                ).name  # a folder in it, or a way out of it, counts for nothing
                if inner.startswith(".") or Path(inner).suffix.lower() not in {*wanted, *_BESIDE}:
                    continue
                total += item.file_size
                if total > _MOST_UNPACKED or item.file_size > _MOST_RATIO * max(item.compress_size, 1024):
                    raise ZoneFileRefused(
                        f"{called}：压缩包展开后过大，拒绝打开。", f"{called}: unpacks to too much and is not opened."
                    )
                if (folder / inner).exists():
                    raise ZoneFileRefused(f"{called}：压缩包内有两个 {inner}。", f"{called}: holds two files named {inner}.")
                with packed.open(item) as source, (folder / inner).open("wb") as target:
                    left = item.file_size  # the header may lie: no more than it says is written
                    while left > 0 and (block := source.read(min(left, 1 << 20))):
                        target.write(block)
                        left -= len(block)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as err:
        raise ZoneFileRefused(
            f"{called}：不是完整、未加密的 zip 压缩包（{err}）。", f"{called}: is no whole, unencrypted zip file ({err})."
        ) from err
    inside = sorted(p for p in folder.iterdir() if p.suffix.lower() in wanted)
    if len(inside) != 1:
        kinds = "、".join(wanted)
        raise ZoneFileRefused(
            f"{called}：压缩包里应有且只有一个空域文件（{kinds}），现有 {len(inside)} 个。",
            f"{called}: a packed file holds one file of zones ({', '.join(wanted)}); this has {len(inside)}.",
        )
    return inside[0]


def _true_name(item: zipfile.ZipInfo) -> str:
    """A name as its maker wrote it: without the UTF-8 flag Chinese Windows writes GBK, which Python reads as cp437."""
    if item.flag_bits & 0x800:
        return item.filename
    try:
        return item.filename.encode("cp437").decode("gb18030")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return item.filename
