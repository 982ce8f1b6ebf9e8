"""Missions as CSV: a row for each item; labels stand in lines that begin with `#`. UTF-8 with a byte-order mark, as Excel wants it."""

from __future__ import annotations

import csv
import io
import re

from flight.errors import FormatError
from flight.formats.rows import FIELDS, heard, labels_of, mission_of, rows_of, told
from flight.mission import Mission

_MARK = "\ufeff"
_LABEL = re.compile(r"#\s*(\w+):\s?(.*)")


def write(mission: Mission) -> str:
    """The mission as the text of a `.csv` file."""
    out = io.StringIO()
    out.write(_MARK)
    for name, values in labels_of(mission).items():
        for value in values:
            out.write(f"# {name}: {' '.join(value.split())}\n")
    rows = csv.DictWriter(out, FIELDS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(told(row) for row in rows_of(mission))
    return out.getvalue()


def read(text: str) -> Mission:
    """The mission of a `.csv` text; raises FormatError naming the line."""
    labels: dict[str, list[str]] = {}
    lines = text.removeprefix(_MARK).splitlines()
    kept: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if found := _LABEL.match(line.strip('"')):
            labels.setdefault(found[1], []).append(found[2].rstrip(","))
        elif line.strip():
            kept.append((number, line))
    cells = list(csv.reader(line for _, line in kept))
    if not cells or tuple(cells[0]) != FIELDS:
        raise FormatError(f"the first row has to be {','.join(FIELDS)}")
    if "home" not in labels:
        raise FormatError("the line '# home: lon,lat,altitude' is missing: nobody could say where the flight begins")
    rows = []
    for (number, _), row in zip(kept[1:], cells[1:], strict=True):
        if len(row) != len(FIELDS):
            raise FormatError(f"line {number} has {len(row)} cells; it needs {len(FIELDS)}")
        rows.append(heard(dict(zip(FIELDS, row, strict=True)), f"line {number}"))
    return mission_of(rows, labels)
