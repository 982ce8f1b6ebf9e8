"""A reason in both languages, with the article of law it rests on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is so. `article` is of 《无人驾驶航空器飞行管理暂行条例》 (in force 2024-01-01), empty where it is silent."""

    code: str
    zh: str
    en: str
    article: str = ""
    zone_id: str = ""
