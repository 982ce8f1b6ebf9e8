"""A height is metres and what they are counted from; mixing the two raises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geo.errors import GeoError


class Datum(StrEnum):
    """What a height is counted from."""

    SEA_LEVEL = "sea_level"  # 1985 国家高程基准, EGM: as charts and flight information give it
    ELLIPSOID = "ellipsoid"  # WGS 84 / CGCS2000, as GNSS gives it
    TAKEOFF = "takeoff"  # the vehicle's home, as autopilots count
    GROUND = "ground"  # true height above the ground below, as the law counts (Art. 19)


@dataclass(frozen=True, slots=True, order=False)
class Height:
    """Metres above one datum."""

    metres: float
    datum: Datum

    def __sub__(self, other: Height) -> float:
        """Metres from `other` up to this one; raises GeoError when the datums differ."""
        self._same(other)
        return self.metres - other.metres

    def __lt__(self, other: Height) -> bool:
        self._same(other)
        return self.metres < other.metres

    def __le__(self, other: Height) -> bool:
        self._same(other)
        return self.metres <= other.metres

    def up(self, metres: float) -> Height:
        """The height `metres` above this one."""
        return Height(self.metres + metres, self.datum)

    def over(self, base: Height, datum: Datum) -> Height:
        """This height counted anew from `base`, a height of the same datum; the result speaks `datum`."""
        return Height(self - base, datum)

    def _same(self, other: Height) -> None:
        if self.datum != other.datum:
            raise GeoError(f"heights over {self.datum} and over {other.datum} cannot be compared: convert one first")
