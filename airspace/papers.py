"""Papers (证照): which class the law puts an aircraft in, and what aircraft, pilot and operator have to show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from airspace.errors import AirspaceError


class AircraftClass(StrEnum):
    """The five classes of Art. 62."""

    MICRO = "micro"
    LIGHT = "light"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


CLASS_WORDS: dict[AircraftClass, tuple[str, str]] = {
    AircraftClass.MICRO: ("微型", "micro"),
    AircraftClass.LIGHT: ("轻型", "light"),
    AircraftClass.SMALL: ("小型", "small"),
    AircraftClass.MEDIUM: ("中型", "medium"),
    AircraftClass.LARGE: ("大型", "large"),
}


class Purpose(StrEnum):
    """What a flight is for, as far as the law asks: surveying needs its own licence (Art. 35), emergencies have their own hours (Art. 29)."""

    PATROL = "patrol"
    SURVEYING = "surveying"  # 测绘活动
    EMERGENCY = "emergency"  # 反恐维稳、抢险救灾、医疗救护等紧急任务
    URGENT = "urgent"  # 特别紧急任务


@dataclass(frozen=True, slots=True)
class AircraftPapers:
    """An aircraft as its papers describe it: weights in kilograms, speed in km/h. An expiry of None has none.

    `link` (frequencies and bandwidth), `capability` (communication, navigation, surveillance) and `transponder` are what Art. 27 (8)–(10) asks for.
    `holds_airspace` says that it keeps to airspace and can be watched and taken over at any time, as Art. 62 asks of light and small ones.
    """

    empty_kg: float
    takeoff_kg: float
    registration: str = ""
    serial: str = ""
    model: str = ""
    max_speed_km_h: float = 0.0
    max_height_m: float = 120.0
    holds_airspace: bool = True
    registered_until: date | None = None
    insured_until: date | None = None
    insurance: str = ""
    airworthy_until: date | None = None
    lights: bool = False
    link: str = ""
    capability: str = ""
    transponder: str = ""

    def __post_init__(self) -> None:
        numbers = (self.empty_kg, self.takeoff_kg, self.max_speed_km_h, self.max_height_m)
        if not all(math.isfinite(n) for n in numbers) or not 0 < self.empty_kg <= self.takeoff_kg:
            raise AirspaceError(
                f"aircraft {self.registration or self.serial or '?'}: an empty weight of {self.empty_kg} kg and a take-off weight of "
                f"{self.takeoff_kg} kg cannot be: the first is above 0 and at most the second"
            )

    @property
    def classified(self) -> AircraftClass:
        """Its class by Art. 62: the first whose limits hold it."""
        return next(kind for kind, fits in _CLASSES if fits(self))


# Art. 62 (3)–(7). The radio of a micro (微功率短距离) cannot be read off its papers here and is left to its registration.
_CLASSES = (
    (AircraftClass.MICRO, lambda a: a.empty_kg < 0.25 and a.max_height_m <= 50 and a.max_speed_km_h <= 40),
    (
        AircraftClass.LIGHT,
        lambda a: a.empty_kg <= 4 and a.takeoff_kg <= 7 and a.max_speed_km_h <= 100 and a.holds_airspace,
    ),
    (AircraftClass.SMALL, lambda a: a.empty_kg <= 15 and a.takeoff_kg <= 25 and a.holds_airspace),
    (AircraftClass.MEDIUM, lambda a: a.takeoff_kg <= 150),
    (AircraftClass.LARGE, lambda _: True),
)


@dataclass(frozen=True, slots=True)
class Pilot:
    """A person at the controls. `trained` is the course that Art. 17 asks of whoever flies a light aircraft in controlled air."""

    id: str
    name: str
    licence: str = ""
    licensed_until: date | None = None
    trained: bool = False
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who organises flights. `organisation` is false for a private person, `commercial` true where flying is the business."""

    id: str
    name: str
    organisation: bool = True
    commercial: bool = False
    certificate: str = ""
    certified_until: date | None = None
    survey_licence: str = ""
    survey_until: date | None = None
    contact: str = ""
    phone: str = ""
