"""A later survey: registered into the frozen block of its reference; else solved jointly with it; else on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from geo.camera import Camera
from geo.frames import Floats
from imagery.bend import Bend
from imagery.engines import bending, founding, inparts, mapping, pairs, parts, placing, saving, store
from imagery.engines.run import ENOUGH, Run
from imagery.engines.store import Roll
from imagery.errors import ReconstructionError
from imagery.lenses import FocalSource
from imagery.reasons import Reason
from imagery.reconstruct import Block, Method

_WILD_M = 40.0  # no receiver that works is this far off
_LOST_LIMIT = 40  # photos of the other side that a photo without position is compared with


def later(run: Run, reference: Block) -> Block:
    """Into the frozen reference; else jointly with it; else alone."""
    if not (reference.folder / "engine" / "roll.json").exists():
        run.notes.append(
            Reason(
                "reference_bare",
                "参考期影像块没有保存特征点，本期只能按自身定位。",
                "The reference block keeps no keypoints: the survey stands on its own GPS.",
            )
        )
        return founding.first(run, Method.SEPARATE, fell_back=True)
    run.features()
    readable = [p for p in run.photos if p.sha256 not in run.unreadable]
    old = Roll.read(reference.folder / "engine")
    roll = old.with_photos(readable)
    cameras: dict[str, Camera] = {store.camera_name(p): p.camera for p in readable}
    cameras.update(reference.cameras)  # a lens that the reference has calibrated keeps that calibration
    old_shas = [v.photo_sha256 for v in reference.views]
    camera_of = {p.sha256: store.camera_name(p) for p in readable} | {v.photo_sha256: v.camera_id for v in reference.views}
    shelves = {p.sha256: run.shelf for p in readable} | dict.fromkeys(old_shas, reference.folder / "engine" / "features")
    database = run.folder / "later.db"
    run.database(database, roll, cameras, camera_of, shelves)
    new_xy = np.array([run.places.xy[i] for i, p in enumerate(run.photos) if p.sha256 not in run.unreadable])
    old_xy = np.array([[v.pose.x_m, v.pose.y_m] for v in reference.views])
    shas = [p.sha256 for p in readable]
    near = pairs.within(new_xy, run.neighbours) | pairs.following(len(shas), 2)
    wanted = {(shas[i], shas[j]) for i, j in near}
    wanted |= {(shas[i], old_shas[j]) for i, j in pairs.across(new_xy, old_xy, run.neighbours, _LOST_LIMIT)}
    known = set(old_shas)
    wanted = {(a, b) for a, b in wanted if a != b and not (a in known and b in known)}
    turns = pairs.in_turn(sorted(wanted), dict(zip(shas, new_xy, strict=True)))
    run.match(database, turns, roll, shelves)
    ids = [roll.images[s] for s in shas]
    free = {roll.cameras[store.camera_name(p)] for p in readable if p.focal_source is not FocalSource.CALIBRATED}
    free -= {old.cameras[name] for name in reference.cameras if name in old.cameras}
    layout = parts.split(new_xy, near, run.most)
    kept = len(store.models(reference.folder / "engine"))
    if len(layout) > 1 or kept > 1 or len(reference.views) > run.most:
        job = run.job(database, layout, shas, turns, roll, cameras, camera_of, shelves)
        found, ties = inparts.later(job, reference, _believable(run, roll, reference.offset_m), free_lenses=free)
        if len(found.piece.ids) >= ENOUGH * len(shas):
            return saving.finish_joined(run, job, found, reference.offset_m, Method.FROZEN, ties=ties)
        _note_few(run, len(found.piece.ids), len(shas))
        return founding.first(run, Method.SEPARATE, fell_back=True)

    def solve() -> pycolmap.Reconstruction:
        model = pycolmap.Reconstruction(reference.folder / "engine" / "model")
        limit = run.limit_px(cameras)

        def tell(done: int, total: int) -> None:
            run.progress(done, total, "mapping")

        mapping.register_into(
            database,
            model,
            ids,
            free_lenses=free,
            max_error_px=limit,
            believable=_believable(run, roll, reference.offset_m),
            workers=run.workers,
            progress=tell,
        )
        return model

    model = run.model("frozen", solve)
    registered = sum(1 for i in ids if i in set(model.reg_image_ids()))
    if registered >= ENOUGH * len(ids):
        shape = _own_shape(run, model, reference, ids)
        return saving.finish(run, model, roll, cameras, reference.offset_m, Method.FROZEN, reference=reference, shape=shape)
    _note_few(run, registered, len(ids))
    if registered == 0:
        return founding.first(run, Method.SEPARATE, fell_back=True)
    return _jointly(run, reference, database, roll, cameras, ids, shelves)


def _jointly(
    run: Run,
    reference: Block,
    database: Path,
    roll: Roll,
    cameras: Mapping[str, Camera],
    ids: list[int],
    shelves: Mapping[str, Path],
) -> Block:
    old_xy = np.array([[v.pose.x_m, v.pose.y_m] for v in reference.views])
    old_shas = [v.photo_sha256 for v in reference.views]
    near = pairs.within(old_xy, run.neighbours)
    run.match(database, [(old_shas[i], old_shas[j]) for i, j in sorted(near)], roll, shelves, "joint")
    old_ids = [roll.images[s] for s in old_shas]

    def solve() -> pycolmap.Reconstruction:
        loose = {"refine_focal": False, "refine_lens": not founding.lenses_told(run.photos)}
        model = mapping.solve_all(database, run.folder / "scratch", workers=run.workers, **loose)
        here = set(model.reg_image_ids())
        shared = [k for k, i in enumerate(old_ids) if i in here]
        if len(shared) >= 3:
            centres, axes = mapping.centres_and_axes(model, [old_ids[k] for k in shared])
            similarity = placing.lay(centres, axes, placing.of_views([reference.views[k] for k in shared], reference.offset_m))
            mapping.transform(model, similarity)
        return model

    try:
        model = run.model("joint", solve)
    except ReconstructionError as error:
        run.notes.append(Reason("joint_failed", f"联合平差失败：{error}", f"The joint block failed: {error}"))
        return founding.first(run, Method.SEPARATE, fell_back=True)
    here = set(model.reg_image_ids())
    new = sum(1 for i in ids if i in here)
    old = [k for k, i in enumerate(old_ids) if i in here]
    if new >= ENOUGH * len(ids) and len(old) >= max(3, 0.5 * len(old_ids)):
        was = np.array([reference.views[k].pose.centre for k in old])
        now = mapping.centres_and_axes(model, [old_ids[k] for k in old])[0] + np.array(reference.offset_m)
        moved = float(np.sqrt(np.mean(np.sum((now - was) ** 2, axis=1))))
        run.notes.append(
            Reason(
                "solved_jointly",
                f"与参考期联合平差；参考期相机位置变动 {moved:.2f} 米（均方根）。",
                f"Solved jointly; the reference's cameras lie {moved:.2f} m rms from where they were.",
                number=moved,
                limit=1.0,
            )
        )
        if moved < 1.0:
            return saving.finish(run, model, roll, cameras, reference.offset_m, Method.JOINT, reference=reference, fell_back=True)
    run.notes.append(
        Reason(
            "joint_apart",
            "联合平差未能把两期连在一起，本期只能按自身定位。",
            "The joint block does not hold both surveys together: the survey stands on its own GPS.",
        )
    )
    return founding.first(run, Method.SEPARATE, fell_back=True)


def _own_shape(
    run: Run, model: pycolmap.Reconstruction, reference: Block, ids: Sequence[int]
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
        max_error_px=mapping.tolerance_px(list(model.cameras.values()), run.recipe.long_side_px),
        workers=run.workers,
    )
    run.cpu["mapping"] = run.cpu.get("mapping", 0.0) + time.process_time() - start
    if found is None:
        return None
    own, bend = found
    run.notes.append(
        Reason(
            "bent",
            f"参考期的镜头参数不能同时满足两期，已联合重解，并按平滑变形贴合参考期（最大 {bend.most_m:.2f} 米，余差 {bend.left_m:.2f} 米）。",
            "The reference's lens does not fit both flights: it was solved anew from both, and the survey laid onto the reference by a "
            f"smooth bend (up to {bend.most_m:.2f} m, {bend.left_m:.2f} m left).",
            number=bend.left_m,
        )
    )
    return own, replace(bend, middle=bend.middle + np.array(reference.offset_m))


def _note_few(run: Run, registered: int, count: int) -> None:
    run.notes.append(
        Reason(
            "few_in_reference",
            f"{count} 张照片中只有 {registered} 张能配准到参考期影像块。",
            f"Only {registered} of {count} photos could be registered into the frozen reference.",
            number=registered / count,
            limit=ENOUGH,
        )
    )


def _believable(run: Run, roll: Roll, offset: tuple[float, float, float]) -> Callable[[int, Floats, Floats], bool]:
    """A pose must look about where the gimbal says, or at least downwards, and stand about where the receiver says."""
    row = {roll.images[p.sha256]: k for k, p in enumerate(run.photos) if p.sha256 in roll.images}
    places = placing.chosen(run.places, range(len(run.photos)), np.array(offset))

    def believable(image: int, centre: Floats, axis: Floats) -> bool:
        k = row[image]
        apart = float(np.linalg.norm(centre[:2] - places.xy[k]))
        if apart > _WILD_M + 3 * float(places.sigma_xy[k]):  # False where the place is not known
            return False
        return bool(axis @ places.gaze[k] > (0.7 if places.gaze_known else 0.2))

    return believable
