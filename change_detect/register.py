"""What is lawful here: permits, parcels, sites under licence, the ledger of known things. An overlay labels; it never deletes.

`Register.judge(candidates, on)` says of each candidate what every entry under it says (`Label`: share inside, what goes beyond the
permit), and where one entry explains it wholly, why it may be held back (`Overlay.held`): a record to be read and taken back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from shapely import STRtree
from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon
from shapely.ops import unary_union
from shapely.validation import explain_validity

from change_detect.candidate import Candidate, Kind
from change_detect.corridor import INNER_M, OUTER_M, Alert
from change_detect.errors import ChangeError

HEIGHT_SIGMA_M = 0.15
"""One standard deviation of a height gain where none is measured: what a comparison may have at most before it is refused."""
MOST_OUTSIDE = 0.10
"""A candidate that reaches further over an entry's edge is not inside it, however unsure its outline."""


class EntryKind(StrEnum):
    """What an entry says about its ground."""

    BUILDING_PERMIT = "building_permit"  # 建设工程规划许可, 城乡规划法 40
    VILLAGE_PERMIT = "village_permit"  # 乡村建设规划许可, 城乡规划法 41
    TEMPORARY_PERMIT = "temporary_permit"  # 临时建设许可, 城乡规划法 44: always with an end
    PARCEL = "parcel"  # 宗地
    SITE = "site"  # 在建工地（有证）
    LEDGER = "ledger"  # 历史存量台账
    CORRIDOR = "corridor"  # 管道保护带, 石油天然气管道保护法 30, 35: an axis with its widths, see `corridor`

    @property
    def is_permit(self) -> bool:
        """Whether it allows something to be built."""
        return self in _PERMITS


_PERMITS = frozenset({EntryKind.BUILDING_PERMIT, EntryKind.VILLAGE_PERMIT, EntryKind.TEMPORARY_PERMIT})

ENTRY_TEXT: dict[EntryKind, tuple[str, str]] = {
    EntryKind.BUILDING_PERMIT: ("建设工程规划许可", "building permit"),
    EntryKind.VILLAGE_PERMIT: ("乡村建设规划许可", "village building permit"),
    EntryKind.TEMPORARY_PERMIT: ("临时建设许可", "temporary building permit"),
    EntryKind.PARCEL: ("宗地", "parcel"),
    EntryKind.SITE: ("在建工地", "site under licence"),
    EntryKind.LEDGER: ("存量台账", "ledger entry"),
    EntryKind.CORRIDOR: ("管道保护带", "pipeline corridor"),
}

_STANDS_ON = frozenset({Kind.ROOF_ADDITION, Kind.EXTENSION})
"""What is added to a known structure is what a ledger is there to notice: its entry explains the structure, never the addition."""
_NOT_BUILT = frozenset({Kind.DEMOLISHED, Kind.VEGETATION, Kind.VEHICLE, Kind.COVER, Kind.MATERIAL, Kind.ARTEFACT})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: outline in the area's metric frame; limits None where it sets none; valid from/to None: open.

    `area_limit_m2` limits the ground covered, `height_limit_m` the height over the ground; of a ledger entry they are what was measured.
    `ref` is what whoever keeps the register knows it by, where that is not its number. A corridor has an `axis` with its widths on either
    side, the chainage it starts at and whom to call; its outline is the outer width.
    """

    id: str
    kind: EntryKind
    outline: Polygon | MultiPolygon
    name: str = ""
    area_limit_m2: float | None = None
    height_limit_m: float | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    holder: str = ""
    ref: str = ""
    axis: LineString | MultiLineString | None = None
    inner_m: float | None = None
    outer_m: float | None = None
    start_m: float | None = None
    contact: str = ""

    def __post_init__(self) -> None:
        if (self.kind is EntryKind.CORRIDOR) != (self.axis is not None):
            raise ChangeError(
                f"{self.id}：管道保护带需要线状图形（管道中心线），其余登记需要面状图形 / "
                f"{self.id}: a corridor is drawn as a line (the pipeline's axis), everything else as a polygon"
            )
        if self.axis is not None and not 0 < (self.inner_m or INNER_M) <= (self.outer_m or OUTER_M) <= 2000:
            raise ChangeError(
                f"{self.id}：保护带宽度 {self.inner_m}/{self.outer_m} 米不成立：内侧应大于 0 且不大于外侧 / "
                f"{self.id}: widths of {self.inner_m} and {self.outer_m} m do not hold: the inner one is over 0 and within the outer"
            )
        if self.outline.is_empty or not self.outline.is_valid:
            raise ChangeError(f"register entry {self.id}: its outline is broken ({explain_validity(self.outline)}); draw it anew")
        if self.kind is EntryKind.TEMPORARY_PERMIT and self.valid_to is None:
            raise ChangeError(
                f"临时建设许可 {self.id} 没有有效期：请补充“有效期至”（城乡规划法第44条） / temporary permit {self.id} has no end: add its expiry"
            )
        if self.valid_from is not None and self.valid_to is not None and self.valid_to < self.valid_from:
            raise ChangeError(f"register entry {self.id}: it ends on {self.valid_to}, before it begins on {self.valid_from}")
        for name, limit in (("area", self.area_limit_m2), ("height", self.height_limit_m)):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ChangeError(
                    f"register entry {self.id}: a limit of {limit} for its {name} is none; leave it empty if there is none"
                )

    def holds_on(self, day: date) -> bool:
        """Whether the entry is in force on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Label:
    """What one entry says about one candidate.

    `share` of the candidate inside it; `excess_area_m2` and `excess_height_m` beyond it, 0 unless by more than two sigma; `zh` and `en`
    are the sentences.
    """

    entry_id: str
    kind: EntryKind
    share: float
    in_force: bool
    excess_area_m2: float
    excess_height_m: float
    zh: str
    en: str
    ref: str = ""

    @property
    def text(self) -> str:
        """Both languages, as reasons of candidates are written."""
        return f"{self.zh} / {self.en}"


@dataclass(frozen=True, slots=True)
class Held:
    """Why an entry explains a candidate wholly; the candidate stays, and can be taken back."""

    entry_id: str
    code: str  # permitted, site, ledger
    zh: str
    en: str
    ref: str = ""

    @property
    def text(self) -> str:
        """As a suppression reads: code, Chinese, English."""
        return f"register_{self.code}: {self.zh} / {self.en}"


@dataclass(frozen=True, slots=True)
class Overlay:
    """Everything the register says about one candidate, the largest share first; `alert` when it lies in a pipeline's corridor."""

    labels: tuple[Label, ...] = ()
    held: Held | None = None
    alert: Alert | None = None

    def told(self, candidate: Candidate) -> Candidate:
        """The candidate with a reason per label, and held back where an entry explains it; what held it already stays first.

        In a pipeline's corridor nothing explains works: what has an alert is shown, and the alert is its first reason.
        """
        texts = tuple(label.text for label in self.labels)
        if self.alert is not None:
            return replace(candidate, reasons=(self.alert.text, *candidate.reasons, *texts), suppressed=None)
        held = self.held.text if self.held is not None else None
        if not texts and held is None:
            return candidate
        return replace(candidate, reasons=candidate.reasons + texts, suppressed=candidate.suppressed or held)


class _Standing:
    """Outlines of all that stands, asked how much ground they cover together."""

    def __init__(self, outlines: Sequence[Polygon | MultiPolygon]) -> None:
        self._outlines = tuple(outlines)
        self._tree = STRtree(self._outlines)

    def on(self, ground: Polygon | MultiPolygon) -> float:
        """Square metres of a piece of ground that are built on; what was found twice counts once."""
        parts = [self._outlines[int(i)] for i in self._tree.query(ground, predicate="intersects")]
        return float(unary_union(parts).intersection(ground).area) if parts else 0.0


class Register:
    """Entries of one area, looked up by place."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._tree = STRtree([e.outline for e in self.entries])

    def judge(
        self,
        candidates: Sequence[Candidate],
        on: date,
        *,
        height_sigma_m: float = HEIGHT_SIGMA_M,
        built: Iterable[Polygon | MultiPolygon] = (),
    ) -> tuple[Overlay, ...]:
        """What the register says of each candidate of a comparison.

        `height_sigma_m` is one standard deviation of a height gain; `built` are outlines of earlier findings: an area limit holds for
        all that stands under one permit together, so ten small sheds use it up as one large one does.
        """
        standing = _Standing([c.outline for c in candidates if c.suppressed is None and c.kind not in _NOT_BUILT] + list(built))
        return tuple(self._overlay(candidate, on, height_sigma_m, standing) for candidate in candidates)

    def labels(self, candidate: Candidate, on: date, *, height_sigma_m: float = HEIGHT_SIGMA_M) -> tuple[Label, ...]:
        """Every entry that the candidate touches, the largest share first."""
        return self._overlay(candidate, on, height_sigma_m, _Standing([candidate.outline])).labels

    def annotate(self, candidate: Candidate, on: date) -> Candidate:
        """The candidate with a reason per label; nothing else about it changes."""
        texts = tuple(label.text for label in self.labels(candidate, on))
        return replace(candidate, reasons=candidate.reasons + texts) if texts else candidate

    def _overlay(self, candidate: Candidate, on: date, height_sigma_m: float, standing: _Standing) -> Overlay:
        touched = [self.entries[int(i)] for i in self._tree.query(candidate.outline, predicate="intersects")]
        found = [(_label(candidate, entry, on, height_sigma_m, standing), entry) for entry in touched]
        found = sorted((f for f in found if f[0].share > 0), key=lambda f: (-f[0].share, f[0].entry_id))
        held = next((h for label, entry in found if (h := _explained(candidate, label, entry, height_sigma_m))), None)
        return Overlay(tuple(label for label, _ in found), held)


def _label(candidate: Candidate, entry: Entry, on: date, height_sigma_m: float, standing: _Standing) -> Label:
    inside = float(candidate.outline.intersection(entry.outline).area)
    share = inside / candidate.outline.area
    in_force = entry.holds_on(on)
    over_area, used = 0.0, inside
    if entry.area_limit_m2 is not None and entry.kind is not EntryKind.PARCEL:
        used = max(inside, standing.on(entry.outline))
        sigma = candidate.area_sigma_m2 * math.sqrt(max(used / max(inside, 1e-9), 1.0))
        beyond = used - entry.area_limit_m2
        # an excess smaller than the measurement's own two sigma is not claimed
        over_area = beyond if beyond > 2 * sigma else 0.0
    over_height = 0.0
    if entry.height_limit_m is not None and candidate.height_m is not None:
        beyond = candidate.height_m - entry.height_limit_m
        over_height = beyond if beyond > 2 * height_sigma_m else 0.0
    kind_zh, kind_en = ENTRY_TEXT[entry.kind]
    name = " ".join(dict.fromkeys(p for p in (entry.id, entry.name) if p))
    zh, en = [f"{kind_zh} {name}：{share:.0%} 位于其范围内"], [f"{kind_en} {name}: {share:.0%} of it lies inside"]
    if not in_force:
        _say_time(entry, on, zh, en)
    if over_area and entry.area_limit_m2 is not None:
        zh.append(f"面积 {used:.0f} 平方米，超出 {over_area:.0f} 平方米（许可 {entry.area_limit_m2:.0f} 平方米）")
        en.append(f"{used:.0f} m2 built, {over_area:.0f} m2 over the {entry.area_limit_m2:.0f} m2 allowed")
    if over_height and entry.height_limit_m is not None:
        zh.append(f"高 {candidate.height_m:.1f} 米，超出 {over_height:.1f} 米（许可 {entry.height_limit_m:.1f} 米）")
        en.append(f"{candidate.height_m:.1f} m high, {over_height:.1f} m over the {entry.height_limit_m:.1f} m allowed")
    return Label(entry.id, entry.kind, share, in_force, over_area, over_height, "，".join(zh), "; ".join(en), entry.ref)


def _say_time(entry: Entry, on: date, zh: list[str], en: list[str]) -> None:
    if entry.valid_to is not None and entry.valid_to < on:
        days = (on - entry.valid_to).days
        zh.append(f"已于 {entry.valid_to.isoformat()} 到期，至 {on.isoformat()} 超期 {days} 天")
        en.append(f"expired on {entry.valid_to.isoformat()}, {days} days before {on.isoformat()}")
    else:
        zh.append(f"自 {entry.valid_from} 起生效，{on.isoformat()} 尚未生效")
        en.append(f"in force from {entry.valid_from} on, not yet on {on.isoformat()}")


def _explained(candidate: Candidate, label: Label, entry: Entry, height_sigma_m: float) -> Held | None:
    """Why one entry explains a candidate wholly, or None: the table of what a register may hold back."""
    outside = candidate.outline.area * (1.0 - label.share)
    # the candidate's own edge is known to two sigma of its area: so much may lie over the line
    wholly = outside <= min(
        max(2 * candidate.area_sigma_m2, 0.02 * candidate.outline.area), MOST_OUTSIDE * candidate.outline.area
    )
    exceeds = label.excess_area_m2 > 0 or label.excess_height_m > 0
    if not wholly or not label.in_force or exceeds or candidate.kind in _NOT_BUILT:
        return None
    kind_zh, kind_en = ENTRY_TEXT[entry.kind]
    name = " ".join(dict.fromkeys(p for p in (entry.id, entry.name) if p))
    if entry.kind.is_permit:
        if entry.height_limit_m is not None and candidate.height_m is None:
            return None  # the permit sets a height, and none was measured: a person looks
        bare = entry.area_limit_m2 is None and entry.height_limit_m is None
        until_zh = f"，有效期至 {entry.valid_to}" if entry.valid_to else ""
        until_en = f", in force until {entry.valid_to}" if entry.valid_to else ""
        zh = f"完全位于{kind_zh} {name} 范围内{until_zh}，" + ("许可未载明限值，仅按范围判断" if bare else "面积和高度均未超出")
        en = f"wholly inside {kind_en} {name}{until_en}; " + (
            "it sets no limits, judged by its outline alone" if bare else "neither area nor height goes beyond it"
        )
        return Held(entry.id, "permitted", zh, en, entry.ref)
    if entry.kind is EntryKind.SITE:
        return Held(entry.id, "site", f"位于有证在建工地 {name} 内", f"inside the site under licence {name}", entry.ref)
    if entry.kind is EntryKind.LEDGER and candidate.kind not in _STANDS_ON:
        if candidate.height_m is None or entry.height_limit_m is None:
            return None  # same height cannot be said
        apart = abs(candidate.height_m - entry.height_limit_m)
        if apart <= max(2 * height_sigma_m, 0.5):
            return Held(
                entry.id,
                "ledger",
                f"与存量台账 {name} 一致：台账高 {entry.height_limit_m:.1f} 米，实测 {candidate.height_m:.1f} 米",
                f"the ledger's {name}: {entry.height_limit_m:.1f} m high there, measured {candidate.height_m:.1f} m",
                entry.ref,
            )
    return None
