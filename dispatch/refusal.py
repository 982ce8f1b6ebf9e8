"""A refused act is a value: each reason names the article, what is missing, and the earliest lawful moment if waiting helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dispatch import texts
from geo.times import LOCAL_ZONE


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not. `code` and `law` are keys of `dispatch.texts`; `earliest` is aware, None when waiting alone does not help."""

    code: str
    law: str = ""
    missing: str = ""
    earliest: datetime | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def text(self, language: str = "zh") -> str:
        """One sentence for the officer, `zh` or `en`."""
        said = texts.REASONS[self.code][language].format(**self.values)
        if self.missing:
            said += texts.MISSING[language].format(what=texts.FIELDS.get(self.missing, {language: self.missing})[language])
        if self.law:
            said += texts.BASIS[language].format(law=texts.LAWS[self.law][language])
        if self.earliest:
            said += texts.EARLIEST[language].format(when=f"{self.earliest.astimezone(LOCAL_ZONE):%Y-%m-%d %H:%M}")
        return said


@dataclass(frozen=True, slots=True)
class Refusal:
    """The act that was asked for, the state it was asked in, and every reason against it."""

    act: str
    state: str
    reasons: tuple[Reason, ...]

    def text(self, language: str = "zh") -> str:
        """All reasons, a line each."""
        return "\n".join(reason.text(language) for reason in self.reasons)

    @property
    def earliest(self) -> datetime | None:
        """When every reason will have passed by waiting; None when one of them needs a deed."""
        moments = [reason.earliest for reason in self.reasons]
        return None if None in moments or not moments else max(m for m in moments if m is not None)
