"""Which earlier survey is best set against a later one: season, sun, quality and how much of the place both show, each said in words.

A choice is a rank with reasons, never a verdict: whoever asks sees why one pair is better, and may take another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

LOW_SUN_DEG = 30.0
YEAR_DAYS = 365.25
STALE_DAYS = 400.0
GOOD = 0.75
"""A survey whose own quality scores so much is a good one."""


@dataclass(frozen=True, slots=True)
class Look:
    """One survey as a chooser sees it; None where nothing was measured. `seen` is the share of the place in question that it shows."""

    id: str
    taken_on: date
    seen: float = 1.0
    gsd_m: float | None = None
    residual_px: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    remarks: int = 0
    has_surface: bool = True

    @property
    def quality(self) -> float:
        """0..1: residual against its reference, a surface, remarks of its own quality record."""
        residual = 1.0 if self.residual_px is None else max(0.0, 1.0 - self.residual_px / 3.0)
        return 0.5 * residual + 0.3 * self.has_surface + 0.2 / (1 + self.remarks)

    @property
    def is_good(self) -> bool:
        """Whether it can stand as the survey to compare with when the last one is poor."""
        return self.quality >= GOOD


@dataclass(frozen=True, slots=True)
class Choice:
    """An earlier survey, how well it suits (0..1), and why, in both languages."""

    look: Look
    score: float
    zh: tuple[str, ...]
    en: tuple[str, ...]


def choose(after: Look, earlier: Sequence[Look], *, only_good: bool = False) -> tuple[Choice, ...]:
    """Earlier surveys, the best first; with `only_good` those of good quality alone. Later ones and `after` itself are left out.

    `score = seen * (0.35 quality + 0.25 season + 0.2 sun + 0.2 recency)`: what does not show the place is of no use, however fine.
    """
    fit = [_choice(after, look) for look in earlier if look.taken_on < after.taken_on]
    if only_good:
        fit = [c for c in fit if c.look.is_good]
    return tuple(sorted(fit, key=lambda c: (-round(c.score, 6), -c.look.taken_on.toordinal(), c.look.id)))


def _choice(after: Look, look: Look) -> Choice:
    days = (after.taken_on - look.taken_on).days
    apart = min(days % YEAR_DAYS, YEAR_DAYS - days % YEAR_DAYS)
    season = 1.0 - apart / (YEAR_DAYS / 2)
    recency = max(0.0, 1.0 - days / STALE_DAYS)
    sun, sun_zh, sun_en = _sun(after, look)
    score = min(look.seen, after.seen) * (0.35 * look.quality + 0.25 * season + 0.2 * sun + 0.2 * recency)
    said = [
        (f"相隔 {days} 天，季节相差 {apart:.0f} 天", f"{days} days before, {apart:.0f} days apart in season"),
        (sun_zh, sun_en),
        (f"覆盖该处 {look.seen:.0%}", f"shows {look.seen:.0%} of the place"),
    ]
    px = look.residual_px
    if px is not None:
        said.append((f"配准残差 {px:.1f} 像素", f"registered to {px:.1f} px"))
    if not look.has_surface:
        said.append(("没有表面模型，只能比对影像", "no surface: images alone can be compared"))
    return Choice(look, score, tuple(zh for zh, _ in said), tuple(en for _, en in said))


def _sun(after: Look, look: Look) -> tuple[float, str, str]:
    """How alike the shadows are: one where the sun stood in the same place, nothing from 60 degrees apart on; halved when it is low."""
    given = (after.sun_azimuth_deg, look.sun_azimuth_deg, after.sun_elevation_deg, look.sun_elevation_deg)
    if any(v is None for v in given):
        return 0.5, "太阳位置未知", "the sun's place is not known"
    a, b, high_a, high_b = (float(v or 0.0) for v in given)
    turned = abs((a - b + 180.0) % 360.0 - 180.0)
    apart = max(turned, abs(high_a - high_b))
    score = max(0.0, 1.0 - apart / 60.0)
    low = min(high_a, high_b) < LOW_SUN_DEG
    zh = f"太阳方位相差 {turned:.0f}°，高度角相差 {abs(high_a - high_b):.0f}°" + ("，太阳偏低" if low else "")
    en = f"sun {turned:.0f}° round and {abs(high_a - high_b):.0f}° up apart" + (", low" if low else "")
    return (0.5 * score if low else score), zh, en
