"""What a DJI camera writes beside the pixels: EXIF and an XMP packet, with the errors its receiver has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import quoteattr

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from geo.camera import Camera
from geo.frames import Floats
from geo.times import LOCAL_ZONE

MAKE, MODEL = "DJI", "FC6310S"
CROP = 24.0 / 8.8  # 35 mm equivalent over true focal length of that model
DEGREE_M = 111_320.0
#                flight-long error    error of each photo   (1 sigma, metres: across, up, barometer)
_CONSUMER, _RTK = ((1.0, 1.5, 0.25), (0.15, 0.20, 0.05)), ((0.0, 0.0, 0.25), (0.012, 0.02, 0.05))


@dataclass(frozen=True, slots=True)
class Fix:
    """What the receiver and the barometer said; `ellipsoid_m` over WGS 84, `takeoff_m` over the place of take-off."""

    lon_deg: float
    lat_deg: float
    ellipsoid_m: float
    takeoff_m: float
    rtk: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """All that is written about one photo; angles are (yaw, pitch, roll) in degrees."""

    at: datetime
    fix: Fix
    vehicle: tuple[float, float, float]
    gimbal: tuple[float, float, float]


def fix(lon_deg: float, lat_deg: float, home_m: float, takeoff_m: float, flight: Floats, shot: Floats, *, rtk: bool) -> Fix:
    """The true place with its error; `flight` and `shot` are four standard normal numbers each: east, north, up, barometer."""
    lasting, passing = _RTK if rtk else _CONSUMER
    east, north = (lasting[0] * float(flight[k]) + passing[0] * float(shot[k]) for k in (0, 1))
    up = lasting[1] * float(flight[2]) + passing[1] * float(shot[2])
    pressure = lasting[2] * float(flight[3]) + passing[2] * float(shot[3])
    across = DEGREE_M * math.cos(math.radians(lat_deg))
    return Fix(lon_deg + east / across, lat_deg + north / DEGREE_M, home_m + takeoff_m + up, takeoff_m + pressure, rtk)


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    whole = int(abs(degrees))
    minutes = (abs(degrees) - whole) * 60.0
    seconds = round((minutes - int(minutes)) * 60.0 * 1_000_000)
    return IFDRational(whole, 1), IFDRational(int(minutes), 1), IFDRational(seconds, 1_000_000)


def focal_35mm(camera: Camera) -> float:
    """35 mm equivalent of a camera's focal length, by the diagonal."""
    return camera.focal_px * 43.267 / math.hypot(camera.width_px, camera.height_px)


def exif(stamp: Stamp, camera: Camera) -> Image.Exif:
    """The EXIF block. Local time with its offset; the altitude is the ellipsoid's."""
    local = stamp.at.astimezone(LOCAL_ZONE)
    written = local.strftime("%Y:%m:%d %H:%M:%S")
    offset = local.strftime("%z")
    data = Image.Exif()
    data[0x010F], data[0x0110], data[0x0132] = MAKE, MODEL, written
    data[0x0112] = 1
    details = data.get_ifd(0x8769)
    details[0x9003] = details[0x9004] = written
    details[0x9010] = details[0x9011] = f"{offset[:3]}:{offset[3:]}"
    details[0x829A] = IFDRational(1, 800)
    details[0x829D] = IFDRational(56, 10)
    details[0x8827] = 100
    details[0x920A] = IFDRational(round(focal_35mm(camera) / CROP * 1000), 1000)
    details[0xA405] = round(focal_35mm(camera))
    details[0xA002], details[0xA003] = camera.width_px, camera.height_px
    gps = data.get_ifd(0x8825)
    place = stamp.fix
    gps[0] = b"\x02\x03\x00\x00"
    gps[1], gps[2] = ("N" if place.lat_deg >= 0 else "S"), _sexagesimal(place.lat_deg)
    gps[3], gps[4] = ("E" if place.lon_deg >= 0 else "W"), _sexagesimal(place.lon_deg)
    gps[5], gps[6] = (b"\x00" if place.ellipsoid_m >= 0 else b"\x01"), IFDRational(round(abs(place.ellipsoid_m) * 1000), 1000)
    gps[7] = tuple(IFDRational(v, 1) for v in (stamp.at.hour, stamp.at.minute, stamp.at.second))
    gps[18], gps[29] = "WGS-84", stamp.at.strftime("%Y:%m:%d")
    return data


def _turn(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0


def xmp(stamp: Stamp, camera: Camera) -> bytes:
    """The XMP packet as DJI writes it, with the factory's calibration."""
    place = stamp.fix
    fields = {
        "AbsoluteAltitude": f"{place.ellipsoid_m:+.2f}",
        "RelativeAltitude": f"{place.takeoff_m:+.2f}",
        "GpsLatitude": f"{place.lat_deg:.9f}",
        "GpsLongitude": f"{place.lon_deg:.9f}",
        "GimbalRollDegree": f"{stamp.gimbal[2]:+.2f}",
        "GimbalYawDegree": f"{_turn(stamp.gimbal[0]):+.2f}",
        "GimbalPitchDegree": f"{stamp.gimbal[1]:+.2f}",
        "FlightRollDegree": f"{stamp.vehicle[2]:+.2f}",
        "FlightYawDegree": f"{_turn(stamp.vehicle[0]):+.2f}",
        "FlightPitchDegree": f"{stamp.vehicle[1]:+.2f}",
        "CamReverse": "0",
        "GimbalReverse": "0",
        "CalibratedFocalLength": f"{camera.focal_px:.6f}",
        "CalibratedOpticalCenterX": f"{camera.cx_px:.6f}",
        "CalibratedOpticalCenterY": f"{camera.cy_px:.6f}",
    }
    if any((camera.k1, camera.k2, camera.p1, camera.p2, camera.k3)):
        centre = camera.cx_px - camera.width_px / 2, camera.cy_px - camera.height_px / 2
        numbers = (camera.focal_px, camera.focal_px, *centre, camera.k1, camera.k2, camera.p1, camera.p2, camera.k3)
        fields["DewarpData"] = f"{stamp.at:%Y-%m-%d};" + ",".join(f"{n:.9f}" for n in numbers)
        fields["DewarpFlag"] = "0"
    if place.rtk:
        fields |= {"RtkFlag": "50", "RtkStdLon": "0.01200", "RtkStdLat": "0.01200", "RtkStdHgt": "0.02000"}
    described = "\n".join(f"   drone-dji:{name}={quoteattr(value)}" for name, value in fields.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="DJI Meta Data"\n   xmlns:tiff="http://ns.adobe.com/tiff/1.0/"\n'
        '   xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"\n'
        f'   tiff:Make="{MAKE}"\n   tiff:Model="{MODEL}"\n{described}>\n'
        '  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()
