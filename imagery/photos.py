"""Photos as they come from the drone: what the file itself says of place, height, gaze and lens, read once.

EXIF and DJI XMP, old and new spellings. A broken photo never stops the others: it is refused with a reason.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from geo.camera import Camera
from geo.datums import in_china
from geo.frames import LonLat
from geo.progress import Progress, silent
from geo.times import LOCAL_ZONE, utc
from imagery.errors import PhotoError
from imagery.lenses import FocalSource, camera_prior, number

Pixels = NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".tif", ".tiff", ".png"})


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo and what its file says. Angles in degrees: yaw clockwise from north, pitch -90 straight down.

    `height_trusted` is False where the satellite height cannot be right or contradicts itself; the number is kept as written.
    `position_sigma_m` is the horizontal standard deviation of `place`; `sharpness` is the variance of the Laplacian of a small
    copy, comparable within one flight only.
    """

    path: Path
    sha256: str
    taken_at: datetime | None
    place: LonLat | None
    ellipsoid_height_m: float | None
    takeoff_height_m: float | None
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    camera: Camera
    make: str = ""
    model: str = ""
    focal_source: FocalSource = FocalSource.GUESS
    height_trusted: bool = True
    rtk_fixed: bool = False
    position_sigma_m: float = 3.0
    sharpness: float = 0.0

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is no usable photo, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A folder's photos in order of time and name, and the files that were refused."""

    photos: tuple[Photo, ...]
    refused: tuple[Refused, ...]


def read_folder(folder: Path, workers: int = 2, progress: Progress = silent) -> Reading:
    """Every photo of a folder and its subfolders; broken ones are refused, not raised.

    Raises PhotoError when the folder is not there or holds no picture file at all.
    """
    if not folder.is_dir():
        raise PhotoError(f"{folder} is not a folder: give the folder that holds the photos")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith("."))
    if not paths:
        raise PhotoError(
            f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))}): was the card copied, is it the right folder?"
        )
    photos: list[Photo] = []
    refused: list[Refused] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for i, outcome in enumerate(pool.map(_read_or_refuse, paths)):
            if isinstance(outcome, Photo):
                photos.append(outcome)
            else:
                refused.append(outcome)
            progress(i + 1, len(paths), "photos")
    latest = datetime.max.replace(tzinfo=UTC)
    photos.sort(key=lambda p: (p.taken_at or latest, p.path.name, str(p.path)))
    return Reading(tuple(photos), tuple(refused))


def _read_or_refuse(path: Path) -> Photo | Refused:
    try:
        return read_photo(path)
    except PhotoError as error:
        return Refused(path, str(error))


def read_photo(path: Path, zone: tzinfo | None = None) -> Photo:
    """One photo; its whole stream is decoded once, small, so that a cut-off file is found here and not an hour later.

    `zone` is the camera clock's time zone where the file does not say it; by default the time people keep at the photo's place.
    Raises PhotoError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path.name}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise PhotoError(f"{path.name}: the file is empty; copy it again from the card")
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            tags, gps = _exif(image)
            xmp = _dji(image.info.get("xmp"))
            sharpness = _sharpness(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PhotoError(f"{path.name}: the picture is broken ({error}); copy it again from the card") from error
    place = _place(gps, xmp)
    ellipsoid, trusted = _ellipsoid_height(gps, xmp)
    camera, source = camera_prior(width, height, tags, xmp)
    rtk_fixed = (number(xmp.get("RtkFlag")) or 0) >= 50  # 50 = fixed, 34 = float, 16 = single
    return Photo(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        taken_at=_taken_at(tags, gps, zone or _zone(place)),
        place=place,
        ellipsoid_height_m=ellipsoid,
        takeoff_height_m=number(xmp.get("RelativeAltitude")),
        yaw_deg=number(xmp.get("GimbalYawDegree")),
        pitch_deg=number(xmp.get("GimbalPitchDegree")),
        roll_deg=number(xmp.get("GimbalRollDegree")),
        camera=camera,
        make=_text(tags.get("Make")),
        model=_text(tags.get("Model")),
        focal_source=source,
        height_trusted=trusted,
        rtk_fixed=rtk_fixed,
        position_sigma_m=_position_sigma(xmp, rtk_fixed),
        sharpness=sharpness,
    )


def read_pixels(path: Path, *, grey: bool = False, reduce: int = 1) -> Pixels:
    """The pixels as the sensor saw them, `(rows, cols, 3)` RGB or `(rows, cols)` grey, optionally 1/2, 1/4, 1/8 in size.

    The EXIF orientation is not applied: poses and cameras speak of the sensor's rows. Raises PhotoError.
    """
    flags = {
        (False, 1): cv2.IMREAD_COLOR_RGB,
        (False, 2): cv2.IMREAD_REDUCED_COLOR_2,
        (False, 4): cv2.IMREAD_REDUCED_COLOR_4,
        (False, 8): cv2.IMREAD_REDUCED_COLOR_8,
        (True, 1): cv2.IMREAD_GRAYSCALE,
        (True, 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
        (True, 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
        (True, 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }[(grey, reduce)]
    try:
        data = np.fromfile(path, np.uint8)
        pixels = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except (OSError, cv2.error) as error:
        raise PhotoError(f"{path}: cannot be decoded ({error})") from error
    if pixels is None:
        raise PhotoError(f"{path}: cannot be decoded; was the photo moved or changed since it was read in?")
    if not grey and reduce > 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)


def _sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of a copy about 1000 px long; decoding it also finds cut-off streams."""
    long_side = max(image.size)
    image.draft("L", (max(1, image.width * 1000 // long_side), max(1, image.height * 1000 // long_side)))
    grey = np.asarray(image.convert("L"))
    if max(grey.shape) > 1600:
        factor = 1000 / max(grey.shape)
        grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _exif(image: Image.Image) -> tuple[dict[str, object], dict[str, object]]:
    """EXIF by tag name: picture and camera tags, and GPS tags. Broken EXIF reads as none: the picture is still good."""
    try:
        exif = image.getexif()
        tags = {ExifTags.TAGS.get(k, str(k)): v for k, v in [*exif.items(), *exif.get_ifd(ExifTags.IFD.Exif).items()]}
        gps = {ExifTags.GPSTAGS.get(k, str(k)): v for k, v in exif.get_ifd(ExifTags.IFD.GPSInfo).items()}
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return {}, {}
    return tags, gps


_DJI_ATTRIBUTE = re.compile(r'drone-dji:(\w+)\s*=\s*"([^"]*)"')
_DJI_ELEMENT = re.compile(r"<drone-dji:(\w+)>\s*([^<]*?)\s*</")


def _dji(xmp: object) -> dict[str, str]:
    """The drone-dji names of an XMP packet, written as attributes (old) or as elements (some new firmware)."""
    if isinstance(xmp, bytes):
        text = xmp.decode("utf-8", "replace")
    elif isinstance(xmp, str):
        text = xmp
    else:
        return {}
    return {**dict(_DJI_ELEMENT.findall(text)), **dict(_DJI_ATTRIBUTE.findall(text))}


def _place(gps: Mapping[str, object], xmp: Mapping[str, str]) -> LonLat | None:
    lat = number(xmp.get("GpsLatitude"))
    lon = number(xmp.get("GpsLongitude") or xmp.get("GpsLongtitude"))  # old firmware misspells it
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
    parts = [number(v) for v in value]
    degrees, minutes, seconds = parts
    if degrees is None or minutes is None:
        return None
    total = degrees + minutes / 60 + (seconds or 0.0) / 3600
    return -total if _text(gps.get(tag + "Ref")).upper().startswith(negative) else total


def _ellipsoid_height(gps: Mapping[str, object], xmp: Mapping[str, str]) -> tuple[float | None, bool]:
    """The satellite height as the file gives it, and whether it can be believed.

    DJI writes the barometer's height into it on consumer models, sometimes with the reference bit "below sea level" set for a
    height that is none: a photo from the air below -20 m of anything is kept as a number, but not believed.
    """
    absolute = number(xmp.get("AbsoluteAltitude"))
    exif = number(gps.get("GPSAltitude"))
    below = gps.get("GPSAltitudeRef") in (b"\x01", 1, "1")
    if exif is not None and below:
        exif = -abs(exif)
    if absolute is not None:
        agrees = exif is None or abs(absolute - exif) < 5
        return absolute, absolute > -100 and (agrees or not below)
    if exif is None:
        return None, False
    return exif, not below and -100 < exif < 9000


def _position_sigma(xmp: Mapping[str, str], rtk_fixed: bool) -> float:
    stds = [number(xmp.get("RtkStdLon")), number(xmp.get("RtkStdLat"))]
    known = [s for s in stds if s is not None and s > 0]
    if known and len(known) == 2:
        return min(3.0, max(0.02, math.hypot(*known)))
    return 0.05 if rtk_fixed else 3.0


def _zone(place: LonLat | None) -> tzinfo:
    """The time kept at a place: Beijing time in China, else the nautical zone, an hour or two from the lawful one."""
    if place is None or in_china(place):
        return LOCAL_ZONE
    return timezone(timedelta(hours=round(place.lon_deg / 15)))


def _taken_at(tags: Mapping[str, object], gps: Mapping[str, object], zone: tzinfo) -> datetime | None:
    satellite = _satellite_time(gps)
    if satellite is not None:
        return satellite
    readers: tuple[Callable[[str], datetime], ...] = (
        lambda t: datetime.strptime(t[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=zone),
        lambda t: datetime.strptime(t[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone),
    )
    offset = _text(tags.get("OffsetTimeOriginal")) or _text(tags.get("OffsetTime"))
    for name in ("DateTimeOriginal", "DateTimeDigitized", "DateTime"):
        text = _text(tags.get(name))
        for read in readers:
            try:
                at = read(text)
                if offset:
                    at = at.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo)
                return utc(at)
            except ValueError:
                continue
    return None


def _satellite_time(gps: Mapping[str, object]) -> datetime | None:
    day, clock = _text(gps.get("GPSDateStamp")), gps.get("GPSTimeStamp")
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


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\x00 \t\n") if isinstance(value, str) else ""
