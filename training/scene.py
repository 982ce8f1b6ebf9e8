"""A made-up place on two dates: what stands there, what was built or pulled down, and what only looks like it; drawn from above.

`make(seed, index)` is a pure function: the same numbers give the same crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training import camera, ground
from training.ground import Plane
from training.things import Canvas, Thing, corners, roof_colour

SIZE = 256

#                      length        width        height      share of the structures
PLANS: dict[str, tuple[tuple[tuple[float, float], tuple[float, float], tuple[float, float], str], ...]] = {
    "suburb": (
        ((14, 24), (10, 16), (4.5, 8), "hip"),
        ((14, 24), (11, 18), (4.5, 8), "ell"),
        ((12, 20), (8, 13), (4.5, 9), "gable"),
    ),
    "village": (
        ((8, 14), (6, 10), (4, 9), "gable"),
        ((7, 14), (6, 11), (3, 10), "flat"),
        ((4, 9), (3, 5), (2.4, 3.4), "mono"),
    ),
    "works": (
        ((20, 70), (12, 40), (5, 12), "flat"),
        ((15, 60), (10, 30), (5, 11), "ribbed"),
        ((15, 50), (10, 24), (5, 11), "gable"),
        ((10, 40), (6, 10), (2.5, 4.5), "barrel"),
    ),
    "small": (
        ((2.5, 7), (2.2, 5), (2.0, 3.2), "mono"),
        ((6.06, 6.06), (2.44, 2.44), (2.6, 2.6), "container"),
        ((3, 8), (3, 6), (2.4, 3.4), "flat"),
        ((3, 9), (2.5, 5), (2.2, 3.4), "ribbed"),
        ((3, 8), (3, 6), (2.5, 4), "gable"),
    ),
}
DECOYS: tuple[tuple[str, tuple[float, float], tuple[float, float], tuple[float, float], int], ...] = (
    # kind, length, width, height, how many per hectare at most
    ("car", (3.8, 5.2), (1.7, 2.0), (1.4, 1.8), 40),
    ("tarpaulin", (2, 9), (2, 6), (0.05, 0.5), 12),
    ("pile", (2, 10), (2, 8), (0.5, 2.5), 8),
    ("slab", (3, 16), (3, 10), (0.02, 0.1), 8),
    ("bush", (0.8, 2.5), (0.8, 2.5), (0.6, 1.8), 40),
    ("crown", (3, 10), (3, 10), (3, 11), 60),
)


@dataclass(frozen=True, slots=True)
class Crop:
    """uint8 `(n, n, 3)` before and after, float16 `(n, n)` height difference and its sigma (0 and infinity unknown), uint8 label."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    dz: NDArray[np.float16]
    sigma: NDArray[np.float16]
    label: NDArray[np.uint8]
    gsd_m: float


def make(seed: int, index: int, backgrounds: camera.Backgrounds | None = None) -> Crop:
    """One crop of a stream."""
    rng = np.random.default_rng([seed, index])
    gsd = float(np.exp(rng.uniform(math.log(0.10), math.log(0.55))))
    real = backgrounds.draw(rng, SIZE) if backgrounds is not None and rng.random() < 0.2 else None
    if real is not None:
        gsd = real.gsd_m
    side = SIZE * gsd
    plan = str(rng.choice(["suburb", "village", "works", "small"], p=_plans(side)))
    if real is not None:
        plan = "small"
    lots = _lots(rng, side, plan)
    quiet = rng.random() < 0.2  # nothing is built: half of what a patrol sees
    rebuilt = rng.random() < (0.55 if not quiet else 0.15)
    standing, came, gone = _built(rng, lots, side, plan, quiet)
    leans = [tuple(rng.normal(0, 0.16, 2)) if rng.random() < 0.45 else (0.0, 0.0) for _ in range(2)]
    leaning = any(math.hypot(*lean) > 0.02 for lean in leans)
    if real is not None:
        floors = [real.before, real.after]
        standing = []
    else:
        floors = list(ground.pair(rng, SIZE, gsd, rebuilt=rebuilt))
        floors = _streets(rng, floors, lots, side, gsd, rebuilt and bool(came))
    same, other = _decoys(rng, side, bool(real is None), plan)
    suns = [_sun(rng) for _ in range(2)]
    if real is not None:
        suns = [replace(real.sun, dark=s.dark) for s in suns]
    pictures, heights = [], []
    for date, floor in enumerate(floors):
        canvas = Canvas(floor.astype(np.float32).copy(), np.zeros((SIZE, SIZE), np.float32), gsd)
        only = came if date else gone
        late = np.random.default_rng([seed, index, date])
        repainted = [_painted(late, t) if date and late.random() < 0.12 else t for t in standing]
        shown = [*repainted, *only, *same, *other[date]]
        for thing in sorted(shown, key=lambda t: t.base_m + t.height_m):
            canvas.draw(thing, leans[date])  # type: ignore[arg-type]
        pictures.append(camera.lit(canvas.colour, canvas.height, suns[date], gsd, flat_is_lit=real is not None))
        heights.append(canvas.height)
    label = np.zeros((SIZE, SIZE), np.uint8)
    for date, things in ((0, gone), (1, came)):
        for t in things:
            dx, dy = (a * (t.height_m + t.base_m) for a in leans[date])
            _fill(label, t, dx, dy, gsd)
    dz, sigma = _heights(rng, heights, gsd, known=not leaning and real is None)
    before, after, label, dz, sigma = camera.seen(rng, pictures, label, dz, sigma)
    return Crop(before, after, dz.astype(np.float16), sigma.astype(np.float16), label, gsd)


def _plans(side: float) -> list[float]:
    if side < 45:
        return [0.25, 0.3, 0.1, 0.35]
    return [0.5, 0.22, 0.2, 0.08]


def _lots(rng: np.random.Generator, side: float, plan: str) -> list[tuple[float, float, float]]:
    """Places (east, south, yaw) in rows along streets of one direction."""
    yaw = float(rng.uniform(0, math.pi) if rng.random() < 0.6 else rng.choice([0.0, math.pi / 2]) + rng.normal(0, 0.03))
    low, high = {"suburb": (19, 27), "village": (12, 20), "works": (35, 80), "small": (7, 16)}[plan]
    along, deep = rng.uniform(low, high), rng.uniform(low, high) * rng.uniform(1.0, 1.5)
    c, s = math.cos(yaw), math.sin(yaw)
    n = math.ceil(side / min(along, deep)) + 1
    shift = rng.uniform(0, 1, 2)
    lots = []
    for i in range(-n, n + 1):
        for j in range(-n, n + 1):
            street = (j // 2) * 9.0 if plan in ("suburb", "village") else 0.0  # two rows back to back, then a street
            u = (i + shift[0]) * along + rng.normal(0, 0.06 * along)
            v = (j + shift[1]) * deep + street + rng.normal(0, 0.05 * deep)
            x, y = side / 2 + u * c - v * s, side / 2 + u * s + v * c
            if -5 < x < side + 5 and -5 < y < side + 5:
                lots.append((x, y, yaw + float(rng.choice([0.0, 0.0, math.pi / 2])) + rng.normal(0, 0.03)))
    return lots


def _structure(rng: np.random.Generator, plan: str, x: float, y: float, yaw: float) -> Thing:
    lengths, widths, heights, kind = PLANS[plan][int(rng.integers(len(PLANS[plan])))]
    length, width, height = (float(rng.uniform(*r)) for r in (lengths, widths, heights))
    return Thing(kind, x, y, yaw, length, min(width, length), height, roof_colour(rng, kind), int(rng.integers(1 << 30)))


def _built(
    rng: np.random.Generator, lots: list[tuple[float, float, float]], side: float, plan: str, quiet: bool
) -> tuple[list[Thing], list[Thing], list[Thing]]:
    """(standing on both dates, came, gone): changes come in neighbourhoods, or singly."""
    wave = rng.uniform(0, 2 * math.pi)
    cut = rng.uniform(-0.6, 0.6) * side if rng.random() < 0.6 else None
    share = float(rng.choice([0.15, 0.4, 0.8]))
    standing: list[Thing] = []
    came: list[Thing] = []
    gone: list[Thing] = []
    filled = rng.uniform(0.5, 1.0)
    went = rng.random() < 0.15
    for x, y, yaw in lots:
        if rng.random() > filled:
            continue
        thing = _structure(rng, plan, x, y, yaw)
        newer = cut is None or (x - side / 2) * math.cos(wave) + (y - side / 2) * math.sin(wave) > cut
        if not quiet and newer and rng.random() < share:
            (gone if went and rng.random() < 0.7 else came).append(thing)
            if rng.random() < 0.06:  # pulled down, and another one built there
                gone.append(replace(_structure(rng, plan, x + rng.normal(0, 2), y, yaw + 0.1)))
        elif cut is None or not newer or rng.random() < 0.5:
            standing.append(thing)
            if not quiet and rng.random() < 0.15:
                came.append(_beside(rng, thing))
    return standing, came, gone


def _beside(rng: np.random.Generator, house: Thing) -> Thing:
    """A room on a flat roof, or against the house."""
    new = _structure(rng, "small", house.x_m, house.y_m, house.yaw)
    room = min(house.width_m, house.length_m)
    new = replace(new, length_m=min(new.length_m, 0.7 * room), width_m=min(new.width_m, 0.6 * room))
    if house.kind == "flat":
        u = rng.uniform(-1, 1) * (house.length_m - new.length_m) / 2
        v = rng.uniform(-1, 1) * (house.width_m - new.width_m) / 2
        base = house.height_m
    else:
        u = rng.uniform(-1, 1) * house.length_m / 2
        v = float(rng.choice([-1, 1])) * (house.width_m + new.width_m) / 2
        base = 0.0
    c, s = math.cos(house.yaw), math.sin(house.yaw)
    return replace(new, x_m=house.x_m + u * c - v * s, y_m=house.y_m + u * s + v * c, base_m=base)


def _streets(
    rng: np.random.Generator, floors: list[Plane], lots: list[tuple[float, float, float]], side: float, gsd: float, new: bool
) -> list[Plane]:
    """Streets, drives and yards on both dates or on the later one alone: new paving is no structure."""
    if not lots:
        return floors
    yaw = lots[0][2]
    along = np.array([math.cos(yaw), math.sin(yaw)])
    size = floors[0].shape[0]
    for _ in range(int(rng.integers(0, 4))):
        at = rng.uniform(0, side, 2)
        way = along if rng.random() < 0.6 else along[::-1] * (1, -1)
        mask = ground.line(size, gsd, np.stack([at - way * 2 * side, at, at + way * 2 * side]), rng.uniform(3, 10))
        paving = ground.material(rng, str(rng.choice(["asphalt", "concrete", "gravel", "soil"])), size, gsd)
        floors[1] = ground.over(floors[1], paving, mask)
        if not new and rng.random() < 0.85:
            floors[0] = ground.over(floors[0], paving, mask)
    if rng.random() < 0.6:  # a drive to each lot
        paving = ground.material(rng, str(rng.choice(["concrete", "asphalt", "gravel"])), size, gsd)
        mask = np.zeros((size, size), np.float32)
        for x, y, turn in lots:
            end = np.array([math.cos(turn + math.pi / 2), math.sin(turn + math.pi / 2)]) * 16
            mask = np.maximum(
                mask, ground.line(size, gsd, np.stack([np.array([x, y]), np.array([x, y]) + end]), rng.uniform(3, 6))
            )
        floors[1] = ground.over(floors[1], paving, mask)
        if not new:
            floors[0] = ground.over(floors[0], paving, mask)
    if rng.random() < 0.1:
        water = ground.blotches(rng, size, gsd, 30.0, rng.uniform(0.1, 0.35))
        tint = np.asarray([70, 92, 92], np.float32) + rng.normal(0, 15, 3).astype(np.float32)
        for date in (0, 1):
            level = np.clip(water + rng.normal(0, 0.1), 0, 1).astype(np.float32)
            floors[date] = ground.over(
                floors[date], np.broadcast_to(tint * rng.uniform(0.7, 1.3), floors[date].shape).astype(np.float32), level
            )
    return floors


def _decoys(
    rng: np.random.Generator, side: float, painted: bool, plan: str
) -> tuple[list[Thing], tuple[list[Thing], list[Thing]]]:
    """What is no structure: (on both dates, (before alone, after alone))."""
    same: list[Thing] = []
    other: tuple[list[Thing], list[Thing]] = ([], [])
    hectares = side * side / 1e4
    moving = rng.random()  # trees felled, leaves lost
    for kind, lengths, widths, heights, most in DECOYS:
        if not painted and kind in ("crown", "bush") and rng.random() < 0.5:
            continue
        busy = float(rng.choice([0.05, 0.4, 1.0]))
        for _ in range(int(min(60, rng.poisson(most * busy * hectares + (0.4 if side < 60 else 0.1))))):
            length, width, height = (float(rng.uniform(*r)) for r in (lengths, widths, heights))
            if kind in ("crown", "bush"):
                width = length * rng.uniform(0.8, 1.0)
                bare = rng.random() < 0.2
                mean = np.array((112, 100, 84) if bare else (62, 84, 46)) + rng.normal(0, 12) + rng.normal(0, 5, 3)
            elif kind == "pile":
                mean = np.array((168, 144, 116)) + rng.normal(0, 25) + rng.normal(0, 8, 3)
            elif kind == "slab":
                mean = np.full(3, rng.uniform(90, 220)) + rng.normal(0, 8, 3)
            else:
                mean = rng.uniform(15, 245, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(15, 245)) + rng.normal(0, 6, 3)
            r, g, b = (float(v) for v in np.clip(mean, 12, 248))
            x, y = rng.uniform(0, side, 2)
            thing = Thing(
                kind, float(x), float(y), float(rng.uniform(0, 6.3)), length, width, height, (r, g, b), int(rng.integers(1 << 30))
            )
            stays = {"car": 0.2, "tarpaulin": 0.35, "pile": 0.4, "slab": 0.4}.get(kind, 1 - 0.5 * moving)
            draw = rng.random()
            if draw < stays:
                same.append(thing)
            else:
                other[int(rng.integers(2))].append(thing)
    return same, other


def _painted(rng: np.random.Generator, t: Thing) -> Thing:
    """The same roof in another colour."""
    return replace(t, colour=roof_colour(rng, t.kind), seed=t.seed)


def _sun(rng: np.random.Generator) -> camera.Sun:
    return camera.Sun(float(rng.uniform(0, 2 * math.pi)), math.radians(float(rng.uniform(25, 70))), float(rng.uniform(0.3, 0.75)))


def _fill(label: NDArray[np.uint8], t: Thing, dx: float, dy: float, gsd: float) -> None:
    """Mark a thing's roof; an ell by its own plan."""
    if t.kind != "ell":
        cv2.fillConvexPoly(label, np.round((corners(t, dx, dy) / gsd - 0.5) * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        return
    alone = Canvas(np.zeros((*label.shape, 3), np.float32), np.zeros(label.shape, np.float32), gsd)
    alone.draw(replace(t, x_m=t.x_m + dx, y_m=t.y_m + dy))
    label[alone.height > 0] = 1


def _heights(rng: np.random.Generator, heights: list[Plane], gsd: float, *, known: bool) -> tuple[Plane, Plane]:
    """What two surfaces would say: each smeared and noisy by its own, with slow bends and holes."""
    size = heights[0].shape[0]
    if not known:
        return np.zeros((size, size), np.float32), np.full((size, size), np.inf, np.float32)
    sigma = float(np.exp(rng.uniform(math.log(0.02), math.log(0.25))))
    out = []
    for z in heights:
        blur = rng.uniform(0.1, 0.5) / gsd
        rough = ground.noise(rng, size, max(1.0, 0.6 / gsd)) + 0.6 * ground.noise(rng, size, max(1.0, 0.2 / gsd))
        out.append(cv2.GaussianBlur(z, (0, 0), max(0.3, blur)) + sigma * 0.7 * rough)
    dz = out[1] - out[0] + 0.1 * rng.normal() + 0.08 * ground.noise(rng, size, size / 2)
    spread = np.full((size, size), sigma * 1.4, np.float32) * np.exp(0.2 * ground.noise(rng, size, 3.0 / gsd))
    if rng.random() < 0.3:
        hole = ground.blotches(rng, size, gsd, 8.0, rng.uniform(0.02, 0.15)) > 0.5
        dz[hole], spread[hole] = 0.0, np.inf
    return dz.astype(np.float32), spread.astype(np.float32)
