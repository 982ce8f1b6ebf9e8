"""The error base of this package and its three children."""

from __future__ import annotations


class ChangeError(ValueError):
    """Two surveys cannot be compared; the sentence says what, where and what to do."""


class RasterError(ChangeError):
    """A file of a survey cannot be read, or does not fit the other files."""


class AlignError(ChangeError):
    """Before and after do not show the same ground closely enough to be compared."""


class ModelError(ChangeError):
    """A model cannot be used: its file, its sidecar or its self-check is wrong, or these surveys are not what it was made for."""
