"""A simulated month on a small town, made once for all tests that look at it."""

from __future__ import annotations

from dataclasses import dataclass

from patrol.demo import Report
from patrol.settings import Settings

SIZE_M = (84.0, 60.0)
STRUCTURES = 4


@dataclass(frozen=True, slots=True)
class Month:
    """The store that the month left behind, what it measured, and how to sign in."""

    settings: Settings
    report: Report
    login: str
    password: str
