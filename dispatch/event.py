"""What happened: each act that was carried out leaves exactly one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One act on one finding or case; `facts` is plain JSON of what the act was told."""

    subject: str  # "finding" or "case"
    subject_id: str
    act: str
    before: str
    after: str
    by: str
    by_name: str
    at: datetime
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
