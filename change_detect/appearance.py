"""New things in orthos alone: even areas of a new colour with straight edges that were not there before.

A roof, seen from above, is one even colour that ends in long straight edges in two directions. Soil, traffic, wear and shadow change colour
too, but not like that. So regions are found by colour and judged by shape. Without heights this stays a weaker witness, and its
reasons say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from change_detect.candidate import Kind
from change_detect.raster import Layers, Mask
from change_detect.rules import Judgement
from change_detect.spectral import Colours, bare_soil, distance_beyond, edges

GSD_M = 0.5
"""Cell the orthos are compared at: roofs are metres wide, ribs and grain are not wanted."""


@dataclass(frozen=True, slots=True)
class AppearanceRule:
    """CIELAB distances: `sure` starts a region, `near` belongs to it, `even` is how far from its own colour a cell may be."""

    sure: float = 14.0
    near: float = 8.0
    even: float = 10.0
    edge: float = 6.0

    @property
    def reach_m(self) -> float:
        """How far a cell's answer looks around."""
        return 16 * GSD_M


@dataclass(frozen=True, slots=True)
class Look:
    """What was measured of one region; distances in CIELAB, shares 0..1."""

    area_m2: float
    length_m: float
    width_m: float
    moved: float
    contrast: float
    uneven: float
    rectangular: float
    straight: float
    edge_after: float
    edge_before: float
    lighter: float
    chroma_moved: float
    green: float
    was_even: float
    unseen: float
    lightness: float
    hue_a: float
    hue_b: float
    soil: float
    other_soil: float


def marks(before: Layers, after: Layers, rule: AppearanceRule) -> tuple[Mask, Mask]:
    """(sure, near) cells of one window: a new colour, and even enough to be a surface rather than clutter."""
    a, b = Colours.of(before.ortho, before.shown), Colours.of(after.ortho, after.shown)
    moved = cv2.blur(distance_beyond(a, b), (3, 3))
    calm = edges(b) < rule.edge
    near = cv2.morphologyEx(((moved > rule.near) & calm).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    sure = (cv2.erode((near & (moved > rule.sure)).astype(np.uint8), np.ones((3, 3), np.uint8))) > 0
    return sure, near


def body_of(after: Layers, near: Mask, rule: AppearanceRule) -> Mask:
    """The region's own even surface: cells of its usual colour, seams under a metre closed, side shoots cut, small holes filled."""
    lab = Colours.of(after.ortho, after.valid).lab
    usual = np.median(lab[near], axis=0)
    far = lab - usual
    same = np.sqrt((0.6 * far[..., 0]) ** 2 + far[..., 1] ** 2 + far[..., 2] ** 2) < rule.even
    reach = cv2.dilate(near.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    body = (same & reach & after.valid).astype(np.uint8)
    body = cv2.morphologyEx(body, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    body = cv2.morphologyEx(body, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body, connectivity=4)
    if count <= 1:
        return np.zeros_like(near)
    largest = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outlines, _ = cv2.findContours(largest, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    hole_cells = max(40, int(0.02 * largest.sum()))
    for ring in outlines:
        if cv2.contourArea(ring) < hole_cells:
            cv2.drawContours(largest, [ring], -1, 1, cv2.FILLED)
    return largest > 0


def look(before: Layers, after: Layers, body: Mask, gsd_m: float) -> Look:
    """Features of one region; all arrays cover the same window."""
    a, b = Colours.of(before.ortho, before.shown), Colours.of(after.ortho, after.shown)
    cells = body.astype(np.uint8)
    inner = cv2.erode(cells, np.ones((3, 3), np.uint8)) > 0
    inner = inner if inner.sum() > 10 else body
    outer = cv2.dilate(cells, np.ones((9, 9), np.uint8)) > 0
    ring = outer & ~(cv2.dilate(cells, np.ones((3, 3), np.uint8)) > 0) & b.valid
    new, old = np.median(b.lab[inner], axis=0), np.median(a.lab[inner], axis=0)
    beside = b.lab[ring] if ring.any() else new[None]
    away = beside - new
    rim = (cv2.dilate(cells, np.ones((3, 3), np.uint8)) - cv2.erode(cells, np.ones((3, 3), np.uint8))) > 0
    rows, cols = np.nonzero(body)
    (_, _), (w, h), _ = cv2.minAreaRect(np.column_stack([cols, rows]).astype(np.float32))
    length, width = (max(w, h) + 1) * gsd_m, (min(w, h) + 1) * gsd_m
    area = float(body.sum()) * gsd_m**2
    new_rgb = np.median(after.ortho[inner].astype(np.float64), axis=0)
    return Look(
        area_m2=area,
        length_m=length,
        width_m=width,
        moved=float(np.linalg.norm((new - old) * (0.5, 1, 1))),
        contrast=float(np.median(np.sqrt((0.5 * away[:, 0]) ** 2 + away[:, 1] ** 2 + away[:, 2] ** 2))),
        uneven=float(np.median(np.linalg.norm(b.lab[inner] - new, axis=1))),
        rectangular=area / max(length * width, 1e-6),
        straight=straightness(body),
        edge_after=_rim_edge(b, rim),
        edge_before=_rim_edge(a, rim),
        lighter=float(new[0] - old[0]),
        chroma_moved=float(np.hypot(new[1] - old[1], new[2] - old[2])),
        green=float((2 * new_rgb[1] - new_rgb[0] - new_rgb[2]) / max(new_rgb.sum(), 30.0)),
        was_even=float(np.median(np.linalg.norm(a.lab[inner] - old, axis=1))),
        unseen=1.0 - float(np.mean((before.valid & after.valid)[outer])),
        lightness=float(new[0]),
        hue_a=float(new[1]),
        hue_b=float(new[2]),
        soil=float(bare_soil(b)[inner].mean()),
        other_soil=float(bare_soil(a)[inner].mean()),
    )


def straightness(body: Mask) -> float:
    """Share of the outline that runs in long straight pieces along two perpendicular directions: 1 for any right-angled plan."""
    outlines, _ = cv2.findContours(body.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ring = max(outlines, key=cv2.contourArea)
    side = math.sqrt(float(body.sum()))
    thin = cv2.approxPolyDP(ring, max(1.6, 0.025 * side), closed=True)[:, 0, :].astype(np.float64)
    if len(thin) < 3:
        return 0.0
    d = np.diff(np.vstack([thin, thin[:1]]), axis=0)
    length = np.hypot(d[:, 0], d[:, 1])
    angle = np.arctan2(d[:, 1], d[:, 0])
    four = (length**2 * np.exp(4j * angle)).sum()
    off = np.abs(np.angle(np.exp(4j * angle) * np.conj(four))) / 4.0
    long = length >= max(4.0, 0.12 * side)
    return float(length[long & (off < math.radians(10))].sum() / length.sum())


def _rim_edge(colours: Colours, rim: Mask) -> float:
    """Share of the rim that carries a clear edge (over 4 CIELAB per cell within a cell of it)."""
    strong = cv2.dilate(edges(colours), np.ones((3, 3), np.uint8))
    return float(np.mean(strong[rim] > 4.0)) if rim.any() else 0.0


@dataclass(frozen=True, slots=True)
class LookLimits:
    """The numbers the rules compare with."""

    least_area_m2: float = 20.0
    contrast: float = 16.0
    straight: float = 0.45
    rim: float = 0.85
    green: float = 0.08
    paving_length_m: float = 30.0
    paving_ratio: float = 4.0
    least_score: float = 0.5
    concrete_chroma: float = 20.0  # toned onto a brown survey, concrete turns greenish: 15 to 17 (fort_collins)
    concrete_light: float = 45.0
    dark: float = 38.0


HOLDS: tuple[tuple[Kind, Callable[[Look, LookLimits], bool], Callable[[Look, LookLimits], str]], ...] = (
    (
        Kind.ARTEFACT,
        lambda f, _l: f.unseen > 0.15,
        lambda f, _l: f"edge_of_coverage: 位于影像边缘 / {f.unseen:.0%} of it and its rim is not seen on both dates",
    ),
    (
        Kind.VEGETATION,
        lambda f, li: f.green > li.green and f.lighter < 10,
        lambda f, _l: f"vegetation: 疑似植被 / green {f.green:+.2f}, no lighter than before",
    ),
    (
        Kind.IMAGE_CHANGE,
        lambda f, _l: f.lighter < -8 and f.chroma_moved < 0.5 * -f.lighter,
        lambda f, _l: (
            f"shadow_or_wet: 疑似阴影或潮湿 / darker by {-f.lighter:.0f} with hardly another colour ({f.chroma_moved:.0f})"
        ),
    ),
    (
        Kind.IMAGE_CHANGE,
        lambda f, li: f.length_m > li.paving_length_m and f.length_m / (f.area_m2 / f.length_m) > li.paving_ratio,
        lambda f, _l: (
            f"paving_suspected: 疑似铺装 / a strip {f.length_m:.0f} m long and {f.area_m2 / f.length_m:.0f} m wide; without heights no roof"
        ),
    ),
    (
        Kind.IMAGE_CHANGE,
        lambda f, li: f.contrast < li.contrast or f.edge_after < li.rim,
        lambda f, _l: (
            f"ground_suspected: 疑似地面变化 / stands out from its surroundings by {f.contrast:.0f} only, {f.edge_after:.0%} of its rim is an edge"
        ),
    ),
    (
        Kind.IMAGE_CHANGE,
        lambda f, li: f.straight < li.straight,
        lambda f, _l: f"no_straight_outline: 轮廓不规整 / {f.straight:.0%} of it is straight and right-angled",
    ),
    (
        Kind.IMAGE_CHANGE,
        lambda f, li: f.area_m2 < li.least_area_m2,
        lambda f, li: f"too_small: 面积过小 / {f.area_m2:.0f} m2 (limit {li.least_area_m2:.0f} m2)",
    ),
)
"""Why a region is held back; the first match wins."""

EVIDENCE: tuple[tuple[str, float, Callable[[Look], float]], ...] = (
    ("contrast", 0.30, lambda f: (f.contrast - 8.0) / 16.0),
    ("straight", 0.25, lambda f: (f.straight - 0.3) / 0.4),
    ("rim", 0.20, lambda f: (f.edge_after - 0.6) / 0.35),
    ("colour", 0.15, lambda f: (f.moved - 10.0) / 15.0),
    ("even", 0.10, lambda f: 1.0 - f.uneven / 6.0),
)
"""`score = 0.9 * size * sum(weight * clip(evidence, 0, 1))`, `size = clip(area / 200 m2, 0.5, 1)`: never as sure as with heights."""


def judge(f: Look, *, appeared: bool, limits: LookLimits) -> Judgement:
    """Kind, score and reasons of one region; `appeared` False for what was there before and is gone."""
    terms = [(name, weight * min(1.0, max(0.0, value(f)))) for name, weight, value in EVIDENCE]
    score = round(0.9 * min(1.0, max(0.5, f.area_m2 / 200.0)) * sum(t for _, t in terms), 3)
    reasons = (
        f"{'出现' if appeared else '消失'}一片均匀表面 / "
        f"{'a new even surface' if appeared else 'an even surface that is gone'} of {f.area_m2:.0f} m2 ({f.length_m:.0f} x {f.width_m:.0f} m), "
        "seen in the orthos alone: no heights were compared",
        f"颜色变化 {f.moved:.0f}，与周边差异 {f.contrast:.0f} / "
        f"colour moved by {f.moved:.0f}, differs from its surroundings by {f.contrast:.0f}; {f.edge_after:.0%} of its rim is an edge "
        f"({f.edge_before:.0%} on the other date), {f.straight:.0%} of its outline is straight and right-angled",
        "可信度构成 / score: " + ", ".join(f"{name} {term:.2f}" for name, term in terms),
    )
    for kind, when, says in HOLDS:
        if when(f, limits):
            return Judgement(kind, score, reasons, says(f, limits))
    if score < limits.least_score:
        return Judgement(
            Kind.IMAGE_CHANGE,
            score,
            reasons,
            f"weak_evidence: 无高程佐证且可信度低 / score {score:.2f} without heights (limit {limits.least_score:.2f})",
        )
    kind, why = kind_of(f, appeared=appeared, limits=limits)
    return Judgement(kind, score, (why, *reasons) if why else reasons, None)


def kind_of(f: Look, *, appeared: bool, limits: LookLimits) -> tuple[Kind, str]:
    """What an even surface with straight edges is, and in words what says so: concrete laid on bare earth is a foundation or floor."""
    if not appeared:
        if f.other_soil > 0.6 and (f.soil > 0.6 or f.lightness < limits.dark):
            return (
                Kind.EARTHWORK,
                "原为裸土或坑槽，现为裸土：土方 / soil or a dark pit before and soil now: earth moved, nothing pulled down",
            )
        return Kind.DEMOLISHED, ""
    grey = math.hypot(f.hue_a, f.hue_b) < limits.concrete_chroma and f.hue_b > -4.0 and f.lightness > limits.concrete_light
    if grey and f.other_soil > 0.6:
        return Kind.FOUNDATION, (
            "裸土上新出现灰色平整硬化面：疑似基础、底板（建设阶段：基础），无高程不能排除平屋顶 / "
            "an even grey slab where bare soil was: a foundation or floor (stage: foundation); without heights a flat roof is not ruled out"
        )
    return Kind.IMAGE_CHANGE, ""
