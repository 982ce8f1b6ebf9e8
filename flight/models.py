"""Models of aircraft with their cameras (机型库): what a picture measures, how soon the next one can be taken, and DJI's numbers for them.

The table is data (`data/models.csv`): makers' figures; a focal length is the 35 mm equivalent by the diagonal. What it does not hold is
given by hand when an aircraft is put into the fleet.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from flight.errors import PlanningError
from geo.camera import Camera


@dataclass(frozen=True, slots=True)
class DjiCode:
    """The numbers by which DJI's files name an aircraft and the camera under it; they must belong together."""

    drone: int
    drone_sub: int
    payload: int
    payload_sub: int


@dataclass(frozen=True, slots=True)
class Model:
    """One model; `dji` None where it flies no WPML mission."""

    id: str
    name: str
    camera: Camera
    photo_interval_s: float
    dji: DjiCode | None


@cache
def models() -> Mapping[str, Model]:
    """All models of the table, by their ids."""
    text = resources.files("flight").joinpath("data/models.csv").read_text(encoding="utf-8")
    return {row["id"]: _model(row) for row in csv.DictReader(text.splitlines())}


def model(id: str) -> Model:
    """One model; raises PlanningError that names those there are."""
    try:
        return models()[id]
    except KeyError:
        raise PlanningError(f"there is no model {id!r}: take one of {', '.join(models())}, or give the camera by hand") from None


def _model(row: Mapping[str, str]) -> Model:
    code = None
    if row["drone"]:
        code = DjiCode(*(int(row[name]) for name in ("drone", "drone_sub", "payload", "payload_sub")))
    camera = Camera.of_fov(int(row["width_px"]), int(row["height_px"]), float(row["focal_35mm"]))
    return Model(row["id"], row["name"], camera, float(row["photo_interval_s"]), code)
