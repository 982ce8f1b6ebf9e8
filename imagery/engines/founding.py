"""A first survey: all photos with each other, laid onto their own positions or their ground control."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from imagery.control import Control
from imagery.engines import grounding, inparts, mapping, pairs, parts, saving, settling, store
from imagery.engines.inparts import Job
from imagery.engines.large import Joined
from imagery.engines.placing import Places
from imagery.engines.run import ENOUGH, Run
from imagery.engines.store import Roll
from imagery.lenses import FocalSource
from imagery.photos import Photo
from imagery.reasons import Reason
from imagery.reconstruct import Block, Method


def first(run: Run, method: Method, *, fell_back: bool = False) -> Block:
    """All photos with each other, laid onto their own positions."""
    run.features()
    readable = [p for p in run.photos if p.sha256 not in run.unreadable]
    roll = Roll(run.recipe).with_photos(readable)
    cameras = {store.camera_name(p): p.camera for p in readable}
    database = run.folder / "first.db"
    shelves = {p.sha256: run.shelf for p in readable}
    camera_of = {p.sha256: store.camera_name(p) for p in readable}
    run.database(database, roll, cameras, camera_of, shelves)
    xy = np.array([run.places.xy[i] for i, p in enumerate(run.photos) if p.sha256 not in run.unreadable])
    somewhere = bool(np.isfinite(xy).all(axis=1).any())
    near = pairs.within(xy, run.neighbours) if somewhere else pairs.unplaced(len(readable))
    near |= pairs.following(len(readable), 2)
    shas = [p.sha256 for p in readable]
    wanted = pairs.in_turn([(shas[i], shas[j]) for i, j in sorted(near)], dict(zip(shas, xy, strict=True)))
    run.match(database, wanted, roll, shelves)
    if not somewhere:
        run.match_on(database, near, shas, roll, shelves)
    guess = any(p.focal_source is FocalSource.GUESS for p in readable)
    free = {roll.cameras[store.camera_name(p)] for p in readable if p.focal_source is not FocalSource.CALIBRATED}

    if guess:
        run.notes.append(
            Reason(
                "focal_guessed",
                "焦距由照片自行推算，高程可能有两成误差。",
                "The focal length is a guess solved from the photos themselves: heights are uncertain by a fifth.",
            )
        )
    layout = parts.split(xy, near, run.most)
    if len(layout) > 1:
        job = run.job(database, layout, shas, wanted, roll, cameras, camera_of, shelves)

        def solve_part(path: Path, count: int) -> pycolmap.Reconstruction:
            return _placed(run, path, _solved(run, path, count, guess), roll, free, guess)

        def places_of(ids: Sequence[int]) -> Places:
            return run.places_of(roll, ids, run.offset())

        start, before = time.process_time(), run.cpu.get("mapping", 0.0)
        found, notes = inparts.first(job, solve_part, places_of, free_lenses=free, free_focals=guess)
        run.cpu["mapping"] = before + time.process_time() - start  # the parts, and what joins them
        run.notes += notes
        found = _onto_control(run, found, job)
        return saving.finish_joined(run, job, found, run.offset(), method, fell_back=fell_back)

    def solve() -> pycolmap.Reconstruction:
        run.progress(0, 2, "mapping")
        model = _solved(run, database, len(readable), guess)
        run.progress(1, 2, "mapping")
        return _placed(run, database, model, roll, free, guess, run.control)

    model = run.model("first", solve)
    run.progress(2, 2, "mapping")
    return saving.finish(run, model, roll, cameras, run.offset(), method, fell_back=fell_back)


def _solved(run: Run, database: Path, count: int, guess: bool) -> pycolmap.Reconstruction:
    """All images of a database at once; step by step where that leaves many out."""
    scratch = run.folder / "scratch"
    readable = [p for p in run.photos if p.sha256 not in run.unreadable]
    loose = {"refine_focal": guess, "refine_lens": not lenses_told(readable)}
    model = mapping.solve_all(database, scratch, workers=run.workers, **loose)
    if model.num_reg_images() < ENOUGH * count:
        other = mapping.solve_stepwise(database, scratch, workers=run.workers, **loose)
        model = max(model, other, key=lambda m: m.num_reg_images())
    return model


def _placed(
    run: Run,
    database: Path,
    model: pycolmap.Reconstruction,
    roll: Roll,
    free: set[int],
    guess: bool,
    control: Control | None = None,
) -> pycolmap.Reconstruction:
    """On the ground; what was learnt of control on the way is kept beside the model."""
    ids = sorted(model.reg_image_ids())
    offset = np.array(run.offset())
    model, laid = settling.settle(
        database,
        model,
        run.folder / "scratch",
        ids,
        run.places_of(roll, ids, run.offset()),
        long_side_px=run.recipe.long_side_px,
        free_lenses=free,
        free_focals=guess,
        workers=run.workers,
        control=None if control is None else (control, roll.images, offset),
    )
    if laid is not None:
        laid.write(run.folder / "laid.json")
    return model


def _onto_control(run: Run, found: Joined, job: Job) -> Joined:
    """A block of parts is never in the solver as a whole: it is laid onto its control as it is, and not bent."""
    if run.control is None:
        return found
    ids, offset = found.piece.ids.tolist(), run.offset()
    number = {job.roll.images[p.sha256]: p for p in run.photos if p.sha256 in job.roll.images}
    stands = [
        grounding.Standing(number[i], store.pose(found.piece.rotations[k], found.piece.centres[k])) for k, i in enumerate(ids)
    ]
    names = {store.camera_name(p): job.roll.cameras[store.camera_name(p)] for p in number.values()}
    lenses = {name: store.from_solver(found.cameras[n]) for name, n in names.items() if n in found.cameras}
    similarity, laid = grounding.laid_onto(
        run.control, stands, lenses, np.array(offset), run.places_of(job.roll, ids, offset), run.recipe.long_side_px
    )
    laid.write(run.folder / "laid.json")
    return found if similarity is None else replace(found, piece=found.piece.moved(similarity))


def lenses_told(photos: Sequence[Photo]) -> bool:
    """Whether every photo's tags tell its distortion: then it stays, for a block flown at one height would bend it and itself."""
    return all(p.focal_source is FocalSource.CALIBRATED and (p.camera.k1 != 0 or p.camera.k2 != 0) for p in photos)
