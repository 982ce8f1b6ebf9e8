"""The command line: `patrol …`. Every command opens the workplace, calls one use case, and says what came of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import typer

from patrol import terminal
from patrol.commands import accounts, areas, cases, flights, keeping, lawful, learning, leave, serving, surveys, zones
from patrol.terminal import complain

_COMMANDS: dict[str, Callable[..., None]] = {
    "init": accounts.init,
    "ingest": surveys.ingest,
    "upload": surveys.upload,
    "nudge": surveys.nudge,
    "ingest-ortho": surveys.ingest_ortho,
    "compare": surveys.compare,
    "pairs": surveys.pairs,
    "plan": flights.plan,
    "fly": flights.fly,
    "recon": flights.recon,
    "demo": serving.demo,
    "serve": serving.serve,
    "worker": serving.worker,
    "doctor": serving.doctor,
    "openapi": serving.openapi,
    "retention": keeping.retention,
    "catalogue": keeping.catalogue,
    "precision": learning.precision,
}
_GROUPS = {
    "area": areas.area_app,
    "zone": zones.zone_app,
    "leave": leave.leave_app,
    "case": cases.case_app,
    "finding": cases.finding_app,
    "user": accounts.user_app,
    "aircraft": flights.aircraft_app,
    "export": keeping.export_app,
    "mask": keeping.mask_app,
    "register": lawful.register_app,
    "calibration": learning.calibration_app,
}

app = typer.Typer(help="空中巡查 Drone Patrol", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)
cases.finding_app.command("export")(keeping.export_findings)
app.add_typer(cases.finding_app, name="findings", hidden=True)  # said either way


def main() -> None:
    """Run, and turn every known error into one sentence and an exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        app()
    except Exception as error:
        sentence = _known(error)
        if sentence is None:
            raise
        sys.exit(sentence)


def _known(error: Exception) -> int | None:
    from patrol.api.rim import STATUS
    from patrol.database import DatabaseError
    from patrol.sender import SendError

    if isinstance(error, DatabaseError):
        return complain(str(error), code=terminal.NOT_SET_UP)
    return complain(str(error)) if isinstance(error, (SendError, *STATUS)) else None
