"""How a multicopter moves: a reference point runs along lines and arcs within its limits, the body follows it.

The figures are fitted to a real ArduCopter 4.6 with default parameters: six lines of 400 m, 40 m apart, took 527.8 s at 5 m/s,
348.4 s at 8 and 293.4 s at 10; that is an effective acceleration of 2.0 m/s2 (2.5 less what the limit on jerk costs) and
2.0 m/s through a right angle. Metres east, north and up; seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Vec = tuple[float, float, float]

ACCEL_M_S2 = 2.0
ACCEL_UP_M_S2 = 1.0
BODY_ACCEL_M_S2 = 5.0
_JUNCTION_M2_S2 = (
    1.657  # acceleration times allowed deviation: 2.0 m/s through 90 degrees (junction deviation, as milling machines do)
)
_KP, _KV = 1.0, 2.0  # critically damped follower: about 0.7 m of overshoot after a right angle


def minus(a: Vec, b: Vec) -> Vec:
    """a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def length(a: Vec) -> float:
    """Metres from end to end."""
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


@dataclass(frozen=True, slots=True)
class Line:
    """Straight from one place to another."""

    start: Vec
    end: Vec

    @property
    def length_m(self) -> float:
        """How long it is."""
        return length(minus(self.end, self.start))

    def tangent(self, _s: float) -> Vec:
        """Unit direction; straight up for a line without length."""
        d = minus(self.end, self.start)
        n = length(d)
        return (d[0] / n, d[1] / n, d[2] / n) if n > 1e-9 else (0.0, 0.0, 1.0)

    def point(self, s: float) -> Vec:
        """The place `s` metres along."""
        t = self.tangent(s)
        return self.start[0] + t[0] * s, self.start[1] + t[1] * s, self.start[2] + t[2] * s

    def bend(self, _s: float, _speed: float) -> Vec:
        """Acceleration that keeps a point on the path: none."""
        return 0.0, 0.0, 0.0


@dataclass(frozen=True, slots=True)
class Arc:
    """A level turn about a centre; angles clockwise from north, a negative sweep turns left."""

    centre: Vec
    radius_m: float
    start_rad: float
    sweep_rad: float

    @property
    def length_m(self) -> float:
        """How long it is."""
        return abs(self.sweep_rad) * self.radius_m

    def _angle(self, s: float) -> float:
        return self.start_rad + math.copysign(s / self.radius_m, self.sweep_rad)

    def tangent(self, s: float) -> Vec:
        """Unit direction."""
        a, sign = self._angle(s), math.copysign(1.0, self.sweep_rad)
        return sign * math.cos(a), -sign * math.sin(a), 0.0

    def point(self, s: float) -> Vec:
        """The place `s` metres along."""
        a = self._angle(s)
        return self.centre[0] + self.radius_m * math.sin(a), self.centre[1] + self.radius_m * math.cos(a), self.centre[2]

    def bend(self, s: float, speed: float) -> Vec:
        """Acceleration towards the centre."""
        a, c = self._angle(s), speed * speed / self.radius_m
        return -c * math.sin(a), -c * math.cos(a), 0.0


Segment = Line | Arc


@dataclass(frozen=True, slots=True)
class Limits:
    """Speeds a vehicle keeps, metres per second."""

    cruise_m_s: float
    up_m_s: float
    down_m_s: float


def leg_limits(segment: Segment, limits: Limits) -> tuple[float, float]:
    """(speed, acceleration) along a segment, so that neither the level nor the upright part exceeds its limit."""
    if isinstance(segment, Arc):
        return min(limits.cruise_m_s, math.sqrt(ACCEL_M_S2 * segment.radius_m)), ACCEL_M_S2
    t = segment.tangent(0.0)
    level, rise = math.hypot(t[0], t[1]), abs(t[2])
    speed, accel = math.inf, math.inf
    if level > 1e-6:
        speed, accel = limits.cruise_m_s / level, ACCEL_M_S2 / level
    if rise > 1e-6:
        speed = min(speed, (limits.up_m_s if t[2] > 0 else limits.down_m_s) / rise)
        accel = min(accel, ACCEL_UP_M_S2 / rise)
    return speed, accel


def corner_speed(before: Vec, after: Vec) -> float:
    """Speed through the corner between two unit directions: none on a reversal, without limit straight on."""
    cosine = max(-1.0, min(1.0, before[0] * after[0] + before[1] * after[1] + before[2] * after[2]))
    half = math.sqrt(max(0.0, (1.0 + cosine) / 2.0))  # sine of half the inner angle
    return math.inf if half > 1.0 - 1e-9 else math.sqrt(_JUNCTION_M2_S2 * half / (1.0 - half))


def exit_speed(segments: list[Segment], limits: Limits) -> float:
    """Speed at the end of the first segment that lets the vehicle keep every later corner and stop at the last point."""
    speed = 0.0
    for before, after in zip(reversed(segments[:-1]), reversed(segments[1:]), strict=True):
        top, accel = leg_limits(after, limits)
        speed = math.sqrt(speed * speed + 2.0 * accel * after.length_m)
        speed = min(speed, top, leg_limits(before, limits)[0])
        speed = min(speed, corner_speed(before.tangent(before.length_m), after.tangent(0.0)))
    return speed


class Body:
    """The reference point and the body that follows it: positions and velocities in metres east, north, up."""

    __slots__ = ("_accel", "_exit", "_ref", "_ref_v", "_segment", "_top", "along_m", "held", "p", "ref_speed", "total_m", "v")

    def __init__(self, place: Vec = (0.0, 0.0, 0.0)) -> None:
        self.p: Vec = place
        self.v: Vec = (0.0, 0.0, 0.0)
        self.held = False  # brake along the path and stay
        self.put(place)

    def put(self, place: Vec) -> None:
        """Stand still at a place."""
        self.p, self.v, self.ref_speed = place, (0.0, 0.0, 0.0), 0.0
        self._ref, self._ref_v = place, self.v
        self.follow(Line(place, place), Limits(1.0, 1.0, 1.0), 0.0)

    @property
    def reference(self) -> Vec:
        """Where the next segment starts."""
        return self._ref

    @property
    def done(self) -> bool:
        """Whether the reference has come to the segment's end."""
        return self.along_m >= self.total_m

    @property
    def heading(self) -> float | None:
        """Degrees from north along the path; None on an upright one."""
        t = self._segment.tangent(self.along_m)
        return math.degrees(math.atan2(t[0], t[1])) if math.hypot(t[0], t[1]) > 1e-3 else None

    def follow(self, segment: Segment, limits: Limits, exit_m_s: float) -> None:
        """Take a new segment; the speed along it carries over as far as the new direction allows."""
        t = segment.tangent(0.0)
        carried = self._ref_v[0] * t[0] + self._ref_v[1] * t[1] + self._ref_v[2] * t[2]
        speed = length(self._ref_v)
        if speed > 1e-6:  # a planned corner was slowed down for and keeps its speed
            keep = corner_speed((self._ref_v[0] / speed, self._ref_v[1] / speed, self._ref_v[2] / speed), t)
            carried = max(carried, min(speed, keep))
        self._segment, self.along_m, self.total_m = segment, 0.0, segment.length_m
        self._top, self._accel = leg_limits(segment, limits)
        if not math.isfinite(self._accel):
            self._top, self._accel = 0.0, ACCEL_M_S2
        self._exit, self.ref_speed = exit_m_s, max(0.0, carried)

    def break_off(self) -> None:
        """Forget the path; the next segment starts from where the body is and as it moves."""
        self._ref, self._ref_v = self.p, self.v

    def stopping_point(self) -> Vec:
        """Where the body comes to rest when it brakes now."""
        speed = length(self.v)
        reach = speed / (2.0 * ACCEL_M_S2)
        return self.p[0] + self.v[0] * reach, self.p[1] + self.v[1] * reach, self.p[2] + self.v[2] * reach

    def run(self, dt: float) -> float:
        """Move the reference for `dt` seconds; returns the seconds left over when the segment ended before."""
        left = max(0.0, self.total_m - self.along_m)
        allowed = 0.0 if self.held else math.sqrt(self._exit * self._exit + 2.0 * self._accel * left)
        goal = min(self._top, allowed)
        before = self.ref_speed
        drop = self._accel * dt * (1.0 if self.held or goal >= self._top else 4.0)  # braking follows its curve
        self.ref_speed = min(before + self._accel * dt, goal) if goal >= before else max(goal, before - drop)
        self.along_m += self.ref_speed * dt
        over = 0.0
        if self.along_m >= self.total_m - 1e-6:
            over = (self.along_m - self.total_m) / self.ref_speed if self.ref_speed > 1e-6 else dt
            self.along_m = self.total_m
        t = self._segment.tangent(self.along_m)
        self._ref = self._segment.point(self.along_m)
        self._ref_v = t[0] * self.ref_speed, t[1] * self.ref_speed, t[2] * self.ref_speed
        return min(max(over, 0.0), dt)

    def rest(self) -> None:
        """Let the reference stand where it is."""
        self.ref_speed, self._ref_v = 0.0, (0.0, 0.0, 0.0)

    def chase(self, dt: float, speed_before: float) -> Vec:
        """Move the body towards the reference for `dt` seconds; returns the acceleration it took."""
        bend = self._segment.bend(self.along_m, self.ref_speed)
        t = self._segment.tangent(self.along_m)
        push = max(-ACCEL_M_S2, min(ACCEL_M_S2, (self.ref_speed - speed_before) / dt))
        a = [
            _KP * (self._ref[i] - self.p[i] - self.v[i] * dt) + _KV * (self._ref_v[i] - self.v[i]) + bend[i] + t[i] * push
            for i in range(3)
        ]
        size = math.hypot(a[0], a[1])
        if size > BODY_ACCEL_M_S2:
            a[0], a[1] = a[0] * BODY_ACCEL_M_S2 / size, a[1] * BODY_ACCEL_M_S2 / size
        a[2] = max(-BODY_ACCEL_M_S2, min(BODY_ACCEL_M_S2, a[2]))
        self.v = self.v[0] + a[0] * dt, self.v[1] + a[1] * dt, self.v[2] + a[2] * dt
        self.p = self.p[0] + self.v[0] * dt, self.p[1] + self.v[1] * dt, self.p[2] + self.v[2] * dt
        return a[0], a[1], a[2]
