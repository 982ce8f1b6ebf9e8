"""The one error base of this package."""


class DispatchError(ValueError):
    """A value of casework that cannot be right: broken calendar data, a finding without an outline, an unknown limit."""
