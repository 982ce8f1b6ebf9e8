"""Photos as they come from the drone: what the file itself says of place, height, gaze and lens, read once.

A broken photo never stops the others: it is refused with a reason. Side files that lie beside the photos are laid over what the
photos themselves say; the file's own position is kept.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from geo.camera import Camera
from geo.frames import LonLat
from geo.progress import Progress, silent
from imagery import sidecars, tags
from imagery.errors import PhotoError
from imagery.lenses import FocalSource, camera_prior, number
from imagery.look import Look, look
from imagery.reasons import Reason
from imagery.sidecars import Fix, PositionSource, Sidecars
from imagery.tags import RTK_FIXED, Receiver

Pixels = NDArray[np.uint8]

SUFFIXES = frozenset({".jpg", ".jpeg", ".tif", ".tiff", ".png"})
_PICTURES = frozenset({"RGB", "L", "CMYK", "YCbCr", "RGBA", "P"})  # Pillow's modes of 8 bits; heights and 16-bit bands are none
_FORMATS = ("JPEG", "TIFF", "PNG")  # a JPEG of several pictures (MPO) opens as JPEG
_EARTH_M = 6_371_008.8
_MOST_UNSCALED_PX = 120_000_000  # PNG and TIFF cannot be decoded small: 360 MB at a time are enough


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo and what its file says. Angles in degrees: yaw clockwise from north, pitch -90 straight down.

    `height_trusted` is False where the satellite height cannot be right or contradicts itself; the number is kept as written.
    `position_sigma_m` is the horizontal standard deviation of `place`, `height_sigma_m` that of `ellipsoid_height_m`. `sharpness` is
    the variance of the Laplacian of a small copy, comparable within one flight only; the rest of the look is in `look`.
    `position_source` says who told `place`; where that is not the file, `own_place` and `own_height_m` keep what the file says.
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
    height_sigma_m: float = 5.0
    look: Look = field(default_factory=Look)
    receiver: Receiver = field(default_factory=Receiver)
    shutter: str = ""  # DJI's word: Mechanical, Electronic
    infrared: bool = False
    position_source: PositionSource = PositionSource.FILE
    own_place: LonLat | None = None
    own_height_m: float | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is no usable photo, and why, in both languages."""

    path: Path
    reason: str
    sha256: str = ""  # of the file's bytes, "" where they cannot be read


@dataclass(frozen=True, slots=True)
class Reading:
    """A folder's photos in order of time and name, the files that were refused, and what side files did."""

    photos: tuple[Photo, ...]
    refused: tuple[Refused, ...]
    notes: tuple[Reason, ...] = ()


def read_folder(folder: Path, workers: int = 2, progress: Progress = silent) -> Reading:
    """Every photo of a folder and its subfolders; broken ones are refused, not raised. MRK files and a geo.txt are used by themselves.

    Raises PhotoError when the folder is not there, holds no picture file at all, or a side file is broken.
    """
    if not folder.is_dir():
        raise PhotoError(
            f"{folder} 不是文件夹，请给出照片所在的文件夹。 {folder} is not a folder: give the folder that holds the photos"
        )
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith("."))
    if not paths:
        raise PhotoError(
            f"{folder} 中没有照片，请确认存储卡已拷贝、文件夹无误。 "
            f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))}): was the card copied, is it the right folder?"
        )
    beside = sidecars.beside(folder)
    photos: list[Photo] = []
    refused: list[Refused] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # 100-megapixel cameras fly; the bound is read_photo's
        for i, outcome in enumerate(pool.map(_read_or_refuse, paths)):
            if isinstance(outcome, Photo):
                photos.append(outcome)
            else:
                refused.append(outcome)
            progress(i + 1, len(paths), "photos")
    latest = datetime.max.replace(tzinfo=UTC)
    photos.sort(key=lambda p: (p.taken_at or latest, p.path.name, str(p.path)))
    placed, notes = _laid_over(photos, beside)
    return Reading(placed, tuple(refused), notes)


def _read_or_refuse(path: Path) -> Photo | Refused:
    try:
        return read_photo(path)
    except PhotoError as error:
        return Refused(path, str(error).removeprefix(f"{path.name}: "), _sha256(path))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def read_photo(path: Path, zone: tzinfo | None = None) -> Photo:
    """One photo; its whole stream is decoded once, small, so that a cut-off file is found here and not an hour later.

    `zone` is the camera clock's time zone where the file does not say it; by default the time people keep at the photo's place.
    Raises PhotoError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(
            f"{path.name}: 文件无法读取。 {path.name}: the file cannot be read ({error.strerror or error})"
        ) from error
    if not data:
        raise PhotoError(f"{path.name}: 空文件，请从存储卡重新拷贝。 the file is empty; copy it again from the card")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            _check(path, image)
            exif, gps = tags.exif(image)
            named = tags.xmp(image.info.get("xmp"))
            seen = look(image)
    except Image.DecompressionBombError as error:
        raise PhotoError(
            f"{path.name}: 图像超过 1.79 亿像素，不是无人机照片；成品正射影像请用 ingest-ortho 入库。 "
            "the picture has more than 179 megapixels and is no drone photo; a finished orthophoto is taken in by ingest-ortho"
        ) from error
    except UnidentifiedImageError as error:
        raise PhotoError(
            f"{path.name}: 不论叫什么名字，都不是 JPEG、TIFF 或 PNG 图像；请移出文件夹，若本是照片请从存储卡重新拷贝。 "
            "no JPEG, TIFF or PNG picture, whatever its name says: take it out of the folder, or copy it again from the card if it was one"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotoError(
            f"{path.name}: 图像不完整或损坏，请从存储卡重新拷贝。 the picture is cut off or broken ({error}): copy it again from the card"
        ) from error
    place = tags.place(gps, named)
    ellipsoid, trusted = tags.ellipsoid_height(gps, named)
    camera, source = camera_prior(width, height, exif, named)
    receiver = tags.receiver(named)
    rtk_fixed = (receiver.rtk_flag or 0) >= RTK_FIXED
    position_sigma_m, height_sigma_m = tags.sigmas(gps, named, rtk_fixed)
    return Photo(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        taken_at=tags.taken_at(exif, gps, named, place, zone),
        place=place,
        ellipsoid_height_m=ellipsoid,
        takeoff_height_m=number(named.get("RelativeAltitude")),
        yaw_deg=number(named.get("GimbalYawDegree")),
        pitch_deg=number(named.get("GimbalPitchDegree")),
        roll_deg=number(named.get("GimbalRollDegree")),
        camera=camera,
        make=tags.text(exif.get("Make")),
        model=tags.text(exif.get("Model")),
        focal_source=source,
        height_trusted=trusted,
        rtk_fixed=rtk_fixed,
        position_sigma_m=position_sigma_m,
        sharpness=seen.sharpness,
        height_sigma_m=height_sigma_m,
        look=seen,
        receiver=receiver,
        shutter=named.get("ShutterType", "").strip(),
        infrared="infrared" in named.get("ImageSource", "").lower(),
        own_place=place,
        own_height_m=ellipsoid,
    )


def _check(path: Path, image: Image.Image) -> None:
    if image.mode not in _PICTURES:
        raise PhotoError(
            f"{path.name}: 不是 8 位彩色或灰度照片（{image.mode}），像是高程或多光谱数据。 "
            f"no photo of 8 bits ({image.mode}): it looks like heights or a spectral band; take it out of the folder"
        )
    if image.format not in {"JPEG", "MPO"} and image.width * image.height > _MOST_UNSCALED_PX:
        raise PhotoError(
            f"{path.name}: {image.format} 图像过大（{image.width} x {image.height}），请存为 JPEG。 "
            f"a {image.format} of {image.width} x {image.height} pixels is too large to read whole: write it as JPEG"
        )


def _laid_over(photos: Sequence[Photo], beside: Sidecars) -> tuple[tuple[Photo, ...], tuple[Reason, ...]]:
    """Photos with the side files' positions, and how many of them each kind of file knew."""
    if not beside.files:
        return tuple(photos), ()
    fixes = [beside.fix(p.path) for p in photos]
    notes: list[Reason] = []
    for source in (PositionSource.GEO_TXT, PositionSource.MRK):
        name = sidecars.said(
            f for f in beside.files if (f.name.lower() == sidecars.GEO_NAME) == (source is PositionSource.GEO_TXT)
        )
        if not name:
            continue
        pairs = [(p, f) for p, f in zip(photos, fixes, strict=True) if f is not None and f.source is source]
        apart = [metres_apart(p.place, f.place) for p, f in pairs if p.place is not None]
        middle = float(np.median(apart)) if apart else None
        if source is PositionSource.MRK and middle is not None and middle > sidecars.OTHER_FLIGHT_M:
            fixes = [None if f is not None and f.source is source else f for f in fixes]
            notes.append(
                Reason(
                    "mrk_of_another_flight",
                    f"{name} 与照片自身定位中位相差 {middle:.0f} 米，像是别的架次的文件，未采用。",
                    f"{name} lies {middle:.0f} m off the photos' own positions at the median, as if of another flight: not used.",
                    middle,
                    sidecars.OTHER_FLIGHT_M,
                )
            )
            continue
        off_zh = "" if middle is None else f"，与照片自身定位中位相差 {middle:.2f} 米"
        off_en = "" if middle is None else f", {middle:.2f} m off the photos' own positions at the median"
        notes.append(
            Reason(
                "positions_from_file",
                f"{len(pairs)}/{len(photos)} 张照片的位置取自 {name}{off_zh}。",
                f"{len(pairs)} of {len(photos)} photos take their position from {name}{off_en}.",
                float(len(pairs)),
            )
        )
    return tuple(p if f is None else placed(p, f) for p, f in zip(photos, fixes, strict=True)), tuple(notes)


def placed(photo: Photo, fix: Fix) -> Photo:
    """The photo at a fix; what the fix does not say stays as it is, and so does the file's own word."""
    given = fix.height_m is not None
    return replace(
        photo,
        place=fix.place,
        position_source=fix.source,
        ellipsoid_height_m=fix.height_m if given else photo.ellipsoid_height_m,
        height_trusted=True if given else photo.height_trusted,
        position_sigma_m=fix.sigma_m or photo.position_sigma_m,
        height_sigma_m=fix.height_sigma_m or photo.height_sigma_m,
        rtk_fixed=photo.rtk_fixed if fix.rtk_flag is None else fix.rtk_flag >= RTK_FIXED,
        receiver=photo.receiver if fix.rtk_flag is None else replace(photo.receiver, rtk_flag=fix.rtk_flag),
        yaw_deg=photo.yaw_deg if fix.yaw_deg is None else fix.yaw_deg,
        pitch_deg=photo.pitch_deg if fix.pitch_deg is None else fix.pitch_deg,
        roll_deg=photo.roll_deg if fix.roll_deg is None else fix.roll_deg,
    )


def metres_apart(one: LonLat, other: LonLat) -> float:
    """Distance on the ground, good to a thousandth nearby and to a per cent across the world."""
    lon = math.radians((other.lon_deg - one.lon_deg + 180) % 360 - 180)
    a, b = math.radians(one.lat_deg), math.radians(other.lat_deg)
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(lon / 2) ** 2
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(h)))


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
        raise PhotoError(f"{path}: 照片无法解码。 the photo cannot be decoded ({error})") from error
    if pixels is None:
        raise PhotoError(
            f"{path}: 照片无法解码，读入后是否被移动或改动？ the photo cannot be decoded: was it moved or changed since it was read in?"
        )
    if not grey and reduce > 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)
