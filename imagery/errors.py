"""What can go wrong with pictures; one base for the whole package."""

from __future__ import annotations


class ImageryError(Exception):
    """Base of every failure in this package: the sentence says what is wrong, where, and what to do."""


class PhotoError(ImageryError):
    """One photo cannot be used: unreadable, cut off, or not a picture."""


class ReconstructionError(ImageryError):
    """The photos do not make a block: too few, no overlap, or no scale."""


class ControlError(ImageryError):
    """Ground control that cannot be read or does not fit the photos."""


class SurveyError(ImageryError):
    """A survey cannot be built, adopted or opened."""
