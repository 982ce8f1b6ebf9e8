"""All formats of a mission on one shelf: suffix, media type, and how each is written and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flight.errors import FormatError
from flight.fleet import Autopilot
from flight.formats import geojson, kml, plan, table, waypoints, wpml
from flight.mission import Mission
from flight.models import Model


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file depends on beside the mission: `model` is needed by DJI's alone."""

    autopilot: Autopilot = Autopilot.ARDUPILOT
    model: Model | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """One format of the shelf."""

    media_type: str
    write: Callable[[Mission, Wanted], bytes]
    read: Callable[[bytes], Mission]


def _text(write: Callable[[Mission], str], read: Callable[[str], Mission], media_type: str) -> Format:
    return Format(media_type, lambda mission, _: write(mission).encode(), lambda data: read(_decoded(data)))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise FormatError(f"byte {err.start} is not UTF-8: save the file as UTF-8") from err


def _dji(mission: Mission, wanted: Wanted) -> bytes:
    if wanted.model is None:
        raise FormatError(
            "DJI 航线文件须与机型对应：请为该无人机登记机型（patrol aircraft add --model）。 "
            "a DJI file is for one model of aircraft: say which one the aircraft is (patrol aircraft add --model)"
        )
    return wpml.write(mission, wanted.model, wanted.made_at)


FORMATS: Mapping[str, Format] = {
    "plan": Format("application/json", lambda m, w: plan.write(m, w.autopilot).encode(), lambda d: plan.read(_decoded(d))),
    "waypoints": _text(waypoints.write, waypoints.read, "text/plain; charset=utf-8"),
    "kmz": Format("application/vnd.google-earth.kmz", _dji, wpml.read),
    "kml": _text(kml.write, kml.read, "application/vnd.google-earth.kml+xml"),
    "geojson": _text(geojson.write, geojson.read, "application/geo+json"),
    "csv": _text(table.write, table.read, "text/csv; charset=utf-8"),
}
"""By the suffix of the file."""


def read(name: str, data: bytes) -> Mission:
    """The mission of a file, by its name's ending; raises FormatError, also for an ending that is none of the shelf's."""
    suffix = name.rpartition(".")[2].lower()
    if suffix not in FORMATS:
        raise FormatError(f"{name}: a mission file ends in {', '.join('.' + s for s in FORMATS)}")
    return FORMATS[suffix].read(data)
