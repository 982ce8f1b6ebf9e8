"""Third-party works near a pipeline (管道保护带内的第三方施工): which changes touch a corridor, how near, where along it, how urgent.

A corridor is a pipeline's axis with two widths on either side. The defaults are those of 石油天然气管道保护法 (2010; it does not hold for
city gas nets and pipes inside works, art. 2, whose owners give their own widths): within 5 m of the centre line digging with machines, taking
earth, heavy heaps and building are forbidden (art. 30); from 5 to 50 m roads, canals, cables and lines need the county's consent (art. 35 (2));
for excavation, drilling and blasting it is asked for up to 200 m (art. 35 (3)), which an owner sets as the outer width where it is watched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry import LineString, MultiLineString, Point
from shapely.geometry.base import BaseGeometry

from change_detect.align import SurveyPair
from change_detect.candidate import Candidate, Kind
from change_detect.errors import ChangeError
from change_detect.raster import cells_inside
from change_detect.rules import RAGGED, dug
from change_detect.soil import BARE, WEAK

INNER_M, OUTER_M = 5.0, 50.0
"""石油天然气管道保护法 30 and 35 (2)."""
LEAST_M2 = 5.0
LEAST_M = 0.3
"""Ground that rose or fell by less has not been dug or heaped, as far as surveys can tell."""
MACHINE_M2, MACHINE_M = 12.0, 2.0
"""What covers more or stands higher is no private car: lorries, excavators, drilling rigs."""
BESIDE_WORKS_M = 15.0
"""A vehicle off the paving and so near to moved earth belongs to it, however small."""
PAVED = 0.25
"""Share of grey ground around a vehicle above which it is parked, as the rules for vehicles have it."""


class Work(StrEnum):
    """What is being done there."""

    EXCAVATION = "excavation"
    FILL = "fill"
    MACHINE = "machine"
    STRUCTURE = "structure"
    DISTURBED = "disturbed"


WORK_TEXT: Mapping[Work, tuple[str, str]] = {
    Work.EXCAVATION: ("开挖", "excavation"),
    Work.FILL: ("堆土、填方", "fill or heap"),
    Work.MACHINE: ("机械、车辆停放", "machine or vehicle standing"),
    Work.STRUCTURE: ("新建、搭建", "new structure"),
    Work.DISTURBED: ("地表扰动（未见高差）", "disturbed ground, no change of height"),
}


class Band(StrEnum):
    """How near to the axis."""

    INNER = "inner"
    OUTER = "outer"


BAND_TEXT: Mapping[Band, tuple[str, str]] = {
    Band.INNER: ("禁止区（管道保护法第30条）", "prohibited band (Pipeline Protection Law, art. 30)"),
    Band.OUTER: ("控制区（管道保护法第35条）", "controlled band (Pipeline Protection Law, art. 35)"),
}

URGENCY: Mapping[tuple[Band, Work], int] = {
    (Band.INNER, Work.EXCAVATION): 3,
    (Band.INNER, Work.MACHINE): 3,
    (Band.INNER, Work.STRUCTURE): 3,
    (Band.INNER, Work.FILL): 3,
    (Band.INNER, Work.DISTURBED): 2,
    (Band.OUTER, Work.EXCAVATION): 2,
    (Band.OUTER, Work.MACHINE): 2,
    (Band.OUTER, Work.STRUCTURE): 1,
    (Band.OUTER, Work.FILL): 1,
    (Band.OUTER, Work.DISTURBED): 1,
}
URGENCY_TEXT: Mapping[int, tuple[str, str]] = {3: ("立即", "at once"), 2: ("当日", "today"), 1: ("关注", "keep watch")}

_NEVER_SHOWN = ("edge_of_coverage", "surface_bridged", "vegetation")
"""What was held back because it was not measured, or is leaves, is no work in a corridor either."""


@dataclass(frozen=True, slots=True)
class Corridor:
    """A pipeline's axis in the area's metric frame, with its widths on either side and whom to call.

    `start_m` is the chainage (桩号) where the axis begins; `ref` what whoever keeps the corridors knows it by.
    """

    id: str
    axis: LineString | MultiLineString
    inner_m: float = INNER_M
    outer_m: float = OUTER_M
    start_m: float = 0.0
    name: str = ""
    holder: str = ""
    contact: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    ref: str = ""

    def __post_init__(self) -> None:
        if self.axis.is_empty or self.axis.length <= 0:
            raise ChangeError(
                f"管道保护带 {self.id} 没有轴线：请画出管道中心线 / corridor {self.id} has no axis: draw the centre line"
            )
        if not 0 < self.inner_m <= self.outer_m <= 2000:
            raise ChangeError(
                f"管道保护带 {self.id} 的宽度 {self.inner_m:g}/{self.outer_m:g} 米不成立：内侧应大于 0 且不大于外侧 / "
                f"corridor {self.id}: widths of {self.inner_m:g} and {self.outer_m:g} m do not hold; the inner one is over 0 and within the outer"
            )

    def holds_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)

    def stations(self, shape: BaseGeometry) -> tuple[float, float]:
        """Chainage in metres of the first and the last place of the axis that a shape lies beside."""
        parts = list(getattr(self.axis, "geoms", (self.axis,)))
        near = min(parts, key=lambda p: p.distance(shape))
        before = sum(p.length for p in parts[: parts.index(near)])
        along = [float(near.project(Point(xy))) for xy in shapely.get_coordinates(shape)]
        return self.start_m + before + min(along), self.start_m + before + max(along)


def station(metres: float) -> str:
    """A chainage as stakes say it: K1+230."""
    whole = round(metres)
    return f"{'-' if whole < 0 else ''}K{abs(whole) // 1000}+{abs(whole) % 1000:03d}"


def stations(from_m: float, to_m: float) -> str:
    """One stake, or from one to another."""
    return station(from_m) if to_m - from_m < 1.0 else f"{station(from_m)}～{station(to_m)}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One change within a corridor.

    `distance_m` of its nearest edge to the axis (0: across it), `from_m` to `to_m` its chainage, `urgency` 3 at once … 1 watch;
    `depth_m` and `volume_m3` of moved earth where heights were compared. What has one is shown, whatever holds it back elsewhere.
    """

    corridor: Corridor
    work: Work
    band: Band
    distance_m: float
    from_m: float
    to_m: float
    urgency: int
    share: float
    depth_m: float | None
    volume_m3: float | None
    zh: str
    en: str

    @property
    def text(self) -> str:
        """Both languages, as reasons of candidates are written."""
        return f"{self.zh} / {self.en}"


@dataclass(frozen=True, slots=True)
class Moved:
    """Earth moved within an outline: the 95th percentile of its depth or height, and its volume."""

    depth_m: float
    volume_m3: float


def moved(pair: SurveyPair, candidate: Candidate) -> Moved | None:
    """How much a candidate's ground rose or fell in all; None where heights were not compared or are hardly known."""
    if not pair.has_surfaces:
        return None
    window = pair.grid.window(candidate.outline.bounds).grown(1, pair.grid)
    before, after = pair.read(window, pixels=False)
    assert before.surface is not None
    assert after.surface is not None
    inside = cells_inside(candidate.outline, pair.grid.part(window))
    dz = (after.surface - before.surface)[inside]
    known = dz[np.isfinite(dz)]
    if len(known) < max(5, 0.3 * inside.sum()):
        return None
    cell_m2 = pair.grid.gsd_m**2 * inside.sum() / len(known)  # what is not known is taken to be like the rest
    return Moved(float(np.percentile(np.abs(known), 95)), float(abs(known.sum()) * cell_m2))


def work_of(candidate: Candidate) -> Work | None:
    """What a candidate is in a corridor: its own kind, or what its measured height says of a thing held back; None: nothing of the kind."""
    why = candidate.suppressed or ""
    if candidate.area_m2 < LEAST_M2 or why.startswith(_NEVER_SHOWN) or candidate.kind is Kind.VEGETATION:
        return None
    if candidate.kind is Kind.VEHICLE:
        return None if (candidate.height_m or 0.0) < 0 else Work.MACHINE  # a vehicle that left is none
    height = candidate.height_m
    pit = dug(candidate.features.get("stood_m", 0.0), abs(height or 0.0))
    if candidate.kind is Kind.EARTHWORK and why and not why.startswith((BARE, WEAK, RAGGED, "too_small")):
        return None
    if candidate.kind is Kind.EARTHWORK or (height is not None and height < 0 and pit):
        if height is None or abs(height) < LEAST_M:
            return Work.DISTURBED
        return Work.EXCAVATION if height < 0 else Work.FILL
    if candidate.kind is Kind.DEMOLISHED or (height is not None and height < 0):
        return None
    if candidate.kind is Kind.ARTEFACT and (not why or why.startswith(RAGGED)) and height is not None and height >= LEAST_M:
        return Work.FILL  # too rough for a roof: heaped goods or earth, which art. 30 forbids as well
    return Work.STRUCTURE if not why and candidate.kind is not Kind.ARTEFACT else None


def watch(
    candidates: Sequence[Candidate], corridors: Sequence[Corridor], on: date, pair: SurveyPair | None = None
) -> tuple[Alert | None, ...]:
    """For each candidate the most urgent thing that a corridor in force says of it; `pair` to measure depths and volumes."""
    live = [c for c in corridors if c.holds_on(on)]
    works = [work_of(c) for c in candidates]
    tree = STRtree([c.axis for c in live])
    earth = [c.outline for c, w in zip(candidates, works, strict=True) if w in {Work.EXCAVATION, Work.FILL, Work.DISTURBED}]
    beside = STRtree(earth)
    widest = max((c.outer_m for c in live), default=0.0)
    alerts: list[Alert | None] = []
    for candidate, work in zip(candidates, works, strict=True):
        if work is None:
            alerts.append(None)
            continue
        near = [live[int(i)] for i in tree.query(candidate.outline, predicate="dwithin", distance=widest)]
        at_works = bool(len(beside.query(candidate.outline, predicate="dwithin", distance=BESIDE_WORKS_M)))
        found = [a for c in near if (a := _alert(candidate, work, c, at_works=at_works, pair=pair)) is not None]
        alerts.append(min(found, key=lambda a: (-a.urgency, a.distance_m, a.corridor.id), default=None))
    return tuple(alerts)


def _alert(candidate: Candidate, work: Work, corridor: Corridor, *, at_works: bool, pair: SurveyPair | None) -> Alert | None:
    distance = float(corridor.axis.distance(candidate.outline))
    if distance > corridor.outer_m:
        return None
    band = Band.INNER if distance <= corridor.inner_m else Band.OUTER
    large = candidate.area_m2 >= MACHINE_M2 or (candidate.height_m or 0.0) >= MACHINE_M
    paved = candidate.features.get("road", 0.0) > PAVED
    if work is Work.MACHINE and band is Band.OUTER and not large and (paved or not at_works):
        return None  # cars park by the road all along a pipeline, beside works too
    measured = None
    if work in {Work.EXCAVATION, Work.FILL} and candidate.height_m is not None:
        plain = Moved(abs(candidate.height_m), abs(candidate.height_m) * candidate.area_m2)
        measured = (moved(pair, candidate) if pair is not None else None) or plain
    from_m, to_m = corridor.stations(candidate.outline)
    share = float(candidate.outline.intersection(corridor.axis.buffer(corridor.outer_m)).area / candidate.outline.area)
    urgency = URGENCY[band, work]
    (work_zh, work_en), (band_zh, band_en) = WORK_TEXT[work], BAND_TEXT[band]
    name = " ".join(dict.fromkeys(p for p in (corridor.id, corridor.name) if p))
    place = stations(from_m, to_m)
    zh = [f"第三方施工：管道 {name} {place} {work_zh}", _far_zh(distance), f"{band_zh}，{URGENCY_TEXT[urgency][0]}处置"]
    en = [
        f"third-party works: {work_en} at {place} of {name}",
        _far_en(distance),
        f"{band_en}, to be seen to: {URGENCY_TEXT[urgency][1]}",
    ]
    if measured is not None:
        deep = ("深", "deep") if work is Work.EXCAVATION else ("高", "high")
        zh.insert(2, f"{deep[0]} {measured.depth_m:.1f} 米，约 {measured.volume_m3:.0f} 立方米")
        en.insert(2, f"{measured.depth_m:.1f} m {deep[1]}, about {measured.volume_m3:.0f} m3")
    if candidate.suppressed is not None:
        zh.append(f"在保护带外本会抑制（{candidate.suppressed.partition(':')[0]}）")
        en.append(f"would be held back outside a corridor ({candidate.suppressed.partition(':')[0]})")
    who = "，".join(p for p in (corridor.holder, corridor.contact) if p)
    if who:
        zh.append(f"管道单位：{who}")
        en.append(f"owner: {who}")
    return Alert(
        corridor=corridor,
        work=work,
        band=band,
        distance_m=distance,
        from_m=from_m,
        to_m=to_m,
        urgency=urgency,
        share=share,
        depth_m=measured.depth_m if measured else None,
        volume_m3=measured.volume_m3 if measured else None,
        zh="，".join(zh),
        en="; ".join(en),
    )


def _far_zh(distance_m: float) -> str:
    return "位于轴线上" if distance_m < 0.05 else f"距轴线 {distance_m:.1f} 米"


def _far_en(distance_m: float) -> str:
    return "across the axis" if distance_m < 0.05 else f"{distance_m:.1f} m from the axis"


def merged(axis: BaseGeometry) -> LineString | MultiLineString | None:
    """One line of a pipeline's pieces, end to end where they meet; None for what is no line."""
    if isinstance(axis, LineString):
        return axis
    if isinstance(axis, MultiLineString):
        whole = shapely.line_merge(axis, directed=True)  # chainage runs as it was drawn
        return whole if isinstance(whole, LineString | MultiLineString) else None
    return None


def chainage(text: str) -> float:
    """Metres of a stake's number: K12+300, 12+300, 12300. Raises ValueError."""
    plain = text.strip().upper().removeprefix("K").replace(" ", "")
    kilometres, plus, metres = plain.partition("+")
    value = float(kilometres) * 1000 + float(metres) if plus else float(plain)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
