"""Simulated towns, photographed twice and mapped by the product: what was built between the flights, with look-alikes, exactly known.

The surveys are those of the imagery benchmark's `town` set (`--keep` takes them up: put them in `FOLDER/towns`). Seed 7 may be tuned on;
seed 23 is for judging only.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.change import judged
from benchmarks.change.photos import source
from benchmarks.imagery import made
from benchmarks.imagery.town import CAMERA, CENTRE, DEPTH_M, FLIGHTS, SEEDS, WIDTH_M, shots
from benchmarks.report import Row
from change_detect.align import align
from change_detect.evaluate import Truth
from change_detect.raster import Source
from geo.area import Area, AreaId
from patrol import terminal
from simulator.lens import write_photos
from simulator.town import make_town


def rows(folder: Path) -> list[Row]:
    """The figures of every town."""
    return [row for seed in SEEDS for row in _town(seed, folder / str(seed))]


def _town(seed: int, folder: Path) -> list[Row]:
    before, after, truth = sources(seed, folder)
    return judged.rows(f"simulated town {seed}, from photos", align(before, after), truth, same_frame=False)


def sources(seed: int, folder: Path) -> tuple[Source, Source, list[Truth]]:
    """Both surveys of a town on one grid, and what was built between them."""
    town = make_town(seed, centre=CENTRE, width_m=WIDTH_M, depth_m=DEPTH_M, margin_m=70.0)
    area = Area(AreaId(f"town-{seed}"), f"town {seed}", town.outline, gsd_m=0.05, epsg=town.frame.epsg)
    surveys = []
    for flight in FLIGHTS:
        photos = folder / f"photos_{flight.name}"
        with terminal.bar() as progress:
            taken, noise = shots(town, flight), seed * 100 + flight.day
            write_photos(town.scene(flight.day), CAMERA, taken, photos, home=town.home, seed=noise, workers=2, progress=progress)
        reference = surveys[0] if surveys else None
        surveys.append(made.survey(photos, folder / flight.name, flight.at.date(), area=area, reference=reference))
    first, later = FLIGHTS
    truth = [Truth(t.id, town.frame.to_metres(t.outline), t.height_m, t.is_structure) for t in town.truth(first.day, later.day)]
    old, new = (source(s) for s in surveys)
    return old, new.on(old.grid), truth
