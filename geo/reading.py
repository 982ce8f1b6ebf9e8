"""How the numbers of a map file are to be read: in which datum, in which frame, in which order of axes.

A file says its coordinate system, or does not, or says a wrong one: Chinese web maps are 300 to 700 m beside WGS 84 (GCJ-02) or a
kilometre (BD-09), exports drop the .prj, and northing comes first as often as not. `judge` tries every reading that the numbers
allow and holds each against the ground that the file must be about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from geo.datums import from_bd09_array, from_gcj02_array
from geo.errors import GeoError
from geo.frames import Floats

FITS = 0.8
"""A reading explains a file when so many of its outlines touch the ground it must be about."""
BETTER = 0.3
"""Another reading contradicts what a file says when it explains so many more of its outlines."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read coordinates: its code, its names, and the step `(n, 2)` file numbers → `(n, 2)` WGS 84 lon, lat."""

    code: str
    zh: str
    en: str
    to_wgs84: Callable[[Floats], Floats]

    def move(self, shapes: Sequence[BaseGeometry]) -> tuple[BaseGeometry, ...]:
        """Shapes in WGS 84 degrees; what cannot be such a place becomes infinite."""
        moved = shapely.transform(np.array(shapes, dtype=object), self.to_wgs84)
        return tuple(moved)


@dataclass(frozen=True, slots=True)
class Fit:
    """A reading, and the share of the shapes that touch the ground under it; `off_m` from the nearest shape to the ground."""

    reading: Reading
    share: float
    off_m: float


def _same(numbers: Floats) -> Floats:
    return numbers


def _swapped(step: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda numbers: step(numbers[:, ::-1])


def _projected(epsg: int) -> Callable[[Floats], Floats]:
    def step(numbers: Floats) -> Floats:
        change = Transformer.from_crs(epsg, 4326, always_xy=True)
        return np.column_stack(change.transform(numbers[:, 0], numbers[:, 1]))

    return step


WGS84 = Reading("wgs84", "WGS 84 / CGCS2000 经纬度", "WGS 84 / CGCS2000 degrees", _same)
GCJ02 = Reading("gcj02", "GCJ-02（火星坐标）", "GCJ-02", from_gcj02_array)
BD09 = Reading("bd09", "BD-09（百度坐标）", "BD-09", from_bd09_array)
_DEGREES = (WGS84, GCJ02, BD09)
_AS_WGS84 = frozenset({4326, 4490, 4979, 4480})


def turned(reading: Reading) -> Reading:
    """The same reading with its two axes in the other order."""
    return Reading(
        f"{reading.code}-swapped", f"{reading.zh}，坐标轴对调", f"{reading.en}, axes swapped", _swapped(reading.to_wgs84)
    )


def of_epsg(epsg: int) -> Reading:
    """A reading by EPSG code; raises GeoError."""
    if epsg in _AS_WGS84:
        return WGS84
    try:
        name = CRS.from_epsg(epsg).name
    except CRSError as err:
        raise GeoError(f"EPSG:{epsg} 不是已知的坐标系 / is no known coordinate system") from err
    return Reading(f"epsg:{epsg}", f"{name}（EPSG:{epsg}）", f"{name} (EPSG:{epsg})", _projected(epsg))


def of_name(name: str) -> Reading:
    """What a person declares: wgs84, cgcs2000, gcj02, bd09 or EPSG:4549; raises GeoError naming the choices."""
    plain = name.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    if plain.endswith("swapped"):
        return turned(of_name(plain.removesuffix("swapped")))
    known = {"wgs84": WGS84, "cgcs2000": WGS84, "gcj02": GCJ02, "bd09": BD09}
    if plain in known:
        return known[plain]
    digits = plain.removeprefix("epsg:").removeprefix("epsg")
    if digits.isdigit():
        return of_epsg(int(digits))
    raise GeoError(
        f"坐标系 {name!r} 不认识：请写 wgs84、cgcs2000、gcj02、bd09 或 EPSG:4549 / "
        f"datum {name!r} is not known: write wgs84, cgcs2000, gcj02, bd09 or EPSG:4549"
    )


def of_crs(said: str) -> Reading:
    """What a file says of itself (EPSG code, WKT); raises GeoError."""
    try:
        crs = CRS.from_user_input(said)
    except CRSError as err:
        raise GeoError(f"坐标系说明无法读取 / the coordinate system cannot be read ({said[:60]})") from err
    epsg = crs.to_epsg(min_confidence=70)
    if epsg is not None:
        return of_epsg(epsg)
    if crs.is_geographic and any(word in crs.name.upper() for word in ("WGS", "CGCS", "CHINA_2000", "CHINA GEODETIC")):
        return WGS84

    def step(numbers: Floats) -> Floats:
        change = Transformer.from_crs(crs, 4326, always_xy=True)
        return np.column_stack(change.transform(numbers[:, 0], numbers[:, 1]))

    return Reading("file", crs.name, crs.name, step)


def readings(numbers: Floats) -> tuple[Reading, ...]:
    """Every reading that coordinates `(n, 2)` of a file allow by their size alone.

    Degrees: WGS 84, GCJ-02, BD-09, each with its axes as they are and swapped. Metres: the 3- and 6-degree zones of CGCS2000, with the
    zone in front of the easting (EPSG:4513–4533, 4491–4501) or without (each central meridian of EPSG:4534–4554), and swapped.
    """
    x, y = (float(v) for v in np.median(numbers, axis=0))
    if abs(x) <= 180.0 and abs(y) <= 180.0:
        return (*_DEGREES, *(turned(r) for r in _DEGREES))
    found: list[Reading] = []
    for east, north, swap in ((x, y, False), (y, x, True)):
        if not 1.5e6 <= north <= 6.5e6:
            continue
        zone = int(east // 1e6)
        codes: list[int] = []
        if 25 <= zone <= 45:
            codes = [4513 + zone - 25]
        elif 13 <= zone <= 23:
            codes = [4491 + zone - 13]
        elif 1e5 <= east < 9e5:
            codes = list(range(4534, 4555))
        found += [turned(of_epsg(code)) if swap else of_epsg(code) for code in codes]
    return tuple(found)


def fit(reading: Reading, shapes: Sequence[BaseGeometry], ground: BaseGeometry) -> Fit:
    """How well a reading explains shapes that must be about `ground` (WGS 84)."""
    moved = np.array(reading.move(shapes), dtype=object)
    bounds = shapely.bounds(moved)
    possible = (
        np.isfinite(bounds).all(axis=1)
        & (np.abs(bounds[:, ::2]) <= 180).all(axis=1)
        & (np.abs(bounds[:, 1::2]) <= 90).all(axis=1)
    )
    if not possible.any():
        return Fit(reading, 0.0, float("inf"))
    shapely.prepare(ground)
    # a prepared ground answers for each shape in a microsecond; broken rings are asked by their boxes
    boxes = np.array(shapely.box(*bounds[possible].T), dtype=object)
    touching = shapely.intersects(ground, boxes)
    near = boxes[touching] if touching.any() else boxes
    off = float(shapely.distance(ground, near).min()) * 111_195.0
    return Fit(reading, float(touching.sum()) / len(moved), off)


@dataclass(frozen=True, slots=True)
class Judged:
    """How a file is read. `note_*` say the guess or the check aloud; `reading` None: it cannot be taken, and the note says why."""

    reading: Reading | None
    guessed: bool
    note_zh: str
    note_en: str


def judge(shapes: Sequence[BaseGeometry], ground: BaseGeometry | None, *, said: Reading | None, declared: bool = False) -> Judged:
    """The reading of shapes in file numbers. `said` is what the file or (`declared`) a person says; `ground` what it must be about.

    What is said holds unless another reading explains the shapes clearly better: then nothing is taken, and the note names the other.
    """
    numbers = shapely.get_coordinates(np.array(shapes, dtype=object))
    tried = list(readings(numbers))
    if said is not None and said.code not in {r.code for r in tried}:
        tried.append(said)
    if not tried:
        x, y = (float(v) for v in np.median(numbers, axis=0))
        return Judged(
            None,
            False,
            f"坐标（如 {x:.1f}, {y:.1f}）不像经纬度，也不像 CGCS2000 高斯投影坐标：请在导出时选择 CGCS2000，或用 --datum EPSG:代码 注明。",
            f"coordinates such as {x:.1f}, {y:.1f} are neither degrees nor CGCS2000 metres: export in CGCS2000, or name the system with "
            f"--datum EPSG:code.",
        )
    if ground is None or ground.is_empty:
        return _unchecked(said, declared)
    fits = sorted((fit(r, shapes, ground) for r in tried), key=lambda f: (-round(f.share, 3), f.off_m))
    best = fits[0]
    if said is None:
        return _guessed(fits, len(shapes))
    own = next(f for f in fits if f.reading.code == said.code)
    who_zh, who_en = ("声明", "declared to be") if declared else ("标注", "says it is")
    if best.share >= FITS and best.share - own.share >= BETTER:
        return Judged(
            None,
            False,
            f"文件{who_zh}为{said.zh}，但按此仅 {own.share:.0%} 的图斑落在巡查单元内（最近相距 {_far(own.off_m)}）；按{best.reading.zh}读取则为 "
            f"{best.share:.0%}。请确认后用 --datum {_to_say(best.reading)} 重新导入。",
            f"the file {who_en} {said.en}, but so only {own.share:.0%} of its outlines touch an area under watch (the nearest is "
            f"{_far(own.off_m)} off); read as {best.reading.en} it is {best.share:.0%}. Make sure, then import it with "
            f"--datum {_to_say(best.reading)}.",
        )
    if own.share == 0.0:
        return _nowhere(own, len(shapes))
    return Judged(
        said,
        False,
        f"按{said.zh}读取，{own.share:.0%} 的图斑落在巡查单元内。",
        f"read as {said.en}; {own.share:.0%} of the outlines touch an area under watch.",
    )


def _unchecked(said: Reading | None, declared: bool) -> Judged:
    if said is None or not declared:
        return Judged(
            None,
            False,
            "系统中还没有巡查单元，无法核对坐标系：请先导入巡查单元，或用 --datum 声明坐标系。",
            "there are no areas yet to check the coordinates against: import areas first, or declare the datum with --datum.",
        )
    return Judged(
        said,
        False,
        f"按声明的{said.zh}读取，未能核对（尚无巡查单元）。",
        f"read as declared, {said.en}; not checked (no areas yet).",
    )


def _guessed(fits: Sequence[Fit], count: int) -> Judged:
    best = fits[0]
    if best.share == 0.0:
        return _nowhere(best, count)
    rivals = [f for f in fits[1:] if best.share - f.share < 0.05 and f.share > 0]
    if rivals:
        names_zh = "、".join(f.reading.zh for f in (best, *rivals))
        names_en = "; ".join(f.reading.en for f in (best, *rivals))
        return Judged(
            None,
            True,
            f"文件没有注明坐标系，且按几种坐标系读取都说得通（{names_zh}）：请向提供单位核实，用 --datum 声明后再导入。",
            f"the file does not say its coordinate system, and several would fit ({names_en}): ask who made it and declare it with --datum.",
        )
    return Judged(
        best.reading,
        True,
        f"文件没有注明坐标系，推定为{best.reading.zh}：按此 {best.share:.0%} 的图斑落在巡查单元内，其他读法均明显较差。",
        f"the file does not say its coordinate system; taken to be {best.reading.en}: so {best.share:.0%} of its outlines touch an area "
        f"under watch, and clearly fewer in any other reading.",
    )


def _nowhere(best: Fit, count: int) -> Judged:
    return Judged(
        None,
        False,
        f"{count} 个图斑没有一个落在巡查单元内（按{best.reading.zh}，最近相距 {_far(best.off_m)}）：请检查坐标系和文件，或先导入相应的巡查单元。",
        f"none of the {count} outlines touches an area under watch (as {best.reading.en} the nearest is {_far(best.off_m)} off): check the "
        f"datum and the file, or import the areas first.",
    )


def _far(metres: float) -> str:
    return "∞" if not np.isfinite(metres) else f"{metres:.0f} m" if metres < 10_000 else f"{metres / 1000:.0f} km"


def _to_say(reading: Reading) -> str:
    return reading.code.upper() if reading.code.startswith("epsg") else reading.code
