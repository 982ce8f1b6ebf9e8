"""The atlas: what surfaces look like close up, painted once from noise and a few rules.

Every layer is a square of `TILE_M` metres that repeats without a seam, uint8 `(pixels, pixels, 3)`, in four sizes so that a
photo from higher up reads a coarser one. Colours that a solid tints are painted near white.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

TILE_M = 24.0
PIXELS = 1024
Image = NDArray[np.float32]
Floating = NDArray[np.floating]
Rng = np.random.Generator


class Layer(IntEnum):
    """What a face may be made of."""

    HOME = 0  # plaster with windows, bays of 3 m, storeys of 3 m
    PLASTER = 1
    BRICK = 2
    TILE = 3  # tiled roof, tinted
    STEEL = 4  # ribbed colour-steel (彩钢), tinted
    CONCRETE = 5
    MEMBRANE = 6  # patched roofing felt
    LEAF = 7
    PAINT = 8
    GLASS = 9
    CLOTH = 10
    SAND = 11
    CONTAINER = 12
    SHOP = 13  # ground floor with shutters and signs, windows above
    FILM = 14  # greenhouse film
    SOLAR = 15


class Atlas(NamedTuple):
    """The layers `(layers, pixels, pixels, 3)` uint8 in four sizes, each half of the one before."""

    full: NDArray[np.uint8]
    half: NDArray[np.uint8]
    quarter: NDArray[np.uint8]
    eighth: NDArray[np.uint8]


def noise(rng: Rng, cells: int, pixels: int = PIXELS) -> Image:
    """Smooth noise in -1..1 that repeats: `cells` random values across a square of `pixels`."""
    coarse = rng.uniform(-1.0, 1.0, (cells, cells)).astype(np.float32)
    if cells >= pixels:
        return coarse[:pixels, :pixels]
    pad = max(2, min(cells, 4))
    wide = np.pad(coarse, pad, mode="wrap")
    scale = pixels / cells
    big = cv2.resize(wide, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    start = round(pad * scale)
    return np.ascontiguousarray(big[start : start + pixels, start : start + pixels])


def _mixed(rng: Rng, *parts: tuple[int, float]) -> Image:
    return sum((noise(rng, cells) * weight for cells, weight in parts), np.zeros((PIXELS, PIXELS), np.float32))


def _metres() -> tuple[Image, Image]:
    axis = (np.arange(PIXELS, dtype=np.float32) + 0.5) * (TILE_M / PIXELS)
    return np.meshgrid(axis, axis)


def _coloured(value: Floating, red: float = 1.0, green: float = 1.0, blue: float = 1.0) -> Image:
    return np.stack([value * red, value * green, value * blue], axis=-1).astype(np.float32)


def _cells(rng: Rng, u: Floating, v: Floating) -> Image:
    """A random value in -1..1 for each whole (u, v)."""
    table = rng.uniform(-1.0, 1.0, (512, 512)).astype(np.float32)
    return table[np.floor(v).astype(int) % 512, np.floor(u).astype(int) % 512]


def _blots(rng: Rng, image: Image, number: int, sizes: tuple[float, float], colours: tuple[Image, ...], strength: float) -> None:
    """Soft spots of random size, wrapped at the edge: stains, patches, moss."""
    u, v = _metres()
    for _ in range(number):
        size = rng.uniform(*sizes)
        x, y, shape = rng.uniform(0, TILE_M), rng.uniform(0, TILE_M), rng.uniform(0.4, 2.5)
        reach = int(size * max(1.0, shape) * 1.5 * PIXELS / TILE_M) + 2
        cols = np.arange(int(x * PIXELS / TILE_M) - reach, int(x * PIXELS / TILE_M) + reach) % PIXELS
        rows = np.arange(int(y * PIXELS / TILE_M) - reach, int(y * PIXELS / TILE_M) + reach) % PIXELS
        spot = np.ix_(rows, cols)
        du = (u[spot] - x + TILE_M / 2) % TILE_M - TILE_M / 2
        dv = (v[spot] - y + TILE_M / 2) % TILE_M - TILE_M / 2
        inside = np.clip(1.2 - np.hypot(du, dv / shape) / size, 0, 1)[..., None] * strength * rng.uniform(0.3, 1.0)
        colour = colours[int(rng.integers(len(colours)))]
        image[spot] = image[spot] * (1 - inside) + colour * inside


def _rgb(*values: float) -> Image:
    return np.array(values, dtype=np.float32)


def _plaster(rng: Rng) -> Image:
    _, v = _metres()
    base = 0.86 + _mixed(rng, (1024, 0.05), (256, 0.05), (48, 0.06), (10, 0.05))
    streak = noise(rng, 220)[:1, :] * 0.5 + noise(rng, 60)[:1, :] * 0.5  # rain runs straight down
    base = base - np.clip(streak, 0, 1) * 0.16 * (0.5 + 0.5 * np.cos(v * (2 * np.pi / 3.0)))
    image = _coloured(base, 1.0, 0.985, 0.95)
    _blots(rng, image, 60, (0.2, 1.2), (_rgb(0.55, 0.52, 0.48), _rgb(0.8, 0.78, 0.74)), 0.5)
    return image


def _windowed(rng: Rng, low: float, high: float, left: float, right: float) -> Image:
    image = _plaster(rng)
    u, v = _metres()
    in_u, in_v = u % 3.0, v % 3.0
    frame = (in_u > left - 0.08) & (in_u < right + 0.08) & (in_v > low - 0.08) & (in_v < high + 0.08)
    pane = (in_u > left) & (in_u < right) & (in_v > low) & (in_v < high) & (np.abs(in_u - 1.5) > 0.04)
    image[frame] = 0.88
    bay = _cells(rng, u / 3.0, v / 3.0)
    glass = 0.16 + 0.07 * bay + 0.1 * np.clip(_cells(rng, u / 0.75, v / 3.0), 0, 1) + 0.03 * noise(rng, 128)
    curtain = _coloured(0.5 + 0.12 * noise(rng, 400), 1.0, 0.9, 0.8)
    shade = np.where((bay > 0.45)[..., None], curtain, _coloured(glass, 0.85, 1.0, 1.12))
    image[pane] = shade[pane]
    image[(in_v < 0.12)] *= 0.82  # the edge of a floor slab
    sill = (in_v > low - 0.2) & (in_v < low - 0.08) & (in_u > left - 0.15) & (in_u < right + 0.15)
    image[sill] = 0.7
    cooler = (in_u > 2.35) & (in_u < 2.95) & (in_v > 0.5) & (in_v < 1.05) & (_cells(rng, u / 3.0 + 7, v / 3.0) > 0.1)
    image[cooler] = _coloured(0.8 + 0.1 * np.sin(in_v * 60), 1, 1, 1)[cooler]
    return image


def _home(rng: Rng) -> Image:
    return _windowed(rng, 0.95, 2.4, 0.7, 2.3)


def _shop(rng: Rng) -> Image:
    image = _windowed(rng, 0.9, 2.4, 0.5, 2.5)
    u, v = _metres()
    street = v < 3.0
    shutter = 0.55 + 0.1 * np.sin(v * 70) + 0.12 * _cells(rng, u / 3.0, v * 0)
    image[street] = _coloured(shutter, 0.95, 0.98, 1.0)[street]
    bay = _cells(rng, u / 3.0 + 31, v * 0)
    sign = (v > 2.35) & (v < 3.15)
    board = np.select(
        [(bay < -0.5)[..., None], (bay < 0.0)[..., None], (bay < 0.5)[..., None]],
        [_rgb(0.75, 0.1, 0.1), _rgb(0.1, 0.25, 0.6), _rgb(0.85, 0.7, 0.15)],
        _rgb(0.1, 0.45, 0.25),
    )
    letters = (_cells(rng, u / 0.16, v / 0.14) > 0.35) & (v > 2.52) & (v < 2.98) & (u % 3.0 > 0.4) & (u % 3.0 < 2.6)
    board = np.where(letters[..., None], 0.95, board)
    image[sign] = board[sign]
    image[(u % 3.0 < 0.2) & street] = 0.7
    return image


def _brick(rng: Rng) -> Image:
    u, v = _metres()
    course = np.floor(v / 0.075)
    shifted = u / 0.25 + 0.5 * (course % 2)
    value = 0.72 + 0.14 * _cells(rng, shifted, course) + _mixed(rng, (1024, 0.06), (60, 0.08), (8, 0.08))
    image = _coloured(value, 0.78, 0.5, 0.42)
    mortar = ((v % 0.075) < 0.014) | ((shifted % 1.0) < 0.06)
    image[mortar] = 0.62
    _blots(rng, image, 50, (0.3, 1.4), (_rgb(0.4, 0.36, 0.33), _rgb(0.7, 0.66, 0.62)), 0.45)
    return image


def _tile(rng: Rng) -> Image:
    u, v = _metres()
    row, col = v / 0.30, u / 0.25
    shape = 0.5 + 0.5 * np.cos(2 * np.pi * col)
    step = row % 1.0
    value = 0.66 + 0.14 * shape - 0.16 * (step < 0.18) + 0.12 * _cells(rng, col, row) + 0.06 * _cells(rng, col / 5, row / 3)
    value += _mixed(rng, (1024, 0.05), (90, 0.07), (24, 0.09), (7, 0.08))
    image = _coloured(value)
    _blots(rng, image, 130, (0.15, 0.9), (_rgb(0.32, 0.34, 0.26), _rgb(0.25, 0.25, 0.25), _rgb(0.85, 0.82, 0.78)), 0.55)
    return image


def _steel(rng: Rng) -> Image:
    u, v = _metres()
    rib = (u % 0.75) / 0.75
    value = 0.80 + 0.14 * (rib < 0.09) - 0.16 * ((rib > 0.09) & (rib < 0.16)) + 0.03 * _cells(rng, u / 0.75, v / 6.0)
    value += _mixed(rng, (700, 0.03), (64, 0.06), (12, 0.08)) - 0.10 * ((v % 6.0) < 0.08)
    run = noise(rng, 300)[:1, :]
    value -= np.clip(run, 0, 1) * 0.12 * (0.5 + 0.5 * noise(rng, 20))
    image = _coloured(value)
    _blots(rng, image, 110, (0.1, 0.8), (_rgb(0.5, 0.36, 0.25), _rgb(0.42, 0.42, 0.4), _rgb(0.95, 0.95, 0.92)), 0.5)
    screws = ((u % 0.75) < 0.06) & ((v % 1.2) < 0.06)
    image[screws] *= 0.6
    return image


def _concrete(rng: Rng) -> Image:
    u, v = _metres()
    value = (
        0.62 + _mixed(rng, (1024, 0.07), (300, 0.05), (90, 0.06), (30, 0.08), (9, 0.08)) + 0.05 * _cells(rng, u / 4.0, v / 3.0)
    )
    value -= 0.14 * (((u % 4.0) < 0.05) | ((v % 3.0) < 0.05))
    image = _coloured(value, 1.0, 0.985, 0.95)
    dark, pale, moss = _rgb(0.36, 0.35, 0.33), _rgb(0.78, 0.77, 0.74), _rgb(0.36, 0.38, 0.28)
    _blots(rng, image, 200, (0.1, 1.3), (dark, pale, moss), 0.5)
    _blots(rng, image, 300, (0.03, 0.12), (_rgb(0.2, 0.2, 0.2), pale), 0.9)
    return image


def _membrane(rng: Rng) -> Image:
    u, v = _metres()
    value = 0.42 + 0.04 * _cells(rng, u / 1.0, v / 8.0) + _mixed(rng, (1024, 0.06), (120, 0.05), (26, 0.06), (6, 0.05))
    value += 0.1 * ((u % 1.0) < 0.05)
    image = _coloured(value, 0.97, 1.0, 1.0)
    shades = (_rgb(0.62, 0.62, 0.6), _rgb(0.26, 0.26, 0.27), _rgb(0.42, 0.36, 0.3), _rgb(0.72, 0.72, 0.7))
    _blots(rng, image, 170, (0.1, 1.5), shades, 0.6)
    return image


def _leaf(rng: Rng) -> Image:
    value = 0.60 + _mixed(rng, (512, 0.30), (256, 0.24), (110, 0.18), (40, 0.10), (12, 0.08))
    hue = noise(rng, 150) * 0.08
    return np.stack([value * (0.98 + hue), value, value * (0.86 - hue)], axis=-1)


def _paint(rng: Rng) -> Image:
    return _coloured(0.86 + _mixed(rng, (200, 0.04), (40, 0.06)))


def _glass(rng: Rng) -> Image:
    return _coloured(0.15 + _mixed(rng, (100, 0.04), (30, 0.05)), 0.9, 1.0, 1.1)


def _cloth(rng: Rng) -> Image:
    fold = np.abs(noise(rng, 36)) * 0.22 + np.abs(noise(rng, 90)) * 0.14
    return _coloured(0.92 - fold + _mixed(rng, (1024, 0.03), (12, 0.06)))


def _sand(rng: Rng) -> Image:
    value = 0.62 + _mixed(rng, (1024, 0.12), (400, 0.08), (100, 0.06), (20, 0.08))
    return _coloured(value, 1.0, 0.88, 0.68)


def _container(rng: Rng) -> Image:
    u, v = _metres()
    value = 0.74 + 0.13 * np.sign(np.sin(u * (2 * np.pi / 0.28))) + _mixed(rng, (500, 0.04), (50, 0.07), (14, 0.06)) + v * 0
    image = _coloured(value)
    _blots(rng, image, 140, (0.08, 0.6), (_rgb(0.45, 0.27, 0.16), _rgb(0.3, 0.28, 0.26), _rgb(0.95, 0.95, 0.93)), 0.6)
    return image


def _film(rng: Rng) -> Image:
    u, _ = _metres()
    value = 0.80 + 0.10 * ((u % 1.0) < 0.06) + _mixed(rng, (300, 0.05), (60, 0.07), (16, 0.08))
    image = _coloured(value, 0.97, 1.0, 1.0)
    _blots(rng, image, 90, (0.2, 1.4), (_rgb(0.5, 0.55, 0.45), _rgb(0.98, 0.98, 0.98)), 0.5)
    return image


def _solar(rng: Rng) -> Image:
    u, v = _metres()
    value = 0.14 + 0.14 * ((u % 0.12) < 0.03) + 0.02 * noise(rng, 256) + v * 0
    return _coloured(value, 0.8, 0.9, 1.2)


_PAINTERS: tuple[Callable[[Rng], Image], ...] = (
    _home, _plaster, _brick, _tile, _steel, _concrete, _membrane, _leaf,
    _paint, _glass, _cloth, _sand, _container, _shop, _film, _solar,
)  # fmt: skip


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The one atlas: the same in every town, as bricks are."""
    layers = np.empty((len(Layer), PIXELS, PIXELS, 3), np.uint8)
    for layer in Layer:
        image = _PAINTERS[layer](np.random.default_rng(7000 + layer))
        layers[layer] = np.clip(image * 255.0, 0, 255).astype(np.uint8)
    sizes = [layers]
    for _ in range(3):
        sizes.append(shrunk(sizes[-1]))
    return Atlas(*sizes)


def shrunk(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every picture `(..., rows, cols, 3)` at half size, by averages of four."""
    rows, cols = images.shape[-3] // 2 * 2, images.shape[-2] // 2 * 2
    cut = images[..., :rows, :cols, :]
    total = cut[..., ::2, ::2, :].astype(np.uint16)
    total += cut[..., 1::2, ::2, :]
    total += cut[..., ::2, 1::2, :]
    total += cut[..., 1::2, 1::2, :]
    return ((total + 2) >> 2).astype(np.uint8)
