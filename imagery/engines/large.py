"""Large blocks: parts that were solved one by one are laid onto each other and adjusted as one; large references are opened in part.

Every camera takes part in the last adjustment, so that no seam is left, but each with its best tracks only: that keeps it in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap

from geo.frames import Floats
from imagery.engines import mapping, pieces, placing, store
from imagery.engines.pieces import Keypoints, Piece
from imagery.engines.placing import Places
from imagery.engines.store import Roll
from imagery.projection import Projector
from imagery.reconstruct import Block

_TRACKS_PER_IMAGE = 800  # in the last adjustment
_LEAST_SHARED = 4  # photos that two parts must share to be laid onto each other


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Who is who to the solver: cameras by number, the camera and the name of each image by its number, and its keypoints."""

    cameras: Mapping[int, pycolmap.Camera]
    camera_of: Mapping[int, int]
    names: Mapping[int, str]
    keypoints: Keypoints


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A block as arrays: the piece, where each observation lies `(m, 2)`, its error in pixels `(m,)`, and the cameras by number."""

    piece: Piece
    px: Floats
    error_px: Floats
    cameras: Mapping[int, pycolmap.Camera]


def chained(parts: Sequence[Piece]) -> tuple[list[Piece], tuple[int, ...]]:
    """Parts laid onto each other by the photos they share, from the largest on; and the numbers of those that share too few.

    Those stay where they are: on their own positions.
    """
    placed = {int(np.argmax([len(p.ids) for p in parts])): parts[int(np.argmax([len(p.ids) for p in parts]))]}
    waiting = set(range(len(parts))) - set(placed)
    loose: list[int] = []
    while waiting:
        known = {i: (n, row) for n, p in placed.items() for row, i in enumerate(p.ids.tolist())}
        number = max(sorted(waiting), key=lambda n: sum(i in known for i in parts[n].ids.tolist()))
        waiting.discard(number)
        part = parts[number]
        shared = [i for i in part.ids.tolist() if i in known]
        if len(shared) < _LEAST_SHARED:
            loose.append(number)
            placed[number] = part
            continue
        mine = part.rows(shared)
        centres = np.array([placed[known[i][0]].centres[known[i][1]] for i in shared])
        axes = np.array([placed[known[i][0]].axes[known[i][1]] for i in shared])
        sigma = np.full(len(shared), 0.05)
        there = Places(centres[:, :2], centres[:, 2], sigma, sigma, axes, True, "the neighbouring part")
        placed[number] = part.moved(placing.lay(part.centres[mine], part.axes[mine], there))
    return [placed[n] for n in range(len(parts))], tuple(sorted(loose))


def joined(
    parts: Sequence[Piece],
    cores: Sequence[Collection[int]],
    who: Names,
    places_of: Callable[[Sequence[int]], Places],
    *,
    free_lenses: Collection[int],
    free_focals: bool,
    limit_px: float,
    workers: int,
) -> Joined:
    """One block of parts that lie in one frame: merged, adjusted together on thinned tracks, laid onto the photos' places.

    `cores` are the images each part answers for; `places_of` tells the places of images. Raises ReconstructionError.
    """
    whole = pieces.merged(parts, cores)
    thin = pieces.thinned(whole, _TRACKS_PER_IMAGE)
    model = _slim(thin, who)
    ids = whole.ids.tolist()
    places = places_of(ids)
    # Fewer tracks would leave the receivers more say than they have among all tracks: they are believed less by as much.
    looser = math.sqrt(len(whole.image) / max(1, len(thin.image)))
    held = replace(places, sigma_xy=looser * places.sigma_xy, sigma_z=looser * places.sigma_z)
    soft = None if placing.is_line(places) else (ids, held)
    for limit in (2 * limit_px, limit_px):
        mapping.adjust(model, free_lenses=free_lenses, free_focals=free_focals, workers=workers, places=soft)
        mapping.drop_wrong(model, limit)
    mapping.transform(model, placing.lay(*mapping.centres_and_axes(model, ids), places))
    rotations = np.array([model.image(i).cam_from_world().rotation.matrix() for i in ids])
    centres = np.array([model.image(i).projection_center() for i in ids])
    cameras = {**who.cameras, **{n: store.to_solver(store.from_solver(c), n) for n, c in model.cameras.items()}}
    del model
    return settled(replace(whole, rotations=rotations, centres=centres), replace(who, cameras=cameras), limit_px)


def settled(piece: Piece, who: Names, limit_px: float, *, rounds: int = 5) -> Joined:
    """The piece with its points where its cameras see them, without the observations that miss; none moves with `rounds` 0."""
    px = pieces.pixels(piece, who.keypoints)
    lenses = np.array(
        [
            Projector.of(
                store.from_solver(who.cameras[who.camera_of[image]]),
                store.pose(piece.rotations[row], piece.centres[row]),
            ).numbers
            for row, image in enumerate(piece.ids.tolist())
        ]
    )
    done, error, kept = pieces.settled(piece, px, lenses, limit_px, rounds=rounds)
    return Joined(done, px[kept], error, who.cameras)


def _slim(piece: Piece, who: Names) -> pycolmap.Reconstruction:
    """A model of the piece that knows no keypoints but those in its tracks."""
    px = pieces.pixels(piece, who.keypoints)
    order = np.argsort(piece.image, kind="stable")
    bounds = np.searchsorted(piece.image[order], np.append(piece.ids, np.iinfo(np.int32).max))
    keypoint = np.empty(len(order), np.int32)
    own: dict[int, Floats] = {}
    for k, image in enumerate(piece.ids.tolist()):
        here = order[bounds[k] : bounds[k + 1]]
        keypoint[here] = np.arange(len(here))
        own[image] = px[here]
    return pieces.to_model(replace(piece, keypoint=keypoint), who.cameras, who.camera_of, who.names, own.__getitem__)


def tracks(found: Joined, ids: Sequence[int]) -> store.Tracks:
    """Who sees which point where, the views numbered in the order of `ids` (all images of the piece); see `Block`."""
    piece = found.piece
    view = np.empty(len(ids), np.int32)
    view[piece.rows(ids)] = np.arange(len(ids))
    seen = view[np.searchsorted(piece.ids, piece.image)]
    turn = np.lexsort((piece.point, seen))
    return store.Tracks(piece.points, seen[turn], piece.point[turn], found.px[turn].astype(np.float32))


def opened(reference: Block, roll: Roll, ids: Collection[int], who: Names) -> pycolmap.Reconstruction:
    """The model of some images of a reference, and the points at least two of them see: the rest of it is not loaded."""
    number = {roll.images[v.photo_sha256]: v.pose for v in reference.views}
    chosen = sorted(set(ids) & set(number))
    rotations = np.array([number[i].matrix for i in chosen]).reshape(-1, 3, 3)
    centres = np.array([number[i].centre for i in chosen]).reshape(-1, 3) - np.array(reference.offset_m)
    folders = store.models(reference.folder / "engine")
    found = [pieces.with_points(folder, chosen, rotations, centres) for folder in folders]
    piece = pieces.merged(found, [()] * len(found))
    return pieces.to_model(piece, who.cameras, who.camera_of, who.names, who.keypoints)


def written(folder: Path, found: Joined, who: Names, groups: Sequence[Collection[int]]) -> None:
    """The block's models for the next survey, one for each group of images (they may overlap), into `folder`."""
    here = replace(who, cameras=found.cameras)
    for k, group in enumerate(groups):
        target = folder / f"model-{k:03d}"
        piece = found.piece.seen_by(group)
        store.write_model(target, pieces.to_model(piece, here.cameras, here.camera_of, here.names, here.keypoints))
