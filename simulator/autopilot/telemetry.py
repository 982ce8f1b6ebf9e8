"""What the autopilot says: one method for each MAVLink message, from the vehicle's present state."""

from __future__ import annotations

import math
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mav

from simulator.missions import Kind
from simulator.motion import Vec
from simulator.shutter import Photo
from simulator.vehicle import Mode, Vehicle

VERSION = (4, 6, 2)


class Telemetry:
    """Messages of one vehicle; `epoch_us` is the calendar time (microseconds, UTC) of its switching on."""

    def __init__(self, vehicle: Vehicle, sysid: int, epoch_us: int) -> None:
        self._vehicle, self.sysid, self._epoch_us = vehicle, sysid, epoch_us

    def named(self, name: str) -> Any:
        """The message of this MAVLink name; None when the autopilot has no such message."""
        maker = getattr(self, name.lower(), None) if name in MESSAGES else None
        return maker() if maker else None

    def _boot_ms(self, at_s: float | None = None) -> int:
        return int((self._vehicle.t if at_s is None else at_s) * 1000) & 0xFFFFFFFF

    def _where(self, place: Vec) -> tuple[int, int]:
        lon, lat = self._vehicle.origin.degrees(place)
        return round(lat * 1e7), round(lon * 1e7)

    def heartbeat(self) -> Any:
        """Mode, armed, alive."""
        v = self._vehicle
        base = mav.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | (mav.MAV_MODE_FLAG_SAFETY_ARMED if v.armed else 0)
        base |= mav.MAV_MODE_FLAG_GUIDED_ENABLED | mav.MAV_MODE_FLAG_STABILIZE_ENABLED
        state = mav.MAV_STATE_ACTIVE if v.armed and not v.landed else mav.MAV_STATE_STANDBY
        return mav.MAVLink_heartbeat_message(mav.MAV_TYPE_QUADROTOR, mav.MAV_AUTOPILOT_ARDUPILOTMEGA, base, int(v.mode), state, 3)

    def global_position_int(self) -> Any:
        """Place, heights, speed, heading."""
        v = self._vehicle
        lat, lon = self._where(v.body.p)
        up, vel = v.body.p[2], v.body.v
        speeds = round(vel[1] * 100), round(vel[0] * 100), round(-vel[2] * 100)
        altitude = round((v.origin.altitude_m + up) * 1000)
        heading = round(v.yaw_deg * 100) % 36000
        return mav.MAVLink_global_position_int_message(
            self._boot_ms(), lat, lon, altitude, round((up - v.home[2]) * 1000), *speeds, heading
        )

    def gps_raw_int(self) -> Any:
        """What the receiver says."""
        v = self._vehicle
        lat, lon = self._where(v.body.p)
        fix, seen = (3, 16) if v.t >= v.boot_s else (1, 4)
        speed = round(math.hypot(*v.body.v[:2]) * 100)
        course = round(math.degrees(math.atan2(v.body.v[0], v.body.v[1])) % 360 * 100) % 36000
        altitude = round((v.origin.altitude_m + v.body.p[2]) * 1000)
        return mav.MAVLink_gps_raw_int_message(self._now_us(), fix, lat, lon, altitude, 80, 90, speed, course, seen)

    def attitude(self) -> Any:
        """The airframe's angles."""
        v = self._vehicle
        yaw = (v.yaw_deg + 180.0) % 360.0 - 180.0
        return mav.MAVLink_attitude_message(
            self._boot_ms(), math.radians(v.roll_deg), math.radians(v.pitch_deg), math.radians(yaw), 0.0, 0.0, 0.0
        )

    def vfr_hud(self) -> Any:
        """Speeds for a display."""
        v = self._vehicle
        speed = math.hypot(*v.body.v[:2])
        altitude = v.origin.altitude_m + v.body.p[2]
        return mav.MAVLink_vfr_hud_message(speed, speed, round(v.yaw_deg) % 360, 40 if v.armed else 0, altitude, v.body.v[2])

    def _volts(self) -> float:
        return 19.8 + 5.4 * self._vehicle.battery  # six cells, 3.3 to 4.2 V

    def _amperes(self) -> float:
        v = self._vehicle
        flying = v.parameters["BATT_CAPACITY"] * 3.6 / v.endurance_s
        return flying * (0.0 if not v.armed else 0.05 if v.landed else 1.0)

    def sys_status(self) -> Any:
        """Sensors and battery."""
        v = self._vehicle
        sensors = mav.MAV_SYS_STATUS_SENSOR_GPS | mav.MAV_SYS_STATUS_SENSOR_3D_GYRO | mav.MAV_SYS_STATUS_AHRS
        health = sensors | (mav.MAV_SYS_STATUS_PREARM_CHECK if v.not_ready() is None or v.armed else 0)
        present = sensors | mav.MAV_SYS_STATUS_PREARM_CHECK
        remaining = max(0, math.floor(v.battery * 100 + 1e-9))
        return mav.MAVLink_sys_status_message(
            present,
            present,
            health,
            100,
            round(self._volts() * 1000),
            min(32767, round(self._amperes() * 100)),
            remaining,
            0,
            0,
            0,
            0,
            0,
            0,
        )

    def battery_status(self) -> Any:
        """The battery in full."""
        v = self._vehicle
        used = round((1 - v.battery) * v.parameters["BATT_CAPACITY"])
        cells = [round(self._volts() * 1000), *[65535] * 9]
        return mav.MAVLink_battery_status_message(
            0, 0, 3, 32767, cells, min(32767, round(self._amperes() * 100)), used, -1, max(0, math.floor(v.battery * 100 + 1e-9))
        )

    def mission_current(self) -> Any:
        """The item being flown and the mission's state."""
        v = self._vehicle
        total = max(0, len(v.store.lists[Kind.MISSION]) - 1)
        state = 1 if not total else 5 if v.complete else 2 if v.mode is not Mode.AUTO or v.landed else 4 if v.body.held else 3
        return mav.MAVLink_mission_current_message(v.current, total, state, 1 if v.mode is Mode.AUTO else 2)

    def _now_us(self, at_s: float | None = None) -> int:
        return self._epoch_us + int((self._vehicle.t if at_s is None else at_s) * 1e6)

    def system_time(self) -> Any:
        """Calendar time and time since switching on."""
        return mav.MAVLink_system_time_message(self._now_us(), self._boot_ms())

    def ekf_status_report(self) -> Any:
        """Whether the estimator has a place."""
        ready = self._vehicle.t >= self._vehicle.boot_s
        flags = 831 if ready else 167  # attitude, velocity, position; without GPS no absolute place
        return mav.MAVLink_ekf_status_report_message(flags, 0.05, 0.05, 0.05, 0.05, 0.05)

    def extended_sys_state(self) -> Any:
        """On the ground or in the air."""
        v = self._vehicle
        state = 1 if v.landed else 3 if v.body.p[2] < 1.0 and v.body.v[2] > 0 else 4 if v.mode is Mode.LAND else 2
        return mav.MAVLink_extended_sys_state_message(0, state)

    def mount_status(self) -> Any:
        """Where the gimbal looks."""
        v = self._vehicle
        return mav.MAVLink_mount_status_message(0, 0, round(v.pointing[0] * 100), 0, 0, 0)

    def home_position(self) -> Any:
        """Where it returns to."""
        v = self._vehicle
        lat, lon = self._where(v.home)
        altitude = round((v.origin.altitude_m + v.home[2]) * 1000)
        return mav.MAVLink_home_position_message(
            lat, lon, altitude, 0.0, 0.0, 0.0, [1.0, 0.0, 0.0, 0.0], 0.0, 0.0, 0.0, self._now_us()
        )

    def autopilot_version(self) -> Any:
        """What it can do."""
        able = (
            mav.MAV_PROTOCOL_CAPABILITY_MISSION_FLOAT
            | mav.MAV_PROTOCOL_CAPABILITY_PARAM_FLOAT
            | mav.MAV_PROTOCOL_CAPABILITY_MISSION_INT
            | mav.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
            | mav.MAV_PROTOCOL_CAPABILITY_MISSION_FENCE
            | mav.MAV_PROTOCOL_CAPABILITY_MISSION_RALLY
            | mav.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_GLOBAL_INT
            | mav.MAV_PROTOCOL_CAPABILITY_MAVLINK2
        )
        version = VERSION[0] << 24 | VERSION[1] << 16 | VERSION[2] << 8 | 255
        empty = [0] * 8
        return mav.MAVLink_autopilot_version_message(able, version, 0, 0, 0, empty, empty, empty, 0, 0, self.sysid)

    def camera_feedback(self, photo: Photo) -> Any:
        """One photo: its exact place and the camera's angles."""
        v = self._vehicle
        lat, lon = self._where(photo.place)
        up = photo.place[2]
        yaw = (photo.yaw_deg + 180.0) % 360.0 - 180.0
        heights = v.origin.altitude_m + up, up - v.home[2]
        angles = photo.roll_deg, photo.pitch_deg, yaw
        return mav.MAVLink_camera_feedback_message(
            self._now_us(photo.at_s),
            self.sysid,
            0,
            photo.index & 0xFFFF,
            lat,
            lon,
            *heights,
            *angles,
            0.0,
            0,
            photo.index & 0xFFFF,
        )

    def camera_image_captured(self, photo: Photo) -> Any:
        """One photo again, for whoever missed it."""
        v = self._vehicle
        lat, lon = self._where(photo.place)
        up = photo.place[2]
        return mav.MAVLink_camera_image_captured_message(
            self._boot_ms(photo.at_s),
            self._now_us(photo.at_s),
            0,
            lat,
            lon,
            round((v.origin.altitude_m + up) * 1000),
            round((up - v.home[2]) * 1000),
            _quaternion(photo.roll_deg, photo.pitch_deg, photo.yaw_deg),
            photo.index,
            1,
            b"",
        )

    def camera_capture_status(self) -> Any:
        """How many photos there are."""
        return mav.MAVLink_camera_capture_status_message(self._boot_ms(), 0, 0, 0.0, 0, 0.0, len(self._vehicle.shutter.photos))


MESSAGES = frozenset(
    {
        "ATTITUDE",
        "AUTOPILOT_VERSION",
        "BATTERY_STATUS",
        "CAMERA_CAPTURE_STATUS",
        "EKF_STATUS_REPORT",
        "EXTENDED_SYS_STATE",
        "GLOBAL_POSITION_INT",
        "GPS_RAW_INT",
        "HEARTBEAT",
        "HOME_POSITION",
        "MISSION_CURRENT",
        "MOUNT_STATUS",
        "SYSTEM_TIME",
        "SYS_STATUS",
        "VFR_HUD",
    }
)


def _quaternion(roll_deg: float, pitch_deg: float, yaw_deg: float) -> list[float]:
    (cr, sr), (cp, sp), (cy, sy) = (
        (math.cos(a), math.sin(a)) for a in (math.radians(d) / 2 for d in (roll_deg, pitch_deg, yaw_deg))
    )
    return [
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    ]
