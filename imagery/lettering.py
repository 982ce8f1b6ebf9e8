"""What is drawn onto pictures of evidence: words in Chinese and English, outlines, a north arrow, a scale bar.

Pictures are `(rows, cols, 3)` uint8 RGB and are drawn on in place; places are (column, row) pixels. The font is Noto Sans SC, cut down
to ASCII and GB 2312 (`data/OFL.txt`); a rarer character shows as an empty box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from geo.frames import Floats

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

RED, WHITE, BLACK, GREY = (235, 40, 30), (255, 255, 255), (0, 0, 0), (120, 120, 120)
FONT = Path(__file__).parent / "data" / "NotoSansSC-GB2312.otf"
_STRIP_PX = 15
_SMALLEST_PX = 9
_GAP = "    "


@lru_cache(maxsize=32)
def _font(px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), px, layout_engine=ImageFont.Layout.BASIC)


def width_px(words: str, px: int) -> int:
    """How wide words of a size are."""
    return math.ceil(_font(px).getlength(words))


def write(
    picture: Pixels, words: str, at: tuple[int, int], px: int, colour: Colour = WHITE, *, halo: Colour | None = BLACK
) -> None:
    """Words with their upper left corner at a place, cut at the picture's edge; a halo keeps them legible on any ground."""
    room = 2 if halo is not None else 0
    height = px * 3 // 2 + 2 * room
    stamp = np.zeros((height, width_px(words, px) + 2 * room + 2), np.uint8)
    ink = _font(px).getmask(words, mode="L", anchor="ls")
    cols, rows = ink.size
    left, above = (int(v) for v in _font(px).getbbox(words, anchor="ls")[:2])
    top, start = max(0, round(px * 1.16) + room + above), max(0, left + room)
    letters = np.array(ink, np.uint8).reshape(rows, cols)[: height - top, : stamp.shape[1] - start]
    stamp[top : top + letters.shape[0], start : start + letters.shape[1]] = letters
    if halo is not None:
        _blend(picture, cv2.dilate(stamp, np.ones((3, 3), np.uint8)), at, halo)
    _blend(picture, stamp, at, colour)


def _blend(picture: Pixels, stamp: Pixels, at: tuple[int, int], colour: Colour) -> None:
    x, y = max(0, at[0]), max(0, at[1])
    part = picture[y : y + stamp.shape[0], x : x + stamp.shape[1]]
    weight = stamp[: part.shape[0], : part.shape[1], None].astype(np.float32) / 255
    part[:] = (part * (1 - weight) + np.array(colour, np.float32) * weight + 0.5).astype(np.uint8)


def with_strip(picture: Pixels, words: Sequence[str]) -> Pixels:
    """The picture over a black strip with its words, as many lines as they need; one that is too long is written smaller."""
    room = picture.shape[1] - 12
    lines: list[str] = []
    for part in words:
        joined = lines[-1] + _GAP + part if lines else part
        if lines and width_px(joined, _STRIP_PX) <= room:
            lines[-1] = joined
        else:
            lines.append(part)
    step = _STRIP_PX * 3 // 2
    strip = np.zeros((step * len(lines) + 6, picture.shape[1], 3), np.uint8)
    for row, line in enumerate(lines):
        px = _STRIP_PX
        while px > _SMALLEST_PX and width_px(line, px) > room:
            px -= 1
        write(strip, line, (6, 3 + row * step), px, halo=None)
    return np.vstack([picture, strip])


def draw_outline(picture: Pixels, rings: Sequence[Floats], colour: Colour = RED) -> None:
    """Closed rings `(n, 2)` in a colour with a white edge."""
    for ring in rings:
        points = [np.round(ring * 16).astype(np.int32).reshape(-1, 1, 2)]
        cv2.polylines(picture, points, True, WHITE, 4, cv2.LINE_AA, 4)
        cv2.polylines(picture, points, True, colour, 2, cv2.LINE_AA, 4)


def draw_north(picture: Pixels, up: tuple[float, ...]) -> None:
    """An arrow to the north in the upper right corner; `up` is that direction in the picture."""
    size = min(60.0, max(14.0, 0.035 * max(picture.shape[:2])))
    way = np.array(up) / max(1e-9, math.hypot(*up))
    middle = np.array([picture.shape[1] - 2.2 * size, 2.2 * size])
    tail, tip = middle - way * size, middle + way * size
    for colour, width in ((BLACK, 5), (WHITE, 2)):
        cv2.arrowedLine(picture, _whole(tail), _whole(tip), colour, width, cv2.LINE_AA, 0, 0.35)
    px = max(12, round(size * 0.7))
    corner = tail - way * 0.6 * size - [0.5 * width_px("北", px), 0.75 * px]
    write(picture, "北", _whole(corner), px)


def draw_scale(picture: Pixels, px_per_m: float) -> None:
    """A bar of 1, 2, 5, 10 … metres, at most a third of the picture's width."""
    most = picture.shape[1] / 3 / max(1e-6, px_per_m)
    decade = 10.0 ** math.floor(math.log10(max(most, 1e-3)))
    length = max(m * decade for m in (1, 2, 5) if m * decade <= most or m == 1)
    x0, y = 14, picture.shape[0] - 16
    x1 = x0 + round(length * px_per_m)
    for colour, width in ((BLACK, 7), (WHITE, 3)):
        cv2.line(picture, (x0, y), (x1, y), colour, width)
    write(picture, f"{length:g} 米 m", (x0, y - 28), 15)


def _whole(point: Floats) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
