"""The one error base of this package."""


class GeoError(ValueError):
    """A value that cannot be right: a mixed datum, a place outside its frame, a grid that does not fit."""
