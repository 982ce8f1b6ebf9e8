"""A file of zones, read whole or not at all: format, datum, outlines, times; every guess is a note, every fault names its place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from airspace import placing
from airspace.errors import AirspaceError, ZoneFileRefused, both
from airspace.formats.draft import Ask, Circle, Sheet
from airspace.formats.limits import circle
from airspace.formats.opened import Opened, opened
from airspace.formats.table import Format, format_of
from airspace.outlines import whole
from airspace.placing import Known
from airspace.reasons import Reason
from airspace.zones import Outline, Part, Zone, ZoneKind
from geo import reading
from geo.errors import GeoError

_BESIDE = (".shp", ".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """A file as read: zones in WGS 84, how it was read, and notes for whoever imports it."""

    name: str
    sha256: str
    format: str
    datum: str
    guessed: bool
    zones: tuple[Zone, ...]
    notes: tuple[Reason, ...] = ()
    authority: str = ""
    edition: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None


def read_zones(
    path: Path | str,
    *,
    name: str | None = None,
    known: Known | None = None,
    datum: str | None = None,
    kind: ZoneKind | None = None,
    layer: str | None = None,
) -> ZoneFile:
    """All zones of a file. Raises ZoneFileRefused; then nothing of it is taken.

    Args:
        path: any of `formats.table.SUFFIXES`; a Shapefile with its .dbf and .shx beside it, or zipped.
        name: what people call the file, where it lies here under another name.
        known: zones and ground that its datum is judged against.
        datum: wgs84, cgcs2000, gcj02, bd09 or EPSG:code, as a person declares it.
        kind: what all its zones are, where it does not say.
        layer: of a GeoPackage with several.
    """
    path = Path(path)
    called = name or path.name
    try:
        with opened(path, called) as file:
            found = format_of(file)
            sheet = found.read(file, Ask(kind, layer))
            return _zones(file, found, sheet, known or Known(), datum)
    except ZoneFileRefused as err:
        if err.zh.startswith(called):
            raise
        apart = err.zh.startswith("第")
        raise ZoneFileRefused(
            f"{called} {err.zh}" if apart else f"{called}：{err.zh}", f"{called}{',' if apart else ':'} {err.en}"
        ) from err
    except (AirspaceError, GeoError) as err:
        zh, en = both(err)
        raise ZoneFileRefused(f"{called}：{zh}", f"{called}: {en}") from err


def _zones(file: Opened, found: Format, sheet: Sheet, known: Known, datum: str | None) -> ZoneFile:
    if not sheet.drafts:
        raise ZoneFileRefused(
            "没有任何空域；没有空域数据，全部空域性质不明，不能飞行",
            "holds no features: without zones all air is unknown and nothing may be flown",
        )
    shapes: list[BaseGeometry] = [Point(s.x, s.y) if isinstance(s, Circle) else s for d in sheet.drafts for s in d.shapes]
    names = [str(d.given["name"]) for d in sheet.drafts for _ in d.shapes]
    judged = placing.judge(
        shapes,
        names,
        known,
        said=sheet.said,
        by_standard=sheet.by_standard,
        declared=reading.of_name(datum) if datum else None,
        file_name=file.name,
    )
    if judged.reading is None:
        raise ZoneFileRefused(judged.note_zh, judged.note_en)
    moved = iter(judged.reading.move(shapes))
    made: list[Zone] = []
    mended = 0
    for draft in sheet.drafts:
        try:
            outlines = [_outline(shape, next(moved), draft.given["kind"]) for shape in draft.shapes]
            mended += any(was for _, was in outlines)
            parts = tuple(Part(o, *limits) for (o, _), limits in zip(outlines, draft.limits, strict=True))
            made.append(Zone(parts=parts, **draft.given))
        except (AirspaceError, GeoError) as err:
            raise draft.where.refuse(*both(err)) from err
    notes = [Reason("datum_guessed" if judged.guessed else "datum", judged.note_zh, judged.note_en), *file.notes, *sheet.notes]
    notes += _remarks(made, mended)
    return ZoneFile(
        file.name,
        digest(file.path),
        found.code,
        judged.reading.code,
        judged.guessed,
        tuple(made),
        tuple(dict.fromkeys(notes)),
        sheet.authority,
        sheet.edition,
        sheet.valid_from,
        sheet.valid_until,
    )


def _outline(shape: Outline | Circle, moved: BaseGeometry, kind: ZoneKind) -> tuple[Outline, bool]:
    """A shape in WGS 84, and whether it had to be mended."""
    west, south, east, north = (float(v) for v in moved.bounds)
    if not np.isfinite((west, south, east, north)).all() or west < -180 or east > 180 or south < -90 or north > 90:
        raise AirspaceError(
            f"范围 {west:.5f}…{east:.5f}，{south:.5f}…{north:.5f} 不是经纬度（经纬度颠倒？） / reaches {west:.5f}…{east:.5f} E, {south:.5f}…{north:.5f} "
            "N: no longitude and latitude in degrees (the two swapped?)"
        )
    if isinstance(shape, Circle):
        return circle(west, south, shape.radius_m, around=kind is not ZoneKind.SUITABLE), False
    return whole(moved)


def _remarks(zones: Sequence[Zone], mended: int) -> list[Reason]:
    notes = []
    if mended:
        notes.append(
            Reason(
                "mended",
                f"{mended} 个空域的边界有微小自相交，已修复，面积变化不足 1%。",
                f"{mended} zones had outlines with tiny self-crossings; they were mended, their areas change by less than 1 %.",
            )
        )
    late = [z for z in zones if z.short_notice is not None]
    if late:
        told = "、".join(z.name for z in late[:5])
        notes.append(
            Reason(
                "short_notice",
                f"{len(late)} 个临时空域的公告时间短于第二十条规定（{told}），仍按生效处理。",
                f"{len(late)} temporary zones were announced later than Art. 20 says ({told}); they bind all the same.",
                "第二十条",
            )
        )
    return notes


def digest(path: Path) -> str:
    """SHA-256 of a file; of a Shapefile, of all its parts."""
    whole_file = hashlib.sha256()
    parts = [path]
    if path.suffix.lower() == ".shp":
        parts = [p for s in _BESIDE for p in sorted(path.parent.glob(f"{path.stem}.*")) if p.suffix.lower() == s]
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                whole_file.update(block)
    return whole_file.hexdigest()
