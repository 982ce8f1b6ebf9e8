"""Classes of changes: a model is a file that can be read, checked and refused; rules and classes speak together and say who overruled whom."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from change_detect.candidate import Kind
from change_detect.classes import SHIPPED, WANTED, Opinion, Thresholds, agreed, load, of_document
from change_detect.errors import ModelError
from change_detect.measure import Features
from change_detect.rules import Judgement


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(json.loads(SHIPPED.read_text()))


def test_the_shipped_model_gives_the_answers_it_was_shipped_with(document: dict[str, Any]) -> None:
    """Its own examples come out as stored, every class among them, and shares sum to one."""
    model = load()
    shares = model.shares(document["examples"]["rows"])
    assert np.allclose(shares, document["examples"]["shares"], atol=1e-4)
    assert np.allclose(shares.sum(1), 1.0)
    assert len(shares) >= len(model.names)


def test_a_changed_model_is_refused(document: dict[str, Any]) -> None:
    """One leaf moved is noticed, and the sentence says what to do."""
    changed = copy.deepcopy(document)
    for tree in changed["trees"]:
        for node in tree:
            if len(node) == 1:
                node[0] += 0.5
                break
        break
    with pytest.raises(ModelError, match="put the original back"):
        of_document(changed, "classes.json")


@pytest.mark.parametrize("broken", ["trees", "knots", "examples", "features"])
def test_a_model_with_a_part_missing_is_refused(document: dict[str, Any], broken: str) -> None:
    """Whatever part is missing, it is a ModelError and not a crash."""
    with pytest.raises(ModelError, match="make it again"):
        of_document({k: v for k, v in document.items() if k != broken}, "classes.json")


def test_a_tree_that_leads_back_is_refused(document: dict[str, Any]) -> None:
    """Children come after their parent, so that every walk ends."""
    changed = copy.deepcopy(document)
    changed["trees"][0][0] = [0, 1.0, 1, 0, 0]
    with pytest.raises(ModelError, match="leads nowhere"):
        of_document(changed, "classes.json")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file that is no JSON is named."""
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load(path)


def test_what_was_not_measured_is_no_reason_to_fail() -> None:
    """A row without features still gets a chance between 0 and 1, and so does one full of nonsense."""
    model = load()
    for row in ({}, dict.fromkeys(model.features, math.nan), dict.fromkeys(model.features, 1e9)):
        assert 0.0 <= model.opinion(row).chance <= 1.0


def test_a_chance_never_falls_where_the_share_rises() -> None:
    """Calibration keeps the order."""
    model = load()
    at = next(i for i, n in enumerate(model.names) if n in WANTED)
    other = next(i for i, n in enumerate(model.names) if n not in WANTED)
    shares = np.zeros((101, len(model.names)))
    shares[:, at] = np.linspace(0, 1, 101)
    shares[:, other] = 1 - shares[:, at]
    chances = model.chances(shares)
    assert (np.diff(chances) >= -1e-12).all()
    assert chances[-1] > 0.9
    assert chances[0] < 0.1


SHOWN = Judgement(Kind.NEW_BUILDING, 0.8, ("r",), None)
HELD = Judgement(Kind.VEHICLE, 0.8, ("r",), "vehicle_suspected: 疑似车辆 / like a vehicle")


def formed(width_m: float, *, length_m: float = 6.0, gain_m: float = 2.5) -> Features:
    """What was measured of a box of this size."""
    rest = {f.name: 0.0 for f in fields(Features)}
    return Features(**rest | {"area_m2": width_m * length_m, "length_m": length_m, "width_m": width_m, "gain_m": gain_m})


def test_a_class_that_is_sure_holds_back_and_says_why() -> None:
    """A rule's candidate that looks like a lorry is held, with both languages in the sentence."""
    said = agreed(SHOWN, Opinion("vehicle", 0.99, 0.01), Thresholds(), formed(3.5))
    assert said.suppressed is not None
    assert "车辆" in said.suppressed
    assert said.kind == Kind.VEHICLE
    assert said.score == 0.01


def test_a_class_that_is_sure_releases_and_keeps_the_rules_sentence() -> None:
    """What a rule held is shown, and the rule's sentence stays among the reasons."""
    said = agreed(HELD, Opinion("container_shed", 0.99, 0.995), Thresholds(), formed(3.5))
    assert said.suppressed is None
    assert said.kind == Kind.SHED_OR_CONTAINER
    assert any("like a vehicle" in r for r in said.reasons)


def test_what_is_as_narrow_as_a_lorry_is_not_released() -> None:
    """2.5 m wide may have wheels, however much it looks like a shed."""
    assert agreed(HELD, Opinion("container_shed", 0.99, 0.995), Thresholds(), formed(2.5)).suppressed == HELD.suppressed


def test_what_is_high_and_short_is_no_vehicle() -> None:
    """A hut of 3.6 by 2.7 m and 2.4 m high stays shown, however much it looks like a van; vans that high are longer."""
    van = Opinion("vehicle", 0.97, 0.03)
    assert agreed(SHOWN, van, Thresholds(), formed(2.7, length_m=3.6, gain_m=2.4)).suppressed is None
    assert agreed(SHOWN, van, Thresholds(), formed(1.9, length_m=5.2, gain_m=2.4)).suppressed is not None
    assert agreed(SHOWN, van, Thresholds(), formed(1.8, length_m=3.6, gain_m=1.5)).suppressed is not None


def test_no_class_releases_what_the_survey_did_not_measure() -> None:
    """The edge of coverage is no matter of likeness."""
    edge = Judgement(Kind.ARTEFACT, 0.8, (), "edge_of_coverage: x / y")
    assert agreed(edge, Opinion("new_building", 1.0, 0.999), Thresholds(), formed(3.5)).suppressed == edge.suppressed


def test_doubt_changes_nothing_but_the_score() -> None:
    """Between the thresholds the rules decide."""
    for verdict in (SHOWN, HELD):
        said = agreed(verdict, Opinion("film", 0.4, 0.6), Thresholds(), formed(3.5))
        assert (said.suppressed, said.kind) == (verdict.suppressed, verdict.kind)
        assert said.score == 0.6
