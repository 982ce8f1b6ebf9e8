"""FlightLog (飞行日志): what was truly flown: the track, every photo's place and time, and how it ended.

`from_json(to_json(log)) == log` for every log: times keep their microseconds, numbers all their digits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from flight.errors import FormatError
from geo.errors import GeoError
from geo.frames import LonLat
from geo.heights import Datum, Height
from geo.times import utc

_FORMAT = "drone-patrol flight log"
_VERSION = 1


class Ending(StrEnum):
    """How a flight ended."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    LINK_LOST = "link_lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The ending and, unless all went as planned, its reason in one sentence."""

    ending: Ending
    reason: str = ""

    @property
    def completed(self) -> bool:
        """Whether the whole mission was flown and the vehicle landed."""
        return self.ending is Ending.COMPLETED


@dataclass(frozen=True, slots=True)
class PhotoEvent:
    """A photo that the vehicle took. `pitch_deg` is the camera's: -90 looks straight down, 0 at the horizon.

    `index` is the vehicle's own count, `altitude_m` the height its receiver gave (metres, the receiver's datum), None if unknown.
    """

    index: int
    at: datetime
    place: LonLat
    height: Height
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    altitude_m: float | None = None

    def __post_init__(self) -> None:
        _over_takeoff(self.height)
        utc(self.at)


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """Where the vehicle was; `mission_index` counts from 0 in the mission's items, -1 before the first."""

    at: datetime
    place: LonLat
    height: Height
    yaw_deg: float
    speed_m_s: float
    mode: str
    mission_index: int

    def __post_init__(self) -> None:
        _over_takeoff(self.height)
        utc(self.at)


@dataclass(frozen=True, slots=True)
class FlightLog:
    """One flight of one mission. `photo_gaps` are indices that the vehicle counted but whose events never came."""

    mission_name: str
    mission_sha256: str
    started: datetime
    ended: datetime
    track: tuple[TrackPoint, ...]
    photos: tuple[PhotoEvent, ...]
    outcome: Outcome
    photo_gaps: tuple[int, ...] = ()


def _over_takeoff(height: Height) -> None:
    if height.datum is not Datum.TAKEOFF:
        raise GeoError(f"a flight log counts heights over take-off, not over {height.datum}: convert it first")


def to_json(log: FlightLog) -> str:
    """The log as JSON text; raises FormatError for a number that JSON does not have (NaN, infinity)."""
    value = {
        "format": _FORMAT,
        "version": _VERSION,
        "mission_name": log.mission_name,
        "mission_sha256": log.mission_sha256,
        "started": _time(log.started),
        "ended": _time(log.ended),
        "outcome": {"ending": str(log.outcome.ending), "reason": log.outcome.reason},
        "photo_gaps": list(log.photo_gaps),
        "photos": [_photo(p) for p in log.photos],
        "track": [_point(p) for p in log.track],
    }
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise FormatError(f"flight log of {log.mission_name}: a number is not finite and cannot be written") from error


def from_json(text: str) -> FlightLog:
    """A log from its JSON text; raises FormatError that names the broken part."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FormatError(f"flight log: not JSON ({error})") from error
    if not isinstance(value, dict) or value.get("format") != _FORMAT or value.get("version") != _VERSION:
        raise FormatError(f"flight log: expected format {_FORMAT!r} version {_VERSION}; is this another file?")
    outcome = _part(value, "outcome", lambda v: Outcome(Ending(v["ending"]), str(v["reason"])))
    return FlightLog(
        mission_name=_part(value, "mission_name", _text),
        mission_sha256=_part(value, "mission_sha256", _text),
        started=_part(value, "started", _instant),
        ended=_part(value, "ended", _instant),
        track=tuple(_part(v, f"track[{i}]", _point_of, whole=True) for i, v in enumerate(_part(value, "track", list))),
        photos=tuple(_part(v, f"photos[{i}]", _photo_of, whole=True) for i, v in enumerate(_part(value, "photos", list))),
        outcome=outcome,
        photo_gaps=tuple(_part(value, "photo_gaps", lambda v: [_whole(n) for n in v])),
    )


def _part(value: Any, name: str, read: Callable[[Any], Any], *, whole: bool = False) -> Any:
    try:
        return read(value if whole else value[name])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"flight log: {name} is broken ({missing})") from error


def _time(at: datetime) -> str:
    return utc(at).isoformat()


def _instant(text: str) -> datetime:
    return utc(datetime.fromisoformat(text))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, found {value!r}")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"expected a number, found {value!r}")
    return float(value)


def _where(place: LonLat, height: Height) -> dict[str, Any]:
    return {"lon_deg": place.lon_deg, "lat_deg": place.lat_deg, "height_takeoff_m": height.metres}


def _where_of(v: Mapping[str, Any]) -> tuple[LonLat, Height]:
    place = LonLat(lon_deg=_number(v["lon_deg"]), lat_deg=_number(v["lat_deg"]))
    return place, Height(_number(v["height_takeoff_m"]), Datum.TAKEOFF)


def _photo(p: PhotoEvent) -> dict[str, Any]:
    angles = {"yaw_deg": p.yaw_deg, "pitch_deg": p.pitch_deg, "roll_deg": p.roll_deg, "altitude_m": p.altitude_m}
    return {"index": p.index, "at": _time(p.at)} | _where(p.place, p.height) | angles


def _photo_of(v: Mapping[str, Any]) -> PhotoEvent:
    angles = _number(v["yaw_deg"]), _number(v["pitch_deg"]), _number(v["roll_deg"])
    altitude = None if v["altitude_m"] is None else _number(v["altitude_m"])
    return PhotoEvent(_whole(v["index"]), _instant(v["at"]), *_where_of(v), *angles, altitude)


def _point(p: TrackPoint) -> dict[str, Any]:
    rest = {"yaw_deg": p.yaw_deg, "speed_m_s": p.speed_m_s, "mode": p.mode, "mission_index": p.mission_index}
    return {"at": _time(p.at)} | _where(p.place, p.height) | rest


def _point_of(v: Mapping[str, Any]) -> TrackPoint:
    place, height = _where_of(v)
    yaw, speed = _number(v["yaw_deg"]), _number(v["speed_m_s"])
    return TrackPoint(_instant(v["at"]), place, height, yaw, speed, _text(v["mode"]), _whole(v["mission_index"]))
