"""The photos a link has heard of, by the vehicle's own count, so that none is lost without notice."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flight.flightlog import PhotoEvent
from geo.frames import LonLat
from geo.heights import Datum, Height

_WRAP = 1 << 16  # CAMERA_FEEDBACK counts in 16 bits


class Photobook:
    """Collects CAMERA_FEEDBACK and CAMERA_IMAGE_CAPTURED; `when(unix_us)` turns the vehicle's time into ours."""

    def __init__(self, when: Callable[[int], datetime]) -> None:
        self._when = when
        self._lock = threading.Lock()
        self._book: dict[int, PhotoEvent] = {}
        self._first: int | None = None  # the first index that belongs to this link
        self._top = 0  # the highest index heard of
        self._past: list[PhotoEvent] = []  # of before the vehicle was switched on again
        self._past_gaps: list[int] = []
        self._airframe: tuple[float, float] | None = None
        self._gimbal_pitch: float | None = None

    def photos(self) -> tuple[PhotoEvent, ...]:
        """All of them, in the vehicle's order."""
        with self._lock:
            return (*self._past, *(self._book[i] for i in sorted(self._book)))

    def missing(self) -> tuple[int, ...]:
        """Indices that were counted but not heard of."""
        with self._lock:
            first = self._top + 1 if self._first is None else self._first
            return (*self._past_gaps, *(i for i in range(first, self._top + 1) if i not in self._book))

    def restart(self) -> None:
        """The vehicle counts from 1 again."""
        missing = self.missing()
        with self._lock:
            self._past += [self._book[i] for i in sorted(self._book)]
            self._past_gaps = list(missing)
            self._book, self._first, self._top = {}, 1, 0

    def hear(self, kind: str, m: Any) -> None:
        """Take note of a message."""
        if kind == "ATTITUDE":
            self._airframe = math.degrees(m.roll), math.degrees(m.pitch)
        elif kind == "MOUNT_STATUS":
            self._gimbal_pitch = m.pointing_a / 100.0
        elif kind == "GIMBAL_DEVICE_ATTITUDE_STATUS":
            self._gimbal_pitch = angles(m.q)[1]
        elif kind == "CAMERA_CAPTURE_STATUS":
            self._counted(m.image_count)
        elif kind == "CAMERA_FEEDBACK":
            angle = self._camera_angles(m.roll, m.pitch, m.yaw)
            self._keep(self._unwrapped(m.img_idx), m.time_usec, (m.lng, m.lat, m.alt_rel, m.alt_msl), angle)
        elif kind == "CAMERA_IMAGE_CAPTURED" and m.capture_result == 1:
            self._keep(m.image_index, m.time_utc, (m.lon, m.lat, m.relative_alt / 1000.0, m.alt / 1000.0), angles(m.q))

    def _counted(self, count: int) -> None:
        with self._lock:
            if self._first is None:
                self._first = count + 1  # those were taken before anybody listened
            self._top = max(self._top, count)

    def _unwrapped(self, index: int) -> int:
        laps = round((self._top - index) / _WRAP)
        return index + max(laps, 0) * _WRAP

    def _camera_angles(self, roll: float, pitch: float, yaw: float) -> tuple[float, float, float]:
        # ArduPilot fills in the airframe's angles; where the gimbal tells of itself, its pitch is the camera's
        if self._airframe is not None and self._gimbal_pitch is not None:
            same = abs(roll - self._airframe[0]) < 3.0 and abs(pitch - self._airframe[1]) < 3.0
            if same and abs(pitch - self._gimbal_pitch) > 10.0:
                return 0.0, self._gimbal_pitch, yaw
        return roll, pitch, yaw

    def _keep(self, index: int, unix_us: int, where: tuple[int, int, float, float], angle: tuple[float, float, float]) -> None:
        place = LonLat(lon_deg=where[0] / 1e7, lat_deg=where[1] / 1e7)
        roll, pitch, yaw = angle
        height = Height(where[2], Datum.TAKEOFF)
        event = PhotoEvent(index, self._when(unix_us), place, height, yaw % 360.0, pitch, roll, where[3])
        with self._lock:
            if self._first is None:
                self._first = index
            if index >= self._first:
                self._book.setdefault(index, event)
            self._top = max(self._top, index)


def angles(q: Any) -> tuple[float, float, float]:
    """(roll, pitch, yaw) in degrees of a quaternion w, x, y, z; looking straight up or down, all turning is counted as yaw."""
    w, x, y, z = (float(v) for v in q)
    pitch = math.asin(max(-1.0, min(1.0, 2.0 * (w * y - z * x))))
    if abs(pitch) > math.radians(89.9):
        # there roll and yaw turn about one axis: take the camera's right-hand side as level
        return 0.0, math.degrees(pitch), math.degrees(math.atan2(-2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z)))
    roll = math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return math.degrees(roll), math.degrees(pitch), math.degrees(yaw)
