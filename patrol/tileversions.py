"""Addresses of map tiles carry the version of what they show: a browser may keep a tile, and nobody is shown an old one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote

from patrol import records

ASSETS = ("ortho", "surface")


def version(survey: records.SurveyRecord, asset: str) -> str | None:
    """What tells one state of a survey's layer from another: its content, and how often it was moved; None without such a layer.

    The count is there because a move taken back makes the old content again: a tile that was drawn while files were swapped is
    then known under a version that never comes back.
    """
    found = survey.asset(asset) if asset in ASSETS else None
    return None if found is None else f"{found.sha256[:16]}.{len(survey.record.get('nudges', ()))}"


def addresses(survey: records.SurveyRecord) -> dict[str, str]:
    """The address of each layer's tiles, with `{z}/{x}/{y}` to fill in."""
    versions = {asset: version(survey, asset) for asset in ASSETS}
    return {
        a: f"/api/tiles/{quote(survey.id, safe='')}/{a}/{{z}}/{{x}}/{{y}}?v={v}" for a, v in versions.items() if v is not None
    }


def height_version(pair: records.ComparisonRecord, surveys: Sequence[records.SurveyRecord]) -> str | None:
    """The same of a height change; None when one of the two has no surface."""
    versions = [version(survey, "surface") for survey in surveys]
    if None in versions:
        return None
    return hashlib.sha256(f"{versions} {pair.record.get('up_m', 0.0)}".encode()).hexdigest()[:16]


def height_address(pair: records.ComparisonRecord, surveys: Sequence[records.SurveyRecord]) -> str | None:
    """The address of a comparison's height tiles; None when there are none."""
    current = height_version(pair, surveys)
    return None if current is None else f"/api/comparisons/{quote(pair.id, safe='')}/height/{{z}}/{{x}}/{{y}}?v={current}"
