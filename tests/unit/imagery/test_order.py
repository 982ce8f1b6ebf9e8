"""Places in the order of a curve."""

from __future__ import annotations

import numpy as np

from imagery import order


def test_the_curve_passes_every_place_once_and_never_jumps() -> None:
    """On a full square of places each step goes to a direct neighbour, and none is left out."""
    rng = np.random.default_rng(1)
    square = rng.permutation(np.array([(x, y) for x in range(32) for y in range(32)], float))
    way = order.along_curve(square)
    assert sorted(way) == list(range(32 * 32))
    assert np.abs(np.diff(square[way], axis=0)).sum(axis=1).max() == 1


def test_places_without_a_position_come_last() -> None:
    """Photos that know no place follow in the order they were given; places that are all unknown stay as they are."""
    places = np.array([[np.nan, np.nan], [5.0, 1.0], [np.nan, np.nan], [0.0, 0.0]])
    assert list(order.along_curve(places)[2:]) == [0, 2]
    assert list(order.along_curve(np.full((3, 2), np.nan))) == [0, 1, 2]
