"""The errors of this package: one base and what can go wrong in it."""

from __future__ import annotations


class FlightError(Exception):
    """Base of all that fails in flight."""


class PlanningError(FlightError):
    """A plan that cannot be made as asked: the message says which limit stands in the way and what to change."""


class FormatError(FlightError):
    """A mission file that cannot be read or written: the message names the place in it and what is wrong there."""


class LinkError(FlightError):
    """A vehicle that does not answer as the protocol says: the message names the message, the item and the tries."""
