"""In which datum a file of zones is written, judged against the air and the ground that are known already.

Zones reach far beyond the ground under watch, so touching it proves little. What proves much is a zone that is known: an airport moves between
editions by centimetres, while GCJ-02 lies 300 to 700 m beside WGS 84 and BD-09 a kilometre. So outlines that are known under the same name, or
of the same size nearby, are laid over the new ones in every reading that the numbers allow. What a person declares, a file says, or its name
or format says, holds unless that contradicts it; and whatever was taken on trust alone is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geo import reading
from geo.reading import Judged, Reading

SAME_M = 60.0
"""A known zone lies on the new one when their middles are at most so far apart: other datums put it 300 m off or more."""
SHARE = 0.3
"""So many of the zones that are known must lie on the new ones in a reading; the others may have moved."""
_REACH_M = 3000.0
_MOST = 400  # so many outlines tell as much as ten thousand
_LIKE = 0.8  # areas of the same zone in two editions
_HINTS: tuple[tuple[str, Reading], ...] = (
    (r"百度|bd-?_?09|baidu", reading.BD09),
    (r"gcj-?_?02|火星|高德|腾讯|amap", reading.GCJ02),
    (r"84坐标|wgs-?_?84|cgcs-?_?2000|国家2000|2000坐标", reading.WGS84),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known: the ground under watch, and zones by name, WGS 84."""

    ground: BaseGeometry | None = None
    zones: tuple[tuple[str, BaseGeometry], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Match:
    """How known zones lie in a reading: how many on the new ones, and how far in the middle those that lie so in the best reading."""

    reading: Reading
    close: int
    off_m: float


def judge(
    shapes: Sequence[BaseGeometry],
    names: Sequence[str],
    known: Known,
    *,
    said: Reading | None = None,
    by_standard: bool = False,
    declared: Reading | None = None,
    file_name: str = "",
) -> Judged:
    """The reading of a file's shapes (polygons; points for circles) in its own numbers; `reading` None: it cannot be taken, the note says why."""
    numbers = shapely.get_coordinates(np.array(shapes, dtype=object))
    hint = hinted(file_name)
    claim = declared or (None if by_standard else said) or hint or said
    tried = list(reading.readings(numbers))
    if claim is not None and claim.code not in {r.code for r in tried}:
        tried.append(claim)
    x, y = (float(v) for v in np.median(numbers, axis=0))
    if not tried:
        return Judged(
            None,
            False,
            f"坐标（如 {x:.1f}, {y:.1f}）不像经纬度，也不像 CGCS2000 高斯投影坐标：请在导出时选择 CGCS2000，或用 --datum EPSG:代码 注明。",
            f"coordinates such as {x:.1f}, {y:.1f} are neither degrees nor CGCS2000 metres: export in CGCS2000, or name the system with "
            "--datum EPSG:code.",
        )
    degrees = abs(x) <= 180 and abs(y) <= 180
    if degrees and not _offset_applies(x, y) and (claim is None or claim.code in {"wgs84", "gcj02", "bd09"}):
        return Judged(
            reading.WGS84, claim is None, "坐标在中国以外，按 WGS 84 读取。", "the coordinates lie outside China; read as WGS 84."
        )
    matches = _matches(tried, shapes, names, known)
    clear = _decided(matches)
    warned_zh, warned_en = _warning(claim, hint)
    if clear is not None:
        judged = _by_known(clear, matches, claim)
    elif claim is not None:
        judged = _on_trust(claim, tried, shapes, known, how=_how(declared, None if by_standard else said, hint))
    else:
        judged = _unsaid(tried, shapes, known, degrees=degrees)
    return Judged(judged.reading, judged.guessed, judged.note_zh + warned_zh, judged.note_en + warned_en)


def hinted(file_name: str) -> Reading | None:
    """The datum that a file's name speaks of; None where it speaks of none or of several."""
    found = [known for pattern, known in _HINTS if re.search(pattern, file_name, re.IGNORECASE)]
    return found[0] if len(found) == 1 else None


def _offset_applies(x: float, y: float) -> bool:
    """Whether GCJ-02 differs from WGS 84 there, in either order of axes."""

    def inside(lon: float, lat: float) -> bool:
        return 72.004 <= lon <= 137.8347 and 0.8293 <= lat <= 55.8271

    return inside(x, y) or inside(y, x)


def _matches(tried: Sequence[Reading], shapes: Sequence[BaseGeometry], names: Sequence[str], known: Known) -> tuple[_Match, ...]:
    """Each reading with the distance of known zones; zones that fit none of the readings (new ones) do not count."""
    areal = [i for i, s in enumerate(shapes) if s.geom_type != "Point"]
    if not known.zones or not areal:
        return ()
    picked = areal[:: max(1, len(areal) // _MOST)]
    chosen = [shapes[i] for i in picked]
    there = np.array([outline for _, outline in known.zones], dtype=object)
    tree = shapely.STRtree(there)
    by_name: dict[str, list[int]] = {}
    for index, (name, _) in enumerate(known.zones):
        by_name.setdefault(name, []).append(index)
    middles, sizes = shapely.get_coordinates(shapely.centroid(there)), shapely.area(there)
    table = np.full((len(tried), len(chosen)), math.inf)
    for row, way in enumerate(tried):
        moved = np.array(way.move(chosen), dtype=object)
        if not np.isfinite(shapely.bounds(moved)).all():
            continue
        own, size = shapely.get_coordinates(shapely.centroid(moved)), shapely.area(moved)
        for column, (middle, of) in enumerate(zip(own, size, strict=True)):
            same = by_name.get(names[picked[column]], [])
            reach = _REACH_M / 100_000.0
            near = same or [
                int(i)
                for i in tree.query(shapely.box(middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach))
            ]
            fitting = [i for i in near if of > 0 and _LIKE <= sizes[i] / of <= 1 / _LIKE]
            if fitting:
                table[row, column] = min(_metres(middle, middles[i]) for i in fitting)
    counted = (table <= _REACH_M).any(axis=0)
    close = (table <= SAME_M).sum(axis=1)
    if not counted.any() or close.max() < SHARE * counted.sum():
        return ()
    on = table[int(close.argmax())] <= SAME_M
    return tuple(_Match(way, int(close[row]), float(np.median(table[row, on]))) for row, way in enumerate(tried))


def _metres(a: np.ndarray, b: np.ndarray) -> float:
    east = (a[0] - b[0]) * math.cos(math.radians(float(b[1])))
    return math.hypot(float(east), float(a[1] - b[1])) * 111_195.0


def _decided(matches: Sequence[_Match]) -> _Match | None:
    if not matches:
        return None
    best, *rest = sorted(matches, key=lambda m: (-m.close, m.off_m))
    return best if all(4 * other.close < best.close for other in rest) else None


def _by_known(best: _Match, matches: Sequence[_Match], claim: Reading | None) -> Judged:
    zh = f"有 {best.close} 个空域与已有空域对应，按{best.reading.zh}读取位置相差 {best.off_m:.0f} 米"
    en = f"{best.close} of its zones are known already, and lie {best.off_m:.0f} m from them when read as {best.reading.en}"
    if claim is None:
        return Judged(
            best.reading,
            True,
            f"文件没有注明坐标系，推定为{best.reading.zh}：{zh}。",
            f"the file does not say its datum; taken to be {best.reading.en}: {en}.",
        )
    if claim.code == best.reading.code:
        return Judged(claim, False, f"按{claim.zh}读取，已核对：{zh}。", f"read as {claim.en} and checked: {en}.")
    own = next(m for m in matches if m.reading.code == claim.code)
    return Judged(
        None,
        False,
        f"文件称坐标系为{claim.zh}，但按此与已有空域相差 {_far(own.off_m)}；{zh}。请向提供单位核实，坐标系改选 {_to_say(best.reading)}"
        f"（--datum {_to_say(best.reading)}）后重新导入。",
        f"the file is said to be {claim.en}, but so its zones lie {_far(own.off_m)} from those that are known; {en}. Ask who made it, then import it "
        f"with --datum {_to_say(best.reading)}.",
    )


def _how(declared: Reading | None, said: Reading | None, hint: Reading | None) -> tuple[str, str]:
    if declared is not None:
        return "声明", "as declared"
    if said is not None:
        return "文件标注", "as the file says"
    if hint is not None:
        return "文件名", "as the file's name says"
    return "格式标准", "as its format's standard says"


def _on_trust(
    claim: Reading, tried: Sequence[Reading], shapes: Sequence[BaseGeometry], known: Known, *, how: tuple[str, str]
) -> Judged:
    """What is claimed, unless the ground contradicts it: nothing of it near, while another reading puts most of it there."""
    if known.ground is not None and not known.ground.is_empty:
        some = shapes[:: max(1, len(shapes) // _MOST)]
        fits = {r.code: reading.fit(r, some, known.ground) for r in tried}
        best = max(fits.values(), key=lambda f: f.share)
        if fits[claim.code].share == 0 and best.share >= reading.FITS:
            return Judged(
                None,
                False,
                f"按{how[0]}为{claim.zh}，但这样没有一个空域落在巡查单元内；按{best.reading.zh}则为 {best.share:.0%}。请核实后坐标系改选 "
                f"{_to_say(best.reading)}（--datum {_to_say(best.reading)}）重新导入。",
                f"{how[1]} it is {claim.en}, but so none of its zones touches an area under watch; as {best.reading.en} {best.share:.0%} do. Make "
                f"sure, then import it with --datum {_to_say(best.reading)}.",
            )
    guessed = how[0] in {"文件名", "格式标准"}
    return Judged(
        claim,
        guessed,
        f"按{how[0]}以{claim.zh}读取，没有已知空域可供核对：若来自国内网络地图（高德、百度等），位置可能偏差 500 至 1000 米，请先核实。",
        f"read as {claim.en}, {how[1]}; there is no known zone to check it against: if it comes from a Chinese web map it may lie 500 to 1,000 m "
        "off; make sure first.",
    )


def _unsaid(tried: Sequence[Reading], shapes: Sequence[BaseGeometry], known: Known, *, degrees: bool) -> Judged:
    """Nothing says the datum and no known zone tells: only the ground is left, and for metres it tells the zone of the projection."""
    ground = known.ground
    if ground is not None and not ground.is_empty:
        near = ground if degrees else ground.buffer(1.0)
        some = shapes[:: max(1, len(shapes) // _MOST)]
        fits = sorted((reading.fit(r, some, near) for r in tried), key=lambda f: -f.share)
        best, rivals = fits[0], [f for f in fits[1:] if f.share > fits[0].share - 0.05]
        if best.share >= 0.5 and not rivals:
            return Judged(
                best.reading,
                True,
                f"文件没有注明坐标系，推定为{best.reading.zh}：按此 {best.share:.0%} 的空域在巡查单元一带，其他读法均明显较差。",
                f"the file does not say its datum; taken to be {best.reading.en}: so {best.share:.0%} of its zones lie about the areas under watch, "
                "and clearly fewer in any other reading.",
            )
    choices = "wgs84、cgcs2000、gcj02、bd09" if degrees else "EPSG:4549"
    return Judged(
        None,
        False,
        f"文件没有注明坐标系，也没有已知空域可供核对；选错会偏差 500 至 1000 米。请向提供单位核实，选定坐标系（--datum：{choices}）后再导入。",
        "the file does not say its datum, and no known zone tells; a wrong one puts zones 500 to 1,000 m off. Ask who made it, and declare it with "
        f"--datum ({choices.replace('、', ', ')}).",
    )


def _warning(claim: Reading | None, hint: Reading | None) -> tuple[str, str]:
    if claim is None or hint is None or claim.code == hint.code:
        return "", ""
    return f"注意：文件名写的是{hint.zh}。", f" Note that the file's name speaks of {hint.en}."


def _far(metres: float) -> str:
    return "∞" if not math.isfinite(metres) else f"{metres:.0f} m" if metres < 10_000 else f"{metres / 1000:.0f} km"


def _to_say(way: Reading) -> str:
    return way.code.upper() if way.code.startswith("epsg") else way.code
