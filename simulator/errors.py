"""The one error base of this package."""

from __future__ import annotations


class SimulatorError(RuntimeError):
    """The simulated world or vehicle cannot do what was asked."""
