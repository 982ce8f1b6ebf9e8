"""The parameters that this autopilot answers for, with ArduCopter's names, units and defaults."""

from __future__ import annotations

from collections.abc import Iterator

DEFAULTS: dict[str, float] = {
    "AUTO_OPTIONS": 0,
    "BATT_CAPACITY": 5935,  # mAh
    "BATT_CRT_MAH": 0,
    "BATT_FS_CRT_ACT": 1,  # land
    "BATT_FS_LOW_ACT": 2,  # return
    "BATT_LOW_MAH": 0,
    "DISARM_DELAY": 10,  # s
    "FENCE_ACTION": 1,  # return, or land
    "FENCE_ALT_MAX": 120,  # m over home; ArduCopter says 100, the law of unmanned flight here 120
    "FENCE_ENABLE": 0,
    "FENCE_MARGIN": 2,  # m
    "FENCE_OPTIONS": 0,
    "FENCE_RADIUS": 300,  # m
    "FENCE_TOTAL": 0,
    "FENCE_TYPE": 7,
    "FS_GCS_ENABLE": 0,
    "FS_GCS_TIMEOUT": 5,  # s
    "LAND_ALT_LOW": 1000,  # cm
    "LAND_SPEED": 50,  # cm/s
    "MIS_RESTART": 0,
    "MIS_TOTAL": 0,
    "OA_TYPE": 0,
    "RALLY_INCL_HOME": 1,
    "RALLY_LIMIT_KM": 0.3,
    "RALLY_TOTAL": 0,
    "RTL_ALT": 1500,  # cm
    "RTL_ALT_FINAL": 0,
    "RTL_LOIT_TIME": 5000,  # ms
    "RTL_SPEED": 0,  # cm/s, 0 means WPNAV_SPEED
    "SYSID_THISMAV": 1,
    "WPNAV_ACCEL": 250,  # cm/s2
    "WPNAV_RADIUS": 200,  # cm
    "WPNAV_SPEED": 1000,  # cm/s
    "WPNAV_SPEED_DN": 150,
    "WPNAV_SPEED_UP": 250,
    "WP_YAW_BEHAVIOR": 1,  # face the next waypoint
}
_COUNTED = frozenset({"MIS_TOTAL", "FENCE_TOTAL", "RALLY_TOTAL"})


class Parameters:
    """Named numbers in a fixed order; the totals of the lists can be read but not set."""

    def __init__(self, changed: dict[str, float]) -> None:
        self._values = DEFAULTS | changed
        self.names = tuple(sorted(self._values))

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def count(self, name: str, value: int) -> None:
        """Note how long a list has become."""
        self._values[name] = float(value)

    def write(self, name: str, value: float) -> bool:
        """Set a value from outside; False when there is no such name or it may only be read."""
        if name not in self._values or name in _COUNTED:
            return False
        self._values[name] = float(value)
        return True
