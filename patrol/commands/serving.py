"""Commands of the running system: `patrol demo`, `serve`, `worker`, `doctor`, `openapi`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from patrol import terminal
from patrol.commands.shell import Json
from patrol.settings import Settings
from patrol.terminal import complain, say, table


def demo(
    real: Annotated[
        tuple[Path, Path] | None, typer.Option(help="two folders of photos, BEFORE AFTER, instead of the simulation")
    ] = None,
    home: Annotated[Path, typer.Option(help="folder of the demo's own store")] = Path("demo-data"),
    seed: Annotated[int, typer.Option(help="which town")] = 7,
    serve_: Annotated[bool, typer.Option("--serve/--no-serve", help="leave the page running")] = True,
    port: Annotated[int, typer.Option()] = 8000,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what was measured to this file")] = None,
) -> None:
    """A simulated month from the plan to the closed case, or two folders of real photos; then the page."""
    from patrol import demo as show
    from simulator.errors import SimulatorError

    settings = Settings(home=home, database_url="", broker_url="")
    try:
        show.run(settings, real=real, seed=seed, serve_page=serve_, port=port, json_file=json_file)
    except (show.DemoFailed, SimulatorError) as err:
        raise typer.Exit(complain(str(err))) from err


def serve(
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
    worker: Annotated[bool, typer.Option(help="run a worker beside the API (the embedded default)")] = True,
) -> None:
    """The page and the API, with a worker beside them."""
    from patrol.serving import serve as run

    settings = Settings()
    run(settings, host or settings.host, port or settings.port, worker=worker)


def worker(
    beat_only: Annotated[bool, typer.Option("--beat-only", help="send the sweep on its schedule, do no work")] = False,
) -> None:
    """Take jobs from the queue until told to stop."""
    from patrol import tasks

    (tasks.run_beat if beat_only else tasks.run_worker)(Settings())


def doctor(
    only: Annotated[
        str | None, typer.Option(help="one part: python, home, database, blobs, queue, worker, beat, page, data")
    ] = None,
    json_: Json = False,
) -> None:
    """Say what of the set-up is missing or wrong."""
    from patrol.doctor import examine

    found = examine(Settings(), only)
    rows = [("✓" if f.ok else "✗", f.part, f.said, "" if f.ok else f.remedy) for f in found]
    say(found, as_json=json_, table=table("体检 doctor", ("", "part", "found", "what to do"), rows))
    if not all(f.ok for f in found):
        raise typer.Exit(terminal.NOT_SET_UP)


def openapi(check: Annotated[Path | None, typer.Option(help="fail when this file differs")] = None) -> None:
    """The OpenAPI 3.1 document of the API."""
    from patrol.api.app import description

    text = json.dumps(description(), ensure_ascii=False, indent=1) + "\n"
    if check is None:
        sys.stdout.write(text)
    elif not check.is_file() or check.read_text() != text:
        raise typer.Exit(
            complain(f"{check} is not what the API says now: run `patrol openapi > {check}` and build the page again")
        )
