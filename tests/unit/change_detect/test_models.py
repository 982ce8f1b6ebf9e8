"""What a user's model has to be before it may judge anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import change_detect
from change_detect.errors import ModelError
from change_detect.models import load
from change_detect.raster import Layers
from tests.unit.change_detect import graphs


def layers(seed: int, shape: tuple[int, int] = (100, 120)) -> Layers:
    ortho = np.random.default_rng(seed).integers(0, 255, (*shape, 3), np.uint8)
    return Layers(ortho, np.ones(shape, bool), None, None, None)


@pytest.mark.parametrize("layout", ["pair", "stacked"])
@pytest.mark.parametrize("answer", ["logit", "probability", "two_class"])
def test_every_layout_and_answer_gives_the_same_probabilities(tmp_path: Path, layout: str, answer: str) -> None:
    """Two inputs or six channels, logits, probabilities or two classes: what the model says of a window is the same."""
    a, b = layers(1), layers(2)
    found = load(graphs.write(tmp_path, layout, answer)).chances(a, b, heights=False)
    logit = 8 * np.abs(a.ortho.astype(float) - b.ortho).mean(-1) / 255 * 2 - 4
    assert found.shape == (100, 120)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logit)), atol=1e-4)


def test_where_a_date_shows_nothing_there_is_no_change(tmp_path: Path) -> None:
    """Unknown cells are answered 0, and do not reach into the others."""
    a, b = layers(1), layers(2)
    b.valid[:50] = False
    b.ortho[:50] = 0
    found = load(graphs.write(tmp_path)).chances(a, b, heights=False)
    assert not found[:50].any()
    np.testing.assert_array_equal(found[50:], load(graphs.write(tmp_path)).chances(a, layers(2), heights=False)[50:])


def test_a_model_of_own_tones_does_not_see_the_exposure(tmp_path: Path) -> None:
    """With `own_tone` a date twice as dark and tinted is the same date; without it, it is another."""
    dim = layers(1)
    dim.ortho[:] = np.random.default_rng(1).integers(20, 120, dim.ortho.shape, np.uint8)
    bright = Layers(2 * dim.ortho + np.array([0, 10, 14], np.uint8), dim.valid, None, None, None)
    path = graphs.write(tmp_path)
    plain = load(path).chances(dim, bright, heights=False)
    told = {"own_tone": 0.01, "mean": [0, 0, 0], "std": [1, 1, 1], "tolerance": 0.1}
    example = dict(np.load(tmp_path / "check.npz"))
    seen = [
        (p - p[::4, ::4].reshape(-1, 3).mean(0)) / p[::4, ::4].reshape(-1, 3).std(0).mean()
        for p in (example["before"] / 255.0, example["after"] / 255.0)
    ]
    example["expected"] = (1 / (1 + np.exp(4 - 8 * np.abs(seen[0] - seen[1]).mean(-1)))).astype(np.float32)
    np.savez(tmp_path / "check.npz", **example)
    own = load(graphs.told_anew(path, **told)).chances(dim, bright, heights=False)
    assert own.max() < 0.03
    assert plain.max() > 0.1


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"gsd_m": None}, "lacks gsd_m"),
        ({"gsd_m": "fine"}, "gsd_m cannot be"),
        ({"gsd_m": 0.5}, "low <= gsd_m <= high"),
        ({"overlap": 32}, "64 cells or more"),
        ({"tile": 100}, "twice the overlap"),
        ({"std": [1, 0, 1]}, "positive"),
        ({"mean": [1, 2]}, "mean cannot be"),
        ({"value_range": [1, 0]}, "has to rise"),
        ({"answer": "heat"}, "answer cannot be"),
        ({"inputs": ["before"]}, "one name per input"),
        ({"inputs": ["before", "later"]}, "has inputs before, after"),
        ({"output": "mask"}, "no output mask"),
        ({"colour": 1}, "unknown keys colour"),
        ({"own_tone": -1}, "cannot be negative"),
        ({"check": "../check.npz"}, "check cannot be"),
        ({"check": "none.npz"}, "self-check none.npz cannot be read"),
        ({"mean": [0.1, 0.5, 0.5], "std": [0.2, 0.5, 0.5]}, "does not give what its self-check"),
        ({"answer": "probability"}, "no probability"),
        ({"answer": "two_class"}, "answers"),
        ({"heights": {}, "inputs": ["before", "after", "dz"]}, "has inputs"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused_by_name(tmp_path: Path, told: dict[str, object], says: str) -> None:
    """Each mistake has its own sentence, first in Chinese, and nothing is judged."""
    path = graphs.told_anew(graphs.write(tmp_path), **told)
    with pytest.raises(ModelError, match=says) as refused:
        load(path)
    assert any("一" <= c <= "鿿" for c in str(refused.value).split(" / ")[0])


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    """A picture renamed, an empty file, a missing one."""
    path = graphs.write(tmp_path)
    for content in (b"\xff\xd8\xff not a model", b"", path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            load(path)
    path.unlink()
    with pytest.raises(ModelError, match="no model file"):
        load(path)


def test_a_missing_or_broken_sidecar_is_refused(tmp_path: Path) -> None:
    """Without its sheet of paper a model is not guessed at."""
    path = graphs.write(tmp_path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ModelError, match="no JSON"):
        load(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="missing"):
        load(path)


def test_a_model_that_answers_nan_is_refused(tmp_path: Path) -> None:
    """Not a number is no probability: said at load, before any survey is judged."""
    with pytest.raises(ModelError, match="NaN"):
        load(graphs.write(tmp_path, spoil="Log"))


def test_a_graph_of_another_size_is_refused(tmp_path: Path) -> None:
    """A graph fixed at 128 cells cannot be fed tiles of 256."""
    with pytest.raises(ModelError, match="input before is"):
        load(graphs.write(tmp_path, side=128))


@pytest.mark.parametrize(("name", "heights"), [("structures", True), ("roofs", False)])
def test_the_shipped_networks_pass_their_own_checks_and_say_how_good_they_are(name: str, heights: bool) -> None:
    """The weights, sidecar and self-check in the package belong together, and their scores lie beside them."""
    path = Path(change_detect.__file__).with_name("data") / f"{name}.onnx"
    model = load(path)
    assert (model.sidecar.heights is not None) == heights
    scores = json.loads(path.with_suffix(".scores.json").read_text())
    assert {"recipe", "training", "parameters", "held_out"} <= set(scores)
    assert path.stat().st_size < 1_500_000
