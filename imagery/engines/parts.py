"""Large blocks in parts: compact groups of photos that overlap, so that what is solved at once does not grow with the flight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.frames import Floats

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Photos by number: `core` are those this part answers for, each in one part only; `ring` their neighbours in other parts."""

    core: tuple[int, ...]
    ring: tuple[int, ...]

    @property
    def members(self) -> tuple[int, ...]:
        """All photos that are solved together, in order."""
        return tuple(sorted((*self.core, *self.ring)))


def split(xy: Floats, near: Iterable[tuple[int, int]], most: int) -> tuple[Part, ...]:
    """Parts of at most `most` photos (rings not counted) of a flight with places `xy` `(n, 2)`, NaN unknown.

    `near` are the pairs of neighbours: the ring of a part is every photo that is to be compared with one of its own, so that all
    ties across a border lie in both parts whole. A photo without a place goes where the photo before it went. Where no photo knows
    its place there is one part, however large.
    """
    count = len(xy)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(xy).all(axis=1))
    if count <= most or not known.any():
        return (Part(tuple(range(count)), ()),)
    last = np.maximum.accumulate(np.where(known, np.arange(count), -1))
    last[last < 0] = int(np.argmax(known))
    cores = _halved(np.arange(count), xy[last], -(-count // most))
    part_of = np.empty(count, np.int64)
    for number, core in enumerate(cores):
        part_of[core] = number
    rings: list[set[int]] = [set() for _ in cores]
    for i, j in near:
        if part_of[i] != part_of[j] and known[i] and known[j]:
            rings[part_of[i]].add(j)
            rings[part_of[j]].add(i)
    return tuple(Part(tuple(core.tolist()), tuple(sorted(ring))) for core, ring in zip(cores, rings, strict=True))


def _halved(photos: Numbers, xy: Floats, into: int) -> list[Numbers]:
    """Cut across the longer side again and again, in proportion, until there are `into` parts of about one size."""
    if into <= 1:
        return [photos]
    here = xy[photos]
    axis = int(np.argmax(np.ptp(here, axis=0)))
    order = photos[np.argsort(here[:, axis], kind="stable")]
    left = into // 2
    cut = round(len(order) * left / into)
    return [*_halved(np.sort(order[:cut]), xy, left), *_halved(np.sort(order[cut:]), xy, into - left)]
