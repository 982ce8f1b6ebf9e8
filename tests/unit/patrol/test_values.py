from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box

from geo.frames import LonLat
from patrol.settings import Settings
from patrol.values import ValuesError, dump, load

Id = NewType("Id", str)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Leaf:
    id: Id
    at: datetime
    day: date | None
    colour: Colour
    place: LonLat


@dataclass(frozen=True, slots=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str]
    tags: frozenset[Colour]
    notes: Mapping[str, Any]
    outline: Polygon | MultiPolygon
    folder: Path | None
    pause: timedelta
    weights: Mapping[Colour, float]


leaves = st.builds(
    Leaf,
    st.text(max_size=5).map(Id),
    st.datetimes().map(lambda d: d.replace(tzinfo=UTC)),
    st.one_of(st.none(), st.dates()),
    st.sampled_from(Colour),
    st.builds(lambda x, y: LonLat(lon_deg=x, lat_deg=y), st.floats(-180, 180), st.floats(-90, 90)),
)
trees = st.builds(
    Tree,
    st.lists(leaves, max_size=3).map(tuple),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.frozensets(st.sampled_from(Colour)),
    st.dictionaries(
        st.text(max_size=3), st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=3))
    ),
    st.sampled_from([box(0, 0, 1, 1), MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)])]),
    st.sampled_from([None, Path("a/b")]),
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.dictionaries(st.sampled_from(Colour), st.integers(0, 9).map(float)),
)


@given(trees)
def test_a_value_survives_the_journey_through_json(tree: Tree) -> None:
    """What is dumped, written, read and loaded is the same value of the same types."""
    back = load(Tree, json.loads(json.dumps(dump(tree))))
    assert back == tree
    assert all(type(leaf.colour) is Colour for leaf in back.leaves)


@pytest.mark.parametrize("raw", [{"id": "x"}, {"id": "x", "at": "yesterday"}, 7])
def test_what_does_not_fit_is_refused_with_the_name_of_the_type(raw: Any) -> None:
    """Stored JSON of another shape is an error, not a half-made value."""
    with pytest.raises(ValuesError, match="Leaf"):
        load(Leaf, raw)


def test_settings_need_no_server_and_change_by_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By default everything lies below home; one variable moves it to servers."""
    monkeypatch.setenv("PATROL_HOME", str(tmp_path))
    default = Settings()
    assert default.database == f"sqlite:///{tmp_path}/patrol.sqlite"
    assert default.broker == "filesystem://"
    assert all(
        tmp_path in folder.parents for folder in (default.blobs_dir, default.surveys_dir, default.work_dir, default.queue_dir)
    )
    monkeypatch.setenv("PATROL_DATABASE_URL", "postgresql://patrol@db/patrol")
    monkeypatch.setenv("PATROL_BROKER_URL", "redis://queue/0")
    assert (Settings().database, Settings().broker) == ("postgresql://patrol@db/patrol", "redis://queue/0")
    monkeypatch.setenv("PATROL_PORT", "99999")
    with pytest.raises(ValueError, match="port"):
        Settings()
