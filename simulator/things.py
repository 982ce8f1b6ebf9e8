"""Things: everything that stands in the town, as plain values, and how each kind is built out of solids.

One record serves all kinds; `BUILDERS` is the table from kind to builder. The details of a thing (which tint, where the water tank
stands) come from its own seed, so that it looks the same on every visit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geo.frames import Floats
from simulator.solids import WHITE, Book, Point, Rgb, Skin, rectangle
from simulator.textures import Layer

Ring = tuple[Point, Point, Point, Point]
NEVER = 10**6

STEEL_TINTS: tuple[Rgb, ...] = (
    (0.38, 0.53, 0.72),
    (0.68, 0.40, 0.34),
    (0.86, 0.87, 0.86),
    (0.42, 0.58, 0.68),
    (0.66, 0.68, 0.70),
)
TILE_TINTS: tuple[Rgb, ...] = ((0.78, 0.50, 0.40), (0.60, 0.61, 0.63), (0.70, 0.44, 0.37), (0.50, 0.52, 0.55), (0.80, 0.58, 0.46))
WALL_TINTS: tuple[Rgb, ...] = ((0.98, 0.97, 0.94), (0.93, 0.87, 0.74), (0.88, 0.80, 0.76), (0.86, 0.88, 0.88), (0.95, 0.80, 0.66))
CAR_TINTS: tuple[Rgb, ...] = (
    (0.96, 0.96, 0.97), (0.96, 0.96, 0.97), (0.10, 0.10, 0.11), (0.62, 0.63, 0.66),
    (0.55, 0.10, 0.10), (0.14, 0.22, 0.42), (0.42, 0.36, 0.30), (0.80, 0.78, 0.72),
)  # fmt: skip
BOX_TINTS: tuple[Rgb, ...] = ((0.20, 0.38, 0.62), (0.66, 0.26, 0.16), (0.34, 0.48, 0.36), (0.78, 0.78, 0.76))
TARP_TINTS: tuple[Rgb, ...] = ((0.20, 0.42, 0.72), (0.30, 0.50, 0.34), (0.75, 0.30, 0.22))


# How much longer and wider the roof is than the walls, in metres.
_HOME_EAVES, _SHED_EAVES = (0.7, 0.9), (0.3, 0.3)
EAVES: dict[str, tuple[float, float]] = {
    "gable_home": _HOME_EAVES, "hip_home": _HOME_EAVES, "gable_house": _HOME_EAVES,
    "repaint_gable_home": _HOME_EAVES, "repaint_hip_home": _HOME_EAVES,
    "hut": _SHED_EAVES, "shed": _SHED_EAVES, "rooftop_room": _SHED_EAVES, "canopy": _SHED_EAVES,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing: its place (local metres), its footprint, and the days it stands there (`appears` <= day < `gone`).

    `yaw` radians counter-clockwise from east, along `length_m`; `base_m` the height of its foot, `height_m` its highest point over
    the foot. `style` picks among looks; `planted` marks what the tests of change look for, structure or not.
    """

    id: str
    kind: str
    x: float
    y: float
    yaw: float
    length_m: float
    width_m: float
    base_m: float
    height_m: float
    style: int = 0
    seed: int = 0
    appears: int = -NEVER
    gone: int = NEVER
    planted: bool = False
    is_structure: bool = True

    def stands(self, day: int) -> bool:
        """Whether it is there on that day."""
        return self.appears <= day < self.gone

    @property
    def ring(self) -> Ring:
        """Footprint corners, counter-clockwise."""
        return rectangle(self.x, self.y, self.yaw, self.length_m, self.width_m)

    @property
    def covered(self) -> Ring:
        """What it covers as seen from above: the footprint and the eaves, counter-clockwise."""
        along, across = EAVES.get(self.kind, (0.0, 0.0))
        return rectangle(self.x, self.y, self.yaw, self.length_m + along, self.width_m + across)

    def inner(self, along: float, across: float) -> Point:
        """A place in its own axes, from its middle."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + along * c - across * s, self.y + along * s + across * c

    def part(self, along: float, across: float, length: float, width: float) -> Ring:
        """A rectangle in its own axes."""
        return rectangle(*self.inner(along, across), self.yaw, length, width)


def _pick(table: tuple[Rgb, ...], style: int) -> Rgb:
    return table[style % len(table)]


def _shift(rng: np.random.Generator) -> Point:
    return float(rng.uniform(0, 24)), float(rng.uniform(0, 24))


def _house(book: Book, t: Thing) -> None:
    """A home of whole storeys under a tiled saddle (`gable_*`) or hipped roof (`hip_*`)."""
    rng = np.random.default_rng(t.seed)
    rise = 0.27 * t.width_m + 0.3
    eave = t.base_m + t.height_m - rise
    wall = Skin(Layer.HOME, _pick(WALL_TINTS, t.seed), free=False)
    roof = Skin(Layer.TILE, _pick(TILE_TINTS, t.style))
    book.prism(t.ring, t.base_m - 1.5, t.base_m + 0.02, Skin(Layer.PLASTER), Skin(Layer.CONCRETE), _shift(rng))
    book.prism(t.ring, t.base_m, eave, wall, Skin(Layer.CONCRETE), _shift(rng))
    over = t.covered
    shift = _shift(rng)
    if "hip" in t.kind:
        book.hip(over, eave, t.base_m + t.height_m, roof, shift)
    else:
        book.gable(over, eave, t.base_m + t.height_m, roof, Skin(Layer.PLASTER, wall.tint), shift)
    ridge = t.part(0, 0, t.length_m - t.width_m if "hip" in t.kind else t.length_m + 0.5, 0.26)
    book.prism(
        ridge,
        eave + rise - 0.2,
        eave + rise + 0.06,
        Skin(Layer.PLASTER, (0.6, 0.55, 0.5)),
        Skin(Layer.PLASTER, (0.62, 0.55, 0.5)),
    )
    if rng.random() < 0.6:
        _heater(book, t, float(rng.uniform(-0.3, 0.3)) * t.length_m, -0.2 * t.width_m, eave + rise * 0.62, rng)
    if rng.random() < 0.4:
        spot = t.part(float(rng.uniform(-0.35, 0.35)) * t.length_m, 0.22 * t.width_m, 0.6, 0.6)
        book.prism(spot, eave, eave + rise + 0.3, Skin(Layer.BRICK), Skin(Layer.CONCRETE), shift)


def _heater(book: Book, t: Thing, along: float, across: float, z: float, rng: np.random.Generator) -> None:
    """A solar water heater: tubes that lean to the south, and the tank above them."""
    panel = t.part(along, across, 1.9, 1.5)
    book.shed_roof(panel, z - 0.6, z + 0.05, z + 0.85, Skin(Layer.SOLAR), Skin(Layer.SOLAR), _shift(rng))
    book.prism(
        t.part(along, across + 0.85, 2.0, 0.42),
        z + 0.45,
        z + 0.95,
        Skin(Layer.PAINT),
        Skin(Layer.PAINT, (0.95, 0.96, 1.0)),
        _shift(rng),
    )


def _rim(book: Book, t: Thing, z: float, height: float, skin: Skin, shift: Point, thick: float = 0.22) -> None:
    """A parapet round a flat roof."""
    for side in (-1, 1):
        long_way = t.part(0, side * (t.width_m - thick) / 2, t.length_m, thick)
        short_way = t.part(side * (t.length_m - thick) / 2, 0, thick, t.width_m)
        for ring in (long_way, short_way):
            book.prism(ring, z - 0.3, z + height, skin, Skin(Layer.CONCRETE, (1.1, 1.1, 1.1)), shift)


def _flat(book: Book, t: Thing) -> None:
    """A flat-roofed home, shop row or apartment slab; `height_m` is the roof's, the parapet stands above it."""
    rng = np.random.default_rng(t.seed)
    layer = Layer.SHOP if t.kind == "shops" else Layer.HOME
    wall = Skin(layer, _pick(WALL_TINTS, t.seed), free=False)
    floor = Skin(Layer.MEMBRANE if t.style % 3 == 2 else Layer.CONCRETE, (0.95, 0.95, 0.95))
    top = t.base_m + t.height_m
    book.prism(t.ring, t.base_m - 1.5, t.base_m + 0.02, Skin(Layer.PLASTER), floor, _shift(rng))
    book.prism(t.ring, t.base_m, top, wall, floor, _shift(rng))
    _rim(book, t, top, 0.7, Skin(Layer.PLASTER, wall.tint), _shift(rng))
    if t.kind == "flat_home":  # everything stays in the eastern third: the rest of the roof may be built on later
        stair = t.part(t.length_m * 0.5 - 1.5, t.width_m * 0.5 - 1.9, 2.4, 3.2)
        book.prism(stair, top - 0.2, top + 2.4, Skin(Layer.PLASTER, wall.tint), Skin(Layer.CONCRETE), _shift(rng))
        if rng.random() < 0.8:
            _heater(book, t, t.length_m * 0.5 - 1.5, -t.width_m * 0.25, top + 0.35, rng)
        return
    count = max(2, int(t.length_m / 13))
    for i in range(count):
        along = (i + 0.5) / count * t.length_m - t.length_m / 2
        stair = t.part(along, t.width_m * 0.22, 3.0, 4.2)
        book.prism(stair, top - 0.2, top + 2.6, Skin(Layer.PLASTER, wall.tint), Skin(Layer.MEMBRANE), _shift(rng))
        for _ in range(3):
            if rng.random() < 0.75:
                _heater(book, t, along + float(rng.uniform(-5, 5)), -t.width_m * float(rng.uniform(0.1, 0.3)), top + 0.35, rng)
        if rng.random() < 0.5:
            _tank(book, t.inner(along + 3.2, t.width_m * 0.25), top, rng)


def _tank(book: Book, place: Point, z: float, rng: np.random.Generator) -> None:
    ring = circle(*place, 0.75, 8)
    book.prism(ring, z - 0.1, z + 1.7, Skin(Layer.PAINT, (0.85, 0.88, 0.92)), Skin(Layer.PAINT, (0.9, 0.92, 0.95)), _shift(rng))


def _workshop(book: Book, t: Thing) -> None:
    """A hall of colour-steel, with strips of film that let light in."""
    rng = np.random.default_rng(t.seed)
    rise = 0.08 * t.width_m
    eave = t.base_m + t.height_m - rise
    tint = _pick(STEEL_TINTS, t.style)
    book.prism(t.ring, t.base_m - 1.5, eave, Skin(Layer.STEEL, (0.86, 0.87, 0.86)), Skin(Layer.STEEL), _shift(rng))
    over = t.part(0, 0, t.length_m + 0.6, t.width_m + 0.8)
    book.gable(over, eave, t.base_m + t.height_m, Skin(Layer.STEEL, tint), Skin(Layer.STEEL, (0.86, 0.87, 0.86)), _shift(rng))
    for i in range(int(t.length_m / 6)):
        spot = t.part(-t.length_m / 2 + 3 + 6 * i, 0, 0.8, 0.8)
        book.prism(
            spot,
            eave,
            t.base_m + t.height_m + 0.5,
            Skin(Layer.PAINT, (0.7, 0.7, 0.7)),
            Skin(Layer.PAINT, (0.75, 0.76, 0.78)),
            _shift(rng),
        )


def _shed(book: Book, t: Thing) -> None:
    """A lean-to of colour-steel: sheds, rooms on roofs, roofs over yards."""
    rng = np.random.default_rng(t.seed)
    wall = Skin(Layer.STEEL, (0.84, 0.85, 0.85)) if t.style % 2 else Skin(Layer.BRICK)
    tint = _pick(STEEL_TINTS, t.style)
    high = t.base_m + t.height_m
    fall = min(0.35, 0.09 * t.width_m)
    book.prism(t.ring, t.base_m - 1.0, high - fall - 0.12, wall, Skin(Layer.STEEL, tint), _shift(rng))
    over = t.covered
    book.shed_roof(over, high - fall - 0.12, high - fall, high, Skin(Layer.STEEL, tint), Skin(Layer.STEEL, tint), _shift(rng))


def _extension(book: Book, t: Thing) -> None:
    """Raw concrete against a house."""
    rng = np.random.default_rng(t.seed)
    top = t.base_m + t.height_m
    wall = Skin(Layer.BRICK) if t.style % 2 else Skin(Layer.HOME, _pick(WALL_TINTS, t.seed), free=False)
    book.prism(t.ring, t.base_m - 1.0, t.base_m + 0.02, Skin(Layer.BRICK), Skin(Layer.CONCRETE), _shift(rng))
    book.prism(t.ring, t.base_m, top, wall, Skin(Layer.CONCRETE, (1.12, 1.12, 1.1)), _shift(rng))


def _container(book: Book, t: Thing) -> None:
    rng = np.random.default_rng(t.seed)
    skin = Skin(Layer.CONTAINER, _pick(BOX_TINTS, t.style))
    book.prism(t.ring, t.base_m - 0.5, t.base_m + t.height_m, skin, skin, _shift(rng))


def _wall(book: Book, t: Thing) -> None:
    rng = np.random.default_rng(t.seed)
    side = Skin(Layer.PLASTER, _pick(WALL_TINTS, t.style)) if t.style % 2 else Skin(Layer.BRICK)
    book.prism(t.ring, t.base_m - 1.2, t.base_m + t.height_m, side, Skin(Layer.CONCRETE, (1.05, 1.05, 1.05)), _shift(rng))


def _tunnel(book: Book, t: Thing) -> None:
    """A film greenhouse: half a drum lying on the field."""
    rng = np.random.default_rng(t.seed)
    angles = np.linspace(0, math.pi, 9)
    corners = []
    for end in (-t.length_m / 2, t.length_m / 2):
        for angle in angles:
            x, y = t.inner(end, math.cos(angle) * t.width_m / 2)
            corners.append((x, y, t.base_m - 0.2 + math.sin(angle) * (t.height_m + 0.2)))
    skin = Skin(Layer.FILM)
    n = len(angles)
    sides: list[tuple[tuple[int, ...], Skin]] = [((i, i + 1, n + i + 1, n + i), skin) for i in range(n - 1)]
    sides += [((0, 4, 8), skin), ((n, n + 4, n + 8), skin)]
    book.hull(corners, sides, _shift(rng))


def _car(book: Book, t: Thing) -> None:
    rng = np.random.default_rng(t.seed)
    paint = Skin(Layer.PAINT, _pick(CAR_TINTS, t.style))
    glass = Skin(Layer.GLASS)
    length, width, z = t.length_m, t.width_m, t.base_m
    waist = z + t.height_m * 0.58
    book.prism(
        t.part(0, 0, length * 0.96, width * 0.94), z + 0.02, z + 0.32, Skin(Layer.GLASS, (0.5, 0.5, 0.5)), paint, _shift(rng)
    )
    book.frustum(
        t.part(0, 0, length, width), z + 0.3, t.part(0, 0, length * 0.95, width * 0.92), waist, paint, paint, _shift(rng)
    )
    cabin_low, cabin_top = (
        t.part(-0.04 * length, 0, length * 0.62, width * 0.86),
        t.part(-0.06 * length, 0, length * 0.40, width * 0.72),
    )
    book.frustum(cabin_low, waist - 0.02, cabin_top, z + t.height_m, glass, paint, _shift(rng))


def _lorry(book: Book, t: Thing) -> None:
    """A box lorry, a bus, or (odd styles) a tipper whose load stands in an open tray."""
    rng = np.random.default_rng(t.seed)
    paint, load = Skin(Layer.PAINT, _pick(CAR_TINTS, t.style)), Skin(Layer.PAINT, _pick(BOX_TINTS, t.seed))
    cab = min(2.2, 0.3 * t.length_m)
    low, high = t.base_m + 0.35, t.base_m + t.height_m
    book.prism(t.part(0, 0, t.length_m, t.width_m * 0.9), t.base_m + 0.05, low + 0.6, Skin(Layer.GLASS), paint, _shift(rng))
    front = t.part((t.length_m - cab) / 2, 0, cab, t.width_m * 0.96)
    book.prism(front, low, low + 0.8 * (high - low), paint, paint, _shift(rng))
    back = (-(cab + 0.3) / 2, 0, t.length_m - cab - 0.3, t.width_m)
    if t.style % 2:
        book.prism(t.part(*back), low, low + 0.6 * (high - low), load, Skin(Layer.SAND), _shift(rng))
        heap = t.part(back[0], 0, back[2] * 0.5, t.width_m * 0.4)
        book.frustum(t.part(*back), low + 0.5 * (high - low), heap, high, Skin(Layer.SAND), Skin(Layer.SAND), _shift(rng))
        return
    book.prism(t.part(*back), low, high, load, load, _shift(rng))


def _mound(book: Book, t: Thing) -> None:
    """Earth tipped and levelled: a flat top and slopes of one in one and a half."""
    rng = np.random.default_rng(t.seed)
    run = min(1.5 * t.height_m, 0.4 * t.width_m)
    skin = Skin(Layer.SAND, (0.80, 0.66, 0.50) if t.style % 2 else (0.70, 0.62, 0.52))
    top = t.part(0, 0, t.length_m - 2 * run, t.width_m - 2 * run)
    book.frustum(t.ring, t.base_m - 0.1, top, t.base_m + t.height_m, skin, skin, _shift(rng))


def _umbrella(book: Book, t: Thing) -> None:
    """A market umbrella: an eight-sided cloth, a little higher in the middle."""
    rng = np.random.default_rng(t.seed)
    cloth = Skin(Layer.CLOTH, _pick(TARP_TINTS, t.style))
    rim, tip = circle(t.x, t.y, t.length_m / 2, 8), circle(t.x, t.y, 0.2, 8)
    book.frustum(rim, t.base_m + t.height_m - 0.5, tip, t.base_m + t.height_m, cloth, cloth, _shift(rng))


def _maize(book: Book, t: Thing) -> None:
    """A stand of tall crop: leaves all over a rectangle, two metres at a time."""
    rng = np.random.default_rng(t.seed)
    nu, nv = max(1, round(t.length_m / 2)), max(1, round(t.width_m / 2))
    tint = (0.36, 0.46 * float(rng.uniform(0.9, 1.15)), 0.26)
    for i in range(nu):
        for j in range(nv):
            u = ((i + 0.5) / nu - 0.5) * t.length_m + rng.uniform(-1, 1, 16) * 0.5 * t.length_m / nu
            v = ((j + 0.5) / nv - 0.5) * t.width_m + rng.uniform(-1, 1, 16) * 0.5 * t.width_m / nv
            places = [t.inner(float(a), float(b)) for a, b in zip(u, v, strict=True)]
            size = rng.uniform(0.25, 0.45, 16)
            z = t.base_m + t.height_m * rng.uniform(0.7, 1.0, 16) - size
            book.tree(np.column_stack([np.array(places), z, size]), tint)


def _heap(book: Book, t: Thing) -> None:
    """Sand or gravel, a cone with its top cut off."""
    rng = np.random.default_rng(t.seed)
    radius = t.length_m / 2
    low = [_wobbly(t.x, t.y, radius, i, rng) for i in range(11)]
    high = [(t.x + (x - t.x) * 0.22, t.y + (y - t.y) * 0.22) for x, y in low]
    skin = Skin(Layer.SAND, WHITE if t.style % 2 else (0.8, 0.84, 0.92))
    book.frustum(low, t.base_m - 0.12, high, t.base_m + t.height_m, skin, skin, _shift(rng))


def _wobbly(x: float, y: float, radius: float, index: int, rng: np.random.Generator) -> Point:
    angle = 2 * math.pi * index / 11
    reach = radius * float(rng.uniform(0.97, 1.0))
    return x + reach * math.cos(angle), y + reach * math.sin(angle)


def _cloth(book: Book, t: Thing) -> None:
    """A tarpaulin over low goods."""
    rng = np.random.default_rng(t.seed)
    skin = Skin(Layer.CLOTH, _pick(TARP_TINTS, t.style))
    inner = t.part(0, 0, t.length_m * 0.8, t.width_m * 0.75)
    book.frustum(t.ring, t.base_m - 0.3, inner, t.base_m + t.height_m, skin, skin, _shift(rng))


def _tree(book: Book, t: Thing) -> None:
    rng = np.random.default_rng(t.seed)
    radius = t.length_m / 2
    green = rng.uniform(0.75, 1.1)
    tint = (0.39 * green * float(rng.uniform(0.85, 1.15)), 0.46 * green, 0.30 * green * float(rng.uniform(0.8, 1.15)))
    balls = crown(rng, t.x, t.y, t.base_m, t.height_m, radius)
    if t.kind == "bare_tree":  # twigs: a few small clumps of what the crown was, brown
        balls = balls[1::2] * (1.0, 1.0, 1.0, 0.55)
        tint = (0.55, 0.50, 0.44)
    book.tree(balls, tint)
    trunk = circle(t.x, t.y, 0.14 + radius * 0.03, 6)
    book.prism(trunk, t.base_m - 0.5, t.base_m + t.height_m * 0.5, Skin(Layer.BRICK, (0.55, 0.5, 0.4)), Skin(Layer.BRICK))


def crown(rng: np.random.Generator, x: float, y: float, base: float, height: float, radius: float) -> Floats:
    """Balls `(n, 4)` of a crown: large ones inside, small ones all over its upper skin; the highest reaches `base + height`."""
    n = int(14 + 9 * radius)
    middle, half = base + height - 0.42 * height, 0.40 * height
    up = rng.uniform(-0.35, 1.0, n)
    turn = rng.uniform(0, 2 * math.pi, n) + np.arange(n) * 2.4
    out = np.sqrt(np.clip(1 - up * up, 0, 1)) * rng.uniform(0.55, 0.92, n)
    size = rng.uniform(0.16, 0.30, n) * radius + 0.22
    skin = np.column_stack([x + np.cos(turn) * out * radius, y + np.sin(turn) * out * radius, middle + up * half * 0.85, size])
    core = np.array([[x, y, middle - 0.1 * half, 0.62 * min(radius, half * 1.2)]])
    balls = np.vstack([core, skin])
    balls[:, 2] += base + height - float((balls[:, 2] + balls[:, 3]).max())
    return balls


def _pole(book: Book, t: Thing) -> None:
    grey = Skin(Layer.CONCRETE, (1.0, 1.0, 1.0))
    book.prism(circle(t.x, t.y, 0.14, 6), t.base_m - 0.5, t.base_m + t.height_m, grey, grey)
    book.prism(t.part(0, 0, 1.6, 0.12), t.base_m + t.height_m - 0.5, t.base_m + t.height_m - 0.35, grey, grey)


def circle(x: float, y: float, radius: float, corners: int) -> tuple[Point, ...]:
    """A regular polygon, counter-clockwise."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return tuple((x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles)


BUILDERS: dict[str, Callable[[Book, Thing], None]] = {
    "gable_home": _house, "hip_home": _house, "gable_house": _house,
    "repaint_gable_home": _house, "repaint_hip_home": _house,
    "flat_home": _flat, "slab": _flat, "shops": _flat,
    "workshop": _workshop, "greenhouse": _tunnel, "hut": _shed,
    "shed": _shed, "rooftop_room": _shed, "canopy": _shed, "extension": _extension, "container": _container,
    "wall": _wall, "tree": _tree, "pole": _pole, "car": _car,
    "sand_pile": _heap, "tarpaulin": _cloth, "brick_stack": _extension,
    "bare_tree": _tree, "maize": _maize, "lorry": _lorry, "mound": _mound, "umbrella": _umbrella,
}  # fmt: skip
