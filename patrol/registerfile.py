"""A file of permits, parcels, sites, ledger entries or pipeline axes, read whole or not at all: encoding, columns, dates, outlines, datum.

GeoPackage, Shapefile (UTF-8 or GBK, with or without .cpg; also zipped), GeoJSON and KML. Every guess is a note in both languages; every fault
is a RegisterRefused that names file, feature, column and what to do.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyogrio
import shapely
from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity, make_valid

from change_detect.corridor import merged
from change_detect.register import Entry
from geo import reading
from geo.dbf import encoding_of
from geo.errors import GeoError
from imagery.reasons import Reason
from patrol.registercolumns import RegisterRefused, entry, kinds_of, lists, match, unique
from patrol.settings import Settings

FORMATS: Mapping[str, str] = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".shp": "ESRI Shapefile",
    ".kml": "LIBKML",
}
"""Suffix → GDAL driver: no other driver is ever tried, since a file chooses its driver by content otherwise."""
MOST_FEATURES = 500_000
_MOST_ZIP_BYTES = 1_000_000_000
_MOST_RATIO = 200
_SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_NEARLY = 0.01  # a repaired outline may change its area by so much


@dataclass(frozen=True, slots=True)
class RegisterFile:
    """A file as read: entries with outlines in WGS 84 degrees, the reading of its coordinates, notes for whoever imported it."""

    name: str
    sha256: str
    entries: tuple[Entry, ...]
    datum: str
    guessed: bool
    notes: tuple[Reason, ...]
    columns: Mapping[str, str] = field(default_factory=dict)  # field → column it was read from


def read(
    settings: Settings,
    path: Path,
    *,
    ground: BaseGeometry | None,
    kind: str | None = None,
    datum: str | None = None,
    layer: str | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
) -> RegisterFile:
    """All entries of a file. Raises RegisterRefused.

    Args:
        settings: where an installation's own tables of column names stand (`config/register_columns.csv`, `register_kinds.csv`).
        path: .gpkg, .geojson, .kml, .shp (its .dbf beside it) or a .zip of one of them.
        ground: the areas under watch, WGS 84, that the file must be about.
        kind: what all entries are, where the file has no column for it.
        datum: wgs84, cgcs2000, gcj02, bd09 or EPSG:code, where the file does not say or says wrong.
        layer: of a GeoPackage with several.
        columns: a field's column by name, where the usual names do not fit.
        name: what the sender calls the file, where it lies here under another name.
    """
    if not path.is_file():
        raise RegisterRefused(f"{path}：没有这个文件。", f"{path}: there is no such file.")
    notes: list[Reason] = []
    called = name or path.name
    digest = _digest(path)
    with _unpacked(path) as inner:
        table, said = _table(inner, layer, notes)
    names = list(table.columns.drop("geometry"))
    found = match(lists(settings, "register_columns.csv", "field"), names, columns or {}, called)
    shapes = [_whole(called, n, shape, notes) for n, shape in enumerate(table["geometry"], start=1)]
    judged = _datum(called, shapes, ground, said, datum)
    assert judged.reading is not None
    notes.append(Reason("datum_guessed" if judged.guessed else "datum", judged.note_zh, judged.note_en))
    kinds = kinds_of(settings)
    entries = []
    for number, (row, moved) in enumerate(zip(table.to_dict("records"), judged.reading.move(shapes), strict=True), start=1):
        outline = _whole(called, number, moved, notes)  # a step of datums may tear what was whole by a hair
        entries.append(entry(called, number, row, outline, found, kinds, kind))
    unique(called, entries)
    if "floor_area_m2" in found and "area_limit_m2" not in found:
        notes.append(
            Reason(
                "floor_area",
                f"文件只有建筑面积（“{found['floor_area_m2']}”），没有占地面积：以建筑面积作为占地上限，偏宽。",
                f"the file states floor area alone ({found['floor_area_m2']}), no footprint: it is taken as the limit of the footprint, "
                "which is generous.",
            )
        )
    return RegisterFile(called, digest, tuple(entries), judged.reading.code, judged.guessed, _once(notes), found)


def _digest(path: Path) -> str:
    """SHA-256 of the file; of a Shapefile, of all its parts."""
    whole = hashlib.sha256()
    parts = [path]
    if path.suffix.lower() == ".shp":
        parts = [p for suffix in _SHAPEFILE for p in sorted(path.parent.glob(f"{path.stem}.*")) if p.suffix.lower() == suffix]
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or the one map file in a zip, unpacked without trusting names, sizes or ratios."""
    if path.suffix.lower() != ".zip":
        yield path
        return
    try:
        with TemporaryDirectory(prefix="register-") as folder, zipfile.ZipFile(path) as packed:
            total = 0
            for item in packed.infolist():
                name = PurePosixPath(item.filename.replace("\\", "/")).name
                if item.is_dir() or name.startswith(".") or Path(name).suffix.lower() not in {*FORMATS, *_SHAPEFILE}:
                    continue
                total += item.file_size
                if total > _MOST_ZIP_BYTES or item.file_size > _MOST_RATIO * max(item.compress_size, 1024):
                    raise RegisterRefused(
                        f"{path.name}：压缩包展开后过大，拒绝打开。", f"{path.name}: unpacks to too much and is not opened."
                    )
                (Path(folder) / name).write_bytes(packed.read(item))
            inside = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in FORMATS)
            if len(inside) != 1:
                raise RegisterRefused(
                    f"{path.name}：压缩包里应有且只有一个地图文件（.shp、.gpkg 或 .geojson），现有 {len(inside)} 个。",
                    f"{path.name}: a zip holds one map file (.shp, .gpkg or .geojson); this has {len(inside)}.",
                )
            yield inside[0]
    except zipfile.BadZipFile as err:
        raise RegisterRefused(f"{path.name}：不是完整的 zip 压缩包。", f"{path.name}: is no whole zip file.") from err


def _table(path: Path, layer: str | None, notes: list[Reason]) -> tuple[Any, reading.Reading | None]:
    """The features of one layer, and the coordinate system that the file says."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        wanted = "、".join((*FORMATS, ".zip"))
        raise RegisterRefused(
            f"{path.name}：不是可导入的格式，请提供 {wanted}。", f"{path.name}: no format that is taken; give one of {wanted}."
        )
    _looks_right(path, suffix)
    encoding = _encoding(path, notes) if suffix == ".shp" else None
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        driver = pyogrio.read_info(path, layer=layers[0] if layers else None, encoding=encoding)["driver"]
        layer = _layer(path.name, layers, layer)
        table = pyogrio.read_dataframe(path, layer=layer, encoding=encoding, force_2d=True)
    except RegisterRefused:
        raise
    except Exception as err:
        cause = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise RegisterRefused(f"{path.name}：无法读取（{cause}）。", f"{path.name}: cannot be read ({cause}).") from err
    if driver != FORMATS[suffix]:
        raise RegisterRefused(
            f"{path.name}：内容是 {driver}，与后缀不符，不予打开。",
            f"{path.name}: its content is {driver}, not what its name says.",
        )
    if "geometry" not in table.columns or len(table) == 0:
        raise RegisterRefused(f"{path.name}：没有图斑。", f"{path.name}: holds no outlines.")
    if len(table) > MOST_FEATURES:
        raise RegisterRefused(
            f"{path.name}：有 {len(table)} 个图斑，一次最多 {MOST_FEATURES} 个，请分幅导入。",
            f"{path.name}: has {len(table)} features, at most {MOST_FEATURES} at once; split it.",
        )
    try:
        said = None if table.crs is None else reading.of_crs(table.crs.to_wkt())
    except GeoError as err:
        zh, _, en = str(err).partition(" / ")
        raise RegisterRefused(f"{path.name}：{zh}", f"{path.name}: {en or zh}") from err
    return table, said


def _looks_right(path: Path, suffix: str) -> None:
    """GDAL opens by content, and some of its formats read other files: what does not begin as its name says is never given to it."""
    with path.open("rb") as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    begins = {".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a", ".kml": b"<"}.get(suffix, b"{")
    if not head.startswith(begins):
        raise RegisterRefused(
            f"{path.name}：内容不是 {FORMATS[suffix]}，文件可能已损坏或被改名。",
            f"{path.name}: its content is no {FORMATS[suffix]}; it may be damaged or renamed.",
        )
    if suffix == ".kml" and any(word in path.read_bytes() for word in (b"<!DOCTYPE", b"<!ENTITY")):
        raise RegisterRefused(
            f"{path.name}：KML 中含有 DOCTYPE/ENTITY 声明，为安全起见不予打开，请重新导出。",
            f"{path.name}: declares a DOCTYPE or entities, which is not opened for safety; export it anew.",
        )


def _layer(name: str, layers: Sequence[str], wanted: str | None) -> str | None:
    if wanted is None and len(layers) > 1:
        raise RegisterRefused(
            f"{name}：有多个图层（{'、'.join(layers)}），请用 --layer 指明。",
            f"{name}: has several layers ({', '.join(layers)}); name one with --layer.",
        )
    if wanted is not None and wanted not in layers:
        raise RegisterRefused(
            f"{name}：没有图层 {wanted}（有：{'、'.join(layers)}）。",
            f"{name}: has no layer {wanted} (there are: {', '.join(layers)}).",
        )
    return wanted


def _encoding(path: Path, notes: list[Reason]) -> str | None:
    """The encoding of a Shapefile's .dbf: what .cpg says where it is true, otherwise what the bytes show."""
    dbf = next((p for p in path.parent.glob(f"{path.stem}.*") if p.suffix.lower() == ".dbf"), None)
    if dbf is None:
        raise RegisterRefused(
            f"{path.name}：缺少同名 .dbf 属性文件，请把 .shp、.shx、.dbf、.prj 一起提供。",
            f"{path.name}: its .dbf is missing; give .shp, .shx, .dbf and .prj together.",
        )
    cpg = next((p for p in path.parent.glob(f"{path.stem}.*") if p.suffix.lower() == ".cpg"), None)
    said = cpg.read_text(encoding="ascii", errors="replace").strip() if cpg else None
    try:
        found = encoding_of(dbf, said)
    except ValueError as err:
        raise RegisterRefused(f"{path.name}：属性表已损坏（{err}）。", f"{path.name}: its table is damaged ({err}).") from err
    if found.guessed:
        zh_said = f".cpg 说是 {said}，与内容不符，" if said else "没有 .cpg，"
        en_said = f"its .cpg says {said}, which its bytes contradict; " if said else "it has no .cpg; "
        notes.append(Reason("encoding", f"{zh_said}按 {found.name} 读取文字。", f"{en_said}its text is read as {found.name}."))
    return found.codec


def _whole(
    name: str, number: int, shape: BaseGeometry | None, notes: list[Reason]
) -> Polygon | MultiPolygon | LineString | MultiLineString:
    """An outline that does not cross itself, or a pipeline's axis in as few pieces as it has."""
    if shape is None or shape.is_empty:
        raise RegisterRefused(
            f"{name} 第 {number} 个图斑没有图形，未导入任何内容。",
            f"{name}, feature {number}: has no outline; nothing was imported.",
        )
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise RegisterRefused(
            f"{name} 第 {number} 个图斑坐标无效。", f"{name}, feature {number}: has coordinates that are no numbers."
        )
    axis = merged(shape)
    if axis is not None and axis.length > 0:
        return axis
    if not isinstance(shape, Polygon | MultiPolygon):
        raise RegisterRefused(
            f"{name} 第 {number} 个图斑是 {shape.geom_type}，登记需要面状图形（管道保护带为线状）。",
            f"{name}, feature {number}: is a {shape.geom_type}; a register holds polygons, and lines for pipelines.",
        )
    if shape.is_valid:
        return shape
    mended = make_valid(shape)
    flat = [p for p in shapely.get_parts(shapely.get_parts([mended])) if isinstance(p, Polygon)]
    whole = flat[0] if len(flat) == 1 else MultiPolygon(flat)
    if not flat or abs(whole.area - abs(shape.area)) > _NEARLY * abs(whole.area):
        raise RegisterRefused(
            f"{name} 第 {number} 个图斑的边界自相交（{explain_validity(shape)}），请修复后再导入。",
            f"{name}, feature {number}: its outline crosses itself ({explain_validity(shape)}); repair it first.",
        )
    notes.append(
        Reason(
            "mended",
            "部分图斑边界有微小自相交，已自动修复，面积变化不足 1%。",
            "outlines with tiny self-crossings were mended; their areas change by less than 1 %.",
        )
    )
    return whole


def _datum(
    name: str, shapes: Sequence[BaseGeometry], ground: BaseGeometry | None, said: reading.Reading | None, datum: str | None
) -> reading.Judged:
    try:
        declared = reading.of_name(datum) if datum else None
        judged = reading.judge(shapes, ground, said=declared or said, declared=declared is not None)
    except GeoError as err:
        zh, _, en = str(err).partition(" / ")
        raise RegisterRefused(zh, en or zh) from err
    if judged.reading is None:
        raise RegisterRefused(f"{name}：{judged.note_zh}", f"{name}: {judged.note_en}")
    return judged


def _once(notes: Sequence[Reason]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(notes))
