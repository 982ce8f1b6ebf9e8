"""What a register says of a candidate: labels always, held back only where one entry explains it wholly."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from change_detect.candidate import Candidate, Kind
from change_detect.errors import ChangeError
from change_detect.register import Entry, EntryKind, Overlay, Register

DAY = date(2026, 11, 23)
PERMIT = Entry(
    "建字1号",
    EntryKind.BUILDING_PERMIT,
    box(0, 0, 20, 10),
    "一期",
    area_limit_m2=180.0,
    height_limit_m=6.0,
    valid_to=date(2027, 1, 1),
)


PLOT = box(2, 1, 18, 9)


def candidate(outline: Polygon = PLOT, height_m: float | None = 5.0, **other: object) -> Candidate:
    plain = Candidate("c", outline, outline.area, 2.0, height_m, Kind.NEW_BUILDING, 0.9, ("seen",))
    return replace(plain, **other)


def told(entry: Entry, found: Candidate, on: date = DAY, **more: object) -> Overlay:
    (overlay,) = Register([entry]).judge([found], on, **more)  # type: ignore[arg-type]
    return overlay


def test_what_a_valid_permit_covers_is_held_back_with_its_reason_and_loses_nothing() -> None:
    """Held back, not gone: outline, score and earlier reasons stay, the reason names the permit in both languages."""
    found = candidate()
    held = told(PERMIT, found).told(found)
    assert held.suppressed is not None and held.suppressed.startswith("register_permitted: ")
    assert "建字1号" in held.suppressed and "wholly inside building permit 建字1号" in held.suppressed
    assert replace(held, suppressed=None, reasons=held.reasons[:1]) == found


@pytest.mark.parametrize(
    ("entry", "found", "why"),
    [
        (PERMIT, candidate(box(2, 1, 18, 14)), "reaches over the line"),
        (PERMIT, candidate(height_m=6.4), "higher than allowed beyond two sigma"),
        (replace(PERMIT, area_limit_m2=100.0), candidate(), "larger than allowed beyond two sigma"),
        (replace(PERMIT, valid_to=DAY - timedelta(days=1)), candidate(), "expired"),
        (replace(PERMIT, valid_from=DAY + timedelta(days=1)), candidate(), "not yet in force"),
        (PERMIT, candidate(height_m=None), "its height is limited and was not measured"),
        (replace(PERMIT, kind=EntryKind.PARCEL), candidate(), "a parcel allows nothing"),
        (PERMIT, candidate(kind=Kind.DEMOLISHED), "nothing was built"),
        (replace(PERMIT, kind=EntryKind.LEDGER), candidate(height_m=3.0), "another height than the ledger's"),
        (replace(PERMIT, kind=EntryKind.LEDGER), candidate(height_m=6.0, kind=Kind.ROOF_ADDITION), "a storey on a known house"),
    ],
)
def test_what_is_not_explained_is_never_held_back(entry: Entry, found: Candidate, why: str) -> None:
    """Each way in which an entry falls short leaves a label and the candidate with the reviewers."""
    overlay = told(entry, found)
    assert overlay.held is None, why
    assert len(overlay.labels) == 1
    assert overlay.told(found).suppressed is None


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (replace(PERMIT, kind=EntryKind.SITE), "site"),
        (replace(PERMIT, kind=EntryKind.LEDGER, height_limit_m=5.2), "ledger"),
        (replace(PERMIT, kind=EntryKind.TEMPORARY_PERMIT), "permitted"),
        (replace(PERMIT, kind=EntryKind.VILLAGE_PERMIT, area_limit_m2=None, height_limit_m=None), "permitted"),
    ],
)
def test_each_entry_holds_back_for_its_own_reason(entry: Entry, code: str) -> None:
    held = told(entry, candidate()).held
    assert held is not None and held.code == code and held.zh and held.en


@given(over=st.floats(0.0, 3.0), sigma=st.floats(0.05, 1.0))
def test_an_excess_is_claimed_only_beyond_two_sigma(over: float, sigma: float) -> None:
    """Height over the permit is said when, and only when, it is more than twice what the measurement is unsure of."""
    (label,) = Register([PERMIT]).labels(candidate(height_m=6.0 + over), DAY, height_sigma_m=sigma)
    beyond = (6.0 + over) - 6.0
    assert label.excess_height_m == (beyond if beyond > 2 * sigma else 0.0)


@given(st.floats(0.0, 30.0))
def test_share_inside_is_the_share_of_area(shift: float) -> None:
    """Moved over the line, a candidate's share falls as its area does, from one to nothing."""
    found = candidate(box(shift, 0, shift + 10, 10))
    labels = Register([PERMIT]).labels(found, DAY)
    share = labels[0].share if labels else 0.0
    assert share == pytest.approx(min(1.0, max(0.0, (20.0 - shift) / 10.0)), abs=1e-9)


def test_sheds_under_one_permit_use_it_up_together() -> None:
    """Three of 48 m2 under a permit for 100 m2 exceed it, though each alone does not; what stood there before counts, once."""
    permit = replace(PERMIT, area_limit_m2=100.0)
    sheds = [candidate(box(6 * n, 1, 6 * n + 6, 9), id=f"s{n}") for n in range(3)]
    register = Register([permit])
    for overlay in register.judge(sheds, DAY):
        assert overlay.held is None
        assert overlay.labels[0].excess_area_m2 == pytest.approx(44.0)
    (alone,) = register.judge(sheds[:1], DAY)
    assert alone.held is not None
    (later,) = register.judge(sheds[:1], DAY, built=[s.outline for s in sheds])
    assert later.labels[0].excess_area_m2 == pytest.approx(44.0)
    (again,) = register.judge(sheds[:1], DAY, built=[sheds[0].outline])
    assert again == alone


def test_expiry_is_said_with_its_days_in_both_languages() -> None:
    permit = replace(PERMIT, kind=EntryKind.TEMPORARY_PERMIT, valid_to=date(2026, 11, 13))
    (label,) = told(permit, candidate()).labels
    assert not label.in_force
    assert "超期 10 天" in label.zh and "临时建设许可" in label.zh
    assert "expired on 2026-11-13, 10 days" in label.en
    assert label.text == f"{label.zh} / {label.en}"


def test_an_earlier_reason_to_hold_back_stays_first() -> None:
    found = candidate(suppressed="too_small: 面积过小 / small")
    assert told(PERMIT, found).told(found).suppressed == found.suppressed


def test_entries_that_cannot_be_are_refused_by_name() -> None:
    """A temporary permit without an end is none (城乡规划法 44); no limit is negative."""
    with pytest.raises(ChangeError, match="临时建设许可 T-1 没有有效期"):
        Entry("T-1", EntryKind.TEMPORARY_PERMIT, box(0, 0, 1, 1))
    with pytest.raises(ChangeError, match="N-1"):
        Entry("N-1", EntryKind.PARCEL, box(0, 0, 1, 1), area_limit_m2=-3.0)
