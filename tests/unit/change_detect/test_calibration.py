"""What a calibration promises: it rises, it is held to what ships, it does not care for order, it is judged where it has not looked."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from change_detect.calibration import SHIPPED, Example, fit, held_out, try_out

KINDS = ("new_building", "roof_addition", "earthwork")


def one(i: int, score: float, is_right: bool, **given: object) -> Example:
    return replace(Example(str(i), score, "new_building", is_right, "a", "s"), **given)


def city(n: int, seed: int, *, power: float, areas: int = 5, surveys: int = 12) -> list[Example]:
    """Labels of a city where a score `s` is right `s ** power` of the time."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        score = rng.random()
        where = {"area": f"a{rng.randrange(areas)}", "survey": f"s{rng.randrange(surveys)}", "kind": rng.choice(KINDS)}
        made.append(one(i, score, rng.random() < score**power, **where))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_higher_score_never_becomes_a_lower_chance(seed: int) -> None:
    """Whatever the labels say, even the opposite of the scores."""
    rng = random.Random(seed)
    labels = [one(i, rng.random(), rng.random() < 0.5, kind=rng.choice(KINDS)) for i in range(80)]
    labels += [one(100 + i, 0.95, False) for i in range(40)] + [one(200 + i, 0.05, True) for i in range(40)]
    made = fit(labels)
    for kind in (*KINDS, "never seen"):
        chances = [made.of(kind, s / 100) for s in range(101)]
        assert all(a <= b for a, b in itertools.pairwise(chances))
        assert 0.0 < chances[0] < chances[-1] < 1.0


def test_five_labels_do_not_swing_it_and_hundreds_do() -> None:
    """All that ships is 0.90 right; the prior gives way as labels come in."""
    few = fit(one(i, 0.9, is_right=False) for i in range(5)).of("new_building", 0.9)
    assert 0.75 < few < 0.9
    half = [fit(one(i, 0.9, i % 2 == 0) for i in range(n)).of("new_building", 0.9) for n in (6, 60, 600, 6000)]
    assert half == sorted(half, reverse=True)
    assert half[-1] == pytest.approx(0.5, abs=0.01) and half[0] > 0.8
    doubtful = fit(one(i, 0.9, is_right=False, weight=0.5) for i in range(5)).of("new_building", 0.9)
    assert few < doubtful < 0.9


def test_labels_that_agree_with_the_scores_leave_them() -> None:
    """Three thousand labels of a detector that keeps its word: within three hundredths of it everywhere."""
    made = fit(city(3000, 1, power=1.0))
    assert all(abs(made.of(k, s / 10) - s / 10) < 0.06 for k in KINDS for s in range(1, 10))


def test_without_labels_it_is_what_ships_to_the_last_digit() -> None:
    """Nothing said, nothing changed."""
    assert fit([]) == SHIPPED
    assert [SHIPPED.of("x", s / 7) for s in range(8)] == [s / 7 for s in range(8)]


def test_a_kind_without_labels_follows_the_others_at_a_distance() -> None:
    """What forty piles taught of new buildings makes a roof addition a little less sure, not as much."""
    made = fit(one(i, 0.9, is_right=False) for i in range(40))
    assert made.of("new_building", 0.9) < made.of("roof_addition", 0.9) < 0.9


def test_the_order_of_labels_is_no_matter() -> None:
    """The same labels, the same curves, to the last bit."""
    labels = city(200, 5, power=2.0)
    first = fit(labels)
    for seed in range(3):
        mixed = labels.copy()
        random.Random(seed).shuffle(mixed)
        assert fit(mixed) == first
        assert try_out(mixed) == try_out(labels)


def test_it_is_used_where_scores_promise_too_much_and_not_where_they_keep_their_word() -> None:
    """Judged on whole areas and whole surveys; the sentence says what was promised, what was right, and what is promised now."""
    wanted = try_out(city(400, 2, power=2.0))
    assert wanted.is_better and {t.by for t in wanted.tests} == {"area", "survey"}
    for test in wanted.tests:
        assert abs(test.said_after - test.was) < abs(test.said_before - test.was)
        assert test.loss_after < test.loss_before
    assert "予以采用" in wanted.zh and "used from now on" in wanted.en
    kept = [try_out(city(400, seed, power=1.0)).is_better for seed in range(10)]
    assert sum(kept) <= 2


def test_what_one_area_alone_says_does_not_pass_for_the_others() -> None:
    """One area with a hundred piles, three where scores keep their word: held out by area it is worse, however good it looks inside."""
    rng = random.Random(3)
    quiet = [one(i, s := rng.uniform(0.6, 0.95), rng.random() < s, area=f"a{i % 3}", survey=f"q{i % 9}") for i in range(60)]
    piles = [one(1000 + i, rng.uniform(0.6, 0.95), is_right=False, area="dock", survey=f"d{i % 6}") for i in range(100)]
    by_area = held_out([*quiet, *piles], "area")
    by_survey = held_out([*quiet, *piles], "survey")
    assert by_area is not None and by_survey is not None
    assert by_survey.is_better and not by_area.is_better
    assert not try_out([*quiet, *piles]).is_better


def test_a_held_out_group_is_never_looked_at() -> None:
    """Other answers in one area change the chances promised in the others, never its own."""
    labels = city(120, 7, power=1.5, areas=2)
    other = [replace(e, is_right=not e.is_right) if e.area == "a0" else e for e in labels]
    first, second = held_out(labels, "area"), held_out(other, "area")
    assert first is not None and second is not None
    ours = fit(e for e in labels if e.area == "a1")
    share = [ours.of(e.kind, e.score) for e in labels if e.area == "a0"]
    theirs = fit(e for e in other if e.area == "a0")
    rest = [theirs.of(e.kind, e.score) for e in other if e.area == "a1"]
    assert second.said_after == pytest.approx(sum([*share, *rest]) / len(labels))
    assert first.said_after != pytest.approx(second.said_after)


def test_what_is_in_force_is_judged_without_what_it_learned_by_heart() -> None:
    """The same labels again gain nothing on the version made of them: exactly nothing."""
    labels = city(200, 9, power=2.0)
    again = try_out(labels, frozenset(e.id for e in labels))
    assert all(t.gain == 0.0 for t in again.tests) and not again.is_better


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([], "Too few labels: 0"),
        (city(15, 1, power=2.0), "Too few labels: 15"),
        ([one(i, 0.9, is_right=True, survey=f"s{i % 5}") for i in range(40)], "40 right"),
        (city(60, 1, power=2.0, surveys=2), "fewer than 3 surveys"),
    ],
)
def test_too_little_is_said_to_be_too_little(labels: list[Example], why: str) -> None:
    """In both languages, and nothing is used."""
    made = try_out(labels)
    assert not made.is_better
    assert why in made.en and made.zh
