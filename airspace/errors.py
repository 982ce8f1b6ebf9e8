"""The one error base of this package."""

from __future__ import annotations


class AirspaceError(ValueError):
    """Airspace data that cannot be used; the message names the file, the feature and what is wrong with it."""
