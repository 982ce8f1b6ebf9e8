"""A made-up quarter of a town on two dates as a satellite or a high flight sees it: cells of 0.35 to 0.65 m, colours alone, drawn by faces.

`make(seed, index)` is a pure function. It is many times quicker than `training.scene`, which keeps heights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training import camera, ground, land
from training.camera import Sun
from training.ground import Plane
from training.land import Textures
from training.quarter import PLANS, SHARES, Lot, Plan, lots
from training.roofs import SHIFT, House, Sheet, covered, draw, shadows

SIZE = 256
FINER = 2
"""Cells drawn for each cell shown, along each side."""

CHANGED, OLD, NEW = 1, 2, 4
"""Bits of a label: a structure came or went; one stands on the earlier date; on the later."""

WILD, GRADED, EMPTY, BUILT = range(4)
"""What a lot is: open land, levelled with its street, a lot without a house, a house."""


@dataclass(frozen=True, slots=True)
class Crop:
    """uint8 `(n, n, 3)` before and after, uint8 `(n, n)` label bits."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    label: NDArray[np.uint8]
    gsd_m: float


def make(seed: int, index: int, textures: Textures | None = None) -> Crop:
    """One crop of a stream."""
    rng = np.random.default_rng([seed, index])
    gsd = float(np.exp(rng.uniform(math.log(0.35), math.log(0.65))))
    side, cell, n = SIZE * gsd, gsd / FINER, SIZE * FINER
    plan = PLANS[str(rng.choice(list(SHARES), p=list(SHARES.values())))]
    here = lots(rng, side, plan)
    states = _states(rng, here, side)
    wild = [cv2.resize(p, (n, n), interpolation=cv2.INTER_LINEAR) for p in land.open_land(rng, SIZE, gsd, textures)]
    woods = _woods(rng, n, cell)
    trees = _trees(rng, here, side, plan)
    tones = {name: np.asarray(ground.MATERIALS[name][0]) + rng.normal(0, 14) + rng.normal(0, 4, 3) for name in ground.MATERIALS}
    street = np.full(3, rng.uniform(90, 205)) * (1 + rng.normal(0, 0.03, 3))
    drive = np.full(3, rng.uniform(130, 235)) * (1 + rng.normal(0, 0.03, 3))
    soil = str(rng.choice(["soil", "sand", "gravel", "dry_grass"]))
    lot_ground = str(rng.choice(plan.ground))
    spots = int(rng.integers(1 << 30))
    pictures, roofs, other = [], [], []
    moved = (states[:, 0] == BUILT) != (states[:, 1] == BUILT)
    for date in (0, 1):
        of_date = np.random.default_rng([seed, index, date])
        sun = Sun(float(of_date.uniform(0, 6.3)), math.radians(float(of_date.uniform(28, 68))), float(of_date.uniform(0.3, 0.7)))
        lean = tuple(of_date.normal(0, 0.15, 2)) if of_date.random() < 0.6 else (0.0, 0.0)
        tints = {k: v + of_date.normal(0, 9) + of_date.normal(0, 4, 3) for k, v in tones.items()}
        grass = lot_ground if of_date.random() < 0.8 else ground.SEASONS.get(lot_ground, lot_ground)
        sheet = Sheet(np.ascontiguousarray(wild[date], np.float32), cell, sun, (float(lean[0]), float(lean[1])))
        laid = _laid(here, states[:, date], n, cell)
        sheet = Sheet(_wooded(of_date, sheet, woods, 1 - laid), cell, sun, sheet.lean)
        _paved(
            np.random.default_rng(spots),
            sheet,
            here,
            states[:, date],
            tints,
            {EMPTY: grass, BUILT: grass, GRADED: soil},
            street,
            drive,
        )
        houses = [lot.house for lot, state in zip(here, states[:, date], strict=True) if state == BUILT]
        sheet = _furnished(of_date, sheet, houses, here, states[:, date])
        mask = covered(sheet, houses)
        pictures.append(_treed(of_date, sheet, trees, mask))
        roofs.append(mask)
        other.append(
            covered(sheet, [k.house for k, m, state in zip(here, moved, states[:, date], strict=True) if m and state == BUILT])
        )
    label = _label(roofs, other)
    shown = [cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for p in pictures]
    nothing = np.zeros((SIZE, SIZE), np.float32)
    before, after, label, _, _ = camera.seen(rng, shown, label, nothing, nothing, astray=1.5)
    return Crop(before, after, label, gsd)


def _states(rng: np.random.Generator, here: list[Lot], side: float) -> NDArray[np.int64]:
    """`(lots, 2)`: what each lot is on each date. Towns grow by whole quarters, by single houses, or not at all."""
    count = len(here)
    x, y = np.array([k.x_m for k in here]), np.array([k.y_m for k in here])
    turn, filled = rng.uniform(0, 6.3), rng.uniform(0.6, 1.0)
    along = (x - side / 2) * math.cos(turn) + (y - side / 2) * math.sin(turn)
    town = along > rng.uniform(-0.75, 0.35) * side  # beyond it is open land on both dates
    later = np.where(town, np.where(rng.random(count) < filled, BUILT, EMPTY), WILD)
    before = later.copy()
    kind = rng.random()
    if kind < 0.45:  # a new quarter
        edge = rng.uniform(-0.2, 1.0) * side
        new = town & (along < edge if rng.random() < 0.8 else np.ones(count, bool))
        was = int(rng.choice([WILD, WILD, WILD, GRADED, EMPTY]))
        before[new] = was
        later[new & (rng.random(count) < rng.choice([0.0, 0.3]))] = GRADED
    elif kind < 0.78:  # single houses
        new = (later == BUILT) & (rng.random(count) < rng.choice([0.08, 0.25, 0.5]))
        before[new] = rng.choice([EMPTY, EMPTY, GRADED, WILD], int(new.sum()))
    return np.stack([before, later], 1)


def _label(roofs: list[NDArray[np.uint8]], moved: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The bits at the shown cell, of both dates' roofs and of those that came or went: one that only leans another way did not."""
    masks = [moved[0] | moved[1], *roofs]
    changed, old, new = (cv2.resize(r.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA) > 0.5 for r in masks)
    return (changed * CHANGED + old * OLD + new * NEW).astype(np.uint8)


def _woods(rng: np.random.Generator, n: int, cell: float) -> tuple[Plane, Plane, np.ndarray] | None:
    if rng.random() < 0.3:
        return None
    share, clump = float(rng.choice([0.04, 0.15, 0.4, 0.7])), float(np.exp(rng.uniform(math.log(1.5), math.log(7))))
    half = n // FINER
    cover, height = land.scrub(rng, half, cell * FINER, share=share, clump_m=clump)
    cover, height = (cv2.resize(p, (n, n), interpolation=cv2.INTER_LINEAR) for p in (cover, height))
    tint = np.array((58, 76, 46), np.float32) + rng.normal(0, 10) + rng.normal(0, 5, 3).astype(np.float32)
    return cover, height, tint


def _wooded(rng: np.random.Generator, sheet: Sheet, woods: tuple[Plane, Plane, np.ndarray] | None, keep: Plane) -> Plane:
    if woods is None or rng.random() < 0.06:
        return sheet.colour
    cover, height, tint = woods
    tint = tint + rng.normal(0, 8) + (np.array((44, 14, 22)) * rng.random() if rng.random() < 0.25 else rng.normal(0, 5, 3))
    return land.planted(sheet.colour, cover, height, tint.astype(np.float32), sheet.sun, sheet.cell_m, keep).astype(np.float32)


def _quad(lot: Lot) -> np.ndarray:
    a, b = lot.frontage_m / 2, lot.depth_m / 2
    c, s = math.cos(lot.yaw), math.sin(lot.yaw)
    return np.array([(-a, -b), (a, -b), (a, b), (-a, b)]) @ np.array([(c, s), (-s, c)]) + (lot.x_m, lot.y_m)


def _fixed(points: np.ndarray, cell: float) -> NDArray[np.int32]:
    return np.round((np.asarray(points) / cell - 0.5) * (1 << SHIFT)).astype(np.int32)


def _laid(here: list[Lot], states: NDArray[np.int64], n: int, cell: float) -> Plane:
    """Where lots and streets are no open land any more, 0..1."""
    mask = np.zeros((n, n), np.uint8)
    for lot, state in zip(here, states, strict=True):
        if state != WILD:
            cv2.fillConvexPoly(mask, _fixed(_quad(lot), cell), 1, cv2.LINE_8, SHIFT)
            cv2.polylines(mask, [_fixed(np.array(lot.street), cell)], False, 1, max(1, round(9 / cell)), cv2.LINE_8, SHIFT)
    return mask.astype(np.float32)


def _paved(
    rng: np.random.Generator,
    sheet: Sheet,
    here: list[Lot],
    states: NDArray[np.int64],
    tints: dict[str, np.ndarray],
    grounds: dict[int, str],
    street: np.ndarray,
    drive: np.ndarray,
) -> None:
    """Lots, fences, drives and streets, in place."""
    n, cell = sheet.colour.shape[0], sheet.cell_m
    paint, mask = sheet.colour.copy(), np.zeros((n, n), np.float32)
    thick = rng.uniform(0.5, 1.0)
    width = max(1, round(rng.uniform(5, 11) / cell))
    fenced, driven, edge = rng.random() < 0.5, rng.random() < 0.7, float(rng.uniform(40, 200))
    for lot, state in zip(here, states, strict=True):
        own = np.random.default_rng(lot.house.seed + 3)  # the same on both dates
        if state == WILD:
            continue
        quad = _fixed(_quad(lot), cell)
        tone = tints[grounds[int(state)]] * own.normal(1, 0.08) + own.normal(0, 4, 3)
        cv2.fillConvexPoly(paint, quad, tuple(map(float, tone)), cv2.LINE_AA, SHIFT)
        cv2.fillConvexPoly(mask, quad, 1.0 if state == GRADED else thick, cv2.LINE_8, SHIFT)
        if fenced and state != GRADED:
            cv2.polylines(paint, [quad], True, (edge, edge, edge), 1, cv2.LINE_AA, SHIFT)
        if state == BUILT and driven:
            _drive(own, paint, mask, lot, drive, cell)
        if state == EMPTY and own.random() < 0.08:  # a slab, or a heap's bare place: no house yet
            spot = _fixed((_quad(lot) - (lot.x_m, lot.y_m)) * own.uniform(0.3, 0.6) + (lot.x_m, lot.y_m), cell)
            cv2.fillConvexPoly(paint, spot, (float(own.uniform(120, 220)),) * 3, cv2.LINE_AA, SHIFT)
    for lot, state in zip(here, states, strict=True):
        if state != WILD:
            line = _fixed(np.array(lot.street), cell)
            cv2.polylines(paint, [line], False, tuple(map(float, street)), width, cv2.LINE_AA, SHIFT)
            cv2.polylines(mask, [line], False, 1.0, width, cv2.LINE_8, SHIFT)
    half = n // FINER
    grain = 0.05 * ground.noise(rng, half, 2.0 / cell / FINER) + 0.05 * ground.noise(rng, half, 8.0 / cell / FINER)
    grain = cv2.resize(grain + 0.03 * ground.noise(rng, half, 1), (n, n), interpolation=cv2.INTER_LINEAR)
    sheet.colour[:] = ground.over(sheet.colour, paint * (1 + grain)[..., None], mask)


def _drive(rng: np.random.Generator, paint: Plane, mask: Plane, lot: Lot, tone: np.ndarray, cell: float) -> None:
    """From the street to the house."""
    c, s = math.cos(lot.yaw), math.sin(lot.yaw)
    u = rng.uniform(-0.35, 0.35) * lot.frontage_m
    v0, v1 = -lot.side * (lot.depth_m / 2 + 4), 0.0
    ends = np.array([(u, v0), (u, v1)]) @ np.array([(c, s), (-s, c)]) + (lot.x_m, lot.y_m)
    for on, value in ((paint, tuple(map(float, tone))), (mask, 1.0)):
        cv2.polylines(on, [_fixed(ends, cell)], False, value, max(1, round(rng.uniform(2.5, 6) / cell)), cv2.LINE_AA, SHIFT)


def _furnished(rng: np.random.Generator, sheet: Sheet, houses: list[House], here: list[Lot], states: NDArray[np.int64]) -> Sheet:
    """Cars, pools and sheets on the ground, the shade of houses, then the houses, low ones first."""
    c = sheet.colour
    for lot, state in zip(here, states, strict=True):
        if state == WILD:
            continue
        for _ in range(int(rng.poisson(1.0))):
            length, width = (rng.uniform(4, 5.5), rng.uniform(1.8, 2.2)) if rng.random() < 0.85 else rng.uniform(2, 7, 2)
            x, y = np.array(lot.street[1]) + rng.normal(0, 0.35, 2) * (lot.frontage_m, lot.depth_m)
            box = cv2.boxPoints(((x, y), (length, width), math.degrees(lot.yaw + rng.choice([0, math.pi / 2]))))
            tone = np.full(3, rng.uniform(20, 245)) if rng.random() < 0.7 else rng.uniform(20, 235, 3)
            cv2.fillConvexPoly(c, _fixed(box, sheet.cell_m), tuple(map(float, tone)), cv2.LINE_AA, SHIFT)
        if rng.random() < 0.04:
            middle = (_fixed(np.array([(lot.x_m, lot.y_m)]), sheet.cell_m)[0] >> SHIFT).tolist()
            axes = (round(rng.uniform(2, 5) / sheet.cell_m), round(rng.uniform(1.5, 3) / sheet.cell_m))
            cv2.ellipse(c, (middle, (2 * axes[0], 2 * axes[1]), float(rng.uniform(0, 180))), (70.0, 150.0, 190.0), -1)
    dark = cv2.GaussianBlur(shadows(sheet, houses).astype(np.float32), (0, 0), 0.8)
    cool = np.array([0.92, 0.98, 1.08], np.float32)
    c *= 1 - dark[..., None] * (1 - np.float32(sheet.sun.dark * 0.8) * cool)
    for house in sorted(houses, key=lambda h: h.blocks[0].eave_m):
        draw(sheet, house)
    roof = covered(sheet, houses).astype(np.float32)
    half = c.shape[0] // FINER
    grain = cv2.resize(ground.noise(rng, half, 1) + ground.noise(rng, half, 3), (c.shape[1], c.shape[0]))
    c *= 1 + (0.03 * rng.random() * grain * roof)[..., None]
    return sheet


Trees = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Places `(n, 2)`, radii, and a draw 0..1 that decides which dates know the tree."""


def _trees(rng: np.random.Generator, here: list[Lot], side: float, plan: Plan) -> Trees:
    """Trees of gardens and streets."""
    busy = float(rng.choice([0.1, 0.5, 1.0])) * plan.trees
    places = [np.empty((0, 2))]
    for lot in here:
        k = int(rng.poisson(busy * 0.5))
        places.append(np.array([(lot.x_m, lot.y_m)]) + rng.uniform(-0.5, 0.5, (k, 2)) * max(lot.frontage_m, lot.depth_m))
    at = np.concatenate(places)[:400]
    return at, np.exp(rng.normal(math.log(2.4), 0.45, len(at))), rng.random(len(at))


def _treed(rng: np.random.Generator, sheet: Sheet, trees: Trees, roof: NDArray[np.uint8]) -> Plane:
    """Trees over all else, but not in the middle of a roof."""
    n, cell = sheet.colour.shape[0], sheet.cell_m
    at, radii, draws = trees
    cover = np.zeros((n, n), np.uint8)
    low = rng.choice([0.0, 0.0, 0.3, 0.7])
    grown = rng.uniform(0.6, 1.1)
    for (x, y), r, d in zip(at, radii, draws, strict=True):
        if low < d:
            for _ in range(3):
                dx, dy = rng.normal(0, 0.3 * r, 2)
                cv2.circle(cover, (int((x + dx) / cell), int((y + dy) / cell)), max(1, round(0.75 * r * grown / cell)), 1, -1)
    if not cover.any():
        return sheet.colour
    middle = cv2.erode(roof, np.ones((max(3, round(2.5 / cell)),) * 2, np.uint8))
    cover[middle > 0] = 0
    height = cv2.distanceTransform(cover, cv2.DIST_L2, 3) * np.float32(cell)
    rough = cv2.resize(ground.noise(rng, n // FINER, 1.5), (n, n))
    height = np.sqrt(np.minimum(height, 4) * 4) * (1 + 0.2 * rough)
    tint = np.array((64, 82, 50) if rng.random() < 0.8 else (112, 100, 86), np.float32) + rng.normal(0, 9) + rng.normal(0, 4, 3)
    soft = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 0.8)
    keep = 1 - middle.astype(np.float32)
    return land.planted(sheet.colour, soft, height, tint.astype(np.float32), sheet.sun, cell, keep).astype(np.float32)
