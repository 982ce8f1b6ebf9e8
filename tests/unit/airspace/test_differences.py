from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest
from shapely.affinity import scale, translate
from shapely.geometry import box

from airspace.classes import ZoneClass
from airspace.differences import ASPECT_TEXT, Aspect, compare
from airspace.windows import Window
from airspace.zones import Part, Zone, ZoneKind
from geo.heights import Datum, Height

SEA = Datum.SEA_LEVEL
SPOT = box(120.50, 32.30, 120.51, 32.31)
ZONE = Zone.single("a", "机场", ZoneKind.CONTROLLED, SPOT, Height(0, Datum.GROUND), Height(300, Datum.SEA_LEVEL))


def part(**changes: object) -> tuple[Part, ...]:
    return (replace(ZONE.parts[0], **changes),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "aspects"),
    [
        (replace(ZONE, parts=part(outline=translate(SPOT, 0.001))), (Aspect.MOVED,)),
        (replace(ZONE, parts=part(outline=scale(SPOT, 1.2, 1.2))), (Aspect.SHAPE,)),
        (replace(ZONE, parts=part(floor=Height(50, Datum.GROUND))), (Aspect.FLOOR,)),
        (replace(ZONE, parts=part(ceiling=Height(300, Datum.ELLIPSOID))), (Aspect.CEILING,)),
        (replace(ZONE, windows=(Window(time(8), time(18)),)), (Aspect.TIME,)),
        (replace(ZONE, kind=ZoneKind.PROHIBITED), (Aspect.KIND,)),
        (replace(ZONE, article_class=ZoneClass.AIRPORT), (Aspect.ARTICLE,)),
        (replace(ZONE, buffer_m=50.0), (Aspect.BUFFER,)),
        (replace(ZONE, name="新机场"), (Aspect.NAME,)),
        (replace(ZONE, attributes=(("备注", "新"),)), (Aspect.OTHER,)),
        (replace(ZONE, parts=(*ZONE.parts, Part(SPOT, Height(900, SEA), Height(999, SEA)))), (Aspect.SHAPE, Aspect.FLOOR, Aspect.CEILING)),
    ],
)  # fmt: skip
def test_each_way_to_change_has_its_word(after: Zone, aspects: tuple[Aspect, ...]) -> None:
    """What a person must look at is named, and nothing else."""
    found = compare((ZONE,), (after,))
    assert [c.aspects for c in found.changes] == [aspects]
    assert found.counts == {"added": 0, "removed": 0, "changed": 1, "same": 0}
    assert set(ASPECT_TEXT) == set(Aspect)


def test_added_and_removed_zones_are_told_and_equal_ones_are_not() -> None:
    """The same outline from another corner, and another edition's name, are no change."""
    turned = box(120.50, 32.30, 120.51, 32.31, ccw=False)
    other = replace(ZONE, id="b", name="油库")
    found = compare(
        (ZONE, other), (replace(ZONE, version="2026-2", parts=part(outline=turned)), replace(ZONE, id="c", name="电厂"))
    )
    assert [(c.what, c.zone.name) for c in found.changes] == [("added", "电厂"), ("removed", "油库")]
    assert found.same == 1


def test_half_a_metre_is_no_change_and_two_metres_are_one() -> None:
    """What a step between datums leaves is not shown as a change; what a person would see is."""
    noisy, moved = (replace(ZONE, parts=part(outline=translate(SPOT, by))) for by in (2e-6, 2e-5))
    assert compare((ZONE,), (noisy,)).same == 1
    assert compare((ZONE,), (moved,)).changes[0].aspects == (Aspect.MOVED,)


def test_zones_without_ids_of_their_own_are_told_by_name_and_place() -> None:
    """When a file numbers its zones anew, the nearest of the same name is the same zone; how far it moved is measured."""
    near, far = replace(ZONE, id="机场-2"), replace(ZONE, id="机场-3", parts=part(outline=translate(SPOT, 0.5)))
    moved = replace(ZONE, id="机场", parts=part(outline=translate(SPOT, 0.5, 0.001)))
    found = compare((near, far), (moved, replace(ZONE, id="新-1")))
    assert found.same == 1
    (change,) = found.changes
    assert change.before == far
    assert change.moved_m == pytest.approx(111.2, abs=0.5)
