"""Quarters of towns as lots along streets that may bend: suburbs, villages, old towns, slabs of flats, works, farms; and what stands on each lot."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from training.roofs import Block, House

COVERS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "shingle": ((118, 114, 106), (96, 94, 92), (82, 80, 80), (138, 128, 112), (150, 142, 130), (104, 92, 82), (124, 126, 132)),
    "clay": ((172, 124, 92), (150, 96, 74), (186, 146, 108), (162, 84, 64), (140, 108, 88)),
    "slate": ((96, 98, 102), (82, 84, 88), (112, 110, 108), (130, 128, 126)),
    "concrete": ((172, 168, 160), (148, 144, 140), (196, 192, 186), (128, 124, 120), (216, 214, 208)),
    "steel": ((72, 108, 176), (96, 134, 190), (64, 92, 150), (158, 70, 62), (206, 208, 210), (232, 233, 234), (176, 180, 184)),
    "film": ((196, 200, 200), (168, 176, 176), (214, 216, 214)),
}
"""Mean red, green, blue of roofs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a kind of quarter is laid out, metres; `covers` of its roofs; `ground` of its lots; `streets` of what."""

    frontage_m: tuple[float, float]
    depth_m: tuple[float, float]
    street_m: tuple[float, float]
    covers: tuple[str, ...]
    ground: tuple[str, ...]
    build: Callable[[np.random.Generator, float, float], tuple[tuple[Block, ...], float]]
    trees: float
    """Trees to a lot, at most."""
    few_covers: float
    """How likely all roofs of a quarter are of one cover."""


@dataclass(frozen=True, slots=True)
class Lot:
    """A place on a street: centre, direction of the street, its size, the street's middle line along it; which side of the street."""

    x_m: float
    y_m: float
    yaw: float
    frontage_m: float
    depth_m: float
    side: int
    street: tuple[tuple[float, float], ...]
    house: House


def _suburb(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """A house of one or two storeys under several hips or gables; how far it stands back."""
    length = min(wide - rng.uniform(1.5, 5), rng.uniform(11, 20))
    width = min(deep * 0.6, rng.uniform(9, 15))
    kind, eave, pitch = str(rng.choice(["hip", "hip", "hip", "gable"])), rng.uniform(2.8, 5.8), rng.uniform(0.3, 0.65)
    blocks = [Block(kind, 0, 0, 0, length, width, eave, pitch)]
    for _ in range(int(rng.integers(0, 4))):
        w = rng.uniform(4, 7.5)
        u, v = rng.uniform(-0.5, 0.5) * (length - w), rng.choice([-1, 1]) * width * rng.uniform(0.3, 0.55)
        blocks.append(Block(kind, u, v, math.pi / 2, rng.uniform(5, 9), w, eave * rng.uniform(0.85, 1.0), pitch))
    return tuple(blocks), rng.uniform(4, 8)


def _village(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """A main house across the lot, and wings or sheds round its yard."""
    length, width = wide * rng.uniform(0.75, 1.0), rng.uniform(6, 10)
    kind, eave = str(rng.choice(["gable", "gable", "flat", "hip"])), rng.uniform(3, 10)
    blocks = [Block(kind, 0, rng.uniform(0, 0.25) * deep, 0, length, width, eave, rng.uniform(0.3, 0.6))]
    for side in (-1, 1):
        if rng.random() < 0.45:
            w = rng.uniform(2.5, 4.5)
            shed = str(rng.choice(["mono", "flat", "gable"]))
            blocks.append(
                Block(
                    shed,
                    side * (wide / 2 - w / 2),
                    -0.2 * deep,
                    math.pi / 2,
                    deep * rng.uniform(0.25, 0.6),
                    w,
                    rng.uniform(2.4, 3.4),
                )
            )
    return tuple(blocks), 0.5


def _town(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """A house that fills its lot, a box or two more on it."""
    length, width, eave = wide * rng.uniform(0.7, 1.0), deep * rng.uniform(0.5, 0.95), rng.uniform(3, 16)
    kind = str(rng.choice(["flat", "flat", "gable", "hip", "mono"]))
    blocks = [Block(kind, 0, 0, 0, length, width, eave, rng.uniform(0.2, 0.5))]
    if kind == "flat" and rng.random() < 0.6:
        blocks.append(
            Block(
                "flat", rng.uniform(-0.25, 0.25) * length, rng.uniform(-0.2, 0.2) * width, 0, length * 0.4, width * 0.45, eave + 3
            )
        )
    return tuple(blocks), 0.5


def _flats(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """A slab of flats, its stairwells standing out."""
    length, width, eave = wide * rng.uniform(0.7, 0.92), rng.uniform(10, 16), rng.uniform(9, 32)
    kind = str(rng.choice(["flat", "hip", "gable"]))
    blocks = [Block(kind, 0, 0, 0, length, width, eave, 0.35)]
    for u in np.arange(-length / 2 + 6, length / 2 - 5, rng.uniform(9, 16)):
        blocks.append(Block(kind, float(u), -0.45 * width, math.pi / 2, rng.uniform(4, 7), rng.uniform(4, 7), eave, 0.35))
    return tuple(blocks), 6.0


def _works(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """Halls side by side, or one with a notch."""
    length, width, eave = wide * rng.uniform(0.5, 0.95), deep * rng.uniform(0.3, 0.8), rng.uniform(4, 12)
    kind = str(rng.choice(["flat", "flat", "gable", "gable", "barrel"]))
    bays = int(rng.integers(1, 4)) if kind != "flat" else 1
    w = width / bays
    blocks = [Block(kind, 0, (i - (bays - 1) / 2) * w, 0, length, w, eave, rng.uniform(0.1, 0.25)) for i in range(bays)]
    if rng.random() < 0.5:
        blocks.append(
            Block(
                "flat",
                rng.uniform(-0.4, 0.4) * length,
                -width / 2 - 4,
                0,
                rng.uniform(8, 25),
                rng.uniform(6, 12),
                rng.uniform(3, 8),
            )
        )
    return tuple(blocks), rng.uniform(5, 20)


def _farm(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """A house that stands alone at any angle, a barn beside it."""
    turn = rng.uniform(0, math.pi)
    blocks, back = _suburb(rng, 24, 30)
    if rng.random() < 0.4:
        barn = Block(
            "gable", rng.uniform(16, 22), rng.uniform(-8, 8), rng.uniform(0, 3), rng.uniform(8, 22), rng.uniform(6, 11), 3.5, 0.4
        )
        blocks = (*blocks, barn)
    return moved(blocks, 0, 0, turn), back + rng.uniform(0, 10)


def _tunnels(rng: np.random.Generator, wide: float, deep: float) -> tuple[tuple[Block, ...], float]:
    """Greenhouses of film side by side."""
    w = rng.uniform(6, 11)
    n = max(1, int(wide // (w + 1)))
    length = deep * rng.uniform(0.7, 0.95)
    return tuple(Block("barrel", (i - (n - 1) / 2) * (w + 1), 0, math.pi / 2, length, w, 1.0, 0.4) for i in range(n)), 1.0


PLANS: dict[str, Plan] = {
    "suburb": Plan(
        (14, 24),
        (24, 36),
        (7, 12),
        ("shingle", "shingle", "shingle", "clay"),
        ("lawn", "lawn", "dry_grass", "soil"),
        _suburb,
        4,
        0.75,
    ),
    "village": Plan(
        (9, 15), (14, 24), (3, 7), ("slate", "clay", "concrete", "steel"), ("concrete", "soil", "dry_grass"), _village, 1.5, 0.4
    ),
    "town": Plan(
        (9, 22),
        (10, 24),
        (4, 10),
        ("concrete", "slate", "steel", "clay", "shingle"),
        ("concrete", "asphalt", "soil"),
        _town,
        1,
        0.1,
    ),
    "flats": Plan((40, 75), (24, 45), (5, 10), ("concrete", "slate", "clay"), ("lawn", "concrete"), _flats, 8, 0.9),
    "works": Plan(
        (35, 110),
        (35, 90),
        (7, 14),
        ("steel", "steel", "steel", "concrete"),
        ("concrete", "asphalt", "gravel", "soil"),
        _works,
        2,
        0.2,
    ),
    "farm": Plan(
        (35, 80),
        (35, 80),
        (4, 8),
        ("shingle", "shingle", "clay", "steel", "concrete"),
        ("dry_grass", "lawn", "soil"),
        _farm,
        6,
        0.1,
    ),
    "tunnels": Plan((20, 60), (30, 80), (3, 6), ("film",), ("soil", "field"), _tunnels, 0.5, 1.0),
}
SHARES: dict[str, float] = {
    "suburb": 0.38,
    "village": 0.14,
    "town": 0.12,
    "flats": 0.07,
    "works": 0.13,
    "farm": 0.13,
    "tunnels": 0.03,
}


def colour(rng: np.random.Generator, cover: str) -> tuple[float, float, float]:
    """One that such a roof may have."""
    of = COVERS[cover]
    r, g, b = np.clip(np.asarray(of[int(rng.integers(len(of)))]) + rng.normal(0, 10) + rng.normal(0, 4, 3), 20, 245)
    return float(r), float(g), float(b)


def moved(blocks: tuple[Block, ...], x: float, y: float, turn: float) -> tuple[Block, ...]:
    """Blocks turned about the origin, then set down at a place."""
    c, s = math.cos(turn), math.sin(turn)
    return tuple(replace(k, x_m=x + k.x_m * c - k.y_m * s, y_m=y + k.x_m * s + k.y_m * c, yaw=k.yaw + turn) for k in blocks)


def lots(rng: np.random.Generator, side_m: float, plan: Plan) -> list[Lot]:
    """The lots of a square of ground, two rows back to back between streets."""
    centre, yaw = side_m / 2, float(rng.uniform(0, math.pi))
    depth, street = float(rng.uniform(*plan.depth_m)), float(rng.uniform(*plan.street_m))
    bend = float(rng.choice([0.0, 0.0, 1.0])) * rng.uniform(3, 22)
    period, phase = rng.uniform(110, 260), rng.uniform(0, 6.3)
    usual = str(rng.choice(plan.covers))
    tones = [colour(rng, usual) for _ in range(int(rng.integers(1, 4)))]
    of_one = rng.random() < plan.few_covers
    c, s = math.cos(yaw), math.sin(yaw)

    def at(u: float, v: float) -> tuple[float, float]:
        v = v + bend * math.sin(2 * math.pi * u / period + phase)
        return centre + u * c - v * s, centre + u * s + v * c

    out: list[Lot] = []
    reach = 0.75 * side_m + 20
    pitch = 2 * depth + street
    offset, narrow = rng.uniform(0, pitch), rng.uniform(*plan.frontage_m)
    for j in range(-math.ceil(reach / pitch) - 1, math.ceil(reach / pitch) + 1):
        middle = j * pitch + offset
        for row in (-1, 1):
            u = -reach + rng.uniform(0, 20)
            while u < reach:
                wide = float(np.clip(narrow * rng.uniform(0.8, 1.3), *plan.frontage_m))
                u += wide
                here = u - wide / 2
                turn = yaw + math.atan(bend * 2 * math.pi / period * math.cos(2 * math.pi * here / period + phase))
                x, y = at(here, middle + row * (street + depth) / 2)
                if not (-25 < x < side_m + 25 and -25 < y < side_m + 25):
                    continue
                cover = usual if of_one else str(rng.choice(plan.covers))
                tone = np.asarray(tones[int(rng.integers(len(tones)))] if of_one else colour(rng, cover)) * rng.normal(1, 0.05)
                blocks, back = plan.build(rng, wide, depth)
                front = max(abs(k.y_m) + k.width_m / 2 for k in blocks)
                dv = row * min(0.0, back + front - depth / 2)  # the house towards its street
                blocks = moved(blocks, 0, 0, math.pi if row < 0 else 0)
                place = at(here, middle + row * (street + depth) / 2 + dv)
                blocks = moved(blocks, *place, turn + rng.normal(0, 0.02))
                house = House(blocks, (float(tone[0]), float(tone[1]), float(tone[2])), cover, int(rng.integers(1 << 30)))
                line = tuple(at(w, middle) for w in (u - wide - 1, here, u + 1))
                out.append(Lot(x, y, turn, wide, depth, row, line, house))
    return out
