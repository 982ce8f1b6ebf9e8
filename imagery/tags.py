"""What a photo's tags say of place, height, gaze and time: EXIF, and the XMP spellings of DJI, Autel, Parrot and Pix4D's `Camera`.

All makers' names are turned into DJI's, by one table, so that everything after reads one language.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from PIL import ExifTags, Image

from geo.datums import in_china
from geo.frames import LonLat
from geo.times import LOCAL_ZONE, utc
from imagery.lenses import number

# RTK states in DJI's files and manuals: 0 none, 16 single point, 32-49 float, 50 and above fixed.
RTK_SINGLE, RTK_FLOAT, RTK_FIXED = 16, 32, 50

# Old Autel firmware, Parrot, senseFly and MicaSense count pitch from straight down (0) to ahead (90); DJI from ahead (0) to down (-90).
_OTHER_NAMES: tuple[tuple[str, str], ...] = (
    ("Camera:Yaw", "GimbalYawDegree"),
    ("Camera:Roll", "GimbalRollDegree"),
    ("Camera:AboveGroundAltitude", "RelativeAltitude"),
    ("drone-parrot:CameraYawDegree", "GimbalYawDegree"),
    ("drone-parrot:CameraPitchDegree", "GimbalPitchDegree"),
    ("drone-parrot:CameraRollDegree", "GimbalRollDegree"),
    ("drone-dji:GpsLongtitude", "GpsLongitude"),  # old firmware of DJI misspells it, and Autel copied that too
    ("drone:GpsLongtitude", "GpsLongitude"),
    ("drone-dji:Latitude", "GpsLatitude"),
    ("drone-dji:Longitude", "GpsLongitude"),
    ("drone-dji:RtkDifAge", "RtkDiffAge"),
)
_AS_DJI = ("drone-dji:", "drone:")  # Autel's newer firmware writes DJI's names under `drone`
_NAME = r"((?:drone-dji|drone-parrot|drone|Camera):\w+)"
_ATTRIBUTE = re.compile(_NAME + r'\s*=\s*"([^"]*)"')
_ELEMENT = re.compile(r"<" + _NAME + r"\s*>\s*([^<]*?)\s*</")


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the satellite receiver said of itself; None or "" where the file is silent.

    `rtk_flag`: 0 none, 16 single point, 32-49 float, 50 and above fixed. `corrections_age_s`: age of the RTK corrections.
    `status`, `altitude_kind`: DJI's words (GPS, RTK, Invalid; GpsFusionAlt, RtkAlt). `for_surveying`: DJI's own advice.
    """

    rtk_flag: int | None = None
    corrections_age_s: float | None = None
    status: str = ""
    altitude_kind: str = ""
    for_surveying: bool | None = None


def exif(image: Image.Image) -> tuple[dict[str, object], dict[str, object]]:
    """EXIF by tag name: picture and camera tags, and GPS tags. Broken EXIF reads as none: the picture is still good."""
    try:
        found = image.getexif()
        tags = {ExifTags.TAGS.get(k, str(k)): v for k, v in [*found.items(), *found.get_ifd(ExifTags.IFD.Exif).items()]}
        gps = {ExifTags.GPSTAGS.get(k, str(k)): v for k, v in found.get_ifd(ExifTags.IFD.GPSInfo).items()}
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return {}, {}
    return tags, gps


def xmp(packet: object) -> dict[str, str]:
    """An XMP packet's names and values, attributes or elements, in DJI's spelling."""
    if isinstance(packet, bytes):
        text = packet.decode("utf-8", "replace")
    elif isinstance(packet, str):
        text = packet
    else:
        return {}
    written = {**dict(_ELEMENT.findall(text)), **dict(_ATTRIBUTE.findall(text))}
    named: dict[str, str] = {}
    pitch = number(written.get("Camera:Pitch"))
    if pitch is not None:
        named["GimbalPitchDegree"] = str((abs(pitch) if "autel" in text.lower() else pitch) - 90.0)  # Autel writes either sign
    named |= {dji: written[other] for other, dji in _OTHER_NAMES if other in written}
    named |= {k: v for k, v in written.items() if k.startswith("Camera:")}
    for space in reversed(_AS_DJI):
        named |= {k.removeprefix(space): v for k, v in written.items() if k.startswith(space)}
    return named


def receiver(named: Mapping[str, str]) -> Receiver:
    """The receiver's word on itself."""
    flag, advice = number(named.get("RtkFlag")), number(named.get("SurveyingMode"))
    return Receiver(
        rtk_flag=None if flag is None else int(flag),
        corrections_age_s=number(named.get("RtkDiffAge")),
        status=named.get("GpsStatus", "").strip(),
        altitude_kind=named.get("AltitudeType", "").strip(),
        for_surveying=None if advice is None else advice > 0,
    )


def place(gps: Mapping[str, object], named: Mapping[str, str]) -> LonLat | None:
    """Where the receiver was; None without a fix."""
    if named.get("GpsStatus", "").strip().lower() == "invalid":
        return None
    lat, lon = number(named.get("GpsLatitude")), number(named.get("GpsLongitude"))
    if not _is_place(lon, lat):
        lat, lon = _degrees(gps, "GPSLatitude", "S"), _degrees(gps, "GPSLongitude", "W")
    if lat is None or lon is None or not _is_place(lon, lat):
        return None
    return LonLat(lon_deg=lon, lat_deg=lat)


def _is_place(lon: float | None, lat: float | None) -> bool:
    """A receiver without a fix writes 0, 0 or nonsense."""
    if lon is None or lat is None or (abs(lon) < 1e-6 and abs(lat) < 1e-6):
        return False
    return abs(lon) <= 180 and abs(lat) <= 90


def _degrees(gps: Mapping[str, object], tag: str, negative: str) -> float | None:
    value = gps.get(tag)
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    degrees, minutes, seconds = (number(v) for v in value)
    if degrees is None or minutes is None:
        return None
    total = degrees + minutes / 60 + (seconds or 0.0) / 3600
    return -total if text(gps.get(tag + "Ref")).upper().startswith(negative) else total


def ellipsoid_height(gps: Mapping[str, object], named: Mapping[str, str]) -> tuple[float | None, bool]:
    """The satellite height in metres as the file gives it, and whether it can be believed.

    DJI writes the barometer's height into it on consumer models, sometimes with the reference bit "below sea level" set for a
    height that is none: a photo from the air below -20 m of anything is kept as a number, but not believed.
    """
    absolute = number(named.get("AbsoluteAltitude"))
    exif_m = number(gps.get("GPSAltitude"))
    below = gps.get("GPSAltitudeRef") in (b"\x01", 1, "1")
    if exif_m is not None and below:
        exif_m = -abs(exif_m)
    if absolute is not None:
        agrees = exif_m is None or abs(absolute - exif_m) < 5
        return absolute, absolute > -100 and (agrees or not below)
    if exif_m is None:
        return None, False
    return exif_m, not below and -100 < exif_m < 9000


def sigmas(gps: Mapping[str, object], named: Mapping[str, str], rtk_fixed: bool) -> tuple[float, float]:
    """Standard deviations in metres of the place and of the satellite height, by the file or by the kind of receiver."""
    across = [s for s in (number(named.get(n)) for n in ("RtkStdLon", "RtkStdLat")) if s is not None and s > 0]
    plain = number(named.get("Camera:GPSXYAccuracy")) or number(gps.get("GPSHPositioningError"))
    if len(across) == 2:
        place_m = min(3.0, max(0.02, math.hypot(*across)))
    elif plain is not None and plain > 0:
        place_m = min(10.0, max(0.02, plain))
    else:
        place_m = 0.05 if rtk_fixed else 3.0
    up = number(named.get("RtkStdHgt")) or number(named.get("Camera:GPSZAccuracy"))
    height_m = min(20.0, max(0.02, up)) if up is not None and up > 0 else 0.1 if rtk_fixed else 5.0
    return place_m, height_m


def _zone(where: LonLat | None) -> tzinfo:
    """The time kept at a place: Beijing time in China, else the nautical zone, an hour or two from the lawful one."""
    if where is None or in_china(where):
        return LOCAL_ZONE
    return timezone(timedelta(hours=round(where.lon_deg / 15)))


def taken_at(
    tags: Mapping[str, object], gps: Mapping[str, object], named: Mapping[str, str], where: LonLat | None, zone: tzinfo | None
) -> datetime | None:
    """When the shutter opened, best clock first: the exposure's own satellite time, the receiver's, the camera's."""
    exposed = _read(named.get("UTCAtExposure", ""), UTC)
    if exposed is not None:
        return exposed
    satellite = _satellite_time(gps)
    if satellite is not None:
        return satellite
    offset = text(tags.get("OffsetTimeOriginal")) or text(tags.get("OffsetTime"))
    parts = text(tags.get("SubsecTimeOriginal")) or text(tags.get("SubsecTime"))
    for name in ("DateTimeOriginal", "DateTimeDigitized", "DateTime"):
        at = _read(text(tags.get(name))[:19], zone or _zone(where))
        if at is None:
            continue
        with contextlib.suppress(ValueError):  # an offset that is none: the place's own zone stands
            at = at.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo) if offset else at
        return utc(at + timedelta(seconds=float(f"0.{parts}") if parts.isdigit() else 0.0))
    return None


_CLOCKS = ("%Y:%m:%d %H:%M:%S.%f", "%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")


def _read(said: str, zone: tzinfo) -> datetime | None:
    for pattern in _CLOCKS:
        try:
            return datetime.strptime(said.strip(), pattern).replace(tzinfo=zone)
        except ValueError:
            continue
    return None


def _satellite_time(gps: Mapping[str, object]) -> datetime | None:
    day, clock = text(gps.get("GPSDateStamp")), gps.get("GPSTimeStamp")
    if not day or not isinstance(clock, tuple) or len(clock) != 3:
        return None
    hours, minutes, seconds = (number(v) for v in clock)
    if hours is None or minutes is None or seconds is None:
        return None
    try:
        midnight = datetime.strptime(day, "%Y:%m:%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def text(value: object) -> str:
    """A tag as text without padding; "" for anything else."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\x00 \t\n") if isinstance(value, str) else ""
