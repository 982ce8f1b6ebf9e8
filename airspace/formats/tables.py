"""GeoPackage and Shapefile (UTF-8 or GBK, with or without .cpg): the product's own fields as columns."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyogrio
import shapely

from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats import fields
from airspace.formats.draft import Ask, Sheet, feature
from airspace.formats.opened import MOST_FEATURES, Opened
from airspace.outlines import whole
from airspace.reasons import Reason
from airspace.zones import Zone
from geo import reading
from geo.dbf import encoding_of
from geo.errors import GeoError

DRIVERS = {".gpkg": "GPKG", ".shp": "ESRI Shapefile"}
LAYER = "zones"


def read(file: Opened, ask: Ask) -> Sheet:
    """All features of one layer. Raises ZoneFileRefused naming the feature."""
    path = file.path
    encoding = _encoding(file) if path.suffix.lower() == ".shp" else None
    try:
        with warnings.catch_warnings(record=True) as said_aside:
            warnings.simplefilter("always")
            layer = _checked(path, encoding, ask.layer)
            meta, _, shapes, values = pyogrio.raw.read(
                path, layer=layer, encoding=encoding, force_2d=True, datetime_as_string=True
            )
    except ZoneFileRefused:
        raise
    except Exception as err:
        cause = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise ZoneFileRefused(f"无法读取（{cause}）", f"cannot be read ({cause})") from err
    for aside in dict.fromkeys(str(w.message).replace(str(path), file.name) for w in said_aside):
        file.notes.append(Reason("reader", f"读取时的提示：{aside}", f"said while it was read: {aside}"))
    said = None
    if meta["crs"]:
        try:
            said = reading.of_crs(meta["crs"])
        except GeoError as err:
            raise ZoneFileRefused(*both(err)) from err
    return Sheet(fields.drafts(_rows([str(n) for n in meta["fields"]], shapes, values), ask), said)


def _checked(path: Path, encoding: str | None, wanted: str | None) -> str:
    """The layer to read, once driver and size are what they should be."""
    layer = _layer([str(name) for name, kind in pyogrio.list_layers(path) if kind is not None], wanted)
    info = pyogrio.read_info(path, layer=layer, encoding=encoding)
    if info["driver"] != DRIVERS[path.suffix.lower()]:
        raise ZoneFileRefused(f"内容是 {info['driver']}，与后缀不符", f"its content is {info['driver']}, not what its name says")
    if not 0 < info["features"] <= MOST_FEATURES:
        raise ZoneFileRefused(f"有 {info['features']} 个要素", f"holds {info['features']} features, not 1 to {MOST_FEATURES}")
    return layer


def _rows(names: Sequence[str], shapes: Any, values: Sequence[Any]) -> Iterator[fields.Row]:
    for number, wkb in enumerate(shapes, start=1):
        where = feature(number)
        row = {name: _plain(column[number - 1]) for name, column in zip(names, values, strict=True)}
        try:
            shape, _ = whole(None if wkb is None else shapely.from_wkb(wkb))
        except (AirspaceError, shapely.errors.ShapelyError) as err:
            raise where.named(str(row.get("name") or row.get("名称") or "")).refuse(*both(err)) from err
        yield fields.Row(where, row, shape)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.hex()
    return value


def _layer(layers: Sequence[str], wanted: str | None) -> str:
    if wanted is None and len(layers) > 1:
        raise ZoneFileRefused(
            f"有多个图层（{'、'.join(layers)}），请用 --layer 指明",
            f"has several layers ({', '.join(layers)}); name one with --layer",
        )
    if wanted is not None and wanted not in layers:
        raise ZoneFileRefused(
            f"没有图层 {wanted}（有：{'、'.join(layers)}）", f"has no layer {wanted} (there are: {', '.join(layers)})"
        )
    if not layers:
        raise ZoneFileRefused("没有空间图层", "has no layer with geometry")
    return wanted or layers[0]


def _encoding(file: Opened) -> str:
    """The encoding of a Shapefile's .dbf: what .cpg says where it is true, otherwise what the bytes show."""
    beside = {p.suffix.lower(): p for p in file.path.parent.glob(f"{file.path.stem}.*")}
    for suffix in (".dbf", ".shx"):
        if suffix not in beside:
            raise ZoneFileRefused(
                f"缺少同名 {suffix} 文件，请把 .shp、.shx、.dbf、.prj 打包一起提供",
                f"its {suffix} is missing; give .shp, .shx, .dbf and .prj together",
            )
    said = beside[".cpg"].read_text(encoding="ascii", errors="replace").strip() if ".cpg" in beside else None
    try:
        found = encoding_of(beside[".dbf"], said)
    except (ValueError, LookupError) as err:
        raise ZoneFileRefused(f"属性表已损坏（{err}）", f"its table is damaged ({err})") from err
    if found.guessed:
        zh = f".cpg 说是 {said}，与内容不符，" if said else "没有 .cpg，"
        en = f"its .cpg says {said}, which its bytes contradict; " if said else "it has no .cpg; "
        file.notes.append(Reason("encoding", f"{zh}按 {found.name} 读取文字。", f"{en}its text is read as {found.name}."))
    return found.codec


def write(zones: Sequence[Zone]) -> bytes:
    """Zones as a GeoPackage, WGS 84, one row for each part."""
    rows = fields.part_rows(zones)
    names = list(dict.fromkeys(name for row, _ in rows for name in row))
    numbers = {"part", "floor_m", "ceiling_m", "buffer_m"}
    columns = []
    for name in names:
        column = [row.get(name) for row, _ in rows]
        if name in numbers:
            columns.append(np.array([np.nan if v is None else float(v) for v in column]))
        else:
            columns.append(np.array([_cell(v) for v in column], dtype=object))
    outlines = [
        shapely.multipolygons([part.outline]) if part.outline.geom_type == "Polygon" else part.outline for _, part in rows
    ]
    with TemporaryDirectory(prefix="zones-") as folder:
        path = Path(folder) / "zones.gpkg"
        pyogrio.raw.write(
            path,
            shapely.to_wkb(np.array(outlines, dtype=object)),
            columns,
            names,
            layer=LAYER,
            driver="GPKG",
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
        )
        return path.read_bytes()


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
