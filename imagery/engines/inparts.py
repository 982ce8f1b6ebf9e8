"""A block solved in parts: one part after the other, each a step that is not done twice; a later survey goes in group by group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Floats
from geo.progress import Progress
from imagery.engines import features, judging, large, mapping, pieces, store
from imagery.engines.large import Joined, Names
from imagery.engines.parts import Part
from imagery.engines.pieces import Piece
from imagery.engines.placing import Places
from imagery.engines.store import Roll
from imagery.errors import ReconstructionError
from imagery.reasons import Reason
from imagery.reconstruct import Block


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What all parts of a block share.

    Photos go by hash: `shas` numbers them as `layout` does, `wanted` are the pairs that were compared and `database` knows what came of
    it. `camera_of` and `shelves` tell of the reference's photos too. `step(name, solve)` gives the model of a step, from its folder
    `folder / name` when it was finished before.
    """

    folder: Path
    database: Path
    layout: Sequence[Part]
    shas: Sequence[str]
    wanted: Sequence[tuple[str, str]]
    roll: Roll
    cameras: Mapping[str, Camera]
    camera_of: Mapping[str, str]
    shelves: Mapping[str, Path]
    step: Callable[[str, Callable[[], pycolmap.Reconstruction]], pycolmap.Reconstruction]
    progress: Progress
    workers: int
    limit_px: float

    def names(self, cameras: Mapping[str, Camera]) -> Names:
        """Who is who to the solver, with the lenses as they are known by now."""
        names = {self.roll.images[s]: s for s in self.camera_of}
        return Names(
            {self.roll.cameras[name]: store.to_solver(camera, self.roll.cameras[name]) for name, camera in cameras.items()},
            {i: self.roll.cameras[self.camera_of[s]] for i, s in names.items()},
            names,
            lambda i: features.keypoints(self.shelves[names[i]], names[i])[:, :2].astype(np.float64),
        )

    def excerpt(self, name: str, shas: Collection[str], cameras: Mapping[str, Camera]) -> Path:
        """A database of its own for some photos."""
        path = self.folder / f"{name}.only.db"
        mine = {s: self.camera_of[s] for s in shas}
        store.write_excerpt(self.database, path, self.roll, cameras, mine, self.shelves, self.wanted)
        return path

    def numbers(self, photos: Sequence[int]) -> list[int]:
        """Image numbers of photos."""
        return [self.roll.images[self.shas[i]] for i in photos]


def first(
    job: Job,
    solve: Callable[[Path, int], pycolmap.Reconstruction],
    places_of: Callable[[Sequence[int]], Places],
    *,
    free_lenses: Collection[int],
    free_focals: bool,
) -> tuple[Joined, list[Reason]]:
    """Each part solved by itself (`solve(database, photos)`), laid onto its neighbours, and all adjusted as one.

    Parts that cannot be solved, or hang together with nothing, are told of. Raises ReconstructionError when there is no part at all.
    """
    solved: list[Piece] = []
    cores: list[list[int]] = []
    notes: list[Reason] = []
    lenses: dict[int, tuple[int, pycolmap.Camera]] = {}
    count = len(job.layout)
    for k, part in enumerate(job.layout):
        job.progress(k, count + 1, "mapping")
        name = f"first-{k}"

        def solve_part(name: str = name, members: Sequence[int] = part.members) -> pycolmap.Reconstruction:
            return solve(job.excerpt(name, [job.shas[i] for i in members], job.cameras), len(members))

        try:
            model = job.step(name, solve_part)
        except ReconstructionError as error:
            notes.append(_unsolved(k, count, error))
            continue
        solved.append(pieces.read(model, job.folder / name))
        cores.append(job.numbers(part.core))
        for number, camera in model.cameras.items():
            if model.num_reg_images() > lenses.get(number, (0, camera))[0]:
                # That of the largest part, to start with: all of them are solved once more, together.
                lenses[number] = model.num_reg_images(), store.to_solver(store.from_solver(camera), number)
    if not solved:
        raise ReconstructionError(
            f"{count} 个分区都无法解算：{notes[-1].zh} none of the {count} parts of the block could be solved: {notes[-1].en}"
        )
    job.progress(count, count + 1, "mapping")
    chain, loose = large.chained(solved)
    notes += [_loose(k, count) for k in loose]
    who = job.names(job.cameras)
    who = replace(who, cameras={**who.cameras, **{number: camera for number, (_, camera) in lenses.items()}})
    found = large.joined(
        chain,
        cores,
        who,
        places_of,
        free_lenses=free_lenses,
        free_focals=free_focals,
        limit_px=job.limit_px,
        workers=job.workers,
    )
    job.progress(count + 1, count + 1, "mapping")
    return found, notes


def later(
    job: Job, reference: Block, believable: Callable[[int, Floats, Floats], bool], *, free_lenses: Collection[int]
) -> tuple[Joined, tuple[int, float | None]]:
    """Group by group into the images of the frozen reference around the group: neither side is ever opened whole.

    Returns what stands (perhaps nothing) and its ties to the reference: how many points, and their mean error in pixels.
    """
    known = {v.photo_sha256 for v in reference.views}
    lenses, free = dict(job.cameras), set(free_lenses)
    names = {number: name for name, number in job.roll.cameras.items()}
    found: list[Piece] = []
    cores: list[list[int]] = []
    ties = (0, 0.0)
    for k, part in enumerate(job.layout):
        members = {job.shas[i] for i in part.members}
        around = sorted({b for a, b in job.wanted if a in members and b in known} | (members & known))
        who, ids, name = job.names(lenses), job.numbers(part.members), f"frozen-{k}"

        def tell(done: int, total: int, k: int = k) -> None:
            job.progress(k * total + done, len(job.layout) * total, "mapping")

        def solve(
            name: str = name,
            members: Collection[str] = members,
            around: Sequence[str] = around,
            ids: Sequence[int] = ids,
            who: Names = who,
            still_free: Collection[int] = tuple(free),
            tell: Callable[[int, int], None] = tell,
        ) -> pycolmap.Reconstruction:
            path = job.excerpt(name, {*members, *around}, lenses)
            model = large.opened(reference, job.roll, [job.roll.images[s] for s in around], who)
            mapping.register_into(
                path,
                model,
                ids,
                free_lenses=still_free,
                max_error_px=job.limit_px,
                believable=believable,
                workers=job.workers,
                progress=tell,
            )
            return model

        model = job.step(name, solve)
        registered = set(model.reg_image_ids())
        mine, core = [i for i in ids if i in registered], job.numbers(part.core)
        count, residual = judging.ties(model, registered & set(core), [job.roll.images[s] for s in around])
        ties = ties[0] + count, ties[1] + count * (residual or 0.0)
        # The first group that sees a lens solves it; the others take it as it is, for one lens has one calibration.
        for number in sorted({model.image(i).camera_id for i in mine} & free):
            lenses[names[number]] = store.from_solver(model.camera(number))
            free.discard(number)
        found.append(pieces.read(model, job.folder / name).seen_by(mine))
        cores.append(core)
    joined = large.settled(pieces.merged(found, cores), job.names(lenses), job.limit_px, rounds=0)
    return joined, (ties[0], ties[1] / ties[0] if ties[0] else None)


def _unsolved(number: int, count: int, error: ReconstructionError) -> Reason:
    return Reason(
        "part_unsolved",
        f"共 {count} 个分区，第 {number + 1} 个解算失败：{error}",
        f"Part {number + 1} of {count} of the block could not be solved: {error}",
    )


def _loose(number: int, count: int) -> Reason:
    return Reason(
        "part_loose",
        f"共 {count} 个分区，第 {number + 1} 个与其他分区的公共照片太少，仅按自身定位放置。",
        f"Part {number + 1} of {count} of the block shares too few photos with the others: it stands on its own positions.",
    )
