"""A finished model becomes a block: judged, measured against its control, and kept with what the next survey needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Pose
from imagery.bend import Bend
from imagery.control import ControlReport
from imagery.engines import grounding, judging, large, placing, store
from imagery.engines.grounding import Laid
from imagery.engines.inparts import Job
from imagery.engines.large import Joined
from imagery.engines.run import Run
from imagery.engines.store import Roll
from imagery.photos import Photo
from imagery.reconstruct import Block, Method, View


def finish(
    run: Run,
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
    own = [p for p in run.photos if roll.images.get(p.sha256) in here]
    ids = [roll.images[p.sha256] for p in own]
    ties = judging.ties(model, ids, {roll.images[v.photo_sha256] for v in reference.views} if reference else set())
    used = {store.camera_name(p): store.from_solver(model.camera(roll.cameras[store.camera_name(p)])) for p in own}
    for held in {id(m): m for m in (model, frozen)}.values():
        store.keep_only(held, ids)
    return _saved(
        run,
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


def finish_joined(
    run: Run,
    job: Job,
    found: Joined,
    offset: tuple[float, float, float],
    method: Method,
    *,
    fell_back: bool = False,
    ties: tuple[int, float | None] = (0, None),
) -> Block:
    """As `finish`, of a block that was never in the solver as a whole."""
    images, ids = job.roll.images, found.piece.ids.tolist()
    here = set(ids)
    own = [p for p in run.photos if images.get(p.sha256) in here]
    at = found.piece.rows([images[p.sha256] for p in own])
    cameras = {store.camera_name(p): job.roll.cameras[store.camera_name(p)] for p in own}
    groups = [job.numbers(part.members) for part in job.layout]
    return _saved(
        run,
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


def _saved(
    run: Run,
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
        (p.name, run.unreadable.get(p.sha256, "no overlap with the other photos could be found"))
        for p in run.photos
        if p.sha256 not in here
    )
    rows = [k for k, p in enumerate(run.photos) if p.sha256 in here]
    judged = judging.judge(own, views, points, found, placing.chosen(run.places, rows, np.zeros(3)), cameras)
    stats = replace(
        judged,
        given=len(run.photos),
        reprojection_px=reprojection_px,
        method=method,
        fell_back=fell_back,
        tie_points=ties[0],
        tie_residual_px=ties[1],
        unregistered=missing,
        notes=(*run.notes, *judged.notes),
        cpu_s=dict(run.cpu),
        control=None if bend is not None else _measured(run, own, poses, cameras, offset),  # its poses stand in its own shape
    )
    keep = run.folder / "kept.tmp"
    shutil.rmtree(keep, ignore_errors=True)
    keep_models(keep / "engine")
    store.keep_roll(keep / "engine", replace(roll, images={p.sha256: roll.images[p.sha256] for p in own}), run.shelf)
    block = Block(
        frame=run.frame,
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
    saved = block.save(run.folder / "block")
    shutil.rmtree(keep, ignore_errors=True)
    return saved


def _measured(
    run: Run, own: Sequence[Photo], poses: Sequence[Pose], cameras: Mapping[str, Camera], offset: tuple[float, float, float]
) -> ControlReport | None:
    """How the finished block meets its control; it was used where the block was laid onto it, and is a check elsewhere."""
    if run.control is None:
        return None
    kept = run.folder / "laid.json"
    laid = Laid.read(kept) if kept.exists() else Laid(used=False)
    stands = [
        grounding.Standing(photo, replace(pose, x_m=pose.x_m - offset[0], y_m=pose.y_m - offset[1], z_m=pose.z_m - offset[2]))
        for photo, pose in zip(own, poses, strict=True)
    ]
    return grounding.measured(run.control, stands, cameras, np.array(offset), laid, run.recipe.long_side_px)
