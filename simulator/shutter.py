"""The camera of the simulated vehicle: where its gimbal looks and when it takes a photo.

Photos by distance are taken at the very place where the distance is reached, found inside the time step, so that the
positions do not depend on how the steps fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simulator.motion import Vec


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo: counted from 1, seconds of vehicle time, metres east, north and up of home, camera angles over the horizon."""

    index: int
    at_s: float
    place: Vec
    roll_deg: float
    pitch_deg: float
    yaw_deg: float


@dataclass(frozen=True, slots=True)
class Instant:
    """Where the body was at one time step's end."""

    at_s: float
    place: Vec
    yaw_deg: float


@dataclass(slots=True)
class Shutter:
    """Gimbal and trigger; a stabilised gimbal has no roll and turns with the body unless it looks at a point."""

    pitch_deg: float = -90.0
    roi: Vec | None = None
    photos: list[Photo] = field(default_factory=list)
    sent: int = 0
    _every_m: float = 0.0
    _last: tuple[float, float] | None = None
    _every_s: float = 0.0
    _next_s: float = 0.0
    _left: int = 0  # photos still due of a timed series; -1 without end

    def look(self, pitch_deg: float) -> None:
        """Turn the gimbal and forget any point it looked at."""
        self.pitch_deg, self.roi = max(-90.0, min(30.0, pitch_deg)), None

    def every_m(self, metres: float, now: Instant, at_once: bool) -> None:
        """Take a photo each time the vehicle has gone so far over ground; 0 stops."""
        self._every_m, self._last = max(0.0, metres), (now.place[0], now.place[1])
        if at_once and metres > 0:
            self.take(now)

    def every_s(self, seconds: float, count: int, now: Instant) -> None:
        """Take `count` photos (0: without end) `seconds` apart, the first at once."""
        self.take(now)
        self._every_s, self._left, self._next_s = seconds, (count - 1 if count > 0 else -1), now.at_s + seconds
        if seconds <= 0:
            self._left = 0

    def stop(self) -> None:
        """Take no further photo by time."""
        self._left = 0

    def pointing(self, now: Instant) -> tuple[float, float]:
        """(pitch, yaw) of the camera in degrees."""
        pitch, yaw = self.pitch_deg, now.yaw_deg % 360.0
        if self.roi is not None:
            east, north, up = (self.roi[i] - now.place[i] for i in range(3))
            level = math.hypot(east, north)
            pitch = math.degrees(math.atan2(up, level))
            if level > 0.01:
                yaw = math.degrees(math.atan2(east, north)) % 360.0
        return pitch, yaw

    def take(self, now: Instant) -> Photo:
        """Take one photo."""
        pitch, yaw = self.pointing(now)
        photo = Photo(len(self.photos) + 1, now.at_s, now.place, 0.0, pitch, yaw)
        self.photos.append(photo)
        return photo

    def watch(self, before: Instant, after: Instant) -> None:
        """Take what falls due between two instants."""
        if self._every_m > 0 and self._last is not None:
            self._by_distance(before, after)
        while self._left and self._next_s <= after.at_s:
            self.take(_between(before, after, (self._next_s - before.at_s) / max(after.at_s - before.at_s, 1e-9)))
            self._next_s += self._every_s
            self._left -= 1 if self._left > 0 else 0

    def _by_distance(self, before: Instant, after: Instant) -> None:
        while self._last is not None:
            # |before + f (after - before) - last| = every_m, the larger root in 0..1
            dx, dy = after.place[0] - before.place[0], after.place[1] - before.place[1]
            ox, oy = before.place[0] - self._last[0], before.place[1] - self._last[1]
            a, b, c = dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - self._every_m**2
            root = b * b - a * c
            if a < 1e-12 or root < 0:
                return
            f = (-b + math.sqrt(root)) / a
            if not 0.0 <= f <= 1.0:
                return
            self._last = (before.place[0] + f * dx, before.place[1] + f * dy)
            self.take(_between(before, after, f))


def _between(before: Instant, after: Instant, f: float) -> Instant:
    turn = (after.yaw_deg - before.yaw_deg + 180.0) % 360.0 - 180.0
    a, b = before.place, after.place
    place = a[0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1]), a[2] + f * (b[2] - a[2])
    return Instant(before.at_s + f * (after.at_s - before.at_s), place, before.yaw_deg + f * turn)
