"""A photo with its place moved, for tests of photos that do not belong."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image


def moved(source: Path, target: Path, *, north_deg: float) -> None:
    """Write the photo again (one grey level changed, so that its hash differs) with its latitude moved."""
    with Image.open(source) as picture:
        exif = picture.getexif()
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        degrees, minutes, seconds = gps[ExifTags.GPS.GPSLatitude]
        gps[ExifTags.GPS.GPSLatitude] = (float(degrees) + north_deg, float(minutes), float(seconds))
        picture.convert("RGB").point(lambda v: min(255, v + 1)).save(target, quality=90, exif=exif)
