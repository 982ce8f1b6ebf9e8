"""Streets: the bent grid of a small town, what fills the blocks between them, and what lies on the asphalt."""

from __future__ import annotations

import math

import numpy as np

from simulator import blocks
from simulator.blocks import Layout
from simulator.soil import Look

Extent = tuple[float, float, float, float]


def within(extent: Extent, x: float, y: float, inset: float) -> bool:
    """Whether a place lies inside, at least `inset` metres from the edge."""
    return extent[0] + inset < x < extent[2] - inset and extent[1] + inset < y < extent[3] - inset


def _lines(rng: np.random.Generator, low: float, high: float, pitch: float) -> list[float]:
    count = max(2, round((high - low) / pitch))
    lines = np.linspace(low, high, count + 1) + rng.uniform(-3.0, 3.0, count + 1)
    return [float(v) for v in lines]


def lay_out(plan: Layout, extent: Extent, flown: Extent) -> None:
    """The grid of streets and what fills each block."""
    reach_u, reach_v = extent[2] * 1.1 + 30, extent[3] * 1.1 + 30
    us, vs = _lines(plan.rng, -reach_u, reach_u, 57.0), _lines(plan.rng, -reach_v, reach_v, 45.0)
    main_u = min(range(len(us)), key=lambda i: abs(us[i] + 0.12 * flown[2]))
    main_v = min(range(len(vs)), key=lambda i: abs(vs[i] - 0.3 * flown[3]))
    half_u = [5.6 if i == main_u else 2.4 for i in range(len(us))]
    half_v = [3.9 if i == main_v else 2.2 for i in range(len(vs))]
    deck = [
        "village",
        "village",
        "workshops",
        "village_flat",
        "fields",
        "village",
        "apartments",
        "village_flat",
        "court",
        "village",
    ]
    outer = ["village", "village_flat", "fields", "village", "fields", "apartments", "village", "workshops"]
    dealt = 0
    for j in range(len(vs) - 1):
        for i in range(len(us) - 1):
            walk = 2.6
            low = us[i] + half_u[i] + (walk if i == main_u else 0.5)
            high = us[i + 1] - half_u[i + 1] - (walk if i + 1 == main_u else 0.5)
            box_m = (low, vs[j] + half_v[j] + 0.6, high, vs[j + 1] - half_v[j + 1] - 0.6)
            x, y = plan.bend.at((low + high) / 2, (box_m[1] + box_m[3]) / 2)
            central = within(flown, x, y, -12.0)
            if central:
                kind = deck[dealt % len(deck)]
                dealt += 1
            else:
                if not within(extent, x, y, -45.0):
                    continue
                kind = outer[int(plan.rng.integers(len(outer)))]
            if i == main_u and kind != "court":
                blocks.shop_row(plan, low + 4.9, box_m[1], box_m[3], 1)
                box_m = (low + 11.5, *box_m[1:])
            _fill(plan, kind, box_m, central)
    _pave(plan, us, vs, half_u, half_v, main_u, main_v)


def _fill(plan: Layout, kind: str, box_m: blocks.Box, central: bool) -> None:
    match kind:
        case "village":
            blocks.village(plan, box_m, vacant=central or plan.chance(0.4))
        case "village_flat":
            blocks.village(plan, box_m, vacant=plan.chance(0.3), flat_share=0.6)
        case "apartments":
            blocks.apartments(plan, box_m)
        case "workshops":
            blocks.workshops(plan, box_m)
        case "fields":
            blocks.fields(plan, box_m)
        case _:
            blocks.court(plan, box_m)


def _pave(
    plan: Layout, us: list[float], vs: list[float], half_u: list[float], half_v: list[float], main_u: int, main_v: int
) -> None:
    """Asphalt and concrete, lines, zebra crossings, street trees, parked cars, poles."""
    white, yellow = (1.0, 1.0, 1.0), (1.0, 0.82, 0.3)
    u_ends, v_ends = (us[0], us[-1]), (vs[0], vs[-1])
    for j, v in enumerate(vs):
        h = half_v[j]
        plan.lay((u_ends[0], v - h, u_ends[1], v + h), Look.ASPHALT if j % 2 == 0 or j == main_v else Look.CONCRETE)
        for u in np.arange(u_ends[0] + 9, u_ends[1], 7.3):
            if min(abs(float(u) - w) for w in us) <= 8:
                continue
            if plan.chance(0.3):
                plan.tree(float(u) + 3.2, v + (h + 0.5) * (1 if plan.chance(0.5) else -1), 2.4, 4.2)
            if plan.chance(0.5):
                plan.park(float(u), v + (h - 1.1) * (1 if plan.chance(0.5) else -1), 0.0)
    for i, u in enumerate(us):
        h = half_u[i]
        if i == main_u:
            plan.lay((u - h - 2.5, v_ends[0], u + h + 2.5, v_ends[1]), Look.PAVERS)
        plan.lay((u - h, v_ends[0], u + h, v_ends[1]), Look.ASPHALT if i % 2 == 0 or i == main_u else Look.CONCRETE)
        if i == main_u:
            continue
        for v in np.arange(v_ends[0] + 12, v_ends[1], 9.0):
            near = min(abs(float(v) - w) for w in vs)
            if near > 8 and plan.chance(0.4):
                plan.park(u + 1.3, float(v), math.pi / 2)
            elif near > 6 and plan.chance(0.3):
                plan.put("pole", u - h - 0.2, float(v), 0.3, 0.3, 8.5)
    u, h = us[main_u], half_u[main_u]
    for side in (-1, 1):
        plan.lay((u + side * 0.16 - 0.06, v_ends[0], u + side * 0.16 + 0.06, v_ends[1]), Look.LINE, tint=yellow)
        plan.lay((u + side * (h - 0.3) - 0.06, v_ends[0], u + side * (h - 0.3) + 0.06, v_ends[1]), Look.LINE, tint=white)
    for v in np.arange(v_ends[0], v_ends[1], 6.0):
        for side in (-1, 1):
            plan.lay((u + side * h / 2 - 0.06, float(v), u + side * h / 2 + 0.06, float(v) + 3.0), Look.LINE, tint=white)
    for v in np.arange(v_ends[0] + 5, v_ends[1], 7.5):
        near = min(abs(float(v) - w) for w in vs)
        if near > 8:
            for side in (-1, 1):
                plan.tree(u + side * (h + 1.3), float(v) + plan.between(-0.6, 0.6), 2.4, 3.6)
                if plan.chance(0.5):
                    plan.park(u + side * (h - 1.4), float(v) + 3.5, math.pi / 2)
    for j, v in enumerate(vs):  # the crossing itself, then its zebras
        plan.lay((u - h, v - half_v[j] - 0.2, u + h, v + half_v[j] + 0.2), Look.ASPHALT, tint=(1, 1, 1))
        for side in (-1, 1):
            for k in np.arange(-h + 0.5, h - 0.4, 0.95):
                edge = v + side * (half_v[j] + 2.4)
                plan.lay((u + float(k), edge - 1.5, u + float(k) + 0.45, edge + 1.5), Look.LINE, tint=white)
