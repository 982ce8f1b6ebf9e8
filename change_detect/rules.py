"""What a measured change is, how sure that is, and why it may be held back: three tables read top to bottom.

Every limit is a physical statement about roofs, leaves and vehicles, not a fit to one place. A held-back candidate keeps its outline,
height and score; the sentence says why, and a reviewer can take it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from change_detect.candidate import Kind
from change_detect.height import sliver_m
from change_detect.measure import Features


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers the rules compare with; metres and square metres."""

    least_area_m2: float = 5.0
    strip_m: float = 1.5
    roof_rough_m: float = 0.12
    roof_planar: float = 0.55
    roof_rectangular: float = 0.45
    leaf_green: float = 0.08
    vehicle_gain_m: tuple[float, float] = (0.9, 3.2)
    vehicle_length_m: tuple[float, float] = (3.0, 12.5)
    vehicle_width_m: float = 3.0
    car_m: tuple[float, float, float] = (5.3, 2.2, 1.75)  # length, width, height that no private car exceeds by much
    road_grey: float = 0.25
    high_m: float = 2.0
    shed_m2: float = 30.0
    shed_m: float = 3.2
    earth_area_m2: float = 30.0  # within half their height; banks of 50 m2 on the ground
    earth_rough_m: float = 0.20  # heaps and tracks stay below, crowns are above
    foundation_m: float = 1.2
    foundation_m2: float = 30.0
    soil: float = 0.5
    bank_m: float = 2.0


RAGGED = "not_a_structure"
"""How the reason of what is too rough for a roof begins: over a known foundation these are walls."""

_CONTAINER_LENGTHS_M = (6.06, 12.19)
_CONTAINER_WIDTH_M = 2.44
_CONTAINER_HEIGHTS_M = (2.59, 2.90)
_CONTAINER_SLACK_M = 0.7  # a surface smears both ends outwards


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of one change."""

    kind: Kind
    score: float
    reasons: tuple[str, ...]
    suppressed: str | None


@dataclass(frozen=True, slots=True)
class _Hold:
    name: str
    kind: Kind
    when: Callable[[Features, Limits, float], bool]
    says: Callable[[Features, Limits], str]


def _green(f: Features, limits: Limits) -> bool:
    return max(f.green_before, f.green_after) > limits.leaf_green


def _ragged(f: Features, limits: Limits) -> bool:
    return f.rough_m > limits.roof_rough_m or f.planar < limits.roof_planar or f.rectangular < limits.roof_rectangular


def _leafy(f: Features, limits: Limits) -> bool:
    """Green and not clearly a roof: where leaves are, a plane has to be proved (green colour-steel proves it: 90 % planar, 2 cm rough)."""
    if not _green(f, limits):
        return False
    green_now = f.green_after > limits.leaf_green
    doubtful = f.planar < limits.roof_planar + 0.1 or f.rough_m > 0.75 * limits.roof_rough_m or f.rough_m > 0.06 * f.gain_m
    return _ragged(f, limits) or _was_ragged(f, limits) or (green_now and doubtful)


def _was_ragged(f: Features, limits: Limits) -> bool:
    return f.stood_m > 1.0 and f.stood_rough_m > 3 * limits.roof_rough_m


def _is_container(f: Features) -> bool:
    """The size and the lid of an ISO 668 box: 20 or 40 feet long, 8 wide, 8'6" or 9'6" high, flat as steel. Lorries are longer or shorter,
    and none is flat from end to end."""
    flat = f.rough_m < 0.03 and f.planar > 0.95
    width = f.area_m2 / f.length_m
    return (
        flat
        and min(abs(f.length_m - long_m) for long_m in _CONTAINER_LENGTHS_M) < _CONTAINER_SLACK_M
        and abs(width - _CONTAINER_WIDTH_M) < 0.4
        and min(abs(f.gain_m - high_m) for high_m in _CONTAINER_HEIGHTS_M) < 0.13
    )


def _is_vehicle(f: Features, limits: Limits, sigma_xy_m: float) -> bool:
    smear = 2 * sliver_m(sigma_xy_m)  # a surface smears both edges outwards
    width = f.area_m2 / f.length_m
    alone = f.stood_m < 1.0 and f.beside_high < 0.15
    in_size = (
        limits.vehicle_gain_m[0] <= f.gain_m <= limits.vehicle_gain_m[1]
        and limits.vehicle_length_m[0] <= f.length_m <= limits.vehicle_length_m[1] + smear
        and width <= limits.vehicle_width_m + smear
    )
    # a car may stand anywhere; what is larger is a vehicle only where vehicles stand, if long and narrow or as low as only a car is
    is_car = f.gain_m < limits.car_m[2] and f.length_m <= limits.car_m[0] + smear and width <= limits.car_m[1] + smear
    is_lorry = f.road > limits.road_grey and (f.length_m / width >= 1.6 or f.gain_m < limits.car_m[2])
    return alone and in_size and (is_car or is_lorry) and not _is_container(f)


HOLDS: tuple[_Hold, ...] = (
    _Hold(
        "edge of coverage",
        Kind.ARTEFACT,
        lambda f, _l, _s: f.unseen > 0.15,
        lambda f, _l: (
            f"edge_of_coverage: 位于影像边缘，{f.unseen:.0%} 未在两期都看到 / {f.unseen:.0%} of it and its rim is not seen on both dates"
        ),
    ),
    _Hold(
        "not measured",
        Kind.ARTEFACT,
        lambda f, _l, _s: f.unmeasured > 0.5,
        lambda f, _l: (
            f"surface_bridged: 此处 {f.unmeasured:.0%} 的高程为内插 / {f.unmeasured:.0%} of the surface here was filled in, not measured"
        ),
    ),
    _Hold(
        "leaves",
        Kind.VEGETATION,
        lambda f, li, _s: _leafy(f, li),
        lambda f, _l: (
            f"vegetation: 疑似植被，表面粗糙 {f.rough_m:.2f} 米 / green {f.green_before:+.2f} before, {f.green_after:+.2f} after; surface rough by {f.rough_m:.2f} m, "
            f"{f.planar:.0%} of it planar"
        ),
    ),
    _Hold(
        "strip",
        Kind.ARTEFACT,
        lambda f, li, _s: f.area_m2 / f.length_m < li.strip_m,
        lambda f, _l: (
            f"narrow_strip: 窄条，疑似边缘、围栏或墙 / {f.area_m2 / f.length_m:.1f} m wide on average along {f.length_m:.0f} m: an edge seen twice, a fence or a wall"
        ),
    ),
    _Hold(
        "ragged",
        Kind.ARTEFACT,
        lambda f, li, _s: _ragged(f, li) or _was_ragged(f, li),
        lambda f, _l: (
            f"{RAGGED}: 表面不平整，不像建筑 / surface rough by {f.rough_m:.2f} m ({f.stood_rough_m:.2f} m under it), {f.planar:.0%} planar, "
            f"{f.rectangular:.0%} of its rectangle"
        ),
    ),
    _Hold(
        "vehicle",
        Kind.VEHICLE,
        _is_vehicle,
        lambda f, _l: (
            f"vehicle_suspected: 疑似车辆，大小相当且独立停放；若无车轮请转研判 / "
            f"{f.length_m:.1f} x {f.width_m:.1f} x {f.gain_m:.1f} m, stands alone like a vehicle; take it back if it has no wheels"
        ),
    ),
    _Hold(
        "small",
        Kind.SHED_OR_CONTAINER,
        lambda f, li, _s: f.area_m2 < li.least_area_m2,
        lambda f, li: f"too_small: 面积过小 / {f.area_m2:.1f} m2 (limit {li.least_area_m2:.0f} m2)",
    ),
)
"""First match wins."""


_NOT_OF_EARTH = frozenset({"leaves", "ragged", "vehicle"})
"""What earth is let off: a heap is no plane, and a meadow that was dug up was green."""


EVIDENCE: tuple[tuple[str, float, Callable[[Features], float]], ...] = (
    ("height", 0.25, lambda f: (f.gain_m - 1.0) / 1.5),
    ("planar", 0.25, lambda f: (f.planar - 0.4) / 0.4),
    ("smooth", 0.20, lambda f: 1.0 - f.rough_m / 0.15),
    ("shape", 0.15, lambda f: (f.rectangular - 0.4) / 0.4),
    ("noise", 0.10, lambda f: (f.z - 3.0) / 7.0),
    ("colour", 0.05, lambda f: f.colour / 15.0),
)
"""`score = size * sum(weight * clip(evidence, 0, 1))`, `size = clip(area / 10 m2, 0.5, 1)`."""


def judge(f: Features, *, rose: bool, sigma_xy_m: float, limits: Limits) -> Judgement:
    """Kind, score and reasons of one change that passed the height test; `rose` False when it was lost."""
    terms = [(name, weight * min(1.0, max(0.0, value(f)))) for name, weight, value in EVIDENCE]
    score = round(min(1.0, max(0.5, f.area_m2 / 10.0), 1.0) * sum(t for _, t in terms), 3)
    score = min(1.0, score)
    kind = kind_of(f, rose=rose, limits=limits)
    reasons = (
        f"{'升高' if rose else '降低'} {f.gain_m:.1f} 米，{f.area_m2:.0f} 平方米 / "
        f"{'rose' if rose else 'fell'} by {f.gain_m:.1f} m over {f.area_m2:.0f} m2 ({f.length_m:.1f} x {f.width_m:.1f} m), {f.z:.0f} times its noise",
        f"平整度 {f.planar:.0%}，矩形度 {f.rectangular:.0%} / {f.planar:.0%} planar, rough by {f.rough_m:.2f} m, fills {f.rectangular:.0%} of its rectangle",
        f"前期高出周边地面 {f.stood_m:+.1f} 米，{f.beside_high:.0%} 的边缘与高物相接 / "
        f"stood {f.stood_m:+.1f} m over the ground around; {f.beside_high:.0%} of its rim touches something high",
        f"周边 {f.road:.0%} 为灰色铺装，颜色变化 {f.colour:.0f} / ground {f.road:.0%} grey; colour moved by {f.colour:.0f}",
        "规则依据 / evidence: " + ", ".join(f"{name} {term:.2f}" for name, term in terms),
    )
    earth = kind is Kind.EARTHWORK and earthen(f, limits, rose=rose)
    for hold in HOLDS:
        if earth and hold.name in _NOT_OF_EARTH:
            continue
        if hold.when(f, limits, sigma_xy_m):
            return Judgement(hold.kind, score, reasons, hold.says(f, limits))
    return Judgement(kind, score, reasons, None)


def dug(stood_m: float, gain_m: float) -> bool:
    """Whether the lower of two surfaces lies below the ground around by a fifth of the change (0.15 to 0.3 m): a pit dug, or one filled.

    What is pulled down ends at the ground; so this tells excavation from demolition, however deep and steep it is.
    """
    return stood_m < -min(0.3, max(0.15, 0.2 * gain_m))


def low_bank(f: Features, limits: Limits) -> bool:
    """Whether something is too low for a roof and has the colour of soil: a bank or heap, however steep its sides."""
    return f.gain_m < limits.bank_m and f.soil > limits.soil and f.stood_m < 1.2 and f.area_m2 >= limits.foundation_m2


def earthen(f: Features, limits: Limits, *, rose: bool) -> bool:
    """Earth in a quantity that matters, and nothing that leaves could be: what is no plane is no roof, but it may be a pit or a fill."""
    green_now = f.green_after if rose else f.green_before  # `measure` calls the lower surface the earlier one
    shaped = dug(f.stood_m, f.gain_m) or (rose and low_bank(f, limits)) or (f.steep < 0.5 and f.gain_m < 3.0)
    return shaped and f.area_m2 >= limits.earth_area_m2 and f.rough_m < limits.earth_rough_m and green_now < limits.leaf_green


def kind_of(f: Features, *, rose: bool, limits: Limits) -> Kind:
    """The table of kinds, top to bottom."""
    if dug(f.stood_m, f.gain_m) or (f.steep < 0.5 and f.gain_m < 3.0):  # a structure ends in a wall, earth ends in a slope
        return Kind.EARTHWORK
    if not rose:
        return Kind.DEMOLISHED
    if low_bank(f, limits):
        return Kind.EARTHWORK
    if f.gain_m < limits.foundation_m and f.area_m2 >= limits.foundation_m2 and f.stood_m < 1.0 and f.beside_high <= 0.15:
        return Kind.FOUNDATION  # flat, low and with upright sides: a slab or the first courses
    if f.stood_m > limits.high_m and f.stood_rough_m < 2 * limits.roof_rough_m:
        return Kind.ROOF_ADDITION
    if f.beside_high > 0.15:
        return Kind.EXTENSION
    if f.area_m2 < limits.shed_m2 and f.gain_m < limits.shed_m:
        return Kind.SHED_OR_CONTAINER
    return Kind.NEW_BUILDING
