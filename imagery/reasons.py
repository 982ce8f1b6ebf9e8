"""A reason: why a survey was refused, or what to watch in one that was not, as a value: code, number, limit and both languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LAST_CHINESE = re.compile(r"^(.*[\u3000-\u303f\u4e00-\u9fff\uff01-\uff65])\s+(\S.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` for programs, `zh` and `en` for people; `number` is what was measured and `limit` what it was held against, both in the
    unit that the sentence names. `refuses` when the survey may not be used because of it.
    """

    code: str
    zh: str
    en: str
    number: float | None = None
    limit: float | None = None
    refuses: bool = False

    @property
    def text(self) -> str:
        """Both languages."""
        return self.zh if self.zh == self.en else f"{self.zh} {self.en}"

    @staticmethod
    def read(raw: object) -> Reason:
        """A reason from its stored form; a sentence "中文 English" of an older record is taken apart. Raises TypeError or KeyError."""
        if isinstance(raw, Reason):
            return raw
        if isinstance(raw, str):
            both = _LAST_CHINESE.match(raw)
            zh, en = (both[1], both[2]) if both else (raw, raw)
            return Reason("note", zh, en)
        if not isinstance(raw, Mapping):
            raise TypeError(f"a reason is an object or a sentence, not {type(raw).__name__}")
        number, limit = (None if raw.get(k) is None else float(raw[k]) for k in ("number", "limit"))
        return Reason(
            str(raw.get("code", "note")), str(raw["zh"]), str(raw["en"]), number, limit, bool(raw.get("refuses", False))
        )


def read_all(raw: Iterable[object]) -> tuple[Reason, ...]:
    """All reasons of a stored record."""
    return tuple(Reason.read(one) for one in raw)
