"""What every command stands on: the open workplace, who acts, which day is meant, and the options that all share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated, Any

import typer

from patrol.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
BY = "cli"


@contextmanager
def opened() -> Iterator[Any]:
    """The workplace of the settings, closed again when the command is over."""
    from patrol.wiring import workplace

    with workplace(Settings()) as work:
        yield work


def actor() -> Any:
    """The command line acts with every role of an office: whoever holds the shell holds the store."""
    from dispatch.actor import Actor, Role

    return Actor(BY, os.environ.get("USER", BY), frozenset(Role) - {Role.SYSTEM})


def day_of(said: str | None) -> date:
    """The day that was said, by default today where the areas lie."""
    from geo.times import SystemClock, local_day

    if said is None:
        return local_day(SystemClock().now())
    try:
        return date.fromisoformat(said)
    except ValueError as err:
        raise typer.BadParameter(f"{said!r} is not a day; write 2026-11-23") from err
