"""The error base of this package and its two children."""

from __future__ import annotations


class ChangeError(ValueError):
    """Two surveys cannot be compared; the sentence says what, where and what to do."""


class RasterError(ChangeError):
    """A file of a survey cannot be read, or does not fit the other files."""


class AlignError(ChangeError):
    """Before and after do not show the same ground closely enough to be compared."""
