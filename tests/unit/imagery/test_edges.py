"""Where a roof ends: what is seen past it, and what the picture shows."""

from __future__ import annotations

import numpy as np

from imagery import edges, fusion
from imagery.stereo import Metres

CELL_M = 0.1


def _shed(grown: int) -> tuple[Metres, np.ndarray]:
    """Heights of a 3 m shed of 20 x 30 cells spread by some cells over its lawn, and a picture of it with noise."""
    rng = np.random.default_rng(5)
    heights = np.zeros((80, 90), np.float32)
    heights[30 - grown : 50 + grown, 30 - grown : 60 + grown] = 3.0
    colours = np.full((80, 90, 3), (90, 140, 70), np.int16)
    colours[30:50, 30:60] = (170, 60, 50)
    colours += rng.integers(-12, 13, colours.shape, np.int16)
    return heights, colours.astype(np.uint8)


def _sharpened(heights: Metres, colours: np.ndarray) -> Metres:
    everywhere = np.ones(heights.shape, bool)
    return edges.sharpened(heights, colours, everywhere, np.full(heights.shape, 90, np.uint8), CELL_M)


def test_a_spread_roof_ends_where_its_colour_does() -> None:
    """Two cells too many on every side are taken back; what is left differs from the shed by a twentieth of its cells at most."""
    heights, colours = _shed(grown=2)
    sharp = _sharpened(heights, colours)
    shed = np.zeros(heights.shape, bool)
    shed[30:50, 30:60] = True
    assert ((heights > 1.5) ^ shed).sum() > 0.3 * shed.sum()
    assert ((sharp > 1.5) ^ shed).sum() < 0.05 * shed.sum()


def test_a_true_edge_and_a_slope_stay_as_measured() -> None:
    """Where picture and heights agree nothing moves, and neither does a slope under a pattern of colours."""
    heights, colours = _shed(grown=0)
    assert np.abs(_sharpened(heights, colours) - heights).max() < edges._MOVED_M
    slope = np.tile(np.linspace(0, 9, 90, dtype=np.float32), (80, 1))
    assert np.array_equal(_sharpened(slope, colours), slope)


def test_a_roof_of_the_ground_s_colour_stays() -> None:
    """Where the picture says nothing, the heights keep their word but for rounded corners: a tenth of a small shed's cells."""
    heights, _ = _shed(grown=0)
    grey = np.full((*heights.shape, 3), 120, np.uint8)
    assert (_sharpened(heights, grey) != heights).sum() < 0.10 * (heights > 0).sum()


def test_nothing_stands_where_three_pairs_look_past_it() -> None:
    """A camera to the west sees the lawn close to the east wall only over the true roof: a roof spread eastwards is dropped there."""
    cell, camera = 0.2, (20.0, -100.0, 40.0)  # row and column in cells, metres up: 45 degrees at the shed
    stack = np.zeros((4, 40, 60), np.float32)
    stack[:, 10:30, 10:30] = 3.0
    stack[:, 10:30, 30:46] = np.nan  # hidden from all four
    stack[0, 10:30, 30:33] = 3.0  # where one of them lets the roof run on
    ceilings = np.full(stack.shape, np.inf, np.float32)
    for layer, ceiling in zip(stack, ceilings, strict=True):
        fusion.carve(ceiling, layer, cell, *camera)
    believed, _, _ = fusion.agree(stack, np.full(4, 0.1), np.zeros((0, 40, 60), np.float32))
    assert (believed[15:25, 31:33] == 3.0).all()
    carved, _, _ = fusion.agree(stack, np.full(4, 0.1), ceilings[1:])
    assert np.isnan(carved[15:25, 41:46]).all()
    assert (carved[10:30, 10:30] == 3.0).all(), "the roof itself is not looked through"
    high = np.where(np.isinf(ceilings[1]), 99.0, ceilings[1])
    assert (np.diff(high[20, 36:46]) <= 1e-3).all(), "the free air comes down towards what is seen"
