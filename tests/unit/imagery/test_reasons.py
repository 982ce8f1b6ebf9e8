from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from imagery.reasons import Reason, read_all


def test_a_reason_comes_back_from_its_record() -> None:
    """What is stored as JSON is the same reason when it is read."""
    said = Reason("tilt", "整体倾斜 4.0°（上限 3.0°）。", "The block is tilted by 4.0° (limit 3.0°).", 4.0, 3.0)
    refused = Reason("coverage", "缺", "gap", refuses=True)
    assert read_all(json.loads(json.dumps([asdict(said), asdict(refused)]))) == (said, refused)


@pytest.mark.parametrize(
    ("stored", "zh", "en"),
    [
        (
            "只有 61% 的照片能用上（应≥70%）。 Only 61% of the photos fit.",
            "只有 61% 的照片能用上（应≥70%）。",
            "Only 61% of the photos fit.",
        ),
        ("the joint block failed: too few", "the joint block failed: too few", "the joint block failed: too few"),
        ("整体倾斜。", "整体倾斜。", "整体倾斜。"),
    ],
)
def test_a_sentence_of_an_older_record_is_taken_apart(stored: str, zh: str, en: str) -> None:
    """Records that were written before reasons were values stay readable in either language, and none of their text is lost."""
    found = Reason.read(stored)
    assert (found.zh, found.en) == (zh, en)
    assert found.text == stored


def test_what_is_no_reason_is_refused() -> None:
    """A record of another shape does not become an empty sentence."""
    with pytest.raises((TypeError, KeyError)):
        Reason.read(7)
    with pytest.raises((TypeError, KeyError)):
        Reason.read({"code": "x"})
