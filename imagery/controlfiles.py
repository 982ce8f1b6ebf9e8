"""Files of ground control: OpenDroneMap's `gcp_list.txt`, and tables (CSV) and GeoJSON for people.

`gcp_list.txt`: the first line names the frame (`EPSG:4549`, a proj4 string, or `WGS84 UTM 17N`), then one mark a line:
`east north height column row photo [name]`, columns and rows from the picture's outer corner. Lines without names are one point
where their places are the same.

CSV, one mark a line, headed `name,x,y,z,photo,px,py` (or `lon,lat` instead of `x,y`; also 点名, 东, 北, 高, 经度, 纬度, 照片, 列, 行),
optionally `sigma_xy,sigma_z,role` (精度, 高程精度, 用途: check/检查 only measures). Comment lines start with `#`; one of them names the
frame of x and y: `# EPSG:4549`.

GeoJSON: points in WGS 84 with a height as third coordinate, properties `name`, `role`, `sigma_xy_m`, `sigma_z_m` and
`marks`: `[{"photo": …, "px": …, "py": …}]`.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geo.errors import GeoError
from geo.frames import Frame, LonLat, metric_frame
from imagery.control import SURVEYED_SIGMA_M, Control, Draft, Mark, Role, gathered
from imagery.errors import ControlError
from imagery.reasons import Reason

NAMES = ("gcp_list.txt", "control.csv", "control.geojson")
"""Files that count as a folder's own control, in this order."""

_WGS84 = CRS.from_epsg(4326)
_UTM = re.compile(r"^WGS\s*84\s+UTM\s+(\d{1,2})\s*([NS])$", re.IGNORECASE)
_EPSG = re.compile(r"EPSG\s*[:：]\s*(\d+)", re.IGNORECASE)
_COLUMNS = {
    "点名": "name", "点号": "name", "id": "name", "point": "name",
    "东": "x", "东坐标": "x", "east": "x", "easting": "x", "x_m": "x",
    "北": "y", "北坐标": "y", "north": "y", "northing": "y", "y_m": "y",
    "高": "z", "高程": "z", "height": "z", "z_m": "z",
    "经度": "lon", "longitude": "lon", "纬度": "lat", "latitude": "lat",
    "照片": "photo", "影像": "photo", "image": "photo",
    "列": "px", "像素x": "px", "x_px": "px", "行": "py", "像素y": "py", "y_px": "py",
    "精度": "sigma_xy", "平面精度": "sigma_xy", "sigma_xy_m": "sigma_xy",
    "高程精度": "sigma_z", "sigma_z_m": "sigma_z",
    "用途": "role", "类型": "role",
}  # fmt: skip
_ROLES = {"": Role.CONTROL, "control": Role.CONTROL, "控制": Role.CONTROL, "控制点": Role.CONTROL}
_ROLES |= {"check": Role.CHECK, "检查": Role.CHECK, "检查点": Role.CHECK}


def own_of(folder: Path) -> Path | None:
    """The control file that lies among a folder's photos, or None."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def read(path: Path, frame: Frame | None = None) -> Control:
    """The control of a file in the metres of `frame` (by default the usual frame of the place).

    The form goes by the ending: .csv, .json/.geojson, all else `gcp_list.txt`. Raises ControlError that names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ControlError(f"{path}：读不了像控点文件（{said}）。 The control file cannot be read ({said})") from error
    reader = _READERS.get(path.suffix.lower(), _read_list)
    drafts, crs = reader(text, path.name)
    if not drafts:
        raise ControlError(f"{path.name}：文件里没有像控点。 The file holds no control points")
    notes = []
    if crs.is_projected and crs.axis_info[0].unit_name not in ("metre", "meter"):
        notes.append(
            Reason(
                "control_feet",
                f"{path.name}：坐标系单位不是米，高程按米理解。",
                f"{path.name}: its frame does not count in metres; heights are read as metres all the same.",
            )
        )
    east, north = Transformer.from_crs(crs, _WGS84, always_xy=True).transform(*np.array([d.at[:2] for d in drafts]).T)
    for draft, lon, lat in zip(drafts, east, north, strict=True):
        if not (math.isfinite(lon) and math.isfinite(lat) and abs(lat) <= 90 and abs(lon) <= 180):
            raise ControlError(
                f"{path.name} 第 {draft.line} 行：{draft.name} 的坐标不在该坐标系内，请检查坐标系和东、北次序。 "
                f"Line {draft.line}: {draft.name} lies nowhere in {crs.name}: is the frame right, are east and north swapped?"
            )
    try:
        target = frame or metric_frame(LonLat(lon_deg=float(np.median(east)), lat_deg=float(np.median(north))))
    except GeoError as error:
        raise ControlError(
            f"{path.name}: 像控点不在任何通用投影带内，请检查坐标系。 The points lie in no usual frame ({error}): is their frame right?"
        ) from error
    to_frame = Transformer.from_crs(crs, CRS.from_epsg(target.epsg), always_xy=True)
    xy = np.column_stack(to_frame.transform(*np.array([d.at[:2] for d in drafts]).T))
    return gathered(drafts, xy, target, path.name, notes)


def _read_list(text: str, source: str) -> tuple[list[Draft], CRS]:
    lines = [
        (n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise ControlError(f"{source}：空文件。 The file is empty")
    crs = _frame_of(lines[0][1], source, lines[0][0])
    drafts: dict[object, Draft] = {}
    for number, line in lines[1:]:
        parts = line.split()
        if len(parts) < 6:
            raise _at(
                source, number, f"只有 {len(parts)} 项", f"{len(parts)} items; needed: east north height column row photo [name]"
            )
        x, y, z, px, py = (_number(v, source, number, w) for v, w in zip(parts[:5], ("x", "y", "z", "px", "py"), strict=True))
        if x is None or y is None or px is None or py is None:
            raise _at(source, number, "坐标或像素不是数字", "place and pixel must be numbers")
        name = parts[6] if len(parts) > 6 else None
        key = name if name is not None else (x, y, z)
        draft = drafts.setdefault(key, Draft(name or f"P{len(drafts) + 1}", (x, y, z), number))
        _add(draft, (x, y, z), Mark(parts[5], px, py, number), source)
    return list(drafts.values()), crs


def _read_csv(text: str, source: str) -> tuple[list[Draft], CRS]:
    lines = text.splitlines()
    named = next((m for line in lines if line.lstrip().startswith("#") and (m := _EPSG.search(line))), None)
    rows = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not rows:
        raise ControlError(f"{source}：空文件。 The file is empty")
    split = csv.reader([line for _, line in rows], delimiter=max(",;\t", key=rows[0][1].count))
    table = list(zip((n for n, _ in rows), split, strict=True))
    heads = [_COLUMNS.get(h.strip().casefold(), h.strip().casefold()) for h in table[0][1]]
    degrees = {"lon", "lat"} <= set(heads)
    place = ("lon", "lat") if degrees else ("x", "y")
    missing = [c for c in ("name", *place, "photo", "px", "py") if c not in heads]
    if missing:
        raise _at(source, table[0][0], f"缺少列 {'、'.join(missing)}", f"columns are missing: {', '.join(missing)}")
    if not degrees and named is None:
        raise _at(source, table[0][0], "没有写坐标系，请加一行 # EPSG:4549", "no frame is named: add a line such as # EPSG:4549")
    crs = _WGS84 if degrees or named is None else _frame_of(f"EPSG:{named.group(1)}", source, 1)
    drafts: dict[object, Draft] = {}
    for number, cells in table[1:]:
        row = dict(zip(heads, (c.strip() for c in cells), strict=False))
        values = {c: _number(row.get(c, ""), source, number, c) for c in (*place, "z", "px", "py", "sigma_xy", "sigma_z")}
        x, y, px, py = (values[c] for c in (*place, "px", "py"))
        if not row.get("name") or not row.get("photo") or x is None or y is None or px is None or py is None:
            raise _at(source, number, "点名、坐标、照片、像素都要有", "a name, a place, a photo and a pixel are needed")
        at = (x, y, values["z"])
        draft = drafts.setdefault(
            row["name"], Draft(row["name"], at, number, *_sigmas(values), _role(row.get("role", ""), source, number))
        )
        _add(draft, at, Mark(row["photo"], px, py, number), source)
    return list(drafts.values()), crs


def _read_geojson(text: str, source: str) -> tuple[list[Draft], CRS]:
    try:
        features = json.loads(text)["features"]
        drafts = []
        for number, feature in enumerate(features, 1):
            properties, place = feature["properties"], feature["geometry"]["coordinates"]
            z = float(place[2]) if len(place) > 2 else None
            at = (float(place[0]), float(place[1]), z)
            values = {"sigma_xy": properties.get("sigma_xy_m"), "sigma_z": properties.get("sigma_z_m")}
            draft = Draft(
                str(properties["name"]), at, number, *_sigmas(values), _role(properties.get("role", ""), source, number)
            )
            for mark in properties.get("marks", ()):
                _add(draft, at, Mark(str(mark["photo"]), float(mark["px"]), float(mark["py"]), number), source)
            drafts.append(draft)
    except json.JSONDecodeError as error:
        raise _at(source, error.lineno, "不是 JSON", f"not JSON ({error.msg})") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ControlError(
            f"{source}：不是像控点 GeoJSON（{error!r}）。 Not control points: a FeatureCollection of points with a name and marks is needed "
            f"({error!r})"
        ) from error
    return drafts, _WGS84


_READERS: Mapping[str, Callable[[str, str], tuple[list[Draft], CRS]]] = {
    ".csv": _read_csv,
    ".json": _read_geojson,
    ".geojson": _read_geojson,
}


def _frame_of(text: str, source: str, line: int) -> CRS:
    """The frame that a header names."""
    utm = _UTM.match(text)
    try:
        if utm is not None:
            return CRS.from_epsg((32600 if utm.group(2).upper() == "N" else 32700) + int(utm.group(1)))
        return CRS.from_user_input(text)
    except CRSError as error:
        raise _at(
            source,
            line,
            f"看不懂坐标系“{text[:60]}”",
            f"the frame {text[:60]!r} is not known: write EPSG:4549, a proj4 string or WGS84 UTM 17N",
        ) from error


def _number(text: str, source: str, line: int, what: str) -> float | None:
    """A number; None for an empty cell or NaN."""
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise _at(source, line, f"{what} 不是数字：{text}", f"{what} is no number: {text}") from error
    return value if math.isfinite(value) else None


def _sigmas(values: Mapping[str, Any]) -> tuple[float, float]:
    """Standard deviations in plan and height; levels and receivers are about twice as good in plan."""
    plan = float(values["sigma_xy"] or SURVEYED_SIGMA_M)
    return plan, float(values["sigma_z"] or 2 * plan)


def _role(text: str, source: str, line: int) -> Role:
    try:
        return _ROLES[str(text).strip().casefold()]
    except KeyError as error:
        raise _at(source, line, f"用途“{text}”应为 控制 或 检查", f"role {text!r} is neither control nor check") from error


def _add(draft: Draft, at: Sequence[float | None], mark: Mark, source: str) -> None:
    if tuple(at) != draft.at:
        raise _at(
            source,
            mark.line,
            f"{draft.name} 的坐标与第 {draft.line} 行不同",
            f"{draft.name} has another place than in line {draft.line}: one of the two is wrong",
        )
    if any(m.photo == mark.photo for m in draft.marks):
        raise _at(source, mark.line, f"{draft.name} 在 {mark.photo} 中标了两次", f"{draft.name} is marked twice in {mark.photo}")
    draft.marks.append(mark)


def _at(source: str, line: int, zh: str, en: str) -> ControlError:
    return ControlError(f"{source} 第 {line} 行：{zh}。 {source}, line {line}: {en}")
