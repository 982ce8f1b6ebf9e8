"""Side files of a flight that know the photos' places better than the photos: DJI's `.MRK` and OpenDroneMap's `geo.txt`.

Read here into plain fixes by photo; `imagery.photos` lays them over what the files themselves say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geo.errors import GeoError
from geo.frames import LonLat
from imagery.errors import PhotoError
from imagery.tags import RTK_FIXED

GEO_NAME = "geo.txt"
MRK_SUFFIX = ".mrk"
OTHER_FLIGHT_M = 20.0  # no receiver without RTK is this far off at the median
_GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
_WEEK = timedelta(weeks=1)
_LARGEST_BYTES = 50_000_000  # 100,000 photos have 12 MB


class PositionSource(StrEnum):
    """Where a photo's position comes from."""

    FILE = "file"  # the photo's own tags
    MRK = "mrk"  # DJI's Timestamp.MRK
    GEO_TXT = "geo_txt"  # OpenDroneMap's geo.txt
    FLIGHT_LOG = "flight_log"  # what the vehicle told when it released the shutter


@dataclass(frozen=True, slots=True)
class Fix:
    """A place for one photo; None where the side file is silent. Heights are metres over the ellipsoid, angles as in `Photo`."""

    place: LonLat
    source: PositionSource
    height_m: float | None = None
    sigma_m: float | None = None
    height_sigma_m: float | None = None
    rtk_flag: int | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of an MRK file: the photo's number in its folder, its fix, and the offset in millimetres (north, east, down) from the
    antenna to the camera that DJI has already applied to the fix. `gps_time` is ahead of UTC by the leap seconds (18 since 2017).
    """

    sequence: int
    fix: Fix
    offset_mm: tuple[float, float, float]
    gps_time: datetime


@dataclass(frozen=True, slots=True)
class Sidecars:
    """What lies beside the photos: fixes by folder and number (MRK), and by file name (geo.txt)."""

    marks: Mapping[Path, Mapping[int, Mark]] = field(default_factory=dict)
    named: Mapping[str, Fix] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def fix(self, path: Path) -> Fix | None:
        """The fix of a photo: a person's geo.txt before the vehicle's MRK."""
        by_name = self.named.get(path.name) or self.named.get(path.stem)
        if by_name is not None:
            return by_name
        numbers = self.marks.get(path.parent)
        sequence = sequence_of(path.name)
        mark = numbers.get(sequence) if numbers is not None and sequence is not None else None
        return mark.fix if mark is not None else None


def beside(folder: Path) -> Sidecars:
    """All side files of a folder and its subfolders. Raises PhotoError for a broken one: half a side file is worse than none."""
    marks: dict[Path, dict[int, Mark]] = {}
    named: dict[str, Fix] = {}
    files: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix.lower() == MRK_SUFFIX:
            found = {mark.sequence: mark for mark in read_mrk(path)}
            if path.parent in marks and marks[path.parent].keys() & found.keys():
                # Several flights in one folder count from 1 again: their numbers would not say whose photo is meant.
                raise PhotoError(
                    f"{path.name}: 文件夹内有多个 MRK 文件且照片序号重复，无法判断属于哪个架次；请按架次分文件夹。 "
                    f"{path.parent} holds several MRK files that count the same photos: put each flight into a folder of its own"
                )
            marks.setdefault(path.parent, {}).update(found)
        elif path.name.lower() == GEO_NAME:
            named.update(read_geo(path))
        else:
            continue
        files.append(path)
    return Sidecars(marks, named, tuple(files))


_SEQUENCE = (
    re.compile(r"DJI_\d{14}_(\d{4,5})(?:_|\.|$)", re.IGNORECASE),  # DJI_20250416072557_0201_D.JPG
    re.compile(r"_(\d{4})(?:_[A-Za-z]+)?\.[A-Za-z]+$"),  # 100_0005_0018.JPG, DJI_0018.JPG
)


def sequence_of(name: str) -> int | None:
    """The number that DJI counts a photo by in its folder, from the file's name."""
    for pattern in _SEQUENCE:
        found = pattern.search(name)
        if found:
            return int(found[1])
    return None


_HEAD = re.compile(r"^\s*(\d+)\s+([\d.]+)\s+\[\s*(\d+)\s*\]")
_LABELLED = re.compile(r"([-+]?[\d.]+)\s*,\s*(N|E|V|Lat|Lon|Ellh|Q)\b")
_SIGMAS = re.compile(r"Ellh\s+([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s")


def read_mrk(path: Path) -> tuple[Mark, ...]:
    """DJI's mark file, a line for each photo: number, GPS seconds of week, [week], three offsets, place, sigmas, RTK state.

    Latitude and longitude are those of the camera, "after compensation" (Matrice 4 Series User Manual, "Image Log File"): the
    offsets are for post-processing and are not applied again. Lines of photos without a position (state 0) are left out.
    Raises PhotoError that names the line.
    """
    marks: list[Mark] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            mark = _mark(line)
        except (ValueError, KeyError, IndexError, OverflowError, GeoError) as error:
            raise PhotoError(
                f"{path.name}: 第 {number} 行不是 MRK 记录（{error}）；请重新从存储卡拷贝。 "
                f"line {number} is no MRK record ({error}): copy the file again from the card"
            ) from error
        if mark is not None:
            marks.append(mark)
    return tuple(marks)


def _mark(line: str) -> Mark | None:
    head = _HEAD.match(line)
    told = {name: float(value) for value, name in _LABELLED.findall(line)}
    if head is None or not {"N", "E", "V", "Lat", "Lon", "Ellh", "Q"} <= told.keys():
        raise ValueError(line.strip()[:60])
    flag = int(told["Q"])
    if flag == 0 or (abs(told["Lat"]) < 1e-6 and abs(told["Lon"]) < 1e-6):
        return None
    fixed = flag >= RTK_FIXED
    sigma_m, height_sigma_m = (0.05, 0.1) if fixed else (3.0, 5.0)
    sigmas = _SIGMAS.search(line)
    if sigmas is not None and float(sigmas[1]) > 0:
        north, east, up = (float(v) for v in sigmas.groups())
        sigma_m, height_sigma_m = max(0.02, math.hypot(north, east)), max(0.02, up)
    fix = Fix(
        LonLat(lon_deg=told["Lon"], lat_deg=told["Lat"]), PositionSource.MRK, told["Ellh"], sigma_m, height_sigma_m, rtk_flag=flag
    )
    gps_time = _GPS_EPOCH + int(head[3]) * _WEEK + timedelta(seconds=float(head[2]))
    return Mark(int(head[1]), fix, (told["N"], told["E"], told["V"]), gps_time)


def read_geo(path: Path) -> dict[str, Fix]:
    """OpenDroneMap's image geolocation file by photo name: a first line with the coordinate system (EPSG code, PROJ or WGS84 UTM
    words), then `name x y [z [yaw pitch roll [horizontal vertical accuracy]]]`; pitch 0 looks straight down. Raises PhotoError.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_text(path).splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise PhotoError(f"{path.name}: 文件是空的，请删除或重写。 the file is empty: delete it or write it again")
    crs = _crs(lines[0][1], path)
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    found: dict[str, Fix] = {}
    for number, line in lines[1:]:
        name, *rest = line.split()
        try:
            values = [float(v) for v in rest[:8]]
            lon, lat = to_degrees.transform(values[0], values[1], errcheck=True)
            place = LonLat(lon_deg=lon, lat_deg=lat)
        except (ValueError, IndexError, ProjError, GeoError) as error:
            raise PhotoError(
                f"{path.name}: 第 {number} 行（{name}）无法读取，应为“文件名 x y z”。 "
                f"line {number} ({name}) cannot be read, expected `name x y [z …]` in {crs.name}: {error}"
            ) from error
        found[name] = _geo_fix(place, values)
    if all(fix.height_m == 0 for fix in found.values()):
        found = {name: replace(fix, height_m=None) for name, fix in found.items()}  # a column filled in to reach the next one
    return found


def _geo_fix(place: LonLat, values: Sequence[float]) -> Fix:
    """Three zeros for angles mean that nobody knew them."""
    turned = len(values) >= 6 and any(values[3:6])
    sigma, up = values[6:8] if len(values) >= 8 else (0.0, 0.0)
    return Fix(
        place,
        PositionSource.GEO_TXT,
        height_m=values[2] if len(values) >= 3 else None,
        sigma_m=max(0.01, sigma) if sigma > 0 else None,
        height_sigma_m=max(0.01, up) if up > 0 else None,
        yaw_deg=values[3] if turned else None,
        pitch_deg=values[4] - 90.0 if turned else None,
        roll_deg=values[5] if turned else None,
    )


_UTM = re.compile(r"^WGS84\s+UTM\s+(\d{1,2})\s*([NS])$", re.IGNORECASE)


def _crs(words: str, path: Path) -> CRS:
    utm = _UTM.match(words)
    try:
        if utm:
            return CRS.from_epsg((32600 if utm[2].upper() == "N" else 32700) + int(utm[1]))
        return CRS.from_user_input(words)
    except ProjError as error:
        raise PhotoError(
            f"{path.name}: 首行“{words[:60]}”不是坐标系；请写 EPSG:4326、EPSG:4549 或 WGS84 UTM 50N。 "
            f"the first line, {words[:60]!r}, is no coordinate system: write EPSG:4326, EPSG:4549 or WGS84 UTM 50N"
        ) from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise PhotoError(
                f"{path.name}: 文件过大，不是照片位置文件。 too large to be a file of photo positions: is it the right one?"
            )
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise PhotoError(f"{path.name}: 无法读取（{error.strerror}）。 cannot be read ({error.strerror or error})") from error


def said(files: Iterable[Path]) -> str:
    """The names of side files in one line."""
    return ", ".join(sorted({path.name for path in files}))
