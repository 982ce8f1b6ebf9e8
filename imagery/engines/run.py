"""One survey on its way through the solver: what its steps share, and the steps that every way takes.

Every finished step lies on disk and is not done twice.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Frame
from geo.progress import Progress
from imagery.control import Control
from imagery.engines import features, mapping, matching, pairs, placing, store
from imagery.engines.features import Recipe
from imagery.engines.inparts import Job
from imagery.engines.parts import Part
from imagery.engines.placing import Places
from imagery.engines.store import Roll
from imagery.errors import ReconstructionError
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.reconstruct import Block

_VERSION = 4  # of the engine's way of working: another version does not take up the work of this one
ENOUGH = 0.8
"""Share of the photos that must register before a method counts as having worked."""


@dataclass(slots=True, eq=False)
class Run:
    """Photos, where they go, and how they are worked on. `notes`, `cpu` (seconds by stage) and `unreadable` (reason by hash) grow."""

    photos: tuple[Photo, ...]
    frame: Frame
    workdir: InitVar[Path]
    reference: InitVar[Block | None]
    control: Control | None
    progress: Progress
    recipe: Recipe
    shelf: Path
    neighbours: int
    most: int
    workers: int
    folder: Path = field(init=False)
    places: Places = field(init=False)
    cpu: dict[str, float] = field(default_factory=dict)
    notes: list[Reason] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def __post_init__(self, workdir: Path, reference: Block | None) -> None:
        parts = [str(_VERSION), str(self.frame.epsg), repr(self.recipe), str(self.neighbours), str(self.most)]
        parts += sorted(p.sha256 for p in self.photos)
        if reference is not None:
            parts += [repr(v) for v in reference.views]
        if self.control is not None:
            parts.append(self.control.fingerprint)
        self.folder = workdir / f"run-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"
        self.places = placing.told(self.photos, self.frame)

    def clocked(self, what: str, work: Callable[[], None]) -> None:
        """Do work and count its CPU seconds."""
        start = time.process_time()
        work()
        self.cpu[what] = self.cpu.get(what, 0.0) + time.process_time() - start

    def features(self) -> None:
        """Keypoints of every photo; those that cannot be read are noted. Raises ReconstructionError when too few can."""

        def work() -> None:
            self.unreadable = features.extract(self.photos, self.shelf, self.recipe, workers=self.workers, progress=self.progress)

        self.clocked("features", work)
        if len(self.photos) - len(self.unreadable) < 3:
            raise ReconstructionError(
                "能读取的照片不足三张，请从存储卡重新拷贝。 "
                f"fewer than three photos can be read, copy them again: {'; '.join(self.unreadable.values())}"
            )

    def database(
        self,
        path: Path,
        roll: Roll,
        cameras: Mapping[str, Camera],
        camera_of: Mapping[str, str],
        shelves: Mapping[str, Path],
    ) -> None:
        """The solver's database, written once."""
        if not path.exists():
            self.clocked("matching", lambda: store.write_database(path, roll, cameras, camera_of, shelves))

    def match(
        self, database: Path, wanted: Sequence[tuple[str, str]], roll: Roll, shelves: Mapping[str, Path], mark: str = ""
    ) -> None:
        """Pairs compared, once for each `mark`."""
        matched = database.with_suffix(f".{mark}matched")
        if matched.exists():
            return

        def tell(done: int, total: int) -> None:
            self.progress(done, total, "matching")

        def work() -> None:
            matching.match_all(database, wanted, roll.images, shelves, workers=self.workers, progress=tell)

        self.clocked("matching", work)
        matched.touch()

    def match_on(
        self, database: Path, near: set[tuple[int, int]], shas: Sequence[str], roll: Roll, shelves: Mapping[str, Path]
    ) -> None:
        """Photos without places, compared on from the pairs that were found to show one place, twice."""
        known = set(near)
        for mark in ("again", "once-more"):
            seen = matching.agreeing(database, [(roll.images[shas[i]], roll.images[shas[j]]) for i, j in sorted(known)])
            more = pairs.around([pair for pair, agrees in zip(sorted(known), seen, strict=True) if agrees], len(shas)) - known
            if more:
                self.match(database, [(shas[i], shas[j]) for i, j in sorted(more)], roll, shelves, mark)
            known |= more

    def model(self, name: str, solve: Callable[[], pycolmap.Reconstruction]) -> pycolmap.Reconstruction:
        """The model of one step, from disk when the step has been finished before."""
        folder = self.folder / name
        if not folder.exists():
            temporary = self.folder / f"{name}.tmp"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            start = time.process_time()
            model = solve()
            self.cpu["mapping"] = self.cpu.get("mapping", 0.0) + time.process_time() - start
            store.write_model(temporary, model)
            temporary.rename(folder)
        return pycolmap.Reconstruction(folder)

    def job(
        self,
        database: Path,
        layout: Sequence[Part],
        shas: Sequence[str],
        wanted: Sequence[tuple[str, str]],
        roll: Roll,
        cameras: Mapping[str, Camera],
        camera_of: Mapping[str, str],
        shelves: Mapping[str, Path],
    ) -> Job:
        """What the parts of a large block share."""
        limit = self.limit_px(cameras)
        return Job(
            self.folder,
            database,
            layout,
            shas,
            wanted,
            roll,
            cameras,
            camera_of,
            shelves,
            self.model,
            self.progress,
            self.workers,
            limit,
        )

    def limit_px(self, cameras: Mapping[str, Camera]) -> float:
        """How far a point may show beside where the model has it."""
        return mapping.tolerance_px([store.to_solver(c, 0) for c in cameras.values()], self.recipe.long_side_px)

    def places_of(self, roll: Roll, ids: Sequence[int], offset: Sequence[float]) -> Places:
        """The photos' own places by image number, less an offset."""
        row = {roll.images[p.sha256]: k for k, p in enumerate(self.photos) if p.sha256 in roll.images}
        return placing.chosen(self.places, [row[i] for i in ids], np.array(offset))

    def offset(self) -> tuple[float, float, float]:
        """Whole metres that the solver's numbers are less than the frame's."""
        known = self.places.xy[np.isfinite(self.places.xy).all(axis=1)]
        if self.control is not None:  # surveyed points of the area itself: receivers may be silent, or wild
            known = np.array([[p.x_m, p.y_m] for p in self.control.points])
        middle = np.floor(np.median(known, axis=0)) if len(known) else np.zeros(2)
        return float(middle[0]), float(middle[1]), 0.0
