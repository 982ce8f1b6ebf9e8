"""The one error base of this package, and the refusal of a file."""

from __future__ import annotations


class AirspaceError(ValueError):
    """Airspace data that cannot be used; the message names the file, the feature and what is wrong with it, Chinese / English."""


class ZoneFileRefused(AirspaceError):
    """A file of zones that cannot be taken: where in it, what is wrong, what to do, in both languages. Nothing of it is kept."""

    code = "zones"

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en


def both(err: Exception) -> tuple[str, str]:
    """The two languages of an error; the same words twice where it has one."""
    if isinstance(err, ZoneFileRefused):
        return err.zh, err.en
    zh, _, en = str(err).partition(" / ")
    return zh, en or zh
