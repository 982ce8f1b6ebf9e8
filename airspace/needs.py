"""Needs (须办申请): what has to be applied for, at which body, until when; one for each body and kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from airspace.law import HOURS
from airspace.papers import Purpose
from airspace.reasons import Reason


class Kind(StrEnum):
    """What is handed in."""

    APPLICATION = "application"  # 飞行活动申请 (Art. 26, 29)
    DAILY_PLAN = "daily_plan"  # 长期批准下的次日飞行计划备案 (Art. 26)


@dataclass(frozen=True, slots=True)
class Need:
    """An application that is needed. `apply_by` and `decided_by` are None where the law sets no hour; `late` once the first has passed."""

    body: str
    kind: Kind
    zone_ids: tuple[str, ...]
    codes: tuple[str, ...]
    apply_by: datetime | None
    decided_by: datetime | None
    late: bool


class Asking(Protocol):
    """A finding that may ask for an application at a body; an empty body asks for none."""

    @property
    def reason(self) -> Reason:
        """Why."""

    @property
    def body(self) -> str:
        """Who decides."""

    @property
    def kind(self) -> Kind:
        """What is handed in."""


def needs_of(found: Iterable[Asking], start: datetime, purpose: Purpose, now: datetime) -> tuple[Need, ...]:
    """The applications that findings ask for, those to one body as one, by body."""
    batches: dict[tuple[str, Kind], list[Reason]] = {}
    for one in found:
        if one.body:
            batches.setdefault((one.body, one.kind), []).append(one.reason)
    made = []
    for (body, kind), reasons in sorted(batches.items()):
        hours = HOURS[Purpose.PATROL if kind is Kind.DAILY_PLAN else purpose]
        closes = hours.apply_by(start)
        zone_ids = tuple(dict.fromkeys(r.zone_id for r in reasons if r.zone_id))
        codes = tuple(dict.fromkeys(r.code for r in reasons))
        late = closes is not None and now > closes
        made.append(Need(body, kind, zone_ids, codes, closes, hours.decided_by(start), late))
    return tuple(made)
