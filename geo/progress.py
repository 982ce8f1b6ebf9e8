"""How long work tells its caller how far it is: one callable, and one that says nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""`progress(done, total, what)`; it may raise to cancel the work."""


def silent(done: int, total: int, what: str) -> None:
    """Progress for callers that do not watch."""


def onward(progress: Progress, before: int) -> Progress:
    """For work of which `before` steps were done by an earlier run."""

    def told(done: int, total: int, what: str) -> None:
        progress(before + done, before + total, what)

    return told
