"""Findings as map files that other programs open: GeoPackage, Shapefile, GeoJSON, KML, XLSX; nothing is cut off, nothing is recoded away.

A Shapefile knows neither long names nor long texts: names are the ten letters of `attributes.FIELDS`, a text of more than 254 bytes goes on
in `NAME_2`, `NAME_3`…, and `字段说明.csv` beside it lists what each is. Its texts are UTF-8 or GBK, said in .cpg.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import geopandas
import openpyxl
import pyogrio
import shapely
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from pyproj.exceptions import CRSError
from shapely.geometry import MultiPolygon, Polygon, mapping

from geo.errors import GeoError
from geo.frames import Frame
from patrol.pipeline.attributes import FIELDS, Field, Plot, row

LAYER = "findings"
DICTIONARY = "字段说明.csv"
DEGREES = 4490
_DEGREES = frozenset({4490, 4326})
_DBF_BYTES = 254
_ENCODINGS = {"utf-8": "UTF-8", "gbk": "GBK"}


class MapFileError(ValueError):
    """A file that cannot be written as asked; both languages."""


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of file: its suffix, media type, and how rows and outlines become its bytes."""

    suffix: str
    media_type: str
    write: Callable[[Sequence[Plot], int, str], bytes]


def make(form: str, plots: Sequence[Plot], *, epsg: int = DEGREES, encoding: str = "utf-8") -> bytes:
    """The bytes of a file of these findings.

    `form` is one of FORMS; `epsg` 4490 (degrees) or a metric frame, for GeoPackage and Shapefile (the others are in degrees by their
    own standards, XLSX in both); `encoding` utf-8 or gbk, of a Shapefile. Raises MapFileError.
    """
    if form not in FORMS:
        raise MapFileError(f"格式 {form} 不支持，可选 {'、'.join(FORMS)} / no format {form}; one of {', '.join(FORMS)}")
    if not plots:
        raise MapFileError("没有符合条件的图斑可导出 / there are no findings to export")
    if encoding.lower() not in _ENCODINGS:
        raise MapFileError(f"编码 {encoding} 不支持，可选 utf-8、gbk / no encoding {encoding}; utf-8 or gbk")
    if epsg not in _DEGREES:
        try:
            Frame(epsg)
        except (GeoError, CRSError) as err:
            raise MapFileError(
                f"EPSG:{epsg} 不是以米为单位的坐标系，请用 4490 或三度带（如 4549） / EPSG:{epsg} does not count in metres: use 4490 or a zone such as 4549"
            ) from err
    return FORMS[form].write(plots, epsg, _ENCODINGS[encoding.lower()])


def _table(plots: Sequence[Plot], epsg: int, rows: Sequence[Mapping[str, Any]]) -> Any:
    shapes = [_multi(p.finding.outline_wgs84) for p in plots]
    if epsg not in _DEGREES:
        shapes = [Frame(epsg).to_metres(s) for s in shapes]
    # CGCS2000 and WGS 84 are one within centimetres, and held for one throughout the house
    return geopandas.GeoDataFrame(list(rows), geometry=shapes, crs=epsg)


def _multi(shape: Polygon | MultiPolygon) -> MultiPolygon:
    return shape if isinstance(shape, MultiPolygon) else MultiPolygon([shape])


def _gpkg(plots: Sequence[Plot], epsg: int, _: str) -> bytes:
    with TemporaryDirectory(prefix="findings-") as folder:
        path = Path(folder) / "findings.gpkg"
        pyogrio.write_dataframe(_table(plots, epsg, [row(p) for p in plots]), path, layer=LAYER, driver="GPKG")
        return path.read_bytes()


def _shapefile(plots: Sequence[Plot], epsg: int, encoding: str) -> bytes:
    whole = [row(p) for p in plots]
    columns: dict[str, list[Any]] = {}
    lines = [("字段 field", "名称 name", "English", "单位 unit")]
    for field in FIELDS:
        values = [r[field.code] for r in whole]
        parts = [split(v, encoding) if isinstance(v, str) else [v] for v in values]
        for n in range(max(len(p) for p in parts)):
            name = field.short if n == 0 else f"{field.short[: 9 - len(str(n + 1))]}_{n + 1}"
            columns[name] = [p[n] if n < len(p) else None for p in parts]
            more = f"（续 {n + 1}）" if n else ""
            lines.append((name, field.zh + more, field.en + (f" (continued {n + 1})" if n else ""), field.unit))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    with TemporaryDirectory(prefix="findings-") as folder:
        pyogrio.write_dataframe(
            _table(plots, epsg, rows), Path(folder) / "findings.shp", driver="ESRI Shapefile", encoding=encoding
        )
        (Path(folder) / "findings.cpg").write_text(encoding, encoding="ascii")
        out = io.StringIO()
        csv.writer(out).writerows(lines)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
            for path in sorted(Path(folder).iterdir()):
                made.write(path, path.name)
            made.writestr(DICTIONARY, out.getvalue().encode("utf-8-sig"))
        return packed.getvalue()


def split(text: str, encoding: str) -> list[str]:
    """A text in pieces of at most 254 bytes, cut between characters; joined again it is the same. Raises MapFileError."""
    pieces, piece, size = [], "", 0
    for sign in text:
        try:
            width = len(sign.encode(encoding))
        except UnicodeEncodeError as err:
            raise MapFileError(
                f"文字“{sign}”（{text[:30]}…）在 {encoding} 中没有：请改用 UTF-8 导出 / {sign!r} does not exist in {encoding}: export as UTF-8"
            ) from err
        if size + width > _DBF_BYTES:
            # dBASE pads with spaces and readers strip them: no piece ends or begins with one
            whole = piece + sign
            inner = (i for i in range(len(piece), 0, -1) if not (whole[i - 1].isspace() or whole[i].isspace()))
            kept = piece[: next(inner, len(piece))]
            pieces.append(kept)
            piece = piece[len(kept) :]
            size = len(piece.encode(encoding))
        piece += sign
        size += width
    return [*pieces, piece]


def _geojson(plots: Sequence[Plot], _: int, __: str) -> bytes:
    """RFC 7946: longitude and latitude, WGS 84 (CGCS2000 within centimetres)."""
    features = [
        {"type": "Feature", "id": p.finding.number, "properties": row(p), "geometry": mapping(p.finding.outline_wgs84)}
        for p in plots
    ]
    return json.dumps({"type": "FeatureCollection", "name": LAYER, "features": features}, ensure_ascii=False).encode()


def _kml(plots: Sequence[Plot], _: int, __: str) -> bytes:
    """OGC KML 2.2: one placemark each, its attributes as typed extended data with their Chinese names."""
    space = "http://www.opengis.net/kml/2.2"
    ElementTree.register_namespace("", space)

    def child(parent: ElementTree.Element, tag: str, text: str | None = None, /, **given: str) -> ElementTree.Element:
        made = ElementTree.SubElement(parent, f"{{{space}}}{tag}", given)
        made.text = text
        return made

    root = ElementTree.Element(f"{{{space}}}kml")
    document = child(root, "Document")
    child(document, "name", "疑似违建图斑")
    schema = child(document, "Schema", name=LAYER, id=LAYER)
    for field in FIELDS:
        kind = "string" if field.decimals is None else "int" if field.decimals == 0 else "double"
        child(child(schema, "SimpleField", type=kind, name=field.code), "displayName", _titled(field))
    style = child(document, "Style", id="finding")
    child(child(style, "LineStyle"), "color", "ff0000ff")
    child(child(style, "PolyStyle"), "color", "330000ff")
    for plot in plots:
        mark = child(document, "Placemark")
        attributes = row(plot)
        child(mark, "name", plot.finding.number)
        child(mark, "styleUrl", "#finding")
        data = child(child(mark, "ExtendedData"), "SchemaData", schemaUrl=f"#{LAYER}")
        for field in FIELDS:
            value = attributes[field.code]
            if value is not None:
                child(data, "SimpleData", ILLEGAL_CHARACTERS_RE.sub("", str(value)), name=field.code)
        shapes = child(mark, "MultiGeometry")
        for part in _multi(plot.finding.outline_wgs84).geoms:
            polygon = child(shapes, "Polygon")
            for name, ring in (("outerBoundaryIs", part.exterior), *(("innerBoundaryIs", r) for r in part.interiors)):
                places = " ".join(f"{x!r},{y!r}" for x, y in shapely.get_coordinates(ring).tolist())
                child(child(child(polygon, name), "LinearRing"), "coordinates", places)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode").encode()


def _titled(field: Field) -> str:
    return f"{field.zh}({field.unit})" if field.unit else field.zh


def _xlsx(plots: Sequence[Plot], _: int, __: str) -> bytes:
    """Three sheets: findings, the vertices of their outlines (degrees and metres), and what each column is."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "图斑"
    _line(sheet, [_titled(f) for f in FIELDS], bold=True)
    for plot in plots:
        _line(sheet, list(row(plot).values()))
    sheet.freeze_panes = "B2"
    corners = book.create_sheet("界址点")
    _line(
        corners, ["图斑编号", "部分", "环", "点号", "经度(°)", "纬度(°)", "横坐标东(m)", "纵坐标北(m)", "三度带EPSG"], bold=True
    )
    for plot in plots:
        frame = Frame(plot.zone_epsg)
        for n, part in enumerate(_multi(plot.finding.outline_wgs84).geoms, start=1):
            for r, ring in enumerate((part.exterior, *part.interiors)):
                degrees = shapely.get_coordinates(ring)
                for i, (place, metres) in enumerate(zip(degrees, frame.xy_array(degrees), strict=True), start=1):
                    numbers = [float(v) for v in (*place, *metres.round(3))]
                    _line(corners, [plot.finding.number, n, r, i, *numbers, plot.zone_epsg])
    words = book.create_sheet("字段说明")
    _line(words, ["代码 code", "名称", "English", "单位 unit", "SHP"], bold=True)
    for field in FIELDS:
        _line(words, [field.code, field.zh, field.en, field.unit, field.short])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _line(sheet: Any, values: Sequence[Any], *, bold: bool = False) -> None:
    """One row; a text is a text, also where it begins like a formula."""
    number = sheet.max_row + 1 if sheet.max_row > 1 or sheet.cell(1, 1).value is not None else 1
    for column, value in enumerate(values, start=1):
        cell = sheet.cell(number, column)
        if isinstance(value, str):
            cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
            cell.data_type = "s"
        else:
            cell.value = value
        if bold:
            cell.font = Font(bold=True)


FORMS: Mapping[str, Form] = {
    "gpkg": Form(".gpkg", "application/geopackage+sqlite3", _gpkg),
    "shp": Form(".zip", "application/zip", _shapefile),
    "geojson": Form(".geojson", "application/geo+json", _geojson),
    "kml": Form(".kml", "application/vnd.google-earth.kml+xml", _kml),
    "xlsx": Form(".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx),
}
