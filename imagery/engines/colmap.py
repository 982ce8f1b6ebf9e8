"""The embedded engine: structure from motion on this machine.

A first survey is solved as a whole and laid onto the photos' GPS. Every later survey is registered into the frozen block of the
reference, so that its poses come out in the reference's own frame: separately built blocks differ by a metre, registered ones by
two centimetres. Where that fails, both are solved jointly; where that fails too, the survey stands on its own GPS. Each fallback is
written into the block's stats.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Floats, Frame, Pose
from geo.progress import Progress, silent
from imagery.bend import Bend
from imagery.control import Control, ControlReport
from imagery.engines import (
    bending,
    features,
    grounding,
    inparts,
    judging,
    large,
    mapping,
    matching,
    pairs,
    parts,
    placing,
    settling,
    store,
)
from imagery.engines.features import Recipe
from imagery.engines.grounding import Laid
from imagery.engines.inparts import Job
from imagery.engines.large import Joined
from imagery.engines.parts import Part
from imagery.engines.placing import Places
from imagery.engines.store import Roll
from imagery.errors import ReconstructionError
from imagery.lenses import FocalSource
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.reconstruct import Block, Method, View

_VERSION = 4  # of the engine's way of working: another version does not take up the work of this one
MOST = 300
"""Photos that are solved at once."""

_ENOUGH = 0.8  # share of photos that must register before a method counts as having worked
_WILD_M = 40.0  # no receiver that works is this far off
_LOST_LIMIT = 40  # photos of the other side that a photo without position is compared with


@dataclass(slots=True)
class ColmapReconstructor:
    """Adapter of `Reconstructor`. `shelf` holds keypoints by photo hash for all surveys; by default it lies in the workdir.

    Blocks of more than `most` photos are solved in parts of about that many (see `parts`, `large`), so that memory is bounded.
    """

    workers: int = 2
    recipe: Recipe = field(default_factory=Recipe)
    neighbours: int = 8
    shelf: Path | None = None
    most: int = MOST

    def reconstruct(
        self,
        photos: Sequence[Photo],
        frame: Frame,
        workdir: Path,
        *,
        reference: Block | None = None,
        control: Control | None = None,
        progress: Progress = silent,
    ) -> Block:
        """See `Reconstructor`. The block's folder lies in `workdir`; `Block.save` copies it to where it shall stay."""
        mapping.quiet()
        unique = tuple({p.sha256: p for p in photos}.values())
        if len(unique) < 3:
            raise ReconstructionError(
                f"{len(unique)} 张照片不能成图，至少需要三张相互重叠的照片。 "
                f"{len(unique)} photos make no block: a survey needs at least three that overlap"
            )
        run = _Run(self, unique, frame, workdir, reference, control, progress)
        done = run.folder / "block"
        if (done / "block.json").exists():
            return Block.load(done, unique)
        run.folder.mkdir(parents=True, exist_ok=True)
        with store.told(run.folder):
            return run.first(Method.GLOBAL) if reference is None else run.later(reference)

    def prepare(
        self, photos: Sequence[Photo], workdir: Path, *, reference: Block | None = None, progress: Progress = silent
    ) -> None:
        """See `Reconstructor`: keypoints of single photos."""
        recipe = self.recipe_into(reference)
        features.extract(photos, self.shelf_in(workdir, recipe), recipe, workers=self.workers, progress=progress)

    def recipe_into(self, reference: Block | None) -> Recipe:
        """How keypoints are sought: as the reference's were, where it has any."""
        if reference is not None and (reference.folder / "engine" / "roll.json").exists():
            return Roll.read(reference.folder / "engine").recipe
        return self.recipe

    def shelf_in(self, workdir: Path, recipe: Recipe) -> Path:
        """Where keypoints of a recipe lie."""
        return (self.shelf or workdir / "features") / recipe.shelf


class _Run:
    """One survey on its way through the steps; every finished step lies on disk and is not done twice."""

    def __init__(
        self,
        engine: ColmapReconstructor,
        photos: tuple[Photo, ...],
        frame: Frame,
        workdir: Path,
        reference: Block | None,
        control: Control | None,
        progress: Progress,
    ) -> None:
        self.engine, self.photos, self.frame, self.progress = engine, photos, frame, progress
        self.control = control
        self.recipe = engine.recipe_into(reference)
        parts = [str(_VERSION), str(frame.epsg), repr(self.recipe), str(engine.neighbours), str(engine.most)]
        parts += sorted(p.sha256 for p in photos)
        if reference is not None:
            parts += [repr(v) for v in reference.views]
        if control is not None:
            parts.append(control.fingerprint)
        self.folder = workdir / f"run-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"
        self.shelf = engine.shelf_in(workdir, self.recipe)
        self.places = placing.told(photos, frame)
        self.cpu: dict[str, float] = {}
        self.notes: list[Reason] = []
        self.unreadable: dict[str, str] = {}

    # -- steps ---------------------------------------------------------------------------------------------------------------

    def first(self, method: Method, *, fell_back: bool = False) -> Block:
        """All photos with each other, laid onto their own positions."""
        self._features()
        readable = [p for p in self.photos if p.sha256 not in self.unreadable]
        roll = Roll(self.recipe).with_photos(readable)
        cameras = {store.camera_name(p): p.camera for p in readable}
        database = self.folder / "first.db"
        shelves = {p.sha256: self.shelf for p in readable}
        camera_of = {p.sha256: store.camera_name(p) for p in readable}
        self._database(database, roll, cameras, camera_of, shelves)
        xy = np.array([self.places.xy[i] for i, p in enumerate(self.photos) if p.sha256 not in self.unreadable])
        somewhere = bool(np.isfinite(xy).all(axis=1).any())
        near = pairs.within(xy, self.engine.neighbours) if somewhere else pairs.unplaced(len(readable))
        near |= pairs.following(len(readable), 2)
        shas = [p.sha256 for p in readable]
        wanted = pairs.in_turn([(shas[i], shas[j]) for i, j in sorted(near)], dict(zip(shas, xy, strict=True)))
        self._match(database, wanted, roll, shelves)
        if not somewhere:
            self._match_on(database, near, shas, roll, shelves)
        guess = any(p.focal_source is FocalSource.GUESS for p in readable)
        free = {roll.cameras[store.camera_name(p)] for p in readable if p.focal_source is not FocalSource.CALIBRATED}

        if guess:
            self.notes.append(
                Reason(
                    "focal_guessed",
                    "焦距由照片自行推算，高程可能有两成误差。",
                    "The focal length is a guess solved from the photos themselves: heights are uncertain by a fifth.",
                )
            )
        layout = parts.split(xy, near, self.engine.most)
        if len(layout) > 1:
            job = self._job(database, layout, shas, wanted, roll, cameras, camera_of, shelves)

            def solve_part(path: Path, count: int) -> pycolmap.Reconstruction:
                return self._placed(path, self._solved(path, count, guess), roll, free, guess)

            def places_of(ids: Sequence[int]) -> Places:
                return self._places(roll, ids, self._offset())

            start, before = time.process_time(), self.cpu.get("mapping", 0.0)
            found, notes = inparts.first(job, solve_part, places_of, free_lenses=free, free_focals=guess)
            self.cpu["mapping"] = before + time.process_time() - start  # the parts, and what joins them
            self.notes += notes
            found = self._onto_control(found, job)
            return self._finish_joined(job, found, self._offset(), method, fell_back=fell_back)

        def solve() -> pycolmap.Reconstruction:
            self.progress(0, 2, "mapping")
            model = self._solved(database, len(readable), guess)
            self.progress(1, 2, "mapping")
            return self._placed(database, model, roll, free, guess, self.control)

        model = self._model("first", solve)
        self.progress(2, 2, "mapping")
        return self._finish(model, roll, cameras, self._offset(), method, fell_back=fell_back)

    def later(self, reference: Block) -> Block:
        """Into the frozen reference; else jointly with it; else alone."""
        if not (reference.folder / "engine" / "roll.json").exists():
            self.notes.append(
                Reason(
                    "reference_bare",
                    "参考期影像块没有保存特征点，本期只能按自身定位。",
                    "The reference block keeps no keypoints: the survey stands on its own GPS.",
                )
            )
            return self.first(Method.SEPARATE, fell_back=True)
        self._features()
        readable = [p for p in self.photos if p.sha256 not in self.unreadable]
        old = Roll.read(reference.folder / "engine")
        roll = old.with_photos(readable)
        cameras: dict[str, Camera] = {store.camera_name(p): p.camera for p in readable}
        cameras.update(reference.cameras)  # a lens that the reference has calibrated keeps that calibration
        old_shas = [v.photo_sha256 for v in reference.views]
        camera_of = {p.sha256: store.camera_name(p) for p in readable} | {v.photo_sha256: v.camera_id for v in reference.views}
        shelves = {p.sha256: self.shelf for p in readable} | dict.fromkeys(old_shas, reference.folder / "engine" / "features")
        database = self.folder / "later.db"
        self._database(database, roll, cameras, camera_of, shelves)
        new_xy = np.array([self.places.xy[i] for i, p in enumerate(self.photos) if p.sha256 not in self.unreadable])
        old_xy = np.array([[v.pose.x_m, v.pose.y_m] for v in reference.views])
        shas = [p.sha256 for p in readable]
        near = pairs.within(new_xy, self.engine.neighbours) | pairs.following(len(shas), 2)
        wanted = {(shas[i], shas[j]) for i, j in near}
        wanted |= {(shas[i], old_shas[j]) for i, j in pairs.across(new_xy, old_xy, self.engine.neighbours, _LOST_LIMIT)}
        known = set(old_shas)
        wanted = {(a, b) for a, b in wanted if a != b and not (a in known and b in known)}
        turns = pairs.in_turn(sorted(wanted), dict(zip(shas, new_xy, strict=True)))
        self._match(database, turns, roll, shelves)
        ids = [roll.images[s] for s in shas]
        free = {roll.cameras[store.camera_name(p)] for p in readable if p.focal_source is not FocalSource.CALIBRATED}
        free -= {old.cameras[name] for name in reference.cameras if name in old.cameras}
        layout = parts.split(new_xy, near, self.engine.most)
        kept = len(store.models(reference.folder / "engine"))
        if len(layout) > 1 or kept > 1 or len(reference.views) > self.engine.most:
            job = self._job(database, layout, shas, turns, roll, cameras, camera_of, shelves)
            found, ties = inparts.later(job, reference, self._believable(roll, reference.offset_m), free_lenses=free)
            if len(found.piece.ids) >= _ENOUGH * len(shas):
                return self._finish_joined(job, found, reference.offset_m, Method.FROZEN, ties=ties)
            self._note_few(len(found.piece.ids), len(shas))
            return self.first(Method.SEPARATE, fell_back=True)

        def solve() -> pycolmap.Reconstruction:
            model = pycolmap.Reconstruction(reference.folder / "engine" / "model")
            limit = self._limit_px(cameras)

            def tell(done: int, total: int) -> None:
                self.progress(done, total, "mapping")

            mapping.register_into(
                database,
                model,
                ids,
                free_lenses=free,
                max_error_px=limit,
                believable=self._believable(roll, reference.offset_m),
                workers=self.engine.workers,
                progress=tell,
            )
            return model

        model = self._model("frozen", solve)
        registered = sum(1 for i in ids if i in set(model.reg_image_ids()))
        if registered >= _ENOUGH * len(ids):
            shape = self._own_shape(model, reference, ids)
            return self._finish(model, roll, cameras, reference.offset_m, Method.FROZEN, reference=reference, shape=shape)
        self._note_few(registered, len(ids))
        if registered == 0:
            return self.first(Method.SEPARATE, fell_back=True)
        return self._jointly(reference, database, roll, cameras, ids, shelves)

    def _note_few(self, registered: int, count: int) -> None:
        self.notes.append(
            Reason(
                "few_in_reference",
                f"{count} 张照片中只有 {registered} 张能配准到参考期影像块。",
                f"Only {registered} of {count} photos could be registered into the frozen reference.",
                number=registered / count,
                limit=_ENOUGH,
            )
        )

    def _jointly(
        self,
        reference: Block,
        database: Path,
        roll: Roll,
        cameras: Mapping[str, Camera],
        ids: list[int],
        shelves: Mapping[str, Path],
    ) -> Block:
        old_xy = np.array([[v.pose.x_m, v.pose.y_m] for v in reference.views])
        old_shas = [v.photo_sha256 for v in reference.views]
        near = pairs.within(old_xy, self.engine.neighbours)
        self._match(database, [(old_shas[i], old_shas[j]) for i, j in sorted(near)], roll, shelves, "joint")
        old_ids = [roll.images[s] for s in old_shas]

        def solve() -> pycolmap.Reconstruction:
            loose = {"refine_focal": False, "refine_lens": not _lenses_told(self.photos)}
            model = mapping.solve_all(database, self.folder / "scratch", workers=self.engine.workers, **loose)
            here = set(model.reg_image_ids())
            shared = [k for k, i in enumerate(old_ids) if i in here]
            if len(shared) >= 3:
                centres, axes = mapping.centres_and_axes(model, [old_ids[k] for k in shared])
                similarity = placing.lay(
                    centres, axes, placing.of_views([reference.views[k] for k in shared], reference.offset_m)
                )
                mapping.transform(model, similarity)
            return model

        try:
            model = self._model("joint", solve)
        except ReconstructionError as error:
            self.notes.append(Reason("joint_failed", f"联合平差失败：{error}", f"The joint block failed: {error}"))
            return self.first(Method.SEPARATE, fell_back=True)
        here = set(model.reg_image_ids())
        new = sum(1 for i in ids if i in here)
        old = [k for k, i in enumerate(old_ids) if i in here]
        if new >= _ENOUGH * len(ids) and len(old) >= max(3, 0.5 * len(old_ids)):
            was = np.array([reference.views[k].pose.centre for k in old])
            now = mapping.centres_and_axes(model, [old_ids[k] for k in old])[0] + np.array(reference.offset_m)
            moved = float(np.sqrt(np.mean(np.sum((now - was) ** 2, axis=1))))
            self.notes.append(
                Reason(
                    "solved_jointly",
                    f"与参考期联合平差；参考期相机位置变动 {moved:.2f} 米（均方根）。",
                    f"Solved jointly; the reference's cameras lie {moved:.2f} m rms from where they were.",
                    number=moved,
                    limit=1.0,
                )
            )
            if moved < 1.0:
                return self._finish(model, roll, cameras, reference.offset_m, Method.JOINT, reference=reference, fell_back=True)
        self.notes.append(
            Reason(
                "joint_apart",
                "联合平差未能把两期连在一起，本期只能按自身定位。",
                "The joint block does not hold both surveys together: the survey stands on its own GPS.",
            )
        )
        return self.first(Method.SEPARATE, fell_back=True)

    def _solved(self, database: Path, count: int, guess: bool) -> pycolmap.Reconstruction:
        """All images of a database at once; step by step where that leaves many out."""
        scratch = self.folder / "scratch"
        readable = [p for p in self.photos if p.sha256 not in self.unreadable]
        loose = {"refine_focal": guess, "refine_lens": not _lenses_told(readable)}
        model = mapping.solve_all(database, scratch, workers=self.engine.workers, **loose)
        if model.num_reg_images() < _ENOUGH * count:
            other = mapping.solve_stepwise(database, scratch, workers=self.engine.workers, **loose)
            model = max(model, other, key=lambda m: m.num_reg_images())
        return model

    def _job(
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
        limit = self._limit_px(cameras)
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
            self._model,
            self.progress,
            self.engine.workers,
            limit,
        )

    def _limit_px(self, cameras: Mapping[str, Camera]) -> float:
        return mapping.tolerance_px([store.to_solver(c, 0) for c in cameras.values()], self.recipe.long_side_px)

    def _places(self, roll: Roll, ids: Sequence[int], offset: Sequence[float]) -> Places:
        """The photos' own places by image number, less an offset."""
        row = {roll.images[p.sha256]: k for k, p in enumerate(self.photos) if p.sha256 in roll.images}
        return placing.chosen(self.places, [row[i] for i in ids], np.array(offset))

    def _finish_joined(
        self,
        job: Job,
        found: Joined,
        offset: tuple[float, float, float],
        method: Method,
        *,
        fell_back: bool = False,
        ties: tuple[int, float | None] = (0, None),
    ) -> Block:
        """As `_finish`, of a block that was never in the solver as a whole."""
        images, ids = job.roll.images, found.piece.ids.tolist()
        here = set(ids)
        own = [p for p in self.photos if images.get(p.sha256) in here]
        at = found.piece.rows([images[p.sha256] for p in own])
        cameras = {store.camera_name(p): job.roll.cameras[store.camera_name(p)] for p in own}
        groups = [job.numbers(part.members) for part in job.layout]
        return self._saved(
            own,
            [store.pose(found.piece.rotations[k], found.piece.centres[k] + np.array(offset)) for k in at],
            {name: store.from_solver(found.cameras[number]) for name, number in cameras.items()},
            large.tracks(found, [ids[k] for k in at]),
            float(found.error_px.mean()) if len(found.error_px) else 0.0,
            job.roll,
            offset,
            method,
            lambda folder: large.written(folder, found, job.names(job.cameras), groups),
            fell_back=fell_back,
            ties=ties,
        )

    # -- parts ---------------------------------------------------------------------------------------------------------------

    def _clocked(self, what: str, work: Callable[[], None]) -> None:
        start = time.process_time()
        work()
        self.cpu[what] = self.cpu.get(what, 0.0) + time.process_time() - start

    def _features(self) -> None:
        def work() -> None:
            self.unreadable = features.extract(
                self.photos, self.shelf, self.recipe, workers=self.engine.workers, progress=self.progress
            )

        self._clocked("features", work)
        if len(self.photos) - len(self.unreadable) < 3:
            raise ReconstructionError(
                "能读取的照片不足三张，请从存储卡重新拷贝。 "
                f"fewer than three photos can be read, copy them again: {'; '.join(self.unreadable.values())}"
            )

    def _database(
        self,
        path: Path,
        roll: Roll,
        cameras: Mapping[str, Camera],
        camera_of: Mapping[str, str],
        shelves: Mapping[str, Path],
    ) -> None:
        if not path.exists():
            self._clocked("matching", lambda: store.write_database(path, roll, cameras, camera_of, shelves))

    def _match(
        self, database: Path, wanted: Sequence[tuple[str, str]], roll: Roll, shelves: Mapping[str, Path], mark: str = ""
    ) -> None:
        matched = database.with_suffix(f".{mark}matched")
        if matched.exists():
            return

        def tell(done: int, total: int) -> None:
            self.progress(done, total, "matching")

        def work() -> None:
            matching.match_all(database, wanted, roll.images, shelves, workers=self.engine.workers, progress=tell)

        self._clocked("matching", work)
        matched.touch()

    def _match_on(
        self, database: Path, near: set[tuple[int, int]], shas: Sequence[str], roll: Roll, shelves: Mapping[str, Path]
    ) -> None:
        """Photos without places, compared on from the pairs that were found to show one place, twice."""
        known = set(near)
        for mark in ("again", "once-more"):
            seen = matching.agreeing(database, [(roll.images[shas[i]], roll.images[shas[j]]) for i, j in sorted(known)])
            more = pairs.around([pair for pair, agrees in zip(sorted(known), seen, strict=True) if agrees], len(shas)) - known
            if more:
                self._match(database, [(shas[i], shas[j]) for i, j in sorted(more)], roll, shelves, mark)
            known |= more

    def _model(self, name: str, solve: Callable[[], pycolmap.Reconstruction]) -> pycolmap.Reconstruction:
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

    def _offset(self) -> tuple[float, float, float]:
        known = self.places.xy[np.isfinite(self.places.xy).all(axis=1)]
        if self.control is not None:  # surveyed points of the area itself: receivers may be silent, or wild
            known = np.array([[p.x_m, p.y_m] for p in self.control.points])
        middle = np.floor(np.median(known, axis=0)) if len(known) else np.zeros(2)
        return float(middle[0]), float(middle[1]), 0.0

    def _placed(
        self,
        database: Path,
        model: pycolmap.Reconstruction,
        roll: Roll,
        free: set[int],
        guess: bool,
        control: Control | None = None,
    ) -> pycolmap.Reconstruction:
        """On the ground; what was learnt of control on the way is kept beside the model."""
        ids = sorted(model.reg_image_ids())
        offset = np.array(self._offset())
        model, laid = settling.settle(
            database,
            model,
            self.folder / "scratch",
            ids,
            self._places(roll, ids, self._offset()),
            long_side_px=self.recipe.long_side_px,
            free_lenses=free,
            free_focals=guess,
            workers=self.engine.workers,
            control=None if control is None else (control, roll.images, offset),
        )
        if laid is not None:
            laid.write(self.folder / "laid.json")
        return model

    def _onto_control(self, found: Joined, job: Job) -> Joined:
        """A block of parts is never in the solver as a whole: it is laid onto its control as it is, and not bent."""
        if self.control is None:
            return found
        ids, offset = found.piece.ids.tolist(), self._offset()
        number = {job.roll.images[p.sha256]: p for p in self.photos if p.sha256 in job.roll.images}
        stands = [
            grounding.Standing(number[i], store.pose(found.piece.rotations[k], found.piece.centres[k])) for k, i in enumerate(ids)
        ]
        names = {store.camera_name(p): job.roll.cameras[store.camera_name(p)] for p in number.values()}
        lenses = {name: store.from_solver(found.cameras[n]) for name, n in names.items() if n in found.cameras}
        similarity, laid = grounding.laid_onto(
            self.control, stands, lenses, np.array(offset), self._places(job.roll, ids, offset), self.recipe.long_side_px
        )
        laid.write(self.folder / "laid.json")
        return found if similarity is None else replace(found, piece=found.piece.moved(similarity))

    def _measured(
        self, own: Sequence[Photo], poses: Sequence[Pose], cameras: Mapping[str, Camera], offset: tuple[float, float, float]
    ) -> ControlReport | None:
        """How the finished block meets its control; it was used where the block was laid onto it, and is a check elsewhere."""
        if self.control is None:
            return None
        kept = self.folder / "laid.json"
        laid = Laid.read(kept) if kept.exists() else Laid(used=False)
        stands = [
            grounding.Standing(photo, replace(pose, x_m=pose.x_m - offset[0], y_m=pose.y_m - offset[1], z_m=pose.z_m - offset[2]))
            for photo, pose in zip(own, poses, strict=True)
        ]
        return grounding.measured(self.control, stands, cameras, np.array(offset), laid, self.recipe.long_side_px)

    def _own_shape(
        self, model: pycolmap.Reconstruction, reference: Block, ids: Sequence[int]
    ) -> tuple[pycolmap.Reconstruction, Bend] | None:
        """The survey in the shape its own lens gives it and the bend onto the frozen ground, where that ground fits it badly."""
        if reference.bend is not None:
            return None
        here = set(model.reg_image_ids())
        start = time.process_time()
        found = bending.bend_of(
            model,
            pycolmap.Reconstruction(reference.folder / "engine" / "model"),
            [i for i in ids if i in here],
            max_error_px=mapping.tolerance_px(list(model.cameras.values()), self.recipe.long_side_px),
            workers=self.engine.workers,
        )
        self.cpu["mapping"] = self.cpu.get("mapping", 0.0) + time.process_time() - start
        if found is None:
            return None
        own, bend = found
        self.notes.append(
            Reason(
                "bent",
                f"参考期的镜头参数不能同时满足两期，已联合重解，并按平滑变形贴合参考期（最大 {bend.most_m:.2f} 米，余差 {bend.left_m:.2f} 米）。",
                "The reference's lens does not fit both flights: it was solved anew from both, and the survey laid onto the reference by a "
                f"smooth bend (up to {bend.most_m:.2f} m, {bend.left_m:.2f} m left).",
                number=bend.left_m,
            )
        )
        return own, replace(bend, middle=bend.middle + np.array(reference.offset_m))

    def _finish(
        self,
        model: pycolmap.Reconstruction,
        roll: Roll,
        cameras: Mapping[str, Camera],
        offset: tuple[float, float, float],
        method: Method,
        *,
        reference: Block | None = None,
        fell_back: bool = False,
        shape: tuple[pycolmap.Reconstruction, Bend] | None = None,
    ) -> Block:
        """Judge the model, keep what the next survey needs, and save the block: in its own shape where it has one."""
        frozen, bend = model, None
        if shape is not None:
            model, bend = shape
        here = set(model.reg_image_ids())
        own = [p for p in self.photos if roll.images.get(p.sha256) in here]
        ids = [roll.images[p.sha256] for p in own]
        ties = judging.ties(model, ids, {roll.images[v.photo_sha256] for v in reference.views} if reference else set())
        used = {store.camera_name(p): store.from_solver(model.camera(roll.cameras[store.camera_name(p)])) for p in own}
        for held in {id(m): m for m in (model, frozen)}.values():
            store.keep_only(held, ids)
        return self._saved(
            own,
            [store.pose_of(model.image(i), offset) for i in ids],
            used,
            store.tracks(model, ids),
            float(model.compute_mean_reprojection_error()),
            roll,
            offset,
            method,
            lambda folder: store.keep_model(folder, frozen),
            fell_back=fell_back,
            ties=ties,
            bend=bend,
        )

    def _saved(
        self,
        own: Sequence[Photo],
        poses: Sequence[Pose],
        cameras: Mapping[str, Camera],
        found: store.Tracks,
        reprojection_px: float,
        roll: Roll,
        offset: tuple[float, float, float],
        method: Method,
        keep_models: Callable[[Path], None],
        *,
        fell_back: bool,
        ties: tuple[int, float | None],
        bend: Bend | None = None,
    ) -> Block:
        """The block of photos with poses, judged and saved with what the next survey needs."""
        here = {p.sha256 for p in own}
        seen = np.bincount(found.view, minlength=len(own))
        views = tuple(
            View(p.sha256, p.path, store.camera_name(p), pose, int(seen[k]))
            for k, (p, pose) in enumerate(zip(own, poses, strict=True))
        )
        points = found.points + np.array(offset)
        if bend is not None:
            points = bend.onto(points)
        missing = tuple(
            (p.name, self.unreadable.get(p.sha256, "no overlap with the other photos could be found"))
            for p in self.photos
            if p.sha256 not in here
        )
        rows = [k for k, p in enumerate(self.photos) if p.sha256 in here]
        judged = judging.judge(own, views, points, found, placing.chosen(self.places, rows, np.zeros(3)), cameras)
        stats = replace(
            judged,
            given=len(self.photos),
            reprojection_px=reprojection_px,
            method=method,
            fell_back=fell_back,
            tie_points=ties[0],
            tie_residual_px=ties[1],
            unregistered=missing,
            notes=(*self.notes, *judged.notes),
            cpu_s=dict(self.cpu),
            control=None if bend is not None else self._measured(own, poses, cameras, offset),  # its poses stand in its own shape
        )
        keep = self.folder / "kept.tmp"
        shutil.rmtree(keep, ignore_errors=True)
        keep_models(keep / "engine")
        store.keep_roll(keep / "engine", replace(roll, images={p.sha256: roll.images[p.sha256] for p in own}), self.shelf)
        block = Block(
            frame=self.frame,
            offset_m=offset,
            cameras=cameras,
            views=views,
            points=points,
            stats=stats,
            folder=keep,
            track_view=found.view,
            track_point=found.point,
            track_px=found.px,
            bend=bend,
        )
        saved = block.save(self.folder / "block")
        shutil.rmtree(keep, ignore_errors=True)
        return saved

    def _believable(self, roll: Roll, offset: tuple[float, float, float]) -> Callable[[int, Floats, Floats], bool]:
        """A pose must look about where the gimbal says, or at least downwards, and stand about where the receiver says."""
        row = {roll.images[p.sha256]: k for k, p in enumerate(self.photos) if p.sha256 in roll.images}
        places = placing.chosen(self.places, range(len(self.photos)), np.array(offset))

        def believable(image: int, centre: Floats, axis: Floats) -> bool:
            k = row[image]
            apart = float(np.linalg.norm(centre[:2] - places.xy[k]))
            if apart > _WILD_M + 3 * float(places.sigma_xy[k]):  # False where the place is not known
                return False
            return bool(axis @ places.gaze[k] > (0.7 if places.gaze_known else 0.2))

        return believable


def _lenses_told(photos: Sequence[Photo]) -> bool:
    """Whether every photo's tags tell its distortion: then it stays, for a block flown at one height would bend it and itself."""
    return all(p.focal_source is FocalSource.CALIBRATED and (p.camera.k1 != 0 or p.camera.k2 != 0) for p in photos)
