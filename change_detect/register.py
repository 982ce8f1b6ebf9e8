"""What is lawful here: permits, parcels, sites under licence, the ledger of known things. An overlay labels; it never deletes.

`labels(candidate, register) -> tuple[Label, ...]`: the share inside, and what exceeds the permit, as sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from shapely import STRtree
from shapely.geometry import MultiPolygon, Polygon
from shapely.validation import explain_validity

from change_detect.candidate import Candidate
from change_detect.errors import ChangeError


class EntryKind(StrEnum):
    """What an entry says about its ground."""

    PERMIT = "permit"  # 规划许可
    PARCEL = "parcel"  # 宗地
    SITE = "site"  # 在建工地（有证）
    LEDGER = "ledger"  # 历史存量台账


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: outline in the area's metric frame; limits None where it sets none; valid from/to None: open."""

    id: str
    kind: EntryKind
    outline: Polygon | MultiPolygon
    name: str = ""
    area_limit_m2: float | None = None
    height_limit_m: float | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    def __post_init__(self) -> None:
        if self.outline.is_empty or not self.outline.is_valid:
            raise ChangeError(f"register entry {self.id}: its outline is broken ({explain_validity(self.outline)}); draw it anew")

    def holds_on(self, day: date) -> bool:
        """Whether the entry is in force on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Label:
    """What one entry says about one candidate: `share` of the candidate inside it, and what goes beyond it."""

    entry_id: str
    kind: EntryKind
    share: float
    in_force: bool
    excess_area_m2: float
    excess_height_m: float
    text: str


class Register:
    """Entries of one area, looked up by place."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._tree = STRtree([e.outline for e in self.entries])

    def labels(self, candidate: Candidate, on: date) -> tuple[Label, ...]:
        """Every entry that the candidate touches, the largest share first."""
        touched = (self.entries[int(i)] for i in self._tree.query(candidate.outline, predicate="intersects"))
        found = [_label(candidate, entry, on) for entry in touched]
        return tuple(sorted((f for f in found if f.share > 0), key=lambda f: (-f.share, f.entry_id)))

    def annotate(self, candidate: Candidate, on: date) -> Candidate:
        """The candidate with a reason per label; nothing else about it changes."""
        texts = tuple(label.text for label in self.labels(candidate, on))
        return replace(candidate, reasons=candidate.reasons + texts) if texts else candidate


def _label(candidate: Candidate, entry: Entry, on: date) -> Label:
    inside = float(candidate.outline.intersection(entry.outline).area)
    share = inside / candidate.outline.area
    in_force = entry.holds_on(on)
    over_area = 0.0 if entry.area_limit_m2 is None else max(0.0, inside - entry.area_limit_m2)
    tall = candidate.height_m or 0.0
    over_height = 0.0 if entry.height_limit_m is None else max(0.0, tall - entry.height_limit_m)
    # an excess smaller than the measurement's own two sigma is not claimed
    if over_area < 2 * candidate.area_sigma_m2:
        over_area = 0.0
    if over_height < 0.3:
        over_height = 0.0
    parts = [f"{entry.kind} {entry.name or entry.id}: {share:.0%} of it lies inside"]
    if not in_force:
        parts.append(f"not in force on {on.isoformat()}")
    if over_area:
        parts.append(f"{over_area:.0f} m2 over the {entry.area_limit_m2:.0f} m2 allowed")
    if over_height:
        parts.append(f"{over_height:.1f} m over the {entry.height_limit_m:.1f} m allowed")
    return Label(entry.id, entry.kind, share, in_force, over_area, over_height, "; ".join(parts))
